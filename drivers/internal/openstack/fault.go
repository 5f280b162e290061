package openstack

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"jeroboam.io/jeroboam/drivers"
)

// Fault is an answer that is not a success, as the service words it. It is the
// cause inside a *drivers.Error.
type Fault struct {
	Status int
	Type   string // the service's name for it, e.g. StackValidationFailed; often ""
	Text   string // secrets masked

	after time.Duration // what Retry-After asks for
}

// Error gives "status type: text".
func (f *Fault) Error() string {
	s := fmt.Sprintf("%d %s", f.Status, cmp.Or(f.Type, http.StatusText(f.Status)))
	if f.Text != "" {
		s += ": " + f.Text
	}
	return s
}

// AsFault is the service's answer in an error chain, or nil where none came.
func AsFault(err error) *Fault {
	var f *Fault
	errors.As(err, &f)
	return f
}

// answerError is a raw answer on its way to explain.
type answerError struct {
	status int
	header http.Header
	body   []byte
}

func (e *answerError) Error() string { return http.StatusText(e.status) }

// lostError is a request that got no answer, or half of one.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// explain gives any failure of an attempt its kind.
func (c *Cloud) explain(ctx context.Context, k call, err error) error {
	var (
		de       *drivers.Error
		answer   *answerError
		renewal  *gophercloud.ErrUnableToReauthenticate
		refused  gophercloud.ErrUnexpectedResponseCode
		readonly *readOnlyError
	)
	switch {
	case errors.As(err, &renewal):
		return explainRenewal(k, renewal.ErrReauth)
	case errors.As(err, &de):
		return err
	case errors.As(err, &answer):
		return c.explainAnswer(k, answer)
	case errors.As(err, &refused): // 401, again with a new token
		return c.explainAnswer(k, &answerError{refused.Actual, refused.ResponseHeader, refused.Body})
	case errors.As(err, &readonly):
		return &drivers.Error{Kind: drivers.Denied, Op: k.op(), Err: readonly}
	case ctx.Err() != nil:
		return &drivers.Error{Kind: drivers.Transient, Op: k.op(), Err: ctx.Err()}
	case isTrust(err):
		return &drivers.Error{Kind: drivers.Denied, Op: k.op(), Err: fmt.Errorf("%w; in %s check auth_url, cacert and verify", bare(err), c.entry.from)}
	}
	return &drivers.Error{Kind: drivers.Transient, Op: k.op(), Err: &lostError{bare(err)}}
}

// renewalError is a failure to renew the token.
type renewalError struct{ err error }

func (e *renewalError) Error() string { return "renew the token: " + e.err.Error() }
func (e *renewalError) Unwrap() error { return e.err }

// explainRenewal gives the calls that waited for one renewal an error each.
func explainRenewal(k call, err error) error {
	var de *drivers.Error
	if !errors.As(err, &de) { // the caller gave up waiting
		return &drivers.Error{Kind: drivers.KindOf(err), Op: k.op(), Err: &renewalError{err}}
	}
	return &drivers.Error{Kind: de.Kind, Op: k.op(), Request: de.Request, Err: &renewalError{de.Err}}
}

func (c *Cloud) explainAnswer(k call, a *answerError) error {
	typ, text := message(a.header.Get("Content-Type"), a.body) // cut only when it is masked: half a secret is not known as one
	f := &Fault{Status: a.status, Type: typ, Text: cut(c.mask.apply(text)), after: retryAfter(a.header, time.Now())}
	return &drivers.Error{Kind: kindOf(k, f), Op: k.op(), Request: requestID(a.header), Err: f}
}

// kindOf says who can act on an answer.
func kindOf(k call, f *Fault) drivers.Kind {
	switch s := f.Status; {
	case isQuota(f):
		return drivers.Rejected
	case stumbled(k, f):
		return drivers.Transient
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return drivers.Denied
	case s == http.StatusNotFound, s == http.StatusGone:
		return notFound(k)
	case s == http.StatusConflict, s == http.StatusPreconditionFailed, s == http.StatusLocked:
		return drivers.Conflict
	case s == http.StatusBadRequest, s == http.StatusRequestEntityTooLarge, s == http.StatusUnprocessableEntity:
		return drivers.Rejected
	case s == http.StatusRequestTimeout, s == http.StatusTooManyRequests, s >= 500:
		return drivers.Transient
	}
	return drivers.Unknown // a method, version or media type that the service does not take
}

// stumbled says that Heat failed by itself. Its API makes a 400 of a TypeError or
// ValueError of its engine, which has them where two of its transactions cross: a
// list that is read while somebody sets a stack's tags finds a stack without (seen
// with Heat 19, engine/api.py, format_stack_db_object). What really is wrong with a
// request says more than webob's general sentence.
func stumbled(k call, f *Fault) bool {
	return k.method == http.MethodGet && k.service == "orchestration" && f.Status == http.StatusBadRequest &&
		f.Type == "HTTPBadRequest" && strings.HasPrefix(f.Text, "The server could not comply with the request since it is either malformed")
}

// notFound tells a missing thing that a new one refers to, which its author can
// correct, from the thing asked for.
func notFound(k call) drivers.Kind {
	path := strings.TrimPrefix(k.path, "/lbaas")
	if k.method == http.MethodPost && strings.Count(strings.Trim(path, "/"), "/") == 0 {
		return drivers.Rejected
	}
	return drivers.NotFound
}

// quota is how services word that a project has used what it may: 403 of Nova,
// Octavia, Barbican and Magnum, 409 of Neutron, 413 of Cinder.
var quota = regexp.MustCompile(`(?i)\bquotas?\b|OverLimit|LimitExceeded|(reached|exceeded?) (the |a )?max|maximum [\w ]{0,40}(already )?exceeded|resource limit`)

// A name that is taken may hold any word.
func isQuota(f *Fault) bool {
	if f.Type == "StackExists" {
		return false
	}
	switch f.Status {
	case http.StatusForbidden, http.StatusConflict:
		return quota.MatchString(f.Type + " " + f.Text)
	}
	return false
}

// isTrust tells a server that we do not trust, or that has no TLS where we
// want it: neither passes by itself.
func isTrust(err error) bool {
	var (
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid)
}

// bare is a transport error without the URL that net/http puts round it.
func bare(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

func requestID(h http.Header) string {
	return cmp.Or(h.Get("X-Openstack-Request-Id"), h.Get("X-Compute-Request-Id"))
}
