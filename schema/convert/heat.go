package convert

import (
	"encoding/json"
	"fmt"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// A heatType is what Heat knows of one of Magnum's resource types.
type heatType struct {
	place    string
	attrs    map[string]string // Magnum's name of a property, where it is another
	defaults map[string]any    // what Heat sends when the template is silent and Magnum would do otherwise
}

// heatTypes are Heat's, from heat/engine/resources/openstack/magnum. A bay model
// has no load balancer to switch on.
//
//nolint:gochecknoglobals // a table, never changed
var heatTypes = map[string]heatType{
	"OS::Magnum::ClusterTemplate": {schema.KindClusterTemplate, heatTemplateAttrs, map[string]any{"master_lb_enabled": true, "docker_storage_driver": "devicemapper"}},
	"OS::Magnum::BayModel":        {schema.KindClusterTemplate, heatTemplateAttrs, nil},
	"OS::Magnum::Cluster":         {schema.KindCluster, map[string]string{"cluster_template": "cluster_template_id"}, nil},
	"OS::Magnum::Bay": {
		schema.KindCluster,
		map[string]string{"baymodel": "cluster_template_id", "bay_create_timeout": "create_timeout"},
		map[string]any{"create_timeout": json.Number("0")},
	},
}

//nolint:gochecknoglobals // a table, never changed
var heatTemplateAttrs = map[string]string{
	"image": "image_id", "flavor": "flavor_id", "master_flavor": "master_flavor_id", "keypair": "keypair_id",
	"external_network": "external_network_id",
}

// A hot is a Heat template: HOT, or in the older form with capitals.
type hot struct {
	where      string // the input
	parameters map[string]any
	resources  map[string]any
}

func (c *collection) heat(where string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return errNoMapping
	}
	h := hot{where: where, parameters: section(m, "parameters"), resources: section(m, "resources")}
	for _, name := range keysOf(h.resources) {
		resource, _ := h.resources[name].(map[string]any)
		typ, known := heatTypes[textOf(either(resource, "type"))]
		if known {
			c.add(h.record(typ, name, resource))
			continue
		}
		if text, err := json.Marshal(resource); err == nil && strings.Contains(string(text), `"OS::Magnum::`) {
			c.notes = append(c.notes, Note{
				Text: fmt.Sprintf("%s, resource %s: clusters inside a %s are not converted: write one Cluster for each", where, name, textOf(either(resource, "type"))),
			})
		}
	}
	return nil
}

// record makes one of a resource.
func (h *hot) record(typ heatType, name string, resource map[string]any) *record {
	r := &record{
		place: typ.place, attrs: map[string]any{}, secret: map[string]bool{},
		where: h.reference(name), ids: []string{h.reference(name)},
	}
	if !empty(either(resource, "condition")) {
		r.note("condition", "the resource has a condition, which is not looked at")
	}
	properties := section(resource, "properties")
	for _, property := range keysOf(properties) {
		attr := property
		if a, ok := typ.attrs[property]; ok {
			attr = a
		}
		h.property(r, attr, properties[property])
	}
	for attr, v := range typ.defaults {
		if _, ok := r.attrs[attr]; !ok && properties[attr] == nil {
			r.attrs[attr] = v
			r.note(attr, "not set in the Heat template: this is Heat's default")
		}
	}
	if r.text("name") == "" {
		r.attrs["name"] = name
		r.note("name", "Heat would make up a name: this is the resource's")
	}
	return r
}

// property sets an attribute, or says in a note why it cannot be known.
func (h *hot) property(r *record, attr string, v any) {
	if m, ok := v.(map[string]any); ok && attr == "labels" && !isFunction(m) {
		labels := map[string]any{}
		for _, key := range keysOf(m) {
			value, secret, why := h.resolve(m[key])
			if why != "" {
				r.note("labels", fmt.Sprintf("the label %s is left out: %s", key, why))
				continue
			}
			labels[key] = value
			r.secret["labels/"+key] = secret
		}
		r.attrs[attr] = labels
		return
	}
	value, secret, why := h.resolve(v)
	if why != "" {
		r.note(attr, "left out: "+why)
		return
	}
	r.attrs[attr], r.secret[attr] = value, secret
}

// resolve follows the functions whose result the template alone determines. It
// gives the value, whether it is secret, or why it is not known.
func (h *hot) resolve(v any) (value any, secret bool, why string) {
	m, ok := v.(map[string]any)
	if !ok || !isFunction(m) {
		return v, false, ""
	}
	function := keysOf(m)[0]
	argument := textOf(m[function])
	switch function {
	case "get_resource", "Ref", "get_param":
		if _, ok := h.resources[argument]; ok && function != "get_param" {
			return h.reference(argument), false, ""
		}
		return h.parameter(m[function])
	}
	return nil, false, fmt.Sprintf("it is computed (%s): write the value", function)
}

// parameter is the default of a parameter, or what a path leads to in it.
func (h *hot) parameter(argument any) (value any, secret bool, why string) {
	path, ok := argument.([]any)
	if !ok {
		path = []any{argument}
	}
	name := ""
	if len(path) > 0 {
		name = textOf(path[0])
	}
	p, ok := h.parameters[name].(map[string]any)
	if !ok {
		return nil, false, fmt.Sprintf("the template has no parameter %q: write the value", name)
	}
	secret = textOf(either(p, "hidden")) == "true" || textOf(either(p, "noEcho")) == "true"
	value = either(p, "default")
	if len(path) > 1 {
		inner, _ := value.(map[string]any)
		value = inner[textOf(path[1])]
	}
	if value == nil {
		return nil, secret, fmt.Sprintf("the parameter %s has no default: write the value", name)
	}
	return value, secret, ""
}

// isFunction tells whether a mapping is a call of one of Heat's functions.
func isFunction(m map[string]any) bool {
	if len(m) != 1 {
		return false
	}
	switch name := keysOf(m)[0]; name {
	case "get_param", "get_resource", "get_attr", "get_file", "str_replace", "str_replace_strict", "str_replace_vstrict", "str_split",
		"list_join", "list_concat", "list_concat_unique", "map_merge", "map_replace", "repeat", "resource_facade", "digest", "if",
		"yaql", "make_url", "contains", "filter", "equals", "not", "and", "or", "Ref":
		return true
	default:
		return strings.HasPrefix(name, "Fn::")
	}
}

// reference is what get_resource gives while there is no stack.
func (h *hot) reference(resource string) string { return h.where + ", resource " + resource }

// either gives the value of a key, with a small first letter as in HOT or with a
// capital as in the older form.
func either(m map[string]any, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	return m[strings.ToUpper(key[:1])+key[1:]]
}

func section(m map[string]any, key string) map[string]any {
	s, _ := either(m, key).(map[string]any)
	return s
}
