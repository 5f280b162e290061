package heat_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

var update = flag.Bool("update", false, "write the golden files of a revision that is not released yet")

// goldenType is the type of the golden cases that do not name theirs.
const goldenType = "docker_ubuntu"

// A golden case is a sentence and
//
//	cluster.yaml    the cluster type, the name and the effective spec
//	root.yaml ...   what the templates make of it; go test ./drivers/heat -update writes it
//
// Everything in full is in plain.txtar alone: elsewhere the user data in node
// files and the script in user data are left out. Of Kubernetes the scripts are
// nowhere but as a list of their sums.
//
// The files pin the released revisions of each cluster type: where one changes,
// every node of every cluster of that revision would boot anew at its next step.
// So what is released is never written with -update; it gets a next revision.
type golden struct {
	name string
	typ  string
	ar   *txtar.Archive
	c    *schema.Cluster
}

func goldens(t testing.TB) []golden {
	t.Helper()
	paths, err := filepath.Glob("testdata/golden/*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden files", err)
	}
	var all []golden
	for _, path := range paths {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var cluster struct {
			Type string             `json:"type"`
			Name schema.ClusterName `json:"name"`
			Long int                `json:"long"` // makes the name that long
			Spec schema.Spec        `json:"spec"`
		}
		if ar.Files[0].Name != "cluster.yaml" {
			t.Fatalf("%s does not begin with cluster.yaml", path)
		}
		if err := yaml.UnmarshalStrict(ar.Files[0].Data, &cluster); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		cluster.Name += schema.ClusterName(strings.Repeat("n", max(cluster.Long-len(cluster.Name), 0)))
		all = append(all, golden{path, cmp.Or(cluster.Type, goldenType), ar, &schema.Cluster{
			Key: schema.Key{Cloud: cloud, Name: cluster.Name}, Spec: cluster.Spec,
			Policy: schema.Policy{CreateTimeout: 30, DeletionProtection: true},
		}})
	}
	return all
}

// texts of the case; the owner is fixed because names hold it.
func (g golden) texts(t testing.TB) (body []byte, texts map[string]string) {
	t.Helper()
	body, texts, err := heat.Texts(g.typ, "golden", g.c)
	if err != nil {
		t.Fatal(err)
	}
	return body, texts
}

func (g golden) full() bool { return strings.HasSuffix(g.name, "/plain.txtar") }

// TestGolden pins what a released revision of a cluster type is.
func TestGolden(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../templates/" + goldenType + "/1/boot.sh")
	if err != nil {
		t.Fatal(err)
	}
	scripts, sums := bootScripts(t)
	for _, g := range goldens(t) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(g.name, "testdata/golden/"), ".txtar"), func(t *testing.T) {
			t.Parallel()
			_, texts := g.texts(t)
			switch {
			case g.typ != goldenType:
				shortenKubernetes(t, texts, scripts)
				texts["boot scripts"] = sums
			case !g.full():
				shorten(t, texts, string(script))
			}
			want := map[string]string{}
			for _, f := range g.ar.Files[1:] {
				want[f.Name] = string(f.Data)
			}
			for name := range texts {
				texts[name] = strings.TrimRight(texts[name], "\n") + "\n"
			}
			if *update {
				g.write(t, texts)
				return
			}
			if d := gocmp.Diff(want, texts); d != "" {
				t.Errorf("a released revision is never edited (-want +got):\n%s", d)
			}
		})
	}
}

func (g golden) write(t *testing.T, texts map[string]string) {
	t.Helper()
	g.ar.Files = g.ar.Files[:1]
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		g.ar.Files = append(g.ar.Files, txtar.File{Name: name, Data: []byte(texts[name])})
	}
	if err := os.WriteFile(g.name, txtar.Format(g.ar), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bootScripts are those of Kubernetes as an archive, and their sums.
func bootScripts(t *testing.T) (packed, sums string) {
	t.Helper()
	packed, err := heat.Archive()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packed, sums
		}
		var text bytes.Buffer
		if err == nil {
			_, err = text.ReadFrom(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256(text.Bytes()), h.Name)
	}
}

