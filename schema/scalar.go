package schema

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// kinds of JSON values, as a set.
type kinds uint8

const (
	kNull kinds = 1 << iota
	kBoolean
	kInteger
	kNumber
	kString
	kArray
	kObject
)

// String names them for people: "text, a number, true or false".
func (k kinds) String() string {
	if k&kNumber != 0 {
		k &^= kInteger
	}
	var words []string
	for _, n := range []struct {
		kind kinds
		word string
	}{
		{kString, "text"},
		{kInteger, "a whole number"},
		{kNumber, "a number"},
		{kBoolean, "true or false"},
		{kArray, "a list"},
		{kObject, "a mapping"},
		{kNull, "nothing"},
	} {
		if k&n.kind != 0 {
			words = append(words, n.word)
		}
	}
	return strings.Join(words, ", ")
}

// kindOf says what a node is. Dates are text: nothing in our documents is one.
func kindOf(n *yaml.Node) kinds {
	switch n.Kind {
	case yaml.MappingNode:
		return kObject
	case yaml.SequenceNode:
		return kArray
	default: // a scalar, by its tag
	}
	switch n.Tag {
	case "!!null":
		return kNull
	case "!!bool":
		return kBoolean
	case "!!int":
		return kInteger
	case "!!float":
		return kNumber
	}
	return kString
}

// integer is a node's value as a whole number. YAML has many spellings of one
// (0x10, 0o20, 1_000, 1e3), and JSON Schema takes 3.0 for one too.
func integer(n *yaml.Node) (int, bool) {
	if i, err := strconv.Atoi(n.Value); err == nil && decimal(n.Value) {
		return i, true
	}
	if n.Tag == "!!int" {
		var i int
		err := n.Decode(&i)
		return i, err == nil
	}
	f := float(n)
	return int(f), f == math.Trunc(f) && math.Abs(f) < 1<<53
}

// float is a node's value as a number; NaN if it is none.
func float(n *yaml.Node) float64 {
	var f float64
	if n.Decode(&f) != nil {
		return math.NaN()
	}
	return f
}

// decimal tells whether text is a number as people write it: digits, no
// leading zero, at most one point with digits around it, perhaps a minus.
func decimal(s string) bool {
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if whole == "" || !digits(whole) || whole[0] == '0' && len(whole) > 1 {
		return false
	}
	return !point || fraction != "" && digits(fraction)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// labelText is the text of a label's value as it is written: 1.10 stays 1.10,
// which a number would not. False for numbers in a spelling that people do not
// mean as text, such as 0x10 or 1e3.
func labelText(n *yaml.Node) (string, bool) {
	switch n.Tag {
	case "!!bool":
		return strings.ToLower(n.Value), true
	case "!!int", "!!float":
		return n.Value, decimal(n.Value)
	}
	return n.Value, true
}

// found describes a node's value for a message.
func found(n *yaml.Node) string {
	switch kindOf(n) {
	case kNull:
		return "nothing"
	case kBoolean:
		return strings.ToLower(n.Value)
	case kInteger, kNumber:
		return "the number " + short(n.Value)
	case kArray:
		return "a list"
	case kObject:
		return "a mapping"
	default: // text
	}
	return strconv.Quote(short(n.Value))
}

// short cuts a value that is too long for a message.
func short(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
