package heat_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// TestSimKubernetes runs the suite on clusters with a master.
func TestSimKubernetes(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Harness{Backend: func(t testing.TB) *drivertest.Backend {
		s := newScene(t, newSimulated(t))
		b := s.backend()
		b.Cluster, b.Inside = declareKubernetes, s.inside
		b.Upgrade = func(spec *schema.Spec) { spec.Labels["kube_tag"] = "v1.35.3" }
		return b
	}})
}

// declareKubernetes makes a cluster of one master and one worker.
func declareKubernetes(_ testing.TB, name schema.ClusterName, change func(*schema.Spec)) *schema.Cluster {
	c := &schema.Cluster{
		Key: schema.Key{Cloud: cloud, Name: name}, Template: "k8s",
		Spec: schema.Spec{
			COE: "kubernetes", ServerType: "vm", Image: "debian-latest", Keypair: "testkey",
			FixedNetwork: "private", FixedSubnet: "private-subnet", NetworkDriver: "flannel",
			Labels: map[string]string{"kube_tag": "v1.35.2", "etcd_volume_size": "1"}, // which lets the only master be replaced
			Groups: []schema.Group{
				{Name: schema.DefaultMaster, Role: "master", NodeCount: 1, Flavor: "m1.medium"},
				{Name: schema.DefaultWorker, Role: "worker", NodeCount: 1, Flavor: "m1.small"},
			},
		},
		Policy: schema.Policy{CreateTimeout: 30, MaxBatchSize: 2, DeletionProtection: true},
	}
	if change != nil {
		change(&c.Spec)
	}
	return c
}

// highlyAvailable has all of what a cluster type of Kubernetes shares out.
func highlyAvailable(s *schema.Spec) {
	s.FixedNetwork, s.FixedSubnet, s.ExternalNetwork = "", "", "public"
	s.MasterLBEnabled = true
	s.Labels["etcd_volume_size"], s.Labels["master_lb_floating_ip_enabled"] = "1", "true"
	for i := range s.Groups {
		s.Groups[i].DockerVolumeSize = 1
	}
	s.Groups[0].NodeCount, s.Groups[1].NodeCount = 3, 2
}

// TestSimKubernetesStory and TestLabKubernetesStory play the life of a highly
// available cluster.
func TestSimKubernetesStory(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"debian-latest", "fedora-coreos-latest"} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			kubernetesStory(t, newSimulatedWith(t, sim.Options{RuledServices: []string{"key-manager"}, BootTime: bootTime}), "story", image)
		})
	}
}

func TestLabKubernetesStory(t *testing.T) {
	t.Parallel()
	on := newLab(t)
	kubernetesStory(t, on, playBoots(t), "fedora-coreos-latest")
}

func kubernetesStory(t *testing.T, on stage, name, image string) {
	s := newStory(t, on, name, image)
	s.follow("create")
	first := s.see()
	if first.Status != diff.CreateComplete || len(first.Nodes) != 5 || first.APIAddress == "" {
		t.Fatalf("created as %+v", first)
	}
	for _, n := range first.Nodes {
		if !strings.HasPrefix(n.Versions, "kubelet="+s.c.Spec.Labels["kube_tag"]+" ") {
			t.Errorf("%s reported %q", n.Name, n.Versions)
		}
	}
	before := s.physical()

	mark := s.mark()
	s.c.Spec.Groups[1].NodeCount = 3
	s.follow("resize")
	s.noLeafMoved(mark, first.Nodes)

	// Only the image: what Nova says of the new servers is no word of theirs.
	mark = s.mark()
	second := s.see()
	s.c.Spec.Image = strings.Replace(image, "latest", "next", 1)
	broken := second.Nodes[1].Name
	undo := s.on.failBoot(t, broken, "step etcd failed: no disk")
	s.untilFailed()
	s.secondMasterFailed(second, s.see(), broken)
	undo()
	s.follow("upgrade")
	s.oneMasterAtATime(mark)
	if s.probes < 3 {
		t.Errorf("etcd was asked for before %d of 3 masters", s.probes)
	}
	s.replacedOnce(second, s.see(), before)

	s.remove()
}

// story is one cluster on a stage, which plans of diff's are carried out on.
type story struct {
	*scene
	testing.TB
	on     stage
	d      drivers.Driver
	c      *schema.Cluster
	passes int
	probes int // passes in which etcd was asked for
}

