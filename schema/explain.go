package schema

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// explain asks the JSON Schema library what is wrong with a tree and tells it
// in our words, at the place of the key or value. No problem is possible: then
// the quick check was too strict, and the library is right.
func (k *kind) explain(root *yaml.Node) Problems {
	err := k.strict().Validate(plain(root))
	var ve *jsonschema.ValidationError
	if err == nil || !errors.As(err, &ve) {
		return nil
	}
	var ps Problems
	leaves(ve, func(leaf *jsonschema.ValidationError) {
		ps = append(ps, k.translate(root, leaf)...)
	})
	return ps
}

func leaves(ve *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(ve.Causes) == 0 {
		visit(ve)
	}
	for _, c := range ve.Causes {
		leaves(c, visit)
	}
}

// plain is a tree as the values that encoding/json would give.
func plain(n *yaml.Node) any {
	switch kindOf(n) {
	case kObject:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case kArray:
		l := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			l = append(l, plain(c))
		}
		return l
	case kNull:
		return nil
	case kBoolean:
		return strings.EqualFold(n.Value, "true")
	case kString:
		return n.Value
	case kInteger, kNumber:
		if i, ok := integer(n); ok {
			return i
		}
		if f := float(n); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return 0.5 // JSON has no infinity: any number that is not whole
	}
	return n.Value
}

// A spot is what a JSON pointer leads to.
type spot struct {
	pointer string
	key     *yaml.Node // nil in a list and at the root
	value   *yaml.Node
	field   *field
}

// find follows the parts of a pointer as far as they lead.
func (k *kind) find(root *yaml.Node, parts []string) spot {
	s := spot{value: root, field: k.root}
	for _, part := range parts {
		next := spot{pointer: s.pointer + "/" + escape(part)}
		switch s.value.Kind {
		case yaml.MappingNode:
			i := slices.IndexFunc(s.value.Content, func(n *yaml.Node) bool { return n.Value == part })
			for i >= 0 && i%2 == 1 { // a value with that text
				j := slices.IndexFunc(s.value.Content[i+1:], func(n *yaml.Node) bool { return n.Value == part })
				if j < 0 {
					return s
				}
				i += 1 + j
			}
			if i < 0 {
				return s
			}
			next.key, next.value = s.value.Content[i], s.value.Content[i+1]
			if next.field = s.field.props[part]; next.field == nil {
				next.field = s.field.known[part]
			}
			if next.field == nil {
				next.field = s.field.values
			}
		case yaml.SequenceNode:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(s.value.Content) {
				return s
			}
			next.value, next.field = s.value.Content[i], s.field.items
		default:
			return s
		}
		if next.field == nil {
			return s
		}
		s = next
	}
	return s
}

// translate turns one error of the library into problems.
func (k *kind) translate(root *yaml.Node, ve *jsonschema.ValidationError) Problems {
	s := k.find(root, pointerParts(ve.InstanceLocation))
	keyword := ve.KeywordLocation[strings.LastIndexByte(ve.KeywordLocation, '/')+1:]
	if strings.HasSuffix(strings.TrimSuffix(ve.KeywordLocation, "/"+keyword), "/propertyNames") {
		s.value = s.key
		parent := k.find(root, pointerParts(ve.InstanceLocation[:strings.LastIndexByte(ve.InstanceLocation, '/')]))
		s.field = parent.field.keys
	}
	switch keyword {
	case "additionalProperties":
		return k.unknownFields(s)
	case "required":
		return missingFields(s)
	}
	code, message, hint := s.describe(keyword)
	if l := s.field.label; l != nil {
		code, message, hint = CodeLabelValue, s.labelMessage(keyword, message), cmp.Or(hint, boolHint(s.field, s.value))
	}
	return Problems{s.problem(code, s.value, message, hint)}
}

// labelMessage is the message about a label's value, in which an empty value
// that is allowed can be seen.
func (s spot) labelMessage(keyword, message string) string {
	switch l := s.field.label; {
	case keyword == "enum" || keyword == "type" && l.Type == LabelEnum:
		return fmt.Sprintf("expected one of %s, found %s", choice(l.Allowed), s.found())
	case keyword == "type" && s.field.Expected != "" && kindOf(s.value)&(kObject|kArray|kNull) == 0:
		return fmt.Sprintf("expected %s, found %s", s.field.Expected, s.found())
	}
	return message
}

func (s spot) problem(code Code, at *yaml.Node, message, hint string) Problem {
	return Problem{Code: code, Pos: Pos{Line: at.Line, Column: at.Column}, Pointer: s.pointer, Message: message, Hint: hint}
}

func (k *kind) unknownFields(s spot) Problems {
	var ps Problems
	for i := 0; i < len(s.value.Content); i += 2 {
		key := s.value.Content[i]
		if s.field.props[key.Value] != nil {
			continue
		}
		p := s.problem(CodeUnknownField, key, fmt.Sprintf("unknown field %q", short(key.Value)), k.unknownHint(s.field, key.Value))
		if hint, ok := k.oldWord(s.field, key.Value); ok {
			p.Code, p.Hint = CodeOldWord, hint
		}
		p.Pointer += "/" + escape(key.Value)
		ps = append(ps, p)
	}
	return ps
}

