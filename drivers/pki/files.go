package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The files of a cluster's keys, as kubeadm names them below /etc/kubernetes/pki.
// A store has one secret for each.
const (
	ClusterCert          = "ca.crt"
	ClusterKey           = "ca.key"
	EtcdCert             = "etcd/ca.crt"
	EtcdKey              = "etcd/ca.key"
	FrontProxyCert       = "front-proxy-ca.crt"
	FrontProxyKey        = "front-proxy-ca.key"
	ServiceAccountPublic = "sa.pub"
	ServiceAccountKey    = "sa.key"
)

// Names lists the files in the order of Files.
func Names() []string {
	return []string{
		ClusterCert, ClusterKey, EtcdCert, EtcdKey,
		FrontProxyCert, FrontProxyKey, ServiceAccountPublic, ServiceAccountKey,
	}
}

// File is one text of a cluster's keys.
type File struct {
	Name string // one of Names
	Text Secret // PEM
}

// Private says whether the text is a private key: to be kept with mode 0600,
// and not to be given to workers.
func (f File) Private() bool { return strings.HasSuffix(f.Name, ".key") }

// Files gives the keys as texts, in the order of Names. Parse reads them.
func (k *Keys) Files() ([]File, error) {
	var files []File
	add := func(name, text string) { files = append(files, File{name, NewSecret(text)}) }
	for _, a := range k.authorities() {
		key, err := encodeKey(a.authority.key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.keyFile, err)
		}
		add(a.certFile, EncodeCertificates(a.authority.bundle...))
		add(a.keyFile, key)
	}
	public, err := k.ServiceAccount.publicPEM()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ServiceAccountPublic, err)
	}
	key, err := encodeKey(k.ServiceAccount.key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ServiceAccountKey, err)
	}
	add(ServiceAccountPublic, public)
	add(ServiceAccountKey, key)
	return files, nil
}

// Parse reads what Files gave, in any order, or an equal set that kubeadm or an
// operator made. It gives coherent keys or every problem: each names its file
// and says what is wrong, and repeats nothing of a text. Whether something has
// expired is for Check, which knows the time.
func Parse(files []File) (*Keys, error) {
	texts, problems := byName(files)
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	keys := &Keys{}
	for _, a := range keys.authorities() {
		read, err := ParseAuthority(texts[a.certFile], texts[a.keyFile])
		if err != nil {
			problems = append(problems, err)
		}
		*a.authority = read
	}
	var err error
	if keys.ServiceAccount, err = parseServiceAccount(texts[ServiceAccountPublic], texts[ServiceAccountKey]); err != nil {
		problems = append(problems, err)
	}
	if problems == nil {
		problems = keys.shared()
	}
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	return keys, nil
}

// byName finds each file once. A name that is not ours is not repeated: it may
// be a text in the wrong place.
func byName(files []File) (texts map[string]File, problems []error) {
	texts = make(map[string]File, len(files))
	for i, f := range files {
		_, twice := texts[f.Name]
		switch {
		case !slices.Contains(Names(), f.Name):
			problems = append(problems, fmt.Errorf("file %d of %d has an unknown name: expected one of %s", i+1, len(files), strings.Join(Names(), ", ")))
		case twice:
			problems = append(problems, fmt.Errorf("%s: it is there twice", f.Name))
		}
		texts[f.Name] = f
	}
	for _, name := range Names() {
		if _, ok := texts[name]; !ok {
			problems = append(problems, fmt.Errorf("%s: it is missing", name))
		}
	}
	return texts, problems
}

// shared finds pairs that have one private key.
func (k *Keys) shared() (problems []error) {
	type owner struct {
		file string
		key  crypto.PublicKey
	}
	var owners []owner
	for _, a := range k.authorities() {
		owners = append(owners, owner{a.keyFile, a.authority.Certificate().PublicKey})
	}
	owners = append(owners, owner{ServiceAccountKey, k.ServiceAccount.public[0]})
	for i, a := range owners {
		for _, b := range owners[:i] {
			if samePublic(a.key, b.key) {
				problems = append(problems, fmt.Errorf("%s: it is the same key as %s: who is trusted for one would be for the other", a.file, b.file))
			}
		}
	}
	return problems
}

// EncodeCertificates is the PEM text of certificates, in their order.
func EncodeCertificates(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw}))
	}
	return b.String()
}

func encodeKey(key func() crypto.Signer) (string, error) {
	if key == nil {
		return "", errors.New("there is no private key: the keys are not from New or Parse")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key()) // one form for every kind of key
	if err != nil {
		return "", fmt.Errorf("encode the private key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: der})), nil
}

const (
	pemCertificate = "CERTIFICATE"
	pemPublic      = "PUBLIC KEY"
	pemPKCS8       = "PRIVATE KEY"
	pemSEC1        = "EC PRIVATE KEY"
	pemPKCS1       = "RSA PRIVATE KEY"
	pemEncrypted   = "ENCRYPTED PRIVATE KEY"
	pemParameters  = "EC PARAMETERS"
	pemRequest     = "CERTIFICATE REQUEST"
	pemOldRequest  = "NEW CERTIFICATE REQUEST"
)

// maxText and maxBlocks bound what one text may cost to read.
const (
	maxText   = 64 << 10
	maxBlocks = 16
)

// blocks reads the PEM blocks of a text. What it says of a wrong one are our own
// words: the header of a block may be anything.
func blocks(text string) ([]*pem.Block, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("it is empty")
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("it is longer than %d bytes", maxText)
	}
	var all []*pem.Block
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if all = append(all, block); len(all) > maxBlocks {
			return nil, fmt.Errorf("it has more than %d PEM blocks", maxBlocks)
		}
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("it is not PEM, or is cut off")
	case strings.Count(text, "-----BEGIN ") != len(all): // pem.Decode passes over what it cannot read
		return nil, errors.New("one of its PEM blocks is damaged or cut off")
	}
	return all, nil
}

// called says what a block is.
func called(block *pem.Block) string {
	switch block.Type {
	case pemCertificate:
		return "a certificate"
	case pemPublic:
		return "a public key"
	case pemPKCS8, pemSEC1, pemPKCS1:
		return "a private key"
	case pemEncrypted:
		return "an encrypted private key"
	case pemRequest, pemOldRequest:
		return "a certificate request"
	}
	return "something else"
}
