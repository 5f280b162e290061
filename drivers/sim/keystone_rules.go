package sim

import (
	"fmt"
	"regexp"
	"slices"
)

// accessRule is one request that an application credential may make. Rules
// belong to the user, and stay when the credential that brought them goes.
type accessRule struct {
	ID      string `json:"-"`
	Service string
	Path    string
	Method  string
	user    *user
}

func (r *accessRule) view() obj {
	return obj{"id": r.ID, "service": r.Service, "path": r.Path, "method": r.Method}
}

func ruleViews(rules []*accessRule) []any {
	all := []any{}
	for _, r := range rules {
		all = append(all, r.view())
	}
	return all
}

var ruleMethod = regexp.MustCompile(`^(POST|GET|HEAD|PATCH|PUT|DELETE)$`)

// check refuses what Keystone's schema refuses of rule number i.
func (r *accessRule) check(i int) *reply {
	bad := ""
	switch {
	case r.Path == "" || r.Path[0] != '/' || len(r.Path) > 225:
		bad = fmt.Sprintf("Invalid input for field 'access_rules/%d/path': '%s' does not match '^\\\\/.*'", i, r.Path)
	case !ruleMethod.MatchString(r.Method):
		bad = fmt.Sprintf("Invalid input for field 'access_rules/%d/method': '%s' does not match '^(POST|GET|HEAD|PATCH|PUT|DELETE)$'", i, r.Method)
	default:
		return nil
	}
	rep := keystoneError(400, "Bad Request", bad)
	return &rep
}

// ruleFor gives the user's rule that says the same, or makes it.
func (q *query) ruleFor(u *user, want accessRule) *accessRule {
	for _, r := range q.identity.rules {
		if r.user == u && r.Service == want.Service && r.Path == want.Path && r.Method == want.Method {
			return r
		}
	}
	want.ID, want.user = q.hex32(), u
	q.identity.rules = append(q.identity.rules, &want)
	return &want
}

// ruled tells whether a service lets a request of a token with access rules
// in. One that was not told its own type cannot say, and refuses them all.
// Patterns in paths are not understood here.
func (q *query) ruled() bool {
	if q.tok.appCred == nil || q.tok.appCred.rules == nil {
		return true
	}
	for _, r := range q.tok.appCred.rules {
		if slices.Contains(q.opt.RuledServices, r.Service) && r.Service == serviceOf(q.r.URL.Path) && r.Method == q.r.Method && r.Path == q.r.URL.Path {
			return true
		}
	}
	return false
}

func listAccessRules(q *query, u *user) reply {
	all := []any{}
	for _, r := range q.identity.rules {
		if r.user == u {
			v := r.view()
			v["links"] = obj{"self": q.base() + identityAt + "/v3/access_rules/" + r.ID}
			all = append(all, v)
		}
	}
	return ok(obj{"access_rules": all, "links": obj{"self": q.self(), "next": nil, "previous": nil}})
}

func deleteAccessRule(q *query, u *user) reply {
	id := q.path("id")
	at := slices.IndexFunc(q.identity.rules, func(r *accessRule) bool { return r.user == u && r.ID == id })
	if at < 0 {
		return keystoneError(404, "Not Found", "Could not find Access Rule: "+id+".")
	}
	for _, a := range q.identity.creds {
		if slices.Contains(a.rules, q.identity.rules[at]) {
			return keystoneError(403, "Forbidden", "You are not authorized to perform the requested action: Access rule is still in use by one or more application credentials.")
		}
	}
	q.identity.rules = slices.Delete(q.identity.rules, at, at+1)
	return reply{status: 204}
}
