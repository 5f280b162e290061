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
    "propertyNames": {"pattern": ` + text(labelName.String()) + `, "x-expected": "a label's name: a letter or digit, then letters, digits, '_', '.' or '-'"},
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
	switch {
	case l.Maximum != nil:
		parts = append(parts, fmt.Sprintf(`"maximum": %d`, *l.Maximum))
	case l.Type == LabelInt:
		parts = append(parts, fmt.Sprintf(`"maximum": %d`, maxLabelInt))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// maxLabelInt is the most that a number of the catalogue can be: nine digits.
const maxLabelInt = 999_999_999

// form is what JSON Schema can say of values of the type: kinds of values, the
// pattern of those that are text, and the pattern in words. What it cannot say,
// and the text of numbers, is checked by problem.
//
// Sources of patterns: image tags, OCI distribution specification ("pulling
// manifests"); domain names, RFC 1123, section 2.1; prefixes, the constraint in
// Magnum's kubecluster.yaml. An empty text stands for "nothing" where Magnum's
// own default is one.
func (t LabelType) form() (types, pattern, expected string) {
	const (
		anything = `["string", "integer", "number", "boolean"]`
		list     = `^([^,\s]([^,]*[^,\s])?(,[^,\s]([^,]*[^,\s])?)*)?$`
		name     = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
	)
	switch t {
	case LabelBool:
		return `["boolean", "string"]`, `^(true|True|false|False)$`, "true or false"
	case LabelInt:
		return `["integer", "string"]`, `^(0|-?[1-9][0-9]{0,8})$`, "a whole number"
	case LabelEnum:
		return `"string"`, "", ""
	case LabelList:
		return anything, list, "texts with commas between, without spaces around them"
	case LabelZoneList:
		return anything, list, "availability zones with commas between, without spaces around them"
	case LabelTag:
		return `["string", "integer", "number"]`, `^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`, "a tag: letters, digits, '_', '.' and '-', at most 128"
	case LabelVersion:
		return `"string"`, `^v(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})(-[0-9A-Za-z][0-9A-Za-z.-]{0,63})?$`, "a version such as v1.33.4"
	case LabelCIDR:
		return `"string"`, `^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$`, "an IPv4 network such as 10.0.0.0/24"
	case LabelCIDRs:
		return `"string"`, `^([0-9A-Fa-f:.]+/[0-9]{1,3}(,[0-9A-Fa-f:.]+/[0-9]{1,3})*)?$`, "networks such as 192.0.2.0/24 with commas between, without spaces"
	case LabelIP:
		return `"string"`, `^[0-9A-Fa-f:.]+$`, "an IP address"
	case LabelURL:
		return `"string"`, `^(https?://[^\s/]+[^\s]*)?$`, "a URL with http or https"
	case LabelPrefix:
		return `"string"`, `^([^\s]*/)?$`, "nothing, or a registry and path that end with /"
	case LabelSHA256:
		return `"string"`, `^[0-9a-f]{64}$`, "a SHA-256 checksum: 64 hex digits in lower case"
	case LabelDigest:
		return `"string"`, `^(sha256:[0-9a-f]{64})?$`, "sha256: and 64 hex digits in lower case"
	case LabelDomain:
		return `"string"`, `^` + name + `(\.` + name + `)*$`, "a domain name"
	case LabelUUID:
		return `"string"`, `^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`, "a UUID"
	case LabelPath:
		return `"string"`, `^/[^\s]*$`, "an absolute path"
	case LabelJSON:
		return `"string"`, `^\s*(\{[\s\S]*)?$`, "a JSON object as text"
	case LabelFlags:
		return `"string"`, `^(--?[A-Za-z0-9][^\r\n]*)?$`, "flags such as --v=2, with spaces between"
	case LabelText:
	}
	return anything, `^[^\r\n]*$`, "one line of text"
}

// hover is what an editor shows of the label.
func (l *Label) hover() string {
	var b strings.Builder
	b.WriteString(l.Meaning)
	if l.Unit != "" {
		b.WriteString(" In " + l.Unit + ".")
	}
	if l.Type == LabelList && len(l.Allowed) > 0 {
		b.WriteString(" Of " + strings.Join(l.Allowed, ", ") + ".")
	}
	for _, r := range l.Readers {
		said := []string{"since " + r.Since}
		if r.Until != "" {
			said = append(said, "until "+r.Until)
		}
		switch {
		case r.DefaultIs != "":
			said = append(said, "default "+r.DefaultIs)
		case r.Default != "":
			said = append(said, "default "+r.Default)
		}
		if r.Note != "" {
			said = append(said, r.Note)
		}
		b.WriteString(" " + strings.Join(r.Types, ", ") + ": " + strings.Join(said, ", ") + ".")
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
