package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// Compute decides what to do. It is total, deterministic and pure. A nil fleet
// means that nothing is known of what is wanted, and nothing is decided.
func Compute(want *schema.Fleet, have Have, policy Policy) Plan {
	if want == nil {
		return seal(Plan{})
	}
	want = policy.Clock.Now(want)
	p := newPlanner(want, have, policy)
	var plan Plan
	var deletes []Step
	for _, c := range pairs(want, have) {
		if _, unknown := have.Unknown[c.key().Cloud]; unknown {
			p.unread[c.key().Cloud] = true
			continue
		}
		plan.Drift = append(plan.Drift, c.drift()...)
		if c.want == nil {
			deletes = append(deletes, p.unwanted(c.have)...)
			continue
		}
		steps := p.wanted(c.want, c.have)
		if len(steps) == 0 {
			plan.InSync++
		}
		plan.Steps = append(plan.Steps, steps...)
		plan.Notes = append(plan.Notes, p.notes(c.want)...)
	}
	p.limitDeletes(deletes)
	p.limitDisruption(plan.Steps)
	p.chain(plan.Steps)
	plan.Steps = append(plan.Steps, deletes...)
	plan.Unknown = p.unknown()
	return seal(plan)
}

// planner is what every decision of one Compute looks at.
type planner struct {
	*table
	revisions
	policy  Policy
	unread  map[schema.CloudName]bool   // clouds that a cluster is in and that could not be read
	reasons map[schema.CloudName]string // why they could not
	size    map[schema.CloudName]int    // clusters of ours that are there
	renamed map[schema.Key]schema.Key   // observed under a previous name of
	empty   string                      // token for an empty fleet; empty if it is not
}

func newPlanner(want *schema.Fleet, have Have, policy Policy) *planner {
	t := newTable()
	policy.Limits = policy.Limits.WithDefaults()
	p := &planner{
		table:     t,
		revisions: newRevisions(t),
		policy:    policy,
		unread:    map[schema.CloudName]bool{},
		reasons:   have.Unknown,
		size:      map[schema.CloudName]int{},
		renamed:   map[schema.Key]schema.Key{},
	}
	var there []string
	for i := range have.Clusters {
		if o := &have.Clusters[i]; o.stands() {
			p.size[o.Key.Cloud]++
			if len(want.Clusters) == 0 {
				there = append(there, o.Key.String()+" "+o.ID)
			}
		}
	}
	if len(want.Clusters) == 0 && policy.KnownBefore > 0 {
		slices.Sort(there)
		p.empty = token(GuardEmptyFleet, there)
	}
	p.findRenamed(want, have)
	return p
}

// findRenamed notes the clusters that are there under a name that a wanted one
// had before.
func (p *planner) findRenamed(want *schema.Fleet, have Have) {
	before := map[schema.Key]schema.Key{}
	for _, c := range want.Clusters {
		for _, name := range c.Policy.PreviousNames {
			old := schema.Key{Cloud: c.Cloud, Name: name}
			if now, twice := before[old]; old != c.Key && (!twice || c.Compare(now) < 0) {
				before[old] = c.Key
			}
		}
	}
	if len(before) == 0 {
		return
	}
	for i := range have.Clusters {
		o := &have.Clusters[i]
		if now, ok := before[o.Key]; ok && o.stands() {
			p.renamed[o.Key] = now
		}
	}
}

