package openstack_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// watcher keeps what it is told.
type watcher struct {
	mu    sync.Mutex
	calls []drivers.Call
}

func (w *watcher) Called(c drivers.Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Took = 0
	w.calls = append(w.calls, c)
}

// Whoever watches is told of every request: for which step it was, what came of it
// and under which id, tokens, refusals and the one that was sent twice included. A
// token in the middle of a step changes nothing.
func TestCallsAreWatched(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	var w watcher
	s := c.settings()
	s.Calls = &w
	cl, err := openstack.Connect(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	c.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Compute-Request-Id", "req-7")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusConflict)
		}
	})
	c.expire()
	_ = cl.Post(drivers.WithOperation(t.Context(), "create-1"), "compute", "/servers", map[string]string{}, nil)
	_ = cl.Get(drivers.WithOperation(t.Context(), "create-1"), "compute", "/servers", nil, nil)
	c.Close()
	_ = cl.Delete(t.Context(), "compute", "/servers/1", nil, nil)
	want := []drivers.Call{
		{Service: "identity", Method: "POST", Status: 201},
		{Service: "compute", Method: "POST", Status: 401, Changes: true, Operation: "create-1"},
		{Service: "identity", Method: "POST", Status: 201, Operation: "create-1"},
		{Service: "compute", Method: "POST", Status: 409, Changes: true, Operation: "create-1", Request: "req-7"},
		{Service: "compute", Method: "GET", Status: 200, Operation: "create-1", Request: "req-7"},
		{Service: "compute", Method: "DELETE", Changes: true},
	}
	for i := range want {
		want[i].Cloud = s.Cloud
	}
	if d := cmp.Diff(want, w.calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}
