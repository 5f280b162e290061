package kube

import (
	"context"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Node is what is known and wanted of a node that should be there.
type Node struct {
	Name    string
	Labels  map[string]string // that the nodes of its group carry
	Taints  []schema.Taint
	Leaving bool // it is about to be replaced or removed, and stays cordoned
}

// Attend asks how the cluster is, as Magnum's health poll does: whether /healthz of
// the API says ok, and whether every node is Ready. Beyond Magnum, a node that
// should be there and that Kubernetes does not know is Unknown, and one that was
// drained and removed is not asked for. What does not answer, or refuses us, is Unreached. An API whose certificate soon ends is not
// well either: kubeadm's live for a year, and only a boot of the masters makes new ones.
//
// With mend it puts right what differs from what is wanted of the nodes (mend.go).
func (c *Cluster) Attend(ctx context.Context, want []Node, mend bool) drivers.Health {
	ctx = quietly(ctx)
	said, err := c.get(ctx, "/healthz")
	if err != nil && !answered(err) {
		return Unreached(c.why(err))
	}
	h := drivers.Health{Status: drivers.Healthy, Reason: map[string]string{"api": clip(strings.Join(strings.Fields(string(said)), " "))}}
	if err != nil || h.Reason["api"] != "ok" {
		h.Status = drivers.Unhealthy
		if h.Reason["api"] == "" {
			h.Reason["api"] = "it answers nothing"
		}
	}
	nodes, err := c.nodes(ctx)
	switch {
	case err != nil && h.Status == drivers.Unhealthy: // which has been said
		return h
	case err != nil:
		return Unreached(c.why(err))
	}
	for _, n := range want {
		h.Reason[n.Name+".Ready"] = string(corev1.ConditionUnknown)
	}
	wanted := byName(want)
	for i := range nodes {
		if n := &nodes[i]; !gone(n, wanted) { // whose end is no illness
			h.Reason[n.Name+".Ready"] = string(ready(n))
		}
	}
	if at := time.Unix(c.ends.Load(), 0).UTC(); at.Unix() > 0 && at.Sub(c.now()) < endsSoon {
		h.Reason["api.certificate"] = "ends on " + at.Format(time.DateOnly) + ": masters get new ones when they boot, so upgrade them before"
	}
	for what, is := range h.Reason {
		if what != "api" && is != string(corev1.ConditionTrue) {
			h.Status = drivers.Unhealthy
		}
	}
	if mend {
		h.Undone, h.Later = c.mend(ctx, nodes, want)
	}
	return h
}

// endsSoon leaves a team a month to upgrade.
const endsSoon = 30 * 24 * time.Hour

// Unreached is the health of a cluster that cannot be asked.
func Unreached(why error) drivers.Health {
	return drivers.Health{Status: drivers.Unreached, Reason: map[string]string{"api": why.Error()}}
}

// answered says that an API server said something about itself, and not about us.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsUnauthorized(err) && !apierrors.IsForbidden(err)
}

// nodes are all that Kubernetes knows.
func (c *Cluster) nodes(ctx context.Context) ([]corev1.Node, error) {
	var all []corev1.Node
	options := metav1.ListOptions{Limit: 500}
	for {
		page, err := c.api.CoreV1().Nodes().List(ctx, options)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

func ready(n *corev1.Node) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}
