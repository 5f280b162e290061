package sim

import (
	"encoding/json"
	"maps"
	"strconv"
)

func removeStack(q *query, s *stack) reply {
	if !s.deleted.IsZero() {
		return stackMissing(s.name)
	}
	q.deleteStack(s)
	return reply{status: 204}
}

func stackAction(q *query, s *stack) reply {
	var in map[string]any
	if len(q.body) > 0 {
		if err := json.Unmarshal(q.body, &in); err != nil {
			return badRequest("%v", err).reply()
		}
	}
	if len(in) < 1 {
		return badRequest("No action specified").reply()
	}
	if len(in) > 1 {
		return badRequest("Multiple actions specified").reply()
	}
	action := sortedKeys(in)[0]
	unsupported := func() reply {
		return (&heatErr{400, "NotSupported", "Cancelling update when stack is " + s.action + "_" + s.status + " is not supported."}).reply()
	}
	switch action {
	case "check":
		if s.action == "DELETE" {
			return stackMissing(s.name)
		}
		q.checkStack(s)
	case "cancel_without_rollback":
		if !q.cancel(s) {
			return unsupported()
		}
	case "cancel_update":
		if s.action != "UPDATE" || s.status != "IN_PROGRESS" {
			return unsupported()
		}
		q.rollBack(s)
	case "suspend", "resume":
		return (&heatErr{400, "NotSupported", action + " is not simulated is not supported."}).reply()
	default:
		return badRequest("Invalid action %s specified", action).reply()
	}
	return reply{status: 200, body: []byte("null")}
}

func validateTemplate(q *query) reply {
	b, herr := readBody(q.body)
	if herr != nil {
		return herr.reply()
	}
	if len(b.Template) == 0 {
		return badRequest("No template specified").reply()
	}
	t, herr := parseHOT(b.Template, q.opt.MaxTemplateSize, "root stack")
	if herr != nil {
		return herr.reply()
	}
	to := &target{t: t, files: b.Files, given: b.params, env: b.env}
	for _, step := range []func() *heatErr{func() *heatErr { return q.knownTypes(to, "") }, func() *heatErr { return t.references("") }} {
		if herr := step(); herr != nil {
			return badRequest("%s", herr.msg).reply()
		}
	}
	for _, name := range sortedKeys(b.params) {
		if t.params[name] == nil {
			return (&heatErr{400, "UnknownUserParameter", "The Parameter (" + name + ") was not defined in template."}).reply()
		}
	}
	params := obj{}
	for name, p := range t.params {
		params[name] = p.view()
	}
	desc := t.description
	if desc == "" {
		desc = "No description"
	}
	env := obj{"resource_registry": obj{"resources": obj{}}, "parameters": b.params, "parameter_defaults": obj{}, "event_sinks": []any{}}
	return ok(obj{"Description": desc, "Parameters": params, "Environment": env})
}

func (p *hotParam) view() obj {
	v := obj{"Type": paramKind(p.kind), "Description": p.description, "NoEcho": strconv.FormatBool(p.hidden), "Label": p.label}
	if p.hasDefault {
		v["Default"] = p.def
	}
	for _, k := range p.constraints {
		for name, spec := range k {
			m := toObj(spec)
			switch name {
			case "range":
				v["MinValue"], v["MaxValue"] = m["min"], m["max"]
			case "length":
				v["MinLength"], v["MaxLength"] = m["min"], m["max"]
			case "allowed_values":
				v["AllowedValues"] = spec
			case "allowed_pattern":
				v["AllowedPattern"] = spec
			case "custom_constraint":
				v["CustomConstraint"] = spec
			}
		}
	}
	maps.DeleteFunc(v, func(_ string, x any) bool { return x == nil })
	return v
}
