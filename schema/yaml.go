package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// What a fleet's YAML may cost. A document of ours has a few dozen values and
// is six levels deep; these bounds are for what was not written by people.
const (
	// MaxFileSize is the largest file that is read, in bytes.
	MaxFileSize = 1 << 20

	maxDepth  = 32     // levels of lists and mappings
	maxValues = 20_000 // of one document, aliases counted as often as they are used
)

// parseYAML gives the documents of a file as trees that the rest of the package
// can trust: no aliases and merge keys (they are expanded), no duplicate keys,
// no tags, keys that are text. Empty documents are left out. Problems have no
// file in their position: the same content may be in several.
func parseYAML(data []byte) ([]*yaml.Node, Problems) {
	if len(data) > MaxFileSize {
		return nil, Problems{tooLarge("", int64(len(data)))}
	}
	var roots []*yaml.Node
	var problems Problems
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decodeNode(dec, &doc)
		if errors.Is(err, io.EOF) {
			return roots, problems
		}
		if err != nil {
			// What follows a syntax error is not worth reading.
			return roots, append(problems, syntaxProblem(data, err))
		}
		root := doc.Content[0]
		if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
			continue
		}
		f := flattener{budget: maxValues}
		if f.flatten(root, 0); len(f.problems) > 0 {
			problems = append(problems, f.problems...)
			continue
		}
		roots = append(roots, root)
	}
}

// decodeNode reads the next document. The library panics where it finds itself
// in a state that it thought impossible; a daemon must not die of a file.
func decodeNode(dec *yaml.Decoder, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return dec.Decode(doc)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxProblem tells what the YAML library did not understand. The library
// gives the line, not the column, and for an unclosed [ or { the line where it
// opens.
func syntaxProblem(data []byte, err error) Problem {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	line := 1
	if m != nil {
		text = text[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
			// The library counts from 0 where its parser rather than its
			// scanner does not know how to go on.
			if strings.HasPrefix(text, "did not find expected") {
				line++
			}
		}
	}
	lines := bytes.Split(data, []byte("\n"))
	line = min(line, len(lines))
	if name, ok := strings.CutPrefix(text, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		if at := bytes.Index(data, []byte("*"+name)); at >= 0 {
			line = 1 + bytes.Count(data[:at], []byte("\n"))
			column := 1 + utf8.RuneCount(data[bytes.LastIndexByte(data[:at], '\n')+1:at]) // as the library counts
			return Problemf(Pos{Line: line, Column: column}, CodeAlias, "the alias *%s has no anchor &%s before it", name, name)
		}
	}
	if strings.Contains(text, "cannot start any token") {
		for i := line - 1; i < len(lines); i++ {
			if tab := indentTab(lines[i]); tab >= 0 {
				p := Problemf(Pos{Line: i + 1, Column: tab + 1}, CodeTab, "a tab in the indentation, which YAML does not allow")
				p.Hint = "use spaces"
				return p
			}
		}
	}
	column := 1 + len(lines[line-1]) - len(bytes.TrimLeft(lines[line-1], " \t"))
	if strings.Contains(text, "UTF-8") || strings.HasPrefix(text, "control characters") {
		line, column = unreadable(data, line, column)
	}
	p := Problemf(Pos{Line: line, Column: column}, CodeSyntax, "not valid YAML: %s", text)
	if strings.Contains(text, "incompatible YAML document") {
		p.Hint = "leave the %YAML line out"
	}
	return p
}

// unreadable is the place of the first character that YAML does not allow (YAML
// 1.2.2, section 5.1), for which the library gives none: otherwise where there
// is no such character, as in UTF-16.
func unreadable(data []byte, line, column int) (atLine, atColumn int) {
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) && !strings.ContainsRune("\t\n\r\u0085", r) {
			start := bytes.LastIndexByte(data[:at], '\n') + 1
			return 1 + bytes.Count(data[:at], []byte("\n")), 1 + utf8.RuneCount(data[start:at])
		}
		at += n
	}
	return line, column
}

// indentTab is the index of a tab before the first other character, or -1.
func indentTab(line []byte) int {
	indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	return bytes.IndexByte(indent, '\t')
}

// A flattener rewrites a document's tree in place: aliases become the nodes
// that they stand for and merge keys the pairs that they bring, so that later
// walks need to know of neither. It counts every value that such a walk will
// meet, so that a few aliases of aliases cannot make a walk endless.
type flattener struct {
	budget   int
	above    []*yaml.Node // the collections around the current node
	problems Problems
}

