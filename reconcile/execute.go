package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// execute starts the steps that are due, those whose nodes have to be drained as
// soon as they are, and notes what became of each that was begun, in the plan's
// order.
func (r *Reconciler) execute(ctx context.Context, l *look) {
	due := l.report.Plan.Due()
	results, waits := make([]Result, len(due)), make([]Draining, len(due))
	begun := r.Pace.each(due, func(i int) {
		results[i].Step, waits[i].Step = due[i], due[i]
		waits[i].Left, results[i].Err = r.start(ctx, l.drivers[due[i].Cluster.Cloud], due[i], r.intentOf(due[i], l))
	})
	for i := range due {
		switch {
		case !begun[i]:
		case len(waits[i].Left) > 0 && results[i].Err == nil:
			l.report.Draining = append(l.report.Draining, waits[i])
		default:
			l.report.Results = append(l.report.Results, results[i])
		}
	}
}

// start carries out one step, unless pods are left that have to move before: the
// intent is durable before the call.
func (r *Reconciler) start(ctx context.Context, d drivers.Driver, step diff.Step, intent Intent) (left []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p, ok := d.(Pacer); ok {
		if err := p.TooSoon(step); err != nil {
			return nil, err
		}
	}
	if left, err := r.drain(ctx, d, step); err != nil || len(left) > 0 {
		return left, err
	}
	return nil, r.apply(ctx, d, step, intent)
}

func (r *Reconciler) apply(ctx context.Context, d drivers.Driver, step diff.Step, intent Intent) error {
	intent.At = r.Now()
	if err := r.Store.Begin(ctx, intent); err != nil {
		return fmt.Errorf("write intent: %w", err)
	}
	if step.Op == diff.Recover {
		if _, err := r.Store.Recovering(ctx, step.Cluster, step.Want.Spec.Hash()); err != nil {
			return fmt.Errorf("count attempt: %w", err)
		}
	}
	err := maskError(step.Want, d.Apply(drivers.WithOperation(ctx, step.Operation), step))
	r.logStep(step, err)
	return errors.Join(err, r.finish(ctx, step, err))
}

func (r *Reconciler) intentOf(step diff.Step, l *look) Intent {
	i := Intent{
		Operation: step.Operation, Op: step.Op, Key: step.Cluster, Version: step.Observed,
		Run: l.report.Run, Commit: l.report.Snapshot.Commit,
	}
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
	e := Ending{Outcome: Accepted, Requests: r.requests.take(step.Operation), At: r.Now()}
	if err != nil {
		e.Outcome, e.Reason = string(drivers.KindOf(err)), err.Error()
	}
	if err := r.Store.Finish(ctx, step.Operation, e); err != nil {
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
	errs = append(errs, r.saveRecords(ctx, l), r.Store.SaveRun(ctx, Run{
		ID: l.report.Run, Commit: l.report.Snapshot.Commit, StartedAt: l.report.StartedAt, EndedAt: r.Now(), Summary: summarize(l.report),
	}))
	err := errors.Join(errs...)
	if err != nil {
		return fmt.Errorf("write local store: %w", err)
	}
	l.report.Guards, err = r.guards(ctx)
	return err
}

// saveRecords writes the records that the store does not have so.
func (r *Reconciler) saveRecords(ctx context.Context, l *look) error {
	changed, err := r.unsaved()
	if err != nil {
		return err
	}
	r.dropRecords(l, changed)
	if len(changed) == 0 {
		return nil
	}
	if err := r.Store.SaveRecords(ctx, changed); err != nil {
		return err
	}
	for k, text := range changed {
		if text != nil {
			r.told[k].saved = true
		}
	}
	return nil
}

// dropRecords removes the records of clusters that are gone and not wanted: those
// seen to be gone now, and those of which an earlier process, killed in between,
// only wrote down that it deleted them.
func (r *Reconciler) dropRecords(l *look, changed map[schema.Key][]byte) {
	for i := range l.have.Clusters {
		if o := &l.have.Clusters[i]; o.Status == diff.DeleteComplete && r.told[o.Key] == nil {
			changed[o.Key] = nil
		}
	}
	for k, f := range l.memory.facts {
		if f.DeletedID != "" && r.told[k] == nil && !r.forgotten["record "+f.DeletedID] {
			changed[k], r.forgotten["record "+f.DeletedID] = nil, true
		}
	}
}

// advance makes the commit the one that was applied last.
func (r *Reconciler) advance(ctx context.Context, l *look) []error {
	s := l.report.Snapshot
	var errs []error
	if r.declared != s.Commit || s.Commit == "" {
		err := r.Store.DeclareProtection(ctx, s.Commit, declaredProtection(l.fleet))
		if r.declared = s.Commit; err != nil {
			r.declared = ""
		}
		errs = append(errs, err)
	}
	for _, name := range l.schedules {
		errs = append(errs, r.Store.Fired(ctx, name, l.report.StartedAt))
	}
	if len(l.outdated) > 0 {
		errs = append(errs, r.Store.Unschedule(ctx, l.outdated))
	}
	if l.memory.head.Commit != s.Commit || l.memory.head.Owner == "" || l.memory.restored {
		errs = append(errs, r.Store.SaveHead(ctx, Head{Commit: s.Commit, Tree: s.Tree, Clusters: len(l.fleet.Clusters), At: r.Now(), Owner: r.Config.Owner}))
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
	forget := func(o diff.Observed) bool { // gone and not wanted
		return o.Status == diff.DeleteComplete && l.wanted[o.Key] == nil && !l.unforgotten[o.Key]
	}
	for cloud := range l.drivers {
		seen := l.have.Clusters[l.of[cloud][0]:l.of[cloud][1]]
		if slices.ContainsFunc(seen, forget) {
			seen = slices.DeleteFunc(slices.Clone(seen), forget)
		}
		errs = append(errs, r.Store.SaveObserved(ctx, cloud, seen))
		if p := l.places[cloud]; p != (drivers.Place{}) && (l.memory.places[cloud] != p || l.memory.restored) {
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
	for _, i := range l.memory.intents {
		if _, readable := l.drivers[i.Key.Cloud]; !readable {
			continue
		}
		o := l.seen[i.Key]
		if i.Op == diff.Delete && o != nil && o.ID == i.ID && (o.Status == diff.DeleteInProgress || o.Status == diff.DeleteComplete || o.Status == diff.DeleteFailed) {
			errs = append(errs, r.Store.Deleted(ctx, i.Key, i.ID, i.At))
		}
		errs = append(errs, r.Store.Finish(ctx, i.Operation, Ending{Outcome: Resolved, Requests: r.requests.take(i.Operation), At: r.Now()}))
	}
	return errs
}

// recovered forgets the attempts of clusters that are well again.
func (r *Reconciler) recovered(ctx context.Context, l *look) (errs []error) {
	for k, f := range l.memory.facts {
		if o, c := l.seen[k], l.wanted[k]; f.RecoverAttempts > 0 && o != nil && c != nil && !differs(o, c) {
			errs = append(errs, r.Store.Recovered(ctx, k))
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
