package view_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/diff"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	offline := allHeld()
	offline.Mode, offline.BaseCommit, offline.Commit = view.Offline, offline.Commit, ""
	for name, p := range map[string]view.Plan{
		"empty":    live(diff.Plan{InSync: 97}),
		"mixed":    mixed(),
		"all-held": allHeld(),
		"offline":  offline,
		"grouped":  grouped(),
		"hostile":  hostile(),
		"stages":   stages(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "plan-"+name+".txt", func(w io.Writer) error { return view.PlanText(w, p, view.Options{}) })
			golden(t, "plan-"+name+".md", func(w io.Writer) error { return view.PlanMarkdown(w, p, view.Options{}) })
			if name != "grouped" { // 200 steps in full are no reading
				golden(t, "plan-"+name+".json", func(w io.Writer) error { return view.PlanJSON(w, p) })
			}
		})
	}
}

func TestPlanTextHasColourOnlyWhenAllowed(t *testing.T) {
	t.Parallel()
	coloured := golden(t, "plan-mixed.ansi", func(w io.Writer) error { return view.PlanText(w, mixed(), view.Options{Color: true}) })
	without := regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(coloured, "")
	if without == coloured {
		t.Error("no colour in what may have it")
	}
	golden(t, "plan-mixed.txt", func(w io.Writer) error { _, err := io.WriteString(w, without); return err })
}

func TestMarkdownFitsItsBudget(t *testing.T) {
	t.Parallel()
	for _, budget := range []int{0, 20_000, 5_000} {
		for _, n := range []int{250, 600, 2_000} {
			t.Run(fmt.Sprintf("%d clusters in %d", n, budget), func(t *testing.T) {
				t.Parallel()
				var whole, got bytes.Buffer
				p := long(n)
				if err := view.PlanMarkdown(&whole, p, view.Options{Budget: 10_000_000}); err != nil {
					t.Fatal(err)
				}
				if whole.Len() < 70_000 {
					t.Fatalf("the plan is only %d bytes: it would fit", whole.Len())
				}
				if err := view.PlanMarkdown(&got, p, view.Options{Budget: budget}); err != nil {
					t.Fatal(err)
				}
				checkCut(t, got.String(), n+1, max(budget, 5_000), budget)
			})
		}
	}
}

// checkCut says that a comment fits, is whole Markdown, has what matters most
// and tells of every cluster that it is there or left out.
func checkCut(t *testing.T, md string, clusters, limit, budget int) {
	t.Helper()
	if budget == 0 {
		limit = 60_000
	}
	if len(md) > limit || len(md) < limit/2 {
		t.Errorf("%d bytes, want at most %d and not much less", len(md), limit)
	}
	if a, b := strings.Count(md, "<details"), strings.Count(md, "</details>"); a != b {
		t.Errorf("%d details open and %d close", a, b)
	}
	for _, want := range []string{view.Marker, "1 to delete", "<code>lab-demo/zz-old</code>", "0123456789abcdef"} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in it", want)
		}
	}
	shown := len(regexp.MustCompile(" on (<code>|`)lab-demo/").FindAllString(md, -1))
	left := 0
	if m := regexp.MustCompile(`\*\*(\d+) clusters? (is|are) left out`).FindStringSubmatch(md); m != nil {
		if _, err := fmt.Sscan(m[1], &left); err != nil {
			t.Fatal(err)
		}
	}
	if shown+left != clusters {
		t.Errorf("%d clusters shown and %d left out, want %d", shown, left, clusters)
	}
}

// Outside of code, nothing of a hostile text may be left that a forge acts on.
func TestMarkdownOfHostileTextIsOnlyText(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := view.PlanMarkdown(&b, hostile(), view.Options{}); err != nil {
		t.Fatal(err)
	}
	md := b.String()
	for _, r := range md {
		if r < ' ' && r != '\n' || r == '\u202e' || r == '\u200b' || r == 0x7f {
			t.Errorf("control character %U in the Markdown", r)
		}
	}
	tags := regexp.MustCompile(`</?(details|summary|code|sub)( open)?>`)
	for line := range strings.Lines(md) {
		if !strings.HasPrefix(line, "<details") { // Markdown does not look into that line
			line = withoutCode(line)
		}
		line = tags.ReplaceAllString(line, "\x00")
		for _, bad := range []string{"<", "@everyone", "@org ", "#1 ", "http://", "**bold", "[l]("} {
			if strings.Contains(line, bad) {
				t.Errorf("%q stands open in %q", bad, line)
			}
		}
		if strings.HasPrefix(line, "#") {
			t.Errorf("a heading of somebody else's: %q", line)
		}
	}
}

// withoutCode leaves out what Markdown does not look into: code spans, which end
// with as many backticks as they began with, escaped characters, and comments,
// of which a NUL is left.
func withoutCode(md string) string {
	var b strings.Builder
	for md != "" {
		n, left := 1, md[:1]
		switch end := strings.Index(md, "-->"); {
		case md[0] == '\\':
			n, left = 2, ""
		case md[0] == '`':
			fence := md[:len(md)-len(strings.TrimLeft(md, "`"))]
			n = len(fence)
			left = fence
			for _, m := range regexp.MustCompile("`+").FindAllStringIndex(md[n:], -1) {
				if m[1]-m[0] == len(fence) {
					n, left = n+m[1], ""
					break
				}
			}
		case strings.HasPrefix(md, "<!--") && end > 0:
			n, left = end+3, "\x00"
		}
		b.WriteString(left)
		md = md[n:]
	}
	return b.String()
}

func TestReadPlanGivesWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]view.Plan{
		"empty": live(diff.Plan{InSync: 97}), "mixed": mixed(), "held": allHeld(), "grouped": grouped(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := view.PlanJSON(&b, want); err != nil {
				t.Fatal(err)
			}
			got, err := view.ReadPlan(&b)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestReadPlanTakesNewMinorsAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ json, says string }{
		{`{"formatVersion":"1.7","mode":"live","fingerprint":"ab","weather":"fine","steps":[{"op":"create","mood":1}]}`, ""},
		{`{"formatVersion":"1.0","mode":"offline","fingerprint":"ab"}`, ""},
		{`{"formatVersion":"2.0","mode":"live","fingerprint":"ab","steps":"other"}`, "it has format 2.0 and this version reads 1.x"},
		{`{"formatVersion":"10.0","mode":"live","fingerprint":"ab"}`, "it has format 10.0"},
		{`{"formatVersion":"1.0","mode":"guess","fingerprint":"ab"}`, `its mode "guess" is none of live, offline`},
		{`{"formatVersion":"1.0","fingerprint":"ab"}`, `its mode "" is none`},
		{`{"formatVersion":"1.0","mode":"live"}`, "it has no fingerprint"},
		{`{"apiVersion":"jeroboam.io/v1alpha1"}`, "it has no formatVersion"},
		{`{"formatVersion":"1.0","mode":"live","fingerprint":"ab"} {}`, "after top-level value"},
		{`{"formatVersion":"1.0",`, "unexpected end of JSON"},
		{``, "unexpected end of JSON"},
	} {
		_, err := view.ReadPlan(strings.NewReader(c.json))
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.json, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: error %v, want one with %q", c.json, err, c.says)
		}
	}
}

func TestVerdictIsShortWhenThereIsLittleToSay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		plan diff.Plan
	}{
		{"Plan: nothing to do", diff.Plan{}},
		{"Plan: nothing to do, 3 in sync", diff.Plan{InSync: 3}},
		{"Plan: nothing to do, 2 clouds unknown", diff.Plan{Unknown: make([]diff.UnknownCloud, 2)}},
		{"Plan: 1 group to create, 2 groups to delete", diff.Plan{Steps: []diff.Step{
			{Op: diff.DeleteGroup}, {Op: diff.CreateGroup}, {Op: diff.DeleteGroup},
		}}},
	} {
		if got := (view.Plan{Plan: c.plan, At: time.Time{}}).Verdict(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestMarkdownNamesAllBeforeItSaysAllOfSome(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := view.PlanMarkdown(&b, long(250), view.Options{}); err != nil {
		t.Fatal(err)
	}
	md := b.String()
	if strings.Contains(md, "left out") {
		t.Error("there is room to name 251 clusters, and some are left out")
	}
	if full := strings.Count(md, "</summary>\n\n- `labels/note`"); full < 50 || full > 200 {
		t.Errorf("%d of 250 clusters are told in full, want about as many as fit in half of the room", full)
	}
}

// A reader must not take one reason for another's.
func TestOnlyWhatIsTheSameIsGrouped(t *testing.T) {
	t.Parallel()
	at := pos("fleet/a.yaml", 1, 1)
	base := diff.Step{
		Op: diff.Resize, Cluster: key("a"), Group: "gpu", Risk: diff.Low, Pos: at, Changes: []diff.Change{{Field: "f", From: "1", To: "2", Pos: at}},
		Held: &diff.Held{Guard: "pre-flight", Reason: "no such flavor", Ack: "11111111"},
	}
	for name, change := range map[string]func(*diff.Step){
		"op":     func(s *diff.Step) { s.Op = diff.Update },
		"group":  func(s *diff.Step) { s.Group = "cpu" },
		"risk":   func(s *diff.Step) { s.Risk = diff.Disruptive },
		"from":   func(s *diff.Step) { s.Changes = []diff.Change{{Field: "f", From: "0", To: "2", Pos: at}} },
		"to":     func(s *diff.Step) { s.Changes = []diff.Change{{Field: "f", From: "1", To: "3", Pos: at}} },
		"guard":  func(s *diff.Step) { s.Held = &diff.Held{Guard: "failed", Reason: "no such flavor", Ack: "11111111"} },
		"reason": func(s *diff.Step) { s.Held = &diff.Held{Guard: "pre-flight", Reason: "no such image", Ack: "11111111"} },
		"no ack": func(s *diff.Step) { s.Held = &diff.Held{Guard: "pre-flight", Reason: "no such flavor"} },
		"held":   func(s *diff.Step) { s.Held = nil },
		"": func(s *diff.Step) {
			s.Held = &diff.Held{Guard: "pre-flight", Reason: "no such flavor", Ack: "22222222"}
		},
	} {
		other := base
		other.Cluster = key("b")
		change(&other)
		var b bytes.Buffer
		if err := view.PlanMarkdown(&b, live(diff.Plan{Steps: []diff.Step{base, other}}), view.Options{}); err != nil {
			t.Fatal(err)
		}
		grouped := strings.Contains(b.String(), "on 2 clusters")
		if want := name == ""; grouped != want {
			t.Errorf("clusters that differ in %q: grouped %v, want %v", name, grouped, want)
		}
		if name == "" && (!strings.Contains(b.String(), "11111111") || !strings.Contains(b.String(), "22222222")) {
			t.Errorf("a group lost a trailer:\n%s", b.String())
		}
	}
}
