package heat

import (
	"cmp"
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
