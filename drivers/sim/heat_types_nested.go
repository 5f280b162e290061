package sim

import (
	"maps"
	"time"
)

// ---- nested stacks

func nestedKind() *kind {
	return &kind{
		class: "TemplateResource", nodes: true,
		create: createNested, update: updateNested,
		remove: func(c *Cloud, o *op) (time.Duration, *fail) {
			n := o.r.nested
			if n == nil {
				return 0, nil
			}
			n.settled = func() { c.nestedSettled(o) }
			c.deleteStack(n)
			return forever, nil
		},
		attrs: func(c *Cloud, r *resource) map[string]any {
			out := map[string]any{}
			if r.nested == nil {
				return out
			}
			for name := range r.nested.t.outputs {
				out[name], _ = c.output(r.nested, name)
			}
			all := map[string]any{}
			maps.Copy(all, out)
			out["outputs"] = all
			return out
		},
		ref: func(r *resource) string {
			if r.nested != nil {
				if _, has := r.nested.t.outputs["OS::stack_id"]; has {
					v, _ := r.nested.cloudOutput("OS::stack_id")
					if s, isText := v.(string); isText {
						return s
					}
				}
			}
			return r.shownID()
		},
	}
}

// cloudOutput evaluates an output that only uses what is stored.
func (s *stack) cloudOutput(name string) (any, error) {
	sc := s.scope(nil)
	sc.resource = func(res string) (any, error) {
		if r := s.current[res]; r != nil {
			return r.shownID(), nil
		}
		return nil, nil
	}
	return sc.eval(s.t.outputs[name]["value"])
}

func (c *Cloud) output(s *stack, name string) (any, error) {
	return s.scope(c).eval(s.t.outputs[name]["value"])
}

// nestedTemplate parses the file that a type names; nil for plain types.
func (c *Cloud) nestedTemplate(s *stack, kind string) (*hot, *heatErr) {
	return c.fileTemplate(kind, s.files, s.env.registry)
}

func (c *Cloud) fileTemplate(kind string, files map[string]string, registry map[string]any) (*hot, *heatErr) {
	if mapped, has := registry[kind].(string); has && isFile(mapped) {
		kind = mapped
	}
	if !isFile(kind) {
		return nil, nil
	}
	text, has := files[kind]
	if !has {
		return nil, invalid("The Resource Type (%s) could not be found.", kind)
	}
	return c.parsedFile(text, kind)
}

// keepParsed bounds the cache of parsed files; a fleet has few different ones.
const keepParsed = 2000

// parsedFile parses a nested template once: every node of a cluster has the
// same few. Templates are never changed after parsing.
func (c *Cloud) parsedFile(text, origin string) (*hot, *heatErr) {
	if t := c.heat.parsed[text]; t != nil {
		return t, nil
	}
	t, err := parseHOT(marshal(text), c.opt.MaxTemplateSize, origin)
	if err != nil {
		return nil, err
	}
	if len(c.heat.parsed) >= keepParsed {
		clear(c.heat.parsed)
	}
	c.heat.parsed[text] = t
	return t, nil
}

// nestedTarget is what a resource wants its nested stack to be.
func (c *Cloud) nestedTarget(o *op) (*target, *fail) {
	s := o.r.st
	t, herr := c.nestedTemplate(s, o.r.kind)
	if herr != nil {
		return nil, &fail{herr.kind, herr.msg}
	}
	given := map[string]any{}
	for k, v := range o.props {
		if v != nil {
			given[k] = v
		}
	}
	params, herr := c.paramValues(t, given, s.env.defaults, s.owner())
	if herr != nil {
		return nil, &fail{herr.kind, herr.msg}
	}
	return &target{t, s.files, given, environment{registry: s.env.registry, defaults: s.env.defaults}, params}, nil
}

func createNested(c *Cloud, o *op) (time.Duration, *fail) {
	r, s := o.r, o.r.st
	to, f := c.nestedTarget(o)
	if f != nil {
		return 0, f
	}
	if f := c.treeLimits(o, to.t, 0); f != nil {
		return 0, f
	}
	n := c.newStack(r.physName, s.project, s.user, s.base, *to)
	n.parent, n.parentRes, n.depth, n.timeout, n.domainProject = s, r, s.depth+1, s.timeout, s.domainProject
	r.nested, r.phys = n, n.id
	n.settled = func() { c.nestedSettled(o) }
	c.converge(n, "CREATE")
	return forever, nil
}

func (c *Cloud) treeLimits(o *op, t *hot, existing int) *fail {
	s := o.r.st
	if s.depth+1 > c.opt.MaxDepth {
		return failf("RequestLimitExceeded", "Request limit exceeded: Recursion depth exceeds %d.", c.opt.MaxDepth)
	}
	if c.resourcesInTree(s.root())-existing+len(t.resources) > c.opt.MaxResourcesPerStack {
		return failf("RequestLimitExceeded", "Request limit exceeded: Maximum resources per stack exceeded.")
	}
	return nil
}

func updateNested(c *Cloud, o *op) (time.Duration, *fail) {
	n := o.r.nested
	to, f := c.nestedTarget(o)
	if f != nil {
		return 0, f
	}
	if f := c.treeLimits(o, to.t, c.resourcesInTree(n)); f != nil {
		return 0, f
	}
	n.aim(*to)
	n.timeout, n.updated = o.r.st.timeout, c.now
	n.settled = func() { c.nestedSettled(o) }
	c.converge(n, "UPDATE")
	return forever, nil
}

// nestedSettled is told by a nested stack that it has ended something.
func (c *Cloud) nestedSettled(o *op) {
	c.after(0, func() {
		n := o.r.nested
		if o.r.op != o || n.status == "IN_PROGRESS" {
			return
		}
		if n.status == "COMPLETE" {
			c.done(o, nil)
			return
		}
		c.doneBadly(o, o.r.failsNested(o.action, n.reason))
	})
}
