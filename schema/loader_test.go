package schema_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
)

const (
	templateText = "apiVersion: jeroboam.io/v1alpha1\nkind: ClusterTemplate\nmetadata: {name: t}\n" +
		"spec: {coe: kubernetes, image: i, keypair: k, externalNetwork: public, flavor: f, masterFlavor: m}\n"
	clusterText = "apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: c}\nspec: {cloud: lab, template: t}\n"
)

// A source is files in memory that counts how often each is read.
type source struct {
	files []schema.File
	reads map[string]int
}

func (s *source) put(path, hash, text string) {
	s.files = slices.DeleteFunc(s.files, func(f schema.File) bool { return f.Path == path })
	s.files = append(s.files, schema.File{Path: path, Hash: hash, Read: func() ([]byte, error) {
		s.reads[path]++
		return []byte(text), nil
	}})
	slices.SortFunc(s.files, func(a, b schema.File) int { return strings.Compare(a.Path, b.Path) })
}

func (s *source) load(t *testing.T, l *schema.Loader) *schema.Fleet {
	t.Helper()
	s.reads = map[string]int{}
	fleet, err := l.Load(s.files)
	if err != nil {
		t.Fatal(err)
	}
	return fleet
}

// TestLoadAgain: what did not change is neither read nor resolved again, and
// what did is.
func TestLoadAgain(t *testing.T) {
	t.Parallel()
	var s source
	l := schema.NewLoader()
	s.put("t.yaml", "t1", templateText)
	s.put("c.yaml", "c1", clusterText)
	s.put("d.yaml", "", strings.Replace(clusterText, "name: c", "name: d", 1))
	first := s.load(t, l)
	if want := map[string]int{"t.yaml": 1, "c.yaml": 1, "d.yaml": 1}; !cmp.Equal(s.reads, want) {
		t.Errorf("first: read %v, want %v", s.reads, want)
	}

	again := s.load(t, l)
	if want := map[string]int{"d.yaml": 1}; !cmp.Equal(s.reads, want) {
		t.Errorf("unchanged: read %v, want only the file without hash", s.reads)
	}
	if again.Clusters[0] != first.Clusters[0] {
		t.Error("unchanged: the cluster was resolved again")
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("unchanged, but another fleet:\n%s", diff)
	}

	s.put("t.yaml", "t2", strings.Replace(templateText, "image: i", "image: j", 1))
	changed := s.load(t, l)
	if want := map[string]int{"t.yaml": 1, "d.yaml": 1}; !cmp.Equal(s.reads, want) {
		t.Errorf("template changed: read %v, want %v", s.reads, want)
	}
	if got := changed.Clusters[0].Spec.Image; got != "j" {
		t.Errorf("template changed: image %q, want j", got)
	}
	if got := first.Clusters[0].Spec.Image; got != "i" {
		t.Errorf("the fleet of the first Load changed: image %q", got)
	}

	s.put("c.yaml", "c2", clusterText)
	s.load(t, l)
	s.put("c.yaml", "c1", clusterText)
	if s.load(t, l); s.reads["c.yaml"] != 1 {
		t.Error("a hash that the last Load did not see was still kept")
	}
}

// TestLoadMoved: the same content in another file is the same cluster at
// another place.
func TestLoadMoved(t *testing.T) {
	t.Parallel()
	var s source
	l := schema.NewLoader()
	s.put("t.yaml", "t1", templateText)
	s.put("c.yaml", "c1", clusterText)
	before := s.load(t, l).Clusters[0]
	s.files = nil
	s.put("moved/t.yaml", "t1", templateText)
	s.put("moved/c.yaml", "c1", clusterText)
	after := s.load(t, l).Clusters[0]
	if len(s.reads) != 0 {
		t.Errorf("read %v, want nothing", s.reads)
	}
	if after.Spec.Hash() != before.Spec.Hash() || after.Key != before.Key {
		t.Errorf("moving a file changed the cluster: %+v, was %+v", after, before)
	}
	for field, want := range map[string]string{"image": "moved/t.yaml:4:32", "template": "moved/c.yaml:4:30", "policy/suspend": "moved/c.yaml:1:1"} {
		if got := after.Where(field).String(); got != want {
			t.Errorf("%s is at %s, want %s", field, got, want)
		}
	}
	if got, want := before.Where("image").String(), "t.yaml:4:32"; got != want {
		t.Errorf("before, image was at %s, want %s", got, want)
	}
}

