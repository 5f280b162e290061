package view

import (
	"io"
	"strings"

	"jeroboam.io/jeroboam/diff"
)

// PlanText writes the plan for people: the verdict, a block for each cluster,
// apart from it what others changed and what is not known, and at the end the
// fingerprint by which apply knows the plan again.
func PlanText(w io.Writer, p Plan, o Options) error {
	out := newPage(o)
	out.line(0, text(p.Verdict()).in(bold))
	for _, alike := range group(blocks(p.Steps), block.says, alikeFrom) {
		out.blank()
		out.block(alike)
	}
	out.differences(p.Plan)
	out.blank()
	out.line(0, text("Fingerprint:").in(bold), text(p.Fingerprint), text("("+strings.Join(p.source(), ", ")+")").in(dim))
	return out.to(w)
}

// block writes the steps of one cluster, or of clusters that are alike.
func (p *page) block(alike []block) {
	indent, cluster := 0, alike[0].cluster()
	if len(alike) > 1 {
		p.line(0, text(sameOn(names(alike, block.cluster))))
		indent, cluster = 2, ""
	}
	for i := range alike[0] {
		steps := make([]diff.Step, 0, len(alike))
		for _, b := range alike {
			steps = append(steps, b[i])
		}
		p.step(indent, cluster, tell(steps))
	}
}

func (p *page) step(indent int, cluster string, t told) {
	mark, style := t.symbol()
	p.line(indent, cell{mark, style}, cell{t.title, style}, text(cluster).in(bold), ofGroup(t.group), text(t.progress), risk(t.risk), at(t.at))
	var rows [][]cell
	for _, c := range t.changes {
		rows = append(rows, []cell{text(c.field + ":"), text(c.from + " -> " + c.to), at(c.at)})
	}
	p.table(indent+4, rows)
	if t.nodes != "" {
		p.line(indent+4, text("nodes: "+t.nodes))
	}
	if t.why != "" {
		p.line(indent+4, text(t.why))
	}
	if t.held != nil {
		p.held(indent+4, t)
	}
}

func (p *page) held(indent int, t told) {
	p.line(indent, text(t.held.Guard+":").in(magenta), text(t.held.Reason))
	if len(t.acks) == 1 {
		p.line(indent, text("to allow it, commit with the trailer:"), text(t.acks[0].trailer).in(bold))
		return
	}
	var rows [][]cell
	for _, a := range t.acks {
		rows = append(rows, []cell{text(a.cluster), text(a.trailer).in(bold)})
	}
	if len(rows) > 0 {
		p.line(indent, text("to allow one, commit with its trailer:"))
		p.table(indent+2, rows)
	}
}

func ofGroup(name string) cell {
	if name == "" {
		return cell{}
	}
	return text("group " + name)
}

func risk(r string) cell {
	switch r {
	case "":
		return cell{}
	case string(diff.Destructive):
		return cell{"[" + r + "]", red}
	}
	return cell{"[" + r + "]", yellow}
}

func at(place string) cell {
	if place == "" {
		return cell{}
	}
	return text("(" + place + ")").in(dim)
}

// remark is something to know about a cluster or a cloud.
type remark struct{ of, field, text string }

func (r remark) says() string { return r.field + "\n" + r.text }

// section is remarks below a title.
type section struct {
	title   string
	open    bool // where it could be folded
	remarks []remark
}

// sections are what a plan says beside its steps.
func sections(p diff.Plan) []section {
	unknown := section{title: "Unknown, and nothing was decided about their clusters", open: true}
	for _, u := range p.Unknown {
		unknown.remarks = append(unknown.remarks, remark{of: string(u.Cloud), text: u.Reason})
	}
	drift := section{title: "Drift, which Git did not ask for"}
	for _, c := range p.Drift {
		for _, d := range c.Drift {
			drift.remarks = append(drift.remarks, remark{c.Cluster.String(), d.Field, d.Detail})
		}
	}
	notes := section{title: "Notes"}
	for _, n := range p.Notes {
		notes.remarks = append(notes.remarks, remark{n.Cluster.String(), n.Field, n.Text})
	}
	return []section{drift, notes, unknown}
}

func (p *page) differences(plan diff.Plan) {
	for _, s := range sections(plan) {
		if len(s.remarks) == 0 {
			continue
		}
		p.blank()
		p.line(0, text(s.title+":").in(bold))
		var rows [][]cell
		for _, alike := range group(s.remarks, remark.says, alikeFrom) {
			of := sameOn(names(alike, func(r remark) string { return r.of }))
			rows = append(rows, []cell{text(of), text(alike[0].field), text(alike[0].text)})
		}
		p.table(2, rows)
	}
}
