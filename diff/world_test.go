package diff_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// world is a random fleet, what is there of it, and policy.
type world struct {
	want   *schema.Fleet
	have   diff.Have
	policy diff.Policy
}

func (w world) plan() diff.Plan { return diff.Compute(w.want, w.have, w.policy) }

// drawWorld draws clusters that share few names and few values, so that all
// kinds of differences are common, and most of them stand still.
func drawWorld(t *rapid.T) world {
	w := world{want: &schema.Fleet{}, policy: drawPolicy(t)}
	if one(t, 8, "unknown cloud") {
		w.have.Unknown = map[schema.CloudName]string{"d": "no answer", "unused": "no answer"}
	}
	for _, cloud := range []schema.CloudName{"c", "d"} {
		for _, name := range []schema.ClusterName{"a", "b", "e", "f"}[:rapid.IntRange(1, 4).Draw(t, "names")] {
			key := schema.Key{Cloud: cloud, Name: name}
			spec := drawSpec(t)
			if !one(t, 5, "unwanted") {
				c := &schema.Cluster{Key: key, Pos: schema.Pos{File: "f.yaml", Line: 1, Column: 1}, Spec: spec, Policy: drawClusterPolicy(t)}
				w.want.Clusters = append(w.want.Clusters, c)
			}
			if !one(t, 5, "not there") {
				if one(t, 2, "differs") {
					spec = drawSpec(t)
				}
				w.have.Clusters = append(w.have.Clusters, drawObserved(t, key, spec))
			}
			w.drawFacts(t, key)
		}
	}
	return w
}

// one is true once in n.
func one(t *rapid.T, n int, what string) bool { return rapid.IntRange(1, n).Draw(t, what) == n }

func drawSpec(t *rapid.T) schema.Spec {
	s := plain()
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	s.Image = pick("image", "i1", "i2")
	s.NetworkDriver = pick("network driver", "flannel", "flannel", "flannel", "calico")
	s.DNSNameservers = []string{pick("dns", "8.8.8.8", "9.9.9.9")}
	s.Labels["kube_tag"] = pick("kube_tag", "v1.30", "v1.31", "v1.29.4", "v1.30.2", "v1.30.14", "v1.31.1", "v1.32.0")
	if v := pick("monitoring", "", "true"); v != "" {
		s.Labels["monitoring_enabled"] = v
	}
	if v := pick("zone", "", "", "", "z1"); v != "" {
		s.Labels["availability_zone"] = v
	}
	s.SecretLabels = drawSecrets(t)
	maps.DeleteFunc(s.SecretLabels, func(key string, _ schema.Secret) bool { _, plain := s.Labels[key]; return plain })
	s.Groups[0].NodeCount = rapid.SampledFrom([]int{1, 1, 1, 3}).Draw(t, "masters")
	s.Groups[1].NodeCount = rapid.IntRange(0, 5).Draw(t, "workers")
	s.Groups[1].Flavor = pick("flavor", "small", "large")
	for _, name := range []string{"gpu", "infra"} {
		if one(t, 2, "group") {
			s.Groups = append(s.Groups, drawGroup(t, name, s))
		}
	}
	return s
}

// drawSecrets draws secret labels of all classes, resolved and not.
func drawSecrets(t *rapid.T) map[string]schema.Secret {
	secrets := map[string]schema.Secret{}
	for _, key := range []string{"monitoring_enabled", "kubelet_options", "availability_zone", "token"} {
		if one(t, 4, "secret "+key) {
			secrets[key] = rapid.SampledFrom([]schema.Secret{{Digest: "d1"}, {Digest: "d2"}, {Env: "E"}}).Draw(t, key)
		}
	}
	return secrets
}

