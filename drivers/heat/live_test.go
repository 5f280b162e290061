package heat_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/drivers/kube/kubetest"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// inside plays the API of a cluster on sim, whose servers boot nothing: with the
// keys that are kept of it, and the nodes that it should have.
func (s *scene) inside(t testing.TB, c *schema.Cluster, o diff.Observed) drivertest.Inside {
	t.Helper()
	for owner := range s.owners() {
		d, err := s.driver(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := d.(drivers.Keeper).Keys(t.Context(), c.Key)
		if err != nil {
			t.Fatal(err)
		}
		api, address := enter(t, keys, o)
		o.APIAddress = address
		return drivertest.Inside{Observed: o, Occupy: occupying(api), See: func(node string) drivertest.NodeInside {
			n := api.SeeNode(node)
			return drivertest.NodeInside{Pods: len(api.Pods(node)), Cordoned: n.Spec.Unschedulable, Labels: n.Labels}
		}}
	}
	t.Fatal("nobody owns the cluster")
	return drivertest.Inside{}
}

// enter is the API of a cluster with its nodes, and where it answers.
func enter(t testing.TB, keys *pki.Keys, o diff.Observed) (*kubetest.API, string) {
	t.Helper()
	api := kubetest.New()
	for _, n := range o.Nodes {
		api.AddNodes(n.Name)
	}
	return api, apiServer(t, keys, api)
}

func occupying(api *kubetest.API) func(node string, pods int, alone bool) {
	return func(node string, pods int, alone bool) {
		for i := range pods {
			api.AddPod(fmt.Sprintf("shop/web-%s-%d", node, i), node, func(p *corev1.Pod) {
				if alone {
					p.OwnerReferences = nil
				}
			})
		}
	}
}

// living is a live cluster on sim with one master and two workers, which can be
// reached into.
func living(t *testing.T, config schema.CloudConfig) (*simulated, drivers.Driver, diff.Observed, *kubetest.API, *schema.Cluster) {
	t.Helper()
	s := newSimulated(t)
	d := open(t, s, func(o *drivers.Options) { o.Config, o.Now = config, time.Now })
	c := declareKubernetes(t, "a", func(spec *schema.Spec) {
		spec.Groups[1].NodeCount, spec.Groups[1].NodeLabels = 2, map[string]string{"accel": "a100"}
	})
	create(t, d, c)
	s.clock.Advance(time.Hour)
	keys, err := d.(drivers.Keeper).Keys(t.Context(), c.Key)
	if err != nil {
		t.Fatal(err)
	}
	live := observe(t, d)[0]
	api, address := enter(t, keys, live)
	live.APIAddress = address
	return s, d, live, api, c
}

// A change of labels is an update that replaces no server, reaches nodes that run
// through their own API, and is what a node gets that boots later.
func TestLabelsOfNodesChangeInPlace(t *testing.T) {
	t.Parallel()
	s, d, live, api, c := living(t, schema.CloudConfig{})
	next := *c
	next.Spec.Groups = append([]schema.Group(nil), c.Spec.Groups...)
	next.Spec.Groups[1].NodeLabels = map[string]string{"accel": "h100"}
	fleet := &schema.Fleet{Clusters: []*schema.Cluster{&next}}
	objections, err := d.(drivers.Checker).Check(t.Context(), fleet.Clusters, observe(t, d))
	if err != nil {
		t.Fatal(err)
	}
	plan := diff.Compute(fleet, diff.Have{Clusters: observe(t, d)}, diff.Policy{Objections: objections})
	if len(plan.Steps) != 1 || plan.Steps[0].Op != diff.Update || plan.Steps[0].Held != nil || len(plan.Notes) > 0 {
		t.Fatalf("%+v", plan)
	}
	attend := func(o diff.Observed) {
		t.Helper()
		o.APIAddress = live.APIAddress
		if h := d.(drivers.Attendant).Attend(t.Context(), drivers.Visit{Observed: o, Mend: true}); h.Status != drivers.Healthy || len(h.Undone) > 0 {
			t.Fatalf("%+v", h)
		}
	}
	attend(live)
	if err := d.Apply(t.Context(), plan.Steps[0]); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	after := observe(t, d)[0]
	for i, n := range live.Nodes {
		if n.Server != after.Nodes[i].Server {
			t.Errorf("the server of %s was replaced", n.Name)
		}
	}
	attend(after)
	worker := after.Nodes[2].Name
	if got := api.SeeNode(worker).Labels["accel"]; got != "h100" {
		t.Errorf("%s has accel=%s", worker, got)
	}
	if got := api.SeeNode(after.Nodes[0].Name).Labels; len(got) > 0 {
		t.Errorf("the master has %v", got)
	}
	scene := newScene(t, s)
	if given := scene.given(t, after.ID, worker); !strings.Contains(given, "accel=a100") {
		t.Errorf("a node that runs was given %q, and now another would be", given)
	}
	bigger := diff.Step{Op: diff.Upgrade, Cluster: c.Key, Observed: after.Version, Operation: "2", Nodes: []string{worker}, To: clone(&next.Spec), Want: &next, Have: &after}
	bigger.To.Groups[1].Flavor = "m1.medium"
	if err := d.Apply(t.Context(), bigger); err != nil {
		t.Fatal(err)
	}
	if given := scene.given(t, after.ID, worker); !strings.Contains(given, "accel=h100") {
		t.Errorf("a node that boots now is given %q", given)
	}
}

func clone(s *schema.Spec) *schema.Spec {
	to := *s
	to.Groups = append([]schema.Group(nil), s.Groups...)
	return &to
}

// given is what the root template gives a node for its boot.
func (s *scene) given(t testing.TB, stack, node string) string {
	t.Helper()
	var root struct {
		Resources map[string]struct {
			Properties map[string]any
		}
	}
	s.get(t, "/stacks/"+stack+"/template", nil, &root)
	return fmt.Sprint(root.Resources[node].Properties["node_labels"])
}

// Where nobody reaches the API by design nobody tries, and that is said.
func TestOutOfReachByDesign(t *testing.T) {
	t.Parallel()
	_, d, live, api, c := living(t, schema.CloudConfig{EtcdHealth: schema.EtcdHealthHeat})
	a := d.(drivers.Attendant)
	if h := a.Attend(t.Context(), drivers.Visit{Observed: live, Mend: true}); h.Status != drivers.Unreached || !strings.Contains(h.Reason["api"], "clouds.lab-demo.etcdHealth is heat") {
		t.Errorf("%+v", h)
	}
	if o := a.Workload(t.Context(), live, []string{live.Nodes[1].Name}); o.Work != diff.WorkOwn {
		t.Errorf("%s, %s", o.Work, o.WorkReason)
	}
	if writes := api.Writes(); len(writes) > 0 {
		t.Errorf("writes: %v", writes)
	}
	next := *c
	next.Spec.Groups = append([]schema.Group(nil), c.Spec.Groups...)
	next.Spec.Groups[1].NodeLabels = map[string]string{"accel": "h100"}
	objections, err := d.(drivers.Checker).Check(t.Context(), []*schema.Cluster{&next}, []diff.Observed{live})
	plan := diff.Compute(&schema.Fleet{Clusters: []*schema.Cluster{&next}}, diff.Have{Clusters: []diff.Observed{live}}, diff.Policy{Objections: objections})
	if err != nil || len(plan.Due()) != 1 || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0].Text, "when they boot the next time") {
		t.Errorf("%v: %+v", err, plan)
	}
}

