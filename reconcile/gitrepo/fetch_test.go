package gitrepo_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

type files = map[string]string

// fetch expects success.
func fetch(tb testing.TB, r *gitrepo.Repo, applied string) reconcile.Snapshot {
	tb.Helper()
	s, err := r.Fetch(tb.Context(), applied)
	if err != nil {
		tb.Fatalf("Fetch: %v", err)
	}
	return s
}

// contents reads all files of a snapshot.
func contents(tb testing.TB, s reconcile.Snapshot) files {
	tb.Helper()
	out := files{}
	for _, f := range s.Files {
		text, err := f.Read()
		if err != nil {
			text = []byte("error: " + err.Error())
		}
		out[f.Path] = string(text)
	}
	return out
}

// way is the ancestry and the subjects of the commits.
func way(s reconcile.Snapshot) string {
	out := string(s.Descends) + ":"
	for _, c := range s.Commits {
		subject, _, _ := strings.Cut(c.Message, "\n")
		out += " " + subject
	}
	return out
}

func diffOf(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// The first fetch lists refs and fetches once; a poll of an unchanged branch lists
// refs and nothing else; a change brings only what is new.
func TestFetchCostsWhatChanged(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "old", files{"fleet/a.yaml": "old", "big.bin": noise(200_000)})
	first := o.commit("main", "main", "first\n\nTrailer: x", files{"fleet/a.yaml": "one", "fleet/b/c.yaml": "two"})
	s := serve(t, o)
	r := open(t, gitrepo.Options{URL: s.repoURL(), Path: "fleet"})

	snap := fetch(t, r, "")
	if got, _ := s.seen(); got != "list upload-pack, fetch" {
		t.Errorf("first fetch sent %s", got)
	}
	diffOf(t, "files", contents(t, snap), files{"fleet/a.yaml": "one", "fleet/b/c.yaml": "two"})
	diffOf(t, "tree", snap.Tree, o.git("rev-parse", "main:fleet"))
	diffOf(t, "blob", snap.Files[0].Hash, o.git("rev-parse", "main:fleet/a.yaml"))
	diffOf(t, "head", []string{snap.Commit, snap.Author, snap.Subject}, []string{first, "Ada <ada@example.org>", "first"})
	diffOf(t, "time", fmt.Sprint(snap.Time.Unix()), o.git("show", "-s", "--format=%ct", "main"))
	diffOf(t, "way", way(snap), "descends: first")
	diffOf(t, "trailers are kept", snap.Commits[0].Message, "first\n\nTrailer: x")

	again := fetch(t, r, "")
	if got, _ := s.seen(); got != "list upload-pack" {
		t.Errorf("a poll sent %s", got)
	}
	diffOf(t, "poll", []string{again.Commit, again.Tree}, []string{snap.Commit, snap.Tree})

	o.commit("main", "main", "second", files{"fleet/a.yaml": "three"})
	o.commit("main", "main", "third", files{"README": "outside"})
	snap3 := fetch(t, r, first)
	got, sent := s.seen()
	if got != "list upload-pack, fetch" || sent > 5_000 {
		t.Errorf("update sent %s and brought %d bytes", got, sent)
	}
	diffOf(t, "way", way(snap3), "descends: third second")
	diffOf(t, "files", contents(t, snap3), files{"fleet/a.yaml": "three", "fleet/b/c.yaml": "two"})
	diffOf(t, "the old snapshot stays readable", contents(t, snap), files{"fleet/a.yaml": "one", "fleet/b/c.yaml": "two"})
	diffOf(t, "applied is the head", way(fetch(t, r, snap3.Commit)), "descends: third")
}

