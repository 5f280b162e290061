package sim

import "net/netip"

// What follows is for tests: what an operator's catalogue may hold besides what
// every cloud of ours has from the start.

// AddImage adds a public image. Given fields replace the usual ones; nil removes
// one, as an image without os_distro.
func (c *Cloud) AddImage(name string, fields map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	im := c.imageView(name, "ubuntu", "24.04", c.identity.projectByName("admin").id)
	for k, v := range fields {
		if im[k] = v; v == nil {
			delete(im, k)
		}
	}
	c.images.add(im)
}

// AddFlavor adds a flavor that every project sees; RAM in MiB, disk in GiB.
func (c *Cloud) AddFlavor(name string, vcpus, ram, disk int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compute.flavors = append(c.compute.flavors, flavor{id: uuidFrom("flavor " + name), name: name, ram: ram, disk: disk, vcpus: vcpus})
}

// AddVolumeType adds a public volume type.
func (c *Cloud) AddVolumeType(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vtypes.add(obj{"id": uuidFrom("type " + name), "name": name, "is_public": true, "description": nil, "extra_specs": obj{}, "os-volume-type-access:is_public": true})
}

// AddNetwork adds a network of a project with a subnet of each CIDR, named
// name-0, name-1 and so on.
func (c *Cloud) AddNetwork(project, name string, cidrs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.identity.projectByName(project).id
	n := c.newNetwork(id, obj{"name": name})
	for i, cidr := range cidrs {
		s := obj{"name": name + "-" + string(rune('0'+i)), "network_id": n["id"], "cidr": cidr}
		if prefix, err := netip.ParsePrefix(cidr); err == nil && prefix.Addr().Is6() {
			s["ip_version"] = 6
		}
		if _, f := c.newSubnet(id, s); f != nil {
			panic("sim: " + f.msg)
		}
	}
}

// CloseZone makes the availability zone nova take no servers.
func (c *Cloud) CloseZone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compute.closed = true
}

// RemoveService takes a service out of the catalog of tokens to come, by its
// type.
func (c *Cloud) RemoveService(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity.without = append(c.identity.without, kind)
}
