package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// stackBody is what create, update and validate send.
type stackBody struct {
	Name       *string           `json:"stack_name"`
	Template   json.RawMessage   `json:"template"`
	Env        json.RawMessage   `json:"environment"`
	Files      map[string]string `json:"files"`
	Params     json.RawMessage   `json:"parameters"`
	Tags       json.RawMessage   `json:"tags"`
	Timeout    json.RawMessage   `json:"timeout_mins"`
	NoRollback json.RawMessage   `json:"disable_rollback"`
	Existing   any               `json:"existing"`
	Clear      []string          `json:"clear_parameters"`

	tags       []string
	timeout    *int
	rollback   *bool
	params     map[string]any
	env        environment
	paramsSent bool
}

func readBody(raw []byte) (*stackBody, *heatErr) {
	var b stackBody
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, badRequest(badRequestText)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, badRequest("%v", err)
	}
	if err := b.readTags(); err != nil {
		return nil, err
	}
	if err := b.readNumbers(); err != nil {
		return nil, err
	}
	return &b, b.readEnvironment()
}

// maxTag is the width of the column.
const maxTag = 80

func (b *stackBody) readTags() *heatErr {
	if len(b.Tags) == 0 || string(b.Tags) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(b.Tags, &text) != nil {
		return &heatErr{400, "AttributeError", ""}
	}
	if text == "" {
		b.tags = nil
		return nil
	}
	b.tags = strings.Split(text, ",")
	for _, t := range b.tags {
		if len([]rune(t)) > maxTag {
			return badRequest(`Invalid tag, "%s" is longer than 80 characters`, t)
		}
	}
	return nil
}

func (b *stackBody) readNumbers() *heatErr {
	if s := strings.Trim(string(b.Timeout), `"`); s != "" && s != "null" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return badRequest("Only integer is acceptable by 'timeout_mins'.")
		}
		if n < 0 {
			return badRequest("Value '%d' is invalid for 'timeout_mins' which only accepts non-negative integer.", n)
		}
		b.timeout = &n
	}
	if s := strings.Trim(string(b.NoRollback), `"`); s != "" && s != "null" {
		v, valid := parseBool(s)
		if !valid {
			return &heatErr{400, "ValueError", ""}
		}
		v = !v
		b.rollback = &v
	}
	return nil
}

func (b *stackBody) readEnvironment() *heatErr {
	b.params = map[string]any{}
	env, err := looseObject(b.Env)
	if err != nil {
		return badRequest("Environment not in valid format: %v", err)
	}
	for _, k := range sortedKeys(env) {
		switch k {
		case "parameters":
			maps.Copy(b.params, toObj(env[k]))
		case "parameter_defaults":
			b.env.defaults = toObj(env[k])
		case "resource_registry":
			b.env.registry = toObj(env[k])
		case "encrypted_param_names", "event_sinks", "parameter_merge_strategies":
		default:
			return badRequest(`environment has wrong section "%s"`, k)
		}
	}
	params, err := looseObject(b.Params)
	if err != nil {
		return badRequest("Environment not in valid format: %v", err)
	}
	maps.Copy(b.params, params)
	b.paramsSent = len(b.params) > 0
	return nil
}

// looseObject reads an object, or text that contains one.
func looseObject(raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if strings.TrimSpace(text) == "" {
			return nil, nil
		}
		j, err := yamlToJSON(text)
		if err != nil {
			return nil, err
		}
		raw = j
	}
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, err
	}
	if m, isMap := v.(map[string]any); isMap {
		return m, nil
	}
	return nil, fmt.Errorf("the environment is not a mapping")
}
