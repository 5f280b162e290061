package sim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers/sim"
)

// Barbican and application credentials, as the driver's vault relies on them.

const pem = "\n-----BEGIN X-----\nYWJj\n-----END X-----\n"

// secrets is the address of Barbican's secrets.
func (w *world) secrets() string { return w.urls["key-manager"] + "/v1/secrets" }

// keep makes a secret that goes when the test ends.
func (w *world) keep(name string) string {
	w.t.Helper()
	a := w.call("POST", w.secrets(), m{"name": name, "payload": pem, "payload_content_type": "text/plain"})
	if a.status != 201 {
		w.t.Fatalf("keep %s: %d %s", name, a.status, a.text)
	}
	ref := a.str("secret_ref")
	equal(w.t, "Location", a.header.Get("Location"), ref)
	token := w.token
	w.t.Cleanup(func() { w.callAs(token, "DELETE", ref, nil) })
	return ref
}

// payload reads what a secret holds.
func (w *world) payload(token, ref, accept string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, ref+"/payload", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := parse(raw)
	a.status, a.header = resp.StatusCode, resp.Header
	return a
}

// as is the same world seen by somebody else.
func (w *world) as(user, project string) *world {
	w.t.Helper()
	other, password := *w, "sim"
	if onLab() {
		password = "lab"
	}
	other.login(user, password, project)
	return &other
}

func says(t *testing.T, what string, a answer, status int, text string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.text, text) {
		t.Errorf("%s: got %d %s, want %d %q", what, a.status, a.text, status, text)
	}
}

func TestFactsSecrets(t *testing.T) {
	w := newWorld(t)
	name := w.name("kv")
	ref := w.keep(name)
	a := w.call("GET", ref, nil)
	equal(t, "status", a.str("status"), "ACTIVE")
	equal(t, "name", a.str("name"), name)
	equal(t, "reference", a.str("secret_ref"), ref)
	equal(t, "content", a.str("content_types.default"), "text/plain")
	if _, err := time.Parse("2006-01-02T15:04:05", a.str("created")); err != nil {
		t.Errorf("created has not a resolution of one second: %v", err)
	}
	for accept, ctype := range map[string]string{"text/plain": "text/plain; charset=UTF-8", "application/octet-stream": "application/octet-stream"} {
		a := w.payload(w.token, ref, accept)
		equal(t, "payload as "+accept+", stripped of blanks", a.text, strings.TrimSpace(pem))
		equal(t, "type as "+accept, a.header.Get("Content-Type"), ctype)
	}
	says(t, "payload as JSON", w.payload(w.token, ref, "application/json"), 406, "Wrong payload content-type.")
	binary := w.call("POST", w.secrets(), m{"name": name, "payload": "YWJj", "payload_content_type": "application/octet-stream", "payload_content_encoding": "base64"})
	equal(t, "bytes as text", w.payload(w.token, binary.str("secret_ref"), "text/plain").text, "abc")
	equal(t, "DELETE", w.call("DELETE", binary.str("secret_ref"), nil).status, 204)
	says(t, "repeated DELETE", w.call("DELETE", binary.str("secret_ref"), nil), 404, "Not Found")
	says(t, "GET of what is gone", w.call("GET", binary.str("secret_ref"), nil), 404, "Not Found")
	says(t, "payload of what is gone", w.payload(w.token, binary.str("secret_ref"), "text/plain"), 404, "Not Found")
	says(t, "an id that is none", w.call("GET", w.secrets()+"/nope", nil), 404, "Provided secret id is invalid.")

	empty := w.call("POST", w.secrets(), m{"name": w.name("kv-empty")}).str("secret_ref")
	equal(t, "content types of a secret without payload", w.call("GET", empty, nil).at("content_types"), nil)
	says(t, "payload of a secret without one", w.payload(w.token, empty, "text/plain"), 404, "Sorry but your secret has no payload.")
	equal(t, "DELETE of it", w.call("DELETE", empty, nil).status, 204)
	for what, c := range map[string]struct {
		body any
		text string
	}{
		"a blank payload":           {m{"name": name, "payload": " \n", "payload_content_type": "text/plain"}, "must be non empty"},
		"an empty payload":          {m{"name": name, "payload": "", "payload_content_type": "text/plain"}, "must be non empty"},
		"a payload without type":    {m{"name": name, "payload": "x"}, "'payload_content_type' must also be supplied"},
		"bytes without an encoding": {m{"name": name, "payload": "x", "payload_content_type": "application/octet-stream"}, "payload_content_encoding is not one of"},
		"a name of 256 characters":  {m{"name": strings.Repeat("n", 256), "payload": "x", "payload_content_type": "text/plain"}, "is too long"},
		"no JSON":                   {"{", "Malformed JSON"},
	} {
		says(t, what, w.call("POST", w.secrets(), c.body), 400, c.text)
	}
}