// Keys are read once for as long as the certificate lasts that they made, however
// often a cluster is asked.
func TestKeysAreReadOncePerCertificate(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	now := time.Now()
	d := open(t, s, func(o *drivers.Options) { o.Now = func() time.Time { return now } })
	c := declareKubernetes(t, "a", nil)
	create(t, d, c)
	s.clock.Advance(time.Hour)
	keys, err := d.(drivers.Keeper).Keys(t.Context(), c.Key)
	if err != nil {
		t.Fatal(err)
	}
	live := observe(t, d)[0]
	_, live.APIAddress = enter(t, keys, live)
	asks := func() int {
		t.Helper()
		s.cloud.ResetRequests()
		for range 3 {
			if h := d.(drivers.Attendant).Attend(t.Context(), drivers.Visit{Observed: live}); h.Status != drivers.Healthy {
				t.Fatalf("%+v", h)
			}
		}
		return s.cloud.Requests().Count(http.MethodGet, "/secrets")
	}
	if n, again := asks(), 0; n != 4 || asks() != again {
		t.Errorf("keys took %d requests, want 4 and then none", n)
	}
	if now = now.Add(51 * time.Minute); asks() != 4 {
		t.Error("the certificate ends, and nobody made another")
	}
}

// A store that refuses us is no cluster that is ill, and says the same each time.
func TestNoKeysNoHealth(t *testing.T) {
	t.Parallel()
	s, _, live, _, _ := living(t, schema.CloudConfig{})
	reader := open(t, s, func(o *drivers.Options) { o.ReadOnly = true })
	s.cloud.Fault(sim.Fault{Service: "key-manager", Status: http.StatusForbidden})
	a := reader.(drivers.Attendant)
	first, again := a.Attend(t.Context(), drivers.Visit{Observed: live}), a.Attend(t.Context(), drivers.Visit{Observed: live})
	if first.Status != drivers.Unreached || !cmp.Equal(first, again) {
		t.Errorf("%+v, then %+v", first, again)
	}
	if o := a.Workload(t.Context(), live, []string{live.Nodes[1].Name}); o.Work != diff.WorkUnseen || o.WorkReason == "" {
		t.Errorf("who only plans: %s, %s", o.Work, o.WorkReason)
	}
	writer := open(t, s, nil).(drivers.Attendant)
	if o := writer.Workload(t.Context(), live, []string{live.Nodes[1].Name}); o.Work != diff.WorkUnknown || o.WorkReason == "" {
		t.Errorf("who carries out: %s, %s", o.Work, o.WorkReason)
	}
}

