package heat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// What depends on what Heat's and Nova's lists say is tested on sim, which can
// be made to say it.

type remembered []diff.Observed

func (r remembered) Recall(schema.CloudName) map[string]diff.Observed {
	m := map[string]diff.Observed{}
	for _, o := range r {
		m[o.ID] = o
	}
	return m
}

func observe(t testing.TB, d drivers.Driver) []diff.Observed {
	t.Helper()
	have, err := d.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func create(t testing.TB, d drivers.Driver, c *schema.Cluster) {
	t.Helper()
	if err := d.Apply(t.Context(), diff.Step{Op: diff.Create, Cluster: c.Key, To: &c.Spec, Want: c, Operation: "1"}); err != nil {
		t.Fatal(err)
	}
}

func nodes(n int) func(*schema.Spec) {
	return func(s *schema.Spec) { s.Groups[0].NodeCount = n }
}

// A fleet without change costs list pages and nothing else; one cluster that
// changed costs what reading it costs.
func TestFleetWithoutChangeCostsPagesOnly(t *testing.T) {
	t.Parallel()
	s := newSimulatedWith(t, sim.Options{MaxStacks: 2000})
	d := open(t, s, nil)
	for i := range 1000 {
		create(t, d, declare(t, schema.ClusterName(fmt.Sprintf("c%03d", i)), nodes(0)))
	}
	s.clock.Advance(time.Hour)
	read := observe(t, d)
	d = open(t, s, func(o *drivers.Options) { o.Memory = remembered(read) })
	s.cloud.ResetRequests()
	if d := cmp.Diff(read, observe(t, d)); d != "" {
		t.Errorf("from memory (-read +remembered):\n%s", d)
	}
	if log := s.cloud.Requests(); len(log.Requests) != 2 {
		t.Errorf("%d requests for 1000 stacks: %v", len(log.Requests), log.Counts)
	}
	c := declare(t, "c500", nodes(1))
	o := read[500]
	if err := d.Apply(t.Context(), diff.Step{Op: diff.Resize, Cluster: c.Key, To: &c.Spec, Want: c, Observed: o.Version, Operation: "2"}); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	s.cloud.ResetRequests()
	if now := observe(t, d); now[500].Spec.Hash() != c.Spec.Hash() {
		t.Errorf("the change is not seen: %+v", now[500])
	}
	if log := s.cloud.Requests(); len(log.Requests) != 2+2 {
		t.Errorf("%d requests for one change: %v", len(log.Requests), log.Counts)
	}
}

// published is a memory as the store's: the same map until something else is saved.
type published struct{ all map[string]diff.Observed }

func (p *published) Recall(schema.CloudName) map[string]diff.Observed { return p.all }

// What is listed as before and remembered as before is not looked into again, and
// nothing that changes is missed for it.
func TestALookThatSeesTheSameAgain(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	memory := &published{}
	d := open(t, s, func(o *drivers.Options) { o.Memory = memory })
	for _, name := range []schema.ClusterName{"a", "b", "c"} {
		create(t, d, declare(t, name, nodes(0)))
	}
	s.clock.Advance(time.Hour)
	read := observe(t, d)
	memory.all = remembered(read).Recall(cloud)
	for range 3 {
		again := observe(t, d)
		if d := cmp.Diff(read, again); d != "" {
			t.Fatalf("(-read +again)\n%s", d)
		}
		again[0].Reason = "what somebody makes of it is his own"
	}
	other := remembered(read).Recall(cloud)
	o := other[read[1].ID]
	o.Reason = "remembered otherwise"
	other[o.ID], memory.all = o, other
	if now := observe(t, d); now[1].Reason != o.Reason {
		t.Errorf("the memory is another, and it is still %q", now[1].Reason)
	}
	if err := d.Apply(t.Context(), diff.Step{Op: diff.Delete, Cluster: read[2].Key, Observed: read[2].Version, Have: &read[2], Operation: "3"}); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	if now := observe(t, d); len(now) != 3 || now[2].Status != diff.DeleteComplete {
		t.Errorf("one is deleted, and there is %+v", now)
	}
	s.cloud.Fault(sim.Fault{Service: "orchestration", PathRegexp: `/stacks\?`, Times: 1, Status: 200, Body: " "})
	if have, err := d.Observe(t.Context()); err == nil || have != nil {
		t.Errorf("an answer of nothing is %v", have)
	}
	observe(t, d)
}

// Pages without end end.
func TestListThatDoesNotAdvance(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	create(t, d, declare(t, "a", nodes(0)))
	s.cloud.Fault(sim.Fault{Service: "orchestration", PathRegexp: `/stacks\?`, Status: 200, Body: `{"stacks": [{"id": "1", "stack_name": "x", "stack_status": "CREATE_COMPLETE"}]}`})
	if have, err := d.Observe(t.Context()); err == nil || have != nil || !strings.Contains(err.Error(), "same again") {
		t.Errorf("have %v, error %v", have, err)
	}
}

// A server that goes away between two pages takes Nova's marker with it.
func TestInspectRacesWithDeletes(t *testing.T) {
	t.Parallel()
	s := newSimulatedWith(t, sim.Options{PageLimit: 2})
	d := open(t, s, nil)
	create(t, d, declare(t, "a", nodes(5)))
	s.clock.Advance(time.Hour)
	have := observe(t, d)
	s.cloud.ResetRequests()
	now, err := d.(drivers.Inspector).Inspect(t.Context(), have)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(have, now); d != "" {
		t.Errorf("nothing is gone, but (-observed +inspected):\n%s", d)
	}
	if n := s.cloud.Requests().Count("GET", "/servers"); n != 3 {
		t.Errorf("%d pages of 2 for 5 servers", n)
	}
	s.cloud.Fault(sim.Fault{Service: "compute", PathRegexp: `marker=`, Status: 400, Body: `{"badRequest": {"code": 400, "message": "marker [x] not found"}}`})
	if _, err := d.(drivers.Inspector).Inspect(t.Context(), have); drivers.KindOf(err) != drivers.Transient {
		t.Errorf("error %v of kind %s", err, drivers.KindOf(err))
	}
}

// A stack that Heat's operators purged is gone, not an error.
func TestPurgedStackIsGone(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	create(t, d, declare(t, "a", nodes(1)))
	s.clock.Advance(time.Hour)
	seen := observe(t, d)
	ghost := seen[0]
	ghost.ID, ghost.Key.Name = "11111111-2222-4333-8444-555555555555", "ghost"
	foreign := ghost
	foreign.ID, foreign.Key.Name, foreign.Owner = "21111111-2222-4333-8444-555555555555", "foreign", diff.Foreign
	d = open(t, s, func(o *drivers.Options) { o.Memory = remembered{seen[0], ghost, foreign} })
	have := observe(t, d)
	if len(have) != 2 || have[1].Key != ghost.Key || have[1].Status != diff.DeleteComplete || have[1].Nodes != nil || have[1].Version == ghost.Version {
		t.Errorf("observed %+v", have)
	}
	// While the cloud does not answer for it, nothing is known of it.
	s.cloud.Fault(sim.Fault{Service: "orchestration", PathRegexp: "ghost", Status: 500})
	if have, err := d.Observe(t.Context()); drivers.KindOf(err) != drivers.Transient || have != nil {
		t.Errorf("observed %v, error %v", have, err)
	}
}

// Until a server is there, its attributes are its name in our template, which is
// shown to nobody; what is there already is shown as it stays.
func TestInProgressShowsWhatIsThere(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	create(t, d, declare(t, "a", nodes(3)))
	shown := map[string]string{}
	for range 20 {
		have := observe(t, d)
		if have[0].Status == diff.CreateComplete {
			break
		}
		for _, n := range have[0].Nodes {
			if n.State == diff.NodeFailed {
				t.Errorf("during %s a node is %+v", have[0].Status, n)
			}
			for kind, is := range map[string]string{"server": n.Server, "address": n.Address} {
				if is != "" {
					shown[n.Name+" "+kind] = is
				}
			}
		}
		s.clock.Advance(time.Second)
	}
	for _, n := range observe(t, d)[0].Nodes {
		if n.Server == "" || n.Address == "" {
			t.Errorf("at the end a node is %+v", n)
		}
		for kind, is := range map[string]string{"server": n.Server, "address": n.Address} {
			if was, early := shown[n.Name+" "+kind]; early && was != is {
				t.Errorf("%s of %s is %s, and was shown as %s", kind, n.Name, is, was)
			}
		}
	}
}

// A FAILED stack whose siblings still roll is in motion, and no update is sent
// into that.
func TestFailedStackThatStillMoves(t *testing.T) {
	t.Parallel()
	s := newSimulatedWith(t, sim.Options{BootTime: time.Minute})
	d := open(t, s, nil)
	c := declare(t, "a", nodes(2))
	create(t, d, c)
	s.clock.Advance(time.Hour)
	c = declare(t, "a", nodes(4))
	bad := heat.NodeName("check", c.Key, schema.DefaultWorker, 2)
	s.cloud.FailBuild("^"+bad, "no host", 0)
	o := observe(t, d)[0]
	step := diff.Step{Op: diff.Resize, Cluster: c.Key, To: &c.Spec, Want: c, Observed: o.Version, Operation: "2"}
	if err := d.Apply(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		s.clock.Advance(time.Second)
		if o = observe(t, d)[0]; o.Status == diff.UpdateFailed {
			break
		}
	}
	if o.Status != diff.UpdateFailed || !o.Moving || o.Nodes[3].State != diff.NodeMoving || o.Nodes[2].State != diff.NodeFailed {
		t.Fatalf("it is %s, moving %v: %v", o.Status, o.Moving, states(&o))
	}
	step = diff.Step{Op: diff.Recover, Cluster: c.Key, To: &c.Spec, Want: c, Observed: o.Version, Nodes: []string{bad}, Operation: "3"}
	if err := d.Apply(t.Context(), step); drivers.KindOf(err) != drivers.Conflict {
		t.Errorf("recover of what still moves: %v", err)
	}
	s.clock.Advance(time.Hour)
	s.cloud.ClearFaults()
	if o = observe(t, d)[0]; o.Moving || o.Nodes[3].State != diff.NodeReady {
		t.Errorf("an hour later it is %s, moving %v: %v", o.Status, o.Moving, states(&o))
	}
	if err := d.Apply(t.Context(), step); err != nil {
		t.Errorf("recover of what has come to rest: %v", err)
	}
}

// Reasons are bounded, whole characters, and name every node all the same.
func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	const n = 40
	s.cloud.FailBoot(".", strings.Repeat("€", 2000), 0)
	create(t, d, declare(t, "a", nodes(n)))
	s.clock.Advance(time.Hour)
	o := observe(t, d)[0]
	if len(o.Reason) > 12<<10 || !strings.Contains(o.Reason, "€...") || strings.ContainsRune(o.Reason, '\ufffd') {
		t.Errorf("%d bytes of reason: %.200q", len(o.Reason), o.Reason)
	}
	failed := 0
	for _, node := range o.Nodes {
		if node.State == diff.NodeFailed {
			failed++
			if len(node.Reason) > 2<<10 || !strings.Contains(o.Reason, node.Name+": ") {
				t.Errorf("%s: %d bytes of reason, in the cluster's %v", node.Name, len(node.Reason), strings.Contains(o.Reason, node.Name))
			}
		}
	}
	if failed == 0 {
		t.Errorf("nothing failed: %v", states(&o))
	}
}

