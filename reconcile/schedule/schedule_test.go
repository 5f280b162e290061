package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/reconcile/schedule"
)

// columns are what a rule of a table has between its bars.
func columns(rule string) []string {
	c := strings.Split(rule, "|")
	for i := range c {
		c[i] = strings.TrimSpace(c[i])
	}
	return c
}

// TestClockChanges: what the change to summer time skips runs once, as soon as it
// can; what the change back doubles runs once; what runs every hour runs in every
// hour that there is. A line is a zone, an expression, a time before, and the
// times after it in that zone, with their offsets.
func TestClockChanges(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"Europe/Berlin | 30 2 * * *   | 2027-03-27T12:00 | 28 03:00+0200, 29 02:30+0200",
		"Europe/Berlin | 30 2 * * *   | 2027-10-30T12:00 | 31 02:30+0200, 01 02:30+0100",
		"Europe/Berlin | 0,30 2 * * * | 2027-03-27T12:00 | 28 03:00+0200, 29 02:00+0200, 29 02:30+0200",
		"Europe/Berlin | 0 2,3 * * *  | 2027-03-27T12:00 | 28 03:00+0200, 29 02:00+0200",
		"Europe/Berlin | 30 * * * *   | 2027-03-28T00:45 | 28 01:30+0100, 28 03:30+0200, 28 04:30+0200",
		"Europe/Berlin | 30 * * * *   | 2027-10-31T01:45 | 31 02:30+0200, 31 02:30+0100, 31 03:30+0100",
		"Europe/Berlin | 0 * * * *    | 2027-03-28T00:45 | 28 01:00+0100, 28 03:00+0200",
		"America/Santiago | 0 0 * * *     | 2026-09-05T12:00 | 06 01:00-0300, 07 00:00-0300",
		"America/Santiago | @daily        | 2026-09-05T12:00 | 06 01:00-0300, 07 00:00-0300",
		"America/Santiago | 30 23 * * *   | 2026-04-04T12:00 | 04 23:30-0300, 05 23:30-0400",
		"Australia/Lord_Howe | 15 2 * * * | 2026-10-03T12:00 | 04 02:30+1100, 05 02:15+1100",
		"Australia/Lord_Howe | 45 1 * * * | 2026-04-04T12:00 | 05 01:45+1100, 06 01:45+1030",
		"Pacific/Apia | 0 12 * * *        | 2011-12-29T13:00 | 31 00:00+1400, 31 12:00+1400", // it had no 30 December
		"UTC | 0 0 29 2 *                 | 2026-01-01T00:00 | 29 00:00+0000",
	} {
		part := columns(rule)
		zone := part[0]
		c := parse(t, part[1], zone)
		where, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation("2006-01-02T15:04", part[2], where)
		if err != nil {
			t.Fatal(err)
		}
		want := part[3]
		var have []string
		for range strings.Count(want, ",") + 1 {
			at = c.Next(at)
			have = append(have, at.Format("02 15:04-0700"))
		}
		if strings.Join(have, ", ") != want {
			t.Errorf("%s\nhave %s", rule, strings.Join(have, ", "))
		}
	}
}

func parse(t interface {
	Helper()
	Fatal(args ...any)
}, expression, zone string,
) schedule.Cron {
	t.Helper()
	c, err := schedule.Parse(expression, zone)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// borders are days on which the clock changes, by zone; one of each zone is far
// from any.
func borders() map[string][]string {
	return map[string][]string{
		"Europe/Berlin":       {"2027-03-28", "2027-10-31", "2026-07-01"},
		"America/New_York":    {"2026-03-08", "2026-11-01", "2026-07-01"},
		"America/Santiago":    {"2026-04-05", "2026-09-06", "2026-07-01"}, // at midnight
		"America/Havana":      {"2026-03-08", "2026-11-01", "2026-07-01"}, // at midnight
		"Australia/Lord_Howe": {"2026-04-05", "2026-10-04", "2026-07-01"}, // by half an hour
		"Antarctica/Troll":    {"2026-03-29", "2026-10-25", "2026-07-01"}, // by two hours
		"Africa/Casablanca":   {"2026-02-15", "2026-03-22", "2026-07-01"}, // twice around Ramadan
		"Pacific/Apia":        {"2011-12-30", "2011-04-02", "2026-07-01"}, // without a whole day
		"Pacific/Kwajalein":   {"1969-09-30", "1993-08-20", "2026-07-01"}, // with a day twice, and without one
		"Asia/Kathmandu":      {"1986-01-01", "2026-11-01", "2026-07-01"}, // to a quarter of an hour
		"UTC":                 {"2026-03-29", "2026-12-31", "2028-02-29"},
	}
}

// window is a place in time near a change of the clock.
func near(t *rapid.T) (zone string, from time.Time) {
	zone = rapid.SampledFrom(slices.Sorted(keys(borders()))).Draw(t, "zone")
	day := rapid.SampledFrom(borders()[zone]).Draw(t, "day")
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	return zone, at.Add(-30 * time.Hour)
}

func keys(m map[string][]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// expression draws five fields that come true often enough to be seen.
func expression(t *rapid.T) string {
	field := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	return strings.Join([]string{
		field("minute", "0", "30", "*", "*/7", "5,10,55", "15-20"),
		field("hour", "*", "*/1", "0", "1", "2", "23", "0-3", "*/2", "1,2,3"),
		field("dom", "*", "*", "*", "1", "*/3", "28-31"),
		field("month", "*", "*", "3-5,9-12"),
		field("dow", "*", "*", "0", "1-5"),
	}, " ")
}

// TestAgainstEveryMinute: Next and Last give exactly the minutes that somebody
// finds who looks at the wall clock every minute and does, the moment it has
// come, what its time or one that it jumped over asks for, but nothing twice; or,
// if every hour is named, just what it shows.
func TestAgainstEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, from := near(t)
		text := expression(t)
		c := parse(t, text, zone)
		to := from.Add(90 * time.Hour)
		want := watch(t, text, zone, from, to)
		var next, last []string
		for at := c.Next(from); !at.IsZero() && !at.After(to); at = c.Next(at) {
			next = append(next, at.UTC().Format(time.DateTime))
		}
		for at := c.Last(to); !at.IsZero() && at.After(from); at = c.Last(at.Add(-time.Nanosecond)) {
			last = append(last, at.UTC().Format(time.DateTime))
		}
		slices.Reverse(last)
		if !slices.Equal(next, want) || !slices.Equal(last, want) {
			t.Fatalf("%s in %s from %s\nnext %v\nlast %v\nwant %v", text, zone, from, next, last, want)
		}
	})
}

