package heat

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// The cluster types of Kubernetes are one folder of templates and boot scripts
// in two wrappings: cloud-init, which Debian's images read, and Ignition.

func kubernetesDebian() clusterType {
	return kubernetes("k8s_debian", "debian", machine.cloudConfig)
}

func kubernetesFedoraCoreOS() clusterType {
	t := kubernetes("k8s_fedora_coreos", "fedora-coreos", machine.ignition)
	t.escapes = inDataURLs()
	return t
}

func kubernetes(name, distro string, wrap func(machine) (string, error)) clusterType {
	return clusterType{
		name: name, folder: "kubernetes", revision: 1, kubernetes: true, updateMinutes: 200,
		serverType: "vm", distro: distro, coe: "kubernetes",
		fields: slices.Concat(kubernetesFields(), kubernetesLabels("labels/"), kubernetesGroupLabels("nodeGroups/*/labels/")),
		atBoot: []string{"nodeGroups/*/nodeLabels", "nodeGroups/*/nodeTaints"},
		idle:   kubernetesIdle,
		userData: func(x revision, s *schema.Spec, g schema.Group, ca string) (string, error) {
			m, err := kubernetesMachine(x, s, g, ca)
			if err != nil {
				return "", err
			}
			return wrap(m)
		},
	}
}

// bootSeconds are what the steps of boot.sh may take in all.
func bootSeconds(g schema.Group) int {
	if roleOf(g) == roleMaster {
		return 11800
	}
	return 10300
}

func kubernetesFields() []string {
	return []string{
		"keypair", "sshPublicKeys", "externalNetwork", "fixedNetwork", "fixedSubnet", "dnsNameservers", "networkDriver",
		"httpProxy", "httpsProxy", "noProxy", "insecureRegistry", "apiserverPort", "tlsDisabled", "masterLBEnabled", "floatingIPEnabled",
		"dockerStorageDriver", "driver",
		"nodeGroups/*/image", "nodeGroups/*/dockerVolumeSize", "nodeGroups/*/minNodeCount", "nodeGroups/*/maxNodeCount",
		"nodeGroups/*/nodeLabels", "nodeGroups/*/nodeTaints",
	}
}

// kubernetesLabels are the labels that are carried out.
func kubernetesLabels(prefix string) []string {
	return prefixed(prefix,
		"kube_tag", "mirror_url", "container_infra_prefix", "cgroup_driver", "cloud_provider_enabled", "cloud_provider_tag",
		"kubelet_options", "kubeapi_options", "kubecontroller_options", "kubescheduler_options", "kubeproxy_options", "admission_control_list",
		"fixed_subnet_cidr", "service_cluster_ip_range", "flannel_network_cidr", "flannel_network_subnetlen", "flannel_backend", "flannel_tag",
		"calico_ipv4pool", "calico_ipv4pool_ipip",
		"octavia_provider", "octavia_lb_algorithm", "octavia_lb_healthcheck", "master_lb_allowed_cidrs", "master_lb_floating_ip_enabled",
		"etcd_volume_size", "etcd_volume_type", "boot_volume_size", "boot_volume_type", "docker_volume_type", "availability_zone",
		"min_node_count", "max_node_count")
}

// kubernetesGroupLabels are those of them that a group may have of its own.
func kubernetesGroupLabels(prefix string) []string {
	return prefixed(prefix, "kube_tag", "mirror_url", "container_infra_prefix", "cgroup_driver", "kubelet_options",
		"boot_volume_size", "boot_volume_type", "docker_volume_type", "availability_zone")
}

func prefixed(prefix string, keys ...string) []string {
	for i := range keys {
		keys[i] = prefix + keys[i]
	}
	return keys
}

