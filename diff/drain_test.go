package diff_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// occupied is one cluster of the notation, with what runs on its nodes; nil: it
// was not asked.
func occupied(t testing.TB, line string, work map[string]diff.Workload) diff.Have {
	t.Helper()
	have := there(t, line)
	if o := &have.Clusters[0]; work != nil {
		o.Work, o.Workloads = diff.WorkKnown, work
	}
	return have
}

func worker(n int) string { return fmt.Sprintf("default-worker-%d", n) }

var aKey = schema.Key{Cloud: "c", Name: "a"}

func TestWhatHasToBeKnownBeforeNodesGo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		want, have string
		nodes      []string
	}{
		"a group shrinks":          {"a x1", "a x3", []string{worker(0), worker(1), worker(2)}},
		"an upgrade":               {"a x3 image=i2 batch=2", "a x3", []string{"default-master-0"}},
		"a group goes":             {"a", "a gpu:2", []string{"gpu-0", "gpu-1"}},
		"who failed is not asked":  {"a x2", "a x3 default-worker-1=failed", nil},
		"nor who is missing":       {"a x1", "a x2 default-worker-0=missing", nil},
		"a group grows":            {"a x3", "a x1", nil},
		"nothing changes":          {"a", "a", nil},
		"it has no pods":           {"a x1 coe=docker", "a x2 coe=docker", nil},
		"somebody holds the step":  {"a x1 suspended", "a x2", nil},
		"too much at once is held": {"a x1", "a x5", nil},
	} {
		got := diff.WantsWorkload(diff.Compute(wanted(t, tt.want), there(t, tt.have), diff.Policy{Limits: schema.Limits{ShrinkPercent: 70}}))
		if !slices.Equal(got[aKey], tt.nodes) {
			t.Errorf("%s: %v, want %v", name, got, tt.nodes)
		}
	}
	known := occupied(t, "a x3", map[string]diff.Workload{worker(0): {}, worker(1): {}, worker(2): {}})
	if got := diff.WantsWorkload(diff.Compute(wanted(t, "a x2"), known, diff.Policy{})); len(got) > 0 {
		t.Errorf("all is known, and %v is asked for", got)
	}
}

func TestIdleNodesGoFirst(t *testing.T) {
	t.Parallel()
	const busy, some, idle = 9, 2, 0
	for name, tt := range map[string]struct {
		want, have string
		pods       []int // by number; -1: not known
		draining   int   // number of a node that is; -1: none
		gone       string
	}{
		"as ever without an answer":        {"a x2", "a x3", nil, -1, "default-worker-2"},
		"one that is idle":                 {"a x2", "a x3", []int{busy, idle, some}, -1, "default-worker-1"},
		"the highest of idle ones":         {"a x2", "a x3", []int{idle, idle, some}, -1, "default-worker-1"},
		"else the one with least":          {"a x2", "a x3", []int{some, busy, busy}, -1, "default-worker-0"},
		"else the one that is drained":     {"a x2", "a x3", []int{some, busy, busy}, 1, "default-worker-1"},
		"an idle one before one half-done": {"a x2", "a x3", []int{idle, some, busy}, 1, "default-worker-0"},
		"whom the author names":            {"a x2 drop=default-worker-0", "a x3", []int{busy, idle, some}, -1, "default-worker-0"},
		"half an answer is none":           {"a x2", "a x3", []int{idle, some, -1}, -1, "default-worker-2"},
	} {
		work := map[string]diff.Workload{}
		for i, n := range tt.pods {
			w := diff.Workload{Pods: n}
			if i == tt.draining {
				w.Since = "2026-05-04T12:00:00Z"
			}
			if n >= 0 {
				work[worker(i)] = w
			}
		}
		plan := diff.Compute(wanted(t, tt.want), occupied(t, tt.have, work), diff.Policy{})
		if len(plan.Steps) != 1 || strings.Join(plan.Steps[0].Nodes, " ") != tt.gone {
			t.Errorf("%s: %s, want %s to go", name, short(plan), tt.gone)
		}
	}
}

