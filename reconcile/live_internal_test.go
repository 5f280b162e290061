package reconcile

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// However many clusters there are and whatever they do, a run ends: those that
// answer are heard, those that do not are unknown, and nobody is left out.
func TestVisitsEnd(t *testing.T) {
	t.Parallel()
	const clusters = 500
	for name, tt := range map[string]struct {
		takes    func(i int) time.Duration // to answer; 0: never
		within   time.Duration
		answered int
	}{
		"all answer":            {func(int) time.Duration { return 200 * time.Millisecond }, 2 * time.Second, clusters},
		"every tenth is silent": {func(i int) time.Duration { return time.Duration(min(i%10, 1)) * 200 * time.Millisecond }, 25 * time.Second, clusters * 9 / 10},
		"all are silent":        {func(int) time.Duration { return 0 }, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var visits []drivers.Visit
				for i := range clusters {
					visits = append(visits, drivers.Visit{Observed: diff.Observed{Key: schema.Key{Cloud: "c", Name: schema.ClusterName(fmt.Sprint(i))}}})
				}
				var mu sync.Mutex
				atOnce, most := 0, 0
				began := time.Now()
				answers := visitAll(t.Context(), visits, Patience{}.withDefaults(), func(ctx context.Context, v drivers.Visit) drivers.Health {
					mu.Lock()
					atOnce++
					most = max(most, atOnce)
					mu.Unlock()
					defer func() { mu.Lock(); atOnce--; mu.Unlock() }()
					var i int
					_, _ = fmt.Sscan(string(v.Observed.Key.Name), &i)
					if takes := tt.takes(i); takes > 0 {
						time.Sleep(takes)
						return drivers.Health{Status: drivers.Healthy}
					}
					<-ctx.Done()
					return drivers.Health{Status: drivers.Unreached, Reason: map[string]string{"api": "it does not answer in time"}}
				})
				healthy := 0
				for _, h := range answers {
					if h.Status == drivers.Healthy {
						healthy++
					} else if h.Status != drivers.Unreached || h.Reason["api"] == "" {
						t.Errorf("%+v", h)
					}
				}
				if took := time.Since(began); took > tt.within || len(answers) != clusters || healthy != tt.answered || most > visitsAtOnce {
					t.Errorf("%d of %d answers, %d healthy, in %s, %d at once", len(answers), clusters, healthy, took, most)
				}
			})
		})
	}
}