// TestLoadProblemsAgain: a bad fleet stays bad, and problems name the file that
// has them now.
func TestLoadProblemsAgain(t *testing.T) {
	t.Parallel()
	var s source
	l := schema.NewLoader()
	s.reads = map[string]int{}
	for _, path := range []string{"a.yaml", "b.yaml"} {
		s.files = nil
		s.put(path, "h", "kind: Cluster\n")
		_, err := l.Load(s.files)
		if ps, ok := schema.AsProblems(err); !ok || len(ps) != 1 || ps[0].Pos.File != path {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if s.reads["b.yaml"] != 0 {
		t.Error("known content was read again")
	}
	s.put("b.yaml", "t", templateText)
	if fleet := s.load(t, l); len(fleet.Templates) != 1 {
		t.Errorf("mended: got %+v", fleet)
	}
}

func TestLoadReadError(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	var s source
	s.reads = map[string]int{}
	s.put("a.yaml", "a", "no: document\n")
	s.files = append(s.files, schema.File{Path: "x/b.yaml", Read: func() ([]byte, error) { return nil, gone }})
	fleet, err := schema.NewLoader().Load(s.files)
	if fleet != nil || !errors.Is(err, gone) || !strings.Contains(err.Error(), "x/b.yaml") {
		t.Errorf("got %v, %v, want the read error with its path", fleet, err)
	}
	if _, ok := schema.AsProblems(err); ok {
		t.Error("a read error is nothing that the author of the YAML can mend")
	}
}

// TestLoadAnyOrder: neither the order of files nor that of workers shows.
func TestLoadAnyOrder(t *testing.T) {
	t.Parallel()
	good := clusters(50)
	var bad source
	bad.reads = map[string]int{}
	for i := range 50 {
		bad.put(fmt.Sprintf("%02d.yaml", i), "", strings.Repeat("---\n"+clusterText, i%3)+"---\nkind: x\n")
	}
	want, err := schema.NewLoader().Load(good)
	if err != nil {
		t.Fatal(err)
	}
	_, wantErr := schema.NewLoader().Load(bad.files)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(good), func(i, j int) { good[i], good[j] = good[j], good[i] })
		got, err := schema.NewLoader().Load(good)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("another order, another fleet: %v\n%s", err, diff)
		}
		if _, err := schema.NewLoader().Load(bad.files); err.Error() != wantErr.Error() {
			t.Fatalf("the same files, other problems:\n%v\nbefore:\n%v", err, wantErr)
		}
	}
}

func TestDir(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"b.yml":                 {},
		"a.yaml":                {Data: []byte(templateText)},
		"sub/deep/c.yaml":       {},
		"README.md":             {},
		".hidden.yaml":          {},
		".github/workflow.yaml": {},
		"sub/.git/x.yaml":       {},
	}
	for prefix, want := range map[string][]string{
		"":         {"a.yaml", "b.yml", "sub/deep/c.yaml"},
		".":        {"a.yaml", "b.yml", "sub/deep/c.yaml"},
		"clusters": {"clusters/a.yaml", "clusters/b.yml", "clusters/sub/deep/c.yaml"},
		"../x/":    {"../x/a.yaml", "../x/b.yml", "../x/sub/deep/c.yaml"},
	} {
		files, err := schema.Dir(fsys, prefix)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			got = append(got, f.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prefix %q (-want +got):\n%s", prefix, diff)
		}
		if data, err := files[0].Read(); err != nil || string(data) != templateText {
			t.Errorf("prefix %q: read %q, %v", prefix, data, err)
		}
	}
	if _, err := schema.Dir(os.DirFS(filepath.Join(t.TempDir(), "none")), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: got %v", err)
	}
}

