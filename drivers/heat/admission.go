package heat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// admission is what a master gets its keys with at boot: an application
// credential that may do nothing in any service but read these secrets, and
// only until it expires. In Keystone itself, which does not look at access
// rules, it can read about its own user and the names of that user's
// credentials, and make no other.
type admission struct {
	ID      string
	Secret  string
	AuthURL string            // with /v3
	URLs    map[string]string // of payloads, by file name
	Expires time.Time
}

// credential is an application credential as Keystone shows it.
type credential struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Secret      string    `json:"secret"` // only in the answer to the create
	Expires     string    `json:"expires_at"`
	Rules       []ruleRow `json:"access_rules"`
}

// ruleRow is one request that a credential may make.
type ruleRow struct {
	ID      string `json:"id,omitempty"`
	Path    string `json:"path"`
	Method  string `json:"method"`
	Service string `json:"service"`
}

// How Keystone takes and shows times, which are UTC.
const (
	keystoneTakes = "2006-01-02T15:04:05Z"
	keystoneShows = "2006-01-02T15:04:05.999999"
)

// errRules is a Barbican that does not know its own name.
var errRules = errors.New("Barbican refuses every credential with access rules: its operator must set service_type = key-manager in [keystone_authtoken]") //nolint:staticcheck // it begins with a name

// errRestricted is what Keystone means by refusing us.
var errRestricted = errors.New("a restricted application credential makes no other: log in with a password, or with a credential made with --unrestricted")

// admit makes the admission of one boot to secrets of a stack, ids by file
// name. It has been tried out when it is returned, because a cloud that does not
// check access rules shows it only then. A credential of the same boot from a
// run that was killed is replaced: its secret is lost.
//
// Denied says what is to be done: a role is missing, we are logged in with
// a credential that makes no other, or Barbican refuses such credentials.
func (v vault) admit(ctx context.Context, stack, boot string, refs map[string]string, expires time.Time) (*admission, error) {
	a := &admission{AuthURL: v.cloud.Token().AuthURL, URLs: map[string]string{}, Expires: expires.UTC().Truncate(time.Second)}
	base, err := v.cloud.Endpoint("key-manager")
	if err != nil {
		return nil, err
	}
	for file, id := range refs {
		a.URLs[file] = base + payloadPath(id)
	}
	rules, err := rulesFor(a.URLs)
	if err != nil {
		return nil, err
	}
	want := map[string]any{
		"name": v.name(stack, boot), "description": tagOwner + v.owner, "unrestricted": false,
		"expires_at": a.Expires.Format(keystoneTakes), "access_rules": rules,
	}
	err = v.noRole()
	for _, role := range v.readers() {
		want["roles"] = []map[string]string{{"name": role}}
		if err = v.enter(ctx, a, want, refs); err == nil {
			return a, nil
		}
		if f := openstack.AsFault(err); f == nil || f.Status != http.StatusForbidden {
			return nil, err
		}
	}
	return nil, err
}

// readers are the roles of ours that let read secrets, that which allows least
// first: Barbican's own policy until enforce_new_defaults wants observer or
// creator, and member from then on.
func (v vault) readers() []string {
	ours := v.cloud.Token().Roles
	return slices.DeleteFunc([]string{"observer", "creator", "member"}, func(r string) bool { return !slices.Contains(ours, r) })
}

func (v vault) noRole() error {
	return &drivers.Error{Kind: drivers.Denied, Op: "admit a master", Err: fmt.Errorf(
		"the user of cloud %s has no role that reads secrets: give it %s", v.cloudName, roleFor(kindSecrets))}
}

// rulesFor lets read these addresses. A service behind a prefix may see its
// paths with or without it, so both are allowed.
func rulesFor(urls map[string]string) ([]ruleRow, error) {
	var rules []ruleRow
	for _, at := range slices.Sorted(maps.Values(urls)) {
		u, err := url.Parse(at)
		if err != nil {
			return nil, err
		}
		rules = append(rules, ruleRow{Path: u.Path, Method: http.MethodGet, Service: "key-manager"})
		if i := strings.Index(u.Path, "/v1/secrets/"); i > 0 {
			rules = append(rules, ruleRow{Path: u.Path[i:], Method: http.MethodGet, Service: "key-manager"})
		}
	}
	if len(rules) == 0 { // Keystone takes no rules for: nothing may be done, which is of no use
		return nil, &drivers.Error{Kind: drivers.Unknown, Op: "admit a master", Err: errors.New("to no secret")}
	}
	return rules, nil
}

// enter makes the credential and tries it. What does not work is removed again.
func (v vault) enter(ctx context.Context, a *admission, want map[string]any, refs map[string]string) error {
	made, err := v.make(ctx, want)
	if err != nil {
		return err
	}
	if err := v.try(ctx, made, refs); err != nil {
		return errors.Join(err, v.dropCredentials(context.WithoutCancel(ctx), made))
	}
	a.ID, a.Secret = made.ID, made.Secret
	return nil
}

