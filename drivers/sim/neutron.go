package sim

import (
	"fmt"
	"net/netip"
	"slices"
)

// network is Neutron's state. Ports are the records that matter most: a
// server's address is its port's.
type network struct {
	nets, subnets, ports, routers, fips, groups table

	seen        map[string]bool       // subnet id + address in use
	fipSubnet   map[string]string     // of a floating IP's id
	next        map[string]netip.Addr // last address given per subnet
	macs, rules int
}

// fail is an error of a service as Heat names it: the exception's class and
// its text.
type fail struct{ kind, msg string }

func failf(kind, format string, args ...any) *fail { return &fail{kind, fmt.Sprintf(format, args...)} }

func (c *Cloud) stamped(project string, o obj) obj {
	o["tenant_id"], o["project_id"], o["created_at"], o["updated_at"] = project, project, stamp(c.now), stamp(c.now)
	def := obj{"description": "", "tags": []any{}, "revision_number": 1}
	for k, v := range def {
		if _, set := o[k]; !set {
			o[k] = v
		}
	}
	return o
}

// fill returns defaults overlaid with given; nil values of given do not count.
func fill(defaults, given obj) obj {
	for k, v := range given {
		if v != nil {
			defaults[k] = v
		}
	}
	return defaults
}

func (c *Cloud) overQuota(project, res string, t *table) *fail {
	limit := c.quota(project, res, -1)
	if limit >= 0 && countIn(t, project) >= limit {
		return failf("OverQuotaClient", "Quota exceeded for resources: ['%s'].\nNeutron server returns request_ids: ['req-%s']", res, c.uuid())
	}
	return nil
}

func countIn(t *table, project string) int {
	n := 0
	for _, o := range t.rows {
		if o.str("project_id") == project {
			n++
		}
	}
	return n
}

func (c *Cloud) newNetwork(project string, given obj) obj {
	return c.network.nets.add(c.stamped(project, fill(obj{
		"id": c.uuid(), "name": "", "admin_state_up": true, "mtu": 1450, "status": "ACTIVE", "subnets": []any{}, "shared": false,
		"availability_zone_hints": []any{}, "availability_zones": []any{}, "ipv4_address_scope": nil, "ipv6_address_scope": nil,
		"router:external": false, "port_security_enabled": true,
	}, given)))
}

func (c *Cloud) newSubnet(project string, given obj) (obj, *fail) {
	prefix, err := netip.ParsePrefix(given.str("cidr"))
	if err != nil {
		return nil, failf("BadRequest", "Invalid input for cidr. Reason: '%s' is not a valid IP subnet.", given.str("cidr"))
	}
	netw := c.network.nets.get(given.str("network_id"))
	if netw == nil {
		return nil, failf("NotFound", "Network %s could not be found.", given.str("network_id"))
	}
	first := prefix.Masked().Addr().Next()
	pool := []any{obj{"start": first.Next().String(), "end": lastAddr(prefix).String()}}
	o := c.network.subnets.add(c.stamped(project, fill(obj{
		"id": c.uuid(), "name": "", "ip_version": 4, "subnetpool_id": nil, "enable_dhcp": true, "ipv6_ra_mode": nil, "ipv6_address_mode": nil,
		"gateway_ip": first.String(), "allocation_pools": pool, "host_routes": []any{}, "dns_nameservers": []any{}, "service_types": []any{},
	}, given)))
	netw["subnets"] = append(slices.Clone(netw["subnets"].([]any)), o["id"])
	c.network.seen[o.str("id")+o.str("gateway_ip")] = true
	return o, nil
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Prev() // the broadcast address is nobody's
}

