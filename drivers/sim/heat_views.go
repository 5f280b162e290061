package sim

import (
	"maps"
	"strings"
)

func described(output map[string]any) string {
	if d, has := output["description"].(string); has {
		return d
	}
	return "No description given"
}

func (q *query) outputView(s *stack, name string) obj {
	v, err := q.output(s, name)
	o := obj{"output_key": name, "description": described(s.t.outputs[name]), "output_value": v}
	if err != nil {
		o["output_value"], o["output_error"] = nil, err.Error()
	}
	return o
}

func (q *query) stackView(s *stack) obj {
	desc := s.t.description
	if desc == "" {
		desc = "No description"
	}
	v := obj{
		"stack_name": s.name, "id": s.id, "links": []any{obj{"href": q.stackURL(s), "rel": "self"}}, "creation_time": stamp(s.created),
		"updated_time": nil, "deletion_time": nil, "notification_topics": []any{}, "parameters": s.shownParams(), "description": desc,
		"template_description": desc, "capabilities": []any{}, "disable_rollback": !s.rollback, "timeout_mins": s.timeout, "stack_owner": s.user.name,
		"parent": nil, "stack_user_project_id": s.root().domainProject, "tags": append([]string{}, s.tags...),
		"stack_status": s.action + "_" + s.status, "stack_status_reason": s.reason,
	}
	if !s.updated.IsZero() {
		v["updated_time"] = stamp(s.updated)
	}
	if !s.deleted.IsZero() {
		v["deletion_time"] = stamp(s.deleted)
	}
	if s.parent != nil {
		v["parent"] = s.parent.id
	}
	if !(s.action == "DELETE" && s.status == "COMPLETE") && q.param("resolve_outputs") != "False" && q.param("resolve_outputs") != "false" {
		outs := []any{}
		for _, name := range sortedKeys(s.t.outputs) {
			outs = append(outs, q.outputView(s, name))
		}
		v["outputs"] = outs
	}
	return v
}

// shownParams masks what is hidden.
func (s *stack) shownParams() obj {
	out := obj{}
	for k, v := range s.params {
		if p := s.t.params[k]; p != nil && p.hidden {
			out[k] = "******"
			continue
		}
		out[k] = pyStr(v)
		if p := s.t.params[k]; p != nil && p.kind == "comma_delimited_list" {
			parts := []string{}
			for _, e := range asList(v) {
				parts = append(parts, pyStr(e))
			}
			out[k] = strings.Join(parts, ",")
		}
	}
	return out
}

func (s *stack) shownTemplate() any {
	if !s.wiped {
		return []byte(s.t.raw)
	}
	doc := maps.Clone(s.t.doc)
	doc["resources"], doc["outputs"] = map[string]any{}, map[string]any{}
	return doc
}

func (s *stack) shownEnvironment() obj {
	params := obj{}
	for k, v := range s.given {
		params[k] = v
		if p := s.t.params[k]; p != nil && p.hidden {
			params[k] = "******"
		}
	}
	registry, defaults := obj{"resources": obj{}}, obj{}
	for _, r := range s.t.resources {
		if isFile(r.kind) {
			registry[r.kind] = r.kind
		}
	}
	maps.Copy(registry, s.env.registry)
	maps.Copy(defaults, s.env.defaults)
	return obj{"resource_registry": registry, "parameters": params, "parameter_defaults": defaults, "event_sinks": []any{}, "encrypted_param_names": []any{}}
}
