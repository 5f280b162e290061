package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Patience is how long a run waits for clusters themselves. Zero fields mean the
// defaults.
type Patience struct {
	// Visit is what asking one cluster may take, reading its keys included: 20 s.
	// Many are asked beside each other, and one that does not answer delays no other.
	Visit time.Duration
	// Visits is what asking all of them may take: a minute. Who was not asked by
	// then is unknown until the next run.
	Visits time.Duration
	// Drain is how long a run waits for the pods of one step to leave: 15 s, enough
	// for nodes with little on them. What takes longer, the next runs wait for.
	Drain time.Duration
}

func (p Patience) withDefaults() Patience {
	return Patience{cmp.Or(p.Visit, 20*time.Second), cmp.Or(p.Visits, time.Minute), cmp.Or(p.Drain, 15*time.Second)}
}

// visitsAtOnce bounds how many clusters are asked beside each other. A driver gives
// the API of a cluster a few seconds, so that 500 of which none answers are through
// within the minute.
const visitsAtOnce = 100

// carryOut starts what is due, and beside that asks the clusters that stand still
// how they are: neither waits for the other.
func (r *Reconciler) carryOut(ctx context.Context, l *look) {
	group := errgroup.Group{}
	group.Go(func() error {
		l.health = r.attend(ctx, l)
		return nil
	})
	r.execute(ctx, l)
	_ = group.Wait() // no function returns an error: each is in its answer
}

// attend visits every cluster of Kubernetes that stands still. Only what Git
// declares and nobody suspended is mended, and nothing while the commit as a
// whole is doubted.
func (r *Reconciler) attend(ctx context.Context, l *look) map[schema.Key]drivers.Health {
	leaving, doubted := diff.Leaving(l.report.Plan), holdsHead(l.report.Plan)
	var visits []drivers.Visit
	for i := range l.have.Clusters {
		o := &l.have.Clusters[i]
		if _, can := l.drivers[o.Key.Cloud].(drivers.Attendant); can && standsStill(o) {
			c := l.wanted[o.Key]
			visits = append(visits, drivers.Visit{Observed: *o, Leaving: leaving[o.Key], Mend: c != nil && !c.Policy.Suspend && !doubted})
		}
	}
	answers := visitAll(ctx, visits, r.Patience.withDefaults(), func(ctx context.Context, v drivers.Visit) drivers.Health {
		return l.drivers[v.Observed.Key.Cloud].(drivers.Attendant).Attend(ctx, v)
	})
	for k, h := range answers {
		l.report.Revisit = l.report.Revisit || len(h.Later) > 0
		if len(h.Undone) > 0 {
			r.Log.Warn("nodes could not be mended", zap.String("cluster", k.String()), zap.Strings("what", h.Undone))
		}
	}
	return answers
}

// standsStill says that a cluster of ours is there and nothing goes on in it.
func standsStill(o *diff.Observed) bool {
	if o.Owner == diff.Foreign || o.Spec == nil || o.Spec.COE != "kubernetes" || o.Moving {
		return false
	}
	switch o.Status {
	case diff.CreateComplete, diff.CreateFailed, diff.UpdateComplete, diff.UpdateFailed,
		diff.RollbackComplete, diff.RollbackFailed, diff.CheckComplete, diff.CheckFailed:
		return true
	case diff.CreateInProgress, diff.UpdateInProgress, diff.RollbackInProg,
		diff.DeleteInProgress, diff.DeleteFailed, diff.DeleteComplete:
	}
	return false
}

