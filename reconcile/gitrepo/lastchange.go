package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"

	"jeroboam.io/jeroboam/drivers"
)

// Change is who last changed a file.
type Change struct {
	Commit  string // full hash
	Author  string // "Name <mail>"
	Subject string // first line of the message
	Time    time.Time
	// Before says that the file may have become so before this commit: the remote's
	// own history begins with it.
	Before bool
}

// firstDepth is how many commits are asked for before all of them are: most
// files that anybody asks about were changed of late.
const firstDepth = 50

// LastChange is the newest commit, of those that lead to a commit, in which a file
// became as it is there: where a merge took it over from one side, the commit on
// that side. It fetches commits and trees anew, and no files where the server can
// leave them out. A file that the commit does not have is Rejected.
func (r *Repo) LastChange(ctx context.Context, commit, file string) (Change, error) {
	at, err := parseApplied(commit)
	if err != nil {
		return Change{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	for _, depth := range []int{firstDepth, 0} {
		s, err := r.remote.read(ctx)
		if err != nil {
			return Change{}, err
		}
		store := memory.NewStorage()
		_, err = r.remote.pull(ctx, s, ask{want: at, depth: depth, less: packp.FilterBlobNone()}, store)
		_ = s.Close()
		if err != nil {
			return Change{}, err
		}
		change, err := lastChange(store, at, file)
		if err != nil || !change.Before || depth == 0 {
			return change, err
		}
	}
	return Change{}, nil // not reached: the last depth returns
}

// lastChange walks back as long as a parent has the same file.
func lastChange(s storer.EncodedObjectStorer, at plumbing.Hash, file string) (Change, error) {
	op := fmt.Sprintf("look for who changed %s", file)
	c, err := object.GetCommit(s, at)
	if err != nil {
		return Change{}, &drivers.Error{Kind: drivers.Unknown, Op: op, Err: fmt.Errorf("commit %s: %w", at, err)}
	}
	is, err := fileHash(s, c, file)
	if err == nil && is.IsZero() {
		return Change{}, rejected(op, "commit %.12s does not have it", at)
	}
	for err == nil {
		var same *object.Commit
		cut := false
		if same, cut, err = sameParent(s, c, file, is); err == nil && same == nil {
			return Change{c.Hash.String(), signature(c.Author), subject(c.Message), c.Author.When, cut}, nil
		}
		c = same
	}
	return Change{}, &drivers.Error{Kind: drivers.Unknown, Op: op, Err: err}
}

// sameParent is the first parent in which a file is the same; nil if there is none.
// cut says that not all parents are there.
func sameParent(s storer.EncodedObjectStorer, c *object.Commit, file string, is plumbing.Hash) (same *object.Commit, cut bool, err error) {
	for _, h := range c.ParentHashes {
		p, err := object.GetCommit(s, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			cut = true
			continue
		}
		if err != nil {
			return nil, cut, err
		}
		was, err := fileHash(s, p, file)
		if err != nil || was == is {
			return p, cut, err
		}
	}
	return nil, cut, nil
}

// fileHash is zero if the commit does not have the file.
func fileHash(s storer.EncodedObjectStorer, c *object.Commit, file string) (plumbing.Hash, error) {
	folder, name := path.Split(file)
	t, err := descend(s, c, path.Clean("/" + folder)[1:])
	switch {
	case drivers.KindOf(err) == drivers.Rejected:
		return plumbing.ZeroHash, nil
	case err != nil:
		return plumbing.ZeroHash, err
	}
	if e := entry(t, name); e != nil {
		return e.Hash, nil
	}
	return plumbing.ZeroHash, nil
}
