package pki

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"
)

// DefaultMax is the longest life of what an authority signs, if nothing else is
// said: a year, as of kubeadm's certificates. A client's certificate cannot be
// taken back, so less is better.
const DefaultMax = 365 * 24 * time.Hour

// Terms are what a certificate is signed on.
type Terms struct {
	Now    time.Time
	Random io.Reader // crypto/rand.Reader, but in tests

	// Lifetime is asked for; zero: Max. It is granted between a minute and Max,
	// and never beyond the authority's own end.
	Lifetime time.Duration
	Max      time.Duration // zero: DefaultMax
}

// validity is when a certificate begins and ends that is signed now. It begins
// a little early, for clocks that are behind, but not before its authority.
func (t Terms) validity(authority *x509.Certificate) (begin, end time.Time, err error) {
	longest, lifetime := t.Max, t.Lifetime
	if longest == 0 {
		longest = DefaultMax
	}
	if lifetime == 0 {
		lifetime = longest
	}
	switch {
	case t.Max < 0 || t.Lifetime < 0:
		return begin, end, errors.New("a lifetime cannot be negative")
	case longest < minLifetime || longest > maxLifetime:
		return begin, end, fmt.Errorf("the longest lifetime: expected %v to %v, not %v", minLifetime, maxLifetime, longest)
	case authority.NotAfter.Sub(t.Now) < minLifetime:
		return begin, end, fmt.Errorf("the authority ends on %s, less than %v from now", moment(authority.NotAfter), minLifetime)
	}
	begin = t.Now.Add(-skew)
	if begin.Before(authority.NotBefore) {
		begin = authority.NotBefore
	}
	end = t.Now.Add(min(max(lifetime, minLifetime), longest))
	if end.After(authority.NotAfter) {
		end = authority.NotAfter
	}
	return begin.UTC().Truncate(time.Second), end.UTC().Truncate(time.Second), nil
}

// issue signs the certificate of a user or a server. The template says who and
// what for; the rest is the same for all.
func (a Authority) issue(template *x509.Certificate, public crypto.PublicKey, t Terms) (*x509.Certificate, error) {
	if a.key == nil {
		return nil, errors.New("there is no authority to sign with")
	}
	if err := a.check(t.Now); err != nil {
		return nil, fmt.Errorf("the authority: %w", err)
	}
	begin, end, err := t.validity(a.Certificate())
	if err != nil {
		return nil, err
	}
	serial, err := newSerial(t.Random)
	if err != nil {
		return nil, err
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, begin, end
	template.BasicConstraintsValid, template.IsCA = true, false
	template.KeyUsage = keyUsage(public)
	return create(template, a.Certificate(), public, a.key())
}

// keyUsage is what a key can do in TLS. Only RSA can encipher another key; RFC
// 8813, section 3, forbids to say so of ECDSA.
func keyUsage(public crypto.PublicKey) x509.KeyUsage {
	if _, ok := public.(*rsa.PublicKey); ok {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}
