// Package kubetest is as much of a Kubernetes API as package kube asks for, in
// memory: nodes, pods, disruption budgets, evictions. It is stricter than a real
// one where that finds mistakes: a change of a node must name the version that it
// was made for, and what it does not know is 404.
//
// API is an http.Handler; its other methods are what happens in the cluster
// without us.
package kubetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// API is the API of one cluster.
type API struct {
	mux *http.ServeMux

	mu      sync.Mutex
	nodes   map[string]*corev1.Node
	pods    map[string]*corev1.Pod // by namespace/name
	budgets map[string]*policyv1.PodDisruptionBudget
	members []string // what etcd's members say, a word each
	healthz string
	linger  bool
	version int
	log     []string
	before  func(*http.Request) int
}

// New gives a cluster without nodes, whose API is well.
func New() *API {
	a := &API{
		mux: http.NewServeMux(), nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{},
		budgets: map[string]*policyv1.PodDisruptionBudget{}, healthz: "ok",
	}
	a.mux.HandleFunc("GET /healthz", a.health)
	a.mux.HandleFunc("GET /api/v1/componentstatuses", a.components)
	a.mux.HandleFunc("GET /api/v1/nodes", a.listNodes)
	a.mux.HandleFunc("GET /api/v1/nodes/{name}", a.node(a.getNode))
	a.mux.HandleFunc("PATCH /api/v1/nodes/{name}", a.node(a.patchNode))
	a.mux.HandleFunc("DELETE /api/v1/nodes/{name}", a.node(a.deleteNode))
	a.mux.HandleFunc("GET /api/v1/pods", a.listPods)
	a.mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods/{name}/eviction", a.evict)
	a.mux.HandleFunc("GET /apis/policy/v1/poddisruptionbudgets", a.listBudgets)
	a.mux.HandleFunc("GET /apis/apps/v1/namespaces/{namespace}/daemonsets/{name}", func(w http.ResponseWriter, _ *http.Request) {
		write(w, map[string]any{"kind": "DaemonSet", "apiVersion": "apps/v1"})
	})
	return a
}

// ServeHTTP answers, one request at a time.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	before := a.before
	a.mu.Unlock()
	if before != nil {
		if status := before(r); status != 0 {
			fail(w, status, "as the test wants it")
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method != http.MethodGet {
		a.log = append(a.log, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v1/"))
	}
	a.mux.ServeHTTP(w, r)
}

// Writes are the requests so far that may have changed something.
func (a *API) Writes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.log)
}

// Before is asked before each request is answered; another status than 0 is the
// answer. It may change the cluster.
func (a *API) Before(f func(*http.Request) int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = f
}

// Healthz makes the API say so of itself; all but "ok" is status 500.
func (a *API) Healthz(says string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.healthz = says
}

// Members makes the members of etcd say so, a word each: True, False, Unknown.
func (a *API) Members(words ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.members = words
}

// AddNodes joins nodes that are Ready.
func (a *API) AddNodes(names ...string) {
	for _, name := range names {
		a.Node(name, func(n *corev1.Node) {
			n.UID = types.UID("uid-" + name)
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		})
	}
}

// Node changes a node as others would; one that is not there joins.
func (a *API) Node(name string, change func(*corev1.Node)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.nodes[name]
	if n == nil {
		n = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		a.nodes[name] = n
	}
	change(n)
	a.touch(n)
}

// SeeNode gives a node as it is; nil if there is none.
func (a *API) SeeNode(name string) *corev1.Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nodes[name].DeepCopy()
}

// AddPod runs a pod ("namespace/name") of a ReplicaSet on a node; change makes it
// another.
func (a *API) AddPod(id, node string, change func(*corev1.Pod)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	namespace, name, _ := strings.Cut(id, "/")
	yes := true
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"app": strings.Split(name, "-")[0]},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", Controller: &yes}},
		},
		Spec:   corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if change != nil {
		change(p)
	}
	a.pods[id] = p
}

