package gitrepo

import (
	"context"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/storage/memory"
	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// follow makes a commit the head, if the policy lets it. A held one is kept
// beside the head, and nothing of it is read by anybody: not its files, not its
// acknowledgements.
func (r *Repo) follow(ctx context.Context, next candidate, applied plumbing.Hash) error {
	f := &r.fleet
	against := r.against(next)
	if against == nil || !against.Held {
		f.candidate, f.held, f.distrust = next, candidate{}, against
		return nil
	}
	f.held, f.distrust = next, against
	if f.head != nil {
		return nil
	}
	before, err := r.fetchApplied(ctx, next, applied)
	if err != nil {
		return err
	}
	f.candidate = before
	return nil
}

// stillDistrusted is for a branch that is at the head: a held commit was taken
// back, or the key of one that was only warned of may be known by now.
func (r *Repo) stillDistrusted() {
	f := &r.fleet
	switch {
	case f.held.head != nil:
		f.held, f.distrust = candidate{}, nil
	case f.distrust != nil:
		f.distrust = r.against(f.candidate)
	}
}

// against is what the policy has against a commit.
func (r *Repo) against(c candidate) *reconcile.Distrust {
	if !r.o.Trust.on() {
		return nil
	}
	err := r.o.Trust.judge(c.head)
	if err == nil {
		return nil
	}
	d := &reconcile.Distrust{
		Commit: c.files.Commit, Author: c.files.Author, Subject: c.files.Subject,
		Reason: err.Error(), Held: r.o.Trust.Policy == TrustRequire,
	}
	if r.fleet.distrust == nil || *r.fleet.distrust != *d {
		r.o.Log.Info("nobody vouches for the head of the branch", zap.String("commit", d.Commit),
			zap.String("author", d.Author), zap.Bool("held", d.Held), zap.Error(err))
	}
	return d
}

// fetchApplied brings the commit that was applied last, for a process that began
// when the branch had moved on to one that is held. It has to be vouched for as
// well: it may have been applied when nobody asked.
func (r *Repo) fetchApplied(ctx context.Context, held candidate, applied plumbing.Hash) (candidate, error) {
	nothing := &drivers.Error{Kind: drivers.Rejected, Op: "read the fleet of " + r.remote.url, Err: r.fleet.distrust}
	if applied.IsZero() || applied == held.head.Hash {
		return candidate{}, nothing
	}
	f := &r.fleet
	if f.beforeOf != applied {
		c, err := r.fetchCommit(ctx, applied, held.head.Hash)
		if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) { // the branch was rewritten as well
			return candidate{}, err
		}
		f.before, f.beforeOf = c, applied
	}
	if f.before.head == nil || r.o.Trust.judge(f.before.head) != nil {
		return candidate{}, nothing
	}
	return f.before, nil
}

// fetchCommit brings one commit that is not the tip of a branch. Where a server
// gives only tips, the whole history of one comes with it, once.
func (r *Repo) fetchCommit(ctx context.Context, want, below plumbing.Hash) (candidate, error) {
	s, err := r.remote.read(ctx)
	if err != nil {
		return candidate{}, err
	}
	defer s.Close()
	a := ask{want: below}
	if c := s.refs.Capabilities; c.Supports(capability.AllowReachableSHA1InWant) {
		a = ask{want: want, depth: 1}
	}
	store := memory.NewStorage()
	if _, err := r.remote.pull(ctx, s, a, store); err != nil {
		return candidate{}, err
	}
	c, err := r.read(store, want)
	if err != nil {
		return c, err
	}
	r.fleet.store, r.fleet.heads, r.fleet.newest = store, map[plumbing.Hash]bool{want: true}, want
	return c, nil
}
