package pki_test

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/drivers/pki"
)

// config is what kubectl reads of a kubeconfig.
type config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Current    string `json:"current-context"`
	Clusters   []struct {
		Name    string `json:"name"`
		Cluster struct {
			Server   string `json:"server"`
			Name     string `json:"tls-server-name"`
			Insecure bool   `json:"insecure-skip-tls-verify"`
			CA       []byte `json:"certificate-authority-data"`
		} `json:"cluster"`
	} `json:"clusters"`
	Contexts []struct {
		Name    string `json:"name"`
		Context struct {
			Cluster string `json:"cluster"`
			User    string `json:"user"`
		} `json:"context"`
	} `json:"contexts"`
	Users []struct {
		Name string `json:"name"`
		User struct {
			Certificate []byte `json:"client-certificate-data"`
			Key         []byte `json:"client-key-data"`
		} `json:"user"`
	} `json:"users"`
}

func access(t testing.TB, keys *pki.Keys, cluster string) pki.Access {
	t.Helper()
	c, err := keys.Cluster.Client(pki.Client{User: "joe", Groups: []string{"dev"}}, terms(3))
	if err != nil {
		t.Fatal(err)
	}
	return pki.Access{Cluster: cluster, Server: "https://10.0.0.1:6443", Trust: keys.Cluster.Bundle(), Credential: c}
}

func read(t testing.TB, a pki.Access) config {
	t.Helper()
	text, err := pki.Kubeconfig(a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.Kubeconfig(a)
	if err != nil || again.Reveal() != text.Reveal() {
		t.Errorf("the second text is another one, or %v", err)
	}
	var c config
	if err := yaml.UnmarshalStrict([]byte(text.Reveal()), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Clusters) != 1 || len(c.Contexts) != 1 || len(c.Users) != 1 {
		t.Fatalf("%d clusters, %d contexts, %d users", len(c.Clusters), len(c.Contexts), len(c.Users))
	}
	return c
}

func TestKubeconfigIsRead(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	for _, name := range []string{"blue", "yes", "1e3", "null", "0x1f", "2026-01-01", `a: b #"c'`, "- x", "größe", "*", "{}", "~"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := access(t, keys, name)
			c := read(t, a)
			context := c.Contexts[0]
			if c.APIVersion != "v1" || c.Kind != "Config" || c.Current != name || context.Name != name || context.Context.Cluster != name || c.Clusters[0].Name != name {
				t.Errorf("%+v", c)
			}
			if c.Users[0].Name != "joe@"+name || context.Context.User != "joe@"+name {
				t.Errorf("users %q, %q", c.Users[0].Name, context.Context.User)
			}
			if c.Clusters[0].Cluster.Server != a.Server {
				t.Errorf("server %q", c.Clusters[0].Cluster.Server)
			}
			if got := string(c.Clusters[0].Cluster.CA); got != pki.EncodeCertificates(keys.Cluster.Certificate()) {
				t.Errorf("authority %s", got)
			}
		})
	}
}

