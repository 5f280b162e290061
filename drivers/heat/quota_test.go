package heat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// whole is a cluster with a network of its own and all that a Docker node has.
func whole(t testing.TB, name schema.ClusterName, nodes int) *schema.Cluster {
	t.Helper()
	return declare(t, name, func(s *schema.Spec) {
		s.FixedNetwork, s.ExternalNetwork, s.FloatingIPEnabled = "", "public", true
		s.Groups[0].NodeCount, s.Groups[0].DockerVolumeSize = nodes, 5
	})
}

// A quota that is one too small for three nodes, of each resource; one more is
// enough.
func TestCheckOfQuotas(t *testing.T) {
	t.Parallel()
	const count = "JB2006 nodeGroups/default-worker/nodeCount: "
	for resource, tt := range map[string]struct {
		short int
		want  string
	}{
		"instances":           {2, count + "instances: 3 needed, 2 left of 2"},
		"cores":               {2, count + "vCPUs: 3 needed, 2 left of 2"},
		"ram":                 {6143, count + "RAM: 6144 MiB needed, 6143 MiB left of 6143 MiB"},
		"volumes":             {2, count + "volumes: 3 needed, 2 left of 2"},
		"gigabytes":           {14, count + "volume storage: 15 GiB needed, 14 GiB left of 14 GiB"},
		"volumes_lab":         {2, count + "volumes of type lab: 3 needed, 2 left of 2"},
		"gigabytes_lab":       {14, count + "volume storage of type lab: 15 GiB needed, 14 GiB left of 14 GiB"},
		"floatingip":          {2, count + "floating IPs: 3 needed, 2 left of 2"},
		"port":                {4, count + "ports: 4 needed, 3 left of 4"}, // one is the router's there
		"network":             {1, "JB2006 : networks: 1 needed, 0 left of 1"},
		"subnet":              {1, "JB2006 : subnets: 1 needed, 0 left of 1"},
		"router":              {1, "JB2006 : routers: 1 needed, 0 left of 1"},
		"security_group":      {0, "JB2006 : security groups: 1 needed, 0 left of 0"},
		"security_group_rule": {5, "JB2006 : rules of security groups: 6 needed, 5 left of 5"},
	} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			s := newSimulated(t)
			d := open(t, s, nil)
			s.cloud.SetQuota("demo", resource, tt.short)
			begin(t, check(t, d, nil, whole(t, "a", 3))["a"], tt.want)
			s.cloud.SetQuota("demo", resource, tt.short+1)
			begin(t, check(t, d, nil, whole(t, "a", 3))["a"])
			s.cloud.SetQuota("demo2", resource, 0) // is another project's
			begin(t, check(t, d, nil, whole(t, "a", 3))["a"])
		})
	}
}

// What is said to be needed is what is used once the cluster is there.
func TestNeedIsWhatIsUsed(t *testing.T) {
	t.Parallel()
	p := newPlay(t, newSimulated(t), 3)
	p.c = whole(t, p.c.Name, 3)
	p.needIsUsed(t, diff.Create, nil)
}

// needIsUsed carries a step out and compares what was needed beforehand with how
// much more is used then.
func (p *play) needIsUsed(t *testing.T, op diff.Op, have *diff.Observed) {
	t.Helper()
	need, err := heat.Need(t.Context(), p.driver, p.c)
	if err != nil {
		t.Fatal(err)
	}
	used := func() map[string]int {
		all := map[string]int{}
		for what := range need {
			service, name, _ := strings.Cut(what, " ")
			_, n, no, err := heat.Left(t.Context(), p.driver, service, name)
			if err != nil || no != nil {
				t.Fatal(what, no, err)
			}
			all[what] = n
		}
		return all
	}
	before := used()
	if o := p.do(op, have); o.Status != diff.CreateComplete {
		t.Fatalf("%s %s", o.Status, o.Reason)
	}
	after := used()
	for what := range need {
		after[what] -= before[what]
	}
	if d := cmp.Diff(need, after); d != "" {
		t.Errorf("needed (-), used (+):\n%s", d)
	}
}

