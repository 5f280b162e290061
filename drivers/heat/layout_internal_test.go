package heat

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// Layouts are tested from the inside: they are what every step is computed on,
// and a cloud shows only what comes of them.

func cloned[T any](v T) T {
	var c T
	if err := json.Unmarshal([]byte(mustJSON(v)), &c); err != nil {
		panic(err)
	}
	return c
}

// history is a cluster that random steps are asked of, one after the other.
type history struct {
	l    layout
	c    schema.Cluster
	made int
	had  map[string]map[string]bool // every boot that a node had, by its name, while it was there
	bad  map[string]bool            // nodes whose last boot failed
}

// next is a step that the present layout could be asked for, and its outcome.
func (h *history) next(t *rapid.T) {
	before, spec := h.l, cloned(h.c.Spec)
	step := diff.Step{Cluster: h.c.Key, To: &spec, Want: &h.c}
	ops := []diff.Op{diff.Create}
	if len(h.had) > 0 || h.made > 0 {
		ops = []diff.Op{diff.Resize, diff.Resize, diff.Resize, diff.Recover, diff.Upgrade, diff.CreateGroup, diff.DeleteGroup, diff.Update, diff.Adopt, diff.Recover}
	}
	step.Op = rapid.SampledFrom(ops).Draw(t, "op")
	h.change(t, &step)
	h.made++
	step.Operation = fmt.Sprint("operation ", h.made)
	h.c.Policy.DeletionProtection = rapid.Bool().Draw(t, "protected")

	frozen := cloned(publicOf(before))
	after, err := before.next(step)
	if err != nil {
		t.Fatalf("%s %v: %v", step.Op, step.Nodes, err)
	}
	if d := gocmp.Diff(frozen, cloned(publicOf(before))); d != "" {
		t.Fatalf("%s changed the layout it began with:\n%s", step.Op, d)
	}
	h.check(t, step, before, after)
	h.l, h.c.Spec = after, spec
	for _, n := range after.nodes {
		if step.Op == diff.Recover || step.Op == diff.Upgrade {
			delete(h.bad, n.Name)
		}
		if slices.Contains(step.Nodes, n.Name) && rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
			h.bad[n.Name] = true
		}
	}
}

type public struct {
	About about
	Owner string
	Spec  schema.Spec
	Nodes []node
	Files map[string]string
}

func publicOf(l layout) public { return public{l.about, l.owner, l.spec, l.nodes, l.files} }

// change makes a step's spec and picks its nodes as diff would.
func (h *history) change(t *rapid.T, s *diff.Step) {
	g := &s.To.Groups[rapid.IntRange(0, len(s.To.Groups)-1).Draw(t, "group")]
	of := func(group string) []string {
		var names []string
		for _, n := range h.l.nodes {
			if n.Group == group {
				names = append(names, n.Name)
			}
		}
		return names
	}
	some := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(string) bool { return rapid.Bool().Draw(t, "skip") })
	}
	boots := func() {
		s.To.Image = rapid.SampledFrom([]string{"ubuntu-latest", "ubuntu-next"}).Draw(t, "image")
		g.DockerVolumeSize = rapid.SampledFrom([]int{0, 20}).Draw(t, "volume")
	}
	switch s.Op {
	case diff.Resize:
		s.Group = g.Name
		names := of(g.Name)
		g.NodeCount = rapid.IntRange(0, 5).Draw(t, "count")
		if gone := len(names) - g.NodeCount; gone > 0 {
			s.Nodes = rapid.Permutation(names).Draw(t, "order")[:gone]
		}
	case diff.Upgrade:
		boots()
		s.Nodes = slices.DeleteFunc(some(append(of(schema.DefaultWorker), of(g.Name)...)), func(n string) bool { return h.bad[n] })
		slices.Sort(s.Nodes)
		s.Nodes = slices.Compact(s.Nodes)
	case diff.CreateGroup:
		if _, ok := s.To.Group("extra"); !ok {
			s.To.Groups = append(s.To.Groups, schema.Group{Name: "extra", Role: "worker", NodeCount: 2, Flavor: "m1.small"})
		}
		s.Group = "extra"
	case diff.DeleteGroup:
		s.Group = "extra"
		s.Nodes = of("extra")
		s.To.Groups = slices.DeleteFunc(s.To.Groups, func(g schema.Group) bool { return g.Name == "extra" })
	case diff.Recover:
		if rapid.Bool().Draw(t, "other spec") {
			boots()
		}
		s.Nodes = slices.Sorted(maps.Keys(h.bad))
		s.Nodes = slices.DeleteFunc(s.Nodes, func(n string) bool {
			return !slices.ContainsFunc(h.l.nodes, func(m node) bool { return m.Name == n })
		})
		if rapid.Bool().Draw(t, "fewer") && len(s.Nodes) > 0 {
			g, _ := s.To.Group(h.l.nodes[slices.IndexFunc(h.l.nodes, func(m node) bool { return m.Name == s.Nodes[0] })].Group)
			for i := range s.To.Groups {
				if s.To.Groups[i].Name == g.Name {
					s.To.Groups[i].NodeCount--
				}
			}
		}
	default:
	}
}

