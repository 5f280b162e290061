package diff_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// TestPlans runs the scenarios of testdata/plan. Each is a sentence and
//
//	want/*.yaml  the fleet that is wanted
//	base/*.yaml  the fleet that was carried out before (diff.FromFleet)
//	both/*.yaml  what belongs to both
//	have.yaml    how what is observed differs from base
//	policy.yaml  the facts of policy
//	plan.txt     the plan; go test ./diff -update writes it
func TestPlans(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scenarios", err)
	}
	update := flag.Lookup("update").Value.(flag.Getter).Get().(bool)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, have, policy := scenario(t, ar)
			got := long(diff.Compute(want, have, policy))
			i := slices.IndexFunc(ar.Files, func(f txtar.File) bool { return f.Name == "plan.txt" })
			if update {
				if i < 0 {
					i, ar.Files = len(ar.Files), append(ar.Files, txtar.File{Name: "plan.txt"})
				}
				ar.Files[i].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(ar), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if i < 0 {
				t.Fatal("no plan.txt")
			}
			if d := cmp.Diff(string(ar.Files[i].Data), got); d != "" {
				t.Errorf("%s(-want +got):\n%s", ar.Comment, d)
			}
		})
	}
}

var _ = flag.Bool("update", false, "write the expected plans")

// observedYAML is have.yaml: what differs from base.
type observedYAML struct {
	Clusters map[string]struct {
		diff.Observed
		Nodes  map[string]string `json:"nodes"` // by name: a state, or a revision
		NoSpec bool              `json:"noSpec"`
	} `json:"clusters"`
	Absent  []string                    `json:"absent"`
	Unknown map[schema.CloudName]string `json:"unknown"`
}

// policyYAML is policy.yaml.
type policyYAML struct {
	Offline         bool                        `json:"offline"` // begin with diff.OfflinePolicy(base)
	Limits          schema.Limits               `json:"limits"`
	Clock           clockYAML                   `json:"clock"`
	ReportDrift     bool                        `json:"reportDrift"`
	Rewound         string                      `json:"rewound"`
	Left            string                      `json:"left"`
	KnownBefore     int                         `json:"knownBefore"`
	Protected       map[string]string           `json:"protected"`
	SeenUnprotected []string                    `json:"seenUnprotected"`
	DeletedByUs     []string                    `json:"deletedByUs"`
	Attempts        map[string]int              `json:"attempts"`
	Started         map[string]diff.Op          `json:"started"`
	Overdue         map[string]string           `json:"overdue"`
	Deletes         map[schema.CloudName]int    `json:"deletes"`
	Acks            map[string][]string         `json:"acks"`
	Objections      map[string][]diff.Objection `json:"objections"`
}

// clockYAML is diff.Clock; windows are named as they are shown.
type clockYAML struct {
	Windows        map[string]diff.Window `json:"windows"`
	Fleet          *schema.Maintenance    `json:"fleet"`
	SuspensionOver map[string]string      `json:"suspensionOver"`
	Sizes          map[string][]diff.Size `json:"sizes"`
}

func (c clockYAML) facts(t testing.TB) diff.Clock {
	t.Helper()
	f := diff.Clock{Windows: map[schema.Maintenance]diff.Window{}, Fleet: c.Fleet, SuspensionOver: map[schema.Key]string{}, Sizes: map[schema.Key][]diff.Size{}}
	for name, w := range c.Windows {
		cron, length, _ := strings.Cut(name, " for ")
		i := strings.LastIndex(cron, " ")
		f.Windows[schema.Maintenance{Cron: cron[:i], TimeZone: cron[i+1:], Duration: length}] = w
	}
	for name, over := range c.SuspensionOver {
		f.SuspensionOver[key(t, name)] = over
	}
	for name, sizes := range c.Sizes {
		f.Sizes[key(t, name)] = sizes
	}
	return f
}

func scenario(t testing.TB, ar *txtar.Archive) (*schema.Fleet, diff.Have, diff.Policy) {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, f := range ar.Files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	base, want := load(t, fsys, "base"), load(t, fsys, "want")
	var h observedYAML
	decode(t, fsys, "have.yaml", &h)
	have := diff.FromFleet(base)
	have.Unknown = h.Unknown
	have.Clusters = slices.DeleteFunc(have.Clusters, func(o diff.Observed) bool { return slices.Contains(h.Absent, o.Key.String()) })
	for _, name := range slices.Sorted(maps.Keys(h.Clusters)) {
		i := slices.IndexFunc(have.Clusters, func(o diff.Observed) bool { return o.Key == key(t, name) })
		if i < 0 {
			i, have.Clusters = len(have.Clusters), append(have.Clusters, diff.Observed{Key: key(t, name), Owner: diff.Ours, Status: diff.CreateComplete})
		}
		patch(t, fsys, name, &have.Clusters[i])
		if h.Clusters[name].NoSpec {
			have.Clusters[i].Spec = nil
		}
		for node, state := range h.Clusters[name].Nodes {
			changeNode(t, have.Clusters[i].Nodes, node, state)
		}
	}
	return want, have, facts(t, fsys, base)
}

