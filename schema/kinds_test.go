package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
)

// eachProperty visits the properties of a kind's JSON Schema by path.
func eachProperty(t *testing.T, kind string, visit func(path string, p map[string]any)) {
	t.Helper()
	data, err := schema.JSONSchema(kind)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&root); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, p map[string]any)
	walk = func(path string, p map[string]any) {
		if ref, ok := p["$ref"].(string); ok {
			def := maps.Clone(root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any))
			if def["additionalProperties"] != false {
				delete(def, "properties") // keys of which more is known are no fields
			}
			maps.Copy(def, p)
			p = def
		}
		if path != "" {
			visit(path, p)
		}
		if props, ok := p["properties"].(map[string]any); ok {
			for name, sub := range props {
				walk(strings.TrimPrefix(path+"/"+name, "/"), sub.(map[string]any))
			}
		}
		for _, below := range []string{"items", "additionalProperties"} {
			if sub, ok := p[below].(map[string]any); ok {
				walk(path+"/*", sub)
			}
		}
	}
	walk("", root)
}

// TestSchemasAreStrict: an object is closed or has values of a known kind,
// numbers have bounds, and an editor has something to show for every property.
func TestSchemasAreStrict(t *testing.T) {
	t.Parallel()
	for _, kind := range schema.Kinds() {
		eachProperty(t, kind, func(path string, p map[string]any) {
			scalarItem := strings.HasSuffix(path, "/*") && p["properties"] == nil
			if !scalarItem && (p["title"] == nil || p["description"] == nil) {
				t.Errorf("%s %s has no title or description", kind, path)
			}
			switch p["type"] {
			case "object":
				if p["additionalProperties"] == nil || p["additionalProperties"] == true {
					t.Errorf("%s %s takes any key", kind, path)
				}
			case "integer":
				if p["minimum"] == nil || p["maximum"] == nil {
					t.Errorf("%s %s has no bounds", kind, path)
				}
			case "array":
				if p["items"] == nil || p["maxItems"] == nil {
					t.Errorf("%s %s takes any list", kind, path)
				}
			case nil:
				t.Errorf("%s %s has no type", kind, path)
			}
			for _, q := range []any{p, p["propertyNames"]} {
				if q, ok := q.(map[string]any); ok && (q["pattern"] == nil) != (q["x-expected"] == nil) {
					t.Errorf("%s %s: a pattern, and what it is in words, belong together", kind, path)
				}
			}
		})
	}
}

// TestFields: the fields are the properties that hold a value, and each becomes
// an effective field.
func TestFields(t *testing.T) {
	t.Parallel()
	for _, kind := range schema.Kinds() {
		var want []string
		eachProperty(t, kind, func(path string, p map[string]any) {
			holds := p["properties"] == nil
			for _, below := range []string{"items", "additionalProperties"} {
				if sub, ok := p[below].(map[string]any); ok && (below != "items" || sub["properties"] != nil) {
					holds = false
				}
			}
			// The texts of a list are its value, not fields of their own.
			if list, ok := strings.CutSuffix(path, "/*"); ok && slices.Contains(schema.Fields(kind), list) {
				holds = false
			}
			if holds {
				want = append(want, path)
			}
		})
		slices.Sort(want)
		if diff := cmp.Diff(want, schema.Fields(kind)); diff != "" {
			t.Errorf("fields of %s (-want +got):\n%s", kind, diff)
		}
		for _, field := range schema.Fields(kind) {
			effective := schema.Effective(kind, field)
			if none := field == "apiVersion" || field == "kind"; none != (effective == "") {
				t.Errorf("%s %s becomes %q", kind, field, effective)
			}
		}
	}
	for _, c := range []struct{ kind, field, want string }{
		{"Cluster", "spec/nodeCount", "nodeGroups/default-worker/nodeCount"},
		{"Cluster", "spec/nodeGroups/*/flavor", "nodeGroups/*/flavor"},
		{"Cluster", "spec/suspend", "policy/suspend"},
		{"ClusterTemplate", "spec/image", "image"},
		{"ClusterTemplate", "spec/labels/*", "labels/*"},
		{"ClusterTemplate", "spec/nodeCount", ""},
		{"Config", "spec/clouds/*/driver", "config"},
		{"Pod", "spec/image", ""},
	} {
		if got := schema.Effective(c.kind, c.field); got != c.want {
			t.Errorf("%s %s becomes %q, want %q", c.kind, c.field, got, c.want)
		}
	}
	if got := schema.Fields("Pod"); got != nil {
		t.Errorf("fields of a foreign kind: %v", got)
	}
	if _, err := schema.JSONSchema("Pod"); err == nil {
		t.Error("a schema of a foreign kind")
	}
}

