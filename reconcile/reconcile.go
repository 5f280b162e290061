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
// execute.go and forget.go carry out, record.go and status.go say what
// came of it. source.go and recorder.go are the interfaces to Git and to the
// local store, whose implementations are the packages below this one.
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

	once      sync.Once
	loader    *schema.Loader
	digests   schema.Digester           // of secrets that were read
	clouds    map[access]drivers.Driver // opened so far
	forgotten map[string]bool           // backend ids of clusters whose keys are gone
	published map[string]string         // digest by path of the status files on the board; nil: not yet read
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
	look.report.Results = r.execute(ctx, look)
	look.report.Records = records(look)
	err = r.record(ctx, look)
	look.report.StatusError = r.publish(ctx, &look.report)
	return look.report, err
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
	fleet   *schema.Fleet
	have    diff.Have
	unread  map[schema.Key][]diff.Objection // of secrets that could not be read
	memory  memory
	drivers map[schema.CloudName]drivers.Driver
	places  map[schema.CloudName]drivers.Place

	deletedByUs map[schema.Key]bool // diff.Policy's
	unforgotten map[schema.Key]bool // gone, and their keys could not be removed

	inspected map[schema.CloudName]bool
	overdue   map[schema.Key]string // in motion for too long: since when
	lastSeen  []diff.Observed       // of the clouds that cannot be read now: for people, not for decisions
}

// look fetches, loads, reads secrets, observes and decides. With an error it is
// as far as it came.
func (r *Reconciler) look(ctx context.Context, readOnly bool) (*look, error) {
	r.once.Do(func() {
		r.loader, r.clouds = schema.NewLoader(), map[access]drivers.Driver{}
		r.forgotten = map[string]bool{}
		r.loader.Config = &r.Config
	})
	l := &look{report: Report{Run: runID(), StartedAt: r.Now()}}
	var err error
	if l.memory, err = r.remember(ctx, readOnly); err != nil {
		return l, err
	}
	if l.report.Snapshot, err = r.Source.Fetch(ctx, l.memory.head.Commit); err != nil {
		return l, err
	}
	if l.fleet, err = r.loader.Load(l.report.Snapshot.Files); err != nil {
		return l, err
	}
	l.report.Warnings = l.fleet.Warnings
	l.fleet, l.unread = r.resolveSecrets(l.fleet)
	r.observe(ctx, l, readOnly)
	policy := r.policy(ctx, l)
	l.deletedByUs = policy.DeletedByUs
	l.overdue, l.report.Plan = policy.Overdue, r.decide(ctx, l, policy)
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
	Records     []Record                   // of every cluster that is wanted or seen, sorted; not of a plan
	Unread      map[schema.CloudName]error // the clouds that could not be read, and why
	Guards      Guards
	StatusError error // why the board could not be written; the next run tries again
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
