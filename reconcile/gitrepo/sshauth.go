package gitrepo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// sshConfig is the configuration of one connection, and what is known about why
// it fails: the library's errors are texts.
type sshConfig struct {
	*ssh.ClientConfig
	host  error    // what was wrong with the host's key
	shown []string // fingerprints of the keys that were offered
}

// denied is an error that the operator has to act on.
type denied struct{ error }

func (d denied) Unwrap() error { return d.error }

func deniedf(format string, args ...any) error { return denied{fmt.Errorf(format, args...)} }

// config reads keys and known hosts anew, so that what was put right holds from
// the next call.
func (t *sshTransport) config(ctx context.Context) (c *sshConfig, done func(), err error) {
	known, err := t.hosts.open()
	if err != nil {
		return nil, nil, err
	}
	signers, done, err := t.keys.signers(ctx)
	if err != nil {
		return nil, nil, err
	}
	c = &sshConfig{}
	for _, s := range signers {
		c.shown = append(c.shown, ssh.FingerprintSHA256(s.PublicKey()))
	}
	check := known.HostKeyCallback()
	c.ClientConfig = &ssh.ClientConfig{
		User: t.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyCallback: func(address string, remote net.Addr, key ssh.PublicKey) error {
			c.host = t.hosts.explain(t.address, key, check(address, remote, key))
			return c.host
		},
		// Without it a server may show a key of another kind than the one we know.
		HostKeyAlgorithms: known.HostKeyAlgorithms(t.address),
	}
	return c, done, nil
}

func (c *sshConfig) explain(err error) error {
	switch {
	case c.host != nil:
		return c.host
	case strings.Contains(err.Error(), "unable to authenticate"):
		return deniedf("the server takes none of the keys %s for user %s: add one to the repository, as a deploy key that may write if status is pushed there",
			strings.Join(c.shown, ", "), c.User)
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return deniedf("%w: the server has no key of the kinds that known_hosts has for it", err)
	}
	return err
}

// hostKeys are the known_hosts files.
type hostKeys []string

func (h hostKeys) open() (*knownhosts.HostKeyDB, error) {
	var there []string
	for _, f := range h {
		if _, err := os.Stat(f); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, deniedf("known hosts: %w", err)
		}
		there = append(there, f)
	}
	db, err := knownhosts.NewDB(there...)
	if err != nil {
		return nil, deniedf("known hosts: %w", err)
	}
	return db, nil
}

// explain says what to run, and what to look at before.
func (h hostKeys) explain(address string, key ssh.PublicKey, err error) error {
	var changed *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	offered := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return deniedf("the key of %s (%s) is revoked in %s:%d", address, offered, revoked.Revoked.Filename, revoked.Revoked.Line)
	case errors.As(err, &changed) && len(changed.Want) > 0:
		w := changed.Want[0]
		return deniedf("the key of %s is %s, and not the one in %s:%d: somebody may be in between; "+
			"if its owner says that the key was changed, remove that line and add the new key", address, offered, w.Filename, w.Line)
	case errors.As(err, &changed):
		return deniedf("the key of %s is not known: it shows %s; compare that with what its owner publishes, then run: %s",
			address, offered, h.keyscan(address, key))
	}
	return deniedf("the key of %s (%s): %w", address, offered, err) // such as a certificate that has expired
}

func (h hostKeys) keyscan(address string, key ssh.PublicKey) string {
	host, port, _ := net.SplitHostPort(address)
	kind := strings.TrimPrefix(key.Type(), "ssh-")
	if strings.HasPrefix(kind, "ecdsa") {
		kind = "ecdsa"
	}
	if port != "22" {
		host = "-p " + port + " " + host
	}
	to := "KNOWN_HOSTS"
	if len(h) > 0 {
		to = h[0]
	}
	return fmt.Sprintf("ssh-keyscan -t %s %s >> %s", kind, host, to)
}

// sshKeys are the keys that we show.
type sshKeys struct {
	o SSH

	// Deriving the key of an encrypted file takes a tenth of a second on purpose.
	mu     sync.Mutex
	of     [sha256.Size]byte // the file that signer was made of
	signer ssh.Signer
}

// signers are to be used before done is called.
func (k *sshKeys) signers(ctx context.Context) (_ []ssh.Signer, done func(), err error) {
	switch {
	case k.o.KeyFile != "":
		s, err := k.fromFile()
		if err != nil {
			return nil, nil, err
		}
		return withCertificate(k.o.KeyFile, s), func() {}, nil
	case k.o.Agent != "":
		return fromAgent(ctx, k.o.Agent)
	}
	return nil, nil, deniedf("there is no SSH key: set access.sshKey to the file of one, or run an agent ($SSH_AUTH_SOCK)")
}

func (k *sshKeys) fromFile() (ssh.Signer, error) {
	text, err := os.ReadFile(k.o.KeyFile)
	if err != nil {
		return nil, deniedf("SSH key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if sum := sha256.Sum256(text); k.signer == nil || sum != k.of {
		s, err := parseKey(k.o.KeyFile, text, k.o.Passphrase)
		if err != nil {
			return nil, err
		}
		k.of, k.signer = sum, s
	}
	return k.signer, nil
}

// parseKey reads a private key. No error has anything of the file or of the
// passphrase.
func parseKey(name string, text []byte, passphrase func() (string, error)) (ssh.Signer, error) {
	s, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return s, nil
	case !errors.As(err, &locked):
		return nil, deniedf("SSH key %s is no private key that can be read: %w", name, err)
	case passphrase == nil:
		return nil, deniedf("SSH key %s has a passphrase, and none is set", name)
	}
	word, err := passphrase()
	if err != nil {
		return nil, deniedf("passphrase of SSH key %s: %w", name, err)
	}
	if s, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(word)); err != nil {
		return nil, deniedf("SSH key %s does not open with its passphrase", name)
	}
	return s, nil
}

// withCertificate puts the certificate of a key, if there is one, before it.
func withCertificate(keyFile string, s ssh.Signer) []ssh.Signer {
	text, err := os.ReadFile(keyFile + "-cert.pub")
	if err != nil {
		return []ssh.Signer{s}
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return []ssh.Signer{s}
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return []ssh.Signer{s}
	}
	with, err := ssh.NewCertSigner(cert, s)
	if err != nil {
		return []ssh.Signer{s} // of another key
	}
	return []ssh.Signer{with, s}
}

func fromAgent(ctx context.Context, socket string) ([]ssh.Signer, func(), error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, deniedf("SSH agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	done := func() { stop(); _ = conn.Close() }
	signers, err := agent.NewClient(conn).Signers()
	if err == nil && len(signers) == 0 {
		err = errors.New("it has no keys: add one (ssh-add)")
	}
	if err != nil {
		done()
		return nil, nil, deniedf("SSH agent %s: %w", socket, err)
	}
	return signers, done, nil
}
