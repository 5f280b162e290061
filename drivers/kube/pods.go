package kube

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/drain"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// Which pods a drain moves, kubectl's drain package says: not mirrors of static
// pods, nor those of DaemonSets, which would come back at once. Two kinds need a
// word of somebody:
//
//	                     kubectl    Magnum until 2023.2      here
//	no controller        refuses    removes them (--force)   holds the drain, which names them
//	data in emptyDir     refuses    loses it                 loses it
//
// A pod without a controller is gone for good. Data in an emptyDir goes with its
// pod whatever becomes of the node, and something as common as metrics-server
// keeps some. schema.Drain turns either round.

// load is what a drain would move from a node.
type load struct {
	node  *corev1.Node // nil: Kubernetes does not know it
	pods  []corev1.Pod // sorted by namespace and name
	stays map[string]string
}

// loads looks at nodes, a few at a time, in their order.
func (c *Cluster) loads(ctx context.Context, nodes []string, p schema.Drain) ([]load, error) {
	all := make([]load, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, name := range nodes {
		group.Go(func() (err error) {
			all[i], err = c.load(ctx, name, p)
			return err
		})
	}
	return all, group.Wait()
}

func (c *Cluster) load(ctx context.Context, name string, p schema.Drain) (load, error) {
	node, err := c.api.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return load{}, nil
	}
	if err != nil {
		return load{}, c.why(err)
	}
	list, problems := c.drainer(ctx, passed(node)).GetPodsForDeletion(name)
	if len(problems) > 0 {
		return load{}, c.why(errors.Join(problems...))
	}
	l := load{node: node, pods: list.Pods(), stays: map[string]string{}}
	slices.SortFunc(l.pods, func(a, b corev1.Pod) int { return strings.Compare(id(&a), id(&b)) })
	for i := range l.pods {
		if why := stays(&l.pods[i], p); why != "" {
			l.stays[id(&l.pods[i])] = why
		}
	}
	return l, nil
}

// drainer is kubectl's, which is told to move whatever can be moved: what is held
// instead is decided here, by name.
func (c *Cluster) drainer(ctx context.Context, filters ...drain.PodFilter) *drain.Helper {
	return &drain.Helper{
		Ctx: ctx, Client: c.api, ChunkSize: 500, GracePeriodSeconds: -1, // each pod's own
		Force: true, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true,
		AdditionalFilters: filters, Out: io.Discard, ErrOut: io.Discard,
	}
}

// passed leaves out pods with which nothing has to be done: finished ones, and
// those that were told to go on a machine that does not answer, whose end nobody
// would ever report.
func passed(node *corev1.Node) drain.PodFilter {
	return func(pod corev1.Pod) drain.PodDeleteStatus {
		finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if finished || pod.DeletionTimestamp != nil && ready(node) != corev1.ConditionTrue {
			return drain.MakePodDeleteStatusSkip()
		}
		return drain.MakePodDeleteStatusOkay()
	}
}

// stays says why a pod is not moved unless somebody says so.
func stays(pod *corev1.Pod, p schema.Drain) string {
	data := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.EmptyDir != nil })
	switch {
	case pod.DeletionTimestamp != nil: // somebody did
	case metav1.GetControllerOf(pod) == nil && p.LonePods != schema.LonePodsEvict:
		return "no controller makes it again"
	case data && p.EmptyDirData == schema.EmptyDirHold:
		return "it has data in an emptyDir"
	}
	return ""
}

// Workload is what has to move from nodes before they may go. It only reads.
func (c *Cluster) Workload(ctx context.Context, nodes []string, p schema.Drain) (map[string]diff.Workload, error) {
	ctx = quietly(ctx)
	loads, err := c.loads(ctx, nodes, p)
	if err != nil {
		return nil, err
	}
	return c.workloads(ctx, nodes, loads, nil)
}

// workloads tells loads to those who decide. refused are evictions that the API
// refused, by pod.
func (c *Cluster) workloads(ctx context.Context, nodes []string, loads []load, refused map[string]string) (map[string]diff.Workload, error) {
	budgets, err := c.budgets(ctx, loads)
	if err != nil {
		return nil, err
	}
	work := make(map[string]diff.Workload, len(nodes))
	for i, name := range nodes {
		work[name] = loads[i].workload(budgets, refused)
	}
	return work, nil
}

// maxLeft is how many pods are told of by name.
const maxLeft = 8

func (l load) workload(budgets []budget, refused map[string]string) diff.Workload {
	if l.node == nil {
		return diff.Workload{Cordoned: true}
	}
	w := diff.Workload{Pods: len(l.pods), Cordoned: l.node.Spec.Unschedulable}
	for _, mark := range []string{drainingMark, drainedMark} {
		if at := l.node.Annotations[mark]; began(at) {
			w.Since = at
		}
	}
	for i := range l.pods {
		pod := &l.pods[i]
		text, why := id(pod), refused[id(pod)]
		if stays := l.stays[id(pod)]; stays != "" {
			w.Holds = append(w.Holds, text+" ("+stays+")")
			why = stays
		}
		if b := keeping(budgets, pod); b != "" && why == "" {
			why = "disruption budget " + b
		}
		if pod.DeletionTimestamp != nil {
			why = "on its way out"
		}
		if why != "" {
			text += " (" + why + ")"
		}
		if len(w.Left) < maxLeft {
			w.Left = append(w.Left, text)
		}
	}
	return w
}

// budget is one that allows no disruption just now.
type budget struct {
	namespace, name string
	selector        labels.Selector
}

// budgets are those that allow no disruption, if there is a pod to keep.
func (c *Cluster) budgets(ctx context.Context, loads []load) ([]budget, error) {
	if !slices.ContainsFunc(loads, func(l load) bool { return len(l.pods) > 0 }) {
		return nil, nil
	}
	list, err := c.api.PolicyV1().PodDisruptionBudgets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.why(err)
	}
	var all []budget
	for _, b := range list.Items {
		if b.Status.DisruptionsAllowed > 0 {
			continue
		}
		if selector, err := selectorOf(&b); err == nil {
			all = append(all, budget{b.Namespace, b.Name, selector})
		}
	}
	return all, nil
}

// selectorOf is a budget's selector; an empty one takes every pod of the namespace
// (policy/v1).
func selectorOf(b *policyv1.PodDisruptionBudget) (labels.Selector, error) {
	return metav1.LabelSelectorAsSelector(b.Spec.Selector)
}

// keeping is the first budget that keeps a pod, or "".
func keeping(budgets []budget, pod *corev1.Pod) string {
	for _, b := range budgets {
		if b.namespace == pod.Namespace && b.selector.Matches(labels.Set(pod.Labels)) {
			return b.namespace + "/" + b.name
		}
	}
	return ""
}

// id names a pod for people.
func id(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }
