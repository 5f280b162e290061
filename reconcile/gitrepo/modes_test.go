package gitrepo_test

import (
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// On the branch of the fleet, below a path of its own: the fleet's tree stays as
// it is, people who push beside lose nothing, and neither do we.
func TestSameBranch(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"fleet/a.yaml": "1", "docs/x": "x", "README.md": "people's"})
	s := serve(t, o)
	options := gitrepo.Options{URL: s.repoURL(), Branch: "main", Path: "fleet", StatusBranch: "refs/heads/main", StatusPath: "ops/status", SkipCI: true}
	r := open(t, options)
	first := fetch(t, r, "")
	if got, err := r.ReadStatus(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("before: %v, %v", got, err)
	}
	var w ours
	tip := write(t, r, w.commit(files{"README.md": "ours", "status/c/a.yaml": "a"}))
	after := fetch(t, r, first.Commit)
	if after.Commit != tip || after.Tree != first.Tree {
		t.Errorf("our commit is %s of %s, and the tree %s of %s", after.Commit, tip, after.Tree, first.Tree)
	}
	diffOf(t, "way", way(after), "descends: status: 1 ready [skip ci]")

	theirs := o.commit("main", "main", "two", files{"fleet/a.yaml": "2", "ops/notes": "n"}, "docs/x")
	write(t, r, w.commit(files{"status/c/a.yaml": "", "status/c/b.yaml": "b"}))
	diffOf(t, "parent", o.git("rev-parse", "main^"), theirs)
	diffOf(t, "files", o.git("ls-tree", "-r", "--name-only", "main"),
		"README.md\nfleet/a.yaml\nops/notes\nops/status/README.md\nops/status/status/c/b.yaml")
	diffOf(t, "people's", o.git("show", "main:README.md"), "people's")
	got, err := open(t, options).ReadStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diffOf(t, "read", got, map[string][]byte{"README.md": []byte("ours"), "status/c/b.yaml": []byte("b")})
	o.git("fsck", "--strict")
	diffOf(t, "contents", contents(t, fetch(t, r, "")), files{"fleet/a.yaml": "2"})
}

// Status among the fleet would be a document that is none, and change its tree.
func TestSameBranchNeedsAPath(t *testing.T) {
	t.Parallel()
	for text, o := range map[string]gitrepo.Options{
		"needs a path of its own":        {Branch: "main", Path: "fleet", StatusBranch: "main"},
		`is in the fleet's "/"`:          {Branch: "main", StatusBranch: "refs/heads/main", StatusPath: "status"},
		`is in the fleet's "/fleet"`:     {Branch: "main", Path: "fleet", StatusBranch: "main", StatusPath: "fleet/status"},
		`"../x" leaves the repository`:   {Branch: "main", Path: "fleet", StatusBranch: "s", StatusPath: "../x"},
		`in "fleet", which is in the fl`: {Branch: "main", Path: "/fleet/", StatusBranch: "main", StatusPath: "fleet/"},
	} {
		o.URL = "/x"
		_, err := gitrepo.Open(o)
		wantError(t, err, drivers.Denied, text)
	}
	for _, o := range []gitrepo.Options{
		{URL: "/x", Branch: "main", Path: "fleet", StatusBranch: "main", StatusPath: "fleet-status"},
		{URL: "/x", Branch: "main", Path: "env/fleet", StatusBranch: "main", StatusPath: "env/status"},
		{URL: "/x", Branch: "main", StatusBranch: "other", StatusPath: "status"},
	} {
		open(t, o)
	}
}

// The message as the options have it: one block of trailers, which Git reads.
func TestMessage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"status: x": "status: x [skip ci]\n\nReviewed-by: nobody\nTeam: a",
		"status: x\n\nstarted\n\nJeroboam-Instance: lab\n": "status: x [skip ci]\n\nstarted\n\nJeroboam-Instance: lab\nReviewed-by: nobody\nTeam: a",
		"status: x\n\nstarted nothing\n":                   "status: x [skip ci]\n\nstarted nothing\n\nReviewed-by: nobody\nTeam: a",
	} {
		o, s := withBoard(t)
		r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, SkipCI: true, Trailers: map[string]string{"Team": "a", "Reviewed-by": "nobody"}})
		var w ours
		c := w.commit(files{"a": "1"})
		c.Message = text
		write(t, r, c)
		diffOf(t, "message", o.git("log", "-1", "--format=%B", statusBranch), want)
		if got := o.git("log", "-1", "--format=%(trailers:only)", statusBranch); !strings.HasSuffix(got, "Reviewed-by: nobody\nTeam: a") {
			t.Errorf("trailers of %q: %q", text, got)
		}
	}
}
