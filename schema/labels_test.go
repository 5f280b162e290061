package schema_test

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"jeroboam.io/jeroboam/schema"
)

// TestCatalogueIsWhole: every key that Magnum, its client and the drivers from
// elsewhere ever had is in the catalogue, and nothing else but ours.
func TestCatalogueIsWhole(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/labels/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	keys := strings.Fields(string(file))
	if len(keys) != 156 {
		t.Errorf("%d keys, want 156", len(keys))
	}
	keys = append(keys, "mirror_url")
	slices.Sort(keys)
	var have []string
	for _, l := range schema.Labels() {
		have = append(have, l.Key)
	}
	if !slices.Equal(have, keys) {
		t.Errorf("the catalogue has\n%v\nwant\n%v", have, keys)
	}
}

// TestCatalogueFits: what the catalogue says of each label is of use.
func TestCatalogueFits(t *testing.T) {
	t.Parallel()
	for _, l := range schema.Labels() {
		if l.Title == "" || !strings.HasSuffix(l.Meaning, ".") {
			t.Errorf("%s: title %q, meaning %q", l.Key, l.Title, l.Meaning)
		}
		if (l.Type == schema.LabelEnum) != (len(l.Allowed) > 0) && l.Type != schema.LabelList {
			t.Errorf("%s: %s allows %v", l.Key, l.Type, l.Allowed)
		}
		if (l.Type == schema.LabelInt) != (l.Minimum != nil) || l.Type != schema.LabelInt && (l.Maximum != nil || l.Unit != "") {
			t.Errorf("%s: bounds and units are of numbers", l.Key)
		}
		if !slices.Contains([]schema.LabelEffect{schema.EffectBoot, schema.EffectInPlace, schema.EffectNever}, l.Effect) {
			t.Errorf("%s: effect %q", l.Key, l.Effect)
		}
		if (l.Effect == schema.EffectNever) != (l.Fixed != "") {
			t.Errorf("%s: effect %s and fixed %q; a sentence goes with never", l.Key, l.Effect, l.Fixed)
		}
		if len(l.Readers) == 0 && l.Obsolete == "" {
			t.Errorf("%s: nothing reads it, and it is not obsolete", l.Key)
		}
		expectReaders(t, l)
		expectNeeds(t, l)
	}
}

func expectReaders(t *testing.T, l schema.Label) {
	t.Helper()
	type reader struct {
		name string
		ours bool
	}
	seen := map[reader]bool{}
	for _, r := range l.Readers {
		if r.Since == "" {
			t.Errorf("%s: since when do %v read it?", l.Key, r.Types)
		}
		for _, name := range r.Types {
			typ, ok := schema.ClusterTypeNamed(name)
			is := reader{name, r.Since == schema.SinceJeroboam}
			if !ok || typ.Name != name || seen[is] {
				t.Errorf("%s: reader %s is no cluster type, or is there twice", l.Key, name)
			}
			seen[is] = true
			if len(typ.Magnum) == 0 && r.Since != schema.SinceJeroboam {
				t.Errorf("%s: Magnum has no %s, so only ours can read it", l.Key, name)
			}
		}
	}
}

func expectNeeds(t *testing.T, l schema.Label) {
	t.Helper()
	for _, n := range l.Needs {
		if (n.Label == "") == (n.Field == "") {
			t.Errorf("%s needs %+v: one of label and field", l.Key, n)
		}
		for _, key := range []string{n.Label, n.Or} {
			if _, ok := schema.LabelOf(key); key != "" && !ok {
				t.Errorf("%s needs %s, which is no label", l.Key, key)
			}
		}
		if n.Field != "" && n.Field != "dockerVolumeSize" && !slices.Contains(slices.Collect(fieldsOf(schema.Spec{})), n.Field) {
			t.Errorf("%s needs %s, which is no field", l.Key, n.Field)
		}
		for _, name := range n.Types {
			if _, ok := schema.ClusterTypeNamed(name); !ok {
				t.Errorf("%s: %s is no cluster type", l.Key, name)
			}
		}
		values := map[string][]string{l.Key: append(n.When, n.Unless...)}
		if n.Label != "" {
			values[n.Label] = n.Values
		}
		for key, list := range values {
			for _, v := range list {
				if p := valueProblems(t, key, v); v != "" && p != "" {
					t.Errorf("%s needs %s: %s, which cannot be: %s", l.Key, key, v, p)
				}
			}
		}
	}
}

func fieldsOf(v any) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !yield(name) {
				return
			}
		}
	}
}

