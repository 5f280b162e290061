package sim_test

import (
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers/sim"
)

func TestFactsParameters(t *testing.T) {
	w := newWorld(t)
	tpl := func(extra string) m {
		return m{
			"heat_template_version": version,
			"parameters":            m{"a": m{"type": "string", "default": "x"}, "s": m{"type": "string", "hidden": true}},
			"resources":             m{"v": value(m{"list_join": []any{"-", []any{m{"get_param": "a"}, m{"get_param": "s"}, extra}}})},
			"outputs":               m{"o": m{"value": m{"get_attr": []any{"v", "value"}}}},
		}
	}
	s := w.create("c", tpl("1"), m{"parameters": m{"s": "S"}})
	s.settle()
	out := func() string { return w.call("GET", s.path()+"/outputs/o", nil).str("output.output_value") }
	equal(t, "created", out(), "x-S-1")
	s.patch(m{"parameters": m{"a": "y"}})
	s.settle()
	equal(t, "PATCH of one parameter", out(), "y-S-1")
	s.patch(m{"template": tpl("2"), "parameters": m{"unknown": 1}})
	s.settle()
	equal(t, "PATCH of the template", out(), "y-S-2")
	refused(t, w.call("PUT", s.path(), m{"template": tpl("3")}), 400, "UserParameterMissing", "The Parameter (s) was not provided.")
	refused(t, w.call("PUT", s.path(), m{"template": tpl("3"), "parameters": m{"s": "T", "unknown": 1}}), 400, "UnknownUserParameter", "unknown")
}

// The lab lifts these limits, so only the simulator is asked.
func TestLimits(t *testing.T) {
	if onLab() {
		t.Skip("the lab lifts Heat's limits")
	}
	few := func(o *sim.Options) { o.MaxStacks, o.MaxResourcesPerStack, o.MaxDepth = 2, 4, 1 }
	t.Run("template size", func(t *testing.T) {
		_, a := newWorld(t).tryCreate("a", template(m{"v": value(strings.Repeat("x", 600_000))}))
		refused(t, a, 400, "RequestLimitExceeded", "exceeds maximum allowed size (524288 bytes).")
	})
	t.Run("file size", func(t *testing.T) {
		_, a := newWorld(t).tryCreate("a", small, m{"files": m{"n.yaml": strings.Repeat("x", 600_000)}})
		refused(t, a, 400, "RequestLimitExceeded", "exceeds maximum allowed size (524288 bytes).")
	})
	t.Run("body size", func(t *testing.T) {
		_, a := newWorld(t).tryCreate("a", small, m{"files": m{"a.txt": strings.Repeat("x", 1_100_000)}})
		refused(t, a, 400, "RequestLimitExceeded", "JSON body size (")
	})
	t.Run("stacks per project", func(t *testing.T) {
		w := newWorld(t, few)
		w.create("a", small)
		w.create("b", small)
		_, a := w.tryCreate("c", small)
		refused(t, a, 400, "RequestLimitExceeded", "You have reached the maximum stacks per tenant, 2. Please delete some stacks.")
	})
	t.Run("resources per root stack", func(t *testing.T) {
		_, a := newWorld(t, few).tryCreate("a", template(m{"a": value(1), "b": value(1), "c": value(1), "d": m{"type": "n.yaml"}}), m{"files": m{"n.yaml": `{"heat_template_version": "2018-08-31", "resources": {"x": {"type": "OS::Heat::None"}}}`}})
		refused(t, a, 400, "RequestLimitExceeded", "Maximum resources per stack exceeded.")
	})
	t.Run("depth", func(t *testing.T) {
		_, a := newWorld(t, few).tryCreate("a", template(m{"a": m{"type": "n.yaml"}}), m{"files": m{
			"n.yaml": `{"heat_template_version": "2018-08-31", "resources": {"x": {"type": "o.yaml"}}}`, "o.yaml": `{"heat_template_version": "2018-08-31"}`,
		}})
		refused(t, a, 400, "RequestLimitExceeded", "Recursion depth exceeds 1.")
	})
}

// Octavia is one API under two names, of which clients know the longer one.
func TestFactsLoadBalancerVersions(t *testing.T) {
	w := newWorld(t)
	if w.urls["load-balancer"] == "" {
		t.Skip("there is no Octavia")
	}
	for _, v := range []string{"/v2", "/v2.0"} {
		equal(t, "status of "+v, w.call("GET", w.urls["load-balancer"]+v+"/lbaas/loadbalancers?limit=1", nil).status, 200)
	}
}

