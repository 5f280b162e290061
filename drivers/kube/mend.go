package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The annotations that are ours (the package's comment).
const (
	drainedMark  = "jeroboam.io/drained"
	drainingMark = "jeroboam.io/draining"
	labelsMark   = "jeroboam.io/node-labels"
	taintsMark   = "jeroboam.io/node-taints"
)

// mend makes Node objects what they should be, and says what it could not, and what
// it cannot yet: that a node is gone, Kubernetes notices after most of a minute.
func (c *Cluster) mend(ctx context.Context, nodes []corev1.Node, want []Node) (undone, later []string) {
	wanted := byName(want)
	for i := range nodes {
		n := &nodes[i]
		w, there := wanted[n.Name]
		var err error
		switch gone := gone(n, wanted); {
		case there:
			err = c.change(ctx, n, func(n *corev1.Node) patch { return w.mended(n) })
		case gone && ready(n) == corev1.ConditionTrue:
			later = append(later, fmt.Sprintf("forget node %s, once Kubernetes has missed it", n.Name))
		case gone:
			err = c.forget(ctx, n)
		}
		switch {
		case ctx.Err() != nil:
			return append(undone, "mend the other nodes: there was no time left, and the next run goes on"), later
		case err != nil:
			undone = append(undone, fmt.Sprintf("mend node %s: %v", n.Name, c.why(err)))
		}
	}
	return undone, later
}

func byName(nodes []Node) map[string]Node {
	m := make(map[string]Node, len(nodes))
	for _, n := range nodes {
		m[n.Name] = n
	}
	return m
}

// gone says that nobody knows a node any more that was drained by us or by itself:
// it was removed, and its object alone is left. Who knows no node at all knows
// nothing of this one either.
func gone(n *corev1.Node, wanted map[string]Node) bool {
	_, there := wanted[n.Name]
	return !there && len(wanted) > 0 && n.Annotations[drainedMark] != ""
}

// forget removes the object of a node that is gone and that no kubelet keeps alive,
// just that one.
func (c *Cluster) forget(ctx context.Context, n *corev1.Node) error {
	err := c.api.CoreV1().Nodes().Delete(ctx, n.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &n.UID, ResourceVersion: &n.ResourceVersion},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // the next visit looks again
		return nil
	}
	return err
}

// patch is a JSON merge patch (RFC 7396) of a Node object: nil values remove.
type patch struct {
	annotations map[string]any
	labels      map[string]any
	spec        map[string]any
}

func newPatch() patch {
	return patch{map[string]any{}, map[string]any{}, map[string]any{}}
}

// annotate sets an annotation; an empty text removes it.
func (p patch) annotate(n *corev1.Node, key, text string) {
	switch was, is := n.Annotations[key]; {
	case text == "" && is:
		p.annotations[key] = nil
	case text != was:
		p.annotations[key] = text
	}
}

func (p patch) empty() bool { return len(p.annotations)+len(p.labels)+len(p.spec) == 0 }

// change changes a Node object in one request, if it is still as it was seen; else
// it looks again, a few times.
func (c *Cluster) change(ctx context.Context, n *corev1.Node, to func(*corev1.Node) patch) error {
	for try := 0; ; try++ {
		p := to(n)
		if p.empty() {
			return nil
		}
		body, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": n.ResourceVersion, "annotations": p.annotations, "labels": p.labels},
			"spec":     p.spec,
		})
		if err != nil {
			return err
		}
		_, err = c.api.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "jeroboam"})
		if !apierrors.IsConflict(err) || try == 3 {
			return err
		}
		if n, err = c.api.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
}

// mended is what has to change of a node that should be there.
func (w Node) mended(n *corev1.Node) patch {
	p := newPatch()
	if !w.Leaving {
		uncordon(p, n)
	}
	w.label(p, n)
	w.taint(p, n)
	return p
}

// uncordon undoes a drain of ours that came to nothing, or whose node did not
// boot. What a node marked as it shut down, it undoes itself when it is up again.
func uncordon(p patch, n *corev1.Node) {
	if began(n.Annotations[drainedMark]) {
		p.annotations[drainedMark] = nil
		p.spec["unschedulable"] = nil
	}
	p.annotate(n, drainingMark, "")
}

// began says that a mark is the time at which a drain of ours began.
func began(mark string) bool {
	_, err := time.Parse(time.RFC3339, mark)
	return err == nil
}

// label sets the wanted labels, and removes those that were wanted before. Which
// these are the node says: field ownership of server-side apply would not do, since
// a node sets its first labels itself, when it boots.
func (w Node) label(p patch, n *corev1.Node) {
	for _, key := range marked(n, labelsMark) {
		_, has := n.Labels[key]
		if _, wanted := w.Labels[key]; has && !wanted {
			p.labels[key] = nil
		}
	}
	for key, value := range w.Labels {
		if is, has := n.Labels[key]; !has || is != value {
			p.labels[key] = value
		}
	}
	p.annotate(n, labelsMark, strings.Join(slices.Sorted(maps.Keys(w.Labels)), ","))
}

// taint is label for taints. They are one list, which must be written as a whole:
// those of others stay in it as they are.
func (w Node) taint(p patch, n *corev1.Node) {
	wanted := map[string]corev1.Taint{}
	for _, t := range w.Taints {
		wanted[taintID(t.Key, t.Effect)] = corev1.Taint{Key: t.Key, Value: t.Value, Effect: corev1.TaintEffect(t.Effect)}
	}
	ours, ids := marked(n, taintsMark), slices.Sorted(maps.Keys(wanted))
	var taints []corev1.Taint
	changed := false
	for _, t := range n.Spec.Taints {
		id := taintID(t.Key, string(t.Effect))
		to, is := wanted[id]
		switch {
		case is && to.Value != t.Value:
			t.Value, changed = to.Value, true
		case !is && slices.Contains(ours, id):
			changed = true
			continue
		}
		delete(wanted, id)
		taints = append(taints, t)
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) { // that it does not have
		taints, changed = append(taints, wanted[id]), true
	}
	if changed && len(taints) == 0 {
		p.spec["taints"] = nil
	} else if changed {
		p.spec["taints"] = taints
	}
	p.annotate(n, taintsMark, strings.Join(ids, ","))
}

// taintID tells taints of a node apart (Kubernetes: key and effect).
func taintID(key, effect string) string { return key + ":" + effect }

func marked(n *corev1.Node, mark string) []string {
	if n.Annotations[mark] == "" {
		return nil
	}
	return strings.Split(n.Annotations[mark], ",")
}
