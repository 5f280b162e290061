package demo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/cmd/internal/demo"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/schema"
)

// TestStory: every edit of the story fits the examples, every commit is a valid
// fleet without a warning, and declares the clusters that the story says.
func TestStory(t *testing.T) {
	t.Parallel()
	folder, err := demo.Make(t.Context(), filepath.Join(t.TempDir(), "new"))
	if err != nil {
		t.Fatal(err)
	}
	repo, err := gitrepo.Local(filepath.Join(folder.Dir, demo.Fleet))
	if err != nil {
		t.Fatal(err)
	}
	for i, act := range demo.Acts() {
		for _, e := range act.Edits {
			if err := folder.Make(e); err != nil {
				t.Fatalf("act %d: %v", i+1, err)
			}
		}
		commit, err := folder.Commit(t.Context(), act.Message, time.Unix(1_800_000_000, 0))
		if err != nil {
			t.Fatalf("act %d: %v", i+1, err)
		}
		head, err := repo.At("main", folder.Dir+"/"+demo.Fleet)
		if err != nil || head.Commit != commit {
			t.Fatalf("act %d: the branch is at %q, want %s: %v", i+1, head.Commit, commit, err)
		}
		fleet, err := schema.NewLoader().Load(head.Files)
		if err != nil || len(fleet.Warnings) > 0 {
			t.Fatalf("act %d: %v, warnings %v", i+1, err, fleet.Warnings)
		}
		if len(fleet.Clusters) != act.InSync {
			t.Errorf("act %d declares %d clusters, want %d", i+1, len(fleet.Clusters), act.InSync)
		}
	}
}

// TestFolderOfOthers: a demo makes nothing in a folder in which there is something.
func TestFolderOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Make(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("it says %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

// TestWrap: lines are broken between words and keep their indent; colours take no
// room, and a word that is too long is left alone.
func TestWrap(t *testing.T) {
	t.Parallel()
	const text = "# held: delete\n    one two \x1b[35mthree\x1b[0m four\n    a-word-that-is-too-long here\n\nshort\n"
	want := "# held: delete\n    one two\n      \x1b[35mthree\x1b[0m four\n    a-word-that-is-too-long\n      here\n\nshort\n"
	if diff := cmp.Diff(want, demo.Wrap(text, 16)); diff != "" {
		t.Errorf("at 16 columns (-want +got):\n%s", diff)
	}
	if got := demo.Wrap(text, 0); got != text {
		t.Errorf("without a width it is %q", got)
	}
}