func TestFactsSecretNames(t *testing.T) {
	w := newWorld(t)
	name := w.name("kv")
	refs := []string{w.keep(name), w.keep(name), w.keep(name)} // names are not unique
	w.keep(name + "2")
	at := w.secrets() + "?name=" + url.QueryEscape(name)
	var found []string
	for offset := range 4 {
		a := w.call("GET", fmt.Sprintf("%s&limit=1&offset=%d", at, offset), nil)
		equal(t, "total", a.at("total"), any(3.0))
		for _, s := range a.list("secrets") {
			found = append(found, answer{json: s}.str("secret_ref"))
		}
		next := a.str("next")
		equal(t, "next", next != "", offset < 2)
		equal(t, "the next link has the name", strings.Contains(next, "name="), false)
	}
	slices.Sort(found)
	slices.Sort(refs)
	if !slices.Equal(found, refs) {
		t.Errorf("pages gave %v, want %v", found, refs)
	}
	equal(t, "rows of an unlimited list are ten at most", len(w.call("GET", w.secrets(), nil).list("secrets")) <= 10, true)
	equal(t, "with blanks", w.call("GET", at+"+", nil).at("total"), any(0.0))
	equal(t, "a limit that is none", len(w.call("GET", at+"&limit=x", nil).list("secrets")), 3)
	equal(t, "a limit of nothing", len(w.call("GET", at+"&limit=0", nil).list("secrets")), 1)
}

func TestFactsSecretsOfOthers(t *testing.T) {
	w := newWorld(t)
	ref := w.keep(w.name("kv"))
	for who, other := range map[string]*world{"a reader": w.as("viewer", "demo"), "another project": w.as("demo2", "demo2")} {
		says(t, who, other.call("GET", ref, nil), 403, "Secret retrieval attempt not allowed")
		says(t, who, other.payload(other.token, ref, "text/plain"), 403, "Secret payload retrieval attempt not allowed")
		says(t, who, other.call("DELETE", ref, nil), 403, "Secret deletion attempt not allowed")
	}
	says(t, "a reader", w.as("viewer", "demo").call("POST", w.secrets(), m{"name": "kv"}), 403, "Secret creation attempt not allowed")
	equal(t, "list of another project", w.as("demo2", "demo2").call("GET", w.secrets()+"?name="+w.name("kv"), nil).at("total"), any(0.0))
}

// credential makes an application credential that goes when the test ends, with
// its rules.
func (w *world) credential(suffix string, body m) answer {
	w.t.Helper()
	body["name"] = w.name(suffix)
	a := w.call("POST", w.credentials(), m{"application_credential": body})
	if id := a.str("application_credential.id"); id != "" {
		token := w.token
		w.t.Cleanup(func() {
			w.callAs(token, "DELETE", w.credentials()+"/"+id, nil)
			for _, r := range a.list("application_credential.access_rules") {
				w.callAs(token, "DELETE", w.rules()+"/"+answer{json: r}.str("id"), nil)
			}
		})
	}
	return a
}

