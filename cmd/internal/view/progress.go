package view

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// Terminal gives the size of the terminal that w is; ok is false if it is none.
func Terminal(w io.Writer) (width, height int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return width, height, err == nil
}

// Progress shows clusters on their way while somebody waits. On a terminal each
// cluster in motion has a line that is drawn again, below the lines of those
// that have arrived; elsewhere a line is written only when something changed.
type Progress struct {
	w     io.Writer
	o     Options
	size  func() (width, height int, ok bool)
	began time.Time
	seen  []trip
	drawn int // lines on the terminal that are to be drawn again
}

// NewProgress begins to show at a time. It looks by itself whether w is a
// terminal.
func NewProgress(w io.Writer, o Options, began time.Time) *Progress {
	return &Progress{w: w, o: o, began: began, size: func() (int, int, bool) { return Terminal(w) }}
}

// Show is called with the records of every look.
func (p *Progress) Show(records []reconcile.Record, at time.Time) error {
	width, height, live := p.size()
	o := p.o
	if live {
		o.Width = width - 1 // a full line would wrap on some terminals
	}
	now := follow(p.seen, records, at)
	out := newCutPage(o)
	out.rewind(p.drawn)
	out.events(moved(p.seen, now, live), p.began, at)
	p.seen, p.drawn = now, 0
	if live {
		p.drawn = out.live(now, at, max(height-2, 1))
	}
	return out.to(p.w)
}

// Done takes the live lines away and writes how it ended.
func (p *Progress) Done(at time.Time) error {
	out := newPage(p.o)
	out.rewind(p.drawn)
	p.drawn = 0
	records := make([]reconcile.Record, 0, len(p.seen))
	var left []string
	for _, t := range p.seen {
		records = append(records, t.Record)
		switch {
		case underWay(t):
			left = append(left, t.Key().String())
		case stateOf(t.Record) == failed:
			out.line(0, text(t.Key().String()).in(bold), text(t.Status).in(red), text("nodes "+nodesOf(t.Record)))
			out.lines(4, t.StatusReason)
			out.lines(4, t.Advice)
		}
	}
	if len(left) > 0 {
		out.line(0, text("still under way:").in(cyan), text(several(left, 5)))
	}
	out.line(0, textf("After %s, %s", elapsed(p.began, at), headline(records)).in(bold))
	return out.to(p.w)
}

// trip is a cluster on its way: its record, and since when it has its status.
type trip struct {
	reconcile.Record
	since time.Time
}

// follow joins what was seen before with what is seen now.
func follow(was []trip, records []reconcile.Record, at time.Time) []trip {
	before := byKey(was)
	now := make([]trip, 0, len(records))
	for _, r := range records {
		t := trip{r, at}
		if b, ok := before[r.Key()]; ok && b.Status == r.Status {
			t.since = b.since
		}
		now = append(now, t)
	}
	return now
}

func byKey(trips []trip) map[schema.Key]trip {
	m := make(map[schema.Key]trip, len(trips))
	for _, t := range trips {
		m[t.Key()] = t
	}
	return m
}

// event is something that happened to a cluster since the last look. One that is
// gone may be deleted, or its cloud may not be readable: it is not seen.
type event struct {
	trip
	gone bool
}

// moved are the clusters whose status, nodes or progress are others than before, and
// those that are gone. The first look tells those that are on their way. With
// arrivals only, it tells what has come to rest: a live line shows the others.
func moved(was, now []trip, arrivals bool) []event {
	before, after := byKey(was), byKey(now)
	var events []event
	for _, t := range now {
		b, known := before[t.Key()]
		changed := known && (b.Status != t.Status || nodesOf(b.Record) != nodesOf(t.Record) || b.Progress != t.Progress) || !known && (underWay(t) || was != nil)
		if changed && (!arrivals || !underWay(t)) {
			events = append(events, event{trip: t})
		}
	}
	for _, t := range was {
		if _, there := after[t.Key()]; !there {
			events = append(events, event{trip: t, gone: true})
		}
	}
	return events
}

// underWay says that a cluster moves, or will. One that failed has come to rest,
// also if a later run is to recover it.
func underWay(t trip) bool {
	s := stateOf(t.Record)
	return s == moving || s != failed && len(t.Pending) > 0
}

// events are lines that stay.
func (p *page) events(events []event, began, at time.Time) {
	var rows [][]cell
	for _, e := range events {
		when := text(elapsed(began, at)).in(dim)
		if e.gone {
			rows = append(rows, []cell{when, text(e.Key().String()).in(bold), text("no longer seen")})
			continue
		}
		remark := ""
		if stateOf(e.Record) != moving || e.Advice != "" {
			remark = cutEnd(clean(remarks(e.Record)), maxRemark)
		}
		rows = append(rows, slices.Concat([]cell{when}, e.row(), []cell{text(remark)}))
	}
	p.table(0, rows)
}

func (t trip) row() []cell {
	return []cell{
		text(t.Key().String()).in(bold), text(t.Status).in(statusStyle(t.Record)), text("nodes " + nodesOf(t.Record)),
		text(strings.Join(t.Steps(), ", ")),
	}
}

// live draws a line for each cluster on its way, as many as there is room for,
// and says how many lines it took.
func (p *page) live(now []trip, at time.Time, room int) int {
	var rows [][]cell
	for _, t := range now {
		if underWay(t) {
			rows = append(rows, slices.Concat([]cell{{"…", cyan}}, t.row(), []cell{text("for " + elapsed(t.since, at)).in(dim)}))
		}
	}
	shown := rows
	if len(rows) > room {
		shown = rows[:room-1]
	}
	p.table(0, shown)
	if more := len(rows) - len(shown); more > 0 {
		p.line(0, textf("… %d more", more).in(dim))
		return len(shown) + 1
	}
	return len(shown)
}

// rewind goes back over lines that were drawn, and clears them.
func (p *page) rewind(lines int) {
	if lines > 0 {
		fmt.Fprintf(&p.b, "\r\x1b[%dA\x1b[J", lines)
	}
}

func elapsed(from, to time.Time) string { return to.Sub(from).Round(time.Second).String() }
