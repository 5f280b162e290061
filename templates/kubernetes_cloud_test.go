package templates_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const cloudConf = "[Global]\nauth-url=https://keystone/v3\napplication-credential-id=id\napplication-credential-secret = \"hunter2 of the cloud\"\n"

// cloud makes the machine one whose cluster has a cloud controller manager.
func (m *machine) cloud() {
	m.Helper()
	m.env["EXTERNAL_CLOUD"] = "true"
	names := keyFiles + " cloud.conf"
	files := map[string]string{}
	for name := range strings.FieldsSeq(names) {
		files[name] = "-----BEGIN THING-----\n" + name + "\n"
	}
	text := encoded(cloudConf)
	files["cloud.conf"] = "-----BEGIN JEROBOAM CLOUD CONFIG-----\n" + text[:64] + "\n" + text[64:] + "\n-----END JEROBOAM CLOUD CONFIG-----\n"
	m.secrets("PKI", base64.StdEncoding.EncodeToString(packed(m, archive(m, files))))
	if err := os.RemoveAll(filepath.Join(m.root, "appcred")); err != nil {
		m.Fatal(err)
	}
}

// documents are those of a manifest, by kind.
func documents(t testing.TB, text string) map[string]map[string]any {
	t.Helper()
	docs := map[string]map[string]any{}
	for one := range strings.SplitSeq(text, "\n---\n") {
		var doc map[string]any
		if err := yaml.UnmarshalStrict([]byte(one), &doc); err != nil {
			t.Fatalf("%v in\n%s", err, one)
		}
		docs[fmt.Sprint(doc["kind"])] = doc
	}
	return docs
}

// at walks down a document; steps are keys or indices.
func at(doc any, steps ...any) any {
	for _, step := range steps {
		switch here := doc.(type) {
		case map[string]any:
			doc = here[fmt.Sprint(step)]
		case []any:
			if i, ok := step.(int); !ok || i >= len(here) {
				return nil
			}
			doc = here[step.(int)]
		default:
			return nil
		}
	}
	return doc
}

func TestKubernetesInstallsTheCloudControllerManager(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.cloud()
	m.write("etc/jeroboam/openstack-ca.pem", "-----BEGIN CERTIFICATE-----\n")
	m.write("taints", "node-role.kubernetes.io/control-plane node.cloudprovider.kubernetes.io/uninitialized\nnode-role.kubernetes.io/control-plane\n")
	o, out := m.run("boot.sh")
	if o.failed || told(out) || told(strings.Join(o.calls, "\n")) {
		t.Fatalf("failed %v, or a secret was told: %q\n%s", o.failed, o.calls, out)
	}
	if m.read("etc/kubernetes/cloud.conf") != cloudConf || m.mode("etc/kubernetes/cloud.conf") != 0o600 || m.mode("etc/jeroboam/cloud.yaml") != 0o600 {
		t.Errorf("cloud.conf is %q with %v, the manifest has %v", m.read("etc/kubernetes/cloud.conf"), m.mode("etc/kubernetes/cloud.conf"), m.mode("etc/jeroboam/cloud.yaml"))
	}
	text := m.read("etc/jeroboam/cloud.yaml")
	docs := documents(t, text)
	want := map[string]any{"cloud.conf": encoded(cloudConf), "openstack-ca.pem": encoded("-----BEGIN CERTIFICATE-----\n")}
	if d := cmp.Diff(any(want), at(docs["Secret"], "data")); d != "" || strings.Contains(strings.ReplaceAll(text, "between @", ""), "@") {
		t.Errorf("secret (-want +got):\n%s\nin\n%s", d, text)
	}
	pod := at(docs["DaemonSet"], "spec", "template", "spec")
	if got := at(pod, "containers", 0, "image"); got != "registry.k8s.io/provider-os/openstack-cloud-controller-manager:v1.36.0" {
		t.Errorf("the image is %v", got)
	}
	if got := fmt.Sprint(at(pod, "tolerations")); !strings.Contains(got, "node.cloudprovider.kubernetes.io/uninitialized") || at(pod, "hostNetwork") != true {
		t.Errorf("it does not run before the nodes are found: %v", pod)
	}
	// It waited for the taint, and then for the network as ever.
	if o.called("kubectl --kubeconfig "+m.root+"/etc/kubernetes/admin.conf --request-timeout=20s get node prod-master-0 -o jsonpath={.spec.taints") != 2 || !strings.Contains(strings.Join(o.calls, "\n"), "deployment/coredns") {
		t.Errorf("calls %q", o.calls)
	}
}

