package drivertest

import (
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
)

// Two owners share a project and do not know of each other.
func foreignIsInvisible(w *world) {
	mine, _ := w.running("mine", nil)
	ours := w.driver
	w.driver = w.open(func(o *drivers.Options) { o.Owner = "other-" + w.mark })
	theirs, _ := w.running("theirs", nil)
	if have := w.observe(); len(have) != 1 || have[0].Key != theirs.Key {
		w.Errorf("they see\n%s", show(have))
	}
	w.driver = ours
	if have := w.observe(); len(have) != 1 || have[0].Key != mine.Key {
		w.Errorf("we see\n%s", show(have))
	}
}

func foreignNameIsReported(w *world) {
	c := w.cluster("a", nil)
	w.Squat(w.TB, c)
	o := w.look(c)
	w.equal(diff.Foreign, o.Owner)
	w.noWrites(func() {
		w.want(drivers.Conflict, w.driver.Apply(w.Context(), create(c)))
		if err := w.driver.Apply(w.Context(), remove(o)); err == nil {
			w.Errorf("what others own was deleted")
		}
	})
	w.equal(o, w.look(c))
}

func tagsLostIsSeen(w *world) {
	c, o := w.running("a", nil)
	w.DropTags(w.TB, c)
	w.Settle(w.TB)
	now := w.see(c)
	w.equal(diff.TagsLost, now.Owner)
	w.equal(o.ID, now.ID)
	w.equal(diff.TagsLost, w.look(c).Owner)
}

func adoptWritesTagsAgain(w *world) {
	c, o := w.running("a", workers(2))
	w.DropTags(w.TB, c)
	w.Settle(w.TB)
	after := w.carryOut(step(diff.Adopt, c, w.see(c)))
	w.inSync(c, after)
	w.untouched(o.Nodes, after)
	w.equal(diff.Ours, w.look(c).Owner)
}

// What earlier runs saw and is gone is said, so that nobody makes it again
// unasked.
func deletedByHandIsReported(w *world) {
	c, before := w.running("a", nil)
	other, _ := w.running("b", nil)
	seen := remember(w.observe())
	w.DeleteByHand(w.TB, c)
	w.Settle(w.TB)
	w.driver = w.open(func(o *drivers.Options) { o.Memory = seen })
	gone := w.see(c)
	w.equal(diff.DeleteComplete, gone.Status)
	w.equal(before.ID, gone.ID)
	w.inSync(other, w.see(other))
}

func handMadeChangeIsDrift(w *world) {
	c, _ := w.running("a", nil)
	calm, _ := w.running("b", nil)
	w.ChangeByHand(w.TB, c)
	w.Settle(w.TB)
	if o := w.look(c); len(o.Drift) == 0 || o.Drift[0].Field == "" || o.Drift[0].Detail == "" {
		w.Errorf("drift %v, want what differs", o.Drift)
	}
	w.inSync(calm, w.see(calm))
}

func serverDeletedByHandIsMissing(w *world) {
	c, o := w.running("a", workers(2))
	w.haveServers(o)
	w.equal(o, w.look(c))
	lost := theWorkers(o)[1]
	w.DeleteServer(w.TB, lost.Server)
	w.Settle(w.TB)
	now := w.look(c)
	for _, n := range now.Nodes {
		if (n.State == diff.NodeMissing) != (n.Name == lost.Name) {
			w.Errorf("the server of %s is gone, but %s is %s", lost.Name, n.Name, n.State)
		}
	}
	after := w.carryOut(step(diff.Recover, c, now, lost.Name))
	w.inSync(c, after)
	w.untouched(without(o.Nodes, lost.Name), after)
	w.replaced(o, after, lost.Name)
}

var _ drivers.Memory = remember(nil)
