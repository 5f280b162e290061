package reconcile

import (
	"context"
	"slices"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// decide computes the plan, and again as long as it hangs on what only clusters
// themselves can say. Their answers are for this plan: they go neither into what
// is remembered nor into what is shown.
func (r *Reconciler) decide(ctx context.Context, l *look, policy diff.Policy) diff.Plan {
	have := l.have
	asked := map[schema.Key]bool{}
	for {
		plan := diff.Compute(l.fleet, have, policy)
		want := map[schema.CloudName][]schema.Key{}
		for _, k := range diff.WantsProbe(plan) {
			if _, can := l.drivers[k.Cloud].(drivers.Prober); can && !asked[k] {
				asked[k], want[k.Cloud] = true, append(want[k.Cloud], k)
			}
		}
		work := l.attended(diff.WantsWorkload(plan))
		if len(want) == 0 && len(work) == 0 {
			return plan
		}
		have.Clusters = slices.Clone(have.Clusters)
		r.probe(ctx, l, have.Clusters, want)
		r.askWorkload(ctx, l, have.Clusters, work)
		maskObserved(l.fleet, have.Clusters)
	}
}

// probe asks the clusters of a few clouds, beside each other, and writes the
// answers into have.
func (r *Reconciler) probe(ctx context.Context, l *look, have []diff.Observed, want map[schema.CloudName][]schema.Key) {
	group := errgroup.Group{}
	group.SetLimit(cloudsAtOnce)
	var mu sync.Mutex
	for cloud, keys := range want {
		var ask []diff.Observed
		for _, o := range have {
			if slices.Contains(keys, o.Key) {
				ask = append(ask, o)
			}
		}
		group.Go(func() error {
			answers, err := l.drivers[cloud].(drivers.Prober).Probe(ctx, ask)
			if err != nil {
				r.Log.Warn("clusters cannot be asked", zap.String("cloud", string(cloud)), zap.Error(err))
			}
			mu.Lock()
			defer mu.Unlock()
			note(have, keys, byKey(answers), err)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its answers
}

// note writes answers down. What was asked and not answered is unknown.
func note(have []diff.Observed, keys []schema.Key, answers map[schema.Key]*diff.Observed, err error) {
	for i := range have {
		o := &have[i]
		if !slices.Contains(keys, o.Key) {
			continue
		}
		switch answer, answered := answers[o.Key]; {
		case err != nil:
			o.Etcd, o.EtcdReason = diff.EtcdUnknown, err.Error()
		case !answered:
			o.Etcd, o.EtcdReason = diff.EtcdUnknown, "the driver does not say"
		default:
			o.Etcd, o.EtcdReason = answer.Etcd, answer.EtcdReason
		}
	}
}