// A worker is removed as the loop does it: the idle one is chosen, and when none
// is, the budget of the pods on the chosen one is waited for; then its object goes
// too.
func TestAWorkerLeavesInOrder(t *testing.T) {
	t.Parallel()
	s, d, live, api, c := living(t, schema.CloudConfig{})
	a, first, second := d.(drivers.Attendant), live.Nodes[1].Name, live.Nodes[2].Name
	occupying(api)(first, 2, false)
	api.Budget("shop/web", "web", 0)
	next := *c
	plan := func(workers int) diff.Step {
		t.Helper()
		next.Spec = *clone(&c.Spec)
		next.Spec.Groups[1].NodeCount = workers
		fleet := &schema.Fleet{Clusters: []*schema.Cluster{&next}}
		o := observe(t, d)[0]
		o.APIAddress = live.APIAddress
		for range 3 {
			p := diff.Compute(fleet, diff.Have{Clusters: []diff.Observed{o}}, diff.Policy{Limits: schema.Limits{ShrinkPercent: 100}})
			nodes := diff.WantsWorkload(p)[c.Key]
			if len(nodes) == 0 {
				return p.Steps[0]
			}
			o = a.Workload(t.Context(), o, nodes)
		}
		t.Fatal("it asks on and on")
		return diff.Step{}
	}
	drain := func(step diff.Step) map[string]diff.Workload {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		work, err := a.Drain(ctx, step)
		if err != nil {
			t.Fatal(err)
		}
		return work
	}
	if step := plan(1); len(step.Nodes) != 1 || step.Nodes[0] != second || step.Drain == nil {
		t.Errorf("one is to go: %v, drained %+v; want the idle %s", step.Nodes, step.Drain, second)
	}
	both := plan(0)
	work := drain(both)
	if got := work[first].Draining(first); got != "draining "+first+": 2 pods left, shop/web-"+first+"-0 (disruption budget shop/web), shop/web-"+first+"-1 (disruption budget shop/web)" {
		t.Errorf("while the budget refuses: %s", got)
	}
	api.Budget("shop/web", "web", 2)
	if work := drain(plan(0)); work[first].Pods+work[second].Pods > 0 {
		t.Errorf("when it lets them: %+v", work)
	}
	step := plan(0)
	if step.Drain != nil || step.Held != nil {
		t.Fatalf("they are empty: %+v, %+v", step.Drain, step.Held)
	}
	if err := d.Apply(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	after := observe(t, d)[0]
	after.APIAddress = live.APIAddress
	for _, name := range []string{first, second} {
		api.Node(name, func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown })
	}
	a.Attend(t.Context(), drivers.Visit{Observed: after, Mend: true})
	if len(after.Nodes) != 1 || api.SeeNode(first) != nil || api.SeeNode(second) != nil || api.SeeNode(after.Nodes[0].Name) == nil {
		t.Errorf("observed %+v; Kubernetes knows %v and %v", after.Nodes, api.SeeNode(first) != nil, api.SeeNode(second) != nil)
	}
}
