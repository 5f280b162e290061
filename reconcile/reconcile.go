// Package reconcile is the loop: look, decide, start what can be started, end.
//
//	Source ─► fleet ─┐
//	Driver ─► have ──┼─► diff.Compute ─► plan ─► execute ─► Report ─► Recorder, Board
//	Recorder ► policy┘
//
// A run never waits for a stack: the next one sees how far it came. Killing the
// process at any line is harmless, because what is done is read from the cloud
// again, names are deterministic, and an intent is durable before each call.
//
// Read RunOnce first: it is the story. secrets.go, observe.go and policy.go gather
// what Compute decides on, and probe.go what only a cluster itself can say.
// execute.go (how fast: pace.go; with which requests: requests.go) and forget.go
// carry out, live.go is for what goes on inside clusters: their health, and
// drains. record.go, told.go and status.go, with page.go for people, say what came
// of it. source.go and recorder.go are the interfaces to Git and to the local
// store, whose implementations are the packages below this one.
package reconcile

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// ErrStale says that the plan is not the one that was reviewed.
var ErrStale = errors.New("the plan has changed since it was made: look at it again")

// Reconciler is everything that a run needs. The fields are set once, before
// the first run; runs do not overlap.
type Reconciler struct {
	Source  Source
	Board   Board    // nil: status is not committed
	Store   Recorder // of this instance
	Drivers drivers.Registry
	Config  schema.Config
	Log     *zap.Logger
	Now     func() time.Time

	// Expect is the fingerprint of a reviewed plan; a run that would carry out
	// another ends with ErrStale. Empty: whatever is due.
	Expect string
	// Secrets reads what secretLabels refer to. Zero: nothing can be read, and
	// every step of the clusters that have some is held.
	Secrets SecretReader
	// InspectEvery is how often servers are listed to find those that somebody
	// deleted; 0 means each run.
	InspectEvery time.Duration
	// Patience is for clusters that are slow to answer, or to let pods go.
	Patience Patience
	Pace     Pace
	// Calls is told of every request to a cloud; nil: nobody is.
	Calls drivers.CallWatcher

	once      sync.Once
	requests  requests
	loader    *schema.Loader
	digests   schema.Digester           // of secrets that were read
	clouds    map[access]drivers.Driver // opened so far
	forgotten map[string]bool           // backend ids of clusters whose keys are gone; with "record " before, of those whose record is
	published map[string]string         // digest by path of our files on the board; nil: not yet read
	wanted    index                     // of the last fleet
	told      map[schema.Key]*told      // by the last run
	declared  string                    // the commit whose protection the store has from us
	shownHead Head                      // that the board shows
}

// RunOnce makes one pass with writes. Its error means that nothing was
// decided: the source could not be read, the fleet is invalid
// (schema.Problems; the report then has the snapshot and no more), the plan is
// stale. What went wrong with single clouds and steps is in the report.
func (r *Reconciler) RunOnce(ctx context.Context) (Report, error) {
	look, err := r.look(ctx, false)
	if err != nil {
		return look.report, err
	}
	if r.Expect != "" && r.Expect != look.report.Plan.Fingerprint {
		return look.report, ErrStale
	}
	r.forget(ctx, look)
	r.carryOut(ctx, look)
	r.did(look, "execute")
	r.tell(look)
	err = r.record(ctx, look)
	r.did(look, "record")
	look.report.StatusError = r.publish(ctx, look)
	r.did(look, "publish")
	return look.report, err
}

// did notes how long a part of a run took.
func (r *Reconciler) did(l *look, part string) {
	now := r.Now()
	l.report.Phases = append(l.report.Phases, Phase{part, now.Sub(l.since)})
	l.since = now
}

// Plan is RunOnce up to the decision: it only reads. The report has no records.
func (r *Reconciler) Plan(ctx context.Context) (Report, error) {
	look, err := r.look(ctx, true)
	return look.report, err
}

// access is a cloud and what may be done there.
type access struct {
	cloud    schema.CloudName
	readOnly bool
}

