package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// oldKinds are the words by which others name what a kind of ours is: Magnum
// before Newton (bays), Heat's resource types, Terraform's. A node group is no
// document of its own here.
//
//nolint:gochecknoglobals // a table, never changed
var oldKinds = map[string]string{
	"bay": KindCluster, "bays": KindCluster, "coe_cluster": KindCluster,
	"os::magnum::bay": KindCluster, "os::magnum::cluster": KindCluster,
	"openstack_containerinfra_cluster_v1": KindCluster,

	"baymodel": KindClusterTemplate, "bay_model": KindClusterTemplate, "baymodels": KindClusterTemplate,
	"cluster_template": KindClusterTemplate, "clustertemplates": KindClusterTemplate, "coe_cluster_template": KindClusterTemplate,
	"os::magnum::baymodel": KindClusterTemplate, "os::magnum::clustertemplate": KindClusterTemplate,
	"openstack_containerinfra_clustertemplate_v1": KindClusterTemplate,

	"nodegroup": "", "node_group": "", "nodegroups": "", "openstack_containerinfra_nodegroup_v1": "",
}

// wordsOf are Magnum's words for the fields of one place of our documents, as
// its API, its old and new command lines, Heat and Terraform spell them. Names
// that differ from ours in nothing but '_' or '-', and those that the JSON
// Schemas give as x-magnum, are not repeated here.
type wordsOf struct {
	fields   map[string]string // the field, or the field and its value
	hints    map[string]string // what to do instead
	reported []string          // what Magnum tells and nobody sets
}

//nolint:gochecknoglobals // a table, never changed
var oldWords = map[string]wordsOf{
	KindClusterTemplate: {
		fields: map[string]string{
			"ssh_authorized_key":   "sshPublicKeys",
			"floating_ip_disabled": "floatingIPEnabled: false", "master_lb_disabled": "masterLBEnabled: false",
			"tls_enabled": "tlsDisabled: false", "registry_disabled": "registryEnabled: false",
			"visible": "hidden: false", "private": "public: false",
		},
		hints: map[string]string{
			"name":               "in Jeroboam this is metadata.name",
			"cluster_distro":     "leave it out: the image's property os_distro says it",
			"fixed_network_cidr": "it is a label: write it in labels",
			"region":             "leave it out: the entry of clouds.yaml that a cluster's cloud names has the region",
		},
		reported: []string{"id", "uuid", "links", "created_at", "updated_at", "project_id", "user_id"},
	},
	KindCluster: {
		fields: map[string]string{
			"baymodel": "template", "baymodel_id": "template", "bay_model": "template", "bay_model_id": "template",
			"cluster_template": "template",
			"timeout":          "createTimeout", "bay_create_timeout": "createTimeout",
			"keypair_id": "keypair", "ssh_authorized_key": "sshPublicKeys", "nodegroups": "nodeGroups",
			"floating_ip_disabled": "floatingIPEnabled: false", "master_lb_disabled": "masterLBEnabled: false",
		},
		hints: map[string]string{
			"name":               "in Jeroboam this is metadata.name",
			"fixed_network_cidr": "it is a label: write it in labels",
			"region":             "leave it out: the entry of clouds.yaml that cloud names has the region",
			"rollback":           "leave it out: Jeroboam never rolls a cluster back",
			"min_node_count":     "it belongs in an entry of nodeGroups",
			"max_node_count":     "it belongs in an entry of nodeGroups",
		},
		reported: []string{
			"id", "uuid", "links", "created_at", "updated_at", "project_id", "user_id", "trust_id", "stack_id", "cluster_id",
			"status", "status_reason", "health_status", "health_status_reason", "api_address", "master_addresses", "node_addresses",
			"coe_version", "container_version", "faults", "labels_overridden", "labels_added", "labels_skipped", "kubeconfig",
			"ca_cert_ref", "magnum_cert_ref",
		},
	},
	NodeGroups: {
		fields: map[string]string{
			"min_nodes": "minNodeCount", "max_nodes": "maxNodeCount",
		},
		hints: map[string]string{
			"cluster":    "leave it out: a node group stands in its Cluster",
			"cluster_id": "leave it out: a node group stands in its Cluster",
		},
		reported: []string{
			"id", "uuid", "links", "created_at", "updated_at", "project_id", "stack_id", "status", "status_reason", "version",
			"is_default", "node_addresses", "labels_overridden", "labels_added", "labels_skipped",
		},
	},
}

// NodeGroups is, beside the kinds, the place of the node groups of a Cluster.
const NodeGroups = "Cluster/nodeGroups"

// wordIndex is oldWords by place and simplified word, with the hint that tells
// of it, and with what the JSON Schemas know.
//
//nolint:gochecknoglobals // computed once from tables, never changed
var wordIndex = sync.OnceValue(func() map[string]map[string]string {
	index := map[string]map[string]string{}
	for place, words := range oldWords {
		index[place] = map[string]string{}
		for _, word := range words.reported {
			index[place][simplify(word)] = "leave it out: Magnum reports it, nobody sets it"
		}
		for name, f := range fieldsAt(place).props {
			if f.Magnum != "" && simplify(f.Magnum) != simplify(name) {
				index[place][simplify(f.Magnum)] = inJeroboam(name)
			}
		}
		for word, field := range words.fields {
			index[place][simplify(word)] = inJeroboam(field)
		}
		for word, hint := range words.hints {
			index[place][simplify(word)] = hint
		}
	}
	return index
})