// kubernetesIdle is what a spec asks for that its other fields make impossible
// or useless.
func kubernetesIdle(s *schema.Spec) []diff.Objection {
	var found []diff.Objection
	add := func(is bool, code schema.Code, field, format string, args ...any) {
		if is {
			found = append(found, object(code, field, format, args...))
		}
	}
	l := labelled(s.Labels)
	add(l["kube_tag"] == "", schema.CodeUnsupported, "labels/kube_tag", "set kube_tag: no release of Jeroboam chooses a version of Kubernetes")
	add(s.FloatingIPEnabled && s.ExternalNetwork == "", schema.CodeNetwork, "externalNetwork", "floatingIPEnabled needs an externalNetwork to take addresses from")
	add(l.on("master_lb_floating_ip_enabled", false) && s.ExternalNetwork == "", schema.CodeNetwork, "externalNetwork",
		"master_lb_floating_ip_enabled needs an externalNetwork to take an address from")
	add(len(s.DNSNameservers) > 0 && s.FixedNetwork != "", schema.CodeUnsupported, "dnsNameservers", "they are of a new network; those of fixedNetwork are set at its subnet")
	add(s.MasterLBEnabled && s.FixedNetwork != "" && s.FixedSubnet == "", schema.CodeNetwork, "fixedSubnet",
		"the load balancer takes its address from a subnet: name one of fixedNetwork")
	add(!s.MasterLBEnabled && s.Nodes(true) > 1, schema.CodeUnsupported, "masterLBEnabled", "several masters need a load balancer")
	add(!s.MasterLBEnabled && s.APIServerPort != 0 && s.APIServerPort != apiPort, schema.CodeUnsupported, "apiserverPort",
		"without a load balancer the API is where the masters have it, at %d", apiPort)
	for _, cidr := range l.list("master_lb_allowed_cidrs") {
		add(strings.Contains(cidr, ":"), schema.CodeNetwork, "labels/master_lb_allowed_cidrs", "the API has an IPv4 address, and no traffic of %s comes there: leave it out", cidr)
	}
	add(!slices.Contains([]string{"flannel", "calico"}, s.NetworkDriver), schema.CodeUnsupported, "networkDriver",
		"%q is not carried out yet: flannel and calico are", s.NetworkDriver)
	add(s.NetworkDriver == "calico" && l["mirror_url"] == "", schema.CodeUnsupported, "labels/mirror_url", "Calico's manifest comes from the mirror: set mirror_url")
	add(!slices.Contains([]string{"", "overlay", "overlay2"}, s.DockerStorageDriver), schema.CodeUnsupported, "dockerStorageDriver", "containerd has overlay alone")
	return found
}

// labelled are labels with the defaults of the type.
type labelled map[string]string

func (l labelled) or(key, otherwise string) string { return cmp.Or(l[key], otherwise) }

func (l labelled) on(key string, otherwise bool) bool {
	if l[key] == "" {
		return otherwise
	}
	return strings.EqualFold(l[key], "true")
}

func (l labelled) number(key string, otherwise int) int {
	var n int
	if _, err := fmt.Sscanf(l[key], "%d", &n); err != nil {
		return otherwise
	}
	return n
}

// list splits what has commas or blanks between.
func (l labelled) list(key string) []string {
	return strings.FieldsFunc(l[key], func(r rune) bool { return r == ',' || r == ' ' })
}

// apiPort is where each master serves the API.
const apiPort = 6443

// kubernetesRoot is what root.yaml has beyond what all types' roots have.
type kubernetesRoot struct {
	NodeCIDR, PodCIDR string
	Port              int // of the API, from outside
	APISources        []string
	PodRules          []string // ends of security group rules between nodes, for the pods' network
	Apart             bool     // there are masters to keep on different hosts

	LoadBalancer, LoadBalancerFloating, HealthCheck bool
	Provider, Algorithm                             string
	AllowedCIDRs                                    []string
}

func kubernetesRootOf(s *schema.Spec) kubernetesRoot {
	l := labelled(s.Labels)
	allowed := l.list("master_lb_allowed_cidrs")
	if len(allowed) > 0 && s.FixedNetwork == "" { // nodes go through the load balancer as well
		allowed = append(allowed, nodeCIDR(l))
	}
	allowed = eachOnce(allowed)
	return kubernetesRoot{
		NodeCIDR: nodeCIDR(l), PodCIDR: podCIDR(s),
		Port: cmp.Or(s.APIServerPort, apiPort), APISources: eachOnce(apiSources(s, l)), PodRules: podRules(s, l), Apart: s.Nodes(true) > 1,
		LoadBalancer:         s.MasterLBEnabled,
		LoadBalancerFloating: s.MasterLBEnabled && s.ExternalNetwork != "" && l.on("master_lb_floating_ip_enabled", s.FloatingIPEnabled),
		HealthCheck:          l.on("octavia_lb_healthcheck", true),
		Provider:             l["octavia_provider"], Algorithm: l.or("octavia_lb_algorithm", "ROUND_ROBIN"),
		AllowedCIDRs: allowed,
	}
}

