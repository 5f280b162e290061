package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func neutronError(status int, kind, msg string) reply {
	return reply{status: status, body: obj{"NeutronError": obj{"type": kind, "message": msg, "detail": ""}}}
}

func (c *Cloud) neutronRoutes() {
	v2 := neutronAt + "/v2.0"
	c.handle("GET "+neutronAt+"/{$}", func(q *query) reply {
		return ok(obj{"versions": []any{obj{"id": "v2.0", "status": "CURRENT", "links": []any{obj{"rel": "self", "href": q.base() + v2 + "/"}}}}})
	})
	c.handle("GET "+v2+"/{$}", func(q *query) reply {
		all := []any{}
		for _, n := range []string{"network", "subnet", "subnetpool", "port"} {
			all = append(all, obj{"name": n, "collection": n + "s", "links": []any{obj{"rel": "self", "href": q.base() + v2 + "/" + n + "s"}}})
		}
		return ok(obj{"resources": all})
	})
	for _, k := range c.neutronTables() {
		c.neutronTable(v2, k)
	}
	c.handle("GET "+v2+"/security-group-rules", c.authed(func(q *query) reply {
		var rules table
		for _, g := range q.network.groups.rows {
			for _, r := range g["security_group_rules"].([]any) {
				rules.add(r.(obj))
			}
		}
		return q.neutronList("security_group_rules", &rules)
	}))
	c.handle("GET "+v2+"/network-ip-availabilities", c.authed(func(q *query) reply {
		rows := []obj{}
		for _, n := range q.network.nets.rows {
			if q.tok.admin() {
				rows = append(rows, q.availability(n))
			}
		}
		return ok(obj{"network_ip_availabilities": rows})
	}))
	c.handle("GET "+v2+"/network-ip-availabilities/{id}", c.authed(func(q *query) reply {
		if n := q.network.nets.get(q.path("id")); n != nil && q.tok.admin() {
			return ok(obj{"network_ip_availability": q.availability(n)})
		}
		return neutronError(404, "HTTPNotFound", "The resource could not be found.")
	}))
	c.handle("GET "+v2+"/quotas/{project}", c.authed(neutronQuota))
	c.handle("GET "+v2+"/quotas/{project}/details", c.authed(neutronQuotaDetails))
	c.handle("GET "+v2+"/quotas/{project}/details.json", c.authed(neutronQuotaDetails))
}

// neutronRows is one kind of object on the wire.
type neutronRows struct {
	path, key, class string
	t                *table
	drop             func(*Cloud, string) *fail
}

func (c *Cloud) neutronTables() []neutronRows {
	return []neutronRows{
		{"networks", "network", "Network", &c.network.nets, func(c *Cloud, id string) *fail {
			f := c.networkInUse("network_id", id)
			if f == nil {
				for _, s := range c.network.nets.get(id)["subnets"].([]any) {
					c.dropSubnet(s.(string))
				}
				c.network.nets.drop(id)
			}
			return f
		}},
		{"subnets", "subnet", "Subnet", &c.network.subnets, func(c *Cloud, id string) *fail {
			f := c.networkInUse("subnet_id", id)
			if f == nil {
				c.dropSubnet(id)
			}
			return f
		}},
		{"ports", "port", "Port", &c.network.ports, func(c *Cloud, id string) *fail { c.dropPort(id); return nil }},
		{"routers", "router", "Router", &c.network.routers, func(c *Cloud, id string) *fail { c.dropRouter(id); return nil }},
		{"floatingips", "floatingip", "FloatingIP", &c.network.fips, func(c *Cloud, id string) *fail { c.dropFloatingIP(id); return nil }},
		{"security-groups", "security_group", "SecurityGroup", &c.network.groups, func(c *Cloud, id string) *fail { c.network.groups.drop(id); return nil }},
	}
}

