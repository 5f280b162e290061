package schema_test

import (
	"os"
	"path"
	"testing"

	"jeroboam.io/jeroboam/schema"
)

// TestExamples: every example is a fleet by itself, valid and without a warning.
func TestExamples(t *testing.T) {
	t.Parallel()
	dirs, err := os.ReadDir("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			dir := path.Join("../examples", d.Name())
			files, err := schema.Dir(os.DirFS(dir), dir)
			if err != nil {
				t.Fatal(err)
			}
			fleet, err := schema.NewLoader().Load(files)
			if err != nil {
				t.Fatalf("example is not valid:\n%v", err)
			}
			if len(fleet.Clusters) == 0 {
				t.Error("example has no clusters")
			}
			for _, w := range fleet.Warnings {
				t.Error(w)
			}
		})
	}
}
