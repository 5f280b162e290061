package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/schema"
)

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [KIND]",
		Short: "Print the JSON Schema of a kind of document, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of a kind of document. An editor with a
YAML language server completes and explains fields with it. Without KIND the
kinds are listed.`,
		Example: `  jeroboam schema
  jeroboam schema Cluster > cluster.schema.json
  # first line of a document: # yaml-language-server: $schema=cluster.schema.json`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: schema.Kinds(),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprintln(a.stdout, strings.Join(schema.Kinds(), "\n"))
				return err
			}
			if !slices.Contains(schema.Kinds(), args[0]) {
				return fmt.Errorf("there is no kind %q: give one of %s", args[0], strings.Join(schema.Kinds(), ", "))
			}
			text, err := schema.JSONSchema(args[0])
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}
