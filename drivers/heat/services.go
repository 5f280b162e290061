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

// secrets says what keeps the keys of a Kubernetes cluster from being kept where
// the Config says, and from getting to its masters. A store that our role does
// not see is not known: who plans need not be who makes the cluster.
func (c *catalogue) secrets(ctx context.Context, s *schema.Spec) ([]diff.Objection, error) {
	if s.COE != "kubernetes" {
		return nil, nil
	}
	store, err := c.d.keyStore()
	if err != nil {
		return []diff.Objection{object(schema.CodeNoService, "coe", "%v", err)}, nil
	}
	if _, local := store.(safe); local {
		return nil, nil
	}
	if ac := c.d.cloud.Token().ApplicationCredential; ac != nil && ac.Restricted {
		return []diff.Objection{object(schema.CodeCredential, "coe", "masters fetch their keys with a credential of their own, and %v", errRestricted)}, nil
	}
	_, no, err := ask(ctx, c, kindSecrets, "", func(ctx context.Context, _ string) (struct{}, error) {
		return struct{}{}, c.d.cloud.Get(ctx, "key-manager", "/secrets", url.Values{"limit": {"1"}}, nil)
	})
	return at("coe", no), err
}
