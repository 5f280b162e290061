package diff_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// The notation: clusters separated by commas, each a name and words.
//
//	v1.30         label kube_tag           suspended, window, unprotected   policy
//	x3 m3         workers, masters         prev=old                         policy/previousNames
//	gpu:2         a group                  batch=2, drop=node               policy
//	image=i2      a field of the cluster   lost foreign moving unread       what is observed
//	gpu.flavor=f  a field of a group       UPDATE_FAILED                    its status
//	key_a=b       a label                  gpu-0=failed, =missing, =old     a node
//	gpu.key_a=b   a group's label          gpu-0=old@v1.30.2       and the kubelet that it reported
//	etcd=unknown  what a prober found
func clusters(t testing.TB, line string) []*word {
	t.Helper()
	var cs []*word
	for part := range strings.SplitSeq(line, ",") {
		if words := strings.Fields(part); len(words) > 0 {
			cs = append(cs, parse(t, words))
		}
	}
	return cs
}

// word is one cluster of the notation, on whichever side it stands.
type word struct {
	cluster *schema.Cluster
	have    diff.Observed
	nodes   map[string]string
}

func parse(t testing.TB, words []string) *word {
	t.Helper()
	cloud, name, ok := strings.Cut(words[0], "/")
	if !ok {
		cloud, name = "c", words[0]
	}
	key := schema.Key{Cloud: schema.CloudName(cloud), Name: schema.ClusterName(name)}
	w := &word{
		cluster: &schema.Cluster{Key: key, Spec: plain(), Policy: schema.Policy{DeletionProtection: true, MaxBatchSize: 1}},
		have:    diff.Observed{Key: key, ID: "id-" + name, Version: "v1", Owner: diff.Ours, Status: diff.UpdateComplete},
		nodes:   map[string]string{},
	}
	for _, s := range words[1:] {
		w.say(t, s)
	}
	return w
}

// plain is a cluster with one master and one worker.
func plain() schema.Spec {
	return schema.Spec{
		COE: "kubernetes", ServerType: "vm", Image: "img", NetworkDriver: "flannel",
		Labels: map[string]string{"kube_tag": "v1.30", "etcd_volume_size": "10"},
		Groups: []schema.Group{
			{Name: schema.DefaultMaster, Role: "master", NodeCount: 1, Flavor: "big"},
			{Name: schema.DefaultWorker, Role: "worker", NodeCount: 1, Flavor: "small"},
		},
	}
}

func (w *word) say(t testing.TB, s string) {
	t.Helper()
	spec, p := &w.cluster.Spec, &w.cluster.Policy
	field, value, assigns := strings.Cut(s, "=")
	state, _, _ := strings.Cut(value, "@")
	group, count, sized := strings.Cut(s, ":")
	n, err := strconv.Atoi(s[1:])
	switch {
	case s[0] == 'v':
		spec.Labels["kube_tag"] = s
	case s[0] == 'x' && err == nil:
		spec.Groups[1].NodeCount = n
	case s[0] == 'm' && err == nil:
		spec.Groups[0].NodeCount = n
	case s == "suspended":
		p.Suspend = true
	case s == "window":
		p.Maintenance = &schema.Maintenance{Cron: "0 2 * * 6", Duration: "4h", TimeZone: "UTC"}
	case s == "unprotected":
		p.DeletionProtection = false
	case s == "lost":
		w.have.Owner = diff.TagsLost
	case s == "foreign":
		w.have.Owner = diff.Foreign
	case s == "moving":
		w.have.Moving = true
	case s == "unread":
		w.have.Unknown = "no permission"
	case strings.ToUpper(s) == s:
		w.have.Status = diff.Status(s)
	case field == "prev":
		p.PreviousNames = append(p.PreviousNames, schema.ClusterName(value))
	case field == "drop":
		p.NodesToRemove = append(p.NodesToRemove, value)
	case field == "batch":
		p.MaxBatchSize = number(t, value)
	case field == "schedule":
		p.Schedules = append(p.Schedules, schema.GroupSchedule{Group: value, Cron: "0 8 * * *", TimeZone: "UTC"})
	case field == "etcd":
		w.have.Etcd, w.have.EtcdReason = diff.EtcdHealth(value), "said so"
	case slices.Contains([]string{"ready", "failed", "missing", "old", "unknown"}, state):
		w.nodes[field] = value
	case assigns:
		assign(t, spec, field, value)
	case sized:
		spec.Groups = append(spec.Groups, schema.Group{Name: group, Role: "worker", NodeCount: number(t, count), Flavor: "small"})
	default:
		t.Fatalf("notation: %q", s)
	}
}

