package sim

import (
	"fmt"
	"slices"
)

// unresolved stands for a value that is known only later, as the attribute of
// a resource that does not exist yet. Whatever contains it is unresolved too.
type unresolved struct{}

func isUnresolved(v any) bool {
	switch x := v.(type) {
	case unresolved:
		return true
	case []any:
		if slices.ContainsFunc(x, isUnresolved) {
			return true
		}
	case map[string]any:
		for _, e := range x {
			if isUnresolved(e) {
				return true
			}
		}
	}
	return false
}

// omit is what `if` without an else gives: the property is not there.
type omit struct{}

// heatSays makes an error in Heat's own words, which begin with capitals and
// end with full stops.
func heatSays(format string, args ...any) error { return funcError(fmt.Sprintf(format, args...)) }

type funcError string

func (e funcError) Error() string { return string(e) }

// scope is where a template's functions look things up.
type scope struct {
	t      *hot
	params map[string]any
	files  map[string]string
	// resource and attr answer get_resource and get_attr; path is the rest of
	// the get_attr list, already evaluated.
	resource func(name string) (any, error)
	attr     func(name, attr string, path []any) (any, error)
	busy     map[string]bool // conditions being evaluated, against loops
}

type functionImpl func(*scope, any) (any, error)

// functionFor returns the function that a map with this single key calls.
func functionFor(name string) functionImpl {
	switch name {
	case "get_param":
		return (*scope).getParam
	case "get_resource":
		return func(s *scope, a any) (any, error) { return s.resource(pyStr(a)) }
	case "get_attr":
		return (*scope).getAttr
	case "get_file":
		return (*scope).getFile
	case "str_replace":
		return func(s *scope, a any) (any, error) { return s.strReplace(a, "str_replace", false) }
	case "str_replace_strict", "str_replace_vstrict":
		return func(s *scope, a any) (any, error) { return s.strReplace(a, name, true) }
	case "list_join":
		return (*scope).listJoin
	case "list_concat", "list_concat_unique":
		return (*scope).listConcat
	case "map_merge":
		return (*scope).mapMerge
	case "str_split":
		return (*scope).strSplit
	case "repeat":
		return (*scope).repeat
	case "if":
		return (*scope).choose
	case "digest":
		return (*scope).digest
	case "equals", "not", "and", "or", "contains":
		return func(s *scope, a any) (any, error) { return s.logic(name, a) }
	}
	return nil
}

// call splits {fn: args}.
func call(v any) (string, any, functionImpl) {
	m, isMap := v.(map[string]any)
	if !isMap || len(m) != 1 {
		return "", nil, nil
	}
	for k, a := range m {
		return k, a, functionFor(k)
	}
	return "", nil, nil
}

func (s *scope) eval(v any) (any, error) {
	if name, args, fn := call(v); fn != nil {
		if name != "repeat" && name != "if" && name != "get_resource" {
			var err error
			if args, err = s.eval(args); err != nil {
				return nil, err
			}
			if isUnresolved(args) && name != "get_attr" {
				return unresolved{}, nil
			}
		}
		return fn(s, args)
	}
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for _, k := range sortedKeys(x) {
			e, err := s.eval(x[k])
			if err != nil {
				return nil, err
			}
			if _, gone := e.(omit); !gone {
				out[k] = e
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(x))
		for _, e := range x {
			ev, err := s.eval(e)
			if err != nil {
				return nil, err
			}
			if _, gone := ev.(omit); !gone {
				out = append(out, ev)
			}
		}
		return out, nil
	}
	return v, nil
}

// refs calls found for every resource that v mentions in get_resource and
// get_attr; attr is "" for get_resource.
func refs(v any, at string, found func(name, attr, at string)) {
	if name, args, fn := call(v); fn != nil {
		switch name {
		case "get_resource":
			if s, isText := args.(string); isText {
				found(s, "", at)
			}
			return
		case "get_attr":
			if list := asList(args); len(list) > 0 {
				attr := ""
				if len(list) > 1 {
					attr, _ = list[1].(string)
				}
				if s, isText := list[0].(string); isText {
					found(s, attr, at)
				}
			}
			return
		}
	}
	switch x := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(x) {
			refs(x[k], at, found)
		}
	case []any:
		for _, e := range x {
			refs(e, at, found)
		}
	}
}
