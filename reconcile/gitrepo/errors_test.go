package gitrepo_test

import (
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

const secret = "s3cr3t-t0ken"

// each calls all that goes over the wire.
func each(t *testing.T, r *gitrepo.Repo, check func(call string, err error)) {
	t.Helper()
	var w ours
	_, err := r.Fetch(t.Context(), "")
	check("Fetch", err)
	_, err = r.ReadStatus(t.Context())
	check("ReadStatus", err)
	_, err = r.WriteStatus(t.Context(), w.commit(files{"a": "1"}))
	check("WriteStatus", err)
}

// What the server answers says who can act; the token is never in a text.
func TestAnswers(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	o.commit(statusBranch, "", "board", files{"a": "0"})
	page := strings.Repeat("<p>"+secret+"</p>", 10)
	for _, c := range []struct {
		status int
		token  string
		kind   drivers.Kind
		text   string
	}{
		{401, "", drivers.Denied, "no token is set"},
		{401, secret, drivers.Denied, "the username or the token is wrong"},
		{403, secret, drivers.Denied, "may write"},
		{404, secret, drivers.Denied, "check the URL"},
		{429, secret, drivers.Transient, "429"},
		{500, secret, drivers.Transient, "the server answered 500 Internal Server Error"},
		{503, "", drivers.Transient, "503"},
		{418, secret, drivers.Denied, "418"},
	} {
		for _, at := range []string{"list", "fetch", "push"} {
			s.intercept(func(w http.ResponseWriter, req *http.Request) bool {
				if strings.HasPrefix(kindOf(req), at) {
					http.Error(w, page, c.status)
					return true
				}
				return false
			})
			r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Token: c.token})
			each(t, r, func(call string, err error) {
				if at == "push" && call != "WriteStatus" {
					return
				}
				wantError(t, err, c.kind, c.text, s.repoURL())
				if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "<p>") {
					t.Errorf("%s: error %q", call, err)
				}
			})
		}
	}
}

// Credentials, also those in the URL, go with each request and into no text.
func TestCredentials(t *testing.T) {
	t.Parallel()
	_, s := withBoard(t)
	var users []string
	s.intercept(func(w http.ResponseWriter, req *http.Request) bool {
		user, password, ok := req.BasicAuth()
		if !ok || password != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		users = append(users, user)
		return false
	})
	withUser := strings.Replace(s.repoURL(), "http://", "http://ada:"+secret+"@", 1)
	for _, c := range []struct {
		o    gitrepo.Options
		user string
	}{
		{gitrepo.Options{URL: s.repoURL(), Token: secret}, "git"},
		{gitrepo.Options{URL: s.repoURL(), Token: secret, Username: "bot"}, "bot"},
		{gitrepo.Options{URL: withUser}, "ada"},
	} {
		users = nil
		fetch(t, open(t, c.o), "")
		diffOf(t, "users", users, []string{c.user, c.user})
	}
	wrong := strings.Replace(withUser, secret, "wrong-"+secret, 1)
	_, err := open(t, gitrepo.Options{URL: wrong}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, s.repoURL())
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "ada") {
		t.Errorf("error %q", err)
	}
}

// A connection that breaks, before or within an answer, is to be tried again, and
// the next call finds everything in order.
func TestDroppedConnection(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	o.commit(statusBranch, "", "board", files{"a": "0", "noise": noise(200_000)})
	o.commit("main", "main", "noise", files{"noise": noise(200_000)})
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	for _, at := range []string{"list", "fetch", "push"} {
		for _, within := range []bool{false, true} {
			s.intercept(func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.HasPrefix(kindOf(req), at) {
					return false
				}
				if within && at != "push" { // of a push there is no answer to cut: it would be done
					s.half(w, req)
				}
				panic(http.ErrAbortHandler)
			})
			each(t, r, func(call string, err error) {
				if at == "push" && call != "WriteStatus" {
					return
				}
				wantError(t, err, drivers.Transient, s.repoURL())
			})
		}
	}
	s.intercept(nil)
	each(t, r, func(call string, err error) {
		if err != nil {
			t.Errorf("%s at the end: %v", call, err)
		}
	})
}