// Clusters take their part in the order of their keys, whatever the order in
// which they are asked about. One that does not fit leaves what there is to those
// after it; so do one that something else holds, and one that is suspended.
func TestCheckAllotsInOrder(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	s.cloud.SetQuota("demo", "instances", 6)
	size := func(name schema.ClusterName, nodes int, change func(*schema.Cluster)) *schema.Cluster {
		c := declare(t, name, func(s *schema.Spec) { s.Groups[0].NodeCount = nodes })
		if change != nil {
			change(c)
		}
		return c
	}
	want := []*schema.Cluster{
		size("f", 1, nil),
		size("b", 2, func(c *schema.Cluster) { c.Spec.Image = "no-such" }),
		size("e", 3, nil),
		size("c", 3, func(c *schema.Cluster) { c.Policy.Suspend = true }),
		size("a", 3, nil),
		size("d", 2, nil),
		size("g", 1, nil),
		size("aa", 1, func(c *schema.Cluster) { c.Spec.TLSDisabled = true }),
	}
	got := check(t, d, nil, want...)
	begin(t, got["a"])
	begin(t, got["aa"], "JB2004 tlsDisabled: ")
	begin(t, got["b"], "JB2001 image: ")
	begin(t, got["c"])
	begin(t, got["d"])
	begin(t, got["e"], "JB2006 nodeGroups/default-worker/nodeCount: instances: 3 needed, 6 left of 6, of which 2 other clusters take 5 first")
	begin(t, got["f"])
	begin(t, got["g"], "JB2006 nodeGroups/default-worker/nodeCount: instances: 1 needed, 6 left of 6, of which 3 other clusters take 6 first")
	s.cloud.SetQuota("demo", "instances", 3)
	begin(t, check(t, d, nil, want...)["d"], "JB2006 nodeGroups/default-worker/nodeCount: instances: 2 needed, 3 left of 3, of which lab-demo/a takes 3 first")
}

// Whatever fleet and quota: what is not objected to fits, and what is objected to
// would not have fitted in its turn.
func TestPropertyAllot(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(0, 20).Draw(rt, "limit")
		s.cloud.SetQuota("demo", "instances", limit)
		sizes := rapid.SliceOfN(rapid.IntRange(0, 8), 1, 8).Draw(rt, "sizes")
		var want []*schema.Cluster
		for i, n := range sizes {
			want = append(want, declare(t, schema.ClusterName(fmt.Sprintf("c%d", i)), func(s *schema.Spec) { s.Groups[0].NodeCount = n }))
		}
		got := check(t, d, nil, rapid.Permutation(want).Draw(rt, "order")...)
		left := limit
		for i, n := range sizes {
			switch held := len(got[want[i].Name]) > 0; {
			case held != (n > left):
				rt.Fatalf("%v of %d: cluster %d of %d nodes, %d left, is held: %v", sizes, limit, i, n, left, held)
			case !held:
				left -= n
			}
		}
	})
}

// One question a service and project, however many clusters; and none at all
// where nothing grows.
func TestCheckAsksQuotasOnce(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	var want []*schema.Cluster
	var have []diff.Observed
	for i := range 100 {
		c := whole(t, schema.ClusterName(fmt.Sprintf("c%d", i)), 2)
		want = append(want, c)
		have = append(have, live(c))
	}
	quotas := func() (n int) {
		for class, times := range s.cloud.Requests().Counts {
			if strings.Contains(class, "/limits") || strings.Contains(class, "quota") {
				n += times
			}
		}
		s.cloud.ResetRequests()
		return n
	}
	check(t, d, nil, want...)
	if n := quotas(); n != 3 { // Nova's, Cinder's, Neutron's
		t.Errorf("%d questions about quotas for new clusters", n)
	}
	check(t, d, have, want...)
	if n := quotas(); n != 0 {
		t.Errorf("%d questions about quotas for clusters in sync", n)
	}
	for _, c := range want {
		c.Spec.Groups[0].NodeCount = 1
	}
	check(t, d, have, want...)
	if n := quotas(); n != 0 {
		t.Errorf("%d questions about quotas for clusters that shrink", n)
	}
}

