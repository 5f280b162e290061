package heat_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/schema"
)

// What only Heat does is tested here, on a stage: sim, or the lab.

// play is a driver on a stage, and what was seen of its one cluster.
type play struct {
	*testing.T
	*scene
	driver drivers.Driver
	owner  string // of nothing else: what is left of it is cleaned up
	c      *schema.Cluster
	made   int
}

func newPlay(t *testing.T, on stage, workers int) *play {
	t.Helper()
	mark := "t" + strings.ToLower(rand.Text()[:6])
	p := &play{T: t, scene: newScene(t, on), owner: "heat-" + mark}
	p.look(nil)
	p.c = declare(t, schema.ClusterName(mark), func(s *schema.Spec) { s.Groups[0].NodeCount = workers })
	return p
}

// look opens the driver anew, with what it remembers.
func (p *play) look(m drivers.Memory) {
	p.Helper()
	var err error
	p.driver, err = p.open(p.T, func(o *drivers.Options) { o.Owner, o.Instance, o.Memory = p.owner, "heat-test", m })
	if err != nil {
		p.Fatal(err)
	}
}

func (p *play) settle() { p.Helper(); p.stage.settle(p.T, p.scene) }

// do carries a step out to the end and gives the cluster afterwards.
func (p *play) do(op diff.Op, have *diff.Observed, nodes ...string) *diff.Observed {
	p.Helper()
	p.apply(op, have, nodes...)
	p.settle()
	return p.see()
}

func (p *play) apply(op diff.Op, have *diff.Observed, nodes ...string) {
	p.Helper()
	p.made++
	s := diff.Step{Op: op, Cluster: p.c.Key, To: &p.c.Spec, Want: p.c, Have: have, Nodes: nodes}
	if have != nil {
		s.Observed = have.Version
	}
	s.Operation = schema.Digest([]any{op, s.Observed, nodes, p.made})
	if err := p.driver.Apply(p.Context(), s); err != nil {
		p.Fatalf("%s: %v", op, err)
	}
}

func (p *play) see() *diff.Observed {
	p.Helper()
	have, err := p.driver.Observe(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	i := slices.IndexFunc(have, func(o diff.Observed) bool { return o.Key == p.c.Key })
	if i < 0 {
		p.Fatalf("%s is not seen", p.c.Key)
	}
	return &have[i]
}

func states(o *diff.Observed) []diff.NodeState {
	var s []diff.NodeState
	for _, n := range o.Nodes {
		s = append(s, n.State)
	}
	return s
}

func (p *play) is(o *diff.Observed, status diff.Status, nodes ...diff.NodeState) {
	p.Helper()
	if o.Status != status || !slices.Equal(states(o), nodes) {
		p.Fatalf("it is %s %v: %s; want %s %v", o.Status, states(o), o.Reason, status, nodes)
	}
}

// TestHeat and TestLabHeat are about what a real Heat does and sim was made to
// do.
func TestHeat(t *testing.T) {
	t.Parallel()
	for name, story := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, newSimulated(t))
		})
	}
}

func TestLabHeat(t *testing.T) {
	on := newLab(t)
	for name, story := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, on)
		})
	}
}

func stories() map[string]func(*testing.T, stage) {
	return map[string]func(*testing.T, stage){
		"RecoverAgainHasAnotherHandle": recoverAgainHasAnotherHandle,
		"CheckedIsReady":               checkedIsReady,
		"TwoFailAndBothAreNamed":       twoFailAndBothAreNamed,
		"UnmadeServerHasNoID":          unmadeServerHasNoID,
		"DeletesInAnyState":            deletesInAnyState,
	}
}

// A node fails, is brought back in vain, and is brought back once more: beside
// a sibling that stands on the boot which failed first, and whose handle still
// holds that failure.
func recoverAgainHasAnotherHandle(t *testing.T, on stage) {
	p := newPlay(t, on, 2)
	bad := heat.NodeName(p.owner, p.c.Key, schema.DefaultWorker, 1)
	undo := p.failBoot(t, bad, "the disk is full")
	t.Cleanup(func() { undo() })
	o := p.do(diff.Create, nil)
	if o.Nodes[1].State != diff.NodeFailed {
		t.Fatalf("it does not begin with a failure: %s %v", o.Status, states(o))
	}
	if o.Nodes[0].State != diff.NodeReady { // the first of two may have been cut off
		undo()
		o = p.do(diff.Recover, o, o.Nodes[0].Name, o.Nodes[1].Name)
		p.is(o, diff.UpdateComplete, diff.NodeReady, diff.NodeReady)
		undo = p.failBoot(t, bad, "the disk is full")
		p.c.Spec.Image = "ubuntu-next"
		o = p.do(diff.Upgrade, o, bad)
		p.is(o, diff.UpdateFailed, diff.NodeReady, diff.NodeFailed)
	}
	o = p.do(diff.Recover, o, bad)
	p.is(o, diff.UpdateFailed, diff.NodeReady, diff.NodeFailed)
	undo()
	o = p.do(diff.Recover, o, bad)
	p.is(o, diff.UpdateComplete, diff.NodeReady, diff.NodeReady)
}

