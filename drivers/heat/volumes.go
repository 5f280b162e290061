package heat

import (
	"context"
	"slices"
	"strings"
)

// volumeTypeLabels name Cinder volume types.
func volumeTypeLabels() []string {
	return []string{"boot_volume_type", "docker_volume_type", "etcd_volume_type"}
}

// volumeType is a row of Cinder's list, which holds the public types and those
// that the project was given.
type volumeType struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// volumeType finds one by id or name; Cinder itself takes only the id.
func (c *catalogue) volumeType(ctx context.Context, name string) (volumeType, error) {
	types, err := once(c, "volume types", func() ([]volumeType, error) {
		var got struct {
			Types []volumeType `json:"volume_types"`
		}
		err := c.d.cloud.Get(ctx, "block-storage", "/types", nil, &got)
		return got.Types, err
	})
	if err != nil {
		return volumeType{}, err
	}
	i := slices.IndexFunc(types, func(t volumeType) bool { return t.ID == name || t.Name == name })
	if i < 0 {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = t.Name
		}
		slices.Sort(names)
		return volumeType{}, rejected("find volume type", "there is no volume type %q that this project can see; there is %s", name, strings.Join(names, ", "))
	}
	return types[i], nil
}

// zone is a row of Nova's and of Cinder's list of availability zones.
type zone struct {
	Name  string `json:"zoneName"`
	State struct {
		Available bool `json:"available"`
	} `json:"zoneState"`
}

func (c *catalogue) serverZone(ctx context.Context, name string) (zone, error) {
	// An operator may name a host of the zone as well: zone:host:node.
	name, _, _ = strings.Cut(name, ":")
	return c.zone(ctx, "compute", "servers", name)
}

func (c *catalogue) volumeZone(ctx context.Context, name string) (zone, error) {
	return c.zone(ctx, "block-storage", "volumes", name)
}

func (c *catalogue) zone(ctx context.Context, service, things, name string) (zone, error) {
	zones, err := once(c, "zones of "+service, func() ([]zone, error) {
		var got struct {
			Zones []zone `json:"availabilityZoneInfo"`
		}
		err := c.d.cloud.Get(ctx, service, "/os-availability-zone", nil, &got)
		return got.Zones, err
	})
	if err != nil {
		return zone{}, err
	}
	i := slices.IndexFunc(zones, func(z zone) bool { return z.Name == name })
	switch {
	case i < 0:
		names := make([]string, len(zones))
		for i, z := range zones {
			names[i] = z.Name
		}
		slices.Sort(names)
		return zone{}, rejected("find availability zone", "there is no availability zone %q for %s; there is %s", name, things, strings.Join(names, ", "))
	case !zones[i].State.Available:
		return zone{}, rejected("find availability zone", "availability zone %q takes no %s now: none of its hosts is up", name, things)
	}
	return zones[i], nil
}

// zonesOfVolumes are the availability zones that a template asks volumes in.
func zonesOfVolumes(t map[string]any, params map[string]any) []string {
	var zones []string
	for _, r := range asMap(t["resources"]) {
		res := asMap(r)
		if res["type"] != "OS::Cinder::Volume" {
			continue
		}
		if z, _ := resolve(asMap(res["properties"])["availability_zone"], params).(string); z != "" {
			zones = append(zones, z)
		}
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}
