// Package convert makes documents of Jeroboam out of what others say of
// clusters: what Magnum's API and its clients print, Heat templates, Terraform
// states and plans.
//
//	bytes ─► values ─► records ─────────────────────────► documents ─► YAML
//	(read.go)          (magnum.go, heat.go, terraform.go)  (build.go)   (document.go)
//
// A record is a cluster template, cluster or node group in the words of
// Magnum's API, wherever it came from. All that differs between the sources is
// how records are found; what they become is decided once. What has no
// counterpart is never dropped in silence: it becomes a note, which stands in
// the YAML at its field or at the head of its document.
//
// The package is pure: no files, no network. Secrets do not pass through it:
// labels that hold one become references to the environment.
//
// Read document.go for what comes out, record.go for what is between, then
// build.go. outline.go is what the JSON Schemas say of fields, in the order in
// which they are written.
package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// Input is a file, or what was piped in.
type Input struct {
	Name string // as errors and notes call it
	Data []byte
}

// Options of a conversion.
type Options struct {
	From     schema.Foreign      // where all inputs come from; empty: found out for each
	Cloud    schema.CloudName    // spec.cloud of the clusters; needed where there are any
	Template schema.TemplateName // of clusters whose template is not among the inputs; may be empty
}

// Result is what came out.
type Result struct {
	Documents []Document
	Notes     []Note // on what became no document; those of the documents are in them
}

// AllNotes are those of the documents, then the others.
func (r Result) AllNotes() []Note {
	var all []Note
	for _, d := range r.Documents {
		all = append(all, d.Notes...)
	}
	return append(all, r.Notes...)
}

// ErrNoCloud means that there are clusters, and that nobody said in which cloud.
var ErrNoCloud = errors.New("there are clusters, and a Cluster needs the name of its cloud, an entry of clouds.yaml: add --cloud NAME")

// Convert reads the inputs together, so that a cluster in one finds its template
// in another. Documents come in the order of the inputs, templates first. The
// error names every input that is not understood.
func Convert(inputs []Input, o Options) (Result, error) {
	var found collection
	var failed []error
	for _, in := range inputs {
		before := len(found.records) + len(found.notes)
		err := found.read(in, o.From)
		if err == nil && len(found.records)+len(found.notes) == before {
			err = errors.New("there is no cluster template, cluster or node group in it")
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", in.Name, err))
		}
	}
	if len(failed) > 0 {
		return Result{}, errors.Join(failed...)
	}
	found.unite()
	if o.Cloud == "" && slices.ContainsFunc(found.records, func(r *record) bool { return r.place == schema.KindCluster }) {
		return Result{}, ErrNoCloud
	}
	if err := outlines()[schema.KindCluster].fields["cloud"].text(string(o.Cloud)); o.Cloud != "" && err != nil {
		return Result{}, fmt.Errorf("the name of the cloud: %w", err)
	}
	return build(&found, o), nil
}

// read finds the records of one input.
func (c *collection) read(in Input, from schema.Foreign) error {
	values, err := parse(in.Data)
	if err != nil {
		return err
	}
	for _, v := range values {
		source := from
		if source == "" {
			source = sourceOf(v)
		}
		switch source {
		case schema.ForeignHeat:
			err = c.heat(in.Name, v)
		case schema.ForeignTerraform:
			err = c.terraform(in.Name, v)
		case schema.ForeignMagnum:
			err = c.magnum(in.Name, v)
		default:
			err = unknownSource(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sourceOf finds out where a value comes from by its keys.
func sourceOf(v any) schema.Foreign {
	if l, ok := v.([]any); ok && len(l) > 0 {
		v = l[0]
	}
	m, _ := v.(map[string]any)
	if _, ok := m["errors"].([]any); ok {
		return schema.ForeignMagnum
	}
	return schema.ForeignKeys(keysOf(m))
}

func unknownSource(v any) error {
	m, _ := v.(map[string]any)
	switch version := textOf(m["apiVersion"]); {
	case strings.HasPrefix(version, "jeroboam.io/"):
		return errors.New("this is a document of Jeroboam already")
	case m["uuid"] != nil && m["name"] != nil:
		return errors.New("this says too little of a template: print it with openstack coe cluster template show NAME -f json")
	}
	return errors.New("this is nothing that Magnum prints, no Heat template and no Terraform state. " +
		"Of the openstack command, convert reads what -f json and -f yaml print; of Terraform, terraform show -json")
}
