package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"jeroboam.io/jeroboam/reconcile"
)

// runDocument is a run in JSON.
type runDocument struct {
	Run       string          `json:"run"`
	Commit    string          `json:"commit,omitempty"`
	StartedAt time.Time       `json:"startedAt"`
	EndedAt   time.Time       `json:"endedAt,omitzero"`
	Summary   json.RawMessage `json:"summary,omitempty"`
	Error     string          `json:"error,omitempty"`
}

// HistoryJSON writes runs, newest first.
func HistoryJSON(w io.Writer, runs []reconcile.Run) error {
	docs := make([]runDocument, 0, len(runs))
	for _, r := range runs {
		docs = append(docs, runDocument{r.ID, r.Commit, r.StartedAt, r.EndedAt, r.Summary, r.Err})
	}
	return writeJSON(w, struct {
		FormatVersion string        `json:"formatVersion"`
		Runs          []runDocument `json:"runs"`
	}{FormatVersion, docs})
}

// HistoryText writes a table of runs, newest first.
func HistoryText(w io.Writer, runs []reconcile.Run, o Options) error {
	out := newCutPage(o)
	out.line(0, text(count(len(runs), "run", "runs")).in(bold))
	if len(runs) > 0 {
		out.blank()
		rows := [][]cell{heading("STARTED", "TOOK", "RUN", "COMMIT", "WHAT")}
		for _, r := range runs {
			took := "not ended"
			if !r.EndedAt.IsZero() {
				took = r.EndedAt.Sub(r.StartedAt).Round(time.Millisecond).String()
			}
			rows = append(rows, []cell{text(r.StartedAt.UTC().Format(time.RFC3339)), text(took), text(r.ID), text(short(r.Commit)), text(didIn(r))})
		}
		out.table(0, rows)
	}
	return out.to(w)
}

// didIn is what a run planned, in words.
func didIn(r reconcile.Run) string {
	if r.Err != "" {
		return clean(r.Err)
	}
	var s struct {
		Steps  map[string]int `json:"steps"`
		InSync int            `json:"inSync"`
		Failed int            `json:"failed"`
	}
	if json.Unmarshal(r.Summary, &s) != nil {
		return ""
	}
	counts := map[string]int{"inSync": s.InSync}
	maps.Copy(counts, s.Steps)
	var parts []string
	for _, w := range words() {
		if n := counts[w.key]; n > 0 {
			parts = append(parts, count(n, w.one, w.many))
		}
	}
	if s.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", s.Failed))
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing to do")
}
