package openstack_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// Every service's path hangs on its endpoint in the catalog, with the version
// that the catalog leaves out.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings("OS_REGION_NAME=RegionOne"))
	for _, s := range []string{"orchestration", "compute", "network", "block-storage", "container-infra", "image", "identity"} {
		if err := cl.Get(t.Context(), s, "/things", url.Values{"limit": {"5"}}, nil); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"GET /heat/v1/p1/things?limit=5", "GET /nova/v2.1/things?limit=5", "GET /neutron/v2.0/things?limit=5",
		"GET /cinder/v3/p1/things?limit=5", "GET /magnum/v1/things?limit=5", "GET /glance/v2/things?limit=5", "GET /v3/things?limit=5",
	}
	if d := cmp.Diff(want, c.seen()); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
	wantCounts := map[string]int{
		"orchestration": 1, "compute": 1, "network": 1, "block-storage": 1, "container-infra": 1, "image": 1, "identity": 2,
	}
	if d := cmp.Diff(wantCounts, cl.Stats()); d != "" {
		t.Errorf("stats (-want +got):\n%s", d)
	}
}

func TestNoSuchService(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	err := cl.Get(t.Context(), "load-balancer", "/lbaas/loadbalancers", nil, nil)
	wantKind(t, err, drivers.Rejected)
	wantText(t, err, "the cloud has no load-balancer service")
	if !openstack.NoService(err) || cl.Has("load-balancer") || !cl.Has("compute") {
		t.Errorf("NoService is wrong about %v", err)
	}
	err = cl.Get(t.Context(), "loadbalancer", "/", nil, nil)
	wantKind(t, err, drivers.Unknown)
	if openstack.NoService(err) || openstack.NoService(nil) {
		t.Errorf("NoService is wrong about %v", err)
	}
	wantKind(t, cl.Get(t.Context(), "compute", "servers", nil, nil), drivers.Unknown)
}

func TestEndpointOverride(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	file := write(t, t.TempDir(), "clouds.yaml", fmt.Sprintf(
		"clouds: {mine: {load_balancer_endpoint_override: %[1]s/mine, auth: {auth_url: %[1]s, username: u, password: p, project_name: p}}}", c.URL))
	s := c.settings()
	s.Cloud, s.Getenv = "mine", only("OS_CLIENT_CONFIG_FILE", file)
	if err := connect(t, s).Get(t.Context(), "load-balancer", "/lbaas/loadbalancers", nil, nil); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"GET /mine/v2.0/lbaas/loadbalancers"}, c.seen()); d != "" {
		t.Error(d)
	}
}

// With more than one region the operator says which; a wrong one is not taken
// for a cloud without services.
func TestRegions(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.catalog = func(base string) string {
		return service("compute", "north", base+"/n/v2.1") + "," + service("compute", "south", base+"/s/v2.1")
	}
	_, err := openstack.Connect(t.Context(), c.settings())
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "needs region_name: the cloud has north, south")
	_, err = openstack.Connect(t.Context(), c.settings("OS_REGION_NAME=west"))
	wantKind(t, err, drivers.Denied)
	wantText(t, err, `region_name "west"`, "north, south")
	cl := connect(t, c.settings("OS_REGION_NAME=south"))
	if err := cl.Get(t.Context(), "compute", "/x", nil, nil); err != nil || c.seen()[0] != "GET /s/v2.1/x" || cl.Token().Region != "south" {
		t.Errorf("got %v, %v", c.seen(), err)
	}
}

