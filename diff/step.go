package diff

import (
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// changes are the steps from base, which stands on nodes, to what is wanted: by
// the table, in the order in which they are carried out. What adds comes before
// what replaces, what removes comes last.
func (p *planner) changes(w *schema.Cluster, h *Observed, base *schema.Spec, nodes []Node) []Step {
	var ds []difference
	if !p.same(base, &w.Spec) {
		ds = p.compare(base, &w.Spec, func(group string) bool {
			g, _ := base.Group(group)
			return g.NodeCount > 0 || slices.ContainsFunc(nodes, func(n Node) bool { return n.Group == group })
		})
	}
	upgrade, up := p.upgrade(w, h, ds, base, nodes)
	var steps []Step
	add := func(s ...Step) { steps = append(steps, s...) }
	add(p.immutable(w, h, ds)...)
	add(p.update(w, h, ds)...)
	adding := append(p.createGroups(w, h, ds, base), p.resize(w, h, ds, base, up, nodes, true)...)
	if len(upgrade) > 0 && p.apiBehind(base, nodes) { // or a node would come with a newer version than masters have
		for i := range adding {
			adding[i].follows(upgrade[0].Held, mastersFirstSay)
		}
		add(upgrade[0])
		upgrade = upgrade[1:]
	}
	add(adding...)
	add(upgrade...)
	add(p.resize(w, h, ds, base, up, nodes, false)...)
	add(p.deleteGroups(w, h, ds, nodes)...)
	return steps
}

// written are the changes of a class, each with the place where it was written.
func (p *planner) written(w *schema.Cluster, ds []difference, class Class) []Change {
	var cs []Change
	for _, d := range ds {
		if d.Class == class {
			cs = append(cs, d.at(w))
		}
	}
	return cs
}

func (d difference) at(w *schema.Cluster) Change {
	d.Pos = where(w, d.Field)
	return d.Change
}

func fields(cs []Change) map[string]bool {
	if len(cs) == 0 {
		return nil
	}
	fields := make(map[string]bool, len(cs))
	for _, c := range cs {
		fields[c.Field] = true
	}
	return fields
}

// changing begins a step that carries changes.
func (p *planner) changing(op Op, w *schema.Cluster, h *Observed, risk Risk, cs ...Change) Step {
	s := p.step(op, w, h, risk)
	if s.Changes = cs; len(cs) > 0 {
		s.Pos = cs[0].Pos
	}
	return s
}

// immutable is one held step for all that no step can change.
func (p *planner) immutable(w *schema.Cluster, h *Observed, ds []difference) []Step {
	cs := p.written(w, ds, ClassImmutable)
	if len(cs) == 0 {
		return nil
	}
	var says []string
	for _, d := range ds {
		if d.Class == ClassImmutable && !slices.Contains(says, d.Says) {
			says = append(says, d.Says)
		}
	}
	s := p.changing(None, w, h, Low, cs...)
	s.Why = strings.Join(says, "; ")
	return []Step{p.judge(s, &Held{Guard: guardImmutable, Reason: "cannot change while the cluster runs; put back the old value, or declare a new cluster"})}
}

func (p *planner) update(w *schema.Cluster, h *Observed, ds []difference) []Step {
	cs := p.written(w, ds, ClassUpdate)
	if len(cs) == 0 {
		return nil
	}
	return []Step{p.judge(p.changing(Update, w, h, Low, cs...), nil)}
}

// createGroups adds groups, with the version that the masters have now where
// they repeat the cluster's.
func (p *planner) createGroups(w *schema.Cluster, h *Observed, ds []difference, base *schema.Spec) []Step {
	var steps []Step
	for _, d := range ds {
		if d.Class == ClassGroup && d.To != "" {
			s := p.changing(CreateGroup, w, h, Low, d.at(w))
			s.Group = d.Group
			steps = append(steps, p.judge(s, p.tooNew(base, &w.Spec, d.Group)))
		}
	}
	return steps
}

// deleteGroups removes groups with all their nodes.
func (p *planner) deleteGroups(w *schema.Cluster, h *Observed, ds []difference, nodes []Node) []Step {
	var steps []Step
	for _, d := range ds {
		if d.Class == ClassGroup && d.From != "" {
			s := p.changing(DeleteGroup, w, h, Disruptive, d.at(w))
			s.Group, s.Nodes = d.Group, names(nodesOf(nodes, d.Group))
			steps = append(steps, p.judge(s, nil))
		}
	}
	return steps
}

// resize is a step for each group that grows, or for each that shrinks.
func (p *planner) resize(w *schema.Cluster, h *Observed, ds []difference, base, up *schema.Spec, nodes []Node, grow bool) []Step {
	var steps []Step
	for _, d := range ds {
		if d.Class != ClassResize {
			continue
		}
		from, _ := base.Group(d.Group)
		to, _ := w.Spec.Group(d.Group)
		if grow != (to.NodeCount > from.NodeCount) {
			continue
		}
		s := p.changing(Resize, w, h, Low, d.at(w))
		s.Group = d.Group
		if size, scheduled := p.policy.Clock.size(w.Key, d.Group); scheduled {
			s.Why, s.Pos = size.Says, where(w, "policy/schedules")
			s.Changes[0].Pos = s.Pos
		}
		var own *Held
		if !grow {
			g, _ := up.Group(d.Group)
			s.Risk = Disruptive
			s.Nodes = names(leaving(nodesOf(nodes, d.Group), to.NodeCount, w.Policy.NodesToRemove, p.of(up, &g), h.workOf(d.Group)))
			if !p.policy.Clock.byClock(&s) {
				own = p.tooMuch(w.Key, d.Group, from.NodeCount, to.NodeCount)
			}
		}
		steps = append(steps, p.judge(s, own))
	}
	return steps
}
