package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// op is one action on one resource, in flight.
type op struct {
	r      *resource
	n      node
	trav   int
	action string
	props  map[string]any // wanted
	diff   []string       // of an update
	until  time.Time      // of a wait condition
}

// bringUpToDate creates, updates or replaces a resource, or finds that there
// is nothing to do.
func (c *Cloud) bringUpToDate(s *stack, n node) {
	r, def := n.r, s.t.resources[n.r.name]
	if r.action == "INIT" {
		r.kind = def.kind
		c.begin(s, n, r, "CREATE", nil)
		return
	}
	if def.kind != r.kind && !(isFile(def.kind) && isFile(r.kind)) {
		c.replaceBy(s, n, r)
		return
	}
	k := c.kindOf(r)
	if k.nodes && r.nested != nil {
		c.begin(s, n, r, "UPDATE", nil)
		return
	}
	if r.status == "FAILED" && (r.action == "CHECK" || k.unfit == nil || k.unfit(c, r)) {
		c.replaceBy(s, n, r)
		return
	}
	asked, after, perr := c.propertiesOf(s, def)
	if perr != nil && reflect.DeepEqual(asked, r.asked) {
		after, perr = r.props, nil // what has not changed is not looked at again
	}
	if perr != nil {
		c.begin(s, n, r, "UPDATE", nil) // which fails in the right way
		return
	}
	diff := changed(r.props, after)
	if len(diff) == 0 && reflect.DeepEqual(r.metadata, def.metadata) && slices.Equal(r.dependsOn, def.dependsOn) {
		if r.status == "FAILED" {
			c.set(r, r.action, "COMPLETE", "Update status to COMPLETE for FAILED resource neither update nor replace.")
		}
		c.adopt(s, r, def)
		c.finish(s, s.traversal, n)
		return
	}
	c.begin(s, n, r, "UPDATE", diff)
}

func isFile(kind string) bool {
	return strings.HasSuffix(kind, ".yaml") || strings.HasSuffix(kind, ".template")
}

// adopt makes r belong to the template in force.
func (c *Cloud) adopt(s *stack, r *resource, def *hotResource) {
	r.gen, r.kind, r.retain = s.gen, def.kind, def.retain
	r.metadata, r.dependsOn = def.metadata, def.dependsOn
	r.requires = nil
	for _, dep := range s.deps(r.name) {
		r.requires = append(r.requires, s.current[dep])
	}
}

// begin starts an action on a resource.
func (c *Cloud) begin(s *stack, n node, r *resource, action string, diff []string) {
	o := &op{r: r, n: n, trav: s.traversal, action: action, diff: diff}
	r.op = o
	c.set(r, action, "IN_PROGRESS", "state changed")
	def := s.t.resources[r.name]
	asked, props, perr := c.propertiesOf(s, def)
	if perr != nil {
		c.done(o, &fail{"StackValidationFailed", perr.msg})
		return
	}
	o.props, r.asked = props, asked
	k := c.kindOf(r)
	if action == "UPDATE" && !k.nodes {
		if c.mustReplace(k, o) {
			return
		}
	}
	c.adopt(s, r, def)
	start := k.create
	if action == "UPDATE" {
		start = k.update
	}
	took, f := time.Duration(0), (*fail)(nil)
	if start != nil {
		took, f = start(c, o)
	}
	if f != nil {
		c.done(o, f)
		return
	}
	if took != forever {
		c.after(took, func() {
			if r.op == o {
				var f *fail
				if k.built != nil {
					f = k.built(c, o)
				}
				c.done(o, f)
			}
		})
	}
}

// mustReplace ends an update that turns out to need a new resource.
func (c *Cloud) mustReplace(k *kind, o *op) bool {
	how, r := bySchema, o.r
	if k.replaces != nil {
		how = k.replaces(c, r, o.props, o.diff)
	}
	text := ""
	switch how {
	case inPlace:
		return false
	case replace:
		text = c.describe(r)
	case bySchema:
		sch := c.schemas[r.kind]
		for _, d := range o.diff {
			if p := sch.props[d]; p == nil || !p.update {
				text = r.name
			}
		}
		if text == "" {
			return false
		}
	}
	r.op = nil
	c.set(r, "UPDATE", "COMPLETE", "The Resource "+text+" requires replacement.")
	c.replaceBy(r.st, o.n, r)
	return true
}

func (c *Cloud) describe(r *resource) string {
	class := c.kindOf(r).class
	if r.phys == "" {
		return fmt.Sprintf("%s %q Stack %q [%s]", class, r.name, r.st.name, r.st.id)
	}
	return fmt.Sprintf("%s %q [%s] Stack %q [%s]", class, r.name, r.phys, r.st.name, r.st.id)
}

// replaceBy makes a new row for the name; the old one is cleaned up later.
func (c *Cloud) replaceBy(s *stack, n node, old *resource) {
	if k := c.kindOf(old); k.yield != nil {
		k.yield(c, old)
	}
	r := c.newResource(s, old.name, s.t.resources[old.name].kind)
	r.replaces, old.replaced = old, r
	s.current[old.name] = r
	trav := s.traversal
	c.after(0, func() {
		if s.traversal == trav {
			c.begin(s, n, r, "CREATE", nil)
		}
	})
}

