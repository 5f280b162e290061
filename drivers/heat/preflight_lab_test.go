package heat_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// ground is a project of the lab's for one test, so that its quotas are the
// test's and nobody else uses them.
type ground struct {
	*testing.T
	operator *openstack.Cloud
	name     string // of the project, and how the names of all things begin
	project  string // id
	limited  bool   // its quotas are set
}

// TestLabPreflight is the pre-flight against the lab: a fleet that is fine, one
// with everything wrong, quotas that are too small, and that what is needed is
// what is used. A reader is told the same.
func TestLabPreflight(t *testing.T) {
	newLab(t) // there is one
	g := newGround(t)
	g.stock()
	member, reader := g.open("demo"), g.open("viewer")
	const worker = "nodeGroups/default-worker/"
	keypair := `? JB2002 keypair: user viewer, whose credential is used, may only read`

	begin(t, check(t, member, nil, whole(t, "a", 3))["a"])
	begin(t, check(t, reader, nil, whole(t, "a", 3))["a"], keypair)
	for name, c := range map[string]struct {
		change func(*schema.Spec)
		want   []string
	}{
		"names": {func(s *schema.Spec) {
			s.Keypair, s.Groups[0].Flavor, s.ExternalNetwork = "no-such", "no-such", "no-such"
		}, []string{
			"JB2001 keypair: ", `JB2001 externalNetwork: there is no network "no-such"`, "JB2001 " + worker + "flavor: ",
		}},
		"no image":       {func(s *schema.Spec) { s.Image = "no-such" }, []string{"JB2001 image: there is no image"}},
		"queued image":   {func(s *schema.Spec) { s.Image = g.name + "-queued" }, []string{"JB2001 image: image \"" + g.name + "-queued\" is queued"}},
		"flavor":         {func(s *schema.Spec) { s.Groups[0].Flavor = g.name + "-diskless" }, []string{"JB2007 " + worker + "flavor: "}},
		"network":        {func(s *schema.Spec) { s.FixedNetwork = "public" }, []string{"JB2008 fixedNetwork: "}},
		"other's subnet": {func(s *schema.Spec) { s.FixedNetwork, s.FixedSubnet = g.name, g.name+"-other" }, []string{"JB2008 fixedSubnet: "}},
		"IPv6":           {func(s *schema.Spec) { s.FixedNetwork, s.FixedSubnet = g.name, g.name+"-v6" }, []string{"JB2008 fixedSubnet: "}},
		"subnet":         {func(s *schema.Spec) { s.FixedNetwork, s.FixedSubnet = g.name, g.name }, nil},
		"zone":           {func(s *schema.Spec) { s.Labels = labels("availability_zone", "mars") }, []string{`JB2001 labels/availability_zone: there is no availability zone "mars" for servers; there is ` + g.zones()}},
		"volume type":    {func(s *schema.Spec) { s.COE, s.Labels = "kubernetes", labels("docker_volume_type", "fast") }, []string{`JB2001 labels/docker_volume_type: there is no volume type "fast" that this project can see; there is __DEFAULT__, lab`, "JB2003 coe: "}},
		"provider": {func(s *schema.Spec) {
			s.COE, s.MasterLBEnabled, s.Labels = "kubernetes", true, labels("octavia_provider", "ovn")
		}, []string{
			`JB2001 labels/octavia_provider: Octavia has no provider "ovn"; it has amphora, octavia`, "JB2003 coe: ",
		}},
	} {
		c1 := whole(t, "a", 1)
		c.change(&c1.Spec)
		got := check(t, member, nil, c1)["a"]
		begin(t, got, c.want...)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	balanced := whole(t, "a", 1)
	balanced.Spec.MasterLBEnabled = true
	begin(t, check(t, reader, nil, balanced)["a"], keypair, "? JB2002 masterLBEnabled: whether there is a load balancer provider for us cannot be seen (403 ", "JB2004 ")

	g.quotas(4)
	for _, d := range []drivers.Driver{member, reader} {
		got := check(t, d, nil, whole(t, "a", 3), whole(t, "b", 2))
		found := strings.Join(got["b"], "\n")
		for _, want := range []string{
			"instances: 2 needed, 4 left of 4, of which lab-demo/a takes 3 first",
			"vCPUs: 2 needed, 4 left of 4, of which lab-demo/a takes 3 first", "volumes: 2 needed, 4 left of 4,", "volumes of type lab: 2 needed, 4 left of 4,",
			"volume storage: 10 GiB needed, 20 GiB left of 20 GiB, of which lab-demo/a takes 15 GiB first", "floating IPs: 2 needed, 4 left of 4,",
		} {
			if !strings.Contains(found, want) {
				t.Errorf("no %q in\n%s", want, found)
			}
		}
		if a := strings.Join(got["a"], "\n"); strings.Contains(a, "JB2006") {
			t.Errorf("the first does not fit:\n%s", a)
		}
	}
	g.quotas(20) // at the limit itself Neutron may refuse what is asked for at the same time
	g.needIsUsed(member)
}

// zones are the names of Nova's zones: the lab has one more where nodes boot.
func (g *ground) zones() string {
	var has struct {
		AvailabilityZoneInfo []struct{ ZoneName string }
	}
	g.get("compute", "/os-availability-zone", nil, &has)
	var names []string
	for _, z := range has.AvailabilityZoneInfo {
		names = append(names, z.ZoneName)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{T: t, name: "pf-" + strings.ToLower(rand.Text()[:8])}
	g.operator = g.connect("admin", "admin")
	var made struct{ Project struct{ ID string } }
	g.post("identity", "/projects", map[string]any{"project": map[string]any{"name": g.name, "domain_id": "default"}}, &made)
	g.project = made.Project.ID
	g.later("identity", "/projects/"+g.project)
	for user, has := range map[string][]string{"demo": memberRoles(), "viewer": {"reader"}} {
		var users struct{ Users []struct{ ID string } }
		g.get("identity", "/users", url.Values{"name": {user}}, &users)
		g.grant(users.Users[0].ID, has...)
	}
	return g
}

// memberRoles are those of somebody who may make clusters.
func memberRoles() []string {
	return []string{"member", "reader", "creator", "heat_stack_owner", "load-balancer_member"}
}

// grant gives a user, by id, roles in the project.
func (g *ground) grant(user string, has ...string) {
	g.Helper()
	var roles struct{ Roles []struct{ ID, Name string } }
	g.get("identity", "/roles", nil, &roles)
	for _, r := range roles.Roles {
		if !slices.Contains(has, r.Name) {
			continue
		}
		if err := g.operator.Put(g.Context(), "identity", "/projects/"+g.project+"/users/"+user+"/roles/"+r.ID, nil, nil); err != nil {
			g.Fatal(err)
		}
	}
}

func (g *ground) env(user, project string) func(string) string {
	env := map[string]string{
		"OS_AUTH_URL": "http://127.0.0.1:5000/v3", "OS_REGION_NAME": "RegionOne", "OS_USERNAME": user, "OS_PASSWORD": "lab",
		"OS_PROJECT_NAME": project, "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
	}
	return func(k string) string { return env[k] }
}

func (g *ground) connect(user, project string) *openstack.Cloud {
	g.Helper()
	c, err := openstack.Connect(g.Context(), openstack.Settings{Cloud: openstack.EnvCloud, Getenv: g.env(user, project)})
	if err != nil {
		g.Fatal(err)
	}
	return c
}

func (g *ground) open(user string) drivers.Driver {
	g.Helper()
	d, err := heat.OpenOn(g.Context(), drivers.Options{Cloud: openstack.EnvCloud, Owner: "pf", Instance: "pf", ReadOnly: user == "viewer"}, g.env(user, g.name), nil)
	if err != nil {
		g.Fatal(err)
	}
	return d
}

func (g *ground) get(service, path string, query url.Values, out any) {
	g.Helper()
	if err := g.operator.Get(g.Context(), service, path, query, out); err != nil {
		g.Fatal(err)
	}
}

func (g *ground) post(service, path string, body, out any) {
	g.Helper()
	if err := g.operator.Post(g.Context(), service, path, body, out); err != nil {
		g.Fatal(err)
	}
}

// later deletes when the test ends, the last that was made first.
func (g *ground) later(service, path string) {
	g.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
		defer stop()
		for {
			err := g.operator.Delete(ctx, service, path, nil, nil)
			if err == nil || drivers.KindOf(err) == drivers.NotFound {
				return
			}
			select {
			case <-ctx.Done():
				g.Errorf("%s %s stays: %v", service, path, err)
				return
			case <-time.After(time.Second):
			}
		}
	})
}

