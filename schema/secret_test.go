package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/schema"
)

const planted = "hunter2-planted"

// TestSecretTextDoesNotPrint tries all ways in which a value comes out of a
// program by accident.
func TestSecretTextDoesNotPrint(t *testing.T) {
	t.Parallel()
	secret := schema.NewSecretText(planted)
	cluster := schema.Cluster{Secrets: map[string]schema.SecretText{"d": secret}}
	var out bytes.Buffer
	within := struct{ unexported schema.SecretText }{secret} // where package fmt calls no methods
	for _, v := range []any{secret, &secret, cluster, &cluster, cluster.Secrets, []any{secret}, within, &within} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		y, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n%s\n", j, y)
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(&out), zapcore.DebugLevel)
	zap.New(core).Debug("x", zap.Any("a", secret), zap.Reflect("b", cluster), zap.Stringer("c", secret))
	for _, form := range []string{planted, fmt.Sprintf("%x", planted), fmt.Sprintf("%X", planted)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%s is in\n%s", form, &out)
		}
	}
	if strings.Count(out.String(), "(secret)") < 30 {
		t.Errorf("nothing is in its place:\n%s", &out)
	}
	if secret.Reveal() != planted {
		t.Error("it is lost")
	}
}

// TestDigest fixes what must never change for clusters that have secrets: a
// release that changes it changes all of them.
func TestDigest(t *testing.T) {
	t.Parallel()
	var d schema.Digester
	const want = "9d7b3e0b6e45a3df" // as Python's hashlib.scrypt has it
	if got := d.Digest("grafana_admin_passwd", "admin"); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if d.Digest("other", "admin") == want || d.Digest("grafana_admin_passwd", "Admin") == want {
		t.Error("another label or another text has the same digest")
	}
	start := time.Now()
	for range 1000 {
		d.Digest("grafana_admin_passwd", "admin")
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("a known text is computed again: a thousand took %v", took)
	}
}

func TestSecretShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		secret schema.Secret
		want   string
	}{
		{schema.Secret{Digest: "1a2b3c4d5e6f7081"}, "(secret 1a2b3c4d)"},
		{schema.Secret{Env: "GRAFANA"}, "env GRAFANA (not read)"},
		{schema.Secret{File: "/run/x"}, "file /run/x (not read)"},
		{schema.Secret{}, ""},
	} {
		if got := c.secret.String(); got != c.want {
			t.Errorf("%#v shows %q, want %q", c.secret, got, c.want)
		}
	}
	s := schema.Spec{
		Labels:       map[string]string{"grafana_admin_passwd": planted, "kube_tag": "v1"},
		SecretLabels: map[string]schema.Secret{"token": {Env: "T"}},
	}
	want := map[string]string{"grafana_admin_passwd": "(secret)", "kube_tag": "v1", "token": "env T (not read)"}
	if d := cmp.Diff(want, s.ShownLabels()); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
}

