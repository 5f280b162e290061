package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// stepsAtOnce bounds how many steps are started beside each other. Due gives at
// most one step a cluster, so no cluster has two.
const stepsAtOnce = 8

// execute starts the steps that are due and returns what became of each, in
// the plan's order.
func (r *Reconciler) execute(ctx context.Context, l *look) []Result {
	due := l.report.Plan.Due()
	results := make([]Result, len(due))
	group := errgroup.Group{}
	group.SetLimit(stepsAtOnce)
	for i, step := range due {
		group.Go(func() error {
			results[i] = Result{Step: step, Err: r.start(ctx, l.drivers[step.Cluster.Cloud], step)}
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its result
	return results
}

// start carries out one step: the intent is durable before the call.
func (r *Reconciler) start(ctx context.Context, d drivers.Driver, step diff.Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.Store.Begin(ctx, intentOf(step, r.Now())); err != nil {
		return fmt.Errorf("write intent: %w", err)
	}
	if step.Op == diff.Recover {
		if _, err := r.Store.Recovering(ctx, step.Cluster, step.Want.Spec.Hash()); err != nil {
			return fmt.Errorf("count attempt: %w", err)
		}
	}
	err := maskError(step.Want, d.Apply(ctx, step))
	r.logStep(step, err)
	return errors.Join(err, r.finish(ctx, step, err))
}

func intentOf(step diff.Step, now time.Time) Intent {
	i := Intent{Operation: step.Operation, Op: step.Op, Key: step.Cluster, Version: step.Observed, At: now}
	if step.Have != nil {
		i.ID = step.Have.ID
	}
	if step.To != nil {
		i.SpecHash = step.To.Hash()
	}
	return i
}

// finish writes down what became of a step. An outcome that is not known stays
// an open intent, which the next run resolves by what it observes.
func (r *Reconciler) finish(ctx context.Context, step diff.Step, err error) error {
	if err != nil && (drivers.KindOf(err) == drivers.Transient || drivers.KindOf(err) == drivers.Unknown) {
		return nil
	}
	if err == nil && step.Op == diff.Delete {
		if err := r.Store.Deleted(ctx, step.Cluster, step.Have.ID, r.Now()); err != nil {
			return fmt.Errorf("write delete: %w", err)
		}
	}
	outcome := Accepted
	if err != nil {
		outcome = string(drivers.KindOf(err))
	}
	if err := r.Store.Finish(ctx, step.Operation, outcome, r.Now()); err != nil {
		return fmt.Errorf("write outcome: %w", err)
	}
	return nil
}

func (r *Reconciler) logStep(step diff.Step, err error) {
	fields := []zap.Field{
		zap.String("cluster", step.Cluster.String()), zap.String("step", string(step.Op)),
		zap.String("operation", step.Operation), zap.Strings("nodes", step.Nodes),
	}
	switch {
	case err == nil:
		r.Log.Info("step started", fields...)
	case drivers.KindOf(err) == drivers.Conflict:
		r.Log.Debug("step not started, it is not as planned", append(fields, zap.Error(err))...)
	default:
		r.Log.Warn("step not started", append(fields, zap.Error(err))...)
	}
}

// record makes the run durable: what was seen, which intents are resolved by
// it, and the commit as applied unless a guard holds the whole of it.
func (r *Reconciler) record(ctx context.Context, l *look) error {
	errs := append(r.restoreStore(ctx, l.memory), r.recordClouds(ctx, l)...)
	errs = append(errs, r.resolve(ctx, l)...)
	errs = append(errs, r.recovered(ctx, l)...)
	if !holdsHead(l.report.Plan) {
		errs = append(errs, r.advance(ctx, l)...)
	}
	encoded, err := encodeRecords(l.report.Records)
	errs = append(errs, err, r.Store.SaveRecords(ctx, encoded), r.Store.SaveRun(ctx, Run{
		ID: l.report.Run, Commit: l.report.Snapshot.Commit, StartedAt: l.report.StartedAt, EndedAt: r.Now(), Summary: summarize(l.report),
	}))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write local store: %w", err)
	}
	l.report.Guards, err = r.guards(ctx)
	return err
}

// advance makes the commit the one that was applied last.
func (r *Reconciler) advance(ctx context.Context, l *look) []error {
	s := l.report.Snapshot
	errs := []error{r.Store.DeclareProtection(ctx, s.Commit, declaredProtection(l.fleet))}
	if l.memory.head.Commit != s.Commit || l.memory.restored {
		errs = append(errs, r.Store.SaveHead(ctx, Head{Commit: s.Commit, Tree: s.Tree, Clusters: len(l.fleet.Clusters), At: r.Now()}))
	}
	return errs
}

// restoreStore gives a new store what was read from the board in its place.
func (r *Reconciler) restoreStore(ctx context.Context, m memory) (errs []error) {
	if !m.restored {
		return nil
	}
	for _, d := range m.deletes {
		errs = append(errs, r.Store.Deleted(ctx, d.Cluster, d.ID, d.At))
	}
	declared := map[schema.Key]bool{}
	for k, f := range m.facts {
		if f.Protection != Undeclared {
			declared[k] = f.Protection == Protected
		}
	}
	return append(errs, r.Store.DeclareProtection(ctx, m.head.Commit, declared))
}

func (r *Reconciler) recordClouds(ctx context.Context, l *look) (errs []error) {
	wanted := map[schema.Key]bool{}
	for _, c := range l.fleet.Clusters {
		wanted[c.Key] = true
	}
	seen := map[schema.CloudName][]diff.Observed{}
	for _, o := range l.have.Clusters {
		if o.Status != diff.DeleteComplete || wanted[o.Key] || l.unforgotten[o.Key] { // gone and not wanted: nothing to remember
			seen[o.Key.Cloud] = append(seen[o.Key.Cloud], o)
		}
	}
	for cloud := range l.drivers {
		errs = append(errs, r.Store.SaveObserved(ctx, cloud, seen[cloud]))
		if p := l.places[cloud]; p != (drivers.Place{}) && l.memory.places[cloud] != p {
			errs = append(errs, r.Store.SavePlace(ctx, cloud, p))
		}
		if l.inspected[cloud] {
			errs = append(errs, r.Store.Fired(ctx, inspection(cloud), r.Now()))
		}
	}
	return errs
}

// resolve closes the intents that earlier runs left open: what they may have
// done has been observed by now, or has not been done.
func (r *Reconciler) resolve(ctx context.Context, l *look) (errs []error) {
	observed := byKey(l.have.Clusters)
	for _, i := range l.memory.intents {
		if _, readable := l.drivers[i.Key.Cloud]; !readable {
			continue
		}
		o := observed[i.Key]
		if i.Op == diff.Delete && o.ID == i.ID && (o.Status == diff.DeleteInProgress || o.Status == diff.DeleteComplete || o.Status == diff.DeleteFailed) {
			errs = append(errs, r.Store.Deleted(ctx, i.Key, i.ID, i.At))
		}
		errs = append(errs, r.Store.Finish(ctx, i.Operation, Resolved, r.Now()))
	}
	return errs
}

// recovered forgets the attempts of clusters that are well again.
func (r *Reconciler) recovered(ctx context.Context, l *look) (errs []error) {
	want := map[schema.Key]*schema.Cluster{}
	for _, c := range l.fleet.Clusters {
		want[c.Key] = c
	}
	for _, o := range l.have.Clusters {
		if c := want[o.Key]; c != nil && l.memory.facts[o.Key].RecoverAttempts > 0 && !differs(o, c) {
			errs = append(errs, r.Store.Recovered(ctx, o.Key))
		}
	}
	return errs
}

// holdsHead says that the commit as a whole is not accepted, so that the one
// before stays what the next is compared with.
func holdsHead(p diff.Plan) bool {
	for _, s := range p.Steps {
		if s.Held != nil && (s.Held.Guard == diff.GuardRewound || s.Held.Guard == diff.GuardEmptyFleet) {
			return true
		}
	}
	return false
}

func declaredProtection(f *schema.Fleet) map[schema.Key]bool {
	m := make(map[schema.Key]bool, len(f.Clusters))
	for _, c := range f.Clusters {
		m[c.Key] = c.Policy.DeletionProtection
	}
	return m
}
