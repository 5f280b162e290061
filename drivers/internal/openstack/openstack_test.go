package openstack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

func wantKind(t *testing.T, err error, want drivers.Kind) {
	t.Helper()
	if err == nil || drivers.KindOf(err) != want {
		t.Fatalf("got %v (%s), want an error of kind %s", err, drivers.KindOf(err), want)
	}
	if !isDriverError(err) {
		t.Fatalf("%T is no *drivers.Error", err)
	}
}

func isDriverError(err error) bool {
	_, ok := err.(*drivers.Error) //nolint:errorlint // the outermost error is meant
	return ok
}

// wantText checks that an error says each of the texts.
func wantText(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("got %q, want %q in it", err, s)
		}
	}
}

// cloud is a Keystone and the other services in one server: /<service>/... goes
// to serve, and what came is kept.
type cloud struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // "METHOD path" of all but token requests
	auths    []string // bodies of token requests, or the token that asked about itself
	tokens   int      // tokens given
	valid    string   // the one that is good now
	slept    []time.Duration
	serve    http.HandlerFunc // nil: 200 and {}

	// Set these only while no request is under way.
	keystone http.HandlerFunc // nil: gives a token
	project  string           // default p1
	catalog  func(base string) string
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := newUnstarted()
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func newUnstarted() *cloud {
	c := &cloud{project: "p1", catalog: allServices}
	c.Server = httptest.NewUnstartedServer(c)
	return c
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v3/auth/tokens" {
		c.authenticate(w, r)
		return
	}
	c.mu.Lock()
	c.requests = append(c.requests, r.Method+" "+r.URL.RequestURI())
	ok, serve := r.Header.Get("X-Auth-Token") == c.valid, c.serve
	c.mu.Unlock()
	switch {
	case !ok:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "Authentication required")
	case serve != nil:
		serve(w, r)
	default:
		fmt.Fprint(w, "{}")
	}
}

func (c *cloud) authenticate(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method == http.MethodGet {
		b = []byte("GET " + r.Header.Get("X-Subject-Token"))
	}
	c.auths = append(c.auths, string(b))
	if c.keystone != nil {
		c.keystone(w, r)
		return
	}
	c.tokens++
	c.valid = fmt.Sprintf("token-number-%d", c.tokens)
	w.Header().Set("X-Subject-Token", c.valid)
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"token": {"expires_at": "2031-01-02T03:04:05.000000Z", "project": {"id": %q, "name": "demo"},
		"user": {"id": "u1", "name": "ann"}, "roles": [{"name": "reader"}, {"name": "member"}], "catalog": [%s]}}`,
		c.project, c.catalog(c.URL))
}

// expire makes the token in use worthless.
func (c *cloud) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.valid = "none"
}

// answer sets what services say from now on.
func (c *cloud) answer(h http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serve = h
}

func (c *cloud) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

func allServices(base string) string {
	return strings.Join([]string{
		service("orchestration", "RegionOne", base+"/heat/v1/p1"),
		service("compute", "RegionOne", base+"/nova/v2.1"),
		service("network", "RegionOne", base+"/neutron"),
		service("volumev3", "RegionOne", base+"/cinder/v3/p1"),
		service("container-infrastructure-management", "RegionOne", base+"/magnum/v1/"),
		service("image", "RegionOne", base+"/glance/"),
	}, ",")
}

func service(typ, region, url string) string {
	return fmt.Sprintf(`{"type": %q, "endpoints": [
		{"interface": "internal", "region": %[2]q, "region_id": %[2]q, "url": "%[3]s/internal"},
		{"interface": "public", "region": %[2]q, "region_id": %[2]q, "url": %[3]q}]}`, typ, region, url)
}

// env are the OS_* variables for the cloud, changed by more ("KEY=" drops one).
func (c *cloud) env(more ...string) func(string) string {
	vars := map[string]string{
		"OS_AUTH_URL": c.URL, "OS_USERNAME": "ann", "OS_PASSWORD": "correct horse", "OS_PROJECT_NAME": "demo",
	}
	for _, kv := range more {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	return func(k string) string { return vars[k] }
}

// settings connect to the cloud by OS_* variables and never really sleep.
func (c *cloud) settings(more ...string) openstack.Settings {
	return openstack.Settings{
		Cloud: openstack.EnvCloud, Getenv: c.env(more...), Timeout: 10 * time.Second, Log: zap.NewNop(),
		Sleep: func(ctx context.Context, d time.Duration) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.slept = append(c.slept, d)
			return ctx.Err()
		},
	}
}

func connect(t *testing.T, s openstack.Settings) *openstack.Cloud {
	t.Helper()
	c, err := openstack.Connect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// write puts a file into a new folder and gives its path.
func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sameJSON is text without its layout.
func sameJSON(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return v
}
