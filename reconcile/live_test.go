package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
)

// small is the file of a cluster of Kubernetes with one master and a few workers.
func small(name string, workers int, more string) string {
	return fmt.Sprintf(`apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: kube-%[1]s}
spec: {coe: kubernetes, image: debian, flavor: m1.small, masterFlavor: m1.medium, keypair: k, externalNetwork: public, networkDriver: flannel, labels: {kube_tag: v1.30.2, etcd_volume_size: 5}}
---
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: %[1]s}
spec: {cloud: lab, template: kube-%[1]s, nodeCount: %[2]d%[3]s}
`, name, workers, more)
}

func TestHealthIsInTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", small("a", 1, ""), "b.yaml", cluster("b"))
	if rec := recordOf(t, w.run()); rec.HealthStatus != "" || w.cloud.Visited("a") > 0 {
		t.Errorf("while it is made: %q, asked %d times", rec.HealthStatus, w.cloud.Visited("a"))
	}
	w.settle()
	if w.status("a", "health_status") != "HEALTHY" || w.status("b", "health_status") != "" || w.cloud.Visited("b") > 0 {
		t.Errorf("a is %q, b is %q", w.status("a", "health_status"), w.status("b", "health_status"))
	}
	rec := recordOf(t, w.run())
	if want := map[string]string{"api": "ok", "a-default-master-0.Ready": "True", "a-default-worker-0.Ready": "True"}; fmt.Sprint(rec.HealthReason) != fmt.Sprint(want) {
		t.Errorf("reason %v, want %v", rec.HealthReason, want)
	}
	commits := len(w.board.messages)
	if w.run(); len(w.board.messages) != commits {
		t.Error("nothing happened, and the status was written")
	}
	w.cloud.Ail("a", drivers.Health{Status: drivers.Unhealthy, Reason: map[string]string{"api": "ok", "a-default-worker-0.Ready": "False"}})
	w.run()
	if page := string(w.board.files["README.md"]); w.status("a", "health_status") != "UNHEALTHY" || !strings.Contains(page, "CREATE_COMPLETE, UNHEALTHY | 2 | kube-a |  | unhealthy: a-default-worker-0.Ready False |") {
		t.Errorf("%s\n%s", w.status("a", "health_status"), page)
	}
	w.cloud.Silence("a", "no route to host")
	if rec := recordOf(t, w.run()); rec.HealthStatus != "UNKNOWN" || rec.HealthReason["api"] != "no route to host" || rec.Status != "CREATE_COMPLETE" {
		t.Errorf("out of reach: %+v", rec)
	}
	before := w.cloud.Visited("a")
	if _, err := w.r.Plan(t.Context()); err != nil || w.cloud.Visited("a") != before {
		t.Errorf("a plan asked how the cluster is (%v)", err)
	}
}

// A cluster that does not answer keeps nobody else from being told of, nor a step
// from being started.
func TestWhoDoesNotAnswerDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.r.Patience.Visit = 50 * time.Millisecond
	w.commit("a.yaml", small("a", 1, ""), "b.yaml", small("b", 1, ""))
	w.settle()
	w.cloud.Hush("b", true)
	w.commit("a.yaml", small("a", 2, ""))
	report := w.run()
	w.want(report, "resize lab/a")
	if len(report.Results) != 1 || report.Results[0].Err != nil || w.status("b", "health_status") != "UNKNOWN" || w.status("a", "health_status") != "HEALTHY" {
		t.Errorf("%+v: a %s, b %s", report.Results, w.status("a", "health_status"), w.status("b", "health_status"))
	}
}

func TestNodesAreDrainedBeforeTheyGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", small("a", 3, ""))
	w.settle()
	const second = "a-default-worker-1"
	w.cloud.Occupy("a-default-worker-0", diff.Workload{Pods: 4}, false)
	w.cloud.Occupy(second, diff.Workload{Pods: 2}, true)
	w.cloud.Occupy("a-default-worker-2", diff.Workload{Pods: 3}, false)
	w.commit("a.yaml", small("a", 2, ""))
	writes := w.cloud.Writes()
	plan, err := w.r.Plan(t.Context())
	if err != nil || len(plan.Plan.Steps) != 1 || !strings.Contains(plan.Plan.Steps[0].Why, "drains "+second+" first (2 pods)") || w.cloud.Running(second).Cordoned {
		t.Fatalf("planned %+v (%v), and the node is %+v", plan.Plan.Steps, err, w.cloud.Running(second))
	}

	report := w.run()
	rec := recordOf(t, report)
	if rec.Progress != "draining "+second+": 2 pods left" || rec.Status != "CREATE_COMPLETE" || len(report.Results) != 0 || len(report.Failed()) != 0 || report.Settled() {
		t.Errorf("%+v, %+v", rec, report.Results)
	}
	if !slices.Equal(rec.Pending, []string{"resize default-worker"}) || w.cloud.Writes() != writes || !w.cloud.Running(second).Cordoned {
		t.Errorf("pending %v, node %+v", rec.Pending, w.cloud.Running(second))
	}
	if report.Plan.Fingerprint != plan.Plan.Fingerprint {
		t.Error("what runs on nodes changed the plan's fingerprint")
	}

	// Somebody else's node is idle by now, and goes instead; ours takes pods again.
	w.cloud.Occupy("a-default-worker-0", diff.Workload{}, false)
	report = w.run()
	if nodes := report.Plan.Steps[0].Nodes; !slices.Equal(nodes, []string{"a-default-worker-0"}) || len(report.Results) != 1 || report.Results[0].Err != nil {
		t.Errorf("%v goes: %+v", nodes, report.Results)
	}
	if w.cloud.Running(second).Cordoned {
		t.Error("the node that stays is still cordoned")
	}
	w.want(w.settle(), "")
}

func TestADrainThatIsRefusedHolds(t *testing.T) {
	t.Parallel()
	const node = "a-default-worker-0"
	lone := diff.Workload{Pods: 1, Holds: []string{"shop/tool (no controller makes it again)"}}
	for name, tt := range map[string]struct {
		begin  func(w *world)
		reason string
	}{
		"a pod without a controller": {func(w *world) { w.cloud.Occupy(node, lone, false) }, "shop/tool (no controller makes it again) on " + node},
		"a budget for too long": {func(w *world) {
			w.cloud.Occupy(node, diff.Workload{Pods: 1, Left: []string{"shop/db-0 (disruption budget shop/db)"}}, true)
			for range 3 {
				if report := w.run(); len(report.Draining) != 1 {
					w.Errorf("within its time: %s", steps(report))
				}
				w.now = w.now.Add(14 * time.Minute)
			}
		}, "shop/db-0 (disruption budget shop/db)"},
		"nobody answers": {func(w *world) { w.cloud.Silence("a", "no route to host") }, "cannot be drained (no route to host)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.commit("a.yaml", small("a", 1, ", nodeGroups: [{name: x, nodeCount: 0}]"))
			w.settle()
			w.cloud.Occupy("a-default-master-0", diff.Workload{}, false)
			w.commit("a.yaml", small("a", 0, ", nodeGroups: [{name: x, nodeCount: 0}]"))
			writes := w.cloud.Writes()
			tt.begin(w)
			report := w.run()
			w.want(report, "resize lab/a held by drain")
			if held := recordOf(t, report).Held; len(held) != 1 || !strings.Contains(held[0], tt.reason) || w.cloud.Writes() != writes {
				t.Errorf("held %q after %d writes", held, w.cloud.Writes()-writes)
			}
			w.repo.commit(ack(t, report.Plan, "drain"))
			if report = w.run(); len(report.Results) != 1 || report.Results[0].Err != nil {
				t.Fatalf("acknowledged: %s, %+v", steps(report), report.Draining)
			}
			w.cloud.Silence("a", "")
			w.want(w.settle(), "")
		})
	}
}

