package sim

import (
	"slices"
	"strconv"
)

func (c *Cloud) newVolume(project, user string, given obj, size int) (obj, *fail) {
	used, gigs := countIn(&c.volumes, project), 0
	for _, v := range c.volumes.rows {
		if v.str("project_id") == project {
			gigs += v["size"].(int)
		}
	}
	if limit := c.quota(project, "volumes", -1); limit >= 0 && used >= limit {
		return nil, failf("OverLimit", "VolumeLimitExceeded: Maximum number of volumes allowed (%d) exceeded for quota 'volumes'. (HTTP 413) (Request-ID: req-%s)", limit, c.uuid())
	}
	if limit := c.quota(project, "gigabytes", -1); limit >= 0 && gigs+size > limit {
		return nil, failf("OverLimit", "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested %dG, quota is %dG and %dG has been consumed. (HTTP 413) (Request-ID: req-%s)", size, limit, gigs, c.uuid())
	}
	if f := c.overTypeQuota(project, given, size); f != nil {
		return nil, f
	}
	id := c.uuid()
	return c.volumes.add(fill(obj{
		"id": id, "status": "creating", "size": size, "availability_zone": "nova", "created_at": c.now.Format("2006-01-02T15:04:05.000000"),
		"updated_at": nil, "attachments": []any{}, "name": "", "description": nil, "volume_type": defaultVolumeType, "snapshot_id": nil, "source_volid": nil,
		"metadata": obj{}, "user_id": user, "bootable": "false", "encrypted": false, "replication_status": nil, "consistencygroup_id": nil,
		"multiattach": false, "project_id": project,
	}, given)), nil
}

// defaultVolumeType is the lab's default_volume_type.
const defaultVolumeType = "lab"

// overTypeQuota: besides those of all volumes there are quotas of each type.
func (c *Cloud) overTypeQuota(project string, given obj, size int) *fail {
	typ := defaultVolumeType
	if id, _ := given["volume_type"].(string); id != "" {
		typ = id
		if t := c.vtypes.get(id); t != nil {
			typ = t.str("name")
		}
	}
	n, gigs := c.volumesOf(project, typ)
	if limit := c.quota(project, "volumes_"+typ, -1); limit >= 0 && n >= limit {
		return failf("OverLimit", "VolumeLimitExceeded: Maximum number of volumes allowed (%d) exceeded for quota 'volumes_%s'. (HTTP 413) (Request-ID: req-%s)", limit, typ, c.uuid())
	}
	if limit := c.quota(project, "gigabytes_"+typ, -1); limit >= 0 && gigs+size > limit {
		return failf("OverLimit", "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes_%s quota. Requested %dG, quota is %dG and %dG has been consumed. (HTTP 413) (Request-ID: req-%s)", typ, size, limit, gigs, c.uuid())
	}
	return nil
}

// volumesOf counts the volumes of a type by its name.
func (c *Cloud) volumesOf(project, typ string) (n, gigs int) {
	for _, v := range c.volumes.rows {
		of := v.str("volume_type")
		if t := c.vtypes.get(of); t != nil {
			of = t.str("name")
		}
		if v.str("project_id") == project && of == typ {
			n++
			gigs += v["size"].(int)
		}
	}
	return n, gigs
}

// attach ties a volume to a server, or frees it when s is nil.
func (c *Cloud) attach(v obj, s *server) {
	for _, o := range c.compute.servers {
		for i, id := range o.volumes {
			if id == v.str("id") {
				o.volumes = append(o.volumes[:i:i], o.volumes[i+1:]...)
				break
			}
		}
	}
	v["status"], v["attachments"], v["updated_at"] = "available", []any{}, c.now.Format("2006-01-02T15:04:05.000000")
	if s == nil {
		return
	}
	s.volumes = append(s.volumes, v.str("id"))
	v["status"] = "in-use"
	v["attachments"] = []any{obj{
		"id": v["id"], "volume_id": v["id"], "server_id": s.id, "attachment_id": c.uuid(), "host_name": nil,
		"device": "/dev/vd" + string("abcdefghijklmnopqrstuvwxyz"[len(s.volumes)%26]), "attached_at": c.now.Format("2006-01-02T15:04:05.000000"),
	}}
}

func (c *Cloud) cinder(h handler) handler {
	return c.authed(func(q *query) reply {
		if q.tok.project == nil || q.path("project") != q.tok.project.id && !q.tok.admin() {
			return novaError(400, "badRequest", "Malformed request url")
		}
		rep := h(q)
		rep.header = map[string]string{"OpenStack-API-Version": "volume 3.0", "Vary": "OpenStack-API-Version", "x-openstack-request-id": "req-" + q.uuid()}
		rep.header["x-compute-request-id"] = rep.header["x-openstack-request-id"]
		return rep
	})
}

