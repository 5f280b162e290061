package convert_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"jeroboam.io/jeroboam/schema"
	"jeroboam.io/jeroboam/schema/convert"
)

// FuzzConvert: whatever the inputs hold, there are documents that the loader
// can read and whose fields it knows, or an error; the same each time.
func FuzzConvert(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data, "")
			f.Add(file.Data, string(schema.ForeignHeat))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, from string) {
		inputs := []convert.Input{{Name: "a", Data: data}}
		result, err := convert.Convert(inputs, convert.Options{Cloud: "lab", From: schema.Foreign(from)})
		if err != nil {
			return
		}
		text, err := convert.YAML(result.Documents)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range []string{string(schema.CodeSyntax), string(schema.CodeForeign), string(schema.CodeKind), string(schema.CodeUnknownField), string(schema.CodeOldWord)} {
			if p := load(t, text); strings.Contains(p, code) {
				t.Errorf("%s\nof\n%s", p, text)
			}
		}
		if _, err := json.Marshal(result.Documents); err != nil {
			t.Error(err)
		}
		again, err := convert.Convert(inputs, convert.Options{Cloud: "lab", From: schema.Foreign(from)})
		if err != nil {
			t.Fatal(err)
		}
		if other, err := convert.YAML(again.Documents); err != nil || string(other) != string(text) {
			t.Errorf("the same input gives\n%s\nand\n%s", text, other)
		}
	})
}
