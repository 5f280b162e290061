package gitrepo_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// TestSSHDReal goes the whole way to an OpenSSH server, where the other tests have
// one of their own: what it offers, refuses and says is not ours. Git is reached by
// git-shell, as on a server that people run themselves.
//
// It needs sshd (Debian: openssh-server): make acceptance-ssh.
func TestSSHDReal(t *testing.T) {
	t.Parallel()
	if os.Getenv("JEROBOAM_SSHD") == "" {
		t.Skip("JEROBOAM_SSHD is not set: the test needs OpenSSH's server, see make acceptance-ssh")
	}
	o := newOrigin(t)
	o.commit("main", "", "one", files{"fleet/a.yaml": "1"})
	key, public := newKeyFile(t, "")
	d := newSSHD(t, public)
	options := gitrepo.Options{URL: d.url(t, o), Path: "fleet", StatusBranch: statusBranch, SSH: gitrepo.SSH{KeyFile: key}}

	// A host that nobody knows is refused; what the error says to run makes it known.
	known := filepath.Join(t.TempDir(), "known_hosts")
	options.SSH.KnownHosts = []string{known}
	_, err := open(t, options).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "not known", d.fingerprint)
	advice := regexp.MustCompile(`ssh-keyscan .* >> \S+`).FindString(err.Error())
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", advice).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", advice, err, out)
	}

	// The fleet is read, polled, updated; the board and the lease are pushed.
	r := open(t, options)
	first := fetch(t, r, "")
	diffOf(t, "files", contents(t, first), files{"fleet/a.yaml": "1"})
	fetch(t, r, first.Commit)
	o.commit("main", "main", "two", files{"fleet/a.yaml": "2"})
	diffOf(t, "way", way(fetch(t, r, first.Commit)), "descends: two")
	var w ours
	write(t, r, w.commit(files{"status/a": "1"}))
	write(t, r, w.commit(files{"status/b": "2"}))
	diffOf(t, "board", o.board(), files{"status/a": "1", "status/b": "2"})
	diffOf(t, "history", o.git("log", "--format=%s", statusBranch), "status: 1 ready\nstatus: 1 ready")
	lease := r.Lease(gitrepo.LeaseOptions{Owner: "platform", Me: gitrepo.Holder{ID: "a", Place: "a", Host: "a"}})
	if err := lease.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.git("fsck", "--strict")

	// What the server refuses is the operator's, in the server's own words.
	hook(t, o, "echo 'this branch is frozen' >&2; exit 1")
	_, err = r.WriteStatus(t.Context(), w.commit(files{"status/c": "3"}))
	wantError(t, err, drivers.Denied, "this branch is frozen")
	elsewhere := options
	elsewhere.URL = strings.Replace(options.URL, "fleet.git", "none.git", 1)
	_, err = open(t, elsewhere).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "does not appear to be a git repository", "check the URL")
	stranger := options
	stranger.SSH.KeyFile, _ = newKeyFile(t, "")
	_, err = open(t, stranger).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "takes none of the keys SHA256:", "deploy key")

	// A host whose key is another one than before is refused, with what to look at,
	// by a process that knew it and by a new one.
	before := d.fingerprint
	d.restart(t)
	for _, r := range []*gitrepo.Repo{r, open(t, options)} {
		_, err = r.Fetch(t.Context(), first.Commit)
		wantError(t, err, drivers.Denied, "in between", d.fingerprint, known+":1")
		_, err = r.WriteStatus(t.Context(), w.commit(files{"status/d": "4"}))
		wantError(t, err, drivers.Denied, "in between")
	}
	if before == d.fingerprint {
		t.Error("the key of the host is the same")
	}
	diffOf(t, "board", o.board(), files{"status/a": "1", "status/b": "2"})
}

// sshd is an OpenSSH server for the user of the test, in the foreground.
type sshd struct {
	dir, address string
	allowed      ssh.PublicKey
	fingerprint  string // of the host's key
	stop         func()
}

func newSSHD(t *testing.T, allowed ssh.PublicKey) *sshd {
	t.Helper()
	d := &sshd{dir: t.TempDir(), address: freeAddress(t), allowed: allowed}
	if os.Getuid() == 0 { // where it keeps itself apart from what it has not yet let in
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.start(t)
	t.Cleanup(func() { d.stop() })
	return d
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// restart gives the host another key.
func (d *sshd) restart(t *testing.T) {
	t.Helper()
	d.stop()
	d.start(t)
}

func (d *sshd) start(t *testing.T) {
	t.Helper()
	host, public := newKeyFile(t, "")
	d.fingerprint = ssh.FingerprintSHA256(public)
	line := `restrict,command="git-shell -c \"$SSH_ORIGINAL_COMMAND\"" ` + string(ssh.MarshalAuthorizedKey(d.allowed))
	put(t, d.dir, files{
		"authorized_keys": line,
		"config": fmt.Sprintf(`ListenAddress %s
HostKey %s
AuthorizedKeysFile %s/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
`, d.address, host, d.dir),
	})
	var said output
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(d.dir, "config"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // says that it was ended
		if t.Failed() {
			t.Logf("sshd said:\n%s", said.String())
		}
	})
	d.await(t, &said)
}

// await returns when the server greets.
func (d *sshd) await(t *testing.T, said *output) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		var dial net.Dialer
		if conn, err := dial.DialContext(t.Context(), "tcp", d.address); err == nil {
			_ = conn.Close()
			return
		}
		<-tick.C
	}
	d.stop()
	t.Fatalf("sshd does not listen:\n%s", said.String())
}

func (d *sshd) url(t *testing.T, o *origin) string {
	t.Helper()
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return "ssh://" + who.Username + "@" + d.address + o.dir
}

// output is what a program prints while others may read it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
