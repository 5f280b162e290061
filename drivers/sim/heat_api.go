package sim

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

const badRequestText = "The server could not comply with the request since it is either malformed or otherwise incorrect."

// heatText is the title and explanation of a status.
func heatText(status int) (title, explanation string) {
	switch status {
	case 403:
		return "Forbidden", "Access was denied to this resource."
	case 404:
		return "Not Found", "The resource could not be found."
	case 405:
		return "Method Not Allowed", badRequestText
	case 409:
		return "Conflict", "There was a conflict when trying to complete your request."
	case 500:
		return "Internal Server Error", "The server has either erred or is incapable of performing the requested operation."
	}
	return "Bad Request", badRequestText
}

func heatError(status int, title, explanation, kind, msg string) reply {
	e := obj{"type": kind, "traceback": nil}
	if msg != "" {
		e["message"] = msg
	}
	return reply{status: status, body: obj{"code": status, "title": title, "explanation": explanation, "error": e}}
}

func (e *heatErr) reply() reply {
	title, explanation := heatText(e.status)
	return heatError(e.status, title, explanation, e.kind, e.msg)
}

func heatForbidden() reply {
	return (&heatErr{403, "HTTPForbidden", "Access was denied to this resource."}).reply()
}

func stackMissing(name string) reply {
	return (&heatErr{404, "EntityNotFound", "The Stack (" + name + ") could not be found."}).reply()
}

// accepted is Heat's answer to PUT and PATCH.
func accepted() reply {
	return htmlReply(202, "Accepted", "The request is accepted for processing.")
}

func (c *Cloud) heatRoutes() {
	v1 := heatAt + "/v1/{project}"
	at := v1 + "/stacks/{name}/{id}"
	c.handle("GET "+heatAt+"/{$}", func(q *query) reply {
		rep := ok(obj{"versions": []any{obj{"id": "v1.0", "status": "CURRENT", "links": []any{obj{"rel": "self", "href": q.base() + heatAt + "/v1/"}}}}})
		rep.status = 300
		return rep
	})
	c.handle("GET "+v1+"/build_info", c.heatAuth(func(*query) reply {
		return ok(obj{"api": obj{"revision": "unknown"}, "engine": obj{"revision": "unknown"}})
	}))
	c.handle("GET "+v1+"/stacks", c.heatAuth(listStacks))
	c.handle("POST "+v1+"/stacks", c.heatAuth(createStack))
	c.handle("POST "+v1+"/validate", c.heatAuth(validateTemplate))
	for _, r := range []string{
		"GET ", "PUT ", "PATCH ", "DELETE ", "GET /resources", "GET /events", "GET /template", "GET /files", "GET /environment", "GET /outputs", "POST /actions",
	} {
		method, rest, _ := strings.Cut(r, " ")
		c.handle(method+" "+v1+"/stacks/{name}"+rest, c.heatAuth(redirect))
	}
	c.handle("GET "+at, c.withStack(func(q *query, s *stack) reply { return ok(obj{"stack": q.stackView(s)}) }))
	c.handle("PUT "+at, c.withStack(func(q *query, s *stack) reply { return updateStack(q, s, false) }))
	c.handle("PATCH "+at, c.withStack(func(q *query, s *stack) reply { return updateStack(q, s, true) }))
	c.handle("DELETE "+at, c.withStack(removeStack))
	c.handle("GET "+at+"/template", c.withStack(func(_ *query, s *stack) reply { return ok(s.shownTemplate()) }))
	c.handle("GET "+at+"/files", c.withStack(func(_ *query, s *stack) reply {
		if s.files == nil {
			return ok(obj{})
		}
		return ok(s.files)
	}))
	c.handle("GET "+at+"/environment", c.withStack(func(_ *query, s *stack) reply { return ok(s.shownEnvironment()) }))
	c.handle("GET "+at+"/outputs", c.withStack(func(_ *query, s *stack) reply {
		out := []any{}
		for _, name := range sortedKeys(s.t.outputs) {
			out = append(out, obj{"output_key": name, "description": described(s.t.outputs[name])})
		}
		return ok(obj{"outputs": out})
	}))
	c.handle("GET "+at+"/outputs/{key}", c.withStack(func(q *query, s *stack) reply {
		if s.t.outputs[q.path("key")] == nil {
			return (&heatErr{404, "NotFound", "Specified output key " + q.path("key") + " not found."}).reply()
		}
		return ok(obj{"output": q.outputView(s, q.path("key"))})
	}))
	c.handle("POST "+at+"/actions", c.withStack(stackAction))
	c.resourceRoutes(at)
}

// heatAuth checks the token, and that it belongs to the project in the path.
func (c *Cloud) heatAuth(h handler) handler {
	return func(q *query) reply {
		q.tok = q.tokenFor(q.r.Header.Get("X-Auth-Token"))
		if q.tok == nil || !q.ruled() {
			return unauthorized(q)
		}
		own := q.tok.project != nil && q.path("project") == q.tok.project.id
		if q.tok.handle != nil || !own && !q.tok.admin() {
			return heatForbidden()
		}
		if len(q.body) > q.opt.MaxBodySize {
			return limitExceeded("JSON body size (%d bytes) exceeds maximum allowed size (%d bytes).", len(q.body), q.opt.MaxBodySize).reply()
		}
		return h(q)
	}
}

func (c *Cloud) withStack(h func(*query, *stack) reply) handler {
	return c.heatAuth(func(q *query) reply {
		s := q.heat.stacks[q.path("id")]
		if s == nil || s.name != q.path("name") || s.project.id != q.path("project") {
			return stackMissing(q.path("name"))
		}
		return h(q, s.sight())
	})
}

func (q *query) stackURL(s *stack) string {
	return q.base() + heatAt + "/v1/" + s.project.id + "/stacks/" + s.name + "/" + s.id
}

// redirect sends a request by name to the stack's full path.
func redirect(q *query) reply {
	name := q.path("name")
	s := q.heat.names[q.path("project")][name]
	if s == nil {
		if s = q.heat.stacks[name]; s == nil || s.project.id != q.path("project") {
			return stackMissing(name)
		}
	}
	_, rest, _ := strings.Cut(q.r.URL.Path, "/stacks/")
	_, rest, hasRest := strings.Cut(rest, "/")
	to := q.stackURL(s)
	if hasRest {
		to += "/" + rest
	}
	if q.r.URL.RawQuery != "" {
		to += "?" + q.r.URL.RawQuery
	}
	return reply{
		status: 302, header: map[string]string{"Location": to, "Content-Type": "text/html; charset=UTF-8"},
		body: fmt.Sprintf("<html>\n <head>\n  <title>302 Found</title>\n </head>\n <body>\n  <h1>302 Found</h1>\n  The resource was found at <a href=\"%s\">%s</a>;\nyou should be redirected automatically.\n\n\n </body>\n</html>", to, to),
	}
}

