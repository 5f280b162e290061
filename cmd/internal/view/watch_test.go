package view_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/cmd/internal/view"
)

// says renders so many numbered lines of a word.
func says(word string, lines int) func(io.Writer, view.Options) error {
	return func(w io.Writer, _ view.Options) error {
		for i := range lines {
			fmt.Fprintf(w, "\x1b[1m%s\x1b[0m %d %s\n", word, i, strings.Repeat("x", 100))
		}
		return nil
	}
}

// On a terminal there is never more than what is so now, however much there was
// before, and no line is longer than the terminal.
func TestWatchDrawsOverWhatWas(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	width := 44
	v := view.NewLiveWatch(&out, view.Options{}, func() (int, int, bool) { return width, 8, true })
	for i, lines := range []int{3, 30, 1, 2} {
		at := noon().Add(time.Duration(i) * time.Second)
		word := fmt.Sprintf("look%d", i)
		if err := v.Show(at, says(word, lines)); err != nil {
			t.Fatal(err)
		}
		before := out.Len()
		if err := v.Show(at.Add(time.Hour), says(word, lines)); err != nil || out.Len() != before {
			t.Errorf("the same was drawn again: %v", err)
		}
		have := screen(t, strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "", "\x1b[2m", "").Replace(out.String()))
		rows := strings.Split(strings.TrimSuffix(have, "\n"), "\n")
		if want := min(lines, 6) + 1; len(rows) != want || !strings.HasPrefix(rows[0], word+" 0 x") {
			t.Errorf("look %d: %d rows on the screen, want %d:\n%s", i, len(rows), want, have)
		}
		for _, row := range rows {
			if n := len([]rune(row)); n >= width {
				t.Errorf("look %d: %d columns on a terminal of %d: %q", i, n, width, row)
			}
		}
		if lines > 6 && rows[5] != "… 25 more lines" || !strings.HasPrefix(rows[len(rows)-1], "as of 2026") {
			t.Errorf("look %d: the last rows are %q", i, rows[len(rows)-2:])
		}
	}
	width = 60
	before := out.Len()
	if err := v.Show(noon(), says("look3", 2)); err != nil || out.Len() == before {
		t.Errorf("a wider terminal was not drawn anew: %v", err)
	}
}

// Elsewhere nothing is drawn over: each change is below the one before, and what has
// not changed is not written again.
func TestWatchWithoutATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	v := view.NewWatch(&out, view.Options{})
	for i, word := range []string{"one", "one", "two"} {
		if err := v.Show(noon().Add(time.Duration(i)*time.Minute), func(w io.Writer, _ view.Options) error {
			_, err := fmt.Fprintln(w, word)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	want := "one\n\n" + noon().Add(2*time.Minute).UTC().Format(time.RFC3339) + "\ntwo\n"
	if out.String() != want {
		t.Errorf("have %q, want %q", out.String(), want)
	}
}
