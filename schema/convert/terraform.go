package convert

import (
	"cmp"
	"fmt"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// terraformTypes are the provider's resources, with Magnum's names of the
// arguments that it calls otherwise.
//
//nolint:gochecknoglobals // a table, never changed
var terraformTypes = map[string]heatType{
	"openstack_containerinfra_clustertemplate_v1": {schema.KindClusterTemplate, map[string]string{
		"image": "image_id", "flavor": "flavor_id", "master_flavor": "master_flavor_id", "id": "uuid",
	}, nil},
	"openstack_containerinfra_cluster_v1": {schema.KindCluster, map[string]string{
		"flavor": "flavor_id", "master_flavor": "master_flavor_id", "id": "uuid",
	}, nil},
	"openstack_containerinfra_nodegroup_v1": {schema.NodeGroups, map[string]string{"id": "uuid"}, nil},
}

// terraform finds records in what terraform show -json prints of a state or a
// plan, and in a state file.
func (c *collection) terraform(where string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return errNoMapping
	}
	if list, ok := m["resources"].([]any); ok {
		c.stateFile(where, list)
		return nil
	}
	t := terraformWalk{collection: c, where: where}
	values, _ := m["values"].(map[string]any)
	if planned, ok := m["planned_values"].(map[string]any); ok {
		values = planned
		configuration, _ := m["configuration"].(map[string]any)
		t.configuration, _ = configuration["root_module"].(map[string]any)
	}
	root, _ := values["root_module"].(map[string]any)
	t.module(root, "", t.configuration)
	return nil
}

type terraformWalk struct {
	*collection
	where         string
	configuration map[string]any // of a plan: where references come from
}

// module walks a module and those in it, each with its part of the
// configuration.
func (t *terraformWalk) module(m map[string]any, prefix string, configuration map[string]any) {
	resources, _ := m["resources"].([]any)
	for _, v := range resources {
		r, _ := v.(map[string]any)
		if textOf(r["mode"]) == "data" {
			continue
		}
		values, _ := r["values"].(map[string]any)
		record := t.resource(t.where, textOf(r["type"]), textOf(r["address"]), values)
		if record == nil {
			continue
		}
		marks, _ := r["sensitive_values"].(map[string]any)
		record.sensitive(marks, terraformTypes[textOf(r["type"])].attrs)
		for _, attr := range []string{"cluster_template_id", "cluster_id"} {
			if record.text(attr) == "" {
				if to := reference(configuration, textOf(r["type"]), textOf(r["name"]), attr); to != "" {
					record.attrs[attr] = prefix + to
				}
			}
		}
		t.add(record)
	}
	calls, _ := configuration["module_calls"].(map[string]any)
	children, _ := m["child_modules"].([]any)
	for _, v := range children {
		child, _ := v.(map[string]any)
		address := withoutIndex(textOf(child["address"]))
		call, _ := calls[address[strings.LastIndexByte(address, '.')+1:]].(map[string]any)
		inner, _ := call["module"].(map[string]any)
		t.module(child, address+".", inner)
	}
}

// resource makes a record of a resource of ours, or nil.
func (c *collection) resource(where, typ, address string, values map[string]any) *record {
	known, ok := terraformTypes[typ]
	if !ok {
		return nil
	}
	r := &record{
		place: known.place, attrs: map[string]any{}, secret: map[string]bool{},
		where: where + ", " + address, ids: []string{address, withoutIndex(address)},
		live: textOf(values["id"]) != "", merge: values["merge_labels"] == true,
	}
	for name, v := range values {
		if attr, ok := known.attrs[name]; ok {
			name = attr
		}
		r.attrs[name] = v
	}
	delete(r.attrs, "merge_labels")
	// A node group's id is CLUSTER/GROUP.
	if cluster, group, ok := strings.Cut(r.text("uuid"), "/"); ok {
		r.attrs["uuid"] = group
		if r.text("cluster_id") == "" {
			r.attrs["cluster_id"] = cluster
		}
	}
	return r
}

// sensitive takes Terraform's marks of what is secret: true for a value, a
// mapping for what is in it. attrs are Magnum's names of arguments.
func (r *record) sensitive(marks map[string]any, attrs map[string]string) {
	for name, mark := range marks {
		if mark == true {
			r.secret[cmp.Or(attrs[name], name)] = true
		}
	}
	labels, _ := marks["labels"].(map[string]any)
	for key, mark := range labels {
		r.secret["labels/"+key] = mark == true
	}
}

// reference is the resource that an argument gets its value from, as the
// configuration in a plan says it: its value is not known before there is one.
func reference(configuration map[string]any, typ, name, argument string) string {
	resources, _ := configuration["resources"].([]any)
	for _, v := range resources {
		r, _ := v.(map[string]any)
		if textOf(r["type"]) != typ || textOf(r["name"]) != name {
			continue
		}
		expressions, _ := r["expressions"].(map[string]any)
		expression, _ := expressions[argument].(map[string]any)
		to, _ := expression["references"].([]any)
		for _, v := range to {
			parts := strings.Split(textOf(v), ".")
			if len(parts) >= 2 && terraformTypes[parts[0]].place != "" {
				return withoutIndex(parts[0] + "." + parts[1])
			}
		}
	}
	return ""
}

// withoutIndex drops what count and for_each add to an address.
func withoutIndex(address string) string {
	for {
		i := strings.IndexByte(address, '[')
		if i < 0 {
			return address
		}
		j := strings.IndexByte(address[i:], ']')
		if j < 0 {
			return address[:i]
		}
		address = address[:i] + address[i+j+1:]
	}
}

// stateFile reads terraform.tfstate, version 4, as it lies on disk.
func (c *collection) stateFile(where string, list []any) {
	for _, v := range list {
		r, _ := v.(map[string]any)
		if textOf(r["mode"]) == "data" {
			continue
		}
		address := strings.TrimPrefix(textOf(r["module"])+"."+textOf(r["type"])+"."+textOf(r["name"]), ".")
		instances, _ := r["instances"].([]any)
		for _, v := range instances {
			instance, _ := v.(map[string]any)
			at := address
			if key := instance["index_key"]; !empty(key) {
				at = fmt.Sprintf("%s[%v]", address, key)
			}
			attributes, _ := instance["attributes"].(map[string]any)
			if record := c.resource(where, textOf(r["type"]), at, attributes); record != nil {
				record.sensitivePaths(instance["sensitive_attributes"], terraformTypes[textOf(r["type"])].attrs)
				c.add(record)
			}
		}
	}
}

// sensitivePaths takes the marks of a state file: a list of paths, each a list
// of steps.
func (r *record) sensitivePaths(v any, attrs map[string]string) {
	paths, _ := v.([]any)
	for _, p := range paths {
		var names []string
		steps, _ := p.([]any)
		for _, s := range steps {
			step, _ := s.(map[string]any)
			name := textOf(step["value"])
			if inner, ok := step["value"].(map[string]any); ok {
				name = textOf(inner["value"])
			}
			names = append(names, name)
		}
		path := strings.Join(names, "/")
		r.secret[cmp.Or(attrs[path], path)] = true
	}
}
