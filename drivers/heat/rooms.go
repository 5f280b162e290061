package heat

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

const (
	kindQuota     = "quota"
	freeAddresses = "addresses" // stands for a service in a quantity
)

// room is how much there is of a quantity; none is what a project is not
// limited in. The objection says that it cannot be seen.
func (c *catalogue) room(ctx context.Context, q quantity) (room, *diff.Objection, error) {
	if q.service == freeAddresses {
		r, err := once(c, "addresses "+q.name, func() (room, error) { return c.addresses(ctx, q.name) })
		return r, nil, err
	}
	rooms, no, err := c.rooms(ctx, q.service)
	r, ok := rooms[q.name]
	switch {
	case err != nil || no != nil:
		return r, no, err
	case !ok:
		return room{limit: -1}, nil, nil
	case r.limit < 0 || r.used >= 0:
		return r, nil, nil
	}
	used, no, err := ask(ctx, c, kindQuota, q.service+" "+q.name, func(ctx context.Context, _ string) (int, error) { return c.inUse(ctx, q) })
	return room{r.limit, used}, no, err
}

// rooms are the quotas of a service.
func (c *catalogue) rooms(ctx context.Context, service string) (map[string]room, *diff.Objection, error) {
	project := c.d.cloud.Token().ProjectID
	read := map[string]func(context.Context, string) (map[string]room, error){
		"compute": c.novaRooms, "block-storage": c.cinderRooms, "network": c.neutronRooms,
		"load-balancer": c.octaviaRooms, "key-manager": c.barbicanRooms,
	}[service]
	return ask(ctx, c, kindQuota, service, func(ctx context.Context, _ string) (map[string]room, error) { return read(ctx, project) })
}

func (c *catalogue) novaRooms(ctx context.Context, _ string) (map[string]room, error) {
	var got struct {
		Limits struct {
			Absolute map[string]int `json:"absolute"`
		} `json:"limits"`
	}
	err := c.d.cloud.Get(ctx, "compute", "/limits", nil, &got)
	rooms := map[string]room{}
	for name, of := range map[string][2]string{
		"instances":     {"maxTotalInstances", "totalInstancesUsed"},
		"cores":         {"maxTotalCores", "totalCoresUsed"},
		"ram":           {"maxTotalRAMSize", "totalRAMUsed"},
		"server_groups": {"maxServerGroups", "totalServerGroupsUsed"},
	} {
		limit, told := got.Limits.Absolute[of[0]]
		used, counted := got.Limits.Absolute[of[1]]
		if told && counted { // what is not told is no limit of 0
			rooms[name] = room{limit, used}
		}
	}
	return rooms, err
}

// cinderRooms reads the quota set, which has the volume types that /limits lacks.
func (c *catalogue) cinderRooms(ctx context.Context, project string) (map[string]room, error) {
	var got struct {
		Set map[string]any `json:"quota_set"`
	}
	err := c.d.cloud.Get(ctx, "block-storage", "/os-quota-sets/"+project, url.Values{"usage": {"True"}}, &got)
	rooms := map[string]room{}
	for name, v := range got.Set {
		if m := asMap(v); m != nil {
			rooms[name] = roomOf(m, "in_use")
		}
	}
	return rooms, err
}

// neutronRooms: what is used is told by an extension that most clouds have;
// without it only the limits are known.
func (c *catalogue) neutronRooms(ctx context.Context, project string) (map[string]room, error) {
	var got struct {
		Quota map[string]any `json:"quota"`
	}
	err := c.d.cloud.Get(ctx, "network", "/quotas/"+project+"/details", nil, &got)
	if gone(err) {
		return c.limits(ctx, "network", "/quotas/"+project, "quota")
	}
	rooms := map[string]room{}
	for name, v := range got.Quota {
		rooms[name] = roomOf(asMap(v), "used")
	}
	return rooms, err
}

// roomOf is a limit with what is used and what is about to be.
func roomOf(m map[string]any, used string) room {
	limit, _ := number(m["limit"])
	have, _ := number(m[used])
	reserved, _ := number(m["reserved"])
	return room{limit, have + reserved}
}

func (c *catalogue) octaviaRooms(ctx context.Context, project string) (map[string]room, error) {
	return c.limits(ctx, "load-balancer", "/lbaas/quotas/"+project, "quota")
}

