package view_test

import (
	"fmt"
	"strings"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/diff"
)

// live is a live plan of those steps.
func live(p diff.Plan) view.Plan {
	p.Fingerprint = "0123456789abcdef"
	return view.Plan{
		Plan: p, Mode: view.Live, At: noon(), Tool: "v0.1.0",
		Commit: "3f2a1b4c5d6e7f8091a2b3c4d5e6f708192a3b4c", Tree: "9a8b7c6d5e4f30211203f4e5d6c7b8a990817263",
	}
}

// mixed has one of everything.
func mixed() view.Plan {
	return live(diff.Plan{
		InSync: 96,
		Steps: []diff.Step{
			{
				Op: diff.Upgrade, Cluster: key("api"), Risk: diff.Disruptive, Pos: pos("fleet/templates.yaml", 14, 11),
				Changes: []diff.Change{
					{Field: "image", From: "fedora-coreos-42", To: "fedora-coreos-43", Pos: pos("fleet/templates.yaml", 14, 11)},
					{Field: "nodeGroups/default-worker/flavor", From: "m1.small", To: "m1.medium", Pos: pos("fleet/api.yaml", 9, 15)},
					{Field: "labels/kubelet_options", To: "--max-pods=64", Pos: pos("fleet/api.yaml", 12, 30)},
				},
				Nodes: []string{"api-worker-1", "api-worker-2"}, Done: 3, Total: 7, Why: "4 of 7 nodes to go", Observed: "v7", Operation: "op-api-1",
			},
			{
				Op: diff.Resize, Cluster: key("api"), Group: "gpu", Risk: diff.Disruptive, Pos: pos("fleet/api.yaml", 20, 18),
				Changes:  []diff.Change{{Field: "nodeGroups/gpu/nodeCount", From: "5", To: "1", Pos: pos("fleet/api.yaml", 20, 18)}},
				Held:     &diff.Held{Guard: "shrink-limit", Reason: "it removes 4 of 5 nodes, and a step may remove 2; shrink by less, or acknowledge", Ack: "9c8d7e6f"},
				Observed: "v7", Operation: "op-api-2",
			},
			{
				Op: diff.Recover, Cluster: key("batch"), Risk: diff.Low, Pos: pos("fleet/batch.yaml", 1, 1), Nodes: []string{"batch-worker-3"},
				Why: "batch-worker-3: its server is gone", Observed: "v2", Operation: "op-batch",
			},
			{
				Op: diff.Wait, Cluster: key("edge"), Risk: diff.Low, Pos: pos("fleet/edge.yaml", 1, 1), Done: 3, Total: 7,
				Why: "UPDATE_IN_PROGRESS", Observed: "v9", Operation: "op-edge",
			},
			{
				Op: diff.None, Cluster: key("net"), Risk: diff.Low, Pos: pos("fleet/net.yaml", 7, 18), Why: "the network of a cluster is made with it",
				Changes:  []diff.Change{{Field: "networkDriver", From: "flannel", To: "calico", Pos: pos("fleet/net.yaml", 7, 18)}},
				Held:     &diff.Held{Guard: "immutable", Reason: "cannot change while the cluster runs; put back the old value, or declare a new cluster"},
				Observed: "v1", Operation: "op-net",
			},
			{Op: diff.Create, Cluster: key("web"), Risk: diff.Low, Pos: pos("fleet/web.yaml", 1, 1), Operation: "op-web"},
			{Op: diff.Delete, Cluster: key("old"), Risk: diff.Destructive, Why: "no document of the fleet declares it", Observed: "v4", Operation: "op-old"},
		},
		Drift: []diff.ClusterDrift{
			{Cluster: key("api"), Drift: []diff.Drift{
				{Field: "tags", Detail: "the tags that say whose cluster it is are gone"},
				{Field: "node gpu-2", Detail: "it boots another file"},
			}},
		},
		Notes:   []diff.Note{{Cluster: key("web"), Field: "keypair", Text: "could not be checked: no role to list keypairs"}},
		Unknown: []diff.UnknownCloud{{Cloud: "lab-far", Reason: "list stacks: 503 Service Unavailable (request req-1)"}},
	})
}

// allHeld is two files removed at once.
func allHeld() view.Plan {
	held := &diff.Held{
		Guard: "delete-limit", Ack: "1a2b3c4d",
		Reason: "2 clusters of lab-demo would be deleted; allowed are 1 a run, 3 more today and 2 of its 10 clusters",
	}
	var steps []diff.Step
	for _, name := range []string{"old-1", "old-2"} {
		steps = append(steps, diff.Step{
			Op: diff.Delete, Cluster: key(name), Risk: diff.Destructive, Why: "no document of the fleet declares it",
			Held: held, Observed: "v1", Operation: "op-" + name,
		})
	}
	return live(diff.Plan{Steps: steps, InSync: 8})
}

// grouped is one edit of a template that 200 clusters use, three of which do
// more, and a note on each.
func grouped() view.Plan {
	p := diff.Plan{}
	for i := range 200 {
		name := fmt.Sprintf("c-%03d", i)
		at := pos("fleet/templates.yaml", 22, 15)
		p.Steps = append(p.Steps, diff.Step{
			Op: diff.Upgrade, Cluster: key(name), Risk: diff.Disruptive, Pos: at, Total: 4 + i%3, Why: fmt.Sprintf("%[1]d of %[1]d nodes to go", 4+i%3),
			Changes: []diff.Change{{Field: "labels/kube_tag", From: "v1.33.1", To: "v1.33.4", Pos: at}},
			Nodes:   []string{name + "-master-0"}, Observed: "v1", Operation: "op-" + name,
		})
		if i%90 == 10 {
			at := pos("fleet/"+name+".yaml", 9, 14)
			p.Steps = append(p.Steps, diff.Step{
				Op: diff.Resize, Cluster: key(name), Group: "default-worker", Risk: diff.Low, Pos: at, Observed: "v1", Operation: "op2-" + name,
				Changes: []diff.Change{{Field: "nodeGroups/default-worker/nodeCount", From: "3", To: "5", Pos: at}},
			})
		}
		p.Notes = append(p.Notes, diff.Note{Cluster: key(name), Field: "keypair", Text: "could not be checked"})
	}
	return live(p)
}

