package heat_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

func open(t testing.TB, s *simulated, change func(*drivers.Options)) drivers.Driver {
	t.Helper()
	o := drivers.Options{Cloud: cloud, Owner: "check", Instance: "check", Log: zap.NewNop()}
	if change != nil {
		change(&o)
	}
	d, err := heat.OpenOn(t.Context(), o, s.getenv, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// objections to one cluster, as "field: reason", with "?" before what could not
// be found out.
func objections(t testing.TB, d drivers.Driver, c *schema.Cluster, have ...diff.Observed) []string {
	t.Helper()
	all, err := d.(drivers.Checker).Check(t.Context(), []*schema.Cluster{c}, have)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, o := range all[c.Key] {
		if o.Code == "" {
			t.Errorf("objection without a code: %+v", o)
		}
		text := o.Field + ": " + o.Reason
		if o.Unknown {
			text = "? " + text
		}
		found = append(found, text)
	}
	return found
}

// A word of each objection, in order.
func TestCheckObjects(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	for name, tt := range map[string]struct {
		change func(*schema.Spec)
		want   []string
	}{
		"fine":               {func(*schema.Spec) {}, nil},
		"flavor by id":       {func(s *schema.Spec) { s.Groups[0].Flavor = "" }, nil}, // filled in below
		"no image":           {func(s *schema.Spec) { s.Image = "no-such" }, []string{`image: there is no image "no-such"`}},
		"another's image":    {func(s *schema.Spec) { s.Image = "debian-latest" }, []string{`coe: no cluster type for server type vm, image with os_distro "debian" and coe docker; there is docker_ubuntu (vm, ubuntu, docker)`}},
		"no image of group":  {func(s *schema.Spec) { s.Groups[0].Image = "no-such" }, []string{`nodeGroups/default-worker/image: there is no image`}},
		"strange group":      {func(s *schema.Spec) { s.Groups[0].Image = "fedora-coreos-latest" }, []string{`nodeGroups/default-worker/image: image "fedora-coreos-latest" has os_distro "fedora-coreos", and nodes of cluster type docker_ubuntu boot ubuntu`}},
		"bare metal":         {func(s *schema.Spec) { s.ServerType = "bm" }, []string{"coe: no cluster type for server type bm"}},
		"kubernetes":         {func(s *schema.Spec) { s.COE = "kubernetes" }, []string{"coe: no cluster type"}},
		"no keypair":         {func(s *schema.Spec) { s.Keypair = "no/such" }, []string{`keypair: user demo, whose credential is used, has no keypair "no/such": a keypair is its user's, not the project's; use one of that user's, or sshPublicKeys`}},
		"no flavor":          {func(s *schema.Spec) { s.Groups[0].Flavor = "no-such" }, []string{`nodeGroups/default-worker/flavor: there is no flavor "no-such"`}},
		"no network":         {func(s *schema.Spec) { s.FixedNetwork = "no-such" }, []string{`fixedNetwork: there is no network "no-such"`}},
		"no subnet":          {func(s *schema.Spec) { s.FixedSubnet = "no-such" }, []string{`fixedSubnet: there is no subnet "no-such"`}},
		"no external":        {func(s *schema.Spec) { s.ExternalNetwork = "no-such" }, []string{`externalNetwork: there is no network "no-such"`}},
		"external is inside": {func(s *schema.Spec) { s.ExternalNetwork = "private" }, []string{`externalNetwork: network "private" is not external`}},
		"nowhere to float":   {func(s *schema.Spec) { s.FloatingIPEnabled = true }, []string{"externalNetwork: floatingIPEnabled needs an externalNetwork"}},
		"names of no net":    {func(s *schema.Spec) { s.DNSNameservers = []string{"8.8.8.8"} }, []string{"dnsNameservers: they are of a new network"}},
		"foreign fields": {
			func(s *schema.Spec) { s.NetworkDriver, s.Labels = "docker", map[string]string{"kube_tag": "v1.33.1"} },
			[]string{"networkDriver: cluster type docker_ubuntu has no use"},
		},
		"everything at once": {
			func(s *schema.Spec) { s.Keypair, s.Groups[0].Flavor, s.TLSDisabled = "no-such", "no-such", true },
			[]string{"keypair: user demo", "nodeGroups/default-worker/flavor: there is no", "tlsDisabled: cluster type"},
		},
		"too long a file": {
			func(s *schema.Spec) { s.SSHPublicKeys = manyKeys(6, 8000) },
			[]string{"nodeGroups/default-worker: its node file has "},
		},
		"too many groups": {
			func(s *schema.Spec) { s.SSHPublicKeys, s.Groups = manyKeys(4, 8000), manyGroups(30) },
			[]string{"nodeGroups: template and node files of 30 groups have "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := declare(t, "a", tt.change)
			if c.Spec.Groups[0].Flavor == "" {
				c.Spec.Groups[0].Flavor = flavorID(t, s)
			}
			got := objections(t, d, c)
			ok := len(got) == len(tt.want)
			for i := range min(len(got), len(tt.want)) {
				ok = ok && strings.HasPrefix(got[i], tt.want[i])
			}
			if !ok {
				t.Errorf("objections\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func flavorID(t testing.TB, s *simulated) string {
	t.Helper()
	var got struct {
		Flavors []struct{ ID string }
	}
	if err := newScene(t, s).raw.Get(t.Context(), "compute", "/flavors", nil, &got); err != nil {
		t.Fatal(err)
	}
	return got.Flavors[0].ID
}

func manyKeys(n, size int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("ssh-rsa %d%s", i, strings.Repeat("A", size))
	}
	return keys
}

// manyGroups differ in what they boot, so that each has a file of its own.
func manyGroups(n int) []schema.Group {
	groups := make([]schema.Group, n)
	for i := range groups {
		groups[i] = schema.Group{Name: fmt.Sprintf("g%d", i), Role: "worker", NodeCount: 1, Flavor: "m1.small", DockerVolumeSize: i + 1}
	}
	return groups
}

// What the objection says that fits is taken by Heat, upgrade included, and one
// more is objected to.
func TestCheckSaysWhatFits(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	p := newPlay(t, s, 300)
	p.c.Policy.MaxBatchSize = 5
	got := objections(t, p.driver, p.c)
	if len(got) != 1 {
		t.Fatalf("objections %v", got)
	}
	words := strings.Fields(got[0][:strings.Index(got[0], " nodes fit")])
	fit, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		t.Fatal(err)
	}
	resize := func(n int) { p.c.Spec.Groups[0].NodeCount = n }
	if resize(fit + 1); len(objections(t, p.driver, p.c)) != 1 {
		t.Errorf("%d nodes are fine, though %d fit", fit+1, fit)
	}
	if resize(fit); len(objections(t, p.driver, p.c)) != 0 {
		t.Errorf("%d nodes do not fit: %v", fit, objections(t, p.driver, p.c))
	}
	if fit < 150 {
		t.Errorf("only %d nodes of 5 resources fit in 1000", fit)
	}
	o := p.do(diff.Create, nil)
	if o.Status != diff.CreateComplete {
		t.Fatalf("%s %s", o.Status, o.Reason)
	}
	p.c.Spec.Image = "ubuntu-next"
	if o = p.do(diff.Upgrade, o, o.Nodes[0].Name, o.Nodes[1].Name, o.Nodes[2].Name, o.Nodes[3].Name, o.Nodes[4].Name); o.Status != diff.UpdateComplete {
		t.Errorf("%s %s", o.Status, o.Reason)
	}
}

// Two groups whose names are the same as host names, by four hex digits too.
func TestCheckObjectsToTwins(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	k := schema.Key{Cloud: cloud, Name: "a"}
	other := strings.TrimSuffix(strings.TrimPrefix(heat.NodeName("check", k, "g_1", 0), strings.TrimSuffix(heat.NodeName("check", k, "x", 0), "x-0")), "-0")
	c := declare(t, "a", func(s *schema.Spec) {
		s.Groups = append(s.Groups,
			schema.Group{Name: "g_1", Role: "worker", NodeCount: 2, Flavor: "m1.small"},
			schema.Group{Name: other, Role: "worker", NodeCount: 2, Flavor: "m1.small"})
	})
	got := objections(t, d, c)
	if len(got) != 1 || !strings.Contains(got[0], "would be named as those of g_1") {
		t.Errorf("objections to g_1 and %s: %v", other, got)
	}
}

// A role that may not look is no objection: it is said, and who can help.
func TestCheckWithoutARole(t *testing.T) {
	t.Parallel()
	for service, want := range map[string][]string{
		"compute": {"? keypair: ", "? nodeGroups/default-worker/flavor: ", "? : how much is left of the quota of compute cannot be seen"},
		"network": {"? externalNetwork: ", "? fixedNetwork: ", "? : how much is left of the quota of network cannot be seen"},
		"image":   {"? image: ", "image: its os_distro"},
	} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			s := newSimulated(t)
			d := open(t, s, nil)
			s.cloud.Fault(sim.Fault{Service: service, Method: "GET", Status: 403, Body: `{"forbidden": {"message": "Policy doesn't allow it", "code": 403}}`})
			got := objections(t, d, declare(t, "a", func(s *schema.Spec) { s.ExternalNetwork = "public" }))
			if len(got) != len(want) {
				t.Fatalf("objections %q, want %q", got, want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], want[i]) {
					t.Errorf("objection %q, want %q", got[i], want[i])
				}
				if asks := strings.Contains(got[i], "ask the cloud's operator for a role"); asks != strings.HasPrefix(want[i], "?") {
					t.Errorf("objection %q: names whom to ask: %v", got[i], asks)
				}
			}
		})
	}
}

// An error is never "fine".
func TestCheckFailsWhenItCannotAsk(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	s.cloud.Fault(sim.Fault{Service: "compute", PathRegexp: "os-keypairs", Status: 500})
	found, err := d.(drivers.Checker).Check(t.Context(), []*schema.Cluster{declare(t, "a", nil)}, nil)
	if drivers.KindOf(err) != drivers.Transient || found != nil {
		t.Errorf("objections %v, error %v", found, err)
	}
}

// Clusters that are made before are checked by their own type and revision; a
// type of a later release is objected to.
func TestCheckOfLiveClusters(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	c := declare(t, "a", func(s *schema.Spec) { s.Image = "debian-latest" })
	live := func(typ string, revision int, status diff.Status) diff.Observed {
		return diff.Observed{Key: c.Key, Owner: diff.Ours, Status: status, Type: typ, TypeRevision: revision}
	}
	for want, o := range map[string]diff.Observed{
		`image: image "debian-latest" has os_distro "debian"`:            live("docker_ubuntu", 1, diff.CreateComplete),
		`: cluster type "swarm_mars" is not known to this release`:       live("swarm_mars", 1, diff.CreateComplete),
		`: this release has no templates of docker_ubuntu in revision 9`: live("docker_ubuntu", 9, diff.CreateComplete),
		"coe: no cluster type for server type vm, image with os_distro":  live("docker_ubuntu", 1, diff.DeleteComplete),
	} {
		if got := objections(t, d, c, o); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("objections %q, want %q", got, want)
		}
	}
}

