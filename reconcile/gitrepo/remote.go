package gitrepo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
)

const (
	idleTimeout      = 90 * time.Second
	handshakeTimeout = 10 * time.Second
)

// remote speaks Git's protocol, one session a call. go-git's Remote is not used:
// it lists the refs anew for each fetch and push, asks for no filter, cannot ask
// whether the server has a commit, and its errors of a lost race are plain text.
type remote struct {
	url       string // without credentials, as it is printed
	transport transport.Transport
	login     func() (Login, error) // nil: HTTP without one, or SSH
	local     bool                  // file://
	maxPack   int64
	timeout   time.Duration // of a call, for texts

	mu      sync.Mutex
	secrets []string // tokens that were sent, the latest last: see withoutSecret
}

// access is how a session is opened: without an endpoint over SSH, whose transport
// is ours and knows where it goes, and without auth where nothing is to be shown.
type access struct {
	to   *transport.Endpoint
	auth transport.AuthMethod
}

// access asks for the login each time, because a token is renewed in its file while
// the daemon runs.
func (m *remote) access() (a access, err error) {
	if _, ours := m.transport.(*sshTransport); !ours {
		if a.to, err = transport.NewEndpoint(m.url); err != nil {
			return a, err
		}
	}
	if m.login == nil {
		return a, nil
	}
	l, err := m.login()
	if err != nil {
		return a, deniedf("login: %w", err)
	}
	if l.Token != "" {
		m.sends(l.Token)
		a.auth = &githttp.BasicAuth{Username: cmp.Or(l.Username, "git"), Password: l.Token}
	}
	return a, nil
}

// sends remembers a token, which no text may have in it.
func (m *remote) sends(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.secrets, token) {
		m.secrets = append(m.secrets[max(0, len(m.secrets)-3):], token)
	}
}

// reading is a session of git-upload-pack with what it listed.
type reading struct {
	transport.UploadPackSession
	refs *packp.AdvRefs // without references if the repository is empty
}

func (m *remote) read(ctx context.Context) (*reading, error) {
	op := "list refs of"
	by, err := m.access()
	if err != nil {
		return nil, m.fail(ctx, op, err)
	}
	s, err := m.transport.NewUploadPackSession(by.to, by.auth)
	if err != nil {
		return nil, m.fail(ctx, op, err)
	}
	refs, err := s.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		refs, err = packp.NewAdvRefs(), nil
	}
	if err != nil {
		_ = s.Close()
		return nil, m.fail(ctx, op, err)
	}
	return &reading{s, refs}, nil
}

// ask is what a fetch wants.
type ask struct {
	want  plumbing.Hash
	have  plumbing.Hash // zero: nothing
	depth int           // commits; 0: all that are not below have
	less  packp.Filter  // objects to leave out, if the server can
	// mustHave gives up, having read nothing, if the server does not know have.
	mustHave bool
}

func (a ask) request(server *capability.List) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequestFromCapabilities(server)
	req.Wants = []plumbing.Hash{a.want}
	if !a.have.IsZero() {
		req.Haves = []plumbing.Hash{a.have}
	}
	// No "shallow" lines on purpose: the server then leaves out what is below
	// have, though we never had it. Telling the truth would bring the whole
	// history with the first merge of a branch that began before our clone. A
	// commit that brings old content back comes incomplete; fetch.go notices.
	set := []capability.Capability{capability.NoProgress}
	if a.depth > 0 {
		req.Depth = packp.DepthCommits(a.depth)
		set = append(set, capability.Shallow)
	}
	if a.less != "" && server.Supports(capability.Filter) {
		req.Filter = a.less
		set = append(set, capability.Filter)
	}
	for _, c := range set {
		if !server.Supports(c) && c == capability.NoProgress {
			continue
		}
		if err := req.Capabilities.Set(c); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// pull brings objects into a store. It says whether the server knew ask.have.
func (m *remote) pull(ctx context.Context, s *reading, a ask, into storer.Storer) (known bool, err error) {
	req, err := a.request(s.refs.Capabilities)
	if err != nil {
		return false, m.fail(ctx, "fetch from", err)
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := s.UploadPack(within, req)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return true, nil // nothing to send
	}
	if err != nil {
		return false, m.fail(ctx, "fetch from", err)
	}
	known = len(resp.ACKs) > 0
	if a.mustHave && !known {
		abandon(resp, cancel)
		return false, nil
	}
	body := &limited{from: resp, left: m.maxPack}
	err = packfile.UpdateObjectStorage(into, demux(req.Capabilities, body))
	if err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		abandon(resp, cancel)
		if body.left < 0 {
			return known, rejected("fetch from "+m.url, "the answer is larger than %d MiB: %w", m.maxPack>>20, errTooLarge)
		}
		return known, m.fail(ctx, "fetch from", err)
	}
	// The last bytes of the stream, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, resp)
	_ = resp.Close()
	return known, nil
}

