package diff

import (
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// recover brings back what is broken. The author may have mended the cause, be
// it by asking for less, so it takes every change that nothing holds; nodes
// that work and stay are left alone. draft are the steps as they would be
// without it.
func (p *planner) recover(w *schema.Cluster, h *Observed, draft []Step) (Step, *schema.Spec) {
	var cs []Change
	for _, d := range draft {
		if d.Held == nil {
			cs = append(cs, d.Changes...)
		}
	}
	to := p.blend(h.Spec, &w.Spec, fields(cs))
	touched, _ := p.recovery(h.Nodes, to, w.Policy.NodesToRemove)
	s := p.changing(Recover, w, h, Low, cs...)
	s.Nodes = names(touched)
	if slices.ContainsFunc(touched, func(n Node) bool { return n.State != NodeMissing }) {
		s.Risk = Disruptive
	}
	s.Why = failure(h)
	s = p.judge(s, nil)
	if s.Held != nil {
		s.Changes, s.Pos = nil, w.Pos
	}
	return s, to
}

// failure says in a line why a cluster has to recover.
func failure(h *Observed) string {
	reason := ""
	if h.Status.failed() {
		reason = h.Reason
	}
	failed, missing := 0, 0
	for _, n := range slices.SortedFunc(slices.Values(h.Nodes), compareNodes) {
		switch n.State {
		case NodeFailed:
			failed++
		case NodeMissing:
			missing++
		case NodeReady, NodeMoving:
			continue
		}
		if reason == "" && n.Reason != "" {
			reason = n.Name + ": " + n.Reason
		}
	}
	var parts []string
	if h.Status.failed() {
		parts = append(parts, string(h.Status))
	}
	if failed > 0 {
		parts = append(parts, count(failed, "node failed", "nodes failed"))
	}
	if missing > 0 {
		parts = append(parts, count(missing, "node is missing", "nodes are missing"))
	}
	why := strings.Join(parts, ", ")
	if reason != "" {
		why += ": " + shorten(reason)
	}
	return why
}