func TestKubernetesCloudImage(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.cloud()
	m.env["IMAGE_PREFIX"], m.env["CLOUD_TAG"] = "registry.example/k8s/", "v1.36.7"
	o, out := m.run("boot.sh")
	if o.failed {
		t.Fatal(out)
	}
	if got := at(documents(t, m.read("etc/jeroboam/cloud.yaml"))["DaemonSet"], "spec", "template", "spec", "containers", 0, "image"); got != "registry.example/k8s/openstack-cloud-controller-manager:v1.36.7" {
		t.Errorf("the image is %v", got)
	}
}

// A worker's taint goes as a master's does; while it is there nobody says success.
func TestKubernetesWorkerWaitsForTheCloud(t *testing.T) {
	t.Parallel()
	m := newNode(t, "worker")
	m.env["EXTERNAL_CLOUD"] = "true"
	m.write("limit", "5")
	m.write("taints", strings.Repeat("node.cloudprovider.kubernetes.io/uninitialized\n", 10000))
	o, _ := m.run("boot.sh")
	if log := o.failure(t, "ready"); !strings.Contains(log, "not yet found by the cloud controller manager") {
		t.Errorf("the log is %q", log)
	}
}

func TestKubernetesWantsTheCloudsConfiguration(t *testing.T) {
	t.Parallel()
	for external, want := range map[string]string{"true": "cloud.conf is missing, and neither PKI nor KEYS has it", "false": ""} {
		m := newNode(t, "master")
		m.env["EXTERNAL_CLOUD"] = external
		o, out := m.run("boot.sh")
		if want == "" {
			if o.failed || m.mode("etc/jeroboam/cloud.yaml") != 0 || strings.Contains(strings.Join(o.calls, "\n"), "spec.taints") {
				t.Errorf("without a cloud: failed %v, calls %q\n%s", o.failed, o.calls, out)
			}
			continue
		}
		if log := o.failure(t, "keys"); !strings.Contains(log, want) {
			t.Errorf("the log is %q, want %q in it", log, want)
		}
	}
}

