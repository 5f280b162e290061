package view_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/schema"
)

// doubtful is a fleet with problems of every severity, in places of every sort.
func doubtful() view.Validation {
	problems := schema.Problems{
		{Code: schema.CodeNoTemplate, Pos: pos("fleet/web.yaml", 4, 35), Pointer: "/spec/template", Message: `no ClusterTemplate "dokcer"`, Hint: `did you mean "docker"?`},
		{Code: schema.CodeUnknownField, Pos: pos("fleet/web.yaml", 4, 43), Pointer: "/spec/nodeCuont", Message: `unknown field "nodeCuont"`, Hint: `did you mean "nodeCount"?`},
		{Code: schema.CodeUnknownField, Pos: pos("fleet/web.yaml", 14, 3), Pointer: "/spec/nodeCuont", Message: `unknown field "nodeCuont"`, Hint: `did you mean "nodeCount"?`},
		{Code: schema.CodeInsecure, Pos: pos("./fleet/t.yaml", 9, 3), Pointer: "/spec/tlsDisabled", Message: "there is no TLS: 100% open, to all", Hint: "leave it out"},
		{Code: schema.CodeLabelIgnored, Pos: pos("fleet/web.yaml", 6, 12), Pointer: "/spec/labels/kube_tag", Message: `no cluster type reads the label "kube_tag"`},
		{Code: schema.CodeUnseen, Pos: pos("fleet/ü b,c:d%.yaml", 0, 0), Message: "the \x1b[31mquota\x1b[0m\n::error::of volumes \x00\u202e could not be read <&>]]>"},
		{Code: schema.CodeNotRegular, Pos: pos("/srv/fleet/link.yaml", 0, 0), Message: "not a regular file (L---------), which is not followed", Hint: "put the file itself there"},
		{Code: schema.CodeKind, Message: "there are no documents"},
	}
	problems.Sort()
	return view.Validation{Files: []string{"./fleet/t.yaml", "fleet/fine.yaml", "fleet/web.yaml"}, Problems: problems}
}

func fine() view.Validation {
	return view.Validation{Clusters: 12, Templates: 1, Files: []string{"t.yaml", "web.yaml"}}
}

// sinksOf are all views of a validation, by the end of their goldens' names.
func sinksOf(v view.Validation) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{
		".txt":          func(w io.Writer) error { return view.ValidationText(w, v, view.Options{}) },
		".ansi":         func(w io.Writer) error { return view.ValidationText(w, v, view.Options{Color: true}) },
		".json":         func(w io.Writer) error { return view.ValidationJSON(w, v) },
		".sarif":        func(w io.Writer) error { return view.SARIF(w, v, "v1.2.3") },
		".xml":          func(w io.Writer) error { return view.JUnit(w, v) },
		".quality.json": func(w io.Writer) error { return view.CodeQuality(w, v) },
		".github":       func(w io.Writer) error { return view.Annotations(w, v) },
	}
}

func TestSinks(t *testing.T) {
	t.Parallel()
	warned := fine()
	warned.Problems = doubtful().Problems
	warned.Problems = slices.DeleteFunc(warned.Problems, func(p schema.Problem) bool { return p.Severity() == schema.Error })
	strict := warned
	strict.Clusters, strict.Templates, strict.Strict = 0, 0, true
	for name, v := range map[string]view.Validation{"doubtful": doubtful(), "fine": fine(), "warned": warned, "strict": strict} {
		for end, write := range sinksOf(v) {
			golden(t, "validation-"+name+end, write)
		}
	}
	for v, want := range map[*view.Validation]bool{{}: true, &warned: true, &strict: false, {Problems: doubtful().Problems}: false} {
		if v.Valid() != want {
			t.Errorf("%+v: valid is %v", v, v.Valid())
		}
	}
}

