package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Access is what a kubeconfig is made of.
type Access struct {
	Cluster string // names the cluster and the context
	Server  string // see ServerURL

	// ServerName is the name that the server's certificate must have, where that
	// is not the host of Server: of an address that the certificate does not know.
	ServerName string

	Trust      []*x509.Certificate
	Credential Credential

	// Anonymous is for an API that lets in everybody: the server is not checked
	// and nobody logs in. There is no Trust, no Credential and no ServerName then,
	// as there is none with an http URL.
	Anonymous bool
}

// ServerURL is the URL of an API server: scheme, host, in brackets if it is an
// IPv6 address, and port.
func ServerURL(host string, port int, tlsDisabled bool) (string, error) {
	scheme := "https"
	if tlsDisabled {
		scheme = "http"
	}
	server := scheme + "://" + net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
	_, err := checkServer(server)
	return server, err
}

// Kubeconfig is the YAML text of a kubeconfig with one cluster, context and
// user, certificates and key inline. Same access, same text. The user is called
// <user>@<cluster>, so that several files can be used together.
func Kubeconfig(a Access) (Secret, error) {
	if err := checkName("cluster", a.Cluster, maxName); err != nil {
		return Secret{}, fmt.Errorf("kubeconfig: %w", err)
	}
	tls, err := checkServer(a.Server)
	if err != nil {
		return Secret{}, fmt.Errorf("kubeconfig: %w", err)
	}
	cluster, user, name := kubeCluster{Server: a.Server}, kubeUser{}, "nobody"
	if err := a.checkTrust(tls); err != nil {
		return Secret{}, fmt.Errorf("kubeconfig: %w", err)
	}
	cluster.Insecure = tls && a.Anonymous
	if tls && !a.Anonymous {
		key, err := a.Credential.Key()
		if err != nil {
			return Secret{}, fmt.Errorf("kubeconfig: %w", err)
		}
		name = a.Credential.Certificate.Subject.CommonName
		cluster.Authority, cluster.ServerName = []byte(EncodeCertificates(a.Trust...)), a.ServerName
		user = kubeUser{[]byte(EncodeCertificates(a.Credential.Certificate)), []byte(key.Reveal())}
	}
	name += "@" + a.Cluster
	text, err := yaml.Marshal(kubeconfig{
		APIVersion: "v1", Kind: "Config", Current: a.Cluster,
		Clusters: []namedCluster{{a.Cluster, cluster}},
		Contexts: []namedContext{{a.Cluster, kubeContext{a.Cluster, name}}},
		Users:    []namedUser{{name, user}},
	})
	if err != nil {
		return Secret{}, errors.New("kubeconfig: it cannot be written as YAML") // the writer's words may quote it
	}
	return NewSecret(string(text)), nil
}

// checkTrust wants that the server can be believed and that it will believe the
// client, or that neither is asked for.
func (a Access) checkTrust(tls bool) error {
	client := a.Credential.Certificate
	switch {
	case !tls && (client != nil || len(a.Trust) > 0 || a.ServerName != ""):
		return errors.New("a server of plain http takes no certificates: is it https?")
	case a.Anonymous && (client != nil || len(a.Trust) > 0 || a.ServerName != ""):
		return errors.New("a server that lets in everybody takes no certificates, and its name is not checked")
	case !tls || a.Anonymous:
		return nil
	case a.ServerName != "" && !isHost(a.ServerName, false):
		return fmt.Errorf("the server's name %q is none", a.ServerName)
	case len(a.Trust) == 0:
		return errors.New("there is no authority to trust the server by")
	case client == nil:
		return errors.New("there is no client certificate")
	case !slices.ContainsFunc(a.Trust, func(ca *x509.Certificate) bool { return client.CheckSignatureFrom(ca) == nil }):
		return errors.New("the client certificate is signed by none of the authorities: are they of another cluster?")
	}
	return nil
}

// checkServer wants scheme://host:port and no more, and says whether it is TLS.
// A URL with a password in it is not repeated.
func checkServer(server string) (tls bool, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return false, errors.New("the server is no URL: expected https://host:port, an IPv6 address in brackets")
	}
	if u.User != nil {
		return false, errors.New("the server's URL has a user in it: expected https://host:port")
	}
	port, portErr := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return false, fmt.Errorf("the server %q: expected https:// (or http:// with TLS disabled)", server)
	case !isHost(u.Hostname(), strings.HasPrefix(u.Host, "[")):
		return false, fmt.Errorf("the server %q: the host is neither a name nor an IP address (IPv6 in brackets, without a zone)", server)
	case portErr != nil || port == 0 || u.Port() != strconv.FormatUint(port, 10):
		return false, fmt.Errorf("the server %q: expected a port from 1 to 65535", server)
	case server != u.Scheme+"://"+u.Host:
		return false, fmt.Errorf("the server %q: expected nothing after the port", server)
	}
	return u.Scheme == "https", nil
}

// isHost says whether a host is one. What ends in a number must be an address:
// 10.0.0.300 is no name.
func isHost(host string, brackets bool) bool {
	addr, err := netip.ParseAddr(host)
	if err == nil {
		return addr.Zone() == "" && addr.Is4() != brackets
	}
	return !brackets && len(host) <= 253 && hostName.MatchString(host) && !numberAtEnd.MatchString(host)
}

var (
	hostName    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	numberAtEnd = regexp.MustCompile(`(^|\.)[0-9]+$`)
)

// The fields are clientcmd's. The YAML writer sorts them, as kubectl does, and
// encodes []byte as the base64 that the -data fields are.
type (
	kubeconfig struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Clusters   []namedCluster `json:"clusters"`
		Contexts   []namedContext `json:"contexts"`
		Users      []namedUser    `json:"users"`
		Current    string         `json:"current-context"`
	}
	namedCluster struct {
		Name    string      `json:"name"`
		Cluster kubeCluster `json:"cluster"`
	}
	kubeCluster struct {
		Server     string `json:"server"`
		ServerName string `json:"tls-server-name,omitempty"`
		Insecure   bool   `json:"insecure-skip-tls-verify,omitempty"`
		Authority  []byte `json:"certificate-authority-data,omitempty"`
	}
	namedContext struct {
		Name    string      `json:"name"`
		Context kubeContext `json:"context"`
	}
	kubeContext struct {
		Cluster string `json:"cluster"`
		User    string `json:"user"`
	}
	namedUser struct {
		Name string   `json:"name"`
		User kubeUser `json:"user"`
	}
	kubeUser struct {
		Certificate []byte `json:"client-certificate-data,omitempty"`
		Key         []byte `json:"client-key-data,omitempty"`
	}
)
