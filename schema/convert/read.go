package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// What an input may cost. A Terraform state of a large site has tens of
// megabytes; YAML has aliases, which make much of little.
const (
	MaxSize   = 64 << 20 // bytes
	maxValues = 1 << 20
	maxDepth  = 200
)

// parse gives the documents of JSON or YAML, one after the other, as what
// encoding/json makes of them, numbers as they are written. JSON is read as
// JSON: its escapes are not quite YAML's.
func parse(data []byte) ([]any, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(data), MaxSize)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if values, err := parseJSON(data); err == nil {
		return values, nil
	}
	values, err := parseYAML(data)
	if err == nil && len(values) == 0 {
		err = errors.New("it is empty")
	}
	return values, err
}

func parseJSON(data []byte) ([]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var values []any
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) && len(values) > 0 {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
}

// parseYAML also takes a panic of the library for an error: it has some where it
// finds itself in a state that it thought impossible.
func parseYAML(data []byte) (values []any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not valid YAML: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	t := tree{budget: maxValues}
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, fmt.Errorf("neither JSON nor YAML: %w", err)
		}
		v, err := t.value(doc.Content[0], 0)
		if err != nil {
			return nil, err
		}
		if v != nil {
			values = append(values, v)
		}
	}
}

// A tree turns nodes into values. It counts them, so that aliases of aliases
// cannot make it endless.
type tree struct{ budget int }

func (t *tree) value(n *yaml.Node, depth int) (any, error) {
	t.budget--
	if t.budget < 0 || depth > maxDepth {
		return nil, fmt.Errorf("more than %d values or %d levels, aliases expanded", maxValues, maxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return t.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := t.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return t.mapping(n, depth)
	default:
		return scalar(n), nil
	}
}

func (t *tree) mapping(n *yaml.Node, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		v, err := t.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if n.Content[i].Tag != "!!merge" {
			m[n.Content[i].Value] = v
			continue
		}
		from, _ := v.(map[string]any)
		for key, v := range from {
			if _, ok := m[key]; !ok {
				m[key] = v
			}
		}
	}
	return m, nil
}

// scalar is a node's value; dates and numbers that are not plain decimals stay
// the text that they are.
func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int", "!!float":
		if _, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return json.Number(n.Value)
		}
	}
	return n.Value
}