func newStory(t *testing.T, on stage, name, image string) *story {
	s := &story{scene: newScene(t, on), TB: t, on: on}
	var err error
	s.d, err = s.open(t, func(o *drivers.Options) {
		o.Owner, o.Instance = "owner-"+name, "story"
		o.Config.EtcdHealth = schema.EtcdHealthHeat // fake nodes serve no API
	})
	if err != nil {
		t.Fatal(err)
	}
	s.c = declareKubernetes(t, schema.ClusterName(name+"-a"), func(spec *schema.Spec) {
		highlyAvailable(spec)
		spec.Image = image
	})
	return s
}

func (s *story) see() *diff.Observed {
	s.Helper()
	all := observe(s, s.d)
	if len(all) != 1 {
		s.Fatalf("observed %+v", all)
	}
	return &all[0]
}

// plan is what is due now.
func (s *story) plan() []diff.Step {
	s.Helper()
	fleet, have := &schema.Fleet{Clusters: []*schema.Cluster{s.c}}, diff.Have{Clusters: observe(s, s.d)}
	plan := diff.Compute(fleet, have, diff.Policy{})
	if len(diff.WantsProbe(plan)) > 0 {
		s.probes++
		var err error
		if have.Clusters, err = s.d.(drivers.Prober).Probe(s.Context(), have.Clusters); err != nil {
			s.Fatal(err)
		}
		plan = diff.Compute(fleet, have, diff.Policy{})
	}
	return plan.Due()
}

// pass plans, starts what is due and lets it come to its end.
func (s *story) pass() (due []diff.Step) {
	s.Helper()
	s.passes++
	due = s.plan()
	for _, step := range due {
		if err := s.d.Apply(s.Context(), step); err != nil {
			s.Fatalf("%s: %v", step.Op, err)
		}
	}
	s.settle(s, s.scene)
	return due
}

// follow passes until nothing is left to do.
func (s *story) follow(what string) {
	s.Helper()
	for range 12 {
		if due := s.pass(); len(due) == 0 {
			return
		}
	}
	s.Fatalf("%s does not come to an end: %+v", what, s.see())
}

func (s *story) untilFailed() {
	s.Helper()
	for range 3 {
		s.pass()
		if o := s.see(); strings.HasSuffix(string(o.Status), "_FAILED") {
			return
		}
	}
	s.Fatal("no boot failed")
}

// secondMasterFailed: the first was replaced, the failed one is named with its
// step, and nobody else was touched.
func (s *story) secondMasterFailed(before, now *diff.Observed, broken string) {
	s.Helper()
	for i, n := range now.Nodes {
		was := before.Nodes[i]
		switch {
		case i == 0 && (n.Server == was.Server || n.State != diff.NodeReady):
			s.Errorf("the first master was %+v and is %+v", was, n)
		case n.Name == broken && (n.State != diff.NodeFailed || !strings.Contains(n.Reason, "step etcd failed") || !strings.Contains(now.Reason, n.Name)):
			s.Errorf("the failed one is %+v of a cluster that says %q", n, now.Reason)
		case i > 1 && n.Server != was.Server:
			s.Errorf("%s was replaced while another was broken", n.Name)
		}
	}
}

// happening is one event of Heat's.
type happening struct{ stack, resource, status string }

// mark is the newest event; happenings are those after it, oldest first.
func (s *story) mark() string {
	events, _ := s.events("")
	return events
}

func (s *story) events(after string) (newest string, found []happening) {
	s.Helper()
	path, _ := s.stackOf(s, s.c)
	var got struct {
		Events []struct {
			ID       string                  `json:"id"`
			Resource string                  `json:"resource_name"`
			Status   string                  `json:"resource_status"`
			Links    []struct{ Href string } `json:"links"`
		} `json:"events"`
	}
	s.get(s, path+"/events", url.Values{"nested_depth": {"5"}, "sort_dir": {"desc"}, "limit": {"1000"}}, &got)
	for i, e := range got.Events {
		if i == 0 {
			newest = e.ID
		}
		if e.ID == after {
			break
		}
		parts := strings.Split(e.Links[2].Href, "/") // .../stacks/<name>/<id>
		found = append(found, happening{parts[len(parts)-2], e.Resource, e.Status})
	}
	slices.Reverse(found)
	return newest, found
}

// nodeOf is the node in whose stack something happened.
func nodeOf(h happening, nodes []diff.Node) string {
	for _, n := range nodes {
		if strings.Contains(h.stack, "-"+n.Name+"-") {
			return n.Name
		}
	}
	return ""
}

