package view

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/schema"
)

// ClusterExplanation is a cluster from the commit that declares it to the requests
// that made it. What is nil or empty is not known, or is not there.
type ClusterExplanation struct {
	Key      schema.Key
	Commit   string // of the fleet that was read; empty: it could not be
	Cluster  *schema.Cluster
	Changed  *gitrepo.Change // of the cluster's file
	Template *DeclaredTemplate
	Record   *reconcile.Record
	Type     string // cluster type, and which revision of it built the cluster
	Revision int
	Steps    []reconcile.Step // newest first
	Window   *schema.Maintenance
	Opening  Opening
	Unread   []string // what could not be looked at, and why
}

// DeclaredTemplate is a template and who last changed its file: each change is
// another revision of it.
type DeclaredTemplate struct {
	Name    schema.TemplateName
	Pos     schema.Pos
	Changed *gitrepo.Change
}

// Opening is a maintenance window as it is now.
type Opening struct {
	Open   bool      `json:"open"`
	Closes time.Time `json:"closes,omitzero"`
	Next   time.Time `json:"next,omitzero"`
}

// phase is what a cluster is doing, in a few words.
func phase(r *reconcile.Record) string {
	switch {
	case r.Progress != "":
		return r.Progress
	case len(r.Held) > 0:
		return "held"
	case len(r.Pending) > 0:
		return "next: " + strings.Join(r.Pending, ", ")
	}
	return map[state]string{complete: "nothing to do", moving: "in motion", failed: "failed"}[stateOf(*r)]
}

// age is how long ago a time of the backend was; empty if it gives none.
func age(stamp string, now time.Time) string {
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return ""
	}
	d := now.Sub(at)
	switch {
	case d >= 48*time.Hour:
		return count(int(d.Hours()/24), "day", "days")
	case d >= 2*time.Hour:
		return count(int(d.Hours()), "hour", "hours")
	}
	return count(int(d.Minutes()), "minute", "minutes")
}

// ClusterExplanationText writes it for people: where it comes from, how it is, what
// holds it, what was done.
func ClusterExplanationText(w io.Writer, e ClusterExplanation, now time.Time, o Options) error {
	out := newPage(o)
	if r := e.Record; r != nil {
		out.line(0, text(e.Key.String()).in(bold), text(r.Status).in(statusStyle(*r)), text(r.HealthStatus))
		out.lines(4, r.StatusReason)
		if r.Advice != "" {
			out.line(4, text("what to do:").in(bold), text(r.Advice))
		}
	} else {
		out.line(0, text(e.Key.String()).in(bold), text("no pass has seen it yet").in(yellow))
	}
	out.table(2, e.facts(now))
	out.holds(e.Record)
	out.steps(e.Steps)
	for _, u := range e.Unread {
		out.blank()
		out.line(0, text("not known:").in(yellow), text(u))
	}
	return out.to(w)
}

func (e ClusterExplanation) facts(now time.Time) [][]cell {
	var rows [][]cell
	say := func(name, value string) {
		if value != "" {
			rows = append(rows, []cell{text(name).in(dim), text(value)})
		}
	}
	say("declared", e.declared())
	say("changed by", changed(e.Changed))
	if t := e.Template; t != nil {
		say("template", string(t.Name)+" ("+t.Pos.String()+")")
		say("its revision", changed(t.Changed))
	}
	if e.Type != "" {
		say("cluster type", fmt.Sprintf("%s, revision %d", e.Type, e.Revision))
	}
	if r := e.Record; r != nil {
		say("phase", phase(r))
		say("age", age(r.CreatedAt, now))
		say("health", health(*r))
		say("suspended", r.Suspended)
		say("stack", r.StackID)
		for _, s := range r.Sizes {
			say("size of", s)
		}
	}
	say("window", e.window())
	return rows
}

func (e ClusterExplanation) declared() string {
	switch {
	case e.Cluster != nil:
		return e.Cluster.Pos.String()
	case e.Commit != "":
		return fmt.Sprintf("not any more, at commit %s", short(e.Commit))
	}
	return ""
}

func changed(c *gitrepo.Change) string {
	if c == nil {
		return ""
	}
	by := "commit "
	if c.Before {
		by = "commit (or one before it) "
	}
	return fmt.Sprintf("%s%s of %s, %s: %s", by, short(c.Commit), c.Author, c.Time.UTC().Format(time.RFC3339), c.Subject)
}

func (e ClusterExplanation) window() string {
	switch {
	case e.Window == nil:
		return ""
	case e.Opening.Open:
		return "open until " + e.Opening.Closes.UTC().Format(time.RFC3339)
	case e.Opening.Next.IsZero():
		return "never opens"
	}
	return fmt.Sprintf("closed; opens at %s for %s", e.Opening.Next.UTC().Format(time.RFC3339), e.Window.Duration)
}

// holds writes the steps that a guard holds with what lets them go on.
func (p *page) holds(r *reconcile.Record) {
	if r == nil || len(r.Held) == 0 {
		return
	}
	p.blank()
	p.line(0, text("Held:").in(bold))
	for _, h := range r.Holds {
		p.line(2, text(h.Step), text(h.Guard+":").in(magenta), text(h.Reason))
		p.line(4, text(whatToDo(h)))
	}
	for _, h := range r.Held[min(len(r.Holds), len(r.Held)):] { // of the status branch, which has no more
		p.line(2, text(h))
	}
}