// Who else took the name in the moment between is a conflict, even where the
// name reads like a quota; a real quota is the author's.
func TestKindsOfCreateFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cluster schema.ClusterName
		fault   sim.Fault
		want    drivers.Kind
	}{
		"taken": {"quota", sim.Fault{
			Service: "orchestration", Method: "POST", Status: 409,
			Body: `{"code": 409, "error": {"type": "StackExists", "message": "The Stack (quota-` + "0" + `) already exists."}}`,
		}, drivers.Conflict},
		"stacks": {"a", sim.Fault{
			Service: "orchestration", Method: "POST", Status: 403,
			Body: `{"code": 403, "error": {"type": "RequestLimitExceeded", "message": "You have reached the maximum stacks per tenant, 512."}}`,
		}, drivers.Rejected},
		"role": {"a", sim.Fault{
			Service: "orchestration", Method: "POST", Status: 403,
			Body: `{"code": 403, "error": {"type": "Forbidden", "message": "You are not authorized to use stacks:create."}}`,
		}, drivers.Denied},
		"template": {"a", sim.Fault{
			Service: "orchestration", Method: "POST", Status: 400,
			Body: `{"code": 400, "error": {"type": "StackValidationFailed", "message": "Property error"}}`,
		}, drivers.Rejected},
		"engine": {"a", sim.Fault{Service: "orchestration", Method: "POST", Status: 504}, drivers.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSimulated(t)
			d := open(t, s, nil)
			s.cloud.Fault(tt.fault)
			c := declare(t, tt.cluster, nil)
			err := d.Apply(t.Context(), diff.Step{Op: diff.Create, Cluster: c.Key, To: &c.Spec, Want: c, Operation: "1"})
			if drivers.KindOf(err) != tt.want {
				t.Errorf("%v is %s, want %s", err, drivers.KindOf(err), tt.want)
			}
			if f := openstack.AsFault(err); f == nil || f.Status != tt.fault.Status {
				t.Errorf("the answer is lost in %v", err)
			}
		})
	}
}

