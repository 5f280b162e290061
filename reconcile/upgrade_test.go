package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// kube is the file of a cluster of Kubernetes with three masters and two workers.
func kube(tag string) string {
	return fmt.Sprintf(`apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: kube}
spec: {coe: kubernetes, image: debian, flavor: m1.small, masterFlavor: m1.medium, keypair: k, externalNetwork: public, networkDriver: flannel, masterLBEnabled: true}
---
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: a}
spec: {cloud: lab, template: kube, masterCount: 3, nodeCount: 2, labels: {kube_tag: %s}}
`, tag)
}

// recordOf is what a report says of cluster a.
func recordOf(t *testing.T, report reconcile.Report) reconcile.Record {
	t.Helper()
	for _, r := range report.Records {
		if r.Name == "a" {
			return r
		}
	}
	t.Fatal("there is no record of a")
	return reconcile.Record{}
}

func TestAJumpGoesThroughItsStages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", kube("v1.30.2"))
	w.settle()
	for word, want := range map[string]string{"coe_version": "v1.30.2", "container_version": "v2.1.4", "api_address": "https://10.0.0.1:6443"} {
		if got := w.status("a", word); got != want {
			t.Errorf("%s is %q, want %q", word, got, want)
		}
	}
	w.commit("a.yaml", kube("v1.32.1"))
	var told []string
	for range 60 {
		report := w.run()
		if report.Settled() {
			break
		}
		if got, on := recordOf(t, report).Progress, w.status("a", "progress"); got != on && "'"+got+"'" != on {
			t.Errorf("the record says %q and the board %q", got, on)
		}
		if p := recordOf(t, report).Progress; !slices.Contains(told, p) {
			told = append(told, p)
		}
		w.want(w.run(), "wait lab/a")
		w.cloud.Tick()
	}
	var want []string
	for _, stage := range []string{"v1.31.14, then v1.32.1", "v1.32.1"} {
		for done := range 5 {
			want = append(want, fmt.Sprintf("upgrade %d/5 to %s", done, stage))
		}
	}
	if !slices.Equal(told, want) {
		t.Errorf("progress\nhave %q\nwant %q", told, want)
	}
	if got := w.status("a", "coe_version"); got != "v1.32.1" || w.status("a", "progress") != "" {
		t.Errorf("in the end it is at %q with progress %q", got, w.status("a", "progress"))
	}
}

func TestAMasterWaitsForEtcd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", kube("v1.30.2"))
	w.settle()
	w.cloud.SetEtcd("a", diff.EtcdUnhealthy, "no leader")
	w.commit("a.yaml", kube("v1.30.14"))
	report := w.run()
	w.want(report, "upgrade lab/a held by etcd-health")
	if held := recordOf(t, report).Held; len(held) != 1 || !strings.Contains(held[0], "no leader") {
		t.Errorf("held: %q", held)
	}
	for _, o := range w.store.Recall("lab") {
		if o.Etcd != diff.EtcdNotAsked || o.EtcdReason != "" {
			t.Errorf("the answer is remembered: %s, %s", o.Etcd, o.EtcdReason)
		}
	}
	plan, err := w.r.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.want(plan, "upgrade lab/a held by etcd-health")

	w.cloud.SetEtcd("a", diff.EtcdHealthy, "")
	w.run()
	w.cloud.Tick()
	w.cloud.SetEtcd("a", diff.EtcdUnknown, "no route to host")
	w.want(w.run(), "upgrade lab/a held by etcd-health")
	w.cloud.SetEtcd("a", diff.EtcdHealthy, "")
	w.want(w.settle(), "")
}

// mute is a driver that cannot ask, or forgets to answer.
type mute struct {
	drivers.Driver
	err error
}

func (m mute) Probe(context.Context, []diff.Observed) ([]diff.Observed, error) { return nil, m.err }

func TestWhatIsNotAnsweredIsUnknown(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"an error": errDown, "no answer": nil} {
		w := newWorld(t)
		w.commit("a.yaml", kube("v1.30.2"))
		w.settle()
		open := w.cloud.Open
		w.restart()
		w.r.Drivers["heat"] = func(ctx context.Context, o drivers.Options) (drivers.Driver, error) {
			d, err2 := open(ctx, o)
			return mute{d, err}, err2
		}
		w.commit("a.yaml", kube("v1.30.14"))
		if report := w.run(); steps(report) != "upgrade lab/a held by etcd-health" {
			t.Errorf("%s: %s", name, steps(report))
		}
	}
}

// A driver that cannot ask has nothing to say, and then nothing is held.
func TestWhoIsNoProberHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open := w.cloud.Open
	w.r.Drivers["heat"] = func(ctx context.Context, o drivers.Options) (drivers.Driver, error) {
		d, err := open(ctx, o)
		return struct{ drivers.Driver }{d}, err
	}
	w.cloud.SetEtcd("a", diff.EtcdUnhealthy, "no leader")
	w.commit("a.yaml", kube("v1.30.2"))
	w.settle()
	w.commit("a.yaml", kube("v1.30.14"))
	w.want(w.run(), "upgrade lab/a")
}

func TestAStoppedUpgradeSaysWhereAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", kube("v1.30.2"))
	w.settle()
	w.commit("a.yaml", kube("v1.31.4"))
	w.run()
	w.cloud.Tick()
	undo := w.cloud.FailBoot("a-default-master-1", "etcd: no space left on device")
	w.run()
	w.cloud.Tick()

	report := w.run()
	w.want(report, "recover lab/a; upgrade lab/a")
	if nodes := report.Plan.Steps[0].Nodes; !slices.Equal(nodes, []string{"a-default-master-1"}) {
		t.Errorf("recovers %v", nodes)
	}
	rec := recordOf(t, report)
	const why = "upgrade stopped at 1/5: a-default-master-1: etcd: no space left on device"
	if rec.StatusReason != "recover: "+why || rec.Progress != "upgrade 1/5 to v1.31.4" {
		t.Errorf("reason %q, progress %q", rec.StatusReason, rec.Progress)
	}
	if rec.COEVersion != "v1.30.2" {
		t.Errorf("one master is at v1.31.4, and coe_version is %s", rec.COEVersion)
	}
	if !strings.HasPrefix(rec.Advice, "recover has begun to bring back a-default-master-1 and replaces nothing else; ") {
		t.Errorf("advice %q", rec.Advice)
	}
	undo()
	w.want(w.settle(), "")
	if got := w.status("a", "coe_version"); got != "v1.31.4" || w.status("a", "advice") != "" {
		t.Errorf("in the end it is at %q, with advice %q", got, w.status("a", "advice"))
	}
}

// While a guard holds the recover, the status says what stopped.
func TestAStoppedUpgradeThatIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", kube("v1.30.2"))
	w.settle()
	w.commit("a.yaml", kube("v1.31.4"))
	w.cloud.FailBoot("a-default-master-0", "kubelet: no such image")
	w.run()
	w.cloud.Tick()
	w.cloud.SetEtcd("a", diff.EtcdUnhealthy, "two members are away")
	report := w.run()
	w.want(report, "recover lab/a held by etcd-health; upgrade lab/a held by etcd-health")
	rec := recordOf(t, report)
	if rec.Status != "UPDATE_FAILED" || rec.StatusReason != "upgrade stopped at 0/5: a-default-master-0: kubelet: no such image" {
		t.Errorf("%s: %s", rec.Status, rec.StatusReason)
	}
}

func TestAStuckClusterSaysSinceWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.now.Format(time.RFC3339)
	w.commit("a.yaml", cluster("a", "createTimeout: 30"), "b.yaml", cluster("b"))
	w.run()
	w.cloud.Stamp("a", began, "")
	for after, late := range map[time.Duration]bool{45 * time.Minute: false, 61 * time.Minute: true} {
		at := w.now
		w.now = w.now.Add(after)
		rec := recordOf(t, w.run())
		w.now = at
		want := "CREATE_IN_PROGRESS since " + began + ", longer than the 30 minutes that it may take"
		if late != (rec.StatusReason == want) || late != strings.Contains(rec.Advice, "still a-default-worker-0") {
			t.Errorf("after %s: %q, %q", after, rec.StatusReason, rec.Advice)
		}
	}
	w.cloud.Tick()
	w.settle()

	w.commit("a.yaml", cluster("a", "nodeCount: 2"))
	w.run()
	w.cloud.Stamp("a", began, w.now.Format(time.RFC3339))
	w.now = w.now.Add(200 * time.Minute) // what the Heat driver gives an update of Kubernetes
	if rec := recordOf(t, w.run()); strings.Contains(rec.StatusReason, "longer than") {
		t.Errorf("an update within its time: the status says %q", rec.StatusReason)
	}
	w.now = w.now.Add(31 * time.Minute)
	report := w.run()
	if rec := recordOf(t, report); !strings.Contains(rec.StatusReason, "longer than the 200 minutes") {
		t.Errorf("an update is stuck and the status says %q", rec.StatusReason)
	}
	if why := report.Plan.Steps[0].Why; !strings.Contains(why, "UPDATE_IN_PROGRESS since ") {
		t.Errorf("the plan says %q", why)
	}
	w.cloud.Tick()
	w.settle()

	w.commit("a.yaml", cluster("a", "deletionProtection: false"))
	w.settle()
	w.commit("a.yaml", "")
	w.run()
	if rec := recordOf(t, w.run()); rec.Status != "DELETE_IN_PROGRESS" || rec.Advice != "" {
		t.Errorf("a delete that has just begun: %q", rec.Advice)
	}
	w.now = w.now.Add(121 * time.Minute)
	if rec := recordOf(t, w.run()); !strings.Contains(rec.StatusReason, "DELETE_IN_PROGRESS since") || strings.Contains(rec.Advice, "cancel") {
		t.Errorf("a delete is stuck and the status says %q, %q", rec.StatusReason, rec.Advice)
	}
}

// What is wrong with the project is told together with what to do about it.
func TestAdviceFollowsTheReason(t *testing.T) {
	t.Parallel()
	for reason, advice := range map[string]string{
		"Quota exceeded for cores: Requested 4, but already used 20 of 20 cores": "have the project's quota raised",
		"resources.api_lb: ERROR: octavia says provisioning status ERROR":        "load balancer",
		"No valid host was found":                        "no host with room",
		"WaitConditionTimeout: Timed out":                "it took too long",
		"step kubelet-start: unit entered failed state.": "mend what the reason names",
	} {
		w := newWorld(t)
		w.commit("a.yaml", cluster("a"))
		w.settle()
		undo := w.cloud.FailBoot("a-default-worker-1", reason)
		w.commit("a.yaml", cluster("a", "nodeCount: 2"))
		w.run()
		w.cloud.Tick()
		rec := recordOf(t, w.run())
		undo()
		if !strings.Contains(rec.Advice, advice) || !strings.Contains(rec.Advice, "a-default-worker-1 and replaces nothing else") || !strings.Contains(rec.StatusReason, reason) {
			t.Errorf("%s\nstatus %s\nadvice %s", reason, rec.StatusReason, rec.Advice)
		}
	}
}
