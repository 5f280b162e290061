package kube_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/kube"
	"jeroboam.io/jeroboam/drivers/kube/kubetest"
	"jeroboam.io/jeroboam/schema"
)

// began is when the tests' clock stands.
var began = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const mark = "jeroboam.io/drained"

// cluster is a cluster with nodes, and the way in.
func cluster(t *testing.T, nodes ...string) (*kubetest.API, *kube.Cluster) {
	t.Helper()
	api := kubetest.New()
	api.AddNodes(nodes...)
	s := httptest.NewTLSServer(api)
	t.Cleanup(s.Close)
	return api, connect(t, s.URL, s.Certificate())
}

func connect(t *testing.T, address string, authority *x509.Certificate) *kube.Cluster {
	t.Helper()
	return connectAt(t, address, authority, began)
}

func connectAt(t *testing.T, address string, authority *x509.Certificate, now time.Time) *kube.Cluster {
	t.Helper()
	roots := x509.NewCertPool()
	if authority != nil {
		roots.AddCert(authority)
	}
	c, err := kube.Connect(kube.Connection{
		Address: address, TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}, Timeout: 10 * time.Second,
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wanted(names ...string) []kube.Node {
	var nodes []kube.Node
	for _, name := range names {
		nodes = append(nodes, kube.Node{Name: name})
	}
	return nodes
}

func TestHealth(t *testing.T) {
	t.Parallel()
	notReady := func(api *kubetest.API) {
		api.Node("b", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse })
	}
	answer := func(path string, status int) func(api *kubetest.API) {
		return func(api *kubetest.API) {
			api.Before(func(r *http.Request) int {
				if r.URL.Path == path {
					return status
				}
				return 0
			})
		}
	}
	for name, tt := range map[string]struct {
		change func(*kubetest.API)
		want   []string
		status drivers.HealthStatus
		reason map[string]string
	}{
		"all is well":              {nil, []string{"a", "b"}, drivers.Healthy, map[string]string{"api": "ok", "a.Ready": "True", "b.Ready": "True"}},
		"a node is not Ready":      {notReady, []string{"a", "b"}, drivers.Unhealthy, map[string]string{"api": "ok", "a.Ready": "True", "b.Ready": "False"}},
		"a node is not known":      {nil, []string{"a", "b", "c"}, drivers.Unhealthy, map[string]string{"api": "ok", "a.Ready": "True", "b.Ready": "True", "c.Ready": "Unknown"}},
		"the API is not well":      {func(api *kubetest.API) { api.Healthz("[-]etcd failed") }, []string{"a"}, drivers.Unhealthy, map[string]string{"api": "[-]etcd failed", "a.Ready": "True", "b.Ready": "True"}},
		"it does not know us":      {answer("/healthz", 401), []string{"a"}, drivers.Unreached, nil},
		"it may not tell of nodes": {answer("/api/v1/nodes", 403), []string{"a"}, drivers.Unreached, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, c := cluster(t, "a", "b")
			if tt.change != nil {
				tt.change(api)
			}
			h := c.Attend(t.Context(), wanted(tt.want...), true)
			if h.Status != tt.status || tt.reason != nil && !cmp.Equal(h.Reason, tt.reason) || h.Reason["api"] == "" {
				t.Errorf("%s %v, want %s %v", h.Status, h.Reason, tt.status, tt.reason)
			}
		})
	}
}

func TestHealthTellsOfACertificateThatEnds(t *testing.T) {
	t.Parallel()
	api := kubetest.New()
	api.AddNodes("a")
	s := httptest.NewTLSServer(api)
	t.Cleanup(s.Close)
	ends := s.Certificate().NotAfter
	for left, want := range map[time.Duration]drivers.HealthStatus{31 * 24 * time.Hour: drivers.Healthy, 29 * 24 * time.Hour: drivers.Unhealthy} {
		c := connectAt(t, s.URL, s.Certificate(), ends.Add(-left))
		for range 2 {
			h := c.Attend(t.Context(), wanted("a"), true)
			if told := strings.HasPrefix(h.Reason["api.certificate"], "ends on "+ends.UTC().Format(time.DateOnly)); h.Status != want || told != (want == drivers.Unhealthy) {
				t.Errorf("%s before: %s %v", left, h.Status, h.Reason)
			}
		}
	}
}