// TestSinksAreClean: nothing that a document says does something to a terminal,
// a log or a parser.
func TestSinksAreClean(t *testing.T) {
	t.Parallel()
	for end, write := range sinksOf(doubtful()) {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		if end == ".json" || end == ".ansi" { // the document as it is; our own colours
			continue
		}
		if bad := regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f\x{80}-\x{9f}\x{202e}]|\\u00[01]|(?m)^::error::of`).Find(got.Bytes()); bad != nil {
			t.Errorf("%s has %q:\n%s", end, bad, got.String())
		}
	}
}

// TestSARIFHolds is what GitHub asks of a log, and what its parts say of each
// other.
func TestSARIFHolds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := view.SARIF(&out, doubtful(), "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name, Version, InformationURI string
					Rules                         []struct {
						ID                                      string
						ShortDescription, FullDescription, Help struct{ Text string }
						DefaultConfiguration                    struct{ Level string }
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn int }
					}
				}
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "Jeroboam" {
		t.Fatalf("the log begins with %+v", log)
	}
	rules := log.Runs[0].Tool.Driver.Rules
	for _, r := range rules {
		if r.ID == "" || r.ShortDescription.Text == "" || len(r.ShortDescription.Text) > 1024 || r.FullDescription.Text == "" || len(r.FullDescription.Text) > 1024 || r.Help.Text == "" {
			t.Errorf("rule %+v", r)
		}
	}
	prints := map[string]bool{}
	for _, r := range log.Runs[0].Results {
		if rules[r.RuleIndex].ID != r.RuleID || rules[r.RuleIndex].DefaultConfiguration.Level != r.Level {
			t.Errorf("result %+v has the rule %+v", r, rules[r.RuleIndex])
		}
		if !slices.Contains([]string{"error", "warning", "note"}, r.Level) || r.Message.Text == "" || len(r.Locations) != 1 {
			t.Errorf("result %+v", r)
		}
		at := r.Locations[0].PhysicalLocation
		if u, err := url.Parse(at.ArtifactLocation.URI); err != nil || u.Host != "" || strings.ContainsAny(at.ArtifactLocation.URI, " \\ü") || at.Region.StartLine < 1 {
			t.Errorf("location %+v: %v", at, err)
		}
		if print := r.PartialFingerprints["problem/v1"]; print == "" || prints[print] {
			t.Errorf("the fingerprint of %+v is empty or used twice", r)
		} else {
			prints[print] = true
		}
	}
}

// TestFingerprints: what is above a problem and how it is worded do not matter,
// what it is and where it belongs does.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	print := func(change func(*schema.Problem)) string {
		p := schema.Problem{Code: schema.CodeType, Pos: pos("a.yaml", 3, 4), Pointer: "/spec/image", Message: "m"}
		change(&p)
		var out bytes.Buffer
		if err := view.CodeQuality(&out, view.Validation{Problems: schema.Problems{p}}); err != nil {
			t.Fatal(err)
		}
		var issues []struct{ Fingerprint string }
		if err := json.Unmarshal(out.Bytes(), &issues); err != nil || len(issues) != 1 {
			t.Fatal(err, issues)
		}
		return issues[0].Fingerprint
	}
	was := print(func(*schema.Problem) {})
	for what, c := range map[string]struct {
		change func(*schema.Problem)
		same   bool
	}{
		"another line":        {func(p *schema.Problem) { p.Pos.Line, p.Pos.Column = 30, 1 }, true},
		"another message":     {func(p *schema.Problem) { p.Message, p.Hint = "n", "h" }, true},
		"the path with a dot": {func(p *schema.Problem) { p.Pos.File = "./a.yaml" }, true},
		"another code":        {func(p *schema.Problem) { p.Code = schema.CodeForm }, false},
		"another file":        {func(p *schema.Problem) { p.Pos.File = "b.yaml" }, false},
		"another field":       {func(p *schema.Problem) { p.Pointer = "/spec/flavor" }, false},
	} {
		if now := print(c.change); (now == was) != c.same {
			t.Errorf("%s: %s, was %s", what, now, was)
		}
	}
}

// TestSARIFLeavesOut: GitHub takes nothing of a log with more than 25,000
// results, so the least are left out, and it says so.
func TestSARIFLeavesOut(t *testing.T) {
	t.Parallel()
	v := view.Validation{}
	for i := range 25_010 {
		code := schema.CodeInsecure
		if i%2 == 0 {
			code = schema.CodeType
		}
		v.Problems = append(v.Problems, schema.Problem{Code: code, Pos: pos(fmt.Sprintf("%05d.yaml", i), 1, 1), Message: "m"})
	}
	var out bytes.Buffer
	if err := view.SARIF(&out, v, ""); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if n := strings.Count(text, `"ruleId"`); n != 25_000 {
		t.Errorf("%d results", n)
	}
	if n := strings.Count(text, `"ruleId": "JB1105"`); n != 12_505 || !strings.Contains(text, "10 more problems are left out") {
		t.Errorf("%d errors are left, and it says nothing of it", n)
	}
}

// TestJUnitIsXML: whatever is in a message, the report can be read, and has a
// test for each file.
func TestJUnitIsXML(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := view.JUnit(&out, doubtful()); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Cases []struct {
				Name     string `xml:"name,attr"`
				Failures []struct {
					Text string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, c := range suites.Suites[0].Cases {
		names[c.Name]++
		if len(c.Failures) > 1 {
			t.Errorf("%s has %d failures; only the first would be shown", c.Name, len(c.Failures))
		}
	}
	if suites.Tests != 6 || len(names) != 6 || suites.Failures != 3 {
		t.Errorf("%d tests, %d failures: %v", suites.Tests, suites.Failures, names)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	golden(t, "warnings.txt", func(w io.Writer) error { return view.WarningsText(w, doubtful().Problems, view.Options{}) })
	golden(t, "warnings-none.txt", func(w io.Writer) error { return view.WarningsText(w, nil, view.Options{}) })
}

func TestExplanation(t *testing.T) {
	t.Parallel()
	e := schema.Explanation{
		Code: "JB1103", Severity: schema.Error, Title: "Unknown field",
		Text:  "The field is not in the schema of the document, or not at this place. `jeroboam schema Cluster` gives editors the schema. It would have no effect, and nobody would notice.",
		Wrong: "kind: Cluster\nspec:\n  nodeCuont: 3\n", Right: "kind: Cluster\nspec:\n  nodeCount: 3\n",
	}
	other := schema.Explanation{Code: "JB2002", Severity: schema.Note, Title: "Could not be checked", Text: "The cloud does not tell."}
	golden(t, "explanation.txt", func(w io.Writer) error { return view.ExplanationText(w, e, view.Options{}) })
	golden(t, "explanation.ansi", func(w io.Writer) error { return view.ExplanationText(w, e, view.Options{Color: true}) })
	golden(t, "explanations.txt", func(w io.Writer) error {
		return view.ExplanationsText(w, []schema.Explanation{e, other}, view.Options{})
	})
	golden(t, "explanations.json", func(w io.Writer) error { return view.ExplanationsJSON(w, []schema.Explanation{e, other}) })
}
