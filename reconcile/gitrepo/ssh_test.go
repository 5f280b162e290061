package gitrepo_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// withSSH is a repository behind SSH and the options of somebody who may.
func withSSH(tb testing.TB) (*origin, *sshServer, gitrepo.Options) {
	tb.Helper()
	o := newOrigin(tb)
	o.commit("main", "", "one", files{"fleet/a.yaml": "1"})
	file, public := newKeyFile(tb, "")
	s := serveSSH(tb, o, public)
	return o, s, s.options(tb, file)
}

// Over SSH everything is as over HTTP: an unchanged poll is one listing, an
// update brings what is new, the board is written and read, a lost race retried.
func TestSSH(t *testing.T) {
	t.Parallel()
	o, s, options := withSSH(t)
	options.Path = "fleet"
	r := open(t, options)
	first := fetch(t, r, "")
	diffOf(t, "files", contents(t, first), files{"fleet/a.yaml": "1"})
	s.seen()
	fetch(t, r, first.Commit)
	if runs, logins := s.seen(); runs != "upload-pack" || logins != 1 {
		t.Errorf("an unchanged poll ran %s with %d logins", runs, logins)
	}
	o.commit("main", "main", "two", files{"fleet/a.yaml": "2"})
	diffOf(t, "way", way(fetch(t, r, first.Commit)), "descends: two")
	diffOf(t, "a commit nobody has", way(fetch(t, r, strings.Repeat("ab", 20))), "rewound: two")

	var w ours
	write(t, r, w.commit(files{"status/a": "1"}))
	// Somebody is faster, after the listing, which git-receive-pack makes itself.
	hook(t, o, `[ -e raced ] || { touch raced; unset GIT_QUARANTINE_PATH; git update-ref refs/heads/`+statusBranch+` $(git commit-tree refs/heads/`+statusBranch+`^{tree} -p refs/heads/`+statusBranch+` -m faster); }`)
	write(t, r, w.commit(files{"status/b": "2"}))
	diffOf(t, "board", o.board(), files{"status/a": "1", "status/b": "2"})
	diffOf(t, "history", o.git("log", "--format=%s", statusBranch), "status: 1 ready\nfaster\nstatus: 1 ready")
	got, err := open(t, options).ReadStatus(t.Context())
	if err != nil || len(got) != 2 {
		t.Errorf("read %v, %v", got, err)
	}
	o.git("fsck", "--strict")
}

// hook is a pre-receive hook of the repository.
func hook(tb testing.TB, o *origin, script string) {
	tb.Helper()
	name := filepath.Join(o.dir, "hooks", "pre-receive")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		tb.Fatal(err)
	}
}

// The short form is sent as it is written: where it begins is the server's to say.
func TestShortURL(t *testing.T) {
	t.Parallel()
	_, s, options := withSSH(t)
	for url, path := range map[string]string{
		"git@example.org:fleet.git":           "'fleet.git'",
		"git@example.org:/srv/it's.git":       `'/srv/it'\''s.git'`,
		"ssh://git@example.org/fleet.git":     "'/fleet.git'",
		"ssh://example.org/~ada/fleet.git":    "'~ada/fleet.git'",
		"ssh://git@example.org:2222/f!t.git/": `'/f'\!'t.git'`,
	} {
		var ran string
		s.intercept(func(ch ssh.Channel, command string) bool {
			ran = command
			say(ch, "fatal: no such thing")
			return true
		})
		options.URL, options.Proxy = url, tunnel(t, func(string) string { return s.address }, "")
		options.SSH.KnownHosts = []string{knownHosts(t, strings.Replace(s.line(), knownhosts.Normalize(s.address), "example.org,[example.org]:2222", 1))}
		_, err := open(t, options).Fetch(t.Context(), "")
		wantError(t, err, drivers.Denied, "no such thing")
		diffOf(t, url, ran, "git-upload-pack "+path)
	}
}

