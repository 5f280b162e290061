package gitrepo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

const statusBranch = "jeroboam-status/lab"

// ours is a board's writer as the outbox is one: all files, and what changed.
type ours struct {
	all   map[string][]byte
	asked int // how often All was called
}

// commit changes files ("" removes) and tells the difference.
func (o *ours) commit(changed files) reconcile.StatusCommit {
	if o.all == nil {
		o.all = map[string][]byte{}
	}
	c := reconcile.StatusCommit{
		Changed: map[string][]byte{}, Message: "status: 1 ready\n\nJeroboam-Instance: lab",
		Time: time.Date(2026, 11, 20, 8, 30, 0, 0, time.FixedZone("", 3600)),
	}
	for p, content := range changed {
		if content == "" {
			delete(o.all, p)
			c.Changed[p] = nil
			continue
		}
		o.all[p] = []byte(content)
		c.Changed[p] = []byte(content)
	}
	all := maps.Clone(o.all)
	c.All = func() map[string][]byte { o.asked++; return all }
	return c
}

func write(tb testing.TB, r *gitrepo.Repo, c reconcile.StatusCommit) string {
	tb.Helper()
	tip, err := r.WriteStatus(tb.Context(), c)
	if err != nil {
		tb.Fatalf("WriteStatus: %v", err)
	}
	return tip
}

// board reads the branch with Git itself.
func (o *origin) board() files {
	o.tb.Helper()
	out := files{}
	for line := range strings.Lines(o.git("ls-tree", "-r", "--name-only", statusBranch)) {
		name := strings.TrimSpace(line)
		out[name] = o.git("show", statusBranch+":"+name)
	}
	return out
}

func withBoard(tb testing.TB) (*origin, *server) {
	tb.Helper()
	o := newOrigin(tb)
	o.commit("main", "", "one", files{"fleet/a.yaml": "1"})
	return o, serve(tb, o)
}

// The board is an orphan branch; a second commit sends only what changed.
func TestBoardIsWritten(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{
		URL: s.repoURL(), StatusBranch: statusBranch,
		Author: "Jeroboam lab <lab@example.org>", Committer: "bot[bot] <1+bot[bot]@example.org>",
	})
	if got, err := r.ReadStatus(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("no board yet: %v, %v", got, err)
	}
	var w ours
	s.seen()
	tip := write(t, r, w.commit(files{"README.md": "# lab\n", "status/c/a.yaml": "a", "status/c/b.yaml": "b", "status/d/x.yaml": "x"}))
	if got, _ := s.seen(); got != "list receive-pack, push" {
		t.Errorf("first write sent %s", got)
	}
	diffOf(t, "tip", tip, o.git("rev-parse", statusBranch))
	diffOf(t, "parents", o.git("show", "-s", "--format=%P", statusBranch), "")
	diffOf(t, "commit", o.git("show", "-s", "--format=%an <%ae>|%aI|%cn <%ce>|%B", statusBranch),
		"Jeroboam lab <lab@example.org>|2026-11-20T08:30:00+01:00|bot[bot] <1+bot[bot]@example.org>|status: 1 ready\n\nJeroboam-Instance: lab")

	second := write(t, r, w.commit(files{"status/c/a.yaml": "a2", "status/d/x.yaml": "", "status/nowhere": ""}))
	if got, _ := s.seen(); got != "list receive-pack, push" || w.asked != 1 {
		t.Errorf("second write sent %s and asked for everything %d times", got, w.asked)
	}
	diffOf(t, "parent", o.git("rev-parse", second+"^"), tip)
	want := files{"README.md": "# lab", "status/c/a.yaml": "a2", "status/c/b.yaml": "b"}
	diffOf(t, "board", o.board(), want)
	diffOf(t, "no empty folder", o.git("ls-tree", "--name-only", statusBranch+":status"), "c")
	o.git("fsck", "--strict")

	if same := write(t, r, w.commit(files{"status/c/a.yaml": "a2", "status/gone": ""})); same != second {
		t.Errorf("no difference made commit %s", same)
	}
	if got, _ := s.seen(); got != "list receive-pack" {
		t.Errorf("no difference sent %s", got)
	}
	got, err := r.ReadStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diffOf(t, "read", got, map[string][]byte{"README.md": []byte("# lab\n"), "status/c/a.yaml": []byte("a2"), "status/c/b.yaml": []byte("b")})
	diffOf(t, "the fleet's branch", o.git("log", "--format=%s", "main"), "one")
}

// The first write of a process puts all files on the tip, and commits nothing if
// they are there already.
func TestRestartedWriter(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	var w ours
	before := write(t, open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch}), w.commit(files{"a": "1", "b/c": "2"}))
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	if tip := write(t, r, w.commit(nil)); tip != before {
		t.Errorf("tip %s, want %s", tip, before)
	}
	s.seen()
	write(t, r, w.commit(files{"a": "new"}))
	if got, _ := s.seen(); got != "list receive-pack, push" || w.asked != 2 {
		t.Errorf("the next write sent %s and asked %d times for everything", got, w.asked)
	}
	diffOf(t, "board", o.board(), files{"a": "new", "b/c": "2"})
}

