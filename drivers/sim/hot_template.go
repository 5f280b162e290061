package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"
)

// heatErr is a refusal of Heat's API: what comes back before anything starts.
type heatErr struct {
	status    int
	kind, msg string
}

func invalid(format string, args ...any) *heatErr {
	return &heatErr{400, "StackValidationFailed", fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *heatErr {
	return &heatErr{400, "HTTPBadRequest", fmt.Sprintf(format, args...)}
}

func limitExceeded(format string, args ...any) *heatErr {
	return &heatErr{400, "RequestLimitExceeded", "Request limit exceeded: " + fmt.Sprintf(format, args...)}
}

// hot is a parsed template.
type hot struct {
	raw         json.RawMessage // as it was sent; GET template returns it
	doc         map[string]any
	description string
	params      map[string]*hotParam
	conditions  map[string]any
	resources   map[string]*hotResource
	outputs     map[string]map[string]any
}

type hotParam struct {
	name, kind, label, description string
	def                            any
	hasDefault, hidden             bool
	constraints                    []map[string]any
}

type hotResource struct {
	name, kind string
	properties map[string]any
	metadata   any
	dependsOn  []string
	condition  any
	retain     bool
}

// hotVersions are those that Heat 19 knows, dates and releases.
func hotVersions() []string {
	return []string{
		"2013-05-23", "2014-10-16", "2015-04-30", "2015-10-15", "2016-04-08", "2016-10-14", "2017-02-24", "2017-09-01",
		"2018-03-02", "2018-08-31", "2021-04-16", "newton", "ocata", "pike", "queens", "rocky", "wallaby",
	}
}

// decodeJSON keeps whole numbers whole.
func decodeJSON(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

func numbers(v any) any {
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		f, _ := x.Float64()
		return f
	case map[string]any:
		for k, e := range x {
			x[k] = numbers(e)
		}
	case []any:
		for i, e := range x {
			x[i] = numbers(e)
		}
	}
	return v
}

// parseHOT reads a template sent as an object or as YAML or JSON text.
func parseHOT(sent json.RawMessage, limit int, origin string) (*hot, *heatErr) {
	raw := []byte(sent)
	var text string
	if json.Unmarshal(sent, &text) == nil {
		raw = []byte(text)
	}
	if len(raw) > limit {
		return nil, limitExceeded("Template size (%d bytes) exceeds maximum allowed size (%d bytes).", len(raw), limit)
	}
	asJSON := raw // JSON stays as it is and keeps the order of its keys
	v, err := decodeJSON(raw)
	if err != nil {
		if asJSON, err = yaml.YAMLToJSON(raw); err != nil {
			return nil, badRequest("Template not in valid format: Error parsing template [%s] %v", origin, err)
		}
		v, err = decodeJSON(asJSON)
	}
	doc, isMap := v.(map[string]any)
	if err != nil || !isMap {
		return nil, badRequest("Template not in valid format: The template is not a JSON object or YAML mapping.")
	}
	return newHOT(asJSON, doc)
}

func newHOT(raw []byte, doc map[string]any) (*hot, *heatErr) {
	t := &hot{raw: raw, doc: doc, params: map[string]*hotParam{}, resources: map[string]*hotResource{}, outputs: map[string]map[string]any{}}
	version := fmt.Sprint(doc["heat_template_version"])
	if doc["heat_template_version"] == nil {
		return nil, &heatErr{400, "InvalidTemplateVersion", "The template version is invalid: Template version was not provided"}
	}
	if i := strings.Index(version, "T"); i > 0 {
		version = version[:i]
	}
	if !slices.Contains(hotVersions(), version) {
		return nil, &heatErr{400, "InvalidTemplateVersion", fmt.Sprintf(`The template version is invalid: "heat_template_version: %s". "heat_template_version" should be one of: %s`, version, strings.Join(hotVersions(), ", "))}
	}
	for _, k := range sortedKeys(doc) {
		switch k {
		case "heat_template_version", "description", "parameters", "parameter_groups", "parameter_merge_strategies", "resources", "outputs", "conditions":
		default:
			return nil, invalid("The template section is invalid: %s", k)
		}
	}
	t.description, _ = doc["description"].(string)
	t.conditions, _ = doc["conditions"].(map[string]any)
	if err := t.readParams(); err != nil {
		return nil, err
	}
	if err := t.readResources(); err != nil {
		return nil, err
	}
	return t, t.readOutputs()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// paramKind is how the API names a parameter's type; "" is no type.
func paramKind(t string) string {
	switch t {
	case "string":
		return "String"
	case "number":
		return "Number"
	case "comma_delimited_list":
		return "CommaDelimitedList"
	case "json":
		return "Json"
	case "boolean":
		return "Boolean"
	}
	return ""
}

func (t *hot) readParams() *heatErr {
	section, _ := t.doc["parameters"].(map[string]any)
	for _, name := range sortedKeys(section) {
		spec, isMap := section[name].(map[string]any)
		if !isMap {
			return &heatErr{400, "InvalidSchemaError", fmt.Sprintf("Invalid parameter %s", name)}
		}
		p := &hotParam{name: name, label: name}
		for _, k := range sortedKeys(spec) {
			v := spec[k]
			switch k {
			case "type":
				p.kind, _ = v.(string)
			case "default":
				p.def, p.hasDefault = v, v != nil
			case "description":
				p.description, _ = v.(string)
			case "label":
				p.label, _ = v.(string)
			case "hidden":
				p.hidden = truthy(v)
			case "constraints":
				for _, one := range asList(v) {
					m, _ := one.(map[string]any)
					p.constraints = append(p.constraints, m)
				}
			case "immutable", "tags":
			default:
				return &heatErr{400, "InvalidSchemaError", fmt.Sprintf("Invalid key '%s' for parameter (%s)", k, name)}
			}
		}
		if paramKind(p.kind) == "" {
			return &heatErr{400, "InvalidSchemaError", fmt.Sprintf("Invalid type (%s)", p.kind)}
		}
		t.params[name] = p
	}
	return nil
}

func (t *hot) readResources() *heatErr {
	section, _ := t.doc["resources"].(map[string]any)
	for _, name := range sortedKeys(section) {
		spec, isMap := section[name].(map[string]any)
		if !isMap {
			return invalid("Resources must contain Resource. Found a [%T] instead", section[name])
		}
		r := &hotResource{name: name, properties: map[string]any{}}
		for _, k := range sortedKeys(spec) {
			v := spec[k]
			switch k {
			case "type":
				r.kind, _ = v.(string)
			case "properties":
				if m, ok := v.(map[string]any); ok {
					r.properties = m
				}
			case "metadata":
				r.metadata = v
			case "depends_on":
				for _, d := range asList(v) {
					r.dependsOn = append(r.dependsOn, fmt.Sprint(d))
				}
			case "condition":
				r.condition = v
			case "deletion_policy":
				r.retain = strings.EqualFold(fmt.Sprint(v), "retain")
			case "update_policy", "description", "external_id":
			default:
				return invalid(`"%s" is not a valid keyword inside a resource definition`, k)
			}
		}
		if r.kind == "" {
			return invalid("Each resource must contain a type key.")
		}
		t.resources[name] = r
	}
	return nil
}

func (t *hot) readOutputs() *heatErr {
	section, _ := t.doc["outputs"].(map[string]any)
	for _, name := range sortedKeys(section) {
		spec, _ := section[name].(map[string]any)
		if _, has := spec["value"]; !has {
			return invalid("Output validation error: : outputs.%s: : Each output definition must contain a value key.", name)
		}
		t.outputs[name] = spec
	}
	return nil
}

// asList wraps a lone value.
func asList(v any) []any {
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		return x
	}
	return []any{v}
}

func truthy(v any) bool {
	switch x := v.(type) {
	case bool:
		return x
	case string:
		b, isBool := parseBool(x)
		return isBool && b
	case int64:
		return x != 0
	}
	return false
}

func parseBool(s string) (value, valid bool) {
	switch strings.ToLower(s) {
	case "1", "t", "true", "y", "yes", "on":
		return true, true
	case "0", "f", "false", "n", "no", "off":
		return false, true
	}
	return false, false
}

// yamlToJSON reads YAML text. Unlike Heat's, this parser takes the unquoted
// words y and n for booleans.
func yamlToJSON(text string) ([]byte, error) { return yaml.YAMLToJSON([]byte(text)) }