// A push whose answer is lost was done or was not: the next write finds out, and
// does nothing twice.
func TestLostAnswerOfPush(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch})
	s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if kindOf(req) != "push" {
			return false
		}
		s.backend().ServeHTTP(httptest.NewRecorder(), req)
		panic(http.ErrAbortHandler)
	})
	var w ours
	c := w.commit(files{"a": "1"})
	_, err := r.WriteStatus(t.Context(), c)
	wantError(t, err, drivers.Transient)
	diffOf(t, "done", o.board(), files{"a": "1"})
	s.intercept(nil)
	diffOf(t, "tip", write(t, r, c), o.git("rev-parse", statusBranch))
	diffOf(t, "commits", o.git("rev-list", "--count", statusBranch), "1")
}

// half sends the first half of what the backend answers.
func (s *server) half(w http.ResponseWriter, req *http.Request) {
	rec := httptest.NewRecorder()
	s.backend().ServeHTTP(rec, req)
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
}

// A server that does not answer costs no more than the timeout, and a cancelled
// call ends at once; also the calls that wait for it.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	_, s := withBoard(t)
	s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		<-req.Context().Done()
		return true
	})
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Timeout: 50 * time.Millisecond})
	each(t, r, func(_ string, err error) {
		wantError(t, err, drivers.Transient, "not done in time", "50ms")
	})
	reached := make(chan struct{})
	s.intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		close(reached)
		<-req.Context().Done()
		return true
	})
	r = open(t, gitrepo.Options{URL: s.repoURL()})
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	go func() { _, err := r.Fetch(ctx, ""); errs <- err }()
	<-reached
	go func() { _, err := r.Fetch(ctx, ""); errs <- err }() // waits for its turn
	cancel()
	for range 2 {
		wantError(t, <-errs, drivers.Transient, "context canceled")
	}
}

// An answer that never ends is cancelled as well.
func TestSlowPack(t *testing.T) {
	t.Parallel()
	o, s := withBoard(t)
	o.commit("main", "main", "noise", files{"noise": noise(200_000)})
	ctx, cancel := context.WithCancel(t.Context())
	s.intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if kindOf(req) != "fetch" {
			return false
		}
		s.half(w, req)
		cancel()
		<-req.Context().Done()
		return true
	})
	_, err := open(t, gitrepo.Options{URL: s.repoURL()}).Fetch(ctx, "")
	wantError(t, err, drivers.Transient, "context canceled")
}

// Options that cannot work are told at once.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for text, o := range map[string]gitrepo.Options{
		"URL is empty":                     {},
		"ftp:// is not supported":          {URL: "ftp://git@example.org/fleet.git"},
		"names no repository":              {URL: "ssh://git@example.org/"},
		"SSH needs a key":                  {URL: "ssh://git:" + secret + "@example.org/fleet.git"},
		"is like git@git.example.org":      {URL: "@example.org:fleet.git"},
		"the proxy's URL":                  {URL: "https://git.example.org/x", Proxy: "://" + secret},
		"proxy by ftp://":                  {URL: "https://git.example.org/x", Proxy: "ftp://a:" + secret + "@b"},
		"use https":                        {URL: "http://git.example.org/fleet.git", Token: secret},
		"names no host":                    {URL: "https:///fleet.git"},
		"three slashes":                    {URL: "file://host/fleet.git"},
		"query":                            {URL: "https://git.example.org/fleet.git?ref=main"},
		"cannot be parsed":                 {URL: "https://" + secret + "@exa mple/"},
		"leaves the repository":            {URL: "/x", Path: "../other"},
		`status branch "a..b" is no name`:  {URL: "/x", StatusBranch: "a..b"},
		`branch "-x y" is no name`:         {URL: "/x", Branch: "-x y"},
		`author: "me" is not of the form`:  {URL: "/x", Author: "me"},
		`committer: "<a@b>" is not of the`: {URL: "/x", Committer: "<a@b>"},
		"no certificate in PEM":            {URL: "https://git.example.org/x", CABundle: []byte("nonsense")},
	} {
		_, err := gitrepo.Open(o)
		wantError(t, err, drivers.Denied, text)
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q", err)
		}
	}
}