// drawGroup draws a group, written as the loader writes it: what the cluster
// has is not repeated.
func drawGroup(t *rapid.T, name string, s schema.Spec) schema.Group {
	g := schema.Group{Name: name, Role: "worker", NodeCount: rapid.IntRange(0, 4).Draw(t, "nodes"), Flavor: "small"}
	g.MaxNodeCount = rapid.IntRange(0, 1).Draw(t, "max")
	if image := rapid.SampledFrom([]string{"i1", "i2"}).Draw(t, "group image"); image != s.Image {
		g.Image = image
	}
	if one(t, 2, "own labels") {
		own := maps.Clone(s.Labels)
		for _, key := range []string{"kube_tag", "availability_zone", "kubelet_options"} {
			switch rapid.IntRange(0, 3).Draw(t, key) {
			case 0:
				own[key] = rapid.SampledFrom([]string{"x", "v1.28.9", "v1.30.14", "v1.31.1"}).Draw(t, "own")
			case 1:
				delete(own, key)
			}
		}
		if !maps.Equal(own, s.Labels) {
			g.Labels = own
		}
		secrets := s.SecretLabels
		if one(t, 2, "own secrets") {
			secrets = drawSecrets(t)
		}
		secrets = maps.Clone(secrets)
		maps.DeleteFunc(secrets, func(key string, _ schema.Secret) bool { _, plain := own[key]; return plain })
		if !maps.Equal(secrets, s.SecretLabels) {
			g.SecretLabels = secrets
		}
	}
	return g
}

func drawClusterPolicy(t *rapid.T) schema.Policy {
	p := schema.Policy{DeletionProtection: true, MaxBatchSize: rapid.IntRange(0, 3).Draw(t, "batch"), Suspend: one(t, 10, "suspend")}
	if one(t, 10, "window") {
		p.Maintenance = new(window())
	}
	if one(t, 10, "schedule") {
		p.Schedules = []schema.GroupSchedule{{Group: "gpu", Cron: "0 8 * * *", TimeZone: "UTC"}}
	}
	if one(t, 10, "previous name") {
		p.PreviousNames = []schema.ClusterName{"a"}
	}
	if one(t, 4, "named nodes") {
		p.NodesToRemove = []string{"gpu-0", "default-worker-1", "none-0"}
	}
	return p
}

func window() schema.Maintenance {
	return schema.Maintenance{Cron: "0 2 * * 6", Duration: "4h", TimeZone: "UTC"}
}

func drawObserved(t *rapid.T, key schema.Key, spec schema.Spec) diff.Observed {
	o := diff.FromFleet(&schema.Fleet{Clusters: []*schema.Cluster{{Key: key, Spec: spec}}}).Clusters[0]
	o.Version = "v1"
	if one(t, 8, "owner") {
		o.Owner = rapid.SampledFrom([]diff.Ownership{diff.Foreign, diff.TagsLost}).Draw(t, "whose")
	}
	if one(t, 4, "status") {
		o.Status = rapid.SampledFrom([]diff.Status{
			diff.CreateInProgress, diff.CreateFailed, diff.UpdateInProgress, diff.UpdateFailed, diff.DeleteInProgress, diff.DeleteFailed,
			diff.DeleteComplete, diff.RollbackComplete, diff.RollbackFailed, diff.CheckFailed, "STRANGE",
		}).Draw(t, "which")
		o.Moving = one(t, 4, "moving")
	}
	if one(t, 15, "unreadable") {
		o.Spec, o.Unknown = nil, "hidden"
	}
	if one(t, 3, "probed") {
		o.Etcd = rapid.SampledFrom([]diff.EtcdHealth{diff.EtcdHealthy, diff.EtcdUnhealthy, diff.EtcdUnknown}).Draw(t, "etcd")
	}
	if one(t, 4, "nodes") {
		for i := range o.Nodes {
			n := &o.Nodes[i]
			n.State = rapid.SampledFrom([]diff.NodeState{diff.NodeReady, diff.NodeReady, diff.NodeFailed, diff.NodeMissing}).Draw(t, "state")
			n.Revision = rapid.SampledFrom([]string{n.Revision, n.Revision, "old", ""}).Draw(t, "revision")
			n.Versions = rapid.SampledFrom([]string{"", "", "kubelet=v1.29.4", "kubelet=v1.30.2 etcd=3.5.21"}).Draw(t, "versions")
		}
	}
	return o
}

