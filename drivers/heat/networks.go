package heat

import (
	"context"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// neutronThing is a network or a subnet.
type neutronThing struct {
	ID        string `json:"id"`
	External  bool   `json:"router:external"` // of a network
	NetworkID string `json:"network_id"`      // of a subnet
	IPVersion int    `json:"ip_version"`      // of a subnet
	CIDR      string `json:"cidr"`            // of a subnet
}

func (c *catalogue) externalNetwork(ctx context.Context, name string) (neutronThing, error) {
	n, err := c.neutron(ctx, "network", name)
	if err == nil && !n.External {
		err = misfit(schema.CodeNetwork, "find network",
			"network %q is not external (router:external): no floating IPs come from it, and no router has a gateway there", name)
	}
	return n, err
}

func (c *catalogue) fixedNetwork(ctx context.Context, name string) (neutronThing, error) {
	n, err := c.neutron(ctx, "network", name)
	if err == nil && n.External {
		err = misfit(schema.CodeNetwork, "find network", "network %q is external: nodes live in a network of the project, and reach this one through a router", name)
	}
	return n, err
}

func (c *catalogue) fixedSubnet(ctx context.Context, name string) (neutronThing, error) {
	return c.neutron(ctx, "subnet", name)
}

// neutron finds one by id or name, as Heat does.
func (c *catalogue) neutron(ctx context.Context, kind, name string) (neutronThing, error) {
	for _, by := range []string{"id", "name"} {
		rows, err := c.neutronList(ctx, kind, url.Values{by: {name}})
		switch {
		case err != nil:
			return neutronThing{}, err
		case len(rows) == 1:
			return rows[0], nil
		case len(rows) > 1:
			ids := make([]string, len(rows))
			for i, r := range rows {
				ids[i] = r.ID
			}
			slices.Sort(ids)
			return neutronThing{}, rejected("find "+kind, "%d %ss are named %q: give one of the ids %s", len(ids), kind, name, strings.Join(ids, ", "))
		}
	}
	return neutronThing{}, rejected("find "+kind, "there is no %s %q that this project can see", kind, name)
}

func (c *catalogue) neutronList(ctx context.Context, kind string, query url.Values) ([]neutronThing, error) {
	var got map[string]json.RawMessage
	if err := c.d.cloud.Get(ctx, "network", "/"+kind+"s", query, &got); err != nil {
		return nil, err
	}
	var rows []neutronThing
	if err := json.Unmarshal(got[kind+"s"], &rows); err != nil {
		return nil, &drivers.Error{Kind: drivers.Unknown, Op: "find " + kind, Err: err}
	}
	return rows, nil
}

// unfit says what is wrong with a network and a subnet that are both there:
// Magnum lets pass a subnet of another network, which no node gets a port in.
func (c *catalogue) unfit(ctx context.Context, s *schema.Spec) ([]diff.Objection, error) {
	if s.FixedNetwork == "" {
		return nil, nil
	}
	n, no, err := ask(ctx, c, "fixedNetwork", s.FixedNetwork, c.fixedNetwork)
	if err != nil || no != nil {
		return nil, err
	}
	against := func(field, format string, args ...any) ([]diff.Objection, error) {
		return []diff.Objection{object(schema.CodeNetwork, field, format, args...)}, nil
	}
	if s.FixedSubnet == "" {
		subnets, no, err := ask(ctx, c, "subnets of", n.ID, c.subnetsOf)
		if err != nil || no != nil || slices.ContainsFunc(subnets, v4) {
			return nil, err
		}
		return against("fixedNetwork", "network %q has no IPv4 subnet that this project can see", s.FixedNetwork)
	}
	sub, no, err := ask(ctx, c, "fixedSubnet", s.FixedSubnet, c.fixedSubnet)
	switch {
	case err != nil || no != nil:
		return nil, err
	case sub.NetworkID != n.ID:
		return against("fixedSubnet", "subnet %q is of network %s, and not of fixedNetwork %q (%s)", s.FixedSubnet, sub.NetworkID, s.FixedNetwork, n.ID)
	case !v4(sub):
		return against("fixedSubnet", "subnet %q is IPv%d, and nodes need an IPv4 address", s.FixedSubnet, sub.IPVersion)
	}
	return besides(s, sub), nil
}

// besides says which ranges of the cluster do not go with a subnet that was
// there before.
func besides(s *schema.Spec, sub neutronThing) []diff.Objection {
	nodes, err := netip.ParsePrefix(sub.CIDR)
	if err != nil || s.COE != "kubernetes" {
		return nil
	}
	var found []diff.Objection
	for _, label := range []string{"flannel_network_cidr", "calico_ipv4pool", "service_cluster_ip_range"} {
		if p, err := netip.ParsePrefix(s.Labels[label]); err == nil && p.Overlaps(nodes) {
			found = append(found, object(schema.CodeOverlap, "labels/"+label, "%s overlaps subnet %q (%s), in which the nodes are", p, s.FixedSubnet, nodes))
		}
	}
	allowed := labelled(s.Labels).list("master_lb_allowed_cidrs")
	within := func(cidr string) bool {
		p, err := netip.ParsePrefix(cidr)
		return err == nil && p.Bits() <= nodes.Bits() && p.Contains(nodes.Addr())
	}
	if s.MasterLBEnabled && len(allowed) > 0 && !slices.ContainsFunc(allowed, within) {
		found = append(found, object(schema.CodeNetwork, "labels/master_lb_allowed_cidrs",
			"nodes talk to the API through the load balancer, which would not let them in: add their subnet, %s", nodes))
	}
	return found
}

func v4(n neutronThing) bool { return n.IPVersion == 4 }

func (c *catalogue) subnetsOf(ctx context.Context, network string) ([]neutronThing, error) {
	return c.neutronList(ctx, "subnet", url.Values{"network_id": {network}})
}
