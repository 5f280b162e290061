package gitrepo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os/exec"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"jeroboam.io/jeroboam/drivers"
)

// ErrLostRace is in the error of WriteStatus if the status branch moved under
// every attempt that the push budget allowed. Nothing is wrong: write again later.
var ErrLostRace = errors.New("somebody else pushed at every attempt")

// fail says who can act on an error of the wire. Most of go-git's are plain
// text, so whatever is not recognised over HTTP is taken for the network's.
func (m *remote) fail(ctx context.Context, op string, err error) error {
	if known := (*drivers.Error)(nil); errors.As(err, &known) {
		return err
	}
	kind, cause := m.explain(ctx, err)
	return &drivers.Error{Kind: kind, Op: op + " " + m.url, Err: m.withoutSecret(cause)}
}

func (m *remote) explain(ctx context.Context, err error) (drivers.Kind, error) {
	switch ctx.Err() {
	case context.DeadlineExceeded:
		return drivers.Transient, fmt.Errorf("not done in time (the timeout is %v): %w", m.timeout, context.DeadlineExceeded)
	case context.Canceled:
		return drivers.Transient, context.Canceled
	}
	// UnexpectedError hides its cause from errors.As.
	for u := (*plumbing.UnexpectedError)(nil); errors.As(err, &u); {
		err = u.Err
	}
	if kind, cause := m.explainAnswer(err); kind != "" {
		return kind, cause
	}
	if kind, cause := explainSSH(err); kind != "" {
		return kind, cause
	}
	var (
		to   *redirected
		cert *tls.CertificateVerificationError
		prog *exec.Error
	)
	switch {
	case errors.As(err, &to):
		return drivers.Denied, fmt.Errorf("%w: set the URL to where the repository is", to)
	case errors.As(err, &cert):
		return drivers.Denied, fmt.Errorf("%w: set the CA bundle if the certificate is from a private authority", err)
	case errors.As(err, &prog), m.local && errors.Is(err, fs.ErrNotExist):
		return drivers.Denied, fmt.Errorf("%w: a local repository needs Git to be installed", err)
	case m.local:
		return drivers.Denied, err
	}
	return drivers.Transient, err
}

// explainAnswer is about what the server said; no kind if it said nothing. The
// bodies of its answers, pages of HTML, are left out.
func (m *remote) explainAnswer(err error) (drivers.Kind, error) {
	var status *githttp.Err
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired) && m.login == nil:
		return drivers.Denied, fmt.Errorf("%w: no token is set", transport.ErrAuthenticationRequired)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return drivers.Denied, fmt.Errorf("%w: the username or the token is wrong or has expired", transport.ErrAuthenticationRequired)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return drivers.Denied, fmt.Errorf("%w: the token may not do this; the board needs one that may write", transport.ErrAuthorizationFailed)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return drivers.Denied, fmt.Errorf("%w: check the URL; a private repository answers like this to a token that may not see it",
			transport.ErrRepositoryNotFound)
	case !errors.As(err, &status):
		return "", nil
	}
	code := status.StatusCode()
	cause := fmt.Errorf("the server answered %d %s", code, http.StatusText(code))
	if code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout {
		return drivers.Transient, cause
	}
	return drivers.Denied, fmt.Errorf("%w: check that the URL is that of a Git repository", cause)
}

// explainSSH is about keys, hosts and what a server says instead of refs.
func explainSSH(err error) (drivers.Kind, error) {
	var no denied
	var said *sshRefused
	switch {
	case errors.As(err, &no):
		return drivers.Denied, err
	case errors.As(err, &said):
		return drivers.Denied, fmt.Errorf("%w: check the URL, and that the key may do this", said)
	}
	return "", nil
}

// withoutSecret is a second lock: no token is in a URL that go-git sees.
func (m *remote) withoutSecret(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := err.Error()
	for _, secret := range m.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func rejected(op, format string, args ...any) error {
	return &drivers.Error{Kind: drivers.Rejected, Op: op, Err: fmt.Errorf(format, args...)}
}

// asRejected leaves an error that says more.
func asRejected(op string, err error) error {
	if known := (*drivers.Error)(nil); errors.As(err, &known) {
		return err
	}
	return rejected(op, "%w", err)
}
