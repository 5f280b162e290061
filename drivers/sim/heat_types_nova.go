package sim

import (
	"slices"
	"time"
)

func serverKind() *kind {
	return &kind{
		class: "Server", create: createServer, update: updateServer, replaces: serverReplaces,
		built: func(c *Cloud, o *op) *fail {
			s := c.compute.server(o.r.phys)
			if s == nil {
				return c.novaFail("NotFound", 404, "Instance "+o.r.phys+" could not be found.")
			}
			if o.action == "CREATE" {
				c.built(s)
			} else if s.status == "REBUILD" || s.status == "RESIZE" {
				s.status = "ACTIVE"
			}
			if s.status == "ERROR" {
				return failf("ResourceInError", `Went to status ERROR due to "Message: %s, Code: 500"`, s.faultText)
			}
			return nil
		},
		remove: func(c *Cloud, o *op) (time.Duration, *fail) {
			if c.compute.server(o.r.phys) == nil {
				return 0, nil
			}
			return c.opt.DeleteTime, nil
		},
		gone: func(c *Cloud, r *resource) {
			if s := c.compute.server(r.phys); s != nil {
				c.destroy(s)
			}
		},
		unfit: func(c *Cloud, r *resource) bool {
			s := c.compute.server(r.phys)
			return s == nil || s.status == "ERROR"
		},
		yield: func(c *Cloud, r *resource) {
			if s := c.compute.server(r.phys); s != nil {
				c.detachPorts(s)
			}
		},
		attrs: serverAttrs, hidden: []string{"first_address", "networks", "instance_name"},
		check: func(c *Cloud, r *resource) *fail {
			s := c.compute.server(r.phys)
			if s == nil {
				return c.novaFail("NotFound", 404, "Instance "+r.phys+" could not be found.")
			}
			if s.status != "ACTIVE" {
				return failf("Error", "'status': expected 'ACTIVE', got '%s'", s.status)
			}
			return nil
		},
	}
}

func createServer(c *Cloud, o *op) (time.Duration, *fail) {
	r, who := o.r, o.r.st
	s := &server{name: o.name(53), project: who.project.id, user: who.user.id, image: o.text("image"), key: o.text("key_name"), groups: []string{"default"}}
	if f := c.compute.flavor(o.text("flavor")); f != nil {
		s.flavor = *f
	}
	s.metadata = toObj(o.props["metadata"]).clone()
	s.tags = asList(o.props["tags"])
	data := pyStr(o.props["user_data"])
	if data != "" {
		s.userData = encodeUserData(data)
	}
	if len(s.userData) > maxUserData {
		// Nova refuses; Heat writes the refusal, all of it, into a column that
		// is too short for it, and the resource stays locked for ever.
		r.stuck = true
		return forever, nil
	}
	ports, own, f := c.serverPorts(o, s)
	if f == nil {
		s.ports = ports
		f = c.boot(s)
	}
	if f != nil {
		for _, id := range own {
			c.dropPort(id)
		}
		return 0, f
	}
	s.ownPorts, r.phys = own, s.id
	return c.opt.BuildTime, nil
}

// serverPorts gives the ports that networks names, making those it must.
func (c *Cloud) serverPorts(o *op, s *server) (ports, own []string, f *fail) {
	list := asList(o.props["networks"])
	if len(list) == 0 {
		return nil, nil, failf("ValueError", "nics are required after microversion 2.36")
	}
	for _, e := range list {
		n := toObj(e)
		if id := n.str("port"); id != "" {
			ports = append(ports, id)
			continue
		}
		want := obj{"network_id": n["network"]}
		if sub := c.network.subnets.get(n.str("subnet")); sub != nil {
			want["network_id"], want["fixed_ips"] = sub["network_id"], []any{obj{"subnet_id": sub["id"]}}
		}
		if ip := n.str("fixed_ip"); ip != "" {
			want["fixed_ips"] = []any{obj{"ip_address": ip}}
		}
		if groups := asList(o.props["security_groups"]); len(groups) > 0 {
			ids, f := c.groupIDs(groups, o.r.st.owner())
			if f != nil {
				return nil, own, f
			}
			want["security_groups"] = ids
		}
		p, f := c.newPort(s.project, want)
		if f != nil {
			return nil, own, f
		}
		ports, own = append(ports, p.str("id")), append(own, p.str("id"))
	}
	return ports, own, nil
}

