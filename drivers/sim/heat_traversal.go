package sim

import (
	"slices"
	"sort"
	"strings"
	"time"
)

// node is a vertex of a traversal's graph: bring a resource up to date, or
// clean it up if the template no longer wants it.
//
// A resource is updated after those it depends on. It is cleaned up after its
// own update (so a replacement exists first), after everything that was made
// with it is gone, and after what replaced it has been looked at:
//
//	update(port) ─► update(server) ─► update(ready)
//	     │               │                │
//	clean(port)  ◄─ clean(server) ◄─ clean(ready)
type node struct {
	r      *resource
	update bool
}

type nodeState struct {
	order    int
	needs    map[node]bool
	neededBy []node
	asked    bool // its turn has come
	done     bool
}

// converge starts a traversal towards the template in force and ends whatever
// traversal was running: what is in flight is looked at again when it is done.
func (c *Cloud) converge(s *stack, action string) {
	c.heat.seq++
	s.traversal = c.heat.seq
	s.todo, s.left = map[node]*nodeState{}, 0
	c.setState(s, action, "IN_PROGRESS", "Stack "+action+" started")
	if action == "DELETE" {
		s.current = map[string]*resource{}
	}
	c.updateNodes(s)
	c.cleanupNodes(s)
	trav := s.traversal
	c.after(s.limit(), func() { c.timeOut(s, trav) })
	ready := []node{}
	for n, st := range s.todo {
		if len(st.needs) == 0 {
			ready = append(ready, n)
		}
	}
	c.ask(s, ready)
	if s.left == 0 {
		c.after(c.opt.BuildTime, func() { c.complete(s, trav) })
	}
}

func (s *stack) limit() time.Duration {
	if s.timeout != nil && *s.timeout > 0 {
		return time.Duration(*s.timeout) * time.Minute
	}
	return time.Hour
}

func (s *stack) need(n, on node) {
	for _, x := range []node{n, on} {
		if s.todo[x] == nil {
			s.todo[x] = &nodeState{order: len(s.todo), needs: map[node]bool{}}
			s.left++
		}
	}
	if n != on && !s.todo[n].needs[on] {
		s.todo[n].needs[on] = true
		s.todo[on].neededBy = append(s.todo[on].neededBy, n)
	}
}

// updateNodes gives every resource of the template its row and its edges.
func (c *Cloud) updateNodes(s *stack) {
	if s.action == "DELETE" {
		return
	}
	wanted := s.enabled()
	s.current = map[string]*resource{}
	for _, name := range sortedKeys(wanted) {
		var row *resource
		for _, r := range s.rows {
			if r.name == name && r.replaced == nil && !(r.action == "DELETE" && r.status == "COMPLETE") {
				row = r
			}
		}
		if row == nil {
			row = c.newResource(s, name, wanted[name].kind)
		}
		s.current[name] = row
	}
	for _, name := range sortedKeys(wanted) {
		n := node{s.current[name], true}
		s.need(n, n)
		for _, dep := range s.deps(name) {
			s.need(n, node{s.current[dep], true})
		}
	}
}

func (c *Cloud) cleanupNodes(s *stack) {
	exists := map[*resource]bool{}
	for _, r := range s.rows {
		if !(r.action == "DELETE" && r.status == "COMPLETE") {
			exists[r] = true
		}
	}
	for _, r := range s.rows {
		if !exists[r] {
			continue
		}
		n := node{r, false}
		s.need(n, n)
		for _, req := range r.requires {
			if exists[req] {
				s.need(node{req, false}, n)
			}
		}
		if exists[r.replaces] {
			s.need(node{r.replaces, false}, n)
		}
		if s.todo[node{r, true}] != nil {
			s.need(n, node{r, true})
		}
	}
}

// enabled are the resources whose condition holds.
func (s *stack) enabled() map[string]*hotResource {
	if s.wanted != nil {
		return s.wanted
	}
	sc := s.scope(nil)
	out := map[string]*hotResource{}
	for name, def := range s.t.resources {
		if def.condition != nil {
			if yes, err := sc.condition(def.condition); err != nil || !yes {
				continue
			}
		}
		out[name] = def
	}
	s.wanted, s.depNames = out, map[string][]string{}
	return out
}

// deps are the names that a resource of this stack waits for.
func (s *stack) deps(name string) []string {
	wanted := s.enabled()
	d, known := s.depNames[name]
	if !known && wanted[name] != nil {
		d = s.t.deps(wanted, name)
		s.depNames[name] = d
	}
	return d
}

// deps are the names a resource waits for: by reference, by depends_on, and
// those that Heat knows from the meaning of the types.
func (t *hot) deps(wanted map[string]*hotResource, name string) []string {
	def := wanted[name]
	set := map[string]bool{}
	add := func(dep, _, _ string) {
		if wanted[dep] != nil && dep != name {
			set[dep] = true
		}
	}
	refs(any(def.properties), "", add)
	refs(def.metadata, "", add)
	for _, d := range def.dependsOn {
		add(d, "", "")
	}
	for other, o := range wanted {
		switch {
		case def.kind == "OS::Neutron::Port" && o.kind == "OS::Neutron::Subnet" && sameRef(def.properties["network"], o.properties["network"]),
			def.kind == "OS::Nova::Server" && o.kind == "OS::Neutron::Subnet" && mentions(def.properties["networks"], o.properties["network"]),
			def.kind == "OS::Neutron::FloatingIP" && o.kind == "OS::Neutron::RouterInterface",
			def.kind == "OS::Neutron::FloatingIP" && o.kind == "OS::Neutron::Router" && len(toObj(o.properties["external_gateway_info"])) > 0:
			add(other, "", "")
		}
	}
	return sortedKeys(set)
}

