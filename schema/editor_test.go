package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"jeroboam.io/jeroboam/schema"
)

// TestSchemasForEditors: what `schema` prints is a schema of draft 2020-12 that
// stands alone, and an editor has a name and a meaning to show for every
// property, labels of the catalogue among them.
func TestSchemasForEditors(t *testing.T) {
	t.Parallel()
	for _, kind := range schema.Kinds() {
		data, err := schema.JSONSchema(kind)
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.Draft, c.AssertFormat, c.AssertContent = jsonschema.Draft2020, true, true
		if err := c.AddResource("file:///schema.json", strings.NewReader(string(data))); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Compile("file:///schema.json"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		var root map[string]any
		if err := json.Unmarshal(data, &root); err != nil {
			t.Fatal(err)
		}
		if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s is of %v", kind, root["$schema"])
		}
		if n := named(t, kind, root); n < 20 {
			t.Errorf("%s has only %d properties", kind, n)
		}
	}
}

// named counts the properties anywhere in a schema, which have a title and a
// description.
func named(t *testing.T, path string, at any) int {
	t.Helper()
	n := 0
	object, _ := at.(map[string]any)
	for key, below := range object {
		if list, ok := below.([]any); ok {
			for _, entry := range list {
				n += named(t, path+"/"+key, entry)
			}
		}
		n += named(t, path+"/"+key, below)
	}
	properties, _ := object["properties"].(map[string]any)
	for name, p := range properties {
		n++
		if p, _ := p.(map[string]any); p["title"] == nil || p["title"] == "" || p["description"] == nil || p["description"] == "" {
			t.Errorf("%s/%s has no title or no description", path, name)
		}
	}
	return n
}