func serverReplaces(_ *Cloud, r *resource, after map[string]any, diff []string) replacement {
	has := func(k string) bool { return slices.Contains(diff, k) }
	if has("flavor") && after["flavor_update_policy"] == "REPLACE" || has("image") && (after["image_update_policy"] == "REPLACE" || after["image"] == nil) {
		return replace
	}
	if has("user_data") && after["user_data_update_policy"] == "REPLACE" {
		return replace
	}
	return bySchema
}

func updateServer(c *Cloud, o *op) (time.Duration, *fail) {
	s := c.compute.server(o.r.phys)
	if s == nil {
		return 0, c.novaFail("NotFound", 404, "Instance "+o.r.phys+" could not be found.")
	}
	s.updated = c.now
	took := time.Duration(0)
	for _, d := range o.diff {
		switch d {
		case "name":
			s.name = o.name(53)
		case "metadata":
			s.metadata = toObj(o.props["metadata"]).clone()
		case "tags":
			s.tags = asList(o.props["tags"])
		case "image":
			s.image, s.status, took = o.text("image"), "REBUILD", c.opt.BuildTime
		case "flavor":
			s.flavor, s.status, took = *c.compute.flavor(o.text("flavor")), "RESIZE", c.opt.BuildTime
		case "user_data":
			if o.props["user_data_update_policy"] == "REBUILD" {
				// Heat 19 sends the data where the image's id belongs.
				return 0, c.novaFail("BadRequest", 400, "Invalid imageRef provided.")
			}
		case "networks":
			c.detachPorts(s)
			for _, id := range s.ownPorts {
				c.dropPort(id)
			}
			ports, own, f := c.serverPorts(o, s)
			if f != nil {
				return 0, f
			}
			s.ports, s.ownPorts, took = ports, own, c.opt.BuildTime
			for _, id := range ports {
				p := c.network.ports.get(id)
				p["device_id"], p["device_owner"], p["status"] = s.id, "compute:nova", "ACTIVE"
			}
		}
	}
	return took, nil
}

func serverAttrs(c *Cloud, r *resource) map[string]any {
	s := c.compute.server(r.phys)
	if s == nil {
		return map[string]any{}
	}
	v := c.serverShow(s, r.st.base, novaMax)
	first, networks := "", map[string]any{}
	for _, id := range s.ports {
		p := c.network.ports.get(id)
		if p == nil {
			continue
		}
		name := c.network.nets.get(p.str("network_id")).str("name")
		for _, ip := range p["fixed_ips"].([]any) {
			a := toObj(ip).str("ip_address")
			if first == "" {
				first = a
			}
			networks[name] = append(asList(networks[name]), a)
			networks[p.str("network_id")] = networks[name]
		}
	}
	v["first_address"], v["networks"], v["instance_name"], v["os_collect_config"] = first, networks, "instance-"+s.id[:8], map[string]any{}
	return v
}

func serverGroupKind() *kind {
	return &kind{
		class: "ServerGroup",
		create: func(c *Cloud, o *op) (time.Duration, *fail) {
			id := c.uuid()
			c.compute.serverGroups.add(obj{"id": id, "name": o.name(255), "policies": o.props["policies"], "members": []any{}, "project_id": o.r.st.project.id, "user_id": o.r.st.user.id})
			o.r.phys = id
			return 0, nil
		},
		gone: func(c *Cloud, r *resource) { c.compute.serverGroups.drop(r.phys) },
		attrs: func(c *Cloud, r *resource) map[string]any {
			return serverGroupView(c.compute.serverGroups.get(r.phys), novaMax)
		},
	}
}

func keyPairKind() *kind {
	return &kind{
		class: "KeyPair",
		create: func(c *Cloud, o *op) (time.Duration, *fail) {
			user := o.r.st.user.id
			if c.compute.key(user, o.text("name")) != nil {
				return 0, c.novaFail("Conflict", 409, "Key pair '"+o.text("name")+"' already exists.")
			}
			c.compute.addKey(user, o.text("name"), o.text("public_key"), c.now.Format("2006-01-02T15:04:05.000000"))
			o.r.phys = o.text("name")
			return 0, nil
		},
		gone: func(c *Cloud, r *resource) {
			c.compute.keys = slices.DeleteFunc(c.compute.keys, func(k obj) bool { return k.str("user_id") == r.st.user.id && k.str("name") == r.phys })
		},
		check: func(c *Cloud, r *resource) *fail {
			if c.compute.key(r.st.user.id, r.phys) == nil {
				return c.novaFail("NotFound", 404, "Keypair "+r.phys+" not found for user "+r.st.user.id)
			}
			return nil
		},
		attrs: func(c *Cloud, r *resource) map[string]any {
			k := c.compute.key(r.st.user.id, r.phys)
			return map[string]any{"public_key": k["public_key"], "private_key": ""}
		},
	}
}

