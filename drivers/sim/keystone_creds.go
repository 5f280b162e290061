package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

func (q *query) credView(a *appCred) obj {
	roles := []any{}
	for _, r := range a.roles {
		roles = append(roles, obj{"id": q.identity.roleIDs[r], "name": r, "domain_id": nil, "description": nil, "options": obj{}})
	}
	view := obj{
		"id": a.id, "name": a.name, "description": nil, "user_id": a.user.id, "project_id": a.project.id, "system": nil,
		"expires_at": nil, "unrestricted": a.unrestricted, "roles": roles,
		"links": obj{"self": q.base() + identityAt + "/v3/application_credentials/" + a.id},
	}
	if a.rules != nil {
		view["access_rules"] = ruleViews(a.rules)
	}
	if a.description != "" {
		view["description"] = a.description
	}
	if !a.expires.IsZero() {
		view["expires_at"] = a.expires.UTC().Format("2006-01-02T15:04:05.000000")
	}
	return view
}

func listAppCreds(q *query, u *user) reply {
	all := []any{}
	for _, a := range q.identity.creds {
		if a.user == u && (q.param("name") == "" || q.param("name") == a.name) {
			all = append(all, q.credView(a))
		}
	}
	return ok(obj{"application_credentials": all, "links": obj{"self": q.self(), "next": nil, "previous": nil}})
}

func createAppCred(q *query, u *user) reply {
	if q.tok.appCred != nil && q.tok.appCred.unrestricted != true {
		return keystoneError(403, "Forbidden", "You are not authorized to perform the requested action: Using method 'application_credential' is not allowed for managing additional application credentials..")
	}
	var in struct {
		Cred struct {
			Name, Description, Secret string
			Unrestricted              any
			ExpiresAt                 string `json:"expires_at"`
			Roles                     []struct{ ID, Name string }
			Rules                     []accessRule `json:"access_rules"`
		} `json:"application_credential"`
	}
	if json.Unmarshal(q.body, &in) != nil || in.Cred.Name == "" || u != q.tok.user || q.tok.project == nil {
		return keystoneError(400, "Bad Request", "Invalid input for field 'application_credential': 'name' is a required property")
	}
	for _, a := range q.identity.creds {
		if a.user == u && a.name == in.Cred.Name {
			return keystoneError(409, "Conflict", "Conflict occurred attempting to store application_credential - Duplicate entry found with name "+a.name+".")
		}
	}
	a := &appCred{id: q.hex32(), name: in.Cred.Name, description: in.Cred.Description, secret: in.Cred.Secret, user: u, project: q.tok.project, unrestricted: in.Cred.Unrestricted, roles: q.tok.roles}
	var given []string
	for _, want := range in.Cred.Roles {
		name, refusal := q.roleOf(want.ID, want.Name)
		if refusal != nil {
			return *refusal
		}
		given = append(given, name)
	}
	if given != nil {
		a.roles = given
	}
	if in.Cred.ExpiresAt != "" {
		at, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(strings.SplitN(in.Cred.ExpiresAt, ".", 2)[0], "Z"))
		if err != nil {
			return keystoneMalformed("Timestamp not in expected format.")
		}
		if !at.After(q.now) {
			return keystoneMalformed("The 'expires_at' must not be before now.")
		}
		a.expires = at
	}
	for i, r := range in.Cred.Rules {
		if refusal := r.check(i); refusal != nil {
			return *refusal
		}
	}
	if in.Cred.Rules != nil {
		a.rules = []*accessRule{}
	}
	for _, r := range in.Cred.Rules {
		a.rules = append(a.rules, q.ruleFor(u, r))
	}
	if a.secret == "" {
		a.secret = q.pick(86, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
	}
	q.identity.creds = append(q.identity.creds, a)
	view := q.credView(a)
	view["secret"] = a.secret
	return reply{status: 201, body: obj{"application_credential": view}}
}

func noCred(id string) reply {
	return keystoneError(404, "Not Found", "Could not find Application Credential: "+id+".")
}

func showAppCred(q *query, u *user) reply {
	for _, a := range q.identity.creds {
		if a.user == u && a.id == q.path("id") {
			return ok(obj{"application_credential": q.credView(a)})
		}
	}
	return noCred(q.path("id"))
}

func deleteAppCred(q *query, u *user) reply {
	if q.tok.appCred != nil && q.tok.appCred.unrestricted != true {
		return keystoneError(403, "Forbidden", "You are not authorized to perform the requested action: Using method 'application_credential' is not allowed for managing additional application credentials..")
	}
	for i, a := range q.identity.creds {
		if a.user == u && a.id == q.path("id") {
			q.identity.creds = slices.Delete(q.identity.creds, i, i+1)
			return reply{status: 204}
		}
	}
	return noCred(q.path("id"))
}

func keystoneMalformed(text string) reply {
	return keystoneError(400, "Bad Request", text+" The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.")
}

// roleOf finds a role that a new credential asks for, among those of the token.
func (q *query) roleOf(id, name string) (string, *reply) {
	for known, knownID := range q.identity.roleIDs {
		if known != name && knownID != id {
			continue
		}
		if q.tok.has(known) {
			return known, nil
		}
		rep := keystoneError(400, "Bad Request", "Invalid application credential: Cannot create an application credential with unassigned role")
		return "", &rep
	}
	rep := keystoneError(404, "Not Found", "Role "+name+id+" is not defined")
	return "", &rep
}
