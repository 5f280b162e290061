package heat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// The tags of a root stack. Heat's tag filter ignores case and trailing
// blanks, so tags are compared here, byte for byte. A comma would separate two
// tags and 80 characters are the limit.
const (
	tagOwner     = "jeroboam.owner="
	tagInstance  = "jeroboam.instance="
	tagCluster   = "jeroboam.cluster="
	tagSpec      = "jeroboam.spec="
	tagType      = "jeroboam.type="
	tagProtected = "jeroboam.protected"
	maxTag       = 80
)

// The parameters of a root stack. The owner is there a second time because
// somebody's `openstack stack update` without --existing drops all tags.
const (
	paramOwner   = "jeroboam_owner"
	paramCluster = "jeroboam_cluster"
	paramSpec    = "jeroboam_spec"
)

// about is what the parameter jeroboam_cluster says: everything about a
// cluster that its spec does not.
type about struct {
	Cloud     schema.CloudName   `json:"cloud"`
	Name      schema.ClusterName `json:"name"`
	Instance  string             `json:"instance"`
	Type      string             `json:"type"`
	Revision  int                `json:"revision"`
	Protected bool               `json:"protected"`
}

func (a about) key() schema.Key { return schema.Key{Cloud: a.Cloud, Name: a.Name} }

// identity is 8 hex digits that tell two clusters of one name apart: those of
// another owner, or of another cloud that ends in the same project.
func identity(owner string, k schema.Key) string {
	sum := sha256.Sum256([]byte(owner + "\n" + string(k.Cloud) + "\n" + string(k.Name)))
	return hex.EncodeToString(sum[:4])
}

// stackName is deterministic, so that a create which was accepted without our
// knowing cannot happen twice: Heat refuses the second by name.
func stackName(owner string, k schema.Key) string {
	return string(k.Name) + "-" + identity(owner, k)
}

// named tells which cluster of ours a stack of that name would be.
func named(stack, owner string, cloud schema.CloudName) (schema.Key, bool) {
	cut := len(stack) - 9
	if cut < 1 || stack[cut] != '-' {
		return schema.Key{}, false
	}
	k := schema.Key{Cloud: cloud, Name: schema.ClusterName(stack[:cut])}
	return k, stack[cut+1:] == identity(owner, k)
}

// tags of a root stack, in a fixed order.
func tags(owner string, a about, specHash string) []string {
	t := []string{
		tagOwner + owner,
		tagInstance + a.Instance,
		clusterTag(a.Name),
		tagSpec + specHash,
		tagType + a.Type + "/" + strconv.Itoa(a.Revision),
	}
	if a.Protected {
		t = append(t, tagProtected)
	}
	return t
}

// clusterTag is for people who list stacks: the parameter and the stack's name
// say which cluster it is.
func clusterTag(n schema.ClusterName) string {
	t := tagCluster + string(n)
	return t[:min(len(t), maxTag)]
}

// hasTag is an exact comparison.
func hasTag(tags []string, want string) bool { return slices.Contains(tags, want) }

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// label makes text a piece of an RFC 1123 name of at most limit characters. If
// that lost anything, four hex digits of the original keep it apart.
func label(text string, limit int) string {
	s := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if s == text && len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(text))
	s = strings.TrimRight(s[:min(len(s), limit-5)], "-")
	return strings.TrimLeft(s+"-"+hex.EncodeToString(sum[:2]), "-")
}

// How much of a cluster's and a group's name is in those of nodes, in characters.
const (
	maxNameLabel  = 20
	maxGroupLabel = 16
)

// nodeName is the name of a node's nested stack in the root, of its server and
// of its port: at most 53 characters, as kubelet and Heat want.
func nodeName(owner string, k schema.Key, group string, number int) string {
	name := label(string(k.Name), maxNameLabel)
	if name[0] >= '0' && name[0] <= '9' {
		name = "c-" + name[:min(len(name), maxNameLabel-2)]
	}
	return fmt.Sprintf("%s-%s-%s-%d", name, identity(owner, k), label(group, maxGroupLabel), number)
}

// Names are what a cluster's stack and nodes are called.
func (d *Driver) Names(c *schema.Cluster) drivers.Names {
	cluster := label(string(c.Name), maxNameLabel)
	names := drivers.Names{Stack: stackName(d.owner, c.Key), Changed: cluster != string(c.Name)}
	for _, g := range c.Spec.Groups {
		of := drivers.GroupNames{Group: g.Name, Nodes: g.NodeCount}
		if g.NodeCount > 0 {
			of.First = nodeName(d.owner, c.Key, g.Name, 0)
			of.Last = nodeName(d.owner, c.Key, g.Name, g.NodeCount-1)
		}
		names.Groups = append(names.Groups, of)
		names.Changed = names.Changed || label(g.Name, maxGroupLabel) != g.Name
	}
	return names
}

// mustJSON is for values of ours that always encode.
func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("heat: " + err.Error())
	}
	return string(b)
}