func (v vault) make(ctx context.Context, want map[string]any) (credential, error) {
	var got struct {
		Credential credential `json:"application_credential"`
	}
	body := map[string]any{"application_credential": want}
	err := v.cloud.Post(ctx, "identity", v.credentials(), body, &got)
	if drivers.KindOf(err) == drivers.Conflict {
		old := func(c credential) bool { return c.Name == want["name"] }
		if err := v.dropAll(ctx, old); err != nil {
			return credential{}, err
		}
		err = v.cloud.Post(ctx, "identity", v.credentials(), body, &got)
	}
	return got.Credential, v.restricted("make an application credential", err)
}

// try reads every secret as the master will, or one if such rules were tried before.
func (v vault) try(ctx context.Context, c credential, refs map[string]string) error {
	as, err := v.cloud.As(ctx, c.ID, c.Secret)
	if err != nil {
		return err
	}
	files := slices.Sorted(maps.Keys(refs))
	if v.tried {
		files = files[:1]
	}
	return beside(ctx, files, func(ctx context.Context, _ int, file string) error {
		_, err := payload(ctx, as, refs[file])
		if f := openstack.AsFault(err); f != nil && f.Status == http.StatusUnauthorized {
			return &drivers.Error{Kind: drivers.Denied, Op: "admit a master", Err: fmt.Errorf("%w (%w)", errRules, f)}
		}
		return v.explain("admit a master to "+file, err)
	})
}

// revoke removes the admissions of a stack. No new token can be had from them
// then; one that was had before works until it expires, or Barbican forgets that
// it was good (token_cache_time).
func (v vault) revoke(ctx context.Context, stack string) error {
	return v.dropAll(ctx, func(c credential) bool {
		of, ours := v.parse(c.Name)
		return ours && of == stack
	})
}

// doors are the names of our stacks that have an admission or another credential,
// sorted.
func (v vault) doors(ctx context.Context) ([]string, error) {
	all, err := v.ourCredentials(ctx)
	var stacks []string
	for _, c := range all {
		stack, _ := v.parse(c.Name)
		stacks = append(stacks, stack)
	}
	slices.Sort(stacks)
	return slices.Compact(stacks), err
}

// sweep removes the admissions that have expired: Keystone keeps them for ever.
func (v vault) sweep(ctx context.Context, now time.Time) error {
	return v.dropAll(ctx, func(c credential) bool {
		at, err := time.Parse(keystoneShows, c.Expires)
		return err == nil && at.Before(now)
	})
}

// dropAll removes credentials of ours.
func (v vault) dropAll(ctx context.Context, which func(credential) bool) error {
	all, err := v.ourCredentials(ctx)
	if err != nil {
		return err
	}
	return v.dropCredentials(ctx, slices.DeleteFunc(all, func(c credential) bool { return !which(c) })...)
}

// ourCredentials are those of our stacks. Credentials belong to a user, so there
// may be those of other projects, other owners and other programs beside them.
func (v vault) ourCredentials(ctx context.Context) ([]credential, error) {
	var got struct {
		Credentials []credential `json:"application_credentials"`
	}
	err := v.cloud.Get(ctx, "identity", v.credentials(), nil, &got)
	return slices.DeleteFunc(got.Credentials, func(c credential) bool {
		_, ours := v.parse(c.Name)
		return !ours || c.Description != tagOwner+v.owner
	}), err
}

// dropCredentials removes credentials and then their rules, which Keystone keeps
// for the user otherwise. Those that yet another credential has cannot go.
func (v vault) dropCredentials(ctx context.Context, all ...credential) error {
	rules := map[string]bool{}
	for _, c := range all {
		for _, r := range c.Rules {
			rules[r.ID] = true
		}
	}
	err := beside(ctx, all, func(ctx context.Context, _ int, c credential) error {
		err := v.cloud.Delete(ctx, "identity", v.credentials()+"/"+url.PathEscape(c.ID), nil, nil)
		if err == nil || gone(err) {
			return nil
		}
		return v.restricted("delete an application credential", err)
	})
	if err != nil {
		return err
	}
	return beside(ctx, slices.Sorted(maps.Keys(rules)), func(ctx context.Context, _ int, id string) error {
		err := v.cloud.Delete(ctx, "identity", v.user()+"/access_rules/"+url.PathEscape(id), nil, nil)
		if kind := drivers.KindOf(err); err != nil && kind != drivers.NotFound && kind != drivers.Denied {
			return err
		}
		return nil
	})
}

func (v vault) user() string        { return "/users/" + url.PathEscape(v.cloud.Token().UserID) }
func (v vault) credentials() string { return v.user() + "/application_credentials" }

// restricted explains Keystone's refusal to those who are logged in with
// a credential that may not make others.
func (v vault) restricted(op string, err error) error {
	f, ac := openstack.AsFault(err), v.cloud.Token().ApplicationCredential
	if f == nil || f.Status != http.StatusForbidden || ac == nil || !ac.Restricted {
		return err
	}
	return &drivers.Error{Kind: drivers.Denied, Op: op, Err: fmt.Errorf("%w (%w)", errRestricted, f)}
}