func whatToDo(h reconcile.Hold) string {
	if h.Ack != "" {
		return "to allow it, commit with the trailer: " + reconcile.AckTrailer + " " + h.Guard + " " + h.Ack
	}
	return "it goes on by itself when that is no longer so; no acknowledgement lets it through"
}

// steps writes what was done, newest first, each with the requests that did it.
func (p *page) steps(steps []reconcile.Step) {
	p.blank()
	if len(steps) == 0 {
		p.line(0, text("No step is in the history of this machine."))
		return
	}
	p.line(0, text("Steps, newest first:").in(bold))
	rows := [][]cell{heading("BEGUN", "STEP", "RESULT", "RUN", "COMMIT", "REQUESTS")}
	for _, s := range steps {
		requests := s.Ended.Requests
		more := ""
		if len(requests) > 1 {
			more = fmt.Sprintf(" and %d more", len(requests)-1)
			requests = requests[len(requests)-1:] // the last is the one that the others prepare
		}
		result := cell{stepResult(s), stepStyle(s)}
		rows = append(rows, []cell{
			text(s.At.UTC().Format(time.RFC3339)), text(string(s.Op)), result, text(s.Run), text(short(s.Commit)),
			text(strings.Join(requests, "") + more),
		})
	}
	p.table(2, rows)
	for _, s := range steps[:1] {
		if s.Ended.Reason != "" {
			p.lines(4, s.Ended.Reason)
		}
	}
}

func stepResult(s reconcile.Step) string {
	if s.Ended.Outcome == reconcile.Resolved {
		return "seen afterwards" // nobody lived to hear the answer
	}
	return cmp.Or(s.Ended.Outcome, "not known yet")
}

func stepStyle(s reconcile.Step) style {
	switch s.Ended.Outcome {
	case reconcile.Accepted:
		return green
	case reconcile.Resolved, "":
		return yellow
	}
	return red
}

// ClusterExplanationJSON writes it for programs.
func ClusterExplanationJSON(w io.Writer, e ClusterExplanation, now time.Time) error {
	doc := clusterExplanationDocument{
		FormatVersion: FormatVersion, Cluster: e.Key.String(), Commit: e.Commit, Changed: changeDocumentOf(e.Changed),
		ClusterType: e.Type, ClusterTypeRevision: e.Revision, Record: e.Record, Unread: e.Unread, Steps: []stepDocument{},
	}
	if e.Cluster != nil {
		doc.Declared = e.Cluster.Pos.String()
	}
	if t := e.Template; t != nil {
		doc.Template = &templateDocument{t.Name, t.Pos.String(), changeDocumentOf(t.Changed)}
	}
	if r := e.Record; r != nil {
		doc.Phase = phase(r)
		if at, err := time.Parse(time.RFC3339, r.CreatedAt); err == nil {
			doc.AgeSeconds = int64(now.Sub(at).Seconds())
		}
	}
	if e.Window != nil {
		doc.Window = &windowDocument{e.Window, e.Opening}
	}
	for _, s := range e.Steps {
		doc.Steps = append(doc.Steps, stepDocument{
			s.Operation, s.Op, s.At, s.Ended.At, s.Ended.Outcome, s.Ended.Reason, s.Run, s.Commit, list(s.Ended.Requests),
		})
	}
	return writeJSON(w, doc)
}

type clusterExplanationDocument struct {
	FormatVersion       string            `json:"formatVersion"`
	Cluster             string            `json:"cluster"`
	Commit              string            `json:"commit,omitempty"`
	Declared            string            `json:"declared,omitempty"`
	Changed             *changeDocument   `json:"changed,omitempty"`
	Template            *templateDocument `json:"template,omitempty"`
	ClusterType         string            `json:"clusterType,omitempty"`
	ClusterTypeRevision int               `json:"clusterTypeRevision,omitempty"`
	Phase               string            `json:"phase,omitempty"`
	AgeSeconds          int64             `json:"ageSeconds,omitempty"`
	Window              *windowDocument   `json:"window,omitempty"`
	Record              *reconcile.Record `json:"record,omitempty"`
	Steps               []stepDocument    `json:"steps"`
	Unread              []string          `json:"notKnown,omitempty"`
}

type changeDocument struct {
	Commit  string    `json:"commit"`
	Author  string    `json:"author"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
	Before  bool      `json:"orBefore,omitempty"` // the repository's own history begins here
}

func changeDocumentOf(c *gitrepo.Change) *changeDocument {
	if c == nil {
		return nil
	}
	return &changeDocument{c.Commit, c.Author, c.Subject, c.Time.UTC(), c.Before}
}

type templateDocument struct {
	Name     schema.TemplateName `json:"name"`
	Declared string              `json:"declared"`
	Changed  *changeDocument     `json:"changed,omitempty"`
}

type windowDocument struct {
	*schema.Maintenance
	Opening
}

type stepDocument struct {
	Operation string    `json:"operation"`
	Step      diff.Op   `json:"step"`
	BegunAt   time.Time `json:"begunAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	Result    string    `json:"result,omitempty"` // accepted, resolved, or the kind of the error
	Reason    string    `json:"reason,omitempty"`
	Run       string    `json:"run,omitempty"`
	Commit    string    `json:"commit,omitempty"`
	Requests  []string  `json:"requests"` // "service id" of those that changed something
}
