package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

func (a *app) doctor() *cobra.Command {
	var clouds []string
	var write bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check Git access, the local store, clouds and what their credentials may do",
		Long: `Check what Jeroboam stands on: the configuration, the repository, the local store,
and for each cloud the credential, its roles, and the services that clusters
need. It only reads, unless --write: then it makes an empty stack and deletes it,
because what Heat needs for that no read can show.`,
		Example: `  jeroboam doctor --cloud lab-demo
  jeroboam doctor --cloud lab-demo --write`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := a.examine(cmd.Context(), clouds, write)
			if err != nil {
				return err
			}
			if err := a.showFindings(found); err != nil {
				return err
			}
			if slices.ContainsFunc(found, func(f view.Finding) bool { return f.Level == drivers.Bad }) {
				return outcome(exitError)
			}
			return nil
		},
	}
	a.fleetFlags(cmd)
	cmd.Flags().StringSliceVar(&clouds, "cloud", nil, "`cloud` of clouds.yaml to check (default those of the fleet and the Config)")
	cmd.Flags().BoolVar(&write, "write", false, "also make a stack and delete it")
	return cmd
}

func (a *app) showFindings(found []view.Finding) error {
	if a.json() {
		return view.FindingsJSON(a.stdout, found)
	}
	return view.FindingsText(a.stdout, found, a.view())
}

// examine gathers everything: one thing that fails hides no other. Of several
// sources it looks at each.
func (a *app) examine(ctx context.Context, clouds []string, write bool) ([]view.Finding, error) {
	configs, err := a.configs()
	if err != nil {
		return nil, err
	}
	found := []view.Finding{{Subject: "jeroboam", Finding: drivers.Finding{Check: "version", Level: drivers.Fine, Detail: version()}}}
	for _, c := range configs {
		of := ""
		if len(configs) > 1 {
			of = " of " + c.Instance
		}
		found = append(found, a.examineFleet(ctx, c, of, clouds, write)...)
	}
	return found, nil
}

func (a *app) examineFleet(ctx context.Context, config schema.Config, of string, clouds []string, write bool) (found []view.Finding) {
	about := func(subject string, f drivers.Finding) {
		found = append(found, view.Finding{Subject: subject + of, Finding: f})
	}
	about("store", a.examineStore(ctx, config))
	if f, told := a.examineLocalKeys(ctx, config); told {
		about("store", f)
	}
	fleet, f := a.examineRepository(ctx, config)
	about("repository", f)
	for _, f := range a.examineGit(ctx, config) {
		about("repository", f)
	}
	for _, name := range cloudsToExamine(config, fleet, clouds) {
		for _, f := range a.examineCloud(ctx, config, name, write) {
			about("cloud "+string(name), f)
		}
	}
	return found
}

func (a *app) examineStore(ctx context.Context, c schema.Config) drivers.Finding {
	f := drivers.Finding{Check: "local store", Level: drivers.Fine, Detail: c.StateDir}
	store, err := record.View(ctx, c.StateDir)
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		f.Level, f.Detail = drivers.Bad, err.Error()
	}
	return f
}

// examineLocalKeys tells of keys that would be lost with this machine.
func (a *app) examineLocalKeys(ctx context.Context, c schema.Config) (f drivers.Finding, told bool) {
	f = drivers.Finding{Check: "keys kept locally", Level: drivers.Doubt}
	lines, err := a.notBackedUp(ctx, c)
	switch {
	case err != nil:
		f.Level, f.Detail = drivers.Bad, err.Error()
	case len(lines) > 0:
		f.Detail = "those of " + count(len(lines), "cluster") + " are on this machine alone"
		f.Advice = "back them up:\n" + strings.Join(lines, "\n")
	default:
		return f, false
	}
	return f, true
}

func (a *app) examineRepository(ctx context.Context, c schema.Config) (*schema.Fleet, drivers.Finding) {
	f := drivers.Finding{Check: "fetch and validate", Level: drivers.Bad}
	repo, _, err := a.repositories(c)
	if err != nil {
		f.Detail = err.Error()
		return nil, f
	}
	snapshot, err := repo.Fetch(ctx, "")
	if err != nil {
		f.Detail = err.Error()
		return nil, f
	}
	loader := schema.NewLoader()
	loader.Config = &c
	fleet, err := loader.Load(snapshot.Files)
	if err != nil {
		f.Detail, f.Advice = err.Error(), "run jeroboam validate"
		return nil, f
	}
	if snapshot.Distrust != nil {
		f.Level, f.Detail = drivers.Doubt, snapshot.Distrust.String()
		return fleet, f
	}
	f.Level = drivers.Fine
	f.Detail = fmt.Sprintf("commit %.8s of %s has %s", snapshot.Commit, snapshot.Author, count(len(fleet.Clusters), "cluster"))
	return fleet, f
}

func cloudsToExamine(c schema.Config, fleet *schema.Fleet, asked []string) []schema.CloudName {
	set := map[schema.CloudName]bool{}
	for _, name := range asked {
		set[schema.CloudName(name)] = true
	}
	if len(asked) == 0 {
		for name := range c.Clouds {
			set[name] = true
		}
		if fleet != nil {
			for _, cluster := range fleet.Clusters {
				set[cluster.Cloud] = true
			}
		}
	}
	names := make([]schema.CloudName, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (a *app) examineCloud(ctx context.Context, c schema.Config, name schema.CloudName, write bool) []drivers.Finding {
	o := a.options(c, name)
	o.ReadOnly = !write
	d, err := a.drivers.Open(ctx, o)
	if err != nil {
		return []drivers.Finding{{Check: "credential", Level: drivers.Bad, Detail: err.Error()}}
	}
	if e, ok := d.(drivers.Examiner); ok {
		return e.Examine(ctx, write)
	}
	return nil
}
