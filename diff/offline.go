package diff

import (
	"fmt"

	"jeroboam.io/jeroboam/schema"
)

// FromFleet is what there would be if a fleet were carried out to the end:
// every cluster complete, every node at its revision. With it, a plan between
// two commits is the same Compute as a plan against a cloud.
func FromFleet(base *schema.Fleet) Have {
	var have Have
	r := newRevisions(newTable())
	for _, c := range base.Clusters {
		o := Observed{
			Key: c.Key, ID: c.String(), Owner: Ours, Status: CreateComplete,
			Spec: &c.Spec, Protected: c.Policy.DeletionProtection,
		}
		for i := range c.Spec.Groups {
			g := &c.Spec.Groups[i]
			revision := r.of(&c.Spec, g)
			for n := range g.NodeCount {
				o.Nodes = append(o.Nodes, Node{
					Name: fmt.Sprintf("%s-%d", g.Name, n), Group: g.Name, Number: n, Revision: revision, State: NodeReady,
				})
			}
		}
		have.Clusters = append(have.Clusters, o)
	}
	return have
}

// OfflinePolicy is what is known of policy when only a base commit is: which of
// its clusters were protected, and how many there were.
func OfflinePolicy(base *schema.Fleet) Policy {
	p := Policy{
		Clock:           Clock{Unread: true},
		KnownBefore:     len(base.Clusters),
		Protected:       map[schema.Key]string{},
		SeenUnprotected: map[schema.Key]bool{},
	}
	if base.Config != nil {
		p.Limits = base.Config.Limits
	}
	for _, c := range base.Clusters {
		if c.Policy.DeletionProtection {
			p.Protected[c.Key] = "the base commit"
		} else {
			p.SeenUnprotected[c.Key] = true
		}
	}
	return p
}