// ---- volumes

func volumeKind() *kind {
	return &kind{
		class: "CinderVolume", hidden: []string{"attachments_list", "display_name", "display_description"},
		create: func(c *Cloud, o *op) (time.Duration, *fail) {
			given := obj{"name": o.name(255), "metadata": toObj(o.props["metadata"]), "description": o.props["description"], "availability_zone": o.props["availability_zone"]}
			if t := c.vtypes.get(o.text("volume_type")); t != nil {
				given["volume_type"] = t["name"]
			}
			if o.props["image"] != nil {
				given["bootable"] = "true"
			}
			v, f := c.newVolume(o.r.st.project.id, o.r.st.user.id, given, int(toFloat(o.props["size"])))
			if f != nil {
				return 0, f
			}
			o.r.phys = v.str("id")
			return c.opt.BuildTime, nil
		},
		built: func(c *Cloud, o *op) *fail {
			v := c.volumes.get(o.r.phys)
			if v == nil {
				return failf("NotFound", "Volume %s could not be found. (HTTP 404) (Request-ID: req-%s)", o.r.phys, c.uuid())
			}
			if v["status"] == "creating" {
				v["status"] = "available"
			}
			return nil
		},
		update: func(c *Cloud, o *op) (time.Duration, *fail) {
			v := c.volumes.get(o.r.phys)
			if v == nil {
				return 0, failf("NotFound", "Volume %s could not be found. (HTTP 404) (Request-ID: req-%s)", o.r.phys, c.uuid())
			}
			for _, d := range o.diff {
				switch d {
				case "size":
					if int(toFloat(o.props["size"])) < v["size"].(int) {
						return 0, failf("NotSupported", "Shrinking volume is not supported.")
					}
					v["size"] = int(toFloat(o.props["size"]))
				case "name":
					v["name"] = o.name(255)
				case "description", "metadata":
					v[d] = o.props[d]
				case "volume_type":
					v["volume_type"] = c.vtypes.get(o.text("volume_type"))["name"]
				}
			}
			return c.opt.BuildTime, nil
		},
		remove: func(c *Cloud, o *op) (time.Duration, *fail) {
			if c.volumes.get(o.r.phys) == nil {
				return 0, nil
			}
			return c.opt.DeleteTime, nil
		},
		gone: func(c *Cloud, r *resource) {
			if v := c.volumes.get(r.phys); v != nil {
				c.attach(v, nil)
				c.volumes.drop(r.phys)
			}
		},
		unfit: func(c *Cloud, r *resource) bool { return c.volumes.get(r.phys) == nil },
		check: func(c *Cloud, r *resource) *fail {
			if c.volumes.get(r.phys) == nil {
				return failf("NotFound", "Volume %s could not be found. (HTTP 404) (Request-ID: req-%s)", r.phys, c.uuid())
			}
			return nil
		},
		attrs: func(c *Cloud, r *resource) map[string]any {
			v := c.volumes.get(r.phys)
			if v == nil {
				return map[string]any{}
			}
			out := (&query{Cloud: c}).volumeView(v, r.st.base)
			out["display_name"], out["display_description"], out["attachments_list"] = v["name"], v["description"], v["attachments"]
			return out
		},
	}
}

func attachmentKind() *kind {
	tie := func(c *Cloud, o *op) (time.Duration, *fail) {
		v, s := c.volumes.get(o.text("volume_id")), c.compute.server(o.text("instance_uuid"))
		if v == nil {
			return 0, failf("NotFound", "Volume %s could not be found. (HTTP 404) (Request-ID: req-%s)", o.text("volume_id"), c.uuid())
		}
		if s == nil {
			return 0, c.novaFail("NotFound", 404, "Instance "+o.text("instance_uuid")+" could not be found.")
		}
		if o.action == "CREATE" && v["status"] == "in-use" {
			return 0, c.novaFail("BadRequest", 400, "Invalid volume: volume "+v.str("id")+" status must be 'available' but is 'in-use'.")
		}
		c.attach(v, s)
		o.r.phys = v.str("id")
		return c.opt.BuildTime, nil
	}
	return &kind{
		class: "CinderVolumeAttachment", create: tie, update: tie,
		remove: func(c *Cloud, _ *op) (time.Duration, *fail) { return c.opt.DeleteTime, nil },
		gone: func(c *Cloud, r *resource) {
			if v := c.volumes.get(r.phys); v != nil && v["status"] == "in-use" {
				c.attach(v, nil)
			}
		},
	}
}
