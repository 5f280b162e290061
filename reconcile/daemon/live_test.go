package daemon_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/daemon"
	"jeroboam.io/jeroboam/schema"
)

// inside is a driver that reaches into clusters.
type inside struct {
	drivers.Driver
	mu     sync.Mutex // of what Attend reads and writes
	visits int
	drains []string
	undone []string
	later  []string
}

func (i *inside) Attend(context.Context, drivers.Visit) drivers.Health {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.visits++
	return drivers.Health{Status: drivers.Healthy, Undone: i.undone, Later: i.later}
}

func (i *inside) visited() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.visits
}

func (i *inside) Workload(_ context.Context, o diff.Observed, nodes []string) diff.Observed {
	o.Work, o.Workloads = diff.WorkKnown, map[string]diff.Workload{nodes[0]: {Pods: 3}}
	return o
}

func (i *inside) Drain(_ context.Context, s diff.Step) (map[string]diff.Workload, error) {
	i.drains = append(i.drains, s.Drain.Nodes...)
	return nil, nil
}

// What a driver can do inside clusters it can do in a daemon as well: nodes that
// go are drained there too. Clusters are visited once a minute, or when something
// about them has changed.
func TestLanesLeadIntoClusters(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	in := &inside{}
	lanes := &daemon.Lanes{Patience: time.Second, Limit: time.Minute, Now: func() time.Time { return now }, Wake: func() {}}
	open := lanes.Registry(drivers.Registry{"heat": func(context.Context, drivers.Options) (drivers.Driver, error) { return in, nil }})
	d, err := open.Open(t.Context(), drivers.Options{Cloud: "lab", Config: schema.CloudConfig{Driver: "heat"}})
	if err != nil {
		t.Fatal(err)
	}
	a, can := d.(drivers.Attendant)
	if !can {
		t.Fatal("a lane leads into no cluster")
	}
	v := drivers.Visit{Observed: diff.Observed{Key: schema.Key{Cloud: "lab", Name: "a"}, ID: "1", Version: "1"}}
	for _, step := range []struct {
		what   string
		change func()
		visits int
	}{
		{"the first", func() {}, 1},
		{"soon after", func() { now = now.Add(10 * time.Second) }, 1},
		{"a node is about to leave", func() { v.Leaving = []string{"n"} }, 2},
		{"the cluster was changed", func() { v.Observed.Version, in.undone = "2", []string{"label n"} }, 3},
		{"something was left undone", func() { in.undone = nil }, 4},
		{"a minute later", func() { now = now.Add(time.Minute) }, 5},
		{"the clock was set back", func() { now = now.Add(-time.Hour) }, 6},
	} {
		step.change()
		if h := a.Attend(t.Context(), v); h.Status != drivers.Healthy || in.visits != step.visits {
			t.Errorf("%s: %+v after %d visits, want %d", step.what, h, in.visits, step.visits)
		}
	}
	if o := a.Workload(t.Context(), v.Observed, []string{"n"}); o.Workloads["n"].Pods != 3 {
		t.Errorf("workload %+v", o)
	}
	if _, err := a.Drain(t.Context(), diff.Step{Drain: &diff.Drain{Nodes: []string{"n"}}}); err != nil || len(in.drains) != 1 {
		t.Errorf("drained %v, %v", in.drains, err)
	}
}

// What a visit can put right in a minute is not left until somebody looks again, as
// an object of a node that was removed.
func TestComesBackToWhatIsToBePutRight(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		lab, in := w.cloud("lab"), &inside{later: []string{"forget node n, once Kubernetes has missed it"}}
		w.change = func(o *daemon.Options) {
			o.Runs.Drivers = drivers.Registry{"heat": func(ctx context.Context, o drivers.Options) (drivers.Driver, error) {
				var err error
				in.Driver, err = lab.Open(ctx, o)
				return in, err
			}}
		}
		w.repo.commit("one", "a.yaml", kubernetes("lab", "a"))
		w.start()
		w.pass(3 * time.Minute)
		visits := in.visited()
		if w.pass(3 * time.Minute); in.visited() != visits+3 {
			t.Errorf("%d visits in three minutes, want one in each", in.visited()-visits)
		}
		in.mu.Lock()
		in.later = nil
		in.mu.Unlock()
		w.pass(5 * time.Minute)
		visits = in.visited()
		if w.pass(3 * time.Minute); in.visited() != visits {
			t.Errorf("%d visits when nothing was left", in.visited()-visits)
		}
	})
}

// kubernetes is the file of a cluster that can be visited.
func kubernetes(cloud, name string) string {
	return `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: kube}
spec: {coe: kubernetes, image: debian, flavor: m1.small, masterFlavor: m1.medium, keypair: k, externalNetwork: public, networkDriver: flannel, labels: {kube_tag: v1.30.2, etcd_volume_size: 5}}
---
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: ` + name + `}
spec: {cloud: ` + cloud + `, template: kube}
`
}