// sequence answers with one status after the other, then 200.
func sequence(c *cloud, header http.Header, statuses ...int) {
	var n atomic.Int32
	c.answer(func(w http.ResponseWriter, _ *http.Request) {
		i := int(n.Add(1)) - 1
		if i >= len(statuses) {
			io.WriteString(w, `{"ok": true}`)
			return
		}
		for k := range header {
			w.Header().Set(k, header.Get(k))
		}
		w.WriteHeader(statuses[i])
	})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	after := func(v string) http.Header { return http.Header{"Retry-After": {v}} }
	for name, tt := range map[string]struct {
		method   string
		header   http.Header
		statuses []int
		sent     int
		kind     drivers.Kind // "" is success
	}{
		"a GET is sent again":            {"GET", nil, []int{502, 503, 504}, 4, ""},
		"and given up":                   {"GET", nil, []int{502, 503, 504, 502}, 4, drivers.Transient},
		"a limit":                        {"GET", after("2"), []int{429}, 2, ""},
		"an unfriendly limit":            {"GET", after("3600"), []int{429}, 1, drivers.Transient},
		"500 is an answer":               {"GET", nil, []int{500}, 1, drivers.Transient},
		"404 is an answer":               {"GET", nil, []int{404}, 1, drivers.NotFound},
		"a POST is sent once":            {"POST", nil, []int{503}, 1, drivers.Transient},
		"a PUT is sent once":             {"PUT", nil, []int{503}, 1, drivers.Transient},
		"a PATCH is sent once":           {"PATCH", nil, []int{429}, 1, drivers.Transient},
		"a DELETE is sent once":          {"DELETE", nil, []int{502}, 1, drivers.Transient},
		"a POST that succeeds":           {"POST", nil, nil, 1, ""},
		"a DELETE of what is gone":       {"DELETE", nil, []int{404}, 1, drivers.NotFound},
		"a GET that needs one more word": {"GET", nil, []int{200}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			cl := connect(t, c.settings())
			sequence(c, tt.header, tt.statuses...)
			var out any
			err := map[string]func() error{
				"GET":    func() error { return cl.Get(t.Context(), "compute", "/servers/1", nil, &out) },
				"POST":   func() error { return cl.Post(t.Context(), "compute", "/servers", 1, &out) },
				"PUT":    func() error { return cl.Put(t.Context(), "compute", "/servers/1", 1, &out) },
				"PATCH":  func() error { return cl.Patch(t.Context(), "compute", "/servers/1", 1, &out) },
				"DELETE": func() error { return cl.Delete(t.Context(), "compute", "/servers/1", nil, &out) },
			}[tt.method]()
			if tt.kind != "" {
				wantKind(t, err, tt.kind)
			} else if err != nil {
				t.Error(err)
			}
			if got := len(c.seen()); got != tt.sent {
				t.Errorf("sent %d times, want %d", got, tt.sent)
			}
			if got := cl.Stats()["compute"]; got != tt.sent {
				t.Errorf("counted %d, want %d", got, tt.sent)
			}
		})
	}
}

// The waits double as an upper bound; Retry-After is a lower one.
func TestGaps(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after           string
		atLeast, atMost []time.Duration
	}{
		"none":    {"", []time.Duration{0, 0, 0}, []time.Duration{time.Second / 2, time.Second, 2 * time.Second}},
		"seconds": {"7", []time.Duration{7 * time.Second}, []time.Duration{8 * time.Second}},
		"a date":  {time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat), []time.Duration{25 * time.Second}, []time.Duration{31 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			cl := connect(t, c.settings())
			statuses := []int{503, 503, 503}[:len(tt.atLeast)]
			sequence(c, http.Header{"Retry-After": {tt.after}}, statuses...)
			if err := cl.Get(t.Context(), "compute", "/", nil, nil); err != nil {
				t.Fatal(err)
			}
			if len(c.slept) != len(tt.atLeast) {
				t.Fatalf("waited %v", c.slept)
			}
			for i, d := range c.slept {
				if d < tt.atLeast[i] || d > tt.atMost[i] {
					t.Errorf("wait %d is %s, want %s to %s", i, d, tt.atLeast[i], tt.atMost[i])
				}
			}
		})
	}
}

