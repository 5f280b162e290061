package openstack_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// Keystone writes the end of a token that ends with its application credential
// without a Z.
func TestTimesOfKeystone(t *testing.T) {
	t.Parallel()
	want := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, at := range []string{"2031-01-02T03:04:05.000000Z", "2031-01-02T03:04:05Z", "2031-01-02T03:04:05", "2031-01-02T03:04:05.000000"} {
		c := newCloud(t)
		c.keystone = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Subject-Token", "token-number-1")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"token": {"expires_at": "`+at+`", "project": {"id": "p1", "name": "demo"}, "catalog": []}}`)
		}
		if got := connect(t, c.settings()).Token().ExpiresAt; !got.Equal(want) {
			t.Errorf("%s is %s", at, got)
		}
	}
}

func TestAs(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	us := connect(t, c.settings())
	them, err := us.As(t.Context(), "credential-1", "swordfish1")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.auths); n != 2 || !strings.Contains(c.auths[1], `"credential-1"`) || !strings.Contains(c.auths[1], `"swordfish1"`) || strings.Contains(c.auths[1], "project") {
		t.Errorf("asked for tokens with %q", c.auths)
	}
	c.answer(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "no swordfish1 for "+r.Header.Get("X-Auth-Token"))
	})
	err = them.Get(t.Context(), "compute", "/servers", nil, nil)
	wantText(t, err, "no *** for ***")
	if err := us.Get(t.Context(), "compute", "/servers", nil, nil); err == nil || strings.Contains(err.Error(), "token-number") {
		t.Errorf("got %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	if at, err := cl.Endpoint("compute"); err != nil || !strings.HasPrefix(at, c.URL+"/") || strings.HasSuffix(at, "/") {
		t.Errorf("got %q, %v", at, err)
	}
	if at, err := cl.Endpoint("key-manager"); err == nil == openstack.NoService(err) {
		t.Errorf("got %q, %v", at, err)
	}
}
