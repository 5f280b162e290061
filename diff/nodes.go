package diff

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"

	"jeroboam.io/jeroboam/schema"
)

// revisions gives NodeRevision and remembers its answers, because most clusters
// of a fleet boot alike and a digest costs more than all other questions about a
// cluster together.
type revisions struct {
	t    *table
	seed maphash.Seed // differs from run to run; finds answers and decides nothing
	last map[uint64]booted
}

// booted is a group with its revision.
type booted struct {
	spec     *schema.Spec
	group    *schema.Group
	revision string
}

func newRevisions(t *table) revisions {
	return revisions{t, maphash.MakeSeed(), map[uint64]booted{}}
}

// of is NodeRevision of a group, which must be one of the spec's.
func (r *revisions) of(s *schema.Spec, g *schema.Group) string {
	sum := r.sum(s, g)
	if b, ok := r.last[sum]; ok && r.bootAlike(b, s, g) {
		return b.revision
	}
	b := booted{s, g, r.t.nodeRevision(s, *g)}
	r.last[sum] = b
	return b.revision
}

// sum tells groups apart that are likely to boot differently.
func (r *revisions) sum(s *schema.Spec, g *schema.Group) uint64 {
	sum := maphash.Comparable(r.seed, struct {
		image, flavor, keypair string
		volume                 int
		master                 bool
	}{s.ImageOf(*g), g.Flavor, s.Keypair, g.DockerVolumeSize, master(*g)})
	for key, value := range s.LabelsOf(*g) {
		sum += maphash.String(r.seed, key) ^ 3*maphash.String(r.seed, value)
	}
	for key, secret := range s.SecretsOf(*g) {
		sum += maphash.String(r.seed, key) ^ 5*maphash.Comparable(r.seed, secret)
	}
	return sum
}

// bootAlike compares what NodeRevision is made of, and labels as a whole: it
// may say no for equal revisions and never yes for different ones.
func (r *revisions) bootAlike(b booted, s *schema.Spec, g *schema.Group) bool {
	if master(*b.group) != master(*g) || b.spec.ImageOf(*b.group) != s.ImageOf(*g) {
		return false
	}
	if !labelsIn(b.spec, *b.group).equal(labelsIn(s, *g)) {
		return false
	}
	for i := range r.t.spec {
		if c := &r.t.spec[i]; c.Class == ClassUpgrade && c.Field != "image" && !equal(c.at(b.spec), c.at(s)) {
			return false
		}
	}
	for i := range r.t.group {
		if c := &r.t.group[i]; c.Class == ClassUpgrade && !equal(c.at(b.group), c.at(g)) {
			return false
		}
	}
	return true
}

// nodesOf are the nodes of a group, by number.
func nodesOf(nodes []Node, group string) []Node {
	var of []Node
	for _, n := range nodes {
		if n.Group == group {
			of = append(of, n)
		}
	}
	slices.SortFunc(of, compareNodes)
	return of
}

func compareNodes(a, b Node) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
}

// broken says that a node does not do its work: it failed or its server is gone.
func (n *Node) broken() bool { return n.State == NodeFailed || n.State == NodeMissing }

// recovery says what it takes to have no broken nodes any more: those to bring
// back and those to remove, group by group, and all nodes as they are
// afterwards.
func (r *revisions) recovery(nodes []Node, to *schema.Spec, named []string) (back, gone, after []Node) {
	groups := map[string]bool{}
	for _, n := range nodes {
		groups[n.Group] = true
	}
	for _, name := range slices.SortedFunc(maps.Keys(groups), compareGroups) {
		g, ok := to.Group(name)
		target := ""
		if ok {
			target = r.of(to, &g)
		}
		of := nodesOf(nodes, name)
		goes := leaving(of, g.NodeCount, named, target, nil)
		for _, n := range of {
			if slices.ContainsFunc(goes, func(o Node) bool { return o.Name == n.Name }) {
				continue
			}
			if n.broken() {
				back = append(back, n)
				n.State, n.Reason, n.Revision = NodeReady, "", target
			}
			after = append(after, n)
		}
		gone = append(gone, goes...)
	}
	return back, gone, after
}

// outdated are the nodes that to boots differently than they did. A node whose
// revision the driver cannot know counts if its group's revision changes now.
func (r *revisions) outdated(nodes []Node, have, to *schema.Spec) (masters, workers []Node) {
	for i := range to.Groups {
		g := &to.Groups[i]
		target := ""
		for _, n := range nodes {
			if n.Group != g.Name {
				continue
			}
			if target == "" {
				target = r.of(to, g)
			}
			switch {
			case n.Revision == target || n.Revision == "" && !r.changes(g, target, have):
			case master(*g):
				masters = append(masters, n)
			default:
				workers = append(workers, n)
			}
		}
	}
	return masters, workers
}

// changes says whether a group boots differently than have's group of its name.
func (r *revisions) changes(g *schema.Group, target string, have *schema.Spec) bool {
	for i := range have.Groups {
		if h := &have.Groups[i]; h.Name == g.Name {
			return r.of(have, h) != target
		}
	}
	return false
}

// batch is what an upgrade replaces next: one master while there is one, else
// as many workers as policy lets go at once; failed ones first.
func batch(masters, workers []Node, size int) []string {
	next, size := workers, max(size, 1)
	if len(masters) > 0 {
		next, size = masters, 1
	}
	next = slices.Clone(next)
	slices.SortFunc(next, func(a, b Node) int {
		return cmp.Or(first(a.broken(), b.broken()), compareNodes(a, b))
	})
	return names(next[:min(size, len(next))])
}

// leaving are the nodes that go when a group shrinks to count: those that the
// author named, then broken ones, then, as far as it is known, those on which
// nothing runs, then those of an old revision, those that are being drained, those
// with the fewest pods, and the highest numbers.
func leaving(nodes []Node, count int, named []string, target string, work map[string]Workload) []Node {
	nodes = slices.Clone(nodes)
	rank := func(n Node) int {
		if i := slices.Index(named, n.Name); i >= 0 {
			return i
		}
		return len(named)
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			first(a.broken(), b.broken()),
			first(idle(work, a), idle(work, b)),
			first(a.Revision != target, b.Revision != target),
			first(work[a.Name].Since != "", work[b.Name].Since != ""),
			cmp.Compare(work[a.Name].Pods, work[b.Name].Pods),
			-compareNodes(a, b))
	})
	return nodes[:min(max(len(nodes)-count, 0), len(nodes))]
}

// workOf is what runs on the nodes of a group that work; nil unless it is known
// of all of them, because a choice between known and unknown ones is none.
func (o *Observed) workOf(group string) map[string]Workload {
	for _, n := range o.Nodes {
		if _, known := o.Workloads[n.Name]; n.Group == group && n.State == NodeReady && !known {
			return nil
		}
	}
	return o.Workloads
}

// idle says that nothing runs on a node, as far as that is known.
func idle(work map[string]Workload, n Node) bool {
	w, known := work[n.Name]
	return known && w.Pods == 0
}

// first orders what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func names(nodes []Node) []string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names
}
