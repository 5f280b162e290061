package drivertest

import (
	"slices"
	"sync"
	"testing"

	"go.uber.org/zap/zaptest"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	Run(t, Harness{Backend: func(t testing.TB) *Backend { return memoryBackend(t, NewMemory()) }})
}

// memoryBackend is how a driver's test makes its Backend.
func memoryBackend(_ testing.TB, m *Memory) *Backend {
	var owners sync.Map
	return &Backend{
		Open: func(t testing.TB, change func(*drivers.Options)) (drivers.Driver, error) {
			o := drivers.Options{Cloud: "memory", Owner: "me", Instance: "test", Log: zaptest.NewLogger(t)}
			change(&o)
			owners.Store(o.Owner, nil)
			return m.Open(t.Context(), o)
		},
		Settle: func(testing.TB) { m.Tick() },
		Cluster: func(_ testing.TB, name schema.ClusterName, change func(*schema.Spec)) *schema.Cluster {
			c := &schema.Cluster{Key: schema.Key{Cloud: "memory", Name: name}, Spec: schema.Spec{
				COE: "kubernetes", ServerType: "vm", Image: "fedora-coreos-latest", Labels: map[string]string{"kube_tag": "v1.33.1", "etcd_volume_size": "10"},
				Groups: []schema.Group{
					{Name: schema.DefaultMaster, Role: "master", NodeCount: 1, Flavor: "m1.medium"},
					{Name: schema.DefaultWorker, Role: "worker", NodeCount: 1, Flavor: "m1.small"},
				},
			}}
			if change != nil {
				change(&c.Spec)
			}
			return c
		},
		Upgrade:      func(s *schema.Spec) { s.Labels["kube_tag"] = "v1.33.4" },
		FailBoot:     func(_ testing.TB, name, reason string) func() { return m.FailBoot(name, reason) },
		Squat:        func(_ testing.TB, c *schema.Cluster) { m.AddForeign(c.Name) },
		DropTags:     func(_ testing.TB, c *schema.Cluster) { m.DropTags(c.Name) },
		ChangeByHand: func(_ testing.TB, c *schema.Cluster) { m.Change(c.Name) },
		DeleteByHand: func(_ testing.TB, c *schema.Cluster) { m.Remove(c.Name) },
		DeleteServer: func(_ testing.TB, server string) { m.DeleteServer(server) },
		Fault:        func(_ testing.TB, f Fault) func() { return m.Fault(f) },
		LoseAnswer:   func(_ testing.TB, n int) { m.LoseAnswer(n) },
		Writes:       m.Writes,
		KeepKeys: func(t testing.TB, c *schema.Cluster) {
			owners.Range(func(owner, _ any) bool {
				if err := m.KeepKeys(owner.(string), c.Name); err != nil {
					t.Error(err)
				}
				return true
			})
		},
		Inside: func(_ testing.TB, _ *schema.Cluster, o diff.Observed) Inside {
			return Inside{
				Observed: o,
				Occupy: func(node string, pods int, alone bool) {
					w := diff.Workload{Pods: pods}
					if alone {
						w.Holds = slices.Repeat([]string{"a/pod (alone)"}, pods)
					}
					m.Occupy(node, w, false)
				},
				See: func(node string) NodeInside {
					w := m.Running(node)
					return NodeInside{Pods: w.Pods, Cordoned: w.Cordoned, Labels: m.NodeLabels(node)}
				},
			}
		},
		Leftovers: func(_ testing.TB, c *schema.Cluster) []string { return m.Leftovers(c.Name) },
	}
}

// A step that does not fit its cluster is a defect of who made it; the fake is
// stricter than a cloud, so that the loop's tests find it.
func TestMemoryRefusesStepsThatDoNotFit(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	w := newWorld(t, memoryBackend(t, m))
	c, o := w.running("a", workers(3))
	for name, s := range map[string]diff.Step{
		"a node that is none":     resize(changed(c, workers(2)), o, "nobody"),
		"too few nodes to remove": resize(changed(c, workers(1)), o, theWorkers(o)[0].Name),
	} {
		if err := w.driver.Apply(t.Context(), s); drivers.KindOf(err) != drivers.Unknown {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.apply(resize(changed(c, workers(4)), o))
	w.want(drivers.Conflict, w.driver.Apply(t.Context(), resize(changed(c, workers(5)), w.see(c))))
	w.Settle(t)
	w.equal(4, len(theWorkers(w.see(c))))
	w.equal(2, m.Writes())
}
