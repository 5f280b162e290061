package templates_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestKubeadmConfigOfEachMinor(t *testing.T) {
	t.Parallel()
	for minor := 29; minor <= 36; minor++ {
		t.Run(fmt.Sprint("v1.", minor), func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "master")
			m.env["KUBE_TAG"], m.env["APISERVER_OPTIONS"] = fmt.Sprintf("v1.%d.1", minor), "--v=2 --profiling --v=4 --a='it''s'"
			m.env["PROXY_OPTIONS"], m.env["IMAGE_PREFIX"] = "--proxy-mode=nftables", "registry.example/k8s/"
			if o, out := m.run("boot.sh"); o.failed {
				t.Fatal(out)
			}
			version, args := "kubeadm.k8s.io/v1beta4", any([]any{map[string]any{"name": "v", "value": "4"}, map[string]any{"name": "profiling", "value": "true"}, map[string]any{"name": "a", "value": "'it''s'"}})
			if minor < 31 {
				version, args = "kubeadm.k8s.io/v1beta3", map[string]any{"v": "4", "profiling": "true", "a": "'it''s'"}
			}
			var kinds []string
			var startup any
			for text := range strings.SplitSeq(m.read("etc/jeroboam/kubeadm.yaml"), "\n---\n") {
				var doc map[string]any
				if err := yaml.UnmarshalStrict([]byte(text), &doc); err != nil {
					t.Fatalf("%v in\n%s", err, text)
				}
				kinds = append(kinds, fmt.Sprint(doc["apiVersion"], " ", doc["kind"]))
				if timeouts, ok := doc["timeouts"].(map[string]any); ok {
					startup = timeouts["controlPlaneComponentHealthCheck"]
				}
				if doc["kind"] != "ClusterConfiguration" {
					continue
				}
				if timeout := doc["apiServer"].(map[string]any)["timeoutForControlPlane"]; timeout != nil {
					startup = timeout
				}
				if d := cmp.Diff(args, doc["apiServer"].(map[string]any)["extraArgs"]); d != "" || doc["imageRepository"] != "registry.example/k8s" {
					t.Errorf("prefix %v, extraArgs (-want +got):\n%s", doc["imageRepository"], d)
				}
			}
			want := []string{version + " InitConfiguration", version + " ClusterConfiguration", "kubelet.config.k8s.io/v1beta1 KubeletConfiguration", "kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration"}
			if d := cmp.Diff(want, kinds); d != "" {
				t.Errorf("documents (-want +got):\n%s", d)
			}
			if startup != "15m0s" {
				t.Errorf("the API server may take %v to start", startup)
			}
			if text := m.read("etc/jeroboam/kubeadm.yaml"); strings.Contains(text, "encryptionAlgorithm: ECDSA-P256\n") != (minor >= 31) {
				t.Errorf("keys of certificates are those of\n%s", text)
			}
			if patch := m.read("etc/jeroboam/patches/kube-apiserver.yaml"); !strings.Contains(patch, "periodSeconds: 10") {
				t.Errorf("how often readiness is asked for: %q", patch)
			}
			if text := m.read("etc/jeroboam/kubeadm.yaml"); strings.Contains(text, "certificatesDir") || !strings.Contains(text, "/etc/kubernetes/pki/ca.crt}}") {
				t.Errorf("the configuration of a master is\n%s", text)
			}
			if etcd := m.read("etc/jeroboam/kubeadm-certs.yaml"); !strings.Contains(etcd, "\n  local:\n") || strings.Contains(etcd, "external:") {
				t.Errorf("the configuration for certificates is\n%s", etcd)
			}
		})
	}
}

// Where kubeadm finds ca.crt and no ca.key, it takes the authority for one of
// somebody else's, and refuses to go on without all that this one would have signed.
func TestKubeadmOfAWorkerSeesNoAuthority(t *testing.T) {
	t.Parallel()
	m := newNode(t, "worker")
	if o, out := m.run("boot.sh"); o.failed {
		t.Fatal(out)
	}
	text := m.read("etc/jeroboam/kubeadm.yaml")
	if strings.Contains(text, "certificatesDir: "+m.root+"/etc/kubernetes/pki") || !strings.Contains(text, "certificatesDir: ") {
		t.Errorf("kubeadm looks into the folder with ca.crt:\n%s", text)
	}
	if !strings.Contains(text, "clientCAFile: "+m.root+"/etc/kubernetes/pki/ca.crt}}") || m.read("etc/kubernetes/pki/ca.crt") == "" {
		t.Errorf("the kubelet does not know whom to trust:\n%s", text)
	}
}
