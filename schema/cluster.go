package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A clusterResolver lays one cluster over its template.
type clusterResolver struct {
	*resolver
	d, t placed
	spec *clusterSpec
	base *templateSpec
	play play

	partial bool // one of the documents was not understood in whole: nothing is said to be missing
}

func (c *clusterResolver) cluster() *Cluster {
	meta := &c.d.cluster.Metadata
	out := &Cluster{
		Key:         c.d.clusterKey(),
		Pos:         c.d.start(),
		Template:    c.spec.Template,
		Labels:      meta.Labels,
		Annotations: meta.Annotations,
		Policy:      c.policy(),
		Origins:     c.origins(),
	}
	c.spell(out)
	out.Secrets = c.digests.Hide(&out.Spec)
	return out
}

// spell fills the spec in and checks it, while labels are as they are written.
func (c *clusterResolver) spell(out *Cluster) {
	c.fill(&out.Spec)
	c.groups(&out.Spec)
	c.check(&out.Spec)
}

// fill sets what all nodes have in common.
func (c *clusterResolver) fill(s *Spec) {
	s.COE = c.base.COE
	s.ServerType = cmp.Or(c.base.ServerType, "vm")
	s.Driver = c.base.Driver
	s.Image = c.base.Image
	s.Keypair = cmp.Or(c.spec.Keypair, c.base.Keypair)
	s.SSHPublicKeys = sortedKeys(c.spec.SSHPublicKeys, c.base.SSHPublicKeys)
	s.ExternalNetwork = c.base.ExternalNetwork
	s.FixedNetwork = cmp.Or(c.spec.FixedNetwork, c.base.FixedNetwork)
	s.FixedSubnet = cmp.Or(c.spec.FixedSubnet, c.base.FixedSubnet)
	s.DNSNameservers = c.base.DNSNameservers
	s.NetworkDriver = cmp.Or(c.base.NetworkDriver, defaultNetworkDriver(c.base.COE))
	s.VolumeDriver = c.base.VolumeDriver
	s.DockerStorageDriver = c.base.DockerStorageDriver
	s.HTTPProxy = c.base.HTTPProxy
	s.HTTPSProxy = c.base.HTTPSProxy
	s.NoProxy = c.base.NoProxy
	s.APIServerPort = c.base.APIServerPort
	s.DiscoveryURL = c.spec.DiscoveryURL
	s.TLSDisabled = c.base.TLSDisabled
	s.RegistryEnabled = c.base.RegistryEnabled
	s.InsecureRegistry = c.base.InsecureRegistry
	s.MasterLBEnabled = orDefault(c.spec.MasterLBEnabled, c.base.MasterLBEnabled)
	s.FloatingIPEnabled = orDefault(c.spec.FloatingIPEnabled, orDefault(c.base.FloatingIPEnabled, true))
	labels := labelSet{c.base.Labels, references(c.base.SecretLabels)}.
		under(labelSet{c.spec.Labels, references(c.spec.SecretLabels)}, c.spec.MergeLabels)
	s.Labels, s.SecretLabels = labels.plain, labels.secret
}

// defaultNetworkDriver is Magnum's default of each engine. Plain Docker hosts
// have the network that Docker makes, which is no driver.
func defaultNetworkDriver(coe string) string {
	if coe == "docker" {
		return ""
	}
	return networkDrivers(coe)[0]
}

// sortedKeys are the cluster's keys, else the template's. Their order means
// nothing, so it must not look like a change.
func sortedKeys(own, base []string) []string {
	if own == nil {
		own = base
	}
	if own == nil {
		return nil
	}
	keys := make([]string, 0, len(own))
	for _, k := range own {
		keys = append(keys, strings.TrimSpace(k))
	}
	slices.Sort(keys)
	return keys
}