// TestDirRefuses: links and large files are problems of their own, beside those
// of other files.
func TestDirRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("bad.yaml", []byte("kind: x\n"))
	write("large.yaml", bytes.Repeat([]byte("#\n"), 1<<19+1))
	write("most.yaml", bytes.Repeat([]byte("#\n"), 1<<19))
	for _, name := range []string{"link.yaml", "text"} {
		if err := os.Symlink("/etc/passwd", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := schema.Dir(os.DirFS(dir), "d")
	if err != nil {
		t.Fatal(err)
	}
	_, err = schema.NewLoader().Load(files)
	var got []string
	problems, _ := schema.AsProblems(err)
	for _, p := range problems {
		got = append(got, p.Pos.File)
	}
	if diff := cmp.Diff([]string{"d/bad.yaml", "d/large.yaml", "d/link.yaml"}, got); diff != "" {
		t.Errorf("files with problems (-want +got):\n%s\n%v", diff, err)
	}
	large := schema.File{Path: "x.yaml", Read: func() ([]byte, error) { return make([]byte, schema.MaxFileSize+1), nil }}
	if _, err := schema.NewLoader().Load([]schema.File{large}); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("a large file that is not from Dir: %v", err)
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: jeroboam.io/v1alpha1\nkind: Config\n"
	for name, c := range map[string]struct {
		text, want string // want of the error
	}{
		"least":        {head, ""},
		"empty spec":   {head + "spec: {}\n", ""},
		"nothing":      {"# nothing\n", "jeroboam.yaml: error JB1102: expected a Config document, found none"},
		"two":          {head + "---\n" + head, "jeroboam.yaml:4:1: error JB1111: another Config is in jeroboam.yaml:1:1"},
		"a cluster":    {head + "---\n" + clusterText, "jeroboam.yaml:4:1: error JB1102: expected a Config document only"},
		"wrong":        {head + "spec: {instances: x}\n", `jeroboam.yaml:3:8: error JB1103: /spec/instances: unknown field "instances"; did you mean "instance"?`},
		"not YAML":     {head + "spec: {\n", "not valid YAML"},
		"with problem": {head + "spec: {repository: {url: 'https://u:p@x/y'}}\n", "user and password do not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := schema.ParseConfig("jeroboam.yaml", []byte(c.text))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
					t.Errorf("got %v, %v, want %q", got, err, c.want)
				}
				return
			}
			want := &schema.Config{
				Pos: schema.Pos{File: "jeroboam.yaml", Line: 1, Column: 1}, Instance: "default", Owner: "default",
				Status: schema.StatusConfig{Branch: "jeroboam-status/default"}, Limits: schema.Limits{}.WithDefaults(),
				Sync: schema.SyncConfig{Cron: "* * * * *", TimeZone: "UTC", Jitter: "20s", Missed: "once", DriftInterval: "10m", Drift: "correct"},
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v, (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestConfigWarnings: what is hardly meant by the program's configuration is
// told with the fleet.
func TestConfigWarnings(t *testing.T) {
	t.Parallel()
	const text = "apiVersion: jeroboam.io/v1alpha1\nkind: Config\nspec:\n  clouds:\n    a: {keyDelivery: userData}\n    b: {driver: magnum, keys: local}\n    c: {driver: magnum, keyDelivery: userData}\n    d: {keys: barbican}\n"
	config, err := schema.ParseConfig("jeroboam.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l := schema.NewLoader()
	l.Config = config
	fleet, err := l.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"jeroboam.yaml:5:22: warning JB1321: /spec/clouds/a/keyDelivery: everybody in the project can read the keys of its Kubernetes clusters, and with them owns the clusters; use credential where the cloud has Barbican",
		"jeroboam.yaml:6:31: warning JB1322: /spec/clouds/b/keys: Magnum keeps the keys of its clusters itself; leave it out",
		"jeroboam.yaml:7:38: warning JB1322: /spec/clouds/c/keyDelivery: Magnum delivers the keys of its clusters itself; leave it out",
	}
	var have []string
	for _, p := range fleet.Warnings {
		have = append(have, p.String())
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
}

// TestSuggestionsAreFew: for each of many names the one that was meant is looked
// for among as many, and names can be as long as a file. Both took minutes.
func TestSuggestionsAreFew(t *testing.T) {
	t.Parallel()
	template := func(name string) string {
		return "---\napiVersion: jeroboam.io/v1alpha1\nkind: ClusterTemplate\nmetadata: {name: " + name + "}\nspec: {coe: docker, image: i}\n"
	}
	cluster := func(name, template string) string {
		return "---\napiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: " + name + "}\nspec: {cloud: c, template: " + template + "}\n"
	}
	long := template(strings.Repeat("a", 400_000)) + cluster("c", strings.Repeat("ab", 200_000))
	if _, err := load(fstest.MapFS{"f.yaml": {Data: []byte(long)}}); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("long names: %v", err)
	}
	many := template("docker")
	for i := range 200 {
		many += cluster(fmt.Sprintf("c%d", i), fmt.Sprintf("docker%d", i)) + cluster(fmt.Sprintf("d%d", i), "docker0")
	}
	_, err := load(fstest.MapFS{"f.yaml": {Data: []byte(many)}})
	if err == nil || strings.Count(err.Error(), `did you mean "docker"?`) != 200+100 || strings.Count(err.Error(), "no ClusterTemplate") != 400 {
		t.Errorf("many names: %v", err)
	}
}
