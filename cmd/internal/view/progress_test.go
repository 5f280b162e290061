package view_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/reconcile"
)

// looks are what one sees while api is upgraded, new is made and old deleted.
func looks() [][]reconcile.Record {
	declared := record("new", "DECLARED")
	declared.Pending, declared.NodeGroups = []string{"create"}, nil
	pending := record("api", "UPDATE_IN_PROGRESS", diff.NodeReady, diff.NodeMoving)
	pending.Progress = "upgrade 1/2"
	broken := record("new", "CREATE_FAILED", diff.NodeFailed)
	broken.Pending = []string{"recover"}
	broken.StatusReason = "new-worker-0: no valid host\nwas found"
	broken.Advice = "the next run recovers new-worker-0 and replaces nothing else"
	still := record("web", "CREATE_COMPLETE", diff.NodeReady)
	old := record("old", "DELETE_IN_PROGRESS", diff.NodeMoving)
	return [][]reconcile.Record{
		{pending, declared, old, still},
		{pending, record("new", "CREATE_IN_PROGRESS", diff.NodeMoving), old, still},
		{pending, record("new", "CREATE_IN_PROGRESS", diff.NodeMoving), old, still},
		{record("api", "UPDATE_IN_PROGRESS", diff.NodeReady, diff.NodeReady), broken, still},
		{record("api", "UPDATE_COMPLETE", diff.NodeReady, diff.NodeReady), broken, still},
	}
}

func TestProgressInALogTellsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	golden(t, "progress-log.txt", func(w io.Writer) error {
		p := view.NewProgress(w, view.Options{}, noon())
		for i, look := range looks() {
			fmt.Fprintf(w, "-- look %d\n", i)
			if err := p.Show(look, noon().Add(time.Duration(i)*30*time.Second)); err != nil {
				return err
			}
		}
		fmt.Fprintln(w, "-- done")
		return p.Done(noon().Add(150 * time.Second))
	})
}

func TestProgressSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	golden(t, "progress-left.txt", func(w io.Writer) error {
		p := view.NewProgress(w, view.Options{}, noon())
		if err := p.Show(looks()[0], noon()); err != nil {
			return err
		}
		return p.Done(noon().Add(time.Hour))
	})
}

func TestProgressOnATerminalDrawsAgain(t *testing.T) {
	t.Parallel()
	golden(t, "progress-terminal.txt", func(w io.Writer) error {
		var out bytes.Buffer
		p := view.NewLiveProgress(&out, view.Options{Width: 70}, noon(), 70, 24)
		for i, look := range looks() {
			if err := p.Show(look, noon().Add(time.Duration(i)*30*time.Second)); err != nil {
				return err
			}
			fmt.Fprintf(w, "-- look %d\n%s", i, screen(t, out.String()))
		}
		if err := p.Done(noon().Add(150 * time.Second)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "-- done\n%s", screen(t, out.String()))
		return err
	})
}

func TestProgressKeepsWithinTheTerminal(t *testing.T) {
	t.Parallel()
	var many []reconcile.Record
	for i := range 100 {
		many = append(many, record(fmt.Sprintf("a-cluster-with-quite-a-long-name-%d", i), "CREATE_IN_PROGRESS", diff.NodeMoving))
	}
	var out bytes.Buffer
	p := view.NewLiveProgress(&out, view.Options{}, noon(), 40, 10)
	for i := range 3 {
		if err := p.Show(many, noon().Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(screen(t, out.String()), "\n"), "\n")
	if len(lines) >= 10 || lines[len(lines)-1] != "… 93 more" {
		t.Errorf("%d lines on a terminal of 10, the last %q", len(lines), lines[len(lines)-1])
	}
	for _, l := range lines {
		if n := len([]rune(l)); n >= 40 {
			t.Errorf("%d columns on a terminal of 40: %q", n, l)
		}
	}
}

// screen is what a terminal shows that understands newline, carriage return,
// cursor up and clear below.
func screen(t testing.TB, s string) string {
	t.Helper()
	lines, at := []string{""}, 0
	for s != "" {
		var n int
		switch {
		case s[0] == '\r':
			s = s[1:]
		case strings.HasPrefix(s, "\x1b[J"):
			lines, s = append(lines[:at], ""), s[3:]
		case s[0] == '\x1b':
			if _, err := fmt.Sscanf(s, "\x1b[%dA", &n); err != nil || n > at {
				t.Fatalf("%d lines up from line %d: %q, %v", n, at, s, err)
			}
			at -= n
			s = s[strings.IndexByte(s, 'A')+1:]
		case s[0] == '\n':
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
			s = s[1:]
		default:
			end := strings.IndexAny(s, "\r\n\x1b")
			if end < 0 {
				end = len(s)
			}
			lines[at], s = lines[at]+s[:end], s[end:]
		}
	}
	return strings.Join(lines, "\n")
}

func TestTerminalIsNoFileAndNoBuffer(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, w := range []io.Writer{&bytes.Buffer{}, file} {
		if _, _, ok := view.Terminal(w); ok {
			t.Errorf("a %T is taken for a terminal", w)
		}
	}
}
