package view

import (
	"io"
	"strconv"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// Annotations writes the problems as workflow commands of GitHub Actions, which
// shows them beside the lines of a pull request: the first ten errors, ten
// warnings and ten notices of a step. The others are in its log.
func Annotations(w io.Writer, v Validation) error {
	var b strings.Builder
	for _, p := range v.Problems {
		b.WriteString(annotation(p))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func annotation(p schema.Problem) string {
	command := string(p.Severity())
	if p.Severity() == schema.Note {
		command = "notice"
	}
	var properties []string
	add := func(name, value string) { properties = append(properties, name+"="+commandProperty(value)) }
	if p.Pos.File != "" {
		add("file", sinkFile(p.Pos))
		add("line", strconv.Itoa(sinkLine(p.Pos)))
	}
	if p.Pos.Column > 0 {
		add("col", strconv.Itoa(p.Pos.Column))
	}
	title := string(p.Code)
	if e, ok := schema.Explain(p.Code); ok {
		title += " " + e.Title
	}
	add("title", title)
	return "::" + command + " " + strings.Join(properties, ",") + "::" + commandData(said(p)) + "\n"
}

// commandData escapes what a workflow command says, as the runner reads it.
func commandData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(clean(s))
}

// commandProperty escapes the value of a property, which ends at a comma or a
// colon.
func commandProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(commandData(s))
}
