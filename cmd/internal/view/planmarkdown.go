package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
)

// Marker begins every Markdown plan. It is invisible, and by it a CI job finds
// the comment that it wrote before, to edit that one instead of adding another.
const Marker = "<!-- jeroboam plan -->"

const (
	commentBudget = 60_000 // bytes; see Options.Budget
	sideBudget    = 8      // drift, notes and unknown clouds each get one part in so many of it
	maxReason     = 2_000  // characters of one reason
	maxNames      = 100    // of clusters that are alike
	maxTrailers   = 40     // listed of steps that each need their own
)

// PlanMarkdown writes the plan as a comment for a pull request: the verdict,
// then what is destructive or held, open, then the rest, folded. When it is too
// much for a comment, the middle is left out and the verdict, what weighs most
// and the footer stay.
func PlanMarkdown(w io.Writer, p Plan, o Options) error {
	head := Marker + "\n**" + prose(p.Verdict()) + "**\n"
	foot := p.footer()
	budget := cmp.Or(o.Budget, commentBudget)
	var side strings.Builder
	for _, s := range sections(p.Plan) {
		side.WriteString(s.markdown(budget / sideBudget))
	}
	foot = side.String() + foot
	_, err := io.WriteString(w, head+p.steps(budget-len(head)-len(foot))+foot)
	return err
}

func (p Plan) footer() string {
	var b strings.Builder
	b.WriteString("\n---\n")
	if slices.ContainsFunc(p.Steps, func(s diff.Step) bool { return s.Held != nil && s.Held.Ack != "" }) {
		b.WriteString("A held step goes on when its trailer is in the message of a commit made from now on; that of a squash or merge commit counts as well.\n\n")
	}
	source := p.source()
	for i := range source {
		source[i] = prose(source[i])
	}
	fmt.Fprintf(&b, "<sub>Fingerprint %s · %s</sub>\n", code(p.Fingerprint), strings.Join(source, " · "))
	return b.String()
}

// steps are the blocks that fit, what weighs most first.
func (p Plan) steps(budget int) string {
	alikes := group(blocks(p.Steps), block.says, 2)
	slices.SortStableFunc(alikes, func(a, b []block) int { return cmp.Compare(b[0].weight(), a[0].weight()) })
	items := make([]item, 0, len(alikes))
	for _, alike := range alikes {
		items = append(items, folded(alike))
	}
	const note = "\n**%s left out here for their length.** `plan` shows all; so does the file of `plan --out`.\n"
	kept, left := fit(items, budget)
	if left > 0 {
		kept, left = fit(items, budget-len(note)-len("1000000 clusters are"))
		clusters := 0
		for _, alike := range alikes[len(alikes)-left:] {
			clusters += len(alike)
		}
		kept += fmt.Sprintf(note, count(clusters, "cluster is", "clusters are"))
	}
	return kept
}

// weight orders blocks: what destroys, what is held, what disturbs, the rest,
// and last what only moves.
func (b block) weight() int {
	weight := 0
	for _, s := range b {
		switch {
		case s.Risk == diff.Destructive:
			weight = max(weight, 4)
		case s.Held != nil:
			weight = max(weight, 3)
		case s.Risk == diff.Disruptive:
			weight = max(weight, 2)
		case s.Op != diff.Wait:
			weight = max(weight, 1)
		}
	}
	return weight
}

// folded is a block as a section that opens, or its line alone. What destroys
// is open from the start.
func folded(alike []block) item {
	clusters := names(alike, block.cluster)
	var all []told
	var body, trailers []string
	if len(alike) > 1 {
		body = append(body, "same on "+several(names(clusters, code), maxNames)+"\n")
	}
	for i := range alike[0] {
		steps := make([]diff.Step, 0, len(alike))
		for _, b := range alike {
			steps = append(steps, b[i])
		}
		t := tell(steps)
		if all = append(all, t); len(alike[0]) > 1 {
			body = append(body, t.heading(code)+"\n")
		}
		body, trailers = append(body, t.body()), append(trailers, t.trailers())
	}
	open := ""
	if alike[0].weight() == 4 {
		open = " open"
	}
	return item{
		full:  "\n<details" + open + "><summary>" + summary(all, clusters, htmlCode) + "</summary>\n\n" + strings.Join(body, "\n") + "\n</details>\n",
		short: "\n" + summary(all, clusters, code) + "\n\n" + strings.Join(trailers, ""),
	}
}

