package gitrepo_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// program finds what judges our signatures.
func program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Skipf("%s is not installed: nobody else judges our signatures", name)
	}
	return path
}

// signs makes a commit on top of a revision as a person with Git does; args are
// settings of Git.
func (o *origin) signs(branch, parent, message, home string, args ...string) string {
	o.tb.Helper()
	cmd := exec.Command("git", append(append([]string{"-C", o.dir}, args...), "commit-tree", "-S", "-m", message, "-p", parent, o.commit("scratch", parent, message, files{"f/" + message: "x"})+"^{tree}")...)
	at := fmt.Sprintf("%d +0000", o.clock())
	cmd.Env = append(gitEnv(), "PATH="+os.Getenv("PATH"), "GNUPGHOME="+home, "GIT_AUTHOR_DATE="+at, "GIT_COMMITTER_DATE="+at)
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.tb.Fatalf("git commit-tree -S: %v\n%s", err, out)
	}
	hash := strings.TrimSpace(string(out))
	o.git("update-ref", "refs/heads/"+branch, hash)
	return hash
}

// bySSH are Git's settings to sign with a key.
func bySSH(file string) []string {
	return []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + file}
}

func allowedFile(tb testing.TB, lines ...string) string {
	tb.Helper()
	return knownHosts(tb, lines...)
}

func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// A head that Git signed for one of the allowed signers is followed. One that is
// unsigned, or signed by somebody else, is held with who and which commit: the
// fleet stays where it was, also after a restart, until a signed head comes.
func TestRequireSSH(t *testing.T) {
	t.Parallel()
	program(t, "ssh-keygen")
	for _, reachable := range []string{"true", "false"} {
		t.Run("any commit "+reachable, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			o.git("config", "uploadpack.allowReachableSHA1InWant", reachable)
			never := o.commit("main", "", "unsigned", files{"f/a": "0"})
			ada, public := newKeyFile(t, "")
			mallory, _ := newKeyFile(t, "")
			options := gitrepo.Options{URL: serve(t, o).repoURL(), Path: "f", Trust: gitrepo.Trust{
				Policy: gitrepo.TrustRequire, AllowedSigners: allowedFile(t, "# ours", "", `ada@example.org namespaces="git" `+authorized(public)),
			}}
			r := open(t, options)
			for range 2 {
				_, err := r.Fetch(t.Context(), "")
				wantError(t, err, drivers.Rejected, "held: commit", "Ada <ada@example.org> (unsigned): it is not signed")
			}
			good := o.signs("main", "main", "good", "", bySSH(ada)...)
			snap := fetch(t, r, "")
			diffOf(t, "good", way(snap), "descends: good")
			if snap.Distrust != nil {
				t.Errorf("distrust of a good commit: %v", snap.Distrust)
			}
			for _, message := range []string{"unsigned again", "mallory"} {
				var hash string
				if message == "mallory" {
					hash = o.signs("main", good, message, "", bySSH(mallory)...)
				} else {
					hash = o.commit("main", good, message, files{"f/b": "bad"})
				}
				for name, r := range map[string]*gitrepo.Repo{"running": r, "restarted": open(t, options)} {
					for range 2 {
						snap := fetch(t, r, good)
						if snap.Commit != good || len(snap.Files) != 2 || way(snap) != "descends: good" {
							t.Errorf("%s, %s: fetched %s with %d files, %s", message, name, snap.Subject, len(snap.Files), way(snap))
						}
						d := snap.Distrust
						if d == nil || d.Commit != hash || !d.Held || d.Author != "Ada <ada@example.org>" || d.Subject != message {
							t.Errorf("%s, %s: distrust %v", message, name, d)
						}
					}
				}
				_, err := open(t, options).Fetch(t.Context(), never)
				wantError(t, err, drivers.Rejected, hash[:8])
			}
			next := o.signs("main", "main", "next", "", bySSH(ada)...) // vouches for all below it
			snap = fetch(t, r, good)
			diffOf(t, "next", way(snap), "descends: next mallory")
			diffOf(t, "commit", snap.Commit, next)
			if snap.Distrust != nil {
				t.Errorf("distrust is left: %v", snap.Distrust)
			}
			o.commit("main", "main", "bad", nil)
			fetch(t, r, next)
			o.git("update-ref", "refs/heads/main", next)
			if snap = fetch(t, r, next); snap.Distrust != nil || snap.Commit != next {
				t.Errorf("a head that was taken back: %v", snap.Distrust)
			}
		})
	}
}

