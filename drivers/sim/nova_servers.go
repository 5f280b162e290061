package sim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func withServer(h func(*query, int, *server) reply) func(*query, int) reply {
	return func(q *query, mv int) reply {
		s := q.compute.server(q.path("id"))
		if s == nil || s.project != q.tok.project.id && !q.tok.admin() {
			return novaMissing("Instance", q.path("id"))
		}
		return h(q, mv, s)
	}
}

func listServers(q *query, mv int, detail bool) reply {
	want := q.r.URL.Query()
	all := want.Has("all_tenants") && want.Get("all_tenants") != "0" && want.Get("all_tenants") != "False"
	if all && !q.tok.admin() {
		return novaError(403, "forbidden", "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.")
	}
	rows := []*server{}
	for _, s := range slices.Backward(q.compute.servers) { // newest first

		if (all || s.project == q.tok.project.id) && serverMatch(s, q) {
			rows = append(rows, s)
		}
	}
	limit, _ := strconv.Atoi(want.Get("limit"))
	out, more, found := page(rows, func(s *server) string { return s.id }, want.Get("marker"), limit, q.opt.PageLimit)
	if !found {
		return novaError(400, "badRequest", "marker ["+want.Get("marker")+"] not found")
	}
	views := []any{}
	for _, s := range out {
		if detail {
			views = append(views, q.serverView(s, mv))
		} else {
			views = append(views, obj{"id": s.id, "name": s.name, "links": serverLinks(q, s.id)})
		}
	}
	answer := obj{"servers": views}
	if more && len(out) > 0 {
		answer["servers_links"] = []any{obj{"rel": "next", "href": withQuery(q.r.URL, q.self(), map[string]string{"marker": out[len(out)-1].id})}}
	}
	return ok(answer)
}

func serverMatch(s *server, q *query) bool {
	want := q.r.URL.Query()
	if n := want.Get("name"); n != "" {
		re, err := regexp.Compile("(?i)" + n)
		if err != nil || !re.MatchString(s.name) {
			return false
		}
	}
	if st := want.Get("status"); st != "" && !strings.EqualFold(st, s.status) {
		return false
	}
	if since := want.Get("changes-since"); since != "" {
		if at, err := time.Parse(time.RFC3339, since); err == nil && s.updated.Before(at) {
			return false
		}
	}
	for k, v := range map[string]string{"image": s.image, "flavor": s.flavor.id, "host": s.host, "uuid": s.id, "user_id": s.user} {
		if w := want.Get(k); w != "" && w != v {
			return false
		}
	}
	return true
}

func serverLinks(q *query, id string) []any {
	return []any{obj{"rel": "self", "href": q.base() + novaAt + "/v2.1/servers/" + id}, obj{"rel": "bookmark", "href": q.base() + novaAt + "/servers/" + id}}
}

func (c *Cloud) serverAddresses(s *server) obj {
	out := obj{}
	for _, id := range s.ports {
		p := c.network.ports.get(id)
		if p == nil {
			continue
		}
		name := c.network.nets.get(p.str("network_id")).str("name")
		list, _ := out[name].([]any)
		for _, ip := range p["fixed_ips"].([]any) {
			list = append(list, obj{"version": 4, "addr": toObj(ip)["ip_address"], "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": p["mac_address"]})
		}
		for _, f := range c.network.fips.rows {
			if f.str("port_id") == id {
				list = append(list, obj{"version": 4, "addr": f["floating_ip_address"], "OS-EXT-IPS:type": "floating", "OS-EXT-IPS-MAC:mac_addr": p["mac_address"]})
			}
		}
		out[name] = list
	}
	return out
}

func (q *query) serverView(s *server, mv int) obj {
	v := q.serverShow(s, q.base(), mv)
	if q.tok.admin() {
		v["OS-EXT-SRV-ATTR:host"], v["OS-EXT-SRV-ATTR:hypervisor_hostname"], v["OS-EXT-SRV-ATTR:instance_name"] = s.host, s.host, "instance-"+s.id[:8]
		if mv >= 3 {
			v["OS-EXT-SRV-ATTR:user_data"], v["OS-EXT-SRV-ATTR:hostname"] = nil, s.name
			if s.userData != "" {
				v["OS-EXT-SRV-ATTR:user_data"] = s.userData
			}
		}
	}
	return v
}

func vmState(status string) string {
	switch status {
	case "BUILD":
		return "building"
	case "SHUTOFF":
		return "stopped"
	case "ERROR":
		return "error"
	}
	return "active"
}

