package sim

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"
)

// Clock tells the cloud what time it is. A nil Clock in Options is the wall
// clock; a *ManualClock moves only when a test pushes it.
type Clock interface {
	Now() time.Time
}

// wallClock is the time of day, and what Advance has added to it.
type wallClock struct{ ahead atomic.Int64 }

func (w *wallClock) Now() time.Time { return time.Now().UTC().Add(time.Duration(w.ahead.Load())) }

// Advance makes the clock run ahead, so that scripts against a sim on the wall
// clock need not wait.
func (w *wallClock) Advance(d time.Duration) { w.ahead.Add(int64(d)) }

// ManualClock is a clock that stands still until Advance. Every Cloud made
// with it carries out, within Advance and in order, all that falls due.
type ManualClock struct {
	mu    sync.Mutex
	now   time.Time
	hooks []func()
}

// NewManualClock returns a clock standing at start; the zero time stands for
// 2026-01-01, so that tests need not choose.
func NewManualClock(start time.Time) *ManualClock {
	if start.IsZero() {
		start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return &ManualClock{now: start.UTC()}
}

// Now returns the time the clock stands at.
func (m *ManualClock) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Advance moves the clock by d and returns after everything that was due in
// that time has happened, also what those events themselves set off.
func (m *ManualClock) Advance(d time.Duration) {
	m.mu.Lock()
	m.now = m.now.Add(d)
	hooks := m.hooks
	m.mu.Unlock()
	for _, h := range hooks {
		h()
	}
}

func (m *ManualClock) onAdvance(h func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks = append(m.hooks, h)
}

// event is something that will happen; seq keeps events of one moment in the
// order in which they were asked for.
type event struct {
	at  time.Time
	seq int
	do  func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].seq < q[j].seq
	}
	return q[i].at.Before(q[j].at)
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return last
}

// after schedules do; the caller holds c.mu, and so will do's caller.
func (c *Cloud) after(d time.Duration, do func()) {
	c.seq++
	heap.Push(&c.queue, event{at: c.now.Add(d), seq: c.seq, do: do})
}

// catchUp carries out everything due by the clock's present time.
func (c *Cloud) catchUp() {
	until := c.clock.Now()
	for len(c.queue) > 0 && !c.queue[0].at.After(until) {
		e := heap.Pop(&c.queue).(event)
		if e.at.After(c.now) {
			c.now = e.at
		}
		e.do()
	}
	if until.After(c.now) {
		c.now = until
	}
}