func (h *history) check(t *rapid.T, step diff.Step, before, after layout) {
	old, used := map[string]node{}, map[string]bool{}
	for _, n := range before.nodes {
		old[n.Name] = n
	}
	numbers := map[string][]int{}
	for _, n := range after.nodes {
		was, stays := old[n.Name]
		booted := slices.Contains(step.Nodes, n.Name)
		boot := bootOf(after.files[n.File])
		switch {
		case stays && !booted && !gocmp.Equal(was, n):
			t.Fatalf("%s of %v touched %s: %+v is now %+v", step.Op, step.Nodes, n.Name, was, n)
		case stays && booted && boot == bootOf(before.files[was.File]):
			t.Fatalf("%s boots %s anew with the boot that it had", step.Op, n.Name)
		case stays && booted && step.Op == diff.Recover && h.had[n.Name][boot]:
			t.Fatalf("%s boots %s, which had failed, with a boot that it had before", step.Op, n.Name)
		case !stays:
			h.had[n.Name] = map[string]bool{}
			h.borrows(t, before, after, n)
		}
		h.had[n.Name][boot] = true
		used[n.File] = true
		numbers[n.Group] = append(numbers[n.Group], n.Number)
		if g, _ := after.spec.Group(n.Group); (booted || !stays) && n.Revision != diff.NodeRevision(&after.spec, g) {
			t.Fatalf("%s boots revision %s", n.Name, n.Revision)
		}
	}
	if files := slices.Sorted(maps.Keys(after.files)); !slices.Equal(files, slices.Sorted(maps.Keys(used))) {
		t.Fatalf("files %v, nodes have %v", files, used)
	}
	for name, text := range after.files {
		if name != fileName(text) || bootOf(text) == "" {
			t.Fatalf("%s is not the name of its text, which has boot %q", name, bootOf(text))
		}
	}
	h.numbers(t, step, before, after, numbers)
	h.readsBack(t, after)
}

// borrows fails unless a new node has the file of a sibling that boots alike.
func (h *history) borrows(t *rapid.T, before, after layout, n node) {
	for _, s := range before.nodes {
		if s.Group == n.Group && s.Revision == n.Revision && slices.ContainsFunc(after.nodes, func(a node) bool { return gocmp.Equal(a, s) }) {
			if !slices.ContainsFunc(before.nodes, func(s node) bool { return s.Group == n.Group && s.File == n.File }) {
				t.Fatalf("%s has a file of its own beside %+v, which boots alike", n.Name, s)
			}
			return
		}
	}
}

// numbers of new nodes are the lowest that are free, and a group has as many
// nodes as asked for after every step that sees to that.
func (h *history) numbers(t *rapid.T, step diff.Step, before, after layout, numbers map[string][]int) {
	if step.Op == diff.Upgrade || step.Op == diff.Update || step.Op == diff.Adopt {
		return
	}
	for _, g := range after.spec.Groups {
		has := numbers[g.Name]
		if len(has) < g.NodeCount || step.Op == diff.Resize && step.Group == g.Name && len(has) != g.NodeCount {
			t.Fatalf("%s: group %s has nodes %v, asked for %d", step.Op, g.Name, has, g.NodeCount)
		}
		for i, n := range after.nodes {
			if n.Group != g.Name || slices.ContainsFunc(before.nodes, func(o node) bool { return o.Name == n.Name }) {
				continue
			}
			for free := range n.Number {
				if !slices.Contains(has, free) {
					t.Fatalf("node %d of %s is new and number %d is free: %+v", n.Number, g.Name, free, after.nodes[i])
				}
			}
		}
	}
}