// A secret of the cloud's configuration is hidden even without a word before it,
// also when secrets.env is gone.
func TestKubernetesMasksTheCloudsSecret(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.files()
	m.write("etc/kubernetes/cloud.conf", cloudConf)
	m.write("etc/jeroboam/secrets.env", "")
	cmd := exec.CommandContext(t.Context(), "/bin/bash", "-c", "cd '"+m.root+"/etc/jeroboam/boot' && . ./report.sh && . ./machine.sh && mask")
	cmd.Stdin = strings.NewReader("it says hunter2 of the cloud, and that is it\n-----BEGIN JEROBOAM CLOUD CONFIG-----\nhunter2\n-----END JEROBOAM CLOUD CONFIG-----\nfine\n")
	if got, err := cmd.CombinedOutput(); err != nil || string(got) != "it says ***, and that is it\n***\nfine\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// tls_disabled: an API server with AlwaysAllow turns anonymous requests away, so
// everybody gets the rights by name.
func TestKubernetesWithoutTLSLetsEverybodyIn(t *testing.T) {
	t.Parallel()
	for disabled, want := range map[string]bool{"true": true, "false": false} {
		m := newNode(t, "master")
		m.env["TLS_DISABLED"], m.env["APISERVER_OPTIONS"] = disabled, "--anonymous-auth=false"
		o, out := m.run("boot.sh")
		if o.failed {
			t.Fatal(out)
		}
		text := m.read("etc/jeroboam/everybody.yaml")
		if (text != "") != want || strings.Contains(strings.Join(o.calls, "\n"), "everybody.yaml") != want ||
			strings.Contains(m.read("etc/jeroboam/kubeadm.yaml"), "- {name: 'anonymous-auth', value: 'true'}") != want {
			t.Errorf("TLS_DISABLED=%s: %q, %q", disabled, text, o.calls)
		}
		if want {
			binding := documents(t, text)["ClusterRoleBinding"]
			if at(binding, "roleRef", "name") != "cluster-admin" || at(binding, "subjects", 0, "name") != "system:unauthenticated" {
				t.Errorf("the binding is %v", binding)
			}
		}
	}
}

// The places in Calico's manifest as it comes: the CIDR is a comment there.
func TestKubernetesFillsCalicosPool(t *testing.T) {
	t.Parallel()
	const (
		ipip    = "        - name: CALICO_IPV4POOL_IPIP\n          value: \"Always\"\n"
		vxlan   = "        - name: CALICO_IPV4POOL_VXLAN\n          value: \"Always\"\n"
		comment = "        # The pool. It should be within `--cluster-cidr`.\n        # - name: CALICO_IPV4POOL_CIDR\n        #   value: \"192.168.0.0/16\"\n"
		spoken  = "        - name: CALICO_IPV4POOL_CIDR\n          value: \"@POD_CIDR@\"\n"
	)
	for name, c := range map[string]struct {
		env, ipip string
		want      map[string]string // name, value
		fails     string
	}{
		"as it comes": {env: ipip + vxlan + comment, want: map[string]string{"CIDR": "10.100.0.0/16", "IPIP": "Always", "VXLAN": "Always"}},
		"CrossSubnet": {env: ipip + vxlan + comment, ipip: "CrossSubnet", want: map[string]string{"CIDR": "10.100.0.0/16", "IPIP": "CrossSubnet", "VXLAN": "Never"}},
		"Off":         {env: ipip + vxlan + comment, ipip: "Off", want: map[string]string{"CIDR": "10.100.0.0/16", "IPIP": "Never", "VXLAN": "Always"}},
		"filled":      {env: spoken + ipip, ipip: "Never", want: map[string]string{"CIDR": "10.100.0.0/16", "IPIP": "Never"}},
		"both":        {env: comment + spoken + comment + ipip, ipip: "Always", want: map[string]string{"CIDR": "10.100.0.0/16", "IPIP": "Always"}},
		"tight": {
			env:  "        #- name: CALICO_IPV4POOL_CIDR\n        #  value: 192.168.0.0/16\n        - {name: X, value: y}\n",
			want: map[string]string{"CIDR": "10.100.0.0/16"},
		},
		"no CIDR":  {env: ipip, fails: "without CALICO_IPV4POOL_CIDR"},
		"no IPIP":  {env: spoken, ipip: "Always", fails: "without CALICO_IPV4POOL_IPIP"},
		"nonsense": {env: spoken + ipip, ipip: "Sometimes", fails: "want Always, CrossSubnet, Never or Off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "master")
			m.env["NETWORK_DRIVER"], m.env["CALICO_IPIP"] = "calico", c.ipip
			m.write("mirror/calico.yaml", "kind: DaemonSet\nspec:\n  containers:\n  - name: calico-node\n    env:\n        - name: FIRST\n          value: \"1\"\n"+c.env+"        - name: LAST\n          value: \"2\"\n")
			if err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "mkdir '"+m.root+"/mirror/manifests' && mv '"+m.root+"/mirror/calico.yaml' '"+m.root+"/mirror/manifests/'").Run(); err != nil {
				t.Fatal(err)
			}
			m.sums()
			o, out := m.run("boot.sh")
			if c.fails != "" {
				if log := o.failure(t, "cni"); !strings.Contains(log, c.fails) || strings.Contains(strings.Join(o.calls, "\n"), "cni.yaml") {
					t.Errorf("the log is %q", log)
				}
				return
			}
			if o.failed {
				t.Fatal(out)
			}
			got := map[string]string{}
			entries, _ := at(documents(t, m.read("etc/jeroboam/cni.yaml"))["DaemonSet"], "spec", "containers", 0, "env").([]any)
			for _, e := range entries {
				key := fmt.Sprint(at(e, "name"))
				if _, twice := got[key]; twice {
					t.Errorf("%s is there twice", key)
				}
				got[key] = fmt.Sprint(at(e, "value"))
			}
			want := map[string]string{"FIRST": "1", "LAST": "2"}
			for key, value := range c.want {
				want["CALICO_IPV4POOL_"+key] = value
			}
			delete(got, "X")
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("environment (-want +got):\n%s", d)
			}
		})
	}
}
