package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// An Outbox is a Board whose writes are kept on disk until they are pushed:
//
//	run ─► WriteStatus ─► entries on disk ─► Flush: all of them as one commit ─► Board
//	       (no network)                          └─ done: remove those entries
//
// So a Git server that is slow or away delays no run, and a process that is killed
// loses nothing: what was kept is pushed by the next one. Killed after the push and
// before the entries are removed, the next one finds that nothing differs from the
// branch, and makes no second commit.
type Outbox struct {
	board reconcile.Board
	kept  spool
	o     OutboxOptions
	turn  turn          // of those who push
	wake  chan struct{} // something was kept

	mu      sync.Mutex
	entries []keptWrite
	all     func() map[string][]byte // of the last write of this process; nil: none, or all is pushed
	state   OutboxState
}

// OutboxOptions say how Run pushes. Zero is a default.
type OutboxOptions struct {
	// Every is the least time between two commits; zero is 10 s.
	Every time.Duration
	Now   func() time.Time // nil: time.Now
	Log   *zap.Logger      // nil: nothing is logged
}

// OutboxState is what there is to know of an outbox.
type OutboxState struct {
	Writes   int       // that are kept and not pushed
	Since    time.Time // when the first of them was kept
	Attempts int       // in a row that failed
	Err      error     // of the last attempt; nil: it was done
	Commit   string    // that was pushed last by this process; empty: none
	PushedAt time.Time
}

// keptWrite is one write.
type keptWrite struct {
	Seq     int               `json:"-"` // its file's name
	At      time.Time         `json:"at"`
	Time    time.Time         `json:"time"` // of the commit
	Message string            `json:"message"`
	Changed map[string][]byte `json:"changed"` // null removes
}

var _ reconcile.Board = (*Outbox)(nil)

// The pauses of Run after a failure, doubling from the first to the last; those
// for what only an operator can mend begin later.
const (
	outboxEvery       = 10 * time.Second
	outboxFirstPause  = time.Second
	outboxDeniedPause = 30 * time.Second
	outboxLastPause   = 5 * time.Minute
	outboxMaxEntries  = 64 // more are made one
)

// OpenOutbox opens the outbox in a folder, and makes the folder if need be. The
// folder belongs to one process at a time: the caller has it locked.
func OpenOutbox(dir string, board reconcile.Board, o OutboxOptions) (*Outbox, error) {
	if o.Every <= 0 {
		o.Every = outboxEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	b := &Outbox{board: board, kept: spool{dir}, o: o, turn: newTurn(), wake: make(chan struct{}, 1)}
	var err error
	if b.entries, err = b.kept.load(); err != nil {
		return nil, &drivers.Error{Kind: drivers.Denied, Op: "open outbox", Err: err}
	}
	if len(b.entries) > 0 {
		b.wake <- struct{}{}
	}
	return b, nil
}

// ReadStatus implements reconcile.Board: the branch as it will be.
func (b *Outbox) ReadStatus(ctx context.Context) (map[string][]byte, error) {
	files, err := b.board.ReadStatus(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, content := range changesOf(b.entries) {
		if content == nil {
			delete(files, p)
			continue
		}
		if files == nil {
			files = map[string][]byte{}
		}
		files[p] = content
	}
	return files, nil
}

// WriteStatus implements reconcile.Board. It is durable when it returns, and has
// sent nothing; there is no commit to name yet.
func (b *Outbox) WriteStatus(_ context.Context, c reconcile.StatusCommit) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := keptWrite{Seq: 1, At: b.o.Now(), Time: c.Time, Message: c.Message, Changed: c.Changed}
	if n := len(b.entries); n > 0 {
		e.Seq = b.entries[n-1].Seq + 1
	}
	if err := b.kept.add(e); err != nil {
		return "", &drivers.Error{Kind: drivers.Denied, Op: "keep status", Err: err}
	}
	b.entries, b.all = append(b.entries, e), c.All
	if len(b.entries) > outboxMaxEntries {
		if err := b.compact(); err != nil {
			return "", &drivers.Error{Kind: drivers.Denied, Op: "keep status", Err: err}
		}
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return "", nil
}

// compact makes one entry of all, under the name of the last: being killed in
// between leaves some of the older ones, over which it lays the same.
func (b *Outbox) compact() error {
	last := b.entries[len(b.entries)-1]
	one := keptWrite{Seq: last.Seq, At: b.entries[0].At, Time: last.Time, Message: messageOf(b.entries), Changed: changesOf(b.entries)}
	if err := b.kept.add(one); err != nil {
		return err
	}
	old := b.entries[:len(b.entries)-1]
	b.entries = []keptWrite{one}
	return b.kept.remove(old)
}

// Flush pushes what is kept, as one commit; nothing is kept, nothing is done. The
// error is the Board's, and what could not be pushed stays.
func (b *Outbox) Flush(ctx context.Context) error {
	if err := b.turn.take(ctx); err != nil {
		return &drivers.Error{Kind: drivers.Transient, Op: "push status", Err: err}
	}
	defer b.turn.leave()
	entries, c := b.next()
	if len(entries) == 0 {
		return nil
	}
	commit, err := b.board.WriteStatus(ctx, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Err = err; err != nil {
		b.state.Attempts++
		return err
	}
	b.state = OutboxState{Commit: commit, PushedAt: b.o.Now()}
	b.forget(entries[len(entries)-1].Seq)
	return b.kept.remove(entries)
}

// next is what is to be pushed now. Of what was kept before the process began
// some is old by now: where all files are known, they say what is to be there.
func (b *Outbox) next() ([]keptWrite, reconcile.StatusCommit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) == 0 {
		return nil, reconcile.StatusCommit{}
	}
	entries := slices.Clip(b.entries)
	changed := changesOf(entries)
	all := func() map[string][]byte {
		there := maps.Clone(changed)
		maps.DeleteFunc(there, func(_ string, content []byte) bool { return content == nil })
		return there
	}
	if b.all != nil {
		all = b.all
		now := all()
		for p := range changed {
			changed[p] = now[p]
		}
	}
	last := entries[len(entries)-1]
	return entries, reconcile.StatusCommit{Changed: changed, All: all, Message: messageOf(entries), Time: last.Time}
}

// forget drops the entries up to one; what was kept meanwhile stays.
func (b *Outbox) forget(upTo int) {
	for len(b.entries) > 0 && b.entries[0].Seq <= upTo {
		b.entries = b.entries[1:]
	}
	if len(b.entries) == 0 {
		b.entries, b.all = nil, nil // they are large
	}
}

// State is how things are. It never waits for a push.
func (b *Outbox) State() OutboxState {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	if s.Writes = len(b.entries); s.Writes > 0 {
		s.Since = b.entries[0].At
	}
	return s
}

// Run pushes what is kept until the context ends; what is left then is for Flush,
// or for the next process.
func (b *Outbox) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
		for failures := 0; ; failures++ {
			err := b.Flush(ctx)
			if ctx.Err() != nil {
				return
			}
			pause := b.o.Every
			if err != nil {
				pause = outboxPause(drivers.KindOf(err), failures)
				b.o.Log.Warn("status not pushed", zap.Error(err), zap.Duration("again_in", pause))
			}
			if wait(ctx, pause) != nil {
				return
			}
			if err == nil {
				break
			}
		}
	}
}