// Owner and instance are tags, which have 80 characters.
func TestOpenNeedsAnOwnerThatFits(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	for owner, want := range map[string]bool{
		"": false, "a,b": false, strings.Repeat("o", 65): true, strings.Repeat("o", 66): false, "a=b:c": true,
	} {
		_, err := heat.OpenOn(t.Context(), drivers.Options{Cloud: cloud, Owner: owner, Instance: "i"}, s.getenv, nil)
		if (err == nil) != want || err != nil && drivers.KindOf(err) != drivers.Rejected {
			t.Errorf("owner %q: %v, want accepted %v", owner, err, want)
		}
	}
}

// Seen on Heat 19: a list during which a stack goes away is answered with 400.
func TestAListThatIsRefusedForAMomentIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		times int
		want  drivers.Kind
	}{{2, ""}, {3, drivers.Transient}} {
		s := newSimulated(t)
		d, err := heat.OpenOn(t.Context(), drivers.Options{Cloud: cloud, Owner: "me", Instance: "x", Log: zap.NewNop()}, s.getenv, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.cloud.Fault(sim.Fault{
			Service: "orchestration", Method: http.MethodGet, PathRegexp: `/stacks\?`, Times: c.times,
			Status: http.StatusBadRequest, Body: `{"error":{"type":"HTTPBadRequest","message":"malformed"}}`,
		})
		_, err = d.Observe(t.Context())
		if c.want == "" && err != nil || c.want != "" && drivers.KindOf(err) != c.want {
			t.Errorf("refused %d times: have %v, want kind %q", c.times, err, c.want)
		}
	}
}

