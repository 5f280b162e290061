package view

import (
	"fmt"
	"strings"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Preflight is what was asked of clouds, and what things will be called there.
type Preflight struct {
	Checked []CheckedCloud `json:"checked"`
	Names   []ClusterNames `json:"names"`
}

// CheckedCloud counts what came of the clusters of a cloud.
type CheckedCloud struct {
	Cloud    schema.CloudName `json:"cloud"`
	Clusters int              `json:"clusters"`
	Fine     int              `json:"fine"`
	Wrong    int              `json:"wrong"`           // with an error at least
	Unsure   int              `json:"unsure"`          // with something that could not be seen, and no error
	Error    string           `json:"error,omitempty"` // why nothing could be checked
}

// ClusterNames are the names of a cluster in its cloud.
type ClusterNames struct {
	Cluster schema.Key `json:"cluster"`
	drivers.Names
}

func (p *Preflight) page(out *page) {
	if len(p.Names) > 0 {
		out.blank()
		out.line(0, text("Names").in(bold))
		for _, n := range p.Names {
			out.line(2, text(n.Cluster.String()), text("is stack"), text(n.Stack))
			for _, g := range n.Groups {
				out.line(4, text(g.Group+":"), text(nodesCalled(g)))
			}
		}
		out.blank()
	}
	for _, c := range p.Checked {
		out.line(0, checkedLine(c))
	}
}

func nodesCalled(g drivers.GroupNames) string {
	switch g.Nodes {
	case 0:
		return "no nodes"
	case 1:
		return g.First
	}
	return g.First + " .. " + g.Last
}

// checkedLine gives "12 clusters checked in lab-demo: 9 fine, 3 with errors".
func checkedLine(c CheckedCloud) cell {
	if c.Error != "" {
		return textf("%s could not be checked: %s", c.Cloud, c.Error).in(red)
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{c.Fine, "fine"}, {c.Wrong, "with errors"}, {c.Unsure, "could not be seen in all"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	line := count(c.Clusters, "cluster", "clusters") + " checked in " + string(c.Cloud)
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	return text(line)
}
