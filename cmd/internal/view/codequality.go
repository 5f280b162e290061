package view

import (
	"io"

	"jeroboam.io/jeroboam/schema"
)

// qualityIssue is what GitLab reads of a code quality report, which is a part of
// Code Climate's format.
type qualityIssue struct {
	Description string          `json:"description"`
	Check       string          `json:"check_name"`
	Fingerprint string          `json:"fingerprint"`
	Severity    string          `json:"severity"`
	Location    qualityLocation `json:"location"`
}

type qualityLocation struct {
	Path  string `json:"path"`
	Lines struct {
		Begin int `json:"begin"`
	} `json:"lines"`
}

// CodeQuality writes the problems as a report for the code quality of GitLab's
// merge requests.
func CodeQuality(w io.Writer, v Validation) error {
	issues := make([]qualityIssue, 0, len(v.Problems))
	for i, print := range fingerprints(v.Problems) {
		p := v.Problems[i]
		issue := qualityIssue{
			Description: string(p.Code) + ": " + said(p),
			Check:       string(p.Code),
			Fingerprint: print,
			Severity:    qualitySeverity(p.Severity()),
			Location:    qualityLocation{Path: clean(sinkFile(p.Pos))},
		}
		issue.Location.Lines.Begin = sinkLine(p.Pos)
		issues = append(issues, issue)
	}
	return writeJSON(w, issues)
}

// qualitySeverity is one of info, minor, major, critical and blocker.
func qualitySeverity(s schema.Severity) string {
	switch s {
	case schema.Warning:
		return "minor"
	case schema.Note:
		return "info"
	case schema.Error:
	}
	return "major"
}
