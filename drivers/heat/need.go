package heat

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// quantity is something of which a service lets a project have so much, under
// the name that the service's quota has for it. Of service addresses it is the
// free addresses of a network and subnet that are there already.
type quantity struct{ service, name string }

func (q quantity) compare(o quantity) int {
	return cmp.Or(cmp.Compare(q.service, o.service), cmp.Compare(q.name, o.name))
}

// tally says how much of each.
type tally map[quantity]int

func (t tally) add(o tally, times int) {
	for q, n := range o {
		t[q] += n * times
	}
}

// over is what t has more than o.
func (t tally) over(o tally) tally {
	more := tally{}
	for q, n := range t {
		if n > o[q] {
			more[q] = n - o[q]
		}
	}
	return more
}

// server is the part that a node has twice while it is replaced: Heat makes the
// new server before it deletes the old one, and moves port and volume over.
func (t tally) server() tally {
	part := tally{}
	for q, n := range t {
		if q.service == "compute" && q.name != "server_groups" {
			part[q] = n
		}
	}
	return part
}

// parts are what a stack consists of: what its nodes share, and what each node
// of a group has.
type parts struct {
	shared tally
	groups map[string]tally
}

// partsOf counts what would be sent, in the templates as they are rendered.
func (c *catalogue) partsOf(l layout, root map[string]any) parts {
	p := parts{shared: tally{}, groups: map[string]tally{}}
	group := map[string]string{}
	for _, n := range l.nodes {
		group[n.Name] = n.Group
	}
	for name, r := range asMap(root["resources"]) {
		g, isNode := group[name]
		switch {
		case !isNode:
			p.shared.add(c.resource(asMap(r), root, nil, l.files), 1)
		case p.groups[g] == nil:
			p.groups[g] = c.resource(asMap(r), root, nil, l.files)
		}
	}
	return p
}

// stack counts a template.
func (c *catalogue) stack(t, params map[string]any, files map[string]string) tally {
	sum := tally{}
	for _, r := range asMap(t["resources"]) {
		sum.add(c.resource(asMap(r), t, params, files), 1)
	}
	return sum
}

// resource counts one resource and what is nested in it. One whose condition is
// not known before it is made counts.
func (c *catalogue) resource(r, t, params map[string]any, files map[string]string) tally {
	if there, known := truth(r["condition"], t, params); known && !there {
		return nil
	}
	kind, _ := r["type"].(string)
	props := asMap(resolve(asMap(r["properties"]), params))
	if text, nested := files[kind]; nested {
		return c.stack(c.file(kind, text), props, files)
	}
	sum := tally{}
	c.count(sum, strings.TrimPrefix(kind, "OS::"), props)
	return sum
}

// file is a node file as data. Most clusters of a fleet share theirs.
func (c *catalogue) file(name, text string) map[string]any {
	if c.files[name] == nil {
		var t map[string]any
		if err := yaml.Unmarshal([]byte(text), &t); err != nil {
			panic("heat: a node file of ours is not YAML: " + err.Error())
		}
		c.files[name] = t
	}
	return c.files[name]
}

// counted are the resource types that are one of something.
func counted() map[string]quantity {
	return map[string]quantity{
		"Nova::ServerGroup":        {"compute", "server_groups"},
		"Neutron::Net":             {"network", "network"},
		"Neutron::Subnet":          {"network", "subnet"},
		"Neutron::Router":          {"network", "router"},
		"Neutron::RouterInterface": {"network", "port"},
		"Neutron::FloatingIP":      {"network", "floatingip"},
		"Octavia::Listener":        {"load-balancer", "listener"},
		"Octavia::Pool":            {"load-balancer", "pool"},
		"Octavia::PoolMember":      {"load-balancer", "member"},
		"Octavia::HealthMonitor":   {"load-balancer", "health_monitor"},
		"Octavia::L7Policy":        {"load-balancer", "l7policy"},
		"Barbican::Secret":         {"key-manager", "secrets"},
		"Barbican::Order":          {"key-manager", "orders"},

		"Neutron::SecurityGroupRule":     {"network", "security_group_rule"},
		"Barbican::GenericContainer":     {"key-manager", "containers"},
		"Barbican::CertificateContainer": {"key-manager", "containers"},
	}
}

