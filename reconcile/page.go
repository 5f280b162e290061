package reconcile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// maxRows of the page: a longer one is not shown by the forges.
const maxRows = 500

// readme is the page: what needs attention first.
func readme(c schema.Config, report Report) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Clusters of %s\n\n", c.Instance)
	fmt.Fprintf(&b, "%s. Written by Jeroboam; changes here are overwritten.\n\n", headline(report))
	if d := report.Snapshot.Distrust; d != nil {
		fmt.Fprintf(&b, "**The head of the branch is not vouched for**: %s\n\n", cell(d.String()))
	}
	for _, u := range report.Plan.Unknown {
		fmt.Fprintf(&b, "**Cloud %s is unknown**: %s\n\n", u.Cloud, cell(u.Reason))
	}
	if len(report.Records) == 0 {
		return b.Bytes()
	}
	b.WriteString("| cluster | status | nodes | template | steps | remarks |\n|--|--|--|--|--|--|\n")
	for _, r := range byAttention(report.Records) {
		fmt.Fprintf(&b, "| [%s](%s) | %s | %d | %s | %s | %s |\n", r.Key(), statusPath(r.Key()), statusAndHealth(r),
			r.NodeCount+r.MasterCount, r.ClusterTemplateID, cell(strings.Join(r.Steps(), ", ")), cell(remarks(r)))
	}
	if more := len(report.Records) - maxRows; more > 0 {
		fmt.Fprintf(&b, "\n%d more are in `%s/`.\n", more, statusFolder)
	}
	return b.Bytes()
}

// byAttention are the first maxRows of records, those in trouble first.
func byAttention(records []Record) []*Record {
	var ranked [4][]*Record
	for i := range records {
		if rank := attention(&records[i]); len(ranked[rank]) < maxRows {
			ranked[rank] = append(ranked[rank], &records[i])
		}
	}
	rows := slices.Concat(ranked[3], ranked[2], ranked[1], ranked[0])
	return rows[:min(len(rows), maxRows)]
}

// statusAndHealth is a cluster's status, with its health if there is more to say.
func statusAndHealth(r *Record) string {
	if r.HealthStatus == "" || r.HealthStatus == string(drivers.Healthy) {
		return r.Status
	}
	return r.Status + ", " + r.HealthStatus
}

// attention ranks a record: trouble, then what is held or drifted, then what
// moves, then the rest.
func attention(r *Record) int {
	switch {
	case strings.HasSuffix(r.Status, "_FAILED"), r.Status == statusUnknown, len(r.Faults) > 0:
		return 3
	case len(r.Held) > 0, len(r.Drift) > 0, r.Ails() != "":
		return 2
	case strings.HasSuffix(r.Status, "_IN_PROGRESS"), len(r.Pending) > 0:
		return 1
	}
	return 0
}

func remarks(r *Record) string {
	var parts []string
	if strings.HasSuffix(r.Status, "_FAILED") || r.Status == statusUnknown || r.Advice != "" {
		parts = append(parts, r.StatusReason)
	} else {
		for _, group := range slices.Sorted(maps.Keys(r.Faults)) {
			parts = append(parts, group+": "+r.Faults[group])
		}
	}
	return strings.Join(append(parts, r.Concerns()...), "; ")
}

// cell makes text safe in a Markdown table.
func cell(s string) string {
	s = strings.NewReplacer("|", "\\|", "\n", " ", "\r", "", "<", "&lt;").Replace(s)
	if r := []rune(s); len(r) > 300 {
		s = string(r[:297]) + "..."
	}
	return s
}

// headline counts the clusters by how they are.
func headline(report Report) string {
	var complete, failed, moving, held, other int
	for i := range report.Records {
		r := &report.Records[i]
		switch {
		case strings.HasSuffix(r.Status, "_COMPLETE"):
			complete++
		case strings.HasSuffix(r.Status, "_FAILED"):
			failed++
		case strings.HasSuffix(r.Status, "_IN_PROGRESS"):
			moving++
		default:
			other++
		}
		if len(r.Held) > 0 {
			held++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{complete, "complete"}, {moving, "in progress"}, {failed, "failed"}, {other, "unknown or not yet made"}, {held, "with held steps"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if len(parts) == 0 {
		return "no clusters"
	}
	return strings.Join(parts, ", ")
}

func statusMessage(c schema.Config, report Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "status: %s (config@%s)\n\n", headline(report), short(report.Snapshot.Commit))
	for _, x := range report.Draining {
		fmt.Fprintf(&b, "%s %s waits: %s\n", x.Step.Op, x.Step.Cluster, strings.Join(x.Left, "; "))
	}
	for _, x := range report.Results {
		outcome := "started"
		if x.Err != nil {
			outcome = "not started: " + x.Err.Error()
		}
		fmt.Fprintf(&b, "%s %s %s\n", x.Step.Op, x.Step.Cluster, outcome)
	}
	if len(report.Results)+len(report.Draining) > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "Jeroboam-Instance: %s\nJeroboam-Config-Commit: %s\nJeroboam-Run: %s\n", c.Instance, report.Snapshot.Commit, report.Run)
	return b.String()
}