func shortenKubernetes(t *testing.T, texts map[string]string, scripts string) {
	t.Helper()
	packed := base64.StdEncoding.EncodeToString([]byte(scripts))
	for name := range texts {
		if group, is := strings.CutPrefix(name, "node.yaml of "); is {
			whole := indented(texts["user data of "+group], 12)
			if !strings.Contains(texts[name], whole) {
				t.Fatalf("%s does not hold its user data", name)
			}
			texts[name] = strings.Replace(texts[name], whole, strings.Repeat(" ", 12)+"[user data]", 1)
		}
	}
	for name := range texts {
		if strings.HasPrefix(name, "user data of ") {
			if !strings.Contains(texts[name], packed) {
				t.Fatalf("%s does not hold the boot scripts", name)
			}
			texts[name] = strings.Replace(texts[name], packed, "[boot.tar.gz]", 1)
		}
	}
}

func shorten(t *testing.T, texts map[string]string, script string) {
	t.Helper()
	cut := func(name, mark, text string, by int) {
		indented := indented(text, by)
		if !strings.Contains(texts[name], indented) {
			t.Fatalf("%s does not hold %s", name, mark)
		}
		texts[name] = strings.Replace(texts[name], indented, strings.Repeat(" ", by)+mark, 1)
	}
	whole := texts["user-data.yaml"]
	cut("user-data.yaml", "[boot.sh]", script, 4)
	for name := range texts {
		if strings.HasPrefix(name, "node.yaml") {
			cut(name, "[user-data.yaml]", whole, 12)
		}
	}
}

func indented(text string, by int) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(strings.TrimRight(text, "\n"), "\n") {
		if line != "\n" {
			b.WriteString(strings.Repeat(" ", by))
		}
		b.WriteString(line)
	}
	return b.String()
}

// cloudConfig is what cloud-init reads.
type cloudConfig struct {
	Keys  []string `json:"ssh_authorized_keys"`
	Files []struct {
		Path        string `json:"path"`
		Permissions string `json:"permissions"`
		Content     string `json:"content"`
	} `json:"write_files"`
	Run [][]string `json:"runcmd"`
}

// Whatever the spec says, and however it is written, arrives on the node as it
// was written.
func TestUserDataKeepsEveryText(t *testing.T) {
	t.Parallel()
	all := slices.DeleteFunc(goldens(t), func(g golden) bool { return g.typ != goldenType })
	for _, g := range all {
		keeps(t, g.c)
	}
	rapid.Check(t, func(r *rapid.T) {
		c := *all[0].c
		c.Spec.Groups = slices.Clone(c.Spec.Groups)
		text := func(label string) string {
			return strings.ReplaceAll(rapid.StringN(1, 30, 200).Draw(r, label), "\x00", "")
		}
		c.Spec.HTTPProxy, c.Spec.HTTPSProxy, c.Spec.NoProxy = text("http"), text("https"), text("no")
		c.Spec.SSHPublicKeys = []string{text("key")}
		c.Spec.InsecureRegistry, c.Spec.Image, c.Spec.Keypair = text("registry"), text("image"), text("keypair")
		c.Spec.FixedNetwork, c.Spec.FixedSubnet = text("network"), text("subnet")
		c.Spec.Groups[0].Flavor = text("flavor")
		keeps(r, &c)
	})
}

