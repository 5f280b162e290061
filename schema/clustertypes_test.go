package schema_test

import (
	"slices"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/schema"
)

// TestPossibleTypes: server type, engine, driver and spec.driver say what a
// cluster can be.
func TestPossibleTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ driver, server, coe, named, want string }{
		{"heat", "vm", "kubernetes", "", "k8s_fedora_coreos k8s_debian k8s_fedora_atomic k8s_coreos"},
		{"magnum", "vm", "kubernetes", "", "k8s_fedora_coreos k8s_fedora_atomic k8s_coreos magnum_cluster_api magnum_capi_helm"},
		{"magnum", "vm", "kubernetes", "k8s_cluster_api_flatcar", "magnum_cluster_api"},
		{"magnum", "vm", "kubernetes", "k8s_capi_helm_v1", "magnum_capi_helm"},
		{"heat", "vm", "kubernetes", "k8s_capi_helm_v1", ""},
		{"heat", "vm", "kubernetes", "k8s_debian", "k8s_debian"},
		{"magnum", "vm", "kubernetes", "k8s_debian", ""},
		{"magnum", "vm", "kubernetes", "of_a_firm", ""},
		{"heat", "bm", "kubernetes", "", "k8s_fedora_ironic"},
		{"heat", "vm", "docker", "", "docker_ubuntu"},
		{"magnum", "vm", "docker", "", ""},
		{"magnum", "vm", "swarm-mode", "swarm_fedora_atomic_v2", "swarm_mode_fedora_atomic"},
	} {
		var got []string
		for _, typ := range schema.PossibleTypes(&schema.Spec{COE: c.coe, ServerType: c.server, Driver: c.named}, c.driver) {
			got = append(got, typ.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

// TestClusterTypeNames: no name, ours or Magnum's, is that of two types.
func TestClusterTypeNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, typ := range schema.ClusterTypes() {
		for _, name := range append([]string{typ.Name}, typ.Magnum...) {
			found, ok := schema.ClusterTypeNamed(name)
			if seen[name] || !ok || found.Name != typ.Name || !found.Called(name) {
				t.Errorf("%s is %s", name, found.Name)
			}
			seen[name] = true
		}
		if !slices.Contains([]string{"vm", "bm"}, typ.ServerType) || len(typ.Distros) == 0 {
			t.Errorf("%+v", typ)
		}
	}
}
