package heat

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"jeroboam.io/jeroboam/schema"
	"jeroboam.io/jeroboam/templates"
)

// kubernetesMachine is what a node is told at its first boot: the boot scripts,
// and in node.env what they are to make of it (templates/kubernetes/1/boot.sh
// has the contract).
func kubernetesMachine(x revision, s *schema.Spec, g schema.Group, ca string) (machine, error) {
	scripts, err := archive(x)
	if err != nil {
		return machine{}, err
	}
	env, err := nodeEnv(s, g)
	if err != nil {
		return machine{}, err
	}
	const trusted = "/etc/jeroboam/openstack-ca.pem"
	m := machine{
		sshKeys: s.SSHPublicKeys,
		files: []machineFile{
			{"/etc/jeroboam/boot.tar.gz", 0o600, scripts},
			{"/etc/jeroboam/signal", 0o700, "#!/bin/sh\n[ ! -e " + trusted + " ] || export CURL_CA_BUNDLE=" + trusted + "\nexec __SIGNAL__ --silent --show-error --fail --retry 10 --retry-delay 6 --retry-connrefused --data-binary @-\n"},
			{"/etc/jeroboam/node.env", 0o600, env},
			{"/etc/jeroboam/secrets.env", 0o600, "__SECRETS__\n"},
		},
		masked: []string{"docker.service", "zincati.service"},
		unit:   machineUnit{"jeroboam-boot.service", bootService},
	}
	if ca != "" {
		m.files = append(m.files, machineFile{trusted, 0o644, ca})
	}
	return m, nil
}

// bootService boots the node once. What it makes are units of their own, which come
// back after a restart of the machine.
const bootService = `[Unit]
Description=Makes this machine a Kubernetes node
ConditionPathExists=!/var/lib/jeroboam/booted
After=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
ExecStartPre=/bin/mkdir -p /etc/jeroboam/boot /var/lib/jeroboam
ExecStartPre=/bin/tar -xzf /etc/jeroboam/boot.tar.gz -C /etc/jeroboam/boot
ExecStart=/bin/bash /etc/jeroboam/boot/boot.sh
ExecStartPost=/bin/touch /var/lib/jeroboam/booted
[Install]
WantedBy=multi-user.target
`

// archive is what the folder has beside Heat's templates, the same bytes each
// time.
func archive(x revision) (string, error) {
	files, err := templates.FS.ReadDir(path.Dir(x.path("x")))
	if err != nil {
		return "", fmt.Errorf("this release has no templates of %s in revision %d", x.folder, x.number)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	t := tar.NewWriter(z)
	for _, f := range files {
		if f.Name() == "root.yaml" || f.Name() == "node.yaml" {
			continue
		}
		text, err := x.read(f.Name())
		if err != nil {
			return "", err
		}
		if err := t.WriteHeader(&tar.Header{Name: f.Name(), Mode: 0o644, Size: int64(len(text))}); err != nil {
			return "", err
		}
		if _, err := t.Write([]byte(text)); err != nil {
			return "", err
		}
	}
	if err := t.Close(); err != nil {
		return "", err
	}
	err = z.Close()
	return b.String(), err
}

// nodeEnv is /etc/jeroboam/node.env. What is empty is left out.
func nodeEnv(s *schema.Spec, g schema.Group) (string, error) {
	dns, err := dnsAddress(serviceCIDR(s))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	put := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s=%s\n", name, shellQuote(value))
		}
	}
	l := labelled(s.LabelsOf(g))
	put("ROLE", roleOf(g))
	if roleOf(g) == roleMaster {
		putMaster(put, s, labelled(s.Labels))
	}
	put("CLUSTER", "__CLUSTER__")
	put("NODE", "__NODE__")
	put("KUBE_TAG", l["kube_tag"])
	put("API_HOST", "__API_HOST__")
	put("API_PORT", strconv.Itoa(kubernetesRootOf(s).Port))
	put("POD_CIDR", podCIDR(s))
	put("SERVICE_CIDR", serviceCIDR(s))
	put("DNS_ADDRESS", dns)
	put("NETWORK_DRIVER", s.NetworkDriver)
	put("CONTAINER_VOLUME", "__CONTAINER_VOLUME__")
	put("NODE_LABELS", "__NODE_LABELS__")
	put("NODE_TAINTS", "__NODE_TAINTS__")
	put("MIRROR", l["mirror_url"])
	put("IMAGE_PREFIX", l["container_infra_prefix"])
	put("INSECURE_REGISTRIES", s.InsecureRegistry)
	put("CGROUP_DRIVER", l["cgroup_driver"])
	put("KUBELET_OPTIONS", l["kubelet_options"])
	put("EXTERNAL_CLOUD", strconv.FormatBool(externalCloud(s)))
	putProxies(put, s)
	return b.String(), nil
}

