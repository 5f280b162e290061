package sim

import (
	"crypto/md5" //nolint:gosec // fingerprints of keys are MD5 in Nova's API
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// idFrom makes a stable id of a fixed thing.
func idFrom(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func uuidFrom(s string) string {
	h := idFrom(s)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// seed makes what every cloud has from the start.
func (c *Cloud) seed() {
	c.heat.init()
	c.compute.byID = map[string]*server{}
	c.seedIdentity()
	admin := c.identity.projectByName("admin").id
	demo := c.identity.projectByName("demo").id
	for _, f := range []flavor{{name: "m1.tiny", ram: 512, disk: 1, vcpus: 1}, {name: "m1.small", ram: 2048, disk: 20, vcpus: 1}, {name: "m1.medium", ram: 4096, disk: 40, vcpus: 2}, {name: "m1.large", ram: 8192, disk: 80, vcpus: 4}} {
		f.id = uuidFrom("flavor " + f.name)
		c.compute.flavors = append(c.compute.flavors, f)
	}
	for _, u := range c.identity.users {
		if u.name == "viewer" {
			continue
		}
		c.compute.addKey(u.id, "testkey", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM"+idFrom("key "+u.name)+" sim", stamp(c.now)[:19]+".000000")
	}
	for _, im := range [][3]string{{"ubuntu-latest", "ubuntu", "24.04"}, {"ubuntu-next", "ubuntu", "26.04"}, {"fedora-coreos-latest", "fedora-coreos", "42"}, {"fedora-coreos-next", "fedora-coreos", "43"}, {"debian-latest", "debian", "13"}, {"debian-next", "debian", "14"}} {
		c.images.add(c.imageView(im[0], im[1], im[2], admin))
	}
	c.vtypes.add(obj{"id": uuidFrom("type lab"), "name": "lab", "is_public": true, "description": nil, "extra_specs": obj{}, "os-volume-type-access:is_public": true})
	c.vtypes.add(obj{"id": uuidFrom("type default"), "name": "__DEFAULT__", "is_public": true, "description": "Default Volume Type", "extra_specs": obj{}, "os-volume-type-access:is_public": true})
	c.network.seen, c.network.fipSubnet = map[string]bool{}, map[string]string{}
	public := c.newNetwork(admin, obj{"name": "public", "router:external": true, "mtu": 1500, "is_default": false})
	c.newSubnet(admin, obj{"name": "public-subnet", "network_id": public.str("id"), "cidr": "172.24.0.0/16", "gateway_ip": "172.24.0.1"})
	private := c.newNetwork(demo, obj{"name": "private"})
	sub, _ := c.newSubnet(demo, obj{"name": "private-subnet", "network_id": private.str("id"), "cidr": "10.20.0.0/16"})
	router, _ := c.newRouter(demo, obj{"name": "router1", "external_gateway_info": obj{"network_id": public.str("id")}})
	_, _ = c.attachRouter(router, sub)
}

func (c *Cloud) imageView(name, distro, version, owner string) obj {
	id := uuidFrom("image " + name)
	return obj{
		"id": id, "name": name, "os_distro": distro, "os_version": version, "disk_format": "qcow2", "container_format": "bare",
		"visibility": "public", "size": 196624, "virtual_size": 1073741824, "status": "active", "checksum": idFrom(name), "protected": false,
		"min_ram": 0, "min_disk": 0, "owner": owner, "os_hidden": false, "os_hash_algo": "sha512", "os_hash_value": strings.Repeat(idFrom(name), 4),
		"created_at": stamp(c.now), "updated_at": stamp(c.now), "tags": []any{}, "self": "/v2/images/" + id, "file": "/v2/images/" + id + "/file",
		"schema": "/v2/schemas/image", "stores": "sim", "owner_specified.openstack.md5": "", "owner_specified.openstack.sha256": "",
		"owner_specified.openstack.object": "images/" + name,
	}
}

func fingerprint(key string) string {
	sum := md5.Sum([]byte(key)) //nolint:gosec // see the import
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(parts, ":")
}
