package gitrepo

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// dialer opens a TCP connection to host:port.
type dialer func(ctx context.Context, address string) (net.Conn, error)

// parseProxy reads the URL of a proxy. Errors do not show it: it may have a
// password in it.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, errors.New("the proxy's URL cannot be parsed: it is like http://proxy.example.org:3128")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, fmt.Errorf("a proxy by %s:// is not supported: use http, https or socks5", u.Scheme)
}

// dialBy goes through a proxy, or directly without one.
func dialBy(by *url.URL) dialer {
	direct := &net.Dialer{}
	switch {
	case by == nil:
		return func(ctx context.Context, address string) (net.Conn, error) {
			return direct.DialContext(ctx, "tcp", address)
		}
	case by.Scheme == "socks5" || by.Scheme == "socks5h":
		return func(ctx context.Context, address string) (net.Conn, error) {
			return dialSOCKS(ctx, by, direct, address)
		}
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := dialProxy(ctx, by, direct)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", by.Host, err)
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		through, err := connectThrough(conn, by, address)
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("proxy %s: %w", by.Host, err)
		}
		return through, nil
	}
}

func dialSOCKS(ctx context.Context, by *url.URL, direct *net.Dialer, address string) (net.Conn, error) {
	d, err := proxy.FromURL(by, direct)
	if err != nil {
		return nil, err
	}
	withContext, ok := d.(proxy.ContextDialer)
	if !ok {
		return nil, errors.New("the proxy's library knows no timeouts")
	}
	return withContext.DialContext(ctx, "tcp", address)
}

func dialProxy(ctx context.Context, by *url.URL, direct *net.Dialer) (net.Conn, error) {
	port := by.Port()
	if by.Scheme == "https" {
		if port == "" {
			port = "443"
		}
		d := tls.Dialer{NetDialer: direct, Config: &tls.Config{ServerName: by.Hostname(), MinVersion: tls.VersionTLS12}}
		return d.DialContext(ctx, "tcp", net.JoinHostPort(by.Hostname(), port))
	}
	if port == "" {
		port = "80"
	}
	return direct.DialContext(ctx, "tcp", net.JoinHostPort(by.Hostname(), port))
}

// connectThrough asks an HTTP proxy for a tunnel (RFC 9110, 9.3.6).
func connectThrough(conn net.Conn, by *url.URL, address string) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if by.User != nil {
		password, _ := by.User.Password()
		with := &http.Request{Header: http.Header{}}
		with.SetBasicAuth(by.User.Username(), password)
		req.Header.Set("Proxy-Authorization", with.Header.Get("Authorization"))
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close() // of a tunnel there is none
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return nil, deniedf("it wants a user and a password, or other ones")
	case resp.StatusCode/100 != 2:
		return nil, deniedf("it opens no tunnel to %s: %s", address, resp.Status)
	}
	return &buffered{conn, r}, nil
}

// buffered is a connection of which a reader may have read ahead: an SSH server
// speaks first.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }
