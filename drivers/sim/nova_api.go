package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
)

func novaError(status int, kind, msg string) reply {
	return reply{status: status, body: obj{kind: obj{"code": status, "message": msg}}}
}

func novaMissing(what, id string) reply {
	return novaError(404, "itemNotFound", fmt.Sprintf("%s %s could not be found.", what, id))
}

const novaMax = 93 // microversion 2.93 is Zed's

// microversion reads the version a request asks for; 0 is an impossible one.
func microversion(q *query) int {
	v := q.r.Header.Get("X-OpenStack-Nova-API-Version")
	if h := q.r.Header.Get("OpenStack-API-Version"); strings.HasPrefix(h, "compute ") {
		v = strings.TrimPrefix(h, "compute ")
	}
	if v == "" {
		return 1
	}
	if v == "latest" {
		return novaMax
	}
	n, err := strconv.Atoi(strings.TrimPrefix(v, "2."))
	if err != nil {
		return 0
	}
	return n
}

// nova wraps a handler with the token check and the microversion.
func (c *Cloud) nova(h func(*query, int) reply) handler {
	return c.authed(func(q *query) reply {
		mv := microversion(q)
		var rep reply
		if mv < 1 || mv > novaMax {
			rep = novaError(406, "computeFault", fmt.Sprintf("Version 2.%d is not supported by the API. Minimum is 2.1 and maximum is 2.%d.", mv, novaMax))
		} else if q.tok.project == nil {
			rep = novaError(403, "forbidden", "Policy doesn't allow this request to be performed.")
		} else {
			rep = h(q, mv)
		}
		q.novaHeaders(&rep, mv)
		return rep
	})
}

func (q *query) novaHeaders(rep *reply, mv int) {
	v, id := fmt.Sprintf("2.%d", mv), "req-"+q.uuid()
	rep.header = map[string]string{
		"OpenStack-API-Version": "compute " + v, "X-OpenStack-Nova-API-Version": v, "Vary": "OpenStack-API-Version, X-OpenStack-Nova-API-Version",
		"x-openstack-request-id": id, "x-compute-request-id": id,
	}
}

// serverGroupView follows the microversions: project and user since 2.13, one
// policy with rules since 2.64.
func serverGroupView(g obj, mv int) obj {
	v := g.clone()
	if mv < 13 {
		delete(v, "project_id")
		delete(v, "user_id")
	}
	if mv < 64 {
		v["metadata"] = obj{}
		return v
	}
	delete(v, "policies")
	v["policy"], v["rules"] = asList(g["policies"])[0], obj{}
	return v
}

