package view

import (
	"io"
	"slices"

	"jeroboam.io/jeroboam/schema"
)

// Validation is what came of checking a fleet. Its views are ValidationText and
// ValidationJSON, and the sinks for CI: SARIF, JUnit, CodeQuality, Annotations.
type Validation struct {
	Clusters, Templates int             // 0 if the fleet is invalid
	Files               []string        // that were read, as positions name them; sorted
	Problems            schema.Problems // of any severity, sorted
	Strict              bool            // warnings are as bad as errors
	Preflight           *Preflight      // nil: no cloud was asked
}

// Valid tells whether the fleet may be acted on, or is as good as was asked for.
func (v Validation) Valid() bool {
	return !slices.ContainsFunc(v.Problems, v.fails)
}

// fails tells whether one problem is enough to be invalid.
func (v Validation) fails(p schema.Problem) bool {
	return p.Severity() == schema.Error || v.Strict && p.Severity() == schema.Warning
}

// ValidationText writes the problems, a line each in the form file:line:column
// that editors jump to, and the verdict.
func ValidationText(w io.Writer, v Validation, o Options) error {
	out := newPage(o)
	for _, p := range v.Problems {
		out.problem(p)
	}
	verdict := "Valid: " + count(v.Clusters, "cluster", "clusters") + ", " + count(v.Templates, "template", "templates")
	if n := counts(v.Problems); n != "" {
		verdict += ", " + n
	}
	switch {
	case v.Problems.Errors():
		verdict = "Invalid: " + counts(v.Problems) + inFiles(v.Problems)
	case !v.Valid():
		verdict = "Invalid with --strict: " + counts(v.Problems) + inFiles(v.Problems)
	}
	out.line(0, text(verdict).in(bold))
	out.more(v)
	if v.Preflight != nil {
		v.Preflight.page(out)
	}
	return out.to(w)
}

// more says where there is more to read about what fails.
func (p *page) more(v Validation) {
	for _, problem := range v.Problems {
		if v.fails(problem) {
			p.line(0, textf("jeroboam explain %s says more.", problem.Code).in(dim))
			return
		}
	}
}

// ProblemsText writes what is wrong with a fleet, or with the configuration.
func ProblemsText(w io.Writer, problems schema.Problems, o Options) error {
	return ValidationText(w, Validation{Problems: problems}, o)
}

// maxWarnings are shown beside something else; validate shows all.
const maxWarnings = 5

// WarningsText writes the first warnings and notes of a fleet beside a plan or a
// report, which are about something else; nothing if there are none.
func WarningsText(w io.Writer, problems schema.Problems, o Options) error {
	out := newPage(o)
	for i, p := range problems {
		if i == maxWarnings && len(problems) > maxWarnings+1 {
			out.line(0, textf("… %d more: jeroboam validate shows all.", len(problems)-maxWarnings).in(dim))
			break
		}
		out.problem(p)
	}
	return out.to(w)
}

func (p *page) problem(problem schema.Problem) {
	where, pointer, message, hint := cell{}, problem.Pointer, problem.Message, cell{}
	if at := problem.Pos.String(); at != "" {
		where = cell{at + ":", bold}
	}
	if pointer != "" {
		pointer += ":"
	}
	if problem.Hint != "" {
		message += ";"
		hint = cell{problem.Hint, yellow}
	}
	code := textf("%s %s:", problem.Severity(), problem.Code).in(severityStyle(problem.Severity()))
	p.line(0, where, code, text(pointer), text(message), hint)
}

// counts is "2 problems, 1 warning, 1 note", or "".
func counts(problems schema.Problems) string {
	said := ""
	for _, c := range []struct {
		severity  schema.Severity
		one, many string
	}{
		{schema.Error, "problem", "problems"}, {schema.Warning, "warning", "warnings"}, {schema.Note, "note", "notes"},
	} {
		if n := problems.Count(c.severity); n > 0 && said != "" {
			said += ", " + count(n, c.one, c.many)
		} else if n > 0 {
			said = count(n, c.one, c.many)
		}
	}
	return said
}

func inFiles(problems schema.Problems) string {
	files := map[string]bool{}
	for _, p := range problems {
		if p.Pos.File != "" {
			files[p.Pos.File] = true
		}
	}
	if len(files) == 0 {
		return ""
	}
	return " in " + count(len(files), "file", "files")
}

func severityStyle(s schema.Severity) style {
	switch s {
	case schema.Error:
		return red
	case schema.Warning:
		return yellow
	case schema.Note:
		return cyan
	}
	return plain
}

// problemDocument is a problem in JSON. Its severity is the code's, written out
// for programs that do not know the codes.
type problemDocument struct {
	Code     schema.Code     `json:"code"`
	Severity schema.Severity `json:"severity"`
	Pos      schema.Pos      `json:"pos"`
	Pointer  string          `json:"pointer,omitempty"`
	Message  string          `json:"message"`
	Hint     string          `json:"hint,omitempty"`
}

func problemDocuments(problems schema.Problems) []problemDocument {
	documents := make([]problemDocument, 0, len(problems))
	for _, p := range problems {
		documents = append(documents, problemDocument{p.Code, p.Severity(), p.Pos, p.Pointer, p.Message, p.Hint})
	}
	return documents
}

// ValidationJSON writes the verdict and the problems, sorted as they are.
func ValidationJSON(w io.Writer, v Validation) error {
	return writeJSON(w, struct {
		FormatVersion string            `json:"formatVersion"`
		Valid         bool              `json:"valid"`
		Clusters      int               `json:"clusters"`
		Templates     int               `json:"templates"`
		Problems      []problemDocument `json:"problems"`
		Preflight     *Preflight        `json:"preflight,omitempty"`
	}{FormatVersion, v.Valid(), v.Clusters, v.Templates, problemDocuments(v.Problems), v.Preflight})
}

// ProblemsJSON writes what is wrong with a fleet, sorted as it is.
func ProblemsJSON(w io.Writer, problems schema.Problems) error {
	return writeJSON(w, struct {
		FormatVersion string            `json:"formatVersion"`
		Problems      []problemDocument `json:"problems"`
	}{FormatVersion, problemDocuments(problems)})
}
