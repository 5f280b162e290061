package pki

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"slices"
)

// Masters is the group whose members may do anything, whatever RBAC says.
const Masters = "system:masters"

// Client is who a client certificate stands for.
type Client struct {
	User   string   // CN
	Groups []string // O, in any order
}

// Credential is a client certificate with its key.
type Credential struct {
	Certificate *x509.Certificate
	key         func() crypto.Signer
}

// String says whose it is.
func (c Credential) String() string {
	if c.Certificate == nil {
		return "no credential"
	}
	return "credential of " + c.Certificate.Subject.String()
}

// Format prints String, whatever the verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalText encodes String, in JSON and YAML too.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Key is the PEM text of the private key.
func (c Credential) Key() (Secret, error) {
	text, err := encodeKey(c.key)
	return NewSecret(text), err
}

// Client makes a key for somebody and signs the certificate with it: what
// `jeroboam kubeconfig` hands out.
func (a Authority) Client(c Client, t Terms) (Credential, error) {
	subject, err := c.subject()
	if err != nil {
		return Credential{}, err
	}
	key, err := newKey(t.Random)
	if err != nil {
		return Credential{}, err
	}
	cert, err := a.issue(&x509.Certificate{
		Subject:     subject,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key.Public(), t)
	if err != nil {
		return Credential{}, fmt.Errorf("sign the client certificate: %w", err)
	}
	return Credential{Certificate: cert, key: hide(key)}, nil
}

// subject is how Kubernetes reads a certificate: CN is the user, each O a group.
func (c Client) subject() (pkix.Name, error) {
	if err := checkName("user", c.User, maxName); err != nil {
		return pkix.Name{}, err
	}
	groups := slices.Compact(slices.Sorted(slices.Values(c.Groups)))
	for _, g := range groups {
		if err := checkName("group", g, maxName); err != nil {
			return pkix.Name{}, err
		}
	}
	return pkix.Name{CommonName: c.User, Organization: groups}, nil
}

// maxName bounds the names of users and groups. RFC 5280 says 64, which
// system:node:<name> may exceed and which nobody in Kubernetes enforces.
const maxName = 256
