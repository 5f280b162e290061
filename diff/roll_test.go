package diff_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// TestRolls carries out the plans of a cluster that jumps versions, with boots
// that fail, servers that somebody deletes, an etcd that is ill and an author
// who changes the target, until the plan is empty. On the way never more than
// one working master is replaced at a time, and never while etcd may be ill, no
// stage is left out, no node is newer than a master, and nothing that works and
// stays is touched by a recover.
func TestRolls(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawRoll(t)
		trouble := rapid.IntRange(0, 8).Draw(t, "trouble")
		for round := 0; ; round++ {
			if round > 400 {
				t.Fatalf("after %d rounds: %s", round, short(r.plan()))
			}
			plan := r.plan()
			due := plan.Due()
			if len(due) == 0 && len(plan.HeldSteps()) > 0 {
				r.have.Clusters[0].Etcd = diff.EtcdHealthy // somebody mended it
				if again := r.plan(); len(again.Due()) == 0 {
					t.Fatalf("it stands still: %s", long(plan))
				}
				continue
			}
			if len(plan.Steps) == 0 {
				break
			}
			r.check(t, due[0])
			r.boot(t, due[0], trouble > 0)
			if trouble--; trouble > 0 {
				r.disturb(t)
			}
		}
		r.arrived(t)
	})
}

// roll is a world of one cluster, and the versions that its masters had.
type roll struct {
	world
	reached []schema.KubeVersion // by the cluster, in order
	to      string
}

func drawRoll(t *rapid.T) *roll {
	spec := plain()
	spec.Labels["kube_tag"] = rapid.SampledFrom([]string{"v1.29.4", "v1.30.14", "v1.31.1"}).Draw(t, "from")
	spec.Groups[0].NodeCount = rapid.SampledFrom([]int{1, 3, 3, 5}).Draw(t, "masters")
	spec.Groups[1].NodeCount = rapid.IntRange(0, 4).Draw(t, "workers")
	c := &schema.Cluster{Key: schema.Key{Cloud: "c", Name: "a"}, Spec: spec, Policy: schema.Policy{MaxBatchSize: rapid.IntRange(1, 3).Draw(t, "batch")}}
	r := &roll{}
	r.have = diff.FromFleet(&schema.Fleet{Clusters: []*schema.Cluster{c}})
	for i := range r.have.Clusters[0].Nodes {
		r.have.Clusters[0].Nodes[i].Versions = "kubelet=" + spec.Labels["kube_tag"]
	}
	next := *c
	r.want = &schema.Fleet{Clusters: []*schema.Cluster{&next}}
	r.ask(t, "v1.31.9", "v1.32.0", "v1.33.2")
	r.note(spec.Labels["kube_tag"])
	return r
}

// ask is a commit with another version.
func (r *roll) ask(t *rapid.T, tags ...string) {
	c := *r.want.Clusters[0]
	c.Spec.Labels = maps.Clone(c.Spec.Labels)
	c.Spec.Labels["kube_tag"] = rapid.SampledFrom(tags).Draw(t, "kube_tag")
	c.Spec.Image = rapid.SampledFrom([]string{"img", "i2"}).Draw(t, "image")
	r.want.Clusters[0], r.to = &c, c.Spec.Labels["kube_tag"]
}

func (r *roll) note(tag string) {
	if v, _ := schema.ParseKube(tag); len(r.reached) == 0 || r.reached[len(r.reached)-1] != v {
		r.reached = append(r.reached, v)
	}
}