func TestKubeconfigWithoutTLS(t *testing.T) {
	t.Parallel()
	text, err := pki.Kubeconfig(pki.Access{Cluster: "blue", Server: "http://10.0.0.1:8080"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `apiVersion: v1
clusters:
- cluster:
    server: http://10.0.0.1:8080
  name: blue
contexts:
- context:
    cluster: blue
    user: nobody@blue
  name: blue
current-context: blue
kind: Config
users:
- name: nobody@blue
  user: {}
`
	if text.Reveal() != want {
		t.Errorf("got:\n%s", text.Reveal())
	}
}

// An address that is not in the server's certificate is checked by another name.
func TestKubeconfigWithServerName(t *testing.T) {
	t.Parallel()
	a := access(t, newKeys(t, 1), "blue")
	if c := read(t, a).Clusters[0].Cluster; c.Name != "" || c.Insecure {
		t.Errorf("nobody asked for it: %+v", c)
	}
	a.ServerName = "kubernetes"
	if c := read(t, a).Clusters[0].Cluster; c.Name != "kubernetes" || c.Insecure || c.Server != a.Server {
		t.Errorf("%+v", c)
	}
}

// An API that lets in everybody is served with TLS all the same.
func TestKubeconfigForEverybody(t *testing.T) {
	t.Parallel()
	c := read(t, pki.Access{Cluster: "blue", Server: "https://10.0.0.1:6443", Anonymous: true})
	if c := c.Clusters[0].Cluster; !c.Insecure || c.CA != nil || c.Server != "https://10.0.0.1:6443" {
		t.Errorf("%+v", c)
	}
	if u := c.Users[0].User; u.Certificate != nil || u.Key != nil {
		t.Errorf("somebody logs in: %+v", u)
	}
	if c := read(t, pki.Access{Cluster: "blue", Server: "http://10.0.0.1:8080", Anonymous: true}).Clusters[0].Cluster; c.Insecure {
		t.Errorf("plain http has nothing to skip: %+v", c)
	}
}

func TestKubeconfigRefuses(t *testing.T) {
	t.Parallel()
	keys, other := newKeys(t, 1), newKeys(t, 2)
	for _, tt := range []struct {
		outcome string
		change  func(*pki.Access)
		want    string
	}{
		{"no name", func(a *pki.Access) { a.Cluster = "" }, "cluster: the name is missing"},
		{"no trust", func(a *pki.Access) { a.Trust = nil }, "no authority to trust"},
		{"no client", func(a *pki.Access) { a.Credential = pki.Credential{} }, "no client certificate"},
		{"another cluster's trust", func(a *pki.Access) { a.Trust = other.Cluster.Bundle() }, "signed by none"},
		{"plain http with certificates", func(a *pki.Access) { a.Server = "http://10.0.0.1:80" }, "plain http takes no certificates"},
		{"plain http with a name", func(a *pki.Access) {
			a.Server, a.Trust, a.Credential, a.ServerName = "http://10.0.0.1:80", nil, pki.Credential{}, "kubernetes"
		}, "plain http takes no certificates"},
		{"certificates for what lets in everybody", func(a *pki.Access) { a.Anonymous = true }, "lets in everybody takes no certificates"},
		{"a name that is none", func(a *pki.Access) { a.ServerName = "a b" }, `the server's name "a b" is none`},
		{"a certificate without its key", func(a *pki.Access) { a.Credential = pki.Credential{Certificate: a.Credential.Certificate} }, "no private key"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			a := access(t, keys, "blue")
			tt.change(&a)
			if _, err := pki.Kubeconfig(a); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	for server, want := range map[string]string{
		"https://10.0.0.1:6443":           "",
		"https://api.blue.example.org:1":  "",
		"https://[2001:db8::1]:65535":     "",
		"https://localhost:6443":          "",
		"":                                "expected https://",
		"10.0.0.1:6443":                   "no URL",
		"ftp://10.0.0.1:6443":             "expected https://",
		"https://10.0.0.1":                "expected a port",
		"https://10.0.0.1:":               "expected a port",
		"https://10.0.0.1:0":              "expected a port",
		"https://10.0.0.1:06443":          "expected a port",
		"https://10.0.0.1:65536":          "expected a port",
		"https://:6443":                   "the host is neither",
		"https://10.0.0.300:6443":         "the host is neither",
		"https://[10.0.0.1]:6443":         "the server",
		"https://[fe80::1%25eth0]:6443":   "the host is neither",
		"https://a_b:6443":                "the host is neither",
		"https://2001:db8::1:6443":        "the server",
		"https://10.0.0.1:6443/":          "nothing after the port",
		"https://10.0.0.1:6443/x":         "nothing after the port",
		"https://10.0.0.1:6443?x=1":       "nothing after the port",
		"https://10.0.0.1:6443#x":         "nothing after the port",
		"https://joe:hunter2@10.0.0.1:64": "has a user in it",
		"https://10.0.0.1:6443\nx: y":     "no URL",
	} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			a := access(t, keys, "blue")
			a.Server = server
			_, err := pki.Kubeconfig(a)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("it repeats a password: %v", err)
			}
		})
	}
	for _, tt := range []struct {
		host string
		port int
		off  bool
		want string
	}{
		{"10.0.0.1", 6443, false, "https://10.0.0.1:6443"},
		{"2001:db8::1", 6443, false, "https://[2001:db8::1]:6443"},
		{"[2001:db8::1]", 6443, false, "https://[2001:db8::1]:6443"},
		{"api.example.org", 8080, true, "http://api.example.org:8080"},
		{"", 6443, false, ""},
		{"10.0.0.1", 0, false, ""},
		{"10.0.0.1/x", 1, false, ""},
	} {
		got, err := pki.ServerURL(tt.host, tt.port, tt.off)
		if (err == nil) != (tt.want != "") || err == nil && got != tt.want {
			t.Errorf("%q %d: got %q, %v, want %q", tt.host, tt.port, got, err, tt.want)
		}
	}
}

