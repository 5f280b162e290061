package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// turn is what the loop remembers from one event to the next. Only Run's goroutine
// touches it.
type turn struct {
	timer     timer
	fetching  bool
	lastFetch time.Time // when the last fetch began
	fetchAt   time.Time // when to fetch besides the timer; zero: not
	fetchFail int       // in a row

	have bool           // there is a snapshot to run with
	last reconcile.Head // of it: commit and tree
	head reconcile.Head // of the store

	running  bool
	lastRun  time.Time // when the last run ended
	lastLook time.Time // when the last run began that looked at every cloud anew
	drift    time.Duration
	runAt    time.Time // when the next is due; zero: only by drift
	why      string
	runFail  int
	requests []waiting
}

// timer is the schedule of the source.
type timer struct {
	due  func(last, now time.Time) (time.Time, bool)
	next func(last, now time.Time) time.Time
	last time.Time
}

// stage is how far a request is: it wants a fetch that begins after it, and then a
// run that begins after that.
type stage int

const (
	wantsFetch stage = iota
	inFetch
	wantsRun
	inRun
)

type waiting struct {
	*request
	stage stage
}

func (w waiting) answer(o Outcome) {
	if w.done != nil {
		w.done <- o
	}
}

// advance moves the requests of one stage to the next.
func (t *turn) advance(from, to stage) {
	for i := range t.requests {
		if t.requests[i].stage == from {
			t.requests[i].stage = to
		}
	}
}

// answer ends the requests of a stage.
func (t *turn) answer(at stage, o Outcome) {
	left := t.requests[:0]
	for _, w := range t.requests {
		if w.stage == at {
			w.answer(o)
		} else {
			left = append(left, w)
		}
	}
	clear(t.requests[len(left):])
	t.requests = left
}

func (t *turn) waits(at stage) bool {
	for _, w := range t.requests {
		if w.stage == at {
			return true
		}
	}
	return false
}

// syncName is what the store calls the timer of the source.
const syncName = "sync"

// begin reads what an earlier process left.
func (d *Daemon) begin(ctx context.Context) (*turn, error) {
	firings, err := d.o.Runs.Store.Firings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read local store: %w", err)
	}
	t := &turn{
		timer: timer{d.o.Sync.Due, d.o.Sync.Next, firings[syncName]},
		drift: d.o.Drift, fetchAt: d.now(),
	}
	return t, d.readHead(ctx, t)
}

func (d *Daemon) readHead(ctx context.Context, t *turn) error {
	var err error
	if t.head, err = d.o.Runs.Store.Head(ctx); err != nil {
		return fmt.Errorf("read local store: %w", err)
	}
	return nil
}

// fetchDue says that a fetch begins now.
func (t *turn) fetchDue(now time.Time) bool {
	if t.fetching {
		return false
	}
	if wall := now.Round(0); t.timer.last.Round(0).After(wall) { // the clock was set back
		t.timer.last = wall
	}
	asked := !t.fetchAt.IsZero() && !now.Before(t.fetchAt)
	if _, due := t.timer.due(t.timer.last, now); !due && !asked || !asked && t.fetchFail > 0 {
		return false
	}
	t.lastFetch = now
	return true
}

// runDue says why a run begins now; empty: none does.
func (t *turn) runDue(now time.Time) string {
	switch {
	case t.running, !t.have, now.Sub(t.lastRun) < runGap && !t.lastRun.IsZero():
		return ""
	case t.waits(wantsRun):
		return "somebody asked"
	case !t.runAt.IsZero() && !now.Before(t.runAt):
		return t.why
	case now.Sub(t.lastLook) >= t.drift:
		return whyDrift
	}
	return ""
}

// Reasons for which every cloud is looked at anew.
const (
	whyDrift  = "drift interval"
	whyCommit = "new commit"
	whyClock  = "a window, a schedule or a suspension changes"
)

// due makes a run begin at a time, if none is due before.
func (t *turn) due(why string, at time.Time) {
	if t.runAt.IsZero() || at.Before(t.runAt) {
		t.runAt, t.why = at, why
	}
}

// next is when anything is due, at the latest.
func (t *turn) next(now time.Time) time.Time {
	next := now.Add(nap)
	sooner := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if !t.fetching {
		sooner(t.fetchAt)
		if t.fetchFail == 0 {
			sooner(t.timer.next(t.timer.last, now))
		}
	}
	if !t.running && t.have {
		gap := t.lastRun.Add(runGap)
		for _, at := range []time.Time{t.runAt, t.lastLook.Add(t.drift)} {
			if !at.IsZero() && at.Before(gap) {
				at = gap
			}
			sooner(at)
		}
		if t.waits(wantsRun) {
			sooner(gap)
		}
	}
	return next
}