// An answer that breaks off is none, in whatever way it does.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"ok": tr`)
		},
		"half a chunk": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"ok": tr`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			cl := connect(t, c.settings())
			var n atomic.Int32
			c.answer(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 1 {
					broken(w, r)
				}
				io.WriteString(w, `{"ok": true}`)
			})
			var out struct{ OK bool }
			if err := cl.Get(t.Context(), "compute", "/servers", nil, &out); err != nil || !out.OK {
				t.Errorf("got %+v, %v", out, err)
			}
			n.Store(0)
			wantKind(t, cl.Post(t.Context(), "compute", "/servers", 1, &out), drivers.Transient)
			if n.Load() != 1 {
				t.Errorf("a write was sent %d times", n.Load())
			}
		})
	}
}

func TestAnswersThatAreNotJSON(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	for body, kind := range map[string]drivers.Kind{
		"<html>maintenance</html>": drivers.Unknown,
		`{"n": "text"}`:            drivers.Unknown,
		`{"n": 1`:                  drivers.Transient,
	} {
		c.answer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		var out struct{ N int }
		wantKind(t, cl.Get(t.Context(), "compute", "/servers", nil, &out), kind)
	}
}

// Heat calls its own fault a bad request, and has it where two transactions cross.
// One that is bad is told once.
func TestHeatsStumbleIsTriedAgain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"The server could not comply with the request since it is either malformed or otherwise incorrect.": 3,
		"Invalid parameter limit": 1,
	} {
		c := newCloud(t)
		cl := connect(t, c.settings())
		c.answer(func(w http.ResponseWriter, _ *http.Request) {
			if len(c.seen()) >= 3 {
				io.WriteString(w, `{"stacks": []}`)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"code": 400, "title": "Bad Request", "error": {"type": "HTTPBadRequest", "message": %q}}`, text)
		})
		err := cl.Get(t.Context(), "orchestration", "/stacks", nil, nil)
		if got := len(c.seen()); got != want || (err == nil) != (want > 1) {
			t.Errorf("%s: %d requests, %v; want %d", text, got, err, want)
		}
		if want == 1 {
			wantKind(t, err, drivers.Rejected)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	s := c.settings()
	s.Timeout = 200 * time.Millisecond
	cl := connect(t, s)
	c.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	err := cl.Post(t.Context(), "compute", "/servers", nil, nil)
	wantKind(t, err, drivers.Transient)
	wantText(t, err, "no answer within 200ms")
	c.answer(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "[")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	wantKind(t, cl.Get(t.Context(), "compute", "/servers", nil, nil), drivers.Transient)
	if got := len(c.seen()); got != 5 {
		t.Errorf("%d requests, want 1 POST and 4 GETs", got)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	ctx, cancel := context.WithCancel(t.Context())
	c.answer(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	err := cl.Get(ctx, "compute", "/servers", nil, nil)
	wantKind(t, err, drivers.Transient)
	if !errors.Is(err, context.Canceled) || len(c.seen()) != 1 {
		t.Errorf("got %v after %d requests", err, len(c.seen()))
	}
}

// A stream is decoded as it comes, compressed or not, and does not keep its
// reader from asking for more.
func TestStream(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	s := c.settings()
	s.MaxInFlight = 1
	cl := connect(t, s)
	c.answer(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("gzip is not accepted")
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, `["a", "b"]`)
		z.Close()
	})
	body, err := cl.GetStream(t.Context(), "compute", "/servers", url.Values{"limit": {"2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var list []string
	if err := cl.Get(t.Context(), "compute", "/servers", nil, &list); err != nil || len(list) != 2 {
		t.Errorf("got %v, %v", list, err)
	}
	if b, err := io.ReadAll(body); err != nil || string(b) != `["a", "b"]` {
		t.Errorf("got %q, %v", b, err)
	}

	c.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9")
		io.WriteString(w, "[")
	})
	body, err = cl.GetStream(t.Context(), "compute", "/servers", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	_, err = io.ReadAll(body)
	wantKind(t, err, drivers.Transient)
	c.answer(http.NotFound)
	_, err = cl.GetStream(t.Context(), "compute", "/servers", nil)
	wantKind(t, err, drivers.NotFound)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	var got http.Header
	c.answer(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	for service, want := range map[string]string{
		"compute": "compute 2.79", "container-infra": "container-infra 2.79", "block-storage": "volume 2.79",
	} {
		if err := cl.Patch(t.Context(), service, "/x", []int{1}, nil, openstack.Microversion("2.79")); err != nil {
			t.Error(err)
		}
		if v := got.Get("OpenStack-API-Version"); v != want {
			t.Errorf("%s asks for %q, want %q", service, v, want)
		}
	}
	if got.Get("Content-Type") != "application/json" || got.Get("Accept") != "application/json" || !strings.HasPrefix(got.Get("User-Agent"), "jeroboam") {
		t.Errorf("headers are %v", got)
	}
	if err := cl.Get(t.Context(), "compute", "/x", nil, nil, openstack.Accept("text/plain")); err != nil || got.Get("Accept") != "text/plain" {
		t.Errorf("headers are %v, %v", got, err)
	}
	if got.Get("OpenStack-API-Version") != "" {
		t.Error("the version sticks to later requests")
	}
}

// A redirect is followed inside the service only, on our own endpoint, and
// never for a write.
func TestRedirects(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a stranger got %s with the token %q", r.URL, r.Header.Get("X-Auth-Token"))
	}))
	t.Cleanup(stranger.Close)
	to := ""
	c.answer(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/full") {
			io.WriteString(w, `{"ok": true}`)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	cl := connect(t, c.settings())
	for _, to = range []string{c.URL + "/heat/v1/p1/stacks/full", stranger.URL + "/heat/v1/p1/stacks/full"} {
		var out struct{ OK bool }
		if err := cl.Get(t.Context(), "orchestration", "/stacks/x", nil, &out); err != nil || !out.OK {
			t.Errorf("redirected to %s: %+v, %v", to, out, err)
		}
	}
	for _, to = range []string{stranger.URL + "/elsewhere", c.URL + "/nova/v2.1/servers/full", c.URL + "/heat/v1/p1/round"} {
		wantKind(t, cl.Get(t.Context(), "orchestration", "/stacks/x", nil, nil), drivers.Unknown)
	}
	to = c.URL + "/heat/v1/p1/stacks/full"
	n := len(c.seen())
	wantKind(t, cl.Delete(t.Context(), "orchestration", "/stacks/x", nil, nil), drivers.Unknown)
	wantKind(t, cl.Post(t.Context(), "orchestration", "/stacks", 1, nil), drivers.Unknown)
	if got := len(c.seen()) - n; got != 2 {
		t.Errorf("two writes became %d requests", got)
	}
}

// With ReadOnly nothing but reads and token requests reaches the wire.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	s := c.settings()
	s.ReadOnly = true
	cl := connect(t, s)
	c.expire()
	if err := cl.Get(t.Context(), "compute", "/servers", nil, nil); err != nil {
		t.Error(err) // and the token was renewed
	}
	n := len(c.seen())
	for method, err := range map[string]error{
		"POST /nova/v2.1/servers":             cl.Post(t.Context(), "compute", "/servers", 1, nil),
		"PUT /nova/v2.1/servers":              cl.Put(t.Context(), "compute", "/servers", 1, nil),
		"PATCH /nova/v2.1/servers":            cl.Patch(t.Context(), "compute", "/servers", 1, nil),
		"DELETE /nova/v2.1/servers":           cl.Delete(t.Context(), "compute", "/servers", nil, nil),
		"POST /nova/v2.1/v3/auth/tokens":      cl.Post(t.Context(), "compute", "/v3/auth/tokens", 1, nil),
		"DELETE /v3/auth/tokens":              cl.Delete(t.Context(), "identity", "/auth/tokens", nil, nil),
		"POST /v3/auth/tokens/":               cl.Post(t.Context(), "identity", "/auth/tokens/", 1, nil),
		"POST /v3/users/u/credentials/OS-EC2": cl.Post(t.Context(), "identity", "/users/u/credentials/OS-EC2", 1, nil),
		"POST /v3/auth/tokens/../../v3/users": cl.Post(t.Context(), "identity", "/auth/tokens/../../v3/users", 1, nil),
	} {
		wantKind(t, err, drivers.Denied)
		wantText(t, err, "read-only: "+method+" was not sent")
	}
	if got := c.seen()[n:]; len(got) > 0 {
		t.Errorf("the cloud saw %v", got)
	}
}

