package view

import (
	"io"

	"jeroboam.io/jeroboam/schema"
)

// Validation is what came of checking a fleet.
type Validation struct {
	Clusters, Templates int // 0 if the fleet is invalid
	Problems            schema.Problems
}

// ValidationText writes a verdict and what led to it.
func ValidationText(w io.Writer, v Validation, o Options) error {
	if len(v.Problems) > 0 {
		if err := ProblemsText(w, v.Problems, o); err != nil || v.Problems.Errors() {
			return err
		}
	}
	out := newPage(o)
	verdict := "Valid: " + count(v.Clusters, "cluster", "clusters") + ", " + count(v.Templates, "template", "templates")
	if n := v.Problems.Count(schema.Warning); n > 0 {
		verdict += ", " + count(n, "warning", "warnings")
	}
	out.line(0, text(verdict).in(bold))
	return out.to(w)
}

// ValidationJSON writes the problems, sorted as they are.
func ValidationJSON(w io.Writer, v Validation) error { return ProblemsJSON(w, v.Problems) }

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
		code := textf("%s %s:", p.Severity(), p.Code).in(severityStyle(p.Severity()))
		out.line(0, where, code, text(pointer), text(message), hint)
	}
	if problems.Errors() {
		verdict := "Invalid: " + count(problems.Count(schema.Error), "problem", "problems")
		if n := problems.Count(schema.Warning); n > 0 {
			verdict += ", " + count(n, "warning", "warnings")
		}
		if len(files) > 0 {
			verdict += " in " + count(len(files), "file", "files")
		}
		out.line(0, text(verdict).in(bold))
	}
	return out.to(w)
}

func severityStyle(s schema.Severity) style {
	switch s {
	case schema.Error:
		return red
	case schema.Warning:
		return yellow
	case schema.Note:
		return dim
	}
	return plain
}

// ProblemsJSON writes what is wrong with a fleet, sorted as it is.
func ProblemsJSON(w io.Writer, problems schema.Problems) error {
	return writeJSON(w, struct {
		FormatVersion string           `json:"formatVersion"`
		Problems      []schema.Problem `json:"problems"`
	}{FormatVersion, list(problems)})
}
