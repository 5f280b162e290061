package convert

import (
	"maps"
	"slices"
	"strconv"

	"jeroboam.io/jeroboam/schema"
)

// groupsOf are the node groups of a cluster, by name.
func (b *builder) groupsOf(cluster *record) map[string]*record {
	groups := map[string]*record{}
	for _, g := range b.groups[cluster] {
		groups[g.text("name")] = g
	}
	return groups
}

// workers sets nodeCount, the size of default-worker. Magnum's node_count of a
// cluster that exists is the sum over all groups of workers.
func (d *draft) workers(groups map[string]*record) {
	count, ok := d.value("nodeCount")
	if g, known := groups[schema.DefaultWorker]; known {
		if n, err := strconv.Atoi(g.text("node_count")); err == nil {
			count, ok = n, true
		}
	} else if sum, isInt := count.(int); ok && isInt && d.live {
		others := 0
		for _, g := range groups {
			n, _ := strconv.Atoi(g.text("node_count"))
			if g.text("role") != "master" {
				others += n
			}
		}
		if others > 0 && others <= sum {
			d.remark("nodeCount", "node_count", "%d counts the workers of all node groups: %d are left for default-worker", sum, sum-others)
			count = sum - others
		}
	}
	if ok {
		d.set("nodeCount", count)
	}
}

// masters sets masterCount. One is what holds without it.
func (d *draft) masters(groups map[string]*record) {
	count, ok := d.value("masterCount")
	if g, known := groups[schema.DefaultMaster]; known && !ok {
		n, err := strconv.Atoi(g.text("node_count"))
		count, ok = n, err == nil
	}
	if ok && count != 1 {
		d.set("masterCount", count)
	}
}

// nodeGroups writes the groups besides the two that every cluster has, and what
// default-worker has beyond spec.
func (b *builder) nodeGroups(d *draft, groups map[string]*record) {
	var list []Fields
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		switch name {
		case schema.DefaultMaster:
			d.defaultMaster(b.draft(groups[name], d.doc, ""))
		case schema.DefaultWorker:
			if own := b.defaultWorker(d, groups[name]); len(own) > 1 {
				list = append(list, own)
			}
		default:
			list = append(list, b.group(d, groups[name]))
		}
	}
	if len(list) > 0 {
		d.set("nodeGroups", list)
	}
}

// bounded tells whether a bound of a default group says anything. Before
// microversion 1.10 every group had a minimum of 1.
func bounded(attr, value string) bool {
	return value != "" && value != "0" && (attr != "min_node_count" || value != "1")
}

// defaultMaster tells what of default-master has no place in a Cluster.
func (d *draft) defaultMaster(g *draft) {
	for _, attr := range []string{"min_node_count", "max_node_count"} {
		if s := g.text(attr); bounded(attr, s) {
			d.remark("", attr, "left out: %s of %s has no counterpart", s, schema.DefaultMaster)
		}
	}
}

// defaultWorker is the entry of default-worker in nodeGroups: its name, and what
// it has beyond spec.
func (b *builder) defaultWorker(cluster *draft, r *record) Fields {
	g := b.draft(r, cluster.doc, "nodeGroups/"+schema.DefaultWorker+"/")
	g.set("name", schema.DefaultWorker)
	for name, attr := range map[string]string{"minNodeCount": "min_node_count", "maxNodeCount": "max_node_count"} {
		if v, ok := g.value(name); ok && bounded(attr, r.text(attr)) {
			g.set(name, v)
		}
	}
	g.kubernetes("nodeLabels")
	g.kubernetes("nodeTaints")
	return g.fields
}

// group is the entry of nodeGroups. What it has in common with its cluster is
// left out.
func (b *builder) group(cluster *draft, r *record) Fields {
	g := b.draft(r, cluster.doc, "nodeGroups/"+r.text("name")+"/")
	g.used["cluster_id"] = true
	template := b.find(schema.KindClusterTemplate, cluster.text("cluster_template_id"))
	inherited := map[string]string{
		"flavor": cluster.text("flavor_id"), "dockerVolumeSize": cluster.text("docker_volume_size"),
	}
	if template != nil {
		inherited["image"] = template.text("image_id")
		if inherited["flavor"] == "" {
			inherited["flavor"] = template.text("flavor_id")
		}
	}
	if r.live && r.text("cluster_id") == "" {
		g.tell(Note{
			Attributes: []string{"labels", "docker_volume_size", "min_node_count", "max_node_count"},
			Text:       "not in the input: a list does not have them, convert what openstack coe nodegroup show prints",
		})
	}
	for _, name := range outlines()[r.place].order {
		p := outlines()[r.place].fields[name]
		switch {
		case name == "name":
			g.set(name, r.text("name"))
			if err := p.text(r.text("name")); err != nil {
				g.remark(name, "name", "%v", err)
			}
		case name == "labels":
			g.groupLabels(cluster, template)
		case name == "nodeLabels", name == "nodeTaints":
			g.kubernetes(name)
		case p.Magnum == "":
		default:
			if v, ok := g.value(name); ok && (inherited[name] == "" || inherited[name] != r.text(p.attr())) {
				g.set(name, v)
			}
		}
	}
	g.rest()
	return g.fields
}

// groupLabels writes what the group adds to its cluster's labels.
func (d *draft) groupLabels(cluster *draft, template *record) {
	all, some := d.allLabels()
	if !some {
		return
	}
	base, _ := labelsOf(cluster.attrs["labels"])
	if template != nil && (len(base) == 0 || cluster.merge) {
		over := base
		base, _ = labelsOf(template.attrs["labels"])
		maps.Copy(base, over)
	}
	if d.merge {
		own, _ := ownLabels(all, base)
		d.writeLabels(own, true)
		return
	}
	d.labels(all, base)
}

// kubernetes writes the labels and taints that the nodes carry.
func (d *draft) kubernetes(name string) {
	attr := outlines()[d.place].fields[name].attr()
	d.used[attr] = true
	if name == "nodeLabels" {
		if labels, _ := labelsOf(d.attrs[attr]); len(labels) > 0 {
			d.set(name, labels)
		}
		return
	}
	list, _ := d.attrs[attr].([]any)
	var taints []Fields
	for _, v := range list {
		m, _ := v.(map[string]any)
		var taint Fields
		for _, key := range []string{"key", "value", "effect"} {
			if s := textOf(m[key]); s != "" {
				taint = append(taint, Field{key, s})
			}
		}
		taints = append(taints, taint)
	}
	if len(taints) > 0 {
		d.set(name, taints)
	}
}