func drawPolicy(t *rapid.T) diff.Policy {
	p := diff.Policy{
		KnownBefore: rapid.IntRange(0, 2).Draw(t, "known before"), Deletes: map[schema.CloudName]int{"c": rapid.IntRange(0, 4).Draw(t, "deletes")},
		Protected: map[schema.Key]string{}, SeenUnprotected: map[schema.Key]bool{}, DeletedByUs: map[schema.Key]bool{},
		Attempts: map[schema.Key]int{}, Objections: map[schema.Key][]diff.Objection{},
	}
	p.ReportDrift = one(t, 10, "report drift")
	p.Clock.Windows = map[schema.Maintenance]diff.Window{}
	if one(t, 2, "window") {
		p.Clock.Windows[window()] = diff.Window{Open: one(t, 2, "open"), Says: "opens later"}
	}
	if one(t, 3, "window of the fleet") {
		p.Clock.Fleet = new(window())
	}
	p.Clock.SuspensionOver, p.Clock.Sizes = map[schema.Key]string{}, map[schema.Key][]diff.Size{}
	if one(t, 15, "rewound") {
		p.Rewound = "the head does not descend"
	}
	if one(t, 3, "limits") {
		p.Limits = schema.Limits{DeletesPerRun: 5, DeletesPerDay: 5, DeletePercent: 100, DisruptivePercent: 100}
	}
	return p
}

func (w *world) drawFacts(t *rapid.T, key schema.Key) {
	w.policy.SeenUnprotected[key] = one(t, 2, "seen unprotected")
	w.policy.DeletedByUs[key] = one(t, 2, "deleted by us")
	w.policy.Attempts[key] = rapid.IntRange(0, 3).Draw(t, "attempts")
	if one(t, 6, "suspension over") {
		w.policy.Clock.SuspensionOver[key] = "yesterday"
	}
	if one(t, 6, "size") {
		group := rapid.SampledFrom([]string{"gpu", schema.DefaultWorker, "none"}).Draw(t, "sized")
		w.policy.Clock.Sizes[key] = []diff.Size{{Group: group, Nodes: rapid.IntRange(0, 4).Draw(t, "nodes"), ByClock: one(t, 2, "by clock"), Says: "so"}}
	}
	if one(t, 6, "protected") {
		w.policy.Protected[key] = "the store"
	}
	if one(t, 6, "objection") {
		field := rapid.SampledFrom([]string{"", "image", "labels/kube_tag", "labels/monitoring_enabled"}).Draw(t, "field")
		w.policy.Objections[key] = []diff.Objection{{Field: field, Reason: "no", Unknown: one(t, 3, "unknown")}}
	}
}

// elapse is the cloud: what moves comes to its end, and all steps that are due
// are carried out and succeed.
func (w *world) elapse(steps []diff.Step) {
	for i := range w.have.Clusters {
		o := &w.have.Clusters[i]
		o.Moving = false
		if before, ok := strings.CutSuffix(string(o.Status), "_IN_PROGRESS"); ok {
			o.Status = diff.Status(before + "_COMPLETE")
		}
	}
	for _, s := range steps {
		w.carryOut(s)
	}
}

func (w *world) carryOut(s diff.Step) {
	i := slices.IndexFunc(w.have.Clusters, func(o diff.Observed) bool { return o.Key == s.Cluster })
	switch s.Op {
	case diff.Create:
		o := diff.FromFleet(&schema.Fleet{Clusters: []*schema.Cluster{{Key: s.Cluster, Spec: *s.To}}}).Clusters[0]
		if o.Version = "new"; i >= 0 {
			w.have.Clusters[i] = o
		} else {
			w.have.Clusters = append(w.have.Clusters, o)
		}
	case diff.Delete:
		w.policy.DeletedByUs[s.Cluster] = true
		w.policy.Deletes[s.Cluster.Cloud]++
		w.have.Clusters[i].Status, w.have.Clusters[i].Nodes = diff.DeleteComplete, nil
	case diff.Adopt, diff.Resize, diff.Update, diff.Upgrade, diff.CreateGroup, diff.DeleteGroup, diff.Recover:
		o := &w.have.Clusters[i]
		o.Owner, o.Status, o.Version, o.Spec = diff.Ours, diff.UpdateComplete, o.Version+"+", s.To
		o.Nodes = nodesAfter(s, o.Nodes)
	case diff.Wait, diff.None:
		panic("nobody carries out a " + string(s.Op))
	}
}

