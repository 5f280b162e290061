package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"jeroboam.io/jeroboam/drivers/pki"
)

var now = time.Date(2026, 5, 17, 12, 30, 0, 500, time.UTC)

// random is the same bytes for the same seed.
func random(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

func newKeys(t testing.TB, seed byte) *pki.Keys {
	t.Helper()
	keys, err := pki.New("prod/blue", 0, now, random(seed))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func filesOf(t testing.TB, keys *pki.Keys) []pki.File {
	t.Helper()
	files, err := keys.Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func texts(files []pki.File) map[string]string {
	m := map[string]string{}
	for _, f := range files {
		m[f.Name] = f.Text.Reveal()
	}
	return m
}

// with replaces the text of one file.
func with(files []pki.File, name, text string) []pki.File {
	files = slices.Clone(files)
	for i := range files {
		if files[i].Name == name {
			files[i].Text = pki.NewSecret(text)
		}
	}
	return files
}

func TestNewMakesAuthoritiesAsKubeadmNamesThem(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	serials := map[string]bool{}
	for _, tt := range []struct {
		authority pki.Authority
		cn        string
	}{{keys.Cluster, "kubernetes"}, {keys.Etcd, "etcd-ca"}, {keys.FrontProxy, "front-proxy-ca"}} {
		c := tt.authority.Certificate()
		if c.Subject.CommonName != tt.cn || !slices.Equal(c.Subject.OrganizationalUnit, []string{"prod/blue"}) || c.Subject.Organization != nil {
			t.Errorf("%s: subject %s", tt.cn, c.Subject)
		}
		if !c.IsCA || !c.BasicConstraintsValid || c.MaxPathLen != 0 || !c.MaxPathLenZero {
			t.Errorf("%s: CA %v, path length %d", tt.cn, c.IsCA, c.MaxPathLen)
		}
		for _, e := range c.Extensions {
			if id := e.Id.String(); (id == "2.5.29.19" || id == "2.5.29.15") && !e.Critical {
				t.Errorf("%s: extension %s is not critical", tt.cn, id)
			}
		}
		if want := x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature; c.KeyUsage != want {
			t.Errorf("%s: key usage %b, want %b", tt.cn, c.KeyUsage, want)
		}
		if len(c.SubjectKeyId) == 0 {
			t.Errorf("%s: no subject key id", tt.cn)
		}
		if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("%s: key %T", tt.cn, c.PublicKey)
		}
		if got, want := c.NotBefore, time.Date(2026, 5, 17, 11, 30, 0, 0, time.UTC); !got.Equal(want) {
			t.Errorf("%s: not before %v, want %v", tt.cn, got, want)
		}
		if got, want := c.NotAfter, now.Add(10*365*24*time.Hour).Truncate(time.Second); !got.Equal(want) {
			t.Errorf("%s: not after %v, want %v", tt.cn, got, want)
		}
		if c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > 128 || serials[c.SerialNumber.String()] {
			t.Errorf("%s: serial %v", tt.cn, c.SerialNumber)
		}
		serials[c.SerialNumber.String()] = true
	}
}

func TestNewIsPure(t *testing.T) {
	t.Parallel()
	a, b, other := texts(filesOf(t, newKeys(t, 1))), texts(filesOf(t, newKeys(t, 1))), texts(filesOf(t, newKeys(t, 2)))
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("same arguments, other keys:\n%s", d)
	}
	for name := range a {
		if a[name] == other[name] {
			t.Errorf("%s: other randomness, same text", name)
		}
	}
}

type constant byte

func (c constant) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		outcome, cluster string
		lifetime         time.Duration
		random           io.Reader
		want             string
	}{
		{"no name", "", 0, random(1), "cluster: the name is missing"},
		{"long name", strings.Repeat("ü", 65), 0, random(1), "longer than 64"},
		{"not UTF-8", "a\xff", 0, random(1), "not UTF-8"},
		{"control character", "a\nb", 0, random(1), "U+000A"},
		{"negative lifetime", "a", -1, random(1), "lifetime"},
		{"short lifetime", "a", time.Second, random(1), "lifetime"},
		{"endless lifetime", "a", 200 * 365 * 24 * time.Hour, random(1), "lifetime"},
		{"random ends", "a", 0, strings.NewReader("short"), "read randomness"},
		{"random is zeros", "a", 0, constant(0), "broken"},
		{"random is ones", "a", 0, constant(0xff), "broken"},
		{"random is one byte", "a", 0, constant(7), ""}, // a key, though always the same: Parse finds it
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			keys, err := pki.New(tt.cluster, tt.lifetime, now, tt.random)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				_, err = pki.Parse(filesOf(t, keys))
				tt.want = "it is the same key as ca.key"
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := pki.New("a", 0, now, strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("the reader's error is lost: %v", err)
	}
}

// New, Files, Parse, Files is the identity, in whatever order a store gives the texts.
func TestParseGivesWhatFilesGave(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zA-Z0-9äß/ ._'":#-]{1,64}`).Draw(t, "name")
		lifetime := time.Duration(rapid.Int64Range(int64(time.Minute), int64(50*365*24*time.Hour)).Draw(t, "lifetime"))
		keys, err := pki.New(name, lifetime, now, random(rapid.Byte().Draw(t, "seed")))
		if err != nil {
			t.Fatal(err)
		}
		files, err := keys.Files()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Name)
			if got, want := f.Private(), strings.Contains(f.Text.Reveal(), "PRIVATE KEY"); got != want {
				t.Fatalf("%s: private %v, want %v", f.Name, got, want)
			}
		}
		if d := cmp.Diff(pki.Names(), names); d != "" {
			t.Fatal(d)
		}
		again, err := pki.Parse(rapid.Permutation(files).Draw(t, "order"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := again.Files()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(texts(files), texts(out)); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(keys.Show(), again.Show()); d != "" {
			t.Fatal(d)
		}
	})
}