// layered is what a cluster of a template has in the end, plain and secret
// labels of the cluster and of its groups.
func layered(t *testing.T, template, cluster string) *schema.Cluster {
	t.Helper()
	fleet, err := load(fstest.MapFS{
		"t.yaml": {Data: []byte("apiVersion: jeroboam.io/v1alpha1\nkind: ClusterTemplate\nmetadata: {name: t}\nspec:\n  coe: kubernetes\n  image: i\n" +
			"  flavor: f\n  masterFlavor: f\n  keypair: k\n  externalNetwork: public\n" + template)},
		"c.yaml": {Data: []byte("apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: c}\nspec:\n  cloud: lab\n  template: t\n" + cluster)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return fleet.Clusters[0]
}

// TestSecretLabelsAreLayered: they merge as labels do, and of a label and a
// secret label of one name the nearer counts. Every label is a known one, and A
// to C are variables.
func TestSecretLabelsAreLayered(t *testing.T) {
	t.Parallel()
	const (
		zone, heal, kube = "availability_zone", "auto_healing_enabled", "kube_tag"
		both             = "  labels: {auto_healing_enabled: true}\n  secretLabels: {availability_zone: {env: A}, kube_tag: {env: B}}\n"
	)
	type labels map[string]string // as they are shown
	for _, c := range []struct {
		outcome, template, cluster string
		want, group                labels
		where                      string // of availability_zone
	}{
		{"the template's", both, "", labels{heal: "true", zone: "env A (not read)", kube: "env B (not read)"}, nil, "t.yaml:12:37"},
		{
			"merged by name", both, "  secretLabels: {availability_zone: {file: /c}}\n",
			labels{heal: "true", zone: "file /c (not read)", kube: "env B (not read)"},
			nil, "c.yaml:7:37",
		},
		{
			"a plain label over a secret one", both, "  labels: {availability_zone: z}\n",
			labels{heal: "true", zone: "z", kube: "env B (not read)"},
			nil, "c.yaml:7:31",
		},
		{
			"a secret label over a plain one", both, "  secretLabels: {auto_healing_enabled: {env: C}}\n",
			labels{heal: "env C (not read)", zone: "env A (not read)", kube: "env B (not read)"},
			nil, "t.yaml:12:37",
		},
		{
			"secret labels replace both kinds", both, "  mergeLabels: false\n  secretLabels: {availability_zone: {env: C}}\n",
			labels{zone: "env C (not read)"},
			nil, "c.yaml:8:37",
		},
		{"plain labels replace both kinds", both, "  mergeLabels: false\n  labels: {availability_zone: z}\n", labels{zone: "z"}, nil, "c.yaml:8:31"},
		{
			"nothing replaces nothing", both, "  mergeLabels: false\n",
			labels{heal: "true", zone: "env A (not read)", kube: "env B (not read)"},
			nil, "t.yaml:12:37",
		},
		{
			"a group's plain label over the cluster's secret one", both, "  nodeGroups:\n  - {name: g, labels: {availability_zone: z}}\n",
			labels{heal: "true", zone: "env A (not read)", kube: "env B (not read)"},
			labels{heal: "true", zone: "z", kube: "env B (not read)"},
			"t.yaml:12:37",
		},
		{
			"a group's labels replace both kinds", both, "  nodeGroups:\n  - {name: g, mergeLabels: false, labels: {availability_zone: z}}\n",
			labels{heal: "true", zone: "env A (not read)", kube: "env B (not read)"},
			labels{zone: "z"},
			"t.yaml:12:37",
		},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			t.Parallel()
			got := layered(t, c.template, c.cluster)
			if d := cmp.Diff(map[string]string(c.want), got.Spec.ShownLabels()); d != "" {
				t.Errorf("labels (-want +got):\n%s", d)
			}
			field := "labels/" + zone
			if _, ok := got.Spec.SecretLabels[zone]; ok {
				field = "secretLabels/" + zone
			}
			if at := got.Where(field).String(); at != c.where {
				t.Errorf("%s is at %s, want %s", field, at, c.where)
			}
			for other, at := range got.Origins.All() {
				if other != field && strings.HasSuffix(other, "abels/"+zone) && !strings.HasPrefix(other, "nodeGroups/") {
					t.Errorf("%s is said to be at %s, and %s counts", other, at, field)
				}
			}
			g, ok := got.Spec.Group("g")
			of := schema.Spec{Labels: got.Spec.LabelsOf(g), SecretLabels: got.Spec.SecretsOf(g)}
			if d := cmp.Diff(map[string]string(c.group), of.ShownLabels()); ok && d != "" {
				t.Errorf("labels of the group (-want +got):\n%s", d)
			}
			if len(got.Secrets) != 0 {
				t.Errorf("secrets without a value: %v", got.Secrets)
			}
		})
	}
}

// TestPlainSecretsAreHidden: what Git has in plain text is in no label of the
// fleet, of the cluster or of a group, and where it is written is still known.
func TestPlainSecretsAreHidden(t *testing.T) {
	t.Parallel()
	c := layered(t, "  labels: {grafana_admin_passwd: "+planted+", kube_tag: v1.33.1}\n",
		"  nodeGroups:\n  - {name: own, labels: {grafana_admin_passwd: group-"+planted+"}}\n  - {name: same, labels: {grafana_admin_passwd: "+planted+"}}\n  - {name: other, labels: {kube_tag: v1.33.2}}\n")
	var d schema.Digester
	mine, groups := schema.Secret{Digest: d.Digest("grafana_admin_passwd", planted)}, schema.Secret{Digest: d.Digest("grafana_admin_passwd", "group-"+planted)}
	want := &schema.Spec{
		Labels: map[string]string{"kube_tag": "v1.33.1"}, SecretLabels: map[string]schema.Secret{"grafana_admin_passwd": mine},
		Groups: []schema.Group{
			{Name: "other", Labels: map[string]string{"kube_tag": "v1.33.2"}},
			{Name: "own", SecretLabels: map[string]schema.Secret{"grafana_admin_passwd": groups}},
			{Name: "same"},
		},
	}
	got := &schema.Spec{Labels: c.Spec.Labels, SecretLabels: c.Spec.SecretLabels}
	for _, g := range c.Spec.Groups[2:] {
		got.Groups = append(got.Groups, schema.Group{Name: g.Name, Labels: g.Labels, SecretLabels: g.SecretLabels})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("spec (-want +got):\n%s", d)
	}
	for secret, text := range map[schema.Secret]string{mine: planted, groups: "group-" + planted} {
		if got, ok := c.SecretText(secret); !ok || got.Reveal() != text {
			t.Errorf("%v stands for %q", secret, got.Reveal())
		}
	}
	if b, err := json.Marshal(c); err != nil || strings.Contains(string(b), planted) {
		t.Errorf("%v: the cluster as JSON has it: %s", err, b)
	}
	for field, want := range map[string]string{
		"secretLabels/grafana_admin_passwd":                "t.yaml:11:34",
		"nodeGroups/own/secretLabels/grafana_admin_passwd": "c.yaml:8:48",
	} {
		if at := c.Where(field).String(); at != want {
			t.Errorf("%s is at %s, want %s", field, at, want)
		}
	}
}

// TestHashWithoutSecrets fixes the hash of specs that have none.
func TestHashWithoutSecrets(t *testing.T) {
	t.Parallel()
	s := schema.Spec{COE: "docker", Labels: map[string]string{"a": "b"}, Groups: []schema.Group{{Name: schema.DefaultWorker, NodeCount: 1}}}
	// sha256 of {"coe":"docker","serverType":"","image":"","labels":{"a":"b"},"nodeGroups":[{"name":"default-worker","role":"","nodeCount":1,"flavor":""}]}
	const want = "a5a2a8f2fa2ea255"
	if got := s.Hash(); got != want {
		t.Errorf("hash %s, want %s: a release that changes it updates every stack of everybody", got, want)
	}
	if got := new(schema.Digester).Hide(&s); got != nil || s.Hash() != want {
		t.Errorf("to hide nothing gives %v and changes the hash to %s", got, s.Hash())
	}
}
