package web_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/cmd/internal/web"
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/daemon"
)

// fake is a daemon that counts how often it is asked.
type fake struct {
	asked int
	state daemon.State
	err   error
}

func (f *fake) Ask(context.Context) error {
	f.asked++
	return f.err
}

func (f *fake) Sync(context.Context) (reconcile.Report, error) {
	return reconcile.Report{
		Run: "r1", Snapshot: reconcile.Snapshot{Commit: "c1"},
		Plan: diff.Plan{InSync: 2, Steps: []diff.Step{{Op: diff.Wait}, {Op: diff.Delete, Held: &diff.Held{}}}},
	}, f.err
}

func (f *fake) State() daemon.State { return f.state }

const secret, body = "s3cret", `{"ref":"refs/heads/main"}`

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// TestHooks: who shows the secret as its forge does is heard, and nobody else.
func TestHooks(t *testing.T) {
	t.Parallel()
	right := sign(secret, body)
	for name, c := range map[string]struct {
		hook, header, value string
		code, asked         int
	}{
		"github":                {"github", "X-Hub-Signature-256", "sha256=" + right, 202, 1},
		"gitea":                 {"gitea", "X-Gitea-Signature", right, 202, 1},
		"gitlab":                {"gitlab", "X-Gitlab-Token", secret, 202, 1},
		"generic":               {"generic", "X-Signature", "sha256=" + right, 202, 1},
		"upper case":            {"github", "X-Hub-Signature-256", "sha256=" + strings.ToUpper(right), 202, 1},
		"no signature":          {"github", "X-Other", "x", 401, 0},
		"of another secret":     {"github", "X-Hub-Signature-256", "sha256=" + sign("other", body), 401, 0},
		"of another body":       {"github", "X-Hub-Signature-256", "sha256=" + sign(secret, body+" "), 401, 0},
		"cut off":               {"github", "X-Hub-Signature-256", "sha256=" + right[:62], 401, 0},
		"empty":                 {"github", "X-Hub-Signature-256", "sha256=", 401, 0},
		"weak":                  {"github", "X-Hub-Signature-256", "sha1=" + right, 401, 0},
		"not hexadecimal":       {"gitea", "X-Gitea-Signature", strings.Repeat("x", 64), 401, 0},
		"another forge's way":   {"gitlab", "X-Hub-Signature-256", "sha256=" + right, 401, 0},
		"half a token":          {"gitlab", "X-Gitlab-Token", secret[:3], 401, 0},
		"token without secret":  {"gitlab", "X-Gitlab-Token", "", 401, 0},
		"unknown":               {"nobody", "X-Hub-Signature-256", "sha256=" + right, 404, 0},
		"unset secret, no sign": {"unset", "X-Gitlab-Token", "", 401, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &fake{}
			w := send(t, d, "/hooks/"+c.hook, c.header, c.value)
			if w.Code != c.code || d.asked != c.asked {
				t.Errorf("code %d, asked %d times: %s", w.Code, d.asked, w.Body)
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Error("the answer has the secret")
			}
		})
	}
}

func send(t *testing.T, d web.Instance, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	var hooks []web.Hook
	for _, kind := range []string{"github", "gitlab", "gitea", "generic"} {
		hooks = append(hooks, web.Hook{Name: kind, Type: kind, Secret: []byte(secret)})
	}
	hooks = append(hooks, web.Hook{Name: "unset", Type: "gitlab"})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	web.Handler([]web.Member{{Name: "a", Instance: d, Hooks: hooks}}, time.Now).ServeHTTP(w, r)
	return w
}

// TestHookEdges: a repeated request only asks again, a ping does not, a body that
// never ends is cut off.
func TestHookEdges(t *testing.T) {
	t.Parallel()
	d := &fake{}
	signature := "sha256=" + sign(secret, body)
	for range 3 {
		send(t, d, "/hooks/github", "X-Hub-Signature-256", signature)
	}
	if d.asked != 3 {
		t.Errorf("asked %d times", d.asked)
	}
	if w := send(t, d, "/hooks/github", "X-Hub-Signature-256", signature, "X-GitHub-Event", "ping"); w.Code != 200 || d.asked != 3 {
		t.Errorf("a ping: code %d, asked %d times", w.Code, d.asked)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/github", io.LimitReader(zeros{}, 26<<20))
	w := httptest.NewRecorder()
	web.Handler([]web.Member{{Name: "a", Instance: d, Hooks: []web.Hook{{Name: "github", Type: "github", Secret: []byte(secret)}}}}, time.Now).ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge || d.asked != 3 {
		t.Errorf("a large body: code %d, asked %d times", w.Code, d.asked)
	}
	d.err = errors.New("ending")
	if w := send(t, d, "/hooks/github", "X-Hub-Signature-256", signature); w.Code != http.StatusServiceUnavailable {
		t.Errorf("at the end: code %d", w.Code)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestHealth: it is well as long as the loop turns, and ready when it has decided
// something on a repository that it can read.
func TestHealth(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		state         daemon.State
		well, isReady int
	}{
		"new":                 {daemon.State{}, 200, 503},
		"after a run":         {daemon.State{RanAt: now}, 200, 200},
		"in a run":            {daemon.State{RanAt: now, Since: now.Add(-time.Minute)}, 200, 200},
		"in a run for ever":   {daemon.State{RanAt: now, Since: now.Add(-time.Hour)}, 503, 200},
		"without repository":  {daemon.State{RanAt: now, FetchErr: "down"}, 200, 503},
		"with a broken fleet": {daemon.State{RanAt: now, RunErr: "invalid"}, 200, 503},
		"ending":              {daemon.State{RanAt: now, Draining: true}, 200, 503},
	} {
		h := web.Handler([]web.Member{{Name: "a", Instance: &fake{state: c.state}}}, func() time.Time { return now })
		for path, want := range map[string]int{"/healthz": c.well, "/readyz": c.isReady} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if w.Code != want {
				t.Errorf("%s: %s gives %d, want %d", name, path, w.Code, want)
			}
		}
	}
}

// TestSocket: what a sync did comes back to who asked for it.
func TestSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := web.AskSync(t.Context(), dir, true); !errors.Is(err, web.ErrNoDaemon) {
		t.Errorf("without a daemon: %v", err)
	}
	for range 2 { // the second finds the socket of the first, which was killed
		l, err := web.ListenSocket(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		d := &fake{}
		server := web.Server(web.SocketHandler(d))
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		s, err := web.AskSync(t.Context(), dir, true)
		if want := (web.Synced{Run: "r1", Commit: "c1", Held: 1, Moving: 1, InSync: 2}); err != nil || s != want {
			t.Errorf("have %+v, %v, want %+v", s, err, want)
		}
		if _, err := web.AskSync(t.Context(), dir, false); err != nil || d.asked != 1 {
			t.Errorf("without waiting: %v, asked %d times", err, d.asked)
		}
		d.err = errors.New("it is ending")
		if s, err := web.AskSync(t.Context(), dir, true); err != nil || s.Error != "it is ending" {
			t.Errorf("have %+v, %v", s, err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
	}
	if _, err := web.ListenSocket(t.Context(), strings.Repeat("x", 120)); err == nil || !strings.Contains(err.Error(), "shorter --state-dir") {
		t.Errorf("a long path: %v", err)
	}
}
