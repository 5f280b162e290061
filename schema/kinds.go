package schema

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Kinds of documents.
const (
	KindClusterTemplate = "ClusterTemplate"
	KindCluster         = "Cluster"
	KindConfig          = "Config"
)

//go:embed ClusterTemplate.json Cluster.json Config.json
var schemaFiles embed.FS

// Kinds are the kinds of documents, sorted.
func Kinds() []string { return []string{KindCluster, KindClusterTemplate, KindConfig} }

// JSONSchema is the JSON Schema (draft 2020-12) of a kind, for editors: each
// property has its meaning, unit, default and Magnum's name. The property
// "x-magnum" gives Magnum's name to programs.
func JSONSchema(kind string) ([]byte, error) {
	if !slices.Contains(Kinds(), kind) {
		return nil, fmt.Errorf("no kind %q: one of %s", kind, strings.Join(Kinds(), ", "))
	}
	file, err := schemaFiles.ReadFile(kind + ".json")
	return withLabels(file), err
}

// Fields lists the path of every property of a kind that holds a value, in
// sorted order: "spec/image", "spec/nodeGroups/*/flavor", "spec/labels/*". A
// star is any index or any key.
func Fields(kind string) []string {
	k, ok := registry()[kind]
	if !ok {
		return nil
	}
	var paths []string
	k.root.leaves(func(f *field) { paths = append(paths, f.path) })
	slices.Sort(paths)
	return paths
}

// A kind is what the loader knows of one kind of document.
type kind struct {
	name      string
	root      *field
	defs      map[string]*property
	effective map[string]string         // see Effective
	patterns  map[string]*regexp.Regexp // labels have few
	strict    func() *jsonschema.Schema // compiled when first asked for: only mistakes need it
}

// registry reads the embedded schemas once, at first use. They are part of
// the program, so one that does not compile is a defect of the program.
//
//nolint:gochecknoglobals // computed once from embedded files, never changed
var registry = sync.OnceValue(func() map[string]*kind {
	kinds := map[string]*kind{
		KindClusterTemplate: {effective: templateFields()},
		KindCluster:         {effective: clusterFields()},
		KindConfig:          {},
	}
	for name, doc := range map[string]reflect.Type{
		KindClusterTemplate: reflect.TypeFor[templateDoc](),
		KindCluster:         reflect.TypeFor[clusterDoc](),
		KindConfig:          reflect.TypeFor[configDoc](),
	} {
		kinds[name].name = name
		if err := kinds[name].compile(doc); err != nil {
			panic("schema: " + name + ": " + err.Error())
		}
	}
	return kinds
})

// compile reads the kind's JSON Schema twice: for our own walks, bound to the
// Go type of the document, and for the library, which checks it against the
// schema of schemas first and takes longer than a hundred documents do.
func (k *kind) compile(doc reflect.Type) error {
	data, err := JSONSchema(k.name)
	if err != nil {
		return err
	}
	k.strict = sync.OnceValue(func() *jsonschema.Schema { return jsonschema.MustCompileString(k.name+".json", string(data)) })
	var p property
	dec := json.NewDecoder(bytes.NewReader(data))
	// Our walks know the keywords of property and no others.
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return err
	}
	k.defs = p.Defs
	k.root, err = k.field(&p, "", doc)
	return err
}