// What a server says instead of refs is the operator's to read; what it does not
// say, or says in part, is tried again.
func TestSSHAnswers(t *testing.T) {
	t.Parallel()
	o, s, options := withSSH(t)
	o.commit(statusBranch, "", "board", files{"a": "0"})
	r := open(t, options)
	wrong := options
	wrong.URL = strings.Replace(options.URL, "fleet.git", "none.git", 1)
	_, err := open(t, wrong).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "does not appear to be a git repository", "check the URL")

	for name, c := range map[string]struct {
		do   func(ch ssh.Channel)
		kind drivers.Kind
		text string
	}{
		"says no":       {func(ch ssh.Channel) { say(ch, "ERROR: \x1b[31mThe key is read-only.\n") }, drivers.Denied, "The key is read-only."},
		"says in Git":   {func(ch ssh.Channel) { _, _ = io.WriteString(ch, "0015ERR access denied") }, drivers.Denied, "access denied"},
		"says nothing":  {func(ch ssh.Channel) { _ = ch.Close() }, drivers.Transient, "EOF"},
		"says nonsense": {func(ch ssh.Channel) { _, _ = io.WriteString(ch, "Welcome to our bastion\n") }, drivers.Transient, ""},
	} {
		s.intercept(func(ch ssh.Channel, _ string) bool { c.do(ch); return true })
		each(t, r, func(call string, err error) {
			t.Logf("%s, %s: %v", name, call, err)
			wantError(t, err, c.kind, c.text, s.address)
			if strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%s: error %q", name, err)
			}
		})
	}
	s.intercept(nil)
	each(t, r, func(call string, err error) {
		if err != nil {
			t.Errorf("%s at the end: %v", call, err)
		}
	})
}

// A server that dies within a push, before or after it was done: the next write
// finds out which, and nothing is done twice.
func TestSSHServerDiesDuringPush(t *testing.T) {
	t.Parallel()
	for name, done := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, s, options := withSSH(t)
			r := open(t, options)
			s.intercept(func(ch ssh.Channel, command string) bool {
				if !strings.HasPrefix(command, "git-receive-pack") {
					return false
				}
				if done {
					s.git(t.Context(), ch, muffled{ch, ch}, command)
				} else {
					_, _ = io.WriteString(ch, emptyRefs)
					_, _ = io.ReadFull(ch, make([]byte, 150)) // the beginning of the pack
				}
				_ = ch.Close()
				return true
			})
			var w ours
			c := w.commit(files{"a": "1"})
			_, err := r.WriteStatus(t.Context(), c)
			wantError(t, err, drivers.Transient)
			s.intercept(nil)
			diffOf(t, "tip", write(t, r, c), o.git("rev-parse", statusBranch))
			diffOf(t, "commits", o.git("rev-list", "--count", statusBranch), "1")
		})
	}
}

const emptyRefs = "00590000000000000000000000000000000000000000 capabilities^{}\x00report-status side-band-64k\n0000"

// muffled lets the listing through and drops the report.
type muffled struct {
	ssh.Channel
	to io.Writer
}

func (m muffled) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "unpack ok") {
		return len(p), nil
	}
	return m.to.Write(p)
}

// A server that accepts and says nothing costs no more than the timeout, at each
// point of the conversation.
func TestSSHSlowServer(t *testing.T) {
	t.Parallel()
	_, s, options := withSSH(t)
	options.Timeout = 300 * time.Millisecond
	s.intercept(func(ch ssh.Channel, _ string) bool { _, _ = io.Copy(io.Discard, ch); return true })
	each(t, open(t, options), func(_ string, err error) { wantError(t, err, drivers.Transient, "not done in time", "300ms") })

	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0") // accepted by the kernel, and by nobody else
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	options.URL = "ssh://git@" + l.Addr().String() + "/fleet.git"
	_, err = open(t, options).Fetch(t.Context(), "")
	wantError(t, err, drivers.Transient, "not done in time")
}