// stock makes an image, a flavor and networks that are not right, and one that is.
func (g *ground) stock() {
	g.Helper()
	var img struct{ ID string }
	g.post("image", "/images", map[string]any{"name": g.name + "-queued", "disk_format": "qcow2", "container_format": "bare", "visibility": "public", "os_distro": "ubuntu"}, &img)
	g.later("image", "/images/"+img.ID)
	var fl struct{ Flavor struct{ ID string } }
	g.post("compute", "/flavors", map[string]any{"flavor": map[string]any{"name": g.name + "-diskless", "ram": 1024, "vcpus": 1, "disk": 0}}, &fl)
	g.later("compute", "/flavors/"+fl.Flavor.ID)
	for _, network := range []string{g.name, g.name + "-other"} {
		var n struct{ Network struct{ ID string } }
		g.post("network", "/networks", map[string]any{"network": map[string]any{"name": network, "project_id": g.project}}, &n)
		g.later("network", "/networks/"+n.Network.ID)
		subnet := map[string]any{"network_id": n.Network.ID, "project_id": g.project, "name": network, "ip_version": 4, "cidr": "10.66.0.0/24"}
		g.post("network", "/subnets", map[string]any{"subnet": subnet}, nil)
		if network == g.name {
			six := map[string]any{"network_id": n.Network.ID, "project_id": g.project, "name": network + "-v6", "ip_version": 6, "cidr": "fd00:66::/64"}
			g.post("network", "/subnets", map[string]any{"subnet": six}, nil)
		}
	}
}

