package schema

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// addressRange is one of the networks that meet on a node: they must be apart.
type addressRange struct {
	what  string // in words
	field string // effective field that sets it; empty: nothing does
	net   netip.Prefix
}

// checkRanges refuses networks that overlap: packets to one would go to the
// other, which no service of OpenStack sees, and Magnum does not check. What the
// documents do not say is taken from the catalogue; the CIDR of a subnet that
// exists is known to the cloud alone.
func (c *clusterResolver) checkRanges(s *Spec) {
	ranges := c.ranges(s)
	for i, r := range ranges {
		for _, o := range ranges[:i] {
			if r.net.Overlaps(o.net) {
				c.overlap(r, o)
			}
		}
		c.checkNameservers(s, r)
	}
}

// ranges are the networks of a cluster's nodes that are known, IPv4 as in all
// cluster types.
func (c *clusterResolver) ranges(s *Spec) []addressRange {
	types := c.possibleTypes(s)
	var found []addressRange
	add := func(what, label string) {
		text, read := defaultOf(label, c.play.driver, types)
		if net, err := netip.ParsePrefix(cmp.Or(s.Labels[label], text)); err == nil && read {
			found = append(found, addressRange{what, "labels/" + label, net})
		}
	}
	if s.FixedNetwork == "" && s.FixedSubnet == "" {
		add("nodes", "fixed_subnet_cidr")
	}
	switch s.NetworkDriver {
	case "flannel":
		add("pods", "flannel_network_cidr")
	case "calico":
		add("pods", "calico_ipv4pool")
	case "cilium":
		add("pods", "cilium_ipv4pool")
	}
	add("services", "service_cluster_ip_range")
	if dockerBridge(s) {
		found = append(found, addressRange{what: "Docker's bridge", net: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, 0, 0}), 16)})
	}
	return found
}

// dockerBridge says that Docker surely runs on the nodes and takes its default
// network, 172.17.0.0/16.
func dockerBridge(s *Spec) bool {
	return s.COE != "kubernetes" || s.Labels["container_runtime"] == "host-docker"
}

// defaultOf is a label's default for the first of the types that read it, and
// whether one does. Without types nobody knows, and it may well be read.
func defaultOf(label, driver string, types []ClusterType) (text string, read bool) {
	l, known := LabelOf(label)
	if !known {
		return "", false
	}
	for _, t := range types {
		if r, ok := l.ReadBy(t.Name, driver); ok {
			return r.Default, true
		}
	}
	return "", len(types) == 0
}

// overlap reports two ranges at the one that somebody wrote, the nearer first.
func (c *clusterResolver) overlap(a, b addressRange) {
	if a.field == "" || !c.wrote(a.field) && c.wrote(b.field) {
		a, b = b, a
	}
	hint := "set " + strings.TrimPrefix(a.field, "labels/")
	if b.field != "" {
		hint += " or " + strings.TrimPrefix(b.field, "labels/")
	}
	c.report(c.where(a.field), CodeOverlap, c.pointer(a.field), hint+" to a network that is free",
		"the networks of %s (%s) and %s (%s) overlap", a.what, a.net, b.what, b.net)
}

// wrote tells whether cluster or template write an effective field.
func (c *clusterResolver) wrote(field string) bool {
	_, ok := c.origins().At(field)
	return ok
}

// checkNameservers refuses name servers that nodes would look for inside the
// cluster. Among the nodes is fine: there may be one on their network.
func (c *clusterResolver) checkNameservers(s *Spec, r addressRange) {
	if r.what == "nodes" {
		return
	}
	for i, text := range s.DNSNameservers {
		if ip, err := netip.ParseAddr(text); err == nil && r.net.Contains(ip) {
			c.report(c.where("dnsNameservers"), CodeOverlap, fmt.Sprintf("/spec/dnsNameservers/%d", i),
				"", "the name server %s lies in the network of %s (%s), where nodes cannot reach it", ip, r.what, r.net)
		}
	}
}
