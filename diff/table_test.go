package diff_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// TestTableHasEveryField walks the types and the JSON Schemas: a field that is
// added to one of them needs a line in the table.
func TestTableHasEveryField(t *testing.T) {
	t.Parallel()
	var fields []string
	for _, f := range jsonNames(reflect.TypeFor[schema.Spec]()) {
		switch f {
		case "labels", "secretLabels":
			f += "/*"
		case "nodeGroups":
			f = "nodeGroups/*"
		}
		fields = append(fields, f)
	}
	for _, f := range jsonNames(reflect.TypeFor[schema.Group]()) {
		fields = append(fields, "nodeGroups/*/"+f)
	}
	for _, f := range jsonNames(reflect.TypeFor[schema.Policy]()) {
		fields = append(fields, "policy/"+f)
	}
	for _, kind := range schema.Kinds() {
		for _, property := range schema.Fields(kind) {
			f := schema.Effective(kind, property)
			if f == "" && property != "apiVersion" && property != "kind" {
				t.Errorf("%s: %s becomes no effective field", kind, property)
			}
			if f != "" {
				fields = append(fields, f)
			}
		}
	}
	slices.Sort(fields)
	for _, f := range slices.Compact(fields) {
		row, ok := diff.ClassOf(f)
		if !ok {
			t.Errorf("%s is not in the table", f)
		}
		if (row.Says != "") != (row.Class == diff.ClassImmutable) {
			t.Errorf("%s: class %s says %q; a sentence goes with what is immutable", f, row.Class, row.Says)
		}
	}
	if _, ok := diff.ClassOf("nonsense"); ok {
		t.Error("the table has a field that is none")
	}
}

// TestLabelsHaveClasses: each label of the catalogue has the class of its
// effect, in the cluster and in a group, and one that nobody knows reaches a
// node when it boots.
func TestLabelsHaveClasses(t *testing.T) {
	t.Parallel()
	classes := map[schema.LabelEffect]diff.Class{
		schema.EffectBoot: diff.ClassUpgrade, schema.EffectInPlace: diff.ClassUpdate, schema.EffectNever: diff.ClassImmutable,
	}
	for _, l := range schema.Labels() {
		for _, field := range []string{"labels/" + l.Key, "nodeGroups/gpu/labels/" + l.Key} {
			want := diff.Row{Field: field, Class: classes[l.Effect], Says: l.Fixed}
			if row, ok := diff.ClassOf(field); !ok || row != want {
				t.Errorf("got %+v, want %+v", row, want)
			}
		}
	}
	for field, want := range map[string]diff.Class{
		"labels/ours":                             diff.ClassUpgrade,
		"nodeGroups/gpu/labels/ours":              diff.ClassUpgrade,
		"labels/kube_tag":                         diff.ClassUpgrade,
		"labels/mirror_url":                       diff.ClassUpgrade,
		"labels/npd_enabled":                      diff.ClassUpdate,
		"labels/availability_zone":                diff.ClassImmutable,
		"labels/mesos_slave_isolation":            diff.ClassUpgrade,
		"labels/control_plane_availability_zones": diff.ClassImmutable,
	} {
		if row, _ := diff.ClassOf(field); row.Class != want {
			t.Errorf("%s: got %s, want %s", field, row.Class, want)
		}
	}
}

// TestMastersOnly: a label that masters alone read changes what they boot
// with, and nothing of the workers.
func TestMastersOnly(t *testing.T) {
	t.Parallel()
	revision := func(role, key string) string {
		s := schema.Spec{Labels: map[string]string{key: "x"}}
		return diff.NodeRevision(&s, schema.Group{Role: role})
	}
	bare := diff.NodeRevision(&schema.Spec{}, schema.Group{})
	masters := 0
	for _, l := range schema.Labels() {
		boot := l.Effect == schema.EffectBoot
		if l.Masters {
			masters++
		}
		if got := revision("master", l.Key) != bare; got != boot {
			t.Errorf("%s changes masters: %v, want %v", l.Key, got, boot)
		}
		if got := revision("worker", l.Key) != bare; got != (boot && !l.Masters) {
			t.Errorf("%s changes workers: %v, want %v", l.Key, got, boot && !l.Masters)
		}
	}
	if masters != 28 {
		t.Errorf("%d labels of masters, want 28", masters)
	}
}

// TestTableIsDrawn compares the drawing above the table with the table.
func TestTableIsDrawn(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	class, drawn := "", map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^//\t│ (\w*) +│ (.*?) *│$`).FindAllStringSubmatch(string(src), -1) {
		if line[1] != "" {
			class = line[1]
		}
		for word := range strings.FieldsSeq(line[2]) {
			drawn[strings.TrimRight(word, ":")] = class
		}
	}
	for _, f := range jsonNames(reflect.TypeFor[schema.Spec]()) {
		if f != "labels" && f != "secretLabels" && f != "nodeGroups" {
			expectDrawn(t, drawn, f)
		}
	}
	for _, f := range jsonNames(reflect.TypeFor[schema.Group]()) {
		if f != "labels" && f != "secretLabels" {
			expectDrawn(t, drawn, "nodeGroups/*/"+f)
		}
	}
	for _, f := range jsonNames(reflect.TypeFor[schema.Policy]()) {
		expectDrawn(t, drawn, "policy/"+f)
	}
	for _, f := range []string{"labels/*", "secretLabels/*", "nodeGroups/*/labels/*", "nodeGroups/*/secretLabels/*"} {
		expectDrawn(t, drawn, f)
	}
	expectDrawn(t, drawn, "nodeGroups/default-master/nodeCount")
}

