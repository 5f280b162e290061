package pki_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers/pki"
)

func encode(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// opensslRSA is an authority as Magnum makes them: RSA, its key in PKCS#1.
func opensslRSA(t testing.TB, bits string) (cert, key string) {
	t.Helper()
	key = openssl(t, "", "genrsa", "-traditional", bits)
	cert = openssl(t, key, "req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=blue", "-days", "100",
		"-addext", "basicConstraints=critical,CA:TRUE,pathlen:0")
	return cert, key
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	keys, strange := newKeys(t, 1), newKeys(t, 2)
	good, other := filesOf(t, keys), texts(filesOf(t, strange))
	own := texts(good)
	client, err := keys.Cluster.Client(pki.Client{User: "joe"}, pki.Terms{Now: now, Random: random(3)})
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(nil)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), crand.Reader)
	edDER, edErr := x509.MarshalPKCS8PrivateKey(ed)
	p224DER, p224Err := x509.MarshalECPrivateKey(p224)
	flipped := slices.Clone(keys.Cluster.Certificate().Raw)
	flipped[len(flipped)-1] ^= 1
	for _, tt := range []struct{ outcome, file, text, want string }{
		{"empty", "ca.crt", " \n", "ca.crt: it is empty"},
		{"no PEM", "ca.key", "hunter2hunter2", "ca.key: it is not PEM"},
		{"too long", "ca.key", strings.Repeat("x", 70_000), "ca.key: it is longer than"},
		{"cut off", "etcd/ca.crt", own["etcd/ca.crt"][:200], "etcd/ca.crt: it is not PEM, or is cut off"},
		{"second cut off", "etcd/ca.crt", own["etcd/ca.crt"] + other["etcd/ca.crt"][:200], "etcd/ca.crt: one of its PEM blocks is damaged"},
		{"first cut off", "etcd/ca.crt", other["etcd/ca.crt"][:200] + "\n" + own["etcd/ca.crt"], "etcd/ca.crt: one of its PEM blocks is damaged"},
		{"key in place of certificate", "ca.crt", own["ca.key"], "ca.crt: block 1 is a private key"},
		{"key after certificate", "ca.crt", own["ca.crt"] + own["ca.key"], "ca.crt: block 2 is a private key"},
		{"certificate in place of key", "ca.key", own["ca.crt"], "ca.key: it is a certificate"},
		{"two keys", "ca.key", own["ca.key"] + own["sa.key"], "ca.key: expected one private key, not 2"},
		{"another's key", "ca.key", other["ca.key"], "ca.key: it is not the key of the first certificate in ca.crt"},
		{"wrong order of the bundle", "ca.crt", other["ca.crt"] + own["ca.crt"], "ca.key: it is not the key of the first"},
		{"twice in the bundle", "ca.crt", own["ca.crt"] + own["ca.crt"], "ca.crt: certificate 2 is there twice"},
		{"no authority", "ca.crt", pki.EncodeCertificates(client.Certificate), "ca.crt: certificate 1: it is not an authority's"},
		{"wrong signature", "ca.crt", encode(t, "CERTIFICATE", flipped, nil), "ca.crt: certificate 1: its signature is wrong"},
		{"damaged certificate", "ca.crt", encode(t, "CERTIFICATE", []byte("no DER"), nil), "ca.crt: certificate 1 is damaged"},
		{"damaged key", "ca.key", encode(t, "PRIVATE KEY", []byte("no DER"), nil), "ca.key: the private key is damaged"},
		{"Ed25519", "sa.key", encode(t, "PRIVATE KEY", edDER, edErr), "sa.key: the key is of another kind than ECDSA or RSA"},
		{"P-224", "sa.key", encode(t, "EC PRIVATE KEY", p224DER, p224Err), "sa.key: the key is on another curve"},
		{"encrypted", "sa.key", encode(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil), "sa.key: the private key is encrypted"},
		{"parameters alone", "sa.key", encode(t, "EC PARAMETERS", []byte("x"), nil), "sa.key: expected one private key, not 0"},
		{"another's public key", "sa.pub", other["sa.pub"], "sa.key: it is not the key of the first public key in sa.pub"},
		{"public key twice", "sa.pub", own["sa.pub"] + own["sa.pub"], "sa.pub: public key 2 is there twice"},
		{"certificate for public key", "sa.pub", own["ca.crt"], "sa.pub: block 1 is a certificate"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			_, err := pki.Parse(with(good, tt.file, tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			leaks(t, err.Error(), tt.text+own[tt.file])
		})
	}
}