func TestUnreachedSaysWhyAndTheSameEachTime(t *testing.T) {
	t.Parallel()
	silent := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	for name, tt := range map[string]struct {
		c    *kube.Cluster
		want string
	}{
		"nobody is there": {connect(t, "https://127.0.0.1:1", nil), "the API at https://127.0.0.1:1 does not answer: dial tcp: connect: connection refused"},
		"no answer":       {connect(t, silent.URL, silent.Certificate()), "does not answer in time"},
		"somebody else":   {connect(t, silent.URL, nil), "certificate signed by unknown authority"},
	} {
		ask := func() string {
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			defer stop()
			h := tt.c.Attend(ctx, wanted("a"), true)
			if h.Status != drivers.Unreached || len(h.Reason) != 1 {
				t.Errorf("%s: %+v", name, h)
			}
			return h.Reason["api"]
		}
		if first, again := ask(), ask(); first != again || !strings.Contains(first, tt.want) {
			t.Errorf("%s: %q, then %q; want %q", name, first, again, tt.want)
		}
	}
	if _, err := kube.Connect(kube.Connection{}); err == nil {
		t.Error("connected to no address")
	}
}

// What is said of an answer that breaks off is an answer of ours, and no line beside it.
func TestNothingIsLoggedBeside(t *testing.T) {
	t.Parallel()
	var said []string
	ctx := klog.NewContext(t.Context(), funcr.New(func(_, line string) { said = append(said, line) }, funcr.Options{}))
	short := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "3") }))
	t.Cleanup(short.Close)
	c := connect(t, short.URL, short.Certificate())
	if h := c.Attend(ctx, wanted("a"), true); h.Status == drivers.Healthy {
		t.Errorf("%+v", h)
	}
	_, members := c.Members(ctx)
	_, workload := c.Workload(ctx, []string{"a"}, schema.Drain{})
	_, drained := c.Drain(ctx, []string{"a"}, schema.Drain{}, false)
	for what, err := range map[string]error{"members": members, "workload": workload, "drain": drained} {
		if err == nil {
			t.Errorf("%s: half an answer was taken for one", what)
		}
	}
	if len(said) > 0 {
		t.Errorf("logged beside: %q", said)
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	api, c := cluster(t)
	if _, err := c.Members(t.Context()); err == nil {
		t.Error("an API without components: no error")
	}
	api.Members("True", "False")
	got, err := c.Members(t.Context())
	if want := map[string]string{"etcd-0": "", "etcd-1": "it is so"}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// Only what is ours of a node is touched, and only when it differs.
func TestLabelsAndTaintsOfOthersStay(t *testing.T) {
	t.Parallel()
	api, c := cluster(t, "a")
	api.Node("a", func(n *corev1.Node) {
		n.Labels = map[string]string{"theirs": "x", "accel": "old"}
		n.Spec.Taints = []corev1.Taint{{Key: "theirs", Effect: "NoSchedule"}, {Key: "gpu", Value: "old", Effect: "NoSchedule"}}
	})
	visit := func(labels map[string]string, taints ...schema.Taint) {
		t.Helper()
		h := c.Attend(t.Context(), []kube.Node{{Name: "a", Labels: labels, Taints: taints}}, true)
		if h.Status != drivers.Healthy || len(h.Undone) > 0 {
			t.Fatalf("%+v", h)
		}
	}
	see := func(labels map[string]string, taints ...string) {
		t.Helper()
		n := api.SeeNode("a")
		var have []string
		for _, x := range n.Spec.Taints {
			have = append(have, x.ToString())
		}
		if d := cmp.Diff(labels, n.Labels) + cmp.Diff(taints, have); d != "" {
			t.Fatal(d)
		}
	}
	gpu := schema.Taint{Key: "gpu", Value: "a100", Effect: "NoSchedule"}
	visit(map[string]string{"accel": "a100", "team": "b"}, gpu, schema.Taint{Key: "gpu", Effect: "NoExecute"})
	see(map[string]string{"theirs": "x", "accel": "a100", "team": "b"}, "theirs:NoSchedule", "gpu=a100:NoSchedule", "gpu:NoExecute")
	writes := len(api.Writes())
	if visit(map[string]string{"accel": "a100", "team": "b"}, gpu, schema.Taint{Key: "gpu", Effect: "NoExecute"}); len(api.Writes()) != writes || writes != 1 {
		t.Errorf("nothing differs, and there were writes: %v", api.Writes())
	}
	visit(map[string]string{"team": "c"}, gpu)
	see(map[string]string{"theirs": "x", "team": "c"}, "theirs:NoSchedule", "gpu=a100:NoSchedule")
	visit(nil)
	see(map[string]string{"theirs": "x"}, "theirs:NoSchedule")
	if marks := api.SeeNode("a").Annotations; len(marks) > 0 {
		t.Errorf("annotations are left: %v", marks)
	}
}

// Somebody who changes a node just then is not overwritten.
func TestMendLooksAgain(t *testing.T) {
	t.Parallel()
	api, c := cluster(t, "a")
	times := 0
	api.Before(func(r *http.Request) int {
		if times++; r.Method == http.MethodPatch && times < 6 {
			api.Node("a", func(n *corev1.Node) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: strings.Repeat("x", times), Effect: "NoSchedule"})
			})
		}
		return 0
	})
	h := c.Attend(t.Context(), []kube.Node{{Name: "a", Taints: []schema.Taint{{Key: "gpu", Effect: "NoSchedule"}}}}, true)
	if n := api.SeeNode("a"); len(h.Undone) > 0 || len(n.Spec.Taints) < 2 || n.Spec.Taints[len(n.Spec.Taints)-1].Key != "gpu" {
		t.Errorf("undone %v, taints %v", h.Undone, n.Spec.Taints)
	}
	api.Before(func(r *http.Request) int {
		if r.Method == http.MethodPatch {
			return http.StatusConflict
		}
		return 0
	})
	h = c.Attend(t.Context(), wanted("a"), true)
	if h = c.Attend(t.Context(), []kube.Node{{Name: "a", Labels: map[string]string{"x": "y"}}}, true); len(h.Undone) == 0 || h.Status != drivers.Healthy {
		t.Errorf("what could not be done: %+v", h)
	}
}