// live is a cluster as it was asked for.
func live(c *schema.Cluster) diff.Observed {
	spec := c.Spec
	spec.Groups = append([]schema.Group(nil), c.Spec.Groups...)
	o := diff.Observed{
		Key: c.Key, ID: "id", Owner: diff.Ours, Status: diff.CreateComplete, Spec: &spec, Type: "docker_ubuntu", TypeRevision: 1,
	}
	for _, g := range spec.Groups {
		for i := range g.NodeCount {
			o.Nodes = append(o.Nodes, diff.Node{Group: g.Name, Number: i, Revision: diff.NodeRevision(&spec, g), State: diff.NodeReady, Server: "there"})
		}
	}
	return o
}

// A live cluster needs what it grows by, the servers that one batch has twice,
// and what its nodes get more.
func TestNeedOfLiveClusters(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	const instances, cores, ram, ports, fips = "compute instances", "compute cores", "compute ram", "network port", "network floatingip"
	const volumes, gigabytes = "block-storage volumes", "block-storage gigabytes"
	group := func(name string, n int, flavor string) schema.Group {
		return schema.Group{Name: name, Role: "worker", NodeCount: n, Flavor: flavor, DockerVolumeSize: 5}
	}
	for name, tt := range map[string]struct {
		change func(c *schema.Cluster, o *diff.Observed)
		want   map[string]int
	}{
		"in sync":      {func(*schema.Cluster, *diff.Observed) {}, map[string]int{}},
		"grows by two": {func(c *schema.Cluster, _ *diff.Observed) { c.Spec.Groups[0].NodeCount = 6 }, map[string]int{instances: 2, cores: 2, ram: 4096, ports: 2, fips: 2, volumes: 2, gigabytes: 10}},
		"a group more": {func(c *schema.Cluster, _ *diff.Observed) {
			c.Spec.Groups = append(c.Spec.Groups, group("big", 1, "m1.large"))
		}, map[string]int{instances: 1, cores: 4, ram: 8192, ports: 1, fips: 1, volumes: 1, gigabytes: 5}},
		"shrinks": {func(c *schema.Cluster, _ *diff.Observed) { c.Spec.Groups[0].NodeCount = 1 }, map[string]int{}},
		"shrinks here and grows there": {func(c *schema.Cluster, _ *diff.Observed) {
			c.Spec.Groups[0].NodeCount = 1
			c.Spec.Groups = append(c.Spec.Groups, group("new", 1, "m1.small"))
		}, map[string]int{instances: 1, cores: 1, ram: 2048, ports: 1, fips: 1, volumes: 1, gigabytes: 5}},
		"upgrade in batches of three":          {func(c *schema.Cluster, _ *diff.Observed) { c.Spec.Image, c.Policy.MaxBatchSize = "ubuntu-next", 3 }, map[string]int{instances: 3, cores: 3, ram: 6144}},
		"upgrade in a batch that is too large": {func(c *schema.Cluster, _ *diff.Observed) { c.Spec.Image, c.Policy.MaxBatchSize = "ubuntu-next", 30 }, map[string]int{instances: 4, cores: 4, ram: 8192}},
		"upgrade to a larger flavor": {
			func(c *schema.Cluster, _ *diff.Observed) { c.Spec.Groups[0].Flavor = "m1.medium" },
			// Four nodes have a vCPU and 2048 MiB more in the end, and one is there twice.
			map[string]int{instances: 1, cores: 4 + 2, ram: 4*2048 + 4096},
		},
		"larger volumes":        {func(c *schema.Cluster, _ *diff.Observed) { c.Spec.Groups[0].DockerVolumeSize = 7 }, map[string]int{instances: 1, cores: 1, ram: 2048, gigabytes: 8}},
		"no floating addresses": {func(c *schema.Cluster, _ *diff.Observed) { c.Spec.FloatingIPEnabled = false }, map[string]int{}},
		"floating addresses":    {func(_ *schema.Cluster, o *diff.Observed) { o.Spec.FloatingIPEnabled = false }, map[string]int{fips: 4}},
		"two to recover": {func(_ *schema.Cluster, o *diff.Observed) {
			o.Nodes[0].State, o.Nodes[3].State = diff.NodeMissing, diff.NodeFailed
		}, map[string]int{instances: 2, cores: 2, ram: 4096}},
		"under way": {func(_ *schema.Cluster, o *diff.Observed) {
			o.Status, o.Nodes[0].State = diff.UpdateInProgress, diff.NodeMoving
		}, map[string]int{instances: 1, cores: 1, ram: 2048}},
		"being made": {func(_ *schema.Cluster, o *diff.Observed) {
			o.Status, o.Nodes[2].State, o.Nodes[3].State = diff.CreateInProgress, diff.NodeMoving, diff.NodeMoving
		}, map[string]int{instances: 2, cores: 2, ram: 4096, ports: 2, fips: 2, volumes: 2, gigabytes: 10}},
		"going":            {func(_ *schema.Cluster, o *diff.Observed) { o.Status = diff.DeleteInProgress }, map[string]int{}},
		"not to be known":  {func(_ *schema.Cluster, o *diff.Observed) { o.Spec = nil }, map[string]int{}},
		"suspended growth": {func(c *schema.Cluster, _ *diff.Observed) { c.Spec.Groups[0].NodeCount, c.Policy.Suspend = 9, true }, map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := whole(t, "a", 4)
			o := live(c)
			tt.change(c, &o)
			got, err := heat.Need(t.Context(), d, c, o)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("want (-), got (+):\n%s", d)
			}
		})
	}
}

