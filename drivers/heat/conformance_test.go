package heat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// stage is a cloud that the suite plays on: sim, or the lab.
type stage interface {
	getenv(string) string
	settle(t testing.TB, s *scene)
	failBoot(t testing.TB, name, reason string) (undo func())
}

// scene is one subtest on a stage.
type scene struct {
	stage
	wire *wire

	mu     sync.Mutex
	opened []drivers.Options // of every driver, to see what still moves and to clean up
	raw    *openstack.Cloud
}

const cloud schema.CloudName = "lab-demo"

func newScene(t testing.TB, on stage) *scene {
	t.Helper()
	s := &scene{stage: on, wire: newWire()}
	var err error
	s.raw, err = openstack.Connect(t.Context(), openstack.Settings{Cloud: cloud, Getenv: on.getenv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cleanUp(t) })
	return s
}

func (s *scene) backend() *drivertest.Backend {
	return &drivertest.Backend{
		Open:    s.open,
		Settle:  func(t testing.TB) { t.Helper(); s.settle(t, s) },
		Cluster: declare,
		Upgrade: func(spec *schema.Spec) { spec.Image = "ubuntu-next" },
		FailBoot: func(t testing.TB, name, reason string) func() {
			return s.failBoot(t, name, reason)
		},
		Squat: s.squat, DropTags: s.dropTags, ChangeByHand: s.changeByHand,
		DeleteByHand: s.deleteByHand, DeleteServer: s.deleteServer, Leftovers: s.leftovers,
		KeepKeys: s.keepKeys,
		Fault:    s.wire.fault, LoseAnswer: s.wire.loseAnswer, Writes: s.wire.count,
	}
}

// dockerHosts runs the suite on clusters of the docker type.
func dockerHosts(t *testing.T, newStage func(testing.TB) stage) {
	t.Helper()
	const why = "Docker hosts have no API of their own to reach into"
	drivertest.Run(t, drivertest.Harness{
		Backend: func(t testing.TB) *drivertest.Backend { return newScene(t, newStage(t)).backend() },
		Cannot: map[string]string{
			"AttendTellsHealth": why, "DrainEmptiesOnlyItsNodes": why, "DrainSparesPodsAlone": why, "NodeLabelsFollow": why,
		},
	})
}

func (s *scene) open(t testing.TB, change func(*drivers.Options)) (drivers.Driver, error) {
	o := drivers.Options{Cloud: cloud, Log: zap.NewNop()}
	change(&o)
	s.mu.Lock()
	s.opened = append(s.opened, o)
	s.mu.Unlock()
	if s.wire.has(drivertest.WrongCredentials) {
		o.Cloud = "lab-wrong"
	}
	return heat.OpenOn(t.Context(), o, s.getenv, s.wire.under)
}

// declare makes a cluster of few resources: on a real cloud each costs time. A
// network of its own and the rest are in the golden tests and the whole story.
func declare(_ testing.TB, name schema.ClusterName, change func(*schema.Spec)) *schema.Cluster {
	c := &schema.Cluster{
		Key: schema.Key{Cloud: cloud, Name: name}, Template: "docker",
		Spec: schema.Spec{
			COE: "docker", ServerType: "vm", Image: "ubuntu-latest", Keypair: "testkey", FixedNetwork: "private",
			Groups: []schema.Group{{Name: schema.DefaultWorker, Role: "worker", NodeCount: 1, Flavor: "m1.small"}},
		},
		Policy: schema.Policy{CreateTimeout: 30, MaxBatchSize: 1, DeletionProtection: true},
	}
	if change != nil {
		change(&c.Spec)
	}
	return c
}

// owners of the drivers that the subtest opened.
func (s *scene) owners() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := map[string]bool{}
	for _, o := range s.opened {
		owners[o.Owner] = true
	}
	return owners
}

// driver is one that nothing stands in the way of.
func (s *scene) driver(ctx context.Context, owner string) (drivers.Driver, error) {
	return heat.OpenOn(ctx, drivers.Options{Cloud: cloud, Owner: owner, Instance: "drivertest", Log: zap.NewNop()}, s.getenv, nil)
}