// cleanUp deletes what the template in force does not want.
func (c *Cloud) cleanUp(s *stack, n node) {
	r, trav := n.r, s.traversal
	switch {
	case r.gen == s.gen || r.action == "DELETE" && r.status == "COMPLETE":
		c.finish(s, trav, n)
		return
	case r.action == "INIT", r.retain:
		s.rows = slices.DeleteFunc(s.rows, func(x *resource) bool { return x == r })
		c.finish(s, trav, n)
		return
	}
	o := &op{r: r, n: n, trav: trav, action: "DELETE"}
	r.op = o
	c.set(r, "DELETE", "IN_PROGRESS", "state changed")
	k := c.kindOf(r)
	took, f := time.Duration(0), (*fail)(nil)
	if k.remove != nil {
		took, f = k.remove(c, o)
	}
	if f != nil {
		c.done(o, f)
		return
	}
	if took != forever {
		c.after(took, func() {
			if r.op == o {
				if k.gone != nil {
					k.gone(c, r)
				}
				c.done(o, nil)
			}
		})
	}
}

// done ends an op, well or with f.
func (c *Cloud) done(o *op, f *fail) {
	if o.r.op != o {
		return
	}
	if f == nil {
		c.succeed(o)
		return
	}
	c.doneBadly(o, o.r.fails(o.action, f))
}

func (c *Cloud) succeed(o *op) {
	r := o.r
	r.op = nil
	if o.action != "DELETE" {
		r.props = o.props
	}
	c.set(r, o.action, "COMPLETE", "state changed")
	if r.st.traversal == o.trav {
		c.finish(r.st, o.trav, o.n)
		return
	}
	c.again(r)
}

func (c *Cloud) doneBadly(o *op, f failure) {
	r := o.r
	r.op = nil
	c.set(r, o.action, "FAILED", f.String())
	reason := "Resource " + f.action + " failed: " + f.String()
	if c.failStack(r.st, o.trav, reason) {
		return
	}
	if r.st.status == "IN_PROGRESS" { // another update has taken over; only the event tells
		c.stackEvent(r.st, f.action+"_FAILED", reason)
	} else if r.st.traversal == 0 && r.st.status == "FAILED" && strings.HasSuffix(r.st.reason, " cancelled") {
		c.setState(r.st, r.st.action, "FAILED", reason)
	}
	c.again(r)
}

// again gives a resource that an earlier traversal had locked its turn in the
// one that runs now.
func (c *Cloud) again(r *resource) {
	s := r.st
	if s.traversal == 0 {
		return
	}
	for _, update := range []bool{true, false} {
		n := node{r, update}
		if st := s.todo[n]; st != nil && st.asked && !st.done {
			trav := s.traversal
			c.after(0, func() { c.visit(s, trav, n) })
			return
		}
	}
}

// scope is where the templates of a live stack look things up.
func (s *stack) scope(c *Cloud) *scope {
	return &scope{
		t: s.t, params: s.params, files: s.files,
		resource: func(name string) (any, error) {
			r := s.current[name]
			if r == nil || c == nil {
				return nil, fmt.Errorf("no resource %s", name)
			}
			return c.refID(r), nil
		},
		attr: func(name, attr string, path []any) (any, error) {
			r := s.current[name]
			if r == nil || c == nil || r.action == "INIT" || r.action == "CREATE" && r.status != "COMPLETE" {
				return nil, nil
			}
			return dig(c.attribute(r, attr), path), nil
		},
	}
}

func (c *Cloud) refID(r *resource) string {
	if k := c.kindOf(r); k.ref != nil {
		return k.ref(r)
	}
	return r.shownID()
}

// attribute is get_attr without its path.
func (c *Cloud) attribute(r *resource, attr string) any {
	k := c.kindOf(r)
	if k.attrs == nil {
		return nil
	}
	all := k.attrs(c, r)
	if attr == "" || attr == "show" {
		return all
	}
	v, has := all[attr]
	if !has {
		return nil
	}
	return v
}

// propertiesOf evaluates a resource's properties, and converts them.
func (c *Cloud) propertiesOf(s *stack, def *hotResource) (asked, converted map[string]any, _ *heatErr) {
	v, err := s.scope(c).eval(any(def.properties))
	if err != nil {
		return nil, nil, invalid("Property error: : resources.%s.properties: : %v", def.name, err)
	}
	asked, _ = v.(map[string]any)
	if t, herr := c.nestedTemplate(s, def.kind); t != nil || herr != nil {
		return asked, asked, herr
	}
	converted, perr := c.properties(c.schemas[def.kind].props, asked, s.owner())
	if perr != nil {
		return asked, nil, invalid("%s", perr.at("resources."+def.name+".properties"))
	}
	return asked, converted, nil
}