func (w *world) credentials() string { return w.auth + "/users/" + w.user + "/application_credentials" }
func (w *world) rules() string       { return w.auth + "/users/" + w.user + "/access_rules" }

// enter logs in with an application credential.
func (w *world) enter(cred answer) (answer, string) {
	w.t.Helper()
	a := w.call("POST", w.auth+"/auth/tokens", m{"auth": m{"identity": m{"methods": []string{"application_credential"}, "application_credential": m{
		"id": cred.str("application_credential.id"), "secret": cred.str("application_credential.secret"),
	}}}})
	return a, a.header.Get("X-Subject-Token")
}

// only is the rule that lets a token read what one secret holds.
func only(t *testing.T, ref string) []any {
	t.Helper()
	u, err := url.Parse(ref + "/payload")
	if err != nil {
		t.Fatal(err)
	}
	return []any{m{"path": u.Path, "method": "GET", "service": "key-manager"}}
}

const keystoneTime = "2006-01-02T15:04:05Z"

// now is the cloud's time.
func (w *world) now() time.Time {
	if w.clock != nil {
		return w.clock.Now().UTC()
	}
	return time.Now().UTC()
}

// A service that was told its own type (service_type in [keystone_authtoken])
// lets a token with access rules do exactly what they say. One that was not
// refuses such a token altogether.
func TestFactsAccessRules(t *testing.T) {
	for name, services := range map[string][]string{"told": {"key-manager"}, "not told": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *sim.Options) { o.RuledServices = services })
			ref, other := w.keep(w.name("kv-a")), w.keep(w.name("kv-b"))
			expires := w.now().Add(time.Minute).Truncate(time.Second)
			cred := w.credential("kv-c", m{"access_rules": only(t, ref), "roles": []any{m{"name": "creator"}}, "expires_at": expires.Format(keystoneTime)})
			equal(t, "expires_at", cred.str("application_credential.expires_at"), expires.Format("2006-01-02T15:04:05.000000"))
			a, token := w.enter(cred)
			equal(t, "log in", a.status, 201)
			equal(t, "rule in the token", a.str("token.application_credential.access_rules.0.service"), "key-manager")
			equal(t, "end of the token, without a Z", a.str("token.expires_at"), expires.Format("2006-01-02T15:04:05"))
			own := w.payload(token, ref, "text/plain")
			if onLab() {
				services = nil
				if own.status == 200 {
					services = []string{"key-manager"}
				}
			}
			if services != nil {
				equal(t, "own payload", own.text, strings.TrimSpace(pem))
			} else {
				equal(t, "own payload", own.status, 401)
			}
			equal(t, "another's payload", w.payload(token, other, "text/plain").status, 401)
			for _, c := range [][2]string{
				{"GET", ref},
				{"DELETE", ref},
				{"GET", w.secrets()},
				{"POST", w.secrets()},
				{"GET", w.urls["compute"] + "/servers"},
				{"GET", w.urls["network"] + "/v2.0/networks"},
				{"GET", w.urls["image"] + "/v2/images"},
				{"GET", w.urls["orchestration"] + "/stacks"},
			} {
				equal(t, c[0]+" "+c[1], w.callAs(token, c[0], c[1], nil).status, 401)
			}
			equal(t, "names of the user's credentials", w.callAs(token, "GET", w.credentials(), nil).status, 200) // Keystone does not look at rules
			rescope := w.call("POST", w.auth+"/auth/tokens", m{"auth": m{"identity": m{"methods": []string{"token"}, "token": m{"id": token}}}})
			says(t, "another token", rescope, 404, "Failed to validate token")
			says(t, "another credential", w.callAs(token, "POST", w.credentials(), m{"application_credential": m{"name": w.name("kv-d")}}), 403, "not allowed for managing additional application credentials")
		})
	}
}

