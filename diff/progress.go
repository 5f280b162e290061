package diff

import (
	"fmt"
	"slices"
	"strings"
)

// progress counts the nodes that are done while a cluster moves or after it
// stopped, and says what it does or did.
func (p *planner) progress(s *Step) {
	h := s.Have
	done, left := slices.DeleteFunc(slices.Clone(h.Nodes), func(n Node) bool { return n.State != NodeReady }), 0
	if h.Spec != nil {
		masters, workers := p.outdated(h.Nodes, h.Spec, h.Spec)
		left = len(masters) + len(workers)
		done = slices.DeleteFunc(done, func(n Node) bool {
			same := func(o Node) bool { return o.Name == n.Name }
			return slices.ContainsFunc(masters, same) || slices.ContainsFunc(workers, same)
		})
	}
	doing := p.policy.Started[s.Cluster]
	if left > 0 && doing != Delete { // a recover, or a resize, in the middle of it
		doing = Upgrade
	}
	if s.Op == Recover && doing != Upgrade {
		return
	}
	s.Doing, s.Done, s.Total = doing, len(done), len(h.Nodes)
	if doing == Upgrade {
		s.Stages = p.stagesFrom(s)
	}
}

// stagesFrom are the versions that an upgrade under way goes through.
func (p *planner) stagesFrom(s *Step) []string {
	h := s.Have
	if h.Spec == nil {
		return nil
	}
	if _, ok := kubeOf(h.Spec); !ok {
		return nil
	}
	stages := []string{h.Spec.Labels[kubeTag]}
	if s.Want != nil && climbs(h.Spec, &s.Want.Spec) {
		if tags, held := p.ladder(h.Spec, &s.Want.Spec, h.Nodes); held == nil {
			stages = append(stages, tags...)
		}
	}
	return stages
}

// Progress says how far an upgrade is that the step begins, goes on with, waits
// for or picks up again: "upgrade 3/7 to v1.30.14, then v1.31.14, v1.32.0". Of
// other steps it is empty.
func (s *Step) Progress() string {
	if s.Op != Upgrade && s.Doing != Upgrade || s.Total == 0 {
		return ""
	}
	text := fmt.Sprintf("upgrade %d/%d", s.Done, s.Total)
	if len(s.Stages) > 0 {
		text += " to " + s.Stages[0]
	}
	if len(s.Stages) > 1 {
		text += ", then " + strings.Join(s.Stages[1:], ", ")
	}
	return text
}

// Stopped says where an upgrade stopped that a recover picks up again, and why:
// "upgrade stopped at 3/7: NODE: REASON". Empty if none failed.
func (s *Step) Stopped() string {
	if s.Op != Recover || s.Doing != Upgrade || s.Have == nil || !s.Have.Status.failed() {
		return ""
	}
	return fmt.Sprintf("upgrade stopped at %d/%d: %s", s.Done, s.Total, strings.Join(s.Have.failures(), "; "))
}

// failures are what is known of a failure: of each node that says why, or else
// what the backend says of the whole, or else who failed.
func (o *Observed) failures() []string {
	var told, failed []string
	for _, n := range slices.SortedFunc(slices.Values(o.Nodes), compareNodes) {
		if n.State == NodeFailed {
			failed = append(failed, n.Name+": "+shorten(n.Reason))
			if n.Reason != "" {
				told = append(told, failed[len(failed)-1])
			}
		}
	}
	switch {
	case len(told) > 0:
		return told
	case o.Reason != "" || len(failed) == 0:
		return []string{shorten(o.Reason)}
	}
	return failed
}
