package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/demo"
	"jeroboam.io/jeroboam/cmd/internal/web"
	"jeroboam.io/jeroboam/drivers/sim"
)

// demoFlags are those of `demo` alone.
type demoFlags struct {
	dir          string
	untilSettled bool
	timeout      time.Duration
}

func (a *app) demo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show in a minute what Jeroboam does, on a simulated cloud",
		Long: `Show in a minute what Jeroboam does: a sample fleet in a Git repository, a simulated
OpenStack, and the daemon that keeps the one as the other says. Clusters are made,
resized and upgraded, and a delete is held; the plan of each commit is shown first.
Then it goes on until it is interrupted, for you to commit something.

Everything is on loopback and in one folder, which stays. The cloud is in memory
and ends with the demo.`,
		Example: `  jeroboam demo
  jeroboam demo --dir /tmp/try
  jeroboam demo --until-settled           # the story alone`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDemo(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "", "`folder` for everything, new or empty (default a temporary one)")
	cmd.Flags().BoolVar(&f.untilSettled, "until-settled", false, "end when the fleet is as Git says, but for the delete that is held")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 3*time.Minute, "give the story up after this `time`")
	return cmd
}

// How fast a demo is. Heat's times are whole seconds, so an update must take longer
// than one; beyond that nobody wants to wait for a simulation.
const (
	demoBuild  = 100 * time.Millisecond
	demoBoot   = 400 * time.Millisecond
	demoDelete = 20 * time.Millisecond

	demoPace = time.Second            // the daemon's
	demoTick = 250 * time.Millisecond // ours, at what it wrote down and at the branch
)

func (a *app) runDemo(ctx context.Context, f demoFlags) error {
	if a.configFile != "" || a.json() {
		return errors.New("a demo is for people and has a Config of its own: leave --config and --output away")
	}
	if _, err := exec.LookPath("git"); err != nil {
		return fmt.Errorf("%w: a repository on this machine is read through git; install it", err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	folder, err := demo.Make(ctx, f.dir)
	if err != nil {
		return err
	}
	p, err := a.player(folder)
	if err != nil {
		return err
	}
	defer p.daemon.stderr.(*os.File).Close()
	return p.perform(ctx, f)
}

// player plays somebody who has a shell in the demo's folder. What it shows are the
// program's own commands.
type player struct {
	*app
	folder *demo.Folder
	daemon *app
	runs   *background // the daemon, once it has begun
	last   web.Synced  // what it said of the last commit
}

// player goes to the folder, as somebody in a shell would: what is shown then is
// short, and can be typed there. The environment may name a cloud of the reader's,
// and that is not to be played with.
func (a *app) player(folder *demo.Folder) (*player, error) {
	if err := os.Chdir(folder.Dir); err != nil {
		return nil, err
	}
	if err := os.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(folder.Dir, demo.Clouds)); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(demo.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the daemon's log: %w", err)
	}
	of := *a
	of.stdout, of.stderr, of.logLevel, of.pace = log, log, "info", demoPace
	of.getenv = func(name string) string {
		if name == "XDG_RUNTIME_DIR" {
			return filepath.Join(folder.Dir, demo.Runtime)
		}
		return a.getenv(name)
	}
	return &player{app: a, folder: folder, daemon: &of}, nil
}

// perform has the cloud and the daemon beside the story. The daemon ends first: it
// waits for what it has under way.
func (p *player) perform(ctx context.Context, f demoFlags) error {
	l, err := listenSim(ctx, "127.0.0.1:0", demo.Clouds)
	if err != nil {
		return err
	}
	cloud := begin(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return serveSim(ctx, l, sim.Options{
			BuildTime: demoBuild, BootTime: demoBoot, DeleteTime: demoDelete, RuledServices: []string{"key-manager"},
		})
	})
	err = p.play(ctx, f)
	if p.runs != nil {
		p.runs.end()
	}
	cloud.end()
	switch {
	case err != nil && ctx.Err() != nil:
		err = errors.New("interrupted before the story was over")
	case err != nil:
		err = fmt.Errorf("%w; what the daemon says of it: %s", err, filepath.Join(p.folder.Dir, demo.Log))
	}
	fmt.Fprintf(p.stdout, "\nEnded, and the simulated cloud with it. The folder stays: %s\n", p.folder.Dir)
	return err
}

// background is something that goes on beside the story.
type background struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once it is done
}

func begin(ctx context.Context, do func(context.Context) error) *background {
	ctx, cancel := context.WithCancel(ctx)
	b := &background{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		b.err = do(ctx)
	}()
	return b
}

func (b *background) end() {
	b.cancel()
	<-b.done
}
