package heat_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
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

// side is who makes clusters, one at a time: we, or Magnum. A call ends when the
// side says that all is done, and tells how long it took from the moment of asking
// until Heat was done.
type side interface {
	create(ctx context.Context, name string, s shape) (time.Duration, error)
	resize(ctx context.Context, workers int) (time.Duration, error)
	remove(ctx context.Context) (time.Duration, error)
}

// ours looks, plans and starts what is due, once, as all that is timed is one step.
// Then Heat is watched, since the daemon looks every ten seconds, as Magnum does.
type ours struct {
	driver drivers.Driver
	owner  string
	cloud  *openstack.Cloud
	c      *schema.Cluster
	stack  string // name
}

func (o *ours) create(ctx context.Context, name string, s shape) (time.Duration, error) {
	o.c = s.declared(name)
	o.stack = heat.StackName(o.owner, o.c.Key)
	return o.timed(ctx, "CREATE")
}

func (o *ours) resize(ctx context.Context, workers int) (time.Duration, error) {
	next := *o.c
	next.Spec.Groups = slices.Clone(o.c.Spec.Groups)
	for i := range next.Spec.Groups {
		if next.Spec.Groups[i].Name == schema.DefaultWorker {
			next.Spec.Groups[i].NodeCount = workers
		}
	}
	o.c = &next
	return o.timed(ctx, "UPDATE")
}

func (o *ours) timed(ctx context.Context, action string) (took time.Duration, err error) {
	before, err := stackOf(ctx, o.cloud, o.stack)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	plan, err := planTo(ctx, o.driver, o.c)
	if err != nil {
		return 0, err
	}
	if err := start(ctx, o.driver, plan.Due()); err != nil {
		return 0, err
	}
	if _, err := watch(ctx, o.cloud, o.stack, action, before); err != nil {
		return 0, err
	}
	took = time.Since(began)
	if plan, err = planTo(ctx, o.driver, o.c); err == nil && len(plan.Steps) > 0 {
		err = fmt.Errorf("after the %s there is %s: %s", action, plan.Steps[0].Op, plan.Steps[0].Why)
	}
	return took, err
}

// remove asks once more for a delete that failed, as the daemon does.
func (o *ours) remove(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	for asked, status := 0, ""; asked < 2 && status != "DELETE_COMPLETE"; asked++ {
		have, err := o.driver.Observe(ctx)
		if err != nil {
			return 0, err
		}
		step := diff.Step{Op: diff.Delete, Cluster: have[0].Key, Observed: have[0].Version, Have: &have[0]}
		if err := o.driver.Apply(ctx, step); err != nil {
			return 0, err
		}
		if status, err = watch(ctx, o.cloud, o.stack, "DELETE", stackSeen{}); err != nil {
			return 0, err
		}
		took = time.Since(began)
	}
	return took, removeAll(ctx, o.driver, o.c.Key)
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
		plan, err := planTo(ctx, d, want...)
		if err != nil || len(plan.Steps) == 0 {
			return err
		}
		if err := errors.Join(start(ctx, d, plan.Due()), pause(ctx)); err != nil {
			return err
		}
	}
}

