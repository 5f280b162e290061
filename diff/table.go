package diff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// Class is what a change of a field leads to.
type Class string

// The classes.
const (
	// ClassResize adds or removes nodes of a group.
	ClassResize Class = "resize"
	// ClassUpdate is done in place; no node is replaced.
	ClassUpdate Class = "update"
	// ClassUpgrade reaches a node only when it boots anew: a rolling
	// replacement in batches. These fields, and no others, are NodeRevision.
	ClassUpgrade Class = "upgrade"
	// ClassImmutable is not carried out on a cluster that runs: the step is held
	// and says what a new cluster (or group) would take.
	ClassImmutable Class = "immutable"
	// ClassGroup makes or removes a whole group.
	ClassGroup Class = "group"
	// ClassIdentity is no change of a cluster: another value is another cluster.
	ClassIdentity Class = "identity"
	// ClassPolicy says how and when, not what: never a step by itself.
	ClassPolicy Class = "policy"
)

// Row is one line of the table.
type Row struct {
	Field string // effective field path; "*" stands for any group's name or label's key
	Class Class
	Says  string // of ClassImmutable: why, and what a new cluster or group would take
}

// What each effective field's change leads to. A field is in here before it is
// in Spec, Group or Policy of package schema; a test walks those types.
//
//	┌───────────┬───────────────────────────────────────────────────────────┐
//	│ resize    │ nodeGroups/*/nodeCount (not of masters)                   │
//	├───────────┼───────────────────────────────────────────────────────────┤
//	│ group     │ nodeGroups/* nodeGroups/*/name                            │
//	├───────────┼───────────────────────────────────────────────────────────┤
//	│ update    │ dnsNameservers floatingIPEnabled                          │
//	│           │ nodeGroups/*/minNodeCount nodeGroups/*/maxNodeCount       │
//	│           │ nodeGroups/*/nodeLabels nodeGroups/*/nodeTaints           │
//	│           │ labels of add-ons, of what Neutron and Octavia change in  │
//	│           │ place, and availability_zone of a group without nodes     │
//	├───────────┼───────────────────────────────────────────────────────────┤
//	│ upgrade   │ image keypair sshPublicKeys dockerStorageDriver           │
//	│           │ httpProxy httpsProxy noProxy                              │
//	│           │ registryEnabled insecureRegistry                          │
//	│           │ nodeGroups/*/image nodeGroups/*/flavor                    │
//	│           │ nodeGroups/*/dockerVolumeSize                             │
//	│           │ labels/* nodeGroups/*/labels/*: versions, boot, unknown   │
//	│           │ secretLabels/* nodeGroups/*/secretLabels/*: likewise      │
//	├───────────┼───────────────────────────────────────────────────────────┤
//	│ immutable │ coe serverType driver externalNetwork fixedNetwork        │
//	│           │ fixedSubnet networkDriver volumeDriver apiserverPort      │
//	│           │ tlsDisabled masterLBEnabled discoveryURL                  │
//	│           │ nodeGroups/*/role                                         │
//	│           │ nodeGroups/default-master/nodeCount                       │
//	│           │ labels of address ranges, overlays and zones              │
//	├───────────┼───────────────────────────────────────────────────────────┤
//	│ identity  │ name cloud                                                │
//	├───────────┼───────────────────────────────────────────────────────────┤
//	│ policy    │ policy/deletionProtection policy/suspend                  │
//	│           │ policy/createTimeout policy/maxBatchSize                  │
//	│           │ policy/nodesToRemove policy/previousNames                 │
//	│           │ policy/maintenance policy/schedules policy/suspension     │
//	│           │ metadata template template/* config                       │
//	└───────────┴───────────────────────────────────────────────────────────┘
//
// An upgrade of kube_tag over several minor versions is several steps (kube.go).
//
// Two fields are spoken of in two places. A group's image and labels are its
// own or the cluster's; while the group has the cluster's value on both sides,
// the cluster's change says it and the group is silent.
type table struct {
	spec  []column[schema.Spec]
	group []column[schema.Group]
}

// column is a row with the way to its value: at gives a pointer to it, so that
// one function compares, prints and copies.
type column[T any] struct {
	Row
	at func(*T) any
}