// abandon ends an answer that is not wanted. go-git's Close waits for a local
// git-upload-pack, which waits for a reader of what it has left to say; a read
// that notices the end of the context kills it. The first reads may not notice:
// there are bytes in a buffer, or both are ready.
func abandon(resp *packp.UploadPackResponse, cancel context.CancelFunc) {
	cancel()
	_, _ = io.Copy(io.Discard, resp)
	_ = resp.Close()
}

func demux(c *capability.List, r io.Reader) io.Reader {
	switch {
	case c.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case c.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	default:
		return r
	}
}

var errTooLarge = errors.New("too large")

// limited fails, unlike io.LimitReader, which would look like a short answer.
type limited struct {
	from io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// writing is a session of git-receive-pack with what it listed.
type writing struct {
	transport.ReceivePackSession
	refs *packp.AdvRefs
}

func (m *remote) write(ctx context.Context) (*writing, error) {
	op := "list refs for a push of"
	by, err := m.access()
	if err != nil {
		return nil, m.fail(ctx, op, err)
	}
	s, err := m.transport.NewReceivePackSession(by.to, by.auth)
	if err != nil {
		return nil, m.fail(ctx, op, err)
	}
	refs, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = s.Close()
		return nil, m.fail(ctx, op, err)
	}
	return &writing{s, refs}, nil
}

// refused is a push that the server understood and did not do.
type refused struct {
	reason string // Git's word for it
	said   string // what its hooks printed
}

func (e *refused) Error() string {
	if e.said == "" {
		return e.reason
	}
	return e.reason + ": " + e.said
}

// push moves a ref from cmd.Old to cmd.New, and only from there: the server
// compares. The error is a *refused if it would not.
func (m *remote) push(ctx context.Context, s *writing, cmd packp.Command, objects *memory.Storage) error {
	var pack, said bytes.Buffer
	hashes := make([]plumbing.Hash, 0, len(objects.Objects))
	for h := range objects.Objects {
		hashes = append(hashes, h)
	}
	plumbing.HashesSort(hashes)
	// No deltas (window 0): there is nothing old in the pack to make them against.
	if _, err := packfile.NewEncoder(&pack, objects, false).Encode(hashes, 0); err != nil {
		return fmt.Errorf("pack objects: %w", err)
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(s.refs.Capabilities)
	req.Commands = []*packp.Command{&cmd}
	req.Packfile = io.NopCloser(&pack)
	if s.refs.Capabilities.Supports(capability.Sideband64k) {
		if err := req.Capabilities.Set(capability.Sideband64k); err != nil {
			return m.fail(ctx, "push to", err)
		}
		req.Progress = &limitedBuffer{to: &said, left: 2000}
	}
	report, err := s.ReceivePack(ctx, req)
	if report != nil && report.Error() != nil {
		return &refused{reason: reason(report), said: printable(said.String())}
	}
	if err != nil {
		return m.fail(ctx, "push to", err)
	}
	return nil
}

func reason(r *packp.ReportStatus) string {
	for _, c := range r.CommandStatuses {
		if c.Error() != nil {
			return c.Status
		}
	}
	return r.UnpackStatus
}

// printable is one line of what a hook printed.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// limitedBuffer keeps the beginning of what is written.
type limitedBuffer struct {
	to   *bytes.Buffer
	left int
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), l.left)
	l.left -= keep
	l.to.Write(p[:keep])
	return len(p), nil
}
