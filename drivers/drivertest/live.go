package drivertest

import (
	"context"
	"maps"
	"slices"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// inside is what goes on inside the clusters of a Memory.
type inside struct {
	work    map[string]diff.Workload              // by node; those that are not in it have no pods
	stuck   map[string]bool                       // nodes whose pods a budget keeps
	labels  map[string]map[string]string          // by node, as Kubernetes has them
	silent  map[schema.ClusterName]string         // clusters that cannot be reached, and why
	visited map[schema.ClusterName]int            // how often each was asked how it is
	hangs   map[schema.ClusterName]bool           // clusters that never answer
	health  map[schema.ClusterName]drivers.Health // what they say instead of being well
}

func newInside() inside {
	return inside{
		map[string]diff.Workload{},
		map[string]bool{},
		map[string]map[string]string{},
		map[schema.ClusterName]string{},
		map[schema.ClusterName]int{},
		map[schema.ClusterName]bool{},
		map[schema.ClusterName]drivers.Health{},
	}
}

// Occupy makes so much run on a node; stuck pods stay although they are evicted.
func (m *Memory) Occupy(node string, w diff.Workload, stuck bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inside.work[node], m.inside.stuck[node] = w, stuck
}

// Running is what runs on a node.
func (m *Memory) Running(node string) diff.Workload {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inside.work[node]
}

// NodeLabels are the labels that a node has in Kubernetes.
func (m *Memory) NodeLabels(node string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.inside.labels[node])
}

// Silence makes the API of a cluster unreachable; an empty reason ends that.
func (m *Memory) Silence(name schema.ClusterName, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inside.silent[name] = why; why == "" {
		delete(m.inside.silent, name)
	}
}

// Hush makes the API of a cluster not answer at all.
func (m *Memory) Hush(name schema.ClusterName, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inside.hangs[name] = on
}

// Ail makes a cluster say so when it is asked how it is.
func (m *Memory) Ail(name schema.ClusterName, h drivers.Health) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inside.health[name] = h
}

// Visited is how often a cluster was asked how it is.
func (m *Memory) Visited(name schema.ClusterName) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inside.visited[name]
}

var _ drivers.Attendant = (*memoryDriver)(nil)

// Attend says that clusters of Kubernetes are well, unless Silence, Hush or Ail
// said otherwise, and undoes drains that came to nothing.
func (d *memoryDriver) Attend(ctx context.Context, v drivers.Visit) drivers.Health {
	o := v.Observed
	if o.Spec == nil || o.Spec.COE != "kubernetes" {
		return drivers.Health{}
	}
	d.m.mu.Lock()
	d.m.inside.visited[o.Key.Name]++
	hangs := d.m.inside.hangs[o.Key.Name]
	d.m.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return drivers.Health{Status: drivers.Unreached, Reason: map[string]string{"api": "it does not answer in time"}}
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if why := d.m.inside.silent[o.Key.Name]; why != "" {
		return drivers.Health{Status: drivers.Unreached, Reason: map[string]string{"api": why}}
	}
	if v.Mend && !d.o.ReadOnly {
		d.m.inside.mend(v)
	}
	if h, ails := d.m.inside.health[o.Key.Name]; ails {
		return h
	}
	h := drivers.Health{Status: drivers.Healthy, Reason: map[string]string{"api": "ok"}}
	for _, n := range o.Nodes {
		if h.Reason[n.Name+".Ready"] = "True"; n.State != diff.NodeReady {
			h.Status, h.Reason[n.Name+".Ready"] = drivers.Unhealthy, "Unknown"
		}
	}
	return h
}

// mend uncordons nodes that stay, and gives them the labels of their group.
func (i *inside) mend(v drivers.Visit) {
	for _, n := range v.Observed.Nodes {
		if w, is := i.work[n.Name]; is && w.Since != "" && !slices.Contains(v.Leaving, n.Name) {
			w.Since, w.Cordoned = "", false
			i.work[n.Name] = w
		}
		g, _ := v.Observed.Spec.Group(n.Group)
		i.labels[n.Name] = maps.Clone(g.NodeLabels)
	}
}

// Workload tells what Occupy said.
func (d *memoryDriver) Workload(_ context.Context, o diff.Observed, nodes []string) diff.Observed {
	if o.Spec == nil || o.Spec.COE != "kubernetes" {
		return o
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if why := d.m.inside.silent[o.Key.Name]; why != "" {
		o.Work, o.WorkReason = diff.WorkUnknown, why
		return o
	}
	o.Work, o.Workloads = diff.WorkKnown, map[string]diff.Workload{}
	for _, name := range nodes {
		o.Workloads[name] = d.m.inside.work[name]
	}
	return o
}

// Drain moves pods at once, but those that are stuck, or hold it.
func (d *memoryDriver) Drain(ctx context.Context, s diff.Step) (map[string]diff.Workload, error) {
	if err := d.reach(ctx, "drain"); err != nil {
		return nil, err
	}
	if d.o.ReadOnly {
		return nil, failure(drivers.Denied, "drain", "read-only")
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	left := map[string]diff.Workload{}
	for _, name := range s.Drain.Nodes {
		w := d.m.inside.work[name]
		if w.Cordoned = true; w.Since == "" {
			w.Since = d.now().UTC().Format(time.RFC3339)
		}
		if s.Drain.All {
			w.Holds = nil
		}
		if !d.m.inside.stuck[name] {
			w.Pods, w.Left = len(w.Holds), nil
		}
		d.m.inside.work[name], left[name] = w, w
	}
	return left, nil
}

func (d *memoryDriver) now() time.Time {
	if d.o.Now == nil {
		return time.Now()
	}
	return d.o.Now()
}
