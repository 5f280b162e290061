package openstack_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// What clouds.yaml says becomes this token request.
func TestAuthRequests(t *testing.T) {
	t.Parallel()
	const (
		inDefault = `"domain": {"id": "default"}`
		demo      = `"scope": {"project": {"name": "demo", "domain": {"id": "default"}}}`
	)
	password := func(user, scope string) string {
		return `{"auth": {"identity": {"methods": ["password"], "password": {"user": {` + user + `, "password": "pw"}}}, ` + scope + `}}`
	}
	for name, tt := range map[string]struct{ entry, secure, want string }{
		"domains default": {
			`{auth: {username: ann, password: pw, project_name: demo}}`, "",
			password(`"name": "ann", `+inDefault, demo),
		},
		"domains by name": {
			`{auth: {username: ann, password: pw, project_name: demo, user_domain_name: U, project_domain_name: P}}`, "",
			password(`"name": "ann", "domain": {"name": "U"}`, `"scope": {"project": {"name": "demo", "domain": {"name": "P"}}}`),
		},
		"one domain for both": {
			`{auth: {username: ann, password: pw, project_name: demo, domain_id: d}}`, "",
			password(`"name": "ann", "domain": {"id": "d"}`, `"scope": {"project": {"name": "demo", "domain": {"id": "d"}}}`),
		},
		"all by id": {
			`{auth: {user_id: u, password: pw, project_id: p, project_name: ignored}}`, "",
			password(`"id": "u"`, `"scope": {"project": {"id": "p"}}`),
		},
		"secure.yaml over clouds.yaml": {
			`{auth: {username: ann, password: old, project_name: demo}}`, `{auth: {password: pw}}`,
			password(`"name": "ann", `+inDefault, demo),
		},
		"variables stay as written": {
			`{auth: {username: "${USER}", password: pw, project_name: demo}}`, "",
			password(`"name": "${USER}", `+inDefault, demo),
		},
		"application credential by id": {
			`{auth: {application_credential_id: a, application_credential_secret: s}}`, "",
			`{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": "a", "secret": "s"}}}}`,
		},
		"application credential by name": {
			`{auth_type: v3applicationcredential, auth: {application_credential_name: a, application_credential_secret: s, username: ann, password: unused}}`, "",
			`{"auth": {"identity": {"methods": ["application_credential"], "application_credential":
				{"name": "a", "secret": "s", "user": {"name": "ann", ` + inDefault + `}}}}}`,
		},
		"token for a project": {
			`{auth_type: token, auth: {token: tok, project_name: demo}}`, "",
			`{"auth": {"identity": {"methods": ["token"], "token": {"id": "tok"}}, ` + demo + `}}`,
		},
		"token as it is": {`{auth: {token: tok}}`, "", `"GET tok"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			s := c.settings()
			dir := t.TempDir()
			entry := strings.Replace(tt.entry, "auth: {", "auth: {auth_url: "+c.URL+", ", 1)
			file := write(t, dir, "clouds.yaml", "clouds:\n  mine: "+entry+"\n")
			if tt.secure != "" {
				write(t, dir, "secure.yaml", "clouds:\n  mine: "+tt.secure+"\n")
			}
			s.Cloud, s.Getenv = "mine", only("OS_CLIENT_CONFIG_FILE", file)
			connect(t, s)
			got := c.auths[0]
			if strings.HasPrefix(got, "GET ") {
				got = `"` + got + `"`
			}
			if d := cmp.Diff(sameJSON(t, tt.want), sameJSON(t, got)); d != "" {
				t.Errorf("token request (-want +got):\n%s", d)
			}
		})
	}
}

func only(pairs ...string) func(string) string {
	return func(k string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == k {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// The environment's file is the only one; else the user's comes before others
// that are further away, and a local one before it.
func TestWhereCloudsYAMLIs(t *testing.T) {
	c := newCloud(t)
	dir := t.TempDir()
	t.Chdir(dir)
	entry := func(user string) string {
		return "clouds: {mine: {auth: {auth_url: " + c.URL + ", username: " + user + ", password: pw, project_name: demo}}}"
	}
	s := c.settings()
	s.Cloud, s.Getenv = "mine", only("HOME", dir)
	_, err := openstack.Connect(t.Context(), s)
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "clouds.yaml", filepath.Join(dir, ".config/openstack/clouds.yaml"), "/etc/openstack/clouds.yaml")

	uses := func(user string) {
		t.Helper()
		connect(t, s)
		if last := c.auths[len(c.auths)-1]; !strings.Contains(last, `"`+user+`"`) {
			t.Errorf("used %s, want the user %s", last, user)
		}
	}
	write(t, dir, ".config/openstack/clouds.yml", entry("home-yml"))
	uses("home-yml")
	write(t, dir, ".config/openstack/clouds.yaml", entry("home"))
	uses("home")
	write(t, dir, "xdg/openstack/clouds.yaml", entry("xdg"))
	s.Getenv = only("HOME", dir, "XDG_CONFIG_HOME", filepath.Join(dir, "xdg"))
	uses("xdg")
	write(t, dir, "clouds.yaml", entry("local"))
	uses("local")
	write(t, dir, ".config/openstack/secure.yaml", "clouds: {mine: {auth: {username: secure}}}")
	s.Getenv = only("HOME", dir)
	uses("secure")
	named := write(t, dir, "named.yaml", entry("named"))
	s.Getenv = only("HOME", dir, "OS_CLIENT_CONFIG_FILE", named, "OS_CLIENT_SECURE_FILE", filepath.Join(dir, "none"))
	uses("named")
	s.Getenv = only("HOME", dir, "OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "gone.yaml"))
	_, err = openstack.Connect(t.Context(), s)
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "gone.yaml")
}

// What is wrong with clouds.yaml is for the operator, all at once, and shows no
// secret.
func TestWrongCloudsYAML(t *testing.T) {
	t.Parallel()
	const auth = "auth_url: http://localhost:1, username: u, password: hunter22, project_name: p"
	for name, tt := range map[string]struct {
		cloud schema.CloudName
		yaml  string
		want  []string
	}{
		"near name":    {"lab-dmeo", "clouds: {lab-demo: {}, other: {}}", []string{`no cloud "lab-dmeo" in `, `did you mean "lab-demo"?`}},
		"far name":     {"prod", "clouds: {lab-demo: {}, other: {}}", []string{"it has lab-demo, other"}},
		"no clouds":    {"a", "cluods: {}", []string{"has no clouds"}},
		"empty":        {"a", "", []string{"must be a mapping"}},
		"not YAML":     {"a", "clouds:\n  a: {auth: {password: *hunter22}}", []string{"anchor"}},
		"all missing":  {"a", "clouds: {a: {}}", []string{"auth_url is missing", "auth needs password", "username or user_id", "project_name or project_id"}},
		"unquoted":     {"a", "clouds: {a: {auth: {auth_url: http://x, username: u, project_name: p, password: 0123}}}", []string{"password must be a text in quotes"}},
		"auth_type":    {"a", "clouds: {a: {auth_type: v3oidc, auth: {" + auth + "}}}", []string{"auth_type", `"v3oidc"`}},
		"interface":    {"a", "clouds: {a: {interface: pubic, auth: {" + auth + "}}}", []string{"interface", `"pubic"`}},
		"verify":       {"a", "clouds: {a: {verify: maybe, auth: {" + auth + "}}}", []string{"verify must be true or false"}},
		"auth_url":     {"a", "clouds: {a: {auth: {auth_url: 'localhost:5000', username: u, password: p, project_name: p}}}", []string{"auth_url must be"}},
		"profile":      {"a", "clouds: {a: {profile: rackspace, auth: {username: u, password: p, project_name: p}}}", []string{`profile "rackspace"`}},
		"no cacert":    {"a", "clouds: {a: {cacert: /no/such.pem, auth: {" + auth + "}}}", []string{"read certificates", "/no/such.pem"}},
		"cred lacking": {"a", "clouds: {a: {auth: {auth_url: http://x, application_credential_name: n, application_credential_secret: s}}}", []string{"username or user_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, t.TempDir(), "clouds.yaml", tt.yaml)
			_, err := openstack.Connect(t.Context(), openstack.Settings{Cloud: tt.cloud, Getenv: only("OS_CLIENT_CONFIG_FILE", file)})
			wantKind(t, err, drivers.Denied)
			wantText(t, err, tt.want...)
			if name != "no cacert" {
				wantText(t, err, file)
			}
			if strings.Contains(err.Error(), "hunter22") {
				t.Errorf("shows the password: %v", err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	_, err := openstack.Connect(t.Context(), openstack.Settings{Cloud: openstack.EnvCloud, Getenv: only()})
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "OS_*", "auth_url is missing")

	c := newCloud(t)
	s := c.settings("OS_PROJECT_NAME=", "OS_TENANT_NAME=old", "OS_USER_DOMAIN_NAME=Users", "OS_ENDPOINT_TYPE=internalURL", "OS_AUTH_URL="+c.URL+"/v2.0/")
	cl := connect(t, s)
	if !strings.Contains(c.auths[0], `"old"`) || !strings.Contains(c.auths[0], `"Users"`) {
		t.Errorf("token request is %s", c.auths[0])
	}
	if err := cl.Get(t.Context(), "compute", "/servers", nil, nil); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"GET /nova/v2.1/internal/servers"}, c.seen()); d != "" {
		t.Error(d)
	}
}

// A server with a certificate of its own is refused, unless cacert or verify
// say otherwise; a client certificate is shown to who asks for it.
func TestCertificates(t *testing.T) {
	t.Parallel()
	c := newUnstarted()
	c.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	c.StartTLS()
	t.Cleanup(c.Close)
	dir := t.TempDir()
	ca := write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})))

	_, err := openstack.Connect(t.Context(), c.settings())
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "certificate", "check auth_url, cacert and verify")
	if len(c.slept) > 0 {
		t.Error("tried again with a server that is not trusted")
	}
	connect(t, c.settings("OS_CACERT="+ca))
	connect(t, c.settings("OS_INSECURE=true"))

	_, err = openstack.Connect(t.Context(), c.settings("OS_CACERT="+write(t, dir, "empty.pem", "")))
	wantKind(t, err, drivers.Denied)
	_, err = openstack.Connect(t.Context(), c.settings("OS_CACERT="+ca, "OS_CERT="+ca))
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "read client certificate")

	plain := newCloud(t)
	_, err = openstack.Connect(t.Context(), plain.settings("OS_AUTH_URL=https"+strings.TrimPrefix(plain.URL, "http")))
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "check auth_url")
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	c := newUnstarted()
	c.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	c.StartTLS()
	t.Cleanup(c.Close)
	pair := write(t, t.TempDir(), "both.pem", clientPair(t))
	connect(t, c.settings("OS_INSECURE=1", "OS_CERT="+pair))
	connect(t, c.settings("OS_INSECURE=1", "OS_CERT="+pair, "OS_KEY="+pair))
	if _, err := openstack.Connect(t.Context(), c.settings("OS_INSECURE=1")); err == nil {
		t.Error("connected without a client certificate")
	}
}

// clientPair makes a self-signed certificate and its key in one PEM text.
func clientPair(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1)}
	raw, err := x509.CreateCertificate(rand.Reader, cert, cert, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}
