package heat

import (
	"encoding/json"
	"fmt"
	"strings"
)

// This file is as much of Heat's template language as decides what a template of
// ours has, before it is sent: parameters and conditions.

// later stands for a value that a resource decides, once it is there.
type later struct{}

// resolve puts parameters in.
func resolve(v any, params map[string]any) any {
	switch x := v.(type) {
	case []any:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = resolve(e, params)
		}
		return list
	case map[string]any:
		if name, ok := x["get_param"].(string); ok && len(x) == 1 {
			if is, known := params[name]; known {
				return is
			}
			return later{}
		}
		m := make(map[string]any, len(x))
		for k, e := range x {
			if len(x) == 1 && function(k) {
				return later{}
			}
			m[k] = resolve(e, params)
		}
		return m
	}
	return v
}

// function says that a key is one of the functions of Heat's that templates of
// ours use, besides get_param.
func function(key string) bool {
	return strings.HasPrefix(key, "get_") || key == "if" || strings.HasPrefix(key, "str_") || key == "list_join"
}

// truth of a condition of a template, which is one by name or in place; none is
// true.
func truth(v any, t, params map[string]any) (is, known bool) {
	switch x := v.(type) {
	case nil:
		return true, true
	case bool:
		return x, true
	case string:
		if c, ok := asMap(t["conditions"])[x]; ok {
			return truth(c, t, params)
		}
		return x == "true", x == "true" || x == "false"
	case map[string]any:
		return truthOf(x, t, params)
	}
	return false, false
}

func truthOf(m, t, params map[string]any) (is, known bool) {
	args, _ := m["equals"].([]any)
	switch {
	case len(args) == 2:
		a, knownA := parameter(args[0], t, params)
		b, knownB := parameter(args[1], t, params)
		return fmt.Sprint(a) == fmt.Sprint(b), knownA && knownB
	case m["not"] != nil:
		is, known = truth(m["not"], t, params)
		return !is, known
	case m["and"] != nil:
		return several(m["and"], false, t, params)
	case m["or"] != nil:
		return several(m["or"], true, t, params)
	case m["get_param"] != nil:
		v, known := parameter(m, t, params)
		return fmt.Sprint(v) == "true" || fmt.Sprint(v) == "True", known
	}
	return false, false
}

// several is "and", which one false decides, or "or", which one true does.
func several(v any, decides bool, t, params map[string]any) (is, known bool) {
	args, _ := v.([]any)
	known = true
	for _, a := range args {
		x, k := truth(a, t, params)
		if k && x == decides {
			return decides, true
		}
		known = known && k
	}
	return !decides, known
}

// parameter is resolve with the defaults of the template's parameters.
func parameter(v any, t, params map[string]any) (any, bool) {
	is := resolve(v, params)
	if _, open := is.(later); !open {
		return is, true
	}
	name, _ := asMap(v)["get_param"].(string)
	is, known := asMap(asMap(t["parameters"])[name])["default"]
	return is, known
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func number(v any) (int, bool) {
	switch x := v.(type) {
	case int:
		return x, true
	case int64:
		return int(x), true
	case float64:
		return int(x), true
	case json.Number:
		n, err := x.Int64()
		return int(n), err == nil
	}
	return 0, false
}