func (c *catalogue) barbicanRooms(ctx context.Context, _ string) (map[string]room, error) {
	return c.limits(ctx, "key-manager", "/quotas", "quotas")
}

// limits reads quotas that do not say what is used.
func (c *catalogue) limits(ctx context.Context, service, path, key string) (map[string]room, error) {
	var got map[string]map[string]any
	err := c.d.cloud.Get(ctx, service, path, nil, &got)
	rooms := map[string]room{}
	for name, v := range got[key] {
		if limit, ok := number(v); ok {
			rooms[name] = room{limit, -1}
		}
	}
	return rooms, err
}

// inUse counts what a service's quota does not say, if there is a limit.
func (c *catalogue) inUse(ctx context.Context, q quantity) (int, error) {
	switch q.service {
	case "load-balancer":
		return c.balancing(ctx, q.name)
	case "key-manager":
		var got struct {
			Total int `json:"total"`
		}
		err := c.d.cloud.Get(ctx, q.service, "/"+q.name, url.Values{"limit": {"1"}}, &got)
		return got.Total, err
	}
	return c.neutronUsed(ctx, q.name)
}

// balancing counts one sort of Octavia's things. Members are told by their pools.
func (c *catalogue) balancing(ctx context.Context, name string) (int, error) {
	path, ok := map[string]string{
		"load_balancer": "loadbalancers", "listener": "listeners", "pool": "pools", "member": "pools",
		"health_monitor": "healthmonitors", "l7policy": "l7policies",
	}[name]
	if !ok {
		return 0, &drivers.Error{Kind: drivers.Unknown, Op: "count " + name, Err: fmt.Errorf("it is not known how")}
	}
	n := 0
	err := c.pages(ctx, "load-balancer", "/lbaas/"+path, path, url.Values{"fields": {"id", "members"}}, func(r listed) {
		if name == "member" {
			n += len(r.Members)
		} else {
			n++
		}
	})
	return n, err
}

func (c *catalogue) neutronUsed(ctx context.Context, name string) (int, error) {
	path := map[string]string{"security_group": "security-groups", "security_group_rule": "security-group-rules"}[name]
	if path == "" {
		path = name + "s"
	}
	n := 0
	query := url.Values{"fields": {"id"}, "project_id": {c.d.cloud.Token().ProjectID}}
	err := c.pages(ctx, "network", "/"+path, name+"s", query, func(listed) { n++ })
	return n, err
}

// listed is a row of which only the number matters.
type listed struct {
	ID      string `json:"id"`
	Members []any  `json:"members"`
}

// pages reads a list of Neutron's or Octavia's to its end: a page that is empty,
// or on which nothing is new.
func (c *catalogue) pages(ctx context.Context, service, path, key string, query url.Values, take func(listed)) error {
	query.Set("limit", pageSize)
	seen := map[string]bool{}
	for {
		var page map[string]any
		if err := c.d.cloud.Get(ctx, service, path, query, &page); err != nil {
			return err
		}
		fresh := 0
		rows, _ := page[key].([]any)
		for _, v := range rows {
			r := asMap(v)
			id, _ := r["id"].(string)
			if members, _ := r["members"].([]any); !seen[id] {
				seen[id] = true
				fresh++
				take(listed{id, members})
			}
			query.Set("marker", id)
		}
		if fresh == 0 {
			return nil
		}
	}
}

// addresses are those of a network's or one subnet's IPv4. Mostly only operators
// may know; the others are told 404, and then nothing is said.
func (c *catalogue) addresses(ctx context.Context, name string) (room, error) {
	network, subnet, _ := strings.Cut(name, "\n")
	var got struct {
		Availability struct {
			Subnets []struct {
				ID      string  `json:"subnet_id"`
				Version int     `json:"ip_version"`
				Used    float64 `json:"used_ips"`
				Total   float64 `json:"total_ips"`
			} `json:"subnet_ip_availability"`
		} `json:"network_ip_availability"`
	}
	err := c.d.cloud.Get(ctx, "network", "/network-ip-availabilities/"+url.PathEscape(network), nil, &got)
	if f := openstack.AsFault(err); gone(err) || f != nil && f.Status == http.StatusForbidden {
		return room{limit: -1}, nil
	}
	sum := room{}
	for _, s := range got.Availability.Subnets {
		if s.Version == 4 && (subnet == "" || s.ID == subnet) {
			sum.limit += int(s.Total)
			sum.used += int(s.Used)
		}
	}
	return sum, err
}
