package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/reconcile/schedule"
)

// TestTimer tells when a timer is due. A line is what becomes of missed times,
// the expression, when it ran last, now, and what is due: a time, or no.
func TestTimer(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"once | */10 * * * * | 12:00    | 12:09:59 | no",
		"once | */10 * * * * | 12:00    | 12:10    | 12:10",
		"once | */10 * * * * | 12:10    | 12:10    | no", // it has run
		"once | */10 * * * * | 12:00    | 12:57    | 12:50",
		"skip | */10 * * * * | 12:00    | 12:57    | no",    // nobody was there, and the next will do
		"skip | */10 * * * * | 12:00    | 12:50:59 | 12:50", // a little late is in time
		"once | 0 2 * * *    | never    | 12:00    | 02:00",
		"skip | 0 2 * * *    | never    | 12:00    | no",
		"once | */10 * * * * | 23:00    | 12:10    | no",    // the clock was put back
		"once | */10 * * * * | 12:10:30 | 12:20    | 12:20", // it ran late
	} {
		p := columns(rule)
		timer := schedule.Timer{Cron: parse(t, p[1], "UTC"), Missed: schedule.Missed(p[0])}
		have := "no"
		if at, due := timer.Due(clock(t, p[2]), clock(t, p[3])); due {
			have = at.Format("15:04")
		}
		if have != p[4] {
			t.Errorf("%s: have %s", rule, have)
		}
	}
}

func clock(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "never" {
		return time.Time{}
	}
	if len(text) == 5 {
		text += ":00"
	}
	at, err := time.Parse(time.DateTime, "2026-05-04 "+text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestTimerFires: who runs what is due and waits for Next runs once for every
// time of the expression, each as late as the first, and by less than the jitter.
func TestTimerFires(t *testing.T) {
	t.Parallel()
	const jitter = 7 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		zone, from := near(t)
		c := parse(t, expression(t), zone)
		timer := schedule.Timer{Cron: c, Jitter: jitter, Name: rapid.String().Draw(t, "name")}
		first := timer.Next(from, from)
		delay := time.Duration(-1)
		for at := c.Last(first); first.Sub(at) < jitter; at = c.Last(at.Add(-time.Nanosecond)) {
			if runs(timer, from, first.Sub(at)) {
				delay = first.Sub(at)
				break
			}
		}
		if delay < 0 {
			t.Fatalf("%v: no delay explains that it is due at %s", c, first)
		}
	})
}

// runs says that a timer is due at the times of its expression and that delay
// after them, and at no other.
func runs(timer schedule.Timer, from time.Time, delay time.Duration) bool {
	last, now, want := from, from, from.Add(-delay)
	for range 20 {
		now, want = timer.Next(last, now), timer.Cron.Next(want)
		if at, due := timer.Due(last, now); !due || !at.Equal(now) || !now.Equal(want.Add(delay)) {
			return false
		}
		last = now
	}
	return true
}

// TestJitterSpreads: a thousand timers of one expression spread evenly over the
// jitter, and each keeps its place.
func TestJitterSpreads(t *testing.T) {
	t.Parallel()
	c, now := parse(t, "0 * * * *", "UTC"), clock(t, "12:00")
	var tenth [10]int
	for i := range 1000 {
		timer := schedule.Timer{Cron: c, Jitter: 10 * time.Minute, Name: fmt.Sprintf("lab/c%d", i)}
		first := timer.Next(now.Add(-time.Second), now.Add(-time.Second))
		second := timer.Next(first, first)
		if second.Sub(first) != time.Hour {
			t.Errorf("%s: %s and %s", timer.Name, first, second)
		}
		tenth[first.Sub(now)/time.Minute]++
	}
	for i, n := range tenth {
		if n < 60 || n > 140 {
			t.Errorf("%d of 1000 fall into minute %d: %v", n, i, tenth)
		}
	}
}
