package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

func TestServerOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://203.0.113.7:6443/": "https://203.0.113.7:6443",
		"203.0.113.7":               "https://203.0.113.7:6443",
		"203.0.113.7:8443":          "https://203.0.113.7:8443",
		"2001:db8::7":               "https://[2001:db8::7]:6443",
		"[2001:db8::7]:443":         "https://[2001:db8::7]:443",
		"":                          "",
		"203.0.113.7:x":             "",
		"a b":                       "",
	} {
		have, err := serverOf(diff.Observed{APIAddress: address})
		if (err == nil) != (want != "") || err == nil && have != want {
			t.Errorf("%q: have %q, %v, want %q", address, have, err, want)
		}
	}
}

// showing is a driver that sees one cluster.
type showing struct {
	drivers.Driver
	seen diff.Observed
}

func (s showing) Observe(context.Context) ([]diff.Observed, error) {
	return []diff.Observed{s.seen}, nil
}

// keyless keeps nothing.
type keyless struct{ drivers.Keeper }

func (keyless) Keys(context.Context, schema.Key) (*pki.Keys, error) {
	return nil, errors.New("nobody should have asked for keys")
}

func TestKubeconfigAddressAndTLS(t *testing.T) {
	t.Parallel()
	cloud := drivertest.NewMemory()
	if err := cloud.KeepKeys("us", "web"); err != nil {
		t.Fatal(err)
	}
	d, err := cloud.Open(t.Context(), drivers.Options{Cloud: "lab", Owner: "us"})
	if err != nil {
		t.Fatal(err)
	}
	key := schema.Key{Cloud: "lab", Name: "web"}
	seen := diff.Observed{Key: key, Owner: diff.Ours, Status: diff.CreateComplete, APIAddress: "203.0.113.7", Spec: &schema.Spec{COE: "kubernetes"}}
	make := func(keeper drivers.Keeper, seen diff.Observed, server string) (stdout, stderr string, err error) {
		var out, said bytes.Buffer
		a := &app{stdout: &out, stderr: &said, output: "text", now: time.Now, getenv: func(string) string { return "" }}
		err = a.writeKubeconfig(t.Context(), keyed{keeper, showing{d, seen}, key, schema.Config{}},
			kubeconfigFlags{lifetime: time.Hour, groups: []string{pki.Masters}, server: server})
		return out.String(), said.String(), err
	}
	text, said, err := make(d.(drivers.Keeper), seen, "")
	if err != nil || said != "" || !strings.Contains(text, "server: https://203.0.113.7:6443\n") || !strings.Contains(text, "user: admin@lab/web\n") {
		t.Errorf("%v, said %q", err, said)
	}
	if text, _, err = make(d.(drivers.Keeper), seen, "https://api.example.org:443"); err != nil || !strings.Contains(text, "server: https://api.example.org:443\n") {
		t.Errorf("--server does not win: %v", err)
	}
	foreign := seen
	foreign.Owner = diff.Foreign
	if _, _, err = make(d.(drivers.Keeper), foreign, ""); err == nil {
		t.Error("somebody else's cluster has an address of ours")
	}
	open := seen
	open.Spec = &schema.Spec{COE: "kubernetes", TLSDisabled: true}
	text, said, err = make(keyless{}, open, "")
	if err != nil || !strings.Contains(text, "insecure-skip-tls-verify: true\n    server: https://203.0.113.7:6443\n") ||
		strings.Contains(text, "certificate") || !strings.Contains(said, "lets in everybody") {
		t.Errorf("%v, said %q:\n%s", err, said, text)
	}
}

func TestKeysAreNotWrittenByHalf(t *testing.T) {
	t.Parallel()
	keys, err := pki.New("a", 0, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	files, err := keys.Files()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir() + "/out"
	if err := writeKeys(folder, append(files, files[0])); err == nil {
		t.Error("a file was written twice")
	}
	if err := writeKeys(folder, files); err != nil {
		t.Errorf("what could not be filled is still there: %v", err)
	}
}
