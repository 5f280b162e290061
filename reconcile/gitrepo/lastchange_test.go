package gitrepo_test

import (
	"fmt"
	"testing"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// The commit that a file is from is found, however long ago and on whichever side
// of a merge, without the content of a file where the server can leave it out.
func TestLastChange(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "first", files{"fleet/a.yaml": "one", "fleet/b/c.yaml": "one", "big.bin": noise(500_000)})
	oldest := o.commit("main", "main", "a is two", files{"fleet/a.yaml": "two"})
	for i := range 70 { // more than is asked for at first
		o.commit("main", "main", fmt.Sprint("noise ", i), files{"other": fmt.Sprint(i)})
	}
	side := o.commit("side", "main", "c is two\n\nbody", files{"fleet/b/c.yaml": "two"})
	o.commit("main", "main", "d", files{"d.yaml": "new"})
	merge := o.git("merge-tree", "--write-tree", "main", "side")
	head := o.git("commit-tree", merge, "-p", "main", "-p", "side", "-m", "merge")
	o.git("update-ref", "refs/heads/main", head)
	o.git("config", "uploadpack.allowFilter", "true")
	s := serve(t, o)
	r := open(t, gitrepo.Options{URL: s.repoURL()})

	for file, want := range map[string]string{"fleet/a.yaml": oldest, "fleet/b/c.yaml": side} {
		c, err := r.LastChange(t.Context(), head, file)
		if err != nil || c.Commit != want || c.Before || c.Author != "Ada <ada@example.org>" || c.Time.IsZero() {
			t.Errorf("%s: have %+v, %v, want %s", file, c, err, want)
		}
	}
	if _, sent := s.seen(); sent > 200_000 {
		t.Errorf("%d bytes were sent: the files came with it", sent)
	}
	if _, err := r.LastChange(t.Context(), head, "fleet/none.yaml"); drivers.KindOf(err) != drivers.Rejected {
		t.Errorf("a file that is not there: %v", err)
	}
}
