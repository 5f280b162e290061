package schema_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"jeroboam.io/jeroboam/schema"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// TestOK loads the archives in testdata/ok: files of a fleet, and fleet.json,
// the fleet that they are.
func TestOK(t *testing.T) {
	t.Parallel()
	eachArchive(t, "testdata/ok/*.txtar", "fleet.json", func(t *testing.T, files fstest.MapFS) string {
		fleet, err := load(files)
		if err != nil {
			t.Fatalf("want no problems, got\n%v", err)
		}
		return show(t, fleet)
	})
}

// TestBad loads the archives in testdata/bad: files of a fleet, and
// problems.txt, all that is wrong with them.
func TestBad(t *testing.T) {
	t.Parallel()
	eachArchive(t, "testdata/bad/*.txtar", "problems.txt", func(t *testing.T, files fstest.MapFS) string {
		fleet, err := load(files)
		problems, ok := schema.AsProblems(err)
		if !ok || fleet != nil {
			t.Fatalf("want Problems and no fleet, got %v and %v", err, fleet)
		}
		for _, p := range problems {
			if p.Pos.File == "" || p.Pos.Line == 0 || p.Pos.Column == 0 {
				t.Errorf("no place: %v", p)
			}
		}
		return problems.Error() + "\n"
	})
}

// TestWarnings loads the archives in testdata/warnings: files of a fleet without
// errors, and warnings.txt, all that is doubtful about them.
func TestWarnings(t *testing.T) {
	t.Parallel()
	eachArchive(t, "testdata/warnings/*.txtar", "warnings.txt", func(t *testing.T, files fstest.MapFS) string {
		fleet, err := load(files)
		if err != nil {
			t.Fatalf("want no errors, got\n%v", err)
		}
		for _, p := range fleet.Warnings {
			if p.Pos.File == "" || p.Pos.Line == 0 || p.Pos.Column == 0 || p.Severity() == schema.Error {
				t.Errorf("no place, or no warning: %v", p)
			}
		}
		return fleet.Warnings.Error() + "\n"
	})
}

// eachArchive compares what run makes of the YAML files of each archive with
// the archive's file named result.
func eachArchive(t *testing.T, pattern, result string, run func(*testing.T, fstest.MapFS) string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("archives %s: %v, %d found", pattern, err, len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files, want := fstest.MapFS{}, ""
			var inputs []txtar.File
			for _, f := range archive.Files {
				if f.Name == result {
					want = string(f.Data)
					continue
				}
				inputs = append(inputs, f)
				files[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			got := run(t, files)
			if *update {
				archive.Files = append(inputs, txtar.File{Name: result, Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", result, path, diff)
			}
		})
	}
}

func load(fsys fstest.MapFS) (*schema.Fleet, error) {
	files, err := schema.Dir(fsys, "")
	if err != nil {
		return nil, err
	}
	return schema.NewLoader().Load(files)
}

// show is a fleet as JSON, each cluster with the places of its fields.
func show(t *testing.T, fleet *schema.Fleet) string {
	t.Helper()
	type cluster struct {
		*schema.Cluster
		Origins map[string]string
	}
	out := struct {
		Config    *schema.Config
		ConfigAt  string
		Templates []schema.Template
		Clusters  []cluster
	}{Config: fleet.Config, Templates: fleet.Templates}
	if fleet.Config != nil {
		out.ConfigAt = fleet.Config.Pos.String()
	}
	for _, c := range fleet.Clusters {
		origins := map[string]string{}
		for field, pos := range c.Origins.All() {
			origins[field] = pos.String()
		}
		out.Clusters = append(out.Clusters, cluster{c, origins})
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// TestAnySlip takes each line of a fleet in which every field is set away, and
// gives each field odd values: whatever is left is a fleet or has problems.
func TestAnySlip(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/ok/everything.txtar")
	if err != nil {
		t.Fatal(err)
	}
	whole := fstest.MapFS{}
	for _, f := range archive.Files {
		if f.Name != "fleet.json" {
			whole[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	slips := 0
	for name, f := range whole {
		lines := strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n")
		for i, line := range lines {
			key, _, field := strings.Cut(line, ": ")
			others := []string{""}
			if field {
				others = append(others, key+": x", key+": []", key+": {}", key+": 7", key+": true", key+": ~", key+": ''", key+"x: y")
			}
			for _, other := range others {
				changed := append(append(append([]string{}, lines[:i]...), other), lines[i+1:]...)
				fleet := maps.Clone(whole)
				fleet[name] = &fstest.MapFile{Data: []byte(strings.Join(changed, "\n") + "\n")}
				got, err := load(fleet)
				if _, ok := schema.AsProblems(err); err != nil && (!ok || got != nil) {
					t.Errorf("%s, line %d as %q: %v", name, i+1, other, err)
				}
				slips++
			}
		}
	}
	if slips < 500 {
		t.Errorf("only %d slips", slips)
	}
}
