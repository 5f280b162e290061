package openstack

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/drivers"
)

// catalogService is one service of Keystone's catalog.
type catalogService struct {
	Type      string `json:"type"`
	Endpoints []struct {
		Interface string `json:"interface"`
		Region    string `json:"region"`
		RegionID  string `json:"region_id"`
		URL       string `json:"url"`
	} `json:"endpoints"`
}

// service is a service that drivers may ask for: what catalogs call it, best
// first (the Service Types Authority's name and its aliases), and which
// versioned folder to add where the catalog's URL has none.
type service struct {
	types  []string
	folder string // %s is the project
}

func services() map[string]service {
	return map[string]service{
		"orchestration":   {[]string{"orchestration"}, "/v1/%s"},
		"compute":         {[]string{"compute"}, "/v2.1"},
		"network":         {[]string{"network", "networking"}, "/v2.0"},
		"image":           {[]string{"image"}, "/v2"},
		"block-storage":   {[]string{"block-storage", "volumev3", "block-store", "volume"}, "/v3/%s"},
		"load-balancer":   {[]string{"load-balancer"}, "/v2.0"},
		"key-manager":     {[]string{"key-manager"}, "/v1"},
		"container-infra": {[]string{"container-infra", "container-infrastructure-management", "container-infrastructure"}, "/v1"},
		"identity":        {[]string{"identity"}, "/v3"},
	}
}

// noServiceError says that the catalog lacks a service.
type noServiceError struct{ service, region, iface string }

func (e *noServiceError) Error() string {
	s := "the cloud has no " + e.service + " service"
	if e.region != "" {
		s += " in region " + e.region
	}
	if e.iface != "public" {
		s += " with interface " + e.iface
	}
	return s
}

// NoService tells whether an error means that the cloud lacks the service that
// was asked for.
func NoService(err error) bool {
	var e *noServiceError
	return errors.As(err, &e)
}

// Has tells whether the cloud has a service, by the name that Get takes.
func (c *Cloud) Has(service string) bool {
	_, err := c.endpoint(service)
	return err == nil
}

// Endpoint is the address that paths of a service are relative to, for those
// who must call it without us: no trailing slash. A service that the cloud
// lacks is an error for NoService.
func (c *Cloud) Endpoint(service string) (string, error) { return c.endpoint(service) }

// endpoint is a service's base URL with its version, no trailing slash.
func (c *Cloud) endpoint(name string) (string, error) {
	s, ok := services()[name]
	if !ok {
		return "", &drivers.Error{Kind: drivers.Unknown, Op: "find service", Err: fmt.Errorf("%q is no service that we know", name)}
	}
	if name == "identity" {
		return c.entry.authURL, nil // a catalog may have an address that only the cloud itself reaches
	}
	c.mu.Lock()
	t := c.token
	c.mu.Unlock()
	for _, typ := range s.types {
		if o := c.entry.overrides[typ]; o != "" {
			return versioned(o, s.folder, t.Project.ID), nil
		}
		if u := t.url(typ, c.entry.iface); u != "" {
			return versioned(u, s.folder, t.Project.ID), nil
		}
	}
	return "", &drivers.Error{
		Kind: drivers.Rejected, Op: "find service",
		Err: &noServiceError{name, t.region, c.entry.iface},
	}
}

// versioned adds the folder to a URL without a version.
func versioned(u, folder, project string) string {
	u = strings.TrimRight(u, "/")
	parsed, err := url.Parse(u)
	if err == nil && slices.ContainsFunc(strings.Split(parsed.Path, "/"), version.MatchString) {
		return u
	}
	return u + strings.ReplaceAll(folder, "%s", project)
}

// url is the endpoint of a service type, or "".
func (t token) url(typ, iface string) string {
	for _, s := range t.Catalog {
		if s.Type != typ {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Interface == iface && (t.region == "" || e.Region == t.region || e.RegionID == t.region) {
				return e.URL
			}
		}
	}
	return ""
}

func (t token) types() []string {
	var types []string
	for _, s := range t.Catalog {
		types = append(types, s.Type)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// regions are those that have an endpoint of the interface, sorted.
func (t token) regions(iface string) []string {
	var regions []string
	for _, s := range t.Catalog {
		for _, e := range s.Endpoints {
			if e.Interface == iface && e.RegionID != "" {
				regions = append(regions, e.RegionID)
			} else if e.Interface == iface && e.Region != "" {
				regions = append(regions, e.Region)
			}
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}
