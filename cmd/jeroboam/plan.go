package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// planFlags are those of `plan` alone.
type planFlags struct {
	offline    bool
	base, head string
	detailed   bool
	out        string
	markdown   string
	sinks      sinks
}

func (a *app) plan() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [PATH]",
		Short: "Show what would change; only reads",
		Long: `Show what would change, and why.

Without PATH the fleet is read from its repository, as apply does. With PATH it
is the documents in that folder as they are on disk. A live plan sends nothing
but GET to the cloud, and POST to Keystone for a token.

--offline compares two commits of the repository around PATH instead of a commit
with a cloud: it needs no credentials and no network. The head is the working
tree unless --head names a revision.

Warnings of the fleet go to standard error.

` + sinksHelp + `

` + exitHelp,
		Example: `  jeroboam plan .                                      # this folder against the cloud
  jeroboam plan --out plan.json && jeroboam apply plan.json
  jeroboam plan --offline --base origin/main           # what this branch changes
  jeroboam plan --offline --base v1 --head v2 fleet/ --markdown plan.md
  jeroboam plan . --detailed-exitcode -o json
  jeroboam plan --offline --base origin/main --markdown plan.md --sarif plan.sarif --github`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPlan(cmd.Context(), f, args)
		},
	}
	a.fleetFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.offline, "offline", false, "compare two commits; no cloud, no network")
	flags.StringVar(&f.base, "base", "", "`revision` to compare with (offline)")
	flags.StringVar(&f.head, "head", "", "`revision` to plan (offline; default the working tree)")
	flags.BoolVar(&f.detailed, "detailed-exitcode", false, "exit with 2 when there are changes")
	flags.StringVar(&f.out, "out", "", "write the plan as JSON to `file`, for apply")
	flags.StringVar(&f.markdown, "markdown", "", "write the plan as Markdown to `file` (- for standard output instead of text)")
	f.sinks.flags(cmd)
	return cmd
}

func (a *app) runPlan(ctx context.Context, f planFlags, args []string) error {
	if err := f.sinks.check(a.json(), f.markdown == "-"); err != nil {
		return err
	}
	p, err := a.makePlan(ctx, f, args)
	unfilled := a.showProblems(p.checked, f.sinks, f.markdown == "-")
	if err := errors.Join(unfilled, err); err != nil {
		return err
	}
	if err := a.showPlan(p.Plan, f); err != nil {
		return err
	}
	return withDistrust(p.distrust, planOutcome(p.Plan.Plan, f.detailed))
}

// planned is a plan and what was checked for it: nil if that could not be read.
// An invalid fleet has no plan.
type planned struct {
	view.Plan
	checked  *view.Validation
	distrust *reconcile.Distrust // of the head; live only
}

func (a *app) makePlan(ctx context.Context, f planFlags, args []string) (planned, error) {
	if f.offline {
		return a.offlinePlan(f, args)
	}
	if f.base != "" || f.head != "" {
		return planned{}, fmt.Errorf("--base and --head compare two commits: add --offline")
	}
	return a.livePlan(ctx, args)
}

func (a *app) livePlan(ctx context.Context, args []string) (p planned, err error) {
	config, err := a.config()
	if err != nil {
		return p, err
	}
	source, board, err := a.planSource(config, args)
	if err != nil {
		return p, err
	}
	store, err := record.View(ctx, config.StateDir)
	if err != nil {
		return p, err
	}
	defer closeStore(store, &err)
	report, err := a.reconciler(config, store, source, board).Plan(ctx)
	a.tellDistrust(report.Snapshot.Distrust)
	return planned{a.viewPlan(report, view.Live), checked(report.Snapshot.Files, report.Warnings, err), report.Snapshot.Distrust}, err
}

// planSource is the folder that the arguments name, or the repository.
func (a *app) planSource(c schema.Config, args []string) (reconcile.Source, reconcile.Board, error) {
	if len(args) == 0 {
		fleet, status, err := a.repositories(c)
		return fleet, status, err
	}
	files, err := dirFiles(args[0])
	return fixed{reconcile.Snapshot{Files: files, Descends: reconcile.Descends}}, nil, err
}

func (a *app) viewPlan(r reconcile.Report, mode string) view.Plan {
	return view.Plan{Plan: r.Plan, Mode: mode, Commit: r.Snapshot.Commit, Tree: r.Snapshot.Tree, At: r.StartedAt, Tool: version()}
}

func (a *app) offlinePlan(f planFlags, args []string) (p planned, err error) {
	if f.base == "" {
		return p, fmt.Errorf("--offline needs --base, the revision to compare with")
	}
	repo, dir, err := localAround(dirOf(args))
	if err != nil {
		return p, err
	}
	base, err := repo.At(f.base, dir)
	if err != nil {
		return p, err
	}
	head, err := headOf(repo, f.head, dir)
	if err != nil {
		return p, err
	}
	loader, err := a.loader()
	if err != nil {
		return p, err
	}
	was, err := loader.Load(base.Files)
	if err != nil {
		return p, fmt.Errorf("base %s is invalid: %w", f.base, err)
	}
	want, err := loader.Load(head.Files)
	if err != nil {
		p.checked = checked(head.Files, nil, err)
		return p, err
	}
	plan := diff.Compute(want, diff.FromFleet(was), diff.OfflinePolicy(was))
	p.Plan = view.Plan{
		Plan: plan, Mode: view.Offline, Commit: head.Commit, BaseCommit: base.Commit, Tree: head.Tree, At: a.now(), Tool: version(),
	}
	p.checked = checked(head.Files, want.Warnings, nil)
	return p, nil
}

// localAround is the repository that a folder is in. A relative folder is read,
// and printed, from the working directory if that is in the repository as well.
func localAround(dir string) (*gitrepo.LocalRepo, string, error) {
	if !filepath.IsAbs(dir) {
		if repo, err := gitrepo.Local("."); err == nil {
			return repo, dir, nil
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", err
	}
	repo, err := gitrepo.Local(abs)
	return repo, abs, err
}

func headOf(repo *gitrepo.LocalRepo, rev, dir string) (reconcile.Snapshot, error) {
	if rev == "" {
		return repo.Worktree(dir)
	}
	return repo.At(rev, dir)
}

// showPlan writes the plan to all the places that were asked for.
func (a *app) showPlan(p view.Plan, f planFlags) error {
	if f.out != "" {
		if err := toFile(f.out, func(w io.Writer) error { return view.PlanJSON(w, p) }); err != nil {
			return err
		}
	}
	if f.markdown == "-" {
		return view.PlanMarkdown(a.stdout, p, a.view())
	}
	if f.markdown != "" {
		if err := toFile(f.markdown, func(w io.Writer) error { return view.PlanMarkdown(w, p, a.view()) }); err != nil {
			return err
		}
	}
	if a.json() {
		return view.PlanJSON(a.stdout, p)
	}
	w := f.sinks.text(a)
	return view.PlanText(w, p, a.viewOn(w))
}

func toFile(name string, write func(io.Writer) error) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
	}()
	return write(file)
}

// planOutcome: an unknown cloud is an error, what is held comes before what
// changes.
func planOutcome(p diff.Plan, detailed bool) error {
	switch {
	case len(p.Unknown) > 0:
		return outcome(exitError)
	case len(p.HeldSteps()) > 0:
		return outcome(exitHeld)
	case detailed && p.Changes():
		return outcome(exitChanges)
	}
	return nil
}
