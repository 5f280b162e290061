package view

import (
	"io"
	"strings"
	"unicode/utf8"

	"jeroboam.io/jeroboam/schema"
)

// textWidth is how wide sentences are set.
const textWidth = 80

// ExplanationText writes what there is to know of a code.
func ExplanationText(w io.Writer, e schema.Explanation, o Options) error {
	out := newPage(o)
	out.line(0, text(string(e.Code)).in(bold), text(e.Title).in(bold), textf("(%s)", e.Severity).in(severityStyle(e.Severity)))
	out.blank()
	for _, l := range wrap(e.Text, textWidth) {
		out.line(0, text(l))
	}
	if e.Wrong != "" {
		out.blank()
		out.line(0, text("Wrong:").in(red))
		out.b.WriteString(indented(e.Wrong))
		out.blank()
		out.line(0, text("Right:").in(green))
		out.b.WriteString(indented(e.Right))
	}
	return out.to(w)
}

// ExplanationsText lists codes, a line each.
func ExplanationsText(w io.Writer, all []schema.Explanation, o Options) error {
	out := newPage(o)
	rows := make([][]cell, 0, len(all))
	for _, e := range all {
		rows = append(rows, []cell{text(string(e.Code)).in(bold), text(string(e.Severity)).in(severityStyle(e.Severity)), text(e.Title)})
	}
	out.table(0, rows)
	return out.to(w)
}

// explanationDocument is a code in JSON.
type explanationDocument struct {
	Code     schema.Code     `json:"code"`
	Severity schema.Severity `json:"severity"`
	Title    string          `json:"title"`
	Text     string          `json:"text"`
	Wrong    string          `json:"wrong,omitempty"`
	Right    string          `json:"right,omitempty"`
}

// ExplanationsJSON writes all there is to know of codes.
func ExplanationsJSON(w io.Writer, all []schema.Explanation) error {
	codes := make([]explanationDocument, 0, len(all))
	for _, e := range all {
		codes = append(codes, explanationDocument(e))
	}
	return writeJSON(w, struct {
		FormatVersion string                `json:"formatVersion"`
		Codes         []explanationDocument `json:"codes"`
	}{FormatVersion, codes})
}

// explanationMarkdown is the text of a code and its snippets.
func explanationMarkdown(e schema.Explanation) string {
	var b strings.Builder
	b.WriteString(ourProse(e.Text) + "\n")
	if e.Wrong != "" {
		b.WriteString("\nWrong:\n\n```yaml\n" + e.Wrong + "```\n\nRight:\n\n```yaml\n" + e.Right + "```\n")
	}
	return b.String()
}

// wrap sets text in lines of at most width characters, if its words are no
// longer.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