// nodesAfter is what a driver makes of a step: the nodes that it names are made
// anew as far as there is room for them, and what is lacking is added.
func nodesAfter(s diff.Step, nodes []diff.Node) []diff.Node {
	var after []diff.Node
	removes := s.Op == diff.Resize || s.Op == diff.DeleteGroup
	for _, g := range s.To.Groups {
		var stay, again []diff.Node
		used := map[int]bool{}
		for _, n := range nodes {
			if n.Group == g.Name && !slices.Contains(s.Nodes, n.Name) {
				stay, used[n.Number] = append(stay, n), true
			}
		}
		for _, name := range s.Nodes {
			i := slices.IndexFunc(nodes, func(n diff.Node) bool { return n.Name == name })
			if !removes && nodes[i].Group == g.Name && len(stay)+len(again) < g.NodeCount {
				n := nodes[i]
				n.State, n.Revision, n.Versions = diff.NodeReady, diff.NodeRevision(s.To, g), "kubelet="+s.To.LabelsOf(g)["kube_tag"]
				again, used[n.Number] = append(again, n), true
			}
		}
		after = append(append(after, stay...), again...)
		for number, lack := 0, g.NodeCount-len(stay)-len(again); lack > 0; number++ {
			if !used[number] {
				after = append(after, diff.Node{
					Name: fmt.Sprintf("%s-%d", g.Name, number), Group: g.Name, Number: number,
					Revision: diff.NodeRevision(s.To, g), State: diff.NodeReady, Versions: "kubelet=" + s.To.LabelsOf(g)["kube_tag"],
				})
				lack--
			}
		}
	}
	return after
}

// flat is an effective spec by path, without any knowledge of the table.
func flat(s *schema.Spec) map[string]string {
	all := map[string]string{"image": s.Image, "networkDriver": s.NetworkDriver, "dnsNameservers": strings.Join(s.DNSNameservers, " ")}
	for k, v := range s.Labels {
		all["labels/"+k] = v
	}
	for k, v := range s.SecretLabels {
		all["labels/"+k] = v.String()
	}
	for _, g := range s.Groups {
		path := "nodeGroups/" + g.Name + "/"
		all[path+"nodeCount"] = fmt.Sprint(g.NodeCount)
		all[path+"maxNodeCount"] = fmt.Sprint(g.MaxNodeCount)
		all[path+"flavor"] = g.Flavor
		all[path+"image"] = cmp.Or(g.Image, s.Image)
		labels := g.Labels
		if labels == nil {
			labels = s.Labels
		}
		for k, v := range labels {
			all[path+"labels/"+k] = v
		}
		for k, v := range s.SecretsOf(g) {
			all[path+"labels/"+k] = v.String()
		}
	}
	return all
}

// saying finds the step that speaks of a path: of the very field, of the group
// as a whole, or of the cluster's field that the group has too.
func saying(steps []diff.Step, path string) *diff.Step {
	var group, cluster *diff.Step
	for i := range steps {
		for _, c := range steps[i].Changes {
			c.Field = strings.Replace(c.Field, "secretLabels/", "labels/", 1)
			switch {
			case c.Field == path:
				return &steps[i]
			case strings.HasPrefix(path, c.Field+"/"):
				group = &steps[i]
			case strings.HasPrefix(path, "nodeGroups/") && strings.HasSuffix(path, "/"+c.Field):
				cluster = &steps[i]
			}
		}
	}
	return cmp.Or(group, cluster)
}
