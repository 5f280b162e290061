package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// ReferenceMarkdown writes the reference of the documents for people: the fields
// of the kinds from their JSON Schemas, the labels from the catalogue, and the
// codes of problems. The reference of one kind alone has the fields only.
func ReferenceMarkdown(w io.Writer, kinds []string) error {
	var b strings.Builder
	for _, kind := range kinds {
		section, err := kindReference(kind)
		if err != nil {
			return err
		}
		b.WriteString(section)
	}
	if len(kinds) > 1 {
		page := b.String()
		b.Reset()
		b.WriteString("# Documents of " + schema.APIVersion + "\n\n" +
			"Every YAML document of a fleet is one of these kinds. Fields are named as Magnum's attributes, in camelCase;\n" +
			"sizes and times have the unit that is said with them.\n\n" + contents(kinds) + "\n" + page + labelReference() + codeReference())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// contents leads to the sections, by the anchors that forges make of headings.
func contents(kinds []string) string {
	var b strings.Builder
	for _, s := range append(slices.Clip(kinds), "Labels", "Problems") {
		fmt.Fprintf(&b, "- [%s](#%s)\n", s, strings.ToLower(s))
	}
	return b.String()
}

// described is what is shown of a JSON Schema.
type described struct {
	Description string                `json:"description"`
	Type        any                   `json:"type"` // a word or a list of them
	Magnum      string                `json:"x-magnum"`
	Expected    string                `json:"x-expected"`
	Default     any                   `json:"default"`
	Enum        []string              `json:"enum"`
	MinLength   *int                  `json:"minLength"`
	MaxLength   *int                  `json:"maxLength"`
	Minimum     *int                  `json:"minimum"`
	Maximum     *int                  `json:"maximum"`
	MinItems    *int                  `json:"minItems"`
	MaxItems    *int                  `json:"maxItems"`
	Required    []string              `json:"required"`
	Ref         string                `json:"$ref"`
	Defs        map[string]*described `json:"$defs"`
	Items       *described            `json:"items"`
	Properties  properties            `json:"properties"`
	Names       *described            `json:"propertyNames"`
	Additional  json.RawMessage       `json:"additionalProperties"` // false, or a schema
}

// properties keep the order in which they are written, which is the one that
// people read in.
type properties []property

type property struct {
	name string
	described
}

func (p *properties) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil { // {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		next := property{name: fmt.Sprint(name)}
		if err := dec.Decode(&next.described); err != nil {
			return err
		}
		*p = append(*p, next)
	}
	return nil
}

// additional is the schema of values whose keys are free; nil if there are none.
func (d *described) additional() *described {
	var below described
	if len(d.Additional) == 0 || json.Unmarshal(d.Additional, &below) != nil {
		return nil
	}
	return &below
}

func kindReference(kind string) (string, error) {
	data, err := schema.JSONSchema(kind)
	if err != nil {
		return "", err
	}
	var root described
	if err := json.Unmarshal(data, &root); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", kind, ourProse(root.Description))
	b.WriteString("| Field | Type | Default | Allowed | Meaning | Magnum |\n|--|--|--|--|--|--|\n")
	root.inline(root.Defs)
	fieldRows(&b, "", &root)
	b.WriteString("\n")
	return b.String(), nil
}

// inline puts the fields of shared definitions where they are referred to, but
// for labels, which have a section of their own.
func (d *described) inline(defs map[string]*described) {
	if def := defs[strings.TrimPrefix(d.Ref, "#/$defs/")]; def != nil && d.Ref != "#/$defs/labels" {
		d.Ref, d.Type, d.Properties, d.Required = "", def.Type, slices.Clone(def.Properties), def.Required
	}
	for i := range d.Properties {
		d.Properties[i].inline(defs)
	}
	if d.Items != nil {
		d.Items.inline(defs)
	}
}

// fieldRows writes a row for each field below an object, the fields of objects
// and lists after them. A star is any key or any entry.
func fieldRows(b *strings.Builder, path string, d *described) {
	for _, p := range d.Properties {
		at := strings.TrimPrefix(path+"."+p.name, ".")
		row := []string{"`" + at + "`", p.kind(), p.defaultValue(slices.Contains(d.Required, p.name)), p.allowed(), p.meaning(), ""}
		if p.Magnum != "" {
			row[5] = "`" + p.Magnum + "`"
		}
		tableRow(b, row)
		belowRows(b, at, &p.described)
	}
}

func belowRows(b *strings.Builder, at string, d *described) {
	switch {
	case d.Ref != "": // labels
	case d.Items != nil && d.Items.Properties != nil:
		fieldRows(b, at+"[]", d.Items)
	case d.Properties != nil:
		fieldRows(b, at, d)
	default:
		if below := d.additional(); below != nil && below.Properties != nil {
			fieldRows(b, at+".*", below)
		}
	}
}

// kind is the type in words.
func (d *described) kind() string {
	word := map[string]string{"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "object": "mapping", "array": "list"}
	switch t := d.Type.(type) {
	case string:
		if t == "array" && d.Items != nil && d.Items.Properties == nil {
			return "list of " + word[fmt.Sprint(d.Items.Type)]
		}
		return word[t]
	case []any:
		var words []string
		for _, one := range t {
			words = append(words, word[fmt.Sprint(one)])
		}
		return strings.Join(words, ", ")
	}
	return ""
}

func (d *described) defaultValue(required bool) string {
	switch {
	case required:
		return "**required**"
	case d.Default == nil:
		return ""
	}
	value, _ := json.Marshal(d.Default) // it came from JSON
	return "`" + string(value) + "`"
}

// allowed are the bounds: of a number, of the length of a text or a list, or the
// words that are taken.
func (d *described) allowed() string {
	var parts []string
	if len(d.Enum) > 0 {
		parts = append(parts, "`"+strings.Join(d.Enum, "`, `")+"`")
	}
	if d.Expected != "" {
		parts = append(parts, ourProse(d.Expected))
	}
	if d.Names != nil && d.Names.Expected != "" {
		parts = append(parts, "keys: "+ourProse(d.Names.Expected))
	}
	parts = append(parts, between(d.Minimum, d.Maximum, ""), between(d.MinLength, d.MaxLength, " characters"), between(d.MinItems, d.MaxItems, " entries"))
	return joined(parts, "; ")
}

// between is "1 to 99", "at most 255 characters" and the like. A text of at
// least one character is any text.
func between(low, high *int, of string) string {
	switch {
	case low != nil && high != nil && (of == "" || *low > 1):
		return strconv.Itoa(*low) + " to " + strconv.Itoa(*high) + of
	case high != nil:
		return "at most " + strconv.Itoa(*high) + of
	case low != nil && (of == "" || *low > 1):
		return "at least " + strconv.Itoa(*low) + of
	}
	return ""
}

// meaning is the description without Magnum's name, where that has a column.
func (d *described) meaning() string {
	if before, name, ok := strings.Cut(d.Description, " Magnum: "); ok && strings.TrimSuffix(name, ".") == d.Magnum {
		return ourProse(before)
	}
	return ourProse(d.Description)
}

func codeReference() string {
	var b strings.Builder
	b.WriteString("## Problems\n\nWhat `validate` tells, by code. An error stops everything, a warning and a note stop nothing.\n")
	for _, e := range schema.Explanations() {
		fmt.Fprintf(&b, "\n### %s %s\n\n*%s.* %s", e.Code, e.Title, e.Severity, explanationMarkdown(e))
	}
	return b.String()
}

// tableRow writes a row of a table. A pipe would end a cell, in code as well.
func tableRow(b *strings.Builder, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

// ourProse is text of the program's own in Markdown: code between backquotes
// stays, and what Markdown or HTML would take for more than text is escaped.
func ourProse(s string) string {
	parts := strings.Split(s, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", "&lt;", "[", `\[`).Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

// joined leaves empty parts out.
func joined(parts []string, between string) string {
	var full []string
	for _, p := range parts {
		if p != "" {
			full = append(full, p)
		}
	}
	return strings.Join(full, between)
}