// A whole fleet that changes costs what its distinct names cost.
func TestCheckAsksOnce(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	var want []*schema.Cluster
	for i := range 500 {
		want = append(want, declare(t, schema.ClusterName(fmt.Sprintf("c%d", i)), func(s *schema.Spec) {
			s.ExternalNetwork = "public"
			s.Groups = append(s.Groups, schema.Group{Name: "gpu", Role: "gpu", NodeCount: 3, Flavor: "m1.medium", Image: "ubuntu-next"})
		}))
	}
	s.cloud.ResetRequests()
	found, err := d.(drivers.Checker).Check(t.Context(), want, nil)
	if err != nil || len(found) != 0 {
		t.Fatal(err, found)
	}
	// 2 images, a keypair, the flavors, 2 networks that are looked up by id first, the
	// subnets of one and its free addresses, and the quotas of Nova and Neutron.
	if log := s.cloud.Requests(); len(log.Requests) != 2+1+1+4+2+2 {
		t.Errorf("%d requests: %v", len(log.Requests), log.Counts)
	}
}

// An application credential makes no trusts on a current Keystone.
func TestCheckOfApplicationCredential(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	raw := newScene(t, s).raw
	var made struct {
		Credential struct{ ID, Secret string } `json:"application_credential"`
	}
	err := raw.Post(t.Context(), "identity", "/users/"+raw.Token().UserID+"/application_credentials",
		map[string]any{"application_credential": map[string]any{"name": "ci"}}, &made)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"OS_AUTH_TYPE": "v3applicationcredential", "OS_AUTH_URL": raw.Token().AuthURL, "OS_REGION_NAME": "RegionOne",
		"OS_APPLICATION_CREDENTIAL_ID": made.Credential.ID, "OS_APPLICATION_CREDENTIAL_SECRET": made.Credential.Secret,
	}
	for trusts, want := range map[bool][]string{false: {": the credential of cloud envvars is the application credential ci"}, true: nil} {
		d, err := heat.OpenOn(t.Context(), drivers.Options{
			Cloud: "envvars", Owner: "check", Instance: "check", Log: zap.NewNop(), Config: schema.CloudConfig{ApplicationCredentialTrusts: trusts},
		}, func(k string) string { return env[k] }, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := declare(t, "a", nil)
		got := objections(t, d, c)
		if len(got) != len(want) || len(want) > 0 && !strings.HasPrefix(got[0], want[0]) {
			t.Errorf("trusts %v: objections %q, want %q", trusts, got, want)
		}
		if live := objections(t, d, c, diff.Observed{Key: c.Key, Type: "docker_ubuntu", TypeRevision: 1, Status: diff.CreateComplete}); len(live) > 0 {
			t.Errorf("a cluster that is there: objections %q", live)
		}
	}
}

