package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers/sim"
)

// world is a cloud seen only through HTTP: a sim of its own for each fact, or
// the real one of deploy/lab when JEROBOAM_LAB is set.
type world struct {
	t       *testing.T
	clock   *sim.ManualClock // nil on the lab
	cloud   *sim.Cloud       // likewise
	auth    string
	token   string
	project string
	user    string // id
	urls    map[string]string
	prefix  string
	created []string
}

func onLab() bool { return os.Getenv("JEROBOAM_LAB") != "" }

var stackNumber atomic.Int64

// newWorld logs in. On the lab it also runs boot-sim, so that nodes boot; the
// lab is shared and others do the same, so facts about failing boots do not
// rely on it.
func newWorld(t *testing.T, change ...func(*sim.Options)) *world {
	t.Helper()
	w := &world{t: t, auth: os.Getenv("OS_AUTH_URL"), prefix: fmt.Sprintf("simprobe-f%d-%d", os.Getpid(), stackNumber.Add(1))}
	user, pass, project := os.Getenv("OS_USERNAME"), os.Getenv("OS_PASSWORD"), os.Getenv("OS_PROJECT_NAME")
	if !onLab() {
		t.Parallel()
		w.clock = sim.NewManualClock(time.Time{})
		o := sim.Options{Clock: w.clock}
		for _, c := range change {
			c(&o)
		}
		w.cloud = sim.New(o)
		srv := httptest.NewServer(w.cloud)
		t.Cleanup(srv.Close)
		w.auth, user, pass, project = srv.URL+"/identity/v3", "demo", "sim", "demo"
	} else {
		playBoots(t)
	}
	w.login(user, pass, project)
	t.Cleanup(w.cleanup)
	return w
}

func (w *world) login(user, pass, project string) {
	w.t.Helper()
	domain := map[string]any{"name": "Default"}
	r := w.call("POST", w.auth+"/auth/tokens", map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{"name": user, "domain": domain, "password": pass}}},
		"scope":    map[string]any{"project": map[string]any{"name": project, "domain": domain}},
	}})
	if r.status != 201 {
		w.t.Fatalf("login: %d %s", r.status, r.text)
	}
	w.token = r.header.Get("X-Subject-Token")
	w.project, w.user = r.str("token.project.id"), r.str("token.user.id")
	w.urls = map[string]string{}
	for _, s := range r.list("token.catalog") {
		entry := s.(map[string]any)
		for _, e := range entry["endpoints"].([]any) {
			if ep := e.(map[string]any); ep["interface"] == "public" {
				w.urls[entry["type"].(string)] = ep["url"].(string)
			}
		}
	}
}

// playBoots runs the lab's boot-sim for as long as the test runs.
func playBoots(t *testing.T) {
	t.Helper()
	script, err := filepath.Abs("../../deploy/lab/boot-sim")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", script, "--loop", "0.5", "--name", "^simprobe-f", "--state", filepath.Join(t.TempDir(), "boots.json"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // killed, which is not worth a word
	})
}

type answer struct {
	status int
	header http.Header
	text   string
	json   any
}

// at walks "a.b.0.c".
func (a answer) at(path string) any {
	v := a.json
	for p := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			var i int
			if _, err := fmt.Sscan(p, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) str(path string) string { s, _ := a.at(path).(string); return s }
func (a answer) list(path string) []any { l, _ := a.at(path).([]any); return l }
func (a answer) tags() []string {
	out := []string{}
	for _, v := range a.list("stack.tags") {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func (w *world) call(method, url string, body any) answer {
	w.t.Helper()
	return w.callAs(w.token, method, url, body)
}

func (w *world) callAs(token, method, url string, body any) answer {
	w.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = w.urls["orchestration"] + url
	}
	var rd io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		rd = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		rd = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, url, rd)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req) // no redirects are followed
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := parse(raw)
	a.status, a.header = resp.StatusCode, resp.Header
	return a
}

func parse(raw []byte) answer {
	a := answer{text: string(raw)}
	_ = json.Unmarshal(raw, &a.json) // not all answers are JSON
	return a
}

