package daemon_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/daemon"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/reconcile/schedule"
	"jeroboam.io/jeroboam/schema"
)

// world is a daemon with a repository and clouds, in time that passes when nobody
// has anything to do (testing/synctest): a test of a day takes as long as the work
// of that day. Within it time.Sleep is how a test lets time pass.
type world struct {
	*testing.T
	repo   *repository
	clouds map[schema.CloudName]*cloud
	dir    string
	sync   schedule.Timer
	change func(*daemon.Options)

	d    *daemon.Daemon
	end  func() error
	mu   sync.Mutex
	runs []reconcile.Report
}

// play runs a test in a world of its own.
func play(t *testing.T, test func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		every, err := schedule.Parse("* * * * *", "UTC")
		if err != nil {
			t.Fatal(err)
		}
		w := &world{
			T: t, repo: &repository{files: map[string]string{"template.yaml": template}}, dir: dir,
			clouds: map[schema.CloudName]*cloud{}, sync: schedule.Timer{Cron: every, Name: "test"},
		}
		test(w)
		if w.end != nil {
			w.stop()
		}
	})
}

// start starts the daemon; a machine that was set up before has its store.
func (w *world) start() {
	w.Helper()
	store, err := record.Open(w.Context(), w.dir)
	if err != nil {
		w.Fatal(err)
	}
	o := daemon.Options{
		Source: w.repo, Sync: w.sync,
		Runs: &reconcile.Reconciler{
			Store: store, Drivers: drivers.Registry{"heat": w.open},
			Config: schema.Config{Instance: "test", Owner: "us"}, Log: zap.NewNop(), Now: time.Now,
		},
		OnRun: func(r reconcile.Report, _ time.Duration, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.runs = append(w.runs, r); err != nil {
				w.Errorf("run: %v", err)
			}
		},
	}
	if w.change != nil {
		w.change(&o)
	}
	w.d = daemon.New(o)
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.d.Run(ctx) }()
	w.end = func() error {
		cancel()
		err := <-ended
		if e := store.Close(); err == nil {
			err = e
		}
		return err
	}
}

func (w *world) stop() {
	w.Helper()
	if err := w.end(); err != nil {
		w.Error(err)
	}
	w.end = nil
	time.Sleep(time.Hour) // what was left to itself ends
}

// pass lets time pass in which clouds work.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(30*time.Second, time.Until(end)))
		for _, c := range w.clouds {
			c.Tick()
		}
	}
	synctest.Wait()
}

func (w *world) ran() []reconcile.Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs
}

func (w *world) cloud(name schema.CloudName) *cloud {
	if w.clouds[name] == nil {
		w.clouds[name] = &cloud{Memory: drivertest.NewMemory(), calls: map[string]int{}}
	}
	return w.clouds[name]
}

func (w *world) open(ctx context.Context, o drivers.Options) (drivers.Driver, error) {
	c := w.clouds[o.Cloud]
	if c == nil {
		return nil, &drivers.Error{Kind: drivers.Denied, Op: "open", Err: fmt.Errorf("no cloud %s", o.Cloud)}
	}
	d, err := c.Open(ctx, o)
	return &counted{d, c}, err
}

// clusters fails unless a cloud has these.
func (w *world) clusters(cloud schema.CloudName, want ...schema.ClusterName) {
	w.Helper()
	if have := w.clouds[cloud].Names(); fmt.Sprint(have) != fmt.Sprint(want) {
		w.Errorf("clusters in %s: have %v, want %v", cloud, have, want)
	}
}

// cloud is one that counts what it is asked and takes its time.
type cloud struct {
	*drivertest.Memory
	mu    sync.Mutex
	calls map[string]int
	takes time.Duration // each answer
	step  time.Duration // each step, in addition
	deny  error         // of steps
}

func (c *cloud) asked(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[what]
}

func (c *cloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// counted is the way to a cloud.
type counted struct {
	drivers.Driver
	c *cloud
}

func (d *counted) ask(ctx context.Context, what string, more time.Duration) error {
	d.c.mu.Lock()
	d.c.calls[what]++
	takes := d.c.takes + more
	d.c.mu.Unlock()
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *counted) Observe(ctx context.Context) ([]diff.Observed, error) {
	if err := d.ask(ctx, "observe", 0); err != nil {
		return nil, err
	}
	return d.Driver.Observe(ctx)
}

func (d *counted) Apply(ctx context.Context, s diff.Step) error {
	d.c.mu.Lock()
	step, deny := d.c.step, d.c.deny
	d.c.mu.Unlock()
	if err := d.ask(ctx, "apply", step); err != nil || deny != nil {
		return deny
	}
	return d.Driver.Apply(ctx, s)
}

const template = `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: docker}
spec: {coe: docker, image: ubuntu, flavor: m1.small, keypair: k, floatingIPEnabled: false}
`

// cluster is the file of a cluster; more are lines of its spec.
func cluster(cloud, name string, more ...string) string {
	return fmt.Sprintf("apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: %s}\nspec:\n  cloud: %s\n  template: docker\n  %s\n",
		name, cloud, strings.Join(more, "\n  "))
}

// repository is a Source whose commits are numbered.
type repository struct {
	mu      sync.Mutex
	files   map[string]string
	head    reconcile.Commit
	commits int
	fetches int
	takes   time.Duration
	err     error
}

// commit changes files: path, text, path, text; an empty text removes.
func (r *repository) commit(message string, pairs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files = maps.Clone(r.files)
	for i := 0; i < len(pairs); i += 2 {
		if r.files[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(r.files, pairs[i])
		}
	}
	r.commits++
	r.head = reconcile.Commit{Hash: fmt.Sprintf("%040d", r.commits), Message: message}
}

func (r *repository) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *repository) fetched() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fetches
}

func (r *repository) Fetch(ctx context.Context, _ string) (reconcile.Snapshot, error) {
	r.mu.Lock()
	r.fetches++
	takes := r.takes
	r.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return reconcile.Snapshot{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return reconcile.Snapshot{}, r.err
	}
	s := reconcile.Snapshot{Commit: r.head.Hash, Tree: schema.Digest(r.files), Descends: reconcile.Descends, Commits: []reconcile.Commit{r.head}}
	for path, text := range r.files {
		s.Files = append(s.Files, schema.File{Path: path, Hash: schema.Digest(text), Read: func() ([]byte, error) { return []byte(text), nil }})
	}
	return s, nil
}

// settled says that the only cluster of a cloud is there and has so many workers.
func (c *cloud) settled(t *testing.T, nodes int) bool {
	t.Helper()
	d, err := c.Open(t.Context(), drivers.Options{Cloud: "any", Owner: "us", Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	have, err := d.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(have) == 1 && strings.HasSuffix(string(have[0].Status), "_COMPLETE") && len(have[0].Nodes) == nodes
}

// firings counts what the store remembers of schedules.
func (w *world) firings() int {
	w.Helper()
	store, err := record.View(w.Context(), w.dir)
	if err != nil {
		w.Fatal(err)
	}
	all, err := store.Firings(w.Context())
	if e := store.Close(); err != nil || e != nil {
		w.Fatal(err, e)
	}
	return len(all)
}