func nodeCIDR(l labelled) string { return l.or("fixed_subnet_cidr", "10.0.0.0/24") }

func podCIDR(s *schema.Spec) string {
	if s.NetworkDriver == "calico" {
		return labelled(s.Labels).or("calico_ipv4pool", "10.100.0.0/16")
	}
	return labelled(s.Labels).or("flannel_network_cidr", "10.100.0.0/16")
}

// apiSources are who may talk to the masters' own API port, besides the nodes.
// Where the load balancer lets in some alone, masters do the same, or their
// floating IPs would be a way around it: then its own address must be let in,
// which is one of the nodes' subnet, or, if that is somebody else's, private.
func apiSources(s *schema.Spec, l labelled) []string {
	allowed := l.list("master_lb_allowed_cidrs")
	switch {
	case !s.MasterLBEnabled || len(allowed) == 0:
		return []string{"0.0.0.0/0"}
	case s.FixedNetwork == "":
		return append(allowed, nodeCIDR(l))
	}
	return append(allowed, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
}

// eachOnce is a list without what it has already said: a security group with the
// same rule twice is refused.
func eachOnce(list []string) []string {
	var once []string
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

// podRules let through what carries the pods' packets: one protocol between
// nodes where they are wrapped, and all where they go as they are.
func podRules(s *schema.Spec, l labelled) []string {
	const everything = ""
	switch {
	case s.NetworkDriver == "calico" && l.or("calico_ipv4pool_ipip", "Off") == "Always":
		return []string{", protocol: ipip", ", protocol: tcp, port_range_min: 179, port_range_max: 179", ", protocol: tcp, port_range_min: 5473, port_range_max: 5473"}
	case s.NetworkDriver == "calico":
		return []string{everything}
	}
	switch l.or("flannel_backend", "vxlan") {
	case "vxlan":
		return []string{", protocol: udp, port_range_min: 8472, port_range_max: 8472"}
	case "udp":
		return []string{", protocol: udp, port_range_min: 8285, port_range_max: 8285"}
	}
	return []string{everything}
}

// kubernetesNode is what node.yaml has beyond what all types' nodes have.
type kubernetesNode struct {
	PodCIDR                string
	Apart                  bool // it is of a server group
	Volumes                []nodeVolume
	Root, Containers, Etcd string // resources of Volumes; empty: the server's own disk has it
}

// nodeVolume is a Cinder volume of a node. One with an image is the disk that
// the server boots from.
type nodeVolume struct {
	Resource string
	Size     int
	Type     string
	Image    string
}

// kubernetesNodeOf: etcd's volume outlives its server, which is why it never
// changes its name. The others hold what can be had again, so another size or
// type is another volume, and each boot starts with a new disk.
func kubernetesNodeOf(s *schema.Spec, g schema.Group, boot string) kubernetesNode {
	l, n := labelled(s.LabelsOf(g)), kubernetesNode{PodCIDR: podCIDR(s), Apart: s.Nodes(true) > 1}
	add := func(name *string, v nodeVolume) {
		if v.Size > 0 {
			*name, n.Volumes = v.Resource, append(n.Volumes, v)
		}
	}
	add(&n.Root, nodeVolume{Resource: "root_" + boot, Size: l.number("boot_volume_size", 0), Type: l["boot_volume_type"], Image: s.ImageOf(g)})
	containers := nodeVolume{Size: g.DockerVolumeSize, Type: l["docker_volume_type"]}
	containers.Resource = "containers_" + schema.Digest([]any{containers.Size, containers.Type})[:8]
	add(&n.Containers, containers)
	if g.Role == roleMaster {
		add(&n.Etcd, nodeVolume{Resource: "etcd", Size: l.number("etcd_volume_size", 0), Type: l["etcd_volume_type"]})
	}
	return n
}

// givenTo are a group's labels and taints as its nodes get them at boot.
func givenTo(g schema.Group) map[string]string {
	var labels, taints []string
	for k, v := range g.NodeLabels {
		labels = append(labels, k+"="+v)
	}
	slices.Sort(labels)
	for _, t := range g.NodeTaints {
		taints = append(taints, t.Key+"="+t.Value+":"+t.Effect)
	}
	return map[string]string{givenLabels: strings.Join(labels, ","), givenTaints: strings.Join(taints, ",")}
}
