package gitrepo

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"

	"jeroboam.io/jeroboam/reconcile"
)

// maxCommits is how many commits a Snapshot tells.
const maxCommits = 100

// way is how one commit leads to another.
type way struct {
	ancestry reconcile.Ancestry
	commits  []reconcile.Commit
}

// wayTo says how the head follows from the applied commit. Mostly what was
// fetched knows; else the remote is asked.
func (r *Repo) wayTo(ctx context.Context, head *object.Commit, applied plumbing.Hash) (way, error) {
	justHead := []reconcile.Commit{commitOf(head)}
	switch {
	case applied.IsZero():
		return way{reconcile.Descends, justHead}, nil
	case applied == head.Hash:
		return way{reconcile.Descends, justHead}, nil
	}
	if r.fleet.heads[applied] {
		if commits, ok := between(r.fleet.store, head, applied); ok {
			return way{reconcile.Descends, commits}, nil
		}
	}
	w, err := r.askTheWay(ctx, head, applied)
	if w.ancestry != reconcile.Descends {
		w.commits = justHead
	}
	return w, err
}

// askTheWay fetches the commits that the head has and the applied one has not;
// without their files if the server can leave them out. If the head descends,
// one of them has the applied commit as a parent. The server does not need to be
// asked for any depth, and tells whether it has the applied commit at all.
func (r *Repo) askTheWay(ctx context.Context, head *object.Commit, applied plumbing.Hash) (way, error) {
	s, err := r.remote.read(ctx)
	if err != nil {
		return way{}, err
	}
	defer s.Close()
	store := memory.NewStorage()
	known, err := r.remote.pull(ctx, s, ask{want: head.Hash, have: applied, less: packp.FilterTreeDepth(0), mustHave: true}, store)
	switch {
	case errors.Is(err, errTooLarge):
		return way{ancestry: reconcile.UnknownAncestry}, nil
	case err != nil:
		return way{}, err
	}
	commits, ok := between(store, head, applied)
	switch {
	case ok:
		return way{reconcile.Descends, commits}, nil
	case known && len(s.refs.Shallows) > 0:
		return way{ancestry: reconcile.UnknownAncestry}, nil // the remote's own history is cut off
	default:
		return way{ancestry: reconcile.Rewound}, nil
	}
}

// between lists the commits that lead from applied to head, newest first, as far
// as the store has them. It is false if none of them has applied as a parent:
// what lies below applied need not be in the store, the commits above it must.
func between(s storer.EncodedObjectStorer, head *object.Commit, applied plumbing.Hash) ([]reconcile.Commit, bool) {
	below := ancestors(s, applied)
	seen := map[plumbing.Hash]bool{head.Hash: true}
	found := false
	queue := []*object.Commit{head}
	for i := 0; i < len(queue); i++ {
		for _, p := range queue[i].ParentHashes {
			found = found || p == applied
			if seen[p] || below[p] {
				continue
			}
			seen[p] = true
			if c, err := object.GetCommit(s, p); err == nil {
				queue = append(queue, c)
			}
		}
	}
	// Stable: commits of the same second stay in the order of the walk.
	slices.SortStableFunc(queue, func(a, b *object.Commit) int { return b.Committer.When.Compare(a.Committer.When) })
	var out []reconcile.Commit
	for _, c := range queue[:min(len(queue), maxCommits)] {
		out = append(out, commitOf(c))
	}
	return out, found
}

// ancestors are a commit and those below it that the store has.
func ancestors(s storer.EncodedObjectStorer, of plumbing.Hash) map[plumbing.Hash]bool {
	seen := map[plumbing.Hash]bool{of: true}
	queue := []plumbing.Hash{of}
	for i := 0; i < len(queue); i++ {
		c, err := object.GetCommit(s, queue[i])
		if err != nil {
			continue
		}
		for _, p := range c.ParentHashes {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return seen
}

func commitOf(c *object.Commit) reconcile.Commit {
	return reconcile.Commit{Hash: c.Hash.String(), Author: signature(c.Author), Message: c.Message}
}

func signature(s object.Signature) string { return s.Name + " <" + s.Email + ">" }

func subject(message string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	return strings.TrimSpace(line)
}
