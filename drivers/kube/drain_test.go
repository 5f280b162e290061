package kube_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers/kube"
	"jeroboam.io/jeroboam/drivers/kube/kubetest"
	"jeroboam.io/jeroboam/schema"
)

func lone(p *corev1.Pod) { p.OwnerReferences = nil }

func emptyDir(p *corev1.Pod) {
	p.Spec.Volumes = []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
}

// busy is a node with a pod of every kind, of which five move.
func busy(t *testing.T) (*kubetest.API, *kube.Cluster) {
	api, c := cluster(t, "a", "b")
	yes := true
	api.AddPod("shop/web-0", "a", nil)
	api.AddPod("shop/db-0", "a", emptyDir)
	api.AddPod("shop/tool", "a", lone)
	api.AddPod("shop/other-1", "b", nil)
	api.AddPod("kube-system/proxy", "a", func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "proxy", Controller: &yes}}
	})
	api.AddPod("kube-system/etcd-a", "a", func(p *corev1.Pod) {
		p.OwnerReferences, p.Annotations = nil, map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	})
	api.AddPod("shop/job", "a", func(p *corev1.Pod) { p.OwnerReferences, p.Status.Phase = nil, corev1.PodSucceeded })
	return api, c
}

func TestWorkloadIsWhatMoves(t *testing.T) {
	t.Parallel()
	api, c := busy(t)
	api.Budget("shop/keep-db", "db", 0)
	api.Budget("shop/allows", "web", 1)
	api.Budget("other/keep-web", "web", 0)
	for _, tt := range []struct {
		policy schema.Drain
		holds  []string
	}{
		{schema.Drain{}, []string{"shop/tool (no controller makes it again)"}},
		{schema.Drain{LonePods: schema.LonePodsEvict}, nil},
		{schema.Drain{LonePods: schema.LonePodsEvict, EmptyDirData: schema.EmptyDirHold}, []string{"shop/db-0 (it has data in an emptyDir)"}},
	} {
		got, err := c.Workload(t.Context(), []string{"a", "b", "nobody"}, tt.policy)
		if err != nil {
			t.Fatal(err)
		}
		if a := got["a"]; a.Pods != 3 || a.Cordoned || !slices.Equal(a.Holds, tt.holds) {
			t.Errorf("%+v: %+v, want holds %v", tt.policy, a, tt.holds)
		}
		if b := got["b"]; b.Pods != 1 || got["nobody"].Pods != 0 || !got["nobody"].Cordoned {
			t.Errorf("the others: %+v", got)
		}
	}
	got, _ := c.Workload(t.Context(), []string{"a"}, schema.Drain{})
	want := []string{"shop/db-0 (disruption budget shop/keep-db)", "shop/tool (no controller makes it again)", "shop/web-0"}
	if d := cmp.Diff(want, got["a"].Left); d != "" || len(api.Writes()) > 0 {
		t.Errorf("%s\nwrites %v", d, api.Writes())
	}
}

// empty drains a until nothing is left.
func empty(t *testing.T, c *kube.Cluster, all bool) diff.Workload {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	return drain(ctx, t, c, all)
}

// tryToEmpty drains a until it was looked at twice, as one does whose time is up:
// what was asked for at first has been done by then, or refused.
func tryToEmpty(t *testing.T, api *kubetest.API, c *kube.Cluster, before func(*http.Request) int) diff.Workload {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	looks := 0
	api.Before(func(r *http.Request) int {
		if r.URL.Path == "/api/v1/pods" {
			if looks++; looks == 3 {
				stop()
			}
		}
		if before != nil {
			return before(r)
		}
		return 0
	})
	defer api.Before(nil)
	return drain(ctx, t, c, false)
}

func drain(ctx context.Context, t *testing.T, c *kube.Cluster, all bool) diff.Workload {
	t.Helper()
	work, err := c.Drain(ctx, []string{"a"}, schema.Drain{}, all)
	if err != nil {
		t.Fatal(err)
	}
	return work["a"]
}

func TestDrainHonoursBudgetsUntilTheyLet(t *testing.T) {
	t.Parallel()
	api, c := cluster(t, "a")
	api.AddPod("shop/web-0", "a", nil)
	api.AddPod("shop/db-0", "a", nil)
	api.Budget("shop/db", "db", 0)
	w := tryToEmpty(t, api, c, nil)
	if w.Pods != 1 || !w.Cordoned || w.Since != began.Format(time.RFC3339) || !slices.Equal(w.Left, []string{"shop/db-0 (disruption budget shop/db)"}) {
		t.Errorf("while the budget refuses: %+v", w)
	}
	if pods := api.Pods("a"); !slices.Equal(pods, []string{"shop/db-0"}) {
		t.Errorf("there are %v", pods)
	}
	refusals := 0
	api.Before(func(r *http.Request) int {
		if r.Method == http.MethodPost {
			if refusals++; refusals == 3 {
				api.Budget("shop/db", "db", 1)
			}
		}
		return 0
	})
	if w := empty(t, c, false); w.Pods != 0 || !w.Cordoned {
		t.Errorf("when the budget lets it: %+v", w)
	}
}

