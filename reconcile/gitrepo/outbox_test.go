package gitrepo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

func openOutbox(tb testing.TB, dir string, board reconcile.Board) *gitrepo.Outbox {
	tb.Helper()
	b, err := gitrepo.OpenOutbox(dir, board, gitrepo.OutboxOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func keep(tb testing.TB, b *gitrepo.Outbox, c reconcile.StatusCommit) {
	tb.Helper()
	if _, err := b.WriteStatus(tb.Context(), c); err != nil {
		tb.Fatalf("WriteStatus: %v", err)
	}
}

func flush(tb testing.TB, b *gitrepo.Outbox) {
	tb.Helper()
	if err := b.Flush(tb.Context()); err != nil {
		tb.Fatalf("Flush: %v", err)
	}
}

// left counts the files of an outbox.
func left(tb testing.TB, dir string) int {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		tb.Fatal(err)
	}
	return len(names)
}

// Writes wait for no network, and are pushed together, with what each tells.
func TestOutboxPushesTogether(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	dir := filepath.Join(t.TempDir(), "outbox")
	b := openOutbox(t, dir, open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch}))
	var w ours
	for i := range 3 {
		c := w.commit(files{fmt.Sprintf("status/c/%d.yaml", i): "1", "README.md": fmt.Sprint(i)})
		c.Message = fmt.Sprintf("status: %d\n\ncreate lab/%d started\n\nJeroboam-Instance: lab\nJeroboam-Run: r%d\n", i, i, i)
		keep(t, b, c)
	}
	c := w.commit(files{"status/c/0.yaml": ""})
	c.Message = "status: last\n\nJeroboam-Instance: lab\nJeroboam-Run: r3\n"
	keep(t, b, c)
	if got, _ := s.seen(); got != "" || b.State().Writes != 4 || left(t, dir) != 4 {
		t.Errorf("before: sent %q, %d kept in %d files", got, b.State().Writes, left(t, dir))
	}
	seen, err := b.ReadStatus(t.Context())
	if err != nil || len(seen) != 3 {
		t.Errorf("as it will be: %v, %v", seen, err)
	}
	flush(t, b)
	diffOf(t, "board", o.board(), files{"README.md": "2", "status/c/1.yaml": "1", "status/c/2.yaml": "1"})
	diffOf(t, "message", o.git("log", "--format=%B", statusBranch),
		"status: last\n\ncreate lab/0 started\ncreate lab/1 started\ncreate lab/2 started\n\nJeroboam-Instance: lab\n"+
			"Jeroboam-Run: r3\nJeroboam-Run: r0\nJeroboam-Run: r1\nJeroboam-Run: r2")
	diffOf(t, "trailers", strings.Count(o.git("log", "--format=%(trailers:key=Jeroboam-Run)", statusBranch), "Jeroboam-Run"), 4)
	if state := b.State(); state.Writes != 0 || state.Commit != o.git("rev-parse", statusBranch) || left(t, dir) != 0 {
		t.Errorf("after: %+v and %d files", state, left(t, dir))
	}
	s.seen()
	flush(t, b)
	if got, _ := s.seen(); got != "" {
		t.Errorf("with nothing kept it sent %s", got)
	}
}

// Killed before the push, within it or after it: the next process makes exactly
// one commit of what was kept.
func TestOutboxSurvivesACrash(t *testing.T) {
	t.Parallel()
	for name, crash := range map[string]func(t *testing.T, dir string, b *gitrepo.Outbox, s *server){
		"before the push": func(*testing.T, string, *gitrepo.Outbox, *server) {},
		"while keeping": func(t *testing.T, dir string, _ *gitrepo.Outbox, _ *server) {
			put(t, dir, files{"000000000009.json.new": `{"changed":{"sta`})
		},
		"within the push": func(t *testing.T, _ string, b *gitrepo.Outbox, s *server) {
			s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
				if kindOf(req) == "push" {
					panic(http.ErrAbortHandler)
				}
				return false
			})
			if b.Flush(t.Context()) == nil {
				t.Error("the push worked")
			}
		},
		"after the push": func(t *testing.T, dir string, b *gitrepo.Outbox, _ *server) {
			before := map[string]string{}
			names, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, n := range names {
				text, err := os.ReadFile(n)
				if err != nil {
					t.Fatal(err)
				}
				before[filepath.Base(n)] = string(text)
			}
			flush(t, b)
			put(t, dir, before)
		},
		"while removing": func(t *testing.T, dir string, b *gitrepo.Outbox, _ *server) {
			text, err := os.ReadFile(filepath.Join(dir, "000000000002.json"))
			if err != nil {
				t.Fatal(err)
			}
			flush(t, b)
			put(t, dir, files{"000000000002.json": string(text)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, s := withBoard(t)
			dir := filepath.Join(t.TempDir(), "outbox")
			options := gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch}
			first := openOutbox(t, dir, open(t, options))
			var w ours
			keep(t, first, w.commit(files{"a": "1", "b": "1", "c": "1"}))
			keep(t, first, w.commit(files{"b": "2", "c": ""}))
			crash(t, dir, first, s)
			s.intercept(nil)
			next := openOutbox(t, dir, open(t, options))
			flush(t, next)
			diffOf(t, "board", o.board(), files{"a": "1", "b": "2"})
			diffOf(t, "commits", o.git("rev-list", "--count", statusBranch), "1")
			diffOf(t, "entries", openOutbox(t, dir, open(t, options)).State().Writes, 0)
		})
	}
}