// groups adds the default groups and the cluster's own, by name.
func (c *clusterResolver) groups(s *Spec) {
	volume := cmp.Or(c.spec.DockerVolumeSize, c.base.DockerVolumeSize)
	s.Groups = make([]Group, 0, 2+len(c.spec.NodeGroups))
	if c.base.COE != "docker" {
		s.Groups = append(s.Groups, Group{
			Name: DefaultMaster, Role: "master",
			NodeCount:        orDefault(c.spec.MasterCount, 1),
			Flavor:           cmp.Or(c.spec.MasterFlavor, c.base.MasterFlavor),
			DockerVolumeSize: volume,
		})
	}
	worker := Group{
		Name: DefaultWorker, Role: "worker",
		NodeCount:        orDefault(c.spec.NodeCount, 1),
		Flavor:           cmp.Or(c.spec.Flavor, c.base.Flavor),
		DockerVolumeSize: volume,
	}
	own := slices.IndexFunc(c.spec.NodeGroups, func(g groupSpec) bool { return g.Name == DefaultWorker })
	if own >= 0 {
		count := worker.NodeCount
		worker = group(&c.spec.NodeGroups[own], s, worker)
		worker.NodeCount = count
	}
	s.Groups = append(s.Groups, worker)
	others := len(s.Groups)
	for i := range c.spec.NodeGroups {
		if i != own {
			s.Groups = append(s.Groups, group(&c.spec.NodeGroups[i], s, worker))
		}
	}
	slices.SortFunc(s.Groups[others:], func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
}

// group lays one group over the cluster's default-worker.
func group(g *groupSpec, s *Spec, worker Group) Group {
	out := Group{
		Name:             g.Name,
		Role:             cmp.Or(g.Role, "worker"),
		NodeCount:        orDefault(g.NodeCount, 1),
		MinNodeCount:     g.MinNodeCount,
		MaxNodeCount:     g.MaxNodeCount,
		Flavor:           cmp.Or(g.Flavor, worker.Flavor),
		DockerVolumeSize: cmp.Or(g.DockerVolumeSize, worker.DockerVolumeSize),
		NodeLabels:       g.NodeLabels,
		NodeTaints:       sortedTaints(g.NodeTaints),
	}
	if g.Image != s.Image {
		out.Image = g.Image
	}
	cluster := labelSet{s.Labels, s.SecretLabels}
	out.Labels, out.SecretLabels = cluster.under(labelSet{plain: g.Labels}, g.MergeLabels).unlike(cluster)
	return out
}

// sortedTaints are taints in an order of their own: theirs means nothing.
func sortedTaints(taints []Taint) []Taint {
	return slices.SortedFunc(slices.Values(taints), func(a, b Taint) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Value, b.Value))
	})
}

func (c *clusterResolver) policy() Policy {
	p := Policy{
		DeletionProtection: orDefault(c.spec.DeletionProtection, true),
		Suspend:            c.spec.Suspend.holds(),
		CreateTimeout:      orDefault(c.spec.CreateTimeout, 60),
		MaxBatchSize:       cmp.Or(c.spec.MaxBatchSize, 1),
		NodesToRemove:      c.spec.NodesToRemove,
		PreviousNames:      c.spec.PreviousNames,
	}
	if p.Suspend {
		p.Suspension = c.spec.Suspend.Suspension
	}
	p.Maintenance = cmp.Or(c.spec.Maintenance, c.base.Maintenance).withDefaults()
	if p.Maintenance == nil && c.play.maintenance != (Maintenance{}) {
		p.Maintenance = new(c.play.maintenance)
	}
	for _, g := range c.spec.NodeGroups {
		for _, s := range g.Schedule {
			p.Schedules = append(p.Schedules, GroupSchedule{g.Name, s.Cron, cmp.Or(s.TimeZone, "UTC"), s.NodeCount})
		}
	}
	slices.SortStableFunc(p.Schedules, func(a, b GroupSchedule) int { return cmp.Compare(a.Group, b.Group) })
	return p
}

// check applies the rules over cluster and template together.
func (c *clusterResolver) check(s *Spec) {
	c.checkType(s)
	c.checkRanges(s)
	c.checkMasters(s)
	for _, g := range s.Groups {
		c.checkGroup(s, g)
	}
	if s.Keypair == "" && len(s.SSHPublicKeys) == 0 {
		// Magnum takes a cluster without a key, and drivers from elsewhere log in
		// in other ways.
		code := CodeNoKey
		if c.play.driver == "magnum" {
			code = CodeNoLogin
		}
		c.missing(code, "keypair", "nobody could log in to the nodes: neither keypair nor sshPublicKeys is set")
	}
	if s.FloatingIPEnabled && s.ExternalNetwork == "" {
		c.missing(CodeNoNetwork, "externalNetwork", "floating IPs need externalNetwork: set it, or floatingIPEnabled: false")
	}
	if s.FixedNetwork != "" && s.FixedNetwork == s.ExternalNetwork {
		c.report(c.where("fixedNetwork"), CodeNoNetwork, "/spec/fixedNetwork", "give the project's own network", "fixedNetwork and externalNetwork are the same: nodes do not live in an external network")
	}
	// Magnum 17, k8s_fedora_ironic_v1/template_def.py, finds the network of bare
	// metal by its subnet.
	found := s.ServerType == "bm" && c.play.driver == "magnum"
	if s.FixedSubnet != "" && s.FixedNetwork == "" && !found && !c.partial {
		c.report(c.where("fixedSubnet"), CodeNoSubnet, "/spec/fixedSubnet", "set fixedNetwork too", "fixedSubnet is a subnet of fixedNetwork, which is not set")
	}
	if s.ServerType == "bm" && s.FixedSubnet == "" {
		c.missing(CodeNoSubnet, "fixedSubnet", "bare metal needs fixedNetwork and fixedSubnet")
	}
	c.checkLabels(s)
}