// visitAll asks all of them, each within its time and all within theirs.
func visitAll(ctx context.Context, visits []drivers.Visit, p Patience, attend func(context.Context, drivers.Visit) drivers.Health) map[schema.Key]drivers.Health {
	ctx, stop := context.WithTimeout(ctx, p.Visits)
	defer stop()
	answers := make([]drivers.Health, len(visits))
	group := errgroup.Group{}
	group.SetLimit(visitsAtOnce)
	for i, v := range visits {
		group.Go(func() error {
			if ctx.Err() != nil {
				answers[i] = drivers.Health{Status: drivers.Unreached, Reason: map[string]string{"api": "not asked: others took all the time that a run has for it"}}
				return nil
			}
			ctx, stop := context.WithTimeout(ctx, p.Visit)
			defer stop()
			answers[i] = attend(ctx, v)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its answer
	byKey := make(map[schema.Key]drivers.Health, len(visits))
	for i, v := range visits {
		if answers[i].Status != drivers.Unasked {
			byKey[v.Observed.Key] = answers[i]
		}
	}
	return byKey
}

// attended are the clusters among them whose driver can reach into them.
func (l *look) attended(want map[schema.Key][]string) map[schema.Key][]string {
	maps.DeleteFunc(want, func(k schema.Key, _ []string) bool {
		_, can := l.drivers[k.Cloud].(drivers.Attendant)
		return !can
	})
	return want
}

// askWorkload asks clusters what runs on a few of their nodes, beside each other,
// and writes the answers into have.
func (r *Reconciler) askWorkload(ctx context.Context, l *look, have []diff.Observed, want map[schema.Key][]string) {
	group := errgroup.Group{}
	group.SetLimit(visitsAtOnce)
	for i := range have {
		o := &have[i]
		nodes := want[o.Key]
		if len(nodes) == 0 {
			continue
		}
		group.Go(func() error {
			ctx, stop := context.WithTimeout(ctx, workloadTime)
			defer stop()
			answer := l.drivers[o.Key.Cloud].(drivers.Attendant).Workload(ctx, *o, nodes)
			r.noteWorkload(o, nodes, answer)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its answer
}

// workloadTime is what a cluster may take to say what runs on its nodes. A step
// hangs on it, and most clusters have none.
const workloadTime = 20 * time.Second

// noteWorkload writes one answer down, with what only a clock can say.
func (r *Reconciler) noteWorkload(o *diff.Observed, nodes []string, answer diff.Observed) {
	work := maps.Clone(o.Workloads)
	if work == nil {
		work = map[string]diff.Workload{}
	}
	for _, name := range nodes {
		w, told := answer.Workloads[name]
		if answer.Work == diff.WorkKnown && !told {
			answer.Work, answer.WorkReason = diff.WorkUnknown, "the driver does not say what runs on "+name
		}
		w.Late = r.late(o.Key.Cloud, w.Since)
		work[name] = w
	}
	if answer.Work == diff.WorkNotAsked { // it has nothing to say, and is not asked again
		answer.Work = diff.WorkKnown
		for _, name := range nodes {
			work[name] = diff.Workload{Cordoned: true}
		}
	}
	o.Work, o.WorkReason, o.Workloads = answer.Work, answer.WorkReason, work
}

// late says since when a drain is under way if that is longer than it may be.
func (r *Reconciler) late(cloud schema.CloudName, since string) string {
	limit := r.Config.Clouds[cloud].Drain.Limit()
	began, err := time.Parse(time.RFC3339, since)
	if err != nil || r.Now().Sub(began) <= limit {
		return ""
	}
	return fmt.Sprintf("since %s, longer than the %d minutes that it may take", began.UTC().Format(time.RFC3339), int(limit.Minutes()))
}

// drain has the nodes of a step emptied. It says what is left; nothing: the step
// can be carried out.
func (r *Reconciler) drain(ctx context.Context, d drivers.Driver, step diff.Step) (left []string, err error) {
	a, can := d.(drivers.Attendant)
	if !can || step.Drain == nil {
		return nil, nil
	}
	waiting, stop := context.WithTimeout(ctx, r.Patience.withDefaults().Drain)
	defer stop()
	work, err := a.Drain(waiting, step)
	if err != nil {
		err = fmt.Errorf("drain %s: %w", step.Cluster, err)
	}
	for _, name := range slices.Sorted(maps.Keys(work)) {
		if w := work[name]; w.Pods > 0 {
			left = append(left, w.Draining(name))
		}
	}
	fields := []zap.Field{zap.String("cluster", step.Cluster.String()), zap.String("step", string(step.Op)), zap.Strings("nodes", step.Drain.Nodes)}
	switch {
	case step.Drain.Anyway && (err != nil || len(left) > 0):
		r.Log.Warn("going on with a step though its nodes are not drained: acknowledged", append(fields, zap.Strings("left", left), zap.Error(err))...)
		return nil, nil
	case err == nil && len(left) == 0:
		r.Log.Info("drained", fields...)
	}
	return left, err
}

// Draining is a step that waits for the nodes which it takes away to be emptied.
type Draining struct {
	Step diff.Step
	Left []string // of each node: "draining NODE: 3 pods left"
}
