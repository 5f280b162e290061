package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

func TestACommitBecomesAClusterAndAStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "nodeCount: 2"))
	first := w.run()
	w.want(first, "create lab/a")
	if got := w.status("a", "status"); got != "CREATE_IN_PROGRESS" {
		t.Errorf("status after the accepted create is %q", got)
	}
	w.want(w.run(), "wait lab/a")
	w.cloud.Tick()
	w.want(w.settle(), "")
	for word, want := range map[string]string{"status": "CREATE_COMPLETE", "node_count": "2", "cluster_template_id": "docker", "deletion_protection": "true"} {
		if got := w.status("a", word); got != want {
			t.Errorf("%s is %q, want %q", word, got, want)
		}
	}
	commits := len(w.board.messages)
	w.now = w.now.Add(time.Hour)
	w.run()
	if len(w.board.messages) != commits {
		t.Error("a run in which nothing happened committed status")
	}
	if m := w.board.messages[0]; !strings.Contains(m, "Jeroboam-Instance: test\nJeroboam-Config-Commit: 0000") {
		t.Errorf("status message lacks its trailers:\n%s", m)
	}
}

func TestResizeAndUpgradeGoStepByStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "nodeCount: 3"))
	w.settle()
	w.commit("a.yaml", cluster("a", "nodeCount: 4", "flavor: m1.large"))
	w.want(w.run(), "resize lab/a; upgrade lab/a")
	w.cloud.Tick()
	w.want(w.run(), "upgrade lab/a")
	if got := w.status("a", "node_count"); got != "4" {
		t.Errorf("node_count is %s after the resize", got)
	}
	w.want(w.settle(), "")
	if got := w.status("a", "flavor_id"); got != "m1.large" {
		t.Errorf("flavor_id is %s after the upgrade", got)
	}
}

func TestADeleteTakesTwoCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"), "b.yaml", cluster("b"))
	w.settle()
	w.commit("a.yaml", "")
	w.want(w.settle(), "delete lab/a held by deletion-protection")
	w.clusters("a", "b")
	w.commit("a.yaml", cluster("a", "deletionProtection: false"))
	w.want(w.settle(), "")
	w.commit("a.yaml", "")
	w.want(w.run(), "delete lab/a")
	w.cloud.Tick()
	w.want(w.settle(), "")
	w.clusters("b")
	if _, there := w.board.files["status/lab/a.yaml"]; there {
		t.Error("the status of the deleted cluster is still on the board")
	}
}

func TestProtectionAndDeletesSurviveALostStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	free := "deletionProtection: false"
	w.commit("a.yaml", cluster("a", free), "b.yaml", cluster("b", free), "c.yaml", cluster("c", free), "d.yaml", cluster("d", free), "e.yaml", cluster("e"))
	w.settle()
	for _, gone := range []string{"a.yaml", "b.yaml", "c.yaml"} {
		w.commit(gone, "")
		w.want(w.settle(), "")
	}
	w.machine()
	w.commit("d.yaml", "")
	w.want(w.settle(), "delete lab/d held by delete-limit")
	w.machine() // once more: what was restored is on the board again
	w.want(w.settle(), "delete lab/d held by delete-limit")
	w.now = w.now.Add(25 * time.Hour)
	w.want(w.settle(), "")
	w.clusters("e")
}

// Commits beside the fleet, our own status among them, are no news: a board on
// the fleet's branch would else beget a commit by each of its commits.
func TestACommitBesideTheFleetIsNoNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	commits := len(w.board.messages)
	for range 2 {
		w.commit() // the tree stays
		w.settle()
		w.machine() // nor after a restart without a store
	}
	w.settle()
	if now := len(w.board.messages); now != commits {
		t.Errorf("%d more status commits: %q", now-commits, w.board.messages[commits:])
	}
	w.commit("a.yaml", cluster("a", "nodeCount: 5"))
	w.settle()
	if len(w.board.messages) == commits {
		t.Error("a new tree is no news either")
	}
}

func TestAnEmptiedRepositoryDeletesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "deletionProtection: false"))
	w.settle()
	writes := w.cloud.Writes()
	w.commit("a.yaml", "", "template.yaml", "")
	for range 3 {
		w.want(w.run(), "delete lab/a held by empty-fleet")
	}
	if w.cloud.Writes() != writes {
		t.Error("the cloud was written to")
	}
}

func TestARewoundBranchIsHeldUntilAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	w.repo.rewound = true
	w.commit("a.yaml", cluster("a", "nodeCount: 5"))
	held := w.run()
	w.want(held, "resize lab/a held by rewound")
	w.want(w.run(), "resize lab/a held by rewound")
	head := &w.repo.commits[len(w.repo.commits)-1]
	head.Message, head.Hash = ack(t, held.Plan, diff.GuardRewound), head.Hash+"'" // whoever says so makes another head
	w.want(w.run(), "resize lab/a")
}

func TestACloudThatCannotBeReadIsUnknown(t *testing.T) {
	t.Parallel()
	for _, fault := range []drivertest.Fault{drivertest.ServerError, drivertest.EmptyList} {
		w := newWorld(t)
		w.commit("a.yaml", cluster("a", "deletionProtection: false"), "b.yaml", cluster("b"))
		w.settle()
		writes := w.cloud.Writes()
		undo := w.cloud.Fault(fault)
		w.commit("a.yaml", "", "b.yaml", cluster("b", "nodeCount: 7"))
		report := w.run()
		if len(report.Plan.Unknown) != 1 || report.Plan.Unknown[0].Cloud != "lab" {
			t.Errorf("%s: unknown clouds %v", fault, report.Plan.Unknown)
		}
		if got := w.status("b", "status"); got != "UNKNOWN" {
			t.Errorf("%s: status is %q", fault, got)
		}
		if w.cloud.Writes() != writes {
			t.Errorf("%s: the cloud was written to", fault)
		}
		undo()
		w.settle()
		w.clusters("b")
	}
}

func TestAnotherProjectIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	w.cloud.SetPlace(drivers.Place{AuthURL: "https://memory.test/v3", ProjectID: "p2"})
	w.restart()
	report := w.run()
	if len(report.Plan.Unknown) != 1 || !strings.Contains(report.Plan.Unknown[0].Reason, "project p2") {
		t.Errorf("unknown clouds %v", report.Plan.Unknown)
	}
	w.machine()
	if report = w.run(); len(report.Plan.Unknown) != 1 {
		t.Error("with a new store the board does not say which project it was")
	}
	w.clusters("a")
}

func TestALostAnswerDoublesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "deletionProtection: false"), "b.yaml", cluster("b"))
	w.cloud.LoseAnswer(1)
	if report := w.run(); len(report.Failed()) != 1 {
		t.Errorf("%d steps failed, want the one without an answer", len(report.Failed()))
	}
	w.restart()
	w.want(w.settle(), "")
	w.clusters("a", "b")

	w.commit("a.yaml", "")
	w.cloud.LoseAnswer(1)
	w.run()
	w.cloud.Tick()
	w.restart()
	w.want(w.settle(), "")
	w.commit("a.yaml", cluster("a"))
	w.want(w.run(), "create lab/a") // it was our delete, so the name is free
}

func TestWhatSomebodyDeletedIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	w.cloud.Remove("a")
	held := w.run()
	w.want(held, "create lab/a held by deleted-outside")
	w.want(w.run(), "create lab/a held by deleted-outside")
	w.repo.commit(ack(t, held.Plan, "deleted-outside"))
	w.want(w.run(), "create lab/a")
}

func TestAReviewedPlanThatIsStaleIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	w.commit("a.yaml", cluster("a", "nodeCount: 2"))
	planned, err := w.r.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.r.Expect = planned.Plan.Fingerprint
	w.commit("a.yaml", cluster("a", "nodeCount: 3"))
	writes := w.cloud.Writes()
	if _, err := w.r.RunOnce(t.Context()); !errors.Is(err, reconcile.ErrStale) {
		t.Errorf("have %v, want ErrStale", err)
	}
	if w.cloud.Writes() != writes {
		t.Error("the stale plan was carried out")
	}
	w.commit("a.yaml", cluster("a", "nodeCount: 2"))
	w.want(w.run(), "resize lab/a")
}

