package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// app is what the commands share.
type app struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	drivers        drivers.Registry

	configFile string
	flags      schema.Config // what flags say; empty fields come from the file
	leases     leaseFlags
	statusOff  bool
	output     string
	logLevel   string
	logJSON    bool
	pace       time.Duration // between two looks of the daemon at what is in motion, and two commits of status; 0: the defaults
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "jeroboam",
		Short: "Keeps OpenStack container clusters as a Git repository says",
		Long: `Jeroboam keeps OpenStack container clusters as a Git repository says: it reads
ClusterTemplate and Cluster documents, compares them with what runs, shows the
difference as a plan, carries it out and commits the status back.

` + exitHelp,
		Example: `  jeroboam validate .                     # check the documents, no network
  jeroboam plan .                         # what would change; only reads
  jeroboam plan --offline --base main     # what a branch changes; no cloud
  jeroboam apply --wait                   # do it and watch
  jeroboam status`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkFlags() },
	}
	root.AddCommand(a.convert())
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	f := root.PersistentFlags()
	f.StringVarP(&a.configFile, "config", "c", "", "Config `file` (default jeroboam.yaml, if there is one)")
	f.StringVarP(&a.output, "output", "o", "text", "output `format`: text or json")
	f.StringVar(&a.logLevel, "log-level", "warn", "log `level`: debug, info, warn or error")
	f.BoolVar(&a.logJSON, "log-json", false, "log as JSON")
	root.AddCommand(a.validate(), a.plan(), a.apply(), a.run(), a.sync(), a.status(), a.history(), a.explain(), a.schema(), a.sim(), a.doctor(), a.version(),
		a.ca(), a.kubeconfig(), a.demo())
	return root
}

// fleetFlags are those of commands that read the fleet from Git and a cloud.
func (a *app) fleetFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.flags.Repository.URL, "repo", "", "repository `URL` or path (default the one around the working directory)")
	f.StringVar(&a.flags.Repository.Branch, "branch", "", "`branch` to read (default the repository's HEAD)")
	f.StringVar(&a.flags.Repository.Path, "path", "", "`folder` of the fleet in the repository")
	f.StringVar(&a.flags.Repository.Access.SSHKey, "ssh-key", "", "`file` of the private key for SSH (default the keys of $SSH_AUTH_SOCK)")
	f.StringVar(&a.flags.Repository.Access.KnownHosts, "known-hosts", "", "`file` of the host keys for SSH (default ~/.ssh/known_hosts)")
	f.StringVar(&a.flags.Repository.Access.CABundle, "git-ca-bundle", "", "`file` of certificates that are trusted for https beside the system's")
	f.StringVar(&a.flags.Instance, "instance", "", "`name` of this instance: its state and status branch (default \"default\")")
	f.StringVar(&a.flags.Owner, "owner", "", "`name` written on every cluster as its owner (default the instance)")
	f.StringVar(&a.flags.StateDir, "state-dir", "", "`folder` of the local store (default below $XDG_STATE_HOME)")
	f.StringVar(&a.flags.Status.Branch, "status-branch", "", "`branch` to commit status to (default jeroboam-status/INSTANCE)")
	f.BoolVar(&a.statusOff, "no-status", false, "do not read or commit status in Git")
}

func (a *app) checkFlags() error {
	if a.output != "text" && a.output != "json" {
		return fmt.Errorf("--output is %q: give text or json", a.output)
	}
	if _, err := zapcore.ParseLevel(a.logLevel); err != nil {
		return fmt.Errorf("--log-level is %q: give debug, info, warn or error", a.logLevel)
	}
	return nil
}

func (a *app) json() bool { return a.output == "json" }

// view are the options of everything that is printed for people.
func (a *app) view() view.Options { return a.viewOn(a.stdout) }

// viewOn are those of what goes elsewhere than to standard output.
func (a *app) viewOn(w io.Writer) view.Options {
	file, ok := w.(*os.File)
	tty := ok && term.IsTerminal(int(file.Fd()))
	return view.Options{Color: tty && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"}
}

// log writes to stderr; levels above the chosen one are dropped.
func (a *app) log() *zap.Logger {
	level, _ := zapcore.ParseLevel(a.logLevel) // checked by checkFlags
	config := zap.NewDevelopmentEncoderConfig()
	encoder := zapcore.NewConsoleEncoder(config)
	if a.logJSON {
		encoder = zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(a.stderr)), level))
}

// config is the Config document with the flags over it: of one fleet, which
// --instance names where there are several.
func (a *app) config() (schema.Config, error) {
	all, err := a.configs()
	if err != nil {
		return schema.Config{}, err
	}
	if len(all) > 1 {
		names := make([]string, len(all))
		for i, c := range all {
			names[i] = c.Instance
		}
		return schema.Config{}, fmt.Errorf("the Config has several sources: give --instance with one of %s", strings.Join(names, ", "))
	}
	return all[0], nil
}