// count adds what one resource with these properties takes of quotas.
func (c *catalogue) count(sum tally, kind string, props map[string]any) {
	if q, ok := counted()[kind]; ok {
		sum[q]++
		return
	}
	switch kind {
	case "Nova::Server":
		c.countServer(sum, props)
	case "Cinder::Volume":
		countVolume(sum, props["size"], props["volume_type"])
	case "Neutron::Port":
		sum[quantity{"network", "port"}]++
		if network, _ := props["network"].(string); network != "" {
			sum[quantity{freeAddresses, network + "\n" + subnetOf(props)}]++
		}
	case "Neutron::SecurityGroup":
		rules, _ := props["rules"].([]any)
		sum[quantity{"network", "security_group"}]++
		sum[quantity{"network", "security_group_rule"}] += len(rules) + 2 // Neutron lets everything out, by a rule for IPv4 and one for IPv6
	case "Octavia::LoadBalancer":
		sum[quantity{"load-balancer", "load_balancer"}]++
		sum[quantity{"network", "port"}]++ // its address
	}
}

func (c *catalogue) countServer(sum tally, props map[string]any) {
	sum[quantity{"compute", "instances"}]++
	if name, _ := props["flavor"].(string); name != "" {
		f := c.flavors[name] // one that is not there is objected to
		sum[quantity{"compute", "cores"}] += f.VCPUs
		sum[quantity{"compute", "ram"}] += f.RAM
	}
	networks, _ := props["networks"].([]any)
	for _, n := range networks {
		if asMap(n)["port"] == nil {
			sum[quantity{"network", "port"}]++
		}
	}
	disks, _ := props["block_device_mapping_v2"].([]any)
	for _, b := range disks {
		if d := asMap(b); d["volume_size"] != nil && d["volume_id"] == nil {
			countVolume(sum, d["volume_size"], nil)
		}
	}
}

// countVolume: Cinder has quotas of each volume type as well; a volume without
// one gets the cloud's default type.
func countVolume(sum tally, size, typ any) {
	gib, _ := number(size)
	name, _ := typ.(string)
	for _, of := range []string{"", "_" + name} {
		sum[quantity{"block-storage", "volumes" + of}]++
		sum[quantity{"block-storage", "gigabytes" + of}] += gib
	}
}

// subnetOf is the subnet that a port's properties name; empty: any.
func subnetOf(props map[string]any) string {
	ips, _ := props["fixed_ips"].([]any)
	for _, ip := range ips {
		if s, ok := asMap(ip)["subnet"].(string); ok {
			return s
		}
	}
	return ""
}

// need is what a cluster will take beyond what it has, and the field that most
// of it comes from.
type need struct {
	sum   tally
	most  tally
	field map[quantity]string
}

func newNeed() need { return need{tally{}, tally{}, map[quantity]string{}} }

func (n *need) add(field string, t tally, times int) {
	for q, one := range t {
		if one*times <= 0 {
			continue
		}
		n.sum[q] += one * times
		if one*times > n.most[q] {
			n.most[q], n.field[q] = one*times, field
		}
	}
}

// quantities that are needed, in a fixed order.
func (n *need) quantities() []quantity {
	return slices.SortedFunc(maps.Keys(n.sum), quantity.compare)
}

// creation is what a new cluster needs.
func creation(s *schema.Spec, p parts) need {
	n := newNeed()
	n.add("", p.shared, 1)
	for _, g := range s.Groups {
		n.add("nodeGroups/"+g.Name+"/nodeCount", p.groups[g.Name], g.NodeCount)
	}
	return n
}

// growth is what a live cluster needs to become as wanted: nodes that groups
// lack, what its nodes will have more than they have, and the servers that one
// batch of a replacement has twice. What shrinks makes room only afterwards, for
// the next run.
func growth(c *schema.Cluster, o diff.Observed, want, have parts) need {
	n := newNeed()
	n.add("", want.shared.over(have.shared), 1)
	nodes := map[string]int{}
	for _, x := range o.Nodes {
		nodes[x.Group]++
	}
	for _, g := range c.Spec.Groups {
		at, each := "nodeGroups/"+g.Name, want.groups[g.Name]
		n.add(at+"/nodeCount", each, max(0, g.NodeCount-nodes[g.Name]))
		if was := have.groups[g.Name]; was != nil {
			n.add(at, each.over(was), min(g.NodeCount, nodes[g.Name]))
		}
	}
	batch := largestBatch(c, o, want)
	n.add("policy/maxBatchSize", batch.over(mended(&n, o, want)), 1)
	return n
}

// mended adds the servers of broken nodes, which one recover brings back all at
// once, and gives them. One that is gone takes its part of the quota again; one
// that failed stands beside its successor for a while.
func mended(n *need, o diff.Observed, want parts) tally {
	sum := tally{}
	for _, x := range o.Nodes {
		if x.State == diff.NodeFailed || x.State == diff.NodeMissing {
			server := want.groups[x.Group].server()
			n.add("nodeGroups/"+x.Group, server, 1)
			sum.add(server, 1)
		}
	}
	return sum
}

