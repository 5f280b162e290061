package sim

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// evalYAML evaluates an expression with the parameters s="text", num=3,
// l=[a b], m={k: {x: 1}}, b=true, and the resource r with the attribute
// a = [{ip: 1.2.3.4}].
func evalYAML(t *testing.T, expr string) (any, error) {
	t.Helper()
	raw, err := yamlToJSON(expr)
	if err != nil {
		t.Fatal(err)
	}
	v, err := decodeJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	sc := &scope{
		t:      &hot{conditions: map[string]any{"yes": true, "is_text": map[string]any{"equals": []any{map[string]any{"get_param": "s"}, "text"}}, "loop": "loop"}},
		params: map[string]any{"s": "text", "num": int64(3), "l": []any{"a", "b"}, "m": map[string]any{"k": map[string]any{"x": int64(1)}}, "b": true},
		files:  map[string]string{"f": "file text"},
		resource: func(name string) (any, error) {
			return "id-of-" + name, nil
		},
		attr: func(name, attr string, path []any) (any, error) {
			if name == "later" {
				return unresolved{}, nil
			}
			return dig(map[string]any{"a": []any{map[string]any{"ip": "1.2.3.4"}}}[attr], path), nil
		},
	}
	return sc.eval(v)
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expr, want string }{
		{`{get_param: s}`, `"text"`},
		{`{get_param: [m, k, x]}`, `1`},
		{`{get_param: [l, 1]}`, `"b"`},
		{`{get_param: [m, nope]}`, `""`},
		{`{get_resource: r}`, `"id-of-r"`},
		{`{get_attr: [r, a, 0, ip]}`, `"1.2.3.4"`},
		{`{get_file: f}`, `"file text"`},
		{`{list_join: ['-', [x, {get_param: num}], {get_param: l}]}`, `"x-3-a-b"`},
		{`{str_replace: {template: "$a-$ab-A", params: {$a: 1, $ab: 2, A: true}}}`, `"1-2-True"`},
		{`{str_replace: {template: "pq", params: {p: q, q: p}}}`, `"qp"`},
		{`{str_replace: {template: "V", params: {V: [1, {k: v}]}}}`, `"[1, {\"k\": \"v\"}]"`},
		{`{str_replace_strict: {template: "ab", params: {a: p, b: q}}}`, `"pq"`},
		{`{repeat: {for_each: {"%p%": {get_param: l}}, template: {port: "%p%-1"}}}`, `[{"port":"a-1"},{"port":"b-1"}]`},
		{`{if: [yes, 1, 2]}`, `1`},
		{`{if: [{not: yes}, 1, 2]}`, `2`},
		{`{a: {if: [{not: yes}, 1]}, b: 1}`, `{"b":1}`},
		{`{if: [{and: [yes, is_text]}, 1, 2]}`, `1`},
		{`{if: [{or: [{not: yes}, {equals: [{get_param: num}, 4]}]}, 1, 2]}`, `2`},
		{`{digest: [sha256, abc]}`, `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`},
		{`{map_merge: [{a: 1, b: 1}, {b: 2}]}`, `{"a":1,"b":2}`},
		{`{list_concat: [[1], [2, 3]]}`, `[1,2,3]`},
		{`{str_split: [',', 'a,b', 1]}`, `"b"`},
		{`{get_foo: x}`, `{"get_foo":"x"}`},
	} {
		got, err := evalYAML(t, c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		raw, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if string(raw) != c.want {
			t.Errorf("%s = %s, want %s", c.expr, raw, c.want)
		}
	}
}

func TestFunctionsThatFail(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`{get_param: nope}`:            "The Parameter (nope) was not provided.",
		`{get_file: nope}`:             "No content found",
		`{str_replace: {template: x}}`: "syntax should be",
		`{str_replace_strict: {template: a, params: {a: 1, zz: 2}}}`: "zz",
		`{if: [nope, 1, 2]}`:   "Invalid condition",
		`{if: [loop, 1, 2]}`:   "Invalid condition",
		`{digest: [rot13, x]}`: "Algorithm",
	} {
		if got, err := evalYAML(t, expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, %v; want an error with %q", expr, got, err, want)
		}
	}
}

func TestWhatIsKnownLaterStaysOpen(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{`{get_attr: [later, a]}`, `{list_join: ['', [x, {get_attr: [later, a]}]]}`, `{str_replace: {template: x, params: {x: {get_attr: [later, a]}}}}`} {
		got, err := evalYAML(t, expr)
		if _, open := got.(unresolved); err != nil || !open {
			t.Errorf("%s = %v, %v; want it unresolved", expr, got, err)
		}
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	text := `
heat_template_version: 2018-08-31
parameters:
  num: {type: number, default: "7"}
  l: {type: comma_delimited_list, default: "a, b"}
  j: {type: json, default: '{"a": [1]}'}
  b: {type: boolean, default: "on"}
  s: {type: string, default: 5}
`
	tpl, herr := parseHOT(marshal(text), 1000, "root stack")
	if herr != nil {
		t.Fatal(herr.msg)
	}
	got, herr := c.paramValues(tpl, nil, nil, owner{})
	if herr != nil {
		t.Fatal(herr.msg)
	}
	want := map[string]any{"num": int64(7), "l": []any{"a", "b"}, "j": map[string]any{"a": []any{int64(1)}}, "b": true, "s": "5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryDefaultOfTheSchemasFitsItsProperty(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	for name, sch := range c.schemas {
		for _, p := range sch.props {
			if p.def == nil {
				continue
			}
			if _, err := c.value(p, p.def, owner{}); err != nil {
				t.Errorf("%s.%s: default %v: %s", name, p.name, p.def, err.msg)
			}
		}
		if kindFor(name) == nil {
			t.Errorf("%s has a schema and no behaviour", name)
		}
	}
}

func TestPhysicalNamesKeepTheirEnd(t *testing.T) {
	t.Parallel()
	if got := shorten("abcdefghij", 8); got != "ab-fghij" {
		t.Errorf("got %s", got)
	}
	if got := shorten("short", 8); got != "short" {
		t.Errorf("got %s", got)
	}
}

func TestNestedReasonsAreReadAsHeatReadsThem(t *testing.T) {
	t.Parallel()
	r := &resource{name: "n1"}
	for _, c := range []struct{ action, reason, want string }{
		{"CREATE", "Resource CREATE failed: WaitConditionFailure: resources.ready: text", "WaitConditionFailure: resources.n1.resources.ready: text"},
		{"CREATE", "Resource CREATE failed: Error: resources.a: see http://x", "Error: resources.n1.resources.a: see http: //x"},
		{"UPDATE", "Resource CREATE failed: WaitConditionFailure: resources.ready: text", "resources.n1: Resource CREATE failed: WaitConditionFailure: resources.ready: text"},
		{"UPDATE", "Resource UPDATE failed: resources.x: Resource CREATE failed: Error: resources.y: z", "resources.x: resources.n1.Resource CREATE failed: Error: resources.y: z"},
		{"CREATE", "Timed out", "resources.n1: Timed out"},
	} {
		if got := r.failsNested(c.action, c.reason).String(); got != c.want {
			t.Errorf("%s of %q: %q, want %q", c.action, c.reason, got, c.want)
		}
	}
}
