package main

import (
	"context"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/reconcile/record"
)

func (a *app) history() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show the last passes: when, at which commit, what they did",
		Long: `Show the last passes, of the daemon and of apply: when, at which commit, and what
they planned. The local store keeps the last thousand.`,
		Example: `  jeroboam history
  jeroboam history --limit 100 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.showHistory(cmd.Context(), limit) },
	}
	a.fleetFlags(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "show at most `n` passes")
	return cmd
}

func (a *app) showHistory(ctx context.Context, limit int) (err error) {
	config, err := a.config()
	if err != nil {
		return err
	}
	store, err := record.View(ctx, config.StateDir)
	if err != nil {
		return err
	}
	defer closeStore(store, &err)
	runs, err := store.Runs(ctx, max(limit, 0))
	switch {
	case err != nil:
		return err
	case a.json():
		return view.HistoryJSON(a.stdout, runs)
	}
	return view.HistoryText(a.stdout, runs, a.view())
}