// Files of others stay; ours that somebody changed or removed come back.
func TestForeignPushBetweenWrites(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	var w ours
	write(t, r, w.commit(files{"a": "1", "d/b": "2", "d/c": "3"}))
	foreign := o.commit(statusBranch, statusBranch, "by hand", files{"a": "changed", "NOTES": "mine", "d/mine": "too"}, "d/b")
	tip := write(t, r, w.commit(files{"d/c": ""}))
	diffOf(t, "board", o.board(), files{"a": "1", "d/b": "2", "NOTES": "mine", "d/mine": "too"})
	diffOf(t, "parent", o.git("rev-parse", tip+"^"), foreign)
}

// Somebody pushes between our listing and our push, three times: the server
// refuses, and we build on their commit.
func TestLostRaceIsRetried(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	var w ours
	write(t, r, w.commit(files{"a": "1"}))
	races := 3
	s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if kindOf(req) == "push" && races > 0 {
			races--
			o.commit(statusBranch, statusBranch, "faster", files{fmt.Sprintf("foreign-%d", races): "f"})
		}
		return false
	})
	s.seen()
	write(t, r, w.commit(files{"b": "2"}))
	if got, _ := s.seen(); strings.Count(got, "push") != 4 {
		t.Errorf("sent %s", got)
	}
	diffOf(t, "board", o.board(), files{"a": "1", "b": "2", "foreign-0": "f", "foreign-1": "f", "foreign-2": "f"})
	diffOf(t, "history", o.git("log", "--format=%s", statusBranch),
		"status: 1 ready\nfaster\nfaster\nfaster\nstatus: 1 ready")
}

// Somebody who holds the lock of the branch is about to move it: that is a race
// too, though the branch has not moved yet.
func TestLockedBranchIsRetried(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	var w ours
	write(t, r, w.commit(files{"a": "1"}))
	lock := filepath.Join(o.dir, "refs", "heads", statusBranch+".lock")
	pushes := 0
	s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if kindOf(req) != "push" {
			return false
		}
		if pushes++; pushes == 1 {
			put(t, o.dir, files{"refs/heads/" + statusBranch + ".lock": ""})
		} else if err := os.Remove(lock); err != nil {
			t.Error(err)
		}
		return false
	})
	write(t, r, w.commit(files{"b": "2"}))
	diffOf(t, "pushes", pushes, 2)
	diffOf(t, "board", o.board(), files{"a": "1", "b": "2"})
}

// A branch that moves under every attempt: one typed error, nothing forced.
func TestLostRaceForGood(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, PushBudget: time.Nanosecond})
	s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if kindOf(req) == "push" {
			parent := ""
			if o.git("branch", "--list", statusBranch) != "" {
				parent = statusBranch
			}
			o.commit(statusBranch, parent, "faster", files{"foreign": fmt.Sprint(o.clock())})
		}
		return false
	})
	var w ours
	for range 2 { // once as the branch is made, once as it moves
		_, err := r.WriteStatus(t.Context(), w.commit(files{"a": "1"}))
		wantError(t, err, drivers.Conflict, "somebody else pushed")
		if !errors.Is(err, gitrepo.ErrLostRace) {
			t.Errorf("%v is not ErrLostRace", err)
		}
	}
	diffOf(t, "history", o.git("log", "--format=%s", statusBranch), "faster\nfaster")
	s.intercept(nil)
	write(t, r, w.commit(nil))
	diffOf(t, "later", o.board()["a"], "1")
}

