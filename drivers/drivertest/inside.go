package drivertest

import (
	"context"
	"maps"
	"slices"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Inside is a running cluster as those see it who use it.
type Inside struct {
	// Observed is the cluster as the driver is to be told of it: where it is
	// observed with an address that leads nowhere, with one that answers.
	Observed diff.Observed
	// Occupy runs so many pods on a node, which no controller would make again if
	// they are alone.
	Occupy func(node string, pods int, alone bool)
	// See gives what Kubernetes has of a node.
	See func(node string) NodeInside
}

// NodeInside is a node as Kubernetes has it.
type NodeInside struct {
	Pods     int
	Cordoned bool
	Labels   map[string]string
}

// enter gives the inside of a cluster and the driver's way there.
func (w *world) enter(c *schema.Cluster, o *diff.Observed) (Inside, drivers.Attendant) {
	w.Helper()
	a, ok := w.driver.(drivers.Attendant)
	if !ok {
		w.Fatalf("the driver cannot reach into clusters, and Cannot does not say why")
	}
	return w.Inside(w.TB, c, *o), a
}

// A cluster that runs is well by its own word, each time in the same words, and to
// be asked changes nothing.
func attendTellsHealth(w *world) {
	c, o := w.running("a", workers(2))
	in, a := w.enter(c, o)
	w.noWrites(func() {
		first := a.Attend(w.Context(), drivers.Visit{Observed: in.Observed})
		if first.Status != drivers.Healthy || first.Reason["api"] != "ok" || len(first.Undone) > 0 {
			w.Fatalf("it runs, and is %+v", first)
		}
		for _, n := range o.Nodes {
			w.equal("True", first.Reason[n.Name+".Ready"])
		}
		w.equal(len(o.Nodes)+1, len(first.Reason))
		w.equal(first, a.Attend(w.Context(), drivers.Visit{Observed: in.Observed}))
	})
	w.equal(*o, *w.see(c))
}

// A drain empties the nodes that it is about and no others. Who is cordoned by it
// stays so while he is about to leave, and until somebody who may write comes by.
func drainEmptiesOnlyItsNodes(w *world) {
	c, o := w.running("a", workers(2))
	in, a := w.enter(c, o)
	stays, goes := theWorkers(o)[0].Name, theWorkers(o)[1].Name
	in.Occupy(stays, 1, false)
	in.Occupy(goes, 2, false)

	asked := a.Workload(w.Context(), in.Observed, []string{stays, goes})
	w.equal(diff.WorkKnown, asked.Work)
	for name, pods := range map[string]int{stays: 1, goes: 2} {
		if got := asked.Workloads[name]; got.Pods != pods || got.Cordoned || got.Since != "" || len(got.Holds) > 0 {
			w.Errorf("%s has %+v, want %d pods", name, got, pods)
		}
	}
	w.drain(a, in, diff.Drain{Nodes: []string{goes}}, 0)
	w.drain(a, in, diff.Drain{Nodes: []string{goes}}, 0)
	if got := in.See(stays); got.Pods != 1 || got.Cordoned {
		w.Errorf("%s was none of it, and is %+v", stays, got)
	}
	if got := a.Workload(w.Context(), in.Observed, []string{goes}).Workloads[goes]; got.Since == "" || !got.Cordoned {
		w.Errorf("%s is drained, and is %+v", goes, got)
	}
	attend := func(a drivers.Attendant, mend bool, leaving ...string) bool {
		a.Attend(w.Context(), drivers.Visit{Observed: in.Observed, Leaving: leaving, Mend: mend})
		return in.See(goes).Cordoned
	}
	reader := w.open(func(o *drivers.Options) { o.ReadOnly = true }).(drivers.Attendant)
	if !attend(a, true, goes) || !attend(a, false) || !attend(reader, true) {
		w.Errorf("%s takes pods again too soon", goes)
	}
	if attend(a, true) {
		w.Errorf("%s is not to leave any more, and takes no pods", goes)
	}
	w.equal(*o, *w.see(c))
}

// Pods that nobody would make again hold a drain, unless somebody consented.
func drainSparesPodsAlone(w *world) {
	c, o := w.running("a", workers(1))
	in, a := w.enter(c, o)
	node := theWorkers(o)[0].Name
	in.Occupy(node, 1, true)
	if got := a.Workload(w.Context(), in.Observed, []string{node}).Workloads[node]; got.Pods != 1 || len(got.Holds) != 1 {
		w.Errorf("with a pod that is alone: %+v", got)
	}
	w.drain(a, in, diff.Drain{Nodes: []string{node}}, 1)
	w.drain(a, in, diff.Drain{Nodes: []string{node}, All: true}, 0)
}

// drain empties nodes until so many pods are left on the first.
func (w *world) drain(a drivers.Attendant, in Inside, d diff.Drain, left int) {
	w.Helper()
	ctx, stop := context.WithTimeout(w.Context(), 5*time.Second)
	defer stop()
	work, err := a.Drain(ctx, diff.Step{Op: diff.Resize, Cluster: in.Observed.Key, Have: &in.Observed, Nodes: d.Nodes, Drain: &d})
	if err != nil {
		w.Fatalf("drain: %v", err)
	}
	if got, told := in.See(d.Nodes[0]), work[d.Nodes[0]]; got.Pods != left || told.Pods != left || !got.Cordoned || !told.Cordoned {
		w.Errorf("drained %+v, and told %+v; want %d pods left", got, told, left)
	}
}

// Labels of a group reach nodes that run, and go again, and those of other groups
// are left alone.
func nodeLabelsFollow(w *world) {
	c, o := w.running("a", func(s *schema.Spec) { labelWorkers(s, map[string]string{"example.com/a": "1"}) })
	in, a := w.enter(c, o)
	node := theWorkers(o)[0].Name
	for _, want := range []map[string]string{{"example.com/a": "1"}, {"example.com/b": "2"}, nil} {
		in.Observed.Spec = clone(in.Observed.Spec)
		labelWorkers(in.Observed.Spec, want)
		for range 2 {
			if h := a.Attend(w.Context(), drivers.Visit{Observed: in.Observed, Mend: true}); len(h.Undone) > 0 {
				w.Errorf("undone: %v", h.Undone)
			}
		}
		for _, n := range o.Nodes {
			have := maps.Clone(in.See(n.Name).Labels)
			maps.DeleteFunc(have, func(key, _ string) bool { return !slices.Contains([]string{"example.com/a", "example.com/b"}, key) })
			wanted := want
			if n.Name != node {
				wanted = nil
			}
			if !maps.Equal(have, wanted) {
				w.Errorf("%s has %v, want %v", n.Name, have, wanted)
			}
		}
	}
}

func labelWorkers(s *schema.Spec, labels map[string]string) {
	s.Groups = slices.Clone(s.Groups)
	for i := range s.Groups {
		if s.Groups[i].Name == schema.DefaultWorker {
			s.Groups[i].NodeLabels = labels
		}
	}
}
