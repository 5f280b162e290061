package schema_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"jeroboam.io/jeroboam/schema"
)

// TestText has what an archive cannot hold: byte order marks and line ends.
func TestText(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"byte order mark": "\ufeff" + templateText,
		"CRLF":            strings.ReplaceAll(templateText, "\n", "\r\n"),
		"no last line":    strings.TrimSuffix(templateText, "\n"),
		"directive":       "%YAML 1.1\n---\n" + templateText,
		"document end":    templateText + "...\n",
		"JSON": `{"apiVersion": "jeroboam.io/v1alpha1", "kind": "ClusterTemplate", "metadata": {"name": "t"},
			"spec": {"coe": "docker", "image": "i"}}`,
	} {
		fleet, err := load(fstest.MapFS{"f.yaml": {Data: []byte(text)}})
		if err != nil || len(fleet.Templates) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	crlf := strings.ReplaceAll(templateText, "\n", "\r\n") + "status: x\r\n"
	_, err := load(fstest.MapFS{"f.yaml": {Data: []byte(crlf)}})
	if err == nil || !strings.HasPrefix(err.Error(), "f.yaml:5:1: error JB1103: /status: unknown field") {
		t.Errorf("position after CRLF: %v", err)
	}
}

// TestSyntax: a syntax error is on the line where it is, or where the list or
// mapping that it is in opens.
func TestSyntax(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: b\nc: d\ne: [}\n":         "f.yaml:3:1: ",
		"a: b\nc: [x\nd: e\n":         "f.yaml:2:1: ",
		"a: b\nc: {x: y\n":            "f.yaml:2:1: ",
		"x: {a: b]\n":                 "f.yaml:1:1: ",
		"a: b\nc: d\n e: f\n":         "f.yaml:3:2: ",
		"a: b\nc:\n  - x\n y\ne: f\n": "f.yaml:4:2: ",
		"a:\n  b: c\n d: e\n":         "f.yaml:3:2: ",
		"a: b\n- c\n":                 "f.yaml:2:1: ",
		"- c\na: b\n":                 "f.yaml:2:1: ",
		"a: b\nc: d: e\nf: g\n":       "f.yaml:2:1: ",
		"a: b\nc: @x\nd: e\n":         "f.yaml:2:1: ",
		"a: b\nc d\ne: f\n":           "f.yaml:2:1: ",
		"a: b\nc: *x\n":               "f.yaml:2:4: ",
		"a: b\nc: é\x01\n":            "f.yaml:2:5: error JB1001: not valid YAML: control characters",
		"a: b\nc: é\u0090\n":          "f.yaml:2:5: error JB1001: not valid YAML: control characters",
		"a: b\nc: \xe9t\xe9\n":        "f.yaml:2:4: error JB1001: not valid YAML: invalid",
		"a: b\nc:\n  d:\n\t  e: f\n":  "f.yaml:4:1: error JB1006: a tab",
		"a: b\nc:\n \td: e\n":         "f.yaml:3:2: error JB1006: a tab",
	} {
		_, err := load(fstest.MapFS{"f.yaml": {Data: []byte(text)}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
}

// TestLimits: what was made to be expensive is refused. Without the limits some
// of these would not end.
func TestLimits(t *testing.T) {
	t.Parallel()
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 20 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	merges := "a0: &a0 {k: v}\n"
	for i := range 60 {
		merges += fmt.Sprintf("a%d: &a%d {<<: [*a%d, *a%d], k%d: v, n: *a%d}\n", i+1, i+1, i, i, i, i)
	}
	nested := "a: " + strings.Repeat("{<<: ", 5000) + "{}" + strings.Repeat("}", 5000)
	for name, c := range map[string]struct{ text, want string }{
		"billion laughs":   {laughs, "more than 20000 values"},
		"merged laughs":    {merges, "more than 20000 values"},
		"nested merges":    {nested, "more than 32 levels"},
		"deep flow":        {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "more than 32 levels"},
		"deeper flow":      {strings.Repeat("[", 500_000), "not valid YAML"},
		"deep block":       {strings.Repeat("- ", 100_000), "not valid YAML"},
		"open braces":      {strings.Repeat("{a: ", 200_000), "not valid YAML"},
		"many values":      {"[" + strings.Repeat("1,", 50_000) + "]", "more than 20000 values"},
		"many keys":        {manyKeys(30_000), "more than 20000 values"},
		"long key":         {"{? " + strings.Repeat("a", 900_000) + ": b}", "apiVersion"},
		"many documents":   {strings.Repeat("---\n", 20_000) + "a: b\n", "apiVersion"},
		"YAML 1.2":         {"%YAML 1.2\n---\na: b\n", "leave the %YAML line out"},
		"control":          {"a: \x00\n", "not valid YAML"},
		"not UTF-8":        {"a: \xff\xfe\xfd\n", "not valid YAML"},
		"alias of a key":   {"&a x: 1\n*a : 2\n", `the key "x" is already on line 1`},
		"itself by merge":  {"a: &a\n  <<: *a\n", "the alias *a contains itself"},
		"list of itself":   {"&a [*a]\n", "the alias *a contains itself"},
		"merge in a value": {"a: <<\n", "apiVersion"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(fstest.MapFS{"f.yaml": {Data: []byte(c.text)}})
			if _, ok := schema.AsProblems(err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %.300v", c.want, err)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: v\n", i)
	}
	return b.String()
}
