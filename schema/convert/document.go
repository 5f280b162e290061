package convert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	yaml "sigs.k8s.io/yaml/goyaml.v3"

	"jeroboam.io/jeroboam/schema"
)

// Document is one document of Jeroboam that is to be written. Whoever makes one
// need not care for order and defaults: fields are written in the order of the
// JSON Schema, and without those that say what holds anyway.
type Document struct {
	Kind string // schema.KindClusterTemplate or schema.KindCluster
	Name string // metadata.name
	Spec Fields

	Notes []Note // written as comments
}

// Fields are the fields of a mapping.
type Fields []Field

// Field is a name and a plain value: a string, bool, int, []string,
// map[string]string, Fields, or []Fields for a list of mappings.
type Field struct {
	Name  string
	Value any
}

// Get gives a field's value, nil if it is not there.
func (f Fields) Get(name string) any {
	i := slices.IndexFunc(f, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return f[i].Value
}

// Note tells the reader of a document what was not carried over as it was.
type Note struct {
	Document string `json:"document,omitempty"` // KIND/NAME; empty: of no document
	// Field is ours that the note stands at, as "labels" or, of a node group,
	// "nodeGroups/NAME/labels"; empty: it stands at the head of the document.
	Field      string   `json:"field,omitempty"`
	Attributes []string `json:"attributes,omitempty"` // Magnum's, that the note is about
	Text       string   `json:"text"`
}

// String is the note on one line.
func (n Note) String() string {
	s := n.Text
	if len(n.Attributes) > 0 {
		s = strings.Join(n.Attributes, ", ") + ": " + s
	}
	return oneLine(s)
}

// YAML writes documents, separated by "---".
func YAML(docs []Document) ([]byte, error) {
	var b bytes.Buffer
	for i, d := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := d.YAML()
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	return b.Bytes(), nil
}

// YAML is the document with its notes as comments.
func (d Document) YAML() ([]byte, error) {
	var b bytes.Buffer
	for _, n := range d.Notes {
		if n.Field == "" || !d.has(n.Field) {
			b.WriteString("# note: " + n.String() + "\n")
		}
	}
	meta := mapping([]pair{{"name", scalarNode(d.Name)}})
	meta.Style = yaml.FlowStyle
	root := mapping([]pair{
		{"apiVersion", scalarNode(schema.APIVersion)},
		{"kind", scalarNode(d.Kind)},
		{"metadata", meta},
		{"spec", d.node(d.Kind, "", d.Spec)},
	})
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("write %s %s: %w", d.Kind, d.Name, err)
	}
	return b.Bytes(), enc.Close()
}

// MarshalJSON is the document as the loader would read it from JSON.
func (d Document) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": schema.APIVersion, "kind": d.Kind, "metadata": map[string]any{"name": d.Name},
		"spec": d.object(d.Kind, d.Spec),
	})
}

func (d Document) object(place string, fields Fields) map[string]any {
	m := map[string]any{}
	for _, f := range d.written(place, "", fields) {
		switch v := f.Value.(type) {
		case Fields:
			m[f.Name] = d.object("", v)
		case []Fields:
			list := make([]any, 0, len(v))
			for _, entry := range v {
				list = append(list, d.object(placeIn(place, f.Name), entry))
			}
			m[f.Name] = list
		default:
			m[f.Name] = v
		}
	}
	return m
}

// placeIn is the place of the outline of what a field holds; empty if there is
// none.
func placeIn(place, field string) string {
	if place == schema.KindCluster && field == "nodeGroups" {
		return schema.NodeGroups
	}
	return ""
}

