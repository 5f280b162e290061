package view_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/cmd/internal/view"
)

func TestCleanTextDoesNothingToATerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"plain text", "plain text"},
		{"grün 日本 ✓", "grün 日本 ✓"},
		{"two\nlines\r\n\tand  more", "two lines and more"},
		{"\x1b[1;31mred\x1b[0m text", "red text"},
		{"\x1b]0;title\aafter", "after"},
		{"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"},
		{"\x1bPq#0\x1b\\sixel", "sixel"},
		{"\x1b]0;no end, shown", "0;no end, shown"},
		{"\x1b[", ""},
		{"\x1b", ""},
		{"\x1bcreset", "reset"},
		{"\x1b\x1b[31mtwice", "twice"},
		{"\x9b31mC1 \u009b31mC1", "\uFFFD31mC1 31mC1"},
		{"back\b\b\x7fspace\x00", "backspace"},
		{"file\u202egnp.exe zero\u200bwidth", "filegnp.exe zerowidth"},
		{"bad \xff\xfe bytes", "bad \uFFFD bytes"},
	} {
		if got := view.Clean(c.in); got != c.want {
			t.Errorf("Clean(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestCleanTextIsAlwaysPrintable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.String(), rapid.SampledFrom([]string{"\x1b", "\x1b[", "\x1b]", "\a", "\x1b\\", "\n", "m", "\xff", "\u009b", "\u2028"}),
		)).Draw(t, "parts")
		got := view.Clean(strings.Join(parts, ""))
		if !utf8.ValidString(got) {
			t.Fatalf("%q is no UTF-8", got)
		}
		for _, r := range got {
			if r != ' ' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z) {
				t.Fatalf("%U in %q", r, got)
			}
		}
	})
}
