package sim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// paramValues gives every parameter of t its value, converted to its type and
// held to its constraints. It refuses what Heat refuses, in Heat's words.
func (c *Cloud) paramValues(t *hot, given, defaults map[string]any, who owner) (map[string]any, *heatErr) {
	for _, name := range sortedKeys(given) {
		if t.params[name] == nil {
			return nil, &heatErr{400, "UnknownUserParameter", "The Parameter (" + name + ") was not defined in template."}
		}
	}
	out := map[string]any{}
	for _, name := range sortedKeys(t.params) {
		p := t.params[name]
		if p.hasDefault {
			v, msg := p.convert(p.def)
			if msg == "" {
				msg = c.violated(p, v, who, false)
			}
			if msg != "" {
				return nil, &heatErr{400, "InvalidSchemaError", fmt.Sprintf("Parameter '%s' is invalid: Invalid default %s (%s)", name, pyStr(p.def), msg)}
			}
			out[name] = v
		}
		v, has := given[name]
		if !has {
			v, has = defaults[name]
		}
		if !has {
			if !p.hasDefault {
				return nil, &heatErr{400, "UserParameterMissing", "The Parameter (" + name + ") was not provided."}
			}
			if msg := c.violated(p, out[name], who, true); msg != "" {
				return nil, invalid("Parameter '%s' is invalid: %s", name, msg)
			}
			continue
		}
		conv, msg := p.convert(v)
		if msg == "" {
			msg = c.violated(p, conv, who, true)
		}
		if msg != "" {
			return nil, invalid("Parameter '%s' is invalid: %s", name, msg)
		}
		out[name] = conv
	}
	return out, nil
}

func (p *hotParam) convert(v any) (any, string) {
	if isUnresolved(v) {
		return v, ""
	}
	switch p.kind {
	case "string":
		if _, composite := v.(string); !composite {
			return pyStr(v), ""
		}
		return v, ""
	case "number":
		switch x := v.(type) {
		case int64, float64:
			return x, ""
		case string:
			if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
				return n, ""
			}
			if f, err := strconv.ParseFloat(strings.TrimSpace(x), 64); err == nil {
				return f, ""
			}
		}
		return nil, fmt.Sprintf("could not convert string to float: '%v'", v)
	case "boolean":
		if b, isBool := v.(bool); isBool {
			return b, ""
		}
		if b, valid := parseBool(pyStr(v)); valid {
			return b, ""
		}
		return nil, fmt.Sprintf("Unrecognized value '%v', acceptable values are: '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'", v)
	case "json":
		if s, isText := v.(string); isText {
			parsed, err := decodeJSON([]byte(s))
			if err != nil {
				return nil, "Value must be valid JSON: " + err.Error()
			}
			return parsed, ""
		}
		return v, ""
	case "comma_delimited_list":
		if s, isText := v.(string); isText {
			list := []any{}
			if s != "" {
				for e := range strings.SplitSeq(s, ",") {
					list = append(list, strings.TrimSpace(e))
				}
			}
			return list, ""
		}
		return asList(v), ""
	}
	return v, ""
}

// violated names the first constraint that v breaks. Custom constraints ask
// the cloud, and only for values that will be used.
func (c *Cloud) violated(p *hotParam, v any, who owner, custom bool) string {
	if isUnresolved(v) {
		return ""
	}
	for _, k := range p.constraints {
		msg := ""
		for name, spec := range k {
			m, _ := spec.(map[string]any)
			switch name {
			case "length":
				n := 0
				switch x := v.(type) {
				case []any:
					n = len(x)
				case map[string]any:
					n = len(x)
				default:
					n = len([]rune(pyStr(v)))
				}
				msg = outOfRange(fmt.Sprintf("length (%d)", n), float64(n), m["min"], m["max"])
			case "range":
				msg = outOfRange(pyStr(v), toFloat(v), m["min"], m["max"])
			case "allowed_values":
				msg = notAllowed(v, asList(spec))
			case "allowed_pattern":
				if re, err := regexp.Compile("^(?:" + pyStr(spec) + ")$"); err != nil || !re.MatchString(pyStr(v)) {
					msg = fmt.Sprintf(`"%s" does not match pattern "%s"`, pyStr(v), pyStr(spec))
				}
			case "modulo":
				if step := toFloat(m["step"]); step != 0 && int64(toFloat(v)-toFloat(m["offset"]))%int64(step) != 0 {
					msg = fmt.Sprintf("%s is not a multiple of %s with an offset of %s", pyStr(v), pyStr(m["step"]), pyStr(m["offset"]))
				}
			case "custom_constraint":
				if custom {
					_, msg = c.resolveRef(pyStr(spec), pyStr(v), who)
				}
			}
		}
		if msg != "" {
			if d, has := k["description"].(string); has {
				return d
			}
			return msg
		}
	}
	return ""
}

func toFloat(v any) float64 {
	switch x := v.(type) {
	case int64:
		return float64(x)
	case int:
		return float64(x)
	case float64:
		return x
	case string:
		f, _ := strconv.ParseFloat(x, 64)
		return f
	}
	return 0
}

func outOfRange(what string, n float64, low, high any) string {
	if low != nil && n < toFloat(low) || high != nil && n > toFloat(high) {
		return fmt.Sprintf("%s is out of range (min: %s, max: %s)", what, pyStr(low), pyStr(high))
	}
	return ""
}

func notAllowed(v any, allowed []any) string {
	values := []any{v}
	if list, isList := v.([]any); isList {
		values = list
	}
	for _, one := range values {
		found := false
		for _, a := range allowed {
			found = found || pyStr(a) == pyStr(one)
		}
		if !found {
			return fmt.Sprintf("%s is not an allowed value %s", pyJSON(v), pyJSON(allowed))
		}
	}
	return ""
}

// pyStr is str() of Python for the values of JSON.
func pyStr(v any) string {
	switch x := v.(type) {
	case nil:
		return "None"
	case string:
		return x
	case bool:
		if x {
			return "True"
		}
		return "False"
	case float64:
		s := strconv.FormatFloat(x, 'g', -1, 64)
		if !strings.ContainsAny(s, ".en") {
			s += ".0"
		}
		return s
	case int64, int:
		return fmt.Sprint(x)
	}
	return pyJSON(v)
}

// pyJSON is json.dumps: blanks after commas and colons.
func pyJSON(v any) string {
	switch x := v.(type) {
	case map[string]any:
		parts := make([]string, 0, len(x))
		for _, k := range sortedKeys(x) {
			parts = append(parts, pyJSON(k)+": "+pyJSON(x[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case obj:
		return pyJSON(map[string]any(x))
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			parts[i] = pyJSON(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return string(marshal(x))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(b)
}
