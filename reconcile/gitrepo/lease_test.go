package gitrepo_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

const leaseRef = "refs/jeroboam/owner/platform"

// party is one that wants the lease, on a machine of its own.
type party struct {
	*gitrepo.Lease
	keeping func() error // ends Keep and gives what it returned
}

// wants is a party; its state directory has the name of the machine, unless
// there is another.
func wants(t *testing.T, o *origin, machine string, change ...func(*gitrepo.LeaseOptions)) *party {
	t.Helper()
	options := gitrepo.LeaseOptions{
		Owner: "platform", Me: gitrepo.Holder{ID: machine, Place: machine, Host: machine, PID: 7, Since: time.Unix(1_800_000_000, 0)},
		Look: 20 * time.Millisecond, Patience: time.Minute, Again: 10 * time.Millisecond, Log: zaptest.NewLogger(t),
	}
	for _, c := range change {
		c(&options)
	}
	return &party{Lease: open(t, gitrepo.Options{URL: o.dir}).Lease(options)}
}

// impatient holds whoever does not answer at once for dead.
func impatient(o *gitrepo.LeaseOptions) { o.Patience = time.Millisecond }

func takesOver(o *gitrepo.LeaseOptions) { o.TakeOver = true }

// acquire must work.
func (p *party) acquire(t *testing.T) *party {
	t.Helper()
	if err := p.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// keep answers in the background.
func (p *party) keep(t *testing.T) *party {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Keep(ctx) }()
	p.keeping = func() error { cancel(); return <-done }
	t.Cleanup(cancel)
	return p
}

func (p *party) refused(t *testing.T, by string) {
	t.Helper()
	var held *gitrepo.HeldError
	if err := p.Acquire(t.Context()); !errors.As(err, &held) || held.Holder.Host != by || held.Lost {
		t.Fatalf("have %v, want that %s has it", err, by)
	}
}

// said are the subjects of the ref's commits without when and by which process.
func said(o *origin) string {
	text := o.git("log", "--reverse", "--format=%s", leaseRef)
	return strings.NewReplacer("process 7 on ", "", " since 2027-01-15T08:00:00Z", "", "platform: ", "").Replace(text)
}

// A daemon on a second machine is refused while the first one lives, and told who
// that is and what can be done; the first one goes on.
func TestLeaseIsRefused(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1"})
	a := wants(t, o, "a").acquire(t).keep(t)
	b := wants(t, o, "b")
	err := b.Acquire(t.Context())
	if err == nil {
		t.Fatal("both have it")
	}
	const text = "the clusters of owner platform are kept by process 7 on a since 2027-01-15T08:00:00Z, which has just answered: end it there, or take over with --take-over"
	diffOf(t, "error", err.Error(), text)
	wants(t, o, "c").refused(t, "a")
	if err := a.keeping(); err != nil {
		t.Errorf("the holder ends with %v", err)
	}
	diffOf(t, "history", said(o), "kept by a\nb asks whether a is there\nkept by a\nc asks whether a is there\nkept by a")
	o.git("fsck", "--strict")
}

// While nobody asks, a holder writes nothing, however long it is.
func TestLeaseCostsNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	a := wants(t, o, "a", func(o *gitrepo.LeaseOptions) { o.Look = time.Millisecond }).acquire(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := a.Keep(ctx); err != nil {
		t.Fatal(err)
	}
	diffOf(t, "history", said(o), "kept by a")
}

// One that ended in order is not waited for, and neither is one of the same state
// directory, which was killed. Others wait for it as long as an answer may take.
func TestLeaseOfThoseThatAreGone(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	a := wants(t, o, "a").acquire(t)
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(t, o, "b").acquire(t) // and is killed
	wants(t, o, "b", func(o *gitrepo.LeaseOptions) { o.Me.ID, o.Me.PID = "another", 7 }).acquire(t)
	diffOf(t, "history", said(o), "kept by a\nfree, was kept by a\nkept by b\nkept by b")

	waits, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := wants(t, o, "c").Acquire(waits)
	wantError(t, err, drivers.Transient)
	wants(t, o, "c", impatient).acquire(t) // is asking since it was there before
	if have := said(o); !strings.HasSuffix(have, "kept by b\nc asks whether b is there\nkept by c") {
		t.Errorf("history %q", have)
	}
}

// Two that wait for the same dead holder do not both get it.
func TestLeaseGoesToOne(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	wants(t, o, "dead").acquire(t)
	got := make(chan error, 2)
	for _, machine := range []string{"b", "c"} {
		p := wants(t, o, machine, func(o *gitrepo.LeaseOptions) { o.Patience = 100 * time.Millisecond })
		go func() { got <- p.Acquire(t.Context()) }()
	}
	first, second := <-got, <-got
	if (first == nil) == (second == nil) {
		t.Fatalf("have %v and %v, want one", first, second)
	}
	if _, held := errors.AsType[*gitrepo.HeldError](errors.Join(first, second)); !held {
		t.Errorf("have %v and %v", first, second)
	}
}

// What is taken over is lost to who had it, who is told by whom.
func TestLeaseIsTakenOver(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	a := wants(t, o, "a").acquire(t)
	wants(t, o, "b", takesOver).acquire(t)
	err := a.Keep(t.Context())
	var held *gitrepo.HeldError
	if !errors.As(err, &held) || !held.Lost || held.Holder.Host != "b" {
		t.Fatalf("have %v, want that b took it", err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	diffOf(t, "history", said(o), "kept by a\nkept by b")
}

// What people do to the ref by hand: a holder writes it again, and one that comes
// does not take for free what it cannot read.
func TestLeaseIsTamperedWith(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1"})
	a := wants(t, o, "a").acquire(t)
	o.git("update-ref", "-d", leaseRef)
	a.keep(t)
	for tick := time.Tick(10 * time.Millisecond); o.git("for-each-ref", leaseRef) == "" && t.Context().Err() == nil; {
		<-tick
	}
	wants(t, o, "b").refused(t, "a")
	if err := a.keeping(); err != nil {
		t.Fatal(err)
	}
	o.git("update-ref", leaseRef, "main")
	waits, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	wantError(t, wants(t, o, "b").Acquire(waits), drivers.Transient)
	wants(t, o, "c", takesOver).acquire(t)
}

// A server that does not want the ref says so, and it is an operator's to know; one
// that is away is tried again, and the lease is there once it is back.
func TestLeaseOfServers(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	hook(t, o, "echo 'only branches, please' >&2; exit 1")
	wantError(t, wants(t, o, "a").Acquire(t.Context()), drivers.Denied, "only branches, please", "must be allowed to write "+leaseRef)
	hook(t, o, "exit 0")

	a := wants(t, o, "a")
	moved := o.dir + ".away"
	rename(t, o.dir, moved)
	wantError(t, a.Acquire(t.Context()), drivers.Denied, "not found")
	rename(t, moved, o.dir)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := a.Keep(ctx); err != nil {
		t.Fatal(err)
	}
	diffOf(t, "history", said(o), "kept by a")
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