func assign(t testing.TB, s *schema.Spec, field, value string) {
	t.Helper()
	if group, of, ok := strings.Cut(field, "."); ok {
		i := slices.IndexFunc(s.Groups, func(g schema.Group) bool { return g.Name == group })
		switch g := &s.Groups[i]; of {
		case "flavor":
			g.Flavor = value
		case "image":
			g.Image = value
		case "role":
			g.Role = value
		case "volume":
			g.DockerVolumeSize = number(t, value)
		case "max":
			g.MaxNodeCount = number(t, value)
		case "node":
			g.NodeLabels = map[string]string{"node": value}
		default:
			own := map[string]string{of: value}
			for k, v := range s.Labels {
				own[k] = cmp.Or(own[k], v)
			}
			g.Labels = own
		}
		return
	}
	switch field {
	case "image":
		s.Image = value
	case "coe":
		s.COE = value
	case "net":
		s.NetworkDriver = value
	case "dns":
		s.DNSNameservers = strings.Split(value, "+")
	case "key":
		s.Keypair = value
	default:
		s.Labels[field] = value
	}
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("notation: %v", err)
	}
	return n
}

// wanted is the notation as a fleet.
func wanted(t testing.TB, line string) *schema.Fleet {
	t.Helper()
	fleet := &schema.Fleet{}
	for _, w := range clusters(t, line) {
		fleet.Clusters = append(fleet.Clusters, w.cluster)
	}
	return fleet
}

// there is the notation as what is observed.
func there(t testing.TB, line string) diff.Have {
	t.Helper()
	var have diff.Have
	for _, w := range clusters(t, line) {
		o := w.have
		full := diff.FromFleet(&schema.Fleet{Clusters: []*schema.Cluster{w.cluster}}).Clusters[0]
		o.Nodes, o.Protected = full.Nodes, w.cluster.Policy.DeletionProtection
		for i := range o.Nodes {
			n := &o.Nodes[i]
			state, kubelet, reported := strings.Cut(w.nodes[n.Name], "@")
			if reported {
				n.Versions = "kubelet=" + kubelet + " etcd=3.6.5"
			}
			switch state {
			case "failed":
				n.State, n.Reason = diff.NodeFailed, "boot script failed"
			case "missing":
				n.State = diff.NodeMissing
			case "old":
				n.Revision = "old"
			case "unknown":
				n.Revision = ""
			}
		}
		if o.Unknown == "" {
			o.Spec = &w.cluster.Spec
		}
		if o.Status == diff.DeleteComplete {
			o.Nodes = nil
		}
		have.Clusters = append(have.Clusters, o)
	}
	return have
}

// short is a plan in the notation: steps separated by semicolons, held ones
// with their guard in braces.
func short(p diff.Plan) string {
	var steps []string
	for _, s := range p.Steps {
		name := strings.TrimPrefix(s.Cluster.String(), "c/")
		parts := []string{string(s.Op), name}
		if s.Group != "" {
			parts = append(parts, s.Group)
		}
		for _, c := range s.Changes {
			parts = append(parts, shortChange(c))
		}
		if len(s.Nodes) > 0 {
			parts = append(parts, "["+strings.Join(s.Nodes, " ")+"]")
		}
		if s.Total > 0 {
			parts = append(parts, fmt.Sprintf("%d/%d", s.Done, s.Total))
		}
		if s.Held != nil {
			parts = append(parts, "{"+s.Held.Guard+"}")
		}
		steps = append(steps, strings.Join(parts, " "))
	}
	return strings.Join(steps, "; ")
}

func shortChange(c diff.Change) string {
	field := strings.TrimPrefix(strings.TrimPrefix(c.Field, "labels/"), "nodeGroups/")
	field = strings.NewReplacer("default-master", "master", "default-worker", "worker").Replace(field)
	if text := c.From + c.To; strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[{") {
		return field
	}
	return field + ":" + c.From + "->" + c.To
}
