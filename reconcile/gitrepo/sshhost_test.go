package gitrepo_test

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"jeroboam.io/jeroboam/drivers"
)

// Hosts are known strictly, and each error says what to look at and what to run.
func TestHostKeys(t *testing.T) {
	t.Parallel()
	_, s, options := withSSH(t)
	fingerprint := ssh.FingerprintSHA256(s.host.PublicKey())
	hashed := knownhosts.HashHostname(knownhosts.Normalize(s.address))
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.host.PublicKey())))
	other := newKey(t)
	missing := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		files []string
		texts []string // of the error; none: it works
	}{
		"known":              {[]string{knownHosts(t, s.line())}, nil},
		"hashed":             {[]string{knownHosts(t, hashed+" "+key)}, nil},
		"in a second file":   {[]string{missing, knownHosts(t, s.line())}, nil},
		"unknown":            {[]string{knownHosts(t, "git.example.org "+key)}, []string{"not known", fingerprint, "ssh-keyscan -t ed25519 -p ", " 127.0.0.1 >> "}},
		"no file":            {[]string{missing}, []string{"not known", "ssh-keyscan", missing}},
		"no file is set":     {nil, []string{"not known", "ssh-keyscan"}},
		"changed":            {[]string{knownHosts(t, "# note", knownhosts.Line([]string{s.address}, other.PublicKey()))}, []string{"in between", fingerprint, "known_hosts:2"}},
		"hashed and changed": {[]string{knownHosts(t, hashed+" "+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(other.PublicKey()))))}, []string{"in between"}},
		"revoked":            {[]string{knownHosts(t, s.line(), "@revoked * "+key)}, []string{"revoked", "known_hosts:2"}},
		"broken":             {[]string{knownHosts(t, "what is this")}, []string{"known hosts", "known_hosts:1"}},
		"another kind":       {[]string{knownHosts(t, knownhosts.Line([]string{s.address}, rsaKey(t)))}, []string{"no key of the kinds"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options
			o.SSH.KnownHosts = c.files
			_, err := open(t, o).Fetch(t.Context(), "")
			if c.texts == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, drivers.Denied, append(c.texts, s.repoURL())...)
		})
	}
}

func rsaKey(tb testing.TB) ssh.PublicKey {
	tb.Helper()
	// Nobody has the other half of it.
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// A host that shows a certificate is known by its authority, for its name only
// and while it is valid.
func TestHostCertificates(t *testing.T) {
	t.Parallel()
	file, public := newKeyFile(t, "")
	authority := newKey(t)
	for name, c := range map[string]struct {
		principal, pattern string
		until              time.Time
		texts              []string
	}{
		"signed":            {"127.0.0.1", "127.0.0.*", time.Now().Add(time.Hour), nil},
		"expired":           {"127.0.0.1", "127.0.0.*", time.Now().Add(-time.Hour), []string{"expired"}},
		"for another":       {"git.example.org", "127.0.0.*", time.Now().Add(time.Hour), []string{"principal"}},
		"not its authority": {"127.0.0.1", "git.example.org", time.Now().Add(time.Hour), []string{"the key of 127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			o.commit("main", "", "one", files{"a.yaml": "1"})
			s := serveSSHAs(t, o, hostCertificate(t, authority, c.principal, c.until), public)
			options := s.options(t, file)
			options.SSH.KnownHosts = []string{knownHosts(t, "@cert-authority "+c.pattern+" "+string(ssh.MarshalAuthorizedKey(authority.PublicKey())))}
			_, err := open(t, options).Fetch(t.Context(), "")
			if c.texts == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, drivers.Denied, c.texts...)
		})
	}
}

func hostCertificate(tb testing.TB, authority ssh.Signer, principal string, until time.Time) ssh.Signer {
	tb.Helper()
	host := newKey(tb)
	cert := &ssh.Certificate{
		Key: host.PublicKey(), CertType: ssh.HostCert, KeyId: "host", ValidPrincipals: []string{principal},
		ValidAfter: uint64(until.Add(-2 * time.Hour).Unix()), ValidBefore: uint64(until.Unix()),
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		tb.Fatal(err)
	}
	s, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
