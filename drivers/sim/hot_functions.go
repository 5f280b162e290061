package sim

import (
	"crypto/md5"  //nolint:gosec // the digest function of HOT offers it
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"maps"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

func (s *scope) getParam(args any) (any, error) {
	list := asList(args)
	if len(list) == 0 {
		return nil, heatSays("Function \"get_param\" must have arguments")
	}
	v, known := s.params[pyStr(list[0])]
	if !known {
		return nil, heatSays("The Parameter (%s) was not provided.", pyStr(list[0]))
	}
	return dig(v, list[1:]), nil
}

// dig walks into maps and lists; what is not there is an empty string.
func dig(v any, path []any) any {
	for _, p := range path {
		switch x := v.(type) {
		case unresolved:
			return x
		case map[string]any:
			next, has := x[pyStr(p)]
			if !has {
				return ""
			}
			v = next
		case obj:
			next, has := x[pyStr(p)]
			if !has {
				return ""
			}
			v = next
		case []any:
			i, err := strconv.Atoi(pyStr(p))
			if i < 0 {
				i += len(x)
			}
			if err != nil || i < 0 || i >= len(x) {
				return ""
			}
			v = x[i]
		default:
			return ""
		}
	}
	return v
}

func (s *scope) getAttr(args any) (any, error) {
	list := asList(args)
	if len(list) < 1 {
		return nil, heatSays("Arguments to \"get_attr\" must be of the form [resource_name, attribute, (path), ...]")
	}
	attr := ""
	var path []any
	if len(list) > 1 {
		attr, path = pyStr(list[1]), list[2:]
	}
	return s.attr(pyStr(list[0]), attr, path)
}

func (s *scope) getFile(args any) (any, error) {
	text, has := s.files[pyStr(args)]
	if !has {
		return nil, heatSays(`No content found in the "files" section for get_file path: %s`, pyStr(args))
	}
	return text, nil
}

const strReplaceUsage = `'"%s" syntax should be %s:\n              template: This is var1 template var2\n              params:\n                var1: a\n                var2: string'`

func (s *scope) strReplace(args any, name string, strict bool) (any, error) {
	m, _ := args.(map[string]any)
	params, hasParams := m["params"].(map[string]any)
	template, hasTemplate := m["template"]
	if !hasParams || !hasTemplate {
		return nil, heatSays(strReplaceUsage, name, name)
	}
	keys := sortedKeys(params)
	sort.SliceStable(keys, func(i, j int) bool { return len(keys[i]) > len(keys[j]) })
	// What was put in is not looked at again, so text is kept in pieces.
	type piece struct {
		text  string
		fixed bool
	}
	pieces := []piece{{text: pyStr(template)}}
	for _, k := range keys {
		if k == "" {
			continue
		}
		value, used := "", false
		if params[k] != nil {
			value = pyStr(params[k])
		}
		var next []piece
		for _, p := range pieces {
			if p.fixed {
				next = append(next, p)
				continue
			}
			for i, part := range strings.Split(p.text, k) {
				if i > 0 {
					used = true
					next = append(next, piece{value, true})
				}
				next = append(next, piece{text: part})
			}
		}
		if strict && !used {
			return nil, heatSays("The following params were not found in the template: %s", k)
		}
		pieces = next
	}
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
	}
	return b.String(), nil
}

func (s *scope) listJoin(args any) (any, error) {
	list, isList := args.([]any)
	if !isList || len(list) < 2 {
		return nil, heatSays("Incorrect arguments to \"list_join\" should be: [\" \", [\"str1\", \"str2\"]]")
	}
	parts := []string{}
	for _, l := range list[1:] {
		items, isItems := l.([]any)
		if !isItems && l != nil {
			return nil, heatSays("\"list_join\" must operate on a list, not %T", l)
		}
		for _, e := range items {
			if e == nil {
				parts = append(parts, "")
			} else {
				parts = append(parts, pyStr(e))
			}
		}
	}
	return strings.Join(parts, pyStr(list[0])), nil
}

func (s *scope) listConcat(args any) (any, error) {
	out := []any{}
	for _, l := range asList(args) {
		out = append(out, asList(l)...)
	}
	return out, nil
}

func (s *scope) mapMerge(args any) (any, error) {
	out := map[string]any{}
	for _, m := range asList(args) {
		maps.Copy(out, toObj(m))
	}
	return out, nil
}

func (s *scope) strSplit(args any) (any, error) {
	list := asList(args)
	if len(list) < 2 {
		return nil, heatSays("Incorrect arguments to \"str_split\" should be: [\",\", \"string\"]")
	}
	out := []any{}
	for p := range strings.SplitSeq(pyStr(list[1]), pyStr(list[0])) {
		out = append(out, p)
	}
	if len(list) > 2 {
		return dig(out, list[2:3]), nil
	}
	return out, nil
}

