package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// applyFlags are those of `apply` alone.
type applyFlags struct {
	wait    bool
	timeout time.Duration
	poll    time.Duration
	sinks   sinks
}

func (a *app) apply() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply [plan.json]",
		Short: "Make one pass: plan, start what is due, commit status",
		Long: `Make one pass: read the fleet from its repository, plan, start the step that is
due for each cluster, write down what came of it and commit the status.

A pass does not wait: clusters take minutes. --wait makes passes until nothing
is left to do but what a guard holds, and shows how far they are.

With plan.json, made by plan --out, only exactly that plan is carried out: if
commit or cloud have changed since, nothing is done and the exit code is 5.

Warnings of the fleet go to standard error.

` + sinksHelp + `

` + exitHelp,
		Example: `  jeroboam apply
  jeroboam apply --wait --timeout 1h
  jeroboam plan --out plan.json && jeroboam apply plan.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runApply(cmd.Context(), f, args) },
	}
	a.fleetFlags(cmd)
	cmd.Flags().BoolVar(&f.wait, "wait", false, "make passes until everything has settled")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 2*time.Hour, "give up waiting after this `time`")
	cmd.Flags().DurationVar(&f.poll, "poll", 10*time.Second, "`time` between two passes while waiting")
	f.sinks.flags(cmd)
	return cmd
}

func (a *app) runApply(ctx context.Context, f applyFlags, args []string) (err error) {
	if err := f.sinks.check(a.json()); err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	expect, err := reviewed(args)
	if err != nil {
		return err
	}
	fleet, status, err := a.repositories(config)
	if err != nil {
		return err
	}
	store, err := record.Open(ctx, config.StateDir)
	if err != nil {
		return err
	}
	defer closeStore(store, &err)
	r, err := a.passes(config, store, fleet, status)
	if err != nil {
		return err
	}
	r.Expect = expect
	report, err := r.RunOnce(ctx)
	// Told at the end: what was started must be shown whatever becomes of a file.
	unfilled := a.showProblems(checked(report.Snapshot.Files, report.Warnings, err), f.sinks, false)
	if err != nil {
		return errors.Join(unfilled, err)
	}
	if f.wait {
		r.Expect = ""
		report, err = a.follow(ctx, r, report, f)
		if err != nil {
			return err
		}
	}
	if err := a.showReport(report, f.sinks.text(a)); err != nil {
		return err
	}
	if unfilled != nil {
		return unfilled
	}
	a.tellDistrust(report.Snapshot.Distrust)
	return withDistrust(report.Snapshot.Distrust, applyOutcome(report))
}

// passes are those of one command: each pushes the status before it ends, and
// what passes before it, of another process too, could not push.
type passes struct {
	*reconcile.Reconciler
	outbox *gitrepo.Outbox // nil: status is not committed
}

func (a *app) passes(c schema.Config, store *record.Store, fleet, status *gitrepo.Repo) (*passes, error) {
	if c.Status.Disabled {
		return &passes{a.reconciler(c, store, fleet, nil), nil}, nil
	}
	outbox, err := a.outbox(c, status)
	if err != nil {
		return nil, err
	}
	return &passes{a.reconciler(c, store, fleet, outbox), outbox}, nil
}

// RunOnce is the Reconciler's, with the push.
func (p *passes) RunOnce(ctx context.Context) (reconcile.Report, error) {
	report, err := p.Reconciler.RunOnce(ctx)
	if p.outbox != nil && err == nil {
		report.StatusError = errors.Join(report.StatusError, p.outbox.Flush(ctx))
	}
	return report, err
}

// reviewed is the fingerprint of the plan in a file.
func reviewed(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	file, err := os.Open(args[0])
	if err != nil {
		return "", fmt.Errorf("read plan: %w", err)
	}
	defer file.Close()
	p, err := view.ReadPlan(file)
	if err != nil {
		return "", fmt.Errorf("read plan %s: %w", args[0], err)
	}
	if p.Mode != view.Live {
		return "", fmt.Errorf("%s is an %s plan: only a live one can be applied", args[0], p.Mode)
	}
	return p.Fingerprint, nil
}

// follow makes passes until the fleet has settled or cannot without somebody's
// help. The time limit is that of the waiting: a pass that has begun is ended in
// order, or it would tell of clouds and stores that fail when it is we who do.
func (a *app) follow(ctx context.Context, r *passes, report reconcile.Report, f applyFlags) (reconcile.Report, error) {
	waiting, stop := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("it has not settled in %s; what was started goes on", f.timeout))
	defer stop()
	progress := view.NewProgress(a.stderr, a.view(), a.now())
	tick := time.NewTicker(f.poll)
	defer tick.Stop()
	started := report.Results
	for {
		if err := progress.Show(report.Records, a.now()); err != nil {
			return report, err
		}
		if report.Settled() || stuck(report) {
			report.Results = started
			return report, progress.Done(a.now())
		}
		select {
		case <-waiting.Done():
			return report, context.Cause(waiting)
		case <-tick.C:
		}
		next, err := r.RunOnce(ctx)
		if ctx.Err() != nil { // the pass was cut short, whatever it says
			return report, context.Cause(ctx)
		}
		if err != nil {
			return report, err
		}
		started = append(started, next.Results...)
		report = next
	}
}

// stuck says that only a person can help: nothing moves, and a cloud cannot be
// read for a reason that the next pass would meet again.
func stuck(report reconcile.Report) bool {
	for _, s := range report.Plan.Steps {
		if s.Held == nil {
			return false
		}
	}
	for _, u := range report.Plan.Unknown {
		if drivers.KindOf(report.Unread[u.Cloud]) == drivers.Transient {
			return false
		}
	}
	return len(report.Plan.Unknown) > 0
}

func (a *app) showReport(report reconcile.Report, w io.Writer) error {
	if a.json() {
		return view.ReportJSON(a.stdout, report, version())
	}
	return view.ReportText(w, report, a.viewOn(w))
}

func applyOutcome(report reconcile.Report) error {
	switch {
	case len(report.Failed()) > 0, len(report.Plan.Unknown) > 0, report.StatusError != nil:
		return outcome(exitError)
	case len(report.Plan.HeldSteps()) > 0:
		return outcome(exitHeld)
	}
	return nil
}
