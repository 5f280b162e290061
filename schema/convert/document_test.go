package convert_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
	"jeroboam.io/jeroboam/schema/convert"
)

// example is a document with every sort of value, its fields in no order.
func example() convert.Document {
	return convert.Document{
		Kind: schema.KindCluster, Name: "prod",
		Spec: convert.Fields{
			{"nodeGroups", []convert.Fields{{
				{"minNodeCount", 0},
				{"nodeTaints", []convert.Fields{{{"key", "gpu"}, {"effect", "NoSchedule"}}}},
				{"nodeLabels", map[string]string{"accel": "true"}},
				{"name", "gpu"},
			}}},
			{"nodeCount", 1},
			{"template", "yes"},
			{"cloud", "lab"},
			{"createTimeout", 60},
			{"suspend", true},
			{"labels", map[string]string{"kube_tag": "1.10", "auto_healing_enabled": "true", "boot_volume_size": "20", "odd": "007"}},
			{"secretLabels", convert.Fields{{"x", convert.Fields{{"env", "X"}}}}},
			{"previousNames", []string{"old", "12"}},
		},
		Notes: []convert.Note{
			{Text: "of nothing"},
			{Field: "image", Attributes: []string{"image_id"}, Text: "of what is not written"},
			{Field: "createTimeout", Text: "a default that has something to tell"},
			{Field: "nodeGroups/gpu/nodeTaints", Text: "first\nkind: Evil\x1b[31m"},
			{Field: "nodeGroups/gpu/nodeTaints", Text: "second"},
		},
	}
}

// TestDocumentYAML: fields in the order of the schema, without defaults, notes
// where they belong, and text that stays text.
func TestDocumentYAML(t *testing.T) {
	t.Parallel()
	const want = `# note: of nothing
# note: image_id: of what is not written
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata: {name: prod}
spec:
  cloud: lab
  template: "yes"
  labels:
    auto_healing_enabled: true
    boot_volume_size: 20
    kube_tag: "1.10"
    odd: "007"
  secretLabels:
    x: {env: X}
  # note: a default that has something to tell
  createTimeout: 60
  nodeGroups:
  - name: gpu
    nodeLabels:
      accel: "true"
    # note: first kind: Evil [31m
    # note: second
    nodeTaints:
    - key: gpu
      effect: NoSchedule
  suspend: true
  previousNames: [old, "12"]
`
	got, err := example().YAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// TestDocumentJSON: the same document, for programs.
func TestDocumentJSON(t *testing.T) {
	t.Parallel()
	const want = `{"apiVersion":"jeroboam.io/v1alpha1","kind":"Cluster","metadata":{"name":"prod"},"spec":{` +
		`"cloud":"lab","createTimeout":60,` +
		`"labels":{"auto_healing_enabled":"true","boot_volume_size":"20","kube_tag":"1.10","odd":"007"},` +
		`"nodeGroups":[{"name":"gpu","nodeLabels":{"accel":"true"},"nodeTaints":[{"effect":"NoSchedule","key":"gpu"}]}],` +
		`"previousNames":["old","12"],"secretLabels":{"x":{"env":"X"}},"suspend":true,"template":"yes"}}`
	got, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
