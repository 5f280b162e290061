package schema

import "slices"

// ClusterType is what Magnum calls a cluster driver: how clusters of one
// (server type, os_distro, COE) are made.
type ClusterType struct {
	Name       string   // ours, without Magnum's version: k8s_fedora_coreos
	Magnum     []string // Magnum's names of the driver; empty: Magnum never had it
	ServerType string   // vm or bm
	Distros    []string // os_distro of the images that its nodes boot
	COE        string

	// Heat says that clusters of the type are Heat stacks. The others exist only
	// behind a Magnum API.
	Heat bool

	// Kubernetes are the minor versions of Kubernetes 1 that its nodes can run,
	// oldest and newest; zero where the image decides.
	Kubernetes [2]int
}

// ClusterTypes are those that labels and rules are known of, in the order in
// which they are told. Sources: the entry points magnum.drivers in setup.cfg of
// Magnum 15, 17 and 22, in pyproject.toml of magnum-cluster-api 0.38 (one name
// for each os_distro) and in setup.cfg of magnum-capi-helm 1.4.
func ClusterTypes() []ClusterType {
	return []ClusterType{
		{Name: "k8s_fedora_coreos", Magnum: []string{"k8s_fedora_coreos_v1"}, ServerType: "vm", Distros: []string{"fedora-coreos"}, COE: "kubernetes", Heat: true, Kubernetes: [2]int{29, 36}},
		{Name: "k8s_debian", ServerType: "vm", Distros: []string{"debian"}, COE: "kubernetes", Heat: true, Kubernetes: [2]int{29, 36}},
		{Name: "k8s_fedora_atomic", Magnum: []string{"k8s_fedora_atomic_v1"}, ServerType: "vm", Distros: []string{"fedora-atomic"}, COE: "kubernetes", Heat: true},
		{Name: "k8s_coreos", Magnum: []string{"k8s_coreos_v1"}, ServerType: "vm", Distros: []string{"coreos"}, COE: "kubernetes", Heat: true},
		{Name: "k8s_fedora_ironic", Magnum: []string{"k8s_fedora_ironic_v1"}, ServerType: "bm", Distros: []string{"fedora"}, COE: "kubernetes", Heat: true},
		{Name: "swarm_fedora_atomic", Magnum: []string{"swarm_fedora_atomic_v1"}, ServerType: "vm", Distros: []string{"fedora-atomic"}, COE: "swarm", Heat: true},
		{Name: "swarm_mode_fedora_atomic", Magnum: []string{"swarm_fedora_atomic_v2"}, ServerType: "vm", Distros: []string{"fedora-atomic"}, COE: "swarm-mode", Heat: true},
		{Name: "mesos_ubuntu", Magnum: []string{"mesos_ubuntu_v1"}, ServerType: "vm", Distros: []string{"ubuntu"}, COE: "mesos", Heat: true},
		{Name: "docker_ubuntu", ServerType: "vm", Distros: []string{"ubuntu"}, COE: "docker", Heat: true},
		{Name: "magnum_cluster_api", Magnum: []string{"k8s_cluster_api_ubuntu", "k8s_cluster_api_ubuntu_focal", "k8s_cluster_api_debian", "k8s_cluster_api_flatcar", "k8s_cluster_api_rockylinux"}, ServerType: "vm", Distros: []string{"ubuntu", "ubuntu-focal", "debian", "flatcar", "rockylinux"}, COE: "kubernetes"},
		{Name: "magnum_capi_helm", Magnum: []string{"k8s_capi_helm_v1"}, ServerType: "vm", Distros: []string{"ubuntu", "flatcar"}, COE: "kubernetes"},
	}
}

// Called tells whether a name is the type's, ours or Magnum's.
func (t *ClusterType) Called(name string) bool {
	return t.Name == name || slices.Contains(t.Magnum, name)
}

// ClusterTypeNamed finds a type by our name or Magnum's.
func ClusterTypeNamed(name string) (ClusterType, bool) {
	types := ClusterTypes()
	i := slices.IndexFunc(types, func(t ClusterType) bool { return t.Called(name) })
	if i < 0 {
		return ClusterType{}, false
	}
	return types[i], true
}

// PossibleTypes are the types that a cluster of this spec can turn out to be
// under a driver ("heat" or "magnum"), as far as the documents say: the image's
// os_distro, which decides, is known to the cloud alone. Empty if none fits, or
// if spec.driver names one that came to Magnum from elsewhere.
func PossibleTypes(s *Spec, driver string) []ClusterType {
	return slices.DeleteFunc(ClusterTypes(), func(t ClusterType) bool {
		return t.ServerType != s.ServerType || t.COE != s.COE || driver == "heat" && !t.Heat ||
			driver == "magnum" && len(t.Magnum) == 0 || s.Driver != "" && !t.Called(s.Driver)
	})
}
