package drivertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// Memory is one project of a cloud, in memory. Open connects drivers to it; it
// is what goes into a drivers.Registry. What was accepted is under way until
// Tick. The other methods break things behind the drivers' back.
type Memory struct {
	mu       sync.Mutex
	clusters map[string]*live        // by owner and name; of nobody we know under owner ""
	gone     map[string]bool         // ids of those that were deleted
	lost     map[string]bool         // servers that were deleted by hand
	keys     map[string]*pki.Keys    // by owner and name
	faults   map[Fault]chan struct{} // closed when the fault ends
	boots    map[int]bootFault
	etcd     map[schema.ClusterName]etcd
	inside   inside
	place    drivers.Place
	made     int // counts whatever gets an id
	writes   int
	lose     int // the write whose answer gets lost; 0: none
}

// live is a cluster in Memory.
type live struct {
	diff.Observed
	name    schema.ClusterName
	owner   string
	leaving map[string]bool // nodes on their way out
}

type bootFault struct{ name, reason string }

// etcd is what a cluster answers when it is asked.
type etcd struct {
	health diff.EtcdHealth
	reason string
}

// NewMemory gives an empty project.
func NewMemory() *Memory {
	return &Memory{
		clusters: map[string]*live{}, gone: map[string]bool{}, lost: map[string]bool{}, keys: map[string]*pki.Keys{}, faults: map[Fault]chan struct{}{}, boots: map[int]bootFault{}, etcd: map[schema.ClusterName]etcd{},
		inside: newInside(),
		place:  drivers.Place{AuthURL: "https://memory.test/v3", Region: "RegionOne", ProjectID: "p1"},
	}
}