// What is left of quotas, and what the catalogues hold, may be read by those who
// may read at all; but Octavia and Barbican want roles of their own.
func TestFactsWhoReadsQuotas(t *testing.T) {
	w := newWorld(t)
	password := "sim"
	if onLab() {
		password = "lab"
	}
	reader := *w
	reader.login("viewer", password, "demo")
	network, balancer := w.urls["network"]+"/v2.0", w.urls["load-balancer"]+"/v2.0/lbaas"
	for _, c := range []struct {
		url    string
		reader int // status; a member's is 200
		at     string
		fields string // of what is there; those that the other cloud has besides do not matter
	}{
		{w.urls["compute"] + "/limits", 200, "limits.absolute", "maxTotalInstances totalInstancesUsed maxTotalCores totalCoresUsed maxTotalRAMSize totalRAMUsed maxServerGroups totalServerGroupsUsed"},
		{w.urls["compute"] + "/flavors/detail", 200, "flavors.0", "id name ram disk vcpus OS-FLV-DISABLED:disabled"},
		{w.urls["compute"] + "/os-availability-zone", 200, "availabilityZoneInfo.0", "zoneName zoneState"},
		{w.urls["volumev3"] + "/os-quota-sets/" + w.project + "?usage=True", 200, "quota_set", "volumes gigabytes volumes_lab gigabytes_lab volumes___DEFAULT__"},
		{w.urls["volumev3"] + "/os-quota-sets/" + w.project + "?usage=True", 200, "quota_set.gigabytes_lab", "limit in_use reserved"},
		{w.urls["volumev3"] + "/types", 200, "volume_types.0", "id name"},
		{w.urls["volumev3"] + "/types/default", 200, "volume_type", "id name"},
		{w.urls["volumev3"] + "/os-availability-zone", 200, "availabilityZoneInfo.0", "zoneName zoneState"},
		{w.urls["image"] + "/v2/images?name=ubuntu-latest", 200, "images.0", "id status os_distro min_disk min_ram size virtual_size"},
		{network + "/quotas/" + w.project + "/details", 200, "quota", "network subnet port router floatingip security_group security_group_rule"},
		{network + "/quotas/" + w.project, 200, "quota", "network subnet port router floatingip security_group security_group_rule"},
		{balancer + "/providers", 403, "providers.0", "name description"},
		{balancer + "/quotas/" + w.project, 403, "quota", "load_balancer listener pool member health_monitor l7policy"},
		{balancer + "/loadbalancers?fields=id&limit=1000", 403, "", "loadbalancers"},
		{w.urls["key-manager"] + "/v1/quotas", 403, "quotas", "secrets orders containers"},
		{w.urls["key-manager"] + "/v1/secrets?limit=1", 403, "", "total"},
	} {
		a := w.call("GET", c.url, nil)
		equal(t, "member: "+c.url, a.status, 200)
		v, _ := a.json.(map[string]any)
		if c.at != "" {
			v, _ = a.at(c.at).(map[string]any)
		}
		for f := range strings.FieldsSeq(c.fields) {
			if _, there := v[f]; !there {
				t.Errorf("%s: no %s in %v", c.url, f, v)
			}
		}
		equal(t, "reader: "+c.url, reader.call("GET", c.url, nil).status, c.reader)
	}
	equal(t, "default volume type", w.call("GET", w.urls["volumev3"]+"/types/default", nil).str("volume_type.name"), "lab")
	equal(t, "a volume type by name", w.call("GET", w.urls["volumev3"]+"/types/lab", nil).status, 404)
	equal(t, "keypair of a member, for a reader", reader.call("GET", w.urls["compute"]+"/os-keypairs/testkey", nil).status, 404)
}

// Only operators see how many addresses are free: others get an empty list, and
// 404 for a network that they do see.
func TestFactsFreeAddresses(t *testing.T) {
	w := newWorld(t)
	network := w.urls["network"] + "/v2.0"
	id := w.call("GET", network+"/networks?name=private", nil).str("networks.0.id")
	list := w.call("GET", network+"/network-ip-availabilities", nil)
	equal(t, "list", list.status, 200)
	equal(t, "rows", len(list.list("network_ip_availabilities")), 0)
	refused := w.call("GET", network+"/network-ip-availabilities/"+id, nil)
	equal(t, "status", refused.status, 404)
	operator, password := *w, "sim"
	if onLab() {
		password = "lab"
	}
	operator.login("admin", password, "admin")
	a := operator.call("GET", network+"/network-ip-availabilities/"+id, nil)
	equal(t, "of the subnet", a.at("network_ip_availability.subnet_ip_availability.0.total_ips"), any(65533.0))
	if used, _ := a.at("network_ip_availability.subnet_ip_availability.0.used_ips").(float64); used < 1 {
		t.Errorf("used addresses: %v", a.text)
	}
}

// Security groups come with two rules of their own, and a router's interface is
// a port of the project. Others make things in the project of the lab, so there
// the driver's TestLabPreflight counts, in a project of its own.
func TestWhatQuotasCount(t *testing.T) {
	w := simOnly(t)
	used := func(name string) float64 {
		n, _ := w.call("GET", w.urls["network"]+"/v2.0/quotas/"+w.project+"/details", nil).at("quota." + name + ".used").(float64)
		return n
	}
	rules, ports, routers := used("security_group_rule"), used("port"), used("router")
	s := w.create("c", template(m{
		"g": m{"type": "OS::Neutron::SecurityGroup", "properties": m{"rules": []any{m{"protocol": "tcp"}}}},
		"n": m{"type": "OS::Neutron::Net"},
		"s": m{"type": "OS::Neutron::Subnet", "properties": m{"network": m{"get_resource": "n"}, "cidr": "10.98.0.0/24"}},
		"r": m{"type": "OS::Neutron::Router", "properties": m{"external_gateway_info": m{"network": "public"}}},
		"i": m{"type": "OS::Neutron::RouterInterface", "properties": m{"router": m{"get_resource": "r"}, "subnet": m{"get_resource": "s"}}},
	}))
	s.ends("create", "CREATE_COMPLETE")
	equal(t, "rules", used("security_group_rule")-rules, 3)
	equal(t, "ports: the interface, and not the gateway", used("port")-ports, 1)
	equal(t, "routers", used("router")-routers, 1)
}
