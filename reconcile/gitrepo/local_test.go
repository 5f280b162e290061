package gitrepo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// checkout is a clone with a work tree, as somebody has it who edits the fleet.
func checkout(tb testing.TB, o *origin, args ...string) string {
	tb.Helper()
	dir, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	dir = filepath.Join(dir, "clone")
	runGit(tb, "", "", append(append([]string{"clone", "-q"}, args...), "file://"+o.dir, dir)...)
	return dir
}

func local(tb testing.TB, dir string) *gitrepo.LocalRepo {
	tb.Helper()
	l, err := gitrepo.Local(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func put(tb testing.TB, dir string, fs files) {
	tb.Helper()
	for p, text := range fs {
		name := filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// history has three commits on main, a tag on the first, a side branch and a merge.
func history(tb testing.TB) (o *origin, dir string) {
	tb.Helper()
	o = newOrigin(tb)
	one := o.commit("main", "", "one", files{"fleet/a.yaml": "1"})
	o.git("-c", "user.name=Ada", "-c", "user.email=a@b", "tag", "-a", "-m", "v1", "v1", one)
	o.commit("main", "main", "two", files{"fleet/a.yaml": "2"})
	o.commit("side", one, "side", files{"fleet/b.yaml": "b"})
	merge := o.run(o.dir, "merge", "commit-tree", "main^{tree}", "-p", "main", "-p", "side")
	o.git("update-ref", "refs/heads/main", merge)
	return o, checkout(tb, o)
}

// Revisions are what Git takes them for.
func TestRevisions(t *testing.T) {
	t.Parallel()
	o, dir := history(t)
	runGit(t, dir, "", "branch", "cafe", "HEAD~1") // a branch that looks like a hash
	l := local(t, dir)
	for _, rev := range []string{
		"HEAD", "@", "main", "origin/main", "origin", "origin/side", "v1", "tags/v1", "refs/tags/v1", "heads/main", "cafe",
		"HEAD~1", "HEAD~", "HEAD^", "HEAD^2", "HEAD^2~1", "HEAD~2", "@~2^0", "v1^{}", "v1^{commit}", "HEAD^^",
		o.git("rev-parse", "main"), o.git("rev-parse", "--short=7", "main"), o.git("rev-parse", "--short=12", "side"), o.git("rev-parse", "v1"),
	} {
		snap, err := l.At(rev, "fleet")
		if err != nil {
			t.Errorf("%s: %v", rev, err)
			continue
		}
		want := runGit(t, dir, "", "rev-parse", rev+"^{commit}")
		tree := runGit(t, dir, "", "rev-parse", want+":fleet")
		if snap.Commit != want || snap.Tree != tree {
			t.Errorf("%s is commit %s tree %s, want %s %s", rev, snap.Commit, snap.Tree, want, tree)
		}
	}
	for rev, text := range map[string]string{
		"nope": `no branch, tag or commit "nope"`, "HEAD~9": "has 0 parents", "HEAD^3": "has 2 parents", "HEAD@{1}": "is no revision",
		"HEAD:fleet": "is no revision", "main..side": "is no revision", "": "is no revision", "~1": "is no revision",
		"0000000": "no commit", "config": "no branch", o.git("rev-parse", "main:fleet"): "not a commit", strings.Repeat("ab", 20): "not in this clone",
	} {
		_, err := l.At(rev, "fleet")
		wantError(t, err, drivers.Rejected, text)
	}
}

// A short hash that fits several commits is refused: the first that fits may be
// another cluster's.
func TestAmbiguousShortHash(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	var in strings.Builder
	for i := range 2_000 { // of 65,536 beginnings: some are shared
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ada <a@b> %d +0000\ndata 4\n%04d\n", i, i)
	}
	o.run(o.dir, in.String(), "fast-import", "--quiet")
	seen, shared := map[string]bool{}, ""
	for h := range strings.FieldsSeq(o.git("rev-list", "main")) {
		if seen[h[:4]] {
			shared = h[:4]
		}
		seen[h[:4]] = true
	}
	_, err := local(t, o.dir).At(shared, "")
	wantError(t, err, drivers.Rejected, shared, "give more of it")
}

// A snapshot of a revision has positions from the root; the folder is as the user
// writes it where they are.
func TestAt(t *testing.T) {
	t.Parallel()
	o, dir := history(t)
	for _, c := range []struct{ dir, folder string }{
		{dir, "fleet"}, {dir, "./fleet/"}, {dir + "/fleet", "."}, {dir + "/fleet", "../fleet"}, {dir, dir + "/fleet"}, {o.dir, "fleet"},
	} {
		snap, err := local(t, c.dir).At("v1", c.folder)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		diffOf(t, fmt.Sprint(c), contents(t, snap), files{"fleet/a.yaml": "1"})
		diffOf(t, "head", []string{snap.Subject, snap.Author, way(snap)}, []string{"one", "Ada <ada@example.org>", "descends: one"})
	}
	_, err := local(t, dir).At("main", "fleet/x")
	wantError(t, err, drivers.Rejected, `folder "fleet/x"`, `no "x" in "fleet"`)
	_, err = local(t, dir).At("main", "../..")
	wantError(t, err, drivers.Rejected, "not in the repository")
}

// MergeBase is where a pull request began.
func TestMergeBase(t *testing.T) {
	t.Parallel()
	o, dir := history(t)
	l := local(t, dir)
	for _, c := range [][2]string{{"main~1", "origin/side"}, {"main", "side~1"}, {"main", "main"}} {
		b := strings.Replace(c[1], "side~1", "origin/side~1", 1)
		got, err := l.MergeBase(c[0], b)
		if err != nil {
			t.Fatal(err)
		}
		diffOf(t, fmt.Sprint(c), got, runGit(t, dir, "", "merge-base", c[0], b))
	}
	o.commit("other", "", "other", files{"x": "1"})
	other := checkout(t, o)
	_, err := local(t, other).MergeBase("main", "origin/other")
	wantError(t, err, drivers.Rejected, "no common commit")

	shallow := local(t, checkout(t, o, "--depth=1", "--no-single-branch"))
	_, err = shallow.MergeBase("main", "origin/side")
	wantError(t, err, drivers.Rejected, "shallow", "--unshallow")
	_, err = shallow.At("HEAD~1", "fleet")
	wantError(t, err, drivers.Rejected, "not in this clone", "depth 0 in CI")
}

// The work tree is what is on disk, without what Git would not commit.
func TestWorktree(t *testing.T) {
	t.Parallel()
	_, dir := history(t)
	put(t, dir, files{
		"fleet/a.yaml": "edited", "fleet/new/c.yaml": "new", "fleet/tmp/x.yaml": "ignored", "fleet/tmp/kept.yaml": "tracked",
		"fleet/.gitignore": "tmp/\n# comment\n*.swp\n", "fleet/a.swp": "ignored", "fleet/new/.gitignore": "!c.swp\n", "fleet/new/c.swp": "not ignored",
		"fleet/private.yaml": "excluded", ".git/info/exclude": "private.yaml\n", "fleet/sub/.git/HEAD": "x", "fleet/sub/y.yaml": "other repository",
		"other/z.yaml": "not the fleet's", "fleet/large.yaml": strings.Repeat("x", 1<<20+1),
	})
	runGit(t, dir, "", "add", "-f", "fleet/tmp/kept.yaml")
	if err := os.Symlink("a.yaml", filepath.Join(dir, "fleet", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	snap, err := local(t, dir).Worktree("fleet")
	if err != nil {
		t.Fatal(err)
	}
	want := files{
		"fleet/a.yaml": "edited", "fleet/b.yaml": "", "fleet/new/c.yaml": "new", "fleet/tmp/kept.yaml": "tracked",
		"fleet/.gitignore": "tmp/\n# comment\n*.swp\n", "fleet/new/.gitignore": "!c.swp\n", "fleet/new/c.swp": "not ignored",
		"fleet/sub":        "error: fleet/sub is a submodule; the fleet is read from this repository only",
		"fleet/link.yaml":  "error: fleet/link.yaml is a symbolic link; the fleet is read from plain files only",
		"fleet/large.yaml": "error: 1048577 bytes; files above 1048576 bytes are not read",
	}
	delete(want, "fleet/b.yaml") // main~0 has the files of "two" only
	diffOf(t, "files", contents(t, snap), want)
	diffOf(t, "no commit", []string{snap.Commit, snap.Tree, snap.Files[0].Hash}, []string{"", "", ""})

	for _, c := range []struct{ dir, folder, path string }{
		{dir + "/fleet", ".", "a.yaml"}, {dir + "/other", "../fleet", "../fleet/a.yaml"}, {dir, dir + "/fleet", dir + "/fleet/a.yaml"}, {dir, "./fleet/", "fleet/a.yaml"},
	} {
		snap, err := local(t, c.dir).Worktree(c.folder)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range snap.Files {
			found = found || f.Path == c.path
		}
		if !found {
			t.Errorf("%v: no file %s", c, c.path)
		}
	}
	_, err = local(t, dir).Worktree("nowhere")
	wantError(t, err, drivers.Rejected, "read nowhere", "no such file")
}

// Every way in which a folder can belong to a repository.
func TestLocalFinds(t *testing.T) {
	t.Parallel()
	o, dir := history(t)
	linked := filepath.Join(t.TempDir(), "linked")
	runGit(t, dir, "", "worktree", "add", "-q", "--detach", linked, "v1")
	sparse := checkout(t, o)
	runGit(t, sparse, "", "sparse-checkout", "set", "fleet") // sets an extension
	borrowing := checkout(t, o, "--shared")                  // objects of another repository
	if err := os.Symlink(dir, filepath.Join(linked, "link")); err != nil {
		t.Fatal(err)
	}
	for d, subject := range map[string]string{
		dir: "merge", dir + "/fleet": "merge", linked: "one", linked + "/fleet": "one", o.dir: "merge", sparse: "merge", borrowing: "merge",
		linked + "/link/fleet": "merge",
	} {
		snap, err := local(t, d).At("HEAD", map[bool]string{true: ".", false: "fleet"}[strings.HasSuffix(d, "/fleet")])
		if err != nil {
			t.Errorf("%s: %v", d, err)
			continue
		}
		diffOf(t, d, snap.Subject, subject)
		if got := contents(t, snap); len(got) != 1 || strings.HasPrefix(got["fleet/a.yaml"], "error") {
			t.Errorf("%s: %v", d, got)
		}
	}
	_, err := gitrepo.Local(t.TempDir())
	wantError(t, err, drivers.Rejected, "neither it nor a folder above")
	_, err = gitrepo.Local(dir + "/nowhere")
	wantError(t, err, drivers.Rejected, "no such file")
	_, err = local(t, o.dir).Worktree("fleet")
	wantError(t, err, drivers.Rejected, "bare")

	empty := t.TempDir()
	runGit(t, empty, "", "init", "-q")
	_, err = local(t, empty).At("HEAD", ".")
	wantError(t, err, drivers.Rejected, "no commit yet")
	sha256 := t.TempDir()
	runGit(t, sha256, "", "init", "-q", "--object-format=sha256")
	_, err = gitrepo.Local(sha256)
	wantError(t, err, drivers.Rejected, "sha256")
}

// Files of a local snapshot may be read from several goroutines.
func TestLocalReadsTogether(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	many := files{}
	for i := range 50 {
		many[fmt.Sprintf("f%02d", i)] = fmt.Sprint(i)
	}
	o.commit("main", "", "many", many)
	snap, err := local(t, o.dir).At("main", "")
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error)
	for _, f := range snap.Files {
		go func() { _, err := f.Read(); results <- err }()
	}
	for range snap.Files {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
