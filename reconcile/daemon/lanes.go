package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Lanes keep clouds from delaying each other. A run asks each cloud through a lane
// of its own, which has patience for a moment: what the cloud has not answered by
// then is unknown to this run, which goes on with the other clouds. The question
// stays open, and its answer wakes the daemon. So a run is as slow as patience and
// not as slow as the slowest cloud.
//
//	asked before, not yet answered    unknown at once, nobody waits a second time
//	answered since the last run       the answer, if it is fresh
//	failed                            the same error until the pause is over
//	a step on its way                 unknown, until the cloud has taken or refused it
//
// A cloud that was in order and had nothing to do is quiet: its answers hold until
// Forget, so that one cluster in motion does not have all clouds listed every ten
// seconds. The zero Lanes needs its fields set before its first use.
type Lanes struct {
	Patience time.Duration // of a run, for each question; for a step five times that
	Fresh    time.Duration // how old an answer may be that no run has seen
	Limit    time.Duration // of a question, after which it is given up
	Now      func() time.Time
	Wake     func()                                                                    // a cloud has answered that no run waits for
	Asked    func(cloud schema.CloudName, question string, d time.Duration, err error) // nil, or told of every answer

	mu  sync.Mutex
	all map[schema.CloudName]*lane
}

// errPending is why a cloud is unknown that has not answered yet.
var errPending = errors.New("the cloud has not answered yet")

// Registry is a registry whose drivers are lanes to those of r. Opening one never
// waits and never fails: it is the first question that does.
func (l *Lanes) Registry(r drivers.Registry) drivers.Registry {
	lanes := drivers.Registry{}
	for name, open := range r {
		lanes[name] = func(_ context.Context, o drivers.Options) (drivers.Driver, error) {
			return l.lane(o, open), nil
		}
	}
	return lanes
}

func (l *Lanes) lane(o drivers.Options, open drivers.Open) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[schema.CloudName]*lane{}
	}
	n := &lane{
		lanes: l, options: o, open: open,
		answers: map[string]*answer{}, failed: map[string]try{}, tries: map[schema.Key]try{}, visits: map[schema.Key]visit{},
	}
	l.all[o.Cloud] = n
	return n
}

func (l *Lanes) each(do func(*lane)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.all {
		n.mu.Lock()
		do(n)
		n.mu.Unlock()
	}
}

// Forget drops all answers: the next run looks anew. With hurry, pauses after
// failures are over as well: somebody asked.
func (l *Lanes) Forget(hurry bool) {
	l.each(func(n *lane) {
		n.forget()
		if n.quiet = false; hurry {
			clear(n.failed)
			clear(n.tries)
		}
	})
}

// Active notes the clouds that have something to do or in motion, or could not be
// read. The others are quiet.
func (l *Lanes) Active(clouds map[schema.CloudName]bool) {
	l.each(func(n *lane) { n.quiet = !clouds[n.options.Cloud] })
}

// Next is when the first pause after a failure is over; zero if there is none.
func (l *Lanes) Next() time.Time {
	var next time.Time
	now := l.Now()
	sooner := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	l.each(func(n *lane) {
		for _, t := range n.failed {
			sooner(t.until)
		}
		for _, t := range n.tries {
			sooner(t.until)
		}
	})
	return next
}

// Idle waits until no step is on its way to a cloud, or until ctx is done.
func (l *Lanes) Idle(ctx context.Context) error {
	var busy []chan struct{}
	l.each(func(n *lane) {
		if n.steps > 0 {
			busy = append(busy, n.idle)
		}
	})
	for _, idle := range busy {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-idle:
		}
	}
	return nil
}