// patch writes the fields of a cluster in have.yaml over what is there.
func patch(t testing.TB, fsys fs.FS, name string, o *diff.Observed) {
	t.Helper()
	var doc struct {
		Clusters map[string]map[string]any `json:"clusters"`
	}
	decode(t, fsys, "have.yaml", &doc)
	fields := doc.Clusters[name]
	delete(fields, "nodes")
	delete(fields, "noSpec")
	data, err := yaml.Marshal(fields)
	if err == nil {
		err = yaml.UnmarshalStrict(data, o)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func changeNode(t testing.TB, nodes []diff.Node, name, state string) {
	t.Helper()
	i := slices.IndexFunc(nodes, func(n diff.Node) bool { return n.Name == name })
	switch {
	case i < 0:
		t.Fatalf("have.yaml: no node %s", name)
	case state == "old":
		nodes[i].Revision = state
	default:
		nodes[i].State = diff.NodeState(state)
	}
}

func facts(t testing.TB, fsys fs.FS, base *schema.Fleet) diff.Policy {
	t.Helper()
	var f policyYAML
	decode(t, fsys, "policy.yaml", &f)
	if f.Offline {
		return diff.OfflinePolicy(base)
	}
	p := diff.Policy{
		Clock: f.Clock.facts(t), ReportDrift: f.ReportDrift, Limits: f.Limits, Rewound: f.Rewound, Left: f.Left, KnownBefore: f.KnownBefore, Deletes: f.Deletes,
		Protected: map[schema.Key]string{}, SeenUnprotected: map[schema.Key]bool{}, DeletedByUs: map[schema.Key]bool{},
		Attempts: map[schema.Key]int{}, Started: map[schema.Key]diff.Op{}, Overdue: map[schema.Key]string{}, Acks: map[string]map[string]bool{}, Objections: map[schema.Key][]diff.Objection{},
	}
	for name, by := range f.Protected {
		p.Protected[key(t, name)] = by
	}
	for _, name := range f.SeenUnprotected {
		p.SeenUnprotected[key(t, name)] = true
	}
	for _, name := range f.DeletedByUs {
		p.DeletedByUs[key(t, name)] = true
	}
	for name, n := range f.Attempts {
		p.Attempts[key(t, name)] = n
	}
	for name, op := range f.Started {
		p.Started[key(t, name)] = op
	}
	for name, late := range f.Overdue {
		p.Overdue[key(t, name)] = late
	}
	for name, os := range f.Objections {
		p.Objections[key(t, name)] = os
	}
	for guard, tokens := range f.Acks {
		p.Acks[guard] = map[string]bool{}
		for _, token := range tokens {
			p.Acks[guard][token] = true
		}
	}
	return p
}

func key(t testing.TB, name string) schema.Key {
	t.Helper()
	cloud, cluster, ok := strings.Cut(name, "/")
	if !ok {
		t.Fatalf("%q is not cloud/cluster", name)
	}
	return schema.Key{Cloud: schema.CloudName(cloud), Name: schema.ClusterName(cluster)}
}

// load is the fleet of a folder together with both/.
func load(t testing.TB, fsys fs.FS, folder string) *schema.Fleet {
	t.Helper()
	var files []schema.File
	for _, dir := range []string{"both", folder} {
		sub, err := fs.Sub(fsys, dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Stat(fsys, dir); err != nil {
			continue
		}
		fs, err := schema.Dir(sub, dir)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fs...)
	}
	fleet, err := schema.NewLoader().Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return fleet
}

func decode(t testing.TB, fsys fs.FS, name string, into any) {
	t.Helper()
	data, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = yaml.UnmarshalStrict(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func doing(s *diff.Step) string {
	if progress := s.Progress(); progress != "" {
		return progress
	}
	return string(s.Doing)
}

// long is a plan as the scenarios have it: everything but what is opaque.
func long(p diff.Plan) string {
	var b bytes.Buffer
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s %s", s.Op, s.Cluster)
		if s.Group != "" {
			fmt.Fprintf(&b, " %s", s.Group)
		}
		if s.Total > 0 {
			fmt.Fprintf(&b, " %d/%d", s.Done, s.Total)
		}
		fmt.Fprintf(&b, " (%s)", s.Risk)
		if at := s.Pos.String(); at != "" {
			fmt.Fprintf(&b, " %s", at)
		}
		fmt.Fprintln(&b)
		for _, c := range s.Changes {
			fmt.Fprintf(&b, "\t%s: %q -> %q %s\n", c.Field, c.From, c.To, c.Pos)
		}
		if len(s.Nodes) > 0 {
			fmt.Fprintf(&b, "\tnodes %s\n", strings.Join(s.Nodes, " "))
		}
		if s.Why != "" {
			fmt.Fprintf(&b, "\twhy %s\n", s.Why)
		}
		if s.Doing != "" || len(s.Stages) > 1 {
			fmt.Fprintf(&b, "\tdoing %s\n", doing(&s))
		}
		if stopped := s.Stopped(); stopped != "" {
			fmt.Fprintf(&b, "\tstopped %s\n", stopped)
		}
		if h := s.Held; h != nil {
			fmt.Fprintf(&b, "\theld by %s: %s\n", strings.TrimSpace(h.Guard+" "+h.Ack), h.Reason)
		}
	}
	for _, d := range p.Drift {
		for _, f := range d.Drift {
			fmt.Fprintf(&b, "drift %s %s: %s\n", d.Cluster, f.Field, f.Detail)
		}
	}
	for _, u := range p.Unknown {
		fmt.Fprintf(&b, "unknown %s: %s\n", u.Cloud, u.Reason)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note %s %s: %s\n", n.Cluster, n.Field, n.Text)
	}
	fmt.Fprintf(&b, "in sync: %d\n", p.InSync)
	return b.String()
}
