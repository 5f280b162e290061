package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/storage/memory"
	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// After a lost race the next attempt comes after a random part of a pause that
// doubles, so that two who push do not meet again and again.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// board is what we know of the status branch.
type board struct {
	turn turn
	// tip is the commit that has all of our files: written by us, or found to
	// be so. Zero: not known.
	tip  plumbing.Hash
	root *folder // of the tip
}

// ReadStatus implements reconcile.Board. Files of others on the branch are in it.
func (r *Repo) ReadStatus(ctx context.Context) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	if err := r.hasBoard(); err != nil {
		return nil, err
	}
	s, err := r.remote.read(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	tip, ok := s.refs.References[refName(r.o.StatusBranch).String()]
	if !ok {
		return nil, nil
	}
	store := memory.NewStorage()
	if _, err := r.remote.pull(ctx, s, ask{want: tip, depth: 1}, store); err != nil {
		return nil, err
	}
	files, err := allFiles(store, tip, r.o.StatusPath)
	if err != nil {
		return nil, r.remote.fail(ctx, "read the status branch of", err)
	}
	return files, nil
}

// CanWrite asks the server for a push and sends none. Most servers refuse here
// already; some only look at what is pushed.
func (r *Repo) CanWrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	if err := r.hasBoard(); err != nil {
		return err
	}
	s, err := r.remote.write(ctx)
	if err != nil {
		return err
	}
	return s.Close()
}

func (r *Repo) hasBoard() error {
	if r.o.StatusBranch != "" {
		return nil
	}
	return &drivers.Error{Kind: drivers.Denied, Op: "use the board", Err: errors.New("no status branch is set")}
}

// allFiles reads every plain file of a commit below a folder, which need not be there.
func allFiles(store *memory.Storage, commit plumbing.Hash, below string) (map[string][]byte, error) {
	c, err := object.GetCommit(store, commit)
	if err != nil {
		return nil, err
	}
	t, err := descend(store, c, below)
	switch {
	case drivers.KindOf(err) == drivers.Rejected:
		return nil, nil // there is no board yet
	case err != nil:
		return nil, err
	}
	out := map[string][]byte{}
	w := object.NewTreeWalker(t, true, nil)
	w.SkipPathValidation() // nothing is written to a disk
	defer w.Close()
	for {
		name, e, err := w.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if e.Mode != filemode.Regular && e.Mode != filemode.Executable {
			continue
		}
		o, err := store.EncodedObject(plumbing.BlobObject, e.Hash)
		if err != nil {
			return nil, err
		}
		if out[name], err = readBlob(o, o.Size()); err != nil {
			return nil, err
		}
	}
}

// WriteStatus implements reconcile.Board. An error with ErrLostRace in it means
// that the branch was busy; the kind is Conflict.
func (r *Repo) WriteStatus(ctx context.Context, c reconcile.StatusCommit) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	if err := r.hasBoard(); err != nil {
		return "", err
	}
	if err := r.board.turn.take(ctx); err != nil {
		return "", r.remote.fail(ctx, "push to", err)
	}
	defer r.board.turn.leave()

	c = r.placed(c)
	giveUp := time.Now().Add(r.o.PushBudget)
	for attempt := 0; ; attempt++ {
		tip, err := r.tryWrite(ctx, c)
		if !errors.Is(err, ErrLostRace) {
			return tip, err
		}
		pause := jitter(attempt)
		if time.Now().Add(pause).After(giveUp) {
			return "", err
		}
		if err := wait(ctx, pause); err != nil {
			return "", r.remote.fail(ctx, "push to", err)
		}
	}
}

// placed is a commit with its files below StatusPath, and its message as the
// options have it.
func (r *Repo) placed(c reconcile.StatusCommit) reconcile.StatusCommit {
	c.Message = r.message(c.Message)
	if r.o.StatusPath == "" {
		return c
	}
	below := func(files map[string][]byte) map[string][]byte {
		out := make(map[string][]byte, len(files))
		for p, content := range files {
			out[r.o.StatusPath+"/"+p] = content
		}
		return out
	}
	all := c.All
	c.Changed, c.All = below(c.Changed), func() map[string][]byte { return below(all()) }
	return c
}

func (r *Repo) message(text string) string {
	subject, rest, more := strings.Cut(strings.TrimRight(text, "\n"), "\n")
	if r.o.SkipCI {
		subject += " [skip ci]"
	}
	if more {
		subject += "\n" + rest
	}
	if len(r.o.Trailers) > 0 && !strings.Contains(lastParagraph(rest), ": ") {
		subject += "\n"
	}
	for _, key := range slices.Sorted(maps.Keys(r.o.Trailers)) {
		subject += "\n" + key + ": " + r.o.Trailers[key]
	}
	return subject
}

func lastParagraph(text string) string { return text[strings.LastIndex("\n\n"+text, "\n\n"):] }