func (f *flattener) report(n *yaml.Node, code Code, hint, format string, args ...any) {
	p := Problemf(Pos{Line: n.Line, Column: n.Column}, code, format, args...)
	p.Hint = hint
	f.problems = append(f.problems, p)
}

// flatten is false if the walk has to stop.
func (f *flattener) flatten(n *yaml.Node, depth int) bool {
	f.budget--
	switch {
	case f.budget < 0:
		f.report(n, CodeTooDeep, "", "the document has more than %d values, aliases expanded", maxValues)
		return false
	case depth > maxDepth:
		f.report(n, CodeTooDeep, "", "more than %d levels of lists and mappings", maxDepth)
		return false
	}
	// The short form is !!str; "!" alone also means "text, whatever it looks like".
	if n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!str" {
		f.report(n, CodeTag, "", "the tag %s is not used in these documents", n.Tag)
		return true
	}
	if n.Kind == yaml.ScalarNode {
		return true
	}
	f.above = append(f.above, n)
	defer func() { f.above = f.above[:len(f.above)-1] }()
	if n.Kind == yaml.MappingNode {
		if !f.mergeKeys(n, depth) || !f.keys(n) {
			return false
		}
	}
	for i := range n.Content {
		target, ok := f.target(n.Content[i])
		if !ok {
			return false
		}
		n.Content[i] = target
		if !f.flatten(target, depth+1) {
			return false
		}
	}
	return true
}

// target is what an alias stands for, or the node itself.
func (f *flattener) target(n *yaml.Node) (*yaml.Node, bool) {
	if n.Kind != yaml.AliasNode {
		return n, true
	}
	if slices.Contains(f.above, n.Alias) {
		f.report(n, CodeAlias, "", "the alias *%s contains itself", n.Value)
		return nil, false
	}
	return n.Alias, true
}

// mergeKeys replaces the merge keys ("<<") of a mapping by the pairs of the
// mappings that they name. A key of the mapping itself wins, then the first
// mapping that has it.
func (f *flattener) mergeKeys(n *yaml.Node, depth int) bool {
	if !slices.ContainsFunc(n.Content, isMergeKey) {
		return true
	}
	var own []*yaml.Node
	var from []*yaml.Node
	for i := 0; i < len(n.Content); i += 2 {
		if !isMergeKey(n.Content[i]) {
			own = append(own, n.Content[i], n.Content[i+1])
			continue
		}
		v, ok := f.target(n.Content[i+1])
		if !ok || !f.flatten(v, depth+1) {
			return false
		}
		switch v.Kind {
		case yaml.MappingNode:
			from = append(from, v)
		case yaml.SequenceNode:
			from = append(from, v.Content...)
		default:
			from = append(from, v)
		}
	}
	present := map[string]bool{}
	for i := 0; i < len(own); i += 2 {
		present[own[i].Value] = true
	}
	for _, m := range from {
		if m.Kind != yaml.MappingNode {
			f.report(m, CodeMergeKey, "", "a merge key (<<) takes a mapping or a list of mappings, found %s", found(m))
			continue
		}
		for i := 0; i < len(m.Content); i += 2 {
			if key := m.Content[i].Value; !present[key] {
				present[key] = true
				own = append(own, m.Content[i], m.Content[i+1])
			}
		}
	}
	n.Content = own
	return true
}

func isMergeKey(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!merge" }

// keys checks that the keys of a mapping are text and differ.
func (f *flattener) keys(n *yaml.Node) bool {
	var seen map[string]*yaml.Node // only for mappings that are too long to compare all pairs
	if len(n.Content) > 64 {
		seen = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, ok := f.target(n.Content[i])
		if !ok {
			return false
		}
		n.Content[i] = key
		if key.Kind != yaml.ScalarNode || key.Tag == "!!null" {
			f.report(key, CodeKeyNotText, "", "the key of a mapping must be text, found %s", found(key))
			return false
		}
		first := seen[key.Value]
		if seen == nil {
			first = lookupKey(n.Content[:i], key.Value)
		} else if first == nil {
			seen[key.Value] = key
		}
		if first != nil {
			f.report(key, CodeDuplicateKey, "keep one of the two", "the key %q is already on line %d", short(key.Value), first.Line)
		}
	}
	return true
}

// lookupKey finds a key in the pairs of a mapping.
func lookupKey(pairs []*yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i].Value == key {
			return pairs[i]
		}
	}
	return nil
}

// child is the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
