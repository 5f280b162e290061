package gitrepo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// origin is a bare repository that people push to.
type origin struct {
	tb  testing.TB
	dir string
}

func newOrigin(tb testing.TB) *origin {
	tb.Helper()
	o := &origin{tb, filepath.Join(tb.TempDir(), "fleet.git")}
	o.run("", "", "init", "-q", "--bare", "-b", "main", o.dir)
	o.git("config", "http.receivepack", "true")
	o.git("config", "uploadpack.allowFilter", "true")
	return o
}

func (o *origin) git(args ...string) string { o.tb.Helper(); return o.run(o.dir, "", args...) }

// run starts Git without the user's settings.
func (o *origin) run(dir, stdin string, args ...string) string {
	o.tb.Helper()
	return runGit(o.tb, dir, stdin, args...)
}

func runGit(tb testing.TB, dir, stdin string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), "git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = append(gitEnv(), "PATH="+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func gitEnv() []string {
	return []string{
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=/nonexistent",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org",
	}
}

// commit puts files ("path": content, nil removes) on a branch and gives the
// commit. parent is a revision; empty: no parent and an empty tree.
func (o *origin) commit(branch, parent, message string, files map[string]string, remove ...string) string {
	o.tb.Helper()
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/%s\nmark :1\n", branch)
	fmt.Fprintf(&in, "committer Ada <ada@example.org> %d +0000\ndata %d\n%s\n", o.clock(), len(message), message)
	if parent != "" {
		fmt.Fprintf(&in, "from %s\n", o.git("rev-parse", parent))
	}
	for p, content := range files {
		mode := "100644"
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			mode, content = "120000", to
		}
		fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, p, len(content), content)
	}
	for _, p := range remove {
		fmt.Fprintf(&in, "D %s\n", p)
	}
	o.run(o.dir, in.String(), "fast-import", "--quiet", "--force")
	return o.git("rev-parse", "refs/heads/"+branch)
}

// clock gives each commit a second of its own.
func (o *origin) clock() int {
	clocks.Lock()
	defer clocks.Unlock()
	clocks.now++
	return clocks.now
}

var clocks = struct {
	sync.Mutex
	now int
}{now: 1_800_000_000}

// server is git http-backend behind a counter.
type server struct {
	*httptest.Server
	program, root string

	mu       sync.Mutex
	requests []string // "GET refs", "POST upload", ...
	sent     int64    // bytes of answers
	took     time.Duration
	before   func(w http.ResponseWriter, req *http.Request) (done bool)
}

func serve(tb testing.TB, o *origin) *server {
	tb.Helper()
	s := &server{program: filepath.Join(runGit(tb, "", "", "--exec-path"), "git-http-backend"), root: filepath.Dir(o.dir)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, kindOf(req))
		before := s.before
		s.mu.Unlock()
		if before != nil && before(w, req) {
			return
		}
		start := time.Now()
		s.backend().ServeHTTP(&counting{w, s}, req)
		s.mu.Lock()
		s.took += time.Since(start)
		s.mu.Unlock()
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	tb.Cleanup(s.Close)
	return s
}

func (s *server) backend() http.Handler {
	return &cgi.Handler{
		Path:       s.program,
		Env:        append(gitEnv(), "GIT_PROJECT_ROOT="+s.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=ada"),
		InheritEnv: []string{"PATH"}, Stderr: io.Discard, Logger: log.New(io.Discard, "", 0),
	}
}

func kindOf(req *http.Request) string {
	switch {
	case strings.HasSuffix(req.URL.Path, "/info/refs"):
		return "list " + strings.TrimPrefix(req.URL.Query().Get("service"), "git-")
	case strings.HasSuffix(req.URL.Path, "/git-upload-pack"):
		return "fetch"
	case strings.HasSuffix(req.URL.Path, "/git-receive-pack"):
		return "push"
	}
	return req.Method + " " + req.URL.Path
}

// intercept sees each request first; true: it answered.
func (s *server) intercept(f func(w http.ResponseWriter, req *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// seen gives the requests since the last call, and the bytes that were answered.
func (s *server) seen() (requests string, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, sent = strings.Join(s.requests, ", "), s.sent
	s.requests, s.sent = nil, 0
	return requests, sent
}

func (s *server) repoURL() string { return s.URL + "/fleet.git" }

type counting struct {
	http.ResponseWriter
	s *server
}

func (c *counting) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	c.s.sent += int64(len(p))
	c.s.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

func open(tb testing.TB, o gitrepo.Options) *gitrepo.Repo {
	tb.Helper()
	if o.Log == nil {
		o.Log = zaptest.NewLogger(tb)
	}
	r, err := gitrepo.Open(o)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return r
}

// wantError checks kind and text of an error.
func wantError(tb testing.TB, err error, kind drivers.Kind, texts ...string) {
	tb.Helper()
	if err == nil {
		tb.Fatalf("no error, want %s with %q", kind, texts)
	}
	if _, ok := errors.AsType[*drivers.Error](err); !ok {
		tb.Fatalf("%v is not a *drivers.Error", err)
	}
	if got := drivers.KindOf(err); got != kind {
		tb.Errorf("kind %s, want %s: %v", got, kind, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			tb.Errorf("error %q lacks %q", err, text)
		}
	}
}