// written are the fields of a mapping in the order of its outline, without those
// that hold their default and have nothing to tell. A field that the outline
// does not know follows the one before it.
func (d Document) written(place, path string, fields Fields) Fields {
	o := outlines()[place]
	rank, last := map[string]int{}, -1
	var kept Fields
	for _, f := range fields {
		if i := slices.Index(o.order, f.Name); i >= 0 {
			last = i
		}
		rank[f.Name] = last
		if v := o.fields[f.Name].Default; v != nil && reflect.DeepEqual(v, f.Value) && !d.noted(path+f.Name) {
			continue
		}
		kept = append(kept, f)
	}
	slices.SortStableFunc(kept, func(a, b Field) int { return rank[a.Name] - rank[b.Name] })
	return kept
}

func (d Document) noted(field string) bool {
	return slices.ContainsFunc(d.Notes, func(n Note) bool { return n.Field == field })
}

// has tells whether a field that a note names is written.
func (d Document) has(field string) bool {
	group, ok := strings.CutPrefix(field, "nodeGroups/")
	if !ok {
		return d.Spec.Get(field) != nil
	}
	name, field, _ := strings.Cut(group, "/")
	groups, _ := d.Spec.Get("nodeGroups").([]Fields)
	return slices.ContainsFunc(groups, func(g Fields) bool { return g.Get("name") == name && g.Get(field) != nil })
}

func (d Document) node(place, path string, fields Fields) *yaml.Node {
	var pairs []pair
	for _, f := range d.written(place, path, fields) {
		pairs = append(pairs, pair{f.Name, d.valueNode(place, path+f.Name, f)})
	}
	n := mapping(pairs)
	for i := 0; i < len(n.Content); i += 2 {
		for _, note := range d.Notes {
			if note.Field == path+n.Content[i].Value {
				n.Content[i].HeadComment = strings.TrimPrefix(n.Content[i].HeadComment+"\n", "\n") + "# note: " + note.String()
			}
		}
	}
	return n
}

func (d Document) valueNode(place, path string, f Field) *yaml.Node {
	switch v := f.Value.(type) {
	case string:
		return scalarNode(v)
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)}
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range v {
			n.Content = append(n.Content, scalarNode(s))
		}
		return n
	case map[string]string:
		return labelsNode(v, f.Name == "labels")
	case Fields:
		n := d.node("", path+"/", v)
		if len(v) < 2 && place == "" {
			n.Style = yaml.FlowStyle
		}
		return n
	case []Fields:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, entry := range v {
			name, _ := entry.Get("name").(string)
			n.Content = append(n.Content, d.node(placeIn(place, f.Name), path+"/"+name+"/", entry))
		}
		return n
	}
	return scalarNode(fmt.Sprint(f.Value))
}

type pair struct {
	key   string
	value *yaml.Node
}

func mapping(pairs []pair) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range pairs {
		n.Content = append(n.Content, scalarNode(p.key), p.value)
	}
	return n
}

// labelsNode writes Magnum's labels as people do: true and 20 without quotes,
// unless the catalogue says that the label is text, such as a tag.
func labelsNode(labels map[string]string, magnum bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		value := scalarNode(labels[key])
		if label, known := schema.LabelOf(key); magnum && (!known || label.Type == schema.LabelBool || label.Type == schema.LabelInt) {
			if tag := plainTag(labels[key]); tag != "" {
				value.Tag = tag
			}
		}
		n.Content = append(n.Content, scalarNode(key), value)
	}
	return n
}

// plainTag is the tag of text that YAML reads as a number or truth value and
// that the loader gives back as the same text; empty for all other.
func plainTag(s string) string {
	if s == "true" || s == "false" {
		return "!!bool"
	}
	if n, err := strconv.Atoi(s); err == nil && strconv.Itoa(n) == s {
		return "!!int"
	}
	return ""
}

// oldBoolean are the words that YAML 1.1, which other tools still read, takes for
// true and false.
var oldBoolean = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$`)

// scalarNode is text, with quotes where YAML needs them. What a terminal would
// take for a command is escaped by the encoder.
func scalarNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ToValidUTF8(s, "�")}
	if oldBoolean.MatchString(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// oneLine is text for a comment: nothing in it may end the line or steer a
// terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}
