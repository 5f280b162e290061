// Package openstack is the way to one project of one cloud that every driver
// stands on: credentials, endpoints, requests, limits and the kinds of errors.
//
// It knows no resource of any service. A driver asks for a service by name, a
// path relative to that service's endpoint and a value of its own to decode
// into; what goes wrong comes back as *drivers.Error, whose kind says who can
// act. gophercloud builds the token request and renews the token; lists are
// decoded straight into the caller's structs, because its pager costs six
// times the CPU.
//
// Read this file for the type and what a token says, clouds.go for where
// credentials come from, auth.go for how they become a token, catalog.go for
// which URL a service has, request.go for the calls and what is tried again,
// transport.go for what no request gets round (read-only, limits, counts, log),
// fault.go for what an answer means.
package openstack

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// EnvCloud is the name that stands for the OS_* environment variables instead
// of an entry in clouds.yaml.
const EnvCloud schema.CloudName = "envvars"

// Settings say which cloud to connect to and how gently.
type Settings struct {
	Cloud    schema.CloudName    // entry of clouds.yaml, or EnvCloud
	ReadOnly bool                // the transport refuses all but reads and token requests
	Log      *zap.Logger         // one debug line a request; nil: none
	Calls    drivers.CallWatcher // told of every request; nil: nobody is

	Getenv      func(string) string // nil: os.Getenv
	Timeout     time.Duration       // of one request, until its body is read; default 60 s
	MaxInFlight int                 // requests that the cloud works on at once; default 8

	// Wire puts something between everything here and the network: tests that
	// count or lose requests do. Nil: nothing.
	Wire func(http.RoundTripper) http.RoundTripper
	// Sleep waits between attempts, or returns the context's error. Tests
	// replace it; nil: a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

func (s Settings) withDefaults() Settings {
	s.Timeout = cmp.Or(s.Timeout, 60*time.Second)
	s.MaxInFlight = cmp.Or(s.MaxInFlight, 8)
	if s.Log == nil {
		s.Log = zap.NewNop()
	}
	if s.Getenv == nil {
		s.Getenv = os.Getenv
	}
	if s.Sleep == nil {
		s.Sleep = sleep
	}
	return s
}

// Cloud is one authenticated project of one cloud. Its methods may be called
// from several goroutines.
type Cloud struct {
	settings Settings
	entry    entry
	mask     mask
	client   *gophercloud.ProviderClient // sends with the token, renews it on 401
	bare     *gophercloud.ProviderClient // the same transport without a token, for getting one
	counts   *counts
	answers  []int // the statuses that gophercloud leaves to us

	mu    sync.Mutex
	token token
}

// Connect reads the credentials and gets a token, so what is wrong with either
// is known here. Errors are *drivers.Error: Denied where the operator must
// correct clouds.yaml, a password or a role, Transient where Keystone could not
// be reached.
func Connect(ctx context.Context, s Settings) (*Cloud, error) {
	s = s.withDefaults()
	e, err := findEntry(s.Cloud, s.Getenv)
	if err != nil {
		return nil, &drivers.Error{Kind: drivers.Denied, Op: "read credentials", Err: err}
	}
	return connect(ctx, s, e)
}

// As is the same project of the same cloud for whoever holds an application
// credential: to try out what it may do. Endpoints, limits and the log are ours.
func (c *Cloud) As(ctx context.Context, id, secret string) (*Cloud, error) {
	e := c.entry
	e.from, e.authType = "the application credential "+id, "v3applicationcredential"
	e.auth = map[string]string{"application_credential_id": id, "application_credential_secret": secret}
	return connect(ctx, c.settings, e)
}

func connect(ctx context.Context, s Settings, e entry) (*Cloud, error) {
	tls, err := e.tlsConfig()
	if err != nil {
		return nil, &drivers.Error{Kind: drivers.Denied, Op: "read certificates", Err: err}
	}
	c := &Cloud{settings: s, entry: e, mask: newMask(e.secrets()), counts: &counts{}, answers: answers()}
	hc := http.Client{Transport: c.transport(tls), CheckRedirect: noRedirect}
	c.bare = &gophercloud.ProviderClient{HTTPClient: hc, Throwaway: true}
	c.bare.UseTokenLock()
	c.client = &gophercloud.ProviderClient{HTTPClient: hc, ReauthFunc: c.renew}
	c.client.UseTokenLock()
	for _, pc := range []*gophercloud.ProviderClient{c.bare, c.client} {
		pc.UserAgent.Prepend("jeroboam")
	}
	if err := c.authenticate(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// TokenInfo is what Keystone says about who we are and what there is.
type TokenInfo struct {
	ProjectID   string
	ProjectName string
	UserID      string
	UserName    string
	Roles       []string // sorted

	// ApplicationCredential is nil unless the token came from one.
	ApplicationCredential *ApplicationCredential

	ExpiresAt time.Time
	Region    string   // of the endpoints that are used
	AuthURL   string   // with /v3
	Catalog   []string // service types as the catalog spells them, sorted
}

// ApplicationCredential is the credential that a token came from. A restricted
// one may not create trusts or further credentials.
type ApplicationCredential struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Restricted bool   `json:"restricted"`
}

// Token tells about the token in use. The token itself stays inside.
func (c *Cloud) Token() TokenInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.token
	info := TokenInfo{
		ProjectID: t.Project.ID, ProjectName: t.Project.Name,
		UserID: t.User.ID, UserName: t.User.Name,
		ExpiresAt: t.ExpiresAt.Time, Region: t.region, AuthURL: c.entry.authURL,
		Catalog: t.types(),
	}
	for _, r := range t.Roles {
		info.Roles = append(info.Roles, r.Name)
	}
	slices.Sort(info.Roles)
	if a := t.ApplicationCredential; a != nil {
		cp := *a
		info.ApplicationCredential = &cp
	}
	return info
}

// CA is the PEM text of who signed the certificates of the cloud's servers, for
// those who must call them without us; empty if the system's authorities did.
func (c *Cloud) CA() (string, error) {
	if c.entry.cacert == "" {
		return "", nil
	}
	text, err := os.ReadFile(expand(c.entry.cacert))
	if err != nil {
		return "", &drivers.Error{Kind: drivers.Denied, Op: "read certificates", Err: err}
	}
	return string(text), nil
}

// Stats counts the requests sent so far by service, attempts and token
// requests included.
func (c *Cloud) Stats() map[string]int {
	c.counts.mu.Lock()
	defer c.counts.mu.Unlock()
	return maps.Clone(c.counts.byService)
}

// sleep is the real Settings.Sleep.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