// noLeafMoved: a step that is not about these nodes visits their stacks and
// nothing in them.
func (s *story) noLeafMoved(after string, nodes []diff.Node) {
	s.Helper()
	_, events := s.events(after)
	for _, e := range events {
		if n := nodeOf(e, nodes); n != "" && e.resource != e.stack && e.status != "SIGNAL_COMPLETE" {
			s.Errorf("%s of %s was touched: %s", e.resource, n, e.status)
		}
	}
	if len(events) == 0 {
		s.Error("Heat has no event of the resize")
	}
}

// oneMasterAtATime reads in Heat's events that no master went before the one
// before it had reported.
func (s *story) oneMasterAtATime(after string) {
	s.Helper()
	_, events := s.events(after)
	open, reported := map[string]bool{}, 0
	for _, e := range events {
		n := nodeOf(e, s.see().Nodes)
		switch master := strings.Contains(n, "-"+schema.DefaultMaster+"-"); {
		case master && e.resource == "server" && e.status == "CREATE_IN_PROGRESS":
			if open[n] = true; len(open) > 1 {
				s.Fatalf("masters %v are away at the same time", open)
			}
		case strings.HasPrefix(e.resource, "ready_") && e.status == "CREATE_COMPLETE":
			delete(open, n)
			reported++
		}
	}
	if want := len(s.see().Nodes); reported != want || len(open) > 0 {
		s.Errorf("%d of %d nodes reported, %v did not", reported, want, open)
	}
}

// physical are the ids of what outlives a boot, by node.
func (s *story) physical() map[string]string {
	s.Helper()
	path, _ := s.stackOf(s, s.c)
	var got struct {
		Resources []struct {
			Name     string `json:"resource_name"`
			Physical string `json:"physical_resource_id"`
			Parent   string `json:"parent_resource"`
		} `json:"resources"`
	}
	s.get(s, path+"/resources", url.Values{"nested_depth": {"1"}}, &got)
	ids := map[string]string{}
	for _, r := range got.Resources {
		if r.Name == "etcd" || r.Name == "port" || strings.HasSuffix(r.Name, "-port") || strings.HasPrefix(r.Name, "containers_") && !strings.HasSuffix(r.Name, "_attachment") {
			ids[r.Parent+" "+r.Name] = r.Physical
		}
	}
	if len(ids) == 0 {
		s.Fatal("no ports and volumes")
	}
	return ids
}

// replacedOnce: every node has a new server and its old address and volumes, and
// Nova has no server besides.
func (s *story) replacedOnce(before, now *diff.Observed, kept map[string]string) {
	s.Helper()
	for i, n := range now.Nodes {
		if was := before.Nodes[i]; n.Server == was.Server || n.Address != was.Address || n.State != diff.NodeReady {
			s.Errorf("%+v was %+v", n, was)
		}
	}
	is := s.physical()
	for what, id := range kept {
		if is[what] != id {
			s.Errorf("%s was %s and is %s", what, id, is[what])
		}
	}
	if servers := slices.DeleteFunc(s.leftovers(s, s.c), func(l string) bool { return !strings.HasPrefix(l, "servers ") }); len(servers) != len(now.Nodes) {
		s.Errorf("%d nodes have servers %v", len(now.Nodes), servers)
	}
}

// secrets are what Barbican and Keystone have of the cluster.
func (s *story) secrets() []string {
	s.Helper()
	user := "/users/" + s.raw.Token().UserID
	var found []string
	for _, list := range []struct{ service, path, key string }{
		{"key-manager", "/secrets", "secrets"},
		{"identity", user + "/application_credentials", "application_credentials"},
	} {
		var got map[string]json.RawMessage
		if err := s.raw.Get(s.Context(), list.service, list.path, url.Values{"limit": {"100"}}, &got); err != nil {
			s.Fatal(err)
		}
		var rows []struct{ Name string }
		if err := json.Unmarshal(got[list.key], &rows); err != nil {
			s.Fatal(err)
		}
		for _, r := range rows {
			for owner := range s.owners() {
				if strings.Contains(r.Name, "/"+heat.StackName(owner, s.c.Key)+"/") {
					found = append(found, list.key+" "+r.Name)
				}
			}
		}
	}
	return found
}

