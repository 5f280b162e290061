package sim_test

import (
	"sort"
	"strings"
	"testing"
)

// TestFactsShapes holds the fields of the answers that drivers decode, on the
// lab and on the simulator alike.
func TestFactsShapes(t *testing.T) {
	w := newWorld(t)
	s := w.create("c", template(m{"n": m{"type": "n.yaml"}}), m{"tags": "t", "files": m{"n.yaml": `{"heat_template_version": "2018-08-31", "resources": {
		"port": {"type": "OS::Neutron::Port", "properties": {"network": "private"}},
		"vol": {"type": "OS::Cinder::Volume", "properties": {"size": 1}},
		"server": {"type": "OS::Nova::Server", "properties": {"image": "ubuntu-latest", "flavor": "m1.tiny", "networks": [{"port": {"get_resource": "port"}}]}}}}`}})
	s.ends("create", "CREATE_COMPLETE")
	res := s.resources()
	compute, network, volume := w.urls["compute"], w.urls["network"]+"/v2.0", w.urls["volumev3"]
	for _, c := range []struct{ name, url, at, want string }{
		{"stack", s.path(), "stack", "capabilities creation_time deletion_time description disable_rollback id links notification_topics outputs parameters parent stack_name stack_owner stack_status stack_status_reason stack_user_project_id tags template_description timeout_mins updated_time"},
		{"row of the list", "/stacks?limit=1", "stacks.0", "creation_time deletion_time description id links parent stack_name stack_owner stack_status stack_status_reason stack_user_project_id tags updated_time"},
		{"resource", s.path() + "/resources/n", "resource", "attributes creation_time description links logical_resource_id physical_resource_id required_by resource_name resource_status resource_status_reason resource_type updated_time"},
		{"row of nested resources", s.path() + "/resources?nested_depth=1&name=server", "resources.0", "creation_time links logical_resource_id parent_resource physical_resource_id required_by resource_name resource_status resource_status_reason resource_type updated_time"},
		{"event", s.path() + "/events?limit=1", "events.0", "event_time id links logical_resource_id physical_resource_id resource_name resource_status resource_status_reason"},
		{"environment", s.path() + "/environment", "", "encrypted_param_names event_sinks parameter_defaults parameters resource_registry"},
		{"server", compute + "/servers/" + res["n/server"].phys, "server", "OS-DCF:diskConfig OS-EXT-AZ:availability_zone OS-EXT-STS:power_state OS-EXT-STS:task_state OS-EXT-STS:vm_state OS-SRV-USG:launched_at OS-SRV-USG:terminated_at accessIPv4 accessIPv6 addresses config_drive created flavor hostId id image key_name links metadata name os-extended-volumes:volumes_attached progress security_groups status tenant_id updated user_id"},
		{"flavor", compute + "/flavors/detail?limit=1", "flavors.0", "OS-FLV-DISABLED:disabled OS-FLV-EXT-DATA:ephemeral disk id links name os-flavor-access:is_public ram rxtx_factor swap vcpus"},
		{"keypair", compute + "/os-keypairs/testkey", "keypair", "created_at deleted deleted_at fingerprint id name public_key updated_at user_id"},
		{"port", network + "/ports/" + res["n/port"].phys, "port", "admin_state_up allowed_address_pairs binding:vnic_type created_at description device_id device_owner extra_dhcp_opts fixed_ips id mac_address name network_id port_security_enabled project_id revision_number security_groups status tags tenant_id updated_at"},
		{"network", network + "/networks?name=private", "networks.0", "admin_state_up availability_zone_hints availability_zones created_at description id ipv4_address_scope ipv6_address_scope mtu name port_security_enabled project_id revision_number router:external shared status subnets tags tenant_id updated_at"},
		{"subnet", network + "/subnets?name=private-subnet", "subnets.0", "allocation_pools cidr created_at description dns_nameservers enable_dhcp gateway_ip host_routes id ip_version ipv6_address_mode ipv6_ra_mode name network_id project_id revision_number service_types subnetpool_id tags tenant_id updated_at"},
		{"router", network + "/routers?name=router1", "routers.0", "admin_state_up availability_zone_hints availability_zones created_at description external_gateway_info flavor_id id name project_id revision_number routes status tags tenant_id updated_at"},
		{"quota of Neutron", network + "/quotas/" + w.project + "/details", "quota.port", "limit reserved used"},
		{"volume", volume + "/volumes/" + res["n/vol"].phys, "volume", "attachments availability_zone bootable consistencygroup_id created_at description encrypted id links metadata multiattach name os-vol-tenant-attr:tenant_id replication_status size snapshot_id source_volid status updated_at user_id volume_type"},
		{"quota of Cinder", volume + "/os-quota-sets/" + w.project + "?usage=True", "quota_set.volumes", "in_use limit reserved"},
		{"error of Heat", "/stacks/nope", "", "code error explanation title"},
		{"error of Neutron", network + "/ports/nope", "NeutronError", "detail message type"},
		{"error of Nova", compute + "/servers/nope", "itemNotFound", "code message"},
	} {
		a := w.call("GET", c.url, nil)
		v := a.json
		if c.at != "" {
			v = a.at(c.at)
		}
		fields, _ := v.(map[string]any)
		keys := make([]string, 0, len(fields))
		for k := range fields {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}
