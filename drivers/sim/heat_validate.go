package sim

import (
	"fmt"
	"maps"
	"slices"
)

// validate refuses a template as Heat does before it starts anything. where is
// empty for a root and "resources.x<file>" inside nested files.
func (c *Cloud) validate(to *target, who owner, where string, depth int) *heatErr {
	t := to.t
	for _, name := range sortedKeys(t.params) {
		if t.resources[name] != nil {
			return invalid("Duplicate names {'%s'}", name)
		}
	}
	if err := c.knownTypes(to, where); err != nil {
		return err
	}
	if err := t.references(where); err != nil {
		return err
	}
	sc := &scope{
		t: t, params: pseudo(to.params), files: to.files,
		resource: func(string) (any, error) { return unresolved{}, nil },
		attr: func(name, attr string, _ []any) (any, error) {
			return unresolved{}, c.attrKnown(to, name, attr)
		},
	}
	for _, name := range sortedKeys(t.resources) {
		if err := c.validateResource(to, sc, name, who, where, depth); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(t.outputs) {
		if err := c.validateOutput(to, sc, name, where); err != nil {
			return err
		}
	}
	return nil
}

func pseudo(params map[string]any) map[string]any {
	out := map[string]any{"OS::stack_name": unresolved{}, "OS::stack_id": unresolved{}, "OS::project_id": unresolved{}}
	maps.Copy(out, params)
	return out
}

func inPath(where, rest string) string {
	if where == "" {
		return rest
	}
	return where + "." + rest
}

func (c *Cloud) knownTypes(to *target, where string) *heatErr {
	for _, name := range sortedKeys(to.t.resources) {
		kind := to.t.resources[name].kind
		mapped, _ := to.env.registry[kind].(string)
		if c.schemas[kind] != nil || isFile(kind) && to.files[kind] != "" || isFile(mapped) && to.files[mapped] != "" {
			continue
		}
		msg := "The Resource Type (" + kind + ") could not be found."
		if isFile(kind) {
			msg = fmt.Sprintf(`Could not fetch remote template "%s": Invalid URL scheme `, kind)
		}
		if where != "" {
			msg = where + ": : " + msg
		}
		return invalid("%s", msg)
	}
	return nil
}

func remoteError() *heatErr { return &heatErr{500, "RemoteError", ""} }

// references finds names of resources that are not there, and circles.
func (t *hot) references(where string) *heatErr {
	var bad *heatErr
	for _, name := range sortedKeys(t.resources) {
		def := t.resources[name]
		miss := func(ref, at string) {
			if t.resources[ref] == nil && bad == nil {
				bad = &heatErr{400, "InvalidTemplateReference", fmt.Sprintf(`The specified reference "%s" (in %s) is incorrect.`, ref, at)}
			}
		}
		for _, p := range sortedKeys(def.properties) {
			refs(def.properties[p], name+".Properties."+p, func(ref, _, at string) { miss(ref, at) })
		}
		for _, d := range def.dependsOn {
			miss(d, name)
		}
	}
	if bad != nil {
		if where != "" {
			return remoteError()
		}
		return bad
	}
	if t.circular() {
		return remoteError()
	}
	return nil
}

func (t *hot) circular() bool {
	state := map[string]int{} // 1: on the way, 2: done
	var walk func(string) bool
	walk = func(name string) bool {
		if state[name] != 0 {
			return state[name] == 1
		}
		state[name] = 1
		deps := []string{}
		add := func(dep, _, _ string) {
			if t.resources[dep] != nil {
				deps = append(deps, dep)
			}
		}
		refs(any(t.resources[name].properties), "", add)
		for _, d := range t.resources[name].dependsOn {
			add(d, "", "")
		}
		if slices.ContainsFunc(deps, walk) {
			return true
		}
		state[name] = 2
		return false
	}
	return slices.ContainsFunc(sortedKeys(t.resources), walk)
}

// attrKnown checks an attribute's name against the type.
func (c *Cloud) attrKnown(to *target, name, attr string) error {
	def := to.t.resources[name]
	if def == nil || attr == "" || attr == "show" {
		return nil
	}
	if sch := c.schemas[def.kind]; sch != nil {
		if !slices.Contains(sch.attrs, attr) {
			return heatSays("The Referenced Attribute (%s %s) is incorrect.", name, attr)
		}
		return nil
	}
	t, err := c.fileTemplate(def.kind, to.files, to.env.registry)
	if err == nil && t != nil && t.outputs[attr] == nil && attr != "outputs" {
		return heatSays("The Referenced Attribute (%s %s) is incorrect.", name, attr)
	}
	return nil
}

func (c *Cloud) validateResource(to *target, sc *scope, name string, who owner, where string, depth int) *heatErr {
	def := to.t.resources[name]
	at := inPath(where, "resources."+name)
	if def.condition != nil {
		yes, err := sc.condition(def.condition)
		if err != nil {
			return invalid("%s.condition: : %v", at, err)
		}
		if !yes {
			return nil
		}
	}
	given := map[string]any{}
	for _, p := range sortedKeys(def.properties) {
		v, err := sc.eval(def.properties[p])
		if err != nil {
			return evalError(at+".properties."+p, def.properties[p], err)
		}
		if _, gone := v.(omit); !gone {
			given[p] = v
		}
	}
	if sch := c.schemas[def.kind]; sch != nil {
		if _, perr := c.properties(sch.props, given, who); perr != nil {
			return invalid("%s", perr.at(at+".properties"))
		}
		return nil
	}
	return c.validateNested(to, def, given, who, at, depth)
}

// evalError words a failing function: those that are wrong in form are named,
// those that fail in value are property errors.
func evalError(at string, raw any, err error) *heatErr {
	name, _, fn := call(raw)
	if fn != nil && name != "get_param" && name != "get_file" {
		return invalid("%s.%s: : %v", at, name, err)
	}
	return invalid("Property error: : %s: : %v", at, err)
}

func (c *Cloud) validateNested(to *target, def *hotResource, given map[string]any, who owner, at string, depth int) *heatErr {
	t, err := c.fileTemplate(def.kind, to.files, to.env.registry)
	if err != nil {
		return err
	}
	if depth >= c.opt.MaxDepth {
		return limitExceeded("Recursion depth exceeds %d.", c.opt.MaxDepth)
	}
	for _, k := range sortedKeys(given) {
		if t.params[k] == nil {
			return invalid("Property error: : %s.properties: : Unknown Property %s", at, k)
		}
		if given[k] == nil {
			delete(given, k)
		}
	}
	for _, k := range sortedKeys(t.params) {
		if _, has := given[k]; !has && !t.params[k].hasDefault {
			if _, has := to.env.defaults[k]; !has {
				return invalid("Property error: : %s.properties: : Property %s not assigned", at, k)
			}
		}
	}
	params, err := c.paramValues(t, given, to.env.defaults, who)
	if err != nil {
		return invalid("%s<%s>: : %s", at, def.kind, err.msg)
	}
	return c.validate(&target{t, to.files, given, to.env, params}, who, at+"<"+def.kind+">", depth+1)
}

func (c *Cloud) validateOutput(to *target, sc *scope, name, where string) *heatErr {
	at := inPath(where, "outputs."+name+".value")
	var bad *heatErr
	refs(to.t.outputs[name]["value"], "", func(ref, attr, _ string) {
		fn := "get_attr"
		if attr == "" {
			fn = "get_resource"
		}
		if to.t.resources[ref] == nil && bad == nil {
			bad = invalid(`%s.%s: : The specified reference "%s" (in unknown) is incorrect.`, at, fn, ref)
		}
	})
	if bad != nil {
		return bad
	}
	if _, err := sc.eval(to.t.outputs[name]["value"]); err != nil {
		fn, _, _ := call(to.t.outputs[name]["value"])
		return invalid("%s.%s: : %v", at, fn, err)
	}
	return nil
}

// countTree is how many resources a target will have, nested ones included.
func (c *Cloud) countTree(to *target) int {
	n := len(to.t.resources)
	for _, def := range to.t.resources {
		if t, err := c.fileTemplate(def.kind, to.files, to.env.registry); t != nil && err == nil {
			n += c.countTree(&target{t: t, files: to.files, env: to.env})
		}
	}
	return n
}
