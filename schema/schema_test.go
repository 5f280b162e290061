package schema_test

import (
	"testing"

	"jeroboam.io/jeroboam/schema"
)

func TestSameIsEqualHashes(t *testing.T) {
	t.Parallel()
	spec := func(change func(*schema.Spec)) *schema.Spec {
		s := &schema.Spec{COE: "docker", Groups: []schema.Group{{Name: schema.DefaultWorker, NodeCount: 1}}}
		change(s)
		return s
	}
	base := spec(func(*schema.Spec) {})
	for _, c := range []struct {
		what   string
		change func(*schema.Spec)
		same   bool
	}{
		{"nothing", func(*schema.Spec) {}, true},
		{"no labels written as an empty map", func(s *schema.Spec) { s.Labels = map[string]string{} }, true},
		{"a label", func(s *schema.Spec) { s.Labels = map[string]string{"a": "b"} }, false},
		{"a group that has no labels although the cluster may", func(s *schema.Spec) { s.Groups[0].Labels = map[string]string{} }, false},
		{"a group's size", func(s *schema.Spec) { s.Groups[0].NodeCount = 2 }, false},
	} {
		other := spec(c.change)
		if have := base.Same(other); have != c.same || have != (base.Hash() == other.Hash()) {
			t.Errorf("%s: same is %t, hashes %s and %s", c.what, have, base.Hash(), other.Hash())
		}
	}
}
