package schema_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
)

// TestCodes: every code of the source is in the table, once, in order.
func TestCodes(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []schema.Code
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && regexp.MustCompile(`^"JB\d{4}"$`).MatchString(lit.Value) {
			want = append(want, schema.Code(strings.Trim(lit.Value, `"`)))
		}
		return true
	})
	var have []schema.Code
	for _, e := range schema.Explanations() {
		have = append(have, e.Code)
	}
	if d := cmp.Diff(want, have); d != "" || len(want) < 50 {
		t.Errorf("codes in codes.go, and in the table (-want +have):\n%s", d)
	}
	if !slices.IsSorted(have) || len(slices.Compact(slices.Clone(have))) != len(have) {
		t.Errorf("the codes are not sorted, or one is used twice: %v", have)
	}
	sources, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		text, err := os.ReadFile(s.Name())
		if strings.HasSuffix(s.Name(), ".go") && !strings.HasSuffix(s.Name(), "_test.go") && s.Name() != "codes.go" && err == nil {
			if found := regexp.MustCompile(`"JB\d+"`).Find(text); found != nil {
				t.Errorf("%s has %s: codes have names", s.Name(), found)
			}
		}
	}
}

// TestExplanations: each code has what people are shown of it.
func TestExplanations(t *testing.T) {
	t.Parallel()
	titles := map[string]schema.Code{}
	for _, e := range schema.Explanations() {
		if sentences := regexp.MustCompile(`[.:](\s|$)`).FindAllString(e.Text, -1); len(sentences) < 2 || len(sentences) > 8 || !strings.HasSuffix(e.Text, ".") {
			t.Errorf("%s: the text has to be a few sentences: %q", e.Code, e.Text)
		}
		if strings.ContainsAny(e.Text, "\n\t") || strings.Contains(e.Text, "  ") {
			t.Errorf("%s: the text has to be one line: %q", e.Code, e.Text)
		}
		// GitHub shows 1,024 characters of what a rule is described with.
		if n := len(e.Text); n > 1024 {
			t.Errorf("%s: the text has %d bytes", e.Code, n)
		}
		if e.Title == "" || strings.HasSuffix(e.Title, ".") || len(e.Title) > 60 {
			t.Errorf("%s: the title is no title: %q", e.Code, e.Title)
		}
		if other, ok := titles[e.Title]; ok && e.Severity == schema.Error {
			t.Errorf("%s: %s has the same title", e.Code, other)
		}
		titles[e.Title] = e.Code
		if (e.Wrong == "") != (e.Right == "") {
			t.Errorf("%s: wrong and right belong together", e.Code)
		}
		if got, ok := schema.Explain(e.Code); !ok || got != e || e.Code.Severity() != e.Severity {
			t.Errorf("%s: looked up as %+v, %v", e.Code, got, ok)
		}
	}
	if _, ok := schema.Explain("JB9999"); ok {
		t.Error("a code that there is not is explained")
	}
}

func TestNearestCode(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]schema.Code{"jb1103": "JB1103", "JB-1103": "JB1103", "JB11033": "JB1103", "JB99999999": "", "prod": ""} {
		if got := schema.NearestCode(word); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

// TestSnippets: what is shown as wrong has the problem and no error beside it,
// and what is shown as right has neither.
func TestSnippets(t *testing.T) {
	t.Parallel()
	for _, e := range schema.Explanations() {
		if e.Wrong == "" {
			continue
		}
		t.Run(string(e.Code), func(t *testing.T) {
			t.Parallel()
			wrong := problemsOfSnippet(t, e.Wrong)
			told := slices.ContainsFunc(wrong, func(p schema.Problem) bool { return p.Code == e.Code })
			if !told || slices.ContainsFunc(wrong, func(p schema.Problem) bool { return p.Code != e.Code && p.Severity() == schema.Error }) {
				t.Errorf("wrong:\n%s\nwant %s alone, got:\n%v", complete(e.Wrong), e.Code, wrong)
			}
			right := problemsOfSnippet(t, e.Right)
			if right.Errors() || slices.ContainsFunc(right, func(p schema.Problem) bool { return p.Code == e.Code }) {
				t.Errorf("right:\n%s\nwant no problem, got:\n%v", complete(e.Right), right)
			}
		})
	}
}

func problemsOfSnippet(t *testing.T, snippet string) schema.Problems {
	t.Helper()
	text := complete(snippet)
	fleet, err := schema.NewLoader().Load([]schema.File{{Path: "snippet.yaml", Read: func() ([]byte, error) { return []byte(text), nil }}})
	if err == nil {
		return fleet.Warnings
	}
	problems, ok := schema.AsProblems(err)
	if !ok {
		t.Fatal(err)
	}
	return problems
}

// complete makes a fleet of a snippet: what is left out of its documents, and a
// template and a cluster if it has none.
func complete(snippet string) string {
	docs := strings.Split(snippet, "---\n")
	for i, d := range docs {
		if !strings.HasPrefix(d, "apiVersion:") {
			docs[i] = completeDocument(d)
		}
	}
	for _, kind := range []string{"ClusterTemplate", "Cluster"} {
		if !strings.Contains(snippet, "kind: "+kind+"\n") {
			docs = append(docs, completeDocument("kind: "+kind+"\n"))
		}
	}
	return strings.Join(docs, "---\n")
}

func completeDocument(d string) string {
	var least []string
	switch {
	case strings.HasPrefix(d, "kind: ClusterTemplate\n"):
		least = []string{
			"coe: kubernetes", "image: fedora-coreos-latest", "keypair: ops", "externalNetwork: public", "flavor: m1.medium", "masterFlavor: m1.medium",
			"volumeDriver: cinder", "labels: {kube_tag: v1.33.4}",
		}
	case strings.HasPrefix(d, "kind: Cluster\n"):
		least = []string{"cloud: lab-demo", "template: k8s"}
	}
	name := map[bool]string{true: "k8s", false: "prod"}[strings.HasPrefix(d, "kind: ClusterTemplate\n")]
	if !strings.Contains(d, "\nmetadata:") {
		kind, rest, _ := strings.Cut(d, "\n")
		d = kind + "\nmetadata: {name: " + name + "}\n" + rest
	}
	if !strings.Contains(d, "\nspec:") && len(least) > 0 {
		d += "spec:\n"
	}
	for _, field := range least {
		key, _, _ := strings.Cut(field, ":")
		if strings.Contains(d, "  "+key+":") || slices.Contains([]string{"masterFlavor", "volumeDriver", "labels"}, key) && strings.Contains(d, "coe: docker") {
			continue
		}
		d += "  " + field + "\n"
	}
	return "apiVersion: jeroboam.io/v1alpha1\n" + d
}