// What is being made comes first, and is not objected to.
func TestCheckLeavesRoomForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	s.cloud.SetQuota("demo", "instances", 3)
	made, next := whole(t, "z", 3), whole(t, "a", 1)
	o := live(made)
	o.Status = diff.CreateInProgress
	for i := range o.Nodes {
		o.Nodes[i].State = diff.NodeMoving
	}
	got := check(t, d, []diff.Observed{o}, next, made)
	begin(t, got["a"], "JB2006 nodeGroups/default-worker/nodeCount: instances: 1 needed, 3 left of 3, of which lab-demo/z takes 3 first")
	begin(t, got["z"])
}

// An upgrade for whose batch there is no room says so where the batch is.
func TestCheckOfABatchThatDoesNotFit(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	s.cloud.SetQuota("demo", "instances", 0)
	c := whole(t, "a", 2)
	o := live(c)
	c.Spec.Image = "ubuntu-next"
	begin(t, check(t, d, []diff.Observed{o}, c)["a"], "JB2006 policy/maxBatchSize: instances: 1 needed, 0 left of 0")
}

// A service that does not tell its quota holds nobody, and is told of once.
func TestCheckWithoutQuotas(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	s.cloud.Fault(sim.Fault{PathRegexp: "/limits|quota", Status: 403, Body: `{"forbidden": {"message": "no", "code": 403}}`})
	begin(t, check(t, d, nil, whole(t, "a", 1))["a"],
		"? JB2002 : how much is left of the quota of block-storage cannot be seen (403 ",
		"? JB2002 : how much is left of the quota of compute cannot be seen (403 ",
		"? JB2002 : how much is left of the quota of network cannot be seen (403 ")
	s.cloud.ClearFaults()
	s.cloud.Fault(sim.Fault{Service: "compute", PathRegexp: "/limits", Status: 500})
	if found, err := d.(drivers.Checker).Check(t.Context(), []*schema.Cluster{whole(t, "a", 1)}, nil); drivers.KindOf(err) != drivers.Transient || found != nil {
		t.Errorf("objections %v, error %v", found, err)
	}
}

