package schema

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// checkTogether applies the rules over several labels of a cluster that are
// more than one needing another.
func (c *labelChecker) checkTogether() {
	c.checkScaling()
	c.checkFlannel()
	c.checkPodman()
	c.checkMesos()
	c.checkCloudProvider()
	if c.driver == "magnum" {
		c.checkMagnum()
	}
}

// reads tells whether one of the types reads a label that is set.
func (c *labelChecker) reads(key string) bool {
	_, set := c.labels[key]
	return set && len(c.readers(catalogue()[key])) > 0
}

// number is the value of a label of type int.
func (c *labelChecker) number(key string) (int, bool) {
	n, err := strconv.Atoi(c.labels[key])
	return n, err == nil
}

// checkScaling holds the bounds of the autoscaler to nodeCount. Magnum checks
// them too late: the autoscaler does not start with a minimum above the
// maximum, and Magnum makes the minimum the lower bound of default-worker,
// against which it refuses resizes (NodeGroup, nodegroup.py).
func (c *labelChecker) checkScaling() {
	on := among([]string{"true"}, c.labels["auto_scaling_enabled"]) && c.reads("auto_scaling_enabled")
	code := CodeLabelsDoubt
	if on {
		code = CodeLabelsClash
	}
	least, hasLeast := c.number("min_node_count")
	most, hasMost := c.number("max_node_count")
	worker, _ := c.spec.Group(DefaultWorker)
	const count = "nodeGroups/" + DefaultWorker + "/nodeCount"
	switch {
	case hasLeast && hasMost && least > most:
		c.find(code, "min_node_count", "", "min_node_count %d is more than max_node_count %d", least, most)
	case hasLeast && worker.NodeCount < least:
		c.findAt(count, code, "", "%d nodes are less than min_node_count %d", worker.NodeCount, least)
	case hasMost && worker.NodeCount > most:
		c.findAt(count, code, "", "%d nodes are more than max_node_count %d", worker.NodeCount, most)
	}
	// With equal bounds the autoscaler has nothing to decide. Else the documents
	// have to say that the number is not nodeCount for good.
	switch {
	case !on || hasLeast && hasMost && least == most:
	case worker.MaxNodeCount == 0:
		c.find(CodeLabelsDoubt, "auto_scaling_enabled", "give the group "+DefaultWorker+" in nodeGroups the bounds minNodeCount and maxNodeCount",
			"the autoscaler changes the number of nodes, and for the documents it is nodeCount")
	case hasLeast && least != worker.MinNodeCount || hasMost && most != worker.MaxNodeCount:
		c.find(CodeLabelsDoubt, "auto_scaling_enabled", "write the same numbers in both places",
			"min_node_count and max_node_count are not minNodeCount %d and maxNodeCount %d of %s", worker.MinNodeCount, worker.MaxNodeCount, DefaultWorker)
	}
}

// checkFlannel counts the nodes that the pod network has room for: flannel
// gives each node one subnet of that length (flannel, "Configuration").
func (c *labelChecker) checkFlannel() {
	readers := c.readers(catalogue()["flannel_network_cidr"])
	if c.spec.NetworkDriver != "flannel" || len(readers) == 0 || len(readers) < len(c.types) {
		return
	}
	at := "nodeGroups/" + DefaultWorker + "/nodeCount"
	cidr, _ := defaultOf("flannel_network_cidr", c.driver, c.types)
	subnet, _ := defaultOf("flannel_network_subnetlen", c.driver, c.types)
	length, err := strconv.Atoi(subnet)
	if written := c.labels["flannel_network_cidr"]; written != "" {
		at, cidr = c.at+"flannel_network_cidr", written
	}
	if written, ok := c.number("flannel_network_subnetlen"); ok {
		at, length, err = c.at+"flannel_network_subnetlen", written, nil
	}
	network, wrong := netip.ParsePrefix(cidr)
	if wrong != nil || err != nil {
		return // said already, or a type without defaults
	}
	nodes := 0
	for _, g := range c.spec.Groups {
		nodes += max(g.NodeCount, g.MaxNodeCount)
	}
	switch room := length - network.Bits(); {
	case room < 0:
		c.findAt(at, CodeLabelsClash, "", "subnets of /%d do not fit into the pod network %s", length, network)
	case room < 20 && 1<<room < nodes:
		c.findAt(at, CodeLabelsClash, "take a shorter prefix for flannel_network_cidr or a longer one for flannel_network_subnetlen",
			"%s has room for %d nodes with subnets of /%d, and the cluster has up to %d", network, 1<<room, length, nodes)
	}
}