// TestEffectiveFieldsExist: every effective field of Spec and Policy that the
// tables name is in the JSON of a resolved cluster in which all fields are set.
func TestEffectiveFieldsExist(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(struct {
		schema.Spec
		Policy schema.Policy `json:"policy"`
	}{
		schema.Spec{
			Keypair: "x", SSHPublicKeys: []string{"x"}, ExternalNetwork: "x", FixedNetwork: "x", FixedSubnet: "x",
			DNSNameservers: []string{"x"}, NetworkDriver: "x", VolumeDriver: "x", DockerStorageDriver: "x", HTTPProxy: "x",
			HTTPSProxy: "x", NoProxy: "x", APIServerPort: 1, TLSDisabled: true, RegistryEnabled: true, InsecureRegistry: "x",
			MasterLBEnabled: true, FloatingIPEnabled: true, Driver: "x", DiscoveryURL: "x", Labels: map[string]string{"x": "x"},
			SecretLabels: map[string]schema.Secret{"x": {Env: "x"}},
			Groups: []schema.Group{{
				Name: "x", MinNodeCount: 1, MaxNodeCount: 1, Image: "x", DockerVolumeSize: 1, Labels: map[string]string{},
				NodeLabels: map[string]string{"x": "x"}, NodeTaints: []schema.Taint{{}},
			}},
		},
		schema.Policy{
			Suspend: true, Suspension: schema.Suspension{Until: "x", By: "x", Reason: "x"}, NodesToRemove: []string{"x"}, PreviousNames: []schema.ClusterName{"x"},
			Maintenance: &schema.Maintenance{}, Schedules: []schema.GroupSchedule{{}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	all["nodeGroups"] = all["nodeGroups"].([]any)[0]
	for _, kind := range []string{"Cluster", "ClusterTemplate"} {
		for _, field := range schema.Fields(kind) {
			effective := schema.Effective(kind, field)
			top, _, _ := strings.Cut(effective, "/")
			if slices.Contains([]string{"", "name", "cloud", "template", "metadata"}, top) {
				continue
			}
			at := any(all)
			for part := range strings.SplitSeq(effective, "/") {
				m, ok := at.(map[string]any)
				if !ok {
					t.Errorf("%s %s becomes %s, which does not exist", kind, field, effective)
					break
				}
				if part != "*" && !strings.HasPrefix(part, "default-") {
					at, ok = m[part]
				} else if _, isMap := m["x"]; isMap {
					at = m["x"]
				}
				if !ok {
					t.Errorf("%s %s becomes %s, which does not exist", kind, field, effective)
					break
				}
			}
		}
	}
}

// TestDefaults: to write a default that a schema names changes nothing.
func TestDefaults(t *testing.T) {
	t.Parallel()
	group := "nodeGroups: [{name: a, schedule: [{cron: '@daily', nodeCount: 1}]}]; maintenance: {cron: '@daily', duration: 1h}"
	want, err := load(least("", group))
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, kind := range []string{"Cluster", "ClusterTemplate"} {
		eachProperty(t, kind, func(path string, p map[string]any) {
			value := fmt.Sprint(p["default"])
			if p["default"] == nil {
				return
			}
			template, cluster := "", group
			name := strings.TrimPrefix(path, "spec/")
			switch {
			case strings.HasPrefix(name, "nodeGroups/*/schedule/*/"):
				cluster = strings.Replace(group, "nodeCount: 1}", "nodeCount: 1, "+strings.TrimPrefix(name, "nodeGroups/*/schedule/*/")+": "+value+"}", 1)
			case strings.HasPrefix(name, "nodeGroups/*/"):
				cluster = strings.Replace(group, "name: a,", "name: a, "+strings.TrimPrefix(name, "nodeGroups/*/")+": "+value+",", 1)
			case strings.HasPrefix(name, "maintenance/"):
				cluster = strings.Replace(group, "1h", "1h, "+strings.TrimPrefix(name, "maintenance/")+": "+value, 1)
			case kind == "Cluster":
				cluster += "; " + name + ": " + value
			default:
				template = name + ": " + value
			}
			got, err := load(least(template, cluster))
			if err != nil {
				t.Errorf("%s %s: %v", kind, path, err)
				return
			}
			tested++
			w, g := want.Clusters[0], got.Clusters[0]
			if !cmp.Equal(w.Spec, g.Spec) || !cmp.Equal(w.Policy, g.Policy) || w.Spec.Hash() != g.Spec.Hash() {
				t.Errorf("%s %s: %s is not the default:\n%s%s", kind, path, value, cmp.Diff(w.Spec, g.Spec), cmp.Diff(w.Policy, g.Policy))
			}
		})
	}
	if tested < 15 {
		t.Errorf("only %d defaults were found", tested)
	}
}

// TestConfigDefaults is the same for the configuration.
func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: jeroboam.io/v1alpha1\nkind: Config\nspec:\n  clouds: {lab: {}}\n"
	want, err := schema.ParseConfig("f", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	least := want
	eachProperty(t, "Config", func(path string, p map[string]any) {
		if p["default"] == nil || strings.HasPrefix(path, "spec/sources/") { // the same again
			return
		}
		text := head
		want = least
		switch parts := strings.Split(path, "/"); {
		case parts[1] == "clouds":
			text = strings.Replace(head, "{}", fmt.Sprintf("{%s: %v}", parts[3], p["default"]), 1)
		case len(parts) == 2:
			text += fmt.Sprintf("  %s: %v\n", parts[1], p["default"])
		default:
			more := map[string]string{"maintenance": `, cron: "0 2 * * 6", duration: 4h`}[parts[1]]
			text += fmt.Sprintf("  %s: {%s: %s%s}\n", parts[1], parts[2], quoted(p["default"]), more)
			if more != "" {
				want, err = schema.ParseConfig("f", []byte(head+"  "+parts[1]+": {"+more[2:]+"}\n"))
			}
		}
		got, err := schema.ParseConfig("f", []byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v is not the default: %v\n%s", path, p["default"], err, diff)
		}
	})
}

// quoted is a default in YAML: a cron expression begins with what YAML reads.
func quoted(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(v)
}

// TestMagnumNames: each field that has another name in Magnum is told for
// that name.
func TestMagnumNames(t *testing.T) {
	t.Parallel()
	eachProperty(t, "ClusterTemplate", func(path string, p map[string]any) {
		magnum, ours := fmt.Sprint(p["x-magnum"]), strings.TrimPrefix(path, "spec/")
		if p["x-magnum"] == nil || magnum == ours || !strings.HasPrefix(path, "spec/") {
			return
		}
		fsys := least(magnum+": x", "")
		_, err := load(fstest.MapFS{"template.yaml": fsys["template.yaml"]})
		if err == nil || !strings.Contains(err.Error(), `JB1110: /spec/`+magnum+`: unknown field "`+magnum+`"; in Jeroboam this is "`+ours+`"`) {
			t.Errorf("%s: got %v, want %s suggested", magnum, err, ours)
		}
	})
}
