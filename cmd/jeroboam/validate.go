package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/schema"
)

func (a *app) validate() *cobra.Command {
	var s sinks
	var strict bool
	var pre preFlight
	cmd := &cobra.Command{
		Use:   "validate [PATH]",
		Short: "Check the fleet's documents; no network unless asked to",
		Long: `Check every document below PATH (default the working directory): YAML, JSON
Schema, references, labels. All problems are shown at once, with a code that
jeroboam explain knows. An error makes the fleet invalid; a warning is what is
hardly meant, a note what could not be checked.

With --cloud the clusters of that cloud are checked against it as well, as a live
plan does before it lets a cluster be made: images, flavors, networks, volume
types, zones, services and what is left of quotas. What a role may not see is a
note. Only GET is sent, and POST to Keystone for a token.

` + sinksHelp + `

` + exitHelp,
		Example: `  jeroboam validate
  jeroboam validate fleet/ -o json
  jeroboam validate --cloud lab-demo         # also: can it be made there?
  jeroboam validate --cloud all --names
  jeroboam validate --strict --github --sarif jeroboam.sarif   # GitHub Actions
  jeroboam validate --junit junit.xml --gitlab-codequality quality.json
  jeroboam validate --sarif - > jeroboam.sarif`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runValidate(cmd.Context(), dirOf(args), strict, s, pre)
		},
	}
	s.flags(cmd)
	pre.flags(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "warnings make the fleet invalid too")
	return cmd
}

func (a *app) runValidate(ctx context.Context, dir string, strict bool, s sinks, pre preFlight) error {
	if err := s.check(a.json()); err != nil {
		return err
	}
	files, err := dirFiles(dir)
	if err != nil {
		return err
	}
	loader, err := a.loader()
	if err != nil {
		return err
	}
	fleet, err := loader.Load(files)
	v := checked(files, nil, err)
	if v == nil {
		return err
	}
	v.Strict = strict
	var unasked error // what to exit with when a cloud could not be asked
	if fleet != nil {
		v.Clusters, v.Templates, v.Problems = len(fleet.Clusters), len(fleet.Templates), fleet.Warnings
		if unasked, err = a.preFlight(ctx, pre, fleet, v); err != nil {
			return err
		}
	}
	if err := a.showValidation(*v, s); err != nil {
		return err
	}
	if !v.Valid() {
		return outcome(exitInvalid)
	}
	return unasked
}

// showValidation says what is invalid on stderr, as all commands do, unless it
// is JSON that is asked for.
func (a *app) showValidation(v view.Validation, s sinks) error {
	err := a.fill(s, v, false)
	text := s.text(a)
	if !v.Valid() {
		text = a.stderr
	}
	if a.json() {
		return errors.Join(view.ValidationJSON(a.stdout, v), err)
	}
	return errors.Join(view.ValidationText(text, v, a.viewOn(text)), err)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func dirOf(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// dirFiles are the documents below a folder, named as the folder was given.
func dirFiles(dir string) ([]schema.File, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("read fleet: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("read fleet: %s is a file: give the folder", dir)
	}
	prefix := dir
	if dir == "." {
		prefix = ""
	}
	files, err := schema.Dir(os.DirFS(dir), prefix)
	if err != nil {
		return nil, fmt.Errorf("read fleet: %w", err)
	}
	return files, nil
}
