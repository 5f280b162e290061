package main

import (
	"strings"
	"testing"
	"time"
)

// TestErrorsAreClean: what an error repeats of an argument or of the name of a
// file does nothing to a terminal, and its lines stay lines.
func TestErrorsAreClean(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"validate", "no\x1b[31mwhere"},
		{"convert", "no\x1b]0;title\awhere"},
		{"explain", "JB\x1b[2J\u202e"},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), args, &out, &errs, time.Now)
		if code != exitError || !strings.HasPrefix(errs.String(), "jeroboam: ") || strings.ContainsAny(errs.String(), "\x1b\a\u202e") {
			t.Errorf("%q: exit %d, %q", args, code, errs.String())
		}
	}
	var errs strings.Builder
	a := &app{stderr: &errs}
	a.say("note", "one\n  two\x1b[5m")
	if want := "note: one\n  two\n"; errs.String() != want {
		t.Errorf("want %q, got %q", want, errs.String())
	}
}
