package view_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/schema"
)

func reference(t *testing.T, kinds ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := view.ReferenceMarkdown(&out, kinds); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestReferenceIsWhole: every field of every kind, every label and every code is
// on the page.
func TestReferenceIsWhole(t *testing.T) {
	t.Parallel()
	all := reference(t, schema.Kinds()...)
	for _, kind := range schema.Kinds() {
		section := reference(t, kind)
		if !strings.Contains(all, section) {
			t.Errorf("the page does not have what is said of %s alone", kind)
		}
		rows := map[string]bool{}
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
			rows[strings.NewReplacer("[]", "/*", ".", "/").Replace(row[1])] = true
		}
		for _, field := range schema.Fields(kind) {
			if !rows[field] && !rows[strings.TrimSuffix(field, "/*")] {
				t.Errorf("%s %s is not on the page", kind, field)
			}
		}
	}
	for _, l := range schema.Labels() {
		if strings.Count(all, "\n| `"+l.Key+"` |") != 1 {
			t.Errorf("label %s is not on the page", l.Key)
		}
	}
	for _, e := range schema.Explanations() {
		if strings.Count(all, "\n### "+string(e.Code)+" "+e.Title+"\n") != 1 {
			t.Errorf("%s is not on the page", e.Code)
		}
	}
}

// TestReferenceIsMarkdown: the rows of a table have its columns, fences are
// closed, and links lead to headings.
func TestReferenceIsMarkdown(t *testing.T) {
	t.Parallel()
	all := reference(t, schema.Kinds()...)
	columns := 0
	for n, line := range strings.Split(all, "\n") {
		cells := len(regexp.MustCompile(`(^|[^\\])\|`).FindAllString(line, -1))
		switch {
		case !strings.HasPrefix(line, "|"):
			columns = 0
		case columns == 0:
			columns = cells
		case cells != columns:
			t.Errorf("line %d has %d cells instead of %d: %s", n+1, cells, columns, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("line %d ends with spaces", n+1)
		}
	}
	if strings.Count(all, "\n```")%2 != 0 {
		t.Error("a fence is open")
	}
	for _, link := range regexp.MustCompile(`\[(\w+)\]\(#(\w+)\)`).FindAllStringSubmatch(all, -1) {
		if !strings.Contains(all, "\n## "+link[1]+"\n") || strings.ToLower(link[1]) != link[2] {
			t.Errorf("%s leads nowhere", link[0])
		}
	}
	for _, want := range []string{
		"| `spec.nodeCount` | whole number | `1` | 0 to 10000 | Number of nodes of the group default-worker. | `node_count` |",
		"| `spec.cloud` | text | **required** | a letter or digit, then letters, digits, '\\_', '.' or '-'; at most 255 characters |",
		"| `spec.sshPublicKeys` | list of text |",
		"| `spec.nodeGroups[].nodeTaints[].effect` | text | **required** | `NoSchedule`, `PreferNoSchedule`, `NoExecute` |",
		"| `spec.clouds.*.driver` |",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestTableRow(t *testing.T) {
	t.Parallel()
	got := view.TableRow("a|b", "`x|y`", "snake_case <b> [l](m) `a_b`", "")
	if want := "| a\\|b | `x\\|y` | snake\\_case &lt;b> \\[l](m) `a_b` |  |\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
