package drivertest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// world is what one promise is checked in: a backend, a driver and names that
// no other subtest uses, because the backend may be shared.
type world struct {
	testing.TB
	*Backend
	driver drivers.Driver
	mark   string
}

func newWorld(t testing.TB, b *Backend) *world {
	t.Helper()
	w := &world{TB: t, Backend: b, mark: "t" + strings.ToLower(rand.Text()[:6])}
	w.driver = w.open(nil)
	return w
}

// open gives a driver of the subtest's owner, which looks at everything.
func (w *world) open(change func(*drivers.Options)) drivers.Driver {
	w.Helper()
	d, err := w.tryOpen(change)
	if err != nil {
		w.Fatalf("open: %v", err)
	}
	return d
}

func (w *world) tryOpen(change func(*drivers.Options)) (drivers.Driver, error) {
	return w.Open(w.TB, func(o *drivers.Options) {
		o.Owner, o.Instance, o.Memory = "owner-"+w.mark, "drivertest", nil
		if change != nil {
			change(o)
		}
	})
}

func (w *world) cluster(name string, change func(*schema.Spec)) *schema.Cluster {
	w.Helper()
	return w.Cluster(w.TB, schema.ClusterName(w.mark+"-"+name), change)
}

func (w *world) observe() []diff.Observed {
	w.Helper()
	have, err := w.driver.Observe(w.Context())
	if err != nil {
		w.Fatalf("observe: %v", err)
	}
	return have
}

// see gives the one cluster as it is.
func (w *world) see(c *schema.Cluster) *diff.Observed {
	w.Helper()
	var found []diff.Observed
	all := w.observe()
	for _, o := range all {
		if o.Key == c.Key {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		w.Fatalf("%s was observed %d times in\n%s", c.Key, len(found), show(all))
	}
	return &found[0]
}

// look is see by a driver that was just opened and looks as deep as it can.
func (w *world) look(c *schema.Cluster) *diff.Observed {
	w.Helper()
	w.driver = w.open(nil)
	o := w.see(c)
	i, ok := w.driver.(drivers.Inspector)
	if !ok {
		return o
	}
	have, err := i.Inspect(w.Context(), []diff.Observed{*o})
	if err != nil || len(have) != 1 {
		w.Fatalf("inspect %s: %v\n%s", c.Key, err, show(have))
	}
	return &have[0]
}

func (w *world) apply(s diff.Step) {
	w.Helper()
	if err := w.driver.Apply(w.Context(), s); err != nil {
		w.Fatalf("%s of %s: %v", s.Op, s.Cluster, err)
	}
}

// carryOut applies a step to the end and gives the cluster afterwards.
func (w *world) carryOut(s diff.Step) *diff.Observed {
	w.Helper()
	w.apply(s)
	w.Settle(w.TB)
	return w.see(s.Want)
}

// running declares a cluster and makes it.
func (w *world) running(name string, change func(*schema.Spec)) (*schema.Cluster, *diff.Observed) {
	w.Helper()
	c := w.cluster(name, change)
	o := w.carryOut(create(c))
	w.inSync(c, o)
	return c, o
}

// inSync fails unless the cluster is just as declared.
func (w *world) inSync(c *schema.Cluster, o *diff.Observed) {
	w.Helper()
	var wrong []string
	is := func(good bool, format string, args ...any) {
		if !good {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	is(o.Key == c.Key, "key %s", o.Key)
	is(o.ID != "" && o.Version != "", "id %q, version %q", o.ID, o.Version)
	is(o.Owner == diff.Ours, "owner %s", o.Owner)
	is(strings.HasSuffix(string(o.Status), "_COMPLETE") && o.Status != diff.DeleteComplete && !o.Moving, "%s, moving %v: %s", o.Status, o.Moving, o.Reason)
	is(o.Spec != nil && o.Spec.Hash() == c.Spec.Hash(), "spec (-want +have)\n%s", cmp.Diff(&c.Spec, o.Spec))
	is(len(o.Drift) == 0, "drift %v", o.Drift)
	for _, g := range c.Spec.Groups {
		is(len(group(o, g.Name)) == g.NodeCount, "%d nodes in %s, want %d", len(group(o, g.Name)), g.Name, g.NodeCount)
	}
	for _, n := range o.Nodes {
		is(n.State == diff.NodeReady, "%s is %s: %s", n.Name, n.State, n.Reason)
	}
	is(slices.IsSortedFunc(o.Nodes, compareNodes), "nodes are not sorted")
	if len(wrong) > 0 {
		w.Fatalf("%s is not as declared:\n%s", c.Key, strings.Join(wrong, "\n"))
	}
}

// plan is what Compute makes of one wanted cluster and what is there.
func (w *world) plan(c *schema.Cluster) diff.Plan {
	w.Helper()
	return diff.Compute(&schema.Fleet{Clusters: []*schema.Cluster{c}}, diff.Have{Clusters: w.observe()}, diff.Policy{})
}

// follow carries out what the plan says until it says nothing more.
func (w *world) follow(c *schema.Cluster) {
	w.Helper()
	for range 20 {
		plan := w.plan(c)
		if len(plan.Steps) == 0 {
			w.inSync(c, w.see(c))
			return
		}
		due := plan.Due()
		if len(due) == 0 {
			w.Fatalf("nothing of the plan can be carried out: %+v", plan.Steps)
		}
		w.apply(due[0])
		w.Settle(w.TB)
	}
	w.Fatalf("the plan does not come to an end: %+v", w.plan(c).Steps)
}

// want fails unless an error is of a kind.
func (w *world) want(kind drivers.Kind, err error) {
	w.Helper()
	if err == nil || drivers.KindOf(err) != kind {
		w.Errorf("have error %q of kind %s, want kind %s", fmt.Sprint(err), drivers.KindOf(err), kind)
	}
}

// noWrites fails if do sends anything that could change something.
func (w *world) noWrites(do func()) {
	w.Helper()
	before := w.Writes()
	do()
	if n := w.Writes() - before; n != 0 {
		w.Errorf("%d writes were sent, want none", n)
	}
}

func (w *world) equal(want, have any) {
	w.Helper()
	if d := cmp.Diff(want, have); d != "" {
		w.Errorf("(-want +have)\n%s", d)
	}
}

// remember is a memory of what was observed.
type remember []diff.Observed

func (r remember) Recall(cloud schema.CloudName) map[string]diff.Observed {
	m := map[string]diff.Observed{}
	for _, o := range r {
		if o.Key.Cloud == cloud {
			m[o.ID] = o
		}
	}
	return m
}

func show(all []diff.Observed) string {
	var b strings.Builder
	for _, o := range all {
		fmt.Fprintf(&b, "%s %s %s %s\n", o.Key, o.Owner, o.Status, o.ID)
	}
	return b.String()
}
