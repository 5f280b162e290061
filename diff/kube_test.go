package diff_test

import (
	"strings"
	"testing"

	"jeroboam.io/jeroboam/diff"
)

// TestKubeRules is the rules of versions, one a line: what is wanted, what is
// there, the steps.
func TestKubeRules(t *testing.T) {
	t.Parallel()
	check := func(want, have, steps string) {
		t.Helper()
		if got := short(diff.Compute(wanted(t, want), there(t, have), diff.Policy{})); got != steps {
			t.Errorf("want  %s\nhave  %s\ngot   %s\nsteps %s", want, have, got, steps)
		}
	}

	// One minor version at a time, whatever else changes with the last.
	check("a v1.30.2", "a v1.29.4", "upgrade a kube_tag:v1.29.4->v1.30.2 [default-master-0] 0/2")
	check("a v1.32.0", "a v1.29.4", "upgrade a kube_tag:v1.29.4->v1.30.14 [default-master-0] 0/2; "+
		"upgrade a kube_tag:v1.30.14->v1.31.14 0/2; upgrade a kube_tag:v1.31.14->v1.32.0 0/2")
	check("a v1.31.0 image=i2 dns=1.1.1.1 x2", "a v1.29.4", `update a dnsNameservers:->["1.1.1.1"]; resize a default-worker worker/nodeCount:1->2; `+
		"upgrade a kube_tag:v1.29.4->v1.30.14 [default-master-0] 0/2; upgrade a image:img->i2 kube_tag:v1.30.14->v1.31.0 0/2")
	check("a v1.25.3", "a v1.23.1", "upgrade a kube_tag:v1.23.1->v1.25.3 [default-master-0] 0/2 {version-gap}")
	check("a v1.32.3-r1", "a v1.30.1-r1", "upgrade a kube_tag:v1.30.1-r1->v1.32.3-r1 [default-master-0] 0/2 {version-gap}")
	check("a v2.0.0", "a v1.30.1", "upgrade a kube_tag:v1.30.1->v2.0.0 [default-master-0] 0/2 {version-gap}")
	check("a v1.24.3", "a v1.23.1", "upgrade a kube_tag:v1.23.1->v1.24.3 [default-master-0] 0/2")

	// What is no version of Kubernetes is as any other label.
	check("a v1.32", "a v1.29.4", "upgrade a kube_tag:v1.29.4->v1.32 [default-master-0] 0/2")
	check("a coe=mesos v1.32.0", "a coe=mesos v1.29.4", "upgrade a kube_tag:v1.29.4->v1.32.0 [default-master-0] 0/2")

	// What was asked before is ended first, unless only the patch changes.
	check("a m3 v1.31.0", "a m3 v1.30.14 default-master-2=old default-worker-0=old",
		"upgrade a [default-master-2] 2/4; upgrade a kube_tag:v1.30.14->v1.31.0 0/4")
	check("a m3 v1.30.9", "a m3 v1.30.14 default-master-2=old default-worker-0=old", "upgrade a kube_tag:v1.30.14->v1.30.9 [default-master-0] 0/4")
	check("a v1.31.0 image=i2", "a v1.30.14 default-worker-0=old", "upgrade a [default-worker-0] 1/2; upgrade a image:img->i2 kube_tag:v1.30.14->v1.31.0 0/2")

	// Never down, unless no node came up with the newer one.
	check("a v1.30.1", "a v1.30.4", "upgrade a kube_tag:v1.30.4->v1.30.1 [default-master-0] 0/2")
	check("a v1.29.9", "a v1.30.4", "upgrade a kube_tag:v1.30.4->v1.29.9 [default-master-0] 0/2 {downgrade}")
	check("a v1.29.9 x2", "a v1.30.4", "resize a default-worker worker/nodeCount:1->2; upgrade a kube_tag:v1.30.4->v1.29.9 [default-master-0] 0/2 {downgrade}")
	check("a v1.29.9 m3", "a v1.30.4 m3 UPDATE_FAILED default-master-0=failed default-master-1=old@v1.29.9 default-master-2=old@v1.29.8 default-worker-0=old@v1.29.9",
		"recover a kube_tag:v1.30.4->v1.29.9 [default-master-0] 0/4; upgrade a [default-master-1] 1/4")
	check("a v1.29.9 m3", "a v1.30.4 m3 UPDATE_FAILED default-master-0=ready@v1.30.4 default-master-1=failed@v1.29.9 default-master-2=old@v1.29.8 default-worker-0=old",
		"recover a [default-master-1] 1/4; upgrade a kube_tag:v1.30.4->v1.29.9 [default-master-0] 0/4 {downgrade}")
	check("a v1.29.9 m3", "a v1.30.4 m3 UPDATE_FAILED default-master-0=failed default-master-1=old default-master-2=old default-worker-0=old",
		"recover a [default-master-0] 0/4; upgrade a kube_tag:v1.30.4->v1.29.9 [default-master-0] 0/4 {downgrade}")
	check("a v1.28.9 m3", "a v1.30.4 m3 UPDATE_FAILED default-master-0=failed default-master-1=old@v1.29.9 default-master-2=old@v1.29.8 default-worker-0=old",
		"recover a [default-master-0] 0/4; upgrade a kube_tag:v1.30.4->v1.28.9 [default-master-0] 0/4 {downgrade}")

	// A create that failed before a master worked may become any version.
	check("a v1.33.1", "a v1.36.9 CREATE_FAILED default-master-0=failed default-worker-0=failed",
		"recover a kube_tag:v1.36.9->v1.33.1 [default-master-0 default-worker-0]")
	check("a v1.33.1", "a v1.30.9 CREATE_FAILED default-worker-0=failed",
		"recover a [default-worker-0]; upgrade a kube_tag:v1.30.9->v1.31.14 [default-master-0] 0/2; upgrade a kube_tag:v1.31.14->v1.32.13 0/2; upgrade a kube_tag:v1.32.13->v1.33.1 0/2")

	// A recover brings nothing to a newer minor version, but to another patch.
	check("a v1.31.0 image=i2", "a v1.30.9 default-worker-0=failed",
		"recover a image:img->i2 [default-worker-0]; upgrade a [default-master-0] 1/2; upgrade a kube_tag:v1.30.9->v1.31.0 0/2")
	check("a v1.30.14", "a v1.30.9 default-worker-0=failed", "recover a kube_tag:v1.30.9->v1.30.14 [default-worker-0]; upgrade a [default-master-0] 1/2")

	// Groups of their own version: not newer than the masters, nor much older.
	check("a v1.32.0 gpu:1 gpu.kube_tag=v1.30.1", "a v1.31.0 gpu:1 gpu.kube_tag=v1.30.1", "upgrade a kube_tag:v1.31.0->v1.32.0 [default-master-0] 1/3")
	check("a v1.34.0 gpu:1 gpu.kube_tag=v1.30.1", "a v1.32.0 gpu:1 gpu.kube_tag=v1.30.1",
		"upgrade a kube_tag:v1.32.0->v1.33.13 [default-master-0] 1/3; upgrade a kube_tag:v1.33.13->v1.34.0 1/3 {version-skew}")
	check("a v1.31.0 gpu:1 gpu.kube_tag=v1.32.1", "a v1.31.0 gpu:1", "upgrade a gpu/labels/kube_tag:v1.31.0->v1.32.1 [gpu-0] 2/3 {version-skew}")
	check("a v1.31.0 gpu:1 gpu.kube_tag=v1.31.1", "a v1.29.2 gpu:1 gpu.kube_tag=v1.28.9",
		"upgrade a kube_tag:v1.29.2->v1.30.14 gpu/labels/kube_tag:v1.28.9->v1.30.14 [default-master-0] 0/3; "+
			"upgrade a kube_tag:v1.30.14->v1.31.0 gpu/labels/kube_tag:v1.30.14->v1.31.1 0/3")
	check("a v1.31.0 gpu:1 gpu.kube_tag=v1.31.1", "a v1.31.0 gpu:1 gpu.kube_tag=v1.28.9", "upgrade a gpu/labels/kube_tag:v1.28.9->v1.31.1 [gpu-0] 2/3")
	check("a v1.31.0 gpu:1 gpu.kube_tag=v1.29.1", "a v1.31.0 gpu:1 gpu.kube_tag=v1.30.9", "upgrade a gpu/labels/kube_tag:v1.30.9->v1.29.1 [gpu-0] 2/3 {downgrade}")
	check("a v1.31.0 gpu:1 gpu.kube_tag=v1.29.1", "a v1.31.0 gpu:1 gpu.kube_tag=v1.30.9 gpu-0=failed", "recover a gpu/labels/kube_tag:v1.30.9->v1.29.1 [gpu-0]")
	check("a v1.32.0 gpu:1 gpu.kube_tag=v1.31.1", "a v1.30.2",
		"create-group a gpu gpu {version-skew}; upgrade a kube_tag:v1.30.2->v1.31.14 [default-master-0] 0/2; upgrade a kube_tag:v1.31.14->v1.32.0 0/2")
	check("a v1.31.2 gpu:1 gpu.kube_tag=v1.31.1", "a v1.31.2", "create-group a gpu gpu")

	// While masters are behind, no node boots with what they have yet to come to.
	check("a v1.31.0 x2", "a v1.31.0 default-master-0=old@v1.30.2 default-worker-0=old@v1.30.2",
		"upgrade a [default-master-0] 0/2; resize a default-worker worker/nodeCount:1->2")
	check("a v1.31.0", "a v1.31.0 default-master-0=old@v1.30.2 default-worker-0=missing",
		"upgrade a [default-master-0] 1/2; recover a [default-worker-0] 0/2")
	check("a v1.31.0", "a v1.31.0 default-master-0=old@v1.31.0 default-worker-0=missing",
		"recover a [default-worker-0] 0/2; upgrade a [default-master-0] 1/2")

	// A stage that is held holds those after it.
	check("a v1.31.0 suspended", "a v1.29.4", "upgrade a kube_tag:v1.29.4->v1.30.14 [default-master-0] 0/2 {suspended}; upgrade a kube_tag:v1.30.14->v1.31.0 0/2 {suspended}")
	check("a m3 v1.31.0", "a m3 v1.29.4 etcd=unhealthy", "upgrade a kube_tag:v1.29.4->v1.30.14 [default-master-0] 0/4 {etcd-health}; upgrade a kube_tag:v1.30.14->v1.31.0 0/4 {etcd-health}")
}