func TestDrainHoldsWhatWouldBeLost(t *testing.T) {
	t.Parallel()
	with := func(w diff.Workload) map[string]diff.Workload {
		return map[string]diff.Workload{worker(0): {Pods: 9}, worker(1): w}
	}
	for name, tt := range map[string]struct {
		have  func(*diff.Observed)
		held  string // part of the reason; empty: it is due
		why   string
		drain *diff.Drain // when it is due, with what was acknowledged
	}{
		"idle and open":     {func(o *diff.Observed) { o.Workloads = with(diff.Workload{}) }, "", "", &diff.Drain{Nodes: []string{worker(1)}}},
		"idle and cordoned": {func(o *diff.Observed) { o.Workloads = with(diff.Workload{Cordoned: true}) }, "", "", nil},
		"pods":              {func(o *diff.Observed) { o.Workloads = with(diff.Workload{Pods: 2}) }, "", "drains default-worker-1 first (2 pods)", &diff.Drain{Nodes: []string{worker(1)}}},
		"a pod alone": {func(o *diff.Observed) {
			o.Workloads = with(diff.Workload{Pods: 2, Holds: []string{"shop/tool (no controller makes it again)"}})
		}, "shop/tool (no controller makes it again) on default-worker-1", "", &diff.Drain{Nodes: []string{worker(1)}, All: true}},
		"too late": {func(o *diff.Observed) {
			o.Workloads = with(diff.Workload{Pods: 1, Cordoned: true, Late: "since noon, longer than the 30 minutes that it may take", Left: []string{"shop/db-0 (disruption budget shop/db)"}})
		}, "default-worker-1 is being drained since noon, longer than the 30 minutes that it may take, and has 1 pod left: shop/db-0 (disruption budget shop/db); give", "", &diff.Drain{Nodes: []string{worker(1)}, Anyway: true}},
		"late but done":   {func(o *diff.Observed) { o.Workloads = with(diff.Workload{Cordoned: true, Late: "since noon"}) }, "", "", nil},
		"out of reach":    {func(o *diff.Observed) { o.Work, o.WorkReason = diff.WorkUnknown, "no route to host" }, "what runs on default-worker-1 is not known, and so it cannot be drained (no route to host)", "", nil},
		"out of sight":    {func(o *diff.Observed) { o.Work, o.WorkReason = diff.WorkUnseen, "no role" }, "", "whether it can be drained was not seen: no role", nil},
		"by design":       {func(o *diff.Observed) { o.Work = diff.WorkOwn }, "", "clouds.c.etcdHealth: heat", nil},
		"nobody to ask":   {func(o *diff.Observed) { o.Work = diff.WorkNotAsked }, "", "", nil},
		"it is not known": {func(o *diff.Observed) { o.Workloads = nil }, "", "", nil},
	} {
		have := there(t, "a x2")
		have.Clusters[0].Work = diff.WorkKnown
		tt.have(&have.Clusters[0])
		plan := diff.Compute(wanted(t, "a x1"), have, diff.Policy{})
		s := plan.Steps[0]
		if s.Held != nil {
			if s.Held.Guard != "drain" || tt.held == "" || !strings.Contains(s.Held.Reason, tt.held) || s.Held.Ack == "" || s.Drain != nil {
				t.Errorf("%s: held by %s: %s", name, s.Held.Guard, s.Held.Reason)
			}
			plan = diff.Compute(wanted(t, "a x1"), have, diff.Policy{Acks: map[string]map[string]bool{"drain": {s.Held.Ack: true}}})
			s = plan.Steps[0]
		} else if tt.held != "" {
			t.Errorf("%s: not held", name)
		}
		if d := cmp.Diff(tt.drain, s.Drain); s.Held != nil || d != "" || !strings.Contains(s.Why, tt.why) {
			t.Errorf("%s: held %v, why %q\n%s", name, s.Held, s.Why, d)
		}
	}
}