// moving names what is still in motion of the subtest's clusters. One list is
// cheap; only a failed stack, which may still roll, is looked at in detail.
func (s *scene) moving(t testing.TB) []string {
	t.Helper()
	var list struct {
		Stacks []struct {
			Name   string `json:"stack_name"`
			Status string `json:"stack_status"`
		} `json:"stacks"`
	}
	s.get(t, "/stacks", nil, &list)
	var moving []string
	for owner := range s.owners() {
		failed := false
		_, mark, _ := strings.Cut(owner, "-") // which the names of its clusters begin with
		for _, x := range list.Stacks {
			switch ours := strings.HasPrefix(x.Name, mark+"-"); {
			// Heat says DELETE_COMPLETE before it takes a stack off its list.
			case ours && (strings.HasSuffix(x.Status, "_IN_PROGRESS") || x.Status == "DELETE_COMPLETE"):
				moving = append(moving, x.Name+" "+x.Status)
			case ours && strings.HasSuffix(x.Status, "_FAILED"):
				failed = true
			}
		}
		if failed {
			moving = append(moving, s.rolling(t, owner)...)
		}
	}
	return moving
}

// rolling names the failed clusters in which something still moves.
func (s *scene) rolling(t testing.TB, owner string) []string {
	t.Helper()
	d, err := s.driver(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	have, err := d.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var rolling []string
	for _, o := range have {
		if o.Moving {
			rolling = append(rolling, fmt.Sprintf("%s %s %s", o.Key, o.Status, o.Reason))
		}
	}
	return rolling
}

// cleanUp deletes what a subtest left.
func (s *scene) cleanUp(t testing.TB) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for owner := range s.owners() {
		d, err := s.driver(ctx, owner)
		if err != nil {
			t.Error(err)
			continue
		}
		have, err := d.Observe(ctx)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, o := range have {
			if err := s.raw.Delete(ctx, "orchestration", "/stacks/"+heat.StackName(owner, o.Key)+"/"+o.ID, nil, nil); err != nil && drivers.KindOf(err) != drivers.NotFound {
				t.Errorf("clean up %s: %v", o.Key, err)
			}
			if err := heat.DropKeys(ctx, d, o.Key); err != nil && o.Type != "docker_ubuntu" {
				t.Errorf("clean up keys of %s: %v", o.Key, err)
			}
		}
	}
}

// stackOf finds the live stack of a cluster, whichever owner made it.
func (s *scene) stackOf(t testing.TB, c *schema.Cluster) (path string, stack map[string]any) {
	t.Helper()
	for owner := range s.owners() {
		var list struct {
			Stacks []struct {
				ID   string `json:"id"`
				Name string `json:"stack_name"`
			} `json:"stacks"`
		}
		name := heat.StackName(owner, c.Key)
		s.get(t, "/stacks", url.Values{"name": {name}}, &list)
		for _, x := range list.Stacks {
			path = "/stacks/" + x.Name + "/" + x.ID
		}
	}
	if path == "" {
		t.Fatalf("there is no stack of %s", c.Key)
	}
	var shown struct {
		Stack map[string]any `json:"stack"`
	}
	s.get(t, path, nil, &shown)
	return path, shown.Stack
}

func (s *scene) get(t testing.TB, path string, query url.Values, out any) {
	t.Helper()
	if err := s.raw.Get(t.Context(), "orchestration", path, query, out); err != nil {
		t.Fatal(err)
	}
}