func newTable() *table {
	type (
		spec  = schema.Spec
		group = schema.Group
	)
	return &table{
		spec: []column[spec]{
			{Row{"coe", ClassImmutable, "a cluster is built for one orchestrator: a new cluster would start with the other"}, func(s *spec) any { return &s.COE }},
			{Row{"serverType", ClassImmutable, "virtual and bare-metal nodes are built differently: a new cluster would be made of the other kind"}, func(s *spec) any { return &s.ServerType }},
			{Row{"driver", ClassImmutable, "it says how everything is built: a new cluster would be of the other type"}, func(s *spec) any { return &s.Driver }},
			{Row{"image", ClassUpgrade, ""}, func(s *spec) any { return &s.Image }},
			{Row{"keypair", ClassUpgrade, ""}, func(s *spec) any { return &s.Keypair }},
			{Row{"sshPublicKeys", ClassUpgrade, ""}, func(s *spec) any { return &s.SSHPublicKeys }},
			{Row{"externalNetwork", ClassImmutable, "the router and every floating IP belong to it: a new cluster would get new addresses"}, func(s *spec) any { return &s.ExternalNetwork }},
			{Row{"fixedNetwork", ClassImmutable, "every port of the cluster is in it: a new cluster would be built in the other network"}, func(s *spec) any { return &s.FixedNetwork }},
			{Row{"fixedSubnet", ClassImmutable, "every node has its address from it: a new cluster would be built in the other subnet"}, func(s *spec) any { return &s.FixedSubnet }},
			{Row{"dnsNameservers", ClassUpdate, ""}, func(s *spec) any { return &s.DNSNameservers }},
			{Row{"networkDriver", ClassImmutable, "running pods have their addresses from it: a new cluster would start with the other driver"}, func(s *spec) any { return &s.NetworkDriver }},
			{Row{"volumeDriver", ClassImmutable, "volumes in use belong to it: a new cluster would start with the other driver"}, func(s *spec) any { return &s.VolumeDriver }},
			{Row{"dockerStorageDriver", ClassUpgrade, ""}, func(s *spec) any { return &s.DockerStorageDriver }},
			{Row{"httpProxy", ClassUpgrade, ""}, func(s *spec) any { return &s.HTTPProxy }},
			{Row{"httpsProxy", ClassUpgrade, ""}, func(s *spec) any { return &s.HTTPSProxy }},
			{Row{"noProxy", ClassUpgrade, ""}, func(s *spec) any { return &s.NoProxy }},
			{Row{"apiserverPort", ClassImmutable, "load balancer, nodes and every kubeconfig hold it: a new cluster would listen on the other port"}, func(s *spec) any { return &s.APIServerPort }},
			{Row{"discoveryURL", ClassImmutable, "etcd found its members with it when they first met: a new cluster would meet at the other"}, func(s *spec) any { return &s.DiscoveryURL }},
			{Row{"tlsDisabled", ClassImmutable, "certificates are made with the cluster: a new cluster would start the other way"}, func(s *spec) any { return &s.TLSDisabled }},
			{Row{"registryEnabled", ClassUpgrade, ""}, func(s *spec) any { return &s.RegistryEnabled }},
			{Row{"insecureRegistry", ClassUpgrade, ""}, func(s *spec) any { return &s.InsecureRegistry }},
			{Row{"masterLBEnabled", ClassImmutable, "the address of the API would change for all who use it: a new cluster would start the other way"}, func(s *spec) any { return &s.MasterLBEnabled }},
			{Row{"floatingIPEnabled", ClassUpdate, ""}, func(s *spec) any { return &s.FloatingIPEnabled }},
		},
		group: []column[group]{
			{Row{"role", ClassImmutable, "nodes join with the role of their group: a new group would take the other role, then this one can go"}, func(g *group) any { return &g.Role }},
			{Row{"nodeCount", ClassResize, ""}, func(g *group) any { return &g.NodeCount }},
			{Row{"minNodeCount", ClassUpdate, ""}, func(g *group) any { return &g.MinNodeCount }},
			{Row{"maxNodeCount", ClassUpdate, ""}, func(g *group) any { return &g.MaxNodeCount }},
			{Row{"flavor", ClassUpgrade, ""}, func(g *group) any { return &g.Flavor }},
			{Row{"dockerVolumeSize", ClassUpgrade, ""}, func(g *group) any { return &g.DockerVolumeSize }},
			{Row{"nodeLabels", ClassUpdate, ""}, func(g *group) any { return &g.NodeLabels }},
			{Row{"nodeTaints", ClassUpdate, ""}, func(g *group) any { return &g.NodeTaints }},
		},
	}
}

// mastersSay is why the number of masters is held.
const mastersSay = "masters are members of etcd and changing their number comes later, member by member: a new cluster would start with the other number"

