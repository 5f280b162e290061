// Package schedule says what the clock says: when a cron expression comes true,
// what a maintenance window allows now, which size a group has by its schedule.
// It has no clock itself: every answer is about a time that it is given.
//
//	cron, time zone ─► Cron ─┬─► Timer   when something is due, also after downtime
//	                         ├─► Window  open or not, until when, opens next
//	                         └─► Sizes   which entry wins, and what comes after it
//
// The parser is robfig/cron's. Its calendar is not: it passes over what a change
// to summer time skips, does twice what the change back doubles, and only looks
// ahead. Here a time is the first moment at which the wall clock has reached it:
//
//	skipped   02:30 on a day that goes from 02:00 to 03:00    ─► once, at 03:00
//	doubled   02:30 on a day that has it twice                ─► once, the first time
//	hourly    an hour field that names every hour             ─► every hour that there is
//
// The last line is for what runs all day: it is neither late nor twice.
//
// Read Cron first, then calendar.go for how it counts, and timer.go, window.go
// and sizes.go for what is made of it.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Cron is a cron expression in a time zone. The zero value never comes true.
type Cron struct {
	text  string
	fires calendar
	zone  *time.Location
}

// Parse reads five cron fields (minute, hour, day of month, month, day of week)
// or a word such as @daily, and the IANA name of their time zone; empty is UTC.
// What has its zone in the text (TZ=) is refused, since the library panics over
// half of it; so are @every, which would count from nowhere, and what never
// comes true, such as 30 February.
func Parse(expression, zone string) (Cron, error) {
	text := strings.TrimSpace(expression)
	switch {
	case strings.HasPrefix(text, "TZ="), strings.HasPrefix(text, "CRON_TZ="):
		return Cron{}, errors.New("a cron expression has no time zone here: give it as timeZone")
	case strings.HasPrefix(text, "@every"):
		return Cron{}, errors.New("@every counts from when the program starts: give five cron fields")
	}
	parsed, err := cron.ParseStandard(text)
	if err != nil {
		return Cron{}, fmt.Errorf("not a cron expression: %w", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Cron{}, fmt.Errorf("%q has no fields", text)
	}
	if zone == "Local" { // another zone on another machine
		return Cron{}, errors.New("the time zone Local is another one on another machine: give its IANA name")
	}
	where, err := time.LoadLocation(zone)
	if err != nil {
		return Cron{}, fmt.Errorf("time zone: %w", err)
	}
	c := Cron{text, calendar{spec}, where}
	if _, comes := c.fires.next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !comes {
		return Cron{}, fmt.Errorf("the cron expression %q never comes true", text)
	}
	return c, nil
}

// String is the expression and its zone: "0 2 * * 6 Europe/Berlin".
func (c Cron) String() string {
	if c.zone == nil {
		return "never"
	}
	return c.text + " " + c.zone.String()
}

// In gives a time in the zone of the expression, for people.
func (c Cron) In(t time.Time) time.Time {
	if c.zone == nil || t.IsZero() {
		return t
	}
	return t.In(c.zone)
}

// Next is the first time after t; zero if there is none.
func (c Cron) Next(t time.Time) time.Time {
	switch {
	case c.zone == nil:
		return time.Time{}
	case c.fires.hourly():
		return c.nextHourly(t)
	}
	w, comes := c.fires.next(c.reached(t))
	if !comes {
		return time.Time{}
	}
	return c.first(w)
}

// Last is the last time at or before t; zero if there is none.
func (c Cron) Last(t time.Time) time.Time {
	switch {
	case c.zone == nil:
		return time.Time{}
	case c.fires.hourly():
		return c.lastHourly(t)
	}
	w, came := c.fires.last(c.reached(t))
	if !came {
		return time.Time{}
	}
	return c.first(w)
}

// reached is the latest that the wall clock has shown by t: what it shows now, or
// what it had shown before it was put back. A wall clock's time is kept as one of
// UTC, where every minute is there once.
func (c Cron) reached(t time.Time) time.Time {
	now := wall(t.In(c.zone))
	start, _ := t.In(c.zone).ZoneBounds()
	if start.IsZero() {
		return now
	}
	if before := wall(start.Add(-time.Nanosecond).In(c.zone)); before.After(now) {
		return before
	}
	return now
}

// first is the first moment at which the wall clock has reached w.
func (c Cron) first(w time.Time) time.Time {
	t := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), w.Nanosecond(), c.zone)
	start, end := t.ZoneBounds()
	switch shown := wall(t); {
	case shown.After(w): // skipped, and t is behind the gap
		return start
	case shown.Before(w): // skipped, and t is before it
		return end
	case start.IsZero():
		return t
	}
	_, before := start.Add(-time.Nanosecond).In(c.zone).Zone()
	if earlier := w.Add(-time.Duration(before) * time.Second); earlier.Before(start) { // doubled
		return earlier.In(c.zone)
	}
	return t
}

// nextHourly goes from one change of the clock to the next, between which wall
// clock and time run alike.
func (c Cron) nextHourly(t time.Time) time.Time {
	t = t.In(c.zone)
	for {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		w, comes := c.fires.next(wall(t))
		if !comes {
			return time.Time{}
		}
		at := w.Add(-time.Duration(offset) * time.Second).In(c.zone)
		if end.IsZero() || at.Before(end) {
			return at
		}
		if c.fires.on(wall(end)) {
			return end
		}
		t = end
	}
}

func (c Cron) lastHourly(t time.Time) time.Time {
	t = t.In(c.zone)
	for {
		_, offset := t.Zone()
		start, _ := t.ZoneBounds()
		w, came := c.fires.last(wall(t))
		if !came {
			return time.Time{}
		}
		at := w.Add(-time.Duration(offset) * time.Second).In(c.zone)
		if start.IsZero() || !at.Before(start) {
			return at
		}
		t = start.Add(-time.Nanosecond).In(c.zone)
	}
}

// wall is what the wall clock shows at t, as a time of UTC.
func wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}
