package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"
	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// fleet is what was fetched last. An error leaves it as it was.
type fleet struct {
	turn  turn
	store *memory.Storage // nil: nothing yet
	// heads that were fetched since the store was new, each from the one before:
	// all commits from any of them to the next are in the store.
	heads  map[plumbing.Hash]bool
	newest plumbing.Hash // of heads
	candidate
	ends [2]plumbing.Hash // applied and head that the way is between
	way  way

	// held was fetched, and nobody vouches for it: head is another.
	held     candidate
	distrust *reconcile.Distrust
	// before is the commit that was applied before a held one, once looked for.
	before   candidate
	beforeOf plumbing.Hash

	// A head that was refused is not fetched again at every poll.
	refusedHead plumbing.Hash
	refusedWhy  error
}

// candidate is a commit that was fetched whole.
type candidate struct {
	head  *object.Commit     // nil: none
	files reconcile.Snapshot // without the way
}

// Fetch implements reconcile.Source. It never fails because the branch was
// rewritten: Snapshot.Descends tells, and the caller decides.
func (r *Repo) Fetch(ctx context.Context, applied string) (reconcile.Snapshot, error) {
	from, err := parseApplied(applied)
	if err != nil {
		return reconcile.Snapshot{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	if err := r.fleet.turn.take(ctx); err != nil {
		return reconcile.Snapshot{}, r.remote.fail(ctx, "fetch from", err)
	}
	defer r.fleet.turn.leave()

	if err := r.update(ctx, from); err != nil {
		return reconcile.Snapshot{}, err
	}
	f := &r.fleet
	if ends := [2]plumbing.Hash{from, f.head.Hash}; f.ends != ends {
		w, err := r.wayTo(ctx, f.head, from)
		if err != nil {
			return reconcile.Snapshot{}, err
		}
		f.ends, f.way = ends, w
	}
	snap := f.files
	snap.Files, snap.Descends, snap.Commits = slices.Clone(f.files.Files), f.way.ancestry, slices.Clone(f.way.commits)
	snap.Distrust = f.distrust
	return snap, nil
}

func parseApplied(s string) (plumbing.Hash, error) {
	if s != "" && !plumbing.IsHash(s) {
		err := fmt.Errorf("%q is not the hash of a commit", s)
		return plumbing.ZeroHash, &drivers.Error{Kind: drivers.Unknown, Op: "compare with the applied commit", Err: err}
	}
	return plumbing.NewHash(s), nil
}

// update lists the refs, and fetches if the head moved.
func (r *Repo) update(ctx context.Context, applied plumbing.Hash) error {
	s, err := r.remote.read(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	tip, err := r.findHead(s.refs)
	f := &r.fleet
	switch {
	case err != nil:
		return err
	case f.head != nil && tip == f.head.Hash:
		r.stillDistrusted()
		return nil
	case tip == f.refusedHead:
		return f.refusedWhy
	case f.held.head != nil && tip == f.held.head.Hash: // perhaps its key is known by now
		return r.follow(ctx, f.held, applied)
	}
	next, err := r.fetchHead(ctx, s, tip)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		err = r.incomplete(tip, err)
	}
	if drivers.KindOf(err) == drivers.Rejected {
		f.refusedHead, f.refusedWhy = tip, err
	}
	if err != nil {
		return err
	}
	return r.follow(ctx, next, applied)
}

func (r *Repo) incomplete(commit plumbing.Hash, err error) error {
	return &drivers.Error{
		Kind: drivers.Unknown, Op: "fetch from " + r.remote.url,
		Err: fmt.Errorf("the remote sent a part of commit %s: %w", commit, err),
	}
}

// fetchHead brings what is new, or, where that does not make the whole of the
// commit, all of it.
func (r *Repo) fetchHead(ctx context.Context, s *reading, tip plumbing.Hash) (candidate, error) {
	f := &r.fleet
	if f.store != nil && len(f.heads) <= r.o.RecloneAfter {
		c, err := r.fetchInto(ctx, s, f.store, ask{want: tip, have: f.newest})
		if err == nil {
			f.heads[tip], f.newest = true, tip
		}
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return c, err
		}
		r.o.Log.Info("fetching afresh: the branch was rewritten or brought old content back",
			zap.String("commit", tip.String()))
		again, err := r.remote.read(ctx)
		if err != nil {
			return c, err
		}
		defer again.Close()
		s = again
	}
	store := memory.NewStorage()
	c, err := r.fetchInto(ctx, s, store, ask{want: tip, depth: 1})
	if err == nil {
		f.store, f.heads, f.newest = store, map[plumbing.Hash]bool{tip: true}, tip
	}
	return c, err
}

// fetchInto brings a commit, and gives it if it is all there.
// plumbing.ErrObjectNotFound says that it is not.
func (r *Repo) fetchInto(ctx context.Context, s *reading, store *memory.Storage, a ask) (candidate, error) {
	if _, err := r.remote.pull(ctx, s, a, store); err != nil {
		return candidate{}, err
	}
	return r.read(store, a.want)
}

func (r *Repo) read(store *memory.Storage, commit plumbing.Hash) (candidate, error) {
	head, snap, err := snapshot(store, commit, r.o.Path, fromMemory(store, r.o.MaxBlob), r.o.MaxFiles)
	if err != nil {
		return candidate{}, err
	}
	r.o.Log.Debug("fetched", zap.String("commit", snap.Commit), zap.Int("files", len(snap.Files)))
	return candidate{head, snap}, nil
}

// snapshot reads a commit of a store.
func snapshot(store storer.EncodedObjectStorer, commit plumbing.Hash, folder string, c content, maxFiles int) (*object.Commit, reconcile.Snapshot, error) {
	head, err := object.GetCommit(store, commit)
	if err != nil {
		return nil, reconcile.Snapshot{}, fmt.Errorf("commit %s: %w", commit, err)
	}
	tree, err := descend(store, head, folder)
	if err != nil {
		return nil, reconcile.Snapshot{}, err
	}
	l := lister{store: store, content: c, maxFiles: maxFiles}
	if err := l.list(tree, folder); err != nil {
		return nil, reconcile.Snapshot{}, err
	}
	return head, reconcile.Snapshot{
		Commit: head.Hash.String(), Tree: tree.Hash.String(), Author: signature(head.Author),
		Subject: subject(head.Message), Time: head.Committer.When, Files: l.files,
	}, nil
}

// findHead is the commit of the fleet's branch among what the remote listed.
func (r *Repo) findHead(refs *packp.AdvRefs) (plumbing.Hash, error) {
	op := "find the branch in " + r.remote.url
	if len(refs.References) == 0 && refs.Head == nil {
		return plumbing.ZeroHash, rejected(op, "the repository is empty: push a first commit")
	}
	if r.o.Branch == "" {
		if refs.Head == nil {
			return plumbing.ZeroHash, rejected(op, "its HEAD names a branch without a commit; set the branch: %s", branches(refs))
		}
		return *refs.Head, nil
	}
	name := refName(r.o.Branch).String()
	if h, ok := refs.Peeled[name]; ok {
		return h, nil // an annotated tag
	}
	if h, ok := refs.References[name]; ok {
		return h, nil
	}
	return plumbing.ZeroHash, rejected(op, "there is no branch %q, but %s", r.o.Branch, branches(refs))
}

// branches names some branches of a remote.
func branches(refs *packp.AdvRefs) string {
	var names []string
	for n := range refs.References {
		if short, ok := strings.CutPrefix(n, "refs/heads/"); ok {
			names = append(names, short)
		}
	}
	slices.Sort(names)
	const show = 8
	if len(names) > show {
		names = append(names[:show], "...")
	}
	return strings.Join(names, ", ")
}