// Without Neutron's extension only limits are told, and what is there is counted.
func TestCheckCountsWhatNeutronDoesNot(t *testing.T) {
	t.Parallel()
	s := newSimulatedWith(t, sim.Options{PageLimit: 2})
	d := open(t, s, nil)
	s.cloud.Fault(sim.Fault{Service: "network", PathRegexp: "/details", Status: 404, Body: `{"NeutronError": {"type": "HTTPNotFound", "message": "no", "detail": ""}}`})
	s.cloud.AddNetwork("demo", "n1", "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24")
	s.cloud.SetQuota("demo", "subnet", 4)
	begin(t, check(t, d, nil, whole(t, "a", 1))["a"], "JB2006 : subnets: 1 needed, 0 left of 4")
	s.cloud.SetQuota("demo", "subnet", 5)
	begin(t, check(t, d, nil, whole(t, "a", 1))["a"])
}

// Free addresses are for operators to see: they are held to them, and others
// hear nothing.
func TestCheckOfFreeAddresses(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	s.cloud.AddNetwork("demo", "narrow", "10.9.0.0/29", "10.9.1.0/29") // five addresses each
	c := func(name schema.ClusterName, subnet string, nodes int) *schema.Cluster {
		return declare(t, name, func(s *schema.Spec) {
			s.FixedNetwork, s.FixedSubnet, s.Keypair, s.SSHPublicKeys = "narrow", subnet, "", manyKeys(1, 8)
			s.Groups[0].NodeCount = nodes
		})
	}
	operator := openAs(t, s, "admin", "demo")
	begin(t, check(t, operator, nil, c("a", "narrow-0", 6))["a"], "JB2008 nodeGroups/default-worker/nodeCount: addresses: 6 needed, 5 left of 5")
	begin(t, check(t, operator, nil, c("a", "", 6))["a"])
	got := check(t, operator, nil, c("a", "narrow-0", 3), c("b", "narrow-1", 5), c("c", "narrow-0", 3))
	begin(t, got["b"])
	begin(t, got["c"], "JB2008 nodeGroups/default-worker/nodeCount: addresses: 3 needed, 5 left of 5, of which lab-demo/a takes 3 first")
	begin(t, check(t, open(t, s, nil), nil, c("a", "narrow-0", 6))["a"])
}

// What other cluster types may have in their templates, conditions included.
func TestCount(t *testing.T) {
	t.Parallel()
	d := open(t, newSimulated(t), nil)
	var root map[string]any
	if err := yaml.Unmarshal([]byte(`
parameters: {yes_: {type: boolean, default: true}, no_: {type: boolean, default: false}}
conditions:
  never: {equals: [a, b]}
  always: {not: never}
  either: {or: [never, {get_param: yes_}]}
  both: {and: [always, {get_param: no_}]}
resources:
  lb: {type: "OS::Octavia::LoadBalancer"}
  listener: {type: "OS::Octavia::Listener", condition: always}
  pool: {type: "OS::Octavia::Pool", condition: either}
  monitor: {type: "OS::Octavia::HealthMonitor", condition: both}
  policy: {type: "OS::Octavia::L7Policy", condition: never}
  unknown: {type: "OS::Octavia::PoolMember", condition: {equals: [{get_attr: [lb, x]}, y]}}
  sg: {type: "OS::Neutron::SecurityGroup", properties: {rules: [{protocol: tcp}]}}
  rule: {type: "OS::Neutron::SecurityGroupRule"}
  together: {type: "OS::Nova::ServerGroup"}
  key: {type: "OS::Barbican::Secret"}
  port: {type: "OS::Neutron::Port", properties: {network: {get_resource: net}}}
  server:
    type: OS::Nova::Server
    properties:
      networks: [{port: {get_resource: port}}, {network: other}]
      block_device_mapping_v2: [{image: x, volume_size: 8, boot_index: 0}, {volume_id: {get_resource: v}}]
  v: {type: "OS::Cinder::Volume", properties: {size: 3, volume_type: fast}}
  nested: {type: n.yaml, properties: {size: 4, kind: slow}}
  nothing: {type: "OS::Heat::None"}
`), &root); err != nil {
		t.Fatal(err)
	}
	got := heat.Count(d, root, map[string]string{"n.yaml": `
parameters: {size: {type: number}, kind: {type: string}}
resources: {v: {type: "OS::Cinder::Volume", properties: {size: {get_param: size}, volume_type: {get_param: kind}}}}
`})
	want := map[string]int{
		"load-balancer load_balancer": 1, "load-balancer listener": 1, "load-balancer pool": 1, "load-balancer member": 1,
		"network security_group": 1, "network security_group_rule": 4, "network port": 1 + 1 + 1,
		"compute server_groups": 1, "compute instances": 1, "key-manager secrets": 1,
		"block-storage volumes": 3, "block-storage gigabytes": 15,
		"block-storage volumes_": 1, "block-storage gigabytes_": 8, "block-storage volumes_fast": 1, "block-storage gigabytes_fast": 3,
		"block-storage volumes_slow": 1, "block-storage gigabytes_slow": 4,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want (-), got (+):\n%s", d)
	}
}

