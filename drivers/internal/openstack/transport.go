package openstack

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// transport is what every request goes through, from the outside in: a place in
// the queue, the count and the log, the time limit, the read-only guard, the
// wire. Nothing else of this package holds the wire.
func (c *Cloud) transport(conf *tls.Config) http.RoundTripper {
	var rt http.RoundTripper = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   15 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   c.settings.MaxInFlight,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	if c.settings.Wire != nil {
		rt = c.settings.Wire(rt)
	}
	if c.settings.ReadOnly {
		rt = &readOnly{rt, c.entry.authURL + "/auth/tokens"}
	}
	rt = &deadline{rt, c.settings.Timeout}
	rt = &observer{rt, c.counts, c.settings}
	return &queue{rt, make(chan struct{}, c.settings.MaxInFlight)}
}

// noRedirect leaves redirects to us: net/http would take the token to another
// host, and turn the DELETE of a stack by name into a GET.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// readOnly refuses everything that could change something. Asking Keystone for
// a token is the one POST.
type readOnly struct {
	next   http.RoundTripper
	tokens string // URL of token requests
}

// readOnlyError is the refusal.
type readOnlyError struct{ method, path string }

func (e *readOnlyError) Error() string {
	return fmt.Sprintf("read-only: %s %s was not sent", e.method, e.path)
}

func (r *readOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case req.Method == http.MethodGet, req.Method == http.MethodHead:
	case req.Method == http.MethodPost && req.URL.String() == r.tokens:
	default:
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, &readOnlyError{req.Method, req.URL.Path}
	}
	return r.next.RoundTrip(req)
}

// deadline bounds one request until its body is closed.
type deadline struct {
	next http.RoundTripper
	d    time.Duration
}

func (t *deadline) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), t.d, fmt.Errorf("no answer within %s", t.d))
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil { // net/http gives the cause
		cancel()
		return nil, err
	}
	resp.Body = &cancelBody{resp.Body, cancel}
	return resp, nil
}

type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// queue lets only so many requests be under way. A place is free again when the
// headers are there: by then a service has done its work, and a caller that
// holds one body open may ask for the next thing without a deadlock.
type queue struct {
	next   http.RoundTripper
	places chan struct{}
}

func (q *queue) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case q.places <- struct{}{}:
		defer func() { <-q.places }()
		return q.next.RoundTrip(req)
	case <-req.Context().Done():
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, req.Context().Err()
	}
}

// counts is the requests by service.
type counts struct {
	mu        sync.Mutex
	byService map[string]int
}

func (c *counts) add(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byService == nil {
		c.byService = map[string]int{}
	}
	c.byService[service]++
}

// observer counts, logs and tells. Headers, bodies and queries are never logged.
type observer struct {
	next   http.RoundTripper
	counts *counts
	s      Settings
}

func (o *observer) RoundTrip(req *http.Request) (*http.Response, error) {
	service := serviceOf(req.Context())
	o.counts.add(service)
	start := time.Now()
	resp, err := o.next.RoundTrip(req)
	took := time.Since(start)
	if o.s.Calls != nil {
		o.s.Calls.Called(callOf(o.s.Cloud, service, req, resp, took))
	}
	if ce := o.s.Log.Check(zap.DebugLevel, "request"); ce != nil {
		fields := []zap.Field{
			zap.String("service", service), zap.String("method", req.Method),
			zap.String("path", req.URL.Path), zap.Duration("duration", took),
		}
		if err != nil {
			fields = append(fields, zap.Error(err))
		} else {
			fields = append(fields, zap.Int("status", resp.StatusCode), zap.String("request", requestID(resp.Header)))
		}
		ce.Write(fields...)
	}
	return resp, err
}

// callOf is a request as watchers are told of it; resp is nil if no answer came.
func callOf(cloud schema.CloudName, service string, req *http.Request, resp *http.Response, took time.Duration) drivers.Call {
	k := drivers.Call{
		Cloud: cloud, Service: service, Method: req.Method, Took: took, Operation: drivers.OperationOf(req.Context()),
		Changes: req.Method != http.MethodGet && req.Method != http.MethodHead && !strings.HasSuffix(req.URL.Path, "/auth/tokens"),
	}
	if resp != nil {
		k.Status, k.Request = resp.StatusCode, requestID(resp.Header)
	}
	return k
}

type serviceKey struct{}

func withService(ctx context.Context, service string) context.Context {
	return context.WithValue(ctx, serviceKey{}, service)
}

func serviceOf(ctx context.Context) string {
	s, _ := ctx.Value(serviceKey{}).(string)
	return s
}
