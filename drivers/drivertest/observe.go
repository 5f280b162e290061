package drivertest

import (
	"slices"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
)

func observeEmpty(w *world) {
	if have := w.observe(); len(have) != 0 {
		w.Errorf("nothing was made, observed\n%s", show(have))
	}
}

func observeIsSorted(w *world) {
	for _, name := range []string{"b", "c", "a", "a-1", "a1"} {
		w.apply(create(w.cluster(name, nil)))
	}
	w.Settle(w.TB)
	have := w.observe()
	if len(have) != 5 || !slices.IsSortedFunc(have, func(a, b diff.Observed) int { return a.Key.Compare(b.Key) }) {
		w.Errorf("want five in order, have\n%s", show(have))
	}
	for _, o := range have {
		if !slices.IsSortedFunc(o.Nodes, compareNodes) {
			w.Errorf("the nodes of %s are not in order: %v", o.Key, o.Nodes)
		}
	}
}

func observeTwiceIsEqual(w *world) {
	w.running("a", workers(2))
	w.running("b", nil)
	w.equal(w.observe(), w.observe())
	first := w.observe()
	w.driver = w.open(nil)
	w.equal(first, w.observe())
}

// A value that is taken from memory is the one that would have been read.
func rememberedIsEqual(w *world) {
	c, o := w.running("a", workers(2))
	read := w.observe()
	w.driver = w.open(func(o *drivers.Options) { o.Memory = remember(read) })
	w.equal(read, w.observe())

	old := slices.Clone(read) // by now somebody else resized it
	next := changed(c, workers(3))
	w.carryOut(resize(next, o))
	w.driver = w.open(func(o *drivers.Options) { o.Memory = remember(old) })
	w.inSync(next, w.see(next))
}

// Clusters are asked how they are, and nothing comes of it but the answer.
func probeChangesNothing(w *world) {
	w.running("a", workers(2))
	w.running("b", nil)
	before, writes := w.observe(), w.Writes()
	for _, o := range before {
		if o.Etcd != diff.EtcdNotAsked || o.EtcdReason != "" {
			w.Errorf("nobody asked and etcd of %s is %q (%s)", o.Key, o.Etcd, o.EtcdReason)
		}
	}
	prober, ok := w.driver.(drivers.Prober)
	if !ok {
		return
	}
	asked, err := prober.Probe(w.Context(), slices.Clone(before))
	if err != nil {
		w.Fatalf("probe: %v", err)
	}
	for i := range asked {
		switch o := &asked[i]; o.Etcd {
		case diff.EtcdNotAsked, diff.EtcdHealthy, diff.EtcdUnhealthy, diff.EtcdUnknown:
			o.Etcd, o.EtcdReason = diff.EtcdNotAsked, ""
		default:
			w.Errorf("etcd of %s is %q", o.Key, o.Etcd)
		}
	}
	w.equal(before, asked)
	w.equal(before, w.observe())
	w.equal(writes, w.Writes())
}
