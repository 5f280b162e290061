package view

import (
	"html"
	"strings"
)

// Foreign text is made safe for the Markdown of forges in three ways, by where
// it stands. No table is used: how a pipe is escaped in its cells depends on the
// forge.

// code is text as a code span, in which nothing is interpreted: no HTML, no
// link, and nobody is mentioned.
func code(s string) string {
	s = clean(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 || s == "" {
		s = " " + s + " "
	}
	return fence + s + fence
}

// prose is text that reads as text: punctuation that Markdown knows is escaped,
// and an empty comment breaks up what a forge makes a mention or a link of.
func prose(s string) string {
	const apart = "<!-- -->"
	return strings.NewReplacer(
		`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "|", `\|`, "$", `\$`,
		"&", "&amp;", "<", "&lt;", ">", "&gt;",
		"@", "@"+apart, "#", "#"+apart, "!", "!"+apart, "://", ":"+apart+"//", "www.", "www"+apart+".",
	).Replace(clean(s))
}

// htmlCode is a code element within a line of HTML, which Markdown leaves alone.
func htmlCode(s string) string { return "<code>" + html.EscapeString(clean(s)) + "</code>" }

// item is a part of a comment that may be shortened or left out.
type item struct{ full, short string }

// fit takes the items that fit into so many bytes, in order. If not all of them
// do, the first have half of it in full and the others are short, so that many
// are named; left is how many are not even that.
func fit(items []item, budget int) (kept string, left int) {
	total := 0
	for _, it := range items {
		total += len(it.full)
	}
	inFull := budget / 2
	if total <= budget {
		inFull = budget
	}
	var b strings.Builder
	for i, it := range items {
		switch {
		case b.Len()+len(it.full) <= inFull:
			b.WriteString(it.full)
		case b.Len()+len(it.short) <= budget:
			b.WriteString(it.short)
		default:
			return b.String(), len(items) - i
		}
	}
	return b.String(), 0
}
