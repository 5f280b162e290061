package diff

import (
	"fmt"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// upgrade is the next batch of a rolling replacement, of one that begins now or
// is under way, and after it the stages that follow. What was asked before is
// ended before the next minor version begins. up is what the first of the steps
// leads to.
func (p *planner) upgrade(w *schema.Cluster, h *Observed, ds []difference, base *schema.Spec, nodes []Node) (steps []Step, up *schema.Spec) {
	cs := p.written(w, ds, ClassUpgrade)
	free := neverUp(h)
	tags, own := []string{w.Spec.Labels[kubeTag]}, (*Held)(nil)
	if len(cs) > 0 && !free {
		tags, own = p.ladder(base, &w.Spec, nodes)
	}
	at := base
	if len(cs) == 0 || own == nil && !free && climbs(base, &w.Spec) {
		if masters, workers := p.outdated(nodes, base, base); len(masters)+len(workers) > 0 {
			steps, up = append(steps, p.roll(w, h, nil, base, base, nodes, nil)), base
			nodes = p.arrived(base, nodes)
		}
	}
	for i := 0; i < len(tags) && len(cs) > 0; i++ {
		if len(tags) > 1 {
			cs = p.stageChanges(w, at, tags[i])
		}
		to := p.blend(at, stage(&w.Spec, tags[i]), fields(cs))
		if own == nil && !free {
			own = p.skewed(at, to, nodes, cs)
		}
		steps = append(steps, p.roll(w, h, cs, at, to, nodes, own))
		if up == nil {
			up = to
		}
		at, nodes = to, p.arrived(to, nodes)
	}
	if up == nil {
		up = base
	}
	inOrder(steps)
	return steps, up
}

// stageChanges are the changes of one stage of several: the version alone, or
// with the last one everything.
func (p *planner) stageChanges(w *schema.Cluster, at *schema.Spec, tag string) []Change {
	ds := p.compare(at, stage(&w.Spec, tag), func(string) bool { return true })
	var cs []Change
	for _, c := range p.written(w, ds, ClassUpgrade) {
		if tag == w.Spec.Labels[kubeTag] || isKube(c.Field) {
			cs = append(cs, c)
		}
	}
	return cs
}

// roll is the next batch on the way from one spec to another.
func (p *planner) roll(w *schema.Cluster, h *Observed, cs []Change, from, to *schema.Spec, nodes []Node, own *Held) Step {
	masters, workers := p.outdated(nodes, from, to)
	left := len(masters) + len(workers)
	s := p.changing(Upgrade, w, h, Low, cs...)
	s.Nodes = batch(masters, workers, w.Policy.MaxBatchSize)
	s.Total = len(nodes)
	s.Done = s.Total - left
	if _, ok := kubeOf(to); ok {
		s.Stages = []string{to.Labels[kubeTag]}
	}
	if left > 0 {
		s.Risk = Disruptive
		s.Why = fmt.Sprintf("%d of %s to go", left, count(s.Total, "node", "nodes"))
	}
	if len(masters) == 1 && h.masters(func(*Node) bool { return true }) == 1 {
		s.Why += "; the API is away while its only master is replaced"
	}
	if own == nil {
		own = quorum(&s)
	}
	if own == nil {
		own = lastCopy(&s)
	}
	return p.judge(s, own)
}

// arrived are nodes as they are when an upgrade has ended.
func (p *planner) arrived(to *schema.Spec, nodes []Node) []Node {
	after := make([]Node, 0, len(nodes))
	for _, n := range nodes {
		if g, ok := to.Group(n.Group); ok {
			n.State, n.Reason, n.Revision = NodeReady, "", p.of(to, &g)
		}
		after = append(after, n)
	}
	return after
}

// inOrder makes of upgrades the stages of one: each says which come after it,
// none is done before the one before it, and who goes first is known when it
// begins.
func inOrder(steps []Step) {
	for i := range steps {
		s := &steps[i]
		for j := i + 1; j < len(steps) && len(s.Stages) > 0; j++ {
			s.Stages = append(s.Stages, steps[j].Stages[:1]...)
		}
		if i == 0 {
			continue
		}
		s.Nodes = nil
		s.follows(steps[i-1].Held, "the stage before it comes first: ")
	}
}

// follows holds a step with what holds the one that has to come before it.
func (s *Step) follows(before *Held, why string) {
	if s.Held == nil && before != nil {
		s.Held = &Held{Guard: before.Guard, Reason: why + strings.TrimPrefix(before.Reason, why), Ack: before.Ack}
	}
}
