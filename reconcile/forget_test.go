package reconcile_test

import (
	"fmt"
	"testing"

	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/schema"
)

// doomed is a world in which a cluster with keys is being deleted by us, beside
// one that stays.
func doomed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "deletionProtection: false"), "b.yaml", cluster("b"))
	w.settle()
	for _, name := range []schema.ClusterName{"a", "b"} {
		if err := w.cloud.KeepKeys("us", name); err != nil {
			t.Fatal(err)
		}
	}
	w.commit("a.yaml", "")
	w.want(w.run(), "delete lab/a")
	return w
}

func (w *world) kept(want ...string) {
	w.Helper()
	if have := w.cloud.Kept(); fmt.Sprint(have) != fmt.Sprint(want) {
		w.Errorf("keys are kept of %v, want %v", have, want)
	}
}

func TestKeysGoAfterTheirCluster(t *testing.T) {
	t.Parallel()
	w := doomed(t)
	w.run()
	w.kept("us/a", "us/b") // it still goes
	w.cloud.Tick()
	if _, err := w.r.Plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.kept("us/a", "us/b") // a plan only looks
	if report := w.run(); !report.Settled() {
		t.Error("it has not settled with the run that sees the cluster gone")
	}
	w.kept("us/b")
}

func TestKeysOfWhatOthersDeletedStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	if err := w.cloud.KeepKeys("us", "a"); err != nil {
		t.Fatal(err)
	}
	w.cloud.Remove("a")
	w.run()
	w.run()
	w.kept("us/a")
}

// Forgetting is tried until it is done, by whichever process.
func TestKeysAreForgottenLater(t *testing.T) {
	t.Parallel()
	w := doomed(t)
	w.cloud.Tick()
	undo := w.cloud.Fault(drivertest.KeysOutOfReach)
	for range 3 {
		w.run()
		w.kept("us/a", "us/b")
		w.restart()
	}
	undo()
	w.run()
	w.kept("us/b")
}

// A delete whose answer was lost, and a process that was killed before it wrote
// down that it was ours.
func TestKeysAreForgottenAfterALostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "deletionProtection: false"), "b.yaml", cluster("b"))
	w.settle()
	if err := w.cloud.KeepKeys("us", "a"); err != nil {
		t.Fatal(err)
	}
	w.commit("a.yaml", "")
	w.cloud.LoseAnswer(1)
	w.run()
	w.cloud.Tick()
	w.restart()
	w.run()
	w.kept()
}

// A cluster that is wanted again has keys of its own, and they are not taken.
func TestKeysOfTheNextClusterStay(t *testing.T) {
	t.Parallel()
	w := doomed(t)
	w.cloud.Tick()
	w.commit("a.yaml", cluster("a"))
	w.want(w.run(), "create lab/a")
	w.kept("us/b")
	if err := w.cloud.KeepKeys("us", "a"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.kept("us/a", "us/b")
}
