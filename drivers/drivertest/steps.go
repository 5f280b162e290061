package drivertest

import (
	"cmp"
	"encoding/json"
	"slices"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// The suite makes its steps itself: what a driver does with a step must not
// depend on whether policy would allow it.

func create(c *schema.Cluster) diff.Step {
	return seal(diff.Step{Op: diff.Create, Cluster: c.Key, Risk: diff.Low, To: &c.Spec, Want: c})
}

// step asks for what c declares now, from what was observed; nodes are those
// that it replaces or removes.
func step(op diff.Op, c *schema.Cluster, o *diff.Observed, nodes ...string) diff.Step {
	return seal(diff.Step{Op: op, Cluster: c.Key, Risk: diff.Disruptive, Observed: o.Version, Nodes: nodes, To: &c.Spec, Want: c, Have: o})
}

func resize(c *schema.Cluster, o *diff.Observed, nodes ...string) diff.Step {
	return ofGroup(step(diff.Resize, c, o, nodes...), schema.DefaultWorker)
}

func ofGroup(s diff.Step, group string) diff.Step {
	s.Group = group
	return seal(s)
}

func remove(o *diff.Observed) diff.Step {
	return seal(diff.Step{Op: diff.Delete, Cluster: o.Key, Risk: diff.Destructive, Observed: o.Version, Have: o})
}

func seal(s diff.Step) diff.Step {
	s.Operation = schema.Digest([]any{s.Op, s.Cluster, s.Group, s.Observed, s.Nodes, s.To})
	return s
}

// changed is the cluster as its next commit declares it. What was handed to the
// driver before stays as it is.
func changed(c *schema.Cluster, change func(*schema.Spec)) *schema.Cluster {
	next := *c
	next.Spec = *clone(&c.Spec)
	change(&next.Spec)
	return &next
}

func clone(s *schema.Spec) *schema.Spec {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a Spec is plain data
	}
	var c schema.Spec
	if err := json.Unmarshal(b, &c); err != nil {
		panic(err)
	}
	return &c
}

// workers sets the size of the default-worker group.
func workers(n int) func(*schema.Spec) {
	return func(s *schema.Spec) {
		for i := range s.Groups {
			if s.Groups[i].Name == schema.DefaultWorker {
				s.Groups[i].NodeCount = n
			}
		}
	}
}

func group(o *diff.Observed, name string) []diff.Node {
	var of []diff.Node
	for _, n := range o.Nodes {
		if n.Group == name {
			of = append(of, n)
		}
	}
	return of
}

func theWorkers(o *diff.Observed) []diff.Node { return group(o, schema.DefaultWorker) }

// servers are the servers by the names of their nodes.
func servers(nodes []diff.Node) map[string]string {
	m := map[string]string{}
	for _, n := range nodes {
		m[n.Name] = n.Server
	}
	return m
}

func compareNodes(a, b diff.Node) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Number, b.Number))
}

// without is nodes but those named.
func without(nodes []diff.Node, names ...string) []diff.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n diff.Node) bool { return slices.Contains(names, n.Name) })
}

// the named ones of nodes.
func only(nodes []diff.Node, names ...string) []diff.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n diff.Node) bool { return !slices.Contains(names, n.Name) })
}
