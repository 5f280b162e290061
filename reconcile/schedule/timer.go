package schedule

import (
	"hash/fnv"
	"time"
)

// Missed says what becomes of a time at which nothing ran, because the program
// was down or busy.
type Missed string

// The answers. Of several missed times Once makes one: what runs is the same for
// all of them.
const (
	Once Missed = "once" // as soon as it can; the default
	Skip Missed = "skip" // not at all: the next time will do
)

// grace is how late something may be and still be in time.
const grace = time.Minute

// Timer is something that is due again and again.
type Timer struct {
	Cron Cron
	// Jitter delays each time by a part of it that hangs on the name alone: many
	// timers of one expression spread, and one keeps its distance from time to time.
	Jitter time.Duration
	Name   string
	Missed Missed // empty: Once
}

// Due is the time for which it is to run now; false if it is not. last is when it
// ran last, as it was written down then; zero: never, and all times are missed.
func (t Timer) Due(last, now time.Time) (time.Time, bool) {
	delay := t.delay()
	at := t.Cron.Last(now.Add(-delay))
	if at.IsZero() {
		return at, false
	}
	at = at.Add(delay)
	switch {
	case !at.After(sane(last, now)):
		return at, false
	case t.Missed == Skip && now.Sub(at) > grace:
		return at, false
	}
	return at, true
}

// Next is when it is due next, if it last ran at last: now, if it is due already;
// zero if never.
func (t Timer) Next(last, now time.Time) time.Time {
	if _, due := t.Due(last, now); due {
		return now
	}
	delay := t.delay()
	from := sane(last, now)
	if from.Before(now) {
		from = now
	}
	next := t.Cron.Next(from.Add(-delay))
	if next.IsZero() {
		return next
	}
	return next.Add(delay)
}

// delay is the same for the same name, on every machine.
func (t Timer) delay() time.Duration {
	if t.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Name))                                                     // never fails, as hash.Hash says
	return time.Duration(mix(h.Sum64()) % uint64(t.Jitter)).Truncate(time.Millisecond) //nolint:gosec // smaller than Jitter
}

// mix spreads names that differ in their last letter only (Stafford's thirteenth
// finalizer); FNV leaves them near each other.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sane does not believe that something ran in the future: the clock was put back.
// Who keeps last has to put it back as well, or it would be in the future again at
// the next look, for as long as the clock takes to get there.
func sane(last, now time.Time) time.Time {
	if last.After(now) {
		return now
	}
	return last
}