// Pods are those of a node, sorted; of all nodes, if the name is empty.
func (a *API) Pods(node string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for id, p := range a.pods {
		if node == "" || p.Spec.NodeName == node {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Budget allows so many disruptions of the pods of an app from now on.
func (a *API) Budget(id, app string, allowed int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	namespace, name, _ := strings.Cut(id, "/")
	a.budgets[id] = &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
}

// Linger keeps evicted pods on their way out until it is called with false.
func (a *API) Linger(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.linger = on
	if !on {
		maps.DeleteFunc(a.pods, func(_ string, p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
	}
}

// The requests. The lock is held.

func (a *API) health(w http.ResponseWriter, _ *http.Request) {
	if a.healthz != "ok" {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_, _ = io.WriteString(w, a.healthz)
}

func (a *API) components(w http.ResponseWriter, _ *http.Request) {
	list := corev1.ComponentStatusList{TypeMeta: metav1.TypeMeta{Kind: "ComponentStatusList", APIVersion: "v1"}}
	for i, word := range a.members {
		list.Items = append(list.Items, corev1.ComponentStatus{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("etcd-%d", i)},
			Conditions: []corev1.ComponentCondition{{Type: corev1.ComponentHealthy, Status: corev1.ConditionStatus(word), Message: "it is so"}},
		})
	}
	write(w, list)
}

// listNodes gives a node a page at least, so that nobody forgets the next.
func (a *API) listNodes(w http.ResponseWriter, r *http.Request) {
	list := corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}}
	names := slices.Sorted(maps.Keys(a.nodes))
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	to := min(from+max(len(names)/2, 1), len(names))
	for _, name := range names[from:to] {
		list.Items = append(list.Items, *a.nodes[name])
	}
	if to < len(names) {
		list.Continue = strconv.Itoa(to)
	}
	write(w, list)
}

func (a *API) node(do func(w http.ResponseWriter, r *http.Request, n *corev1.Node)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := a.nodes[r.PathValue("name")]
		if n == nil {
			fail(w, http.StatusNotFound, "there is no such node")
			return
		}
		do(w, r, n)
	}
}

func (a *API) getNode(w http.ResponseWriter, _ *http.Request, n *corev1.Node) { write(w, n) }

func (a *API) patchNode(w http.ResponseWriter, r *http.Request, n *corev1.Node) {
	var change, is map[string]any
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &change)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
		fail(w, http.StatusUnsupportedMediaType, "a merge patch in JSON is expected")
		return
	}
	meta, _ := change["metadata"].(map[string]any)
	if meta["resourceVersion"] != n.ResourceVersion {
		fail(w, http.StatusConflict, "the object has been modified")
		return
	}
	to := &corev1.Node{}
	if err := through(n, &is); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	if err := through(merge(is, change), to); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	a.nodes[n.Name] = to
	a.touch(to)
	write(w, to)
}

func (a *API) deleteNode(w http.ResponseWriter, r *http.Request, n *corev1.Node) {
	var options metav1.DeleteOptions
	if err := json.NewDecoder(r.Body).Decode(&options); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if p := options.Preconditions; p == nil || p.UID == nil || *p.UID != n.UID {
		fail(w, http.StatusConflict, "it is not that one")
		return
	}
	delete(a.nodes, n.Name)
	write(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
}

func (a *API) listPods(w http.ResponseWriter, r *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	node, by := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "spec.nodeName=")
	for _, id := range slices.Sorted(maps.Keys(a.pods)) {
		if p := a.pods[id]; !by || p.Spec.NodeName == node {
			list.Items = append(list.Items, *p)
		}
	}
	write(w, list)
}

func (a *API) listBudgets(w http.ResponseWriter, _ *http.Request) {
	list := policyv1.PodDisruptionBudgetList{TypeMeta: metav1.TypeMeta{Kind: "PodDisruptionBudgetList", APIVersion: "policy/v1"}}
	for _, id := range slices.Sorted(maps.Keys(a.budgets)) {
		list.Items = append(list.Items, *a.budgets[id])
	}
	write(w, list)
}

// evict is the eviction API: a budget that allows none is 429 with its name.
func (a *API) evict(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("namespace") + "/" + r.PathValue("name")
	p := a.pods[id]
	if p == nil {
		fail(w, http.StatusNotFound, "there is no such pod")
		return
	}
	for _, b := range a.budgets {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || b.Namespace != p.Namespace || !selector.Matches(labels.Set(p.Labels)) {
			continue
		}
		if b.Status.DisruptionsAllowed <= 0 {
			failFor(w, http.StatusTooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.",
				metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget " + b.Name + " allows none"})
			return
		}
		b.Status.DisruptionsAllowed--
	}
	if a.linger {
		now := metav1.Now()
		p.DeletionTimestamp = &now
	} else {
		delete(a.pods, id)
	}
	write(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
}

func (a *API) touch(n *corev1.Node) {
	a.version++
	n.ResourceVersion = strconv.Itoa(a.version)
}

// through turns one thing into another by way of JSON.
func through(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// merge is a JSON merge patch (RFC 7396).
func merge(is, change map[string]any) map[string]any {
	if is == nil {
		is = map[string]any{}
	}
	for key, to := range change {
		switch to := to.(type) {
		case nil:
			delete(is, key)
		case map[string]any:
			was, _ := is[key].(map[string]any)
			is[key] = merge(was, to)
		default:
			is[key] = to
		}
	}
	return is
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, message string) { failFor(w, status, message) }

func failFor(w http.ResponseWriter, status int, message string, causes ...metav1.StatusCause) {
	reason := map[int]metav1.StatusReason{
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusConflict: metav1.StatusReasonConflict,
		http.StatusTooManyRequests: metav1.StatusReasonTooManyRequests, http.StatusForbidden: metav1.StatusReasonForbidden,
		http.StatusUnauthorized: metav1.StatusReasonUnauthorized,
	}[status]
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Message: message, Reason: reason, Code: int32(status), Details: &metav1.StatusDetails{Causes: causes}, // #nosec G115 -- a status
	})
}