// What kubectl does: read the file, believe the server by it, be believed by it.
func TestHandshake(t *testing.T) {
	t.Parallel()
	keys, other := newKeys(t, 1), newKeys(t, 2)
	for _, tt := range []struct {
		outcome        string
		server, client *pki.Keys
		host           string
		after          time.Duration
		works          bool
	}{
		{"works", keys, keys, "10.0.0.1", 0, true},
		{"another cluster's server", other, keys, "10.0.0.1", 0, false},
		{"another cluster's client", keys, other, "10.0.0.1", 0, false},
		{"another address", keys, keys, "10.0.0.2", 0, false},
		{"too late", keys, keys, "10.0.0.1", 2 * time.Hour, false},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			a := access(t, tt.client, "blue")
			if tt.client != keys {
				a.Trust = append(a.Trust, keys.Cluster.Bundle()...) // it trusts the server: the server must refuse
			}
			a.Server = "https://" + tt.host + ":6443"
			at := func() time.Time { return now.Add(tt.after) }
			user, err := handshake(t, serverOf(t, tt.server, keys, at), clientOf(t, read(t, a), at))
			if (err == nil) != tt.works || tt.works && (user.CommonName != "joe" || user.Organization[0] != "dev") {
				t.Errorf("user %s, %v; works: want %v", user, err, tt.works)
			}
		})
	}
}

// serverOf has a certificate of one cluster's authority, by a request, and asks
// for clients of another's.
func serverOf(t testing.TB, own, clients *pki.Keys, at func() time.Time) *tls.Config {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	r, err := pki.ParseRequest(csr(t, x509.CertificateRequest{Subject: pkix.Name{CommonName: "kube-apiserver"}, IPAddresses: []net.IP{{10, 0, 0, 1}}}, key, usage(t, 1)))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := own.Cluster.Sign(r, terms(9))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(clients.Cluster.Certificate())
	return &tls.Config{
		Time: at, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
	}
}

func clientOf(t testing.TB, c config, at func() time.Time) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(c.Users[0].User.Certificate, c.Users[0].User.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.Clusters[0].Cluster.CA) {
		t.Fatal("no authority in the kubeconfig")
	}
	u, err := url.Parse(c.Clusters[0].Cluster.Server)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Time: at, RootCAs: pool, Certificates: []tls.Certificate{pair}, ServerName: u.Hostname()}
}

func handshake(t testing.TB, server, client *tls.Config) (user pkix.Name, err error) {
	t.Helper()
	near, far := net.Pipe()
	accepted := make(chan error, 1)
	s := tls.Server(far, server)
	go func() {
		defer far.Close()
		err := s.HandshakeContext(t.Context())
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		accepted <- err
	}()
	c := tls.Client(near, client)
	if err = c.HandshakeContext(t.Context()); err == nil {
		_, err = c.Read(make([]byte, 1)) // in TLS 1.3 only now is the client accepted
	}
	near.Close()
	if refused := <-accepted; err == nil {
		err = refused
	}
	if err == nil {
		user = s.ConnectionState().PeerCertificates[0].Subject
	}
	return user, err
}