// readsBack fails unless Heat's copy of the root gives the same nodes.
func (h *history) readsBack(t *rapid.T, l layout) {
	body, err := l.body()
	if err != nil {
		t.Fatal(err)
	}
	d := Driver{owner: l.owner}
	back, why := d.layoutOf(shown{Parameters: body.Parameters}, plain(body.Template))
	back.files = l.files
	if diff := gocmp.Diff(publicOf(l), publicOf(back), cmpopts.EquateEmpty()); diff != "" || why != "" {
		t.Fatalf("read back: %s\n%s", why, diff)
	}
}

func TestNextKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := &history{
			had: map[string]map[string]bool{}, bad: map[string]bool{},
			c: schema.Cluster{Key: schema.Key{Cloud: "lab", Name: "a"}, Spec: schema.Spec{
				COE: "docker", ServerType: "vm", Image: "ubuntu-latest", Keypair: "k", ExternalNetwork: "public",
				Groups: []schema.Group{
					{Name: schema.DefaultWorker, Role: "worker", NodeCount: rapid.IntRange(0, 3).Draw(t, "workers"), Flavor: "m1.small"},
					{Name: "gpu", Role: "gpu", NodeCount: rapid.IntRange(0, 2).Draw(t, "gpus"), Flavor: "m1.large"},
				},
			}},
			l: layout{owner: "o", about: about{Cloud: "lab", Name: "a", Instance: "i", Type: "docker_ubuntu", Revision: 1}},
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			h.next(t)
		}
	})
}