func TestDrainLeavesLonePodsUnlessConsented(t *testing.T) {
	t.Parallel()
	api, c := busy(t)
	if w := tryToEmpty(t, api, c, nil); w.Pods != 1 || len(w.Holds) != 1 {
		t.Errorf("%+v", w)
	}
	if w := empty(t, c, true); w.Pods != 0 {
		t.Errorf("with consent: %+v", w)
	}
	if pods := api.Pods("a"); !slices.Equal(pods, []string{"kube-system/etcd-a", "kube-system/proxy", "shop/job"}) {
		t.Errorf("left on the node: %v", pods)
	}
	if pods := api.Pods("b"); len(pods) != 1 {
		t.Errorf("left on the other node: %v", pods)
	}
}

// Whoever is killed between two requests leaves what the next run goes on with,
// and the first sign of it is a node that says whose it is.
func TestDrainMayDieAnywhere(t *testing.T) {
	t.Parallel()
	for dies := 1; ; dies++ {
		api, c := busy(t)
		requests, dead := 0, false
		ctx, kill := context.WithCancel(t.Context())
		api.Before(func(*http.Request) int {
			if requests++; requests == dies {
				dead = true
				kill()
				return http.StatusInternalServerError
			}
			return 0
		})
		_, _ = c.Drain(ctx, []string{"a"}, schema.Drain{}, true)
		kill()
		n := api.SeeNode("a")
		if n.Spec.Unschedulable != (n.Annotations[mark] != "") {
			t.Errorf("died at request %d: cordoned %v, marked %q", dies, n.Spec.Unschedulable, n.Annotations[mark])
		}
		if evicted := len(api.Pods("a")) < 6; evicted && !n.Spec.Unschedulable {
			t.Errorf("died at request %d: pods left a node that takes new ones", dies)
		}
		api.Before(nil)
		if w := empty(t, c, true); w.Pods != 0 {
			t.Errorf("died at request %d, again: %+v", dies, w)
		}
		if !dead {
			if dies < 6 {
				t.Errorf("a drain took only %d requests", dies)
			}
			return
		}
	}
}

// A node that somebody else cordoned is drained, and stays theirs.
func TestDrainOfACordonedNode(t *testing.T) {
	t.Parallel()
	api, c := cluster(t, "a")
	api.AddPod("shop/web-0", "a", nil)
	api.Node("a", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	if w := empty(t, c, false); w.Pods != 0 {
		t.Errorf("%+v", w)
	}
	w, err := c.Workload(t.Context(), []string{"a"}, schema.Drain{})
	if n := api.SeeNode("a"); err != nil || n.Annotations[mark] != "" || w["a"].Since == "" {
		t.Errorf("%v, %+v, %v", n.Annotations, w, err)
	}
	c.Attend(t.Context(), wanted("a"), true)
	if n := api.SeeNode("a"); !n.Spec.Unschedulable || len(n.Annotations) > 0 {
		t.Errorf("after it came to nothing: %+v", n)
	}
}

// Who is told to go on a machine that is dead never says that he went.
func TestDrainDoesNotWaitForTheDead(t *testing.T) {
	t.Parallel()
	api, c := cluster(t, "a")
	api.AddPod("shop/web-0", "a", nil)
	api.Linger(true)
	if w := tryToEmpty(t, api, c, nil); w.Pods != 1 || !slices.Equal(w.Left, []string{"shop/web-0 (on its way out)"}) {
		t.Errorf("%+v", w)
	}
	if n := strings.Count(strings.Join(api.Writes(), " "), "eviction"); n != 1 {
		t.Errorf("it was told to go %d times", n)
	}
	api.Node("a", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown })
	if w := empty(t, c, false); w.Pods != 0 {
		t.Errorf("a dead machine: %+v", w)
	}
}

func TestDrainSaysWhatElseRefuses(t *testing.T) {
	t.Parallel()
	api, c := cluster(t, "a")
	api.AddPod("shop/web-0", "a", nil)
	refuse := func(r *http.Request) int {
		if r.Method == http.MethodPost {
			return http.StatusInternalServerError
		}
		return 0
	}
	if w := tryToEmpty(t, api, c, refuse); w.Pods != 1 || !slices.Equal(w.Left, []string{"shop/web-0 (as the test wants it)"}) {
		t.Errorf("%+v", w)
	}
	api.Before(func(*http.Request) int { return http.StatusForbidden })
	if _, err := c.Drain(t.Context(), []string{"a"}, schema.Drain{}, false); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("who may not ask: %v", err)
	}
	if _, err := c.Workload(t.Context(), []string{"a"}, schema.Drain{}); err == nil {
		t.Error("who may not ask knows what runs")
	}
}