// unknownHint finds what was meant by a name that is neither a field nor
// Magnum's word for one: a field of the other kind, or one with a similar name.
func (k *kind) unknownHint(f *field, name string) string {
	if f.path == "spec" {
		for _, other := range []string{KindClusterTemplate, KindCluster} {
			if o := registry()[other]; o != k && o.root.props["spec"].props[name] != nil {
				return "it belongs in the " + other
			}
		}
	}
	if hint := didYouMean(name, f.names); hint != "" {
		return hint
	}
	return "the fields here are " + strings.Join(f.names, ", ")
}

func missingFields(s spot) Problems {
	var ps Problems
	for _, name := range s.field.Required {
		if child(s.value, name) != nil {
			continue
		}
		f := s.field.props[name]
		hint, _, _ := strings.Cut(strings.TrimSuffix(f.Description, "."), ". ")
		if len(f.Enum) > 1 {
			hint = "add one of " + strings.Join(f.Enum, ", ")
		}
		ps = append(ps, s.problem(CodeMissingField, s.value, fmt.Sprintf("%q is missing", name), hint))
	}
	return ps
}

// describe tells how a value breaks a keyword of its field.
func (s spot) describe(keyword string) (code Code, message, hint string) {
	v, f := s.value, s.field
	switch keyword {
	case "type":
		return CodeType, fmt.Sprintf("expected %s, found %s", f.kinds, s.found()), s.typeHint()
	case "enum":
		return CodeNotAllowed, fmt.Sprintf("expected one of %s, found %s", strings.Join(f.Enum, ", "), s.found()), s.nearest()
	case "pattern":
		return CodeForm, fmt.Sprintf("expected %s, found %s", f.Expected, s.found()), ""
	case "minLength":
		return CodeRange, "the text is empty", ""
	case "maxLength":
		return CodeRange, fmt.Sprintf("the text has %d characters, at most %d are allowed", len([]rune(v.Value)), *f.MaxLength), ""
	case "minimum":
		return CodeRange, fmt.Sprintf("expected at least %d, found %s", *f.Minimum, s.found()), ""
	case "maximum":
		return CodeRange, fmt.Sprintf("expected at most %d, found %s", *f.Maximum, s.found()), ""
	case "minItems":
		return CodeListSize, fmt.Sprintf("the list has %d entries, at least %d are needed", len(v.Content), *f.MinItems), ""
	case "maxItems":
		return CodeListSize, fmt.Sprintf("the list has %d entries, at most %d are allowed", len(v.Content), *f.MaxItems), ""
	case "uniqueItems":
		return CodeListSize, "the list has the same entry twice", "keep one of the two"
	}
	return CodeForm, "does not fit the schema (" + keyword + ")", ""
}

// found describes the value, unless it may be a secret.
func (s spot) found() string {
	if s.secret() {
		return kindOf(s.value).String()
	}
	return found(s.value)
}

func (s spot) nearest() string {
	if s.secret() {
		return ""
	}
	return didYouMean(s.value.Value, s.field.Enum)
}

// secret says that the value may be one that no message may repeat: that of a
// secret label, or what somebody wrote where a reference to it belongs.
func (s spot) secret() bool {
	path := s.field.path
	return strings.Contains(path, "secretLabels/") || strings.HasSuffix(path, "labels/*") && s.key != nil && secretLabel(s.key.Value)
}

// typeHint says what to do about the mistakes that YAML makes easy.
func (s spot) typeHint() string {
	f, v := s.field, s.value
	switch k := kindOf(v); {
	case s.secret() && k&(kNull|kArray|kObject) == 0:
		return "a value that is written here is in the repository's history now: replace it"
	case s.secret():
	case k == kNull:
		return "give it a value or leave it out"
	case f.kinds == kString && f.pattern != nil && !f.pattern.MatchString(v.Value):
		return "" // quotes alone do not mend it
	case f.kinds == kString && k&(kBoolean|kInteger|kNumber) != 0:
		return fmt.Sprintf("put it in quotes: %q", short(v.Value))
	case boolHint(f, v) != "":
		return boolHint(f, v)
	case f.kinds&(kInteger|kBoolean) != 0 && k == kString && (decimal(v.Value) || v.Value == "true" || v.Value == "false"):
		return "write it without quotes"
	case f.kinds == kArray && k == kString:
		return fmt.Sprintf("write it as a list: [%s]", short(v.Value))
	}
	return ""
}

// boolHint is for the words that older YAML took for true and false.
func boolHint(f *field, v *yaml.Node) string {
	if f.kinds&kBoolean == 0 || f.kinds&kNumber != 0 || kindOf(v) == kBoolean {
		return ""
	}
	switch strings.ToLower(v.Value) {
	case "yes", "on", "y", "1":
		return "write true"
	case "no", "off", "n", "0":
		return "write false"
	}
	return ""
}

// escape makes a part of an RFC 6901 pointer.
func escape(part string) string {
	return strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1")
}

// pointerParts splits the library's pointers, which are escaped for URLs too.
func pointerParts(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, p := range parts {
		if u, err := url.PathUnescape(p); err == nil {
			p = u
		}
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts
}