// look is what a run knows when it has decided.
type look struct {
	report  Report
	since   time.Time // when the part of the run began that is under way
	fleet   *schema.Fleet
	wanted  map[schema.Key]*schema.Cluster // those of fleet
	have    diff.Have
	seen    map[schema.Key]*diff.Observed   // those of have
	of      map[schema.CloudName][2]int     // where in have those of a cloud begin and end
	unread  map[schema.Key][]diff.Objection // of secrets that could not be read
	memory  memory
	drivers map[schema.CloudName]drivers.Driver
	places  map[schema.CloudName]drivers.Place

	clock       diff.Clock
	schedules   []string            // of groups, seen for the first time: the names of their firings
	outdated    []string            // those of schedules that the fleet no longer has
	deletedByUs map[schema.Key]bool // diff.Policy's
	unforgotten map[schema.Key]bool // gone, and their keys could not be removed

	inspected map[schema.CloudName]bool
	overdue   map[schema.Key]string // in motion for too long: since when
	health    map[schema.Key]drivers.Health
	lastSeen  []diff.Observed // of the clouds that cannot be read now: for people, not for decisions
}

// look fetches, loads, reads secrets, observes and decides. With an error it is
// as far as it came.
func (r *Reconciler) look(ctx context.Context, readOnly bool) (*look, error) {
	r.once.Do(func() {
		r.loader, r.clouds = schema.NewLoader(), map[access]drivers.Driver{}
		r.forgotten = map[string]bool{}
		r.loader.Config, r.requests.next = &r.Config, r.Calls
	})
	l := &look{report: Report{Run: runID(), StartedAt: r.Now()}}
	l.since = l.report.StartedAt
	var err error
	if l.memory, err = r.remember(ctx, readOnly); err != nil {
		return l, err
	}
	if err := l.memory.knows(r.Config.Owner); err != nil {
		return l, err
	}
	if l.report.Snapshot, err = r.Source.Fetch(ctx, l.memory.head.Commit); err != nil {
		return l, err
	}
	r.did(l, "fetch")
	if l.fleet, err = r.loader.Load(l.report.Snapshot.Files); err != nil {
		return l, err
	}
	l.report.Warnings = l.fleet.Warnings
	l.fleet, l.unread = r.resolveSecrets(l.fleet)
	l.clock = r.clock(l)
	l.fleet = l.clock.Now(l.fleet)
	l.wanted = r.wanted.of(l.fleet)
	r.did(l, "load")
	r.observe(ctx, l, readOnly)
	r.did(l, "observe")
	policy := r.policy(ctx, l)
	l.deletedByUs = policy.DeletedByUs
	l.overdue, l.report.Plan = policy.Overdue, r.decide(ctx, l, policy)
	r.did(l, "decide")
	r.Log.Debug("planned", zap.String("run", l.report.Run), zap.String("commit", l.report.Snapshot.Commit),
		zap.Int("steps", len(l.report.Plan.Steps)), zap.Int("in_sync", l.report.Plan.InSync))
	return l, nil
}

// Report is one pass and its result.
type Report struct {
	Run         string
	StartedAt   time.Time
	Snapshot    Snapshot
	Warnings    schema.Problems // of the fleet: what is hardly meant
	Plan        diff.Plan
	Results     []Result
	Draining    []Draining                 // steps that wait for pods to leave their nodes
	Records     []Record                   // of every cluster that is wanted or seen, sorted; not of a plan
	Unread      map[schema.CloudName]error // the clouds that could not be read, and why
	Guards      Guards
	Next        time.Time // when the clock next changes what may be done; zero: never
	Revisit     bool      // a visit in a minute has something to put right in a cluster (drivers.Health.Later)
	StatusError error     // why the board could not be written; the next run tries again
	Phases      []Phase   // in order
}

// Phase is a part of a run: fetch, load, observe, decide, execute, record, publish.
type Phase struct {
	Name string
	Took time.Duration
}

// Result is what came of one step.
type Result struct {
	Step diff.Step
	Err  error // nil: the cloud has accepted it
}

// Failed are the results with an error, conflicts apart: those only mean that
// the next run looks again.
func (r Report) Failed() []Result {
	var failed []Result
	for _, x := range r.Results {
		if x.Err != nil && drivers.KindOf(x.Err) != drivers.Conflict {
			failed = append(failed, x)
		}
	}
	return failed
}

// Settled says that a further run would find nothing to do or to wait for but
// what a guard holds.
func (r Report) Settled() bool {
	for _, s := range r.Plan.Steps {
		if s.Held == nil {
			return false
		}
	}
	return len(r.Plan.Unknown) == 0
}

func runID() string {
	b := make([]byte, 6)
	if _, err := rand.Read(b); err != nil {
		panic(fmt.Sprintf("reconcile: no random numbers: %v", err))
	}
	return hex.EncodeToString(b)
}
