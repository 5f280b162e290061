package view

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
)

// Plan is a plan and what it was made from.
type Plan struct {
	diff.Plan
	Mode       string    // Live or Offline
	Commit     string    // of the fleet; empty for a working tree
	BaseCommit string    // what it is compared with; offline only
	Tree       string    // hash of the fleet's tree
	At         time.Time // when it was made
	Tool       string    // version of Jeroboam
}

// The modes of a plan: against a cloud, or against another commit.
const (
	Live    = "live"
	Offline = "offline"
)

// word is how the verdict speaks of a count.
type word struct{ key, one, many string }

// words are the counts of a summary in the order of the verdict.
func words() []word {
	op := func(op diff.Op) word { return word{string(op), "to " + string(op), "to " + string(op)} }
	return []word{
		op(diff.Create), op(diff.Adopt), op(diff.Resize), op(diff.Update), op(diff.Upgrade),
		{string(diff.CreateGroup), "group to create", "groups to create"},
		{string(diff.DeleteGroup), "group to delete", "groups to delete"},
		op(diff.Recover), op(diff.Delete),
		{string(diff.Wait), "in motion", "in motion"},
		{"held", "held", "held"},
		{"unknown", "cloud unknown", "clouds unknown"},
		{"drifted", "drifted", "drifted"},
		{"inSync", "in sync", "in sync"},
	}
}

// Summary counts the steps by op, the held ones apart, and the clusters in sync
// and drifted and the clouds that are unknown. Every key is always there.
func (p Plan) Summary() map[string]int {
	counts := map[string]int{}
	for _, w := range words() {
		counts[w.key] = 0
	}
	for _, s := range p.Steps {
		if s.Held != nil {
			counts["held"]++
		} else {
			counts[string(s.Op)]++
		}
	}
	counts["inSync"], counts["drifted"], counts["unknown"] = p.InSync, len(p.Drift), len(p.Unknown)
	return counts
}

// Verdict is the plan in a line: "Plan: 1 to create, 1 held, 96 in sync".
func (p Plan) Verdict() string {
	var parts []string
	if len(p.Steps) == 0 {
		parts = append(parts, "nothing to do")
	}
	counts := p.Summary()
	for _, w := range words() {
		if n := counts[w.key]; n > 0 {
			parts = append(parts, count(n, w.one, w.many))
		}
	}
	return "Plan: " + strings.Join(parts, ", ")
}

// source says what the plan was made from.
func (p Plan) source() []string {
	var parts []string
	for _, f := range []struct{ name, value string }{
		{"", p.Mode}, {"commit ", short(p.Commit)}, {"base ", short(p.BaseCommit)}, {"jeroboam ", p.Tool},
	} {
		if f.value != "" {
			parts = append(parts, f.name+f.value)
		}
	}
	if !p.At.IsZero() {
		parts = append(parts, p.At.UTC().Format(time.RFC3339))
	}
	return parts
}

func short(hash string) string { return hash[:min(len(hash), 12)] }

// planDocument is a plan in JSON.
type planDocument struct {
	FormatVersion string              `json:"formatVersion"`
	Tool          toolDocument        `json:"tool"`
	Source        sourceDocument      `json:"source"`
	Mode          string              `json:"mode"`
	At            time.Time           `json:"at,omitzero"`
	Summary       map[string]int      `json:"summary"`
	Steps         []diff.Step         `json:"steps"`
	Drift         []diff.ClusterDrift `json:"drift"`
	Notes         []diff.Note         `json:"notes"`
	Unknown       []diff.UnknownCloud `json:"unknown"`
	Fingerprint   string              `json:"fingerprint"`
}

type toolDocument struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type sourceDocument struct {
	Commit     string `json:"commit,omitempty"`
	BaseCommit string `json:"baseCommit,omitempty"`
	Tree       string `json:"tree,omitempty"`
}

// document is the plan as PlanJSON writes it. Empty lists are lists.
func (p Plan) document() planDocument {
	return planDocument{
		FormatVersion: FormatVersion,
		Tool:          toolDocument{Name: "jeroboam", Version: p.Tool},
		Source:        sourceDocument{p.Commit, p.BaseCommit, p.Tree},
		Mode:          p.Mode,
		At:            p.At,
		Summary:       p.Summary(),
		Steps:         list(p.Steps), Drift: list(p.Drift), Notes: list(p.Notes), Unknown: list(p.Unknown),
		Fingerprint: p.Fingerprint,
	}
}

// list is never null in JSON.
func list[T any](s []T) []T { return append([]T{}, s...) }

// PlanJSON writes the plan for programs, and for ReadPlan.
func PlanJSON(w io.Writer, p Plan) error { return writeJSON(w, p.document()) }

// ReadPlan reads what PlanJSON wrote, maybe of an older or newer release: fields
// that it does not know are passed over, another major version or an unknown
// mode is refused. What a step only has in memory (its specs) is not in it.
func ReadPlan(r io.Reader) (Plan, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	if err := checkFormat(raw); err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	var d planDocument
	if err := json.Unmarshal(raw, &d); err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	return Plan{
		Plan: diff.Plan{
			Steps: d.Steps, Drift: d.Drift, Unknown: d.Unknown, Notes: d.Notes,
			InSync: d.Summary["inSync"], Fingerprint: d.Fingerprint,
		},
		Mode: d.Mode, Commit: d.Source.Commit, BaseCommit: d.Source.BaseCommit, Tree: d.Source.Tree,
		At: d.At, Tool: d.Tool.Version,
	}, nil
}

// checkFormat looks at what says how the rest is to be read, before the rest.
func checkFormat(raw []byte) error {
	var head struct{ FormatVersion, Mode, Fingerprint string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return err
	}
	major, _, _ := strings.Cut(head.FormatVersion, ".")
	ours, _, _ := strings.Cut(FormatVersion, ".")
	switch {
	case head.FormatVersion == "":
		return fmt.Errorf("it has no formatVersion: give a file that plan --out or plan -o json wrote")
	case major != ours:
		return fmt.Errorf("it has format %s and this version reads %s.x: make the plan again with this version", head.FormatVersion, ours)
	case head.Mode != Live && head.Mode != Offline:
		return fmt.Errorf("its mode %q is none of %s, %s: make the plan again with this version", head.Mode, Live, Offline)
	case head.Fingerprint == "":
		return fmt.Errorf("it has no fingerprint, so nobody can tell whether it still holds: make the plan again")
	}
	return nil
}