// largestBatch is the most that one batch of the upgrade has twice: one master,
// or the largest of the outdated workers, as many as are replaced at once.
func largestBatch(c *schema.Cluster, o diff.Observed, want parts) tally {
	var masters, workers []tally
	for _, g := range c.Spec.Groups {
		revision, server := diff.NodeRevision(&c.Spec, g), want.groups[g.Name].server()
		for _, x := range o.Nodes {
			switch {
			case x.Group != g.Name || x.Revision == revision:
			case g.Role == "master":
				masters = append(masters, server)
			default:
				workers = append(workers, server)
			}
		}
	}
	batch := atOnce(workers, max(c.Policy.MaxBatchSize, 1))
	for q, n := range atOnce(masters, 1) {
		batch[q] = max(batch[q], n)
	}
	return batch
}

// atOnce is the sum of the n largest, of each quantity.
func atOnce(nodes []tally, n int) tally {
	each := map[quantity][]int{}
	for _, t := range nodes {
		for q, x := range t {
			each[q] = append(each[q], x)
		}
	}
	sum := tally{}
	for q, all := range each {
		slices.SortFunc(all, func(a, b int) int { return cmp.Compare(b, a) })
		for _, x := range all[:min(n, len(all))] {
			sum[q] += x
		}
	}
	return sum
}

// coming is what a cluster in motion may still take of the quota: all that its
// moving nodes have, of which a part may be counted already.
func coming(o diff.Observed, have parts) need {
	n := newNeed()
	for _, x := range o.Nodes {
		switch {
		case x.State != diff.NodeMoving:
		case o.Status == diff.CreateInProgress:
			n.add("", have.groups[x.Group], 1)
		default:
			n.add("", have.groups[x.Group].server(), 1)
		}
	}
	return n
}

// What follows is as much of Heat's template language as decides what a template
// of ours has: parameters and conditions.

// later stands for a value that a resource decides, once it is there.
type later struct{}

// resolve puts parameters in.
func resolve(v any, params map[string]any) any {
	switch x := v.(type) {
	case []any:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = resolve(e, params)
		}
		return list
	case map[string]any:
		if name, ok := x["get_param"].(string); ok && len(x) == 1 {
			if is, known := params[name]; known {
				return is
			}
			return later{}
		}
		m := make(map[string]any, len(x))
		for k, e := range x {
			if len(x) == 1 && function(k) {
				return later{}
			}
			m[k] = resolve(e, params)
		}
		return m
	}
	return v
}

// function says that a key is one of the functions of Heat's that templates of
// ours use, besides get_param.
func function(key string) bool {
	return strings.HasPrefix(key, "get_") || key == "if" || strings.HasPrefix(key, "str_") || key == "list_join"
}

// truth of a condition of a template, which is one by name or in place; none is
// true.
func truth(v any, t, params map[string]any) (is, known bool) {
	switch x := v.(type) {
	case nil:
		return true, true
	case bool:
		return x, true
	case string:
		if c, ok := asMap(t["conditions"])[x]; ok {
			return truth(c, t, params)
		}
		return x == "true", x == "true" || x == "false"
	case map[string]any:
		return truthOf(x, t, params)
	}
	return false, false
}

func truthOf(m, t, params map[string]any) (is, known bool) {
	args, _ := m["equals"].([]any)
	switch {
	case len(args) == 2:
		a, knownA := parameter(args[0], t, params)
		b, knownB := parameter(args[1], t, params)
		return fmt.Sprint(a) == fmt.Sprint(b), knownA && knownB
	case m["not"] != nil:
		is, known = truth(m["not"], t, params)
		return !is, known
	case m["and"] != nil:
		return several(m["and"], false, t, params)
	case m["or"] != nil:
		return several(m["or"], true, t, params)
	case m["get_param"] != nil:
		v, known := parameter(m, t, params)
		return fmt.Sprint(v) == "true" || fmt.Sprint(v) == "True", known
	}
	return false, false
}

// several is "and", which one false decides, or "or", which one true does.
func several(v any, decides bool, t, params map[string]any) (is, known bool) {
	args, _ := v.([]any)
	known = true
	for _, a := range args {
		x, k := truth(a, t, params)
		if k && x == decides {
			return decides, true
		}
		known = known && k
	}
	return !decides, known
}

// parameter is resolve with the defaults of the template's parameters.
func parameter(v any, t, params map[string]any) (any, bool) {
	is := resolve(v, params)
	if _, open := is.(later); !open {
		return is, true
	}
	name, _ := asMap(v)["get_param"].(string)
	is, known := asMap(asMap(t["parameters"])[name])["default"]
	return is, known
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func number(v any) (int, bool) {
	switch x := v.(type) {
	case int:
		return x, true
	case int64:
		return int(x), true
	case float64:
		return int(x), true
	case json.Number:
		n, err := x.Int64()
		return int(n), err == nil
	}
	return 0, false
}
