package kube

import (
	"context"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// Drain cordons nodes and has their pods evicted, as far as disruption budgets
// allow it by now, then waits for them to leave as long as the context lets it, and
// asks for those evictions again that were refused. With all, pods that hold a
// drain are evicted as well.
//
// It may be cut short or killed anywhere and repeated: who is cordoned stays so,
// and who was told to go is not told again.
func (c *Cluster) Drain(ctx context.Context, nodes []string, p schema.Drain, all bool) (map[string]diff.Workload, error) {
	ctx = quietly(ctx)
	var last map[string]diff.Workload
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		work, err := c.evictAll(ctx, nodes, p, all)
		switch {
		case err != nil && ctx.Err() != nil && last != nil: // time is up, and what is left is known
			return last, nil
		case err != nil:
			return nil, err
		case empty(work):
			return work, nil
		}
		last = work
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return last, nil
		case <-wait.C:
		}
	}
}

func empty(work map[string]diff.Workload) bool {
	for _, w := range work {
		if w.Pods > 0 {
			return false
		}
	}
	return true
}

// evictAll does once what can be done now, and tells what was left before it.
func (c *Cluster) evictAll(ctx context.Context, nodes []string, p schema.Drain, all bool) (map[string]diff.Workload, error) {
	loads, err := c.loads(ctx, nodes, p)
	if err != nil {
		return nil, err
	}
	refused := map[string]string{}
	for i := range loads {
		if loads[i].node == nil {
			continue
		}
		if err := c.cordon(ctx, &loads[i]); err != nil {
			return nil, c.why(err)
		}
		if err := c.evict(ctx, loads[i], all, refused); err != nil {
			return nil, c.why(err)
		}
	}
	return c.workloads(ctx, nodes, loads, refused)
}

// cordon keeps new pods away and marks the node, so that whoever comes later knows
// whose doing that is: both at once, or a process that dies in between would leave
// a node that nobody dares to uncordon. Who was cordoned by others stays so.
func (c *Cluster) cordon(ctx context.Context, l *load) error {
	now := c.now().UTC().Format(time.RFC3339)
	err := c.change(ctx, l.node, func(n *corev1.Node) patch {
		p := newPatch()
		mark, theirs := n.Annotations[drainedMark], n.Annotations[drainingMark]
		switch {
		case n.Spec.Unschedulable && (began(mark) || mark == "" && began(theirs)):
		case n.Spec.Unschedulable && mark == "":
			p.annotations[drainingMark] = now
		default:
			if p.spec["unschedulable"] = true; !began(mark) {
				p.annotations[drainedMark] = now
			}
		}
		return p
	})
	if apierrors.IsNotFound(err) {
		l.node, l.pods = nil, nil
		return nil
	}
	l.node.Spec.Unschedulable = err == nil
	return err
}

// evict asks for the eviction of every pod that was not told to go yet. A refusal
// is none of an error: it holds the pod, for now.
func (c *Cluster) evict(ctx context.Context, l load, all bool, refused map[string]string) error {
	helper := c.drainer(ctx)
	for i := range l.pods {
		pod := &l.pods[i]
		if pod.DeletionTimestamp != nil || l.stays[id(pod)] != "" && !all {
			continue
		}
		err := helper.EvictPod(*pod, policyv1.SchemeGroupVersion)
		switch {
		case err == nil, apierrors.IsNotFound(err):
		case apierrors.IsTooManyRequests(err):
			refused[id(pod)] = refusal(err)
		case answered(err): // this pod's own trouble: two budgets, a namespace that ends, a webhook
			refused[id(pod)] = clip(strings.Join(strings.Fields(err.Error()), " "))
		default:
			return err
		}
	}
	return nil
}

// refusal is empty where a budget is the reason, which is named by what it selects.
func refusal(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			if cause.Type == policyv1.DisruptionBudgetCause {
				return ""
			}
		}
	}
	return clip(strings.Join(strings.Fields(err.Error()), " "))
}
