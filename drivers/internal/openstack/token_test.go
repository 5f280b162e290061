package openstack_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

func TestToken(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	want := openstack.TokenInfo{
		ProjectID: "p1", ProjectName: "demo", UserID: "u1", UserName: "ann", Roles: []string{"member", "reader"},
		ExpiresAt: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC), Region: "RegionOne", AuthURL: c.URL + "/v3",
		Catalog: []string{"compute", "container-infrastructure-management", "image", "network", "orchestration", "volumev3"},
	}
	if d := cmp.Diff(want, connect(t, c.settings()).Token()); d != "" {
		t.Errorf("token (-want +got):\n%s", d)
	}
	c.project = ""
	_, err := openstack.Connect(t.Context(), c.settings())
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "without a project")
}

func TestAnswersOfKeystone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   drivers.Kind
		says   string
		tries  int
	}{
		"wrong password": {401, `{"error": {"message": "The request you have made requires authentication."}}`, drivers.Denied, "check username, password", 1},
		"wrong URL":      {404, `not here`, drivers.Denied, "check auth_url", 1},
		"deleted":        {404, `{"error": {"message": "Could not find Application Credential: 1.", "code": 404}}`, drivers.Denied, "it was deleted", 1},
		"a web page":     {200, `<html>welcome</html>`, drivers.Denied, "check auth_url", 1},
		"bad request":    {400, `{"error": {"message": "no"}}`, drivers.Denied, "400 Bad Request: no", 1},
		"broken":         {500, `oops`, drivers.Transient, "500", 1},
		"overloaded":     {503, `busy`, drivers.Transient, "503 Service Unavailable: busy", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			c.keystone = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Openstack-Request-Id", "req-1")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}
			_, err := openstack.Connect(t.Context(), c.settings())
			wantKind(t, err, tt.kind)
			wantText(t, err, tt.says, "get a token", "req-1")
			if len(c.auths) != tt.tries {
				t.Errorf("%d requests, want %d", len(c.auths), tt.tries)
			}
		})
	}
	c := newCloud(t)
	c.Close()
	_, err := openstack.Connect(t.Context(), c.settings())
	wantKind(t, err, drivers.Transient)
	if len(c.slept) != 3 {
		t.Errorf("waited %d times for a Keystone that is down, want 3", len(c.slept))
	}
}

// A token that has expired is renewed once for all who find out together, and a
// write that was refused for it is sent again, whole.
func TestRenewal(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	var bodies sync.Map
	c.answer(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies.Store(r.URL.Path, string(b))
		io.WriteString(w, "{}")
	})
	cl := connect(t, c.settings())
	c.expire()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			path := fmt.Sprintf("/stacks/%d", i)
			if err := cl.Post(t.Context(), "orchestration", path, map[string]int{"n": i}, nil); err != nil {
				t.Error(err)
			}
			if b, _ := bodies.Load("/heat/v1/p1" + path); b != fmt.Sprintf(`{"n":%d}`, i) {
				t.Errorf("body %d is %v", i, b)
			}
			cl.Token()
		})
	}
	wg.Wait()
	if c.tokens != 2 {
		t.Errorf("%d tokens for one renewal, want 2", c.tokens)
	}
}

func TestRenewalFails(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())

	c.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	err := cl.Get(t.Context(), "compute", "/servers", nil, nil)
	wantKind(t, err, drivers.Denied)
	if c.tokens != 2 || len(c.seen()) != 2 {
		t.Errorf("%d tokens and %d requests for a service that always says 401, want 2 and 2", c.tokens, len(c.seen()))
	}

	c.expire()
	c.keystone = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	before := len(c.auths)
	err = cl.Get(t.Context(), "compute", "/servers", nil, nil)
	wantKind(t, err, drivers.Transient)
	wantText(t, err, "get compute /servers: renew the token: 503")
	if n := len(c.auths) - before; n != 4 {
		t.Errorf("%d token requests, want 4: those that renew must not be multiplied by those that read", n)
	}

	c.keystone, c.project = nil, "p2"
	err = cl.Get(t.Context(), "compute", "/servers", nil, nil)
	wantKind(t, err, drivers.Denied)
	wantText(t, err, "now means project p2, it was p1")
	if got := cl.Token().ProjectID; got != "p1" {
		t.Errorf("works on in project %s", got)
	}
}

// One caller that gives up does not fail the renewal for the others.
func TestRenewalOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	c.expire()
	ctx, cancel := context.WithCancel(t.Context())
	first := true
	inner := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && first {
			first = false
			cancel()
		}
		inner.ServeHTTP(w, r)
	})
	wantKind(t, cl.Get(ctx, "compute", "/servers", nil, nil), drivers.Transient)
	if err := cl.Get(t.Context(), "compute", "/servers", nil, nil); err != nil || c.tokens != 2 {
		t.Errorf("%d tokens, %v", c.tokens, err)
	}
}
