// Package pki makes, reads, checks and uses the keys of a Kubernetes cluster.
//
// Its idea: the keys are one value, Keys, which exists whole and coherent or
// not at all. New makes one, Files gives it as the eight texts that a store
// keeps and a master reads, Parse makes it out of them again. Whatever is signed
// is asked of an Authority. The package is pure: time and randomness are
// arguments, and the same arguments give the same keys to the byte.
//
//	now, random ──► New ──► Keys ◄── Parse ◄────────────┐
//	                         │                          │
//	       ┌─────────────────┼────────────────┐         │
//	       ▼                 ▼                ▼         │
//	 Show, Check,       Authority           Files ──► Barbican, a local store,
//	 Expiring           Client  Sign                  a master at its boot, ca export
//	 (ca show)             │      │
//	                       ▼      ▼
//	               Kubeconfig    a certificate
//	             (kubeconfig)    (ca sign)
//
// Threat model: whoever has a private key of an authority owns the cluster for
// as long as it lives, so a key is in closures only, which neither printing nor
// encoding nor reflection opens, and leaves them where Reveal is written. What
// comes from elsewhere, a store's texts or a request to sign, may be damaged or
// hostile: it is refused with what is wrong, and no error repeats any of it that
// may be secret. Against somebody who reads the memory of the process, or whom
// the caller lets sign, there is no defence here: whether a request's user and
// groups are deserved is for the caller to ask (Request) before it signs.
//
// Reading order: pki.go, secret.go, files.go, authority.go, show.go; then
// terms.go, client.go, request.go (what is signed) and kubeconfig.go.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
	"unicode"
	"unicode/utf8"
)

// DefaultLifetime is how long an authority lives if nothing else is said: ten
// years of 365 days, as kubeadm's.
const DefaultLifetime = 10 * 365 * 24 * time.Hour

const (
	maxLifetime = 100 * 365 * 24 * time.Hour
	minLifetime = time.Minute

	// skew is how far back a certificate begins: a node's clock may not be set
	// yet when it first sees one.
	skew = time.Hour
)

// Keys are what a Kubernetes cluster trusts and signs with. The four private
// keys differ, always: were the front proxy's authority the cluster's too, each
// user could claim to be any other.
//
// All are ECDSA on P-256, which kubeadm takes and which makes a cluster's keys
// in a millisecond. RSA is needed only by readers of service account tokens
// outside of the cluster that know no ES256 (OpenID Connect obliges them to
// RS256 alone), by TLS clients older than TLS 1.2 and by some hardware modules;
// this package reads such keys and signs with them, and makes none.
type Keys struct {
	Cluster        Authority      // of the API server, kubelets and users
	Etcd           Authority      // of etcd's members and its clients
	FrontProxy     Authority      // of the API server towards aggregated APIs
	ServiceAccount ServiceAccount // signs the tokens of pods
}

// New makes the keys of a cluster. The name goes into the subjects, so that
// tools can tell two clusters' authorities apart; it should say enough for that
// ("cloud/name"), and is at most 64 characters long (RFC 5280, ub-organizational-unit-name).
// A lifetime of zero is DefaultLifetime. random is crypto/rand.Reader, but in tests.
func New(name string, lifetime time.Duration, now time.Time, random io.Reader) (*Keys, error) {
	if err := checkName("cluster", name, 64); err != nil {
		return nil, err
	}
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	if lifetime < minLifetime || lifetime > maxLifetime {
		return nil, fmt.Errorf("lifetime of the authorities: expected %v to %v, not %v", minLifetime, maxLifetime, lifetime)
	}
	keys := &Keys{}
	for _, a := range keys.authorities() {
		made, err := newAuthority(a.commonName, name, lifetime, now, random)
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", a.certFile, err)
		}
		*a.authority = made
	}
	key, err := newKey(random)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", ServiceAccountKey, err)
	}
	keys.ServiceAccount = ServiceAccount{public: []crypto.PublicKey{key.Public()}, key: hide(key)}
	return keys, nil
}

// newAuthority makes one authority. Its name is in OU and not in O: Kubernetes
// reads O as groups, and a name must never come to mean one.
func newAuthority(commonName, cluster string, lifetime time.Duration, now time.Time, random io.Reader) (Authority, error) {
	key, err := newKey(random)
	if err != nil {
		return Authority{}, err
	}
	serial, err := newSerial(random)
	if err != nil {
		return Authority{}, err
	}
	cert, err := create(&x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName, OrganizationalUnit: []string{cluster}},
		NotBefore:             now.Add(-skew).UTC().Truncate(time.Second),
		NotAfter:              now.Add(lifetime).UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs for users and servers, never another authority
	}, nil, key.Public(), key)
	if err != nil {
		return Authority{}, err
	}
	return Authority{bundle: []*x509.Certificate{cert}, key: hide(key)}, nil
}

// create signs a certificate; without a parent, by itself. There is no reader
// of randomness: ECDSA signs without one as RFC 6979 says, RSA needs none.
func create(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(nil, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newKey makes a private key on P-256 of the bytes that random gives. That is
// what ecdsa.GenerateKey did until Go 1.26, which reads the system's randomness
// whatever it is given.
func newKey(random io.Reader) (*ecdsa.PrivateKey, error) {
	var raw [32]byte
	for range 8 { // one in 2^32 is no key: the curve's order is a little below 2^256
		if _, err := io.ReadFull(random, raw[:]); err != nil {
			return nil, fmt.Errorf("read randomness: %w", err)
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw[:]); err == nil {
			return key, nil
		}
	}
	return nil, errNotRandom
}

// newSerial is a serial number of 128 random bits: positive and shorter than
// the 20 octets of RFC 5280, section 4.1.2.2.
func newSerial(random io.Reader) (*big.Int, error) {
	var raw [16]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	serial := new(big.Int).SetBytes(raw[:])
	if serial.Sign() == 0 {
		return nil, errNotRandom
	}
	return serial, nil
}

var errNotRandom = errors.New("the source of randomness is broken: it gives the same bytes again and again")

// checkName refuses what would deceive in a subject or a list. It does not
// repeat it.
func checkName(what, name string, most int) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: the name is missing", what)
	case utf8.RuneCountInString(name) > most:
		return fmt.Errorf("%s: the name is longer than %d characters", what, most)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s: the name is not UTF-8", what)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s: the name has the character %U, which does not print", what, r)
		}
	}
	return nil
}