// A process that dies between cordon and the step leaves nodes that the next goes
// on with, or gives back.
func TestACrashAmidADrain(t *testing.T) {
	t.Parallel()
	const node = "a-default-worker-1"
	for _, goesOn := range []bool{true, false} {
		w := newWorld(t)
		w.commit("a.yaml", small("a", 2, ""))
		w.settle()
		w.cloud.Occupy(node, diff.Workload{Pods: 1}, true)
		w.cloud.Occupy("a-default-worker-0", diff.Workload{Pods: 2}, false)
		w.commit("a.yaml", small("a", 1, ""))
		w.run()
		w.machine() // its disk is gone too
		if w.cloud.Occupy(node, diff.Workload{Pods: 0, Cordoned: true, Since: w.now.Format(time.RFC3339)}, false); !goesOn {
			w.commit("a.yaml", small("a", 2, ""))
		}
		report := w.settle()
		w.want(report, "")
		if left := w.cloud.Running(node); left.Cordoned != false && !goesOn {
			t.Errorf("the node stays, and is %+v", left)
		}
		if n := recordOf(t, report).NodeCount; goesOn != (n == 1) {
			t.Errorf("goes on %v: %d workers", goesOn, n)
		}
	}
}

// Who failed has nothing that could be moved, and an upgrade drains what works.
func TestOnlyNodesThatWorkAreDrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", small("a", 2, ""))
	w.settle()
	undo := w.cloud.FailBoot("a-default-worker-2", "no disk")
	w.commit("a.yaml", small("a", 3, ""))
	w.run()
	w.cloud.Tick()
	undo()
	w.cloud.Silence("a", "no route to host") // and so it need not answer
	report := w.run()
	w.want(report, "recover lab/a")
	if len(report.Results) != 1 || report.Results[0].Err != nil {
		t.Errorf("%+v", report.Results)
	}
}

func TestLabelsReachNodesThatRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gpu := func(label string) string {
		return small("a", 1, fmt.Sprintf(", nodeGroups: [{name: gpu, nodeCount: 2, nodeLabels: {accel: %s}}]", label))
	}
	w.commit("a.yaml", gpu("a100"))
	w.settle()
	w.commit("a.yaml", gpu("h100"))
	w.want(w.run(), "update lab/a")
	w.settle()
	for _, n := range []string{"a-gpu-0", "a-gpu-1"} {
		if got := w.cloud.NodeLabels(n)["accel"]; got != "h100" {
			t.Errorf("%s has accel=%s", n, got)
		}
	}
	if got := w.cloud.NodeLabels("a-default-worker-0"); len(got) > 0 {
		t.Errorf("another group has %v", got)
	}
}

// What was not to be mended is told, and tried again.
func TestWhatCannotBeMendedIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", small("a", 1, ""))
	w.settle()
	w.cloud.Ail("a", drivers.Health{Status: drivers.Healthy, Reason: map[string]string{"api": "ok"}, Undone: []string{"mend node x: it refuses"}})
	report := w.run()
	if rec := recordOf(t, report); !slices.Equal(rec.Pending, []string{"mend node x: it refuses"}) || report.Revisit {
		t.Errorf("pending %v, revisit %t", rec.Pending, report.Revisit)
	}
	w.cloud.Ail("a", drivers.Health{Status: drivers.Healthy, Reason: map[string]string{"api": "ok"}, Later: []string{"forget node x"}})
	report = w.run()
	if rec := recordOf(t, report); !slices.Equal(rec.Pending, []string{"forget node x"}) || !report.Revisit {
		t.Errorf("pending %v, revisit %t", rec.Pending, report.Revisit)
	}
}

// A suspended cluster, and one that Git does not declare, is looked at and left
// as it is.
func TestNobodyMendsWhatIsSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", small("a", 1, ""))
	w.settle()
	drained := diff.Workload{Cordoned: true, Since: w.now.Format(time.RFC3339)}
	for _, text := range []string{small("a", 1, ", suspend: true"), ""} {
		w.cloud.Occupy("a-default-worker-0", drained, false)
		w.commit("a.yaml", text, "b.yaml", cluster("b"))
		rec := recordOf(t, w.settle())
		if !w.cloud.Running("a-default-worker-0").Cordoned || rec.HealthStatus != "HEALTHY" {
			t.Errorf("with %q: %+v, %s", text, w.cloud.Running("a-default-worker-0"), rec.HealthStatus)
		}
	}
}