// planTo looks and plans. A plan that recovers or holds something is an error.
func planTo(ctx context.Context, d drivers.Driver, want ...*schema.Cluster) (diff.Plan, error) {
	have, err := d.Observe(ctx)
	if err != nil {
		return diff.Plan{}, err
	}
	plan := diff.Compute(&schema.Fleet{Clusters: want}, diff.Have{Clusters: have}, diff.Policy{})
	for _, s := range plan.Steps {
		if s.Held != nil || s.Op == diff.Recover {
			return plan, fmt.Errorf("%s of %s: %s %+v", s.Op, s.Cluster, s.Why, s.Held)
		}
	}
	return plan, nil
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
// is asked for once more, and the keys of what is gone are forgotten, of what was
// gone before too.
func removeAll(ctx context.Context, d drivers.Driver, were ...schema.Key) error {
	for asked := map[string]int{}; ; {
		have, err := d.Observe(ctx)
		if err != nil {
			return err
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
				return fmt.Errorf("%s is %s: %s", o.Key, o.Status, o.Reason)
			}
		}
		if len(have) == 0 {
			break
		}
		if err := errors.Join(start(ctx, d, steps), pause(ctx)); err != nil {
			return err
		}
	}
	for _, k := range were {
		if err := d.(drivers.Keeper).Forget(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// magnum is the lab's Magnum 15 with its driver k8s_fedora_coreos_v1.
type magnum struct {
	cloud    *openstack.Cloud
	template string // id
	cluster  string // id
	stack    string // id, as soon as Magnum tells it
}

func (m *magnum) create(ctx context.Context, name string, s shape) (time.Duration, error) {
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
		return 0, err
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

func (m *magnum) resize(ctx context.Context, workers int) (time.Duration, error) {
	return m.timed(ctx, "UPDATE", func() error {
		return m.cloud.Post(ctx, "container-infra", "/clusters/"+m.cluster+"/actions/resize", map[string]any{"node_count": workers}, nil, openstack.Microversion("1.7"))
	})
}

func (m *magnum) remove(ctx context.Context) (time.Duration, error) {
	took, err := m.timed(ctx, "DELETE", func() error {
		return m.cloud.Delete(ctx, "container-infra", "/clusters/"+m.cluster, nil, nil)
	})
	if err != nil {
		return 0, err
	}
	return took, m.cloud.Delete(ctx, "container-infra", "/clustertemplates/"+m.template, nil, nil)
}

// timed asks for something and waits for the end of it, first Heat's and then
// Magnum's, which looks at its stacks every ten seconds.
func (m *magnum) timed(ctx context.Context, action string, ask func() error) (took time.Duration, err error) {
	before, err := stackOf(ctx, m.cloud, m.stack)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := ask(); err != nil {
		return 0, err
	}
	for {
		now, err := m.seen(ctx)
		if err != nil {
			return 0, err
		}
		if m.stack = cmp.Or(now.StackID, m.stack); m.stack != "" && took == 0 {
			if _, err := watch(ctx, m.cloud, m.stack, action, before); err != nil {
				return 0, err
			}
			took = time.Since(began)
		} else if took > 0 && over(now.Status, action) {
			if strings.HasSuffix(now.Status, "_FAILED") {
				err = fmt.Errorf("magnum: %s: %s", now.Status, now.Reason)
			}
			return took, err
		}
		if err := pause(ctx); err != nil {
			return 0, err
		}
	}
}

// magnumSees is a cluster as Magnum shows it.
type magnumSees struct {
	Status  string
	Reason  string `json:"status_reason"`
	StackID string `json:"stack_id"`
}

// seen is what Magnum shows. A cluster that is gone is DELETE_COMPLETE.
func (m *magnum) seen(ctx context.Context) (s magnumSees, err error) {
	err = m.cloud.Get(ctx, "container-infra", "/clusters/"+m.cluster, nil, &s)
	if drivers.KindOf(err) == drivers.NotFound {
		s.Status, err = "DELETE_COMPLETE", nil
	}
	// While it deletes, Magnum 15 may find that a cluster without masters is none
	// to show.
	if f := openstack.AsFault(err); f != nil && f.Status == http.StatusBadRequest {
		err = nil
	}
	return s, err
}

// stackSeen is a stack as Heat shows it.
type stackSeen struct {
	ID      string
	Name    string `json:"stack_name"`
	Status  string `json:"stack_status"`
	Updated string `json:"updated_time"`
}

// stackOf shows a stack without its outputs, which Heat would have to ask for. One
// that is gone is DELETE_COMPLETE; one without a path is not there yet. Heat redirects
// those who do not give both name and id.
func stackOf(ctx context.Context, cloud *openstack.Cloud, of string) (s stackSeen, err error) {
	if of == "" {
		return s, nil
	}
	shown := struct{ Stack any }{&s}
	err = cloud.Get(ctx, "orchestration", "/stacks/"+of, url.Values{"resolve_outputs": {"false"}}, &shown)
	if drivers.KindOf(err) == drivers.NotFound {
		s.Status, err = "DELETE_COMPLETE", nil
	}
	return s, err
}

// watch asks Heat, alike for both sides, until an action on a stack is over. An
// update's end is told from that of the update before by its time.
func watch(ctx context.Context, cloud *openstack.Cloud, of, action string, before stackSeen) (status string, err error) {
	for {
		now, err := stackOf(ctx, cloud, of)
		if err != nil {
			return "", err
		}
		if now.ID != "" {
			of = now.Name + "/" + now.ID
		}
		if over(now.Status, action) && (action != "UPDATE" || now.Updated != before.Updated) {
			return now.Status, nil
		}
		if err := pause(ctx); err != nil {
			return "", err
		}
	}
}

func over(status, action string) bool {
	return status == action+"_COMPLETE" || status == action+"_FAILED"
}
