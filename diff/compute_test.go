package diff_test

import (
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// TestRules is the rules one a line: what is wanted, what is there, the steps.
func TestRules(t *testing.T) {
	t.Parallel()
	check := func(want, have, steps string) {
		t.Helper()
		if got := short(diff.Compute(wanted(t, want), there(t, have), diff.Policy{})); got != steps {
			t.Errorf("want  %s\nhave  %s\ngot   %s\nsteps %s", want, have, got, steps)
		}
	}

	// In sync, new, unwanted.
	check("a", "a", "")
	check("", "", "")
	check("a", "", "create a")
	check("a, b", "b", "create a")
	check("", "a", "delete a {deletion-protection}")
	check("c", "a foreign, b DELETE_COMPLETE, c", "")
	check("a", "a foreign", "create a {foreign}")
	check("a", "a DELETE_COMPLETE", "create a {deleted-outside}")

	// Nothing is done to what moves or is not known.
	check("a x3", "a CREATE_IN_PROGRESS", "wait a 2/2")
	check("a x3", "a UPDATE_FAILED moving default-worker-0=failed", "wait a 1/2")
	check("a x3", "a x2 UPDATE_IN_PROGRESS default-worker-0=old", "wait a 2/3")
	check("a", "a DELETE_IN_PROGRESS", "wait a 2/2")
	check("", "a DELETE_IN_PROGRESS", "wait a 2/2")
	check("a", "a DELETE_FAILED", "none a {half-deleted}")
	check("a x3", "a unread", "none a {unknown}")
	check("a x3", "a RESIZING", "none a {unknown}")
	check("", "a unread", "delete a {unknown}")

	// One field each.
	check("a x3", "a", "resize a default-worker worker/nodeCount:1->3")
	check("a x3", "a x4", "resize a default-worker worker/nodeCount:4->3 [default-worker-3]")
	check("a v1.31", "a", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/2")
	check("a image=i2", "a", "upgrade a image:img->i2 [default-master-0] 0/2")
	check("a x2 default-worker.flavor=f", "a x2", "upgrade a worker/flavor:small->f [default-worker-0] 1/3")
	check("a default-worker.volume=20", "a", "upgrade a worker/dockerVolumeSize:0->20 [default-worker-0] 1/2")
	check("a dns=8.8.8.8", "a", `update a dnsNameservers:->["8.8.8.8"]`)
	check("a default-worker.max=4", "a", "update a worker/maxNodeCount:0->4")
	check("a monitoring_enabled=true", "a", "update a monitoring_enabled:->true")
	check("a some_new_label=1", "a", "upgrade a some_new_label:->1 [default-master-0] 0/2")
	check("a kubeapi_options=-v", "a", "upgrade a kubeapi_options:->-v [default-master-0] 1/2")
	check("a net=calico", "a", "none a networkDriver:flannel->calico {immutable}")
	check("a m3", "a", "none a master/nodeCount:1->3 {immutable}")
	check("a default-worker.role=infra", "a", "none a worker/role:worker->infra {immutable}")

	// Groups.
	check("a gpu:2", "a", "create-group a gpu gpu")
	check("a", "a gpu:2", "delete-group a gpu gpu [gpu-0 gpu-1]")
	check("a gpu:2", "a gpu:1", "resize a gpu gpu/nodeCount:1->2")
	check("a gpu:2 gpu.image=i2", "a gpu:2", "upgrade a gpu/image:img->i2 [gpu-0] 2/4")
	check("a gpu:2 gpu.kubelet_options=-v", "a gpu:2", "upgrade a gpu/labels/kubelet_options:->-v [gpu-0] 2/4")

	// A group that has the cluster's value on both sides is not spoken of again.
	check("a image=i2 gpu:1 gpu.image=i2", "a gpu:1", "upgrade a image:img->i2 [default-master-0] 0/3")
	check("a v1.31 gpu:1 gpu.cgroup_driver=x", "a gpu:1 gpu.cgroup_driver=x", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/3")

	// A zone can change while nobody is in it.
	check("a availability_zone=z", "a", "none a availability_zone:->z {immutable}")
	check("a gpu:1 gpu.availability_zone=z", "a gpu:1", "none a gpu/labels/availability_zone:->z {immutable}")
	check("a gpu:0 gpu.availability_zone=z", "a gpu:0", "update a gpu/labels/availability_zone:->z")

	// All at once, in the order in which it is carried out.
	check("a v1.31 x2 dns=1.1.1.1 net=calico old:1 new:1", "a x1 old:2 gone:1",
		`none a networkDriver:flannel->calico {immutable}; update a dnsNameservers:->["1.1.1.1"]; create-group a new new; `+
			"resize a default-worker worker/nodeCount:1->2; upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/5; "+
			"resize a old old/nodeCount:2->1 [old-1]; delete-group a gone gone [gone-0]")

	// An upgrade goes on until no node is left, masters first and one at a time.
	check("a m3 x3", "a m3 x3 default-master-1=old default-master-2=old default-worker-0=old", "upgrade a [default-master-1] 3/6")
	check("a x3 batch=2", "a x3 default-worker-0=old default-worker-1=old default-worker-2=old", "upgrade a [default-worker-0 default-worker-1] 1/4")
	check("a", "a default-worker-0=unknown", "")
	check("a v1.31", "a default-master-0=unknown default-worker-0=unknown", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/2")

	// Who goes when a group shrinks: the named, the broken, the outdated, the last.
	check("a x3", "a x4 default-worker-1=old", "upgrade a [default-worker-1] 4/5; resize a default-worker worker/nodeCount:4->3 [default-worker-1]")
	check("a x4 drop=default-worker-0 drop=nobody", "a x6", "resize a default-worker worker/nodeCount:6->4 [default-worker-0 default-worker-5]")
	check("a x0", "a x1", "resize a default-worker worker/nodeCount:1->0 [default-worker-0]")
	check("a x1", "a x4", "resize a default-worker worker/nodeCount:4->1 [default-worker-3 default-worker-2 default-worker-1] {shrink-limit}")
	check("a x2", "a x4", "resize a default-worker worker/nodeCount:4->2 [default-worker-3 default-worker-2]")

	// Recover takes what may have mended the cause; what goes comes last.
	check("a", "a UPDATE_FAILED", "recover a")
	check("a", "a x1 default-worker-0=missing", "recover a [default-worker-0]")
	check("a v1.31", "a CREATE_FAILED default-worker-0=failed", "recover a kube_tag:v1.30->v1.31 [default-worker-0]; upgrade a [default-master-0] 1/2")
	check("a x3", "a x4 default-worker-0=failed", "recover a worker/nodeCount:4->3 [default-worker-0]")
	check("a x2", "a x4 default-worker-0=failed",
		"recover a worker/nodeCount:4->2 [default-worker-0 default-worker-3]")
	check("a x3 drop=default-worker-1", "a x4 default-worker-0=failed", "recover a worker/nodeCount:4->3 [default-worker-0 default-worker-1]")
	check("a", "a gpu:2 gpu-0=missing", "recover a gpu [gpu-0 gpu-1]")
	check("a x1", "a x4 default-worker-0=failed",
		"recover a [default-worker-0]; resize a default-worker worker/nodeCount:4->1 [default-worker-3 default-worker-2 default-worker-1] {shrink-limit}")
	check("a x1 window", "a x1 default-worker-0=failed", "recover a [default-worker-0]") // it mends more than it disturbs
	check("a net=calico", "a UPDATE_FAILED", "recover a; none a networkDriver:flannel->calico {immutable}")

	// Lost tags are written again.
	check("a", "a lost", "adopt a")
	check("a x2", "a lost UPDATE_FAILED", "recover a worker/nodeCount:1->2; adopt a")

	// What policy of the cluster holds.
	check("a x2 suspended", "a", "resize a default-worker worker/nodeCount:1->2 {suspended}")
	check("a suspended", "a UPDATE_IN_PROGRESS", "wait a 2/2")
	check("a suspended", "", "create a {suspended}")
	check("a window v1.31 x2", "a", "resize a default-worker worker/nodeCount:1->2; upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/2 {maintenance}")
	check("a window v1.31", "a v1.31 default-worker-0=old", "upgrade a [default-worker-0] 1/2 {maintenance}") // the next batch as well as the first
	check("a window x1", "a x2 default-worker-0=failed", "recover a [default-worker-0]; resize a default-worker worker/nodeCount:2->1 [default-worker-1] {maintenance}")
	check("b prev=a", "a", "create b {rename}; delete a {rename}")
	check("b prev=a", "", "create b")
	check("b prev=a", "a foreign", "create b")
}

// TestNewGroupIsNoNewerThanMasters is about a group that repeats the version
// which the cluster is upgraded to at the same time.
func TestNewGroupIsNoNewerThanMasters(t *testing.T) {
	t.Parallel()
	plan := diff.Compute(wanted(t, "a v1.31 gpu:1 gpu.cgroup_driver=x"), there(t, "a"), diff.Policy{})
	if got := short(plan); got != "create-group a gpu gpu; upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/2" {
		t.Fatal(got)
	}
	for i, kube := range []string{"v1.30", "v1.31"} {
		g, _ := plan.Steps[i].To.Group("gpu")
		if labels := plan.Steps[i].To.LabelsOf(g); labels["kube_tag"] != kube || labels["cgroup_driver"] != "x" {
			t.Errorf("after %s the group has %v", plan.Steps[i].Op, labels)
		}
	}
}

// TestOneOfAName is about a driver that breaks its promise: nothing is done to
// a name that several of our clusters have, and nobody can acknowledge it.
func TestOneOfAName(t *testing.T) {
	t.Parallel()
	policy := diff.Policy{SeenUnprotected: map[schema.Key]bool{{Cloud: "c", Name: "a"}: true}}
	for _, c := range []struct{ want, have, steps string }{
		{"a x2", "a, a", "none a {unknown}"},
		{"", "a, a, a", "delete a {unknown}"},
		{"a", "a foreign, a", ""},
		{"a", "a DELETE_COMPLETE, a, a DELETE_COMPLETE", ""},
		{"", "a foreign, a foreign", ""},
	} {
		plan := diff.Compute(wanted(t, c.want), there(t, c.have), policy)
		if got := short(plan); got != c.steps {
			t.Errorf("want %s have %s: got %s, not %s", c.want, c.have, got, c.steps)
		}
		for _, s := range plan.Steps {
			if s.Held.Ack != "" {
				t.Errorf("want %s have %s: can be acknowledged", c.want, c.have)
			}
		}
	}
}

// TestHeldStepAsksForNothing is about a step after a held one: what it asks for
// must not bring in what is held.
func TestHeldStepAsksForNothing(t *testing.T) {
	t.Parallel()
	want := wanted(t, "a x1 default-worker.max=5 monitoring_enabled=true")
	policy := diff.Policy{Objections: map[schema.Key][]diff.Objection{want.Clusters[0].Key: {{Field: "labels/monitoring_enabled", Reason: "no"}}}}
	plan := diff.Compute(want, there(t, "a x2"), policy)
	got := short(plan)
	if got != "update a monitoring_enabled:->true worker/maxNodeCount:0->5 {pre-flight}; resize a default-worker worker/nodeCount:2->1 [default-worker-1]" {
		t.Fatal(got)
	}
	g := plan.Steps[1].To.Groups[1]
	if g.NodeCount != 1 || g.MaxNodeCount != 0 || plan.Steps[1].To.Labels["monitoring_enabled"] != "" {
		t.Errorf("the resize asks for %+v, %v", g, plan.Steps[1].To.Labels)
	}
}

// TestFingerprint is about what is another plan and what is not.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	print := func(want, have string, change func(*schema.Fleet, *diff.Have, *diff.Policy)) string {
		w, h, p := wanted(t, want), there(t, have), diff.Policy{}
		change(w, &h, &p)
		return diff.Compute(w, h, p).Fingerprint
	}
	same := func(*schema.Fleet, *diff.Have, *diff.Policy) {}
	base := print("a x1, b", "a x4", same)
	for name, other := range map[string]string{
		"acknowledged": print("a x1, b", "a x4", func(w *schema.Fleet, h *diff.Have, p *diff.Policy) {
			plan := diff.Compute(w, *h, *p)
			held := plan.HeldSteps()[0].Held
			p.Acks = map[string]map[string]bool{held.Guard: {held.Ack: true}}
		}),
		"moved": print("a x1, b", "a x4", func(w *schema.Fleet, _ *diff.Have, _ *diff.Policy) {
			w.Clusters[0].Pos = schema.Pos{File: "elsewhere.yaml", Line: 7, Column: 1}
		}),
	} {
		if other != base {
			t.Errorf("%s: another fingerprint", name)
		}
	}
	for name, other := range map[string]string{
		"another version": print("a x1, b", "a x4", func(_ *schema.Fleet, h *diff.Have, _ *diff.Policy) { h.Clusters[0].Version = "v2" }),
		"another size":    print("a x2, b", "a x4", same),
		"another create":  print("a x1, b x2", "a x4", same),
		"other nodes":     print("a x1 drop=default-worker-0, b", "a x4", same),
	} {
		if other == base {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
}

// A cloud has a word for a cluster that is well, too; it is no reason to mend one.
func TestWhyANodeIsMissing(t *testing.T) {
	t.Parallel()
	have := there(t, "a")
	have.Clusters[0].Reason = "Stack UPDATE completed successfully"
	n := &have.Clusters[0].Nodes[0]
	n.State, n.Reason = diff.NodeMissing, "its server is gone"
	plan := diff.Compute(wanted(t, "a"), have, diff.Policy{})
	if want := "1 node is missing: " + n.Name + ": its server is gone"; len(plan.Steps) != 1 || plan.Steps[0].Why != want {
		t.Errorf("have %+v\nwant one step, because %q", plan.Steps, want)
	}
}