// A boot's eight digits may stand in any text of the spec: only the handle and
// its condition are renamed.
func TestRebootRenamesTheHandleAlone(t *testing.T) {
	t.Parallel()
	s := &schema.Spec{
		COE: "docker", ServerType: "vm", Image: "0badcafe", Keypair: "boot_0badcafe",
		SSHPublicKeys: []string{"ssh-ed25519 0badcafe me"}, FixedNetwork: "n",
		Groups: []schema.Group{{Name: schema.DefaultWorker, Role: "worker", NodeCount: 1, Flavor: "m1.small"}},
	}
	s.Keypair = "key-0badcafe"
	text, err := dockerUbuntu().node(1, s, s.Groups[0], "0badcafe", "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := dockerUbuntu().node(1, s, s.Groups[0], "12345678", "")
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(want, reboot(text, "12345678")); d != "" {
		t.Error(d)
	}
}

// An author may write what looks like a boot of ours.
func TestBootOfIsTheHandles(t *testing.T) {
	t.Parallel()
	s := &schema.Spec{
		COE: "docker", ServerType: "vm", Image: "boot_ffffffff:", FixedNetwork: "n", SSHPublicKeys: []string{"boot_eeeeeeee: me"},
		Groups: []schema.Group{{Name: schema.DefaultWorker, Role: "worker", NodeCount: 1, Flavor: "\n  boot_dddddddd:\n"}},
	}
	text, err := dockerUbuntu().node(1, s, s.Groups[0], "12345678", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := bootOf(text); got != "12345678" {
		t.Errorf("the boot is %q", got)
	}
}

// A step on a stack whose files somebody took away must not send a root that
// refers to nothing.
func TestNextNeedsEveryText(t *testing.T) {
	t.Parallel()
	spec := schema.Spec{
		COE: "docker", ServerType: "vm", Image: "ubuntu-latest", Keypair: "k", FixedNetwork: "n",
		Groups: []schema.Group{{Name: schema.DefaultWorker, Role: "worker", NodeCount: 2, Flavor: "m1.small"}},
	}
	l := layout{owner: "o", about: about{Cloud: "lab", Name: "a", Type: "docker_ubuntu", Revision: 1}}
	l, err := l.next(diff.Step{Op: diff.Create, To: &spec, Operation: "1"})
	if err != nil {
		t.Fatal(err)
	}
	l.files = map[string]string{}
	if _, err := l.next(diff.Step{Op: diff.Update, To: &spec}); err == nil || !strings.Contains(err.Error(), l.nodes[0].Name) {
		t.Errorf("have error %v, want one that names the node", err)
	}
}

// Servers get lost one by one for years. All files go with every update, and
// Heat takes a MiB at once, so they must not become one for each loss.
func TestLossesAddNoFiles(t *testing.T) {
	t.Parallel()
	spec := schema.Spec{
		COE: "docker", ServerType: "vm", Image: "ubuntu-latest", Keypair: "k", FixedNetwork: "n",
		Groups: []schema.Group{{Name: schema.DefaultWorker, Role: "worker", NodeCount: 9, Flavor: "m1.small"}},
	}
	l := layout{owner: "o", about: about{Cloud: "lab", Name: "a", Type: "docker_ubuntu", Revision: 1}}
	l, err := l.next(diff.Step{Op: diff.Create, To: &spec, Operation: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 18 {
		lost, was := l.nodes[i/2].Name, l.files[l.nodes[i/2].File]
		have := diff.Observed{Status: diff.UpdateComplete, Nodes: []diff.Node{{Name: lost, State: diff.NodeMissing}}}
		step := diff.Step{Op: diff.Recover, To: &spec, Nodes: []string{lost}, Have: &have, Operation: fmt.Sprint("lost ", i)}
		if l, err = l.next(step); err != nil {
			t.Fatal(err)
		}
		if bootOf(l.files[l.nodes[i/2].File]) == bootOf(was) {
			t.Errorf("%s comes back with the boot that it had", lost)
		}
	}
	if len(l.files) > 2 {
		t.Errorf("there are %d files of one group", len(l.files))
	}
}

var rfc1123 = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// Names of nodes are host names, as long as kubelet allows, and no two alike.
func TestNodeNames(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		owner := rapid.SampledFrom([]string{"a", "b", "a\nb"}).Draw(t, "owner")
		k := schema.Key{
			Cloud: schema.CloudName(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "cloud")),
			Name:  schema.ClusterName(rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_.-]{0,241}`).Draw(t, "name")),
		}
		group := rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}`).Draw(t, "group")
		number := rapid.IntRange(0, 9999).Draw(t, "number")
		name := nodeName(owner, k, group, number)
		if !rfc1123.MatchString(name) || len(name) > 53 || strings.Contains(name, "--") && !strings.Contains(string(k.Name)+group, "--") {
			t.Fatalf("%s/%s %d is %q, %d characters", k, group, number, name, len(name))
		}
		if len(stackName(owner, k)) > 255 {
			t.Fatalf("the stack's name has %d characters", len(stackName(owner, k)))
		}
		if back, ok := named(stackName(owner, k), owner, k.Cloud); !ok || back != k {
			t.Fatalf("the stack's name is read back as %v, %v", back, ok)
		}
		what := mustJSON([]any{owner, k, group, number})
		if other := cmp.Or(seen[name], what); other != what {
			t.Fatalf("%s and %s are both %s", other, what, name)
		}
		seen[name] = what
	})
}

func TestNamesOfHardCases(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ cluster, group, want string }{
		{"prod", "default-worker", "prod-ID-default-worker-0"},
		{"Prod", "gpu", "prod-5f56-ID-gpu-0"},
		{"pr.od", "gpu", "pr-od-27d5-ID-gpu-0"},
		{"pr_od", "gpu", "pr-od-3c9f-ID-gpu-0"},
		{"pr-od", "gpu", "pr-od-ID-gpu-0"},
		{"a-", "gpu", "a-9baf-ID-gpu-0"},
		{"A", "0", "a-559a-ID-0-0"},
		{strings.Repeat("n", 242), strings.Repeat("g", 255), "nnnnnnnnnnnnnnn-cef6-ID-ggggggggggg-77cb-0"},
	} {
		k := schema.Key{Cloud: "lab", Name: schema.ClusterName(tt.cluster)}
		got := strings.Replace(nodeName("o", k, tt.group, 0), identity("o", k), "ID", 1)
		if got != tt.want {
			t.Errorf("%s/%s is %s, want %s", tt.cluster, tt.group, got, tt.want)
		}
	}
}

