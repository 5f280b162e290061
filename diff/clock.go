package diff

import (
	"fmt"
	"slices"

	"jeroboam.io/jeroboam/schema"
)

// Clock is what the clock says, as facts: who asks has looked at it. Times are
// words for people here, nothing is computed with them.
type Clock struct {
	// Unread means that nobody looked, as in a plan between two commits: windows
	// hold nothing, suspensions are not over, groups have the size that Git says.
	Unread bool
	// Windows are the maintenance windows of the fleet. One that is not among them
	// is not known, and as good as closed.
	Windows map[schema.Maintenance]Window
	// Fleet is the window for deletes, whose documents are gone; nil: at any time.
	Fleet *schema.Maintenance
	// SuspensionOver are suspended clusters whose suspension has ended: when, as
	// the end of a sentence.
	SuspensionOver map[schema.Key]string
	// Sizes are what schedules say of groups now.
	Sizes map[schema.Key][]Size
}

// Window is a maintenance window as it is now.
type Window struct {
	Open bool   `json:"open"`
	Says string `json:"says"` // "opens on ...", as the end of a sentence; of a closed one
}

// Size is what a group's schedule says now.
type Size struct {
	Group string `json:"group"`
	Nodes int    `json:"nodes"`
	// ByClock means that the clock changed the size, by a schedule that was there
	// before. What a reviewed schedule does at its own time needs no window and
	// passes no limit; what an edit of the schedule does is a change as any other.
	ByClock bool   `json:"byClock,omitempty"`
	Says    string `json:"says"` // since when and what comes after it: a sentence
}

// Now is the fleet as the clock has it: groups with the sizes of their schedules,
// and no cluster suspended whose suspension is over. Clusters for which that
// changes nothing are the fleet's own. Of such a fleet it is the fleet itself.
func (c *Clock) Now(want *schema.Fleet) *schema.Fleet {
	if len(c.Sizes) == 0 && len(c.SuspensionOver) == 0 {
		return want
	}
	var changed []*schema.Cluster
	for i, w := range want.Clusters {
		now := c.cluster(w)
		if now == w {
			continue
		}
		if changed == nil {
			changed = slices.Clone(want.Clusters)
		}
		changed[i] = now
	}
	if changed == nil {
		return want
	}
	fleet := *want
	fleet.Clusters = changed
	return &fleet
}

func (c *Clock) cluster(w *schema.Cluster) *schema.Cluster {
	now := *w
	if _, over := c.SuspensionOver[w.Key]; over && w.Policy.Suspend {
		now.Policy.Suspend = false
	}
	resized := false
	for _, size := range c.Sizes[w.Key] {
		i := slices.IndexFunc(w.Spec.Groups, func(g schema.Group) bool { return g.Name == size.Group })
		if i < 0 || w.Spec.Groups[i].NodeCount == size.Nodes {
			continue
		}
		if !resized {
			now.Spec.Groups, resized = slices.Clone(w.Spec.Groups), true
		}
		now.Spec.Groups[i].NodeCount = size.Nodes
	}
	if !resized && now.Policy.Suspend == w.Policy.Suspend {
		return w
	}
	return &now
}

// size is what the schedule of a group says; false if it has none.
func (c *Clock) size(k schema.Key, group string) (Size, bool) {
	i := slices.IndexFunc(c.Sizes[k], func(s Size) bool { return s.Group == group })
	if i < 0 {
		return Size{}, false
	}
	return c.Sizes[k][i], true
}

// byClock says that a step is what a schedule does at its own time.
func (c *Clock) byClock(s *Step) bool {
	size, _ := c.size(s.Cluster, s.Group)
	return s.Op == Resize && size.ByClock
}

// window is the maintenance window that a step has to wait for; nil if it may
// start at any time. A recover mends more than it disturbs.
func (c *Clock) window(s *Step) *schema.Maintenance {
	switch {
	case s.Risk == Low, s.Op == Recover, c.Unread, c.byClock(s):
		return nil
	case s.Want == nil:
		return c.Fleet
	}
	return s.Want.Policy.Maintenance
}

// maintenance holds what replaces or removes nodes until the window opens. An
// upgrade that was begun waits as well: its next batch disturbs as the first did.
func (p *planner) maintenance(s *Step) *Held {
	m := p.policy.Clock.window(s)
	if m == nil {
		return nil
	}
	w, known := p.policy.Clock.Windows[*m]
	if w.Open {
		return nil
	}
	if !known {
		w.Says = "is not known to be open"
	}
	var towards string
	if s.Want != nil {
		towards = s.Want.Spec.Hash()
	}
	return &Held{
		Guard: guardMaintenance, Ack: token(guardMaintenance, s.Cluster, s.Have.ID, s.Op, s.Group, towards),
		Reason: fmt.Sprintf("its maintenance window (%s) %s; wait, or acknowledge to have it now", m, w.Says),
	}
}

// clockNotes tell what the clock decided about a cluster.
func (p *planner) clockNotes(w *schema.Cluster) []Note {
	var notes []Note
	for _, s := range p.policy.Clock.Sizes[w.Key] {
		notes = append(notes, Note{Cluster: w.Key, Field: "nodeGroups/" + s.Group + "/nodeCount", Text: s.Says})
	}
	if over := p.policy.Clock.SuspensionOver[w.Key]; over != "" {
		notes = append(notes, Note{Cluster: w.Key, Field: "policy/suspend", Text: "the suspension was over " + over + "; remove it"})
	}
	return notes
}
