package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/record"
)

func (a *app) status() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [CLUSTER]",
		Short: "Show the clusters as the last pass saw them",
		Long: `Show the clusters as the last pass saw them: the records of the local store, or
of the status branch if this machine has none. CLUSTER is a name or cloud/name.`,
		Example: `  jeroboam status
  jeroboam status lab-demo/web
  jeroboam status -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			records, err := a.records(cmd.Context())
			if err != nil {
				return err
			}
			return a.showRecords(records, args)
		},
	}
	a.fleetFlags(cmd)
	return cmd
}

func (a *app) records(ctx context.Context) (_ []reconcile.Record, err error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	store, err := record.View(ctx, config.StateDir)
	if err != nil {
		return nil, err
	}
	defer closeStore(store, &err)
	stored, err := store.Records(ctx)
	if err != nil {
		return nil, err
	}
	var records []reconcile.Record
	for k, text := range stored {
		var r reconcile.Record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("record of %s: %w", k, err)
		}
		records = append(records, r)
	}
	if len(records) == 0 && !config.Status.Disabled {
		repo, err := a.repository(config)
		if err != nil {
			return nil, err
		}
		files, err := repo.ReadStatus(ctx)
		if err != nil {
			return nil, err
		}
		if records, err = reconcile.RecordsOf(files); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(records, func(a, b reconcile.Record) int { return a.Key().Compare(b.Key()) })
	return records, nil
}

func (a *app) showRecords(records []reconcile.Record, args []string) error {
	if len(args) == 0 {
		if a.json() {
			return view.StatusJSON(a.stdout, records)
		}
		return view.StatusText(a.stdout, records, a.view())
	}
	found := slices.DeleteFunc(slices.Clone(records), func(r reconcile.Record) bool {
		return args[0] != r.Name && args[0] != r.Key().String()
	})
	switch {
	case len(found) == 0:
		return fmt.Errorf("there is no record of a cluster %q", args[0])
	case len(found) > 1:
		keys := make([]string, len(found))
		for i, r := range found {
			keys[i] = r.Key().String()
		}
		return fmt.Errorf("%d clusters are named %q: give one of %s", len(found), args[0], strings.Join(keys, ", "))
	case a.json():
		return view.RecordJSON(a.stdout, found[0])
	}
	return view.RecordText(a.stdout, found[0], a.view())
}