// wanted decides about a cluster that Git declares.
func (p *planner) wanted(w *schema.Cluster, h *Observed) []Step {
	switch {
	case h == nil:
		return p.create(w, nil)
	case h.Owner == Foreign:
		return p.create(w, &Held{Guard: guardForeign, Reason: fmt.Sprintf("%s is there and is not ours; give this cluster another name, or have that one removed by its owner", h.ID)})
	case h.Status == DeleteComplete && p.policy.DeletedByUs[w.Key]:
		return p.create(w, nil)
	case h.Status == DeleteComplete:
		return p.create(w, &Held{
			Guard: guardDeletedOutside, Ack: token(guardDeletedOutside, w.Key, h.ID),
			Reason: "it was there and somebody deleted it; remove its file, or acknowledge to create it again",
		})
	case h.Status == DeleteInProgress:
		return []Step{p.wait(w, h)}
	case h.Status == DeleteFailed:
		return []Step{p.stuck(w, h, guardHalfDeleted, "a delete of it failed half-way: "+shorten(h.Reason)+"; remove its file to have it deleted, then add it again")}
	}
	settled, known := h.Status.settled()
	switch {
	case known && (!settled || h.Moving):
		return []Step{p.wait(w, h)}
	case !known:
		return []Step{p.stuck(w, h, guardUnknown, fmt.Sprintf("its status %q is none that we know", h.Status))}
	case h.Spec == nil:
		return []Step{p.stuck(w, h, guardUnknown, "what it is cannot be known: "+h.Unknown)}
	}
	return p.settled(w, h)
}

// create makes the cluster, unless own holds it.
func (p *planner) create(w *schema.Cluster, own *Held) []Step {
	return []Step{p.judge(Step{Op: Create, Cluster: w.Key, Pos: w.Pos, Risk: Low, To: &w.Spec, Want: w}, own)}
}

// stuck is a step that stands for a cluster with which nothing can be done.
func (p *planner) stuck(w *schema.Cluster, h *Observed, guard, reason string) Step {
	return p.judge(p.step(None, w, h, Low), &Held{Guard: guard, Reason: reason})
}

// step begins a step on an observed cluster.
func (p *planner) step(op Op, w *schema.Cluster, h *Observed, risk Risk) Step {
	s := Step{Op: op, Cluster: w.Key, Pos: w.Pos, Risk: risk, Want: w, Have: h}
	if h != nil {
		s.Observed = h.Version
	}
	return s
}

// wait shows a cluster in motion. w may be nil.
func (p *planner) wait(w *schema.Cluster, h *Observed) Step {
	s := Step{Op: Wait, Cluster: h.Key, Risk: Low, Want: w, Have: h, Observed: h.Version, Total: len(h.Nodes)}
	if w != nil {
		s.Pos = w.Pos
	}
	if s.Why = string(h.Status); h.Moving {
		s.Why += ", and something in it still moves"
	}
	if late := p.policy.Overdue[h.Key]; late != "" {
		s.Why += " " + late
	}
	p.progress(&s)
	return s
}

// settled decides about a cluster that stands still and is known.
func (p *planner) settled(w *schema.Cluster, h *Observed) []Step {
	var steps []Step
	if !h.Status.failed() && !slices.ContainsFunc(h.Nodes, func(n Node) bool { return n.broken() }) {
		return append(p.adopt(w, h), p.changes(w, h, h.Spec, h.Nodes)...)
	}
	draft := p.changes(w, h, h.Spec, h.Nodes)
	recover, to := p.recover(w, h, draft)
	if recover.Held == nil {
		before, nodes := p.before(recover)
		for i := range before {
			recover.follows(before[i].Held, mastersFirstSay)
		}
		_, _, after := p.recovery(nodes, to, w.Policy.NodesToRemove)
		steps, draft = append(steps, before...), p.changes(w, h, to, after)
	}
	steps = append(steps, recover)
	for _, s := range append(p.adopt(w, h), draft...) {
		// Every write to a broken cluster is a recover, whatever it is called.
		if recover.Held != nil && s.Held == nil {
			s.Held = &Held{Guard: recover.Held.Guard, Reason: "recover comes first: " + recover.Held.Reason, Ack: recover.Held.Ack}
		}
		steps = append(steps, s)
	}
	return steps
}

// adopt writes lost tags again.
func (p *planner) adopt(w *schema.Cluster, h *Observed) []Step {
	if h.Owner != TagsLost {
		return nil
	}
	s := p.step(Adopt, w, h, Low)
	s.Why = "the tags that say whose cluster it is are gone"
	return []Step{p.judge(s, nil)}
}