// serverShow is what a server looks like to its owner.
func (c *Cloud) serverShow(s *server, base string, mv int) obj {
	q := &query{Cloud: c}
	link := func(kind, id string) []any {
		return []any{obj{"rel": "bookmark", "href": base + novaAt + "/" + kind + "/" + id}}
	}
	volumes, groups := []any{}, []any{}
	for _, v := range s.volumes {
		o := obj{"id": v}
		if mv >= 3 {
			o["delete_on_termination"] = false
		}
		volumes = append(volumes, o)
	}
	for _, g := range s.groups {
		groups = append(groups, obj{"name": g})
	}
	v := obj{
		"id": s.id, "name": s.name, "status": s.status, "tenant_id": s.project, "user_id": s.user, "metadata": s.metadata, "hostId": idFrom(s.project + s.host),
		"image": obj{"id": s.image, "links": link("images", s.image)}, "flavor": obj{"id": s.flavor.id, "links": link("flavors", s.flavor.id)},
		"created": stamp(s.created), "updated": stamp(s.updated), "addresses": q.serverAddresses(s), "accessIPv4": "", "accessIPv6": "",
		"links":             []any{obj{"rel": "self", "href": base + novaAt + "/v2.1/servers/" + s.id}, obj{"rel": "bookmark", "href": base + novaAt + "/servers/" + s.id}},
		"OS-DCF:diskConfig": "MANUAL", "progress": 0, "OS-EXT-AZ:availability_zone": s.zone, "config_drive": "", "key_name": nil,
		"OS-SRV-USG:launched_at": nil, "OS-SRV-USG:terminated_at": nil, "security_groups": groups, "OS-EXT-STS:task_state": nil,
		"OS-EXT-STS:vm_state": vmState(s.status), "OS-EXT-STS:power_state": 1, "os-extended-volumes:volumes_attached": volumes,
	}
	if s.status == "BUILD" { // not scheduled to the end yet
		v["OS-EXT-STS:task_state"], v["OS-EXT-STS:power_state"] = "spawning", 0
		delete(v, "security_groups")
	}
	if s.key != "" {
		v["key_name"] = s.key
	}
	if !s.launched.IsZero() {
		v["OS-SRV-USG:launched_at"] = s.launched.Format("2006-01-02T15:04:05.000000")
	}
	if s.status == "SHUTOFF" {
		v["OS-EXT-STS:power_state"] = 4
	}
	if s.status == "ERROR" {
		v["OS-EXT-STS:power_state"] = 0
		v["fault"] = obj{"code": 500, "created": stamp(s.updated), "message": s.faultText}
	}
	if mv >= 9 {
		v["locked"] = false
	}
	if mv >= 19 {
		v["description"] = nil
	}
	if mv >= 26 {
		v["tags"] = append([]any{}, s.tags...)
	}
	if mv >= 47 {
		v["flavor"] = obj{"vcpus": s.flavor.vcpus, "ram": s.flavor.ram, "disk": s.flavor.disk, "ephemeral": 0, "swap": 0, "original_name": s.flavor.name, "extra_specs": obj{}}
	}
	if mv >= 63 {
		v["trusted_image_certificates"] = nil
	}
	if mv >= 71 {
		v["server_groups"] = []any{}
	}
	if mv >= 73 {
		v["locked_reason"] = nil
	}
	if mv >= 90 {
		v["OS-EXT-SRV-ATTR:hostname"] = s.name
	}
	return v
}

func serverAction(q *query, _ int, s *server) reply {
	var in map[string]any
	if json.Unmarshal(q.body, &in) != nil || len(in) != 1 {
		return novaError(400, "badRequest", "There is no such action: None")
	}
	wrongState := func(action string) reply {
		return novaError(409, "conflictingRequest", fmt.Sprintf("Cannot '%s' instance %s while it is in vm_state %s", action, s.id, vmState(s.status)))
	}
	s.updated = q.now
	for action := range in {
		switch action {
		case "os-stop":
			if s.status != "ACTIVE" {
				return wrongState("stop")
			}
			s.status = "SHUTOFF"
		case "os-start":
			if s.status != "SHUTOFF" {
				return wrongState("start")
			}
			s.status = "ACTIVE"
		case "reboot":
			if s.status != "ACTIVE" && s.status != "SHUTOFF" {
				return wrongState("reboot")
			}
			s.status = "ACTIVE"
		default:
			return novaError(400, "badRequest", "There is no such action: "+action)
		}
	}
	return reply{status: 202}
}

func encodeUserData(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