// neutronTable registers list, show, delete and the changes by hand that tests
// make.
func (c *Cloud) neutronTable(v2 string, k neutronRows) {
	list := strings.ReplaceAll(k.path, "-", "_")
	missing := func(q *query) reply {
		return neutronError(404, k.class+"NotFound", strings.NewReplacer("SecurityGroup", "Security group", "FloatingIP", "Floating IP").Replace(k.class)+" "+q.path("id")+" could not be found.")
	}
	c.handle("GET "+v2+"/"+k.path, c.authed(func(q *query) reply {
		if k.path == "security-groups" && q.tok.project != nil {
			q.defaultGroup(q.tok.project.id)
		}
		return q.neutronList(list, k.t)
	}))
	c.handle("GET "+v2+"/"+k.path+"/{id}", c.authed(func(q *query) reply {
		o := k.t.get(q.path("id"))
		if o == nil || !q.seesNeutron(o) {
			return missing(q)
		}
		return ok(obj{k.key: o})
	}))
	c.handle("DELETE "+v2+"/"+k.path+"/{id}", c.authed(func(q *query) reply {
		o := k.t.get(q.path("id"))
		if o == nil || o.str("project_id") != q.tok.project.id && !q.tok.admin() {
			return missing(q)
		}
		if f := k.drop(q.Cloud, q.path("id")); f != nil {
			return neutronError(409, k.class+"InUse", f.msg)
		}
		return reply{status: 204}
	}))
	c.handle("PUT "+v2+"/"+k.path+"/{id}", c.authed(func(q *query) reply {
		o := k.t.get(q.path("id"))
		if o == nil || o.str("project_id") != q.tok.project.id && !q.tok.admin() {
			return missing(q)
		}
		var in map[string]obj
		if json.Unmarshal(q.body, &in) != nil || in[k.key] == nil {
			return neutronError(400, "HTTPBadRequest", "Unable to find '"+k.key+"' in request body")
		}
		for _, field := range []string{"name", "description", "admin_state_up", "tags", "dns_nameservers"} {
			if v, set := in[k.key][field]; set {
				o[field] = v
			}
		}
		o["updated_at"] = stamp(q.now)
		return ok(obj{k.key: o})
	}))
}

func (q *query) seesNeutron(o obj) bool {
	return q.tok.admin() || q.tok.project != nil && o.str("project_id") == q.tok.project.id || o["shared"] == true || o["router:external"] == true
}

func (q *query) neutronList(key string, t *table) reply {
	want := q.r.URL.Query()
	rows := []obj{}
	for _, o := range t.rows {
		if q.seesNeutron(o) && neutronMatch(o, want) {
			rows = append(rows, o)
		}
	}
	limit, _ := strconv.Atoi(q.param("limit"))
	out, more, found := page(rows, func(o obj) string { return o.str("id") }, q.param("marker"), limit, q.opt.PageLimit)
	if !found {
		return neutronError(404, "HTTPNotFound", "The resource could not be found.")
	}
	answer := obj{key: pick(out, want["fields"])}
	if more && len(out) > 0 && q.param("limit") != "" {
		answer[key+"_links"] = []any{obj{"rel": "next", "href": withQuery(q.r.URL, q.self(), map[string]string{"marker": out[len(out)-1].str("id")})}}
	}
	return ok(answer)
}

func pick(rows []obj, fields []string) any {
	if len(fields) == 0 {
		return rows
	}
	out := []obj{}
	for _, o := range rows {
		cut := obj{}
		for _, f := range fields {
			if v, has := o[f]; has {
				cut[f] = v
			}
		}
		out = append(out, cut)
	}
	return out
}

