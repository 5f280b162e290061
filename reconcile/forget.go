package reconcile

import (
	"context"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// forget lets go of the keys of clusters that we deleted and that are gone now.
// It comes before any step, so that a cluster of the same name gets keys of its
// own. What could not be forgotten stays in what the store remembers of the
// cloud: the next run, of whichever process, sees it gone again and repeats it.
func (r *Reconciler) forget(ctx context.Context, l *look) {
	l.unforgotten = map[schema.Key]bool{}
	for _, o := range l.have.Clusters {
		keeper, ok := l.drivers[o.Key.Cloud].(drivers.Keeper)
		if !ok || o.Status != diff.DeleteComplete || !l.deletedByUs[o.Key] || r.forgotten[o.ID] || !hasKeys(o) {
			continue
		}
		if err := keeper.Forget(ctx, o.Key); err != nil {
			l.unforgotten[o.Key] = true
			r.Log.Warn("keys of a deleted cluster not removed, the next run tries again", zap.String("cluster", o.Key.String()), zap.Error(err))
			continue
		}
		r.forgotten[o.ID] = true
		r.Log.Info("keys of a deleted cluster removed", zap.String("cluster", o.Key.String()))
	}
}

// hasKeys is false for a cluster that is known to have had none.
func hasKeys(o diff.Observed) bool { return o.Spec == nil || o.Spec.COE == "kubernetes" }
