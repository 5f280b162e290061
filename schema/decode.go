package schema

import (
	"encoding/binary"
	"reflect"
	"strings"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// A decoder turns checked trees into the types of documents.go and notes where
// each effective field is written. One decoder serves many documents, so that
// texts which they share (flavors, templates, label keys) are kept once, and so
// are whole sets of labels: clusters of one team or one version have the same.
type decoder struct {
	texts map[string]string
	sets  map[string]map[string]string // by their keys and values, each with its length before it
	marks []mark
	stars []string // the keys and group names above the current node
	buf   []byte
}

func newDecoder() *decoder {
	return &decoder{texts: map[string]string{}, sets: map[string]map[string]string{}}
}

// A mark says where an effective field is written. It is small because a large
// fleet has hundreds of thousands of them.
type mark struct {
	field        string
	line, column int32
}

// document decodes a checked tree into doc, a pointer to one of the types of
// documents.go, and gives the marks of its fields in the order of the file.
func (d *decoder) document(f *field, root *yaml.Node, doc any) []mark {
	d.marks, d.stars = d.marks[:0], d.stars[:0]
	d.value(f, root, reflect.ValueOf(doc).Elem())
	return append(make([]mark, 0, len(d.marks)), d.marks...)
}

// value leaves v as it is where the node does not fit: the schema check has
// seen to that, and nothing here may panic over a node.
func (d *decoder) value(f *field, n *yaml.Node, v reflect.Value) {
	d.mark(f, n)
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		if n.Kind == yaml.ScalarNode {
			v.SetString(d.text(n))
		}
	case reflect.Bool:
		v.SetBool(kindOf(n) == kBoolean && strings.EqualFold(n.Value, "true"))
	case reflect.Int:
		i, _ := integer(n)
		v.SetInt(int64(i))
	case reflect.Struct:
		d.object(f, n, v)
	case reflect.Slice:
		d.list(f, n, v)
	case reflect.Map:
		d.mapping(f, n, v)
	default:
		panic("schema: no field is a " + v.Kind().String())
	}
}

func (d *decoder) object(f *field, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		if s, ok := reflect.TypeAssert[*suspendSpec](v.Addr()); ok && kindOf(n) == kBoolean {
			s.Said = new(strings.EqualFold(n.Value, "true"))
		}
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		if sub := f.props[n.Content[i].Value]; sub != nil {
			d.value(sub, n.Content[i+1], v.FieldByIndex(sub.index))
		}
	}
}

func (d *decoder) list(f *field, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		name := ""
		if c := child(item, "name"); c != nil {
			name = c.Value
		}
		d.stars = append(d.stars, name)
		d.value(f.items, item, v.Index(i))
		d.stars = d.stars[:len(d.stars)-1]
	}
}

func (d *decoder) mapping(f *field, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		return
	}
	if texts, ok := reflect.TypeAssert[*map[string]string](v.Addr()); ok {
		for i := 0; i < len(n.Content); i += 2 {
			d.stars = append(d.stars, d.text(n.Content[i]))
			d.mark(f.values, n.Content[i+1])
			d.stars = d.stars[:len(d.stars)-1]
		}
		*texts = d.set(n)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	for i := 0; i < len(n.Content); i += 2 {
		key := d.text(n.Content[i])
		d.stars = append(d.stars, key)
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(f.values, n.Content[i+1], e)
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
		d.stars = d.stars[:len(d.stars)-1]
	}
}

// set is a mapping of texts to texts, the same map for the same texts: nobody
// changes what a document says.
func (d *decoder) set(n *yaml.Node) map[string]string {
	d.buf = d.buf[:0]
	for _, c := range n.Content {
		s := d.text(c)
		d.buf = append(binary.AppendUvarint(d.buf, uint64(len(s))), s...)
	}
	if kept, ok := d.sets[string(d.buf)]; ok {
		return kept
	}
	texts := make(map[string]string, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		texts[d.text(n.Content[i])] = d.text(n.Content[i+1])
	}
	d.sets[string(d.buf)] = texts
	return texts
}

func (d *decoder) mark(f *field, n *yaml.Node) {
	if f.effective == "" {
		return
	}
	name := f.effective
	if len(d.stars) > 0 && strings.Contains(name, "*") {
		name = d.expand(name)
	}
	d.marks = append(d.marks, mark{name, int32(n.Line), int32(n.Column)}) //nolint:gosec // a file is at most MaxFileSize long
}

// expand puts the current keys and names in the places of the stars.
func (d *decoder) expand(pattern string) string {
	d.buf = d.buf[:0]
	star := 0
	for i := range len(pattern) {
		if pattern[i] == '*' && star < len(d.stars) {
			d.buf = append(d.buf, d.stars[star]...)
			star++
			continue
		}
		d.buf = append(d.buf, pattern[i])
	}
	return d.keep(d.buf)
}

// text is the value of a scalar, as text of a label if it is no text.
func (d *decoder) text(n *yaml.Node) string {
	s := n.Value
	if n.Tag == "!!bool" {
		s, _ = labelText(n)
	}
	if kept, ok := d.texts[s]; ok {
		return kept
	}
	d.texts[s] = s
	return s
}

func (d *decoder) keep(b []byte) string {
	if kept, ok := d.texts[string(b)]; ok {
		return kept
	}
	s := string(b)
	d.texts[s] = s
	return s
}