// summary is a block in a line. In the line of a summary element code is
// htmlCode, because Markdown leaves that line alone.
func summary(steps []told, clusters []string, code func(string) string) string {
	on := fmt.Sprintf("%d clusters", len(clusters))
	if len(clusters) == 1 {
		on = code(clusters[0])
	}
	return strings.Join(names(steps, func(t told) string { return t.heading(code) }), ", ") + " on " + on
}

func (t told) heading(code func(string) string) string {
	mark, _ := t.symbol()
	parts := []string{code(mark) + " " + prose(t.title)}
	if t.group != "" {
		parts = append(parts, code(t.group))
	}
	if t.progress != "" {
		parts = append(parts, t.progress)
	}
	if t.risk != "" {
		parts = append(parts, "("+prose(t.risk)+")")
	}
	return strings.Join(parts, " ")
}

func (t told) body() string {
	var b strings.Builder
	for _, c := range t.changes {
		fmt.Fprintf(&b, "- %s: %s → %s%s\n", code(c.field), code(c.from), code(c.to), placed(c.at))
	}
	if t.at != "" {
		fmt.Fprintf(&b, "- declared at %s\n", code(t.at))
	}
	if t.nodes != "" {
		fmt.Fprintf(&b, "- nodes: %s\n", prose(t.nodes))
	}
	if t.why != "" {
		fmt.Fprintf(&b, "- %s\n", prose(cut(clean(t.why), maxReason)))
	}
	if t.held != nil {
		fmt.Fprintf(&b, "- held by %s: %s\n", code(t.held.Guard), prose(cut(clean(t.held.Reason), maxReason)))
	}
	return b.String() + t.trailers()
}

func placed(at string) string {
	if at == "" {
		return ""
	}
	return " (" + code(at) + ")"
}

// trailers are the lines to copy into a commit's message.
func (t told) trailers() string {
	if len(t.acks) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("- to allow it, commit with the trailer\n")
	if len(t.acks) > 1 {
		b.Reset()
		b.WriteString("- to allow one, commit with its trailer\n")
	}
	for i, a := range t.acks {
		if i == maxTrailers {
			fmt.Fprintf(&b, "  - … %d more, which `plan` shows\n", len(t.acks)-i)
			break
		}
		of := ""
		if len(t.acks) > 1 {
			of = " (" + code(a.cluster) + ")"
		}
		fmt.Fprintf(&b, "  - %s%s\n", code(a.trailer), of)
	}
	return b.String()
}

// markdown is a section of remarks, folded, in so many bytes.
func (s section) markdown(budget int) string {
	if len(s.remarks) == 0 {
		return ""
	}
	var items []item
	for _, alike := range group(s.remarks, remark.says, 2) {
		of := names(alike, func(r remark) string { return r.of })
		line := "- " + prose(sameOn(of)) + ": "
		if f := alike[0].field; f != "" {
			line += code(f) + ": "
		}
		said := clean(alike[0].text)
		items = append(items, item{line + prose(cut(said, maxReason)) + "\n", line + prose(cut(said, 100)) + "\n"})
	}
	kept, left := fit(items, budget)
	if left > 0 {
		kept += fmt.Sprintf("- … %d more\n", left)
	}
	open := ""
	if s.open {
		open = " open"
	}
	return fmt.Sprintf("\n<details%s><summary>%s (%d)</summary>\n\n%s\n</details>\n", open, s.title, len(s.remarks), kept)
}
