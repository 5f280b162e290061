package drivertest

import (
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

func resizeUpKeepsIdentity(w *world) {
	c, o := w.running("a", workers(2))
	w.haveServers(o)
	next := changed(c, workers(4))
	after := w.carryOut(resize(next, o))
	w.inSync(next, after)
	w.untouched(o.Nodes, after)
}

func resizeDownRemovesTheChosen(w *world) {
	c, o := w.running("a", workers(3))
	chosen := theWorkers(o)[1].Name
	next := changed(c, workers(2))
	after := w.carryOut(resize(next, o, chosen))
	w.inSync(next, after)
	w.untouched(without(o.Nodes, chosen), after)
}

func freeNumberIsUsedAgain(w *world) {
	c, o := w.running("a", workers(3))
	next := changed(c, workers(2))
	o = w.carryOut(resize(next, o, theWorkers(o)[1].Name))
	o = w.carryOut(resize(c, o))
	w.inSync(c, o)
	for i, n := range theWorkers(o) {
		w.equal(i, n.Number)
	}
}

func groupComesAndGoes(w *world) {
	c, o := w.running("a", workers(1))
	more := changed(c, func(s *schema.Spec) {
		g, _ := s.Group(schema.DefaultWorker)
		g.Name, g.NodeCount = "extra", 2
		s.Groups = append(s.Groups, g)
	})
	with := w.carryOut(ofGroup(step(diff.CreateGroup, more, o), "extra"))
	w.inSync(more, with)
	w.untouched(o.Nodes, with)
	extra := slices.Sorted(maps.Keys(servers(group(with, "extra"))))
	after := w.carryOut(ofGroup(step(diff.DeleteGroup, c, with, extra...), "extra"))
	w.inSync(c, after)
	w.equal(servers(o.Nodes), servers(after.Nodes))
}

func updateReplacesNothing(w *world) {
	c, o := w.running("a", workers(2))
	next := changed(c, func(s *schema.Spec) {
		for i := range s.Groups {
			if s.Groups[i].Name == schema.DefaultWorker {
				s.Groups[i].MaxNodeCount = 9
			}
		}
	})
	after := w.carryOut(step(diff.Update, next, o))
	w.inSync(next, after)
	w.untouched(o.Nodes, after)
}

// One Apply replaces one batch; the rest stays until it is asked for.
func upgradeReplacesOnlyTheBatch(w *world) {
	c, o := w.running("a", workers(3))
	w.haveServers(o)
	next := changed(c, w.Upgrade)
	first, second := theWorkers(o)[1].Name, []string{theWorkers(o)[0].Name, theWorkers(o)[2].Name}

	half := w.carryOut(step(diff.Upgrade, next, o, first))
	w.inSync(next, half)
	w.untouched(without(o.Nodes, first), half)
	w.replaced(o, half, first)

	after := w.carryOut(step(diff.Upgrade, next, half, second...))
	w.inSync(next, after)
	w.untouched(without(half.Nodes, second...), after)
	w.replaced(half, after, second...)
	w.oneRevision(after)
}

func upgradeKeepsAddresses(w *world) {
	c, o := w.running("a", workers(2))
	addresses := func(o *diff.Observed) map[string]string {
		m := map[string]string{}
		for _, n := range o.Nodes {
			if m[n.Name] = n.Address; n.Address == "" {
				w.Errorf("%s has no address", n.Name)
			}
		}
		return m
	}
	next := changed(c, w.Upgrade)
	after := w.carryOut(step(diff.Upgrade, next, o, theWorkers(o)[0].Name, theWorkers(o)[1].Name))
	w.equal(addresses(o), addresses(after))
}

// A resize between two batches leaves the nodes of the old revision alone.
func resizeAmidUpgradeRollsNothing(w *world) {
	c, o := w.running("a", workers(2))
	next := changed(c, w.Upgrade)
	half := w.carryOut(step(diff.Upgrade, next, o, theWorkers(o)[0].Name))
	larger := changed(next, workers(3))
	after := w.carryOut(resize(larger, half))
	w.inSync(larger, after)
	w.untouched(half.Nodes, after)
}

func failedBootNamesNodeAndReason(w *world) {
	const reason = "step 3 of 5: no space left on device"
	c := w.cluster("a", workers(2))
	defer w.FailBoot(w.TB, string(c.Name), reason)()
	o := w.carryOut(create(c))
	w.equal(diff.CreateFailed, o.Status)
	failed := 0
	for _, n := range o.Nodes {
		if n.State != diff.NodeFailed {
			continue
		}
		failed++
		if !strings.Contains(n.Reason, reason) || !strings.Contains(o.Reason, n.Name) {
			w.Errorf("%s failed because %q; the cluster because %q", n.Name, n.Reason, o.Reason)
		}
	}
	if failed == 0 || !strings.Contains(o.Reason, reason) {
		w.Errorf("no node of %v says that it failed; the cluster says %q", o.Nodes, o.Reason)
	}
}

func recoverReplacesOnlyTheFailed(w *world) {
	c, o := w.running("a", workers(2))
	undo := w.FailBoot(w.TB, string(c.Name), "it does not start")
	next := changed(c, workers(3))
	broken := w.carryOut(resize(next, o))
	w.equal(diff.UpdateFailed, broken.Status)
	failed := w.failed(broken)
	w.untouched(o.Nodes, broken)
	undo()
	after := w.carryOut(step(diff.Recover, next, broken, failed...))
	w.inSync(next, after)
	w.untouched(o.Nodes, after)
	w.replaced(broken, after, failed...)
}

// Masters that failed are recovered one at a time: those that are not named
// keep their servers, whatever became of their boots.
func recoverLeavesOtherFailedNodesAlone(w *world) {
	c, o := w.running("a", workers(1))
	undo := w.FailBoot(w.TB, string(c.Name), "it does not start")
	next := changed(c, workers(4))
	broken := w.carryOut(resize(next, o))
	failed := w.failed(broken)
	w.equal(3, len(failed))
	undo()
	for i, name := range failed {
		after := w.carryOut(step(diff.Recover, next, broken, name))
		w.untouched(o.Nodes, after)
		w.replaced(broken, after, name)
		if i+1 == len(failed) {
			w.inSync(next, after)
			return
		}
		w.equal(diff.UpdateFailed, after.Status)
		w.equal(failed[i+1:], w.failed(after))
		if i > 0 { // a cluster that has just failed may not tell servers yet
			rest := failed[i+1:]
			w.equal(servers(only(broken.Nodes, rest...)), servers(only(after.Nodes, rest...)))
		}
		o.Nodes, broken = append(o.Nodes, only(after.Nodes, name)...), after
	}
}

func failedUpgradeStopsAndRecovers(w *world) {
	c, o := w.running("a", workers(3))
	old := theWorkers(o)
	batch, rest := old[0].Name, []string{old[1].Name, old[2].Name}
	undo := w.FailBoot(w.TB, batch, "it does not start")
	next := changed(c, w.Upgrade)
	broken := w.carryOut(step(diff.Upgrade, next, o, batch))
	w.equal(diff.UpdateFailed, broken.Status)
	w.equal([]string{batch}, w.failed(broken))
	w.untouched(without(o.Nodes, batch), broken)
	undo()

	whole := w.carryOut(step(diff.Recover, next, broken, batch))
	w.inSync(next, whole)
	w.untouched(without(o.Nodes, batch), whole)
	w.replaced(o, whole, batch)

	after := w.carryOut(step(diff.Upgrade, next, whole, rest...))
	w.inSync(next, after)
	w.replaced(whole, after, rest...)
	w.oneRevision(after)
}

func failedCreateRecovers(w *world) {
	c := w.cluster("a", workers(2))
	undo := w.FailBoot(w.TB, string(c.Name), "it does not start")
	o := w.carryOut(create(c))
	w.equal(diff.CreateFailed, o.Status)
	undo()
	w.follow(c)
	w.equal(o.ID, w.see(c).ID)
}

// haveServers fails if the servers of the nodes are not known, or not apart.
func (w *world) haveServers(o *diff.Observed) {
	w.Helper()
	seen := map[string]bool{"": true}
	for _, n := range o.Nodes {
		if seen[n.Server] {
			w.Errorf("%s has server %q, which is none or another node's", n.Name, n.Server)
		}
		seen[n.Server] = true
	}
}

// untouched fails unless nodes are still what they were.
func (w *world) untouched(nodes []diff.Node, now *diff.Observed) {
	w.Helper()
	names := slices.Collect(maps.Keys(servers(nodes)))
	w.equal(nodes, only(now.Nodes, names...))
}

// replaced fails unless the named nodes have their names, new servers and
// another revision.
func (w *world) replaced(before, now *diff.Observed, names ...string) {
	w.Helper()
	was, is := servers(before.Nodes), only(now.Nodes, names...)
	if len(is) != len(names) {
		w.Errorf("of %v there are %v", names, is)
	}
	for _, n := range is {
		if n.Server == "" || n.Server == was[n.Name] || n.State != diff.NodeReady {
			w.Errorf("%s is %s on server %q, want a new server and ready; before %q", n.Name, n.State, n.Server, was[n.Name])
		}
	}
}

// oneRevision fails unless the workers boot alike.
func (w *world) oneRevision(o *diff.Observed) {
	w.Helper()
	for _, n := range theWorkers(o) {
		if n.Revision == "" || n.Revision != theWorkers(o)[0].Revision {
			w.Errorf("after the upgrade %s has revision %q", n.Name, n.Revision)
		}
	}
}

// failed names the nodes that failed; there must be one.
func (w *world) failed(o *diff.Observed) []string {
	w.Helper()
	var names []string
	for _, n := range o.Nodes {
		if n.State == diff.NodeFailed {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		w.Fatalf("no node of %v is failed", o.Nodes)
	}
	return names
}
