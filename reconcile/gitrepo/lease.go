package gitrepo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/storage/memory"
	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
)

// A Lease is the right to keep the clusters of an owner, among all machines that
// write to one repository. Git has no locks that end by themselves, and a commit
// every minute that says "still here" would be a commit every minute. What Git has
// is a push that names the tip it was made on, and a listing that costs next to
// nothing; so a holder is asked, and only who is asked says something:
//
//	refs/jeroboam/owner/NAME    (a commit each, on the one before; nothing is forced)
//
//	A holds it ◄── B asks ◄── A answers           B is refused, and told who A is
//	A holds it ◄── B asks ◄── B takes it          A did not answer for Patience
//	A holds it ◄── A gives it up ◄── B takes it   A ended in order
//
// While nothing happens a holder lists refs once every Look and pushes nothing. A
// holder that was killed and starts again, with the same state directory, does not
// wait. No clocks are compared.
//
// It keeps two daemons from working against each other for days, and is no fence:
// a holder that cannot reach Git for longer than Patience, while another one can,
// goes on until it sees that it is not the holder any more, and then ends. What it
// starts in between is as harmless as what two people start: the drivers write to a
// stack only what was planned on the very state that it is in.
type Lease struct {
	repo *Repo
	o    LeaseOptions
	tip  plumbing.Hash // with which it is ours; zero: it is not
}

// LeaseOptions say who asks. What is a time and zero has the default that its
// comment gives.
type LeaseOptions struct {
	Owner string // whose clusters
	Me    Holder
	// TakeOver takes it from whoever has it, without asking.
	TakeOver bool
	Look     time.Duration // how often a holder looks whether it is asked; 30 s
	Patience time.Duration // how long an answer may take; 2 min
	Again    time.Duration // between two looks of one who asks; 5 s
	Now      func() time.Time
	Log      *zap.Logger
}

// Holder is a process that keeps clusters.
type Holder struct {
	ID    string    `json:"id"`    // of the process
	Place string    `json:"place"` // of its state directory, which one process has at a time
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

func (h Holder) String() string {
	return fmt.Sprintf("process %d on %s since %s", h.PID, h.Host, h.Since.UTC().Format(time.RFC3339))
}

// HeldError says who has the lease.
type HeldError struct {
	Owner  string
	Holder Holder
	Lost   bool // it was ours before
}

func (e *HeldError) Error() string {
	if e.Lost {
		return fmt.Sprintf("the clusters of owner %s were taken over by %s", e.Owner, e.Holder)
	}
	return fmt.Sprintf("the clusters of owner %s are kept by %s, which has just answered: end it there, or take over with --take-over", e.Owner, e.Holder)
}

const (
	leaseRefs = "refs/jeroboam/owner/"
	// deniedLooks are between two tries at a server that will not have the ref.
	deniedLooks = 20
)

// claim is what a commit of the ref says.
type claim struct {
	Holder Holder    `json:"holder"`
	Asks   *Holder   `json:"asks,omitempty"` // who wants to know whether the holder lives
	Free   bool      `json:"free,omitempty"` // the holder gave it up
	At     time.Time `json:"at"`
}

func (c claim) subject(owner string) string {
	switch {
	case c.Free:
		return fmt.Sprintf("%s: free, was kept by %s", owner, c.Holder)
	case c.Asks != nil:
		return fmt.Sprintf("%s: %s asks whether %s is there", owner, c.Asks, c.Holder)
	}
	return fmt.Sprintf("%s: kept by %s", owner, c.Holder)
}

// Lease of an owner. It sends nothing.
func (r *Repo) Lease(o LeaseOptions) *Lease {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&o.Look, 30 * time.Second}, {&o.Patience, 2 * time.Minute}, {&o.Again, 5 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Lease{repo: r, o: o}
}

// Acquire takes the lease, for which it waits Patience at most. It fails with a
// *HeldError if the holder answers, and with a kind of error if Git does not:
// Denied means that the server lets nobody write this ref, or not us.
func (l *Lease) Acquire(ctx context.Context) error {
	var first, asked plumbing.Hash
	var since time.Time
	for {
		tip, c, err := l.read(ctx)
		if err != nil {
			return err
		}
		if !asked.IsZero() && tip != asked && tip != first && !l.mayTake(tip, c) {
			return &HeldError{Owner: l.o.Owner, Holder: c.Holder}
		}
		switch {
		case l.mayTake(tip, c), tip == asked && l.o.Now().Sub(since) >= l.o.Patience:
			err = l.write(ctx, tip, claim{Holder: l.o.Me})
			if err == nil || !errors.Is(err, ErrLostRace) {
				return err
			}
		case asked.IsZero():
			l.o.Log.Info("asking whether the holder of the clusters is there", zap.String("owner", l.o.Owner), zap.Stringer("holder", c.Holder))
			first = tip
			if asked, since, err = l.ask(ctx, tip, c); err != nil && !errors.Is(err, ErrLostRace) {
				return err
			}
		}
		if err := wait(ctx, l.o.Again); err != nil {
			return &drivers.Error{Kind: drivers.Transient, Op: "take the lease of " + l.o.Owner, Err: err}
		}
	}
}

// mayTake says that nobody has to be asked.
func (l *Lease) mayTake(tip plumbing.Hash, c claim) bool {
	return tip.IsZero() || c.Free || l.o.TakeOver || c.Holder.Place == l.o.Me.Place
}

// ask puts the question, unless somebody has put it before us: then that answer is
// ours as well. A question of ours from before a restart has been waiting since
// then, or whoever restarts processes that take long to start would have this one
// never begin.
func (l *Lease) ask(ctx context.Context, tip plumbing.Hash, c claim) (asked plumbing.Hash, since time.Time, err error) {
	switch now := l.o.Now(); {
	case c.Asks == nil:
		err := l.write(ctx, tip, claim{Holder: c.Holder, Asks: &l.o.Me})
		asked, l.tip = l.tip, plumbing.ZeroHash
		return asked, now, err
	case c.Asks.Place == l.o.Me.Place && c.At.Before(now):
		return tip, c.At, nil
	default:
		return tip, now, nil
	}
}

// Keep answers those who ask, until ctx is done; or until somebody else has the
// lease: then it fails with a *HeldError, and nothing may be started any more. One
// that could not be acquired before is tried for first.
func (l *Lease) Keep(ctx context.Context) error {
	for ctx.Err() == nil {
		err := l.look(ctx)
		if _, held := errors.AsType[*HeldError](err); held {
			return err
		}
		pause := l.o.Look
		if drivers.KindOf(err) == drivers.Denied {
			pause *= deniedLooks
		}
		if err != nil {
			l.o.Log.Debug("the lease was not looked at", zap.String("owner", l.o.Owner), zap.Error(err), zap.Duration("again_in", pause))
		}
		_ = wait(ctx, pause) // the context is done
	}
	return nil
}

func (l *Lease) look(ctx context.Context) error {
	if l.tip.IsZero() {
		return l.Acquire(ctx)
	}
	tip, c, err := l.read(ctx)
	switch {
	case err != nil, tip == l.tip:
		return err
	case !tip.IsZero() && c.Holder.ID != l.o.Me.ID:
		return &HeldError{Owner: l.o.Owner, Holder: c.Holder, Lost: true}
	case c.Asks != nil:
		l.o.Log.Info("another process asks for the clusters that this one keeps", zap.String("owner", l.o.Owner), zap.Stringer("asks", c.Asks))
	}
	return l.write(ctx, tip, claim{Holder: l.o.Me})
}

// Release gives the lease up, if it is ours.
func (l *Lease) Release(ctx context.Context) error {
	if l.tip.IsZero() {
		return nil
	}
	tip, c, err := l.read(ctx)
	if err != nil || c.Holder.ID != l.o.Me.ID {
		return err
	}
	return l.write(ctx, tip, claim{Holder: l.o.Me, Free: true})
}

// read gives the tip of the ref and what it says; zero if there is none. What
// nobody can read is held by nobody knows whom, who may answer.
func (l *Lease) read(ctx context.Context) (tip plumbing.Hash, c claim, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.repo.o.Timeout)
	defer cancel()
	s, err := l.repo.remote.read(ctx)
	if err != nil {
		return tip, c, err
	}
	defer s.Close()
	tip, there := s.refs.References[l.ref()]
	if !there || tip == l.tip {
		return tip, claim{Holder: l.o.Me}, nil
	}
	store := memory.NewStorage()
	if _, err := l.repo.remote.pull(ctx, s, ask{want: tip, depth: 1}, store); err != nil {
		return tip, c, err
	}
	commit, err := object.GetCommit(store, tip)
	if err != nil {
		return tip, c, l.repo.remote.fail(ctx, "read the lease in", err)
	}
	_, text, _ := strings.Cut(commit.Message, "\n\n")
	if json.Unmarshal([]byte(text), &c) != nil {
		c = claim{Holder: Holder{Host: "an unknown host"}}
	}
	return tip, c, nil
}