func expectDrawn(t *testing.T, drawn map[string]string, field string) {
	t.Helper()
	if row, _ := diff.ClassOf(field); drawn[field] != string(row.Class) {
		t.Errorf("%s is drawn as %q and is %q", field, drawn[field], row.Class)
	}
}

func jsonNames(typ reflect.Type) []string {
	var names []string
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// TestEveryFieldIsSeen changes each field of a spec alone: the plan has a step
// of the class's kind with a change of that field, and NodeRevision changes
// exactly with what an upgrade is.
func TestEveryFieldIsSeen(t *testing.T) {
	t.Parallel()
	for f := range reflect.TypeFor[schema.Spec]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "nodeGroups" {
			continue
		}
		want := plain()
		change(reflect.ValueOf(&want).Elem().FieldByIndex(f.Index))
		if name == "labels" || name == "secretLabels" {
			name += "/changed"
		}
		expectSeen(t, name, &want)
	}
	for f := range reflect.TypeFor[schema.Group]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "name" {
			continue
		}
		want := plain()
		change(reflect.ValueOf(&want.Groups[1]).Elem().FieldByIndex(f.Index))
		if name == "labels" || name == "secretLabels" {
			name += "/changed"
		}
		expectSeen(t, "nodeGroups/default-worker/"+name, &want)
	}
}

// change gives a field another value.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "changed")
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[string]schema.Secret]() {
			v.Set(reflect.ValueOf(map[string]schema.Secret{"changed": {Digest: "1a2b3c4d5e6f7081"}}))
			return
		}
		v.Set(reflect.ValueOf(map[string]string{"changed": "x", "kube_tag": "v1.30", "etcd_volume_size": "10"}))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	default:
		panic("no other value for a " + v.Kind().String())
	}
}

func expectSeen(t *testing.T, field string, want *schema.Spec) {
	t.Helper()
	ops := map[diff.Class]diff.Op{
		diff.ClassResize: diff.Resize, diff.ClassUpdate: diff.Update,
		diff.ClassUpgrade: diff.Upgrade, diff.ClassImmutable: diff.None,
	}
	have := there(t, "a")
	fleet := wanted(t, "a")
	fleet.Clusters[0].Spec = *want
	plan := diff.Compute(fleet, have, diff.Policy{})
	row, _ := diff.ClassOf(field)
	if len(plan.Steps) != 1 || plan.Steps[0].Op != ops[row.Class] || len(plan.Steps[0].Changes) != 1 || plan.Steps[0].Changes[0].Field != field {
		t.Fatalf("%s (%s) gives %s", field, row.Class, short(plan))
	}
	was := plain()
	rolls := diff.NodeRevision(&was, was.Groups[1]) != diff.NodeRevision(want, want.Groups[1])
	if rolls != (row.Class == diff.ClassUpgrade) {
		t.Errorf("%s (%s): a worker's revision changes: %v", field, row.Class, rolls)
	}
	if plan.Steps[0].Held == nil && plan.Steps[0].To.Hash() != want.Hash() {
		t.Errorf("%s: the step asks for something else than what is wanted", field)
	}
}

// TestNodeRevision fixes what must never change for nodes that run.
func TestNodeRevision(t *testing.T) {
	t.Parallel()
	s := plain()
	// sha256 of {"flavor":"small","image":"img","labels":{"kube_tag":"v1.30"}}
	if got := diff.NodeRevision(&s, s.Groups[1]); got != "44572faf45c98635" {
		t.Errorf("revision %s: a release that changes it replaces every node of everybody", got)
	}
	g := s.Groups[1]
	g.Name, g.Role, g.NodeCount, g.MaxNodeCount = "other", "infra", 7, 9
	if diff.NodeRevision(&s, g) != diff.NodeRevision(&s, s.Groups[1]) {
		t.Error("nodes that boot alike have different revisions")
	}
	s.Labels["kubeapi_options"] = "--v=2"
	if diff.NodeRevision(&s, g) != diff.NodeRevision(&s, s.Groups[1]) {
		t.Error("a label of masters replaces workers")
	}
	if before := plain(); diff.NodeRevision(&s, s.Groups[0]) == diff.NodeRevision(&before, before.Groups[0]) {
		t.Error("a label of masters does not reach them")
	}
	own := g
	own.Image = s.Image
	if diff.NodeRevision(&s, own) != diff.NodeRevision(&s, g) {
		t.Error("to write down what is inherited replaces nodes")
	}
}
