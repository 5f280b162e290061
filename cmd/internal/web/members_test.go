package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"jeroboam.io/jeroboam/cmd/internal/web"
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/daemon"
	"jeroboam.io/jeroboam/schema"
)

func answer(t *testing.T, members []web.Member, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	web.Handler(members, time.Now).ServeHTTP(w, r)
	return w
}

// A push makes those look whose repository it names, by whichever of its URLs; all
// of them if it names none of theirs. Whoever has another secret is not asked.
func TestPushesFindTheirInstances(t *testing.T) {
	t.Parallel()
	const github = `{"ref": "refs/heads/main", "commits": [{"repository": {"clone_url": "x"}}], "repository": {"full_name": "o/fleet",
		"clone_url": "https://git.example.org/o/fleet.git", "ssh_url": "git@git.example.org:o/fleet.git"}}`
	const gitlab = `{"project": {"git_http_url": "https://GIT.example.org/o/other.git"}}`
	for name, c := range map[string]struct{ body, want string }{
		"github":            {github, "https ssh"},
		"gitlab":            {gitlab, "other"},
		"of somebody else":  {`{"repository": {"clone_url": "https://git.example.org/o/unknown.git"}}`, "https other ssh"},
		"without a name":    {`{"ref": "refs/heads/main"}`, "https other ssh"},
		"no JSON":           {`payload=%7B%7D`, "https other ssh"},
		"cut off":           {github[:60], "https other ssh"},
		"deep and not ours": {`{"a": ` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`, "https other ssh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook := []web.Hook{{Name: "forge", Type: "github", Secret: []byte(secret)}}
			asked := map[string]*fake{"https": {}, "ssh": {}, "other": {}, "stranger": {}}
			members := []web.Member{
				{Name: "https", Instance: asked["https"], Repository: "https://git.example.org/o/fleet.git", Hooks: hook},
				{Name: "ssh", Instance: asked["ssh"], Repository: "git@git.example.org:o/fleet", Hooks: hook},
				{Name: "other", Instance: asked["other"], Repository: "ssh://git@git.example.org:2222/o/other.git", Hooks: hook},
				{
					Name: "stranger", Instance: asked["stranger"], Repository: "https://git.example.org/o/fleet.git",
					Hooks: []web.Hook{{Name: "forge", Type: "github", Secret: []byte("another")}},
				},
			}
			w := answer(t, members, http.MethodPost, "/hooks/forge", c.body, "X-Hub-Signature-256", "sha256="+sign(secret, c.body))
			if w.Code != http.StatusAccepted {
				t.Errorf("code %d: %s", w.Code, w.Body)
			}
			var have []string
			for name, f := range asked {
				if f.asked > 0 {
					have = append(have, name)
				}
			}
			if slices.Sort(have); strings.Join(have, " ") != c.want {
				t.Errorf("asked %v, want %s", have, c.want)
			}
		})
	}
}

// An address is ready when all of its instances are, and says which are not.
func TestReadyIsAll(t *testing.T) {
	t.Parallel()
	well := &fake{state: daemon.State{RanAt: time.Now()}}
	members := []web.Member{{Name: "a", Instance: well}, {Name: "b"}}
	if w := answer(t, members, http.MethodGet, "/readyz", ""); w.Code != 503 || w.Body.String() != "b: starting\n" {
		t.Errorf("code %d: %s", w.Code, w.Body)
	}
	members[1].Instance = &fake{state: daemon.State{RanAt: time.Now(), FetchErr: "no"}}
	if w := answer(t, members, http.MethodGet, "/readyz", ""); w.Code != 503 || w.Body.String() != "b: the repository cannot be read\n" {
		t.Errorf("code %d: %s", w.Code, w.Body)
	}
	members[1].Instance = well
	if w := answer(t, members, http.MethodGet, "/readyz", ""); w.Code != 200 {
		t.Errorf("code %d: %s", w.Code, w.Body)
	}
	if w := answer(t, members, http.MethodGet, "/healthz", ""); w.Code != 200 {
		t.Errorf("code %d: %s", w.Code, w.Body)
	}
}

// What Prometheus reads follows its conventions, is there for each instance, and has
// as many series as there are words, not as others send.
func TestMetrics(t *testing.T) {
	t.Parallel()
	members := []web.Member{{Name: "a"}, {Name: "b"}, {Name: "not yet"}}
	for i := range 2 {
		m := web.NewMetrics(members[i].Name)
		members[i].Metrics, members[i].Instance = m, &fake{state: daemon.State{
			RanAt: time.Unix(1000, 0), FetchedAt: time.Unix(990, 0), Next: time.Unix(1060, 0), Waiting: 3,
		}}
		m.Fetched("c1", time.Millisecond, nil)
		m.Fetched("", time.Millisecond, &drivers.Error{Kind: drivers.Denied, Err: errors.New("no")})
		key := schema.Key{Cloud: "lab", Name: "web"}
		m.Ran(reconcile.Report{
			Plan: diff.Plan{
				InSync: 1, Unknown: []diff.UnknownCloud{{Cloud: "dead", Reason: "it is secret"}},
				Steps: []diff.Step{{Op: diff.Delete, Cluster: key, Held: &diff.Held{Guard: "deletes", Reason: "too many"}}},
			},
			Results: []reconcile.Result{
				{Step: diff.Step{Op: diff.Create}},
				{Step: diff.Step{Op: diff.Resize}, Err: &drivers.Error{Kind: drivers.Rejected, Err: errors.New("quota")}},
			},
			Records: []reconcile.Record{
				{Name: "web", Cloud: "lab", Status: "CREATE_COMPLETE", CreatedAt: "2026-05-04T12:00:00Z"},
				{Name: "db", Cloud: "lab", Status: "UPDATE_FAILED"},
			},
			Phases:      []reconcile.Phase{{Name: "observe", Took: time.Second}},
			StatusError: errors.New("lost"),
		}, time.Second, nil)
		m.Ran(reconcile.Report{}, time.Second, errors.New("x"))
		m.Asked("lab", "forget keys of lab/web", time.Second, nil)
		for status := range 1000 {
			m.Called(drivers.Call{Cloud: "lab", Service: "orchestration", Method: "GET", Status: status, Request: "req-1", Took: time.Millisecond})
		}
	}
	w := answer(t, members, http.MethodGet, "/metrics", "")
	text := w.Body.String()
	if w.Code != http.StatusOK {
		t.Fatalf("code %d: %s", w.Code, text)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	for _, want := range []string{
		`jeroboam_runs_total{instance_name="a",result="ok"} 1`,
		`jeroboam_runs_total{instance_name="b",result="failed"} 1`,
		`jeroboam_run_seconds_count{instance_name="a"} 2`,
		`jeroboam_run_phase_seconds_count{instance_name="a",phase="observe"} 1`,
		`jeroboam_steps_total{instance_name="a",result="accepted",step="create"} 1`,
		`jeroboam_steps_total{instance_name="a",result="rejected",step="resize"} 1`,
		`jeroboam_steps_held{guard="deletes",instance_name="a"} 1`,
		`jeroboam_cloud_unknown{cloud="dead",instance_name="b"} 1`,
		`jeroboam_clusters{instance_name="a",status="UPDATE_FAILED"} 1`,
		`jeroboam_clusters_in_sync{instance_name="a"} 1`,
		`jeroboam_cluster_ready{cloud="lab",cluster="web",instance_name="a"} 1`,
		`jeroboam_cluster_ready{cloud="lab",cluster="db",instance_name="a"} 0`,
		`jeroboam_cluster_created_timestamp_seconds{cloud="lab",cluster="web",instance_name="a"} 1.777896e+09`,
		`jeroboam_openstack_requests_total{cloud="lab",code="503",instance_name="a",service="orchestration"} 1`,
		`jeroboam_openstack_requests_total{cloud="lab",code="none",instance_name="a",service="orchestration"} 1`,
		`jeroboam_openstack_request_seconds_count{instance_name="b",service="orchestration"} 1000`,
		`jeroboam_cloud_calls_total{call="forget keys",cloud="lab",instance_name="a",result="ok"} 1`,
		`jeroboam_requests_waiting{instance_name="a"} 3`,
		`jeroboam_run_next_timestamp_seconds{instance_name="a"} 1060`,
		`jeroboam_git_fetches_total{instance_name="a",result="denied"} 1`,
		`jeroboam_git_fetch_seconds_count{instance_name="a"} 2`,
		`jeroboam_git_readable{instance_name="a"} 1`,
		`jeroboam_status_commit_failures_total{instance_name="a"} 1`,
		`go_goroutines `,
		`process_resident_memory_bytes `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	if n := strings.Count(text, "\njeroboam_openstack_requests_total"); n > 2*70 {
		t.Errorf("%d series of requests", n)
	}
	for _, no := range []string{"secret", "too many", "quota", "req-1", "not yet"} {
		if strings.Contains(text, no) {
			t.Errorf("it says %q", no)
		}
	}
}
