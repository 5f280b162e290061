// Package daemon runs the loop for months: it decides when to look at the
// repository and when to make a run, and keeps clouds from delaying each other.
//
//	sync's cron, webhook, jeroboam sync ─► fetch ─► new commit ─┐
//	in motion, drift interval, a window opens, a pause ends ────┼─► run ─► report
//	a slow cloud has answered ──────────────────────────────────┘
//
// What a run does is reconcile.RunOnce's; nothing here knows of steps and stacks. A
// run never waits for a stack, so between two of them there is nothing to lose: a
// newer commit makes the next one begin sooner, and keeps one that is starting
// steps of an older commit from beginning more.
//
// Read Daemon and Run, then turn.go for what the loop remembers from one event to
// the next. lanes.go is what stands between a run and the clouds, lane.go how one
// is asked, question.go what, step.go how steps go there, and live.go how clusters
// themselves are reached. backoff.go says how
// long to leave alone what failed.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/schedule"
	"jeroboam.io/jeroboam/schema"
)

// Options of a Daemon. What is a time and zero has the default that its comment
// gives.
type Options struct {
	Source reconcile.Source
	// Runs makes the runs, with Source, Drivers and Pace replaced by the daemon's.
	Runs *reconcile.Reconciler
	Sync schedule.Timer // when the source is looked at

	Drift    time.Duration // how often clouds are looked at when nothing changed; 10 min
	Poll     time.Duration // between two looks at what is in motion; 10 s
	Patience time.Duration // of a run, for each cloud; 2 s
	Starting time.Duration // for which a run begins steps, before it looks anew; 15 s
	Drain    time.Duration // for what is under way when the daemon ends; 30 s

	Steps, StepsPerCloud int // at once; 16 and 4

	OnFetch func(commit string, took time.Duration, err error)
	OnRun   func(report reconcile.Report, took time.Duration, err error)
	OnAsk   func(cloud schema.CloudName, question string, took time.Duration, err error)
}

func (o *Options) defaults() {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&o.Drift, 10 * time.Minute},
		{&o.Poll, 10 * time.Second},
		{&o.Patience, 2 * time.Second},
		{&o.Starting, 15 * time.Second},
		{&o.Drain, 30 * time.Second},
	} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	for _, n := range []struct {
		v *int
		d int
	}{{&o.Steps, 16}, {&o.StepsPerCloud, 4}} {
		if *n.v == 0 {
			*n.v = n.d
		}
	}
}

// How near two looks may be: whoever repeats a webhook's request ten thousand
// times gets a listing of refs every other second.
const (
	fetchGap = 2 * time.Second
	runGap   = time.Second

	// askLimit is how long a cloud may take for one question, and the source for
	// one fetch.
	askLimit = 10 * time.Minute
	// nap bounds how long the daemon sleeps, so that a clock that was set forward is
	// noticed.
	nap = time.Minute
)

// Daemon is one instance: a source, its clouds, a store.
type Daemon struct {
	o     Options
	lanes *Lanes
	head  *snapshots
	now   func() time.Time
	log   *zap.Logger

	asked chan *request
	woken chan struct{}
	over  chan struct{} // closed when nobody can ask any more

	newer   atomic.Bool  // a newer commit is there than the one that is being carried out
	ending  atomic.Bool  // the daemon drains
	started atomic.Int64 // when the run began, in nanoseconds since 1970

	mu    sync.Mutex
	state State
}

// State is how a daemon is doing, for those who watch it.
type State struct {
	Commit    string    // fetched last
	FetchedAt time.Time // last without an error
	FetchErr  string    // of the last try; empty: it worked
	Run       string    // id of the last run that ended
	RanAt     time.Time // when it ended; zero: none has
	RunErr    string    // why it decided nothing; empty: it did
	Since     time.Time // when the run that is under way began; zero: none is
	Next      time.Time // when the next is due, at the latest
	Waiting   int       // requests for a sync that are not done yet
	Draining  bool
}