// address takes want, or the next free address of the subnet.
func (c *Cloud) address(sub obj, want string) (string, *fail) {
	id := sub.str("id")
	prefix, _ := netip.ParsePrefix(sub.str("cidr"))
	if want != "" {
		a, err := netip.ParseAddr(want)
		if err != nil || !prefix.Contains(a) {
			return "", failf("BadRequest", "Invalid input for operation: IP address %s is not a valid IP for the specified subnet.", want)
		}
		if c.network.seen[id+want] {
			return "", failf("IpAddressAlreadyAllocatedClient", "IP address %s already allocated in subnet %s", want, id)
		}
		c.network.seen[id+want] = true
		return want, nil
	}
	if c.network.next == nil {
		c.network.next = map[string]netip.Addr{}
	}
	start, known := c.network.next[id]
	if !known {
		start = prefix.Masked().Addr().Next()
	}
	for a, wrapped := start.Next(), false; ; a = a.Next() {
		if !prefix.Contains(a) || a == lastAddr(prefix).Next() {
			if wrapped {
				return "", failf("IpAddressGenerationFailureClient", "No more IP addresses available on network %s.", sub.str("network_id"))
			}
			a, wrapped = prefix.Masked().Addr().Next(), true
			continue
		}
		if !c.network.seen[id+a.String()] {
			c.network.seen[id+a.String()] = true
			c.network.next[id] = a
			return a.String(), nil
		}
	}
}

func (c *Cloud) newPort(project string, given obj) (obj, *fail) {
	if f := c.overQuota(project, "port", &c.network.ports); f != nil {
		return nil, f
	}
	netw := c.network.nets.get(given.str("network_id"))
	if netw == nil {
		return nil, failf("NetworkNotFoundClient", "Network %s could not be found.", given.str("network_id"))
	}
	if netw.str("project_id") != project && netw["shared"] != true {
		return nil, failf("Forbidden", "Tenant %s not allowed to create port on this network\nNeutron server returns request_ids: ['req-%s']", project, c.uuid())
	}
	ips, f := c.addresses(netw, given["fixed_ips"])
	if f != nil {
		return nil, f
	}
	given = given.clone()
	given["fixed_ips"] = ips
	if given["security_groups"] == nil && given["port_security_enabled"] != false {
		given["security_groups"] = []any{c.defaultGroup(project).str("id")}
	}
	c.network.macs++
	mac := fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", c.network.macs>>16&255, c.network.macs>>8&255, c.network.macs&255)
	return c.network.ports.add(c.stamped(project, fill(obj{
		"id": c.uuid(), "name": "", "mac_address": mac, "admin_state_up": true, "status": "DOWN", "device_id": "", "device_owner": "",
		"allowed_address_pairs": []any{}, "extra_dhcp_opts": []any{}, "security_groups": []any{}, "binding:vnic_type": "normal", "port_security_enabled": true,
	}, given))), nil
}

func (c *Cloud) addresses(netw obj, want any) ([]any, *fail) {
	list, given := want.([]any)
	if !given {
		subs := netw["subnets"].([]any)
		if len(subs) == 0 {
			return []any{}, nil
		}
		list = []any{obj{"subnet_id": subs[0]}}
	}
	out := []any{}
	for _, w := range list {
		o := toObj(w)
		sub := c.network.subnets.get(o.str("subnet_id"))
		for _, s := range netw["subnets"].([]any) {
			if cand := c.network.subnets.get(s.(string)); sub == nil && cand != nil {
				if p, err := netip.ParsePrefix(cand.str("cidr")); err == nil {
					if a, err := netip.ParseAddr(o.str("ip_address")); o.str("ip_address") == "" || err == nil && p.Contains(a) {
						sub = cand
					}
				}
			}
		}
		if sub == nil {
			return nil, failf("BadRequest", "Invalid input for operation: IP address %s is not a valid IP for any of the subnets on the specified network.", o.str("ip_address"))
		}
		ip, f := c.address(sub, o.str("ip_address"))
		if f != nil {
			return nil, f
		}
		out = append(out, obj{"subnet_id": sub["id"], "ip_address": ip})
	}
	return out, nil
}

func toObj(v any) obj {
	switch m := v.(type) {
	case obj:
		return m
	case map[string]any:
		return m
	}
	return obj{}
}

func (c *Cloud) freeAddresses(port obj) {
	for _, ip := range port["fixed_ips"].([]any) {
		delete(c.network.seen, toObj(ip).str("subnet_id")+toObj(ip).str("ip_address"))
	}
}

func (c *Cloud) dropPort(id string) {
	p := c.network.ports.get(id)
	if p == nil {
		return
	}
	c.freeAddresses(p)
	for _, f := range c.network.fips.rows {
		if f.str("port_id") == id {
			c.associate(f, nil, "")
		}
	}
	for _, s := range c.compute.servers {
		s.ports = slices.DeleteFunc(s.ports, func(x string) bool { return x == id })
	}
	c.network.ports.drop(id)
}

