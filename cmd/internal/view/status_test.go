package view_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// record is a cluster with nodes in these states.
func record(name, status string, nodes ...diff.NodeState) reconcile.Record {
	r := reconcile.Record{Name: name, Cloud: "lab-demo", Status: status, ClusterTemplateID: "k8s-1-33", NodeCount: max(len(nodes), 1)}
	g := reconcile.RecordGroup{Name: schema.DefaultWorker, Role: "worker", NodeCount: len(nodes), FlavorID: "m1.small", ImageID: "fedora-coreos-42"}
	for i, s := range nodes {
		g.Nodes = append(g.Nodes, reconcile.RecordNode{
			Name: fmt.Sprintf("%s-worker-%d", name, i), State: string(s), Address: fmt.Sprintf("10.0.0.%d", 10+i), Server: fmt.Sprintf("srv-%d", i),
		})
	}
	r.NodeGroups = []reconcile.RecordGroup{g}
	return r
}

func records() []reconcile.Record {
	batch := record("batch", "UPDATE_FAILED", diff.NodeReady, diff.NodeFailed)
	batch.StatusReason = "batch-worker-1: step kubelet-start failed:\nunit kubelet.service \x1b[31mentered failed state\x1b[0m\nno route to host"
	batch.Faults = map[string]string{schema.DefaultWorker: "batch-worker-1: step kubelet-start failed:\n  no route to host"}
	batch.Pending = []string{"recover"}
	batch.Held = []string{"resize gpu: shrink-limit: it removes 4 of 5 nodes, and a step may remove 2"}
	batch.Drift = []string{"tags: the tags that say whose cluster it is are gone"}
	batch.UUID, batch.StackID, batch.COE, batch.ClusterType, batch.ImageID = "b-1", "b-1", "kubernetes", "k8s_fedora_coreos", "fedora-coreos-42"
	batch.Labels = map[string]string{"kube_tag": "v1.33.4", "auto_healing_enabled": "true"}
	batch.Declared, batch.DeletionProtection, batch.CreateTimeout = "fleet/batch.yaml:1:1", true, 60
	batch.APIAddress, batch.CreatedAt, batch.UpdatedAt = "https://10.0.0.5:6443", "2026-03-01T08:00:00Z", "2026-03-04T11:50:00Z"
	batch.NodeGroups[0].MaxNodeCount = 5
	batch.Advice = "the next run recovers batch-worker-1 and replaces nothing else; if that fails again, mend what the reason names"
	batch.COEVersion, batch.ContainerVersion = "v1.33.4", "v2.1.4"
	batch.NodeGroups[0].Nodes[0].Versions = "kubelet=v1.33.4 containerd=v2.1.4"
	batch.HealthStatus = "UNHEALTHY"
	batch.HealthReason = map[string]string{"api": "ok", "batch-worker-0.Ready": "True", "batch-worker-1.Ready": "Unknown"}
	api := record("api", "UPDATE_IN_PROGRESS", diff.NodeReady, diff.NodeReady, diff.NodeReady, diff.NodeMoving)
	api.Progress = "upgrade 3/4 to v1.30.14, then v1.31.14, v1.32.0"
	far := reconcile.Record{Name: "web", Cloud: "lab-far", Status: "UNKNOWN", StatusReason: "list stacks: 503 Service Unavailable", NodeCount: 3, ClusterTemplateID: "k8s-1-33"}
	planned := record("new", "DECLARED")
	planned.Pending, planned.NodeGroups = []string{"create"}, nil
	back := record("back", "UPDATE_IN_PROGRESS", diff.NodeReady, diff.NodeFailed)
	back.StatusReason = "recover: upgrade stopped at 1/2: back-worker-1: no space left on device"
	back.Progress, back.Faults = "upgrade 1/2 to v1.33.4", map[string]string{schema.DefaultWorker: "back-worker-1: no space left on device"}
	back.Advice = "recover has begun to bring back back-worker-1 and replaces nothing else; if that fails again, mend what the reason names"
	return []reconcile.Record{api, back, batch, planned, record("web", "CREATE_COMPLETE", diff.NodeReady, diff.NodeReady), far}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	golden(t, "status.txt", func(w io.Writer) error { return view.StatusText(w, records(), view.Options{}) })
	golden(t, "status-80.txt", func(w io.Writer) error { return view.StatusText(w, records(), view.Options{Width: 80}) })
	golden(t, "status-empty.txt", func(w io.Writer) error { return view.StatusText(w, nil, view.Options{}) })
	golden(t, "status.json", func(w io.Writer) error { return view.StatusJSON(w, records()) })
	golden(t, "status-empty.json", func(w io.Writer) error { return view.StatusJSON(w, nil) })
}

