package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"
)

// SSH says how to reach a repository over SSH. Nothing is taken from
// ~/.ssh/config: the daemon reads from where its settings say.
type SSH struct {
	// KeyFile is a private key in OpenSSH's or PEM's form. A certificate beside
	// it (KeyFile-cert.pub) is shown with it. Empty: the keys of Agent.
	KeyFile string
	// Passphrase of KeyFile; nil: it has none.
	Passphrase func() (string, error)
	// Agent is the socket of an SSH agent ($SSH_AUTH_SOCK).
	Agent string
	// KnownHosts are files in OpenSSH's form, hashed entries, @cert-authority and
	// @revoked included; those that do not exist are left out. A host that is in
	// none of them is not talked to.
	KnownHosts []string
}

// sshTransport is our own, because go-git's knows no context and no timeout while
// it connects, and reads the user's ssh_config. A session is a connection.
type sshTransport struct {
	user, address, path string // address with its port
	dial                dialer
	keys                *sshKeys
	hosts               hostKeys
}

func (t *sshTransport) NewUploadPackSession(*transport.Endpoint, transport.AuthMethod) (transport.UploadPackSession, error) {
	return &sshSession{t: t, service: transport.UploadPackServiceName}, nil
}

func (t *sshTransport) NewReceivePackSession(*transport.Endpoint, transport.AuthMethod) (transport.ReceivePackSession, error) {
	return &sshSession{t: t, service: transport.ReceivePackServiceName}, nil
}

// sshSession is one run of git-upload-pack or git-receive-pack.
type sshSession struct {
	t       *sshTransport
	service string

	client *ssh.Client
	run    *ssh.Session
	in     io.WriteCloser
	out    io.Reader
	said   said // on standard error
	asked  bool // more than the refs
}

// connect opens a connection. The end of the context closes it, at any time.
func (s *sshSession) connect(ctx context.Context) error {
	config, done, err := s.t.config(ctx)
	if err != nil {
		return err
	}
	defer done()
	conn, err := s.t.dial(ctx, s.t.address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.t.address, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c, channels, requests, err := ssh.NewClientConn(conn, s.t.address, config.ClientConfig)
	if err != nil {
		_ = conn.Close()
		return config.explain(err)
	}
	s.client = ssh.NewClient(c, channels, requests)
	return s.start()
}

func (s *sshSession) start() (err error) {
	if s.run, err = s.client.NewSession(); err != nil {
		return err
	}
	s.run.Stderr = &s.said
	if s.in, err = s.run.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.run.StdoutPipe(); err != nil {
		return err
	}
	return s.run.Start(s.service + " " + quote(s.t.path))
}

// quote makes a word of a path for the shell on the other side, which is
// somebody's login shell or a forge's parser of just this form.
func quote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

func (s *sshSession) closeWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = s.client.Close() })
}

func (s *sshSession) AdvertisedReferences() (*packp.AdvRefs, error) {
	return s.AdvertisedReferencesContext(context.Background())
}

// AdvertisedReferencesContext connects and lists the refs.
func (s *sshSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	defer s.closeWith(ctx)()
	refs := packp.NewAdvRefs()
	err := refs.Decode(s.out)
	push := s.service == transport.ReceivePackServiceName
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs) && push:
		err = nil // the first push to it
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && !push && refs.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	}
	if err != nil {
		return nil, s.whyNot(err)
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	return refs, nil
}

// whyNot prefers the words of the other side to ours for a broken answer.
func (s *sshSession) whyNot(err error) error {
	if line, ok := errors.AsType[*pktline.ErrorLine](err); ok {
		return &sshRefused{line.Text}
	}
	if errors.Is(err, packp.ErrEmptyInput) { // it says why, and ends
		_ = s.run.Wait()
		if text := s.said.text(); text != "" {
			return &sshRefused{text}
		}
		return io.ErrUnexpectedEOF
	}
	return err
}

// sshRefused is what a server said instead of doing what was asked.
type sshRefused struct{ said string }

func (e *sshRefused) Error() string { return "the server said: " + e.said }

// UploadPack sends everything at once: one have needs no negotiation.
func (s *sshSession) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if req.IsEmpty() {
		return nil, transport.ErrEmptyUploadPackRequest
	}
	s.asked = true
	context.AfterFunc(ctx, func() { _ = s.client.Close() }) // also while the answer is read
	var b bytes.Buffer
	if err := req.UploadRequest.Encode(&b); err != nil {
		return nil, err
	}
	if err := req.UploadHaves.Encode(&b, true); err != nil {
		return nil, err
	}
	if err := pktline.NewEncoder(&b).Encodef("done\n"); err != nil {
		return nil, err
	}
	if _, err := s.in.Write(b.Bytes()); err != nil {
		return nil, err
	}
	resp := packp.NewUploadPackResponse(req)
	if err := resp.Decode(io.NopCloser(s.out)); err != nil {
		return nil, s.whyNot(err)
	}
	return resp, nil
}

// ReceivePack sends a push and reads what came of it.
func (s *sshSession) ReceivePack(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	s.asked = true
	defer s.closeWith(ctx)()
	if err := req.Encode(s.in); err != nil {
		return nil, err
	}
	if err := s.in.Close(); err != nil {
		return nil, err
	}
	if !req.Capabilities.Supports(capability.ReportStatus) {
		return nil, s.run.Wait()
	}
	out := s.out
	if req.Capabilities.Supports(capability.Sideband64k) {
		d := sideband.NewDemuxer(sideband.Sideband64k, s.out)
		d.Progress, out = req.Progress, d
	}
	report := packp.NewReportStatus()
	if err := report.Decode(out); err != nil {
		return nil, s.whyNot(err)
	}
	// The report is there; what is left are the server's hooks, which a closed
	// connection would cut short.
	_, _ = io.Copy(io.Discard, s.out)
	return report, report.Error()
}

// Close ends the run, in order if nothing was asked but the refs.
func (s *sshSession) Close() error {
	if s.client == nil {
		return nil
	}
	if s.in != nil && !s.asked {
		_, _ = s.in.Write(pktline.FlushPkt)
	}
	err := s.client.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// said keeps the beginning of what a program prints, from another goroutine.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const maxSaid = 1000

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(p[:min(len(p), maxSaid-min(s.b.Len(), maxSaid))])
	return len(p), nil
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return printable(s.b.String())
}