// A private authority is trusted if it is in the bundle, and named as missing if not.
func TestCABundle(t *testing.T) {
	t.Parallel()
	_, plain := withBoard(t)
	url, bundle := withTLS(t, plain)
	_, err := open(t, gitrepo.Options{URL: url}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "CA bundle")
	if got := fetch(t, open(t, gitrepo.Options{URL: url, CABundle: bundle, Token: secret}), "").Subject; got != "one" {
		t.Errorf("subject %q", got)
	}
}

// withTLS is a server behind a certificate of a private authority.
func withTLS(tb testing.TB, plain *server) (url string, bundle []byte) {
	tb.Helper()
	tls := httptest.NewUnstartedServer(plain.Config.Handler)
	tls.Config.ErrorLog = plain.Config.ErrorLog
	tls.StartTLS()
	tb.Cleanup(tls.Close)
	return tls.URL + "/fleet.git", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
}

// A token is read for each call: one that was renewed holds from the next, and
// neither the old nor the new is in a text.
func TestRenewedToken(t *testing.T) {
	t.Parallel()
	_, s := withBoard(t)
	valid, have := secret+"-1", secret+"-1"
	s.intercept(func(w http.ResponseWriter, req *http.Request) bool {
		user, password, _ := req.BasicAuth()
		if user == "bot" && password == valid {
			return false
		}
		http.Error(w, password+" has expired", http.StatusUnauthorized)
		return true
	})
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Login: func() (gitrepo.Login, error) {
		if have == "" {
			return gitrepo.Login{}, errors.New("file /x is empty")
		}
		return gitrepo.Login{Username: "bot", Token: have}, nil
	}})
	fetch(t, r, "")
	valid = secret + "-2"
	each(t, r, func(call string, err error) {
		wantError(t, err, drivers.Denied, "has expired")
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %q", call, err)
		}
	})
	have = valid
	fetch(t, r, "")
	have = ""
	each(t, r, func(_ string, err error) { wantError(t, err, drivers.Denied, "login: file /x is empty") })
}

// The file of git-credential-store gives the login of the repository's host.
func TestStoredLogin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, files{"c": "nonsense\nhttps://a:one@git.example.org/other.git\nhttps://b:t%40o@git.example.org\nhttp://c:three@git.example.org\n"})
	file := filepath.Join(dir, "c")
	for url, want := range map[string]gitrepo.Login{
		"https://git.example.org/fleet.git":   {Username: "b", Token: "t@o"},
		"https://git.example.org/other":       {Username: "a", Token: "one"},
		"https://b@git.example.org/other.git": {Username: "b", Token: "t@o"},
		"http://GIT.example.org/fleet.git":    {Username: "c", Token: "three"},
	} {
		got, err := gitrepo.StoredLogin(file, url)
		if err != nil {
			t.Error(err)
		}
		diffOf(t, url, got, want)
	}
	if _, err := gitrepo.StoredLogin(file, "https://git.example.org:8443/fleet.git"); err == nil || !strings.Contains(err.Error(), "no line for https://git.example.org:8443") {
		t.Errorf("error %v", err)
	}
	if _, err := gitrepo.StoredLogin(file+"x", "https://git.example.org/fleet.git"); err == nil {
		t.Error("a file that is not there")
	}
}

// A host that does not listen is the network's trouble.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	_, s := withBoard(t)
	url := s.repoURL()
	s.Close()
	_, err := open(t, gitrepo.Options{URL: url}).Fetch(t.Context(), "")
	wantError(t, err, drivers.Transient, "list refs of "+url) // refused, or reset where somebody else has the port by now
}