// configs are the configurations of all fleets, or of the one that --instance
// names; each with the flags over it.
func (a *app) configs() ([]schema.Config, error) {
	document, err := a.configDocument()
	if err != nil {
		return nil, err
	}
	all := document.Instances()
	if name := a.flags.Instance; name != "" && len(document.Sources) > 0 {
		all = slices.DeleteFunc(all, func(c schema.Config) bool { return c.Instance != name })
		if len(all) == 0 {
			return nil, fmt.Errorf("the Config has no source %q", name)
		}
	}
	for i := range all {
		if all[i], err = a.overlaid(all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (a *app) overlaid(c schema.Config) (schema.Config, error) {
	over := a.flags
	for _, s := range []struct{ to, from *string }{
		{&c.Repository.URL, &over.Repository.URL},
		{&c.Repository.Branch, &over.Repository.Branch},
		{&c.Repository.Path, &over.Repository.Path},
		{&c.Repository.Access.SSHKey, &over.Repository.Access.SSHKey},
		{&c.Repository.Access.KnownHosts, &over.Repository.Access.KnownHosts},
		{&c.Repository.Access.CABundle, &over.Repository.Access.CABundle},
		{&c.Instance, &over.Instance},
		{&c.Owner, &over.Owner},
		{&c.StateDir, &over.StateDir},
		{&c.Status.Branch, &over.Status.Branch},
		{&c.Listen, &over.Listen},
		{&c.Sync.Cron, &over.Sync.Cron},
		{&c.Sync.TimeZone, &over.Sync.TimeZone},
		{&c.Sync.Jitter, &over.Sync.Jitter},
		{&c.Sync.Missed, &over.Sync.Missed},
		{&c.Sync.DriftInterval, &over.Sync.DriftInterval},
		{&c.Sync.Drift, &over.Sync.Drift},
	} {
		if *s.from != "" {
			*s.to = *s.from
		}
	}
	c.Status.Disabled = c.Status.Disabled || a.statusOff
	return a.configDefaults(c)
}

func (a *app) configDocument() (schema.Config, error) {
	file := a.configFile
	if file == "" {
		file = "jeroboam.yaml"
	}
	text, err := os.ReadFile(file)
	if a.configFile == "" && errors.Is(err, fs.ErrNotExist) {
		return schema.Config{}, nil
	}
	if err != nil {
		return schema.Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c, err := schema.ParseConfig(file, text)
	if err != nil {
		return schema.Config{}, err
	}
	return *c, nil
}

// loader loads fleets as the daemon would: what the configuration says of clouds
// counts, where there is one.
func (a *app) loader() (*schema.Loader, error) {
	c, err := a.configDocument()
	if err != nil {
		return nil, err
	}
	l := schema.NewLoader()
	l.Config = &c
	return l, nil
}

func (a *app) configDefaults(c schema.Config) (schema.Config, error) {
	if c.Instance == "" {
		c.Instance = "default"
	}
	if c.Owner == "" {
		c.Owner = c.Instance
	}
	c.Sync = c.Sync.WithDefaults()
	if c.Status.Branch == "" {
		c.Status.Branch = "jeroboam-status/" + c.Instance
	}
	if c.StateDir == "" {
		base := a.getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return c, fmt.Errorf("find a folder for the local store: %w; give --state-dir", err)
			}
			base = filepath.Join(home, ".local", "state")
		}
		c.StateDir = filepath.Join(base, "jeroboam", c.Instance)
	}
	return c, nil
}

// reconciler over Git and a store. The store is the caller's to close; the board does
// not count if status is not committed.
func (a *app) reconciler(c schema.Config, store *record.Store, source reconcile.Source, board reconcile.Board) *reconcile.Reconciler {
	if c.Status.Disabled {
		board = nil
	}
	return &reconcile.Reconciler{
		Source: source, Board: board, Store: store, Drivers: a.drivers, Config: c, Log: a.log(), Now: a.now,
		Secrets: ownSecrets(), InspectEvery: 10 * time.Minute,
	}
}

// options open a cloud for what is done beside passes. What remembers, and what
// must not write, is the caller's to add.
func (a *app) options(c schema.Config, name schema.CloudName) drivers.Options {
	return drivers.Options{
		Cloud: name, Config: c.Clouds[name], Owner: c.Owner, Instance: c.Instance,
		KeyDir: c.KeyDir(), Now: a.now, Log: a.log(),
	}
}

// closeStore keeps the first error.
func closeStore(store *record.Store, err *error) {
	if e := store.Close(); *err == nil {
		*err = e
	}
}

// fixed is a Source of one snapshot: a working tree.
type fixed struct{ snapshot reconcile.Snapshot }

func (f fixed) Fetch(context.Context, string) (reconcile.Snapshot, error) { return f.snapshot, nil }