// hostile has text of somebody who wants to be more than text.
func hostile() view.Plan {
	const evil = "a|b `code` ``two`` <img src=x onerror=alert(1)> @everyone #1 **bold** [l](http://evil.example) " +
		"</details>\n\n# heading\n\x1b[31mred\x1b[0m\x1b]0;title\aafter\x1b]8;;http://evil.example\x1b\\link \u202egnp.exe \u200bzero \x00nul \xff"
	return live(diff.Plan{
		Steps: []diff.Step{
			{
				Op: diff.Update, Cluster: key("a|b`<b>@org"), Group: "g|`<i>", Risk: diff.Low, Pos: pos("fleet/`|\n.yaml", 1, 1),
				Changes: []diff.Change{{Field: "labels/" + evil, From: evil, To: "`", Pos: pos("fleet/<b>.yaml", 2, 3)}},
				Held:    &diff.Held{Guard: "pre-flight", Reason: evil}, Observed: "v1", Operation: "op-1",
			},
			{Op: diff.Recover, Cluster: key("b"), Risk: diff.Low, Nodes: []string{evil}, Why: evil, Observed: "v1", Operation: "op-2"},
		},
		Drift:   []diff.ClusterDrift{{Cluster: key("b"), Drift: []diff.Drift{{Field: evil, Detail: evil}}}},
		Notes:   []diff.Note{{Cluster: key("b"), Text: evil}},
		Unknown: []diff.UnknownCloud{{Cloud: "c|`<b>", Reason: evil}},
	})
}

// long is too much for a comment: n clusters, each with changes of its own, the
// last of which would be deleted.
func long(n int) view.Plan {
	p := diff.Plan{}
	for i := range n {
		name := fmt.Sprintf("c-%04d", i)
		at := pos("fleet/"+name+".yaml", 9, 14)
		p.Steps = append(p.Steps, diff.Step{
			Op: diff.Update, Cluster: key(name), Risk: diff.Low, Pos: at, Observed: "v1", Operation: "op-" + name,
			Changes: []diff.Change{{Field: "labels/note", From: strings.Repeat("x", 80), To: name, Pos: at}},
		})
		p.Drift = append(p.Drift, diff.ClusterDrift{Cluster: key(name), Drift: []diff.Drift{{Field: "tags", Detail: "drifted as only " + name + " can"}}})
	}
	p.Steps = append(p.Steps, diff.Step{
		Op: diff.Delete, Cluster: key("zz-old"), Risk: diff.Destructive, Why: "no document of the fleet declares it", Observed: "v1", Operation: "op-old",
	})
	return live(p)
}

// stages are upgrades through several versions: one that begins, one that moves
// and one that stopped.
func stages() view.Plan {
	at := pos("fleet/api.yaml", 9, 22)
	to := func(from, to string) []diff.Change {
		return []diff.Change{{Field: "labels/kube_tag", From: from, To: to, Pos: at}}
	}
	return live(diff.Plan{
		Steps: []diff.Step{
			{
				Op: diff.Upgrade, Cluster: key("api"), Risk: diff.Disruptive, Pos: at, Changes: to("v1.29.4", "v1.30.14"), Nodes: []string{"api-master-0"},
				Total: 7, Why: "7 of 7 nodes to go", Stages: []string{"v1.30.14", "v1.31.14", "v1.32.0"}, Observed: "v1", Operation: "op-1",
			},
			{
				Op: diff.Upgrade, Cluster: key("api"), Risk: diff.Disruptive, Pos: at, Changes: to("v1.30.14", "v1.31.14"),
				Total: 7, Why: "7 of 7 nodes to go", Stages: []string{"v1.31.14", "v1.32.0"}, Observed: "v1", Operation: "op-2",
			},
			{
				Op: diff.Upgrade, Cluster: key("api"), Risk: diff.Disruptive, Pos: at, Changes: to("v1.31.14", "v1.32.0"),
				Total: 7, Why: "7 of 7 nodes to go", Stages: []string{"v1.32.0"}, Observed: "v1", Operation: "op-3",
			},
			{
				Op: diff.Wait, Cluster: key("edge"), Risk: diff.Low, Pos: pos("fleet/edge.yaml", 1, 1), Doing: diff.Upgrade, Done: 3, Total: 7,
				Why: "UPDATE_IN_PROGRESS", Stages: []string{"v1.31.14", "v1.32.0"}, Observed: "v9", Operation: "op-edge",
			},
			{
				Op: diff.Recover, Cluster: key("web"), Risk: diff.Disruptive, Pos: pos("fleet/web.yaml", 1, 1), Nodes: []string{"web-master-1"},
				Doing: diff.Upgrade, Done: 1, Total: 5, Stages: []string{"v1.31.14"},
				Why: "UPDATE_FAILED, 1 node failed: web-master-1: no space left on device", Observed: "v2", Operation: "op-web",
			},
		},
	})
}
