package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/reconcile/schedule"
	"jeroboam.io/jeroboam/schema"
)

// clockTime is how plans show a time: with its day and in the zone in which
// somebody wrote it.
const clockTime = "Mon 2006-01-02 15:04 MST"

// clockLook is one look at the clock: all that it says is of one moment.
type clockLook struct {
	now   time.Time
	next  time.Time                   // when it says something else, at the earliest
	crons map[[2]string]schedule.Cron // by expression and zone
	clock diff.Clock                  // what it said so far
	seen  map[string]time.Time        // when schedules of groups were seen first
	fresh []string                    // those that were not seen before
	there map[string]bool             // all of them
}

// sizesPrefix begins the names under which it is kept when schedules of groups were
// seen first. They end with what the schedule says: another one is another.
const sizesPrefix = "sizes/"

// clock reads the clock for a fleet: which windows are open, which suspensions
// are over, which sizes hold.
func (r *Reconciler) clock(l *look) diff.Clock {
	c := clockLook{
		now: l.report.StartedAt, crons: map[[2]string]schedule.Cron{}, seen: l.memory.firings, there: map[string]bool{},
		clock: diff.Clock{
			Windows: map[schema.Maintenance]diff.Window{}, Fleet: r.Config.Maintenance,
			SuspensionOver: map[schema.Key]string{}, Sizes: map[schema.Key][]diff.Size{},
		},
	}
	c.window(r.Config.Maintenance)
	for _, w := range l.fleet.Clusters {
		c.window(w.Policy.Maintenance)
		c.suspension(w)
		c.sizes(w)
	}
	l.schedules, l.outdated, l.report.Next = c.fresh, c.outdated(), c.next
	return c.clock
}

// look again at t.
func (c *clockLook) again(t time.Time) {
	if t.After(c.now) && (c.next.IsZero() || t.Before(c.next)) {
		c.next = t
	}
}

// cron parses an expression, each once. A fleet that was loaded has none that
// cannot be parsed; one all the same never comes true, and what it opens stays
// closed.
func (c *clockLook) cron(expression, zone string) schedule.Cron {
	key := [2]string{expression, zone}
	parsed, ok := c.crons[key]
	if !ok {
		parsed, _ = schedule.Parse(expression, zone)
		c.crons[key] = parsed
	}
	return parsed
}

func (c *clockLook) window(m *schema.Maintenance) {
	if m == nil {
		return
	}
	if _, known := c.clock.Windows[*m]; known {
		return
	}
	length, _ := time.ParseDuration(m.Duration)
	w := schedule.Window{Opens: c.cron(m.Cron, m.TimeZone), Length: length}
	o := w.At(c.now)
	c.again(o.Until)
	opens := "never opens"
	if !o.Next.IsZero() {
		opens = "opens on " + w.Opens.In(o.Next).Format(clockTime)
	}
	if !o.Closes.IsZero() {
		opens = fmt.Sprintf("closes at %s, and nothing starts in its last %.0f minutes; it %s",
			w.Opens.In(o.Closes).Format("15:04 MST"), schedule.LastMinutes.Minutes(), opens)
	}
	if o.Open {
		opens = ""
	}
	c.clock.Windows[*m] = diff.Window{Open: o.Open, Says: opens}
}

func (c *clockLook) suspension(w *schema.Cluster) {
	end, ends := w.Policy.Suspension.End()
	switch {
	case !w.Policy.Suspend || !ends:
	case end.After(c.now):
		c.again(end)
	default:
		c.clock.SuspensionOver[w.Key] = "on " + end.Format(clockTime)
	}
}

// sizes reads the schedules of a cluster's groups, which are in order of the
// groups.
func (c *clockLook) sizes(w *schema.Cluster) {
	for all := w.Policy.Schedules; len(all) > 0; {
		n := 1
		for n < len(all) && all[n].Group == all[0].Group {
			n++
		}
		c.size(w.Key, all[:n])
		all = all[n:]
	}
}

func (c *clockLook) size(k schema.Key, entries []schema.GroupSchedule) {
	sizes := make([]schedule.Size, len(entries))
	for i, e := range entries {
		sizes[i] = schedule.Size{Cron: c.cron(e.Cron, e.TimeZone), Nodes: e.NodeCount}
	}
	s := schedule.At(sizes, c.now)
	if s.Entry < 0 {
		return
	}
	c.again(s.Next)
	name := fmt.Sprintf("%s%s/%s/%s", sizesPrefix, k, entries[0].Group, schema.Digest(entries))
	c.there[name] = true
	seen, before := c.seen[name]
	if !before {
		c.fresh = append(c.fresh, name)
	}
	c.clock.Sizes[k] = append(c.clock.Sizes[k], diff.Size{
		Group: entries[0].Group, Nodes: sizes[s.Entry].Nodes, ByClock: before && s.Since.After(seen), Says: says(sizes, s),
	})
}

// outdated are the names of schedules that were seen and that the fleet no longer
// has, in order.
func (c *clockLook) outdated() []string {
	var gone []string
	for name := range c.seen {
		if strings.HasPrefix(name, sizesPrefix) && !c.there[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}

// says tells who wins and what comes next.
func says(sizes []schedule.Size, s schedule.Sizing) string {
	now := sizes[s.Entry]
	text := fmt.Sprintf("by its schedule (%s) it has %d since %s", now.Cron, now.Nodes, now.Cron.In(s.Since).Format(clockTime))
	if s.Then >= 0 {
		then := sizes[s.Then]
		text += fmt.Sprintf(", and %d from %s", then.Nodes, then.Cron.In(s.Next).Format(clockTime))
	}
	return text
}
