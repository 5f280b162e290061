package schedule

import "time"

// The bounds of windows follow Gardener's maintenance windows: half an hour at
// least, and nothing starts in the last quarter, because what starts takes time.
const (
	MinWindow   = 30 * time.Minute
	LastMinutes = 15 * time.Minute
)

// Window opens when Opens comes true and stays open for Length, counted in time
// that passes and not by the wall clock.
type Window struct {
	Opens  Cron
	Length time.Duration
}

// Opening is a window as it is at a time.
type Opening struct {
	// Open says that something may start. In the last minutes of an open window
	// nothing may, unless the next follows without a break.
	Open   bool
	Closes time.Time // when the window that is open ends; zero: none is
	Next   time.Time // when it opens next; zero: never
	Until  time.Time // when to look again: Open stays as it is until then; zero: for ever
}

// At is the window at a time.
func (w Window) At(now time.Time) Opening {
	next := w.Opens.Next(now)
	o := Opening{Next: next, Until: next}
	last := w.Opens.Last(now)
	closes := last.Add(w.Length)
	if last.IsZero() || !closes.After(now) {
		return o
	}
	o.Closes = closes
	goesOn := !next.IsZero() && !next.After(closes)
	if o.Open = goesOn || closes.Sub(now) > LastMinutes; o.Open && !goesOn {
		o.Until = closes.Add(-LastMinutes)
	}
	return o
}
