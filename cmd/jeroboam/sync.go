package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/web"
)

func (a *app) sync() *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Have the daemon look at the branch and at the clouds now",
		Long: `Have the daemon that runs with this state directory look at the branch and at the
clouds now, and wait for the pass that it makes then. What failed and was to be
tried later is tried at once. Windows, limits and guards hold as ever.

` + exitHelp,
		Example: `  jeroboam sync
  jeroboam sync --wait=false
  jeroboam sync -c prod.yaml -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSync(cmd.Context(), wait, timeout) },
	}
	a.fleetFlags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", true, "wait for the pass")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "give up waiting after this `time`")
	return cmd
}

func (a *app) runSync(ctx context.Context, wait bool, timeout time.Duration) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the pass has not ended in %s; it goes on", timeout))
	defer stop()
	s, err := web.AskSync(ctx, config.StateDir, wait)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if err := a.showSynced(s, wait); err != nil {
		return err
	}
	switch {
	case s.Error != "", s.Failed > 0, s.Unknown > 0:
		return outcome(exitError)
	case s.Held > 0:
		return outcome(exitHeld)
	}
	return nil
}

func (a *app) showSynced(s web.Synced, waited bool) error {
	switch {
	case a.json():
		return json.NewEncoder(a.stdout).Encode(s)
	case !waited:
		_, err := fmt.Fprintln(a.stdout, "Asked.")
		return err
	case s.Error != "":
		a.say("jeroboam", "the pass decided nothing: "+s.Error)
		return nil
	}
	var parts []string
	for _, c := range []struct {
		n    int
		word string
	}{
		{s.Started, "started"},
		{s.Failed, "failed"},
		{s.Moving, "in motion"},
		{s.Held, "held"},
		{s.Unknown, "clouds unknown"},
		{s.InSync, "in sync"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing to do"}
	}
	_, err := fmt.Fprintf(a.stdout, "Synced at commit %.12s: %s\n", s.Commit, strings.Join(parts, ", "))
	return err
}
