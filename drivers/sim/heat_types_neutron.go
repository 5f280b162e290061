package sim

import (
	"slices"
	"time"
)

// neutronKind covers the types whose record is one row of a Neutron table.
func neutronKind(name string) *kind {
	switch name {
	case "OS::Neutron::Net":
		return rowKind("Net", func(c *Cloud) *table { return &c.network.nets }, createNet, nil)
	case "OS::Neutron::Subnet":
		return rowKind("Subnet", func(c *Cloud) *table { return &c.network.subnets }, createSubnet, nil)
	case "OS::Neutron::Router":
		return rowKind("Router", func(c *Cloud) *table { return &c.network.routers }, createRouter, updateRouter)
	case "OS::Neutron::SecurityGroup":
		return rowKind("SecurityGroup", func(c *Cloud) *table { return &c.network.groups }, createGroup, updateGroup)
	case "OS::Neutron::SecurityGroupRule":
		return ruleKind()
	case "OS::Neutron::Port":
		k := rowKind("Port", func(c *Cloud) *table { return &c.network.ports }, createPort, updatePort)
		k.gone = func(c *Cloud, r *resource) { c.dropPort(r.phys) }
		k.yield = func(c *Cloud, r *resource) { // so that the new port can have the address
			if p := c.network.ports.get(r.phys); p != nil {
				c.freeAddresses(p)
				p["fixed_ips"] = []any{}
			}
		}
		return k
	case "OS::Neutron::FloatingIP":
		k := rowKind("FloatingIP", func(c *Cloud) *table { return &c.network.fips }, createFloatingIP, func(c *Cloud, o *op, row obj) *fail {
			return c.associate(row, c.network.ports.get(o.text("port_id")), o.text("fixed_ip_address"))
		})
		k.check = func(c *Cloud, r *resource) *fail {
			if c.network.fips.get(r.phys) == nil {
				return failf("NotFound", "Floating IP %s could not be found", r.phys)
			}
			return nil
		}
		return k
	case "OS::Neutron::FloatingIPAssociation":
		return associationKind()
	case "OS::Neutron::RouterInterface":
		return interfaceKind()
	}
	return nil
}

// rowKind makes the kind of a type that lives in a table. An update writes the
// plain properties itself; more does the rest.
func rowKind(class string, of func(*Cloud) *table, create func(*Cloud, *op) (obj, *fail), more func(*Cloud, *op, obj) *fail) *kind {
	return &kind{
		class: class,
		create: func(c *Cloud, o *op) (time.Duration, *fail) {
			row, f := create(c, o)
			if row != nil {
				o.r.phys = row.str("id")
			}
			return c.opt.BuildTime, f
		},
		update: func(c *Cloud, o *op) (time.Duration, *fail) {
			row := of(c).get(o.r.phys)
			if row == nil {
				return 0, failf("NotFound", "%s %s could not be found.\nNeutron server returns request_ids: ['req-%s']", class, o.r.phys, c.uuid())
			}
			for _, d := range o.diff {
				if _, plain := row[d]; plain && d != "security_groups" && d != "fixed_ips" && d != "external_gateway_info" && o.props[d] != nil {
					row[d] = o.props[d]
				}
			}
			row["updated_at"] = stamp(c.now)
			if more != nil {
				if f := more(c, o, row); f != nil {
					return 0, f
				}
			}
			return c.opt.BuildTime, nil
		},
		remove: func(c *Cloud, o *op) (time.Duration, *fail) {
			if of(c).get(o.r.phys) == nil {
				return 0, nil
			}
			return c.opt.DeleteTime, nil
		},
		gone: func(c *Cloud, r *resource) {
			switch class {
			case "Subnet":
				c.dropSubnet(r.phys)
			case "FloatingIP":
				c.dropFloatingIP(r.phys)
			case "Router":
				c.dropRouter(r.phys)
			default:
				of(c).drop(r.phys)
			}
		},
		unfit: func(c *Cloud, r *resource) bool { return of(c).get(r.phys) == nil },
		attrs: func(c *Cloud, r *resource) map[string]any { return of(c).get(r.phys) },
	}
}