// tap keeps the bodies of writes to Heat.
type tap struct {
	next   http.RoundTripper
	bodies []map[string]any
}

func (w *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && !strings.HasSuffix(r.URL.Path, "/auth/tokens") {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var body map[string]any
		if err := json.Unmarshal(b, &body); err != nil {
			return nil, err
		}
		body["method"] = r.Method
		w.bodies = append(w.bodies, body)
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return w.next.RoundTrip(r)
}

// A create has the author's time, an update its own: createTimeout is of create
// only. Both say everything, since a PUT drops what it does not name, and
// neither is rolled back.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	var w tap
	d, err := heat.OpenOn(t.Context(), drivers.Options{Cloud: cloud, Owner: "check", Instance: "check"}, s.getenv,
		func(next http.RoundTripper) http.RoundTripper { w.next = next; return &w })
	if err != nil {
		t.Fatal(err)
	}
	c := declare(t, "a", nodes(1))
	create(t, d, c)
	s.clock.Advance(time.Hour)
	o := observe(t, d)[0]
	if err := d.Apply(t.Context(), diff.Step{Op: diff.Update, Cluster: c.Key, To: &c.Spec, Want: c, Observed: o.Version, Operation: "2"}); err != nil {
		t.Fatal(err)
	}
	if len(w.bodies) != 2 {
		t.Fatalf("%d writes", len(w.bodies))
	}
	for i, want := range []map[string]any{
		{"method": "POST", "timeout_mins": 30.0, "stack_name": heat.StackName("check", c.Key)},
		{"method": "PUT", "timeout_mins": 90.0, "stack_name": nil},
	} {
		got := w.bodies[i]
		want["disable_rollback"] = true
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %s is %v, want %v", want["method"], k, got[k], v)
			}
		}
		if tags, _ := got["tags"].(string); !strings.HasPrefix(tags, "jeroboam.owner=check,") {
			t.Errorf("%s: tags are %q", want["method"], tags)
		}
		if p, _ := got["parameters"].(map[string]any); p["jeroboam_owner"] != "check" || len(p) != 3 {
			t.Errorf("%s: parameters are %v", want["method"], p)
		}
		if files, _ := got["files"].(map[string]any); len(files) != 1 {
			t.Errorf("%s: %d files", want["method"], len(files))
		}
	}
}