// quotas lets the project have n nodes of 5 GiB.
func (g *ground) quotas(n int) {
	g.Helper()
	for _, q := range []struct {
		service, path, key string
		set                map[string]any
	}{
		{"compute", "/os-quota-sets/", "quota_set", map[string]any{"instances": n, "cores": n, "ram": n * 2048}},
		{"block-storage", "/os-quota-sets/", "quota_set", map[string]any{"volumes": n, "gigabytes": 5 * n, "volumes_lab": n}},
		{"network", "/quotas/", "quota", map[string]any{"floatingip": n}},
	} {
		if err := g.operator.Put(g.Context(), q.service, q.path+g.project, map[string]any{q.key: q.set}, nil); err != nil {
			g.Fatal(err)
		}
		if !g.limited {
			g.later(q.service, q.path+g.project)
		}
	}
	g.limited = true
}

// needIsUsed makes a cluster that fits and sees the project use just what was
// said to be needed. It does not wait for the nodes to boot.
func (g *ground) needIsUsed(d drivers.Driver) {
	g.Helper()
	p := &play{T: g.T, driver: d, owner: "pf", c: declareKubernetes(g.T, "a", func(s *schema.Spec) {
		highlyAvailable(s)
		s.FloatingIPEnabled = true
		s.Groups[0].NodeCount, s.Groups[1].NodeCount = 1, 2
	})}
	p.c.Cloud = openstack.EnvCloud
	need, err := heat.Need(g.Context(), d, p.c)
	if err != nil {
		g.Fatal(err)
	}
	used := func() map[string]int {
		all := map[string]int{}
		for what := range need {
			service, name, _ := strings.Cut(what, " ")
			_, n, no, err := heat.Left(g.Context(), d, service, name)
			if err != nil || no != nil {
				g.Fatal(what, no, err)
			}
			all[what] = n
		}
		return all
	}
	before := used()
	own := g.connect("demo", g.name)
	p.apply("create", nil)
	var list struct {
		Stacks []struct {
			ID   string `json:"id"`
			Name string `json:"stack_name"`
		} `json:"stacks"`
	}
	if err := own.Get(g.Context(), "orchestration", "/stacks", nil, &list); err != nil || len(list.Stacks) != 1 {
		g.Fatal(list, err)
	}
	g.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
		defer stop()
		path := "/stacks/" + list.Stacks[0].Name + "/" + list.Stacks[0].ID
		for {
			var got struct {
				Stack struct {
					Status string `json:"stack_status"`
				}
			}
			err := own.Get(ctx, "orchestration", path, nil, &got)
			if got.Stack.Status == "DELETE_COMPLETE" || drivers.KindOf(err) == drivers.NotFound {
				if err := heat.DropKeys(ctx, d, p.c.Key); err != nil {
					g.Error(err)
				}
				return
			}
			if got.Stack.Status != "DELETE_IN_PROGRESS" {
				err = own.Delete(ctx, "orchestration", path, nil, nil)
			}
			select {
			case <-ctx.Done():
				g.Errorf("%s stays: %v %v", path, got.Stack.Status, err)
				return
			case <-time.After(time.Second):
			}
		}
	})
	var last map[string]int
	for range 300 { // the lab is shared, and slow while others use it
		last = used()
		same := true
		for what, n := range need {
			if before[what] < 0 { // the service does not say how much is used
				continue
			}
			last[what] -= before[what]
			same = same && last[what] == n
		}
		if same {
			return
		}
		if o := p.see(); o.Status == diff.CreateFailed {
			g.Fatalf("%s: %s", o.Status, o.Reason)
		}
		select {
		case <-time.After(time.Second):
		case <-g.Context().Done():
			g.Fatal(g.Context().Err())
		}
	}
	text, _ := json.Marshal(map[string]any{"needed": need, "used": last})
	g.Errorf("not what was needed: %s; %+v", text, p.see())
}