// repeat evaluates its template once per combination of the lists.
func (s *scope) repeat(args any) (any, error) {
	m, _ := args.(map[string]any)
	forEach, err := s.eval(m["for_each"])
	if err != nil {
		return nil, err
	}
	lists, isMap := forEach.(map[string]any)
	if isUnresolved(forEach) {
		return unresolved{}, nil
	}
	if !isMap || m["template"] == nil {
		return nil, heatSays("\"repeat\" syntax should be {template: ..., for_each: {%%var%%: [...]}}")
	}
	out := []any{}
	var walk func(keys []string, v any)
	walk = func(keys []string, v any) {
		if len(keys) == 0 {
			out = append(out, v)
			return
		}
		for _, e := range asList(lists[keys[0]]) {
			walk(keys[1:], substitute(v, keys[0], e))
		}
	}
	if p, set := m["permutations"].(bool); set && !p {
		s.pairwise(m["template"], lists, &out)
	} else {
		walk(sortedKeys(lists), m["template"])
	}
	return s.eval(out)
}

func (s *scope) pairwise(template any, lists map[string]any, out *[]any) {
	keys := sortedKeys(lists)
	if len(keys) == 0 {
		return
	}
	for i := range asList(lists[keys[0]]) {
		v := template
		for _, k := range keys {
			v = substitute(v, k, asList(lists[k])[i])
		}
		*out = append(*out, v)
	}
}

func substitute(v any, key string, value any) any {
	switch x := v.(type) {
	case string:
		if x == key {
			return value
		}
		return strings.ReplaceAll(x, key, pyStr(value))
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = substitute(e, key, value)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[strings.ReplaceAll(k, key, pyStr(value))] = substitute(e, key, value)
		}
		return out
	}
	return v
}

func (s *scope) choose(args any) (any, error) {
	list, _ := args.([]any)
	if len(list) != 2 && len(list) != 3 {
		return nil, heatSays("Arguments to \"if\" must be of the form: [condition_name, value_if_true, value_if_false]")
	}
	yes, err := s.condition(list[0])
	if err != nil {
		return nil, err
	}
	if yes {
		return s.eval(list[1])
	}
	if len(list) == 3 {
		return s.eval(list[2])
	}
	return omit{}, nil
}

// condition evaluates a condition: a name, a boolean, or a function.
func (s *scope) condition(v any) (bool, error) {
	if name, isName := v.(string); isName {
		def, known := s.t.conditions[name]
		if !known || s.busy[name] {
			return false, heatSays(`Invalid condition "%s"`, name)
		}
		if s.busy == nil {
			s.busy = map[string]bool{}
		}
		s.busy[name] = true
		defer delete(s.busy, name)
		return s.condition(def)
	}
	if b, isBool := v.(bool); isBool {
		return b, nil
	}
	got, err := s.eval(v)
	if err != nil {
		return false, err
	}
	if b, isBool := got.(bool); isBool {
		return b, nil
	}
	return false, heatSays(`Invalid condition "%s"`, pyStr(v))
}

func (s *scope) logic(name string, args any) (any, error) {
	list := asList(args)
	switch name {
	case "equals":
		if len(list) != 2 {
			return nil, heatSays("Arguments to \"equals\" must be of the form: [value_1, value_2]")
		}
		return reflect.DeepEqual(list[0], list[1]), nil
	case "contains":
		if len(list) != 2 {
			return nil, heatSays("Arguments to \"contains\" must be of the form: [value1, [value1, value2]]")
		}
		for _, e := range asList(list[1]) {
			if reflect.DeepEqual(e, list[0]) {
				return true, nil
			}
		}
		return false, nil
	case "not":
		b, err := s.condition(args)
		return !b, err
	}
	for _, e := range list {
		b, err := s.condition(e)
		if err != nil {
			return nil, err
		}
		if b == (name == "or") {
			return b, nil
		}
	}
	return name == "and", nil
}

func (s *scope) digest(args any) (any, error) {
	list := asList(args)
	if len(list) != 2 {
		return nil, heatSays("Argument of function \"digest\" must be a list of algorithm and value")
	}
	text := []byte(pyStr(list[1]))
	switch pyStr(list[0]) {
	case "md5":
		return fmt.Sprintf("%x", md5.Sum(text)), nil //nolint:gosec // see the import
	case "sha1":
		return fmt.Sprintf("%x", sha1.Sum(text)), nil //nolint:gosec // see the import
	case "sha256":
		return fmt.Sprintf("%x", sha256.Sum256(text)), nil
	case "sha512":
		return fmt.Sprintf("%x", sha512.Sum512(text)), nil
	}
	return nil, heatSays("Algorithm must be one of md5, sha1, sha256, sha512")
}
