package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// lane is the way to one cloud.
type lane struct {
	lanes   *Lanes
	options drivers.Options
	open    drivers.Open

	mu      sync.Mutex
	driver  drivers.Driver // nil: not opened yet
	answers map[string]*answer
	failed  map[string]try // questions
	tries   map[schema.Key]try
	visits  map[schema.Key]visit
	quiet   bool
	slow    time.Duration // how long the slowest answer of late took
	steps   int           // on their way
	left    bool          // a run has not waited for one of them
	idle    chan struct{} // closed when the last of them has arrived
}

// answer is that to one question. Questions of one name differ by about.
type answer struct {
	about string
	since time.Time
	left  bool          // a run has not waited for it
	given bool          // to a run
	done  chan struct{} // closed when value and err are there
	value any
	err   error
	at    time.Time // when they were there
}

// forgotten is no question's about.
const forgotten = "forgotten"

// try is something that failed.
type try struct {
	operation string // of a step
	failures  int
	until     time.Time // it is not tried again before
	err       error
}

// forget drops what was answered. What is still open stays open: the cloud is not
// asked a second time beside it.
func (n *lane) forget() {
	for name, a := range n.answers {
		if a.about = forgotten; a.answered() {
			delete(n.answers, name)
		}
	}
}

// ask puts a question and waits for the answer as long as patience lasts.
func ask[T any](ctx context.Context, n *lane, question, about string, put func(context.Context, drivers.Driver) (T, error)) (T, error) {
	var none T
	a, open, err := n.question(ctx, question, about, func(ctx context.Context, d drivers.Driver) (any, error) { return put(ctx, d) })
	if err != nil {
		return none, err
	}
	if open && !n.wait(ctx, a) {
		return none, n.pending(question, a.since)
	}
	n.mu.Lock()
	a.given = true
	n.mu.Unlock()
	value, _ := a.value.(T)
	return value, a.err
}

// wait is for the answer, as long as patience lasts. What is left wakes the daemon
// when it comes.
func (n *lane) wait(ctx context.Context, a *answer) bool {
	patience := time.NewTimer(n.lanes.Patience)
	defer patience.Stop()
	select {
	case <-a.done:
		return true
	case <-ctx.Done():
	case <-patience.C:
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a.left = !a.answered()
	return !a.left
}

func (a *answer) answered() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// question finds the answer or puts the question. Open means that this run may
// wait for it.
func (n *lane) question(ctx context.Context, question, about string, put func(context.Context, drivers.Driver) (any, error)) (a *answer, open bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.lanes.Now()
	if n.steps > 0 {
		return nil, false, &drivers.Error{Kind: drivers.Transient, Op: "look", Err: fmt.Errorf("%w: a step is on its way", errPending)}
	}
	if a, known := n.answers[question]; known {
		fresh := n.quiet || now.Sub(a.at) <= n.lanes.Fresh+3*n.slow
		if question == probe { // how etcd is, is true for one run
			fresh = !a.given
		}
		switch {
		case !a.answered():
			return nil, false, n.pending(question, a.since)
		case a.err == nil && a.about == about && fresh:
			return a, false, nil
		}
	}
	if t := n.failed[question]; t.until.After(now) {
		return nil, false, t.err
	}
	a = &answer{about: about, since: now, done: make(chan struct{})}
	n.answers[question] = a
	go n.put(context.WithoutCancel(ctx), question, a, put)
	return a, true, nil
}

func (n *lane) pending(question string, since time.Time) error {
	return &drivers.Error{Kind: drivers.Transient, Op: question, Err: fmt.Errorf("%w, asked at %s", errPending, since.UTC().Format(time.RFC3339))}
}

// put asks the cloud. It outlives the run that asks: what is on its way is not cut
// short because somebody stops waiting.
func (n *lane) put(ctx context.Context, question string, a *answer, put func(context.Context, drivers.Driver) (any, error)) {
	ctx, cancel := context.WithTimeout(ctx, n.lanes.Limit)
	defer cancel()
	value, err := any(nil), error(nil)
	d, err := n.reach(ctx)
	if err == nil {
		value, err = put(ctx, d)
	}
	n.mu.Lock()
	now := n.lanes.Now()
	took := now.Sub(a.since)
	a.value, a.err, a.at = value, err, now
	if err != nil {
		n.failed[question] = n.failed[question].again(err, question+string(n.options.Cloud), now)
	} else {
		n.slow = max(took, n.slow/2)
		delete(n.failed, question)
	}
	close(a.done)
	left := a.left
	n.mu.Unlock()
	if n.lanes.Asked != nil {
		n.lanes.Asked(n.options.Cloud, question, took, err)
	}
	if left {
		n.lanes.Wake()
	}
}

// again is a try that failed once more.
func (t try) again(err error, name string, now time.Time) try {
	t.failures++
	t.err, t.until = err, now.Add(pause(drivers.KindOf(err), t.failures, name))
	return t
}

// reach opens the driver, once.
func (n *lane) reach(ctx context.Context) (drivers.Driver, error) {
	n.mu.Lock()
	d := n.driver
	n.mu.Unlock()
	if d != nil {
		return d, nil
	}
	d, err := n.open(ctx, n.options)
	if err == nil {
		n.mu.Lock()
		n.driver = d
		n.mu.Unlock()
	}
	return d, err
}
