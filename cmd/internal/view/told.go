package view

import (
	"fmt"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// block is the steps of one cluster, in order.
type block []diff.Step

func blocks(steps []diff.Step) []block {
	var all []block
	for i, s := range steps {
		if i == 0 || steps[i-1].Cluster != s.Cluster {
			all = append(all, nil)
		}
		last := len(all) - 1
		all[last] = append(all[last], s)
	}
	return all
}

func (b block) cluster() string { return b[0].Cluster.String() }

// says is what makes blocks of different clusters the same to a reader. Which
// nodes, how many of them are done, where it is written and by which token it
// is acknowledged may differ.
func (b block) says() string {
	var all strings.Builder
	for _, s := range b {
		fmt.Fprintf(&all, "%s %q %s", s.Op, s.Group, s.Risk)
		for _, c := range s.Changes {
			fmt.Fprintf(&all, " %q=%q>%q", c.Field, c.From, c.To)
		}
		if len(s.Changes) == 0 {
			fmt.Fprintf(&all, " %q", s.Why)
		}
		if s.Held != nil {
			fmt.Fprintf(&all, " #%q %q %t", s.Held.Guard, s.Held.Reason, s.Held.Ack != "")
		}
		all.WriteByte('\n')
	}
	return all.String()
}

// told is what is said of a step: of one cluster's, or of the same step of many.
type told struct {
	op       diff.Op
	title    string // "resize", "held: resize"
	group    string
	progress string // "3/7"
	risk     string // empty if low
	at       string // file:line:column; empty if a change says it
	changes  []toldChange
	nodes    string
	why      string
	held     *diff.Held
	acks     []toldAck
}

type toldChange struct{ field, from, to, at string }

type toldAck struct{ cluster, trailer string }

// tell puts the same step of one or more clusters into words.
func tell(steps []diff.Step) told {
	s := steps[0]
	t := told{op: s.Op, title: title(s), group: s.Group, held: s.Held, nodes: nodes(steps)}
	if s.Risk != diff.Low {
		t.risk = string(s.Risk)
	}
	if s.Total > 0 {
		t.progress = common(steps, progress)
	}
	t.why = common(steps, func(s diff.Step) string { return s.Why })
	if at := func(s diff.Step) schema.Pos { return s.Pos }; len(s.Changes) == 0 || s.Changes[0].Pos != s.Pos {
		t.at = places(steps, at)
	}
	for i, c := range s.Changes {
		t.changes = append(t.changes, toldChange{
			c.Field, value(c.From), value(c.To), places(steps, func(s diff.Step) schema.Pos { return s.Changes[i].Pos }),
		})
	}
	t.acks = acks(steps)
	return t
}

// progress is "3/7", with the versions that an upgrade goes through, and of a wait
// or a recover with what is under way.
func progress(s diff.Step) string {
	text := s.Progress()
	switch {
	case s.Op == diff.Upgrade:
		return strings.TrimPrefix(text, "upgrade ")
	case s.Op == diff.Recover:
		return "in " + text
	case text == "":
		return fmt.Sprintf("%d/%d nodes", s.Done, s.Total)
	}
	return text
}

func title(s diff.Step) string {
	op := string(s.Op)
	if s.Op == diff.None {
		op = "change"
	}
	if s.Held != nil {
		return "held: " + op
	}
	return op
}

// common is what all steps say, or nothing.
func common(steps []diff.Step, says func(diff.Step) string) string {
	for _, s := range steps[1:] {
		if says(s) != says(steps[0]) {
			return ""
		}
	}
	return says(steps[0])
}

// places is where the first step was written and in how many more places the
// others were.
func places(steps []diff.Step, at func(diff.Step) schema.Pos) string {
	seen := map[schema.Pos]bool{}
	for _, s := range steps {
		seen[at(s)] = true
	}
	first := at(steps[0]).String()
	if more := len(seen) - 1; more > 0 && first != "" {
		first += " and " + count(more, "more place", "more places")
	}
	return first
}

func nodes(steps []diff.Step) string {
	if len(steps) == 1 {
		return several(steps[0].Nodes, 8)
	}
	n := 0
	for _, s := range steps {
		n += len(s.Nodes)
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d in all", n)
}

// maxValue bounds a value: a group's is a whole JSON object.
const maxValue = 160

func value(s string) string {
	if s == "" {
		return "(unset)"
	}
	return cut(clean(s), maxValue)
}

// acks are the trailers that let the steps through, each once.
func acks(steps []diff.Step) []toldAck {
	var all []toldAck
	seen := map[string]bool{}
	for _, s := range steps {
		if s.Held == nil || s.Held.Ack == "" || seen[s.Held.Ack] {
			continue
		}
		seen[s.Held.Ack] = true
		all = append(all, toldAck{s.Cluster.String(), reconcile.AckTrailer + " " + s.Held.Guard + " " + s.Held.Ack})
	}
	return all
}

// symbol of a step, as people know them from diffs.
func (t told) symbol() (string, style) {
	if t.held != nil {
		return "#", magenta
	}
	switch t.op {
	case diff.Create, diff.CreateGroup:
		return "+", green
	case diff.Delete, diff.DeleteGroup:
		return "-", red
	case diff.Recover:
		return "!", red
	case diff.Wait:
		return "…", cyan
	default:
		return "~", yellow
	}
}