// Octavia and Barbican tell limits alone; what is there is counted where there is
// one.
func TestLeftOfBalancersAndSecrets(t *testing.T) {
	t.Parallel()
	s := newSimulatedWith(t, sim.Options{PageLimit: 1})
	d := open(t, s, nil)
	s.balancers(t, 3)
	for name, used := range map[string]int{"load_balancer": 3, "pool": 3, "member": 6, "listener": 0} {
		s.cloud.SetQuota("demo", name, -1)
		s.cloud.ResetRequests()
		if limit, _, no, err := heat.Left(t.Context(), d, "load-balancer", name); limit != -1 || no != nil || err != nil || len(s.cloud.Requests().Requests) != 1 {
			t.Errorf("%s: limit %d, %v, %v, %v", name, limit, no, err, s.cloud.Requests().Requests)
		}
		s.cloud.SetQuota("demo", name, 7)
		if limit, n, no, err := heat.Left(t.Context(), d, "load-balancer", name); limit != 7 || n != used || no != nil || err != nil {
			t.Errorf("%s: %d of %d, want %d of 7; %v, %v", name, n, limit, used, no, err)
		}
	}
	s.cloud.SetQuota("demo", "secrets", 2)
	if limit, n, no, err := heat.Left(t.Context(), d, "key-manager", "secrets"); limit != 2 || n != 0 || no != nil || err != nil {
		t.Errorf("secrets: %d of %d; %v, %v", n, limit, no, err)
	}
}

// balancers makes a stack with so many load balancers, each with a pool of two.
func (s *simulated) balancers(t testing.TB, n int) {
	t.Helper()
	resources := map[string]any{}
	add := func(name, kind string, properties map[string]any) {
		resources[name] = map[string]any{"type": "OS::Octavia::" + kind, "properties": properties}
	}
	for i := range n {
		lb, pool := fmt.Sprintf("lb%d", i), fmt.Sprintf("pool%d", i)
		add(lb, "LoadBalancer", map[string]any{"vip_subnet": "private-subnet"})
		add(pool, "Pool", map[string]any{"loadbalancer": map[string]any{"get_resource": lb}, "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"})
		for j := range 2 {
			add(fmt.Sprintf("m%d-%d", i, j), "PoolMember", map[string]any{
				"pool": map[string]any{"get_resource": pool}, "address": fmt.Sprintf("10.20.9.%d", i*2+j+1), "protocol_port": 80,
			})
		}
	}
	raw := newScene(t, s).raw
	err := raw.Post(t.Context(), "orchestration", "/stacks", map[string]any{
		"stack_name": "balancers", "template": map[string]any{"heat_template_version": "2018-08-31", "resources": resources},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		s.clock.Advance(10 * time.Second)
	}
}

// A limit that Nova does not tell is none, and not one of nothing.
func TestCheckOfLimitsThatAreNotTold(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d := open(t, s, nil)
	s.cloud.Fault(sim.Fault{Service: "compute", PathRegexp: "/limits", Status: 200, Body: `{"limits": {"rate": [], "absolute": {"maxTotalInstances": 1, "totalInstancesUsed": 0}}}`})
	begin(t, check(t, d, nil, whole(t, "a", 1))["a"])
	begin(t, check(t, d, nil, whole(t, "a", 2))["a"], "JB2006 nodeGroups/default-worker/nodeCount: instances: 2 needed, 1 left of 1")
}