// A commit that touches nothing below the path leaves the tree as it was.
func TestTreeIsThatOfThePath(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "first", files{"fleet/a.yaml": "one"})
	r := open(t, gitrepo.Options{URL: serve(t, o).repoURL(), Path: "/fleet/"})
	before := fetch(t, r, "")
	o.commit("main", "main", "status", files{"status/a": "x"})
	after := fetch(t, r, before.Commit)
	if before.Commit == after.Commit || before.Tree != after.Tree {
		t.Errorf("commits %s, %s; trees %s, %s", before.Commit, after.Commit, before.Tree, after.Tree)
	}
}

// A restart has no history: the remote is asked for the commits after the applied
// one, also if their number is large, with or without support for filters.
func TestAncestryAfterRestart(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"true", "false"} {
		t.Run("filter "+filter, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			o.git("config", "uploadpack.allowFilter", filter)
			applied := o.commit("main", "", "applied", files{"a.yaml": "0", "big.bin": noise(300_000)})
			o.commit("side", applied, "side", files{"b.yaml": "b"})
			o.commit("main", "main", "one", files{"a.yaml": "1"})
			o.commit("main", "main", "two", files{"a.yaml": "2"})
			s := serve(t, o)
			r := open(t, gitrepo.Options{URL: s.repoURL()})
			fetch(t, r, "")
			s.seen()

			diffOf(t, "way", way(fetch(t, r, applied)), "descends: two one")
			got, sent := s.seen()
			if got != "list upload-pack, list upload-pack, fetch" || sent > 5_000 {
				t.Errorf("asking the way sent %s and brought %d bytes", got, sent)
			}
			diffOf(t, "way", way(fetch(t, r, applied)), "descends: two one")
			if got, _ := s.seen(); got != "list upload-pack" {
				t.Errorf("asking again sent %s", got)
			}
			diffOf(t, "a sibling", way(fetch(t, r, o.git("rev-parse", "side"))), "rewound: two")
			diffOf(t, "a commit nobody has", way(fetch(t, r, strings.Repeat("ab", 20))), "rewound: two")
		})
	}
}

// A remote that does not have the applied commit would send all of its history:
// nobody reads it.
func TestUnknownCommitBringsNoHistory(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.git("config", "uploadpack.allowFilter", "false")
	o.commit("main", "", "large", files{"a.yaml": "0", "big.bin": noise(1_000_000)})
	o.commit("main", "main", "small", files{"a.yaml": "1"}, "big.bin")
	for _, url := range []string{serve(t, o).repoURL(), "file://" + o.dir} {
		r := open(t, gitrepo.Options{URL: url, MaxPack: 100_000})
		diffOf(t, "way", way(fetch(t, r, strings.Repeat("ab", 20))), "rewound: small")
	}
}

// A merge brings the commits of both sides, and none that the applied one had.
func TestAncestryThroughMerge(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	base := o.commit("main", "", "base", files{"a.yaml": "0"})
	applied := o.commit("main", "main", "applied", files{"a.yaml": "1"})
	o.commit("side", base, "side", files{"b.yaml": "b"})
	tree := o.commit("scratch", "main", "scratch", files{"b.yaml": "b"})
	merge := o.run(o.dir, "merge", "commit-tree", tree+"^{tree}", "-p", "main", "-p", "side")
	s := serve(t, o)
	running := open(t, gitrepo.Options{URL: s.repoURL()})
	fetch(t, running, "")
	o.git("update-ref", "refs/heads/main", merge)

	s.seen()
	snap := fetch(t, running, applied)
	if got, _ := s.seen(); got != "list upload-pack, fetch" {
		t.Errorf("update sent %s", got)
	}
	restarted := open(t, gitrepo.Options{URL: s.repoURL()})
	for _, snap := range []reconcile.Snapshot{snap, fetch(t, restarted, applied)} {
		got := map[string]bool{}
		for _, c := range snap.Commits {
			got[strings.TrimSpace(c.Message)] = true
		}
		diffOf(t, "commits", got, map[string]bool{"merge": true, "side": true})
		diffOf(t, "descends", snap.Descends, reconcile.Descends)
		diffOf(t, "files", contents(t, snap), files{"a.yaml": "1", "b.yaml": "b"})
	}
}

