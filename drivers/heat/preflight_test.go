package heat_test

import (
	"fmt"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// coded are objections as "code field: reason", unknown ones with "?" before.
func coded(found []diff.Objection) []string {
	var lines []string
	for _, o := range found {
		if _, known := schema.Explain(o.Code); !known {
			line := fmt.Sprintf("%+v has no code", o)
			lines = append(lines, line)
		}
		line := fmt.Sprintf("%s %s: %s", o.Code, o.Field, o.Reason)
		if o.Unknown {
			line = "? " + line
		}
		lines = append(lines, line)
	}
	return lines
}

// check gives the coded objections to each cluster, by name.
func check(t testing.TB, d drivers.Driver, have []diff.Observed, want ...*schema.Cluster) map[schema.ClusterName][]string {
	t.Helper()
	found, err := d.(drivers.Checker).Check(t.Context(), want, have)
	if err != nil {
		t.Fatal(err)
	}
	all := map[schema.ClusterName][]string{}
	for k, objections := range found {
		all[k.Name] = coded(objections)
	}
	return all
}

// begin compares lines by how they begin.
func begin(t testing.TB, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("objections\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// stocked is a cloud with things that are not right.
func stocked(t testing.TB) *simulated {
	t.Helper()
	s := newSimulated(t)
	s.cloud.AddImage("no-distro", map[string]any{"os_distro": nil})
	s.cloud.AddImage("queued", map[string]any{"status": "queued", "size": nil, "virtual_size": nil})
	s.cloud.AddImage("big", map[string]any{"min_disk": 30, "min_ram": 4096})
	s.cloud.AddImage("fat", map[string]any{"virtual_size": 25 << 30})
	s.cloud.AddFlavor("m1.diskless", 2, 4096, 0)
	s.cloud.AddNetwork("demo", "other", "10.77.0.0/24", "fd00:77::/64")
	s.cloud.AddNetwork("demo", "six", "fd00:66::/64")
	return s
}

// Each thing that a cloud can have against a cluster, its code and its field.
func TestCheckAgainstTheCatalogue(t *testing.T) {
	t.Parallel()
	d := open(t, stocked(t), nil)
	const worker = "nodeGroups/default-worker/"
	for name, tt := range map[string]struct {
		change func(*schema.Spec)
		want   []string
	}{
		"image that is not there":    {func(s *schema.Spec) { s.Image = "no-such" }, []string{"JB2001 image: there is no image"}},
		"image without distro":       {func(s *schema.Spec) { s.Image = "no-distro" }, []string{`JB2003 image: image "no-distro" has no property os_distro, by which the cluster type is chosen: whoever owns it sets that with ` + "`openstack image set --property os_distro=<debian|fedora-coreos|ubuntu> "}},
		"image that is not active":   {func(s *schema.Spec) { s.Image = "queued" }, []string{`JB2001 image: image "queued" is queued, and nothing boots`}},
		"image of another type":      {func(s *schema.Spec) { s.Image = "debian-latest" }, []string{"JB2003 coe: no cluster type"}},
		"group boots something else": {func(s *schema.Spec) { s.Groups[0].Image = "debian-latest" }, []string{"JB2004 " + worker + "image: "}},
		"image asks for more": {func(s *schema.Spec) { s.Image = "big" }, []string{
			"JB2007 " + worker + `flavor: flavor "m1.small" comes with a root disk of 20 GiB, and image "big" needs 30 GiB`,
			"JB2007 " + worker + `flavor: flavor "m1.small" has 2048 MiB of RAM, and image "big" needs 4096 MiB`,
		}},
		"image has more in it":     {func(s *schema.Spec) { s.Image = "fat" }, []string{"JB2007 " + worker + `flavor: flavor "m1.small" comes with a root disk of 20 GiB, and image "fat" needs 25 GiB`}},
		"image asks for enough":    {func(s *schema.Spec) { s.Image, s.Groups[0].Flavor = "big", "m1.medium" }, nil},
		"flavor that is not there": {func(s *schema.Spec) { s.Groups[0].Flavor = "no-such" }, []string{"JB2001 " + worker + "flavor: there is no flavor"}},
		"flavor without a disk":    {func(s *schema.Spec) { s.Groups[0].Flavor = "m1.diskless" }, []string{"JB2007 " + worker + `flavor: flavor "m1.diskless" has no root disk, and there is no boot_volume_size`}},
		"boot volume for the disk": {func(s *schema.Spec) {
			s.COE, s.Groups[0].Flavor, s.Labels = "kubernetes", "m1.diskless", labels("boot_volume_size", "20")
		}, []string{"JB2003 coe: "}},
		"boot volume that is not read": {func(s *schema.Spec) { s.Groups[0].Flavor, s.Labels = "m1.diskless", labels("boot_volume_size", "20") }, []string{
			"JB2007 " + worker + `flavor: flavor "m1.diskless" has no root disk`,
		}},
		"boot volume too small": {func(s *schema.Spec) {
			s.COE, s.Image, s.Groups[0].Flavor, s.Labels = "kubernetes", "big", "m1.diskless", labels("boot_volume_size", "20")
		}, []string{"JB2007 " + worker + `flavor: flavor "m1.diskless" comes with a boot volume of 20 GiB (boot_volume_size), and image "big" needs 30 GiB`, "JB2003 coe: "}},
		"keypair that is not there":  {func(s *schema.Spec) { s.Keypair = "no-such" }, []string{"JB2001 keypair: user demo"}},
		"external network is inside": {func(s *schema.Spec) { s.ExternalNetwork = "private" }, []string{`JB2008 externalNetwork: network "private" is not external`}},
		"nodes outside":              {func(s *schema.Spec) { s.FixedNetwork = "public" }, []string{`JB2008 fixedNetwork: network "public" is external`}},
		"subnet of another network":  {func(s *schema.Spec) { s.FixedSubnet = "other-0" }, []string{`JB2008 fixedSubnet: subnet "other-0" is of network `}},
		"subnet of this network":     {func(s *schema.Spec) { s.FixedNetwork, s.FixedSubnet = "other", "other-0" }, nil},
		"subnet of IPv6":             {func(s *schema.Spec) { s.FixedNetwork, s.FixedSubnet = "other", "other-1" }, []string{`JB2008 fixedSubnet: subnet "other-1" is IPv6`}},
		"network of both":            {func(s *schema.Spec) { s.FixedNetwork = "other" }, nil},
		"network of IPv6":            {func(s *schema.Spec) { s.FixedNetwork = "six" }, []string{`JB2008 fixedNetwork: network "six" has no IPv4 subnet`}},
		"no floating IPs from here":  {func(s *schema.Spec) { s.FloatingIPEnabled = true }, []string{"JB2008 externalNetwork: floatingIPEnabled needs"}},
		"volume types": {func(s *schema.Spec) {
			s.COE, s.Labels = "kubernetes", labels("docker_volume_type", "fast", "boot_volume_type", "lab", "etcd_volume_type", "faster")
		}, []string{
			`JB2001 labels/docker_volume_type: there is no volume type "fast" that this project can see; there is __DEFAULT__, lab`,
			`JB2001 labels/etcd_volume_type: there is no volume type "faster"`, "JB2003 coe: ",
		}},
		"zone that is not there": {func(s *schema.Spec) { s.Labels = labels("availability_zone", "mars") }, []string{`JB2001 labels/availability_zone: there is no availability zone "mars" for servers; there is nova`}},
		"zone of a group":        {func(s *schema.Spec) { s.Groups[0].Labels = labels("availability_zone", "mars") }, []string{`JB2001 ` + worker + `labels/availability_zone: there is no availability zone "mars"`}},
		"zone":                   {func(s *schema.Spec) { s.Labels = labels("availability_zone", "nova") }, nil},
		"load balancer provider": {func(s *schema.Spec) {
			s.COE, s.MasterLBEnabled, s.Labels = "kubernetes", true, labels("octavia_provider", "ovn")
		}, []string{
			`JB2001 labels/octavia_provider: Octavia has no provider "ovn"; it has amphora, octavia`, "JB2003 coe: ",
		}},
		"too many nodes": {func(s *schema.Spec) { s.Groups[0].NodeCount = 300 }, []string{"JB2005 nodeGroups/default-worker/nodeCount: 300 nodes need "}},
		"unused field":   {func(s *schema.Spec) { s.TLSDisabled = true }, []string{"JB2004 tlsDisabled: "}},
		"master too small": {func(s *schema.Spec) { kubernetes(s, "m1.small") }, []string{
			"JB2007 nodeGroups/default-master/flavor: flavor \"m1.small\" has 1 vCPU and 2048 MiB of RAM, and a Kubernetes master needs 2 and 2048", "JB2003 coe: ",
		}},
		"master large enough": {func(s *schema.Spec) { kubernetes(s, "m1.medium") }, []string{"JB2003 coe: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin(t, check(t, d, nil, declare(t, "a", tt.change))["a"], tt.want...)
		})
	}
}

func labels(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func kubernetes(s *schema.Spec, master string) {
	s.COE = "kubernetes"
	s.Groups = append([]schema.Group{{Name: schema.DefaultMaster, Role: "master", NodeCount: 1, Flavor: master}}, s.Groups...)
}

// Octavia and Barbican: missing in the cloud, or kept from us by a role. Neither
// is asked about by those who do not need it.
func TestCheckOfServices(t *testing.T) {
	t.Parallel()
	balanced := func(s *schema.Spec) { s.MasterLBEnabled = true }
	secret := func(s *schema.Spec) { kubernetes(s, "m1.medium") }
	for name, tt := range map[string]struct {
		roles  []string
		remove string
		change func(*schema.Spec)
		want   []string
	}{
		"with the role":          {nil, "", balanced, []string{"JB2004 masterLBEnabled: "}},
		"without the role":       {[]string{"member", "reader"}, "", balanced, []string{"? JB2002 masterLBEnabled: whether there is a load balancer provider for us cannot be seen (403 ", "JB2004 masterLBEnabled: "}},
		"no Octavia":             {nil, "load-balancer", balanced, []string{"JB2009 masterLBEnabled: the cloud has no load-balancer service in region RegionOne", "JB2004 masterLBEnabled: "}},
		"Octavia for an ingress": {nil, "load-balancer", func(s *schema.Spec) { s.COE, s.Labels = "kubernetes", labels("ingress_controller", "octavia") }, []string{"JB2009 labels/ingress_controller: ", "JB2003 coe: "}},
		"no Barbican":            {nil, "key-manager", secret, []string{"JB2009 coe: choose a key store: cloud lab-demo has no Barbican", "JB2003 coe: "}},
		"no role for Barbican":   {[]string{"member", "reader"}, "", secret, []string{"? JB2002 coe: whether there is a secret store for us cannot be seen (403 ", "JB2003 coe: "}},
		"Barbican":               {nil, "", secret, []string{"JB2003 coe: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSimulatedWith(t, sim.Options{Roles: tt.roles})
			s.cloud.RemoveService(tt.remove)
			got := check(t, open(t, s, nil), nil, declare(t, "a", tt.change))["a"]
			begin(t, got, tt.want...)
			for _, line := range got {
				role := "load-balancer_member"
				if strings.Contains(line, "secret store") {
					role = "creator"
				}
				if strings.Contains(line, "cannot be seen") && !strings.HasSuffix(line, role) {
					t.Errorf("%s: does not say to ask for %s", line, role)
				}
			}
		})
	}
}

// A zone whose hosts are all down takes no servers.
func TestCheckOfAClosedZone(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	s.cloud.CloseZone()
	c := declare(t, "a", func(s *schema.Spec) { s.Labels = labels("availability_zone", "nova") })
	begin(t, check(t, open(t, s, nil), nil, c)["a"], `JB2001 labels/availability_zone: availability zone "nova" takes no servers now`)
}

// The viewer sees what the maker of clusters sees, but for the keypair.
func TestCheckAsAReader(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := openAs(t, s, "viewer", "demo")
	begin(t, check(t, d, nil, declare(t, "a", nil))["a"],
		`? JB2002 keypair: user viewer, whose credential is used, may only read and has no keypair "testkey"`)
}

// openAs opens the driver with another user's credential.
func openAs(t testing.TB, s *simulated, user, project string) drivers.Driver {
	t.Helper()
	env := map[string]string{
		"OS_AUTH_URL": newScene(t, s).raw.Token().AuthURL, "OS_REGION_NAME": "RegionOne", "OS_USERNAME": user, "OS_PASSWORD": "sim",
		"OS_PROJECT_NAME": project, "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
	}
	d, err := heat.OpenOn(t.Context(), drivers.Options{Cloud: "envvars", Owner: "check", Instance: "check", ReadOnly: true},
		func(k string) string { return env[k] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Where a template asks for volumes in a zone, Cinder must have it: its zones are
// not always Nova's.
func TestCheckOfZonesOfVolumes(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	const file = `
resources:
  a: {type: "OS::Cinder::Volume", properties: {size: 1, availability_zone: {get_param: zone}}}
  b: {type: "OS::Cinder::Volume", properties: {size: 1}}
  c: {type: "OS::Nova::Server", properties: {availability_zone: elsewhere}}
`
	for zone, want := range map[string][]string{
		"mars": {`JB2001 nodeGroups/g/labels/availability_zone: there is no availability zone "mars" for volumes; there is nova`}, "nova": nil, "": nil,
	} {
		found, err := heat.VolumeZones(t.Context(), d, file, map[string]any{"zone": zone})
		if err != nil {
			t.Fatal(err)
		}
		begin(t, coded(found), want...)
	}
}