func TestMendUndoesOnlyOurDrains(t *testing.T) {
	t.Parallel()
	api, c := cluster(t, "ours", "leaving", "theirs", "shut", "gone", "gone-ready", "strange")
	cordon := func(name string, marks map[string]string) {
		api.Node(name, func(n *corev1.Node) { n.Spec.Unschedulable, n.Annotations = true, marks })
	}
	at := began.Format(time.RFC3339)
	cordon("ours", map[string]string{mark: at})
	cordon("leaving", map[string]string{mark: at})
	cordon("theirs", map[string]string{"jeroboam.io/draining": at})
	cordon("shut", map[string]string{mark: "shutdown"})
	cordon("gone-ready", map[string]string{mark: at})
	for _, name := range []string{"gone", "strange"} {
		marks := map[string]string{mark: at}
		if name == "strange" {
			marks = nil
		}
		api.Node(name, func(n *corev1.Node) {
			n.Annotations, n.Status.Conditions[0].Status = marks, corev1.ConditionUnknown
		})
	}
	want := append(wanted("ours", "theirs", "shut"), kube.Node{Name: "leaving", Leaving: true})
	if c.Attend(t.Context(), want, false); len(api.Writes()) > 0 {
		t.Errorf("it was only to look, and wrote %v", api.Writes())
	}
	h := c.Attend(t.Context(), want, true)
	if later := []string{"forget node gone-ready, once Kubernetes has missed it"}; len(h.Undone) > 0 || !slices.Equal(h.Later, later) {
		t.Errorf("undone: %v, later: %v", h.Undone, h.Later)
	}
	for name, asked := range map[string]bool{"ours": true, "strange": true, "gone": false, "gone-ready": false} {
		if _, is := h.Reason[name+".Ready"]; is != asked {
			t.Errorf("the health has %s: %v", name, is)
		}
	}
	for name, cordoned := range map[string]bool{"ours": false, "leaving": true, "theirs": true, "shut": true, "gone-ready": true, "strange": false} {
		if n := api.SeeNode(name); n == nil || n.Spec.Unschedulable != cordoned {
			t.Errorf("%s is %+v, want cordoned %v", name, n, cordoned)
		}
	}
	if n := api.SeeNode("gone"); n != nil {
		t.Errorf("the object of a node that is gone is there: %v", n)
	}
	if n := api.SeeNode("theirs"); len(n.Annotations) > 0 {
		t.Errorf("annotations are left: %v", n.Annotations)
	}
}
