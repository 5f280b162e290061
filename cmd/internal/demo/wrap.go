package demo

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Wrap breaks the lines of a text between words, so that none is wider than a
// terminal; what goes on is indented by two more than its line. A width of 0 breaks
// nothing. Colours take no room.
func Wrap(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		wrapLine(&b, line, width)
	}
	return b.String()
}

func wrapLine(b *strings.Builder, line string, width int) {
	said := strings.TrimLeft(line, " ")
	indent := len(line) - len(said)
	b.WriteString(line[:indent])
	at := indent
	for i, word := range strings.Split(said, " ") {
		room := columns(word)
		switch {
		case i == 0:
		case at+1+room > width:
			b.WriteString("\n" + strings.Repeat(" ", indent+2))
			at = indent + 2
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += room
	}
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

func columns(word string) int {
	return utf8.RuneCountInString(strings.TrimSuffix(colour.ReplaceAllString(word, ""), "\n"))
}