func neutronMatch(o obj, want map[string][]string) bool {
	for k, vals := range want {
		switch k {
		case "limit", "marker", "fields", "sort_key", "sort_dir", "page_reverse":
			continue
		case "tags", "tags-any":
			if !tagsMatch(o, vals, k == "tags") {
				return false
			}
			continue
		case "fixed_ips":
			if !addressMatch(o, vals) {
				return false
			}
			continue
		}
		v, has := o[k]
		if !has {
			continue // an unknown filter is ignored
		}
		if !slices.ContainsFunc(vals, func(s string) bool { return strings.EqualFold(fmt.Sprint(v), s) || v == nil && s == "" }) {
			return false
		}
	}
	return true
}

func tagsMatch(o obj, vals []string, all bool) bool {
	tags, _ := o["tags"].([]any)
	n := 0
	wanted := strings.Split(strings.Join(vals, ","), ",")
	for _, w := range wanted {
		if slices.Contains(tags, any(w)) {
			n++
		}
	}
	return n == len(wanted) || !all && n > 0
}

func addressMatch(o obj, vals []string) bool {
	ips, _ := o["fixed_ips"].([]any)
	for _, v := range vals {
		key, val, _ := strings.Cut(v, "=")
		if slices.ContainsFunc(ips, func(ip any) bool { return toObj(ip).str(key) == val }) {
			return true
		}
	}
	return false
}

// availability counts the addresses of a network; only operators see it.
func (c *Cloud) availability(n obj) obj {
	subnets, used, total := []any{}, 0, 0
	for _, id := range n["subnets"].([]any) {
		s := c.network.subnets.get(id.(string))
		of := 0
		for _, p := range c.network.ports.rows {
			ips, _ := p["fixed_ips"].([]any)
			for _, ip := range ips {
				if toObj(ip).str("subnet_id") == id {
					of++
				}
			}
		}
		size := poolSize(s)
		subnets = append(subnets, obj{"subnet_id": id, "subnet_name": s["name"], "ip_version": s["ip_version"], "cidr": s["cidr"], "used_ips": of, "total_ips": size})
		used, total = used+of, total+size
	}
	return obj{
		"network_id": n["id"], "network_name": n["name"], "tenant_id": n["project_id"], "project_id": n["project_id"],
		"subnet_ip_availability": subnets, "used_ips": used, "total_ips": total,
	}
}

// poolSize is how many addresses the allocation pools of an IPv4 subnet have.
func poolSize(s obj) int {
	n := 0
	for _, p := range s["allocation_pools"].([]any) {
		start, err1 := netip.ParseAddr(toObj(p).str("start"))
		end, err2 := netip.ParseAddr(toObj(p).str("end"))
		if err1 == nil && err2 == nil && start.Is4() {
			a, b := start.As4(), end.As4()
			n += int(binary.BigEndian.Uint32(b[:])-binary.BigEndian.Uint32(a[:])) + 1
		}
	}
	return n
}

func (c *Cloud) neutronCounts(project string) map[string]int {
	return map[string]int{
		"network": countIn(&c.network.nets, project), "subnet": countIn(&c.network.subnets, project), "subnetpool": 0,
		"port": countIn(&c.network.ports, project), "router": countIn(&c.network.routers, project), "floatingip": countIn(&c.network.fips, project),
		"rbac_policy": 0, "security_group": countIn(&c.network.groups, project), "security_group_rule": c.rulesOf(project),
	}
}

// rulesOf counts the rules of a project's security groups.
func (c *Cloud) rulesOf(project string) int {
	n := 0
	for _, g := range c.network.groups.rows {
		if g.str("project_id") == project {
			n += len(g["security_group_rules"].([]any))
		}
	}
	return n
}

func neutronQuota(q *query) reply {
	out := obj{}
	for k := range q.neutronCounts(q.path("project")) {
		out[k] = q.quota(q.path("project"), k, -1)
	}
	return ok(obj{"quota": out})
}

func neutronQuotaDetails(q *query) reply {
	out := obj{}
	for k, n := range q.neutronCounts(q.path("project")) {
		out[k] = obj{"limit": q.quota(q.path("project"), k, -1), "used": n, "reserved": 0}
	}
	return ok(obj{"quota": out})
}
