package sim

// octaviaKind covers load balancers; nothing balances, the records are right.
func octaviaKind(name string) *kind {
	base := func(o *op) obj {
		return obj{"project_id": o.r.st.project.id, "tenant_id": o.r.st.project.id, "provisioning_status": "ACTIVE", "operating_status": "OFFLINE", "tags": []any{}}
	}
	plain := func(c *Cloud, o *op, names ...string) obj {
		out := base(o)
		out["id"], out["name"], out["created_at"], out["updated_at"] = c.uuid(), o.name(255), stamp(c.now)[:19], nil
		for _, n := range names {
			out[n] = o.props[n]
		}
		return out
	}
	switch name {
	case "OS::Octavia::LoadBalancer":
		k := rowKind("LoadBalancer", func(c *Cloud) *table { return &c.lb.loadbalancers }, func(c *Cloud, o *op) (obj, *fail) {
			if limit, p := c.quota(o.r.st.project.id, "load_balancer", -1), o.r.st.project.id; limit >= 0 && countIn(&c.lb.loadbalancers, p) >= limit {
				return nil, failf("OctaviaClientException", "Quota has been met for resources: Load Balancer (HTTP 403) (Request-ID: req-%s)", c.uuid())
			}
			sub := c.network.subnets.get(o.text("vip_subnet"))
			want := obj{"network_id": sub["network_id"], "name": "octavia-lb", "device_owner": "Octavia", "fixed_ips": []any{obj{"subnet_id": sub["id"], "ip_address": o.text("vip_address")}}}
			p, f := c.newPort(o.r.st.project.id, want)
			if f != nil {
				return nil, f
			}
			lb := plain(c, o, "description", "admin_state_up")
			p["device_id"] = "lb-" + lb.str("id")
			lb["vip_address"], lb["vip_port_id"], lb["vip_subnet_id"], lb["vip_network_id"] = toObj(p["fixed_ips"].([]any)[0])["ip_address"], p["id"], sub["id"], sub["network_id"]
			lb["listeners"], lb["pools"], lb["provider"], lb["flavor_id"] = []any{}, []any{}, "octavia", nil
			o.r.ownPort = p.str("id")
			return c.lb.loadbalancers.add(lb), nil
		}, nil)
		drop := k.gone
		k.gone = func(c *Cloud, r *resource) {
			drop(c, r)
			c.dropPort(r.ownPort)
		}
		return k
	case "OS::Octavia::Listener":
		return rowKind("Listener", func(c *Cloud) *table { return &c.lb.listeners }, func(c *Cloud, o *op) (obj, *fail) {
			l := plain(c, o, "description", "admin_state_up", "protocol", "protocol_port", "connection_limit", "allowed_cidrs")
			l["loadbalancers"], l["default_pool_id"] = []any{obj{"id": o.props["loadbalancer"]}}, o.props["default_pool"]
			link(c.lb.loadbalancers.get(o.text("loadbalancer")), "listeners", l)
			return c.lb.listeners.add(l), nil
		}, nil)
	case "OS::Octavia::Pool":
		return rowKind("Pool", func(c *Cloud) *table { return &c.lb.pools }, func(c *Cloud, o *op) (obj, *fail) {
			p := plain(c, o, "description", "admin_state_up", "protocol", "lb_algorithm", "session_persistence")
			p["members"], p["healthmonitor_id"], p["listeners"], p["loadbalancers"] = []any{}, nil, []any{}, []any{}
			if l := c.lb.listeners.get(o.text("listener")); l != nil {
				l["default_pool_id"] = p["id"]
				p["listeners"], p["loadbalancers"] = []any{obj{"id": l["id"]}}, l["loadbalancers"]
			} else if o.text("loadbalancer") != "" {
				p["loadbalancers"] = []any{obj{"id": o.props["loadbalancer"]}}
			}
			return c.lb.pools.add(p), nil
		}, nil)
	case "OS::Octavia::PoolMember":
		k := rowKind("PoolMember", func(c *Cloud) *table { return &c.lb.members }, func(c *Cloud, o *op) (obj, *fail) {
			m := plain(c, o, "address", "protocol_port", "weight", "admin_state_up", "monitor_address", "monitor_port")
			m["subnet_id"], m["pool_id"], m["operating_status"] = o.props["subnet"], o.props["pool"], "NO_MONITOR"
			link(c.lb.pools.get(o.text("pool")), "members", m)
			return c.lb.members.add(m), nil
		}, nil)
		drop := k.gone
		k.gone = func(c *Cloud, r *resource) {
			if m := c.lb.members.get(r.phys); m != nil {
				unlink(c.lb.pools.get(m.str("pool_id")), "members", r.phys)
			}
			drop(c, r)
		}
		return k
	case "OS::Octavia::HealthMonitor":
		return rowKind("HealthMonitor", func(c *Cloud) *table { return &c.lb.monitors }, func(c *Cloud, o *op) (obj, *fail) {
			m := plain(c, o, "admin_state_up", "delay", "timeout", "max_retries", "type", "http_method", "url_path", "expected_codes")
			m["pools"] = []any{obj{"id": o.props["pool"]}}
			c.lb.pools.get(o.text("pool"))["healthmonitor_id"] = m["id"]
			return c.lb.monitors.add(m), nil
		}, nil)
	}
	return nil
}

func link(o obj, key string, to obj) {
	if o != nil {
		o[key] = append(append([]any{}, o[key].([]any)...), obj{"id": to["id"]})
	}
}

func unlink(o obj, key, id string) {
	if o == nil {
		return
	}
	kept := []any{}
	for _, e := range o[key].([]any) {
		if toObj(e).str("id") != id {
			kept = append(kept, e)
		}
	}
	o[key] = kept
}