// given takes the plain properties over under Neutron's own names.
func (o *op) given(names ...string) obj {
	out := obj{"name": o.name(255)}
	for _, n := range names {
		if v := o.props[n]; v != nil {
			out[n] = v
		}
	}
	return out
}

func createNet(c *Cloud, o *op) (obj, *fail) {
	p := o.r.st.project.id
	if f := c.overQuota(p, "network", &c.network.nets); f != nil {
		return nil, f
	}
	return c.newNetwork(p, o.given("admin_state_up", "shared", "port_security_enabled", "tags")), nil
}

func createSubnet(c *Cloud, o *op) (obj, *fail) {
	g := o.given("cidr", "gateway_ip", "ip_version", "enable_dhcp", "dns_nameservers", "allocation_pools", "host_routes", "tags")
	g["network_id"] = o.props["network"]
	if f := c.overQuota(o.r.st.project.id, "subnet", &c.network.subnets); f != nil {
		return nil, f
	}
	return c.newSubnet(o.r.st.project.id, g)
}

func (c *Cloud) gatewayProps(o *op) any {
	info := toObj(o.props["external_gateway_info"])
	if len(info) == 0 {
		return nil
	}
	netw := info.str("network")
	if id, msg := c.resolveRef("neutron.network", netw, o.r.st.owner()); msg == "" {
		netw = id
	}
	return obj{"network_id": netw, "enable_snat": info["enable_snat"]}
}

func createRouter(c *Cloud, o *op) (obj, *fail) {
	p := o.r.st.project.id
	if f := c.overQuota(p, "router", &c.network.routers); f != nil {
		return nil, f
	}
	g := o.given("admin_state_up", "tags")
	g["external_gateway_info"] = c.gatewayProps(o)
	return c.newRouter(p, g)
}

func updateRouter(c *Cloud, o *op, row obj) *fail {
	if !slices.Contains(o.diff, "external_gateway_info") {
		return nil
	}
	gw, f := c.gateway(c.gatewayProps(o))
	if f == nil {
		row["external_gateway_info"] = gw
	}
	return f
}

func createGroup(c *Cloud, o *op) (obj, *fail) {
	p := o.r.st.project.id
	if f := c.overQuota(p, "security_group", &c.network.groups); f != nil {
		return nil, f
	}
	g := c.newGroup(p, o.given("description", "tags"))
	return g, groupRules(c, o, g)
}

func updateGroup(c *Cloud, o *op, row obj) *fail {
	if !slices.Contains(o.diff, "rules") {
		return nil
	}
	row["security_group_rules"] = []any{}
	for _, ether := range []string{"IPv4", "IPv6"} {
		c.addRule(row, obj{"ethertype": ether, "direction": "egress"})
	}
	return groupRules(c, o, row)
}

func groupRules(c *Cloud, o *op, g obj) *fail {
	for _, r := range asList(o.props["rules"]) {
		in := toObj(r)
		rule := obj{}
		for _, k := range []string{"direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id"} {
			rule[k] = in[k]
		}
		p := o.r.st.project.id
		if limit := c.quota(p, "security_group_rule", -1); limit >= 0 && c.rulesOf(p) >= limit {
			return failf("OverQuotaClient", "Quota exceeded for resources: ['security_group_rule'].\nNeutron server returns request_ids: ['req-%s']", c.uuid())
		}
		if in.str("remote_mode") == "remote_group_id" && rule["remote_group_id"] == nil {
			rule["remote_group_id"] = g["id"]
		}
		c.addRule(g, rule)
	}
	return nil
}

func (c *Cloud) groupIDs(list []any, who owner) ([]any, *fail) {
	out := []any{}
	for _, g := range list {
		if pyStr(g) == "default" {
			out = append(out, c.defaultGroup(who.project)["id"])
			continue
		}
		id, msg := c.resolveRef("neutron.security_group", pyStr(g), who)
		if msg != "" {
			return nil, failf("EntityNotFound", "The security_group (%s) could not be found.", pyStr(g))
		}
		out = append(out, id)
	}
	return out, nil
}

func ipProps(v any) any {
	list, has := v.([]any)
	if !has || len(list) == 0 {
		return nil
	}
	out := []any{}
	for _, e := range list {
		m := toObj(e)
		ip := obj{}
		if s := m.str("subnet") + m.str("subnet_id"); s != "" {
			ip["subnet_id"] = s
		}
		if a := m.str("ip_address"); a != "" {
			ip["ip_address"] = a
		}
		out = append(out, ip)
	}
	return out
}

