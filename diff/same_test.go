package diff_test

import (
	"reflect"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// Every field of Observed counts, also those that are added later.
func TestSameSeesEveryField(t *testing.T) {
	t.Parallel()
	for f := range reflect.TypeFor[diff.Observed]().Fields() {
		a, b := whole(), whole()
		if !a.Same(&b) {
			t.Fatal("equal values differ")
		}
		v := reflect.ValueOf(&b).Elem().FieldByIndex(f.Index)
		other := reflect.New(v.Type()).Elem()
		if v.IsZero() {
			other = reflect.ValueOf(nonZero(t, v)).Convert(v.Type())
		}
		v.Set(other)
		if a.Same(&b) {
			t.Errorf("a change of %s is not seen", f.Name)
		}
	}
}

func whole() diff.Observed {
	return diff.Observed{
		Key: schema.Key{Cloud: "lab", Name: "prod"}, ID: "7f1c2c0e", Version: "v1", Owner: diff.Ours, Status: diff.CreateComplete,
		Type: "docker_ubuntu", TypeRevision: 3, Protected: true, Spec: &schema.Spec{COE: "docker"}, CreatedAt: "2026-03-01T12:00:00Z",
		Nodes: []diff.Node{{Name: "prod-default-worker-0", Group: schema.DefaultWorker, State: diff.NodeReady}},
	}
}

func nonZero(t *testing.T, v reflect.Value) any {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		return "x"
	case reflect.Bool:
		return true
	case reflect.Slice:
		return reflect.MakeSlice(v.Type(), 1, 1).Interface()
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		m.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
		return m.Interface()
	default:
		t.Fatalf("no value for a %s", v.Type())
		return nil
	}
}