// Every field of Spec and Group is carried out by the type or objected to.
func TestEveryFieldIsCarriedOutOrObjectedTo(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	visit := func(typ reflect.Type, prefix string, set func(c *schema.Cluster) reflect.Value) {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			field := prefix + name
			if field == "nodeGroups" || name == "labels" || name == "secretLabels" {
				continue // their own fields are walked, below
			}
			c := declare(t, "a", nil)
			fill(set(c).Field(i))
			if !slices.Contains(heat.SetFields(&c.Spec), field) {
				t.Errorf("%s is set, and setFields does not say so", field)
			}
			objected := slices.ContainsFunc(objections(t, d, c), func(o string) bool { return strings.Contains(o, "has no use for "+field) })
			if !objected && !heat.Supported("docker_ubuntu", field) && field != "coe" && field != "serverType" && field != "image" {
				t.Errorf("%s is neither carried out nor objected to", field)
			}
		}
	}
	visit(reflect.TypeFor[schema.Spec](), "", func(c *schema.Cluster) reflect.Value { return reflect.ValueOf(&c.Spec).Elem() })
	visit(reflect.TypeFor[schema.Group](), "nodeGroups/*/", func(c *schema.Cluster) reflect.Value { return reflect.ValueOf(&c.Spec.Groups[0]).Elem() })
	for _, at := range []string{"labels/", "nodeGroups/*/labels/", "secretLabels/", "nodeGroups/*/secretLabels/"} {
		for _, key := range []string{"availability_zone", "kube_tag", "made_up"} {
			c := declare(t, "a", func(s *schema.Spec) {
				plain, secret := map[string]string{key: "nova"}, map[string]schema.Secret{key: {Digest: "x"}} // nova is a zone
				switch at {
				case "labels/":
					s.Labels = plain
				case "secretLabels/":
					s.SecretLabels = secret
				case "nodeGroups/*/labels/":
					s.Groups[0].Labels = plain
				default:
					s.Groups[0].SecretLabels = secret
				}
			})
			objected := slices.ContainsFunc(objections(t, d, c), func(o string) bool { return strings.HasPrefix(o, at+key+": ") })
			// That the type does not read kube_tag was told with the documents.
			if objected == (heat.Supported("docker_ubuntu", at+key) || key == "kube_tag") {
				t.Errorf("%s: objected to: %v", at+key, objected)
			}
		}
	}
}

// A group that has a label of its own has those of the cluster beside it, and
// what the cluster may have is none of the group's.
func TestGroupRepeatsLabelsOfTheCluster(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	c := declareKubernetes(t, "a", func(s *schema.Spec) {
		s.Labels["etcd_volume_size"] = "1"
		s.Groups[1].Labels = maps.Clone(s.Labels)
		s.Groups[1].Labels["kubelet_options"] = "--v=4"
	})
	if found := objections(t, d, c); len(found) > 0 {
		t.Errorf("objections %q", found)
	}
	c.Spec.Groups[1].Labels["etcd_volume_size"] = "2"
	if found := objections(t, d, c); len(found) != 1 || !strings.HasPrefix(found[0], "nodeGroups/*/labels/etcd_volume_size: ") {
		t.Errorf("objections %q, want that to a label of the group's own", found)
	}
}

// fill puts something into a value that is not its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int:
		v.SetInt(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"x": "x"}))
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(f)
		}
	default:
		panic(v.Kind())
	}
}
