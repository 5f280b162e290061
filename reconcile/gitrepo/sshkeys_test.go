package gitrepo_test

import (
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// Keys come from a file, with a passphrase or without, or from an agent; what is
// wrong with them is told without them.
func TestSSHKeys(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1"})
	locked, public := newKeyFile(t, secret)
	inAgent, stranger := newKey(t), newKey(t)
	s := serveSSH(t, o, public, inAgent.PublicKey())
	strangers, _ := newKeyFile(t, "")
	nonsense := knownHosts(t, "-----BEGIN nonsense-----")
	said := func(word string) func() (string, error) { return func() (string, error) { return word, nil } }
	for name, c := range map[string]struct {
		ssh   gitrepo.SSH
		texts []string
	}{
		"with its passphrase":  {gitrepo.SSH{KeyFile: locked, Passphrase: said(secret)}, nil},
		"with a wrong one":     {gitrepo.SSH{KeyFile: locked, Passphrase: said("wrong-" + secret)}, []string{locked, "does not open"}},
		"without one":          {gitrepo.SSH{KeyFile: locked}, []string{locked, "has a passphrase"}},
		"that cannot be read":  {gitrepo.SSH{KeyFile: locked, Passphrase: func() (string, error) { return "", errors.New("variable X is not set") }}, []string{"variable X"}},
		"file is not there":    {gitrepo.SSH{KeyFile: locked + "x"}, []string{"no such file"}},
		"file is no key":       {gitrepo.SSH{KeyFile: nonsense}, []string{nonsense, "no private key"}},
		"nobody may log in by": {gitrepo.SSH{KeyFile: strangers}, []string{"takes none of the keys SHA256:", "user git", "deploy key"}},
		"nowhere":              {gitrepo.SSH{}, []string{"there is no SSH key", "SSH_AUTH_SOCK"}},
		"in an agent":          {gitrepo.SSH{Agent: serveAgent(t, stranger, inAgent)}, nil},
		"not in the agent":     {gitrepo.SSH{Agent: serveAgent(t)}, []string{"has no keys", "ssh-add"}},
		"agent is gone":        {gitrepo.SSH{Agent: locked + "x"}, []string{"SSH agent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.ssh.KnownHosts = []string{knownHosts(t, s.line())}
			_, err := open(t, gitrepo.Options{URL: s.repoURL(), SSH: c.ssh}).Fetch(t.Context(), "")
			if c.texts == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, drivers.Denied, c.texts...)
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q", err)
			}
		})
	}
}

// A certificate beside the key is shown with it.
func TestUserCertificate(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.commit("main", "", "one", files{"a.yaml": "1"})
	file, public := newKeyFile(t, "")
	authority := newKey(t)
	cert := &ssh.Certificate{Key: public, CertType: ssh.UserCert, ValidPrincipals: []string{"git"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	s := serveSSH(t, o, cert) // not the key itself
	options := s.options(t, file)
	_, err := open(t, options).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "takes none")
	put(t, filepath.Dir(file), files{"id_ed25519-cert.pub": string(ssh.MarshalAuthorizedKey(cert))})
	fetch(t, open(t, options), "")
}

// serveAgent is an SSH agent with keys; it gives its socket.
func serveAgent(tb testing.TB, keys ...ssh.Signer) string {
	tb.Helper()
	socket := filepath.Join(tb.TempDir(), "s")
	serveConns(tb, "unix", socket, func(conn net.Conn) { _ = agent.ServeAgent(&signers{keys: keys}, conn) })
	return socket
}

// signers is an agent over keys that are there already.
type signers struct {
	agent.Agent
	keys []ssh.Signer
}

func (s *signers) List() ([]*agent.Key, error) {
	var list []*agent.Key
	for _, k := range s.keys {
		list = append(list, &agent.Key{Format: k.PublicKey().Type(), Blob: k.PublicKey().Marshal()})
	}
	return list, nil
}

func (s *signers) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	for _, k := range s.keys {
		if string(k.PublicKey().Marshal()) == string(key.Marshal()) {
			return k.Sign(rand.Reader, data)
		}
	}
	return nil, errors.New("no such key")
}
