package sim

import (
	"fmt"
	"slices"
	"time"
)

type flavor struct {
	id, name         string
	ram, disk, vcpus int
}

// server is one instance of Nova.
type server struct {
	id, name, project, user string
	status                  string // BUILD, ACTIVE, SHUTOFF, REBUILD, ERROR, ...
	image, key, zone, host  string
	flavor                  flavor
	metadata                obj
	userData                string // base64, as sent
	ports, volumes          []string
	ownPorts                []string // made for the server, and gone with it
	groups                  []string
	tags                    []any
	faultText               string
	created, updated        time.Time
	launched                time.Time
}

type compute struct {
	flavors      []flavor
	servers      []*server // in the order of their creation
	byID         map[string]*server
	keys         []obj
	serverGroups table
	closed       bool // the only zone takes no servers
}

func (m *compute) addKey(user, name, public, created string) obj {
	k := obj{"name": name, "public_key": public, "fingerprint": fingerprint(public), "user_id": user, "created_at": created, "deleted": false, "deleted_at": nil, "id": len(m.keys) + 1, "updated_at": nil, "type": "ssh"}
	m.keys = append(m.keys, k)
	return k
}

func (m *compute) key(user, name string) obj {
	for _, k := range m.keys {
		if k.str("user_id") == user && k.str("name") == name {
			return k
		}
	}
	return nil
}

func (m *compute) server(id string) *server {
	return m.byID[id]
}

func (m *compute) flavor(key string) *flavor {
	for i, f := range m.flavors {
		if f.id == key || f.name == key {
			return &m.flavors[i]
		}
	}
	return nil
}

// maxUserData is Nova's limit for user_data after base64.
const maxUserData = 65535

// boot asks Nova for a server; s has its identity, image, flavor and ports.
func (c *Cloud) boot(s *server) *fail {
	used := map[string]int{"instances": 0, "cores": 0, "ram": 0}
	for _, o := range c.compute.servers {
		if o.project == s.project {
			used["instances"]++
			used["cores"] += o.flavor.vcpus
			used["ram"] += o.flavor.ram
		}
	}
	need := map[string]int{"instances": 1, "cores": s.flavor.vcpus, "ram": s.flavor.ram}
	for _, what := range []string{"instances", "cores", "ram"} {
		limit := c.quota(s.project, what, -1)
		if limit >= 0 && used[what]+need[what] > limit {
			return c.novaFail("Forbidden", 403, fmt.Sprintf("Quota exceeded for %s: Requested %d, but already used %d of %d %s", what, need[what], used[what], limit, what))
		}
	}
	for _, id := range s.ports {
		p := c.network.ports.get(id)
		if p == nil {
			return c.novaFail("BadRequest", 400, "Port id "+id+" could not be found.")
		}
		if p.str("device_id") != "" {
			return c.novaFail("Conflict", 409, "Port "+id+" is still in use.")
		}
	}
	s.id, s.status, s.created, s.updated, s.zone = c.uuid(), "BUILD", c.now, c.now, "nova"
	s.host = fmt.Sprintf("sim-compute-%d", c.random()%3)
	for _, id := range s.ports {
		p := c.network.ports.get(id)
		p["device_id"], p["device_owner"], p["status"], p["updated_at"] = s.id, "compute:nova", "ACTIVE", stamp(c.now)
	}
	c.compute.servers = append(c.compute.servers, s)
	c.compute.byID[s.id] = s
	return nil
}

func (c *Cloud) novaFail(kind string, status int, msg string) *fail {
	return failf(kind, "%s (HTTP %d) (Request-ID: req-%s)", msg, status, c.uuid())
}

// built ends BUILD, in ACTIVE or in ERROR.
func (c *Cloud) built(s *server) {
	s.updated = c.now
	if reason, hit := strike(&c.builds, s.name); hit {
		s.status, s.faultText = "ERROR", reason
		return
	}
	s.status, s.launched = "ACTIVE", c.now
	c.bootNode(s)
}

// destroy removes a server at once; foreign ports stay, free.
func (c *Cloud) destroy(s *server) {
	c.detachPorts(s)
	for _, id := range s.ownPorts {
		c.dropPort(id)
	}
	for _, v := range s.volumes {
		if o := c.volumes.get(v); o != nil {
			o["status"], o["attachments"] = "available", []any{}
		}
	}
	delete(c.compute.byID, s.id)
	c.compute.servers = slices.DeleteFunc(c.compute.servers, func(x *server) bool { return x == s })
}

func (c *Cloud) detachPorts(s *server) {
	for _, id := range s.ports {
		if p := c.network.ports.get(id); p != nil {
			p["device_id"], p["device_owner"], p["status"] = "", "", "DOWN"
		}
	}
	s.ports = nil
}
