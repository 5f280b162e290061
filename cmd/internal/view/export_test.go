package view

import (
	"io"
	"strings"
	"time"
)

// Clean is what text goes through on its way to a terminal.
func Clean(s string) string { return clean(s) }

// NewLiveProgress shows as on a terminal of a size.
func NewLiveProgress(w io.Writer, o Options, began time.Time, width, height int) *Progress {
	p := NewProgress(w, o, began)
	p.size = func() (int, int, bool) { return width, height, true }
	return p
}

// TableRow is a row of a Markdown table of our own text.
func TableRow(cells ...string) string {
	var b strings.Builder
	for i, c := range cells {
		cells[i] = ourProse(c)
	}
	tableRow(&b, cells)
	return b.String()
}

// NewLiveWatch is a Watch on a terminal of any size.
func NewLiveWatch(w io.Writer, o Options, size func() (int, int, bool)) *Watch {
	return &Watch{w: w, o: o, size: size}
}
