package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/schema"
)

func (a *app) schema() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "schema [KIND]",
		Short: "Print the JSON Schema of a kind of document, for editors, or the reference",
		Long: `Print the JSON Schema (draft 2020-12) of a kind of document. An editor with a
YAML language server completes and explains fields and labels with it, when this
is the first line of a document:

  # yaml-language-server: $schema=cluster.schema.json

Without KIND the kinds are listed. With --markdown it is the reference for people:
the fields of all kinds or of KIND, all labels, all problems.`,
		Example: `  jeroboam schema
  jeroboam schema Cluster > cluster.schema.json
  jeroboam schema --markdown > REFERENCE.md
  jeroboam schema Cluster --markdown`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: schema.Kinds(),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && !slices.Contains(schema.Kinds(), args[0]) {
				return fmt.Errorf("there is no kind %q: give one of %s", args[0], strings.Join(schema.Kinds(), ", "))
			}
			return a.showSchema(args, markdown)
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the reference for people, as Markdown")
	return cmd
}

// showSchema of at most one kind.
func (a *app) showSchema(kinds []string, markdown bool) error {
	switch {
	case markdown && len(kinds) == 0:
		return view.ReferenceMarkdown(a.stdout, schema.Kinds())
	case markdown:
		return view.ReferenceMarkdown(a.stdout, kinds)
	case len(kinds) == 0:
		_, err := fmt.Fprintln(a.stdout, strings.Join(schema.Kinds(), "\n"))
		return err
	}
	text, err := schema.JSONSchema(kinds[0])
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(text)
	return err
}