// valueProblems is what a document with that label, quoted, has to say of its value.
func valueProblems(t *testing.T, key, value string) string {
	t.Helper()
	fsys := least("", "")
	text := strings.Replace(string(fsys["template.yaml"].Data), "labels: {kube_tag: v1.33.4}", "labels: {"+key+": "+quote(value)+"}", 1)
	_, err := load(fstest.MapFS{"template.yaml": {Data: []byte(text)}})
	if err == nil {
		return ""
	}
	return err.Error()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// TestLabelValues: of each label its defaults and its example are right, with
// quotes and as YAML reads them, and what is plainly wrong is told as such.
func TestLabelValues(t *testing.T) {
	t.Parallel()
	for _, l := range schema.Labels() {
		values := map[string]bool{}
		for _, r := range l.Readers {
			values[r.Default] = true
		}
		values[l.Example] = true
		delete(values, "")
		if len(values) == 0 {
			t.Errorf("%s has neither a default nor an example", l.Key)
		}
		for value := range values {
			if p := valueProblems(t, l.Key, value); p != "" {
				t.Errorf("%s: %s", l.Key, p)
			}
		}
		for _, value := range wrongValues(l) {
			if p := valueProblems(t, l.Key, value); !strings.Contains(p, "error JB1402: /spec/labels/"+l.Key+": ") || strings.Count(p, "\n") > 0 {
				t.Errorf("%s: %q is wrong, and what is told of it is %q", l.Key, value, p)
			}
		}
	}
}

func wrongValues(l schema.Label) []string {
	switch l.Type {
	case schema.LabelBool:
		return []string{"yes", "1", "", "tru", "TrUe"}
	case schema.LabelInt:
		wrong := []string{"one", "1.5", "", "01", "1 GiB", "9999999999", "-999999999"}
		if l.Maximum != nil {
			wrong = append(wrong, "99999")
		}
		return wrong
	case schema.LabelEnum:
		return []string{"nothing-like-it"}
	case schema.LabelList:
		wrong := []string{"a, b", ",a", "a,,b"}
		if len(l.Allowed) > 0 {
			wrong = append(wrong, "nothing-like-it", l.Allowed[0]+",nothing-like-it")
		}
		return wrong
	case schema.LabelZoneList:
		return []string{"a, b", "a,"}
	case schema.LabelTag:
		return []string{"", "a b", "-v1", ".1", "v1:2", "v1@sha256:0", strings.Repeat("x", 129)}
	case schema.LabelVersion:
		return []string{"", "1.33.4", "v1.33", "v1", "v1.33.4.5", "v1.033.4", "v1.33.4-", "v1.33.x", "latest"}
	case schema.LabelCIDR:
		return []string{"", "10.0.0.0", "10.0.0.0/33", "10.0.0.5/24", "10.0.0.256/32", "10.0.0.0/24,10.1.0.0/24", "2001:db8::/64", "net"}
	case schema.LabelCIDRs:
		return []string{"10.0.0.0", "10.0.0.5/24", "10.0.0.0/24, 10.1.0.0/24", "10.0.0.0/24,", "2001:db8::1/64"}
	case schema.LabelIP:
		return []string{"", "10.0.0", "10.0.0.1/24", "api.example.com"}
	case schema.LabelURL:
		return []string{"example.com/file", "ftp://example.com", "https://", "https:///file", "https://:80/", "https://me:word@example.com", "https://a b", "http://%zz"}
	case schema.LabelPrefix:
		return []string{"registry.example.com", "registry .com/"}
	case schema.LabelSHA256:
		return []string{"", "abc", strings.Repeat("A", 64), strings.Repeat("g", 64), strings.Repeat("a", 63)}
	case schema.LabelDigest:
		return []string{strings.Repeat("a", 64), "sha256:abc", "sha512:" + strings.Repeat("a", 64)}
	case schema.LabelDomain:
		return []string{"", "-a", "a..b", "a_b", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "a"}
	case schema.LabelUUID:
		return []string{"", "net", "7a9d5b7e2f3c4d1e8b6a0c9f8e7d6b5a"}
	case schema.LabelPath:
		return []string{"", "var/lib", "/a b"}
	case schema.LabelJSON:
		return []string{"[]", "a", "{", `{"a": 1} x`}
	case schema.LabelFlags:
		return []string{"v=2", "- v"}
	case schema.LabelText:
		return nil // any line is right
	}
	return []string{"a type without wrong values"}
}

// TestLabelNumbers: numbers and booleans of YAML are as good as their text.
func TestLabelNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"coredns_tag: 1.6":                         "",
		"coredns_tag: 16":                          "",
		"coredns_tag: -16":                         "expected a tag",
		"coredns_tag: true":                        "expected a tag",
		"boot_volume_size: 10":                     "",
		"boot_volume_size: '10'":                   "",
		"boot_volume_size: -1":                     "expected at least 0, found the number -1",
		"boot_volume_size: '-1'":                   "expected at least 0, found -1",
		"boot_volume_size: 10.5":                   "expected a whole number",
		"boot_volume_size: 9999999999":             "expected at most 999999999",
		"flannel_network_subnetlen: 31":            "expected at most 30",
		"flannel_network_subnetlen: '31'":          "expected at most 30",
		"npd_enabled: false":                       "",
		"npd_enabled: 'False'":                     "",
		"npd_enabled: no":                          "expected true or false, found \"no\"; write false",
		"npd_enabled: 1":                           "expected true or false, found the number 1; write true",
		"npd_enabled: ~":                           "found nothing; give it a value or leave it out",
		"npd_enabled: []":                          "expected text, true or false, found a list",
		"kube_tag: 1.33":                           "expected a version such as v1.33.4, found the number 1.33",
		"ingress_controller: ''":                   "",
		"ingress_controller: nginks":               `expected one of "", traefik, nginx, octavia, found "nginks"; did you mean "nginx"?`,
		"ingress_controller: 1":                    `expected one of "", traefik, nginx, octavia, found the number 1`,
		"calico_ipv4pool_ipip: Off":                "",
		"calico_ipv4pool_ipip: false":              "expected one of Always, CrossSubnet, Never, Off, found false",
		"calico_ipv4pool: 10.0.0.1/16":             "10.0.0.1/16 is an address in a network, not the network; write 10.0.0.0/16",
		"mesos_slave_image_providers: docked":      `expected one of appc, docker, found "docked"; did you mean "docker"?`,
		"kubelet_options: --v=4 --cloud=x":         "",
		"containerd_tarball_url: https://u@h/f":    "user and password do not belong in a label",
		"mesos_slave_executor_env_variables: '{}'": "",
	} {
		key, value, _ := strings.Cut(text, ":")
		fsys := least("labels: {"+key+":"+value+"}", "")
		_, err := load(fstest.MapFS{"template.yaml": fsys["template.yaml"]})
		problems, _ := schema.AsProblems(err)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (len(problems) != 1 || problems[0].Code != schema.CodeLabelValue || !strings.Contains(problems[0].String(), want)):
			t.Errorf("%s: got %v, want one problem with %q", text, err, want)
		}
	}
}