func createPort(c *Cloud, o *op) (obj, *fail) {
	g := o.given("admin_state_up", "allowed_address_pairs", "mac_address", "binding:vnic_type", "port_security_enabled", "device_id", "device_owner", "tags")
	g["network_id"] = o.props["network"]
	if ips := ipProps(o.props["fixed_ips"]); ips != nil {
		g["fixed_ips"] = ips
	} else if o.props["no_fixed_ips"] == true {
		g["fixed_ips"] = []any{}
	}
	if list, has := o.props["security_groups"].([]any); has {
		ids, f := c.groupIDs(list, o.r.st.owner())
		if f != nil {
			return nil, f
		}
		g["security_groups"] = ids
	}
	return c.newPort(o.r.st.project.id, g)
}

func updatePort(c *Cloud, o *op, row obj) *fail {
	for _, d := range o.diff {
		switch d {
		case "security_groups":
			ids, f := c.groupIDs(asList(o.props[d]), o.r.st.owner())
			if f != nil {
				return f
			}
			row[d] = ids
		case "fixed_ips":
			c.freeAddresses(row)
			ips, f := c.addresses(c.network.nets.get(row.str("network_id")), ipProps(o.props[d]))
			if f != nil {
				return f
			}
			row[d] = ips
		}
	}
	return nil
}

func createFloatingIP(c *Cloud, o *op) (obj, *fail) {
	return c.newFloatingIP(o.r.st.project.id, obj{"floating_network_id": o.props["floating_network"], "port_id": o.props["port_id"], "fixed_ip_address": o.props["fixed_ip_address"]})
}

func ruleKind() *kind {
	return &kind{
		class: "SecurityGroupRule",
		create: func(c *Cloud, o *op) (time.Duration, *fail) {
			g := c.network.groups.get(o.text("security_group"))
			rule := obj{"remote_group_id": o.props["remote_group"]}
			for _, k := range []string{"direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "description"} {
				rule[k] = o.props[k]
			}
			c.addRule(g, rule)
			rules := g["security_group_rules"].([]any)
			o.r.phys = toObj(rules[len(rules)-1]).str("id")
			return c.opt.BuildTime, nil
		},
		gone: func(c *Cloud, r *resource) {
			for _, g := range c.network.groups.rows {
				g["security_group_rules"] = slices.DeleteFunc(slices.Clone(g["security_group_rules"].([]any)), func(x any) bool { return toObj(x).str("id") == r.phys })
			}
		},
	}
}

func associationKind() *kind {
	tie := func(c *Cloud, o *op) (time.Duration, *fail) {
		f := c.network.fips.get(o.text("floatingip_id"))
		if f == nil {
			return 0, failf("NotFound", "Floating IP %s could not be found", o.text("floatingip_id"))
		}
		o.r.phys = f.str("id")
		return c.opt.BuildTime, c.associate(f, c.network.ports.get(o.text("port_id")), o.text("fixed_ip_address"))
	}
	return &kind{class: "FloatingIPAssociation", create: tie, update: tie, gone: func(c *Cloud, r *resource) {
		if f := c.network.fips.get(r.phys); f != nil {
			c.associate(f, nil, "")
		}
	}}
}

func interfaceKind() *kind {
	return &kind{
		class: "RouterInterface",
		create: func(c *Cloud, o *op) (time.Duration, *fail) {
			router := c.network.routers.get(o.text("router"))
			sub := c.network.subnets.get(o.text("subnet"))
			if router == nil || sub == nil {
				return 0, failf("BadRequest", "Either subnet_id or port_id must be specified")
			}
			p, f := c.attachRouter(router, sub)
			if f != nil {
				return 0, f
			}
			o.r.ownPort = p.str("id")
			o.r.phys = router.str("id") + ":subnet_id=" + sub.str("id")
			return c.opt.BuildTime, nil
		},
		remove: func(c *Cloud, _ *op) (time.Duration, *fail) { return c.opt.DeleteTime, nil },
		gone:   func(c *Cloud, r *resource) { c.dropPort(r.ownPort) },
	}
}