// A property is a schema as written in the files.
type property struct {
	Schema      string  `json:"$schema"`
	ID          string  `json:"$id"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Magnum      string  `json:"x-magnum"`   // Magnum's name
	Expected    string  `json:"x-expected"` // pattern in words
	Type        oneType `json:"type"`
	Default     any     `json:"default"`

	Ref  string               `json:"$ref"` // to one of the definitions; what stands beside it are notes
	Defs map[string]*property `json:"$defs"`

	Properties    map[string]*property `json:"properties"`
	Additional    *additional          `json:"additionalProperties"`
	PropertyNames *property            `json:"propertyNames"`
	Required      []string             `json:"required"`

	Items       *property `json:"items"`
	MinItems    *int      `json:"minItems"`
	MaxItems    *int      `json:"maxItems"`
	UniqueItems bool      `json:"uniqueItems"`

	Enum      []string `json:"enum"`
	Pattern   string   `json:"pattern"`
	MinLength *int     `json:"minLength"`
	MaxLength *int     `json:"maxLength"`
	Minimum   *int     `json:"minimum"`
	Maximum   *int     `json:"maximum"`
}

// oneType is "type": a word or a list of them.
type oneType kinds

func (t *oneType) UnmarshalJSON(b []byte) error {
	var words []string
	var word string
	if json.Unmarshal(b, &word) == nil {
		words = []string{word}
	} else if err := json.Unmarshal(b, &words); err != nil {
		return err
	}
	for _, w := range words {
		k, ok := map[string]kinds{
			"null": kNull, "boolean": kBoolean, "integer": kInteger, "number": kNumber,
			"string": kString, "array": kArray, "object": kObject,
		}[w]
		if !ok {
			return fmt.Errorf("type %q", w)
		}
		*t |= oneType(k)
	}
	return nil
}

// additional is "additionalProperties": false, or what their values must be.
type additional struct{ values *property }

func (a *additional) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		return nil
	}
	return json.Unmarshal(b, &a.values)
}

// A field is a property bound to the Go type that it is decoded into and to
// the effective field that it becomes.
type field struct {
	path      string // from the document's root: "spec/nodeGroups/*/flavor"
	effective string // what it becomes in Spec, Policy or elsewhere; see Effective
	property
	kinds   kinds
	props   map[string]*field // of an object with known keys
	names   []string          // the keys of props, sorted
	index   []int             // of the Go struct's field, below the parent's
	values  *field            // of an object with free keys
	known   map[string]*field // free keys of which more is known: labels of the catalogue
	label   *Label            // of a known key's value
	keys    *field            // what these keys must be
	items   *field
	pattern *regexp.Regexp
}

// field compiles a property and those below it.
func (k *kind) field(p *property, path string, t reflect.Type) (*field, error) {
	if p.Ref != "" {
		def, ok := k.defs[strings.TrimPrefix(p.Ref, "#/$defs/")]
		if !ok {
			return nil, fmt.Errorf("%s refers to %s, which is not there", path, p.Ref)
		}
		p = def
	}
	f := &field{path: path, effective: k.effective[path], property: *p, kinds: kinds(p.Type)}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var err error
	if p.Pattern != "" {
		f.pattern, err = k.regexp(p.Pattern)
	}
	if err == nil && p.PropertyNames != nil {
		f.keys, err = k.field(p.PropertyNames, path, reflect.TypeFor[string]())
	}
	switch {
	case err != nil:
	case p.Items != nil && t.Kind() == reflect.Slice:
		f.items, err = k.field(p.Items, join(path, "*"), t.Elem())
	case p.Additional != nil && p.Additional.values != nil && t.Kind() == reflect.Map:
		f.values, err = k.field(p.Additional.values, join(path, "*"), t.Elem())
		f.known = make(map[string]*field, len(p.Properties))
		for key, of := range p.Properties {
			if err == nil {
				f.known[key], err = k.field(of, join(path, "*"), t.Elem())
			}
			if err == nil {
				f.known[key].label = catalogue()[key]
			}
		}
	case p.Properties != nil && t.Kind() == reflect.Struct:
		err = k.bind(f, t)
	case t.Kind() == reflect.String && f.kinds&kString != 0:
	case t.Kind() == reflect.Bool && f.kinds == kBoolean:
	case t.Kind() == reflect.Int && f.kinds == kInteger:
	case f.kinds != 0: // propertyNames has no type
		err = fmt.Errorf("%s does not fit the Go type %s", path, t)
	}
	return f, err
}

func (k *kind) regexp(pattern string) (*regexp.Regexp, error) {
	if re, ok := k.patterns[pattern]; ok {
		return re, nil
	}
	re, err := regexp.Compile(pattern)
	if k.patterns == nil {
		k.patterns = map[string]*regexp.Regexp{}
	}
	k.patterns[pattern] = re
	return re, err
}

// bind pairs the properties of an object with the fields of a Go struct by
// their JSON names. Both must have the same.
func (k *kind) bind(f *field, t reflect.Type) error {
	fields := map[string]reflect.StructField{}
	for _, sf := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = sf
		}
	}
	f.props = make(map[string]*field, len(f.Properties))
	f.names = slices.Sorted(maps.Keys(f.Properties))
	for _, name := range f.names {
		sf, ok := fields[name]
		if !ok {
			return fmt.Errorf("%s has no field in %s", join(f.path, name), t)
		}
		delete(fields, name)
		sub, err := k.field(f.Properties[name], join(f.path, name), sf.Type)
		if err != nil {
			return err
		}
		sub.index = sf.Index
		f.props[name] = sub
	}
	for name := range fields {
		return fmt.Errorf("%s of %s is not in the JSON Schema", join(f.path, name), t)
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// leaf tells whether the field holds a value rather than more fields. A list of
// texts is a value.
func (f *field) leaf() bool {
	return f.props == nil && f.values == nil && (f.items == nil || f.items.leaf())
}

func (f *field) leaves(visit func(*field)) {
	if f.leaf() {
		visit(f)
		return
	}
	for _, name := range f.names {
		f.props[name].leaves(visit)
	}
	for _, sub := range []*field{f.values, f.items} {
		if sub != nil {
			sub.leaves(visit)
		}
	}
}