// New makes a daemon. It takes the Reconciler over.
func New(o Options) *Daemon {
	o.defaults()
	d := &Daemon{
		o: o, now: o.Runs.Now, log: o.Runs.Log, head: &snapshots{source: o.Source},
		asked: make(chan *request), woken: make(chan struct{}, 1), over: make(chan struct{}),
	}
	d.lanes = &Lanes{
		Patience: o.Patience, Fresh: o.Poll / 2, Limit: askLimit, Now: d.now, Wake: d.wake, Asked: o.OnAsk,
	}
	o.Runs.Source, o.Runs.Drivers = d.head, d.lanes.Registry(o.Runs.Drivers)
	o.Runs.Pace = reconcile.Pace{Steps: o.Steps, StepsPerCloud: o.StepsPerCloud, Stop: d.stop}
	o.Runs.InspectEvery = o.Drift * 9 / 10 // a run that is a little early is the one that is meant
	return d
}

// wake makes the daemon look whether a run is due. It never blocks.
func (d *Daemon) wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// stop says that the run that is under way begins no more steps.
func (d *Daemon) stop() bool {
	return d.newer.Load() || d.ending.Load() || d.now().UnixNano()-d.started.Load() > int64(d.o.Starting)
}

// State gives a copy.
func (d *Daemon) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

func (d *Daemon) note(change func(*State)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.state)
}

// request is somebody who asks for a sync.
type request struct {
	done chan Outcome // has room for one; nil: nobody waits
}

// Outcome is what came of a sync.
type Outcome struct {
	Report reconcile.Report
	Err    error
}

// errEnding is why a sync is not made any more.
var errEnding = errors.New("the daemon is ending")

// Ask asks for a sync and does not wait for it.
func (d *Daemon) Ask(ctx context.Context) error { return d.ask(ctx, &request{}) }

// Sync asks for a sync and waits for it: a fetch that began after the call, and a
// run that began after the fetch and looked at every cloud anew.
func (d *Daemon) Sync(ctx context.Context) (reconcile.Report, error) {
	r := &request{done: make(chan Outcome, 1)}
	if err := d.ask(ctx, r); err != nil {
		return reconcile.Report{}, err
	}
	select {
	case <-ctx.Done():
		return reconcile.Report{}, context.Cause(ctx)
	case o := <-r.done:
		return o.Report, o.Err
	}
}

func (d *Daemon) ask(ctx context.Context, r *request) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.over:
		return errEnding
	case d.asked <- r:
		return nil
	}
}

// Run keeps the clusters until ctx is done; then it begins nothing more, waits for
// what is under way, and returns. Its error is that of the store: without it
// nothing can be kept.
func (d *Daemon) Run(ctx context.Context) error {
	t, err := d.begin(ctx)
	if err != nil {
		return err
	}
	// What is under way is not cut short by the wish to end, only by its deadline.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	fetched, ran := make(chan fetch, 1), make(chan run, 1)
	for {
		now := d.now()
		if t.fetchDue(now) {
			t.fetching = true
			t.advance(wantsFetch, inFetch)
			go func() { fetched <- d.fetch(ctx, t.head.Commit) }()
		}
		if why := t.runDue(now); why != "" && ctx.Err() == nil {
			d.prepare(t, why, now)
			go func() { ran <- d.run(work, why) }()
		}
		d.note(func(s *State) { s.Next, s.Waiting = t.next(now), len(t.requests) })
		sleep := time.NewTimer(min(max(t.next(now).Sub(now), 0), nap))
		select {
		case <-ctx.Done():
			sleep.Stop()
			return d.drain(context.WithoutCancel(ctx), t, ran, fetched, cut)
		case f := <-fetched:
			d.tookIn(ctx, t, f)
		case r := <-ran:
			d.ended(ctx, t, r)
		case r := <-d.asked:
			t.requests = append(t.requests, waiting{r, wantsFetch})
			t.fetchAt = t.lastFetch.Add(fetchGap)
		case <-d.woken:
			t.due("a cloud has answered", d.now())
		case <-sleep.C:
		}
		sleep.Stop()
	}
}