// One acknowledgement is about one thing.
func TestConsentToLonePodsIsNoneToHurry(t *testing.T) {
	t.Parallel()
	have := occupied(t, "a x2", map[string]diff.Workload{worker(0): {Pods: 9}, worker(1): {Pods: 1, Holds: []string{"x/y (alone)"}, Late: "since noon"}})
	acks := map[string]map[string]bool{"drain": {}}
	var reasons []string
	for range 3 {
		s := diff.Compute(wanted(t, "a x1"), have, diff.Policy{Acks: acks}).Steps[0]
		if s.Held == nil {
			break
		}
		reasons = append(reasons, s.Held.Reason)
		acks["drain"][s.Held.Ack] = true
	}
	if len(reasons) != 2 || !strings.HasPrefix(reasons[0], "pods that would be lost") || !strings.Contains(reasons[1], "since noon") {
		t.Errorf("held for %q", reasons)
	}
}

func TestWhoLeavesStaysCordoned(t *testing.T) {
	t.Parallel()
	stuck := map[string]diff.Workload{worker(0): {Pods: 1}, worker(1): {Pods: 1, Holds: []string{"x/y (alone)"}}}
	for line, leaves := range map[string]bool{"a x1": true, "a x2": false, "a x1 suspended": false} {
		for _, work := range []map[string]diff.Workload{nil, {worker(0): {Pods: 2}, worker(1): {}}, stuck} {
			got := diff.Leaving(diff.Compute(wanted(t, line), occupied(t, "a x2", maps.Clone(work)), diff.Policy{}))
			if slices.Contains(got[aKey], worker(1)) != leaves {
				t.Errorf("%s with %v: %v leave", line, work, got)
			}
		}
	}
}

// Whatever runs where: whom the author named goes first, then who is broken, then
// who is idle, and as many go as have to. Nothing is drained that is broken or
// stays, and a step whose nodes hold a pod is never due.
func TestTheChoiceOfNodes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(2, 8).Draw(t, "nodes")
		left := rapid.IntRange((count+1)/2, count-1).Draw(t, "left")
		have, work := there(sink{}, fmt.Sprintf("a x%d", count)), map[string]diff.Workload{}
		fleet := wanted(sink{}, fmt.Sprintf("a x%d", left))
		o := &have.Clusters[0]
		for i := range count {
			w := diff.Workload{Pods: rapid.IntRange(0, 3).Draw(t, "pods"), Cordoned: rapid.Bool().Draw(t, "cordoned")}
			if w.Pods > 0 && rapid.IntRange(0, 4).Draw(t, "alone") == 0 {
				w.Holds = []string{"x/alone"}
			}
			work[worker(i)] = w
		}
		o.Work, o.Workloads = diff.WorkKnown, work
		named := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{worker(0), worker(1), "nobody"}), 0, 2, rapid.ID[string]).Draw(t, "named")
		fleet.Clusters[0].Policy.NodesToRemove = named
		plan := diff.Compute(fleet, have, diff.Policy{})
		s := plan.Steps[0]
		if s.Op != diff.Resize || len(s.Nodes) != count-left {
			t.Fatalf("%s", short(plan))
		}
		stays := map[string]bool{}
		for i := range count {
			stays[worker(i)] = !slices.Contains(s.Nodes, worker(i))
		}
		holds := false
		for _, name := range s.Nodes {
			holds = holds || len(work[name].Holds) > 0
			for other, stay := range stays {
				switch {
				case !stay || slices.Contains(named, name):
				case slices.Contains(named, other):
					t.Fatalf("%s goes before %s, which is named", name, other)
				case work[name].Pods > work[other].Pods:
					t.Fatalf("%s goes with %d pods before %s with %d", name, work[name].Pods, other, work[other].Pods)
				}
			}
		}
		if holds != (s.Held != nil) {
			t.Fatalf("%v: held %v", work, s.Held)
		}
		if s.Drain == nil {
			return
		}
		for _, name := range s.Drain.Nodes {
			if stays[name] {
				t.Fatalf("%s is drained, and stays", name)
			}
		}
	})
}

// sink is a testing.TB for helpers that must not fail.
type sink struct{ testing.TB }

func (sink) Helper() {}