func (c *Cloud) defaultGroup(project string) obj {
	for _, g := range c.network.groups.rows {
		if g.str("project_id") == project && g.str("name") == "default" {
			return g
		}
	}
	g := c.newGroup(project, obj{"name": "default", "description": "Default security group"})
	for _, ether := range []string{"IPv4", "IPv6"} {
		c.addRule(g, obj{"ethertype": ether, "direction": "ingress", "remote_group_id": g["id"]})
	}
	return g
}

func (c *Cloud) newGroup(project string, given obj) obj {
	g := c.network.groups.add(c.stamped(project, fill(obj{"id": c.uuid(), "name": "", "stateful": true, "shared": false, "security_group_rules": []any{}}, given)))
	for _, ether := range []string{"IPv4", "IPv6"} {
		c.addRule(g, obj{"ethertype": ether, "direction": "egress"})
	}
	return g
}

func (c *Cloud) addRule(g, given obj) {
	rule := c.stamped(g.str("project_id"), fill(obj{
		"id": c.uuid(), "security_group_id": g["id"], "ethertype": "IPv4", "direction": "ingress", "protocol": nil, "port_range_min": nil,
		"port_range_max": nil, "remote_ip_prefix": nil, "remote_address_group_id": nil, "normalized_cidr": nil, "remote_group_id": nil,
	}, given))
	if rule["description"] == "" {
		rule["description"] = nil
	}
	c.network.rules++
	rule["standard_attr_id"] = c.network.rules
	g["security_group_rules"] = append(slices.Clone(g["security_group_rules"].([]any)), rule)
}

func (c *Cloud) newRouter(project string, given obj) (obj, *fail) {
	given = given.clone()
	gw, f := c.gateway(given["external_gateway_info"])
	if f != nil {
		return nil, f
	}
	given["external_gateway_info"] = gw
	o := fill(obj{"id": c.uuid(), "name": "", "admin_state_up": true, "status": "ACTIVE", "availability_zones": []any{}, "availability_zone_hints": []any{}, "routes": []any{}, "flavor_id": nil}, given)
	o["external_gateway_info"] = gw
	return c.network.routers.add(c.stamped(project, o)), nil
}

// gateway turns {network_id} into what a router shows.
func (c *Cloud) gateway(given any) (any, *fail) {
	info := toObj(given)
	if len(info) == 0 {
		return nil, nil
	}
	netw := c.network.nets.get(info.str("network_id"))
	if netw == nil || netw["router:external"] != true {
		return nil, failf("BadRequest", "Bad router request: Network %s is not an external network.", info.str("network_id"))
	}
	ips, f := c.addresses(netw, info["external_fixed_ips"])
	if f != nil {
		return nil, f
	}
	return fill(obj{"enable_snat": true}, obj{"network_id": netw["id"], "external_fixed_ips": ips, "enable_snat": info["enable_snat"]}), nil
}

func (c *Cloud) attachRouter(router, sub obj) (obj, *fail) {
	for _, p := range c.network.ports.rows {
		if p.str("device_id") == router.str("id") && toObj(p["fixed_ips"].([]any)[0]).str("subnet_id") == sub.str("id") {
			return nil, failf("BadRequest", "Bad router request: Router already has a port on subnet %s.", sub.str("id"))
		}
	}
	delete(c.network.seen, sub.str("id")+sub.str("gateway_ip"))
	return c.newPort(router.str("project_id"), obj{
		"network_id": sub["network_id"], "device_id": router["id"], "device_owner": "network:router_interface", "security_groups": []any{},
		"port_security_enabled": false, "fixed_ips": []any{obj{"subnet_id": sub["id"], "ip_address": sub["gateway_ip"]}},
	})
}