func sameRef(a, b any) bool {
	_, x, _ := call(a)
	_, y, _ := call(b)
	sx, _ := x.(string)
	return sx != "" && x == y
}

func mentions(v, ref any) bool {
	_, x, _ := call(ref)
	target, _ := x.(string)
	found := false
	refs(v, "", func(name, _, _ string) { found = found || name == target && target != "" })
	return found
}

// ask gives nodes their turn, in the order in which they entered the graph.
func (c *Cloud) ask(s *stack, ready []node) {
	trav := s.traversal
	sort.Slice(ready, func(i, j int) bool { return s.todo[ready[i]].order < s.todo[ready[j]].order })
	for _, n := range ready {
		s.todo[n].asked = true
		c.after(0, func() { c.visit(s, trav, n) })
	}
}

func (c *Cloud) visit(s *stack, trav int, n node) {
	if s.traversal != trav || s.todo[n] == nil || s.todo[n].done {
		return
	}
	if n.r.op != nil { // locked by an earlier traversal; it will ask again
		if n.r.nested != nil && n.r.action != "DELETE" {
			c.cancel(n.r.nested)
		}
		return
	}
	if n.update {
		c.bringUpToDate(s, n)
	} else {
		c.cleanUp(s, n)
	}
}

// finish marks a node done and asks those that waited for it.
func (c *Cloud) finish(s *stack, trav int, n node) {
	if s.traversal != trav {
		return
	}
	st := s.todo[n]
	if st == nil || st.done {
		return
	}
	st.done = true
	s.left--
	ready := []node{}
	for _, m := range st.neededBy {
		delete(s.todo[m].needs, n)
		if len(s.todo[m].needs) == 0 {
			ready = append(ready, m)
		}
	}
	c.ask(s, ready)
	if s.left == 0 {
		c.after(c.opt.BuildTime, func() { c.complete(s, trav) })
	}
}

func (c *Cloud) complete(s *stack, trav int) {
	if s.traversal != trav {
		return
	}
	s.traversal = 0
	c.setState(s, s.action, "COMPLETE", "Stack "+s.action+" completed successfully")
	s.previous = nil
	c.purge(s)
	if s.action == "DELETE" {
		c.forget(s)
	}
	s.tell()
}

func (c *Cloud) purge(s *stack) {
	s.rows = slices.DeleteFunc(s.rows, func(r *resource) bool { return r.action == "DELETE" && r.status == "COMPLETE" })
}

func (s *stack) tell() {
	if s.settled != nil {
		s.settled()
	}
}

// failStack ends a traversal: what is in flight goes on to its own end, but
// nothing new starts in this stack. Stacks beside it do not notice.
func (c *Cloud) failStack(s *stack, trav int, reason string) bool {
	if s.traversal != trav || trav == 0 {
		return false
	}
	s.traversal = 0
	c.setState(s, s.action, "FAILED", reason)
	if s.rollback && s.parent == nil && (s.action == "CREATE" || s.action == "UPDATE") {
		c.rollBack(s)
		return true
	}
	c.purge(s)
	s.tell()
	return true
}

// rollBack converges to what was there before: for a create, to nothing.
func (c *Cloud) rollBack(s *stack) {
	to := s.previous
	if to == nil {
		empty := *s.t
		empty.resources, empty.outputs = map[string]*hotResource{}, map[string]map[string]any{}
		to = &target{&empty, s.files, s.given, s.env, s.params}
	}
	s.previous = nil
	s.aim(*to)
	s.updated = c.now
	c.converge(s, "ROLLBACK")
}

// cancel is Heat's cancel without rollback. It reaches nested stacks too.
func (c *Cloud) cancel(s *stack) bool {
	if s.status != "IN_PROGRESS" || s.action != "UPDATE" && s.action != "CREATE" {
		return false
	}
	s.traversal = 0
	c.setState(s, s.action, "FAILED", "Stack "+s.action+" cancelled")
	for _, r := range s.rows {
		if r.op != nil && r.nested != nil && r.action != "DELETE" {
			c.cancel(r.nested)
		}
	}
	s.tell()
	return true
}

func (c *Cloud) timeOut(s *stack, trav int) {
	if s.traversal != trav {
		return
	}
	for _, r := range s.rows {
		if r.op != nil && r.op.trav == trav && !r.stuck {
			c.abort(r, r.action+" aborted (Task "+strings.ToLower(r.action)+" from "+c.describe(r)+" Timed out)")
		}
	}
	c.failStack(s, trav, "Timed out")
}

// deleteStack starts a delete, from whatever state.
func (c *Cloud) deleteStack(s *stack) {
	if s.action == "DELETE" && s.status != "FAILED" {
		return
	}
	s.updated, s.wiped, s.rollback = c.now, true, false
	s.gen++
	for _, r := range s.rows {
		if r.op != nil && !r.stuck && r.action != "DELETE" {
			c.abort(r, r.action+" aborted (user triggered cancel)")
		}
	}
	c.converge(s, "DELETE")
}

// abort takes a resource out of what is being done to it.
func (c *Cloud) abort(r *resource, reason string) {
	r.op = nil
	c.set(r, r.action, "FAILED", reason)
}