// At most a hundred commits are told, the newest first.
func TestCommitsAreBounded(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	applied := o.commit("main", "", "applied", files{"a.yaml": "0"})
	var in strings.Builder
	for i := 1; i <= 130; i++ {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ada <a@b> %d +0000\ndata 4\nc%03d\n", o.clock(), i)
		if i == 1 {
			fmt.Fprintf(&in, "from %s\n", applied)
		}
	}
	o.run(o.dir, in.String(), "fast-import", "--quiet")
	snap := fetch(t, open(t, gitrepo.Options{URL: serve(t, o).repoURL()}), applied)
	if n := len(snap.Commits); n != 100 || snap.Commits[0].Message != "c130" || snap.Commits[99].Message != "c031" {
		t.Errorf("%d commits, from %s to %s", n, snap.Commits[0].Message, snap.Commits[n-1].Message)
	}
	diffOf(t, "descends", snap.Descends, reconcile.Descends)
}

// A branch that was forced is fetched whole and reported; nobody follows it silently.
func TestForcedBranch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1", "b.yaml": "only in one"})
	second := o.commit("main", "main", "two", files{"a.yaml": "2"}, "b.yaml")
	s := serve(t, o)
	r := open(t, gitrepo.Options{URL: s.repoURL()})
	fetch(t, r, "")

	o.git("update-ref", "refs/heads/main", "main~1")
	snap := fetch(t, r, second)
	diffOf(t, "rewound to an older commit", way(snap), "rewound: one")
	diffOf(t, "files", contents(t, snap), files{"a.yaml": "1", "b.yaml": "only in one"})

	o.commit("main", "", "other", files{"c.yaml": "c"})
	snap = fetch(t, r, second)
	diffOf(t, "another history", way(snap), "rewound: other")
	diffOf(t, "files", contents(t, snap), files{"c.yaml": "c"})

	o.git("update-ref", "refs/heads/main", second)
	diffOf(t, "put back", way(fetch(t, r, second)), "descends: two")
}

// A commit that brings back content from before our clone is whole, whatever the
// remote believes that we have.
func TestRevertToOldContent(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"d/a.yaml": "old", "x": "1"})
	o.commit("main", "main", "two", files{"d/a.yaml": "new"})
	o.git("repack", "-adbq") // with a bitmap, the server leaves out all that we "have"
	r := open(t, gitrepo.Options{URL: serve(t, o).repoURL()})
	before := fetch(t, r, "")
	o.commit("main", "main", "revert", files{"d/a.yaml": "old"})
	snap := fetch(t, r, before.Commit)
	diffOf(t, "files", contents(t, snap), files{"d/a.yaml": "old", "x": "1"})
	diffOf(t, "way", way(snap), "descends: revert")
}

// After so many updates everything is fetched afresh.
func TestRecloneBoundsMemory(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "zero", files{"a.yaml": "0", "big.bin": noise(50_000)})
	s := serve(t, o)
	r := open(t, gitrepo.Options{URL: s.repoURL(), RecloneAfter: 2})
	var large []bool
	for i := range 5 {
		o.commit("main", "main", "next", files{"a.yaml": fmt.Sprint(i)})
		fetch(t, r, "")
		_, sent := s.seen()
		large = append(large, sent > 50_000)
	}
	diffOf(t, "fetches of everything", large, []bool{true, false, false, true, false})
}

// An emptied repository is a snapshot without files; one without a commit is an error.
func TestEmptied(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	r := open(t, gitrepo.Options{URL: serve(t, o).repoURL()})
	_, err := r.Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "the repository is empty", "push a first commit")

	o.commit("main", "", "one", files{"a.yaml": "1"})
	o.commit("main", "main", "emptied", nil, "a.yaml")
	snap := fetch(t, r, "")
	if len(snap.Files) != 0 || snap.Tree != "4b825dc642cb6eb9a060e54bf8d69288fbee4904" {
		t.Errorf("files %v, tree %s", snap.Files, snap.Tree)
	}
}