// outboxPause is how long to wait after so many failures before: with jitter, so
// that those whom one outage failed do not come back together.
func outboxPause(kind drivers.Kind, failures int) time.Duration {
	first := outboxFirstPause
	if kind == drivers.Denied {
		first = outboxDeniedPause
	}
	pause := min(first<<min(failures, 10), outboxLastPause)
	return pause/2 + rand.N(pause/2) //nolint:gosec // no secret
}

// changesOf is what entries do together: the last word on each file.
func changesOf(entries []keptWrite) map[string][]byte {
	changed := map[string][]byte{}
	for _, e := range entries {
		maps.Copy(changed, e.Changed)
	}
	return changed
}

// maxTold is how many lines a commit of many writes tells.
const maxTold = 200

// messageOf is that of the last write, with what the others tell: their lines in
// the body, their runs as trailers.
func messageOf(entries []keptWrite) string {
	last := entries[len(entries)-1]
	var body, runs []string
	for _, e := range entries[:len(entries)-1] {
		_, text, _ := strings.Cut(e.Message, "\n")
		for line := range strings.SplitSeq(text, "\n") {
			switch {
			case strings.HasPrefix(line, runTrailer):
				runs = append(runs, line)
			case line != "" && !strings.HasPrefix(line, trailerPrefix):
				body = append(body, line)
			}
		}
	}
	if more := len(body) - maxTold; more > 0 {
		body = append(body[:maxTold], fmt.Sprintf("and %d more", more))
	}
	runs = runs[max(0, len(runs)-maxTold):]
	subject, rest, _ := strings.Cut(strings.TrimRight(last.Message, "\n"), "\n")
	parts := []string{subject}
	if len(body) > 0 {
		parts = append(parts, "", strings.Join(body, "\n"))
	}
	parts = append(parts, rest)
	return strings.TrimRight(strings.Join(append(parts, runs...), "\n"), "\n") + "\n"
}

// Trailers that reconcile writes.
const (
	trailerPrefix = "Jeroboam-"
	runTrailer    = "Jeroboam-Run: "
)

var errDamaged = errors.New("it is damaged: remove it, and the next pass shows what differs")
