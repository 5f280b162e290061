package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Authority is a certificate authority: the key that signs, its certificate and
// those that are trusted beside it. An Authority of New or Parse can be relied
// on to be coherent; the zero one signs nothing.
//
// There is more than one certificate while an authority is being replaced: nodes
// trust old and new before the new one signs, and both until nothing signed by
// the old one is left.
type Authority struct {
	bundle []*x509.Certificate // the first is the key's
	key    func() crypto.Signer
}

// Certificate is the one that signs; nil of the zero Authority.
//
// The trap: kube-controller-manager refuses a --cluster-signing-cert-file with
// more than one certificate. Give it EncodeCertificates of this one; all other
// readers of ca.crt take the bundle.
func (a Authority) Certificate() *x509.Certificate {
	if len(a.bundle) == 0 {
		return nil
	}
	return a.bundle[0]
}

// Bundle is what is trusted, the one that signs first.
func (a Authority) Bundle() []*x509.Certificate { return slices.Clone(a.bundle) }

// String says which authority it is.
func (a Authority) String() string {
	if len(a.bundle) == 0 {
		return "no authority"
	}
	return "authority " + a.bundle[0].Subject.String() + " " + Fingerprint(a.bundle[0])
}

// Format prints String, whatever the verb.
func (a Authority) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// MarshalText encodes String, in JSON and YAML too.
func (a Authority) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// place is where an authority is in Keys and what it is called.
type place struct {
	authority         *Authority
	certFile, keyFile string
	commonName        string // kubeadm's
}

func (k *Keys) authorities() []place {
	return []place{
		{&k.Cluster, ClusterCert, ClusterKey, "kubernetes"},
		{&k.Etcd, EtcdCert, EtcdKey, "etcd-ca"},
		{&k.FrontProxy, FrontProxyCert, FrontProxyKey, "front-proxy-ca"},
	}
}

// ParseAuthority reads one authority, for who needs no more than that: a
// kubeconfig takes ca.crt and ca.key. Errors are as those of Parse.
func ParseAuthority(cert, key File) (Authority, error) {
	bundle, certErr := parseBundle(cert.Text.Reveal())
	signer, keyErr := parseKey(key.Text.Reveal())
	switch {
	case certErr != nil || keyErr != nil:
		return Authority{}, errors.Join(of(cert, certErr), of(key, keyErr))
	case !samePublic(signer.Public(), bundle[0].PublicKey):
		return Authority{}, fmt.Errorf("%s: it is not the key of the first certificate in %s", key.Name, cert.Name)
	}
	return Authority{bundle: bundle, key: hide(signer)}, nil
}

// of names the file of a problem.
func of(f File, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", f.Name, err)
}

func parseBundle(text string) ([]*x509.Certificate, error) {
	all, err := blocks(text)
	if err != nil {
		return nil, err
	}
	var bundle []*x509.Certificate
	for i, block := range all {
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("block %d is %s: expected certificates only", i+1, called(block))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is damaged", i+1) // the parser's words may quote it
		}
		if err := checkAuthority(cert); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
		if slices.ContainsFunc(bundle, cert.Equal) {
			return nil, fmt.Errorf("certificate %d is there twice", i+1)
		}
		bundle = append(bundle, cert)
	}
	return bundle, nil
}

// checkAuthority refuses a certificate that is none of an authority, whatever
// the time is.
func checkAuthority(cert *x509.Certificate) error {
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return errors.New("it is not an authority's: basic constraints have no CA:TRUE")
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("it may not sign certificates: the key usage says so")
	case len(cert.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("it has the critical extension %v, which nobody here knows", cert.UnhandledCriticalExtensions[0])
	case !cert.NotAfter.After(cert.NotBefore):
		return errors.New("it ends before it begins")
	}
	if err := checkPublic(cert.PublicKey); err != nil {
		return err
	}
	if bytes.Equal(cert.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(cert) != nil {
		return errors.New("its signature is wrong, or made with a hash that is not trusted any more")
	}
	return nil
}

// checkPublic lets pass the keys that kubeadm takes for an authority, if they
// are strong: ECDSA and RSA, not Ed25519.
func checkPublic(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return errors.New("the key is on another curve than P-256, P-384 or P-521")
		}
		return nil
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Errorf("an RSA key has 2048 to 8192 bits, not %d", bits)
		}
		return nil
	}
	return errors.New("the key is of another kind than ECDSA or RSA")
}

func parseKey(text string) (crypto.Signer, error) {
	all, err := blocks(text)
	if err != nil {
		return nil, err
	}
	// openssl ecparam -genkey writes the curve in front.
	if all[0].Type == pemParameters {
		all = all[1:]
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("expected one private key, not %d PEM blocks", len(all))
	}
	key, err := decodeKey(all[0])
	if err != nil {
		return nil, err
	}
	return key, checkPublic(key.Public())
}

// decodeKey drops what the parsers say: it may quote the key.
func decodeKey(block *pem.Block) (crypto.Signer, error) {
	if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") || block.Type == pemEncrypted {
		return nil, errors.New("the private key is encrypted: store it without a passphrase")
	}
	var key any
	var err error
	switch block.Type {
	case pemPKCS8:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case pemSEC1:
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case pemPKCS1:
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("it is %s: expected a private key", called(block))
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("the private key is damaged, weak or of an unknown kind")
	}
	return signer, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// ServiceAccount is the key that signs the tokens of pods, and the public keys
// that their readers trust: more than one while it is being replaced.
type ServiceAccount struct {
	public []crypto.PublicKey // the first is the key's
	key    func() crypto.Signer
}

// Public is what is trusted, that of the key first.
func (s ServiceAccount) Public() []crypto.PublicKey { return slices.Clone(s.public) }

// String says nothing of the key.
func (s ServiceAccount) String() string {
	return fmt.Sprintf("service account key, %d trusted", len(s.public))
}

// Format prints String, whatever the verb.
func (s ServiceAccount) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText encodes String, in JSON and YAML too.
func (s ServiceAccount) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s ServiceAccount) publicPEM() (string, error) {
	var b strings.Builder
	for _, key := range s.public {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return "", fmt.Errorf("encode the public key: %w", err)
		}
		b.Write(pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}))
	}
	return b.String(), nil
}

func parseServiceAccount(public, key File) (ServiceAccount, error) {
	trusted, publicErr := parsePublic(public.Text.Reveal())
	signer, keyErr := parseKey(key.Text.Reveal())
	switch {
	case publicErr != nil || keyErr != nil:
		return ServiceAccount{}, errors.Join(of(public, publicErr), of(key, keyErr))
	case !samePublic(signer.Public(), trusted[0]):
		return ServiceAccount{}, fmt.Errorf("%s: it is not the key of the first public key in %s", key.Name, public.Name)
	}
	return ServiceAccount{public: trusted, key: hide(signer)}, nil
}

func parsePublic(text string) ([]crypto.PublicKey, error) {
	all, err := blocks(text)
	if err != nil {
		return nil, err
	}
	var keys []crypto.PublicKey
	for i, block := range all {
		if block.Type != pemPublic {
			return nil, fmt.Errorf("block %d is %s: expected public keys only", i+1, called(block))
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("public key %d is damaged", i+1)
		}
		if err := checkPublic(key); err != nil {
			return nil, fmt.Errorf("public key %d: %w", i+1, err)
		}
		if slices.ContainsFunc(keys, func(k crypto.PublicKey) bool { return samePublic(k, key) }) {
			return nil, fmt.Errorf("public key %d is there twice", i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