func TestAPlanReadsTheBoardOnlyInPlaceOfALostStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	for _, c := range []struct {
		what  string
		start func()
		reads int
	}{{"the store is there", w.restart, 0}, {"the store was lost", w.machine, 1}} {
		c.start()
		before := w.board.reads
		if _, err := w.r.Plan(t.Context()); err != nil {
			t.Fatal(err)
		}
		if have := w.board.reads - before; have != c.reads {
			t.Errorf("%s: the board was read %d times, want %d", c.what, have, c.reads)
		}
	}
}

func TestStatusIsMadeGoodLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.run()
	w.board.err = errDown
	w.cloud.Tick()
	report := w.run()
	if !errors.Is(report.StatusError, errDown) {
		t.Errorf("status error %v", report.StatusError)
	}
	w.board.err = nil
	w.run()
	if got := w.status("a", "status"); got != "CREATE_COMPLETE" {
		t.Errorf("status is %q", got)
	}
}

func TestAFailedBootIsRecoveredThreeTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	undo := w.cloud.FailBoot("a-", "step docker failed: no network")
	w.commit("a.yaml", cluster("a"))
	report := w.settle()
	w.want(report, "recover lab/a held by failed")
	if got := w.status("a", "status_reason"); !strings.Contains(got, "no network") {
		t.Errorf("status_reason is %q", got)
	}
	undo()
	w.commit("a.yaml", cluster("a", "flavor: m1.large"))
	w.want(w.settle(), "")
	if got := w.status("a", "status"); got != "UPDATE_COMPLETE" {
		t.Errorf("status is %q", got)
	}
}

func TestInvalidDocumentsChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "deletionProtection: false"))
	w.settle()
	writes := w.cloud.Writes()
	w.commit("a.yaml", cluster("a", "nodeCuont: 2"), "b.yaml", "kind: [")
	_, err := w.r.RunOnce(t.Context())
	problems, ok := schema.AsProblems(err)
	if !ok || len(problems) < 2 {
		t.Errorf("have %v, want the problems of both files", err)
	}
	if w.cloud.Writes() != writes {
		t.Error("the cloud was written to")
	}
}

func TestAnUnreachableRepositoryChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	w.repo.err = errDown
	if _, err := w.r.RunOnce(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("have %v, want the source's error", err)
	}
	w.clusters("a")
}

// What is wrong with nodes stays on the page while they are being mended.
func TestPageNamesFaults(t *testing.T) {
	t.Parallel()
	files, err := reconcile.StatusFiles(schema.Config{}, reconcile.Report{Records: []reconcile.Record{{
		Name: "a", Cloud: "lab", Status: "UPDATE_IN_PROGRESS",
		Faults: map[string]string{"web": "a-web-0: no room", "default-worker": "a-default-worker-1: Quota exceeded"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	want := "| UPDATE_IN_PROGRESS | 0 |  |  | default-worker: a-default-worker-1: Quota exceeded; web: a-web-0: no room |\n"
	if page := string(files["README.md"]); !strings.HasSuffix(page, want) {
		t.Errorf("page\n%s\nwant at its end\n%s", page, want)
	}
}

// Who takes addresses from the board finds them while a cluster is updated; its
// nodes, which come and go then, would be a commit each.
func TestAddressesStayDuringAnUpdate(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{"UPDATE_IN_PROGRESS": "master_addresses:\n- 10.0.0.5\n", "CREATE_IN_PROGRESS": "master_addresses: []\n", "DELETE_IN_PROGRESS": "master_addresses: []\n"} {
		files, err := reconcile.StatusFiles(schema.Config{}, reconcile.Report{Records: []reconcile.Record{{
			Name: "a", Cloud: "lab", Status: status, MasterAddresses: []string{"10.0.0.5"},
			NodeGroups: []reconcile.RecordGroup{{Name: "default-master", Nodes: []reconcile.RecordNode{{Name: "a-default-master-0"}}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if text := string(files["status/lab/a.yaml"]); !strings.Contains(text, want) || strings.Contains(text, "a-default-master-0") {
			t.Errorf("%s: want %q and no node in\n%s", status, want, text)
		}
	}
}