// check is what must hold of a step that is started.
func (r *roll) check(t *rapid.T, s diff.Step) {
	o := &r.have.Clusters[0]
	replaced, working, broken := 0, 0, 0
	for _, n := range o.Nodes {
		master, named := n.Group == schema.DefaultMaster, slices.Contains(s.Nodes, n.Name)
		switch {
		case master && named && n.State != diff.NodeMissing:
			replaced++
		case master && n.State == diff.NodeReady:
			working++
		case master && !named:
			broken++
		}
		if named && s.Op == diff.Recover && n.State == diff.NodeReady {
			t.Fatalf("a recover touches %s, which works: %s", n.Name, short(r.plan()))
		}
		if named && !master && (s.Op == diff.Upgrade || o.Status != diff.UpdateFailed) && r.lowest() < minor(s.To) {
			t.Fatalf("%s comes before the masters: %s", n.Name, short(r.plan()))
		}
	}
	switch {
	case working > 0 && replaced > 1:
		t.Fatalf("%d masters at once: %s", replaced, short(r.plan()))
	case working > 0 && replaced > 0 && o.Etcd != diff.EtcdHealthy && o.Etcd != diff.EtcdNotAsked:
		t.Fatalf("a master while etcd is %s: %s", o.Etcd, short(r.plan()))
	case s.Op == diff.Upgrade && broken > 0:
		t.Fatalf("an upgrade beside a broken master: %s", short(r.plan()))
	}
	r.note(s.To.Labels["kube_tag"])
}

func minor(s *schema.Spec) int {
	v, _ := schema.ParseKube(s.Labels["kube_tag"])
	return v.Minor
}

// lowest is the oldest minor version of a master.
func (r *roll) lowest() int {
	lowest := 99
	for _, n := range r.have.Clusters[0].Nodes {
		if v, ok := schema.ParseKube(n.Version("kubelet")); ok && n.Group == schema.DefaultMaster {
			lowest = min(lowest, v.Minor)
		}
	}
	return lowest
}

// boot carries out a step; a boot may fail, and then the batch is all that has
// happened.
func (r *roll) boot(t *rapid.T, s diff.Step, mayFail bool) {
	before := slices.Clone(r.have.Clusters[0].Nodes)
	r.elapse([]diff.Step{s})
	o := &r.have.Clusters[0]
	if o.Etcd != diff.EtcdNotAsked {
		o.Etcd = diff.EtcdHealthy
	}
	if !mayFail {
		return
	}
	for i := range o.Nodes {
		n := &o.Nodes[i]
		was := before[slices.IndexFunc(before, func(b diff.Node) bool { return b.Name == n.Name })]
		switch named := slices.Contains(s.Nodes, n.Name); {
		case named && one(t, 4, "fails"):
			n.State, n.Reason, n.Versions = diff.NodeFailed, "it did not start", was.Versions
			o.Status = diff.UpdateFailed
		case !named && was.State == diff.NodeFailed: // a recover of some leaves the others as they are
			o.Status = diff.UpdateFailed
		}
	}
}

// disturb is what others do.
func (r *roll) disturb(t *rapid.T) {
	o := &r.have.Clusters[0]
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0:
		if n := &o.Nodes[rapid.IntRange(0, len(o.Nodes)-1).Draw(t, "node")]; n.State == diff.NodeReady {
			n.State = diff.NodeMissing
		}
	case 1:
		o.Etcd = rapid.SampledFrom([]diff.EtcdHealth{diff.EtcdHealthy, diff.EtcdUnhealthy, diff.EtcdUnknown}).Draw(t, "etcd")
	case 2:
		r.ask(t, "v1.33.2", "v1.33.9")
	}
}

// arrived is what must hold at the end.
func (r *roll) arrived(t *rapid.T) {
	o := r.have.Clusters[0]
	if o.Spec.Labels["kube_tag"] != r.to {
		t.Fatalf("the plan is empty at %s, not %s", o.Spec.Labels["kube_tag"], r.to)
	}
	for _, n := range o.Nodes {
		if n.State != diff.NodeReady || n.Version("kubelet") != r.to {
			t.Fatalf("the plan is empty and %s is %s with %s", n.Name, n.State, n.Versions)
		}
	}
	for i, v := range r.reached[1:] {
		if was := r.reached[i]; v.Minor < was.Minor || v.Minor > was.Minor+1 {
			t.Fatalf("after %s came %s: %s", was, v, strings.Trim(fmt.Sprint(r.reached), "[]"))
		}
	}
}