// unwanted decides about a cluster that Git does not declare.
func (p *planner) unwanted(h *Observed) []Step {
	if !h.stands() {
		return nil
	}
	if h.Status == DeleteInProgress {
		return []Step{p.wait(nil, h)}
	}
	s := Step{Op: Delete, Cluster: h.Key, Risk: Destructive, Why: "no document of the fleet declares it", Have: h, Observed: h.Version}
	if p.again(&s) {
		s.Why = "its delete failed: " + shorten(h.Reason)
	}
	return []Step{p.judge(s, unknownDelete(h))}
}

// unknownDelete holds the delete of what could not be read: ours, but who knows
// what it is.
func unknownDelete(h *Observed) *Held {
	_, known := h.Status.settled()
	if known && h.Spec != nil {
		return nil
	}
	held := &Held{Guard: guardUnknown, Reason: "what it is cannot be known: " + cmp.Or(h.Unknown, fmt.Sprintf("status %q", h.Status))}
	if h.ID != "" {
		held.Ack = token(guardUnknown, h.Key, h.ID)
		held.Reason += "; acknowledge to delete it all the same"
	}
	return held
}

// again says that a delete of ours failed and is to be tried once more.
func (p *planner) again(s *Step) bool {
	return s.Op == Delete && s.Have.Status == DeleteFailed && p.policy.DeletedByUs[s.Cluster]
}

// notes are the objections that could not be checked.
func (p *planner) notes(w *schema.Cluster) []Note {
	notes := p.clockNotes(w)
	for _, o := range p.policy.Objections[w.Key] {
		if !o.Holds() {
			notes = append(notes, Note{Cluster: w.Key, Field: o.Field, Text: o.Reason})
		}
	}
	slices.SortFunc(notes, func(a, b Note) int { return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Text, b.Text)) })
	return notes
}

// unknown are the clouds that a cluster is in and that could not be read.
func (p *planner) unknown() []UnknownCloud {
	var unknown []UnknownCloud
	for cloud := range p.unread {
		unknown = append(unknown, UnknownCloud{Cloud: cloud, Reason: p.reasons[cloud]})
	}
	slices.SortFunc(unknown, func(a, b UnknownCloud) int { return cmp.Compare(a.Cloud, b.Cloud) })
	return unknown
}

// chain gives each step its To: that of the step before with only its own
// changes, so that a driver which carries out one step asks for just that; of a
// stage of an upgrade, its version.
func (p *planner) chain(steps []Step) {
	var to *schema.Spec
	for i := range steps {
		s := &steps[i]
		if s.Have == nil || s.Have.Spec == nil || s.Op == Wait {
			continue
		}
		if i == 0 || steps[i-1].Cluster != s.Cluster {
			to = s.Have.Spec
		}
		if s.Held == nil {
			to = p.blend(to, stageOf(&s.Want.Spec, s.Changes), fields(s.Changes))
		}
		s.To = to
	}
}

// seal gives every step its operation and the plan its fingerprint.
func seal(plan Plan) Plan {
	type decided struct {
		Op              Op
		Cluster         schema.Key
		Group, Observed string
		Changes         [][3]string
		Nodes           []string
		New             string // hash of a spec that has no changes to tell it by
	}
	all := make([]decided, 0, len(plan.Steps))
	for i := range plan.Steps {
		s := &plan.Steps[i]
		to := ""
		if s.To != nil {
			to = s.To.Hash()
		}
		s.Operation = schema.Digest([]any{s.Op, s.Cluster, s.Group, s.Observed, to, s.Nodes})
		d := decided{Op: s.Op, Cluster: s.Cluster, Group: s.Group, Observed: s.Observed, Nodes: s.Nodes}
		for _, c := range s.Changes {
			d.Changes = append(d.Changes, [3]string{c.Field, c.From, c.To})
		}
		if s.Op == Create {
			d.New = to
		}
		all = append(all, d)
	}
	plan.Fingerprint = schema.Digest(all)
	return plan
}

// shorten makes one line of at most 200 bytes of a backend's reason.
func shorten(reason string) string {
	line := strings.Join(strings.Fields(reason), " ")
	if len(line) <= 200 {
		return cmp.Or(line, "no reason given")
	}
	return strings.ToValidUTF8(line[:197], "") + "..."
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