// Open connects a driver.
func (m *Memory) Open(ctx context.Context, o drivers.Options) (drivers.Driver, error) {
	d := &memoryDriver{m, o}
	if err := d.reach(ctx, "log in"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.faults[WrongCredentials] != nil {
		return nil, failure(drivers.Denied, "log in", "wrong password")
	}
	return d, nil
}

var _ drivers.Open = (*Memory)(nil).Open

// memoryDriver is what one owner sees of a Memory.
type memoryDriver struct {
	m *Memory
	o drivers.Options
}

var (
	_ drivers.Placed    = (*memoryDriver)(nil)
	_ drivers.Inspector = (*memoryDriver)(nil)
	_ drivers.Keeper    = (*memoryDriver)(nil)
	_ drivers.Prober    = (*memoryDriver)(nil)
)

// Place gives where the driver works.
func (d *memoryDriver) Place(ctx context.Context) (drivers.Place, error) {
	err := d.reach(ctx, "read project")
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	return d.m.place, err
}

// Observe gives the owner's clusters and what squats on names.
func (d *memoryDriver) Observe(ctx context.Context) ([]diff.Observed, error) {
	if err := d.reach(ctx, "list clusters"); err != nil {
		return nil, err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	var have []diff.Observed
	listed, there := map[string]bool{}, map[string]bool{}
	for _, c := range d.m.clusters {
		there[c.ID] = true
		if (c.owner == d.o.Owner || c.owner == "") && d.m.faults[EmptyList] == nil {
			have, listed[c.ID] = append(have, c.show(d.o.Cloud)), true
		}
	}
	if d.o.Memory != nil {
		for id, o := range d.o.Memory.Recall(d.o.Cloud) {
			switch {
			case listed[id]:
			case there[id]:
				return nil, failure(drivers.Unknown, "list clusters", "the list lacks "+id+", which is there")
			case d.m.gone[id]:
				have = append(have, diff.Observed{Key: o.Key, ID: id, Version: o.Version, Owner: diff.Ours, Status: diff.DeleteComplete})
			}
		}
	}
	slices.SortFunc(have, func(a, b diff.Observed) int { return a.Key.Compare(b.Key) })
	return d.newest(have), nil
}

// newest drops what is gone where the name is in use again.
func (d *memoryDriver) newest(have []diff.Observed) []diff.Observed {
	inUse := map[schema.Key]bool{}
	for _, o := range have {
		inUse[o.Key] = inUse[o.Key] || o.Status != diff.DeleteComplete
	}
	return slices.DeleteFunc(have, func(o diff.Observed) bool { return o.Status == diff.DeleteComplete && inUse[o.Key] })
}

// show is the cluster as a value that shares nothing with it.
func (c *live) show(cloud schema.CloudName) diff.Observed {
	o := c.Observed
	o.Key = schema.Key{Cloud: cloud, Name: c.name}
	o.Nodes, o.Drift = slices.Clone(o.Nodes), slices.Clone(o.Drift)
	if o.Spec != nil {
		o.Spec = clone(o.Spec)
	}
	return o
}

// Apply accepts a step.
func (d *memoryDriver) Apply(ctx context.Context, s diff.Step) error {
	op := string(s.Op) + " " + s.Cluster.String()
	if err := d.reach(ctx, op); err != nil {
		return err
	}
	if d.o.ReadOnly {
		return failure(drivers.Denied, op, "read-only")
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c, err := d.m.planned(d.o.Owner, s)
	if err != nil || c == nil && s.Op == diff.Delete || c != nil && c.Status == diff.DeleteInProgress {
		return wrap(op, err)
	}
	if err := d.m.accept(d.o, c, s); err != nil {
		return wrap(op, err)
	}
	d.m.writes++
	if d.m.lose > 0 {
		if d.m.lose--; d.m.lose == 0 {
			return failure(drivers.Transient, op, "connection reset")
		}
	}
	return nil
}

// planned gives the step's cluster if it is as the step was planned on; nil for
// one to be created, and for one to be deleted that is gone.
func (m *Memory) planned(owner string, s diff.Step) (*live, error) {
	c := m.clusters[owner+"/"+string(s.Cluster.Name)]
	squatter := m.clusters["/"+string(s.Cluster.Name)]
	switch {
	case squatter != nil:
		return nil, failure(drivers.Conflict, "", "something of others has the name")
	case s.Op == diff.Create && c != nil:
		return nil, failure(drivers.Conflict, "", "it is there")
	case s.Op == diff.Create, s.Op == diff.Delete && c == nil:
		return nil, nil
	case c == nil:
		return nil, failure(drivers.NotFound, "", "it is gone")
	case s.Op == diff.Delete && c.Status == diff.DeleteInProgress:
		return c, nil
	case c.Version != s.Observed:
		return nil, failure(drivers.Conflict, "", "it is at version "+c.Version+", planned on "+s.Observed)
	case inProgress(c.Status) && s.Op != diff.Delete:
		return nil, failure(drivers.Conflict, "", "it is in motion")
	}
	return c, nil
}

// accept starts a step on a cluster; c is nil for one to be created.
func (m *Memory) accept(o drivers.Options, c *live, s diff.Step) error {
	if s.Op == diff.Delete {
		c.Status, c.Version = diff.DeleteInProgress, m.id("v")
		return nil
	}
	for _, g := range s.To.Groups {
		if g.Flavor == NoSuchFlavor {
			return failure(drivers.Rejected, "", "no flavor is called "+NoSuchFlavor)
		}
	}
	var had []diff.Node
	if c != nil {
		had = c.Nodes
	}
	nodes, leaving, err := ask(had, s)
	if err != nil {
		return err
	}
	if m.faults[Quota] != nil && len(nodes) > len(had) {
		return failure(drivers.Rejected, "", "quota exceeded: no more instances")
	}
	status := diff.UpdateInProgress
	if c == nil {
		status = diff.CreateInProgress
		c = &live{name: s.Cluster.Name, owner: o.Owner, Observed: diff.Observed{ID: m.id("cluster"), Type: "memory"}}
		m.clusters[o.Owner+"/"+string(c.name)] = c
	}
	c.Owner, c.Status, c.Reason, c.Version, c.Drift = diff.Ours, status, "", m.id("v"), nil
	c.Spec, c.Nodes, c.leaving = clone(s.To), nodes, leaving
	c.Protected = s.Want != nil && s.Want.Policy.DeletionProtection
	return nil
}

// ask gives the nodes that a step leads to; those that boot and those that leave
// are moving.
func ask(had []diff.Node, s diff.Step) (nodes []diff.Node, leaving map[string]bool, err error) {
	leaving = map[string]bool{}
	stay := map[string]int{}
	boot := func(n diff.Node, g schema.Group) {
		n.State, n.Server, n.Reason, n.Revision = diff.NodeMoving, "", "", diff.NodeRevision(s.To, g)
		nodes, stay[g.Name] = append(nodes, n), stay[g.Name]+1
	}
	leave := func(n diff.Node) {
		n.State, leaving[n.Name] = diff.NodeMoving, true
		nodes = append(nodes, n)
	}
	for _, n := range had {
		if !slices.Contains(s.Nodes, n.Name) {
			nodes, stay[n.Group] = append(nodes, n), stay[n.Group]+1
		}
	}
	for _, name := range s.Nodes {
		i := slices.IndexFunc(had, func(n diff.Node) bool { return n.Name == name })
		if i < 0 {
			return nil, nil, failure(drivers.Unknown, "", "the step names "+name+", which is no node")
		}
		g, ok := s.To.Group(had[i].Group)
		if anew := s.Op == diff.Upgrade || s.Op == diff.Recover; anew && ok && stay[g.Name] < g.NodeCount {
			boot(had[i], g)
		} else {
			leave(had[i])
		}
	}
	for _, g := range s.To.Groups {
		for number := 0; stay[g.Name] < g.NodeCount; number++ {
			if !slices.ContainsFunc(nodes, func(n diff.Node) bool { return n.Group == g.Name && n.Number == number }) {
				boot(diff.Node{Name: fmt.Sprintf("%s-%s-%d", s.Cluster.Name, g.Name, number), Group: g.Name, Number: number}, g)
			}
		}
	}
	for group, n := range stay {
		if g, _ := s.To.Group(group); n > g.NodeCount {
			return nil, nil, failure(drivers.Unknown, "", fmt.Sprintf("%d nodes would stay in %s, which has %d", n, group, g.NodeCount))
		}
	}
	slices.SortFunc(nodes, compareNodes)
	return nodes, leaving, nil
}

// Inspect marks the nodes whose server is gone.
func (d *memoryDriver) Inspect(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error) {
	if err := d.reach(ctx, "list servers"); err != nil {
		return nil, err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	marked := slices.Clone(observed)
	for i := range marked {
		o := &marked[i]
		o.Nodes = slices.Clone(o.Nodes)
		for j := range o.Nodes {
			if n := &o.Nodes[j]; n.State == diff.NodeReady && d.m.lost[n.Server] {
				n.State, n.Reason = diff.NodeMissing, "its server is gone"
			}
		}
	}
	return marked, nil
}

// Keys gives what KeepKeys kept.
func (d *memoryDriver) Keys(ctx context.Context, k schema.Key) (*pki.Keys, error) {
	if err := d.reach(ctx, "read keys"); err != nil {
		return nil, err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	keys := d.m.keys[d.o.Owner+"/"+string(k.Name)]
	if keys == nil {
		return nil, failure(drivers.NotFound, "read keys", "there are none of "+k.String())
	}
	return keys, nil
}

// KeptAt is always the same.
func (d *memoryDriver) KeptAt(schema.Key) drivers.KeyPlace {
	return drivers.KeyPlace{Where: "memory"}
}

// BackedUp has nothing to note.
func (d *memoryDriver) BackedUp(context.Context, schema.Key) error { return nil }

// Forget removes the keys of a cluster that is gone.
func (d *memoryDriver) Forget(ctx context.Context, k schema.Key) error {
	if err := d.reach(ctx, "forget keys"); err != nil {
		return err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	name := d.o.Owner + "/" + string(k.Name)
	switch {
	case d.m.faults[KeysOutOfReach] != nil:
		return failure(drivers.Transient, "forget keys", "where they are kept does not answer")
	case d.m.clusters[name] != nil:
		return failure(drivers.Conflict, "forget keys", k.String()+" is there")
	case d.o.ReadOnly:
		return failure(drivers.Denied, "forget keys", "read-only")
	}
	delete(d.m.keys, name)
	return nil
}

// reach is the way to the cloud: it may be cancelled, hang or fail.
func (d *memoryDriver) reach(ctx context.Context, op string) error {
	d.m.mu.Lock()
	hang, broken := d.m.faults[Hang], d.m.faults[ServerError] != nil
	d.m.mu.Unlock()
	if hang != nil {
		select {
		case <-ctx.Done():
		case <-hang:
		}
	}
	switch {
	case ctx.Err() != nil:
		return &drivers.Error{Kind: drivers.Transient, Op: op, Err: ctx.Err()}
	case broken:
		return failure(drivers.Transient, op, "500 internal server error")
	}
	return nil
}

// Tick ends everything that is under way.
func (m *Memory) Tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.clusters)) {
		c := m.clusters[key]
		switch {
		case c.Status == diff.DeleteInProgress:
			delete(m.clusters, key)
			m.gone[c.ID] = true
		case inProgress(c.Status):
			m.finish(c)
		}
	}
}

// finish boots and removes nodes, and tells how it ended.
func (m *Memory) finish(c *live) {
	c.Nodes = slices.DeleteFunc(c.Nodes, func(n diff.Node) bool { return c.leaving[n.Name] })
	var reasons []string
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.State == diff.NodeFailed {
			reasons = append(reasons, n.Name+": "+n.Reason)
		}
		if n.State != diff.NodeMoving {
			continue
		}
		n.State, n.Server, n.Versions = diff.NodeReady, m.id("server"), ""
		delete(m.inside.work, n.Name) // a machine that boots takes pods, and has none
		if n.Address == "" {
			n.Address = "10.0.0." + strconv.Itoa(m.made)
		}
		for _, f := range m.boots {
			if strings.HasPrefix(n.Name, f.name) {
				n.State, n.Reason = diff.NodeFailed, f.reason
				reasons = append(reasons, n.Name+": "+f.reason)
			}
		}
		if g, _ := c.Spec.Group(n.Group); n.State == diff.NodeReady && c.Spec.LabelsOf(g)["kube_tag"] != "" {
			n.Versions = "kubelet=" + c.Spec.LabelsOf(g)["kube_tag"] + " containerd=v2.1.4"
		}
	}
	if c.Spec.Nodes(true) > 0 {
		c.APIAddress = "https://10.0.0.1:6443"
	}
	end := "_COMPLETE"
	if len(reasons) > 0 {
		end = "_FAILED"
	}
	c.Status = diff.Status(strings.TrimSuffix(string(c.Status), "_IN_PROGRESS") + end)
	c.Reason, c.leaving = strings.Join(reasons, "; "), nil
}

func (m *Memory) id(of string) string {
	m.made++
	return fmt.Sprintf("%s-%04d", of, m.made)
}

func inProgress(s diff.Status) bool { return strings.HasSuffix(string(s), "_IN_PROGRESS") }

func failure(kind drivers.Kind, op, text string) error {
	return &drivers.Error{Kind: kind, Op: op, Err: errors.New(text)}
}

// wrap says what was being done, unless nothing went wrong.
func wrap(op string, err error) error {
	if e, ok := errors.AsType[*drivers.Error](err); ok {
		e.Op = op
	}
	return err
}

// Probe gives what SetEtcd said; of a cluster of kubernetes of which it said
// nothing, that all is well, and of others nothing.
func (d *memoryDriver) Probe(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error) {
	if err := d.reach(ctx, "ask etcd"); err != nil {
		return nil, err
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	asked := slices.Clone(observed)
	for i := range asked {
		o := &asked[i]
		if e, ok := d.m.etcd[o.Key.Name]; ok {
			o.Etcd, o.EtcdReason = e.health, e.reason
		} else if o.Spec != nil && o.Spec.COE == "kubernetes" {
			o.Etcd = diff.EtcdHealthy
		}
	}
	return asked, nil
}