func jitter(attempt int) time.Duration {
	pause := min(firstPause<<min(attempt, 10), lastPause)
	return rand.N(pause) //nolint:gosec // no secret
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryWrite is one attempt: see the tip, build a commit on it, push from the tip to it.
func (r *Repo) tryWrite(ctx context.Context, c reconcile.StatusCommit) (string, error) {
	s, err := r.remote.write(ctx)
	if err != nil {
		return "", err
	}
	defer s.Close()
	name := refName(r.o.StatusBranch)
	tip := s.refs.References[name.String()]
	base, changed, err := r.base(ctx, tip, c)
	if err != nil {
		return "", err
	}
	objects := memory.NewStorage()
	commit, root, err := r.build(ctx, base, tip, changed, c, objects)
	if err != nil {
		return "", err
	}
	if commit != tip {
		if err := r.remote.push(ctx, s, packp.Command{Name: name, Old: tip, New: commit}, objects); err != nil {
			return "", r.whyRefused(ctx, name.String(), tip, err)
		}
		r.o.Log.Debug("status pushed", zap.String("commit", commit.String()), zap.Int("objects", len(objects.Objects)))
	}
	r.board.tip, r.board.root = commit, root
	if commit.IsZero() {
		return "", nil // no board, and nothing to put on it
	}
	return commit.String(), nil
}

// base is the folder to build on, and what to change in it: what the caller
// changed if the tip is ours, else all of our files.
func (r *Repo) base(ctx context.Context, tip plumbing.Hash, c reconcile.StatusCommit) (*folder, map[string][]byte, error) {
	if !tip.IsZero() && tip == r.board.tip {
		return r.board.root, c.Changed, nil
	}
	files := map[string][]byte{}
	maps.Copy(files, c.All())
	maps.Copy(files, c.Changed) // for what it removes
	if tip.IsZero() {
		return &folder{hash: emptyTree()}, files, nil
	}
	root, err := r.fetchFolder(ctx, tip)
	return root, files, err
}

// fetchFolder reads the folders of a foreign tip; their files are not needed.
func (r *Repo) fetchFolder(ctx context.Context, tip plumbing.Hash) (*folder, error) {
	s, err := r.remote.read(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if now := s.refs.References[refName(r.o.StatusBranch).String()]; now != tip {
		return nil, r.lostRace() // between the two listings
	}
	store := memory.NewStorage()
	if _, err := r.remote.pull(ctx, s, ask{want: tip, depth: 1, less: packp.FilterBlobNone()}, store); err != nil {
		return nil, err
	}
	c, err := object.GetCommit(store, tip)
	if err != nil {
		return nil, r.remote.fail(ctx, "read the status branch of", err)
	}
	f, err := loadFolder(store, c.TreeHash, r.o.StatusPath)
	if err != nil {
		return nil, r.remote.fail(ctx, "read the status branch of", err)
	}
	return f, nil
}

// build makes the commit; it is the tip itself if nothing differs.
func (r *Repo) build(ctx context.Context, base *folder, tip plumbing.Hash, changed map[string][]byte, c reconcile.StatusCommit, out *memory.Storage) (plumbing.Hash, *folder, error) {
	fail := func(kind drivers.Kind, err error) (plumbing.Hash, *folder, error) {
		return plumbing.ZeroHash, nil, &drivers.Error{Kind: kind, Op: "build status commit", Err: err}
	}
	want, err := sortOut(changed)
	if err != nil {
		return fail(drivers.Unknown, err)
	}
	root, err := base.with(want, "", out)
	if err != nil {
		return fail(drivers.Denied, err)
	}
	if root == base {
		return tip, base, nil
	}
	commit := &object.Commit{
		TreeHash:  root.hash,
		Author:    r.author.at(c.Time),
		Committer: r.committer.at(c.Time),
		Message:   strings.TrimRight(c.Message, "\n") + "\n",
	}
	if !tip.IsZero() {
		commit.ParentHashes = []plumbing.Hash{tip}
	}
	if err := r.sign(ctx, commit); err != nil {
		return fail(drivers.Denied, err)
	}
	hash, err := encode(out, commit)
	if err != nil {
		return fail(drivers.Unknown, err)
	}
	return hash, root, nil
}

func (p person) at(t time.Time) object.Signature {
	return object.Signature{Name: p.name, Email: p.mail, When: t}
}

func (r *Repo) sign(ctx context.Context, c *object.Commit) error {
	if r.o.Sign == nil {
		return nil
	}
	var o plumbing.MemoryObject
	if err := c.EncodeWithoutSignature(&o); err != nil {
		return err
	}
	payload, err := readBlob(&o, o.Size())
	if err != nil {
		return err
	}
	c.PGPSignature, err = r.o.Sign(ctx, payload)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return nil
}

// whyRefused tells a lost race from a refusal. Git's words for it differ between
// servers, so the facts decide: is the tip where it was? A lock that somebody
// holds on a tip that has not moved yet is a race as well.
func (r *Repo) whyRefused(ctx context.Context, ref string, tip plumbing.Hash, err error) error {
	var no *refused
	if !errors.As(err, &no) {
		return err
	}
	s, listErr := r.remote.write(ctx)
	if listErr != nil {
		return listErr
	}
	defer s.Close()
	if s.refs.References[ref] != tip || strings.Contains(no.said, ".lock': File exists") {
		return r.lostRace()
	}
	return &drivers.Error{
		Kind: drivers.Denied, Op: "push to " + r.remote.url,
		Err: fmt.Errorf("the server refused: %w: the token must be allowed to write %s", no, spoken(ref)),
	}
}

// spoken is a ref as people call it.
func spoken(ref string) string {
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return "branch " + strconv.Quote(branch)
	}
	return ref
}

func (r *Repo) lostRace() error {
	return &drivers.Error{Kind: drivers.Conflict, Op: "push to " + r.remote.url, Err: ErrLostRace}
}
