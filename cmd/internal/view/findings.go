package view

import (
	"io"

	"jeroboam.io/jeroboam/drivers"
)

// Finding is one thing that doctor found, and about what.
type Finding struct {
	Subject string `json:"subject"` // "repository", "cloud lab-demo"
	drivers.Finding
}

// FindingsText writes findings as a table, what to do below each.
func FindingsText(w io.Writer, found []Finding, o Options) error {
	out := newPage(o)
	rows := make([][]cell, 0, len(found))
	for _, f := range found {
		rows = append(rows, []cell{{string(f.Level), levelStyle(f.Level)}, text(f.Subject), text(f.Check), text(f.Detail)})
	}
	out.table(0, rows)
	for _, f := range found {
		if f.Advice != "" {
			out.blank()
			out.line(0, textf("%s, %s:", f.Subject, f.Check).in(bold))
			out.lines(2, f.Advice)
		}
	}
	return out.to(w)
}

// FindingsJSON writes findings.
func FindingsJSON(w io.Writer, found []Finding) error {
	return writeJSON(w, struct {
		FormatVersion string    `json:"formatVersion"`
		Findings      []Finding `json:"findings"`
	}{FormatVersion, list(found)})
}

func levelStyle(l drivers.Level) style {
	switch l {
	case drivers.Fine:
		return green
	case drivers.Missing, drivers.Doubt:
		return yellow
	case drivers.Bad:
		return red
	}
	return plain
}
