package view

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes one line of text that does nothing to a terminal: no escape
// sequences, no control characters, nothing that turns the direction of writing
// or takes no room. Line breaks, tabs and runs of spaces become one space.
func clean(s string) string {
	if harmless(s) {
		return s
	}
	var b strings.Builder
	for s = strings.ToValidUTF8(s, "\uFFFD"); s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\x1b':
			n = escape(s)
		case unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp) || r == '\n' || r == '\t':
			if !strings.HasSuffix(b.String(), " ") {
				b.WriteByte(' ')
			}
		case !unicode.In(r, unicode.Cc, unicode.Cf):
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return strings.TrimSpace(b.String())
}

func harmless(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// escape is the length of the escape sequence that s begins with (ECMA-48: CSI
// ends with a byte from @ to ~, the strings OSC, DCS, SOS, PM and APC with BEL or
// ST). Of one without end only the introducer is taken, so that it cannot hide
// what follows.
func escape(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s) && s[i] >= ' ' && s[i] <= '~'; i++ {
			if s[i] >= '@' {
				return i + 1
			}
		}
	case ']', 'P', 'X', '^', '_':
		end := 2 + strings.IndexAny(s[2:], "\a\x1b")
		switch {
		case end >= 2 && s[end] == '\a':
			return end + 1
		case end >= 2:
			return end // ST is an escape sequence of its own
		}
	}
	if s[1] < ' ' || s[1] > '~' {
		return 1
	}
	return 2
}

// cut takes out the middle of text that is longer than n characters: both ends
// tell values apart.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := n * 2 / 3
	return string(r[:head]) + " … " + string(r[len(r)-(n-head-3):])
}

// cutEnd keeps the first n characters.
func cutEnd(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:max(n-1, 0)]) + "…"
}
