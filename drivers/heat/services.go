package heat

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// What is asked about services that not every cloud has, and the role that their
// policies want of those who make things there: Octavia and Barbican refuse even
// reads to a plain member.
const (
	kindBalancer = "load balancer provider"
	kindSecrets  = "secret store"
)

func roleFor(kind string) string {
	switch kind {
	case kindBalancer:
		return "load-balancer_member"
	case kindSecrets:
		return "creator"
	}
	return "reader or member"
}

// balancers says what keeps a cluster from load balancers, if it wants any.
func (c *catalogue) balancers(ctx context.Context, s *schema.Spec) ([]diff.Objection, error) {
	field, provider := "", s.Labels["octavia_provider"]
	switch {
	case !s.MasterLBEnabled && s.Labels["ingress_controller"] != "octavia":
		return nil, nil
	case provider != "":
		field = "labels/octavia_provider"
	case s.MasterLBEnabled:
		field = "masterLBEnabled"
	default:
		field = "labels/ingress_controller"
	}
	_, no, err := ask(ctx, c, kindBalancer, provider, c.balancerProvider)
	return at(field, no), err
}

// balancerProvider finds a provider; without a name it finds out whether there
// is an Octavia that we may use.
func (c *catalogue) balancerProvider(ctx context.Context, name string) (string, error) {
	providers, err := once(c, "providers", func() ([]string, error) {
		var got struct {
			Providers []struct {
				Name string `json:"name"`
			} `json:"providers"`
		}
		err := c.d.cloud.Get(ctx, "load-balancer", "/lbaas/providers", nil, &got)
		names := make([]string, 0, len(got.Providers))
		for _, p := range got.Providers {
			names = append(names, p.Name)
		}
		return names, err
	})
	if err == nil && name != "" && !slices.Contains(providers, name) {
		err = rejected("find provider", "Octavia has no provider %q; it has %s", name, strings.Join(providers, ", "))
	}
	return name, err
}

// secrets says whether the keys of a Kubernetes cluster can be kept in Barbican.
// That there is none, or none for us, is worth a word and keeps nobody: keys can
// be delivered without.
func (c *catalogue) secrets(ctx context.Context, s *schema.Spec) ([]diff.Objection, error) {
	if s.COE != "kubernetes" || s.TLSDisabled {
		return nil, nil
	}
	_, no, err := ask(ctx, c, kindSecrets, "", func(ctx context.Context, _ string) (struct{}, error) {
		return struct{}{}, c.d.cloud.Get(ctx, "key-manager", "/secrets", url.Values{"limit": {"1"}}, nil)
	})
	found := at("coe", no)
	for i := range found {
		found[i].Unknown, found[i].Code = true, schema.CodeUnseen
	}
	return found, err
}
