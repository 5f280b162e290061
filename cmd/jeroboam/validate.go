package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/schema"
)

func (a *app) validate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate [PATH]",
		Short: "Check the fleet's documents; no network",
		Long: `Check every document below PATH (default the working directory): YAML, JSON
Schema, references, labels. All problems are shown at once.

` + exitHelp,
		Example: `  jeroboam validate
  jeroboam validate fleet/ -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			fleet, err := loadDir(dirOf(args))
			if err != nil {
				return err
			}
			v := view.Validation{Clusters: len(fleet.Clusters), Templates: len(fleet.Templates), Problems: fleet.Warnings}
			if a.json() {
				return view.ValidationJSON(a.stdout, v)
			}
			return view.ValidationText(a.stdout, v, a.view())
		},
	}
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

func loadDir(dir string) (*schema.Fleet, error) {
	files, err := dirFiles(dir)
	if err != nil {
		return nil, err
	}
	return schema.NewLoader().Load(files)
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