func inJeroboam(field string) string { return fmt.Sprintf("in Jeroboam this is %q", field) }

// fieldsAt are the fields of a place of oldWords.
func fieldsAt(place string) *field {
	if place == NodeGroups {
		return registry()[KindCluster].root.props["spec"].props["nodeGroups"].items
	}
	return registry()[place].root.props["spec"]
}

// oldWord is the hint for a name that is not a field of f but Magnum's word for
// one, or for something that is no field at all.
func (k *kind) oldWord(f *field, name string) (string, bool) {
	switch {
	case k.name == KindConfig:
	case f.path == "spec/nodeGroups/*":
		return lookupWord(NodeGroups, name)
	case f.path == "spec":
		other := KindCluster
		if k.name == KindCluster {
			other = KindClusterTemplate
		}
		if hint, ok := lookupWord(k.name, name); ok {
			return hint, true
		}
		if hint, ok := lookupWord(other, name); ok && strings.HasPrefix(hint, "in Jeroboam") {
			return hint + ", which belongs in the " + other, true
		}
	case f.path == "":
		if hint, ok := lookupWord(k.name, name); ok {
			return strings.ReplaceAll(hint, `this is "`, `this is "spec.`), true
		}
	}
	return "", false
}

// lookupWord knows words in any spelling: docker_volume_size, docker-volume-size,
// dockerVolumeSize. A field of ours with wrong capitals is a typing error and no
// old word.
func lookupWord(place, name string) (string, bool) {
	plain := simplify(name)
	if hint, ok := wordIndex()[place][plain]; ok {
		return hint, true
	}
	if plain == strings.ToLower(name) {
		return "", false
	}
	for _, n := range fieldsAt(place).names {
		if simplify(n) == plain {
			return inJeroboam(n), true
		}
	}
	return "", false
}

// oldKind is the hint for a kind that is not ours but another's name of one.
func oldKind(name string) (string, bool) {
	for word, kind := range oldKinds {
		switch {
		case simplify(word) != simplify(name):
		case kind == "":
			return "in Jeroboam a node group is an entry of spec.nodeGroups of its Cluster", true
		default:
			return "in Jeroboam this is kind: " + kind, true
		}
	}
	return "", false
}

// Foreign is where a document comes from that is not ours and that package
// convert makes ours of.
type Foreign string

// The sources.
const (
	ForeignMagnum    Foreign = "magnum"    // what Magnum's API and its clients print
	ForeignHeat      Foreign = "heat"      // a Heat template
	ForeignTerraform Foreign = "terraform" // a Terraform state or plan as JSON
)

// ForeignKeys says where a document with these keys comes from, empty if from
// nowhere that is known. Keys are compared without regard to '-', '_' and case.
func ForeignKeys(keys []string) Foreign {
	has := func(words ...string) bool {
		for _, w := range words {
			if !slices.ContainsFunc(keys, func(k string) bool { return simplify(k) == simplify(w) }) {
				return false
			}
		}
		return true
	}
	one := func(words ...string) bool { return slices.ContainsFunc(words, func(w string) bool { return has(w) }) }
	switch {
	case has("apiVersion"):
		return ""
	case one("heat_template_version", "HeatTemplateFormatVersion"), has("AWSTemplateFormatVersion", "Resources"):
		return ForeignHeat
	case has("format_version") && one("values", "planned_values", "terraform_version"), has("terraform_version", "serial"):
		return ForeignTerraform
	case one("clusters", "clustertemplates", "bays", "baymodels", "nodegroups"),
		one("cluster_template_id", "baymodel_id"), has("coe", "image_id"),
		has("uuid", "name") && one("coe", "node_count", "master_count", "tags", "role"):
		return ForeignMagnum
	}
	return ""
}

// foreign tells of a document without apiVersion that convert understands.
func foreign(root *yaml.Node) (string, bool) {
	if root.Kind == yaml.SequenceNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root.Kind != yaml.MappingNode {
		return "", false
	}
	keys := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		keys[root.Content[i].Value] = true
	}
	what, ok := map[Foreign]string{
		ForeignMagnum: "what Magnum prints of clusters or templates", ForeignHeat: "a Heat template", ForeignTerraform: "a Terraform state",
	}[ForeignKeys(slices.Collect(maps.Keys(keys)))]
	return what, ok
}

// MagnumWord says what becomes of one of Magnum's attributes, or of the names
// that its clients have for it: what to write instead, and whether it is only
// reported by Magnum and never set. place is a kind, or NodeGroups. The hint is
// empty for a word that nobody knows.
func MagnumWord(place, word string) (hint string, reported bool) {
	hint, _ = lookupWord(place, word)
	return hint, slices.ContainsFunc(oldWords[place].reported, func(r string) bool { return simplify(r) == simplify(word) })
}
