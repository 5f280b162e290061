package schema

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v5"
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// agree fails if our quick check, the JSON Schema library and what we tell of
// its errors do not agree about a tree.
func agree(t *testing.T, k *kind, root *yaml.Node) {
	t.Helper()
	accepts, err := k.root.accepts(root), k.strict().Validate(plain(root))
	var problems Problems
	if err != nil {
		problems = k.explain(root)
	}
	if accepts == (err == nil) && accepts == (len(problems) == 0) {
		return
	}
	text, _ := yaml.Marshal(root)
	t.Errorf("as %s: accepts is %v, the library says %v, told as %v, of\n%s", k.name, accepts, err, problems, text)
}

// everything are the documents in which every field is set.
func everything(t *testing.T) map[string]*yaml.Node {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/ok/everything.txtar")
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]*yaml.Node{}
	for _, f := range archive.Files {
		roots, problems := parseYAML(f.Data)
		if len(roots) != 1 || len(problems) != 0 {
			t.Fatalf("%s: %v", f.Name, problems)
		}
		if kind := child(roots[0], "kind"); kind != nil {
			docs[kind.Value] = roots[0]
		}
	}
	return docs
}

// odd are values that are right for some fields and wrong for most.
func odd(t *testing.T) []*yaml.Node {
	t.Helper()
	var values []*yaml.Node
	for _, text := range []string{
		"~", "true", "text", `""`, "'1'", "0", "1", "-1", "2", "65535", "65536", "70000", "1.5", "3.0", "1e3", "0x10", "0o17", "1_000",
		"99999999999999999999", ".inf", ".nan", "2026-01-01", "a b", "a/b", "-x", strings.Repeat("x", 256), strings.Repeat("é", 242),
		"[]", "[a]", "[a, a]", "[1]", "[~]", "[{}]", "{}", "{a: b}", "{a b: c}", "{a: 1}", "{a: ~}", "{name: x}", "{cron: x, duration: y}",
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text+"\n"), &doc); err != nil {
			t.Fatal(err)
		}
		values = append(values, doc.Content[0])
	}
	return values
}

// TestAccepts gives odd values to every field of every kind: the quick check
// and the library agree.
func TestAccepts(t *testing.T) {
	t.Parallel()
	values := odd(t)
	fields := 0
	var walk func(f *field, s *jsonschema.Schema)
	walk = func(f *field, s *jsonschema.Schema) {
		fields++
		if s.Ref != nil {
			s = s.Ref
		}
		for _, v := range values {
			if got, err := f.accepts(v), s.Validate(plain(v)); got != (err == nil) {
				t.Errorf("%s: accepts is %v, the library says %v, of %s", f.path, got, err, found(v))
			}
		}
		for name, sub := range f.props {
			walk(sub, s.Properties[name])
		}
		for name, sub := range f.known {
			walk(sub, s.Properties[name])
		}
		if f.items != nil {
			walk(f.items, s.Items2020)
		}
		if f.values != nil {
			walk(f.values, s.AdditionalProperties.(*jsonschema.Schema))
		}
	}
	for _, k := range registry() {
		walk(k.root, k.strict())
	}
	if fields < 100 {
		t.Errorf("only %d fields", fields)
	}
}

// TestExplains takes every key of every document away, adds one, and makes
// every value a list of lists: what the library finds wrong is told.
func TestExplains(t *testing.T) {
	t.Parallel()
	for name, root := range everything(t) {
		k := registry()[name]
		agree(t, k, root)
		strange := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{{Kind: yaml.SequenceNode, Tag: "!!seq"}}}
		each(root, func(n *yaml.Node) {
			whole := n.Content
			for i := range whole {
				if n.Kind == yaml.MappingNode && i%2 == 0 {
					n.Content = slices.Concat(whole[:i], whole[i+2:])
					agree(t, k, root)
					n.Content = slices.Concat(whole, []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "more"}, whole[i+1]})
					agree(t, k, root)
					n.Content = whole
					continue
				}
				was := whole[i]
				whole[i] = strange
				agree(t, k, root)
				whole[i] = was
			}
		})
	}
}

func each(n *yaml.Node, visit func(*yaml.Node)) {
	visit(n)
	for _, c := range n.Content {
		each(c, visit)
	}
}

// TestEverything: the golden fleet of testdata/ok/everything.txtar shows where
// each field of each kind ends, because each is set there.
func TestEverything(t *testing.T) {
	t.Parallel()
	docs := everything(t)
	for _, name := range Kinds() {
		for _, path := range Fields(name) {
			if !reaches(docs[name], strings.Split(path, "/")) && !reaches(docs[name], strings.Split(insteadOf.Replace(path), "/")) {
				t.Errorf("%s %s is not set", name, path)
			}
		}
	}
}

// insteadOf leads from settings to those that exclude them.
var insteadOf = strings.NewReplacer("/env", "/file", "/credentialsFile", "/token", "/sources/*/name", "/instance", "/sources/*", "")

// reaches tells whether a path, in which stars are any key or index, leads to a
// value.
func reaches(n *yaml.Node, path []string) bool {
	if n == nil || len(path) == 0 {
		return n != nil
	}
	if path[0] != "*" {
		return reaches(child(n, path[0]), path[1:])
	}
	for _, c := range n.Content {
		if reaches(c, path[1:]) {
			return true
		}
	}
	return false
}

// TestBind: a JSON Schema and a Go type that differ do not compile.
func TestBind(t *testing.T) {
	t.Parallel()
	type least struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	for _, c := range []struct {
		doc  any
		want string
	}{
		{struct {
			header
			Spec struct{} `json:"spec"`
		}{}, "spec/clouds has no field"},
		{struct {
			header
			Spec struct {
				Config
				More int `json:"more"`
			} `json:"spec"`
		}{}, "spec/more of "},
		{struct {
			header
			Spec string `json:"spec"`
		}{}, "spec does not fit the Go type string"},
		{struct {
			header
			Spec struct {
				Config
				StateDir int `json:"stateDir"`
			} `json:"spec"`
		}{}, "spec/stateDir does not fit the Go type int"},
		{least{}, "metadata has no field"},
	} {
		k := kind{name: KindConfig}
		if err := k.compile(reflect.TypeOf(c.doc)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: got %v, want %q", c.doc, err, c.want)
		}
	}
}

// FuzzAccepts: the same for any text.
func FuzzAccepts(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.txtar", "../examples/*/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatalf("no seeds: %v", err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			for _, doc := range bytes.SplitAfter(data, []byte("\n--")) {
				_, doc, _ = bytes.Cut(doc, []byte("\n"))
				f.Add(bytes.TrimSuffix(doc, []byte("--")))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		roots, _ := parseYAML(data)
		for _, root := range roots {
			for _, k := range registry() {
				agree(t, k, root)
			}
		}
	})
}