// Two daemons that write the same branch at the same time both get through.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	var all sync.WaitGroup
	for i := range 2 {
		r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, PushBudget: 30 * time.Second})
		all.Go(func() {
			var w ours
			for n := range 4 {
				if _, err := r.WriteStatus(t.Context(), w.commit(files{fmt.Sprintf("%d/%d", i, n): "x"})); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	if got := len(o.board()); got != 8 {
		t.Errorf("%d files, want 8: %v", got, o.board())
	}
	diffOf(t, "commits", o.git("rev-list", "--count", statusBranch), "8")
}

// A deleted branch is made again, whole and without parents.
func TestDeletedBranch(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	var w ours
	write(t, r, w.commit(files{"a": "1", "b": "2"}))
	o.git("update-ref", "-d", "refs/heads/"+statusBranch)
	write(t, r, w.commit(files{"b": "3"}))
	diffOf(t, "board", o.board(), files{"a": "1", "b": "3"})
	diffOf(t, "commits", o.git("rev-list", "--count", statusBranch), "1")
}

// The board can be the first branch of a repository; nothing to show makes none.
func TestBoardOfEmptyRepository(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	r := open(t, gitrepo.Options{URL: serve(t, o).repoURL(), StatusBranch: statusBranch})
	var w ours
	if got, err := r.ReadStatus(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("ReadStatus: %v, %v", got, err)
	}
	if tip := write(t, r, w.commit(nil)); tip != "" || o.git("branch", "--list") != "" {
		t.Errorf("nothing to show made %q", tip)
	}
	write(t, r, w.commit(files{"a": "1"}))
	diffOf(t, "board", o.board(), files{"a": "1"})
	write(t, r, w.commit(files{"a": ""}))
	diffOf(t, "emptied", o.board(), files{})
}

// A hook or a protected branch is not a race: the operator hears the server's words.
func TestRefusedByTheServer(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	hook := "#!/bin/sh\necho 'only robots with a licence may push' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(o.dir, "hooks", "pre-receive"), []byte(hook), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{s.repoURL(), "file://" + o.dir} {
		r := open(t, gitrepo.Options{URL: url, StatusBranch: statusBranch})
		var w ours
		_, err := r.WriteStatus(t.Context(), w.commit(files{"a": "1"}))
		wantError(t, err, drivers.Denied, "hook declined", "only robots with a licence", statusBranch)
	}
}

// Through file://, Git's own receive-pack takes the push.
func TestBoardOfLocalRemote(t *testing.T) {
	t.Parallel()
	o, _ := withBoard(t)
	r := open(t, gitrepo.Options{URL: o.dir, StatusBranch: statusBranch})
	var w ours
	write(t, r, w.commit(files{"a": "1", "b": "1"}))
	o.commit(statusBranch, statusBranch, "by hand", files{"mine": "x"})
	write(t, r, w.commit(files{"a": "2"}))
	diffOf(t, "board", o.board(), files{"a": "2", "b": "1", "mine": "x"})
}

// A file of ours cannot take the place of somebody's folder, nor the reverse, nor
// leave the board.
func TestBoardPaths(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	o.commit(statusBranch, "", "by hand", files{"status": "a file", "d/x": "in a folder"})
	for p, text := range map[string]string{
		"status/a.yaml": `"status" is a file on the board`, "d": `"d" is a folder on the board`,
		"../a": "no path", "/a": "no path", "a//b": "no path", "": "no path",
	} {
		r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
		var w ours
		_, err := r.WriteStatus(t.Context(), w.commit(files{p: "1"}))
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want %q", p, err, text)
		}
	}
	_, err := open(t, gitrepo.Options{URL: s.repoURL()}).ReadStatus(t.Context())
	wantError(t, err, drivers.Denied, "no status branch")
}

// A signature is made over the commit without it, and is in the commit.
func TestSigned(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	var signed string
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Sign: func(_ context.Context, c []byte) (string, error) {
		signed = string(c)
		return "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n", nil
	}})
	var w ours
	tip := write(t, r, w.commit(files{"a": "1"}))
	raw := o.git("cat-file", "commit", tip)
	header := "gpgsig -----BEGIN SSH SIGNATURE-----\n abc\n -----END SSH SIGNATURE-----\n"
	if !strings.Contains(raw, header) {
		t.Errorf("commit %s", raw)
	}
	diffOf(t, "payload", strings.TrimSpace(signed), strings.ReplaceAll(raw, header, ""))
}

// A hundred of ten thousand files: a tenth of a second, push included.
func TestBoardOfTenThousand(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	var w ours
	write(t, r, w.commit(tenThousand(0, 10_000)))
	start := time.Now()
	write(t, r, w.commit(tenThousand(1, 100)))
	t.Logf("a hundred of ten thousand files pushed in %v", time.Since(start))
	diffOf(t, "commits", o.git("rev-list", "--count", statusBranch), "2")
	diffOf(t, "changed files", o.git("diff", "--shortstat", statusBranch+"~1", statusBranch), "100 files changed, 100 insertions(+), 100 deletions(-)")
}

func tenThousand(generation, n int) files {
	out := files{}
	for i := range n {
		out[fmt.Sprintf("status/cloud%d/cluster-%05d.yaml", i%5, i)] = fmt.Sprintf("name: cluster-%05d\ngeneration: %d\n", i, generation)
	}
	return out
}

func BenchmarkWriteStatus100Of10000(b *testing.B) {
	_, s := withBoard(b)
	r, err := gitrepo.Open(gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	if err != nil {
		b.Fatal(err)
	}
	var w ours
	write(b, r, w.commit(tenThousand(0, 10_000)))
	generation := 0
	s.took = 0
	start := ourCPU(b)
	for b.Loop() {
		generation++
		write(b, r, w.commit(tenThousand(generation, 100)))
	}
	b.ReportMetric(float64(s.took.Milliseconds())/float64(b.N), "ms-in-git/op")
	b.ReportMetric(float64((b.Elapsed()-s.took).Milliseconds())/float64(b.N), "ms-in-ours/op")
	ms := reportCPU(b, start)
	const most = 100
	if ms > most {
		b.Errorf("%.0f ms CPU, want at most %d", ms, most)
	}
	b.Logf("| status commit of 100 changed among 10,000, push included | %.0f ms CPU | %.0f ms beside Git's %.0f ms | %d commits |",
		ms, float64((b.Elapsed()-s.took).Milliseconds())/float64(b.N), float64(s.took.Milliseconds())/float64(b.N), b.N)
}
