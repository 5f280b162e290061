package openstack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"jeroboam.io/jeroboam/drivers"
)

const (
	retries  = 3                      // after the first attempt
	firstGap = 500 * time.Millisecond // the upper bound of the first wait; doubled each time
	maxGap   = 8 * time.Second
	maxAfter = 60 * time.Second // a Retry-After beyond this is an error: the next run comes anyway
	maxBody  = 256 << 20        // bytes of an answer that is decoded at once
	maxFault = 64 << 10         // bytes of a refusal that are looked at
)

// An Option changes one request.
type Option func(service string, header map[string]string)

// Microversion asks for a microversion of compute, container-infra or
// block-storage, e.g. "1.10". The default is the service's oldest.
func Microversion(v string) Option {
	return func(service string, header map[string]string) {
		word := service
		if service == "block-storage" {
			word = "volume"
		}
		header["OpenStack-API-Version"] = word + " " + v
	}
}

// Accept asks for another media type than JSON, as a secret's payload needs;
// use it with GetStream.
func Accept(mediaType string) Option {
	return func(_ string, header map[string]string) { header["Accept"] = mediaType }
}

// Get reads what is at a path relative to the service's endpoint into out, as JSON
// or as an Answer does.
// It is tried again on connection errors, 429, 502, 503 and 504, and follows a
// redirect inside the service (Heat's from a stack's name to its id). A next
// page is the caller's to build, from its last item.
func (c *Cloud) Get(ctx context.Context, service, path string, query url.Values, out any, opts ...Option) error {
	return c.send(ctx, http.MethodGet, service, path, query, nil, out, opts)
}

// GetStream is Get for big lists: the caller decodes and closes the body.
// Settings.Timeout bounds it until then.
func (c *Cloud) GetStream(ctx context.Context, service, path string, query url.Values, opts ...Option) (io.ReadCloser, error) {
	k, err := c.call(http.MethodGet, service, path, query, nil, opts)
	if err != nil {
		return nil, err
	}
	resp, err := c.retry(ctx, k, func(*http.Response) error { return nil }) //nolint:bodyclose // the caller closes it
	if err != nil {
		return nil, err
	}
	return &stream{resp.Body, k}, nil
}

// Post sends a body and reads the answer into out; nil means that it is of no
// interest. Like all writes it is sent once: whether one that failed on its way
// was carried out only the driver can find out.
func (c *Cloud) Post(ctx context.Context, service, path string, body, out any, opts ...Option) error {
	return c.send(ctx, http.MethodPost, service, path, nil, body, out, opts)
}

// Put is Post with another verb.
func (c *Cloud) Put(ctx context.Context, service, path string, body, out any, opts ...Option) error {
	return c.send(ctx, http.MethodPut, service, path, nil, body, out, opts)
}

// Patch is Post with another verb.
func (c *Cloud) Patch(ctx context.Context, service, path string, body, out any, opts ...Option) error {
	return c.send(ctx, http.MethodPatch, service, path, nil, body, out, opts)
}

// Delete is Post with another verb; body and out are mostly nil. What is gone
// already is NotFound.
func (c *Cloud) Delete(ctx context.Context, service, path string, body, out any, opts ...Option) error {
	return c.send(ctx, http.MethodDelete, service, path, nil, body, out, opts)
}

// call is one request, to be sent once or more.
type call struct {
	client  *gophercloud.ProviderClient
	service string
	method  string
	base    string // the endpoint
	path    string // below it, for error texts
	url     string
	header  map[string]string
	body    []byte
	again   bool // may be sent more than once
}

func (k *call) setBody(v any) (err error) {
	k.header["Content-Type"] = "application/json"
	k.body, err = json.Marshal(v)
	return err
}

// op is the call as a short verb phrase.
func (k call) op() string { return strings.ToLower(k.method) + " " + k.service + " " + k.path }

func (c *Cloud) send(ctx context.Context, method, service, path string, query url.Values, body, out any, opts []Option) error {
	k, err := c.call(method, service, path, query, body, opts)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, k, out)
	return err
}

func (c *Cloud) call(method, service, path string, query url.Values, body any, opts []Option) (call, error) {
	base, err := c.endpoint(service)
	if err != nil {
		return call{}, err
	}
	k := call{
		client: c.client, service: service, method: method, base: base, path: path, url: base + path,
		header: map[string]string{}, again: method == http.MethodGet,
	}
	if !strings.HasPrefix(path, "/") {
		return call{}, &drivers.Error{Kind: drivers.Unknown, Op: k.op(), Err: errors.New("a path begins with /")}
	}
	if len(query) > 0 {
		k.url += "?" + query.Encode()
	}
	for _, o := range opts {
		o(service, k.header)
	}
	if body != nil {
		if err := k.setBody(body); err != nil {
			return call{}, &drivers.Error{Kind: drivers.Unknown, Op: k.op(), Err: err}
		}
	}
	return k, nil
}