// where is the place of an effective field in the cluster or the template.
func (c *clusterResolver) where(field string) Pos {
	if p, ok := c.origins().At(field); ok {
		return p
	}
	return c.d.start()
}

// origins are the places of the cluster's effective fields.
func (c *clusterResolver) origins() Origins {
	return Origins{
		layers:   []written{{c.d.file, c.d.marks}, {c.t.file, c.t.marks}},
		replaced: (c.spec.Labels != nil || c.spec.SecretLabels != nil) && !orDefault(c.spec.MergeLabels, true),
	}
}

// pointer is the JSON pointer of an effective field's counterpart in a document.
func (c *clusterResolver) pointer(field string) string {
	rest, ok := strings.CutPrefix(field, "nodeGroups/")
	if !ok {
		return "/spec/" + field
	}
	name, rest, _ := strings.Cut(rest, "/")
	i := slices.IndexFunc(c.spec.NodeGroups, func(g groupSpec) bool { return g.Name == name })
	if i < 0 {
		return "/spec/" + rest
	}
	return fmt.Sprintf("/spec/nodeGroups/%d/%s", i, rest)
}

// missing tells of a field that neither cluster nor template has.
func (c *clusterResolver) missing(code Code, field, message string) {
	if c.partial {
		return
	}
	where := fmt.Sprintf("set %s in ClusterTemplate %q (%s)", field, c.spec.Template, c.t.start())
	if _, own := registry()[KindCluster].root.props["spec"].props[field]; own {
		where = "set " + field + " here or" + strings.TrimPrefix(where, "set "+field)
	}
	c.report(c.d.at("template"), code, "/spec/template", where, "%s", message)
}

func (c *clusterResolver) checkMasters(s *Spec) {
	const count = "nodeGroups/" + DefaultMaster + "/nodeCount"
	switch {
	case s.COE == "docker" && c.spec.MasterCount != nil:
		c.report(c.d.at(count), CodeNoMasters, "/spec/masterCount", "leave it out", "coe docker has no masters")
	case s.COE == "docker" && c.spec.MasterFlavor != "":
		c.report(c.d.at("nodeGroups/"+DefaultMaster+"/flavor"), CodeNoMasters, "/spec/masterFlavor", "leave it out", "coe docker has no masters")
	case orDefault(c.spec.MasterCount, 1) > 1 && !s.MasterLBEnabled && !c.partial:
		c.report(c.d.at(count), CodeMastersNeedLB, "/spec/masterCount",
			fmt.Sprintf("set masterLBEnabled: true here or in ClusterTemplate %q", c.spec.Template),
			"%d masters need a load balancer", *c.spec.MasterCount)
	}
}

func (c *clusterResolver) checkGroup(s *Spec, g Group) {
	at := "nodeGroups/" + g.Name
	switch {
	case g.Flavor == "" && g.Name == DefaultMaster:
		c.missing(CodeNoFlavor, "masterFlavor", "the masters have no flavor, and the cloud has no default")
	case g.Flavor == "" && g.Name == DefaultWorker:
		c.missing(CodeNoFlavor, "flavor", "the workers have no flavor, and the cloud has no default")
	}
	if s.DockerStorageDriver == "devicemapper" && g.DockerVolumeSize > 0 && g.DockerVolumeSize < minDevicemapper {
		c.report(c.where(at+"/dockerVolumeSize"), CodeVolumeSize, "", "", "devicemapper needs at least %d GiB on the nodes of %s, found %d",
			minDevicemapper, g.Name, g.DockerVolumeSize)
	}
	if s.COE != "kubernetes" && (len(g.NodeLabels) > 0 || len(g.NodeTaints) > 0) {
		c.report(c.where(at), CodeNodeLabel, "", "leave them out", "node labels and taints are of Kubernetes, and group %s is of coe %s", g.Name, s.COE)
	}
}

// possibleTypes is PossibleTypes, worked out once for clusters that are alike.
func (c *clusterResolver) possibleTypes(s *Spec) []ClusterType {
	key := typeKey{c.play.driver, s.COE, s.ServerType, s.Driver}
	types, ok := c.types[key]
	if !ok {
		types = PossibleTypes(s, c.play.driver)
		c.types[key] = types
	}
	return types
}
