package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// leaseFlags are those of run about other machines.
type leaseFlags struct {
	look     time.Duration
	takeOver bool
}

// patience, in looks, is how long a holder may take to answer.
const patience = 4

// ownership is the right to keep the clusters of an owner: on this machine by a
// lock, among machines by a lease in the repository that status goes to.
type ownership struct {
	lock   *record.Owner
	lease  *gitrepo.Lease // nil: there is none
	log    *zap.Logger
	end    context.CancelFunc
	keeper sync.WaitGroup
	lost   error // why ctx ended
}

// own takes the lease to the lock, or fails with who has it, and gives the lock up.
// The context is done when somebody else took the lease over. Without status in Git,
// where the server refuses the ref, or as long as it does not answer, the lock counts
// alone, and that is told.
func (a *app) own(ctx context.Context, lock *record.Owner, c schema.Config, log *zap.Logger) (_ context.Context, _ *ownership, err error) {
	o := &ownership{lock: lock, log: log}
	within, end := context.WithCancel(ctx)
	o.end = end
	if c.Status.Disabled {
		return within, o, nil
	}
	if o.lease, err = a.lease(c, log); err == nil {
		err = o.lease.Acquire(ctx)
	}
	switch _, held := errors.AsType[*gitrepo.HeldError](err); {
	case held, o.lease == nil:
		return ctx, nil, o.release(ctx, err)
	case err != nil && ctx.Err() == nil:
		log.Warn("daemons of this owner on other machines are not kept away", zap.Error(err))
	}
	o.keep(within)
	return within, o, nil
}

// keep answers other machines until the context is done, or ends it.
func (o *ownership) keep(ctx context.Context) {
	o.keeper.Go(func() {
		if o.lost = o.lease.Keep(ctx); o.lost != nil {
			o.log.Error("ending: the clusters are somebody else's", zap.Error(o.lost))
			o.end()
		}
	})
}

// release gives both up. The error is that of the work, or why it ended.
func (o *ownership) release(ctx context.Context, err error) error {
	o.end()
	o.keeper.Wait()
	if o.lease != nil && o.lost == nil {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), lastPush)
		defer done()
		if err := o.lease.Release(ctx); err != nil {
			o.log.Warn("the lease was not given up; who comes next has to wait for it", zap.Error(err))
		}
	}
	return errors.Join(err, o.lost, o.lock.Close())
}

func (a *app) lease(c schema.Config, log *zap.Logger) (*gitrepo.Lease, error) {
	_, status, err := a.repositories(c)
	if err != nil {
		return nil, err
	}
	place, err := placeOf(c.StateDir)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return status.Lease(gitrepo.LeaseOptions{
		Owner: c.Owner, TakeOver: a.leases.takeOver, Look: a.leases.look, Patience: patience * a.leases.look, Log: log,
		Me: gitrepo.Holder{ID: rand.Text(), Place: place, Host: host, PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second)},
	}), nil
}

// placeOf is the name of a state directory among all: whoever has it locked knows
// that who had it before is not there any more.
func placeOf(stateDir string) (string, error) {
	file := filepath.Join(stateDir, "place")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 { // killed before it was written
		text = []byte(rand.Text() + "\n")
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("name the state directory: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