// A held head is followed once its key is in the file, without another push.
func TestKeyIsAddedLater(t *testing.T) {
	t.Parallel()
	program(t, "ssh-keygen")
	o := newOrigin(t)
	o.commit("main", "", "unsigned", files{"f/a": "0"})
	key, public := newKeyFile(t, "")
	o.signs("main", "main", "signed", "", bySSH(key)...)
	allowed := allowedFile(t)
	r := open(t, gitrepo.Options{URL: serve(t, o).repoURL(), Trust: gitrepo.Trust{Policy: gitrepo.TrustRequire, AllowedSigners: allowed}})
	_, err := r.Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "SHA256:", "not among the allowed signers")
	put(t, filepath.Dir(allowed), files{"known_hosts": "* " + authorized(public) + "\n"})
	diffOf(t, "subject", fetch(t, r, "").Subject, "signed")
}

// With warn the head is followed, and what is wrong with it is told.
func TestWarn(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	hash := o.commit("main", "", "unsigned", files{"f/a": "0"})
	trust := gitrepo.Trust{Policy: gitrepo.TrustWarn, AllowedSigners: filepath.Join(t.TempDir(), "none")}
	snap := fetch(t, open(t, gitrepo.Options{URL: serve(t, o).repoURL(), Trust: trust}), "")
	diffOf(t, "distrust", snap.Distrust, &reconcile.Distrust{
		Commit: hash, Author: "Ada <ada@example.org>", Subject: "unsigned", Reason: "it is not signed",
	})
	if len(snap.Files) != 1 {
		t.Error("it is not followed")
	}
	program(t, "ssh-keygen")
	key, public := newKeyFile(t, "")
	o.signs("main", "main", "signed", "", bySSH(key)...)
	trust.AllowedSigners = allowedFile(t)
	r := open(t, gitrepo.Options{URL: o.dir, Trust: trust})
	if snap = fetch(t, r, ""); snap.Distrust == nil {
		t.Error("no warning")
	}
	put(t, filepath.Dir(trust.AllowedSigners), files{"known_hosts": "* " + authorized(public) + "\n"})
	if snap = fetch(t, r, ""); snap.Distrust != nil {
		t.Errorf("its key is known: %v", snap.Distrust)
	}
}

