package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
)

// Request is a certificate request that may be signed: everything in it is
// known, allowed and strong. Whether its subject is deserved is another
// question, for who signs: a request of the group Masters asks for everything.
//
// The rules are Magnum's defaults ([x509] in its configuration), with the rest
// refused and not dropped, so that nobody gets less than was asked for:
//
//	key                  ECDSA P-256, P-384, P-521; RSA of 2048 to 8192 bits; Ed25519
//	key usage            digital signature, key encipherment
//	extended key usage   client auth, server auth; none asked for: client auth
//	subject alt. name    DNS names and IP addresses; a server needs one
//	basic constraints    CA:FALSE
//	subject key id       let pass; means nothing where there is no CA
//
// Ed25519 is allowed, though an authority may not have it: it has one strength,
// and Go and OpenSSL speak it at both ends of TLS 1.3.
type Request struct {
	User   string   // CN
	Groups []string // O
	DNS    []string
	IPs    []net.IP
	Server bool // may be used by a server
	Client bool // may be used by a client

	subject []byte // as written
	public  crypto.PublicKey
}

// Sign signs a request: what `jeroboam ca sign` gives.
func (a Authority) Sign(r *Request, t Terms) (*x509.Certificate, error) {
	var usages []x509.ExtKeyUsage
	if r.Client {
		usages = append(usages, x509.ExtKeyUsageClientAuth)
	}
	if r.Server {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	if len(usages) == 0 || r.public == nil {
		return nil, errors.New("sign: the request is not from ParseRequest")
	}
	cert, err := a.issue(&x509.Certificate{
		RawSubject: r.subject, ExtKeyUsage: usages, DNSNames: r.DNS, IPAddresses: r.IPs,
	}, r.public, t)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return cert, nil
}

// ParseRequest reads the PEM text of a request, as openssl req and others write
// it. It says everything that is wrong with one that can be read.
func ParseRequest(text string) (*Request, error) {
	block, err := requestBlock(text)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, errors.New("certificate request: it is damaged")
	}
	// The key before the signature: a huge one is not worth the work.
	if err := checkSubjectKey(csr.PublicKey); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if csr.CheckSignature() != nil {
		return nil, errors.New("certificate request: its signature is wrong: it was changed, or not made with its key")
	}
	r := &Request{
		User: csr.Subject.CommonName, Groups: csr.Subject.Organization,
		DNS: csr.DNSNames, IPs: csr.IPAddresses,
		subject: csr.RawSubject, public: csr.PublicKey,
	}
	problems := checkSubject(csr.Subject)
	problems = append(problems, r.extensions(csr.Extensions)...)
	for _, name := range r.DNS {
		if !dnsName.MatchString(name) || len(name) > 253 {
			problems = append(problems, errors.New("a DNS name among the subject alternative names is none"))
		}
	}
	if r.Server && len(r.DNS)+len(r.IPs) == 0 {
		problems = append(problems, errors.New("server auth needs a subject alternative name: no client looks at CN any more"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return r, nil
}

func requestBlock(text string) (*pem.Block, error) {
	all, err := blocks(text)
	if err != nil {
		return nil, err
	}
	for _, block := range all {
		if block.Type != pemRequest && block.Type != pemOldRequest {
			return nil, fmt.Errorf("it has %s in it: expected the request alone", called(block))
		}
	}
	if len(all) > 1 {
		return nil, fmt.Errorf("expected one request, not %d", len(all))
	}
	return all[0], nil
}

func checkSubjectKey(key crypto.PublicKey) error {
	if _, ok := key.(ed25519.PublicKey); ok {
		return nil
	}
	return checkPublic(key)
}

// checkSubject wants what Kubernetes reads to be what people see: of two common
// names it takes the last, and openssl shows both.
func checkSubject(subject pkix.Name) (problems []error) {
	names := 0
	for _, attribute := range subject.Names {
		if attribute.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			names++
		}
	}
	if names > 1 {
		problems = append(problems, errors.New("the subject has more than one CN"))
	}
	if err := checkName("CN", subject.CommonName, maxName); err != nil {
		problems = append(problems, err)
	}
	for _, group := range subject.Organization {
		if err := checkName("O", group, maxName); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// dnsName is a host name, or one with an asterisk for its first label.
var dnsName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*$`)

// extensions takes the usages and refuses what is not in the table of Request.
func (r *Request) extensions(extensions []pkix.Extension) (problems []error) {
	seen, usages := map[string]bool{}, false
	for _, e := range extensions {
		id := e.Id.String()
		if seen[id] {
			problems = append(problems, fmt.Errorf("the extension %s is there twice", id))
			continue
		}
		seen[id] = true
		var err error
		switch id {
		case "2.5.29.14": // subject key identifier
		case "2.5.29.15":
			err = onlySigns(e.Value)
		case "2.5.29.17":
			err = onlyHosts(e.Value)
		case "2.5.29.19":
			err = noAuthority(e.Value)
		case "2.5.29.37":
			usages, err = true, r.usages(e.Value)
		default:
			err = fmt.Errorf("the extension %s is not allowed", id)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	if !usages {
		r.Client = true
	}
	return problems
}

// onlySigns reads a KeyUsage (RFC 5280, section 4.2.1.3): bit 0 is digital
// signature, bit 2 key encipherment.
func onlySigns(der []byte) error {
	var bits asn1.BitString
	if rest, err := asn1.Unmarshal(der, &bits); err != nil || len(rest) > 0 {
		return errors.New("the key usage is damaged")
	}
	for i := range bits.BitLength {
		if bits.At(i) == 1 && i != 0 && i != 2 {
			return errors.New("the key usage has more than digital signature and key encipherment")
		}
	}
	return nil
}

// onlyHosts reads a SubjectAltName (RFC 5280, section 4.2.1.6): its kinds 2 and
// 7 are DNS name and IP address. The standard library passes over those that it
// does not know.
func onlyHosts(der []byte) error {
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) > 0 {
		return errors.New("the subject alternative name is damaged")
	}
	if slices.ContainsFunc(names, func(n asn1.RawValue) bool {
		return n.Class != asn1.ClassContextSpecific || n.Tag != 2 && n.Tag != 7
	}) {
		return errors.New("the subject alternative name has more than DNS names and IP addresses")
	}
	return nil
}

func noAuthority(der []byte) error {
	var constraints struct {
		IsCA       bool `asn1:"optional"`
		MaxPathLen int  `asn1:"optional,default:-1"`
	}
	if rest, err := asn1.Unmarshal(der, &constraints); err != nil || len(rest) > 0 {
		return errors.New("the basic constraints are damaged")
	}
	if constraints.IsCA {
		return errors.New("the basic constraints have CA:TRUE: an authority signs no other")
	}
	return nil
}

func (r *Request) usages(der []byte) error {
	var ids []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(der, &ids); err != nil || len(rest) > 0 || len(ids) == 0 {
		return errors.New("the extended key usage is damaged")
	}
	for _, id := range ids {
		switch id.String() {
		case "1.3.6.1.5.5.7.3.1":
			r.Server = true
		case "1.3.6.1.5.5.7.3.2":
			r.Client = true
		default:
			return errors.New("the extended key usage has more than client and server auth")
		}
	}
	return nil
}