func TestRecord(t *testing.T) {
	t.Parallel()
	golden(t, "record.txt", func(w io.Writer) error { return view.RecordText(w, records()[2], view.Options{}) })
	golden(t, "record.json", func(w io.Writer) error { return view.RecordJSON(w, records()[2]) })
	golden(t, "record-unknown.txt", func(w io.Writer) error { return view.RecordText(w, records()[5], view.Options{}) })
}

func TestProblems(t *testing.T) {
	t.Parallel()
	problems := schema.Problems{
		{Code: schema.CodeUnknownField, Pos: pos("fleet/web.yaml", 14, 11), Pointer: "/spec/flavour", Message: "unknown field", Hint: `did you mean "flavor"?`},
		{Code: schema.CodeDuplicate, Pos: pos("fleet/web.yaml", 20, 3), Message: "the cluster \x1b[2Jlab-demo/web is declared twice"},
		{Code: schema.CodeKind, Message: "there are no documents"},
	}
	golden(t, "problems.txt", func(w io.Writer) error { return view.ProblemsText(w, problems, view.Options{}) })
	golden(t, "problems.ansi", func(w io.Writer) error { return view.ProblemsText(w, problems, view.Options{Color: true}) })
	golden(t, "problems.json", func(w io.Writer) error { return view.ProblemsJSON(w, problems) })
}

func TestFindings(t *testing.T) {
	t.Parallel()
	found := []view.Finding{
		{Subject: "repository", Finding: drivers.Finding{Check: "fetch and validate", Level: drivers.Fine, Detail: "commit 3f2a1b4c has 12 clusters"}},
		{Subject: "cloud lab-demo", Finding: drivers.Finding{Check: "keypairs", Level: drivers.Missing, Detail: "403 \x1b[31mForbidden", Advice: "for the operator: give the role reader\nin the project"}},
		{Subject: "cloud lab-far", Finding: drivers.Finding{Check: "token", Level: drivers.Bad, Detail: "401 Unauthorized"}},
	}
	golden(t, "findings.txt", func(w io.Writer) error { return view.FindingsText(w, found, view.Options{}) })
	golden(t, "findings.json", func(w io.Writer) error { return view.FindingsJSON(w, found) })
	golden(t, "findings-empty.json", func(w io.Writer) error { return view.FindingsJSON(w, nil) })
}

func TestReport(t *testing.T) {
	t.Parallel()
	p := mixed()
	r := reconcile.Report{Run: "0a1b2c3d4e5f", StartedAt: noon(), Plan: p.Plan, Snapshot: reconcile.Snapshot{Commit: p.Commit, Tree: p.Tree}, Records: records()}
	r.StatusError = errors.New("push status: the remote hung up")
	step := func(op diff.Op, name, group string) diff.Step {
		return diff.Step{Op: op, Cluster: key(name), Group: group, Operation: "op-" + name}
	}
	requests := 0
	failure := func(kind drivers.Kind, text string) error {
		requests++
		return fmt.Errorf("start: %w", &drivers.Error{Kind: kind, Op: "update stack", Request: fmt.Sprintf("req-%d", requests), Err: errors.New(text)})
	}
	r.Results = []reconcile.Result{
		{Step: step(diff.Create, "web", "")},
		{Step: step(diff.Resize, "api", "gpu")},
		{Step: step(diff.Upgrade, "a", ""), Err: failure(drivers.Transient, "503\nService Unavailable")},
		{Step: step(diff.Upgrade, "b", ""), Err: failure(drivers.Rejected, "quota exceeded for instances")},
		{Step: step(diff.Upgrade, "c", ""), Err: failure(drivers.Denied, "policy does not allow stacks:update")},
		{Step: step(diff.Upgrade, "d", ""), Err: failure(drivers.Conflict, "the stack is at v8")},
		{Step: step(diff.Upgrade, "e", ""), Err: errors.New("no such cloud")},
		{Step: step(diff.Upgrade, "f", ""), Err: context.Canceled},
	}
	for i := range 7 {
		r.Results = append(r.Results,
			reconcile.Result{Step: step(diff.Update, fmt.Sprintf("u-%d", i), "")},
			reconcile.Result{Step: step(diff.Create, fmt.Sprintf("q-%d", i), ""), Err: failure(drivers.Rejected, "quota exceeded for cores")})
	}
	r.Draining = []reconcile.Draining{{Step: step(diff.Resize, "g", "gpu"), Left: []string{"draining g-gpu-1: 1 pod left, shop/db-0 (disruption budget shop/db)"}}}
	golden(t, "report.txt", func(w io.Writer) error { return view.ReportText(w, r, view.Options{}) })
	golden(t, "report.json", func(w io.Writer) error { return view.ReportJSON(w, r, "v0.1.0") })
	golden(t, "report-nothing.txt", func(w io.Writer) error {
		return view.ReportText(w, reconcile.Report{Plan: diff.Plan{InSync: 3}}, view.Options{})
	})
}
