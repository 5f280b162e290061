package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// world is a platform team's: a repository, a board, a cloud, a clock, and a
// machine with a local store that may be lost.
type world struct {
	*testing.T
	repo  *repository
	board *board
	cloud *drivertest.Memory
	now   time.Time
	dir   string
	r     *reconcile.Reconciler
	store *record.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		T: t, repo: &repository{files: map[string]string{"template.yaml": template}}, board: &board{},
		cloud: drivertest.NewMemory(), now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC),
	}
	w.machine()
	return w
}

// machine sets up a new one, with nothing on its disk.
func (w *world) machine() {
	w.Helper()
	w.dir = w.TempDir()
	w.restart()
}

// restart starts the process again, as after a crash.
func (w *world) restart() {
	w.Helper()
	if w.store != nil {
		if err := w.store.Close(); err != nil {
			w.Fatal(err)
		}
	}
	store, err := record.Open(w.Context(), w.dir)
	if err != nil {
		w.Fatal(err)
	}
	w.store = store
	w.Cleanup(func() { _ = store.Close() })
	w.r = &reconcile.Reconciler{
		Source: w.repo, Board: w.board, Store: store,
		Drivers: drivers.Registry{"heat": w.cloud.Open},
		Config:  schema.Config{Instance: "test", Owner: "us"},
		Log:     zaptest.NewLogger(w.T), Now: func() time.Time { return w.now },
	}
}

const template = `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: docker}
spec: {coe: docker, image: ubuntu, flavor: m1.small, keypair: k, floatingIPEnabled: false}
`

// cluster is the file of a cluster; more are lines of its spec.
func cluster(name string, more ...string) string {
	return fmt.Sprintf("apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: %s}\nspec:\n  cloud: lab\n  template: docker\n  %s\n",
		name, strings.Join(more, "\n  "))
}

// commit changes files: path, text, path, text; an empty text removes.
func (w *world) commit(pairs ...string) { w.repo.commit("change", pairs...) }

func (w *world) run() reconcile.Report {
	w.Helper()
	report, err := w.r.RunOnce(w.Context())
	if err != nil {
		w.Fatalf("run: %v", err)
	}
	return report
}

// settle runs until nothing is left to do but what is held.
func (w *world) settle() reconcile.Report {
	w.Helper()
	for range 50 {
		report := w.run()
		if report.Settled() {
			return report
		}
		w.cloud.Tick()
		w.now = w.now.Add(time.Minute)
	}
	w.Fatal("it does not settle")
	return reconcile.Report{}
}

// steps is a report's plan in short: "create lab/a; delete lab/b held by deletion-protection".
func steps(report reconcile.Report) string {
	var s []string
	for _, x := range report.Plan.Steps {
		text := fmt.Sprintf("%s %s", x.Op, x.Cluster)
		if x.Held != nil {
			text += " held by " + x.Held.Guard
		}
		s = append(s, text)
	}
	return strings.Join(s, "; ")
}

func (w *world) want(report reconcile.Report, plan string) {
	w.Helper()
	if have := steps(report); have != plan {
		w.Errorf("plan\nhave %q\nwant %q", have, plan)
	}
}

func (w *world) clusters(want ...schema.ClusterName) {
	w.Helper()
	if have := w.cloud.Names(); fmt.Sprint(have) != fmt.Sprint(want) {
		w.Errorf("clusters in the cloud: have %v, want %v", have, want)
	}
}

// status is what the board says of a cluster: its lines that begin with a word.
func (w *world) status(name, word string) string {
	for line := range strings.SplitSeq(string(w.board.files["status/lab/"+name+".yaml"]), "\n") {
		if rest, ok := strings.CutPrefix(line, word+": "); ok {
			return rest
		}
	}
	return ""
}

// ack is the trailer that lets the held step of a guard through.
func ack(t *testing.T, p diff.Plan, guard string) string {
	t.Helper()
	for _, s := range p.HeldSteps() {
		if s.Held.Guard == guard && s.Held.Ack != "" {
			return "fine\n\nJeroboam-Ack: " + guard + " " + s.Held.Ack
		}
	}
	t.Fatalf("nothing is held by %s with an acknowledgement", guard)
	return ""
}

// repository is a Source whose commits are numbered.
type repository struct {
	files   map[string]string
	commits []reconcile.Commit
	rewound bool
	err     error
}

func (r *repository) commit(message string, pairs ...string) {
	r.files = maps.Clone(r.files)
	for i := 0; i < len(pairs); i += 2 {
		if r.files[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(r.files, pairs[i])
		}
	}
	r.commits = append(r.commits, reconcile.Commit{Hash: fmt.Sprintf("%040d", len(r.commits)+1), Message: message})
}

func (r *repository) Fetch(_ context.Context, applied string) (reconcile.Snapshot, error) {
	if r.err != nil {
		return reconcile.Snapshot{}, r.err
	}
	head := r.commits[len(r.commits)-1]
	s := reconcile.Snapshot{Commit: head.Hash, Tree: schema.Digest(r.files), Descends: reconcile.Descends, Commits: []reconcile.Commit{head}}
	for path, text := range r.files {
		s.Files = append(s.Files, schema.File{Path: path, Hash: schema.Digest(text), Read: func() ([]byte, error) { return []byte(text), nil }})
	}
	if r.rewound && applied != "" && applied != head.Hash {
		s.Descends = reconcile.Rewound
	}
	return s, nil
}

// board is a status branch in memory.
type board struct {
	files    map[string][]byte
	messages []string
	reads    int
	err      error
}

func (b *board) ReadStatus(context.Context) (map[string][]byte, error) {
	b.reads++
	return maps.Clone(b.files), b.err
}

func (b *board) WriteStatus(_ context.Context, c reconcile.StatusCommit) (string, error) {
	if b.err != nil {
		return "", b.err
	}
	if b.files == nil {
		b.files = map[string][]byte{}
	}
	for path, text := range c.Changed {
		if b.files[path] = text; text == nil {
			delete(b.files, path)
		}
	}
	b.messages = append(b.messages, c.Message)
	return "tip", nil
}

var errDown = errors.New("it is down")
