package heat_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// shape is a cluster that both sides can make: flannel, floating IPs, a network
// of its own.
type shape struct {
	masters, workers int
	// whole: a load balancer before the masters, an etcd volume at each of them
	// and a docker volume at every node.
	whole bool
}

// lap is how long one call took, from the moment of asking.
type lap struct {
	stack time.Duration // until Heat was done with the last stack
	told  time.Duration // until the side itself said so
}

// side is who makes clusters, one at a time: we, or Magnum. A call ends when the
// side says that all is done.
type side interface {
	create(ctx context.Context, name string, s shape) (lap, error)
	resize(ctx context.Context, workers int) (lap, error)
	remove(ctx context.Context) (lap, error)
}

// ours is what the daemon does, with half a second between its runs: look, plan,
// start what is due, until nothing is to be done.
type ours struct {
	driver drivers.Driver
	c      *schema.Cluster
}

func (o *ours) create(ctx context.Context, name string, s shape) (lap, error) {
	o.c = s.declared(name)
	return o.reach(ctx)
}

func (o *ours) resize(ctx context.Context, workers int) (lap, error) {
	next := *o.c
	next.Spec.Groups = slices.Clone(o.c.Spec.Groups)
	for i := range next.Spec.Groups {
		if next.Spec.Groups[i].Name == schema.DefaultWorker {
			next.Spec.Groups[i].NodeCount = workers
		}
	}
	o.c = &next
	return o.reach(ctx)
}

func (o *ours) reach(ctx context.Context) (lap, error) {
	began := time.Now()
	err := reach(ctx, o.driver, o.c)
	took := time.Since(began)
	return lap{took, took}, err
}

func (o *ours) remove(ctx context.Context) (lap, error) {
	began := time.Now()
	gone, err := removeAll(ctx, o.driver)
	return lap{gone.Sub(began), time.Since(began)}, err
}

// declared is the shape as a cluster of ours, of the type that has the same image
// as Magnum's.
func (s shape) declared(name string) *schema.Cluster {
	c := declareKubernetes(nil, schema.ClusterName(name), func(spec *schema.Spec) {
		spec.Image, spec.FixedNetwork, spec.FixedSubnet = "fedora-coreos-latest", "", ""
		spec.ExternalNetwork, spec.FloatingIPEnabled = "public", true
		spec.Groups[0].NodeCount, spec.Groups[1].NodeCount = s.masters, s.workers
		if s.whole {
			spec.MasterLBEnabled = true
			spec.Labels["etcd_volume_size"], spec.Labels["master_lb_floating_ip_enabled"] = "2", "true"
			spec.Groups[0].DockerVolumeSize, spec.Groups[1].DockerVolumeSize = 5, 5
		}
	})
	c.Cloud = openstack.EnvCloud
	return c
}

