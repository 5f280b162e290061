package heat_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/schema"
)

var (
	hostName  = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)         // RFC 1123, and a letter first as RFC 1035
	stackName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,254}$`)      // Heat's
	odd       = rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_.-]{0,241}`)      // what a cluster may be called
	oddGroup  = rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}`)   // and a group
	short     = rapid.StringMatching(`[a-zA-Z0-9][a-cA-C_.-]{0,3}`)        // many of which are nearly the same
	nearLimit = rapid.StringMatching(`[a-z0-9][a-z0-9-]{12,17}[a-z0-9_-]`) // of what is cut
)

// Whatever clusters and groups are called: names of nodes are host names of at
// most 53 characters, each once in a cluster unless that is objected to, and
// names of stacks are what Heat takes.
func TestPropertyNames(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	rapid.Check(t, func(rt *rapid.T) {
		c := declare(t, schema.ClusterName(odd.Draw(rt, "cluster")), nil)
		for _, name := range rapid.SliceOfNDistinct(rapid.OneOf(oddGroup, short, nearLimit), 0, 6, rapid.ID[string]).Draw(rt, "groups") {
			c.Spec.Groups = append(c.Spec.Groups, schema.Group{
				Name: name, Role: "worker", Flavor: "m1.small", NodeCount: rapid.SampledFrom([]int{0, 1, 2, 11}).Draw(rt, "nodes of "+name),
			})
		}
		names := d.(drivers.Namer).Names(c)
		if !stackName.MatchString(names.Stack) {
			rt.Errorf("stack %q", names.Stack)
		}
		seen := map[string]string{}
		for i, g := range names.Groups {
			if g.Nodes != c.Spec.Groups[i].NodeCount || (g.First == "") != (g.Nodes == 0) || (g.Last == "") != (g.Nodes == 0) {
				rt.Fatalf("names %+v of %+v", g, c.Spec.Groups[i])
			}
			for n := range g.Nodes {
				name := heat.NodeName("check", c.Key, g.Group, n)
				if n == 0 && name != g.First || n == g.Nodes-1 && name != g.Last {
					rt.Errorf("node %d of %+v is called %q", n, g, name)
				}
				if !hostName.MatchString(name) || len(name) > 53 {
					rt.Errorf("node %q (%d characters)", name, len(name))
				}
				if other, twice := seen[name]; twice && !strings.Contains(strings.Join(objections(t, d, c), "\n"), "would be named as those of") {
					rt.Errorf("groups %q and %q both have a node %q, and nothing is said", other, g.Group, name)
				}
				seen[name] = g.Group
			}
		}
		last := heat.NodeName("check", c.Key, c.Spec.Groups[len(c.Spec.Groups)-1].Name, 99_999)
		if len(last) > 53 {
			rt.Errorf("node %q has %d characters", last, len(last))
		}
	})
}

// Names say whether they are those of Git.
func TestNamesSayWhetherTheyChanged(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	for name, tt := range map[string]struct {
		cluster, group string
		changed        bool
	}{
		"plain":               {"web-1", "gpu-nodes", false},
		"capitals":            {"Web", "gpu", true},
		"dots":                {"web.example", "gpu", true},
		"long":                {"a-name-of-21-letters1", "gpu", true},
		"as long as may be":   {"a-name-of-20-letters", "gpu", false},
		"long group":          {"web", "seventeen-letters", true},
		"a group with a mark": {"web", "gpu_a", true},
	} {
		c := declare(t, schema.ClusterName(tt.cluster), func(s *schema.Spec) { s.Groups[0].Name = tt.group })
		if n := d.(drivers.Namer).Names(c); n.Changed != tt.changed {
			t.Errorf("%s: %+v, want changed: %v", name, n, tt.changed)
		}
	}
}
