package pki_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers/pki"
)

// Whatever a store holds, Parse gives coherent keys or an error that repeats
// nothing of it.
func FuzzParse(f *testing.F) {
	good := filesOf(f, newKeys(f, 1))
	for i, file := range good {
		f.Add(i, file.Text.Reveal())
		f.Add((i+1)%len(good), file.Text.Reveal())
		f.Add(i, file.Text.Reveal()+good[(i+2)%len(good)].Text.Reveal())
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		if i < 0 || i >= len(good) {
			return
		}
		for _, text := range []string{text, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(text)})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(text)}))} {
			keys, err := pki.Parse(with(good, good[i].Name, text))
			if err != nil {
				leaks(t, err.Error(), long(text))
				continue
			}
			if _, err := pki.Parse(filesOf(t, keys)); err != nil {
				t.Errorf("its own files: %v", err)
			}
		}
	})
}

// long are the lines of a text that our own words are too short to have in them.
func long(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if len(line) > 32 {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Whatever is asked, what is signed is a leaf for TLS that its authority's
// readers take.
func FuzzSign(f *testing.F) {
	keys := newKeys(f, 1)
	key := ecKey(f, elliptic.P256())
	for _, text := range []string{
		csr(f, joe, key), csr(f, joe, key, usage(f, 2)), csr(f, joe, key, extension(f, 19, basic{CA: true})),
		csr(f, x509.CertificateRequest{Subject: joe.Subject, DNSNames: []string{"a.b"}}, key, usage(f, 1)),
	} {
		block, _ := pem.Decode([]byte(text))
		f.Add([]byte(text), false)
		f.Add(block.Bytes, true)
	}
	f.Fuzz(func(t *testing.T, text []byte, wrap bool) {
		if wrap {
			text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: text})
		}
		r, err := pki.ParseRequest(string(text))
		if err != nil {
			leaks(t, err.Error(), long(string(text)))
			return
		}
		cert, err := keys.Cluster.Sign(r, terms(1))
		if err != nil {
			t.Fatalf("allowed, but not signed: %v", err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(keys.Cluster.Certificate())
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Error(err)
		}
		if cert.IsCA || cert.Subject.CommonName != r.User || len(cert.ExtKeyUsage) == 0 {
			t.Errorf("CA %v, %s for %s, %v", cert.IsCA, cert.Subject, r.User, cert.ExtKeyUsage)
		}
	})
}
