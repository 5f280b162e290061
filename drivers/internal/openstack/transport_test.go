package openstack

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// gate is a cloud that answers when it is told to.
type gate struct {
	now  atomic.Int32
	open chan struct{}
}

func (g *gate) RoundTrip(*http.Request) (*http.Response, error) {
	g.now.Add(1)
	defer g.now.Add(-1)
	<-g.open
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// Of thirty requests three are under way; when one is answered the next goes.
func TestAtMostSoManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		q := &queue{g, make(chan struct{}, 3)}
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x", http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := q.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			})
		}
		for done := range 30 {
			synctest.Wait()
			if got, want := int(g.now.Load()), min(3, 30-done); got != want {
				t.Errorf("%d at once after %d, want %d", got, done, want)
			}
			g.open <- struct{}{}
		}
		wg.Wait()
	})
}
