package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/drivers/pki"
)

func terms(seed byte) pki.Terms {
	return pki.Terms{Now: now, Random: random(seed), Lifetime: time.Hour}
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// csr writes a request with extensions as they are, after those of the template.
func csr(t testing.TB, template x509.CertificateRequest, key crypto.Signer, extensions ...pkix.Extension) string {
	t.Helper()
	template.ExtraExtensions = append(template.ExtraExtensions, extensions...)
	der, err := x509.CreateCertificateRequest(nil, &template, key)
	return encode(t, "CERTIFICATE REQUEST", der, err)
}

func extension(t testing.TB, last int, value any) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, last}, Value: der}
}

// usage is an extended key usage of 1.3.6.1.5.5.7.3.<each>.
func usage(t testing.TB, each ...int) pkix.Extension {
	t.Helper()
	var ids []asn1.ObjectIdentifier
	for _, id := range each {
		ids = append(ids, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, id})
	}
	return extension(t, 37, ids)
}

type basic struct {
	CA bool `asn1:"optional"`
}

var joe = x509.CertificateRequest{Subject: pkix.Name{CommonName: "joe", Organization: []string{"dev", "ops"}}}

func TestSignAccepts(t *testing.T) {
	t.Parallel()
	keys, p256 := newKeys(t, 1), ecKey(t, elliptic.P256())
	_, ed, _ := ed25519.GenerateKey(nil)
	server := x509.CertificateRequest{Subject: pkix.Name{CommonName: "api"}, DNSNames: []string{"kubernetes.default.svc", "*.blue.example.org"}, IPAddresses: []net.IP{net.ParseIP("10.0.0.1").To4(), net.ParseIP("2001:db8::1")}}
	signs := extension(t, 15, asn1.BitString{Bytes: []byte{0xa0}, BitLength: 3}) // digital signature, key encipherment
	const client, both = "sslclient", "sslclient sslserver"
	for _, tt := range []struct{ outcome, csr, purposes string }{
		{"no usage is a client's", csr(t, joe, p256), client},
		{"client auth", csr(t, joe, p256, usage(t, 2)), client},
		{"server auth", csr(t, server, p256, usage(t, 1)), "sslserver"},
		{"both", csr(t, server, p256, usage(t, 1, 2)), both},
		{"every extension", csr(t, server, p256, usage(t, 2, 1), signs, extension(t, 19, basic{}), extension(t, 14, []byte{1, 2})), both},
		{"P-384", csr(t, joe, ecKey(t, elliptic.P384())), client},
		{"P-521", csr(t, joe, ecKey(t, elliptic.P521())), client},
		{"Ed25519", csr(t, joe, ed), client},
		{"the old header", strings.ReplaceAll(csr(t, joe, p256), "CERTIFICATE REQ", "NEW CERTIFICATE REQ"), client},
		{"RSA 2048, text in front", openssl(t, "", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", write(t, "k", ""), "-subj", "/O=dev/O=ops/CN=joe", "-text"), client},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			r, err := pki.ParseRequest(tt.csr)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := keys.Cluster.Sign(r, terms(2))
			if err != nil {
				t.Fatal(err)
			}
			if r.User == "joe" && !slices.Equal(r.Groups, []string{"dev", "ops"}) || cert.Subject.CommonName != r.User || !slices.Equal(cert.Subject.Organization, r.Groups) {
				t.Errorf("request of %s %v, certificate of %s", r.User, r.Groups, cert.Subject)
			}
			if cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 || cert.KeyUsage&^(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment) != 0 {
				t.Errorf("CA %v, key usage %b", cert.IsCA, cert.KeyUsage)
			}
			if rsa := cert.PublicKeyAlgorithm == x509.RSA; rsa != (cert.KeyUsage&x509.KeyUsageKeyEncipherment != 0) {
				t.Errorf("key usage %b of %v", cert.KeyUsage, cert.PublicKeyAlgorithm)
			}
			if d := cmp.Diff(r.DNS, cert.DNSNames) + cmp.Diff(r.IPs, cert.IPAddresses); d != "" {
				t.Error(d)
			}
			good(t, keys.Cluster, cert, tt.purposes)
		})
	}
}

