package view

import (
	"io"

	"jeroboam.io/jeroboam/schema"
)

// ProblemsText writes what is wrong with a fleet, a line each, in the form
// file:line:column that editors jump to, and how much it is.
func ProblemsText(w io.Writer, problems schema.Problems, o Options) error {
	out := newPage(o)
	files := map[string]bool{}
	for _, p := range problems {
		where, hint, message := cell{}, cell{}, p.Message
		if at := p.Pos.String(); at != "" {
			where = cell{at + ":", bold}
			files[p.Pos.File] = true
		}
		if p.Hint != "" {
			message += ";"
			hint = cell{p.Hint, yellow}
		}
		pointer := ""
		if p.Pointer != "" {
			pointer = p.Pointer + ":"
		}
		out.line(0, where, text(pointer), text(message), hint)
	}
	verdict := "Invalid: " + count(len(problems), "problem", "problems")
	if len(files) > 0 {
		verdict += " in " + count(len(files), "file", "files")
	}
	out.line(0, text(verdict).in(bold))
	return out.to(w)
}

// ProblemsJSON writes what is wrong with a fleet, sorted as it is.
func ProblemsJSON(w io.Writer, problems schema.Problems) error {
	return writeJSON(w, struct {
		FormatVersion string           `json:"formatVersion"`
		Problems      []schema.Problem `json:"problems"`
	}{FormatVersion, list(problems)})
}