// Wrong paths and branches name what there is.
func TestWrongPathOrBranch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"env/prod/a.yaml": "1", "link": "-> env"})
	o.commit("dev", "main", "dev", nil)
	s := serve(t, o)
	for _, c := range []struct {
		o    gitrepo.Options
		text []string
	}{
		{gitrepo.Options{Path: "env/test/x"}, []string{`folder "env/test/x"`, `no "test" in "env"`}},
		{gitrepo.Options{Path: "fleet"}, []string{`no "fleet" in the root`}},
		{gitrepo.Options{Path: "env/prod/a.yaml"}, []string{"is a file"}},
		{gitrepo.Options{Path: "link/prod"}, []string{`"link"`, "symbolic link"}},
		{gitrepo.Options{Branch: "master"}, []string{`no branch "master"`, "dev, main"}},
	} {
		c.o.URL = s.repoURL()
		r := open(t, c.o)
		_, err := r.Fetch(t.Context(), "")
		wantError(t, err, drivers.Rejected, c.text...)
		s.seen()
		_, again := r.Fetch(t.Context(), "")
		if again == nil || again.Error() != err.Error() {
			t.Errorf("second error %v", again)
		}
		if got, _ := s.seen(); got != "list upload-pack" {
			t.Errorf("a wrong setting is fetched again at each poll: %s", got)
		}
	}
	o.git("symbolic-ref", "HEAD", "refs/heads/gone")
	_, err := open(t, gitrepo.Options{URL: s.repoURL()}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "HEAD", "dev, main")
	diffOf(t, "by whole name", fetch(t, open(t, gitrepo.Options{URL: s.repoURL(), Branch: "refs/heads/dev"}), "").Subject, "dev")
}

// What cannot be part of a fleet says so when it is read, and not before.
func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1", "b.yaml": "-> a.yaml", "c.yaml": strings.Repeat("x", 1<<20+1), "d.yaml": strings.Repeat("x", 1<<20)})
	withSub := o.run(o.dir, o.git("ls-tree", "main")+"\n160000 commit "+o.git("rev-parse", "main")+"\tsub", "mktree", "--missing")
	o.git("update-ref", "refs/heads/main", o.run(o.dir, "sub", "commit-tree", withSub, "-p", "main"))
	got := contents(t, fetch(t, open(t, gitrepo.Options{URL: serve(t, o).repoURL()}), ""))
	if len(got["d.yaml"]) != 1<<20 {
		t.Errorf("d.yaml has %d bytes", len(got["d.yaml"]))
	}
	delete(got, "d.yaml")
	diffOf(t, "files", got, files{
		"a.yaml": "1",
		"b.yaml": "error: b.yaml is a symbolic link; the fleet is read from plain files only",
		"c.yaml": "error: 1048577 bytes; files above 1048576 bytes are not read",
		"sub":    "error: sub is a submodule; the fleet is read from this repository only",
	})
}

// Names that would be one file on another disk, or garbage in a terminal, are refused.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]files{
		"differ only by case": {"f/prod.yaml": "1", "f/Prod.yaml": "2"},
		`"A" and "a" differ`:  {"a/x.yaml": "1", "A/y.yaml": "2"},
		"cannot be used":      {"f/a\x1b[2Jb.yaml": "1"},
	} {
		o := newOrigin(t)
		o.git("config", "core.protectNTFS", "false")
		o.commit("main", "", "one", f)
		_, err := open(t, gitrepo.Options{URL: serve(t, o).repoURL()}).Fetch(t.Context(), "")
		wantError(t, err, drivers.Rejected, name)
	}
}