// drain ends what is under way in order.
func (d *Daemon) drain(ctx context.Context, t *turn, ran <-chan run, fetched <-chan fetch, cut context.CancelFunc) error {
	d.ending.Store(true)
	close(d.over)
	d.note(func(s *State) { s.Draining = true })
	for _, w := range t.requests {
		w.answer(Outcome{Err: errEnding})
	}
	if t.running || t.fetching {
		d.log.Info("ending: waiting for what is under way")
	}
	late := time.AfterFunc(d.o.Drain, cut)
	defer late.Stop()
	if t.running {
		d.tell(<-ran)
	}
	if t.fetching {
		<-fetched // its context is done
	}
	idle, stop := context.WithTimeoutCause(ctx, d.o.Drain, errors.New("a step is still on its way to its cloud; the next start finds out what became of it"))
	defer stop()
	if err := d.lanes.Idle(idle); err != nil {
		d.log.Warn("ending all the same", zap.Error(err))
	}
	return nil
}

// fetch is one look at the source.
type fetch struct {
	snapshot reconcile.Snapshot
	applied  string
	err      error
}

func (d *Daemon) fetch(ctx context.Context, applied string) fetch {
	ctx, stop := context.WithTimeout(ctx, askLimit)
	defer stop()
	start := d.now()
	s, err := d.o.Source.Fetch(ctx, applied)
	if d.o.OnFetch != nil && ctx.Err() == nil {
		d.o.OnFetch(s.Commit, d.now().Sub(start), err)
	}
	return fetch{s, applied, err}
}

// run is one run and what came of it.
type run struct {
	report reconcile.Report
	err    error
	took   time.Duration
	why    string
}

func (d *Daemon) run(ctx context.Context, why string) run {
	start := d.now()
	report, err := d.o.Runs.RunOnce(ctx)
	return run{report, err, d.now().Sub(start), why}
}

// tell shows a run to those who watch.
func (d *Daemon) tell(r run) {
	d.note(func(s *State) {
		s.Run, s.RanAt, s.RunErr, s.Since = r.report.Run, d.now(), "", time.Time{}
		if r.err != nil {
			s.RunErr = r.err.Error()
		}
	})
	if d.o.OnRun != nil {
		d.o.OnRun(r.report, r.took, r.err)
	}
	fields := []zap.Field{
		zap.String("run", r.report.Run), zap.String("commit", r.report.Snapshot.Commit), zap.String("why", r.why),
		zap.Int("started", len(r.report.Results)-len(r.report.Failed())), zap.Int("failed", len(r.report.Failed())),
		zap.Int("held", len(r.report.Plan.HeldSteps())), zap.Int("in_sync", r.report.Plan.InSync),
		zap.Int("clouds_unknown", len(r.report.Plan.Unknown)), zap.Duration("took", r.took),
	}
	switch {
	case r.err != nil:
		d.log.Warn("run decided nothing", append(fields, zap.Error(r.err))...)
	case len(r.report.Results) > 0:
		d.log.Info("run", fields...)
	default:
		d.log.Debug("run", fields...)
	}
	if r.report.StatusError != nil {
		d.log.Warn("status not committed, the next run tries again", zap.Error(r.report.StatusError))
	}
}

// snapshots is the source of runs: what was fetched last.
type snapshots struct {
	source  reconcile.Source
	mu      sync.Mutex
	last    reconcile.Snapshot
	applied string // that last was fetched for
}

func (s *snapshots) put(f fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.applied = f.snapshot, f.applied
}

// Fetch implements reconcile.Source. The way from a commit that is the head itself
// is known without asking anybody.
func (s *snapshots) Fetch(ctx context.Context, applied string) (reconcile.Snapshot, error) {
	s.mu.Lock()
	last, from := s.last, s.applied
	s.mu.Unlock()
	switch applied {
	case from:
		return last, nil
	case last.Commit:
		last.Descends = reconcile.Descends
		last.Commits = last.Commits[:min(len(last.Commits), 1)]
		return last, nil
	}
	next, err := s.source.Fetch(ctx, applied)
	if err != nil {
		return next, fmt.Errorf("fetch for another commit: %w", err)
	}
	return next, nil
}

var _ reconcile.Source = (*snapshots)(nil)
