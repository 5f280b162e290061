package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

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
of the status branch if this machine has none. CLUSTER is a name or cloud/name. Keys
that are kept on this machine and were never exported are told on standard error.`,
		Example: `  jeroboam status
  jeroboam status lab-demo/web
  jeroboam status -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			records, err := a.records(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.showRecords(records, args); err != nil {
				return err
			}
			config, err := a.config()
			if err != nil {
				return err
			}
			return a.warnOfKeys(cmd.Context(), config)
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
	found, err := oneRecord(records, args[0])
	switch {
	case err != nil:
		return err
	case a.json():
		return view.RecordJSON(a.stdout, found)
	}
	return view.RecordText(a.stdout, found, a.view())
}
