package sim

import (
	"encoding/json"
	"maps"
	"sort"
	"strconv"
)

func (c *Cloud) resourceRoutes(at string) {
	c.handle("GET "+at+"/resources", c.withStack(listResources))
	c.handle("GET "+at+"/events", c.withStack(listEvents))
	c.handle("GET "+at+"/resources/{res}", c.withResource(func(q *query, r *resource) reply {
		return ok(obj{"resource": q.resourceView(r, true)})
	}))
	c.handle("GET "+at+"/resources/{res}/metadata", c.withResource(func(_ *query, r *resource) reply { return ok(obj{"metadata": r.shownMetadata()}) }))
	c.handle("GET "+at+"/resources/{res}/events", c.withResource(listEventsOf))
	c.handle("PATCH "+at+"/resources/{res}", c.withResource(markUnhealthy))
	c.handle("POST "+at+"/resources/{res}/signal", c.signalAuth)
}

func (c *Cloud) withResource(h func(*query, *resource) reply) handler {
	return c.withStack(func(q *query, s *stack) reply {
		r := s.current[q.path("res")]
		if r == nil {
			return resourceMissing(q.path("res"), s)
		}
		return h(q, r)
	})
}

func resourceMissing(name string, s *stack) reply {
	return (&heatErr{404, "ResourceNotFound", "The Resource (" + name + ") could not be found in Stack " + s.name + "."}).reply()
}

func (r *resource) shownMetadata() any {
	if r.kind == "OS::Heat::WaitConditionHandle" {
		out := obj{}
		for _, s := range r.signals {
			out[s.id] = obj{"status": s.status, "reason": s.reason, "data": s.data}
		}
		return out
	}
	if r.metadata == nil {
		return obj{}
	}
	return r.metadata
}

func (q *query) resourceView(r *resource, detail bool) obj {
	s := r.st
	links := []any{obj{"href": q.stackURL(s) + "/resources/" + r.name, "rel": "self"}, obj{"href": q.stackURL(s), "rel": "stack"}}
	if r.nested != nil {
		links = append(links, obj{"href": q.stackURL(r.nested), "rel": "nested"})
	}
	by := []any{}
	for _, other := range s.listedRows() {
		for _, req := range other.requires {
			if req == r {
				by = append(by, other.name)
			}
		}
	}
	if r.action == "INIT" && len(by) == 0 {
		for _, name := range sortedKeys(s.enabled()) {
			for _, d := range s.deps(name) {
				if d == r.name {
					by = append(by, name)
				}
			}
		}
	}
	v := obj{
		"updated_time": stamp(r.updated), "creation_time": stamp(r.created), "logical_resource_id": r.name, "resource_name": r.name,
		"physical_resource_id": r.phys, "resource_status": r.action + "_" + r.status, "resource_status_reason": r.reason,
		"resource_type": r.kind, "links": links, "required_by": by,
	}
	if s.parentRes != nil {
		v["parent_resource"] = s.parentRes.name
	}
	if detail {
		v["description"] = ""
		attrs := map[string]any{}
		if k := q.kindOf(r); k.attrs != nil && r.action != "INIT" {
			attrs = k.attrs(q.Cloud, r)
			attrs = maps.Clone(attrs)
			for _, h := range append([]string{"outputs"}, k.hidden...) {
				delete(attrs, h)
			}
		}
		v["attributes"] = attrs
	}
	return v
}

// listedRows has one row per name: the present one, or the last.
func (s *stack) listedRows() []*resource {
	at := map[string]int{}
	var out []*resource
	for _, r := range s.rows {
		if cur := s.current[r.name]; cur != nil && cur != r {
			continue
		}
		if i, seen := at[r.name]; seen {
			out[i] = r
			continue
		}
		at[r.name] = len(out)
		out = append(out, r)
	}
	return out
}

func listResources(q *query, s *stack) reply {
	depth := 0
	if d := q.param("nested_depth"); d != "" {
		n, err := strconv.Atoi(d)
		if err != nil {
			return badRequest("Only integer is acceptable by 'nested_depth'.").reply()
		}
		depth = min(n, q.opt.MaxDepth)
	}
	detail := truthy(q.param("with_detail"))
	out := []any{}
	var add func(*stack, int)
	add = func(st *stack, left int) {
		rows := st.listedRows()
		for _, r := range rows {
			if q.resourceWanted(r) {
				out = append(out, q.resourceView(r, detail))
			}
		}
		if left <= 0 {
			return
		}
		for _, r := range rows {
			if r.nested != nil {
				add(r.nested, left-1)
			}
		}
	}
	add(s, depth)
	return ok(obj{"resources": out})
}

func (q *query) resourceWanted(r *resource) bool {
	for key, v := range map[string]string{"name": r.name, "type": r.kind, "status": r.status, "action": r.action, "physical_resource_id": r.phys} {
		if want := q.param(key); want != "" && want != v {
			return false
		}
	}
	return true
}

type placedEvent struct {
	st *stack
	e  stackEvent
}

func listEvents(q *query, s *stack) reply {
	depth := 0
	if d := q.param("nested_depth"); d != "" {
		n, err := strconv.Atoi(d)
		if err != nil {
			return badRequest("Only integer is acceptable by 'nested_depth'.").reply()
		}
		depth = n
	}
	var all []placedEvent
	var add func(*stack, int)
	add = func(st *stack, left int) {
		for _, e := range st.events {
			all = append(all, placedEvent{st, e})
		}
		if left <= 0 {
			return
		}
		for _, r := range st.rows {
			if r.nested != nil && r.nested.deleted.IsZero() {
				add(r.nested, left-1)
			}
		}
	}
	add(s, depth)
	return q.eventPage(s, all, depth > 0)
}

func listEventsOf(q *query, r *resource) reply {
	var all []placedEvent
	for _, e := range r.st.events {
		if e.resource == r.name {
			all = append(all, placedEvent{r.st, e})
		}
	}
	return q.eventPage(r.st, all, false)
}

// eventPage sorts, filters and cuts. The newest come first unless asked
// otherwise.
func (q *query) eventPage(root *stack, all []placedEvent, nested bool) reply {
	sort.Slice(all, func(i, j int) bool { return all[i].e.seq > all[j].e.seq })
	if q.param("sort_dir") == "asc" {
		sort.Slice(all, func(i, j int) bool { return all[i].e.seq < all[j].e.seq })
	}
	limit := -1
	if l := q.param("limit"); l != "" {
		n, err := strconv.Atoi(l)
		if err != nil {
			return badRequest("Only integer is acceptable by 'limit'.").reply()
		}
		limit = n
	}
	rows := []any{}
	skip := q.param("marker") != ""
	for _, p := range all {
		if skip {
			skip = p.e.id != q.param("marker")
			continue
		}
		if len(rows) == limit {
			break
		}
		if q.eventWanted(p.e) {
			rows = append(rows, q.eventView(root, p, nested))
		}
	}
	return ok(obj{"events": rows})
}

func (q *query) eventWanted(e stackEvent) bool {
	for key, v := range map[string]string{"resource_name": e.resource, "resource_status": e.status, "resource_type": e.kind} {
		if want := q.param(key); want != "" && want != v {
			return false
		}
	}
	return true
}

func (q *query) eventView(root *stack, p placedEvent, nested bool) obj {
	at := q.stackURL(p.st)
	links := []any{
		obj{"href": at + "/resources/" + p.e.resource + "/events/" + p.e.id, "rel": "self"},
		obj{"href": at + "/resources/" + p.e.resource, "rel": "resource"},
		obj{"href": at, "rel": "stack"},
	}
	if nested {
		links = append(links, obj{"href": q.stackURL(root), "rel": "root_stack"})
	}
	return obj{
		"id": p.e.id, "links": links, "event_time": stamp(p.e.at), "logical_resource_id": p.e.resource, "resource_name": p.e.resource,
		"physical_resource_id": p.e.phys, "resource_status": p.e.status, "resource_status_reason": p.e.reason,
	}
}

func markUnhealthy(q *query, r *resource) reply {
	var in struct {
		Unhealthy *bool  `json:"mark_unhealthy"`
		Reason    string `json:"resource_status_reason"`
	}
	if json.Unmarshal(q.body, &in) != nil || in.Unhealthy == nil {
		return badRequest("Missing mandatory (mark_unhealthy) key from mark unhealthy request").reply()
	}
	switch {
	case *in.Unhealthy:
		q.set(r, "CHECK", "FAILED", in.Reason)
	case r.action == "CHECK" && r.status == "FAILED":
		q.set(r, "CHECK", "COMPLETE", in.Reason)
	}
	return reply{status: 200, body: []byte("null")}
}

// signalAuth lets in the tokens of handles, under the project of their stack's
// users: any handle's of the same tree, as Heat does. The stack's owner may
// signal too, under his own project.
func (c *Cloud) signalAuth(q *query) reply {
	q.tok = q.tokenFor(q.r.Header.Get("X-Auth-Token"))
	if q.tok == nil || !q.ruled() {
		return unauthorized(q)
	}
	s := q.heat.stacks[q.path("id")]
	own := q.tok.handle == nil && q.tok.project != nil && q.tok.project.id == q.path("project")
	domain := q.tok.handle != nil && q.tok.handle.st.root().domainProject == q.path("project")
	if !own && !domain {
		return heatForbidden()
	}
	if s == nil || s.name != q.path("name") || own && s.project.id != q.path("project") {
		return stackMissing(q.path("name"))
	}
	r := s.current[q.path("res")]
	switch {
	case domain && q.tok.handle.st.root() != s.root():
		return stackMissing(s.name)
	case r == nil:
		return resourceMissing(q.path("res"), s)
	case r.kind != "OS::Heat::WaitConditionHandle":
		return (&heatErr{400, "ResourceActionNotSupported", "signal is not supported for resource."}).reply()
	}
	body := map[string]any{}
	if len(q.body) > 0 {
		v, err := decodeJSON(q.body)
		m, isMap := v.(map[string]any)
		if err != nil || !isMap {
			return badRequest(badRequestText).reply()
		}
		body = m
	}
	q.signalled(r, body)
	return reply{status: 200, body: []byte("null")}
}
