package gitrepo_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// tunnel is an HTTP proxy that opens tunnels to where to says, to those who know
// the word, and gives its URL.
func tunnel(tb testing.TB, to func(address string) string, word string) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, password, _ := (&http.Request{Header: http.Header{"Authorization": req.Header["Proxy-Authorization"]}}).BasicAuth(); password != word {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		target := to(req.Host)
		if req.Method != http.MethodConnect || target == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		var d net.Dialer
		out, err := d.DialContext(req.Context(), "tcp", target)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, rw); _ = out.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(in, out)
	}))
	tb.Cleanup(s.CloseClientConnections)
	tb.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://ada:"+word+"@", 1)
}

// SSH and HTTPS go through a proxy, by HTTP or SOCKS5; its password is in no text.
func TestProxy(t *testing.T) {
	t.Parallel()
	_, s, options := withSSH(t)
	same := func(address string) string { return address }
	options.Proxy = tunnel(t, same, secret)
	fetch(t, open(t, options), "")
	options.Proxy = strings.Replace(options.Proxy, secret, "wrong-"+secret, 1)
	_, err := open(t, options).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "proxy 127.0.0.1:", "a user and a password")
	if strings.Contains(err.Error(), secret) {
		t.Errorf("error %q", err)
	}
	options.Proxy = tunnel(t, func(string) string { return "" }, "")
	_, err = open(t, options).Fetch(t.Context(), "")
	wantError(t, err, drivers.Denied, "no tunnel to "+s.address, "403")
	options.Proxy = "socks5://" + socks(t)
	fetch(t, open(t, options), "")

	_, plain := withBoard(t)
	tls, bundle := withTLS(t, plain)
	o := gitrepo.Options{URL: tls, CABundle: bundle, Token: secret, Proxy: tunnel(t, same, "word")}
	fetch(t, open(t, o), "")
	o.Proxy = tunnel(t, func(string) string { return "" }, "")
	_, err = open(t, o).Fetch(t.Context(), "")
	wantError(t, err, drivers.Transient, "Forbidden")
	o.Proxy = strings.Replace(tunnel(t, same, "word"), "word", secret, 1)
	_, err = open(t, o).Fetch(t.Context(), "")
	wantError(t, err, drivers.Transient, "Proxy Authentication Required")
	if strings.Contains(err.Error(), secret) {
		t.Errorf("error %q", err)
	}
}

// socks is a SOCKS5 proxy without authentication, for addresses in IPv4 (RFC 1928).
func socks(tb testing.TB) string {
	tb.Helper()
	return serveConns(tb, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		r := bufio.NewReader(conn)
		hello := make([]byte, 2)
		_, _ = io.ReadFull(r, hello)
		_, _ = io.CopyN(io.Discard, r, int64(hello[1]))
		_, _ = conn.Write([]byte{5, 0})
		ask := make([]byte, 10)
		_, _ = io.ReadFull(r, ask)
		target := net.TCPAddr{IP: ask[4:8], Port: int(ask[8])<<8 | int(ask[9])}
		var d net.Dialer
		out, err := d.DialContext(tb.Context(), "tcp", target.String())
		if err != nil {
			return
		}
		defer out.Close()
		_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		go func() { _, _ = io.Copy(out, r); _ = out.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(conn, out)
	})
}

// serveConns serves each connection to an address until the test ends, and closes
// it. It gives the address, which for a port of 0 is another.
func serveConns(tb testing.TB, network, address string, serve func(net.Conn)) string {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); serve(conn) }()
		}
	}()
	return l.Addr().String()
}
