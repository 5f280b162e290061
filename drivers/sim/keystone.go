package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

type project struct{ id, name string }

type user struct {
	id, name, password string
	roles              map[string][]string // by project id
	defaultProject     string
}

type token struct {
	id       string
	user     *user
	project  *project
	roles    []string
	methods  []string
	issued   time.Time
	expires  time.Time
	appCred  *appCred
	unscoped bool
	// handle is set in tokens of wait condition handles, which may do nothing
	// but signal that resource.
	handle *resource
}

func (t *token) has(role string) bool { return slices.Contains(t.roles, role) }

func (t *token) admin() bool { return t.has("admin") }

type appCred struct {
	id, name, secret, description string
	user                          *user
	project                       *project
	roles                         []string
	unrestricted                  any
	rules                         []*accessRule // nil: it may do what its roles may
	expires                       time.Time
}

type identity struct {
	projects []*project
	users    []*user
	roleIDs  map[string]string
	tokens   map[string]*token
	creds    []*appCred
	rules    []*accessRule
	without  []string // service types that catalogs lack
}

func (i *identity) projectByName(name string) *project {
	for _, p := range i.projects {
		if p.name == name || p.id == name {
			return p
		}
	}
	return nil
}

func (i *identity) userByName(name string) *user {
	for _, u := range i.users {
		if u.name == name || u.id == name {
			return u
		}
	}
	return nil
}

func (c *Cloud) seedIdentity() {
	c.identity.tokens, c.identity.roleIDs = map[string]*token{}, map[string]string{}
	for _, name := range []string{"demo", "demo2", "admin"} {
		p := &project{c.hex32(), name}
		roles := c.opt.Roles
		if name == "admin" {
			roles = []string{"admin", "member", "reader"}
		}
		u := &user{c.hex32(), name, "sim", map[string][]string{p.id: roles}, p.id}
		c.identity.projects = append(c.identity.projects, p)
		c.identity.users = append(c.identity.users, u)
		for _, r := range roles {
			if c.identity.roleIDs[r] == "" {
				c.identity.roleIDs[r] = c.hex32()
			}
		}
	}
	demo := c.identity.projectByName("demo")
	c.identity.users = append(c.identity.users, &user{c.hex32(), "viewer", "sim", map[string][]string{demo.id: {"reader"}}, demo.id})
	if c.identity.roleIDs["reader"] == "" {
		c.identity.roleIDs["reader"] = c.hex32()
	}
	admin := c.identity.userByName("admin")
	admin.roles[c.identity.projectByName("demo").id] = []string{"admin"}
}

// tokenFor returns the valid token with this id, or nil.
func (c *Cloud) tokenFor(id string) *token {
	t := c.identity.tokens[id]
	if t == nil || !c.now.Before(t.expires) {
		return nil
	}
	if t.appCred != nil && !slices.Contains(c.identity.creds, t.appCred) {
		return nil
	}
	return t
}

func (c *Cloud) newToken(u *user, p *project, methods ...string) *token {
	t := &token{id: "gAAAAAB" + c.pick(176, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), user: u, project: p, methods: methods, issued: c.now, expires: c.now.Add(c.opt.TokenTTL)}
	if p == nil {
		t.unscoped = true
	} else {
		t.roles = u.roles[p.id]
	}
	c.identity.tokens[t.id] = t
	return t
}

func (c *Cloud) keystoneRoutes() {
	v3 := identityAt + "/v3"
	c.handle("GET "+identityAt+"/{$}", func(q *query) reply {
		rep := ok(obj{"versions": obj{"values": []any{keystoneVersion(q)}}})
		rep.status, rep.header = 300, map[string]string{"Location": q.base() + v3 + "/"}
		return rep
	})
	for _, p := range []string{v3, v3 + "/{$}"} {
		c.handle("GET "+p, func(q *query) reply { return ok(obj{"version": keystoneVersion(q)}) })
	}
	c.handle("POST "+v3+"/auth/tokens", issueToken)
	c.handle("GET "+v3+"/auth/tokens", keystoneAuth(showToken))
	c.handle("DELETE "+v3+"/auth/tokens", keystoneAuth(func(q *query) reply {
		delete(q.identity.tokens, q.r.Header.Get("X-Subject-Token"))
		return reply{status: 204}
	}))
	c.handle("GET "+v3+"/auth/catalog", keystoneAuth(func(q *query) reply {
		return ok(obj{"catalog": q.catalog(q.tok.project), "links": obj{"self": q.self()}})
	}))
	c.handle("GET "+v3+"/auth/projects", keystoneAuth(func(q *query) reply { return q.projectList(q.tok.user) }))
	c.handle("GET "+v3+"/users/{user}/projects", ownUser("list_user_projects", func(q *query, u *user) reply { return q.projectList(u) }))
	c.handle("GET "+v3+"/projects", keystoneAuth(func(q *query) reply {
		if !q.tok.admin() {
			return keystoneForbidden("list_projects")
		}
		var all []any
		for _, p := range q.identity.projects {
			all = append(all, q.projectView(p))
		}
		return ok(obj{"projects": all, "links": obj{"self": q.self(), "next": nil, "previous": nil}})
	}))
	creds := v3 + "/users/{user}/application_credentials"
	c.handle("GET "+creds, ownUser("list_application_credentials", listAppCreds))
	c.handle("POST "+creds, ownUser("create_application_credential", createAppCred))
	c.handle("GET "+creds+"/{id}", ownUser("get_application_credential", showAppCred))
	c.handle("DELETE "+creds+"/{id}", ownUser("delete_application_credential", deleteAppCred))
	rules := v3 + "/users/{user}/access_rules"
	c.handle("GET "+rules, ownUser("list_access_rules", listAccessRules))
	c.handle("DELETE "+rules+"/{id}", ownUser("delete_access_rule", deleteAccessRule))
}

func keystoneVersion(q *query) obj {
	return obj{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []any{obj{"rel": "self", "href": q.base() + identityAt + "/v3/"}},
		"media-types": []any{obj{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

func keystoneError(status int, title, message string) reply {
	return reply{status: status, header: map[string]string{"Vary": "X-Auth-Token"}, body: obj{"error": obj{"code": status, "message": message, "title": title}}}
}

func keystoneForbidden(action string) reply {
	return keystoneError(403, "Forbidden", "You are not authorized to perform the requested action: identity:"+action+".")
}

func keystone401(q *query) reply {
	rep := keystoneError(401, "Unauthorized", "The request you have made requires authentication.")
	rep.header["WWW-Authenticate"] = `Keystone uri="` + q.base() + identityAt + `/v3"`
	return rep
}

func keystoneAuth(h handler) handler {
	return func(q *query) reply {
		if q.tok = q.tokenFor(q.r.Header.Get("X-Auth-Token")); q.tok == nil {
			return keystone401(q)
		}
		return h(q)
	}
}

func ownUser(action string, h func(*query, *user) reply) handler {
	return keystoneAuth(func(q *query) reply {
		u := q.identity.userByName(q.path("user"))
		if u == nil || u != q.tok.user && !q.tok.admin() {
			return keystoneForbidden(action)
		}
		return h(q, u)
	})
}

// authRequest is the body of POST /v3/auth/tokens.
type authRequest struct {
	Auth *struct {
		Identity struct {
			Methods  []string
			Password struct {
				User struct {
					ID, Name, Password string
				}
			}
			Token struct{ ID string }
			AppCr struct {
				ID, Name, Secret string
				User             struct{ ID, Name string }
			} `json:"application_credential"`
		}
		Scope json.RawMessage
	}
}

func issueToken(q *query) reply {
	var in authRequest
	if json.Unmarshal(q.body, &in) != nil || in.Auth == nil {
		return keystoneError(400, "Bad Request", "Expecting to find auth in request body. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.")
	}
	if len(in.Auth.Identity.Methods) != 1 {
		return keystone401(q)
	}
	id, method := in.Auth.Identity, in.Auth.Identity.Methods[0]
	var u *user
	var cred *appCred
	methods := []string{method}
	switch method {
	case "password":
		who := id.Password.User
		if u = q.identity.userByName(who.Name + who.ID); u == nil || u.password != who.Password {
			return keystone401(q)
		}
	case "token":
		t := q.tokenFor(id.Token.ID)
		if t != nil && t.appCred != nil && t.appCred.rules != nil {
			return keystoneError(404, "Not Found", "Failed to validate token")
		}
		if t == nil || t.appCred != nil {
			return keystone401(q)
		}
		u, methods = t.user, append(methods, t.methods...)
	case "application_credential":
		if id.AppCr.ID != "" && !slices.ContainsFunc(q.identity.creds, func(a *appCred) bool { return a.id == id.AppCr.ID }) {
			return noCred(id.AppCr.ID)
		}
		if cred = q.findCred(id.AppCr.ID, id.AppCr.Name, id.AppCr.User.ID+id.AppCr.User.Name); cred == nil || cred.secret != id.AppCr.Secret {
			return keystone401(q)
		}
		u = cred.user
	default:
		return keystone401(q)
	}
	p, valid := q.scope(in.Auth.Scope, u)
	if cred != nil {
		p = cred.project
	}
	if !valid || u == nil {
		return keystone401(q)
	}
	t := q.newToken(u, p, methods...)
	if cred != nil {
		t.appCred, t.roles = cred, cred.roles
		if !cred.expires.IsZero() && cred.expires.Before(t.expires) {
			t.expires = cred.expires
		}
	}
	return q.tokenReply(t, 201)
}

func (c *Cloud) findCred(id, name, owner string) *appCred {
	for _, a := range c.identity.creds {
		byName := a.name == name && name != "" && (a.user.id == owner || a.user.name == owner)
		if (a.id == id && id != "" || byName) && (a.expires.IsZero() || c.now.Before(a.expires)) {
			return a
		}
	}
	return nil
}

// scope reads "unscoped", {"project": {...}} or nothing, which is the user's
// default project.
func (c *Cloud) scope(raw json.RawMessage, u *user) (p *project, valid bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return c.identity.projectByName(u.defaultProject), true
	}
	if string(raw) == `"unscoped"` || strings.Contains(string(raw), `"unscoped"`) {
		return nil, true
	}
	var s struct {
		Project *struct{ ID, Name string }
	}
	if json.Unmarshal(raw, &s) != nil || s.Project == nil {
		return nil, false
	}
	p = c.identity.projectByName(s.Project.ID + s.Project.Name)
	if p == nil || len(u.roles[p.id]) == 0 {
		return nil, false
	}
	return p, true
}

func (q *query) tokenReply(t *token, status int) reply {
	domain := obj{"id": "default", "name": "Default"}
	view := obj{
		"methods": t.methods, "audit_ids": []string{t.id[7:29]},
		"user":       obj{"domain": domain, "id": t.user.id, "name": t.user.name, "password_expires_at": nil},
		"expires_at": t.expires.UTC().Format("2006-01-02T15:04:05.000000Z"),
		"issued_at":  t.issued.UTC().Format("2006-01-02T15:04:05.000000Z"),
	}
	if t.project != nil {
		roles := []any{}
		for _, r := range t.roles {
			roles = append(roles, obj{"id": q.identity.roleIDs[r], "name": r})
		}
		view["project"] = obj{"domain": domain, "id": t.project.id, "name": t.project.name}
		view["is_domain"], view["roles"], view["catalog"] = false, roles, q.catalog(t.project)
	}
	if a := t.appCred; a != nil {
		if t.expires.Equal(a.expires) {
			view["expires_at"] = t.expires.UTC().Format("2006-01-02T15:04:05") // without a Z
		}
		v := obj{"id": a.id, "name": a.name, "restricted": a.unrestricted != true}
		if a.rules != nil {
			v["access_rules"] = ruleViews(a.rules)
		}
		view["application_credential"] = v
	}
	rep := reply{status: status, header: map[string]string{"X-Subject-Token": t.id, "Vary": "X-Auth-Token"}, body: obj{"token": view}}
	return rep
}

func showToken(q *query) reply {
	t := q.tokenFor(q.r.Header.Get("X-Subject-Token"))
	if t == nil {
		return keystoneError(404, "Not Found", "Could not recognize Fernet token")
	}
	return q.tokenReply(t, 200)
}

// catalog lists the services with URLs on the host that the client used.
func (q *query) catalog(p *project) []any {
	if p == nil {
		return nil
	}
	out := []any{}
	for _, s := range [][3]string{
		{"identity", "keystone", identityAt + "/v3"},
		{"orchestration", "heat", heatAt + "/v1/" + p.id},
		{"compute", "nova", novaAt + "/v2.1"},
		{"network", "neutron", neutronAt},
		{"image", "glance", glanceAt},
		{"volumev3", "cinderv3", cinderAt + "/v3/" + p.id},
		{"block-storage", "cinder", cinderAt + "/v3/" + p.id},
		{"load-balancer", "octavia", octaviaAt},
		{"key-manager", "barbican", barbicanAt},
	} {
		if slices.Contains(q.identity.without, s[0]) {
			continue
		}
		eps := []any{}
		for _, face := range []string{"public", "internal", "admin"} {
			eps = append(eps, obj{"id": idFrom(s[0] + face), "interface": face, "region_id": "RegionOne", "region": "RegionOne", "url": q.base() + s[2]})
		}
		out = append(out, obj{"id": idFrom(s[0]), "type": s[0], "name": s[1], "endpoints": eps})
	}
	return out
}

func (q *query) projectView(p *project) obj {
	return obj{
		"id": p.id, "name": p.name, "domain_id": "default", "description": "", "enabled": true, "parent_id": "default",
		"is_domain": false, "tags": []any{}, "options": obj{}, "links": obj{"self": q.base() + identityAt + "/v3/projects/" + p.id},
	}
}

func (q *query) projectList(u *user) reply {
	all := []any{}
	for _, p := range q.identity.projects {
		if len(u.roles[p.id]) > 0 {
			all = append(all, q.projectView(p))
		}
	}
	return ok(obj{"projects": all, "links": obj{"self": q.self(), "next": nil, "previous": nil}})
}
