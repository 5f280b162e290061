package schema

import (
	"slices"
	"unicode/utf8"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// accepts tells whether a tree fits the schema. It knows the keywords that our
// schemas use and walks the YAML nodes as they are, which takes a tenth of the
// time that the JSON Schema library needs. What it does not accept goes to the
// library, which then says why (explain.go). A test holds the two together.
func (f *field) accepts(n *yaml.Node) bool {
	k := kindOf(n)
	if f.kinds&k == 0 && !(k == kNumber && f.kinds&kInteger != 0) &&
		!(k == kInteger && f.kinds&kNumber != 0) {
		return false
	}
	switch k {
	case kObject:
		return f.acceptsObject(n)
	case kArray:
		return f.acceptsArray(n)
	case kString:
		return f.acceptsText(n.Value)
	case kInteger, kNumber:
		return f.acceptsNumber(n)
	default: // null and booleans have nothing but their kind
		return true
	}
}

func (f *field) acceptsObject(n *yaml.Node) bool {
	for _, name := range f.Required {
		if child(n, name) == nil {
			return false
		}
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if f.keys != nil && !f.keys.acceptsText(key) {
			return false
		}
		sub := f.props[key]
		if sub == nil {
			sub = f.known[key]
		}
		if sub == nil {
			sub = f.values
		}
		if sub == nil || !sub.accepts(value) {
			return false
		}
	}
	return true
}

func (f *field) acceptsArray(n *yaml.Node) bool {
	if f.MinItems != nil && len(n.Content) < *f.MinItems || f.MaxItems != nil && len(n.Content) > *f.MaxItems {
		return false
	}
	for i, item := range n.Content {
		if !f.items.accepts(item) {
			return false
		}
		// Only lists of texts are unique in our schemas.
		if f.UniqueItems && slices.ContainsFunc(n.Content[:i], func(o *yaml.Node) bool { return o.Value == item.Value }) {
			return false
		}
	}
	return true
}

func (f *field) acceptsText(s string) bool {
	switch {
	case f.Enum != nil && !slices.Contains(f.Enum, s):
	case f.MinLength != nil && utf8.RuneCountInString(s) < *f.MinLength:
	case f.MaxLength != nil && utf8.RuneCountInString(s) > *f.MaxLength:
	case f.pattern != nil && !f.pattern.MatchString(s):
	default:
		return true
	}
	return false
}

func (f *field) acceptsNumber(n *yaml.Node) bool {
	i, ok := integer(n)
	if f.kinds&kNumber != 0 && !ok {
		return true // only labels, where what may have a fraction has no bounds
	}
	return ok && (f.Minimum == nil || i >= *f.Minimum) && (f.Maximum == nil || i <= *f.Maximum)
}