// The forms of an allowed signers file, judged by ssh-keygen as well.
func TestAllowedSigners(t *testing.T) {
	t.Parallel()
	keygen := program(t, "ssh-keygen")
	o := newOrigin(t)
	o.commit("main", "", "unsigned", files{"f/a": "0"})
	file, public := newKeyFile(t, "")
	authority := newKey(t)
	cert := &ssh.Certificate{Key: public, CertType: ssh.UserCert, ValidPrincipals: []string{"ada@example.org"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	plain := o.signs("plain", "main", "plain", "", bySSH(file)...)
	put(t, filepath.Dir(file), files{"id_ed25519-cert.pub": authorized(cert) + "\n"})
	certified := o.signs("certified", "main", "certified", "", bySSH(file+"-cert.pub")...)
	other := authorized(newKey(t).PublicKey())
	for line, want := range map[string][2]bool{ // plain, certified
		"ada@example.org " + authorized(public):                                   {true, false},
		`"ada@example.org" ` + authorized(public):                                 {true, false},
		`a@b,*@example.org namespaces="file,g*" ` + authorized(public):            {true, false},
		`* namespaces="file" ` + authorized(public):                               {false, false},
		`* valid-after="20270101",valid-before="20280101Z" ` + authorized(public): {true, false},
		`* valid-before="20270101" ` + authorized(public):                         {false, false},
		`* valid-after="202801010000Z" ` + authorized(public):                     {false, false},
		"* " + other: {false, false},
		`*@example.org cert-authority ` + authorized(authority.PublicKey()):                    {false, true},
		`*@example.com cert-authority ` + authorized(authority.PublicKey()):                    {false, false},
		`!ada@*,*@example.org cert-authority ` + authorized(authority.PublicKey()):             {false, false},
		`ada@example.org cert-authority,namespaces="git" ` + authorized(authority.PublicKey()): {false, true},
		`* cert-authority ` + other: {false, false},
	} {
		allowed := allowedFile(t, line)
		for i, branch := range []string{"plain", "certified"} {
			trust := gitrepo.Trust{Policy: gitrepo.TrustWarn, AllowedSigners: allowed}
			snap := fetch(t, open(t, gitrepo.Options{URL: o.dir, Branch: branch, Trust: trust}), "")
			if got := snap.Distrust == nil; got != want[i] {
				t.Errorf("%s, %s: believed %v: %v", line, branch, got, snap.Distrust)
			}
			if got := o.verified(keygen, allowed, []string{plain, certified}[i]); got != want[i] {
				t.Errorf("%s, %s: Git says %v", line, branch, got)
			}
		}
	}
	for line, text := range map[string]string{
		"ada@example.org":                         "line 1: expected principals",
		`* valid-after="soon" ` + other:           `"soon" is no time`,
		"# fine\n* no-touch-required-at " + other: `line 2: the option "no-touch-required-at" is not known`,
	} {
		trust := gitrepo.Trust{Policy: gitrepo.TrustRequire, AllowedSigners: allowedFile(t, line)}
		_, err := open(t, gitrepo.Options{URL: o.dir, Branch: "plain", Trust: trust}).Fetch(t.Context(), "")
		wantError(t, err, drivers.Rejected, text)
	}
}

// verified is what Git itself says of a commit.
func (o *origin) verified(keygen, allowed, commit string) bool {
	o.tb.Helper()
	cmd := exec.Command("git", "-C", o.dir, "-c", "gpg.ssh.program="+keygen, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", commit)
	cmd.Env = append(gitEnv(), "PATH="+os.Getenv("PATH"))
	return cmd.Run() == nil
}

// What was changed after it was signed, signed for something else, or signed
// twice does not count.
func TestForgedSignatures(t *testing.T) {
	t.Parallel()
	keygen := program(t, "ssh-keygen")
	o := newOrigin(t)
	o.commit("main", "", "unsigned", files{"f/a": "0"})
	file, public := newKeyFile(t, "")
	signed := o.signs("main", "main", "good", "", bySSH(file)...)
	text := o.git("cat-file", "commit", signed) + "\n"
	payload := o.git("cat-file", "commit", "scratch") + "\n"
	out := filepath.Join(t.TempDir(), "m")
	put(t, filepath.Dir(out), files{"m": payload})
	if b, err := exec.Command(keygen, "-Y", "sign", "-n", "file", "-f", file, out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	sig, err := os.ReadFile(out + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(payload, "\n\n")
	folded := "gpgsig " + strings.ReplaceAll(strings.TrimSpace(string(sig)), "\n", "\n ")
	start, end := strings.Index(text, "gpgsig "), strings.Index(text, "\n\n")
	own := text[start:end]
	for name, c := range map[string]struct{ object, text string }{
		"changed":        {strings.Replace(text, "good", "evil", 1), "not of this commit"},
		"namespace":      {header + "\n" + folded + "\n\n" + rest, `is for "file"`},
		"twice":          {strings.Replace(text, own, own+"\n "+strings.ReplaceAll(strings.TrimPrefix(own, "gpgsig "), "\n ", "\n "), 1), "more than one signature"},
		"cut":            {strings.Replace(text, own, own[:120]+"\n -----END SSH SIGNATURE-----", 1), "cannot be read"},
		"of other kinds": {strings.Replace(text, own, "gpgsig -----BEGIN SIGNED MESSAGE-----\n x\n -----END SIGNED MESSAGE-----", 1), "neither of SSH nor of OpenPGP"},
		"openpgp":        {strings.Replace(text, own, "gpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----", 1), "no keyring is set"},
	} {
		hash := o.run(o.dir, c.object, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
		o.git("update-ref", "refs/heads/forged", hash)
		trust := gitrepo.Trust{Policy: gitrepo.TrustRequire, AllowedSigners: allowedFile(t, "* "+authorized(public))}
		_, err := open(t, gitrepo.Options{URL: o.dir, Branch: "forged", Trust: trust}).Fetch(t.Context(), "")
		if err == nil {
			t.Errorf("%s: believed", name)
			continue
		}
		wantError(t, err, drivers.Rejected, c.text)
	}
}

// gpgHome makes keys with gpg and gives their exports, public and private.
func gpgHome(tb testing.TB, word string) (home, public, private string) {
	tb.Helper()
	gpg := program(tb, "gpg")
	home = tb.TempDir()
	if err := os.Chmod(home, 0o700); err != nil { // gpg insists
		tb.Fatal(err)
	}
	run := func(args ...string) []byte {
		cmd := exec.Command(gpg, append([]string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", word}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			tb.Fatalf("gpg %v: %v", args, err)
		}
		return out
	}
	tb.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	run("--quick-generate-key", "Ada <ada@example.org>", "ed25519", "sign", "never")
	dir := tb.TempDir()
	put(tb, dir, files{"public": string(run("--export")), "private": string(run("--armor", "--export-secret-keys"))})
	return home, filepath.Join(dir, "public"), filepath.Join(dir, "private")
}

// OpenPGP: what gpg signs for somebody of the keyring is believed.
func TestRequireOpenPGP(t *testing.T) {
	t.Parallel()
	home, keyring, private := gpgHome(t, "")
	_, foreign, _ := gpgHome(t, "")
	o := newOrigin(t)
	o.commit("main", "", "unsigned", files{"f/a": "0"})
	o.signs("main", "main", "good", home, "-c", "user.signingKey=ada@example.org")
	for name, c := range map[string]struct{ keyring, text string }{
		"known": {keyring, ""}, "armored, with the private half": {private, ""},
		"foreign": {foreign, "which is not in the keyring"}, "none": {keyring + "x", "no such file"}, "nonsense": {allowedFile(t, "x"), "cannot be verified"},
	} {
		r := open(t, gitrepo.Options{URL: o.dir, Trust: gitrepo.Trust{Policy: gitrepo.TrustRequire, Keyring: c.keyring}})
		_, err := r.Fetch(t.Context(), "")
		if c.text == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantError(t, err, drivers.Rejected, c.text)
	}
	r := open(t, gitrepo.Options{URL: o.dir, Trust: gitrepo.Trust{Policy: gitrepo.TrustRequire, AllowedSigners: allowedFile(t)}})
	_, err := r.Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "signed by an OpenPGP key, and no keyring")
}

// A key that was revoked takes its commits along.
func TestRevokedOpenPGP(t *testing.T) {
	t.Parallel()
	home, _, _ := gpgHome(t, "")
	o := newOrigin(t)
	o.commit("main", "", "unsigned", files{"f/a": "0"})
	o.signs("main", "main", "good", home, "-c", "user.signingKey=ada@example.org")
	made, err := filepath.Glob(filepath.Join(home, "openpgp-revocs.d", "*.rev"))
	if err != nil || len(made) != 1 {
		t.Fatalf("%v, %v", made, err)
	}
	text, err := os.ReadFile(made[0])
	if err != nil {
		t.Fatal(err)
	}
	put(t, home, files{"rev": strings.Replace(string(text), ":-----BEGIN", "-----BEGIN", 1)})
	for _, args := range [][]string{{"--import", filepath.Join(home, "rev")}, {"--output", filepath.Join(home, "revoked"), "--export"}} {
		if out, err := exec.Command("gpg", append([]string{"--homedir", home, "--batch"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	r := open(t, gitrepo.Options{URL: o.dir, Trust: gitrepo.Trust{Policy: gitrepo.TrustRequire, Keyring: filepath.Join(home, "revoked")}})
	_, err = r.Fetch(t.Context(), "")
	wantError(t, err, drivers.Rejected, "revoked")
}

// Status commits are signed so that Git, with ssh-keygen or gpg, believes them;
// keys with a passphrase and keys in an agent included.
func TestStatusIsSigned(t *testing.T) {
	t.Parallel()
	keygen := program(t, "ssh-keygen")
	_, s := withBoard(t)
	said := func() (string, error) { return secret, nil }
	locked, public := newKeyFile(t, secret)
	inAgent := newKey(t)
	publicFile := allowedFile(t, authorized(inAgent.PublicKey()))
	rsa := filepath.Join(t.TempDir(), "rsa")
	if out, err := exec.Command(keygen, "-q", "-t", "rsa", "-b", "2048", "-N", "", "-m", "PEM", "-f", rsa).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rsaPublic, err := os.ReadFile(rsa + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key     gitrepo.SSH
		allowed string
	}{
		"passphrase": {gitrepo.SSH{KeyFile: locked, Passphrase: said}, authorized(public)},
		"rsa":        {gitrepo.SSH{KeyFile: rsa}, string(rsaPublic)},
		"agent":      {gitrepo.SSH{KeyFile: publicFile, Agent: serveAgent(t, newKey(t), inAgent)}, authorized(inAgent.PublicKey())},
	} {
		o, s := withBoard(t)
		var w ours
		tip := write(t, open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Sign: gitrepo.SignSSH(c.key)}), w.commit(files{"a": "1"}))
		if !o.verified(keygen, allowedFile(t, "* "+c.allowed), tip) {
			t.Errorf("%s: Git does not believe it", name)
		}
		if o.verified(keygen, allowedFile(t, "* "+authorized(newKey(t).PublicKey())), tip) {
			t.Errorf("%s: Git believes everything", name)
		}
		o.git("fsck", "--strict")
		// And we believe ourselves, where status is on the branch of the fleet.
		snap := fetch(t, open(t, gitrepo.Options{URL: s.repoURL(), Branch: statusBranch, Trust: gitrepo.Trust{
			Policy: gitrepo.TrustRequire, AllowedSigners: allowedFile(t, "* "+c.allowed),
		}}), "")
		diffOf(t, "commit", snap.Commit, tip)
	}
	for text, sign := range map[string]gitrepo.Sign{
		"does not open":              gitrepo.SignSSH(gitrepo.SSH{KeyFile: locked, Passphrase: func() (string, error) { return "wrong-" + secret, nil }}),
		"no such file":               gitrepo.SignSSH(gitrepo.SSH{KeyFile: locked + "x"}),
		"is a public one":            gitrepo.SignSSH(gitrepo.SSH{KeyFile: publicFile}),
		"does not have the key of":   gitrepo.SignSSH(gitrepo.SSH{KeyFile: publicFile, Agent: serveAgent(t, newKey(t))}),
		"OpenPGP key: open":          gitrepo.SignOpenPGP(locked+"x", nil),
		"OpenPGP key: " + publicFile: gitrepo.SignOpenPGP(publicFile, nil),
	} {
		var w ours
		_, err := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Sign: sign}).WriteStatus(t.Context(), w.commit(files{"a": "1"}))
		wantError(t, err, drivers.Denied, "build status commit: sign: ", text)
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q", err)
		}
	}
}

func TestStatusIsSignedWithOpenPGP(t *testing.T) {
	t.Parallel()
	home, keyring, private := gpgHome(t, secret)
	o, s := withBoard(t)
	sign := gitrepo.SignOpenPGP(private, func() (string, error) { return secret, nil })
	r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Sign: sign})
	var w ours
	tip := write(t, r, w.commit(files{"a": "1"}))
	cmd := exec.Command("git", "-C", o.dir, "verify-commit", "--raw", tip)
	cmd.Env = append(gitEnv(), "PATH="+os.Getenv("PATH"), "GNUPGHOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "GOODSIG") {
		t.Errorf("gpg says %v\n%s", err, out)
	}
	o.git("fsck", "--strict")
	trust := gitrepo.Trust{Policy: gitrepo.TrustRequire, Keyring: keyring}
	fetch(t, open(t, gitrepo.Options{URL: s.repoURL(), Branch: statusBranch, Trust: trust}), "")
	for text, word := range map[string]func() (string, error){
		"has a passphrase": nil, "does not open": func() (string, error) { return "wrong", nil },
	} {
		r := open(t, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch, Sign: gitrepo.SignOpenPGP(private, word)})
		_, err := r.WriteStatus(t.Context(), w.commit(files{"a": time.Now().String()}))
		wantError(t, err, drivers.Denied, text)
	}
}

// A server that gives no single commits is asked for the history once, not at
// every poll.
func TestHeldAfterRestartCostsOnce(t *testing.T) {
	t.Parallel()
	program(t, "ssh-keygen")
	o := newOrigin(t)
	first := o.commit("main", "", "never signed", files{"f/a": "0", "f/big": noise(100_000)})
	o.commit("main", "main", "nor this", files{"f/a": "1"}, "f/big")
	s := serve(t, o)
	r := open(t, gitrepo.Options{URL: s.repoURL(), Trust: gitrepo.Trust{Policy: gitrepo.TrustRequire, AllowedSigners: allowedFile(t)}})
	for i := range 3 {
		_, err := r.Fetch(t.Context(), first)
		wantError(t, err, drivers.Rejected, "nor this")
		if got, sent := s.seen(); i > 0 && (got != "list upload-pack" || sent > 5_000) {
			t.Errorf("poll %d sent %s and brought %d bytes", i, got, sent)
		}
	}
}
