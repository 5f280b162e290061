package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Shown is what people are told of a certificate: the rows of `jeroboam ca show`.
type Shown struct {
	File          string    `json:"file"` // one of Names
	Subject       string    `json:"subject"`
	Signs         bool      `json:"signs"`         // false: it is only trusted, beside the one that signs
	Fingerprint   string    `json:"fingerprint"`   // see Fingerprint
	PublicKeyHash string    `json:"publicKeyHash"` // see PublicKeyHash
	NotBefore     time.Time `json:"notBefore"`
	NotAfter      time.Time `json:"notAfter"` // the last second that it is valid in
}

// Show lists the certificates in the order of Names and of their bundles.
func (k *Keys) Show() []Shown {
	var shown []Shown
	for _, a := range k.authorities() {
		for i, cert := range a.authority.bundle {
			shown = append(shown, Shown{
				a.certFile, cert.Subject.String(), i == 0,
				Fingerprint(cert), PublicKeyHash(cert), cert.NotBefore, cert.NotAfter,
			})
		}
	}
	return shown
}

// Expiring lists the certificates that are not valid any more at now + within,
// those among them that are not today. It is a warning; Check refuses.
func (k *Keys) Expiring(now time.Time, within time.Duration) []Shown {
	var expiring []Shown
	for _, s := range k.Show() {
		if now.Add(within).After(s.NotAfter) {
			expiring = append(expiring, s)
		}
	}
	return expiring
}

// Check says every reason not to use the keys now: an authority whose signing
// certificate has expired or not begun. A certificate that is only trusted may
// be over: it harms nobody.
func (k *Keys) Check(now time.Time) error {
	var problems []error
	for _, a := range k.authorities() {
		if err := a.authority.check(now); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", a.certFile, err))
		}
	}
	return errors.Join(problems...)
}

func (a Authority) check(now time.Time) error {
	cert := a.Certificate()
	switch {
	case cert == nil:
		return errors.New("there is no authority")
	case now.Before(cert.NotBefore):
		return fmt.Errorf("it begins on %s, which is to come: is the clock right?", moment(cert.NotBefore))
	case now.After(cert.NotAfter):
		return fmt.Errorf("it expired on %s", moment(cert.NotAfter))
	}
	return nil
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Fingerprint is the SHA-256 of a certificate, 32 pairs of upper-case hex digits
// with colons, as openssl x509 -fingerprint -sha256 prints it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// PublicKeyHash is what kubeadm join takes as --discovery-token-ca-cert-hash:
// "sha256:" and the hex SHA-256 of the public key (SubjectPublicKeyInfo). It
// stays the same when a certificate is renewed with its key.
func PublicKeyHash(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}
