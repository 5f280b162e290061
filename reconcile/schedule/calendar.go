package schedule

import (
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"
)

// calendar is the parsed fields over a clock that never jumps. Each field is a
// set of bits; the library marks one that was a star with the highest.
type calendar struct{ *cron.SpecSchedule }

const (
	star  = 1 << 63
	hours = 1<<24 - 1

	// years is how far next and last look: 29 February of a certain day of the
	// week comes every 28 years, or 40 where a century leaves one out.
	years = 41
)

// hourly says that no hour is left out.
func (c calendar) hourly() bool { return c.Hour&hours == hours }

// on says that the expression names the minute that begins at w.
func (c calendar) on(w time.Time) bool {
	return w.Second() == 0 && w.Nanosecond() == 0 && c.onDay(w) &&
		c.Hour&(1<<w.Hour()) != 0 && c.Minute&(1<<w.Minute()) != 0
}

// onDay follows crontab(5): of day of month and day of week one is enough, unless
// one of them is a star. To the library */3 is none.
func (c calendar) onDay(w time.Time) bool {
	if c.Month&(1<<w.Month()) == 0 {
		return false
	}
	dom, dow := c.Dom&(1<<w.Day()) != 0, c.Dow&(1<<w.Weekday()) != 0
	if c.Dom&star != 0 || c.Dow&star != 0 {
		return dom && dow
	}
	return dom || dow
}

// next is the first minute after w.
func (c calendar) next(w time.Time) (time.Time, bool) {
	from := w.Truncate(time.Minute).Add(time.Minute)
	day := from.Truncate(24 * time.Hour)
	first := int(from.Sub(day).Minutes())
	for limit := day.AddDate(years, 0, 0); day.Before(limit); day, first = day.AddDate(0, 0, 1), 0 {
		if c.Month&(1<<day.Month()) == 0 { // go to the last day of the month
			day = time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !c.onDay(day) {
			continue
		}
		if m, ok := c.minuteFrom(first); ok {
			return day.Add(time.Duration(m) * time.Minute), true
		}
	}
	return time.Time{}, false
}

// last is the last minute at or before w.
func (c calendar) last(w time.Time) (time.Time, bool) {
	day := w.Truncate(24 * time.Hour)
	end := int(w.Sub(day).Minutes())
	for limit := day.AddDate(-years, 0, 0); day.After(limit); day, end = day.AddDate(0, 0, -1), 24*60-1 {
		if c.Month&(1<<day.Month()) == 0 { // go to the first day of the month
			day = time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !c.onDay(day) {
			continue
		}
		if m, ok := c.minuteUpTo(end); ok {
			return day.Add(time.Duration(m) * time.Minute), true
		}
	}
	return time.Time{}, false
}

// minuteFrom is the first minute of a day, from the given one on. The library
// takes fields that name nothing.
func (c calendar) minuteFrom(first int) (int, bool) {
	if c.Minute&^star == 0 {
		return 0, false
	}
	hour, minute := first/60, first%60
	if c.Hour&(1<<hour) != 0 {
		if m := c.Minute &^ star >> minute << minute; m != 0 {
			return hour*60 + bits.TrailingZeros64(m), true
		}
	}
	h := c.Hour & hours >> (hour + 1) << (hour + 1)
	if h == 0 {
		return 0, false
	}
	return bits.TrailingZeros64(h)*60 + bits.TrailingZeros64(c.Minute), true
}

// minuteUpTo is the last minute of a day, up to the given one.
func (c calendar) minuteUpTo(end int) (int, bool) {
	if c.Minute&^star == 0 {
		return 0, false
	}
	hour, minute := end/60, end%60
	if c.Hour&(1<<hour) != 0 {
		if m := c.Minute & (1<<(minute+1) - 1); m != 0 {
			return hour*60 + bits.Len64(m) - 1, true
		}
	}
	h := c.Hour & (1<<hour - 1)
	if h == 0 {
		return 0, false
	}
	return (bits.Len64(h)-1)*60 + bits.Len64(c.Minute&^star) - 1, true
}