// ClassOf looks an effective field path up in the table ("image",
// "nodeGroups/gpu/flavor", "labels/kube_tag", "policy/suspend"); false if the
// table does not have it. A label that nobody knows is a boot label. Of the
// availability zone it gives the class while there are nodes.
func ClassOf(field string) (Row, bool) {
	row := func(class Class, says string) (Row, bool) { return Row{field, class, says}, true }
	top, rest, deep := strings.Cut(field, "/")
	switch {
	case top == "name" || top == "cloud":
		return row(ClassIdentity, "")
	case top == "policy" && deep, top == "metadata", top == "template", top == "config":
		return row(ClassPolicy, "")
	case top == "labels" || top == "secretLabels":
		return row(labelClass(rest))
	case top == "nodeGroups" && deep:
		group, of, _ := strings.Cut(rest, "/")
		return classInGroup(field, group, of)
	}
	for _, c := range newTable().spec {
		if c.Field == field {
			return c.Row, true
		}
	}
	return Row{}, false
}

// classInGroup is ClassOf for a field of a group; field is the whole path.
func classInGroup(field, group, of string) (Row, bool) {
	name, key, _ := strings.Cut(of, "/")
	switch {
	case name == "" || name == "name":
		return Row{field, ClassGroup, ""}, true
	case name == "image":
		return Row{field, ClassUpgrade, ""}, true
	case name == "labels" || name == "secretLabels":
		class, says := labelClass(key)
		return Row{field, class, says}, true
	case name == "nodeCount" && group == schema.DefaultMaster:
		return Row{field, ClassImmutable, mastersSay}, true
	}
	for _, c := range newTable().group {
		if c.Field == name {
			return Row{field, c.Class, c.Says}, true
		}
	}
	return Row{}, false
}

// zoneLabel puts the nodes of a group into a zone. It can change as long as the
// group has no nodes.
const zoneLabel = "availability_zone"

// labelClass takes the class of a label from the catalogue. What is not in it
// takes effect when a node boots, as far as anybody knows, so a change replaces
// nodes in batches.
func labelClass(key string) (Class, string) {
	l, _ := schema.LabelOf(key)
	switch l.Effect {
	case schema.EffectNever:
		return ClassImmutable, l.Fixed
	case schema.EffectInPlace:
		return ClassUpdate, ""
	case schema.EffectBoot:
	}
	return ClassUpgrade, ""
}

// mastersOnly says that an upgrade label is read by masters alone: to change it
// replaces no worker.
func mastersOnly(key string) bool {
	l, _ := schema.LabelOf(key)
	return l.Masters
}

// NodeRevision identifies what a node of a group boots with: 16 hex digits over
// the group's effective fields of ClassUpgrade and nothing else. Nodes that
// boot alike have the same revision, whatever their group is called; a field
// that a later release adds changes nothing while it is unset.
func NodeRevision(s *schema.Spec, g schema.Group) string { return newTable().nodeRevision(s, g) }

func (t *table) nodeRevision(s *schema.Spec, g schema.Group) string {
	boot := map[string]any{}
	put := func(field string, v any) {
		if v := reflect.ValueOf(v).Elem(); !v.IsZero() {
			boot[field] = v.Interface()
		}
	}
	for _, c := range t.spec {
		if c.Class == ClassUpgrade {
			put(c.Field, c.at(s))
		}
	}
	for _, c := range t.group {
		if c.Class == ClassUpgrade {
			put(c.Field, c.at(&g))
		}
	}
	image := s.ImageOf(g)
	put("image", &image)
	labels := labelsIn(s, g).without(func(key string) bool {
		class, _ := labelClass(key)
		return class != ClassUpgrade || mastersOnly(key) && !master(g)
	})
	if len(labels.plain) > 0 {
		boot["labels"] = labels.plain
	}
	if len(labels.secret) > 0 {
		boot["secretLabels"] = labels.secret
	}
	return schema.Digest(boot)
}

// master says that the group's nodes run the control plane.
func master(g schema.Group) bool { return g.Role == "master" }

// equal compares two values that a column points at.
func equal(a, b any) bool {
	switch a := a.(type) {
	case *string:
		return *a == *b.(*string)
	case *int:
		return *a == *b.(*int)
	case *bool:
		return *a == *b.(*bool)
	case *[]string:
		return slices.Equal(*a, *b.(*[]string))
	case *map[string]string:
		return maps.Equal(*a, *b.(*map[string]string))
	case *[]schema.Taint:
		return slices.Equal(*a, *b.(*[]schema.Taint))
	}
	panic(fmt.Sprintf("diff: the table has no comparison for %T", a))
}
