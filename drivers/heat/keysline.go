package heat

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path"
	"strings"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// bootPass says which boot of which node secrets are given to, and until when.
type bootPass struct {
	Stack   string    // the root stack, under whose name the keys are kept
	Node    string    // as nodeName gives it
	Role    string    // master or worker
	Boot    string    // tells the boots of a node apart; no slash
	Expires time.Time // by when it must be done: what it was given is worth nothing from then on
	Alike   bool      // another master gets the same, and tries whether all of it can be read
}

// The roles of nodes, as the schema has them.
const (
	roleMaster = "master"
	roleWorker = "worker"
)

// bootstrappers are let ask for a kubelet's certificate: kubeadm's cluster roles
// are bound to this group.
const bootstrappers = "system:bootstrappers:kubeadm:default-node-token"

// secretsFor is the one line of shell assignments that a boot finds in
// /etc/jeroboam/secrets.env:
//
//	a master, keys fetched    KEYSTONE_URL APPCRED_ID APPCRED_SECRET BARBICAN_URL KEYS='<file>=<secret id> ...'
//	a master, keys delivered  PKI='<base64 of a tar.gz with the files below /etc/kubernetes/pki>'
//	a worker                  CA_CERT BOOTSTRAP_CERT BOOTSTRAP_KEY, each base64 of PEM
//
// Every value is in single quotes and has none of newline, percent sign, quotes
// and backslash in it, so the line passes unchanged through HOT, YAML and Heat.
// It is of one boot: two calls give two lines, and the caller keeps the one that
// the boot was given. A master's admission is new with every call; an older one
// of the same boot is worth nothing from then on.
func (d *Driver) secretsFor(ctx context.Context, ring *keyring, b bootPass) (string, error) {
	if !b.Expires.After(d.now()) || strings.Contains(b.Node+b.Boot, "/") {
		return "", &drivers.Error{Kind: drivers.Unknown, Op: "give secrets to " + b.Node, Err: fmt.Errorf("boot %q until %s is none", b.Boot, b.Expires)}
	}
	var values []assignment
	var err error
	switch b.Role {
	case roleMaster:
		values, err = d.forMaster(ctx, ring, b)
	case roleWorker:
		values, err = forWorker(ring, b, d.now())
	default:
		err = &drivers.Error{Kind: drivers.Unknown, Op: "give secrets to " + b.Node, Err: fmt.Errorf("%q is no role", b.Role)}
	}
	if err != nil {
		return "", err
	}
	return shellLine(values)
}

// assignment is NAME='value'.
type assignment struct{ name, value string }

func shellLine(values []assignment) (string, error) {
	parts := make([]string, len(values))
	for i, v := range values {
		if v.value == "" || strings.ContainsAny(v.value, "\n\r%\"\\'") {
			return "", &drivers.Error{Kind: drivers.Denied, Op: "give secrets to a node", Err: fmt.Errorf(
				"%s is empty or has a newline, %%, \", \\ or ' in it, which does not pass through Heat unchanged", v.name)}
		}
		parts[i] = v.name + "='" + v.value + "'"
	}
	return strings.Join(parts, " "), nil
}

func (d *Driver) forMaster(ctx context.Context, ring *keyring, b bootPass) ([]assignment, error) {
	switch delivery := cmp.Or(d.config.KeyDelivery, schema.DeliverCredential); {
	case delivery == schema.DeliverUserData:
		packed, err := pack(ring.files)
		return []assignment{{"PKI", packed}}, err
	case delivery != schema.DeliverCredential || ring.refs == nil:
		return nil, &drivers.Error{Kind: drivers.Denied, Op: "give keys to " + b.Node, Err: fmt.Errorf(
			"keys that are kept locally cannot be fetched: set clouds.%[1]s.keyDelivery: userData in the Config, with which the project can read them, or clouds.%[1]s.keys: barbican", d.cloudName)}
	}
	v := d.vault()
	v.tried = b.Alike
	a, err := v.admit(ctx, b.Stack, b.Node+"."+b.Boot, ring.refs, b.Expires)
	if err != nil {
		return nil, err
	}
	base, err := d.cloud.Endpoint("key-manager")
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(ring.files))
	for i, f := range ring.files {
		keys[i] = f.Name + "=" + ring.refs[f.Name]
	}
	return []assignment{
		{"KEYSTONE_URL", a.AuthURL},
		{"APPCRED_ID", a.ID},
		{"APPCRED_SECRET", a.Secret},
		{"BARBICAN_URL", strings.TrimSuffix(base, "/v1")},
		{"KEYS", strings.Join(keys, " ")},
	}, nil
}

// forWorker signs a client certificate for the node's first words to the API,
// in place of a bootstrap token, which somebody would have to make in the live
// cluster for each resize. It may do no more than ask for the kubelet's own.
func forWorker(ring *keyring, b bootPass, now time.Time) ([]assignment, error) {
	who := pki.Client{User: "system:bootstrap:" + b.Node, Groups: []string{bootstrappers}}
	made, err := ring.keys.Cluster.Client(who, pki.Terms{Now: now, Random: rand.Reader, Lifetime: b.Expires.Sub(now)})
	if err != nil {
		return nil, &drivers.Error{Kind: drivers.Conflict, Op: "sign for " + b.Node, Err: err}
	}
	key, err := made.Key()
	if err != nil {
		return nil, &drivers.Error{Kind: drivers.Unknown, Op: "sign for " + b.Node, Err: err}
	}
	return []assignment{
		{"CA_CERT", inBase64(pki.EncodeCertificates(ring.keys.Cluster.Bundle()...))},
		{"BOOTSTRAP_CERT", inBase64(pki.EncodeCertificates(made.Certificate))},
		{"BOOTSTRAP_KEY", inBase64(key.Reveal())},
	}, nil
}

func inBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// pack is base64 of a tar.gz of files: the same files, the same text.
func pack(files []pki.File) (string, error) {
	var packed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	archive := tar.NewWriter(zipped)
	folders := map[string]bool{".": true}
	for _, f := range files {
		if folder := path.Dir(f.Name); !folders[folder] {
			folders[folder] = true
			if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755}); err != nil {
				return "", err
			}
		}
		text := f.Text.Reveal()
		if err := archive.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o600, Size: int64(len(text))}); err != nil {
			return "", err
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			return "", err
		}
	}
	if err := archive.Close(); err != nil {
		return "", err
	}
	if err := zipped.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}
