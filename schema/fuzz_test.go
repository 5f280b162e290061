package schema_test

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"jeroboam.io/jeroboam/schema"
)

// FuzzLoad: whatever a file holds, it is a fleet or has problems that name it.
func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := schema.File{Path: "f.yaml", Hash: "h", Read: func() ([]byte, error) { return data, nil }}
		loader := schema.NewLoader()
		fleet, err := loader.Load([]schema.File{file})
		problems, ok := schema.AsProblems(err)
		if err != nil && (!ok || len(problems) == 0 || fleet != nil) {
			t.Fatalf("neither a fleet nor problems: %v, %v", fleet, err)
		}
		for _, p := range problems {
			if p.Pos.File != "f.yaml" || p.Message == "" {
				t.Errorf("problem without file or message: %+v", p)
			}
		}
		if _, again := loader.Load([]schema.File{file}); (err == nil) != (again == nil) || err != nil && err.Error() != again.Error() {
			t.Errorf("the second Load says %v, the first %v", again, err)
		}
		_, _ = schema.ParseConfig("f.yaml", data)
	})
}
