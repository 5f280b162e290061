package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// A process that has made runs before keeps records that need not be made anew.
// Whatever happens, it must tell what a new process tells.
func TestAnOldProcessTellsWhatANewOneTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", small("a", 1, ""), "b.yaml", cluster("b"), "c.yaml", cluster("c", "deletionProtection: false"),
		"d.yaml", cluster("d", `nodeGroups: [{name: web, nodeCount: 2, schedule: [{cron: "0 7 * * *", nodeCount: 2}]}]`))
	w.settle()
	for _, x := range []struct {
		what string
		do   func()
	}{
		{"nothing happens", func() {}},
		{"one grows", func() { w.commit("b.yaml", cluster("b", "nodeCount: 3")) }},
		{"it settles", func() { w.settle() }},
		{"one is suspended", func() { w.commit("b.yaml", cluster("b", "nodeCount: 3", "suspend: true")) }},
		{"it is no more", func() { w.commit("b.yaml", cluster("b", "nodeCount: 3")) }},
		{"a timeout and the protection change", func() { w.commit("c.yaml", cluster("c", "createTimeout: 17", "deletionProtection: true")) }},
		{"they settle", func() { w.settle() }},
		{"one ails", func() {
			w.cloud.Ail("a", drivers.Health{Status: drivers.Unhealthy, Reason: map[string]string{"api": "no"}})
		}},
		{"it ails otherwise", func() {
			w.cloud.Ail("a", drivers.Health{Status: drivers.Unhealthy, Reason: map[string]string{"api": "still no"}})
		}},
		{"it is well", func() { w.cloud.Ail("a", drivers.Health{Status: drivers.Healthy}) }},
		{"somebody changes one by hand", func() { w.cloud.Change("b") }},
		{"somebody takes its tags", func() { w.cloud.DropTags("b") }},
		{"they settle again", func() { w.settle() }},
		{"the cloud could not be read for a run", func() { undo := w.cloud.Fault(drivertest.ServerError); w.run(); undo() }},
		{"a suspended one is changed by hand", func() { w.commit("b.yaml", cluster("b", "nodeCount: 3", "suspend: true")); w.cloud.Change("b") }},
		{"drift is only reported", func() { w.r.Config.Sync.Drift = schema.DriftReport }},
		{"it is corrected again", func() { w.r.Config.Sync.Drift = ""; w.commit("b.yaml", cluster("b", "nodeCount: 3")) }},
		{"and that settles", func() { w.settle() }},
		{"one is no more wanted, and protected", func() { w.commit("c.yaml", "") }},
		{"the file of one moves", func() { w.commit("b.yaml", "", "moved/b.yaml", cluster("b", "nodeCount: 3")) }},
		{"time passes", func() { w.now = w.now.Add(48 * time.Hour) }},
	} {
		x.do()
		w.run() // what it starts is in its own records alone
		old := w.run()
		commits := len(w.board.messages)
		fresh := &reconcile.Reconciler{
			Source: w.repo, Board: w.board, Store: w.store, Drivers: drivers.Registry{"heat": w.cloud.Open},
			Config: w.r.Config, Log: w.r.Log, Now: w.r.Now,
		}
		anew, err := fresh.RunOnce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(anew.Records, old.Records); d != "" {
			t.Errorf("%s: records (-new process +old process)\n%s", x.what, d)
		}
		if more := w.board.messages[commits:]; len(more) > 0 {
			t.Errorf("%s: the old process left the board as it was, the new one writes %q", x.what, more)
		}
	}
	if names := w.cloud.Names(); !cmp.Equal(names, []schema.ClusterName{"a", "b", "c", "d"}) {
		t.Errorf("there are %v", names)
	}
}

// The log says of a cluster what became of it, once.
func TestLogOfNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	core, logged := observer.New(zap.InfoLevel)
	w.r.Log = zap.New(core)
	restart := func() { log := w.r.Log; w.restart(); w.r.Log = log }
	have := []string{}
	for _, x := range []struct {
		what string
		do   func()
	}{
		{"two are made", func() { w.commit("a.yaml", cluster("a"), "b.yaml", cluster("b")); w.settle() }},
		{"one is to change, and is held", func() { w.commit("a.yaml", cluster("a", "nodeCount: 3", "suspend: true")) }},
		{"it stays so", func() { w.run() }},
		{"the cloud could not be read for a run", func() { undo := w.cloud.Fault(drivertest.ServerError); w.run(); undo() }},
		{"it is let go on", func() { w.commit("a.yaml", cluster("a", "nodeCount: 3")); w.settle() }},
		{"a new process, nothing is wrong", restart},
		{"one is held when a new process begins", func() { w.commit("a.yaml", cluster("a", "nodeCount: 4", "suspend: true")); restart() }},
		{"one is deleted", func() {
			w.commit("b.yaml", cluster("b", "deletionProtection: false"))
			w.run()
			w.commit("b.yaml", "")
			w.settle()
		}},
	} {
		x.do()
		w.run()
		have = append(have, x.what)
		for _, e := range logged.TakeAll() {
			if f := e.ContextMap(); e.Message == "cluster status" {
				have = append(have, fmt.Sprintf("  %s %s %v", f["cluster"], f["status"], f["concerns"]))
			} else if e.Message == "cluster gone" {
				have = append(have, fmt.Sprintf("  %s gone", f["cluster"]))
			}
		}
	}
	want := []string{
		"two are made",
		"  lab/a CREATE_COMPLETE []",
		"  lab/b CREATE_COMPLETE []",
		"one is to change, and is held",
		"  lab/a CREATE_COMPLETE [held: resize default-worker: suspended: the cluster is suspended; remove suspend to go on]",
		"it stays so",
		"the cloud could not be read for a run",
		"it is let go on",
		"  lab/a UPDATE_IN_PROGRESS []",
		"  lab/a UPDATE_COMPLETE []",
		"a new process, nothing is wrong",
		"one is held when a new process begins",
		"  lab/a UPDATE_COMPLETE [held: resize default-worker: suspended: the cluster is suspended; remove suspend to go on]",
		"one is deleted",
		"  lab/b DELETE_IN_PROGRESS []",
		"  lab/b gone",
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}
