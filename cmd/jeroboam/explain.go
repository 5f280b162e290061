package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/schema"
)

func (a *app) explain() *cobra.Command {
	var codes []cobra.Completion
	for _, e := range schema.Explanations() {
		codes = append(codes, cobra.CompletionWithDesc(string(e.Code), e.Title))
	}
	cmd := &cobra.Command{
		Use:   "explain [CODE|CLUSTER]",
		Short: "Say what a code means, or how a cluster came to be what it is",
		Long: `Say what the code of a problem means, why it is one and what to do, with wrong and
right YAML where that shows it best. Without an argument all codes are listed. JB1xxx
are of the documents alone, JB2xxx of documents and a cloud together.

Of a CLUSTER, a name or cloud/name, it says which file declares it and who last
changed that, which template it has, how it is, what holds it and what to do, and
the steps that were begun for it, with the request ids by which the cloud's
operators find them in their logs. It reads Git and the local store, and no cloud.`,
		Example: `  jeroboam explain JB1103
  jeroboam explain lab-demo/web
  jeroboam explain web -o json`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: codes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listCodes()
			}
			if !codeForm(args[0]) {
				return a.explainCluster(cmd.Context(), args[0])
			}
			e, err := explanation(args[0])
			if err != nil {
				return err
			}
			if a.json() {
				return view.ExplanationsJSON(a.stdout, []schema.Explanation{e})
			}
			return view.ExplanationText(a.stdout, e, a.view())
		},
	}
	a.fleetFlags(cmd)
	return cmd
}

// codeForm says that a word is a code, if there is one like it, and no cluster.
func codeForm(word string) bool { return regexp.MustCompile(`^(?i:JB)?[-_]?\d+$`).MatchString(word) }

func (a *app) listCodes() error {
	if a.json() {
		return view.ExplanationsJSON(a.stdout, schema.Explanations())
	}
	return view.ExplanationsText(a.stdout, schema.Explanations(), a.view())
}

// explanation looks a code up, in whatever case and with or without JB.
func explanation(word string) (schema.Explanation, error) {
	code := strings.ToUpper(word)
	if regexp.MustCompile(`^\d+$`).MatchString(code) {
		code = "JB" + code
	}
	if e, ok := schema.Explain(schema.Code(code)); ok {
		return e, nil
	}
	if near := schema.NearestCode(code); near != "" {
		return schema.Explanation{}, fmt.Errorf("there is no code %s; did you mean %s?", code, near)
	}
	return schema.Explanation{}, fmt.Errorf("there is no code %s; jeroboam explain lists all", code)
}
