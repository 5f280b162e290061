package heat

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// safeLine is what passes through HOT, YAML, Heat and a shell unchanged.
var safeLine = regexp.MustCompile(`^[A-Z_]+='[^'"\\%\r\n]+'( [A-Z_]+='[^'"\\%\r\n]+')*$`)

// line gives the secrets of a boot, by name.
func (b *bench) line(d *Driver, ring *keyring, role, boot string) map[string]string {
	b.Helper()
	line, err := d.secretsFor(b.Context(), ring, b.pass(role, boot))
	if err != nil {
		b.Fatal(err)
	}
	if !safeLine.MatchString(line) {
		b.Fatalf("a line of a %s does not pass unchanged: %d bytes", role, len(line))
	}
	values := map[string]string{}
	for _, m := range regexp.MustCompile(`([A-Z_]+)='([^']*)'`).FindAllStringSubmatch(line, -1) {
		values[m[1]] = m[2]
		if slices.Contains([]string{"APPCRED_SECRET", "PKI", "BOOTSTRAP_KEY"}, m[1]) {
			b.secrets = append(b.secrets, m[2])
		}
	}
	return values
}

func (b *bench) pass(role, boot string) bootPass {
	return bootPass{Stack: b.stack, Node: "a-1f3c5a77-default-" + role + "-0", Role: role, Boot: boot, Expires: b.inAnHour()}
}

func names(values map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(values)), " ")
}

func TestMasterFetchesKeys(t *testing.T) {
	masterFetches(onSim(t, sim.Options{RuledServices: []string{"key-manager"}}))
}

func TestLabMasterFetchesKeys(t *testing.T) { masterFetches(inLab(t)) }

func masterFetches(b *bench) {
	d := b.driver(schema.CloudConfig{})
	ring := b.mustRing(d, cloudConf)
	if _, err := d.secretsFor(b.Context(), ring, b.pass(roleMaster, "b0")); errors.Is(err, errRules) {
		b.Log("this Barbican was not told its own name")
		b.refused(err, drivers.Denied, "service_type = key-manager")
		return
	}
	values := b.line(d, ring, roleMaster, "b1")
	if have := names(values); have != "APPCRED_ID APPCRED_SECRET BARBICAN_URL KEYS KEYSTONE_URL" {
		b.Fatal(have)
	}
	if !strings.HasSuffix(values["KEYSTONE_URL"], "/v3") || strings.HasSuffix(values["BARBICAN_URL"], "/v1") {
		b.Errorf("addresses %s, %s", values["KEYSTONE_URL"], values["BARBICAN_URL"])
	}
	master, err := b.cloud.As(b.Context(), values["APPCRED_ID"], values["APPCRED_SECRET"])
	if err != nil {
		b.Fatal(err)
	}
	fetched := []pki.File{}
	for entry := range strings.FieldsSeq(values["KEYS"]) {
		file, id, _ := strings.Cut(entry, "=")
		text, err := payload(b.Context(), master, id)
		if err != nil {
			b.Fatal(err)
		}
		if file == cloudConf {
			if credentialOf(text) == "" {
				b.Error("cloud.conf has no credential")
			}
			continue
		}
		fetched = append(fetched, pki.File{Name: file, Text: pki.NewSecret(text)})
	}
	if keys, err := pki.Parse(fetched); err != nil || fingerprint(keys) != fingerprint(ring.keys) {
		b.Errorf("what the master fetches is not what is kept: %v", err)
	}
	// Another boot has another admission, and does not end the first.
	other := b.line(d, ring, roleMaster, "b2")
	if other["APPCRED_ID"] == values["APPCRED_ID"] {
		b.Error("two boots have one admission")
	}
	if _, err := b.cloud.As(b.Context(), values["APPCRED_ID"], values["APPCRED_SECRET"]); err != nil {
		b.Error(err)
	}
	if err := b.revoke(b.Context(), b.stack); err != nil {
		b.Error(err)
	}
	b.nothingLeft()
}

func TestMasterIsGivenKeys(t *testing.T) {
	for name, c := range map[string]schema.CloudConfig{"from Barbican": {KeyDelivery: schema.DeliverUserData}, "kept locally": local} {
		t.Run(name, func(t *testing.T) {
			b := onSim(t, sim.Options{})
			d := b.driver(c)
			ring := b.mustRing(d, cloudConf)
			values := b.line(d, ring, roleMaster, "b1")
			if names(values) != "PKI" {
				b.Fatal(names(values))
			}
			if again := b.line(d, ring, roleMaster, "b1"); !maps.Equal(again, values) {
				b.Error("the same files give another text")
			}
			files := unpack(b, values["PKI"])
			if credentialOf(files[cloudConf]) == "" {
				b.Error("cloud.conf has no credential")
			}
			delete(files, cloudConf)
			var given []pki.File
			for name, text := range files {
				given = append(given, pki.File{Name: name, Text: pki.NewSecret(text)})
			}
			if keys, err := pki.Parse(given); err != nil || fingerprint(keys) != fingerprint(ring.keys) {
				b.Errorf("what the master is given is not what is kept: %v", err)
			}
		})
	}
}