var stackName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,254}$`)

// refusedTrust is what Heat answers when Keystone refuses it a trust.
func (q *query) refusedTrust() bool { return q.tok.appCred != nil && !q.opt.AppCredTrusts }

func createStack(q *query) reply {
	b, herr := readBody(q.body)
	if herr != nil {
		return herr.reply()
	}
	if b.Name == nil {
		return badRequest("No stack name specified").reply()
	}
	if len(b.Template) == 0 || string(b.Template) == "null" {
		return badRequest("No template specified").reply()
	}
	t, herr := parseHOT(b.Template, q.opt.MaxTemplateSize, "root stack")
	if herr != nil {
		return herr.reply()
	}
	p := q.identity.projectByName(q.path("project"))
	if herr := q.newStackAllowed(*b.Name, p, t); herr != nil {
		return herr.reply()
	}
	who := owner{project: p.id, user: q.tok.user.id}
	params, herr := q.paramValues(t, b.params, b.env.defaults, who)
	if herr != nil {
		return herr.reply()
	}
	to := &target{t, b.Files, b.params, b.env, params}
	if herr := q.validateRoot(to, who); herr != nil {
		return herr.reply()
	}
	if q.refusedTrust() {
		return remoteError().reply()
	}
	s := q.newStack(*b.Name, p, q.tok.user, q.base(), *to)
	s.domainProject, s.timeout = q.hex32(), b.timeout
	s.rollback = b.rollback != nil && *b.rollback
	s.setTags(b.tags)
	q.heat.roots[p.id] = append(q.heat.roots[p.id], s)
	q.converge(s, "CREATE")
	url := q.stackURL(s)
	return reply{status: 201, header: map[string]string{"Location": url}, body: obj{"stack": obj{"id": s.id, "links": []any{obj{"href": url, "rel": "self"}}}}}
}

func (q *query) newStackAllowed(name string, p *project, _ *hot) *heatErr {
	if !stackName.MatchString(name) {
		return invalid(`Invalid stack name %s must contain only alphanumeric or "_-." characters, must start with alpha and must be 255 characters or less.`, name)
	}
	if q.heat.names[p.id][name] != nil {
		return &heatErr{409, "StackExists", "The Stack (" + name + ") already exists."}
	}
	if len(q.heat.roots[p.id]) >= q.opt.MaxStacks && !q.tok.admin() {
		return limitExceeded("You have reached the maximum stacks per tenant, %d. Please delete some stacks.", q.opt.MaxStacks)
	}
	return nil
}

func (q *query) validateRoot(to *target, who owner) *heatErr {
	for _, name := range sortedKeys(to.files) {
		if isFile(name) && len(to.files[name]) > q.opt.MaxTemplateSize {
			return limitExceeded("Template size (%d bytes) exceeds maximum allowed size (%d bytes).", len(to.files[name]), q.opt.MaxTemplateSize)
		}
	}
	if err := q.validate(to, who, "", 0); err != nil {
		return err
	}
	if q.countTree(to) > q.opt.MaxResourcesPerStack {
		return limitExceeded("Maximum resources per stack exceeded.")
	}
	return nil
}

// updateStack is PUT, and PATCH, which starts from what the stack has. Both
// are accepted whatever is going on, except a delete.
func updateStack(q *query, s *stack, existing bool) reply {
	b, herr := readBody(q.body)
	if herr != nil {
		return herr.reply()
	}
	hasTemplate := len(b.Template) > 0 && string(b.Template) != "null"
	if !existing && !hasTemplate {
		return badRequest("No template specified").reply()
	}
	t := s.t
	if hasTemplate {
		if t, herr = parseHOT(b.Template, q.opt.MaxTemplateSize, "root stack"); herr != nil {
			return herr.reply()
		}
	}
	if s.action == "DELETE" {
		return (&heatErr{400, "NotSupported", "Updating a stack when it is deleting is not supported."}).reply()
	}
	to := &target{t: t, files: b.Files, given: b.params, env: b.env}
	if existing {
		mergeExisting(to, s, b)
	}
	who := s.owner()
	if to.params, herr = q.paramValues(t, to.given, to.env.defaults, who); herr == nil {
		herr = q.validateRoot(to, who)
	}
	if herr != nil {
		return herr.reply()
	}
	if q.refusedTrust() {
		return remoteError().reply()
	}
	q.acceptUpdate(s, b, to, existing)
	return accepted()
}

// mergeExisting is what PATCH adds to a request from the stored stack: files
// and parameters pile up; those the template no longer knows are dropped.
func mergeExisting(to *target, s *stack, b *stackBody) {
	files := maps.Clone(s.files)
	if files == nil {
		files = map[string]string{}
	}
	maps.Copy(files, b.Files)
	given := maps.Clone(s.given)
	if given == nil {
		given = map[string]any{}
	}
	for _, k := range b.Clear {
		delete(given, k)
	}
	maps.Copy(given, b.params)
	maps.DeleteFunc(given, func(k string, _ any) bool { return to.t.params[k] == nil })
	merge := func(old, add map[string]any) map[string]any {
		out := maps.Clone(old)
		if out == nil {
			out = map[string]any{}
		}
		maps.Copy(out, add)
		return out
	}
	to.files, to.given = files, given
	to.env = environment{merge(s.env.defaults, b.env.defaults), merge(s.env.registry, b.env.registry)}
}

func (q *query) acceptUpdate(s *stack, b *stackBody, to *target, existing bool) {
	if s.status == "COMPLETE" {
		s.previous = s.target()
	}
	s.aim(*to)
	tagsSent := len(b.Tags) > 0 && string(b.Tags) != "null"
	if tagsSent || !existing {
		s.setTags(b.tags)
	}
	if b.timeout != nil || !existing {
		s.timeout = b.timeout
	}
	if b.rollback != nil {
		s.rollback = *b.rollback
	} else if !existing {
		s.rollback = false
	}
	s.updated, s.base = q.now, q.base()
	q.converge(s, "UPDATE")
}