// until waits, on the clock of the world, for something to become true.
func (w *world) until(what string, limit time.Duration, done func() bool) {
	w.t.Helper()
	if w.clock != nil {
		for spent := time.Duration(0); !done(); spent += 250 * time.Millisecond {
			if spent > limit {
				w.t.Fatalf("not within %v: %s", limit, what)
			}
			w.clock.Advance(250 * time.Millisecond)
		}
		return
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(3*limit + time.Minute)
	for !done() {
		if time.Now().After(end) {
			w.t.Fatalf("not within %v: %s", limit, what)
		}
		<-tick.C
	}
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	if w.clock != nil {
		w.clock.Advance(d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// stack is one stack under test.
type stack struct {
	*world
	name, id string
}

func (w *world) name(suffix string) string { return w.prefix + "-" + suffix }

func (w *world) create(suffix string, template any, extra ...map[string]any) *stack {
	w.t.Helper()
	s, a := w.tryCreate(suffix, template, extra...)
	if a.status != 201 {
		w.t.Fatalf("create %s: %d %s", suffix, a.status, a.text)
	}
	return s
}

func (w *world) tryCreate(suffix string, template any, extra ...map[string]any) (*stack, answer) {
	w.t.Helper()
	body := map[string]any{"stack_name": w.name(suffix), "template": template, "timeout_mins": 10}
	for _, e := range extra {
		maps.Copy(body, e)
	}
	a := w.call("POST", "/stacks", body)
	s := &stack{w, w.name(suffix), a.str("stack.id")}
	if a.status == 201 {
		w.created = append(w.created, s.path())
	}
	return s, a
}

func (w *world) cleanup() {
	for _, p := range w.created {
		w.call("DELETE", p, nil)
	}
	if !onLab() {
		return
	}
	for _, p := range w.created {
		w.until(p+" is deleted", time.Minute, func() bool {
			st := w.call("GET", p, nil).str("stack.stack_status")
			if st == "DELETE_FAILED" {
				w.call("DELETE", p, nil)
			}
			return st == "DELETE_COMPLETE" || st == ""
		})
	}
}

func (s *stack) path() string { return "/stacks/" + s.name + "/" + s.id }

// report plays a quiet node: it waits for its wait condition and signals.
func (s *stack) report(node, rev, status, reason string) {
	s.t.Helper()
	handle := ""
	s.until(node+" waits for its boot", 2*time.Minute, func() bool {
		for _, v := range s.call("GET", s.path()+"/resources?nested_depth=1", nil).list("resources") {
			x := answer{json: v}
			if x.str("parent_resource") == node && x.str("resource_name") == "ready_"+rev && x.str("resource_status") == "CREATE_IN_PROGRESS" {
				handle = strings.Replace(x.str("links.0.href"), "/ready_", "/boot_", 1)
			}
		}
		return handle != ""
	})
	h := s.call("GET", handle, nil)
	a := s.callAs(h.str("resource.attributes.token"), "POST", h.str("resource.attributes.endpoint"), map[string]any{"status": status, "reason": reason})
	if a.status != 200 {
		s.t.Fatalf("signal: %d %s", a.status, a.text)
	}
}

func (s *stack) get() answer { s.t.Helper(); return s.call("GET", s.path(), nil) }

func (s *stack) status() string { s.t.Helper(); return s.get().str("stack.stack_status") }

// settle waits until neither the stack nor anything nested moves.
func (s *stack) settle() string {
	s.t.Helper()
	var st string
	s.until(s.name+" settles", 3*time.Minute, func() bool {
		st = s.status()
		if strings.HasSuffix(st, "IN_PROGRESS") {
			return false
		}
		for _, r := range s.resources() {
			if strings.HasSuffix(r.status, "IN_PROGRESS") {
				return false
			}
		}
		return true
	})
	return st
}

// ends settles and compares. A failure tells Heat's reasons: on a cloud there may be
// no second chance to ask.
func (s *stack) ends(what, want string) {
	s.t.Helper()
	got := s.settle()
	if got == want {
		return
	}
	s.t.Errorf("%s: got %s, want %s: %s", what, got, want, s.get().str("stack.stack_status_reason"))
	evs, _ := s.events("")
	for _, e := range evs {
		if strings.HasSuffix(e.status, "FAILED") {
			s.t.Logf("%s %s: %s", e.name, e.status, e.reason)
		}
	}
}

func (s *stack) patch(body map[string]any) {
	s.t.Helper()
	body["existing"] = true
	if a := s.call("PATCH", s.path(), body); a.status != 202 {
		s.t.Fatalf("PATCH: %d %s", a.status, a.text)
	}
}

type row struct{ name, kind, status, phys, parent, reason string }

func (s *stack) resources() map[string]row {
	s.t.Helper()
	a := s.call("GET", s.path()+"/resources?nested_depth=5", nil)
	out := map[string]row{}
	for _, v := range a.list("resources") {
		x := answer{json: v}
		r := row{x.str("resource_name"), x.str("resource_type"), x.str("resource_status"), x.str("physical_resource_id"), x.str("parent_resource"), x.str("resource_status_reason")}
		key := r.name
		if r.parent != "" {
			key = r.parent + "/" + r.name
		}
		out[key] = r
	}
	return out
}

type happening struct{ stack, name, status, reason string }

// events since mark, the oldest first; mark is the id of the last one seen.
func (s *stack) events(mark string) (out []happening, last string) {
	s.t.Helper()
	a := s.call("GET", s.path()+"/events?nested_depth=5&sort_dir=desc&limit=400", nil)
	list := a.list("events")
	for _, v := range list {
		x := answer{json: v}
		if last == "" {
			last = x.str("id")
		}
		if x.str("id") == mark {
			break
		}
		parts := strings.Split(x.str("links.2.href"), "/")
		out = append([]happening{{parts[len(parts)-2], x.str("resource_name"), x.str("resource_status"), x.str("resource_status_reason")}}, out...)
	}
	return out, last
}

func (s *stack) mark() string { _, m := s.events(""); return m }

func (w *world) port(id string) answer {
	w.t.Helper()
	return w.call("GET", w.urls["network"]+"/v2.0/ports/"+id, nil)
}

func (w *world) server(id string) answer {
	w.t.Helper()
	return w.call("GET", w.urls["compute"]+"/servers/"+id, nil)
}