// unpack reads files of mode 0600 and folders, no more.
func unpack(t testing.TB, text string) map[string]string {
	t.Helper()
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir && h.Name == "etcd/" {
			continue
		}
		body, err := io.ReadAll(archive)
		if err != nil || h.Mode != 0o600 {
			t.Fatalf("%s: mode %o, %v", h.Name, h.Mode, err)
		}
		files[h.Name] = string(body)
	}
}

// What a worker has lets it ask for a certificate, for as long as the boot may
// take, and has no other group.
func TestWorkerBootstraps(t *testing.T) {
	b := onSim(t, sim.Options{})
	d := b.driver(local)
	ring := b.mustRing(d)
	values := b.line(d, ring, roleWorker, "b1")
	if names(values) != "BOOTSTRAP_CERT BOOTSTRAP_KEY CA_CERT" {
		b.Fatal(names(values))
	}
	pems := map[string]string{}
	for name, value := range values {
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			b.Fatal(err)
		}
		pems[name] = string(text)
	}
	if pems["CA_CERT"] != pki.EncodeCertificates(ring.keys.Cluster.Bundle()...) || !strings.Contains(pems["BOOTSTRAP_KEY"], "PRIVATE KEY") {
		b.Error("not the cluster's authority, or no key")
	}
	cert := certificate(b, pems["BOOTSTRAP_CERT"])
	if have := cert.Subject.String(); have != "CN=system:bootstrap:a-1f3c5a77-default-worker-0,O=system:bootstrappers:kubeadm:default-node-token" {
		b.Errorf("subject %s", have)
	}
	if end := b.inAnHour(); cert.NotAfter.After(end) || cert.NotAfter.Before(end.Add(-2*time.Minute)) {
		b.Errorf("it ends %s, want %s", cert.NotAfter, end)
	}
	if err := cert.CheckSignatureFrom(ring.keys.Cluster.Certificate()); err != nil {
		b.Error(err)
	}
	for _, f := range ring.files {
		if f.Private() && slices.Contains(slices.Collect(maps.Values(pems)), f.Text.Reveal()) {
			b.Errorf("a worker has %s", f.Name)
		}
	}
}

func certificate(t testing.TB, text string) *x509.Certificate {
	t.Helper()
	block, _ := pemDecode(text)
	if block == nil {
		t.Fatal("no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestNoSecretsFor(t *testing.T) {
	b := onSim(t, sim.Options{})
	d := b.driver(local)
	ring := b.mustRing(d)
	for name, c := range map[string]struct {
		change func(*bootPass)
		config schema.CloudConfig
		kind   drivers.Kind
		words  string
	}{
		"a boot that is over":             {func(p *bootPass) { p.Expires = b.now().Add(-time.Minute) }, local, drivers.Unknown, "is none"},
		"a boot with a slash":             {func(p *bootPass) { p.Boot = "a/b" }, local, drivers.Unknown, "is none"},
		"no role":                         {func(p *bootPass) { p.Role = "minion" }, local, drivers.Unknown, `"minion" is no role`},
		"a master that would fetch files": {func(*bootPass) {}, schema.CloudConfig{Keys: schema.KeysLocal}, drivers.Denied, "clouds.c.keyDelivery: userData"},
		"a way that there is not":         {func(*bootPass) {}, schema.CloudConfig{KeyDelivery: "mail"}, drivers.Denied, "clouds.c.keyDelivery"},
	} {
		b.Log(name)
		p := b.pass(roleMaster, "b1")
		c.change(&p)
		_, err := b.driver(c.config).secretsFor(t.Context(), ring, p)
		b.refused(err, c.kind, c.words)
	}
}

func TestShellLineRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "a\nb", "a\rb", "100%", `a"b`, `a\b`, "a'b"} {
		line, err := shellLine([]assignment{{"KEYSTONE_URL", "http://x"}, {"APPCRED_SECRET", bad}})
		if err == nil || !strings.Contains(err.Error(), "APPCRED_SECRET") || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q gives %q, %v", bad, line, err)
		}
	}
	if line, err := shellLine([]assignment{{"A", "x"}, {"B", "y z"}}); line != "A='x' B='y z'" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
}