// A path that holds too many files, and an answer that is too large, are errors.
func TestLimits(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a": "1", "b": "2", "c": noise(1_000_000)})
	s := serve(t, o)
	_, err := open(t, gitrepo.Options{URL: s.repoURL(), MaxFiles: 2}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "more than 2")
	_, err = open(t, gitrepo.Options{URL: s.repoURL(), MaxPack: 50_000}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "larger than")
	_, err = open(t, gitrepo.Options{URL: "file://" + o.dir, MaxPack: 50_000}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "larger than")
}

// The same through file:// and a plain path, where Git itself is started.
func TestLocalRemote(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	applied := o.commit("main", "", "one", files{"fleet/a.yaml": "1"})
	o.commit("main", "main", "two", files{"fleet/a.yaml": "2"})
	for _, url := range []string{"file://" + o.dir, o.dir} {
		r := open(t, gitrepo.Options{URL: url, Path: "fleet"})
		snap := fetch(t, r, applied)
		diffOf(t, "way", way(snap), "descends: two")
		diffOf(t, "files", contents(t, snap), files{"fleet/a.yaml": "2"})
		diffOf(t, "unknown commit", way(fetch(t, r, strings.Repeat("ab", 20))), "rewound: two")
	}
	o.commit("main", "main", "three", files{"fleet/b.yaml": "3"})
	_, err := open(t, gitrepo.Options{URL: o.dir + "/nowhere"}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "repository not found", "check the URL")
}

// A fleet of 5,000 files comes in a few seconds on two cores, and is read without
// asking the remote again.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	many := files{}
	for i := range 5_000 {
		many[fmt.Sprintf("fleet/%02d/c%04d.yaml", i%50, i)] = fmt.Sprintf("kind: Cluster\nmetadata: {name: c%04d}\n", i)
	}
	o.commit("main", "", "many", many)
	s := serve(t, o)
	r := open(t, gitrepo.Options{URL: s.repoURL(), Path: "fleet"})
	start := time.Now()
	snap := fetch(t, r, "")
	first := time.Since(start)
	if len(snap.Files) != 5_000 {
		t.Fatalf("%d files", len(snap.Files))
	}
	start = time.Now()
	got := contents(t, snap)
	t.Logf("fetched in %v, read in %v", first, time.Since(start))
	diffOf(t, "files", got, many)
	s.seen()
	start = time.Now()
	fetch(t, r, "")
	t.Logf("polled in %v", time.Since(start))
	o.commit("main", "main", "one of many", files{"fleet/00/c0000.yaml": "changed"})
	start = time.Now()
	fetch(t, r, snap.Commit)
	t.Logf("updated in %v", time.Since(start))
}

// A commit that is no hash is a mistake of the caller's.
func TestAppliedMustBeAHash(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	_, err := open(t, gitrepo.Options{URL: o.dir}).Fetch(t.Context(), "main")
	wantError(t, err, drivers.Unknown, `"main" is not the hash`)
}

// A remote that is a shallow clone itself cannot say that the branch was rewound.
func TestShallowRemote(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1"})
	o.commit("main", "main", "two", files{"a.yaml": "2"})
	side := o.commit("side", "", "side", files{"s.yaml": "s"})
	mirror := newOrigin(t)
	mirror.git("fetch", "-q", "--depth=1", "file://"+o.dir, "main:main", "side:side")
	r := open(t, gitrepo.Options{URL: serve(t, mirror).repoURL(), Branch: "main"})
	diffOf(t, "way", way(fetch(t, r, side)), "unknown: two")
}

func noise(n int) string {
	x := uint32(2463534242)
	b := make([]byte, n)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return string(b)
}

// Whoever follows a redirect reads another repository than the settings say.
func TestRedirectIsNamed(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1"})
	s := serve(t, o)
	s.intercept(func(w http.ResponseWriter, req *http.Request) bool {
		http.Redirect(w, req, "https://git.example.org/fleet.git/info/refs?service=git-upload-pack", http.StatusMovedPermanently)
		return true
	})
	_, err := open(t, gitrepo.Options{URL: s.repoURL()}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "redirects to https://git.example.org/fleet.git", "set the URL")
}
