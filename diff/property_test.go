package diff_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// The same inputs in any order give the same plan, and are not touched.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		before := written(t, w)
		first := rendered(t, w.plan())
		if d := cmp.Diff(before, written(t, w)); d != "" {
			t.Fatalf("the inputs were changed: %s", d)
		}
		w.want.Clusters = rapid.Permutation(w.want.Clusters).Draw(t, "want")
		w.have.Clusters = rapid.Permutation(w.have.Clusters).Draw(t, "have")
		for i := range w.have.Clusters {
			if o := &w.have.Clusters[i]; len(o.Nodes) > 0 {
				o.Nodes = rapid.Permutation(o.Nodes).Draw(t, "nodes")
			}
		}
		if d := cmp.Diff(first, rendered(t, w.plan())); d != "" {
			t.Fatal(d)
		}
	})
}

func written(t *rapid.T, w world) string {
	b, err := json.Marshal([]any{w.want.Clusters, w.have})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func rendered(t *rapid.T, p diff.Plan) []string {
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{string(b), short(p)}
	for _, s := range p.Steps {
		if s.To != nil {
			lines = append(lines, s.To.Hash())
		}
	}
	return lines
}

// Carrying out what is due, again and again, ends: then every cluster is in
// sync or has a held step that says why not.
func TestPlansComeToAnEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		if one(t, 2, "acknowledged") {
			w.acknowledge()
		}
		plan := w.plan()
		for round := 0; ; round++ {
			due := plan.Due()
			waits := slices.ContainsFunc(plan.Steps, func(s diff.Step) bool { return s.Op == diff.Wait })
			if len(due) == 0 && !waits {
				break
			}
			if round > 100 {
				t.Fatalf("after %d rounds: %s", round, short(plan))
			}
			w.elapse(due)
			plan = w.plan()
		}
		w.checkSettled(t, plan)
	})
}

func (w *world) checkSettled(t *rapid.T, plan diff.Plan) {
	held := map[schema.Key]bool{}
	for _, s := range plan.Steps {
		if s.Held == nil {
			t.Fatalf("not held: %s", short(plan))
		}
		if s.Want != nil {
			held[s.Cluster] = true
		}
	}
	known := 0
	for _, c := range w.policy.Clock.Now(w.want).Clusters {
		if w.have.Unknown[c.Cloud] != "" {
			continue
		}
		known++
		if held[c.Key] {
			continue
		}
		i := slices.IndexFunc(w.have.Clusters, func(o diff.Observed) bool { return o.Key == c.Key })
		if i < 0 || w.have.Clusters[i].Spec == nil {
			t.Fatalf("%s is not there and nothing says so: %s", c.Key, short(plan))
		}
		if d := cmp.Diff(flat(&c.Spec), flat(w.have.Clusters[i].Spec)); d != "" {
			t.Fatalf("%s is not as wanted and nothing says so: %s", c.Key, d)
		}
	}
	if plan.InSync != known-len(held) {
		t.Fatalf("%d in sync of %d with %d held", plan.InSync, known, len(held))
	}
}

// acknowledge gives every token that the plan offers, until it offers no more.
func (w *world) acknowledge() {
	w.policy.Acks = map[string]map[string]bool{}
	for range 20 {
		plan := w.plan()
		for _, s := range plan.HeldSteps() {
			if w.policy.Acks[s.Held.Guard] == nil {
				w.policy.Acks[s.Held.Guard] = map[string]bool{}
			}
			w.policy.Acks[s.Held.Guard][s.Held.Ack] = true
		}
	}
}

// A token works; what has none cannot be acknowledged.
func TestAcknowledged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.acknowledge()
		plan := w.plan()
		for _, s := range plan.HeldSteps() {
			if s.Held.Ack != "" {
				t.Fatalf("%s %s is held by %s in spite of its token", s.Op, s.Cluster, s.Held.Guard)
			}
		}
	})
}

