package heat_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"jeroboam.io/jeroboam/drivers/drivertest"
)

// wire stands between the drivers of one subtest and their cloud, be it sim or
// a real one: it counts writes, and misbehaves as a cloud or a network would.
type wire struct {
	mu     sync.Mutex
	writes int
	lose   int // the lose-th write from now loses its answer; 0: none
	faults map[drivertest.Fault]chan struct{}
}

func newWire() *wire { return &wire{faults: map[drivertest.Fault]chan struct{}{}} }

// under puts the wire between a connection and the network. There is more than
// one: who tries an admission out connects anew.
func (w *wire) under(next http.RoundTripper) http.RoundTripper { return strand{w, next} }

// strand is the wire of one connection.
type strand struct {
	*wire
	next http.RoundTripper
}

func (w strand) RoundTrip(r *http.Request) (*http.Response, error) {
	lost, fault, ended := w.see(r)
	switch fault {
	case drivertest.ServerError:
		return answer(r, http.StatusInternalServerError, `{"error":{"message":"injected"}}`), nil
	case drivertest.EmptyList:
		return answer(r, http.StatusOK, `{"stacks":[]}`), nil
	case drivertest.Hang:
		select {
		case <-ended:
			return nil, errors.New("the connection was hung up")
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	case drivertest.Quota:
		return answer(r, http.StatusForbidden, `{"error":{"message":"You have reached the maximum stacks per project, 512. Quota exceeded."}}`), nil
	case drivertest.WrongCredentials: // of the entry in clouds.yaml
	case drivertest.KeysOutOfReach: // Memory's alone
	}
	resp, err := w.next.RoundTrip(r)
	if lost && err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return nil, errors.New("the connection was lost before the answer")
	}
	return resp, err
}

// see counts a request and says what is to happen to it.
func (w *wire) see(r *http.Request) (lost bool, fault drivertest.Fault, ended chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	token := strings.HasSuffix(r.URL.Path, "/auth/tokens")
	write := r.Method != http.MethodGet && r.Method != http.MethodHead && !token
	if write {
		w.writes++
		if w.lose > 0 {
			w.lose--
			lost = w.lose == 0
		}
	}
	list := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/stacks")
	for f, ch := range w.faults {
		if f == drivertest.Hang || f == drivertest.ServerError && !token || f == drivertest.EmptyList && list || f == drivertest.Quota && write {
			return lost, f, ch
		}
	}
	return lost, "", nil
}

func (w *wire) fault(_ testing.TB, f drivertest.Fault) (undo func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended := make(chan struct{})
	w.faults[f] = ended
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		close(ended)
		delete(w.faults, f)
	}
}

func (w *wire) has(f drivertest.Fault) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults[f] != nil
}

func (w *wire) loseAnswer(_ testing.TB, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = n
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes
}

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Content-Type": {"application/json"}},
		Body:    io.NopCloser(bytes.NewBufferString(body)),
		Request: r,
	}
}