// squat is somebody else's stack on our name.
func (s *scene) squat(t testing.TB, c *schema.Cluster) {
	for owner := range s.owners() {
		err := s.raw.Post(t.Context(), "orchestration", "/stacks", map[string]any{
			"stack_name": heat.StackName(owner, c.Key), "template": map[string]any{"heat_template_version": "2018-08-31"},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	s.settle(t, s)
}

// put sends the live stack again, as `openstack stack update` does, with what
// change makes of it.
func (s *scene) put(t testing.TB, c *schema.Cluster, change func(body map[string]any)) {
	t.Helper()
	path, stack := s.stackOf(t, c)
	var template, files map[string]any
	s.get(t, path+"/template", nil, &template)
	s.get(t, path+"/files", nil, &files)
	parameters, _ := stack["parameters"].(map[string]any)
	for p := range parameters {
		if strings.HasPrefix(p, "OS::") {
			delete(parameters, p)
		}
	}
	body := map[string]any{"template": template, "files": files, "parameters": parameters}
	change(body)
	if err := s.raw.Put(t.Context(), "orchestration", path, body, nil); err != nil {
		t.Fatal(err)
	}
	s.settle(t, s)
}

func (s *scene) dropTags(t testing.TB, c *schema.Cluster) {
	s.put(t, c, func(map[string]any) {})
}

func (s *scene) changeByHand(t testing.TB, c *schema.Cluster) {
	_, stack := s.stackOf(t, c)
	s.put(t, c, func(body map[string]any) {
		var tags []string
		list, _ := stack["tags"].([]any)
		for _, x := range list {
			tags = append(tags, x.(string))
		}
		body["tags"] = strings.Join(tags, ",")
		template, _ := body["template"].(map[string]any)
		resources, _ := template["resources"].(map[string]any)
		group, _ := resources["security_group"].(map[string]any)
		properties, _ := group["properties"].(map[string]any)
		properties["description"] = "changed by hand"
	})
}

func (s *scene) deleteByHand(t testing.TB, c *schema.Cluster) {
	path, _ := s.stackOf(t, c)
	if err := s.raw.Delete(t.Context(), "orchestration", path, nil, nil); err != nil {
		t.Fatal(err)
	}
	s.settle(t, s)
}

func (s *scene) deleteServer(t testing.TB, server string) {
	if err := s.raw.Delete(t.Context(), "compute", "/servers/"+server, nil, nil); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		s.settle(t, s)
		err := s.raw.Get(t.Context(), "compute", "/servers/"+server, nil, nil)
		if drivers.KindOf(err) == drivers.NotFound {
			return
		}
	}
	t.Fatalf("server %s does not go", server)
}

func (s *scene) keepKeys(t testing.TB, c *schema.Cluster) {
	for owner := range s.owners() {
		d, err := s.driver(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := heat.DropKeys(context.WithoutCancel(t.Context()), d, c.Key); err != nil {
				t.Error(err)
			}
		})
		if err := heat.KeepKeys(t.Context(), d, c.Key); err != nil {
			t.Fatal(err)
		}
	}
}

// leftovers are the stack and everything that bears its name or a node's.
func (s *scene) leftovers(t testing.TB, c *schema.Cluster) []string {
	t.Helper()
	var left []string
	for owner := range s.owners() {
		stack := heat.StackName(owner, c.Key)
		node := strings.TrimSuffix(heat.NodeName(owner, c.Key, "x", 0), "x-0")
		for _, list := range []struct{ service, path, key string }{
			{"orchestration", "/stacks", "stacks"},
			{"compute", "/servers", "servers"},
			{"network", "/networks", "networks"},
			{"network", "/subnets", "subnets"},
			{"network", "/ports", "ports"},
			{"network", "/security-groups", "security_groups"},
			{"network", "/routers", "routers"},
			{"block-storage", "/volumes", "volumes"},
		} {
			var got map[string]json.RawMessage
			if err := s.raw.Get(t.Context(), list.service, list.path, nil, &got); err != nil {
				t.Fatal(err)
			}
			var rows []struct {
				Name  string `json:"name"`
				Stack string `json:"stack_name"`
			}
			if err := json.Unmarshal(got[list.key], &rows); err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if name := r.Name + r.Stack; name == stack || strings.HasPrefix(name, node) {
					left = append(left, list.key+" "+name)
				}
			}
		}
	}
	return left
}

// lab is the real OpenStack of deploy/lab, with its boot player running.
type lab struct{ clouds string }

// TestLab runs the suite on the lab. Without JEROBOAM_LAB there is none.
func TestLab(t *testing.T) {
	t.Parallel()
	on := newLab(t)
	dockerHosts(t, func(testing.TB) stage { return on })
}

func newLab(t *testing.T) lab {
	t.Helper()
	if os.Getenv("JEROBOAM_LAB") == "" {
		t.Skip("JEROBOAM_LAB is not set: the test needs deploy/lab up, see make acceptance")
	}
	on := lab{filepath.Join(t.TempDir(), "clouds.yaml")}
	if err := os.WriteFile(on.clouds, []byte(labClouds), 0o600); err != nil {
		t.Fatal(err)
	}
	return on
}

const labClouds = `clouds:
  lab-demo:
    region_name: RegionOne
    auth: {auth_url: "http://127.0.0.1:5000/v3", username: demo, password: lab, project_name: demo, user_domain_name: Default, project_domain_name: Default}
  lab-wrong:
    region_name: RegionOne
    auth: {auth_url: "http://127.0.0.1:5000/v3", username: demo, password: wrong, project_name: demo, user_domain_name: Default, project_domain_name: Default}
`

func (l lab) getenv(name string) string {
	if name == "OS_CLIENT_CONFIG_FILE" {
		return l.clouds
	}
	return ""
}

// settle polls: a real cloud has no clock to push.
func (l lab) settle(t testing.TB, s *scene) {
	t.Helper()
	var moving []string
	for range 480 {
		if moving = s.moving(t); len(moving) == 0 {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	t.Fatalf("still moving after minutes: %s", strings.Join(moving, "; "))
}

// failBoot tells the boot player, which reads these files in each round.
func (l lab) failBoot(t testing.TB, name, reason string) (undo func()) {
	t.Helper()
	dir := os.Getenv("LAB_DIR")
	if dir == "" {
		dir = "/var/lib/openstack-lab"
	}
	dir = filepath.Join(dir, "boot-faults")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{"name": name, "reason": reason})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(file) }
}
