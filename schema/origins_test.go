package schema_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
)

// TestWhere: a field is where it was written, even if it came to its group from
// the cluster or the template; a default is where the document is.
func TestWhere(t *testing.T) {
	t.Parallel()
	fleet, err := load(fstest.MapFS{
		"t.yaml": {Data: []byte(`apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: t}
spec:
  coe: kubernetes
  image: i
  keypair: k
  externalNetwork: public
  flavor: f
  masterFlavor: m
  dockerVolumeSize: 10
  labels: {kube_tag: v1.33.1, coredns_tag: x}
  maintenance: {cron: "@daily", duration: 1h}
`)},
		"c.yaml": {Data: []byte(`apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: c}
spec:
  cloud: lab
  template: t
  nodeCount: 3
  labels: {availability_zone: b}
  mergeLabels: false
  nodeGroups:
  - name: plain
  - name: own
    flavor: g
    image: j
    dockerVolumeSize: 5
    labels: {boot_volume_type: d}
`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := fleet.Clusters[0]
	for field, want := range map[string]string{
		"coe":                                        "t.yaml:5:8",
		"nodeGroups/default-worker/nodeCount":        "c.yaml:7:14",
		"nodeGroups/default-master/nodeCount":        "c.yaml:1:1", // a default
		"nodeGroups/default-master/flavor":           "t.yaml:10:17",
		"nodeGroups/default-worker/flavor":           "t.yaml:9:11",
		"nodeGroups/plain/flavor":                    "t.yaml:9:11",
		"nodeGroups/own/flavor":                      "c.yaml:13:13",
		"nodeGroups/plain/image":                     "t.yaml:6:10",
		"nodeGroups/own/image":                       "c.yaml:14:12",
		"nodeGroups/plain/dockerVolumeSize":          "t.yaml:11:21",
		"nodeGroups/default-master/dockerVolumeSize": "t.yaml:11:21",
		"nodeGroups/own/dockerVolumeSize":            "c.yaml:15:23",
		"nodeGroups/own":                             "c.yaml:12:5",
		"nodeGroups/own/labels/boot_volume_type":     "c.yaml:16:32",
		"nodeGroups/own/labels/availability_zone":    "c.yaml:8:31",
		"labels/availability_zone":                   "c.yaml:8:31",
		"labels/coredns_tag":                         "c.yaml:1:1", // replaced
		"policy/maintenance":                         "t.yaml:13:16",
		"policy/maintenance/cron":                    "t.yaml:13:23",
		"policy/suspend":                             "c.yaml:1:1",
	} {
		if got := c.Where(field).String(); got != want {
			t.Errorf("%s is at %s, want %s", field, got, want)
		}
	}
	for field, pos := range c.Origins.All() {
		if got, ok := c.Origins.At(field); !ok || got != pos {
			t.Errorf("All has %s at %s, At has %s", field, pos, got)
		}
	}
}

func TestOriginsOf(t *testing.T) {
	t.Parallel()
	at := map[string]schema.Pos{
		"image":          {File: "t.yaml", Line: 3, Column: 4},
		"policy/suspend": {File: "c.yaml", Line: 5, Column: 6},
	}
	c := schema.Cluster{Pos: schema.Pos{File: "c.yaml", Line: 1, Column: 1}, Origins: schema.OriginsOf(at)}
	for field, want := range at {
		if got := c.Where(field); got != want {
			t.Errorf("%s is at %s, want %s", field, got, want)
		}
	}
	if got := c.Where("flavor"); got != c.Pos {
		t.Errorf("a default is at %s, want the document", got)
	}
	if !cmp.Equal(c.Origins, schema.OriginsOf(at)) || cmp.Equal(c.Origins, schema.Origins{}) {
		t.Error("Equal is wrong")
	}
}