// `openstack stack check` by whoever is on call changes nothing.
func checkedIsReady(t *testing.T, on stage) {
	p := newPlay(t, on, 1)
	before := p.do(diff.Create, nil)
	p.check(before)
	now := p.see()
	p.is(now, diff.CheckComplete, diff.NodeReady)
	if d := cmp.Diff(before.Nodes, now.Nodes); d != "" {
		t.Errorf("nodes (-before +now):\n%s", d)
	}
	now = p.do(diff.Update, now)
	p.is(now, diff.UpdateComplete, diff.NodeReady)

	p.deleteServer(t, now.Nodes[0].Server)
	p.check(now)
	now = p.see()
	p.is(now, diff.CheckFailed, diff.NodeFailed)
	now = p.do(diff.Recover, now, now.Nodes[0].Name)
	p.is(now, diff.UpdateComplete, diff.NodeReady)
}

// check is Heat's own action.
func (p *play) check(o *diff.Observed) {
	p.Helper()
	if err := p.raw.Post(p.Context(), "orchestration", p.path(o)+"/actions", map[string]any{"check": nil}, nil); err != nil {
		p.Fatal(err)
	}
	p.settle()
}

func (p *play) path(o *diff.Observed) string {
	return "/stacks/" + heat.StackName(p.owner, p.c.Key) + "/" + o.ID
}

// Heat's own reason has one of them, and by a path.
func twoFailAndBothAreNamed(t *testing.T, on stage) {
	p := newPlay(t, on, 1)
	o := p.do(diff.Create, nil)
	p.is(o, diff.CreateComplete, diff.NodeReady)
	for i, reason := range []string{"the disk is full", "there is no network"} {
		t.Cleanup(p.failBoot(t, heat.NodeName(p.owner, p.c.Key, schema.DefaultWorker, i+1), reason))
	}
	p.c.Spec.Groups[0].NodeCount = 3
	o = p.do(diff.Resize, o)
	if o.Status != diff.UpdateFailed || o.Nodes[0].State != diff.NodeReady {
		t.Fatalf("it is %s %v", o.Status, states(o))
	}
	for i, reason := range []string{"the disk is full", "there is no network"} {
		n := o.Nodes[i+1]
		if n.State != diff.NodeFailed || !strings.Contains(o.Reason, n.Name) {
			t.Errorf("%s is %s; the cluster says %q", n.Name, n.State, o.Reason)
		}
		if says := strings.Contains(n.Reason, reason) && strings.Contains(o.Reason, reason); !says {
			t.Errorf("%s failed because %q; the cluster says %q", n.Name, n.Reason, o.Reason)
		}
	}
}

// A server that was never made has its name in the template for an id.
func unmadeServerHasNoID(t *testing.T, on stage) {
	p := newPlay(t, on, 1)
	o := p.do(diff.Create, nil)
	if s, ok := on.(*simulated); ok { // which has no zones that could be wrong
		s.cloud.SetQuota("demo", "instances", 1)
	}
	p.c.Spec.Groups = append(p.c.Spec.Groups, schema.Group{Name: "far", Role: "worker", NodeCount: 1, Flavor: "m1.small", Labels: map[string]string{"availability_zone": "no-such-zone"}})
	o = p.do(diff.CreateGroup, o)
	if o.Status != diff.UpdateFailed {
		t.Fatalf("a server was made where there is no zone: %s %s", o.Status, o.Reason)
	}
	for _, n := range o.Nodes {
		var got struct {
			Server struct {
				ID string `json:"id"`
			} `json:"server"`
		}
		if n.Server == "" {
			continue
		}
		if err := p.raw.Get(t.Context(), "compute", "/servers/"+n.Server, nil, &got); err != nil {
			t.Errorf("%s has server %q: %v", n.Name, n.Server, err)
		}
	}
}

// A delete is accepted in whatever state the stack is, as long as it is the one
// that was seen; one that failed is tried again.
func deletesInAnyState(t *testing.T, on stage) {
	p := newPlay(t, on, 1)
	t.Cleanup(p.failBoot(t, string(p.c.Name), "it does not start"))
	p.apply(diff.Create, nil)
	o := p.see()
	p.goes(diff.Delete, o) // while it is made
	o = p.do(diff.Create, nil)
	p.is(o, diff.CreateFailed, diff.NodeFailed)
	p.goes(diff.Delete, o)
}

// goes carries a step out after which there is nothing to see.
func (p *play) goes(op diff.Op, have *diff.Observed) {
	p.Helper()
	p.apply(op, have)
	p.settle()
	if left := p.leftovers(p.T, p.c); len(left) > 0 {
		p.Fatalf("after the delete there is %v", left)
	}
}