// do sends a call and decodes the answer. An answer that breaks off is an
// attempt that failed, so reading it is inside the attempt.
func (c *Cloud) do(ctx context.Context, k call, out any) (http.Header, error) {
	resp, err := c.retry(ctx, k, func(r *http.Response) error { //nolint:bodyclose // in the function
		defer r.Body.Close()
		b, err := readAll(r)
		switch {
		case err != nil:
			return err
		case len(b) > maxBody:
			return c.unknown(k, r, fmt.Errorf("the answer is larger than %d MiB", maxBody>>20))
		case out == nil:
			return nil
		}
		if err := decode(b, out); err != nil {
			if !complete(b) {
				return io.ErrUnexpectedEOF
			}
			return c.unknown(k, r, fmt.Errorf("the answer is not what was expected: %w", err))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp.Header, nil
}

// An Answer reads a body itself, an empty one as well: it may know that it is the
// same again.
type Answer interface{ Decode(body []byte) error }

func decode(body []byte, out any) error {
	if a, ok := out.(Answer); ok {
		return a.Decode(body)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return json.Unmarshal(body, out)
}

// readAll reads a body of at most maxBody bytes and one. Room for a page of a list is
// made at once, and for no more on a server's word alone.
func readAll(r *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := min(r.ContentLength, 4<<20); n > 0 {
		b.Grow(int(n) + bytes.MinRead)
	}
	_, err := b.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	return b.Bytes(), err
}

// complete tells an answer that is wrong from one that a proxy cut off without
// saying so.
func complete(b []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(b))
	var v json.RawMessage
	return !errors.Is(dec.Decode(&v), io.ErrUnexpectedEOF)
}

func (c *Cloud) unknown(k call, r *http.Response, err error) error {
	return &drivers.Error{Kind: drivers.Unknown, Op: k.op(), Request: requestID(r.Header), Err: err}
}

// retry sends a call until an attempt is read, or fails in a way that another
// one would not mend.
func (c *Cloud) retry(ctx context.Context, k call, read func(*http.Response) error) (*http.Response, error) {
	for n := 0; ; n++ {
		resp, err := c.attempt(ctx, k)
		if err == nil {
			if err = read(resp); err == nil {
				return resp, nil
			}
		}
		err = c.explain(ctx, k, err)
		gap, again := nextGap(err, n)
		if !again || !k.again || n == retries || ctx.Err() != nil {
			return nil, err
		}
		if c.settings.Sleep(ctx, gap) != nil {
			return nil, err
		}
	}
}

// nextGap says whether an error may be gone the next time, and how long to
// wait: as the server asks, else a random time below a bound that doubles (full
// jitter), so that many clients do not come back together.
func nextGap(err error, n int) (time.Duration, bool) {
	gap := rand.N(min(firstGap<<n, maxGap)) //nolint:gosec // it spreads requests, it keeps no secret
	var (
		renewal *renewalError // was tried again by itself
		lost    *lostError
	)
	switch {
	case errors.As(err, &renewal):
		return 0, false
	case errors.As(err, &lost):
		return gap, true
	}
	f := AsFault(err)
	if f == nil {
		return 0, false
	}
	switch f.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if f.after > 0 {
			return f.after + gap, f.after <= maxAfter
		}
		return gap, true
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return gap, true
	case http.StatusBadRequest: // Heat's own (stumbled)
		return gap, drivers.KindOf(err) == drivers.Transient
	}
	return 0, false
}

// attempt sends a call, follows redirects of a GET and gives a 2xx answer, or
// an error of any type that explain knows.
func (c *Cloud) attempt(ctx context.Context, k call) (*http.Response, error) {
	for range 4 {
		resp, err := c.roundTrip(ctx, k)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode < 300:
			return resp, nil
		case resp.StatusCode < 400 && k.method == http.MethodGet:
			resp.Body.Close()
			if k.url, err = redirect(k, resp); err != nil {
				return nil, c.unknown(k, resp, err)
			}
		default:
			b, _ := io.ReadAll(io.LimitReader(resp.Body, maxFault))
			resp.Body.Close()
			return nil, &answerError{resp.StatusCode, resp.Header, b}
		}
	}
	return nil, &drivers.Error{Kind: drivers.Unknown, Op: k.op(), Err: errors.New("redirected in a circle")}
}

// roundTrip is gophercloud's part: the token, and on 401 a new one and the
// request once more. Every other status is an answer to it.
func (c *Cloud) roundTrip(ctx context.Context, k call) (*http.Response, error) {
	o := &gophercloud.RequestOpts{MoreHeaders: k.header, KeepResponseBody: true, OkCodes: c.answers}
	if k.body != nil {
		o.RawBody = bytes.NewReader(k.body) // a JSONBody would be encoded for each attempt
	}
	return k.client.Request(withService(ctx, k.service), k.method, k.url, o)
}

// answers is every status but 401.
func answers() []int {
	codes := make([]int, 0, 500)
	for s := 100; s < 600; s++ {
		if s != http.StatusUnauthorized {
			codes = append(codes, s)
		}
	}
	return codes
}

// redirect gives where to go, on our own endpoint: the token must not follow a
// Location to another host, and a service behind a proxy often names the wrong
// one.
func redirect(k call, resp *http.Response) (string, error) {
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return "", errors.New("redirected to something that is not a URL")
	}
	base, err := url.Parse(k.base)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(to.EscapedPath(), base.EscapedPath()+"/")
	if !ok || k.base == "" {
		return "", fmt.Errorf("redirected out of the service, to %s%s", to.Host, to.Path)
	}
	u := k.base + "/" + rest
	if to.RawQuery != "" {
		u += "?" + to.RawQuery
	}
	return u, nil
}

// stream is a body whose read errors have a kind.
type stream struct {
	io.ReadCloser
	k call
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &drivers.Error{Kind: drivers.Transient, Op: s.k.op(), Err: err}
	}
	return n, err
}

// retryAfter reads the header in either of its forms; 0 is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(max(0, min(n, 1<<20))) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