// reach goes on until the clusters are as declared.
func reach(ctx context.Context, d drivers.Driver, want ...*schema.Cluster) error {
	for {
		have, err := d.Observe(ctx)
		if err != nil {
			return err
		}
		plan := diff.Compute(&schema.Fleet{Clusters: want}, diff.Have{Clusters: have}, diff.Policy{})
		if len(plan.Steps) == 0 {
			return nil
		}
		for _, s := range plan.Steps {
			if s.Held != nil || s.Op == diff.Recover {
				return fmt.Errorf("%s of %s: %s %+v", s.Op, s.Cluster, s.Why, s.Held)
			}
		}
		if err := start(ctx, d, plan.Due()); err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// start starts steps of several clusters beside each other.
func start(ctx context.Context, d drivers.Driver, steps []diff.Step) error {
	failed := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, s := range steps {
		wg.Go(func() { failed[i] = d.Apply(ctx, s) })
	}
	wg.Wait()
	return errors.Join(failed...)
}

// removeAll deletes what the driver owns, as the loop does: a delete that fails
// is asked for once more, and the keys of what is gone are forgotten. It says when
// the last stack was gone.
func removeAll(ctx context.Context, d drivers.Driver) (gone time.Time, err error) {
	var were []schema.Key
	for asked := map[string]int{}; ; {
		have, err := d.Observe(ctx)
		if err != nil {
			return gone, err
		}
		var steps []diff.Step
		for _, o := range have {
			if !slices.Contains(were, o.Key) {
				were = append(were, o.Key)
			}
			failed := strings.HasSuffix(string(o.Status), "_FAILED")
			switch {
			case asked[o.ID] == 0, failed && asked[o.ID] == 1:
				asked[o.ID]++
				steps = append(steps, diff.Step{Op: diff.Delete, Cluster: o.Key, Observed: o.Version, Have: &o})
			case failed:
				return gone, fmt.Errorf("%s is %s: %s", o.Key, o.Status, o.Reason)
			}
		}
		if len(have) == 0 {
			break
		}
		if err := errors.Join(start(ctx, d, steps), pause(ctx)); err != nil {
			return gone, err
		}
	}
	gone = time.Now()
	for _, k := range were {
		if err := d.(drivers.Keeper).Forget(ctx, k); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// magnum is the lab's Magnum 15 with its driver k8s_fedora_coreos_v1.
type magnum struct {
	cloud    *openstack.Cloud
	template string // id
	cluster  string // id
	stack    string // id, as soon as Magnum tells it
}

func (m *magnum) create(ctx context.Context, name string, s shape) (lap, error) {
	labels := map[string]string{}
	body := map[string]any{
		"name": name, "coe": "kubernetes", "image_id": "fedora-coreos-latest", "keypair_id": "testkey",
		"flavor_id": "m1.small", "master_flavor_id": "m1.medium", "external_network_id": "public",
		"network_driver": "flannel", "docker_storage_driver": "overlay2", "floating_ip_enabled": true, "labels": labels,
	}
	if s.whole {
		body["master_lb_enabled"], body["docker_volume_size"] = true, 5
		labels["etcd_volume_size"], labels["master_lb_floating_ip_enabled"] = "2", "true"
	}
	var made struct{ UUID string }
	if err := m.cloud.Post(ctx, "container-infra", "/clustertemplates", body, &made); err != nil {
		return lap{}, err
	}
	*m = magnum{cloud: m.cloud, template: made.UUID}
	return m.timed(ctx, "CREATE", func() error {
		err := m.cloud.Post(ctx, "container-infra", "/clusters", map[string]any{
			"name": name, "cluster_template_id": m.template, "master_count": s.masters, "node_count": s.workers,
		}, &made)
		m.cluster = made.UUID
		return err
	})
}

func (m *magnum) resize(ctx context.Context, workers int) (lap, error) {
	return m.timed(ctx, "UPDATE", func() error {
		return m.cloud.Post(ctx, "container-infra", "/clusters/"+m.cluster+"/actions/resize", map[string]any{"node_count": workers}, nil, openstack.Microversion("1.7"))
	})
}

func (m *magnum) remove(ctx context.Context) (lap, error) {
	took, err := m.timed(ctx, "DELETE", func() error {
		return m.cloud.Delete(ctx, "container-infra", "/clusters/"+m.cluster, nil, nil)
	})
	if err != nil {
		return lap{}, err
	}
	return took, m.cloud.Delete(ctx, "container-infra", "/clustertemplates/"+m.template, nil, nil)
}

// timed asks for something and waits for the end of it, first Heat's and then
// Magnum's, which looks at its stacks every ten seconds.
func (m *magnum) timed(ctx context.Context, action string, ask func() error) (took lap, err error) {
	before, err := m.seen(ctx)
	if err != nil {
		return lap{}, err
	}
	began := time.Now()
	if err := ask(); err != nil {
		return lap{}, err
	}
	for {
		if err := pause(ctx); err != nil {
			return lap{}, err
		}
		now, err := m.seen(ctx)
		if err != nil {
			return lap{}, err
		}
		// An update's end is told from that of the update before by its time.
		if took.stack == 0 && over(now.Stack.Status, action) && (action != "UPDATE" || now.Stack.Updated != before.Stack.Updated) {
			took.stack = time.Since(began)
		}
		if took.stack == 0 || !over(now.Status, action) {
			continue
		}
		took.told = time.Since(began)
		if strings.HasSuffix(now.Status, "_FAILED") {
			return took, fmt.Errorf("magnum: %s: %s", now.Status, now.Reason)
		}
		return took, nil
	}
}

func over(status, action string) bool {
	return status == action+"_COMPLETE" || status == action+"_FAILED"
}

// magnumSees is a cluster as Magnum shows it, and the stack as Heat does.
type magnumSees struct {
	Status  string
	Reason  string `json:"status_reason"`
	StackID string `json:"stack_id"`
	Stack   struct {
		Status  string `json:"stack_status"`
		Updated string `json:"updated_time"`
	} `json:"-"`
}

// seen looks at both. A cluster that is gone is DELETE_COMPLETE.
func (m *magnum) seen(ctx context.Context) (s magnumSees, err error) {
	if m.cluster == "" {
		return s, nil
	}
	err = m.cloud.Get(ctx, "container-infra", "/clusters/"+m.cluster, nil, &s)
	if drivers.KindOf(err) == drivers.NotFound {
		s.Status, err = "DELETE_COMPLETE", nil
	}
	// While it deletes, Magnum 15 may find that a cluster without masters is none
	// to show.
	if f := openstack.AsFault(err); f != nil && f.Status == http.StatusBadRequest {
		err = nil
	}
	if s.StackID != "" {
		m.stack = s.StackID
	}
	if err != nil || m.stack == "" {
		return s, err
	}
	shown := struct{ Stack any }{&s.Stack}
	err = m.cloud.Get(ctx, "orchestration", "/stacks/"+m.stack, nil, &shown)
	if drivers.KindOf(err) == drivers.NotFound {
		s.Stack.Status, err = "DELETE_COMPLETE", nil
	}
	return s, err
}