// write puts a claim on the tip, and only on it. ErrLostRace: it is not the tip any
// more.
func (l *Lease) write(ctx context.Context, tip plumbing.Hash, c claim) error {
	ctx, cancel := context.WithTimeout(ctx, l.repo.o.Timeout)
	defer cancel()
	objects := memory.NewStorage()
	commit, err := l.commit(ctx, tip, c, objects)
	if err != nil {
		return &drivers.Error{Kind: drivers.Denied, Op: "write the lease of " + l.o.Owner, Err: err}
	}
	s, err := l.repo.remote.write(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.refs.References[l.ref()] != tip {
		return l.repo.lostRace()
	}
	err = l.repo.remote.push(ctx, s, packp.Command{Name: plumbing.ReferenceName(l.ref()), Old: tip, New: commit}, objects)
	if err != nil {
		return l.repo.whyRefused(ctx, l.ref(), tip, err)
	}
	l.tip = commit
	return nil
}

func (l *Lease) commit(ctx context.Context, tip plumbing.Hash, c claim, out *memory.Storage) (plumbing.Hash, error) {
	c.At = l.o.Now().UTC()
	text, err := json.Marshal(c)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	tree, err := encode(out, &object.Tree{})
	if err != nil {
		return plumbing.ZeroHash, err
	}
	commit := &object.Commit{
		TreeHash: tree, Author: l.repo.author.at(c.At), Committer: l.repo.committer.at(c.At),
		Message: c.subject(l.o.Owner) + "\n\n" + string(text) + "\n",
	}
	if !tip.IsZero() {
		commit.ParentHashes = []plumbing.Hash{tip}
	}
	if err := l.repo.sign(ctx, commit); err != nil {
		return plumbing.ZeroHash, err
	}
	return encode(out, commit)
}

func (l *Lease) ref() string { return leaseRefs + l.o.Owner }