func TestFactsCredentials(t *testing.T) {
	t.Run("a member that is no creator reads no secret", func(t *testing.T) {
		w := newWorld(t)
		ref := w.keep(w.name("kv"))
		for role, status := range map[string]int{"creator": 200, "member": 403, "reader": 403} {
			_, token := w.enter(w.credential("kv-"+role, m{"roles": []any{m{"name": role}}}))
			equal(t, role, w.payload(token, ref, "text/plain").status, status)
		}
	})
	t.Run("names are unique, and rules outlive what brought them", func(t *testing.T) {
		w := newWorld(t)
		rules := only(t, w.secrets()+"/"+w.name("kv"))
		a := w.credential("kv", m{"access_rules": rules})
		says(t, "the name again", w.credential("kv", m{}), 409, "Duplicate entry found with name "+w.name("kv"))
		b := w.credential("kv2", m{"access_rules": rules})
		rule := a.str("application_credential.access_rules.0.id")
		equal(t, "rule of the second", b.str("application_credential.access_rules.0.id"), rule)
		for _, c := range []answer{a, b} {
			says(t, "DELETE of a rule in use", w.call("DELETE", w.rules()+"/"+rule, nil), 403, "")
			equal(t, "DELETE", w.call("DELETE", w.credentials()+"/"+c.str("application_credential.id"), nil).status, 204)
			says(t, "repeated DELETE", w.call("DELETE", w.credentials()+"/"+c.str("application_credential.id"), nil), 404, "Could not find Application Credential")
			refused, _ := w.enter(c)
			says(t, "log in with what is gone", refused, 404, "Could not find Application Credential")
		}
		contains(t, "rules", w.call("GET", w.rules(), nil).text, rule)
		equal(t, "DELETE of a rule", w.call("DELETE", w.rules()+"/"+rule, nil).status, 204)
		equal(t, "repeated DELETE of a rule", w.call("DELETE", w.rules()+"/"+rule, nil).status, 404)
	})
	t.Run("one that has expired is refused and stays in the list", func(t *testing.T) {
		w := newWorld(t)
		ref := w.keep(w.name("kv"))
		c := w.credential("kv", m{"expires_at": w.now().Add(4 * time.Second).Format(keystoneTime), "roles": []any{m{"name": "creator"}}})
		_, token := w.enter(c)
		equal(t, "before", w.payload(token, ref, "text/plain").status, 200)
		w.pass(5 * time.Second)
		equal(t, "token afterwards", w.payload(token, ref, "text/plain").status, 401)
		a, _ := w.enter(c)
		equal(t, "log in afterwards", a.status, 401)
		contains(t, "list", w.call("GET", w.credentials(), nil).text, c.str("application_credential.id"))
	})
	t.Run("what cannot be made", func(t *testing.T) {
		w := newWorld(t)
		for what, c := range map[string]struct {
			body   m
			status int
			text   string
		}{
			"a past end":               {m{"expires_at": "2020-01-01T00:00:00Z"}, 400, "The 'expires_at' must not be before now."},
			"an end that is no time":   {m{"expires_at": "soon"}, 400, "Timestamp not in expected format."},
			"an end with an offset":    {m{"expires_at": "2090-01-01T00:00:00+02:00"}, 400, "Timestamp not in expected format."},
			"a role that nobody knows": {m{"roles": []any{m{"name": "nope"}}}, 404, "Role nope is not defined"},
			"a role of others":         {m{"roles": []any{m{"name": "admin"}}}, 400, "Cannot create an application credential with unassigned role"},
			"a rule without a path":    {m{"access_rules": []any{m{"path": "nope", "method": "GET", "service": "key-manager"}}}, 400, "Invalid input for field 'access_rules/0/path'"},
			"a rule of no method":      {m{"access_rules": []any{m{"path": "/a", "method": "FOO", "service": "key-manager"}}}, 400, "Invalid input for field 'access_rules/0/method'"},
		} {
			says(t, what, w.credential("kv", c.body), c.status, c.text)
		}
	})
}
