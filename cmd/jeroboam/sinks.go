package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/schema"
)

// sinks are where the problems of a fleet go, besides the text, for CI. All of
// them are filled in one run.
type sinks struct {
	sarif, junit, quality string // files; - is standard output
	github                bool
}

const sinksHelp = `For CI the problems can go to several places in one run: --sarif, --junit and
--gitlab-codequality write files (- is standard output, and then the text goes to
standard error), --github prints workflow commands.`

func (s *sinks) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.sarif, "sarif", "", "write problems as SARIF 2.1.0 to `file`, for code scanning and editors")
	f.StringVar(&s.junit, "junit", "", "write problems as JUnit XML to `file`, a test for each document file")
	f.StringVar(&s.quality, "gitlab-codequality", "", "write problems as a code quality report of GitLab to `file`")
	f.BoolVar(&s.github, "github", false, "print problems as workflow commands of GitHub Actions")
	for name, extensions := range map[string][]string{"sarif": {"sarif", "json"}, "junit": {"xml"}, "gitlab-codequality": {"json"}} {
		_ = cmd.MarkFlagFilename(name, extensions...) // the flag is there
	}
}

// document tells whether standard output is taken by one of the files.
func (s sinks) document() bool { return s.sarif == "-" || s.junit == "-" || s.quality == "-" }

// text is where the text goes.
func (s sinks) text(a *app) io.Writer {
	if s.document() {
		return a.stderr
	}
	return a.stdout
}

// check refuses two documents on standard output. taken is by what else it may be.
func (s sinks) check(taken ...bool) error {
	n := 0
	for _, is := range append(taken, s.sarif == "-", s.junit == "-", s.quality == "-") {
		if is {
			n++
		}
	}
	if n > 1 {
		return errors.New("only one document can go to standard output: of -o json and the files that are -, keep one")
	}
	return nil
}

// fill writes everything that was asked for. taken says that standard output has
// a document of another sort.
func (a *app) fill(s sinks, v view.Validation, taken bool) error {
	var failed []error
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{s.sarif, func(w io.Writer) error { return view.SARIF(w, v, version()) }},
		{s.junit, func(w io.Writer) error { return view.JUnit(w, v) }},
		{s.quality, func(w io.Writer) error { return view.CodeQuality(w, v) }},
	} {
		switch file.name {
		case "":
		case "-":
			failed = append(failed, file.write(a.stdout))
		default:
			if err := toFile(file.name, file.write); err != nil {
				failed = append(failed, fmt.Errorf("write problems: %w", err))
			}
		}
	}
	if s.github {
		// The runner reads commands from both streams.
		w := a.stdout
		if taken || s.document() || a.json() {
			w = a.stderr
		}
		failed = append(failed, view.Annotations(w, v))
	}
	return errors.Join(failed...)
}

// checked is what came of loading files: the problems of an invalid fleet or the
// warnings of a valid one; nil if they could not be read.
func checked(files []schema.File, warnings schema.Problems, err error) *view.Validation {
	v := view.Validation{Problems: warnings}
	if problems, ok := schema.AsProblems(err); ok {
		v.Problems = problems
	} else if err != nil {
		return nil
	}
	for _, f := range files {
		v.Files = append(v.Files, f.Path)
	}
	return &v
}

// showProblems shows what was checked beside something else: warnings as text,
// and all problems in the sinks. The errors of an invalid fleet are told when
// the program ends.
func (a *app) showProblems(v *view.Validation, s sinks, taken bool) error {
	if v == nil {
		return nil
	}
	if err := a.fill(s, *v, taken); err != nil || !v.Valid() {
		return err
	}
	return view.WarningsText(a.stderr, v.Problems, a.viewOn(a.stderr))
}
