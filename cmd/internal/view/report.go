package view

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// ReportText writes what came of a run: how much, then each step that was
// started, or why it was not and who can do something about it. What is held
// and unknown is told as a plan tells it.
func ReportText(w io.Writer, r reconcile.Report, o Options) error {
	out := newPage(o)
	out.line(0, text(reportVerdict(r)).in(bold))
	for _, alike := range group(r.Results, says, alikeFrom) {
		out.result(alike)
	}
	for _, d := range r.Draining {
		out.line(0, text("waits:").in(cyan), text(string(d.Step.Op)), text(d.Step.Cluster.String()), ofGroup(d.Step.Group))
		out.lines(4, strings.Join(d.Left, "\n"))
	}
	for _, alike := range group(blocks(r.Plan.HeldSteps()), block.says, alikeFrom) {
		out.blank()
		out.block(alike)
	}
	out.differences(r.Plan)
	if r.StatusError != nil {
		out.blank()
		out.line(0, text("status not written:").in(red), text(r.StatusError.Error()))
		out.line(4, text("the next run writes it"))
	}
	return out.to(w)
}

func reportVerdict(r reconcile.Report) string {
	failed := len(r.Failed())
	later := 0 // conflicts
	for _, x := range r.Results {
		if x.Err != nil {
			later++
		}
	}
	started := len(r.Results) - later
	later -= failed
	parts := []string{fmt.Sprintf("%d started", started)}
	if len(r.Results)+len(r.Draining) == 0 {
		parts[0] = "nothing to start"
	}
	counts := Plan{Plan: r.Plan}.Summary()
	for _, p := range []struct {
		n    int
		says string
	}{
		{failed, "failed"},
		{later, "to look at again"},
		{len(r.Draining), "draining"},
		{counts[string(diff.Wait)], "in motion"},
		{counts["held"], "held"},
		{counts["drifted"], "drifted"},
		{counts["inSync"], "in sync"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.says))
		}
	}
	if n := counts["unknown"]; n > 0 {
		parts = append(parts, count(n, "cloud unknown", "clouds unknown"))
	}
	return "Apply: " + strings.Join(parts, ", ")
}

// says is what makes results the same to a reader. Each request has an id of
// its own; the first one's is shown.
func says(x reconcile.Result) string {
	s := string(x.Step.Op) + " " + x.Step.Group
	var e *drivers.Error
	switch {
	case errors.As(x.Err, &e):
		s += fmt.Sprintf("\n%s %s: %v", e.Kind, e.Op, e.Err)
	case x.Err != nil:
		s += "\n" + x.Err.Error()
	}
	return s
}

func (p *page) result(alike []reconcile.Result) {
	x := alike[0]
	of := text(sameOn(names(alike, func(x reconcile.Result) string { return x.Step.Cluster.String() })))
	op, onGroup := text(string(x.Step.Op)), ofGroup(x.Step.Group)
	if x.Err == nil {
		p.line(0, text("started").in(green), op, of, onGroup)
		return
	}
	p.line(0, text("not started:").in(red), op, of, onGroup)
	p.lines(4, x.Err.Error())
	p.line(4, text(whoActs(drivers.KindOf(x.Err))).in(yellow))
}

// whoActs says who can do something about an error of that kind.
func whoActs(k drivers.Kind) string {
	switch k {
	case drivers.Transient:
		return "nobody has to act: the next run tries again"
	case drivers.Rejected:
		return "for the author of the fleet: the cloud refuses what the YAML asks for"
	case drivers.Denied:
		return "for the operator: the credentials, roles or policy do not allow it"
	case drivers.Conflict, drivers.NotFound:
		return "nobody has to act: it is not as it was planned on, and the next run looks again"
	default:
		return "not expected: a defect of Jeroboam or of the cloud"
	}
}

// reportDocument is a report in JSON.
type reportDocument struct {
	FormatVersion string             `json:"formatVersion"`
	Run           string             `json:"run"`
	StartedAt     time.Time          `json:"startedAt"`
	Results       []resultDocument   `json:"results"`
	Draining      []drainingDocument `json:"draining,omitempty"`
	Clusters      []reconcile.Record `json:"clusters"`
	StatusError   string             `json:"statusError,omitempty"`
	Plan          planDocument       `json:"plan"`
}

type resultDocument struct {
	Op        diff.Op      `json:"op"`
	Cluster   schema.Key   `json:"cluster"`
	Group     string       `json:"group,omitempty"`
	Operation string       `json:"operation"`
	Started   bool         `json:"started"`
	Error     string       `json:"error,omitempty"`
	Kind      drivers.Kind `json:"kind,omitempty"` // who can act on the error
}

// drainingDocument is a step that waits for pods to leave its nodes.
type drainingDocument struct {
	Op      diff.Op    `json:"op"`
	Cluster schema.Key `json:"cluster"`
	Group   string     `json:"group,omitempty"`
	Left    []string   `json:"left"`
}

// ReportJSON writes what came of a run, with the plan that it carried out.
func ReportJSON(w io.Writer, r reconcile.Report, tool string) error {
	d := reportDocument{
		FormatVersion: FormatVersion, Run: r.Run, StartedAt: r.StartedAt, Results: []resultDocument{}, Clusters: list(r.Records),
		Plan: Plan{
			Plan: r.Plan, Mode: Live, Commit: r.Snapshot.Commit, Tree: r.Snapshot.Tree, At: r.StartedAt, Tool: tool,
		}.document(),
	}
	for _, x := range r.Results {
		s := x.Step
		result := resultDocument{Op: s.Op, Cluster: s.Cluster, Group: s.Group, Operation: s.Operation, Started: x.Err == nil}
		if x.Err != nil {
			result.Error, result.Kind = x.Err.Error(), drivers.KindOf(x.Err)
		}
		d.Results = append(d.Results, result)
	}
	for _, x := range r.Draining {
		d.Draining = append(d.Draining, drainingDocument{x.Step.Op, x.Step.Cluster, x.Step.Group, x.Left})
	}
	if r.StatusError != nil {
		d.StatusError = r.StatusError.Error()
	}
	return writeJSON(w, d)
}