// putProxies: what is inside the cluster goes through no proxy.
func putProxies(put func(name, value string), s *schema.Spec) {
	if s.HTTPProxy == "" && s.HTTPSProxy == "" {
		return
	}
	put("HTTP_PROXY", s.HTTPProxy)
	put("HTTPS_PROXY", s.HTTPSProxy)
	inside := []string{"localhost", "127.0.0.1", "169.254.169.254", ".svc", ".cluster.local", "__API_HOST__", podCIDR(s), serviceCIDR(s)}
	if s.FixedNetwork == "" {
		inside = append(inside, kubernetesRootOf(s).NodeCIDR)
	}
	if s.NoProxy != "" {
		inside = append([]string{s.NoProxy}, inside...)
	}
	put("NO_PROXY", strings.Join(inside, ","))
}

// putMaster is what masters alone read.
func putMaster(put func(name, value string), s *schema.Spec, l labelled) {
	put("ETCD_MEMBERS", "__ETCD_MEMBERS__")
	put("ETCD_MEMBER", "__NODE__")
	put("ETCD_VOLUME", "__ETCD_VOLUME__")
	if s.NetworkDriver == "calico" {
		put("CALICO_IPIP", l.or("calico_ipv4pool_ipip", "Off"))
	} else {
		put("POD_PREFIX", l.or("flannel_network_subnetlen", "24"))
		put("FLANNEL_BACKEND", l.or("flannel_backend", "vxlan"))
		put("FLANNEL_TAG", l["flannel_tag"])
	}
	put("CLOUD_TAG", l["cloud_provider_tag"])
	options := l["kubeapi_options"]
	if plugins := l.list("admission_control_list"); len(plugins) > 0 {
		options = strings.TrimSpace("--enable-admission-plugins=" + strings.Join(plugins, ",") + " " + options)
	}
	put("APISERVER_OPTIONS", options)
	put("CONTROLLER_OPTIONS", l["kubecontroller_options"])
	put("SCHEDULER_OPTIONS", l["kubescheduler_options"])
	put("PROXY_OPTIONS", l["kubeproxy_options"])
	if s.TLSDisabled {
		put("TLS_DISABLED", "true")
	}
}

// roleOf is master or worker: a group may have its own word for its workers.
func roleOf(g schema.Group) string {
	if g.Role == roleMaster {
		return roleMaster
	}
	return roleWorker
}

// filesBeside are what masters get beside the authorities' keys.
func filesBeside(s *schema.Spec) []string {
	if externalCloud(s) {
		return []string{cloudConf}
	}
	return nil
}

func externalCloud(s *schema.Spec) bool {
	return labelled(s.Labels).on("cloud_provider_enabled", true)
}

func serviceCIDR(s *schema.Spec) string {
	return labelled(s.Labels).or("service_cluster_ip_range", "10.254.0.0/16")
}

// dnsAddress is the tenth address of the services' range, which kubeadm gives to
// CoreDNS.
func dnsAddress(cidr string) (string, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", fmt.Errorf("label service_cluster_ip_range: %w", err)
	}
	a := p.Masked().Addr()
	for range 10 {
		a = a.Next()
	}
	if !p.Contains(a) {
		return "", fmt.Errorf("label service_cluster_ip_range: %s has no tenth address for DNS", cidr)
	}
	return a.String(), nil
}