// checkPodman follows Magnum 22, kubecluster.yaml: Fedora CoreOS has nothing
// else, and hyperkube images for Podman begin with v1.16.
func (c *labelChecker) checkPodman() {
	if !c.reads("use_podman") {
		return
	}
	v, ok := ParseKube(c.labels["kube_tag"])
	readers := c.readers(catalogue()["use_podman"])
	switch on := isOn(c.labels["use_podman"]); {
	case !on && len(readers) == 1 && readers[0].Name == "k8s_fedora_coreos":
		c.find(CodeLabelsClash, "use_podman", "leave it out", "Fedora CoreOS runs Kubernetes with Podman only")
	case on && ok && v.Major == 1 && v.Minor < 16:
		c.find(CodeLabelsClash, "use_podman", "", "use_podman needs kube_tag v1.16 or newer, found %s", c.labels["kube_tag"])
	}
}

// checkMesos follows Magnum 15, attr_validator.py.
func (c *labelChecker) checkMesos() {
	providers := strings.Split(c.labels["mesos_slave_image_providers"], ",")
	isolation := strings.Split(c.labels["mesos_slave_isolation"], ",")
	if c.reads("mesos_slave_image_providers") && slices.Contains(providers, "docker") && !slices.Contains(isolation, "docker/runtime") {
		c.find(CodeLabelsClash, "mesos_slave_image_providers", "add docker/runtime to mesos_slave_isolation",
			"the image provider docker needs docker/runtime in mesos_slave_isolation")
	}
}

// checkCloudProvider: Magnum 22, k8s_fedora_template_def.py, gives up on Cinder
// without the cloud provider, and the label cinder_csi_enabled tells that itself.
// Releases of the openstack-cloud-controller-manager carry the minor version of
// the Kubernetes that they are made for.
func (c *labelChecker) checkCloudProvider() {
	if c.reads("cloud_provider_enabled") && among([]string{"false"}, c.labels["cloud_provider_enabled"]) &&
		c.spec.VolumeDriver == "cinder" && !among([]string{"true"}, c.labels["cinder_csi_enabled"]) {
		c.find(CodeLabelsClash, "cloud_provider_enabled", "leave one of the two out",
			"volumeDriver cinder needs the cloud provider, and cloud_provider_enabled is false")
	}
	kube, cloud := minorOf(c.labels["kube_tag"]), minorOf(c.labels["cloud_provider_tag"])
	if c.reads("cloud_provider_tag") && kube != "" && cloud != "" && kube != cloud {
		c.find(CodeLabelsDoubt, "cloud_provider_tag", "take a release v"+kube, "cloud_provider_tag is of Kubernetes v%s, and kube_tag of v%s", cloud, kube)
	}
}

// checkMagnum tells what is known to be broken behind a Magnum API.
func (c *labelChecker) checkMagnum() {
	// Magnum 22, kubecluster.yaml: helm_client_tag went on to v3.13.3, and the
	// checksum stayed that of v3.2.1, which install-helm.sh compares.
	if c.only("k8s_fedora_coreos") && c.labels["helm_client_tag"] == "" && c.labels["helm_client_sha256"] == "" {
		c.find(CodeLabelsDoubt, "helm_client_tag", "set helm_client_tag and helm_client_sha256",
			"Magnum 2026.1 has v3.13.3 for helm_client_tag and the checksum of v3.2.1 for helm_client_sha256: no add-on is installed")
	}
	// Magnum 22, k8s_template_def.py: dns_service_ip stays 10.254.0.10, and no
	// label sets it.
	if network, err := netip.ParsePrefix(c.labels["service_cluster_ip_range"]); err == nil &&
		c.only("k8s_fedora_coreos", "k8s_fedora_atomic", "k8s_fedora_ironic", "k8s_coreos") && !network.Contains(netip.AddrFrom4([4]byte{10, 254, 0, 10})) {
		c.find(CodeLabelsDoubt, "service_cluster_ip_range", "leave it at 10.254.0.0/16",
			"Magnum gives the cluster's DNS the address 10.254.0.10 in any case, which is not in %s: names will not resolve", network)
	}
	// Magnum 22, fragments/calico-service-v3-*.sh: one manifest for each.
	if tag := c.labels["calico_tag"]; tag != "" && c.only("k8s_fedora_coreos") && minorOf(tag) != "3.21" && minorOf(tag) != "3.26" {
		c.find(CodeLabelsDoubt, "calico_tag", "take v3.26.* or v3.21.*", "Magnum has manifests for Calico v3.21 and v3.26, and takes that of v3.21 for %s", short(tag))
	}
}