func (c *Cloud) cinderRoutes() {
	v3 := cinderAt + "/v3/{project}"
	c.handle("GET "+cinderAt+"/{$}", func(q *query) reply {
		rep := ok(obj{"versions": []any{obj{"id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "updated": "2022-08-31T00:00:00Z", "links": []any{obj{"rel": "self", "href": q.base() + cinderAt + "/v3/"}}}}})
		rep.status = 300
		return rep
	})
	c.handle("GET "+v3+"/volumes", c.cinder(func(q *query) reply { return listVolumes(q, false) }))
	c.handle("GET "+v3+"/volumes/detail", c.cinder(func(q *query) reply { return listVolumes(q, true) }))
	c.handle("GET "+v3+"/volumes/{id}", c.cinder(func(q *query) reply {
		if v := q.volumes.get(q.path("id")); v != nil && v.str("project_id") == q.path("project") {
			return ok(obj{"volume": q.volumeView(v, q.base())})
		}
		return novaMissing("Volume", q.path("id"))
	}))
	c.handle("DELETE "+v3+"/volumes/{id}", c.cinder(func(q *query) reply {
		v := q.volumes.get(q.path("id"))
		if v == nil || v.str("project_id") != q.path("project") {
			return novaMissing("Volume", q.path("id"))
		}
		if v.str("status") == "in-use" {
			return novaError(400, "badRequest", "Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots or be disassociated from snapshots after volume transfer.")
		}
		q.volumes.drop(v.str("id"))
		return reply{status: 202}
	}))
	c.handle("GET "+v3+"/types", c.cinder(func(q *query) reply { return ok(obj{"volume_types": q.vtypes.rows}) }))
	c.handle("GET "+v3+"/types/{id}", c.cinder(func(q *query) reply {
		id := q.path("id")
		if id == "default" {
			id = uuidFrom("type " + defaultVolumeType)
		}
		if t := q.vtypes.get(id); t != nil {
			return ok(obj{"volume_type": t})
		}
		return novaMissing("Volume type", id)
	}))
	c.handle("GET "+v3+"/os-availability-zone", c.cinder(func(*query) reply {
		return ok(obj{"availabilityZoneInfo": []any{obj{"zoneName": "nova", "zoneState": obj{"available": true}}}})
	}))
	c.handle("GET "+v3+"/limits", c.cinder(func(q *query) reply {
		p, n, gigs := q.path("project"), countIn(&q.volumes, q.path("project")), q.gigabytes(q.path("project"))
		return ok(obj{"limits": obj{"rate": []any{}, "absolute": obj{
			"maxTotalVolumes": q.quota(p, "volumes", -1), "maxTotalSnapshots": -1, "maxTotalVolumeGigabytes": q.quota(p, "gigabytes", -1), "maxTotalBackups": 10,
			"maxTotalBackupGigabytes": 1000, "totalVolumesUsed": n, "totalGigabytesUsed": gigs, "totalSnapshotsUsed": 0, "totalBackupsUsed": 0, "totalBackupGigabytesUsed": 0,
		}}})
	}))
	c.handle("GET "+v3+"/os-quota-sets/{target}", c.cinder(cinderQuota))
}

func (c *Cloud) gigabytes(project string) int {
	n := 0
	for _, v := range c.volumes.rows {
		if v.str("project_id") == project {
			n += v["size"].(int)
		}
	}
	return n
}

func cinderQuota(q *query) reply {
	p := q.path("target")
	used := map[string]int{
		"volumes": countIn(&q.volumes, p), "gigabytes": q.gigabytes(p), "per_volume_gigabytes": 0, "snapshots": 0, "backups": 0, "backup_gigabytes": 0, "groups": 0,
	}
	for _, t := range q.vtypes.rows {
		name := t.str("name")
		used["volumes_"+name], used["gigabytes_"+name] = q.volumesOf(p, name)
		used["snapshots_"+name] = 0
	}
	def := map[string]int{"backups": 10, "backup_gigabytes": 1000, "groups": 10}
	usage := q.param("usage") == "True" || q.param("usage") == "true"
	set := obj{"id": p}
	for k, n := range used {
		limit := -1
		if d, has := def[k]; has {
			limit = d
		}
		limit = q.quota(p, k, limit)
		set[k] = limit
		if usage {
			set[k] = obj{"limit": limit, "in_use": n, "reserved": 0}
		}
	}
	return ok(obj{"quota_set": set})
}

func (q *query) volumeView(v obj, base string) obj {
	o := v.clone()
	delete(o, "project_id")
	o["os-vol-tenant-attr:tenant_id"] = v["project_id"]
	o["links"] = []any{obj{"rel": "self", "href": base + cinderAt + "/v3/" + v.str("project_id") + "/volumes/" + v.str("id")}, obj{"rel": "bookmark", "href": base + cinderAt + "/" + v.str("project_id") + "/volumes/" + v.str("id")}}
	return o
}

func listVolumes(q *query, detail bool) reply {
	rows := []obj{}
	for _, v := range slices.Backward(q.volumes.rows) {

		match := v.str("project_id") == q.path("project")
		for _, k := range []string{"name", "status"} {
			match = match && (q.param(k) == "" || q.param(k) == v.str(k))
		}
		if match {
			rows = append(rows, v)
		}
	}
	limit, _ := strconv.Atoi(q.param("limit"))
	out, more, found := page(rows, func(o obj) string { return o.str("id") }, q.param("marker"), limit, q.opt.PageLimit)
	if !found {
		return novaMissing("Volume", q.param("marker"))
	}
	views := []any{}
	for _, v := range out {
		full := q.volumeView(v, q.base())
		if !detail {
			full = obj{"id": full["id"], "name": full["name"], "links": full["links"]}
		}
		views = append(views, full)
	}
	answer := obj{"volumes": views}
	if more && len(out) > 0 {
		answer["volumes_links"] = []any{obj{"rel": "next", "href": withQuery(q.r.URL, q.self(), map[string]string{"marker": out[len(out)-1].str("id")})}}
	}
	return ok(answer)
}