func (c *Cloud) novaRoutes() {
	v2 := novaAt + "/v2.1"
	version := func(q *query) obj {
		return obj{"id": "v2.1", "status": "CURRENT", "version": fmt.Sprintf("2.%d", novaMax), "min_version": "2.1", "updated": "2013-07-23T11:33:21Z", "links": []any{obj{"rel": "self", "href": q.base() + v2 + "/"}}}
	}
	c.handle("GET "+novaAt+"/{$}", func(q *query) reply { return ok(obj{"versions": []any{version(q)}}) })
	for _, p := range []string{v2, v2 + "/{$}"} {
		c.handle("GET "+p, func(q *query) reply {
			v := version(q)
			v["media-types"] = []any{obj{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}}
			rep := ok(obj{"version": v})
			q.novaHeaders(&rep, 1)
			return rep
		})
	}
	c.handle("GET "+v2+"/servers", c.nova(func(q *query, mv int) reply { return listServers(q, mv, false) }))
	c.handle("GET "+v2+"/servers/detail", c.nova(func(q *query, mv int) reply { return listServers(q, mv, true) }))
	c.handle("GET "+v2+"/servers/{id}", c.nova(withServer(func(q *query, mv int, s *server) reply { return ok(obj{"server": q.serverView(s, mv)}) })))
	c.handle("DELETE "+v2+"/servers/{id}", c.nova(withServer(func(q *query, _ int, s *server) reply { q.destroy(s); return reply{status: 204} })))
	c.handle("GET "+v2+"/servers/{id}/metadata", c.nova(withServer(func(_ *query, _ int, s *server) reply { return ok(obj{"metadata": s.metadata}) })))
	c.handle("POST "+v2+"/servers/{id}/action", c.nova(withServer(serverAction)))
	c.handle("GET "+v2+"/flavors", c.nova(func(q *query, mv int) reply { return listFlavors(q, mv, false) }))
	c.handle("GET "+v2+"/flavors/detail", c.nova(func(q *query, mv int) reply { return listFlavors(q, mv, true) }))
	c.handle("GET "+v2+"/flavors/{id}", c.nova(func(q *query, mv int) reply {
		for _, f := range q.compute.flavors {
			if f.id == q.path("id") {
				return ok(obj{"flavor": flavorView(q, f, mv, true)})
			}
		}
		return novaMissing("Flavor", q.path("id"))
	}))
	c.handle("GET "+v2+"/os-keypairs", c.nova(listKeys))
	c.handle("POST "+v2+"/os-keypairs", c.nova(createKey))
	c.handle("GET "+v2+"/os-keypairs/{name}", c.nova(func(q *query, mv int) reply {
		if k := q.compute.key(q.tok.user.id, q.path("name")); k != nil {
			view := keyView(k, mv, true)
			for _, f := range []string{"created_at", "deleted", "deleted_at", "id", "updated_at"} {
				view[f] = k[f]
			}
			return ok(obj{"keypair": view})
		}
		return keyMissing(q)
	}))
	c.handle("DELETE "+v2+"/os-keypairs/{name}", c.nova(func(q *query, mv int) reply {
		k := q.compute.key(q.tok.user.id, q.path("name"))
		if k == nil {
			return keyMissing(q)
		}
		q.compute.keys = slices.DeleteFunc(q.compute.keys, func(o obj) bool { return o["id"] == k["id"] })
		if mv < 2 {
			return reply{status: 202}
		}
		return reply{status: 204}
	}))
	c.handle("GET "+v2+"/limits", c.nova(novaLimits))
	c.handle("GET "+v2+"/os-availability-zone", c.nova(func(q *query, _ int) reply {
		return ok(obj{"availabilityZoneInfo": []any{obj{"zoneName": "nova", "zoneState": obj{"available": !q.compute.closed}, "hosts": nil}}})
	}))
	c.handle("GET "+v2+"/os-server-groups", c.nova(func(q *query, mv int) reply {
		rows := []obj{}
		for _, g := range q.compute.serverGroups.rows {
			if g.str("project_id") == q.tok.project.id {
				rows = append(rows, serverGroupView(g, mv))
			}
		}
		return ok(obj{"server_groups": rows})
	}))
	c.handle("GET "+v2+"/os-quota-sets/{project}", c.nova(func(q *query, mv int) reply {
		set := obj{"id": q.path("project")}
		for _, k := range novaQuotaNames(mv) {
			set[k] = q.quota(q.path("project"), k, novaQuotaDefault(k))
		}
		return ok(obj{"quota_set": set})
	}))
	c.handle("GET "+v2+"/os-quota-sets/{project}/detail", c.nova(func(q *query, mv int) reply {
		set, used := obj{"id": q.path("project")}, q.novaUsed(q.path("project"))
		for _, k := range novaQuotaNames(mv) {
			set[k] = obj{"limit": q.quota(q.path("project"), k, novaQuotaDefault(k)), "in_use": used[k], "reserved": 0}
		}
		return ok(obj{"quota_set": set})
	}))
}

func novaQuotaNames(mv int) []string {
	names := []string{"cores", "instances", "key_pairs", "metadata_items", "ram", "server_group_members", "server_groups"}
	if mv < 36 {
		names = append(names, "fixed_ips", "floating_ips", "security_group_rules", "security_groups")
	}
	if mv < 57 {
		names = append(names, "injected_file_content_bytes", "injected_file_path_bytes", "injected_files")
	}
	return names
}

func novaQuotaDefault(k string) int {
	switch k {
	case "metadata_items":
		return 128
	case "injected_file_content_bytes":
		return 10240
	case "injected_file_path_bytes":
		return 255
	case "injected_files":
		return 5
	}
	return -1
}

func (c *Cloud) novaUsed(project string) map[string]int {
	used := map[string]int{"server_groups": countIn(&c.compute.serverGroups, project)}
	for _, s := range c.compute.servers {
		if s.project == project {
			used["instances"]++
			used["cores"] += s.flavor.vcpus
			used["ram"] += s.flavor.ram
		}
	}
	return used
}

