package schema_test

import (
	"testing"

	"jeroboam.io/jeroboam/schema"
)

// Every minor version that a cluster type can run has a release to stop at on
// the way to the next.
func TestKubeReleases(t *testing.T) {
	t.Parallel()
	for _, typ := range schema.ClusterTypes() {
		for minor := typ.Kubernetes[0]; minor < typ.Kubernetes[1]; minor++ {
			v, ok := schema.KubeRelease(minor)
			if parsed, valid := schema.ParseKube(v.String()); !ok || !valid || parsed != v || v.Minor != minor || v.Patch == 0 {
				t.Errorf("%s runs v1.%d, and its release is %s", typ.Name, minor, v)
			}
		}
	}
	if v, ok := schema.KubeRelease(12); ok {
		t.Errorf("v1.12 has release %s", v)
	}
}

func TestKubeVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b          string
		order, minors int
	}{
		{"v1.30.2", "v1.30.10", -1, 0},
		{"v1.31.0", "v1.30.10", 1, 1},
		{"v1.30.2-rancher1", "v1.30.2", 0, 0},
		{"v2.0.0", "v1.30.2", 1, 1},
	} {
		a, okA := schema.ParseKube(c.a)
		b, okB := schema.ParseKube(c.b)
		if !okA || !okB || a.Compare(b) != c.order || a.CompareMinor(b) != c.minors {
			t.Errorf("%s against %s: %d, %d", c.a, c.b, a.Compare(b), a.CompareMinor(b))
		}
	}
	for _, tag := range []string{"", "v1.30", "1.30.2", "v1.x.2", "latest"} {
		if v, ok := schema.ParseKube(tag); ok {
			t.Errorf("%q is read as %s", tag, v)
		}
	}
}