type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func keeps(t failer, c *schema.Cluster) {
	t.Helper()
	body, texts, err := heat.Texts(goldenType, "golden", c)
	if err != nil {
		t.Fatal(err)
	}
	var sent struct{ Files map[string]string }
	var config cloudConfig
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(texts["user-data.yaml"]), &config); err != nil {
		t.Fatalf("%v\n%s", err, texts["user-data.yaml"])
	}
	if d := gocmp.Diff(c.Spec.SSHPublicKeys, config.Keys); d != "" {
		t.Fatal(d)
	}
	want := []string{c.Spec.HTTPProxy, c.Spec.HTTPSProxy, c.Spec.NoProxy}
	if d := gocmp.Diff(want, sourced(t, config.Files[0].Content)); d != "" {
		t.Fatal(d)
	}
	for _, text := range sent.Files {
		var file struct {
			Resources map[string]struct {
				Properties map[string]any `json:"properties"`
			} `json:"resources"`
		}
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		server := file.Resources["server"].Properties
		if name, _ := server["key_name"].(string); name != c.Spec.Keypair {
			t.Fatalf("keypair is %q, want %q", name, c.Spec.Keypair)
		}
		userData, _ := server["user_data"].(map[string]any)
		replace, _ := userData["str_replace"].(map[string]any)
		if d := gocmp.Diff(strings.TrimRight(texts["user-data.yaml"], "\n")+"\n", replace["template"]); d != "" {
			t.Fatal(d)
		}
	}
}

// sourced are the proxies as a shell reads them from the file.
func sourced(t failer, file string) []string {
	t.Helper()
	cmd := exec.Command("bash", "-c", `eval "$1"; printf '%s\0' "$HTTP_PROXY" "$HTTPS_PROXY" "$NO_PROXY"`, "-", file)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// TestGoldenOnSim and TestLabGolden ask a Heat whether it takes each of them.
func TestGoldenOnSim(t *testing.T) {
	t.Parallel()
	validates(t, newSimulated(t))
}

// TestLabGolden asks the real Heat, and PyYAML, with which both Heat and
// cloud-init read YAML, whether it reads as here.
func TestLabGolden(t *testing.T) {
	validates(t, newLab(t))
	for _, g := range goldens(t) {
		_, texts := g.texts(t)
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)")
			cmd.Stdin = strings.NewReader(texts[name])
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%s: %s: %v", g.name, name, err)
				continue
			}
			var theirs, ours any
			if err := json.Unmarshal(out, &theirs); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(texts[name]), &ours); err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(theirs, ours); d != "" {
				t.Errorf("%s: %s reads differently (-PyYAML +here):\n%s", g.name, name, d)
			}
		}
	}
}

func validates(t *testing.T, on stage) {
	t.Helper()
	raw, err := openstack.Connect(t.Context(), openstack.Settings{Cloud: cloud, Getenv: on.getenv})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens(t) {
		body, texts := g.texts(t)
		var sent map[string]any
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Fatal(err)
		}
		var answer struct{ Description string }
		root := map[string]any{"template": sent["template"], "files": sent["files"], "parameters": sent["parameters"]}
		if err := raw.Post(t.Context(), "orchestration", "/validate", root, &answer); err != nil {
			t.Errorf("%s: root.yaml: %v", g.name, err)
		}
		if !strings.Contains(answer.Description, string(g.c.Name)) {
			t.Errorf("%s: Heat reads the description as %q", g.name, answer.Description)
		}
		for name, text := range texts {
			if !strings.HasPrefix(name, "node.yaml") {
				continue
			}
			if err := raw.Post(t.Context(), "orchestration", "/validate", map[string]any{"template": text, "parameters": nodeParameters(t, text)}, nil); err != nil {
				t.Errorf("%s: %s: %v", g.name, name, err)
			}
		}
	}
}

// nodeParameters are values for what a node file asks its root for.
func nodeParameters(t *testing.T, file string) map[string]string {
	t.Helper()
	var template struct {
		Parameters map[string]struct{ Type string }
	}
	if err := yaml.Unmarshal([]byte(file), &template); err != nil {
		t.Fatal(err)
	}
	p := map[string]string{}
	for name, is := range template.Parameters {
		if p[name] = "a-" + name; is.Type == "number" {
			p[name] = "0"
		}
	}
	return p
}
