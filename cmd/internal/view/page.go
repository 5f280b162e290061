package view

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// style is the parameters of an ANSI colour sequence.
type style string

const (
	plain   style = ""
	bold    style = "1"
	dim     style = "2"
	red     style = "31"
	green   style = "32"
	yellow  style = "33"
	magenta style = "35"
	cyan    style = "36"
)

// cell is a piece of text. All that a page prints is made of cells, so that
// nothing reaches a terminal uncleaned.
type cell struct {
	text  string
	style style
}

func text(s string) cell                    { return cell{text: s} }
func textf(format string, args ...any) cell { return text(fmt.Sprintf(format, args...)) }
func (c cell) in(s style) cell              { return cell{c.text, s} }

// page collects text and is written at once.
type page struct {
	b     strings.Builder
	color bool
	width int // of table rows, which are cut there; 0 cuts nothing
}

func newPage(o Options) *page { return &page{color: o.Color} }

// newCutPage is for what is looked at and not acted on: rows stay rows.
func newCutPage(o Options) *page { return &page{color: o.Color, width: o.Width} }

func (p *page) to(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *page) blank() { p.b.WriteString("\n") }

// line writes cells with a space between them; empty ones are left out.
func (p *page) line(indent int, cells ...cell) {
	var parts []string
	for _, c := range cells {
		if s := clean(c.text); s != "" {
			parts = append(parts, p.paint(c.style, s))
		}
	}
	p.b.WriteString(strings.Repeat(" ", indent) + strings.Join(parts, " ") + "\n")
}

// lines writes text that may have several lines, below each other.
func (p *page) lines(indent int, s string) {
	for l := range strings.Lines(strings.TrimRight(s, "\n")) {
		p.line(indent, text(l))
	}
}

// MessageText writes a message that is not part of a view, with who says it in
// front.
func MessageText(w io.Writer, who, message string) error {
	out := newPage(Options{})
	for l := range strings.SplitSeq(strings.TrimRight(who+": "+message, "\n"), "\n") {
		said := strings.TrimLeft(l, " ")
		out.line(len(l)-len(said), text(said))
	}
	return out.to(w)
}

func (p *page) paint(s style, text string) string {
	if !p.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// maxColumn is the widest that a column gets; a longer cell pushes its own row.
const maxColumn = 60

// table writes rows in columns two spaces apart. A column that is empty in all
// rows is left out, and rows are cut to the page's width.
func (p *page) table(indent int, rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i := range row {
			row[i].text = clean(row[i].text)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(utf8.RuneCountInString(row[i].text), maxColumn))
		}
	}
	for _, row := range rows {
		p.row(indent, row, widths)
	}
}

func (p *page) row(indent int, row []cell, widths []int) {
	at, gap := 0, indent // where the text ends, and what is between it and the next cell
	for i, c := range row {
		if widths[i] == 0 {
			continue
		}
		if c.text != "" {
			if room := p.width - at - gap; p.width > 0 && room > 0 {
				c.text = cutEnd(c.text, room)
			} else if p.width > 0 {
				break
			}
			p.b.WriteString(strings.Repeat(" ", gap) + p.paint(c.style, c.text))
			at, gap = at+gap+utf8.RuneCountInString(c.text), 0
		}
		gap += max(widths[i]-utf8.RuneCountInString(c.text), 0) + 2
	}
	p.blank()
}

// heading is the first row of a table that needs one.
func heading(columns ...string) []cell {
	row := make([]cell, 0, len(columns))
	for _, c := range columns {
		row = append(row, cell{c, bold})
	}
	return row
}
