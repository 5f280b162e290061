package view

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// maxResults is how many results a run may have that GitHub takes; of a file
// with more it takes nothing.
const maxResults = 25_000

// The parts of SARIF 2.1.0 (OASIS, errata 01) that are used, with its names.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
		FullDescription  sarifMessage `json:"fullDescription"`
		Help             sarifMessage `json:"help"`
		Configuration    sarifLevel   `json:"defaultConfiguration"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifMessage struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string       `json:"level"`
		Message sarifMessage `json:"message"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifMessage      `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
	}
)

// SARIF writes the problems as a SARIF 2.1.0 log, for code scanning on GitHub and
// for editors. tool is the version of Jeroboam.
//
// The fingerprint has a name of its own: what GitHub calls
// primaryLocationLineHash its upload action computes from the file, and it warns
// of every other value.
func SARIF(w io.Writer, v Validation, tool string) error {
	problems := v.Problems
	invocation := sarifInvocation{Successful: true}
	if left := len(problems) - maxResults; left > 0 {
		problems = worst(problems, maxResults)
		invocation.Notifications = []sarifNotification{{"warning", sarifMessage{Text: fmt.Sprintf("%d more problems are left out", left)}}}
	}
	rules := sarifRules(problems)
	return writeJSON(w, sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0",
		Runs: []sarifRun{{
			Tool:        sarifTool{sarifDriver{"Jeroboam", tool, "https://jeroboam.io", rules}},
			Invocations: []sarifInvocation{invocation},
			ColumnKind:  "unicodeCodePoints", // as the YAML library counts
			Results:     sarifResults(problems, rules),
		}},
	})
}

// worst are the first most problems, errors before warnings before notes.
func worst(problems schema.Problems, most int) schema.Problems {
	order := []schema.Severity{schema.Error, schema.Warning, schema.Note}
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b schema.Problem) int {
		return slices.Index(order, a.Severity()) - slices.Index(order, b.Severity())
	})
	sorted = sorted[:most]
	sorted.Sort()
	return sorted
}

// sarifRules are the codes of the problems, sorted.
func sarifRules(problems schema.Problems) []sarifRule {
	rules := []sarifRule{}
	for _, e := range schema.Explanations() {
		if !slices.ContainsFunc(problems, func(p schema.Problem) bool { return p.Code == e.Code }) {
			continue
		}
		rules = append(rules, sarifRule{
			ID:               string(e.Code),
			ShortDescription: sarifMessage{Text: e.Title},
			FullDescription:  sarifMessage{Text: e.Text},
			Help:             sarifMessage{Text: plainHelp(e), Markdown: explanationMarkdown(e)},
			Configuration:    sarifLevel{string(e.Severity)},
		})
	}
	return rules
}

func sarifResults(problems schema.Problems, rules []sarifRule) []sarifResult {
	results := make([]sarifResult, 0, len(problems))
	for i, print := range fingerprints(problems) {
		p := problems[i]
		location := sarifLocation{Physical: sarifPhysical{
			sarifArtifact{sarifURI(sinkFile(p.Pos))},
			sarifRegion{sinkLine(p.Pos), p.Pos.Column},
		}}
		if p.Pointer != "" {
			location.Logical = []sarifLogical{{clean(p.Pointer)}}
		}
		results = append(results, sarifResult{
			RuleID:       string(p.Code),
			RuleIndex:    slices.IndexFunc(rules, func(r sarifRule) bool { return r.ID == string(p.Code) }),
			Level:        string(p.Severity()), // its words are ours
			Message:      sarifMessage{Text: said(p)},
			Locations:    []sarifLocation{location},
			Fingerprints: map[string]string{"problem/v1": print},
		})
	}
	return results
}

// sarifURI is a relative reference, or a file URL for a path that is absolute.
func sarifURI(file string) string {
	u := url.URL{Path: file}
	if path.IsAbs(file) {
		u.Scheme = "file"
	}
	return u.String()
}

// plainHelp is an explanation where nothing is formatted.
func plainHelp(e schema.Explanation) string {
	var b strings.Builder
	b.WriteString(e.Text + "\n")
	if e.Wrong != "" {
		b.WriteString("\nWrong:\n" + indented(e.Wrong) + "\nRight:\n" + indented(e.Right))
	}
	return b.String()
}

// indented puts four spaces before every line.
func indented(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		b.WriteString("    " + l)
	}
	return b.String()
}
