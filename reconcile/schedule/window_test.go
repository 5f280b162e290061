package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/reconcile/schedule"
)

// TestWindow tells what a window allows. A line is its expression and length, now
// (on 4 May 2026, a Monday), whether something may start, when it closes, opens
// next and is to be looked at again.
func TestWindow(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"0 2 * * *    | 4h  | 01:59 | closed | -     | 04 02:00 | 04 02:00",
		"0 2 * * *    | 4h  | 02:00 | open   | 06:00 | 05 02:00 | 04 05:45",
		"0 2 * * *    | 4h  | 05:44 | open   | 06:00 | 05 02:00 | 04 05:45",
		"0 2 * * *    | 4h  | 05:45 | closed | 06:00 | 05 02:00 | 05 02:00", // the last minutes
		"0 2 * * *    | 4h  | 06:00 | closed | -     | 05 02:00 | 05 02:00",
		"0 2 * * 6    | 4h  | 12:00 | closed | -     | 09 02:00 | 09 02:00",
		"0 */2 * * *  | 2h  | 03:50 | open   | 04:00 | 04 04:00 | 04 04:00", // the next follows at once
		"0 0 * * *    | 30h | 03:00 | open   | 06:00 | 05 00:00 | 05 00:00", // 24 of them go on
	} {
		p := columns(rule)
		length, err := time.ParseDuration(p[1])
		if err != nil {
			t.Fatal(err)
		}
		o := schedule.Window{Opens: parse(t, p[0], "UTC"), Length: length}.At(clock(t, p[2]))
		open, closes := "closed", "-"
		if o.Open {
			open = "open"
		}
		if !o.Closes.IsZero() {
			closes = o.Closes.Format("15:04")
		}
		have := fmt.Sprint(open, closes, o.Next.Format("02 15:04"), o.Until.Format("02 15:04"))
		if want := fmt.Sprint(p[3], p[4], p[5], p[6]); have != want {
			t.Errorf("%s\nhave %s", rule, have)
		}
	}
}

// TestWindowKeepsItsPromises: what may start has more than the last minutes, or
// the next window behind it; and nothing changes before Until.
func TestWindowKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, from := near(t)
		w := schedule.Window{
			Opens:  parse(t, expression(t), zone),
			Length: time.Duration(rapid.IntRange(30, 600).Draw(t, "minutes")) * time.Minute,
		}
		now := from.Add(time.Duration(rapid.IntRange(0, 90*60*60).Draw(t, "seconds")) * time.Second)
		o := w.At(now)
		if !o.Until.IsZero() && !o.Until.After(now) {
			t.Fatalf("look again at %s, and it is %s", o.Until, now)
		}
		if o.Open && !w.At(now.Add(schedule.LastMinutes)).Closes.After(now.Add(schedule.LastMinutes)) {
			t.Fatalf("at %s something may start, and %s later it is closed", now, schedule.LastMinutes)
		}
		if between := now.Add(o.Until.Sub(now) / 2); !o.Until.IsZero() && w.At(between).Open != o.Open {
			t.Fatalf("between %s and %s it changes", now, o.Until)
		}
	})
}

// TestSizes tells which entry of a schedule wins. Entries are NODES@EXPRESSION.
func TestSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ entries, now, want string }{
		{"2@0 7 * * *;0@0 20 * * *", "06:59", "0 nodes since 03 20:00, 2 from 04 07:00"},
		{"2@0 7 * * *;0@0 20 * * *", "07:00", "2 nodes since 04 07:00, 0 from 04 20:00"},
		{"2@0 7 * * *;0@0 20 * * *", "20:00", "0 nodes since 04 20:00, 2 from 05 07:00"},
		{"2@0 7 * * 1-5;0@0 20 * * 1-5", "06:00", "0 nodes since 01 20:00, 2 from 04 07:00"}, // over the week-end
		{"1@0 7 * * *;2@0 7 * * *", "12:00", "2 nodes since 04 07:00, none after it"},        // the last of the list
		{"2@0 7 * * *;2@0 9 * * *;0@0 20 * * *", "08:00", "2 nodes since 04 07:00, 0 from 04 20:00"},
		{"0@0 20 * * 1-5", "12:00", "0 nodes since 01 20:00, none after it"},
		{"", "12:00", "none"},
	} {
		if have := sizing(entries(t, c.entries, "UTC"), clock(t, c.now)); have != c.want {
			t.Errorf("%s at %s\nhave %s\nwant %s", c.entries, c.now, have, c.want)
		}
	}
}

func entries(t *testing.T, text, zone string) []schedule.Size {
	t.Helper()
	var sizes []schedule.Size
	for e := range strings.SplitSeq(text, ";") {
		if e == "" {
			continue
		}
		n, expression, _ := strings.Cut(e, "@")
		s := schedule.Size{Cron: parse(t, expression, zone)}
		if _, err := fmt.Sscan(n, &s.Nodes); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, s)
	}
	return sizes
}

func sizing(sizes []schedule.Size, now time.Time) string {
	s := schedule.At(sizes, now)
	if s.Entry < 0 {
		return "none"
	}
	text := fmt.Sprintf("%d nodes since %s", sizes[s.Entry].Nodes, s.Since.Format("02 15:04"))
	if s.Then < 0 {
		return text + ", none after it"
	}
	return fmt.Sprintf("%s, %d from %s", text, sizes[s.Then].Nodes, s.Next.Format("02 15:04"))
}

// TestSizesChangeWhenTheySay: until Next the size is what it is, and at Next it is
// the one that was said, whatever the clock does in between.
func TestSizesChangeWhenTheySay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, from := near(t)
		sizes := make([]schedule.Size, rapid.IntRange(1, 4).Draw(t, "entries"))
		for i := range sizes {
			sizes[i] = schedule.Size{Cron: parse(t, expression(t), zone), Nodes: rapid.IntRange(0, 2).Draw(t, "nodes")}
		}
		now := from.Add(time.Duration(rapid.IntRange(0, 90*60).Draw(t, "minute")) * time.Minute)
		s := schedule.At(sizes, now)
		if s.Entry < 0 || s.Since.After(now) {
			t.Fatalf("entry %d since %s, and it is %s", s.Entry, s.Since, now)
		}
		if s.Then < 0 {
			return
		}
		nodes := func(at time.Time) int { return sizes[schedule.At(sizes, at).Entry].Nodes }
		if have, want := nodes(s.Next), sizes[s.Then].Nodes; have != want || have == sizes[s.Entry].Nodes {
			t.Fatalf("at %s it is %d, want %d", s.Next, have, want)
		}
		for _, part := range []time.Duration{2, 3, 7} {
			if at := now.Add(s.Next.Sub(now) / part); at.Before(s.Next) && nodes(at) != sizes[s.Entry].Nodes {
				t.Fatalf("at %s it is %d already", at, nodes(at))
			}
		}
		if at := s.Next.Add(-time.Nanosecond); nodes(at) != sizes[s.Entry].Nodes {
			t.Fatalf("just before %s it is %d already", s.Next, nodes(at))
		}
	})
}
