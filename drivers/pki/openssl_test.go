package pki_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers/pki"
)

// openssl runs the program, which knows nothing of us.
func openssl(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("the openssl program is missing: nobody else judges our certificates")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// verify asks openssl, strictly, whether a certificate is good for a purpose.
func verify(t testing.TB, authority, cert, purpose string) {
	t.Helper()
	out := openssl(t, cert, "verify", "-x509_strict", "-check_ss_sig", "-attime", fmt.Sprint(now.Unix()), "-purpose", purpose, "-CAfile", write(t, "ca.crt", authority), "/dev/stdin")
	if !strings.Contains(out, "OK") {
		t.Errorf("openssl: %s", out)
	}
}

func TestOpensslTakesTheKeys(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	files := texts(filesOf(t, keys))
	for _, name := range []string{"ca", "etcd/ca", "front-proxy-ca"} {
		cert, key := files[name+".crt"], files[name+".key"]
		verify(t, cert, cert, "any")
		if got, want := openssl(t, key, "pkey", "-pubout"), openssl(t, cert, "x509", "-noout", "-pubkey"); got != want {
			t.Errorf("%s: openssl sees another key than the certificate's", name)
		}
		openssl(t, key, "pkey", "-check", "-noout")
	}
	if got := openssl(t, files["sa.key"], "pkey", "-pubout"); got != files["sa.pub"] {
		t.Errorf("sa.pub: openssl writes\n%s", got)
	}
	got := openssl(t, files["ca.crt"], "x509", "-noout", "-fingerprint", "-sha256")
	if want := pki.Fingerprint(keys.Cluster.Certificate()); !strings.HasSuffix(strings.TrimSpace(got), "="+want) {
		t.Errorf("fingerprint %s, openssl says %s", want, got)
	}
	der := openssl(t, openssl(t, files["ca.crt"], "x509", "-noout", "-pubkey"), "pkey", "-pubin", "-outform", "DER")
	sum := openssl(t, der, "dgst", "-sha256", "-r")
	if want := pki.PublicKeyHash(keys.Cluster.Certificate()); want != "sha256:"+strings.Fields(sum)[0] {
		t.Errorf("public key hash %s, openssl says %s", want, sum)
	}
}
