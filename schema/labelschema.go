package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// withLabels puts the catalogue of labels into a JSON Schema, as the definition
// that its labels refer to. So an editor needs one file, completes the keys and
// shows what they mean.
func withLabels(file []byte) []byte {
	return bytes.Replace(file, []byte(`"$defs": {"labels": {}}`), append([]byte(`"$defs": {"labels": `), append(labelDefinition(), '}')...), 1)
}

// labelDefinition is the JSON Schema of a mapping of labels. A key that is not
// in the catalogue is not refused here: a Magnum driver from elsewhere may know
// it, which the configuration says.
func labelDefinition() []byte {
	var b bytes.Buffer
	b.WriteString(`{
    "type": "object",
    "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "x-expected": "a label's name: a letter or digit, then letters, digits, '_', '.' or '-'"},
    "additionalProperties": {"type": ["string", "integer", "number", "boolean"]},
    "properties": {`)
	for i, l := range Labels() {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n      %s: %s", text(l.Key), l.jsonSchema())
	}
	b.WriteString("\n    }\n  }")
	return b.Bytes()
}

// jsonSchema is the JSON Schema of the label's value.
func (l *Label) jsonSchema() string {
	types, pattern, expected := l.Type.form()
	parts := []string{
		`"title": ` + text(l.Title),
		`"description": ` + text(l.hover()),
		`"type": ` + types,
	}
	if l.Type == LabelEnum {
		b, _ := json.Marshal(l.Allowed) // texts
		parts = append(parts, `"enum": `+string(b))
	}
	if pattern != "" {
		parts = append(parts, `"pattern": `+text(pattern), `"x-expected": `+text(expected))
	}
	if l.Minimum != nil {
		parts = append(parts, fmt.Sprintf(`"minimum": %d`, *l.Minimum))
	}
	if l.Maximum != nil {
		parts = append(parts, fmt.Sprintf(`"maximum": %d`, *l.Maximum))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// form is what JSON Schema can say of values of the type: kinds of values, the
// pattern of those that are text, and the pattern in words.
func (t LabelType) form() (types, pattern, expected string) {
	const anything = `["string", "integer", "number", "boolean"]`
	switch t {
	case LabelBool:
		return `["boolean", "string"]`, `^([Tt]rue|[Ff]alse)$`, "true or false"
	case LabelInt:
		return `["integer", "string"]`, `^-?[0-9]{1,9}$`, "a whole number"
	case LabelVersion:
		return `"string"`, `^v[0-9]`, "a version such as v1.33.4"
	}
	return anything, "", ""
}

// hover is what an editor shows of the label.
func (l *Label) hover() string {
	var b strings.Builder
	b.WriteString(l.Meaning)
	if l.Unit != "" {
		b.WriteString(" In " + l.Unit + ".")
	}
	for _, r := range l.Readers {
		b.WriteString(" " + strings.Join(r.Types, ", ") + ":")
		if r.Default != "" {
			b.WriteString(" default " + r.Default)
		}
		if r.Note != "" {
			b.WriteString(" (" + r.Note + ")")
		}
		b.WriteByte('.')
	}
	if l.Obsolete != "" {
		b.WriteString(" Obsolete: " + l.Obsolete)
	}
	return b.String()
}

// text is a JSON string.
func text(s string) string {
	b, _ := json.Marshal(s) // a text always has one
	return string(b)
}