func novaLimits(q *query, mv int) reply {
	p, used := q.tok.project.id, q.novaUsed(q.tok.project.id)
	all := obj{
		"maxTotalInstances": q.quota(p, "instances", -1), "maxTotalCores": q.quota(p, "cores", -1), "maxTotalRAMSize": q.quota(p, "ram", -1),
		"maxServerMeta": 128, "maxImageMeta": 128, "maxPersonality": 5, "maxPersonalitySize": 10240, "maxTotalKeypairs": q.quota(p, "key_pairs", -1),
		"maxServerGroups": q.quota(p, "server_groups", -1), "maxServerGroupMembers": q.quota(p, "server_group_members", -1), "maxTotalFloatingIps": -1,
		"maxSecurityGroups": -1, "maxSecurityGroupRules": -1, "totalRAMUsed": used["ram"], "totalCoresUsed": used["cores"],
		"totalInstancesUsed": used["instances"], "totalFloatingIpsUsed": 0, "totalSecurityGroupsUsed": 0, "totalServerGroupsUsed": used["server_groups"],
	}
	gone := []string{}
	if mv >= 36 {
		gone = append(gone, "maxTotalFloatingIps", "maxSecurityGroups", "maxSecurityGroupRules", "totalFloatingIpsUsed", "totalSecurityGroupsUsed")
	}
	if mv >= 39 {
		gone = append(gone, "maxImageMeta")
	}
	if mv >= 57 {
		gone = append(gone, "maxPersonality", "maxPersonalitySize")
	}
	for _, k := range gone {
		delete(all, k)
	}
	return ok(obj{"limits": obj{"rate": []any{}, "absolute": all}})
}

func keyMissing(q *query) reply {
	return novaError(404, "itemNotFound", fmt.Sprintf("Keypair %s not found for user %s", q.path("name"), q.tok.user.id))
}

func keyView(k obj, mv int, full bool) obj {
	fields := []string{"name", "public_key", "fingerprint"}
	if mv >= 2 {
		fields = append(fields, "type")
	}
	if full {
		fields = append(fields, "user_id")
	}
	out := obj{}
	for _, f := range fields {
		out[f] = k[f]
	}
	return out
}

func listKeys(q *query, mv int) reply {
	rows := []any{}
	for _, k := range q.compute.keys {
		if k.str("user_id") == q.tok.user.id {
			rows = append(rows, obj{"keypair": keyView(k, mv, false)})
		}
	}
	return ok(obj{"keypairs": rows})
}

func createKey(q *query, mv int) reply {
	var in struct {
		Keypair struct {
			Name   string
			Public string `json:"public_key"`
		}
	}
	if json.Unmarshal(q.body, &in) != nil || in.Keypair.Name == "" || in.Keypair.Public == "" {
		return novaError(400, "badRequest", "Invalid input for field/attribute keypair.")
	}
	if q.compute.key(q.tok.user.id, in.Keypair.Name) != nil {
		return novaError(409, "conflictingRequest", "Key pair '"+in.Keypair.Name+"' already exists.")
	}
	k := q.compute.addKey(q.tok.user.id, in.Keypair.Name, in.Keypair.Public, q.now.Format("2006-01-02T15:04:05.000000"))
	status := 200
	if mv >= 2 {
		status = 201
	}
	return reply{status: status, body: obj{"keypair": keyView(k, mv, true)}}
}

func flavorLinks(q *query, id string) []any {
	return []any{obj{"rel": "self", "href": q.base() + novaAt + "/v2.1/flavors/" + id}, obj{"rel": "bookmark", "href": q.base() + novaAt + "/flavors/" + id}}
}

func flavorView(q *query, f flavor, mv int, detail bool) obj {
	o := obj{"id": f.id, "name": f.name, "links": flavorLinks(q, f.id)}
	if detail {
		maps.Copy(o, (obj{"ram": f.ram, "disk": f.disk, "swap": "", "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": false, "vcpus": f.vcpus, "os-flavor-access:is_public": true, "rxtx_factor": 1.0}))
	}
	if mv >= 55 {
		o["description"] = nil
	}
	if mv >= 75 && detail {
		o["swap"] = 0
	}
	if mv >= 61 && detail {
		o["extra_specs"] = obj{}
	}
	return o
}

func listFlavors(q *query, mv int, detail bool) reply {
	rows := slices.Clone(q.compute.flavors)
	sort.Slice(rows, func(i, j int) bool { return rows[i].id < rows[j].id })
	limit, _ := strconv.Atoi(q.param("limit"))
	out, more, found := page(rows, func(f flavor) string { return f.id }, q.param("marker"), limit, q.opt.PageLimit)
	if !found {
		return novaError(400, "badRequest", "marker ["+q.param("marker")+"] not found")
	}
	views := []any{}
	for _, f := range out {
		views = append(views, flavorView(q, f, mv, detail))
	}
	answer := obj{"flavors": views}
	if more {
		answer["flavors_links"] = []any{obj{"rel": "next", "href": withQuery(q.r.URL, q.self(), map[string]string{"marker": out[len(out)-1].id})}}
	}
	return ok(answer)
}