// tookIn takes in what a fetch brought.
func (d *Daemon) tookIn(ctx context.Context, t *turn, f fetch) {
	now := d.now()
	t.fetching, t.fetchAt = false, time.Time{}
	if t.waits(wantsFetch) { // asked since it began
		t.fetchAt = t.lastFetch.Add(fetchGap)
	}
	if f.err != nil {
		t.fetchFail++
		retry := now.Add(pause(drivers.KindOf(f.err), t.fetchFail, d.o.Sync.Name))
		if t.fetchAt.IsZero() || retry.Before(t.fetchAt) {
			t.fetchAt = retry
		}
		t.answer(inFetch, Outcome{Err: f.err})
		d.note(func(s *State) { s.FetchErr = f.err.Error() })
		if ctx.Err() == nil {
			d.log.Warn("source cannot be read", zap.Error(f.err), zap.Int("failures", t.fetchFail), zap.Time("again", t.fetchAt))
		}
		return
	}
	t.fetchFail = 0
	d.note(func(s *State) { s.Commit, s.FetchedAt, s.FetchErr = f.snapshot.Commit, now, "" })
	_, fires := t.timer.due(t.timer.last, t.lastFetch)
	if fires {
		t.timer.last = t.lastFetch
		if err := d.o.Runs.Store.Fired(ctx, syncName, t.lastFetch); err != nil && ctx.Err() == nil {
			d.log.Warn("firing not written", zap.Error(err))
		}
	}
	// A process that has just started looks at once. What it finds new is carried out
	// at the time that sync says.
	if !t.have && !fires && !t.waits(inFetch) && t.head.Commit != "" && news(f.snapshot, t.head) {
		d.log.Info("a new commit waits for its time", zap.String("commit", f.snapshot.Commit), zap.Time("next", t.timer.next(t.timer.last, now)))
		return
	}
	if !t.have || news(f.snapshot, t.last) {
		t.due(whyCommit, now)
		d.newer.Store(true)
	}
	t.have, t.last = true, reconcile.Head{Commit: f.snapshot.Commit, Tree: f.snapshot.Tree}
	d.head.put(f)
	t.advance(inFetch, wantsRun)
}

// ourTrailer is in every commit that shows status.
const ourTrailer = "\nJeroboam-Run: "

// news says that a snapshot asks for a run: its fleet is another, or somebody has
// committed who may have acknowledged something. Where status is on the same
// branch, our own commits must not set us off.
func news(s reconcile.Snapshot, last reconcile.Head) bool {
	if s.Commit == last.Commit {
		return false
	}
	return s.Tree != last.Tree || len(s.Commits) == 0 ||
		slices.ContainsFunc(s.Commits, func(c reconcile.Commit) bool { return !strings.Contains(c.Message, ourTrailer) })
}

// prepare is before a run.
func (d *Daemon) prepare(t *turn, why string, now time.Time) {
	asked := t.waits(wantsRun)
	t.advance(wantsRun, inRun)
	if asked || why == whyCommit || why == whyDrift || why == whyClock {
		d.lanes.Forget(asked)
		t.lastLook = now
	}
	t.running, t.runAt, t.why = true, time.Time{}, ""
	d.newer.Store(false)
	d.started.Store(now.UnixNano())
	d.note(func(s *State) { s.Since = now })
}

// ended is after a run: when is the next?
func (d *Daemon) ended(ctx context.Context, t *turn, r run) {
	d.tell(r)
	now := d.now()
	t.running, t.lastRun = false, now
	t.answer(inRun, Outcome{r.report, r.err})
	if r.err != nil {
		if _, invalid := schema.AsProblems(r.err); !invalid { // those take another commit
			t.runFail++
			t.due("the last run failed", now.Add(pause(drivers.Transient, t.runFail, d.o.Sync.Name)))
		}
		return
	}
	t.runFail = 0
	if err := d.readHead(ctx, t); err != nil && ctx.Err() == nil {
		d.log.Warn("head not read", zap.Error(err))
	}
	d.plan(t, &r.report, now)
}

// plan says when the next run is due, by what the last one has seen.
func (d *Daemon) plan(t *turn, report *reconcile.Report, now time.Time) {
	failed := map[schema.Key]bool{} // and tried again when their pause is over
	for _, x := range report.Failed() {
		failed[x.Step.Cluster] = true
	}
	active := map[schema.CloudName]bool{}
	for _, s := range report.Plan.Steps {
		if s.Held == nil && !failed[s.Cluster] {
			active[s.Cluster.Cloud] = true
		}
	}
	if len(report.Plan.Due()) > len(report.Results) {
		t.due("steps are left", now.Add(runGap))
	}
	if len(active) > 0 || report.StatusError != nil {
		t.due("something is in motion", now.Add(d.o.Poll))
	}
	if report.Revisit {
		t.due("nodes are to be put right", now.Add(visitEvery))
	}
	for cloud := range report.Unread {
		active[cloud] = true
	}
	d.lanes.Active(active)
	if next := d.lanes.Next(); !next.IsZero() {
		t.due("a pause is over", next)
	}
	if !report.Next.IsZero() {
		t.due(whyClock, report.Next)
	}
}