func TestParseSaysEveryProblem(t *testing.T) {
	t.Parallel()
	good := filesOf(t, newKeys(t, 1))
	_, err := pki.Parse(append(good[:2:2], good[0], pki.File{Name: "hunter2"}))
	for _, want := range []string{"ca.crt: it is there twice", "file 4 of 4 has an unknown name", "etcd/ca.crt: it is missing", "sa.key: it is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an unknown name is repeated: %v", err)
	}
	_, err = pki.Parse(with(with(good, "ca.key", ""), "sa.pub", "?"))
	for _, want := range []string{"ca.key: it is empty", "sa.pub: it is not PEM"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// One key for two authorities lets whoever is trusted for one be so for the other.
func TestParseRefusesASharedKey(t *testing.T) {
	t.Parallel()
	files := filesOf(t, newKeys(t, 1))
	own := texts(files)
	files = with(with(files, "front-proxy-ca.crt", own["ca.crt"]), "front-proxy-ca.key", own["ca.key"])
	if _, err := pki.Parse(files); err == nil || !strings.Contains(err.Error(), "front-proxy-ca.key: it is the same key as ca.key") {
		t.Errorf("got %v", err)
	}
}

func TestBundlesAreKept(t *testing.T) {
	t.Parallel()
	keys, old := newKeys(t, 1), newKeys(t, 2)
	files, before := filesOf(t, keys), texts(filesOf(t, old))
	own := texts(files)
	files = with(with(files, "ca.crt", own["ca.crt"]+before["ca.crt"]), "sa.pub", own["sa.pub"]+before["sa.pub"])
	both, err := pki.Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(filesOf(t, both)); got["ca.crt"] != own["ca.crt"]+before["ca.crt"] || got["sa.pub"] != own["sa.pub"]+before["sa.pub"] {
		t.Error("the bundle changed")
	}
	if b := both.Cluster.Bundle(); len(b) != 2 || !b[0].Equal(keys.Cluster.Certificate()) || !b[1].Equal(old.Cluster.Certificate()) {
		t.Errorf("bundle %v", b)
	}
	if n := len(both.ServiceAccount.Public()); n != 2 {
		t.Errorf("%d public keys", n)
	}
	shown := both.Show()
	if len(shown) != 4 || !shown[0].Signs || shown[1].Signs || shown[1].File != "ca.crt" {
		t.Errorf("shown %+v", shown)
	}
	// A client of either authority is trusted; the first one signs.
	pool := x509.NewCertPool()
	for _, c := range both.Cluster.Bundle() {
		pool.AddCert(c)
	}
	for _, a := range []pki.Authority{both.Cluster, old.Cluster} {
		c, err := a.Client(pki.Client{User: "joe"}, pki.Terms{Now: now, Random: random(4)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Certificate.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Error(err)
		}
	}
}

// A cluster that was Magnum's has RSA keys: read and used, though never made.
func TestParseTakesKeysOfOthers(t *testing.T) {
	t.Parallel()
	cert, key := opensslRSA(t, "2048")
	files := with(with(filesOf(t, newKeys(t, 1)), "ca.crt", cert), "ca.key", key)
	keys, err := pki.Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	// This authority begins when the test runs, not at our time.
	at := keys.Cluster.Certificate().NotBefore.Add(time.Minute)
	c, err := keys.Cluster.Client(pki.Client{User: "joe"}, pki.Terms{Now: at, Random: random(2)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Certificate.CheckSignatureFrom(keys.Cluster.Certificate()); err != nil {
		t.Error(err)
	}
	if _, err := pki.Parse(filesOf(t, keys)); err != nil {
		t.Errorf("its own files: %v", err)
	}
	curve := openssl(t, "", "ecparam", "-name", "secp384r1", "-genkey") // with EC PARAMETERS in front
	public := openssl(t, curve, "pkey", "-pubout")
	if _, err := pki.Parse(with(with(files, "sa.key", curve), "sa.pub", public)); err != nil {
		t.Error(err)
	}
	weak, weakKey := opensslRSA(t, "1024")
	_, err = pki.Parse(with(with(files, "ca.crt", weak), "ca.key", weakKey))
	if err == nil || !strings.Contains(err.Error(), "an RSA key has 2048 to 8192 bits, not 1024") {
		t.Errorf("got %v", err)
	}
}

func TestCheckAndExpiring(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	end := keys.Etcd.Certificate().NotAfter
	for _, tt := range []struct {
		outcome  string
		at       time.Time
		within   time.Duration
		refused  string
		expiring int
	}{
		{"valid", now, 30 * 24 * time.Hour, "", 0},
		{"the last second", end, 0, "", 0},
		{"over", end.Add(time.Second), 0, "ca.crt: it expired on", 3},
		{"soon", end.Add(-24 * time.Hour), 25 * time.Hour, "", 3},
		{"not soon", end.Add(-24 * time.Hour), 23 * time.Hour, "", 0},
		{"a clock that is behind", now.Add(-30 * time.Minute), 0, "", 0},
		{"a clock of long ago", now.Add(-2 * time.Hour), 0, "is the clock right?", 0},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			err := keys.Check(tt.at)
			if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("got %v, want %q", err, tt.refused)
			}
			if got := keys.Expiring(tt.at, tt.within); len(got) != tt.expiring {
				t.Errorf("%d expiring, want %d", len(got), tt.expiring)
			}
		})
	}
	if err := (&pki.Keys{}).Check(now); err == nil {
		t.Error("no keys pass")
	}
}