// No delete is due that policy forbids.
func TestForbiddenDeletes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		plan := w.plan()
		due := map[schema.CloudName]int{}
		for _, s := range plan.Due() {
			if s.Op != diff.Delete {
				continue
			}
			wanted := slices.ContainsFunc(w.want.Clusters, func(c *schema.Cluster) bool { return c.Key == s.Cluster })
			_, protected := w.policy.Protected[s.Cluster]
			_, unknown := w.have.Unknown[s.Cluster.Cloud]
			switch o := s.Have; {
			case wanted, protected, unknown, !w.policy.SeenUnprotected[s.Cluster], w.policy.Rewound != "",
				o.Owner == diff.Foreign, o.Spec == nil, o.Status == diff.DeleteComplete, o.Status == "STRANGE":
				t.Fatalf("delete %s is due", s.Cluster)
			case o.Status == diff.DeleteFailed && w.policy.DeletedByUs[s.Cluster]:
				continue
			case len(w.want.Clusters) == 0 && w.policy.KnownBefore > 0:
				t.Fatalf("delete %s is due of an empty fleet", s.Cluster)
			}
			due[s.Cluster.Cloud]++
		}
		l, all := w.policy.Limits.WithDefaults(), 0
		for _, n := range due {
			all += n
		}
		if all > l.DeletesPerRun {
			t.Fatalf("%d deletes are due in a run: %v", all, due)
		}
		for cloud, n := range due {
			there := 0
			for _, o := range w.have.Clusters {
				if o.Key.Cloud == cloud && o.Owner != diff.Foreign && o.Status != diff.DeleteComplete {
					there++
				}
			}
			if n > l.DeletesPerDay-w.policy.Deletes[cloud] || n > max(1, there*l.DeletePercent/100) {
				t.Fatalf("%d deletes are due in %s with %d clusters", n, cloud, there)
			}
		}
	})
}

// Foreign clusters and clouds that could not be read are left alone, and a
// cluster in motion or unreadable is at most waited for (or deleted).
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		plan := w.plan()
		for _, s := range plan.Steps {
			if _, unknown := w.have.Unknown[s.Cluster.Cloud]; unknown {
				t.Fatalf("%s %s in an unknown cloud", s.Op, s.Cluster)
			}
		}
		for _, s := range plan.Due() {
			i := slices.IndexFunc(w.have.Clusters, func(o diff.Observed) bool { return o.Key == s.Cluster })
			if i < 0 || s.Op == diff.Delete {
				continue
			}
			o := w.have.Clusters[i]
			moves := slices.Contains([]diff.Status{diff.CreateInProgress, diff.UpdateInProgress, diff.DeleteInProgress}, o.Status) || o.Moving
			if o.Owner == diff.Foreign || o.Status != diff.DeleteComplete && (moves || o.Spec == nil) {
				t.Fatalf("%s %s is due on %+v", s.Op, s.Cluster, o)
			}
			if s.Observed != o.Version && s.Op != diff.Create {
				t.Fatalf("%s %s is planned on version %q", s.Op, s.Cluster, s.Observed)
			}
		}
	})
}

// Outside of a window nothing is due that replaces or removes what it protects,
// but a recover, which mends, and a schedule at its time.
func TestWindowsAreKept(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		open := w.policy.Clock.Windows[window()].Open
		plan := w.plan()
		for _, s := range plan.Due() {
			windowed := s.Op == diff.Delete && w.policy.Clock.Fleet != nil || s.Op != diff.Delete && s.Want.Policy.Maintenance != nil
			byClock := s.Op == diff.Resize && slices.ContainsFunc(w.policy.Clock.Sizes[s.Cluster], func(z diff.Size) bool { return z.Group == s.Group && z.ByClock })
			if s.Risk != diff.Low && s.Op != diff.Recover && windowed && !open && !byClock {
				t.Fatalf("%s %s %s is due and the window is closed", s.Op, s.Cluster, s.Group)
			}
			if s.Want != nil && s.Want.Policy.Suspend && w.policy.Clock.SuspensionOver[s.Cluster] == "" {
				t.Fatalf("%s %s is due and the cluster is suspended", s.Op, s.Cluster)
			}
		}
	})
}

// Held plus steps covers every difference, and the last To has what no guard
// holds as wanted and what one holds as it was.
func TestEveryDifferenceIsCovered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		bySteps := map[schema.Key][]diff.Step{}
		for _, s := range w.plan().Steps {
			bySteps[s.Cluster] = append(bySteps[s.Cluster], s)
		}
		for _, c := range w.policy.Clock.Now(w.want).Clusters {
			i := slices.IndexFunc(w.have.Clusters, func(o diff.Observed) bool { return o.Key == c.Key })
			if i < 0 || w.have.Clusters[i].Spec == nil || w.have.Unknown[c.Cloud] != "" {
				continue
			}
			steps := bySteps[c.Key]
			var end *schema.Spec
			if len(steps) > 0 {
				end = steps[len(steps)-1].To
			}
			untouched := slices.ContainsFunc(steps, func(s diff.Step) bool {
				return s.Op == diff.Wait || s.Op == diff.Create || s.Op == diff.None && len(s.Changes) == 0
			})
			if untouched {
				continue
			}
			checkCovered(t, steps, w.have.Clusters[i].Spec, &c.Spec, end)
		}
	})
}

