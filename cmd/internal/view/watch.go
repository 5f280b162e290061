package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// Watch shows something again whenever it has changed. On a terminal it is drawn
// over what was there before, as much of it as there is room for; elsewhere it is
// written below that, with the time between.
type Watch struct {
	w     io.Writer
	o     Options
	size  func() (width, height int, ok bool)
	drawn int // lines on the terminal that are to be drawn again
	last  string
	wide  int // the terminal's width when it was drawn
}

// NewWatch begins to watch. It looks by itself whether w is a terminal.
func NewWatch(w io.Writer, o Options) *Watch {
	return &Watch{w: w, o: o, size: func() (int, int, bool) { return Terminal(w) }}
}

// Show is called at every look. What is rendered as before is not shown again,
// unless the terminal has another size by now.
func (v *Watch) Show(at time.Time, render func(io.Writer, Options) error) error {
	width, height, live := v.size()
	o := v.o
	if live {
		o.Width = width - 1 // a full line would wrap on some terminals
	}
	var b bytes.Buffer
	if err := render(&b, o); err != nil {
		return err
	}
	first := v.last == ""
	if b.String() == v.last && (!live || width == v.wide) {
		return nil
	}
	v.last, v.wide = b.String(), width
	if live {
		return v.draw(at, o, max(height-2, 1))
	}
	if !first {
		if _, err := fmt.Fprintf(v.w, "\n%s\n", at.UTC().Format(time.RFC3339)); err != nil {
			return err
		}
	}
	_, err := v.w.Write(b.Bytes())
	return err
}

// draw replaces what is on the terminal.
func (v *Watch) draw(at time.Time, o Options, room int) error {
	out := newPage(o)
	out.rewind(v.drawn)
	lines := strings.Split(strings.TrimSuffix(v.last, "\n"), "\n")
	shown := lines[:min(len(lines), room)]
	if len(lines) > room {
		shown = lines[:room-1]
	}
	for _, l := range shown {
		out.b.WriteString(cutPainted(l, o.Width) + "\n")
	}
	if more := len(lines) - len(shown); more > 0 {
		out.line(0, textf("… %d more lines", more).in(dim))
	}
	v.drawn = strings.Count(out.b.String(), "\n") + 1
	out.line(0, textf("as of %s; Ctrl-C ends", at.UTC().Format(time.RFC3339)).in(dim))
	return out.to(v.w)
}

// cutPainted cuts a line to so many columns, and leaves colours as they are: what
// was begun before the cut also ends.
func cutPainted(line string, width int) string {
	var b strings.Builder
	column, escape := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case column >= width:
			continue
		default:
			column++
		}
		b.WriteRune(r)
	}
	return b.String()
}