// The log has a line a request and nothing secret in it.
func TestLog(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	core, logs := observer.New(zapcore.DebugLevel)
	s := c.settings()
	s.Log = zap.New(core)
	cl := connect(t, s)
	c.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Compute-Request-Id", "req-7")
		w.WriteHeader(http.StatusNotFound)
	})
	_ = cl.Post(t.Context(), "compute", "/servers", map[string]string{"adminPass": "hidden"}, nil)
	_ = cl.Get(t.Context(), "compute", "/servers/1", url.Values{"name": {"hidden"}}, nil)
	var got []string
	for _, e := range logs.All() {
		m := e.ContextMap()
		if d, ok := m["duration"].(time.Duration); !ok || d <= 0 {
			t.Errorf("no duration in %v", m)
		}
		got = append(got, fmt.Sprint(e.Level, e.Message, m["service"], m["method"], m["path"], m["status"], m["request"]))
		for k, v := range m {
			for _, secret := range []string{"hidden", "correct horse", "token-number"} {
				if strings.Contains(fmt.Sprint(v), secret) {
					t.Errorf("field %s shows %v", k, v)
				}
			}
		}
	}
	want := []string{
		fmt.Sprint(zapcore.DebugLevel, "request", "identity", "POST", "/v3/auth/tokens", int64(201), ""),
		fmt.Sprint(zapcore.DebugLevel, "request", "compute", "POST", "/nova/v2.1/servers", int64(404), "req-7"),
		fmt.Sprint(zapcore.DebugLevel, "request", "compute", "GET", "/nova/v2.1/servers/1", int64(404), "req-7"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
}

// BenchmarkList reads a list of a thousand stacks into a struct of the caller.
func BenchmarkList(b *testing.B) {
	const stack = `{"id": "c5b1a2ad-9d0c-4b1f-8d4e-000000000000", "stack_name": "prod-0123abcd", "stack_status": "CREATE_COMPLETE",
		"creation_time": "2026-11-20T01:02:03Z", "updated_time": null, "tags": ["jeroboam.owner=a", "jeroboam.hash=0123456789abcdef"],
		"links": [{"href": "http://127.0.0.1:8004/v1/p/stacks/prod-0123abcd/c5b1a2ad", "rel": "self"}], "parent": null, "description": ""}`
	list := `{"stacks": [` + strings.Repeat(stack+",", 999) + stack + `]}`
	c := newUnstarted()
	c.Start()
	defer c.Close()
	c.answer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, list) })
	cl, err := openstack.Connect(b.Context(), c.settings())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var out struct {
			Stacks []struct {
				ID     string
				Name   string   `json:"stack_name"`
				Status string   `json:"stack_status"`
				Tags   []string `json:"tags"`
			}
		}
		if err := cl.Get(b.Context(), "orchestration", "/stacks", nil, &out); err != nil || len(out.Stacks) != 1000 {
			b.Fatal(err, len(out.Stacks))
		}
	}
}
