package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// RecordText writes one cluster in detail: what it is, its groups and nodes,
// and whole reasons for what is wrong, held or drifted.
func RecordText(w io.Writer, r reconcile.Record, o Options) error {
	out := newPage(o)
	out.line(0, text(r.Key().String()).in(bold), text(r.Status).in(statusStyle(r)))
	out.lines(4, r.StatusReason)
	if r.Progress != "" {
		out.line(4, text(r.Progress).in(cyan))
	}
	if r.Advice != "" {
		out.line(4, text("what to do:").in(bold), text(r.Advice))
	}
	out.table(2, attributes(r))
	out.groups(r)
	out.nodes(r)
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		faults = append(faults, name+": "+r.Faults[name])
	}
	out.list("Faults", faults)
	out.list("Next", r.Pending)
	out.list("Held", r.Held)
	out.list("Drift", r.Drift)
	return out.to(w)
}

// RecordJSON writes one cluster in Magnum's attributes.
func RecordJSON(w io.Writer, r reconcile.Record) error { return writeJSON(w, r) }

// attributes are those that are set, in rows.
func attributes(r reconcile.Record) [][]cell {
	protected := "no"
	if r.DeletionProtection {
		protected = "yes"
	}
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		labels = append(labels, k+"="+r.Labels[k])
	}
	timeout := ""
	if r.CreateTimeout > 0 {
		timeout = fmt.Sprintf("%d minutes", r.CreateTimeout)
	}
	var rows [][]cell
	for _, a := range []struct{ name, value string }{
		{"declared", r.Declared},
		{"template", r.ClusterTemplateID},
		{"cluster type", r.ClusterType},
		{"coe", r.COE},
		{"coe version", r.COEVersion},
		{"container version", r.ContainerVersion},
		{"image", r.ImageID},
		{"keypair", r.Keypair},
		{"health", health(r)},
		{"api address", r.APIAddress},
		{"fixed network", r.FixedNetwork},
		{"fixed subnet", r.FixedSubnet},
		{"labels", strings.Join(labels, " ")},
		{"protected", protected},
		{"create timeout", timeout},
		{"uuid", r.UUID},
		{"stack", stackOf(r)},
		{"created", r.CreatedAt},
		{"updated", r.UpdatedAt},
	} {
		if a.value != "" {
			rows = append(rows, []cell{text(a.name).in(dim), text(a.value)})
		}
	}
	return rows
}

// health is how a cluster is by its own word, and why it is not well.
func health(r reconcile.Record) string {
	why := r.Ails()
	if r.HealthStatus == string(drivers.Unreached) {
		why = r.HealthReason["api"]
	}
	if why == "" {
		return r.HealthStatus
	}
	return r.HealthStatus + " (" + why + ")"
}

// stackOf is the stack's id where it is not the cluster's.
func stackOf(r reconcile.Record) string {
	if r.StackID == r.UUID {
		return ""
	}
	return r.StackID
}

func (p *page) groups(r reconcile.Record) {
	if len(r.NodeGroups) == 0 {
		return
	}
	p.blank()
	rows := [][]cell{heading("GROUP", "ROLE", "NODES", "LIMITS", "FLAVOR", "IMAGE")}
	for _, g := range r.NodeGroups {
		limits := ""
		if g.MinNodeCount > 0 || g.MaxNodeCount > 0 {
			limits = strconv.Itoa(g.MinNodeCount) + ".."
			if g.MaxNodeCount > 0 {
				limits += strconv.Itoa(g.MaxNodeCount)
			}
		}
		rows = append(rows, []cell{
			text(g.Name), text(g.Role), text(strconv.Itoa(g.NodeCount)), text(limits), text(g.FlavorID), text(g.ImageID),
		})
	}
	p.table(2, rows)
}

func (p *page) nodes(r reconcile.Record) {
	head := []string{"NODE", "GROUP", "STATE", "ADDRESS", "SERVER"}
	if slices.ContainsFunc(r.NodeGroups, func(g reconcile.RecordGroup) bool {
		return slices.ContainsFunc(g.Nodes, func(n reconcile.RecordNode) bool { return n.Versions != "" })
	}) {
		head = append(head, "VERSIONS")
	}
	rows := [][]cell{heading(head...)}
	for _, g := range r.NodeGroups {
		for _, n := range g.Nodes {
			row := []cell{text(n.Name), text(g.Name), stateCell(n), text(n.Address), text(n.Server), text(n.Versions)}
			rows = append(rows, row[:len(head)])
		}
	}
	if len(rows) > 1 {
		p.blank()
		p.table(2, rows)
	}
}

func stateCell(n reconcile.RecordNode) cell {
	state := text(n.State)
	switch diff.NodeState(n.State) {
	case diff.NodeReady:
		return state.in(green)
	case diff.NodeMoving:
		return state.in(cyan)
	case diff.NodeFailed, diff.NodeMissing:
		return state.in(red)
	}
	return state
}

// list writes texts, each of which may have several lines, below a title.
func (p *page) list(title string, texts []string) {
	if len(texts) == 0 {
		return
	}
	p.blank()
	p.line(0, text(title+":").in(bold))
	for _, t := range texts {
		first, more, _ := strings.Cut(t, "\n")
		p.line(2, text(first))
		p.lines(6, more)
	}
}