// TestSecretIsNotShown: whatever is wrong with a secret, no problem has it.
func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"hunter2", `"hunter2\nx"`, "[hunter2]", "{hunter2: x}", "0x6875", "1e9"} {
		for _, where := range []fstest.MapFS{
			least("labels: {kube_tag: v1.33.4, grafana_admin_passwd: "+value+"}", ""),
			least("", "labels: {grafana_admin_passwd: "+value+"}"),
			least("", "nodeGroups: [{name: a, labels: {grafana_admin_passwd: "+value+"}}]"),
		} {
			problems := problemsOf(where)
			if len(problems) == 0 {
				t.Errorf("%s: nothing is told", value)
			}
			for _, p := range problems {
				if s := p.String(); strings.Contains(s, "hunter2") || strings.Contains(s, "6875") || strings.Contains(s, "1e9") {
					t.Errorf("told: %s", s)
				}
			}
		}
	}
}

// problemsOf are the errors and warnings of a fleet.
func problemsOf(fsys fstest.MapFS) schema.Problems {
	fleet, err := load(fsys)
	if err != nil {
		problems, _ := schema.AsProblems(err)
		return problems
	}
	return fleet.Warnings
}

// TestEditorsKnowLabels: the JSON Schemas have each label with its meaning.
func TestEditorsKnowLabels(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{schema.KindCluster, schema.KindClusterTemplate} {
		file, err := schema.JSONSchema(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range schema.Labels() {
			if !strings.Contains(string(file), `"`+l.Key+`": {"title": "`) || !strings.Contains(string(file), strings.SplitN(l.Meaning, `"`, 2)[0]) {
				t.Errorf("%s lacks %s", kind, l.Key)
			}
		}
	}
}

// TestIgnored: who knows the cluster's type knows what it does not read.
func TestIgnored(t *testing.T) {
	t.Parallel()
	spec := schema.Spec{
		COE: "kubernetes", ServerType: "vm", NetworkDriver: "calico",
		Labels: map[string]string{"kube_tag": "v1.33.4", "selinux_mode": "permissive", "calico_tag": "v3.26.1", "cilium_tag": "v1.15.3", "ours": "x"},
	}
	for name, want := range map[string]string{
		"k8s_fedora_coreos": "", // the label of Cilium is an error with driver heat
		"k8s_debian":        "labels/selinux_mode",
		"magnum_capi_helm":  "labels/calico_tag labels/cilium_tag labels/kube_tag labels/selinux_mode",
	} {
		typ, _ := schema.ClusterTypeNamed(name)
		fields := map[string]string{}
		for _, f := range schema.Ignored(&spec, driverOf(typ), typ, "ours ") {
			fields[f.Field] = f.Message
		}
		if got := strings.Join(slices.Sorted(maps.Keys(fields)), " "); got != want {
			t.Errorf("%s ignores %s, want %s", name, got, want)
		}
	}
}

func driverOf(t schema.ClusterType) string {
	if t.Heat {
		return "heat"
	}
	return "magnum"
}
