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
//
// While a master works, the broken ones are brought back first (mastersFirst), and
// nothing is added beside that.
func (p *planner) recover(w *schema.Cluster, h *Observed, draft []Step) (Step, *schema.Spec) {
	masters := h.masters(func(n *Node) bool { return n.broken() })
	alone := masters > 0 && h.masters(func(n *Node) bool { return n.State == NodeReady }) > 0
	var cs []Change
	for _, d := range draft {
		if d.Held != nil || alone && (d.Op == CreateGroup || d.Op == Resize && d.Risk == Low) {
			continue
		}
		for _, c := range d.Changes {
			if p.mends(w, h, c) && !slices.ContainsFunc(cs, func(o Change) bool { return o.Field == c.Field }) {
				cs = append(cs, c)
			}
		}
	}
	to := p.blend(h.Spec, &w.Spec, fields(cs))
	back, gone, _ := p.recovery(h.Nodes, to, w.Policy.NodesToRemove)
	now, later := back, []Node(nil)
	if alone {
		now, later = mastersFirst(h, back)
	}
	now = append(slices.Clone(now), gone...)
	slices.SortStableFunc(now, func(a, b Node) int { return compareGroups(a.Group, b.Group) })
	s := p.changing(Recover, w, h, Low, cs...)
	s.Nodes = names(now)
	if slices.ContainsFunc(now, func(n Node) bool { return n.State != NodeMissing }) {
		s.Risk = Disruptive
	}
	if s.Why = failure(h); len(later) > 0 {
		s.Why += "; after it " + strings.Join(names(later), ", ")
	}
	p.progress(&s)
	s = p.judge(s, quorum(&s))
	if s.Held != nil {
		s.Changes, s.Pos = nil, w.Pos
	}
	return s, to
}

// mends says that a recover takes a change. A newer minor version is none that
// mends anything, and the masters come to it one by one, in order.
func (p *planner) mends(w *schema.Cluster, h *Observed, c Change) bool {
	switch {
	case !isKube(c.Field) || neverUp(h):
		return true
	case c.Field == kubeField:
		return !climbs(h.Spec, &w.Spec)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(c.Field, "nodeGroups/"), "/"+kubeField)
	g, ok := w.Spec.Group(name)
	v, parses := schema.ParseKube(w.Spec.LabelsOf(g)[kubeTag])
	api, has := kubeOf(h.Spec)
	return !ok || !parses || !has || skew(name, v, api) == nil
}

// mastersFirst divides what a recover brings back into what comes at once and
// what has to wait for the next recover: masters come before workers. Servers
// that are gone come back together, since nothing runs there that could be lost.
// A master whose boot failed may hold data, so these are replaced one at a time.
func mastersFirst(h *Observed, back []Node) (now, later []Node) {
	gone := slices.ContainsFunc(back, func(n Node) bool { return h.isMaster(&n) && n.State == NodeMissing })
	for i := range back {
		switch n := back[i]; {
		case !h.isMaster(&n), gone && n.State != NodeMissing, !gone && len(now) > 0:
			later = append(later, n)
		default:
			now = append(now, n)
		}
	}
	return now, later
}

// before is the step that a recover has to wait for, and the nodes after it:
// where only workers are gone and some masters have yet to come to the version
// with which these would boot, the next master is first.
func (p *planner) before(recover Step) ([]Step, []Node) {
	h := recover.Have
	if h.Status.failed() || h.masters(func(n *Node) bool { return n.broken() }) > 0 || !p.apiBehind(h.Spec, h.Nodes) {
		return nil, h.Nodes
	}
	s := p.roll(recover.Want, h, nil, h.Spec, h.Spec, h.Nodes, nil)
	after := slices.Clone(h.Nodes)
	for i, n := range p.arrived(h.Spec, h.Nodes) {
		if slices.Contains(s.Nodes, n.Name) {
			after[i] = n
		}
	}
	return []Step{s}, after
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
