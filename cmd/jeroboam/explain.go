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
	return &cobra.Command{
		Use:   "explain [CODE]",
		Short: "Say what the code of a problem means and what to do",
		Long: `Say what the code of a problem means, why it is one and what to do, with wrong and
right YAML where that shows it best. Without CODE all codes are listed. JB1xxx are
of the documents alone, JB2xxx of documents and a cloud together.`,
		Example: `  jeroboam explain JB1103
  jeroboam explain
  jeroboam explain jb1103 -o json`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: codes,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listCodes()
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
}

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
	if !regexp.MustCompile(`^JB[-_]?\d+$`).MatchString(code) {
		return schema.Explanation{}, fmt.Errorf("%q is no code: explain tells of codes such as JB1103; of a cluster tells jeroboam status CLUSTER", word)
	}
	if near := schema.NearestCode(code); near != "" {
		return schema.Explanation{}, fmt.Errorf("there is no code %s; did you mean %s?", code, near)
	}
	return schema.Explanation{}, fmt.Errorf("there is no code %s; jeroboam explain lists all", code)
}