func (s *story) remove() {
	s.Helper()
	o := s.see()
	if err := s.d.Apply(s.Context(), diff.Step{Op: diff.Delete, Cluster: o.Key, Observed: o.Version, Have: o, Operation: "delete"}); err != nil {
		s.Fatal(err)
	}
	s.settle(s, s.scene)
	if kept := s.secrets(); len(kept) == 0 {
		s.Error("keys were not kept until the cluster was gone")
	}
	if err := s.d.(drivers.Keeper).Forget(s.Context(), o.Key); err != nil {
		s.Error(err)
	}
	if left := append(s.leftovers(s, s.c), s.secrets()...); len(left) > 0 {
		s.Errorf("after the delete there is %s", strings.Join(left, ", "))
	}
	fmt.Fprintf(s.Output(), "%d passes\n", s.passes)
}

// A quota that ends half-way: the nodes that found room work on, the others are
// named with Nova's reason, and come when there is more, without a new server
// for those that work.
func TestQuotaEndsHalfWay(t *testing.T) {
	t.Parallel()
	on := newSimulated(t)
	s := newStory(t, on, "story", "debian-latest")
	on.cloud.SetQuota("demo", "instances", 4)
	s.pass()
	short := s.see()
	failed := nodesIn(short, diff.NodeFailed)
	if short.Status != diff.CreateFailed || len(failed) != 1 || !strings.Contains(failed[0].Reason, "Quota exceeded") || !strings.Contains(short.Reason, failed[0].Name) {
		t.Fatalf("%s: %s; nodes %+v", short.Status, short.Reason, short.Nodes)
	}
	on.cloud.SetQuota("demo", "instances", 10)
	s.follow("recover")
	s.kept(short, s.see())
	s.remove()
}

// A load balancer that fails: no node can be begun, all say so, and recover
// makes what is missing.
func TestLoadBalancerFails(t *testing.T) {
	t.Parallel()
	on := newSimulated(t)
	s := newStory(t, on, "story", "debian-latest")
	on.cloud.SetQuota("demo", "load_balancer", 0)
	s.pass()
	broken := s.see()
	if broken.Status != diff.CreateFailed || !strings.Contains(broken.Reason, "loadbalancer") || !strings.Contains(broken.Reason, "Quota has been met") {
		t.Fatalf("%s: %s", broken.Status, broken.Reason)
	}
	on.cloud.SetQuota("demo", "load_balancer", 10)
	s.follow("recover")
	if o := s.see(); len(nodesIn(o, diff.NodeReady)) != 5 || o.APIAddress == "" {
		t.Errorf("recovered as %+v", o)
	}
	s.remove()
}

func nodesIn(o *diff.Observed, state diff.NodeState) []diff.Node {
	return slices.DeleteFunc(slices.Clone(o.Nodes), func(n diff.Node) bool { return n.State != state })
}

// kept: what was ready is what it was, and everything is ready.
func (s *story) kept(before, now *diff.Observed) {
	s.Helper()
	for i, n := range now.Nodes {
		if was := before.Nodes[i]; n.State != diff.NodeReady || was.State == diff.NodeReady && n.Server != was.Server {
			s.Errorf("%+v was %+v", n, was)
		}
	}
	if len(now.Nodes) != len(before.Nodes) {
		s.Errorf("%d nodes were %d", len(now.Nodes), len(before.Nodes))
	}
}

// A floating IP that cannot be had is no reason to take a node's server away.
func TestFloatingIPsEndHalfWay(t *testing.T) {
	t.Parallel()
	on := newSimulated(t)
	s := newStory(t, on, "story", "debian-latest")
	s.follow("create")
	on.cloud.SetQuota("demo", "floatingip", 3) // the load balancer has one
	before := s.see()
	s.c.Spec.FloatingIPEnabled = true
	s.pass()
	short := s.see()
	if failed := nodesIn(short, diff.NodeFailed); short.Status != diff.UpdateFailed || len(failed) != 3 || !strings.Contains(failed[0].Reason, "floating_ip") {
		t.Fatalf("%s: %s; nodes %+v", short.Status, short.Reason, short.Nodes)
	}
	on.cloud.SetQuota("demo", "floatingip", 10)
	s.follow("recover")
	now := s.see()
	s.kept(before, now)
	for _, n := range now.Nodes {
		if !strings.HasPrefix(n.Address, "172.24.") {
			t.Errorf("%s is at %s", n.Name, n.Address)
		}
	}
	s.remove()
}