// TestQuorumRules is about masters that may hold data.
func TestQuorumRules(t *testing.T) {
	t.Parallel()
	check := func(want, have, steps string) {
		t.Helper()
		if got := short(diff.Compute(wanted(t, want), there(t, have), diff.Policy{})); got != steps {
			t.Errorf("want  %s\nhave  %s\ngot   %s\nsteps %s", want, have, got, steps)
		}
	}
	// An upgrade waits for etcd where there are other members.
	check("a m3 v1.31", "a m3", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/4")
	check("a m3 v1.31", "a m3 etcd=healthy", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/4")
	check("a m3 v1.31", "a m3 etcd=unhealthy", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/4 {etcd-health}")
	check("a m3 v1.31", "a m3 etcd=unknown", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/4 {etcd-health}")
	check("a m3 v1.31", "a m3 etcd=rosy", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/4 {etcd-health}")
	check("a v1.31", "a etcd=unknown", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/2")
	check("a m3", "a m3 default-worker-0=old etcd=unhealthy", "upgrade a [default-worker-0] 3/4")

	// The only master takes etcd's data with it, unless that is on its own volume.
	check("a v1.31 etcd_volume_size=0", "a etcd_volume_size=0", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/2 {etcd-data}")
	check("a v1.31 m3 etcd_volume_size=0", "a m3 etcd_volume_size=0", "upgrade a kube_tag:v1.30->v1.31 [default-master-0] 0/4")
	check("a etcd_volume_size=0", "a etcd_volume_size=0 default-worker-0=old", "upgrade a [default-worker-0] 1/2")
	check("a etcd_volume_size=0", "a etcd_volume_size=0 default-master-0=missing", "recover a [default-master-0]")

	// Failed masters go one at a time, before workers, while one of them works.
	check("a m3 x2", "a m3 x2 UPDATE_FAILED default-master-0=failed default-master-2=failed default-worker-1=failed", "recover a [default-master-0]")
	check("a m3", "a m3 UPDATE_FAILED default-master-0=failed etcd=unknown", "recover a [default-master-0] {etcd-health}")
	check("a m3", "a m3 UPDATE_FAILED default-master-0=failed etcd=healthy", "recover a [default-master-0]")
	check("a m3 x2", "a m3 x2 UPDATE_FAILED default-worker-0=failed default-worker-1=failed etcd=unhealthy", "recover a [default-worker-0 default-worker-1]")

	// Servers that are gone come back at once, before one is replaced.
	check("a m3", "a m3 default-master-0=failed default-master-1=missing etcd=unhealthy", "recover a [default-master-1]")
	check("a m5", "a m5 default-master-0=missing default-master-1=missing default-worker-0=missing etcd=unknown", "recover a [default-master-0 default-master-1]")

	// Where no master works there is nothing to wait for.
	check("a m3", "a m3 CREATE_FAILED default-master-0=failed default-master-1=failed default-master-2=failed default-worker-0=failed etcd=unknown",
		"recover a [default-master-0 default-master-1 default-master-2 default-worker-0]")
	check("a", "a UPDATE_FAILED default-master-0=failed default-worker-0=failed etcd=unknown", "recover a [default-master-0 default-worker-0]")

	// What goes does not wait; what is added does.
	check("a m3 x1", "a m3 x2 UPDATE_FAILED default-master-0=failed default-worker-0=failed", "recover a worker/nodeCount:2->1 [default-master-0 default-worker-0]")
	check("a m3 x3", "a m3 x2 UPDATE_FAILED default-master-0=failed", "recover a [default-master-0]; resize a default-worker worker/nodeCount:2->3")
	check("a m3 gpu:1", "a m3 UPDATE_FAILED default-master-0=failed", "recover a [default-master-0]; create-group a gpu gpu")
}

// TestQuorumAcknowledged is about what a person may know and we do not. That
// etcd is ill we do know.
func TestQuorumAcknowledged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, have string
		ack        bool
	}{
		{"a m3 v1.31", "a m3 etcd=unknown", true},
		{"a m3 v1.31", "a m3 etcd=unhealthy", false},
		{"a m3", "a m3 UPDATE_FAILED default-master-0=failed default-master-1=failed etcd=unhealthy", true},
	} {
		plan := diff.Compute(wanted(t, c.want), there(t, c.have), diff.Policy{})
		held := plan.Steps[0].Held
		if held == nil || held.Ack != "" != c.ack {
			t.Errorf("want %s have %s: %+v", c.want, c.have, held)
			continue
		}
		if !c.ack {
			continue
		}
		policy := diff.Policy{Acks: map[string]map[string]bool{held.Guard: {held.Ack: true}}}
		if plan = diff.Compute(wanted(t, c.want), there(t, c.have), policy); plan.Steps[0].Held != nil {
			t.Errorf("want %s have %s: held by %+v in spite of its token", c.want, c.have, plan.Steps[0].Held)
		}
		later := there(t, c.have)
		later.Clusters[0].Version = "v2"
		if plan = diff.Compute(wanted(t, c.want), later, policy); plan.Steps[0].Held == nil {
			t.Errorf("want %s have %s: the token lets the next master through as well", c.want, c.have)
		}
	}
}

// TestWantsProbe is about which clusters are asked.
func TestWantsProbe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ want, have, asked string }{
		{"a m3 v1.31", "a m3", "c/a"},
		{"a m3 v1.31 x2", "a m3", ""}, // the workers come first
		{"a m3 v1.31 suspended", "a m3", ""},
		{"a v1.31", "a", ""},
		{"a m3", "a m3 default-worker-0=old", ""},
		{"a m3", "a m3 UPDATE_FAILED default-master-1=failed", "c/a"},
		{"a m3", "a m3 default-master-1=missing", ""},
		{"b m3 image=i2, a m3 image=i2", "a m3, b m3", "c/a c/b"},
	} {
		policy := diff.Policy{}
		policy.Limits.DisruptivePercent = 100
		var asked []string
		for _, k := range diff.WantsProbe(diff.Compute(wanted(t, c.want), there(t, c.have), policy)) {
			asked = append(asked, k.String())
		}
		if got := strings.Join(asked, " "); got != c.asked {
			t.Errorf("want %s have %s: asked %q, not %q", c.want, c.have, got, c.asked)
		}
	}
}
