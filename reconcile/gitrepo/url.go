package gitrepo

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// newRemote takes the URL apart: credentials out of it, a transport for its scheme.
func newRemote(o Options) (*remote, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	var by *url.URL // nil: directly
	if o.Proxy != "" {
		if by, err = parseProxy(o.Proxy); err != nil {
			return nil, err
		}
	}
	if u.Scheme == "ssh" {
		return sshRemote(o, u, by)
	}
	if u.User != nil {
		if p, ok := u.User.Password(); ok && o.Token == "" {
			o.Token = p
		}
		if o.Username == "" {
			o.Username = u.User.Username()
		}
		u.User = nil
	}
	m := &remote{url: u.String(), maxPack: o.MaxPack, timeout: o.Timeout}
	if u.Scheme == "file" {
		m.transport, m.local = file.DefaultClient, true
		return m, nil
	}
	if o.Token != "" || o.Login != nil {
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			return nil, fmt.Errorf("a token would be readable on its way to %s: use https", m.url)
		}
		m.login = o.Login
		if m.login == nil {
			fixed := Login{o.Username, o.Token}
			m.login = func() (Login, error) { return fixed, nil }
		}
	}
	m.transport, err = httpTransport(o.CABundle, by)
	return m, err
}

// sshRemote keeps the user in the URL: it is no secret, and the account is part
// of where the repository is.
func sshRemote(o Options, u *url.URL, by *url.URL) (*remote, error) {
	if _, password := u.User.Password(); password {
		return nil, errors.New("the repository's URL has a password, and SSH needs a key")
	}
	user, port, path := u.User.Username(), u.Port(), u.Path
	if user == "" {
		user = "git"
	}
	if port == "" {
		port = "22"
	}
	printed := u.String()
	if u.Opaque != "" { // user@host:path
		path, printed = u.Opaque, user+"@"+u.Host+":"+u.Opaque
	}
	if strings.HasPrefix(path, "/~") {
		path = path[1:] // somebody's home, as Git reads it
	}
	return &remote{
		url: printed, maxPack: o.MaxPack, timeout: o.Timeout,
		transport: &sshTransport{
			user: user, address: net.JoinHostPort(u.Hostname(), port), path: path,
			dial: dialBy(by), keys: &sshKeys{o: o.SSH}, hosts: o.SSH.KnownHosts,
		},
	}, nil
}

// parseURL makes a URL of what people write. Errors do not show it: it may have
// a password in it.
func parseURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("the repository's URL is empty")
	}
	if !strings.Contains(s, "://") {
		if at, rest, ok := strings.Cut(s, ":"); ok && strings.Contains(at, "@") && !strings.Contains(at, "/") && rest != "" {
			return parseShort(at, rest)
		}
		abs, err := filepath.Abs(s)
		return &url.URL{Scheme: "file", Path: abs}, err
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the repository's URL cannot be parsed")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh" && u.Scheme != "file":
		return nil, fmt.Errorf("%s:// is not supported: use https://, ssh://, http:// or file://", u.Scheme)
	case u.Scheme == "ssh" && strings.Trim(u.Path, "/") == "":
		return nil, errors.New("the repository's URL names no repository")
	case u.Scheme == "file" && u.Host != "":
		return nil, errors.New("a file:// URL has three slashes before an absolute path")
	case u.Scheme != "file" && u.Host == "":
		return nil, errors.New("the repository's URL names no host")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the repository's URL has a query or a fragment: Git knows neither")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// parseShort reads user@host:path. Its path is sent as it is, so that it begins
// at the user's home, or wherever a forge has its repositories.
func parseShort(at, path string) (*url.URL, error) {
	user, host, _ := strings.Cut(at, "@")
	if user == "" || host == "" {
		return nil, errors.New("the repository's URL cannot be parsed: it is like git@git.example.org:fleet.git")
	}
	return &url.URL{Scheme: "ssh", User: url.User(user), Host: host, Opaque: strings.TrimRight(path, "/")}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// httpTransport is our own, because go-git's shared one cannot be given a CA
// bundle together with a round tripper.
func httpTransport(caBundle []byte, by *url.URL) (transport.Transport, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2,
		IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: handshakeTimeout,
	}
	if by != nil {
		t.Proxy = http.ProxyURL(by)
	}
	if len(caBundle) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a container without certificates
		}
		if !pool.AppendCertsFromPEM(caBundle) {
			return nil, errors.New("the CA bundle has no certificate in PEM")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return githttp.NewClient(&http.Client{Transport: noRedirect{t}}), nil
}

// noRedirect turns a redirect into an error that names the target. Following
// would mean to read the desired state from elsewhere than the settings say.
type noRedirect struct{ next http.RoundTripper }

func (n noRedirect) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.next.RoundTrip(req)
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
		return resp, err
	}
	_ = resp.Body.Close()
	to := ""
	if u, err := resp.Location(); err == nil {
		to = u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/info/refs")
	}
	return nil, &redirected{to}
}

type redirected struct{ to string }

func (e *redirected) Error() string { return "the server redirects to " + e.to }
