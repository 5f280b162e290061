package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// StatusText writes a table of clusters, one a row.
func StatusText(w io.Writer, records []reconcile.Record, o Options) error {
	out := newCutPage(o)
	out.line(0, text(headline(records)).in(bold))
	if len(records) > 0 {
		out.blank()
		rows := [][]cell{heading("CLUSTER", "STATUS", "HEALTH", "NODES", "TEMPLATE", "STEPS", "REMARKS")}
		for _, r := range records {
			rows = append(rows, []cell{
				text(r.Key().String()),
				{r.Status, statusStyle(r)},
				healthCell(r),
				text(nodesOf(r)), text(r.ClusterTemplateID),
				text(stepsOf(r, o.Width)), text(cutEnd(clean(remarks(r)), maxRemark)),
			})
		}
		if !slices.ContainsFunc(records, func(r reconcile.Record) bool { return r.HealthStatus != "" }) {
			rows = without(rows, 2)
		}
		out.table(0, rows)
	}
	return out.to(w)
}

// stepsOf are the steps of a record in a column; where there is little room,
// without the versions that an upgrade goes through.
func stepsOf(r reconcile.Record, width int) string {
	steps := r.Steps()
	if width > 0 && width < roomy {
		steps = slices.Clone(steps)
		for i := range steps {
			steps[i], _, _ = strings.Cut(steps[i], " to v")
		}
	}
	return strings.Join(steps, ", ")
}

// roomy is a width from which on remarks fit beside them.
const roomy = 160

// maxRemark keeps a row a row: one cluster in detail shows all of it.
const maxRemark = 160

// StatusJSON writes records in Magnum's attributes.
func StatusJSON(w io.Writer, records []reconcile.Record) error {
	return writeJSON(w, struct {
		FormatVersion string             `json:"formatVersion"`
		Clusters      []reconcile.Record `json:"clusters"`
	}{FormatVersion, list(records)})
}

// state is how a cluster is, in the few ways that people ask for.
type state int

const (
	complete state = iota
	moving
	failed
	other // not there yet, or not known
)

func stateOf(r reconcile.Record) state {
	switch {
	case strings.HasSuffix(r.Status, "_COMPLETE"):
		return complete
	case strings.HasSuffix(r.Status, "_IN_PROGRESS"):
		return moving
	case strings.HasSuffix(r.Status, "_FAILED"):
		return failed
	}
	return other
}

func statusStyle(r reconcile.Record) style {
	switch stateOf(r) {
	case complete:
		return green
	case moving:
		return cyan
	case failed:
		return red
	default:
		return yellow
	}
}

func healthCell(r reconcile.Record) cell {
	switch drivers.HealthStatus(r.HealthStatus) {
	case drivers.Healthy:
		return cell{r.HealthStatus, green}
	case drivers.Unhealthy:
		return cell{r.HealthStatus, red}
	case drivers.Unreached:
		return cell{r.HealthStatus, yellow}
	case drivers.Unasked:
	}
	return text("")
}

// without is a table without a column.
func without(rows [][]cell, column int) [][]cell {
	for i := range rows {
		rows[i] = slices.Delete(rows[i], column, column+1)
	}
	return rows
}

// headline counts clusters by how they are.
func headline(records []reconcile.Record) string {
	if len(records) == 0 {
		return "No clusters"
	}
	states := map[state]int{}
	var held, drifted int
	for _, r := range records {
		states[stateOf(r)]++
		held += min(len(r.Held), 1)
		drifted += min(len(r.Drift), 1)
	}
	var parts []string
	for _, p := range []struct {
		n    int
		says string
	}{
		{states[complete], "complete"},
		{states[moving], "in motion"},
		{states[failed], "failed"},
		{states[other], "not made or not known"},
		{held, "held"},
		{drifted, "drifted"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.says))
		}
	}
	return count(len(records), "cluster", "clusters") + ": " + strings.Join(parts, ", ")
}

// nodesOf is "3/7": nodes that are ready, of those that there should be. Where
// single nodes are not known it is the second alone.
func nodesOf(r reconcile.Record) string {
	ready, known := 0, false
	for _, g := range r.NodeGroups {
		for _, n := range g.Nodes {
			known = true
			if n.State == string(diff.NodeReady) {
				ready++
			}
		}
	}
	total := r.NodeCount + r.MasterCount
	if !known {
		return fmt.Sprint(total)
	}
	return fmt.Sprintf("%d/%d", ready, total)
}

// remarks are what somebody should look at, the worst first.
func remarks(r reconcile.Record) string {
	var parts []string
	s := stateOf(r)
	told := r.StatusReason != "" && (s == failed || s == other || r.Advice != "")
	if told {
		parts = append(parts, r.StatusReason)
	}
	if s != failed && !told {
		for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
			parts = append(parts, name+": "+r.Faults[name])
		}
	}
	return strings.Join(append(parts, r.Concerns()...), "; ")
}