func checkCovered(t *rapid.T, steps []diff.Step, have, want, end *schema.Spec) {
	if end == nil {
		end = have
	}
	a, b, z := flat(have), flat(want), flat(end)
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	for path := range paths {
		x, inX := a[path]
		y, inY := b[path]
		if x == y && inX == inY {
			continue
		}
		s := saying(steps, path)
		if s == nil {
			t.Fatalf("%s: %q -> %q and no step says so: %s", path, x, y, short(diff.Plan{Steps: steps}))
		}
		expected, in := y, inY
		if s.Held != nil {
			expected, in = x, inX
		}
		if strings.HasSuffix(path, "labels/kube_tag") && inX && inY {
			if last := lastStage(steps, path, y == b["labels/kube_tag"]); last != "" {
				expected = last
			}
		}
		// A group that comes, or one that goes and is held, has what the cluster
		// has by then.
		if of, ok := inherited(a, path); ok && s.Held == nil && b[of] == y {
			expected, in = z[of], z[of] != ""
		}
		if of, ok := inherited(b, path); ok && s.Held != nil && a[of] == x {
			expected, in = z[of], z[of] != ""
		}
		if got, ok := z[path]; got != expected || ok != in {
			t.Fatalf("%s: %q -> %q ends as %q: %s", path, x, y, got, short(diff.Plan{Steps: steps}))
		}
	}
	checkOwn(t, steps, have)
	held := slices.ContainsFunc(steps, func(s diff.Step) bool { return s.Held != nil && len(s.Changes) > 0 })
	if !held && end.Hash() != want.Hash() {
		t.Fatalf("the steps end at another hash than what is wanted: %s", short(diff.Plan{Steps: steps}))
	}
}

// lastStage is the version that the steps come to before one is held; empty if
// no step that is not held says so. A group that wants what the cluster wants
// follows it through the stages.
func lastStage(steps []diff.Step, path string, follows bool) string {
	last := ""
	for _, s := range steps {
		for _, c := range s.Changes {
			if s.Held == nil && (c.Field == path || follows && c.Field == "labels/kube_tag") {
				last = c.To
			}
		}
	}
	return last
}

// checkOwn says that a step asks for its own changes and no others.
func checkOwn(t *rapid.T, steps []diff.Step, before *schema.Spec) {
	for _, s := range steps {
		a, b := flat(before), flat(s.To)
		paths := maps.Clone(a)
		maps.Copy(paths, b)
		for path := range paths {
			if a[path] != b[path] && (s.Held != nil || saying([]diff.Step{s}, path) == nil) {
				t.Fatalf("%s changes %s: %q -> %q: %s", s.Op, path, a[path], b[path], short(diff.Plan{Steps: steps}))
			}
		}
		before = s.To
	}
}

// inherited gives the cluster's path for one of a group that a side lacks.
func inherited(side map[string]string, path string) (string, bool) {
	parts := strings.SplitN(path, "/", 3)
	if parts[0] != "nodeGroups" || side["nodeGroups/"+parts[1]+"/nodeCount"] != "" {
		return "", false
	}
	return parts[2], parts[2] == "image" || strings.HasPrefix(parts[2], "labels/")
}

// A batch of an upgrade is one master, or workers up to the size that policy
// allows, and no worker while a master is left.
func TestBatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for _, s := range drawWorld(t).plan().Steps {
			if s.Op != diff.Upgrade {
				continue
			}
			masters := 0
			for _, n := range s.Have.Nodes {
				if n.Group == schema.DefaultMaster && slices.Contains(s.Nodes, n.Name) {
					masters++
				}
			}
			if masters > 1 || masters == 1 && len(s.Nodes) > 1 || len(s.Nodes) > max(1, s.Want.Policy.MaxBatchSize) {
				t.Fatalf("batch %v of %s", s.Nodes, s.Cluster)
			}
			if s.Done > s.Total || s.Done < 0 || len(s.Nodes) > s.Total-s.Done {
				t.Fatalf("%d/%d with batch %v", s.Done, s.Total, s.Nodes)
			}
		}
	})
}