// good wants a certificate to be good for the purposes and no others, by both
// judges.
func good(t testing.TB, a pki.Authority, cert *x509.Certificate, purposes string) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate())
	for purpose, usage := range map[string]x509.ExtKeyUsage{"sslclient": x509.ExtKeyUsageClientAuth, "sslserver": x509.ExtKeyUsageServerAuth} {
		_, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		if got, want := err == nil, strings.Contains(purposes, purpose); got != want {
			t.Errorf("%s: crypto/x509 says %v", purpose, err)
		} else if want {
			verify(t, pki.EncodeCertificates(a.Certificate()), pki.EncodeCertificates(cert), purpose)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	key := ecKey(t, elliptic.P256())
	fine := csr(t, joe, key)
	changed := slices.Clone([]byte(fine))
	at := strings.Index(fine, "\n") + 60 // in the subject
	changed[at] ^= 1
	private, privateErr := x509.MarshalPKCS8PrivateKey(key)
	uri := &url.URL{Scheme: "spiffe", Host: "x"}
	named := func(names ...string) x509.CertificateRequest {
		var rdns pkix.RDNSequence
		for _, n := range names {
			rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: n}})
		}
		raw, err := asn1.Marshal(rdns)
		if err != nil {
			t.Fatal(err)
		}
		return x509.CertificateRequest{RawSubject: raw}
	}
	for _, tt := range []struct{ outcome, csr, want string }{
		{"empty", "", "it is empty"},
		{"no PEM", "hunter2", "it is not PEM"},
		{"two", fine + fine, "expected one request, not 2"},
		{"the key with it", fine + encode(t, "PRIVATE KEY", private, privateErr), "it has a private key in it"},
		{"a certificate", encode(t, "CERTIFICATE", []byte("x"), nil), "it has a certificate in it"},
		{"no DER", encode(t, "CERTIFICATE REQUEST", []byte("x"), nil), "it is damaged"},
		{"changed on the way", string(changed), "certificate request: it"},
		{"P-224", csr(t, joe, ecKey(t, elliptic.P224())), "another curve"},
		{"RSA 1024", openssl(t, "", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", write(t, "k", ""), "-subj", "/CN=joe"), "2048 to 8192 bits, not 1024"},
		{"CA", csr(t, joe, key, extension(t, 19, basic{CA: true})), "CA:TRUE"},
		{"signs certificates", csr(t, joe, key, extension(t, 15, asn1.BitString{Bytes: []byte{0x04}, BitLength: 6})), "more than digital signature"},
		{"signs code", csr(t, joe, key, usage(t, 2, 3)), "more than client and server auth"},
		{"no usage in the usages", csr(t, joe, key, usage(t)), "extended key usage is damaged"},
		{"any usage", csr(t, joe, key, extension(t, 37, []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}})), "more than client and server auth"},
		{"name constraints", csr(t, joe, key, extension(t, 30, []int{})), "2.5.29.30 is not allowed"},
		{"an e-mail address", csr(t, x509.CertificateRequest{Subject: joe.Subject, EmailAddresses: []string{"a@b"}}, key), "more than DNS names and IP"},
		{"a URI", csr(t, x509.CertificateRequest{Subject: joe.Subject, URIs: []*url.URL{uri}}, key), "more than DNS names and IP"},
		{"another name", csr(t, joe, key, extension(t, 17, []asn1.RawValue{{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{5, 0}}})), "more than DNS names and IP"},
		{"no DNS name", csr(t, x509.CertificateRequest{Subject: joe.Subject, DNSNames: []string{"a b"}}, key), "is none"},
		{"server without a name", csr(t, joe, key, usage(t, 1)), "needs a subject alternative name"},
		{"no CN", csr(t, x509.CertificateRequest{}, key), "CN: the name is missing"},
		{"two CNs", csr(t, named("joe", "admin"), key), "more than one CN"},
		{"a CN with a line break", csr(t, named("joe\nadmin"), key), "U+000A"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			_, err := pki.ParseRequest(tt.csr)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			leaks(t, err.Error(), tt.csr)
		})
	}
}

