package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"jeroboam.io/jeroboam/schema"
	"jeroboam.io/jeroboam/schema/convert"
)

// converting is what the flags of convert say.
type converting struct {
	from, cloud, template, out string
	force                      bool
}

func (a *app) convert() *cobra.Command {
	var o converting
	cmd := &cobra.Command{
		Use:   "convert [FILE...]",
		Short: "Make documents of what Magnum, Heat and Terraform say; no network",
		Long: `Make ClusterTemplate and Cluster documents of what others say of clusters:

  magnum     what openstack coe ... show and list print with -f json or -f yaml,
             and what Magnum's API answers, bays and baymodels included
  heat       Heat templates with OS::Magnum resources
  terraform  what terraform show -json prints of a state or a plan, and state files

Several files are read together: a cluster finds its template and its node groups
in any of them. Without FILE, or for "-", standard input is read.

What has no counterpart is noted in the documents as a comment and on standard
error. Secrets are never written: labels that hold one become secretLabels, which
refer to the environment.

` + exitHelp,
		Example: `  openstack coe cluster template show k8s -f json > template.json
  openstack coe cluster show prod -f json > prod.json
  jeroboam convert template.json prod.json --cloud lab-demo > prod.yaml
  jeroboam convert stack.yaml --cloud lab-demo --out fleet
  terraform show -json | jeroboam convert --cloud lab-demo -o json`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runConvert(cmd.InOrStdin(), args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "`source` of all files: magnum, heat or terraform (default found out for each)")
	f.StringVar(&o.cloud, "cloud", "", "`name` of the clusters' cloud, an entry of clouds.yaml")
	f.StringVar(&o.template, "template", "", "`name` of the template of clusters whose own is not among the files")
	f.StringVar(&o.out, "out", "", "write each document to a file of its own below this `folder`")
	f.BoolVar(&o.force, "force", false, "overwrite files")
	return cmd
}

func (a *app) runConvert(stdin io.Reader, files []string, o converting) error {
	sources := []string{"", string(schema.ForeignMagnum), string(schema.ForeignHeat), string(schema.ForeignTerraform)}
	if !slices.Contains(sources, o.from) {
		return fmt.Errorf("--from is %q: give one of %s", o.from, strings.Join(sources[1:], ", "))
	}
	inputs, err := readInputs(stdin, files)
	if err != nil {
		return err
	}
	result, err := convert.Convert(inputs, convert.Options{
		From: schema.Foreign(o.from), Cloud: schema.CloudName(o.cloud), Template: schema.TemplateName(o.template),
	})
	if err != nil {
		return err
	}
	var written []string
	if o.out != "" {
		if written, err = writeDocuments(o.out, result.Documents, o.force); err != nil {
			return err
		}
	}
	if a.json() {
		return convertJSON(a.stdout, result, written)
	}
	for _, n := range result.AllNotes() {
		a.say("note", strings.TrimPrefix(n.Document+": "+n.String(), ": "))
	}
	if o.out != "" {
		for _, file := range written {
			fmt.Fprintln(a.stdout, file)
		}
		return nil
	}
	text, err := convert.YAML(result.Documents)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(text)
	return err
}

func readInputs(stdin io.Reader, files []string) ([]convert.Input, error) {
	if len(files) == 0 {
		if f, ok := stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return nil, errors.New("nothing to convert: give a FILE, or pipe what is to be converted in")
		}
		files = []string{"-"}
	}
	var inputs []convert.Input
	for _, name := range files {
		var text []byte
		var err error
		if name == "-" {
			name = "standard input"
			text, err = io.ReadAll(io.LimitReader(stdin, convert.MaxSize+1))
		} else {
			text, err = os.ReadFile(name)
		}
		if err != nil {
			return nil, fmt.Errorf("read what is to be converted: %w", err)
		}
		inputs = append(inputs, convert.Input{Name: name, Data: text})
	}
	return inputs, nil
}

// convertJSON shows the result to programs. Lists are never null.
func convertJSON(w io.Writer, r convert.Result, files []string) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		FormatVersion string             `json:"formatVersion"`
		Documents     []convert.Document `json:"documents"`
		Notes         []convert.Note     `json:"notes"`
		Files         []string           `json:"files,omitempty"`
	}{"1.0", append([]convert.Document{}, r.Documents...), append([]convert.Note{}, r.AllNotes()...), files})
}

// writeDocuments writes each document to templates/NAME.yaml or
// clusters/NAME.yaml below a folder, and gives the paths. It writes none if one
// is there, unless forced.
func writeDocuments(dir string, docs []convert.Document, force bool) ([]string, error) {
	var files, there []string
	for _, d := range docs {
		folder := "clusters"
		if d.Kind == schema.KindClusterTemplate {
			folder = "templates"
		}
		file := filepath.Join(dir, folder, d.Name+".yaml")
		if _, err := os.Lstat(file); err == nil {
			there = append(there, file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("write documents: %w", err)
		}
		files = append(files, file)
	}
	if len(there) > 0 && !force {
		return nil, fmt.Errorf("there is %s already: nothing was written; overwrite with --force", strings.Join(there, ", "))
	}
	for i, d := range docs {
		text, err := d.YAML()
		if err == nil {
			err = os.MkdirAll(filepath.Dir(files[i]), 0o750)
		}
		if err == nil {
			err = os.WriteFile(files[i], text, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("write documents: %w", err)
		}
	}
	return files, nil
}
