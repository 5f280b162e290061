package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	yaml "sigs.k8s.io/yaml/goyaml.v3"

	"jeroboam.io/jeroboam/schema"
)

// An outline is what a JSON Schema says of the fields of one place: their order,
// which is that of the documents that people write, and what each may be.
type outline struct {
	order  []string
	fields map[string]property
}

type property struct {
	Type      yaml.Node `yaml:"type"` // a word, or a list of them
	Default   any       `yaml:"default"`
	Enum      []string  `yaml:"enum"`
	Pattern   string    `yaml:"pattern"`
	Expected  string    `yaml:"x-expected"`
	MinLength *int      `yaml:"minLength"`
	MaxLength *int      `yaml:"maxLength"`
	Minimum   *int      `yaml:"minimum"`
	Maximum   *int      `yaml:"maximum"`
	Magnum    string    `yaml:"x-magnum"`
}

// outlines are those of the specs and of node groups, by place, and of
// metadata.name as "KIND/name".
//
//nolint:gochecknoglobals // computed once from embedded files, never changed
var outlines = sync.OnceValue(func() map[string]outline {
	all := map[string]outline{}
	for _, kind := range []string{schema.KindClusterTemplate, schema.KindCluster} {
		text, err := schema.JSONSchema(kind)
		var root yaml.Node
		if err == nil {
			err = yaml.Unmarshal(text, &root)
		}
		if err != nil {
			panic("convert: " + kind + ": " + err.Error()) // a schema that is part of the program
		}
		properties := at(root.Content[0], "properties")
		all[kind] = outlineOf(at(properties, "spec", "properties"))
		all[kind+"/metadata"] = outlineOf(at(properties, "metadata", "properties"))
		if kind == schema.KindCluster {
			all[schema.NodeGroups] = outlineOf(at(properties, "spec", "properties", "nodeGroups", "items", "properties"))
		}
	}
	return all
})

func at(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		i := slices.IndexFunc(n.Content, func(c *yaml.Node) bool { return c.Value == key })
		n = n.Content[i+1]
	}
	return n
}

func outlineOf(properties *yaml.Node) outline {
	o := outline{fields: map[string]property{}}
	for i := 0; i < len(properties.Content); i += 2 {
		var p property
		if err := properties.Content[i+1].Decode(&p); err != nil {
			panic("convert: " + err.Error()) // a schema that is part of the program
		}
		name := properties.Content[i].Value
		o.order, o.fields[name] = append(o.order, name), p
	}
	return o
}

// attr is Magnum's name of a field, as its API spells it.
func (p property) attr() string {
	if now, ok := oldAttributes[p.Magnum]; ok {
		return now
	}
	return p.Magnum
}

// value makes what the field holds of an attribute: right type, whatever a
// client printed. The error says why it cannot be, for a note.
func (p property) value(v any) (any, error) {
	s := textOf(v)
	switch p.Type.Value {
	case "boolean":
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, fmt.Errorf("expected true or false, found %s", shown(v))
		}
		return b, nil
	case "integer":
		n, err := strconv.Atoi(strings.TrimSuffix(s, ".0"))
		if err != nil {
			return nil, fmt.Errorf("expected a whole number, found %s", shown(v))
		}
		return n, p.bounds(n)
	case "array":
		return listOf(v), nil
	}
	if s == "" {
		return nil, fmt.Errorf("expected text, found %s", shown(v))
	}
	return s, p.text(s)
}

func (p property) bounds(n int) error {
	switch {
	case p.Minimum != nil && n < *p.Minimum:
		return fmt.Errorf("%d is less than %d, the least that Jeroboam allows", n, *p.Minimum)
	case p.Maximum != nil && n > *p.Maximum:
		return fmt.Errorf("%d is more than %d, the most that Jeroboam allows", n, *p.Maximum)
	}
	return nil
}

func (p property) text(s string) error {
	switch {
	case len(p.Enum) > 0 && !slices.Contains(p.Enum, s):
		return fmt.Errorf("%s is not one of %s", shown(s), strings.Join(p.Enum, ", "))
	case p.MaxLength != nil && utf8.RuneCountInString(s) > *p.MaxLength:
		return fmt.Errorf("it has more than %d characters", *p.MaxLength)
	case p.Pattern != "" && !regexp.MustCompile(p.Pattern).MatchString(s):
		return fmt.Errorf("%s is not %s", shown(s), p.Expected)
	}
	return nil
}

// listOf is a list of texts: a list, or text with commas between.
func listOf(v any) []string {
	var parts []string
	if l, ok := v.([]any); ok {
		for _, item := range l {
			parts = append(parts, textOf(item))
		}
	} else {
		parts = strings.Split(textOf(v), ",")
	}
	var list []string
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(list, part) {
			list = append(list, part)
		}
	}
	return list
}

// shown is a value in a note.
func shown(v any) string {
	const most = 60
	s := textOf(v)
	if s == "" {
		return "something else"
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}