// What was kept before a crash does not overwrite what is known to be otherwise now.
func TestOutboxBelievesTheLatest(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	dir := t.TempDir()
	options := gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch}
	var w ours
	keep(t, openOutbox(t, dir, open(t, options)), w.commit(files{"a": "old", "gone": "old"}))
	w = ours{}
	w.commit(files{"a": "new"})
	b := openOutbox(t, dir, open(t, options))
	keep(t, b, w.commit(files{"b": "1"}))
	flush(t, b)
	diffOf(t, "board", o.board(), files{"a": "new", "b": "1"})
}

// Somebody is faster: their files stay, all of ours are put on their commit, and
// it is one commit.
func TestOutboxLosesARace(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	b := openOutbox(t, t.TempDir(), open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch}))
	var w ours
	keep(t, b, w.commit(files{"a": "1", "b": "1"}))
	flush(t, b)
	raced := false
	s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if kindOf(req) == "push" && !raced {
			raced = true
			o.commit(statusBranch, statusBranch, "by hand", files{"a": "theirs", "note": "mine"})
		}
		return false
	})
	keep(t, b, w.commit(files{"b": "2"}))
	flush(t, b)
	diffOf(t, "board", o.board(), files{"a": "1", "b": "2", "note": "mine"})
	diffOf(t, "history", o.git("log", "--format=%s", statusBranch), "status: 1 ready\nby hand\nstatus: 1 ready")
}

// Many writes while the server is away do not fill the disk, and lose nothing.
func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	board := &fakeBoard{}
	b := openOutbox(t, dir, board)
	var w ours
	for i := range 300 {
		keep(t, b, w.commit(files{fmt.Sprintf("f%d", i%90): fmt.Sprint(i)}))
	}
	if n := left(t, dir); n > 65 || b.State().Writes != n {
		t.Errorf("%d files and %d writes", n, b.State().Writes)
	}
	flush(t, openOutbox(t, dir, board))
	diffOf(t, "files", len(board.files), 90)
	diffOf(t, "the last", string(board.files["f29"]), "299")
	put(t, dir, files{"000000000400.json": "{"})
	_, err := gitrepo.OpenOutbox(dir, board, gitrepo.OutboxOptions{})
	wantError(t, err, drivers.Denied, "000000000400.json", "remove it")
}

// Five hundred clusters that change at once are one commit.
func TestOutboxFiveHundredClusters(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	b := openOutbox(t, t.TempDir(), open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch}))
	var w ours
	keep(t, b, w.commit(tenThousand(0, 500)))
	flush(t, b)
	keep(t, b, w.commit(tenThousand(1, 500)))
	start := time.Now()
	flush(t, b)
	t.Logf("five hundred changed files pushed in %v", time.Since(start))
	diffOf(t, "commits", o.git("rev-list", "--count", statusBranch), "2")
	diffOf(t, "changed files", o.git("diff", "--shortstat", statusBranch+"~1", statusBranch), "500 files changed, 500 insertions(+), 500 deletions(-)")
}

// fakeBoard is a branch in memory that may be away.
type fakeBoard struct {
	mu      sync.Mutex
	files   map[string][]byte
	away    error
	commits []time.Time // when each was made
	tries   []time.Time
}

func (f *fakeBoard) ReadStatus(context.Context) (map[string][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.files), f.away
}

func (f *fakeBoard) WriteStatus(_ context.Context, c reconcile.StatusCommit) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries = append(f.tries, time.Now())
	if f.away != nil {
		return "", f.away
	}
	if f.files == nil {
		f.files = map[string][]byte{}
	}
	for p, content := range c.Changed {
		if f.files[p] = content; content == nil {
			delete(f.files, p)
		}
	}
	f.commits = append(f.commits, time.Now())
	return fmt.Sprint(len(f.commits)), nil
}

func (f *fakeBoard) seen() (commits, tries []time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.commits), slices.Clone(f.tries)
}

func (f *fakeBoard) file(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.files[name])
}

// goAway forgets the tries as well; nil: it is back.
func (f *fakeBoard) goAway(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.tries = err, nil
}

// Run pushes at once, then at most every ten seconds; it tries again with growing
// pauses while the server is away, and ends with its context.
func TestOutboxRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		board := &fakeBoard{}
		b := openOutbox(t, t.TempDir(), board)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		start := time.Now()
		var w ours
		for i := range 60 { // a write each second
			keep(t, b, w.commit(files{"a": fmt.Sprint(i)}))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if commits, _ := board.seen(); len(commits) != 7 || commits[0] != start {
			t.Errorf("%d commits from 0 s to 60 s, at %v", len(commits), commits)
		}
		time.Sleep(time.Minute)
		diffOf(t, "at last", board.file("a"), "59")

		board.goAway(&drivers.Error{Kind: drivers.Transient, Op: "push", Err: errors.New("away")})
		keep(t, b, w.commit(files{"a": "later"}))
		time.Sleep(time.Hour)
		if _, tries := board.seen(); len(tries) < 15 || len(tries) > 40 {
			t.Errorf("%d tries in an hour without a server", len(tries))
		}
		if s := b.State(); s.Writes != 1 || s.Attempts < 15 || s.Err == nil {
			t.Errorf("state %+v", s)
		}
		board.goAway(nil)
		time.Sleep(6 * time.Minute)
		diffOf(t, "after the outage", board.file("a"), "later")
		if s := b.State(); s.Writes != 0 || s.Attempts != 0 || s.Err != nil {
			t.Errorf("state %+v", s)
		}
		board.goAway(&drivers.Error{Kind: drivers.Denied, Op: "push", Err: errors.New("read-only")})
		keep(t, b, w.commit(files{"a": "denied"}))
		time.Sleep(10 * time.Second)
		_, tries := board.seen()
		diffOf(t, "tries of what an operator has to mend", len(tries), 1)
		cancel()
		running.Wait()
	})
}
