package gitrepo_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// sshServer lets one key run the installed Git's git-upload-pack and
// git-receive-pack on loopback, as sshd with a forced command would.
type sshServer struct {
	tb      testing.TB
	root    string
	host    ssh.Signer
	address string

	mu      sync.Mutex
	allowed map[string]bool // public keys, as in a wire message
	runs    []string        // what was run
	logins  int
	before  func(ch ssh.Channel, command string) (done bool)
}

func serveSSH(tb testing.TB, o *origin, allowed ...ssh.PublicKey) *sshServer {
	tb.Helper()
	return serveSSHAs(tb, o, newKey(tb), allowed...)
}

// serveSSHAs shows a host key, or a certificate.
func serveSSHAs(tb testing.TB, o *origin, host ssh.Signer, allowed ...ssh.PublicKey) *sshServer {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &sshServer{tb: tb, root: filepath.Dir(o.dir), host: host, address: l.Addr().String(), allowed: map[string]bool{}}
	for _, k := range allowed {
		s.allowed[string(k.Marshal())] = true
	}
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { s.serve(ctx, conn) })
		}
	})
	tb.Cleanup(func() { cancel(); _ = l.Close(); open.Wait() })
	return s
}

func (s *sshServer) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.allowed[string(key.Marshal())] {
			return nil, errors.New("not this key")
		}
		return &ssh.Permissions{}, nil
	}}
	c.AddHostKey(s.host)
	return c
}

func (s *sshServer) serve(ctx context.Context, conn net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c, channels, requests, err := ssh.NewServerConn(conn, s.config())
	if err != nil {
		_ = conn.Close()
		return
	}
	s.mu.Lock()
	s.logins++
	s.mu.Unlock()
	defer c.Close()
	go ssh.DiscardRequests(requests)
	var open sync.WaitGroup
	for ch := range channels {
		channel, requests, err := ch.Accept()
		if err != nil {
			break
		}
		open.Go(func() {
			defer channel.Close()
			for req := range requests {
				var exec struct{ Command string }
				ok := req.Type == "exec" && ssh.Unmarshal(req.Payload, &exec) == nil
				if req.WantReply {
					_ = req.Reply(ok, nil)
				}
				if ok {
					s.exec(ctx, channel, exec.Command)
					return
				}
			}
		})
	}
	open.Wait()
}

// exec runs what a shell would, in the folder of the repositories.
func (s *sshServer) exec(ctx context.Context, ch ssh.Channel, command string) {
	s.mu.Lock()
	s.runs = append(s.runs, command)
	before := s.before
	s.mu.Unlock()
	if before != nil && before(ch, command) {
		return
	}
	s.git(ctx, ch, ch, command)
}

func (s *sshServer) git(ctx context.Context, in io.Reader, ch ssh.Channel, command string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Dir, cmd.Env = s.root, append(gitEnv(), "PATH="+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	go func() { _, _ = io.Copy(stdin, in); _ = stdin.Close() }()
	_ = cmd.Run()
	code := 255
	if cmd.ProcessState != nil {
		code = cmd.ProcessState.ExitCode()
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
}

func (s *sshServer) intercept(f func(ch ssh.Channel, command string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// seen gives the programs that ran since the last call, and how often somebody logged in.
func (s *sshServer) seen() (runs string, logins int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, r := range s.runs {
		name, _, _ := strings.Cut(r, " ")
		names = append(names, strings.TrimPrefix(name, "git-"))
	}
	runs, logins = strings.Join(names, ", "), s.logins
	s.runs, s.logins = nil, 0
	return runs, logins
}

func (s *sshServer) repoURL() string { return "ssh://git@" + s.address + s.root + "/fleet.git" }

// knownHosts is a file with lines.
func knownHosts(tb testing.TB, lines ...string) string {
	tb.Helper()
	name := filepath.Join(tb.TempDir(), "known_hosts")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// line is what ssh-keyscan would write.
func (s *sshServer) line() string { return knownhosts.Line([]string{s.address}, s.host.PublicKey()) }

// options of somebody who may log in, with the server known.
func (s *sshServer) options(tb testing.TB, keyFile string) gitrepo.Options {
	tb.Helper()
	return gitrepo.Options{
		URL: s.repoURL(), StatusBranch: statusBranch,
		SSH: gitrepo.SSH{KeyFile: keyFile, KnownHosts: []string{knownHosts(tb, s.line())}},
	}
}

func newKey(tb testing.TB) ssh.Signer {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// newKeyFile writes a private key as ssh-keygen does, with a passphrase unless it is empty.
func newKeyFile(tb testing.TB, passphrase string) (file string, public ssh.PublicKey) {
	tb.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		tb.Fatal(err)
	}
	if public, err = ssh.NewPublicKey(pub); err != nil {
		tb.Fatal(err)
	}
	file = filepath.Join(tb.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file, public
}

func say(ch ssh.Channel, format string, args ...any) {
	_, _ = fmt.Fprintf(ch.Stderr(), format, args...)
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{1}))
}