func (c *Cloud) newFloatingIP(project string, given obj) (obj, *fail) {
	if f := c.overQuota(project, "floatingip", &c.network.fips); f != nil {
		return nil, f
	}
	netw := c.network.nets.get(given.str("floating_network_id"))
	if netw == nil || netw["router:external"] != true {
		return nil, failf("BadRequest", "Bad floatingip request: Network %s is not a valid external network.", given.str("floating_network_id"))
	}
	ips, f := c.addresses(netw, nil)
	if f != nil {
		return nil, f
	}
	if len(ips) == 0 {
		return nil, failf("BadRequest", "Bad floatingip request: Network %s does not contain any IPv4 subnet.", netw.str("id"))
	}
	o := c.network.fips.add(c.stamped(project, obj{
		"id": c.uuid(), "floating_network_id": netw["id"], "floating_ip_address": toObj(ips[0])["ip_address"],
		"port_id": nil, "fixed_ip_address": nil, "router_id": nil, "status": "DOWN", "port_details": nil,
	}))
	c.network.fipSubnet[o.str("id")] = toObj(ips[0]).str("subnet_id")
	return o, c.associate(o, c.network.ports.get(given.str("port_id")), given.str("fixed_ip_address"))
}

// associate binds a floating IP to a port, or to none.
func (c *Cloud) associate(fip, port obj, fixed string) *fail {
	if port == nil {
		fip["port_id"], fip["fixed_ip_address"], fip["router_id"], fip["status"], fip["port_details"] = nil, nil, nil, "DOWN", nil
		return nil
	}
	ips := port["fixed_ips"].([]any)
	if len(ips) == 0 {
		return failf("BadRequest", "Bad floatingip request: Cannot add floating IP to port %s that has no fixed IPv4 addresses.", port.str("id"))
	}
	router := c.routerFor(toObj(ips[0]).str("subnet_id"), fip.str("floating_network_id"))
	if router == nil {
		return failf("NotFound", "External network %s is not reachable from subnet %s.  Therefore, cannot associate Port %s with a Floating IP.", fip.str("floating_network_id"), toObj(ips[0]).str("subnet_id"), port.str("id"))
	}
	if fixed == "" {
		fixed = toObj(ips[0]).str("ip_address")
	}
	fip["port_id"], fip["fixed_ip_address"], fip["router_id"], fip["status"] = port["id"], fixed, router["id"], "ACTIVE"
	details := obj{}
	for _, k := range []string{"admin_state_up", "device_id", "device_owner", "mac_address", "name", "network_id", "status"} {
		details[k] = port[k]
	}
	fip["port_details"] = details
	return nil
}

func (c *Cloud) dropFloatingIP(id string) {
	if f := c.network.fips.get(id); f != nil {
		delete(c.network.seen, c.network.fipSubnet[id]+f.str("floating_ip_address"))
		delete(c.network.fipSubnet, id)
		c.network.fips.drop(id)
	}
}

func (c *Cloud) dropRouter(id string) {
	r := c.network.routers.get(id)
	if r == nil {
		return
	}
	if gw := toObj(r["external_gateway_info"]); len(gw) > 0 {
		c.freeAddresses(obj{"fixed_ips": gw["external_fixed_ips"]})
	}
	c.network.routers.drop(id)
}

func (c *Cloud) routerFor(subnet, external string) obj {
	for _, p := range c.network.ports.rows {
		if p.str("device_owner") == "network:router_interface" && toObj(p["fixed_ips"].([]any)[0]).str("subnet_id") == subnet {
			if r := c.network.routers.get(p.str("device_id")); r != nil && toObj(r["external_gateway_info"]).str("network_id") == external {
				return r
			}
		}
	}
	return nil
}

// networkInUse tells why a network or subnet cannot go.
func (c *Cloud) networkInUse(field, id string) *fail {
	for _, p := range c.network.ports.rows {
		inSubnet := slices.ContainsFunc(p["fixed_ips"].([]any), func(ip any) bool { return toObj(ip).str("subnet_id") == id })
		if field == "network_id" && p.str("network_id") == id || field == "subnet_id" && inSubnet {
			what := map[string]string{"network_id": "network", "subnet_id": "subnet"}[field]
			return failf("Conflict", "Unable to complete operation on %s %s. There are one or more ports still in use on the %s, id for these ports is: %s.", what, id, what, p.str("id"))
		}
	}
	return nil
}

func (c *Cloud) dropSubnet(id string) {
	sub := c.network.subnets.get(id)
	if sub == nil {
		return
	}
	if n := c.network.nets.get(sub.str("network_id")); n != nil {
		n["subnets"] = slices.DeleteFunc(slices.Clone(n["subnets"].([]any)), func(s any) bool { return s == id })
	}
	c.network.subnets.drop(id)
}
