package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/record"
)

func (a *app) status() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [CLUSTER]",
		Short: "Show the clusters as the last pass saw them",
		Long: `Show the clusters as the last pass saw them: the records of the local store, or
of the status branch if this machine has none. CLUSTER is a name or cloud/name. Keys
that are kept on this machine and were never exported are told on standard error.`,
		Example: `  jeroboam status
  jeroboam status lab-demo/web
  jeroboam status --watch
  jeroboam status -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch {
				return a.watchRecords(cmd.Context(), args)
			}
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
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show them again whenever they have changed, until interrupted")
	return cmd
}

// watchEvery is how often the store is looked at for a change.
const watchEvery = 2 * time.Second

// watchRecords shows the records anew when they have changed.
func (a *app) watchRecords(ctx context.Context, args []string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	watch := view.NewWatch(a.stdout, a.view())
	for {
		records, err := a.records(ctx)
		if ctx.Err() != nil {
			return nil // what was cut short says nothing
		}
		if err == nil {
			err = a.showWatched(watch, records, args)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// showWatched leaves JSON a stream of documents, on a terminal as well. A cluster
// that is not there yet, or no more, is waited for.
func (a *app) showWatched(watch *view.Watch, records []reconcile.Record, args []string) error {
	return watch.Show(a.now(), func(w io.Writer, o view.Options) error {
		err := a.renderRecords(w, o, records, args)
		if _, none := errors.AsType[noRecordError](err); none && !a.json() {
			_, err = fmt.Fprintln(w, err)
		} else if none {
			return nil
		}
		return err
	})
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
		_, board, err := a.repositories(config)
		if err != nil {
			return nil, err
		}
		files, err := board.ReadStatus(ctx)
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
	return a.renderRecords(a.stdout, a.view(), records, args)
}

func (a *app) renderRecords(w io.Writer, o view.Options, records []reconcile.Record, args []string) error {
	if len(args) == 0 {
		if a.json() {
			return view.StatusJSON(w, records)
		}
		return view.StatusText(w, records, o)
	}
	found, err := oneRecord(records, args[0])
	switch {
	case err != nil:
		return err
	case a.json():
		return view.RecordJSON(w, found)
	}
	return view.RecordText(w, found, o)
}
