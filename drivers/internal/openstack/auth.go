package openstack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"jeroboam.io/jeroboam/drivers"
)

// token is Keystone's answer, and what we chose from it.
type token struct {
	ExpiresAt moment `json:"expires_at"`
	Project   struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"project"`
	User struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"user"`
	Roles []struct {
		Name string `json:"name"`
	} `json:"roles"`
	ApplicationCredential *ApplicationCredential `json:"application_credential"`
	Catalog               []catalogService       `json:"catalog"`

	region string // the one whose endpoints are used
}

// moment is a time as Keystone writes it: UTC, mostly with a Z. A token that
// ends with its application credential has none.
type moment struct{ time.Time }

// UnmarshalJSON reads either.
func (m *moment) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil || s == "" {
		return err
	}
	t, err := time.Parse(time.RFC3339, strings.TrimSuffix(s, "Z")+"Z")
	m.Time = t
	return err
}

// authOptions is the entry in gophercloud's words. Where a name needs a domain
// and none is written, it is the one with the id "default", as for openstacksdk.
func (e entry) authOptions() gophercloud.AuthOptions {
	a := e.auth
	if e.authType == "v3applicationcredential" {
		o := gophercloud.AuthOptions{
			ApplicationCredentialID:     a["application_credential_id"],
			ApplicationCredentialSecret: a["application_credential_secret"],
		}
		if o.ApplicationCredentialID == "" {
			o.ApplicationCredentialName = a["application_credential_name"]
			e.setUser(&o)
		}
		return o
	}
	o := gophercloud.AuthOptions{Scope: e.scope()}
	if e.authType == "token" {
		o.TokenID = a["token"]
		return o
	}
	o.Password = a["password"]
	e.setUser(&o)
	return o
}

func (e entry) setUser(o *gophercloud.AuthOptions) {
	a := e.auth
	if o.UserID = a["user_id"]; o.UserID != "" {
		return
	}
	o.Username = a["username"]
	o.DomainID = cmp.Or(a["user_domain_id"], a["domain_id"])
	if o.DomainID == "" {
		o.DomainName = cmp.Or(a["user_domain_name"], a["domain_name"])
	}
	if o.DomainID == "" && o.DomainName == "" {
		o.DomainID = cmp.Or(a["default_domain"], "default")
	}
}

func (e entry) scope() *gophercloud.AuthScope {
	a := e.auth
	if id := a["project_id"]; id != "" {
		return &gophercloud.AuthScope{ProjectID: id}
	}
	s := &gophercloud.AuthScope{ProjectName: a["project_name"]}
	if s.ProjectName == "" {
		return s
	}
	s.DomainID = cmp.Or(a["project_domain_id"], a["domain_id"])
	if s.DomainID == "" {
		s.DomainName = cmp.Or(a["project_domain_name"], a["domain_name"])
	}
	if s.DomainID == "" && s.DomainName == "" {
		s.DomainID = cmp.Or(a["default_domain"], "default")
	}
	return s
}

// authenticate gets a token and takes it into use.
func (c *Cloud) authenticate(ctx context.Context) error {
	call, err := c.tokenCall()
	if err != nil {
		return &drivers.Error{Kind: drivers.Denied, Op: "get a token", Err: err}
	}
	var answer struct {
		Token token `json:"token"`
	}
	header, err := c.do(ctx, call, &answer)
	if err != nil {
		return c.explainAuth(err)
	}
	t := answer.Token
	if t.region, err = c.check(t); err != nil {
		return &drivers.Error{Kind: drivers.Denied, Op: "get a token", Err: err}
	}
	id := cmp.Or(header.Get("X-Subject-Token"), c.entry.auth["token"])
	c.mask.add(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = t
	c.client.SetToken(id)
	return nil
}

// tokenCall is the request for a token. A token without a project beside it is
// asked about itself, because posting it could move it to another project.
func (c *Cloud) tokenCall() (call, error) {
	k := call{
		client: c.bare, service: "identity", method: http.MethodPost,
		url: c.entry.authURL + "/auth/tokens", path: "/auth/tokens", again: true,
		header: map[string]string{},
	}
	o := c.entry.authOptions()
	if o.TokenID != "" && o.Scope.ProjectID == "" && o.Scope.ProjectName == "" {
		k.method = http.MethodGet
		k.header["X-Auth-Token"], k.header["X-Subject-Token"] = o.TokenID, o.TokenID
		return k, nil
	}
	scope, err := o.ToTokenV3ScopeMap()
	if err != nil {
		return call{}, err
	}
	body, err := o.ToTokenV3CreateMap(scope)
	if err != nil {
		return call{}, err
	}
	return k, k.setBody(body)
}

// check refuses a token that we cannot work with and gives the region to use.
// A renewed token for another project (one deleted and made again under the
// same name) must not be used: its empty lists would read as "all is gone".
func (c *Cloud) check(t token) (string, error) {
	if t.Project.ID == "" {
		return "", fmt.Errorf("%s gives a token without a project: add project_name or project_id", c.entry.from)
	}
	c.mu.Lock()
	old := c.token.Project.ID
	c.mu.Unlock()
	if old != "" && old != t.Project.ID {
		return "", fmt.Errorf("%s now means project %s, it was %s: start again if that is meant", c.entry.from, t.Project.ID, old)
	}
	regions := t.regions(c.entry.iface)
	want := c.entry.region
	switch {
	case want != "" && len(regions) > 0 && !slices.Contains(regions, want):
		return "", fmt.Errorf("%s has region_name %q, the cloud has %s", c.entry.from, want, strings.Join(regions, ", "))
	case want == "" && len(regions) > 1:
		return "", fmt.Errorf("%s needs region_name: the cloud has %s", c.entry.from, strings.Join(regions, ", "))
	case want == "" && len(regions) == 1:
		return regions[0], nil
	}
	return want, nil
}

// explainAuth adds what to check to an answer of Keystone's that the operator
// must act on.
func (c *Cloud) explainAuth(err error) error {
	var de *drivers.Error
	if !errors.As(err, &de) {
		return err
	}
	out := *de
	out.Op = "get a token"
	var check string
	switch f := AsFault(err); {
	case f != nil && f.Status == http.StatusNotFound && strings.Contains(f.Text, "Could not find Application Credential"):
		check = "application_credential_id: it was deleted, or there never was one"
	case de.Kind == drivers.Unknown || f != nil && f.Status == http.StatusNotFound:
		check = "auth_url: no Keystone v3 answers at " + c.entry.authURL
	case f != nil && (de.Kind == drivers.Denied || de.Kind == drivers.Rejected):
		check = c.whatToCheck()
	default:
		return &out
	}
	out.Kind, out.Err = drivers.Denied, fmt.Errorf("%w; in %s check %s", de.Err, c.entry.from, check)
	return &out
}

func (c *Cloud) whatToCheck() string {
	switch c.entry.authType {
	case "token":
		return "token: it is wrong or has expired, and cannot be renewed"
	case "v3applicationcredential":
		return "application_credential_id (or _name and its user) and application_credential_secret; it may have expired"
	default:
		return "username, password, project_name, their domains, and whether the user has a role in the project"
	}
}

// renew gets a new token after a 401. gophercloud sees to it that of all
// concurrent callers one does. A caller that gives up must not fail the others,
// so it runs on a context of its own; each request still has its time limit.
func (c *Cloud) renew(ctx context.Context) error {
	return c.authenticate(context.WithoutCancel(ctx))
}