// Ours is what this owner would make in this cloud, and nothing else.
func TestIdentity(t *testing.T) {
	t.Parallel()
	k := schema.Key{Cloud: "lab", Name: "prod"}
	ours := stackName("me", k)
	for _, tt := range []struct {
		stack, owner string
		cloud        schema.CloudName
		want         bool
	}{
		{ours, "me", "lab", true},
		{ours, "Me", "lab", false},
		{ours, "me", "lab2", false},
		{strings.ToUpper(ours), "me", "lab", false},
		{"x" + ours, "me", "lab", false},
		{ours + "0", "me", "lab", false},
		{ours[4:], "me", "lab", false},
		{"-" + ours[len(ours)-8:], "me", "lab", false},
		{"prod", "me", "lab", false},
		{"", "me", "lab", false},
	} {
		if got, ok := named(tt.stack, tt.owner, tt.cloud); ok != tt.want || ok && got != k {
			t.Errorf("%q for owner %s in %s: %v, %v, want %v", tt.stack, tt.owner, tt.cloud, got, ok, tt.want)
		}
	}
	if identity("a", schema.Key{Cloud: "b", Name: "c"}) == identity("a\nb", schema.Key{Name: "c"}) {
		t.Error("the parts of an identity run together")
	}
}

// Heat takes 80 characters a tag, and a comma would make two of one.
func TestTags(t *testing.T) {
	t.Parallel()
	a := about{Cloud: "lab", Name: schema.ClusterName(strings.Repeat("n", 242)), Instance: "i", Type: "docker_ubuntu", Revision: 12, Protected: true}
	got := tags("me", a, "0123456789abcdef")
	want := []string{
		"jeroboam.owner=me", "jeroboam.instance=i", "jeroboam.cluster=" + strings.Repeat("n", 63),
		"jeroboam.spec=0123456789abcdef", "jeroboam.type=docker_ubuntu/12", "jeroboam.protected",
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, tag := range got {
		if len(tag) > maxTag || strings.Contains(tag, ",") {
			t.Errorf("Heat does not take %q", tag)
		}
	}
	if hasTag([]string{"Jeroboam.owner=me", "jeroboam.owner=me "}, "jeroboam.owner=me") {
		t.Error("tags are compared as Heat's filter does, without case and trailing blanks")
	}
}

// Two updates may be accepted in one second, and an update may end where it
// began: the version still tells them apart.
func TestVersion(t *testing.T) {
	t.Parallel()
	at := row{ID: "i", Created: "2026-05-04T12:00:00Z", Updated: "2026-05-04T12:00:01Z", Status: "UPDATE_COMPLETE", Tags: []string{"a", "b"}}
	seen := map[string]string{at.version(): "it"}
	for name, change := range map[string]func(*row){
		"another stack":           func(r *row) { r.ID = "j" },
		"not updated yet":         func(r *row) { r.Updated = "" },
		"another update":          func(r *row) { r.Updated = "2026-05-04T12:00:02Z" },
		"another status":          func(r *row) { r.Status = "CHECK_COMPLETE" },
		"tags in the same second": func(r *row) { r.Tags = []string{"a", "c"} },
		"no tags":                 func(r *row) { r.Tags = nil },
	} {
		r := at
		change(&r)
		if other, ok := seen[r.version()]; ok {
			t.Errorf("%s and %s have the version %s", name, other, r.version())
		}
		seen[r.version()] = name
	}
	for name, change := range map[string]func(*row){
		"another reason":           func(r *row) { r.Reason = "x" },
		"tags in another order":    func(r *row) { r.Tags = []string{"b", "a"} },
		"created is not looked at": func(r *row) { r.Created = "" },
	} {
		r := at
		change(&r)
		if r.version() != at.version() {
			t.Errorf("%s makes another version", name)
		}
	}
}