// watch looks at the clock every minute of the way: the oracle.
func watch(t *rapid.T, text, zone string, from, to time.Time) []string {
	where, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	matches := matcher(text)
	hour := strings.Fields(text)[1]
	hourly := hour == "*" || hour == "*/1"
	shown := func(at time.Time) time.Time {
		at = at.In(where)
		return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
	}
	reached := shown(from.Add(-48 * time.Hour))
	for at := from.Add(-48 * time.Hour); !at.After(from); at = at.Add(time.Minute) {
		if s := shown(at); s.After(reached) {
			reached = s
		}
	}
	var fired []string
	for at := from.Add(time.Minute); !at.After(to); at = at.Add(time.Minute) {
		now := shown(at)
		switch {
		case hourly:
			if matches(now) {
				fired = append(fired, at.UTC().Format(time.DateTime))
			}
		case now.After(reached):
			due := false
			for w := reached.Truncate(time.Minute).Add(time.Minute); !w.After(now); w = w.Add(time.Minute) {
				due = due || matches(w)
			}
			if due {
				fired = append(fired, at.UTC().Format(time.DateTime))
			}
			reached = now
		}
	}
	return fired
}

// matcher reads the fields that expression draws, in a way of its own.
func matcher(text string) func(time.Time) bool {
	f := strings.Fields(text)
	in := func(field string, v, low int) bool {
		for part := range strings.SplitSeq(field, ",") {
			span, step, stepped := strings.Cut(part, "/")
			from, to := 0, 99
			if span != "*" {
				a, b, ranged := strings.Cut(span, "-")
				fmt.Sscan(a, &from)
				if to = from; ranged {
					fmt.Sscan(b, &to)
				}
			}
			n := 1
			if stepped {
				fmt.Sscan(step, &n)
				from = max(from, low)
			}
			if v >= from && v <= to && (v-from)%n == 0 {
				return true
			}
		}
		return false
	}
	return func(w time.Time) bool {
		dom, dow := in(f[2], w.Day(), 1), in(f[4], int(w.Weekday()), 0)
		day := dom || dow
		if f[2] == "*" || f[4] == "*" {
			day = dom && dow
		}
		return in(f[0], w.Minute(), 0) && in(f[1], w.Hour(), 0) && day && in(f[3], int(w.Month()), 1)
	}
}

// TestParse refuses with a reason what has no meaning here.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, zone, says string }{
		{"TZ=", "", "no time zone here"},
		{"TZ=Europe/Berlin", "", "no time zone here"},
		{" CRON_TZ=Europe/Berlin 0 2 * * *", "", "no time zone here"},
		{"@every 5m", "", "@every counts"},
		{"0 2 * *", "", "not a cron expression"},
		{"", "", "not a cron expression"},
		{"0 0 30 2 *", "", "never comes true"},
		{", * * * *", "", "never comes true"},
		{"0 , * * *", "", "never comes true"},
		{"0 2 * * *", "Europe/Berlim", "time zone"},
		{"0 2 * * *", "Local", "time zone"},
	} {
		if _, err := schedule.Parse(c.text, c.zone); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q in %q: %v, want %q", c.text, c.zone, err, c.says)
		}
	}
	if s := parse(t, " 0 2 * * 6 ", "").String(); s != "0 2 * * 6 UTC" {
		t.Errorf("it is shown as %q", s)
	}
	var zero schedule.Cron
	if now := time.Now(); !zero.Next(now).IsZero() || !zero.Last(now).IsZero() || zero.String() != "never" {
		t.Error("the zero value comes true")
	}
}

// FuzzParse: no text makes the parser panic, and what it takes comes true.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 2 * * 6", "TZ=", "CRON_TZ=UTC 0 0 * * *", "@daily", "@every 1h", "*/0 * * * *", "? ? ? ? ?", "0 0 31 4 *", "59-0 * * * *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := schedule.Parse(text, "America/New_York")
		if err == nil && c.Next(time.Date(2026, 3, 8, 6, 0, 0, 0, time.UTC)).IsZero() {
			t.Errorf("%q was taken and never comes true", text)
		}
	})
}
