package convert_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"jeroboam.io/jeroboam/schema"
	"jeroboam.io/jeroboam/schema/convert"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// The expected files of an archive; all others are inputs. The file options has
// a line NAME=VALUE for each option; without it the cloud is lab-demo.
const (
	options   = "options"
	documents = "documents.yaml"
	notes     = "notes.txt"    // those that are in no document
	problems  = "problems.txt" // what the loader has against the documents
	failure   = "error.txt"
)

// secret is what every secret of the inputs is.
const secret = "geheim"

// TestConvert converts the inputs of each archive in testdata. What comes out
// is what the archive says, and the loader takes it.
func TestConvert(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("archives: %v, %d found", err, len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			o := convert.Options{Cloud: "lab-demo"}
			var kept []txtar.File
			var inputs []convert.Input
			for _, f := range archive.Files {
				switch f.Name {
				case documents, notes, problems, failure:
					want[f.Name] = string(f.Data)
					continue
				case options:
					o = parseOptions(t, string(f.Data))
				default:
					inputs = append(inputs, convert.Input{Name: f.Name, Data: f.Data})
				}
				kept = append(kept, f)
			}
			got := run(t, inputs, o)
			if *update {
				for _, name := range []string{documents, notes, problems, failure} {
					if text, ok := got[name]; ok {
						kept = append(kept, txtar.File{Name: name, Data: []byte(text)})
					}
				}
				archive.Files = kept
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func parseOptions(t *testing.T, text string) convert.Options {
	t.Helper()
	var o convert.Options
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "from":
			o.From = schema.Foreign(value)
		case "cloud":
			o.Cloud = schema.CloudName(value)
		case "template":
			o.Template = schema.TemplateName(value)
		default:
			t.Fatalf("option %q", name)
		}
	}
	return o
}

// run gives the expected files that there would be.
func run(t *testing.T, inputs []convert.Input, o convert.Options) map[string]string {
	t.Helper()
	result, err := convert.Convert(inputs, o)
	all, _ := json.Marshal(result)
	if strings.Contains(string(all)+fmt.Sprint(err), secret) {
		t.Errorf("a secret passes through: %s, %v", all, err)
	}
	if err != nil {
		return map[string]string{failure: err.Error() + "\n"}
	}
	text, err := convert.YAML(result.Documents)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), secret) {
		t.Error("a secret is written")
	}
	got := map[string]string{documents: string(text)}
	for _, n := range result.Notes {
		got[notes] += n.String() + "\n"
	}
	if p := load(t, text); p != "" {
		got[problems] = p
	}
	for _, d := range result.Documents {
		for _, n := range d.Notes {
			if !strings.Contains(string(text), n.String()) {
				t.Errorf("the note is not in the YAML: %v", n)
			}
		}
	}
	return got
}

// load tells what the loader has against documents. Labels are Magnum's, and
// whether they are known is not for this package to say.
func load(t *testing.T, text []byte) string {
	t.Helper()
	file := schema.File{Path: documents, Read: func() ([]byte, error) { return text, nil }}
	_, err := schema.NewLoader().Load([]schema.File{file})
	list, ok := schema.AsProblems(err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range list {
		if p.Severity() == schema.Error && !strings.HasPrefix(string(p.Code), "JB14") && (p.Code != schema.CodeUnknownField || p.Pointer != "/spec/secretLabels") {
			b.WriteString(p.String() + "\n")
		}
	}
	return b.String()
}