func TestTermsAreClamped(t *testing.T) {
	t.Parallel()
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	keys := newKeys(t, 1) // for ten years from now
	begin, end := keys.Cluster.Certificate().NotBefore, keys.Cluster.Certificate().NotAfter
	for _, tt := range []struct {
		outcome       string
		at            time.Time
		lifetime, max time.Duration
		granted       time.Duration // from at; 0: refused
		refused       string
	}{
		{"as asked", now, day, 0, day, ""},
		{"nothing asked", now, 0, 0, year, ""},
		{"nothing asked, a maximum", now, 0, day, day, ""},
		{"more than the maximum", now, 2 * day, day, day, ""},
		{"more than the default", now, 9 * year, 0, year, ""},
		{"less than a minute", now, time.Second, 0, time.Minute, ""},
		{"beyond the authority", end.Add(-time.Hour), day, 0, time.Hour, ""},
		{"the authority's last minute", end.Add(-59 * time.Second), day, 0, 0, "less than 1m0s from now"},
		{"the authority is over", end.Add(time.Second), day, 0, 0, "it expired"},
		{"the authority is to come", begin.Add(-time.Second), day, 0, 0, "is the clock right?"},
		{"negative", now, -1, 0, 0, "negative"},
		{"negative maximum", now, 0, -1, 0, "negative"},
		{"a maximum of nothing", now, 0, time.Second, 0, "longest lifetime"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			c, err := keys.Cluster.Client(pki.Client{User: "joe"}, pki.Terms{Now: tt.at, Random: random(1), Lifetime: tt.lifetime, Max: tt.max})
			if tt.granted == 0 {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("got %v, want %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := c.Certificate.NotAfter, tt.at.Add(tt.granted).Truncate(time.Second); !got.Equal(want) {
				t.Errorf("until %v, want %v", got, want)
			}
			if got := c.Certificate.NotBefore; got.Before(begin) || got.After(tt.at.Add(-59*time.Minute)) {
				t.Errorf("from %v", got)
			}
		})
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	c, err := keys.Cluster.Client(pki.Client{User: "joe", Groups: []string{"ops", "dev", "ops"}}, terms(2))
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Certificate.Subject; s.CommonName != "joe" || !slices.Equal(s.Organization, []string{"dev", "ops"}) {
		t.Errorf("subject %s", s)
	}
	good(t, keys.Cluster, c.Certificate, "sslclient")
	for want, bad := range map[string]pki.Client{
		"user: the name is missing":  {},
		"group: the name is missing": {User: "joe", Groups: []string{""}},
		"U+202E":                     {User: "joe\u202e"},
		"longer than 256":            {User: strings.Repeat("x", 257)},
	} {
		if _, err := keys.Cluster.Client(bad, terms(2)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// The zero values are refused, and do not panic.
func TestNothingSignsNothing(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	r, err := pki.ParseRequest(csr(t, joe, ecKey(t, elliptic.P256())))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Cluster.Sign(&pki.Request{User: "joe", Client: true}, terms(1)); err == nil {
		t.Error("a request made by hand was signed")
	}
	if _, err := (pki.Authority{}).Sign(r, terms(1)); err == nil {
		t.Error("no authority signed")
	}
	if _, err := (&pki.Keys{}).Files(); err == nil {
		t.Error("no keys have files")
	}
	if _, err := (pki.Credential{}).Key(); err == nil {
		t.Error("no credential has a key")
	}
	if s := (pki.Authority{}).String() + (pki.Credential{}).String() + (pki.Secret{}).Reveal(); s != "no authorityno credential" {
		t.Error(s)
	}
}
