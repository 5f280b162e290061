package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/cmd/internal/web"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/daemon"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/reconcile/schedule"
	"jeroboam.io/jeroboam/schema"
)

func (a *app) run() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [CONFIG...]",
		Short: "Keep the clusters as the repository says, until it is ended",
		Long: `Keep the clusters as the repository says, until it is ended: look at the branch by
cron (spec.sync), when a webhook comes or with jeroboam sync, make a pass when
there is a reason, and commit the status.

Each CONFIG is an instance of its own, with its repository, branch, state and
status, and so is each of the sources of one; without any it is the Config of
--config. Instances with the same address to listen at share it: metrics have
instance_name, a push makes those look whose repository it names, and the address
is ready when all of them are.

SIGTERM ends it in order: no step begins any more, those on their way are waited
for. SIGHUP reads the Configs again; one that is not valid is told and the old one
stays. A second daemon with the same state directory or the same owner is refused,
with who is there; on another machine if its status goes to the same repository,
where refs/jeroboam/owner/OWNER says who keeps the clusters. One that does not answer
there for two minutes has lost them.`,
		Example: `  jeroboam run -c jeroboam.yaml
  jeroboam run --log-json prod.yaml lab.yaml
  jeroboam run --listen 127.0.0.1:9080 --sync-cron '*/5 * * * *'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("log-level") {
				a.logLevel = "info"
			}
			return a.keepAll(cmd.Context(), args)
		},
	}
	a.fleetFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&a.flags.Listen, "listen", "", "`address` of health, metrics and webhooks (default none is opened)")
	f.BoolVar(&a.leases.takeOver, "take-over", false, "take the clusters over from a daemon on another machine; it ends when it sees that")
	f.DurationVar(&a.leases.look, "lease-look", 30*time.Second, "`time` between two looks whether a daemon on another machine asks for the clusters")
	f.StringVar(&a.flags.Sync.Cron, "sync-cron", "", "`cron` expression by which the branch is looked at (default every minute)")
	f.StringVar(&a.flags.Sync.TimeZone, "sync-time-zone", "", "IANA `name` of its time zone (default UTC)")
	f.StringVar(&a.flags.Sync.Jitter, "sync-jitter", "", "`time` by which it is delayed at most (default 20s)")
	f.StringVar(&a.flags.Sync.Missed, "sync-missed", "", "what becomes of missed times: `once` or skip (default once)")
	f.StringVar(&a.flags.Sync.DriftInterval, "drift-interval", "", "`time` after which clouds are looked at when nothing changed (default 10m)")
	f.StringVar(&a.flags.Sync.Drift, "drift", "", "what others changed: `correct` or report (default correct)")
	return cmd
}

// keepAll keeps several instances. One that cannot go on ends all: who looks after
// the process finds out, instead of missing one of them.
func (a *app) keepAll(ctx context.Context, files []string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	if len(files) == 0 {
		files = []string{a.configFile}
	}
	fronts := newFronts(a.log(), a.now)
	instances, err := a.instances(files, fronts)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range instances {
		group.Go(func() error {
			err := one.keepBehind(ctx, fronts)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // it was told to end while it was starting
			}
			return err
		})
	}
	return group.Wait()
}

// instances are those of all Configs, each as if it were alone.
func (a *app) instances(files []string, fronts *fronts) ([]*app, error) {
	var instances []*app
	from := map[string]string{}
	for _, file := range files {
		of := *a
		of.configFile = file
		all, err := of.configs()
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			if other, twice := from[c.Instance]; twice {
				return nil, fmt.Errorf("%s and %s both have an instance %q: give one of them another spec.instance", cmp.Or(other, "jeroboam.yaml"), cmp.Or(file, "jeroboam.yaml"), c.Instance)
			}
			from[c.Instance] = file
			one := of
			if len(all) > 1 {
				one.flags.Instance = c.Instance
			}
			fronts.expect(c.Listen, c.Instance)
			instances = append(instances, &one)
		}
	}
	return instances, nil
}

// keep keeps one instance until ctx is done.
func (a *app) keep(ctx context.Context) error { return a.keepBehind(ctx, newFronts(a.log(), a.now)) }

func (a *app) keepBehind(ctx context.Context, fronts *fronts) (err error) {
	config, err := a.config()
	if err != nil {
		return err
	}
	log := a.log().With(zap.String("instance", config.Instance))
	store, err := record.Open(ctx, config.StateDir)
	if err != nil {
		return err
	}
	defer closeStore(store, &err)
	lock, err := record.LockOwner(a.ownersDir(), config.Owner)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1) // from now on, as the default is to end
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	k := &keeping{app: a, store: store, log: log, metrics: web.NewMetrics(config.Instance), fronts: fronts, idle: newIdler(), listen: config.Listen}
	// It may take minutes until another machine's daemon is known to be gone: who
	// watches this one is answered meanwhile, and does not end it for its silence.
	if err := fronts.join(ctx, k.listen, web.Member{Name: config.Instance}); err != nil {
		return errors.Join(err, lock.Close())
	}
	defer func() { fronts.leave(k.listen, config.Instance) }()
	ctx, owner, err := a.own(ctx, lock, config, log)
	if err != nil {
		return err
	}
	defer func() { err = owner.release(ctx, err) }()
	next, err := k.build(config)
	if err != nil {
		return err
	}
	socket, err := web.ListenSocket(ctx, config.StateDir)
	if err != nil {
		return err
	}
	defer serve(socket, &k.socket, log)()
	defer k.idle.stop()
	for next != nil && err == nil {
		next, err = k.live(ctx, next, hangup)
	}
	return err
}

// ownersDir is one folder for all daemons of this user on this machine, whatever
// state directories they have.
func (a *app) ownersDir() string {
	base := cmp.Or(a.getenv("XDG_RUNTIME_DIR"), a.getenv("XDG_STATE_HOME"), filepath.Join(os.TempDir(), fmt.Sprintf("jeroboam-%d", os.Getuid())))
	return filepath.Join(base, "jeroboam-owners")
}

// keeping is an instance from one configuration to the next.
type keeping struct {
	*app
	store   *record.Store
	log     *zap.Logger
	metrics *web.Metrics
	fronts  *fronts
	idle    idler
	socket  handler

	listen string // the address that it is behind
}

// life is an instance with one configuration.
type life struct {
	config schema.Config
	hooks  []web.Hook
	begin  func() error // makes the two below, once the life before has ended
	daemon *daemon.Daemon
	outbox *gitrepo.Outbox // nil: status is not committed
}

// fetched is told of every look at the branch.
func (k *keeping) fetched(commit string, took time.Duration, err error) {
	k.metrics.Fetched(commit, took, err)
	k.idle.busy()
}

// ran is told of every run.
func (k *keeping) ran(report reconcile.Report, took time.Duration, err error) {
	k.metrics.Ran(report, took, err)
	k.idle.busy()
}

// run is the daemon of a life, and the outbox beside it, until the context ends;
// what is in the outbox then is pushed once more, and else left to the next life.
func (k *keeping) run(ctx context.Context, l *life) error {
	if l.outbox == nil {
		return l.daemon.Run(ctx)
	}
	pushing, end := context.WithCancel(ctx)
	var pushes sync.WaitGroup
	pushes.Go(func() { l.outbox.Run(pushing) })
	err := l.daemon.Run(ctx)
	end()
	pushes.Wait()
	last, done := context.WithTimeout(context.WithoutCancel(ctx), lastPush)
	defer done()
	if err := l.outbox.Flush(last); err != nil {
		k.log.Warn("status not pushed; the next start does it", zap.Error(err))
	}
	return err
}

// lastPush is how long status may take when the daemon ends.
const lastPush = 20 * time.Second

// build puts together what a configuration says, and opens nothing: what is wrong
// with it must be known before the life before it ends.
func (k *keeping) build(c schema.Config) (*life, error) {
	hooks, err := k.hooks(c)
	if err != nil {
		return nil, err
	}
	cron, err := schedule.Parse(c.Sync.Cron, c.Sync.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	jitter, err := time.ParseDuration(c.Sync.Jitter)
	if err != nil {
		return nil, fmt.Errorf("sync jitter: %w", err)
	}
	drift, err := time.ParseDuration(c.Sync.DriftInterval)
	if err != nil {
		return nil, fmt.Errorf("drift interval: %w", err)
	}
	switch {
	case c.Sync.Missed != string(schedule.Once) && c.Sync.Missed != string(schedule.Skip):
		return nil, fmt.Errorf("sync missed is %q: give once or skip", c.Sync.Missed)
	case c.Sync.Drift != schema.DriftCorrect && c.Sync.Drift != schema.DriftReport:
		return nil, fmt.Errorf("drift is %q: give correct or report", c.Sync.Drift)
	}
	fleet, status, err := k.repositories(c)
	if err != nil {
		return nil, err
	}
	l := &life{config: c, hooks: hooks}
	l.begin = func() error {
		if !c.Status.Disabled {
			if l.outbox, err = k.outbox(c, status); err != nil {
				return err
			}
		}
		runs := k.reconciler(c, k.store, fleet, l.outbox)
		runs.Log, runs.Calls = k.log, k.metrics
		l.daemon = daemon.New(daemon.Options{
			Source: fleet, Runs: runs, Drift: drift, Poll: k.pace,
			OnFetch: k.fetched, OnRun: k.ran, OnAsk: k.metrics.Asked,
			Sync: schedule.Timer{Cron: cron, Jitter: jitter, Name: c.Instance, Missed: schedule.Missed(c.Sync.Missed)},
		})
		return nil
	}
	return l, nil
}

// hooks are the webhooks with their secrets.
func (k *keeping) hooks(c schema.Config) ([]web.Hook, error) {
	var hooks []web.Hook
	for _, w := range c.Webhooks {
		secret := []byte(k.getenv(w.Secret.Env))
		if w.Secret.File != "" {
			text, err := os.ReadFile(w.Secret.File)
			if err != nil {
				return nil, fmt.Errorf("secret of webhook %s: %w", w.Name, err)
			}
			secret = bytes.TrimSpace(text)
		}
		if len(secret) == 0 {
			return nil, fmt.Errorf("secret of webhook %s: it is empty", w.Name)
		}
		hooks = append(hooks, web.Hook{Name: w.Name, Type: w.Type, Secret: secret})
	}
	return hooks, nil
}

// live lives one life, and gives the next: nil at the end of all.
func (k *keeping) live(ctx context.Context, l *life, hangup <-chan os.Signal) (*life, error) {
	if err := l.begin(); err != nil {
		return nil, err
	}
	if err := k.open(ctx, l); err != nil {
		return nil, err
	}
	k.socket.set(web.SocketHandler(l.daemon))
	k.log.Info("keeping clusters", zap.String("owner", l.config.Owner), zap.String("state", l.config.StateDir), zap.String("listen", k.listen))
	run, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- k.run(run, l) }()
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-hangup:
			next, err := k.reload(l.config)
			if err != nil {
				k.log.Error("configuration not taken, going on with the old one", zap.Error(err))
				continue
			}
			end()
			if err := <-ended; err != nil {
				return nil, err
			}
			k.log.Info("configuration taken")
			return next, nil
		}
	}
}

// reload reads the configuration again. What names the instance cannot change while
// it lives.
func (k *keeping) reload(old schema.Config) (*life, error) {
	c, err := k.config()
	if err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, was, is string }{
		{"instance", old.Instance, c.Instance}, {"owner", old.Owner, c.Owner}, {"stateDir", old.StateDir, c.StateDir},
	} {
		if f.was != f.is {
			return nil, fmt.Errorf("%s was %q and is %q: that takes a new start", f.name, f.was, f.is)
		}
	}
	return k.build(c)
}

// open puts a life behind the address of its configuration. One that cannot be
// opened leaves it behind the old one.
func (k *keeping) open(ctx context.Context, l *life) error {
	m := web.Member{Name: l.config.Instance, Instance: l.daemon, Repository: l.config.Repository.URL, Hooks: l.hooks, Metrics: k.metrics}
	old := k.listen
	err := k.fronts.join(ctx, l.config.Listen, m)
	if err != nil && old != "" {
		k.log.Error("address not opened, going on with the old one", zap.Error(err))
		return k.fronts.join(ctx, old, m)
	}
	if err != nil {
		return err
	}
	if k.listen = l.config.Listen; old != "" && old != k.listen {
		k.fronts.leave(old, m.Name)
	}
	return nil
}

// handler is one that can be replaced while it serves.
type handler struct{ now atomic.Pointer[http.Handler] }

func (h *handler) set(next http.Handler) { h.now.Store(&next) }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := h.now.Load()
	if now == nil {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	(*now).ServeHTTP(w, r)
}

// serve serves until what it returns is called.
func serve(l net.Listener, h http.Handler, log *zap.Logger) (stop func()) {
	server := web.Server(h)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("no longer listening", zap.String("address", l.Addr().String()), zap.Error(err))
		}
	}()
	return func() {
		_ = server.Close() // closing the listener again is all that can fail
		<-done
	}
}
