// Package view shows values to people and programs: the same plan as text for a
// terminal, as JSON for machines and as Markdown for a pull request; problems,
// records, results and the progress of a wait in the forms that they need.
//
//	diff.Plan ──────► tell (told.go) ─┬─► PlanText
//	  + source facts                  └─► PlanMarkdown ─► a comment's budget
//	              └──────────────────────► PlanJSON ─► ReadPlan
//	[]reconcile.Record ─► StatusText, RecordText ─► Watch; moved ─► Progress
//	ClusterExplanation ─► ClusterExplanationText, ClusterExplanationJSON
//	Validation ─► ValidationText, ValidationJSON, SARIF, JUnit, CodeQuality, Annotations
//	schema ─► ExplanationText, ReferenceMarkdown
//	pki.Shown ─► AuthoritiesText
//
// A view decides nothing. The verdict is its first line, what people must act on
// comes with the words that let them act, and what is the same on many clusters
// is said once. Text that comes from a cloud is not to be trusted: on its way to
// a terminal it goes through clean, on its way to Markdown through code or prose.
//
// Read page.go for how text is laid out, told.go for what is said of a step,
// then plan.go, plantext.go and planmarkdown.go; status.go, record.go,
// report.go, progress.go, watch.go, clusterexplanation.go, findings.go,
// authorities.go and reference.go stand alone. problems.go
// has the text of problems, sinks.go what the views of them for CI share.
package view

import (
	"encoding/json"
	"io"
)

// FormatVersion is that of every JSON document of this package. A new field
// raises the minor number, anything else the major one.
const FormatVersion = "1.0"

// Options say for whom text is made.
type Options struct {
	// Color allows ANSI colours. The caller knows the terminal and NO_COLOR.
	Color bool
	// Width cuts the rows of status and progress to that many columns; 0 cuts
	// nothing. A plan is never cut: what it says is to be decided on.
	Width int
	// Budget is the most bytes that Markdown may take; 0 means 60,000, which
	// leaves room below the 65,536 characters of a GitHub comment.
	Budget int
}

// writeJSON writes an indented document. Its strings are as they are: to strip
// them would make the document say something else.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
