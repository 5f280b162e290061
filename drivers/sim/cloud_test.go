package sim_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers/sim"
)

// What the simulator does for tests, and what only it can show.

// simOnly skips a test that would hurt or mean nothing on the lab.
func simOnly(t *testing.T, change ...func(*sim.Options)) *world {
	t.Helper()
	if onLab() {
		t.Skip("about the simulator itself")
	}
	return newWorld(t, change...)
}

func matches(t *testing.T, what, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("%s: got %q, want %s", what, got, pattern)
	}
}

func oneServer(name string) m {
	return template(m{"s": m{"type": "OS::Nova::Server", "properties": m{"name": name, "image": "ubuntu-latest", "flavor": "m1.tiny", "networks": []any{m{"network": "private"}}}}})
}

func TestQuotasFailTheResource(t *testing.T) {
	for _, c := range []struct {
		resource, reason string
		template         m
	}{
		{"instances", `^Resource CREATE failed: Forbidden: resources\.s: Quota exceeded for instances: Requested 1, but already used 0 of 0 instances \(HTTP 403\) \(Request-ID: req-[0-9a-f-]{36}\)$`, oneServer("x")},
		{"port", `^Resource CREATE failed: OverQuotaClient: resources\.p: Quota exceeded for resources: \['port'\]\.\nNeutron server returns request_ids: \['req-[0-9a-f-]{36}'\]$`, template(m{"p": m{"type": "OS::Neutron::Port", "properties": m{"network": "private"}}})},
		{"volumes", `^Resource CREATE failed: OverLimit: resources\.v: VolumeLimitExceeded: Maximum number of volumes allowed \(0\) exceeded for quota 'volumes'\. \(HTTP 413\) \(Request-ID: req-[0-9a-f-]{36}\)$`, template(m{"v": m{"type": "OS::Cinder::Volume", "properties": m{"size": 1}}})},
	} {
		t.Run(c.resource, func(t *testing.T) {
			w := simOnly(t)
			w.cloud.SetQuota("demo", c.resource, 0)
			s := w.create("a", c.template)
			s.ends("status", "CREATE_FAILED")
			matches(t, "reason", s.get().str("stack.stack_status_reason"), c.reason)
			w.cloud.SetQuota("demo", c.resource, -1)
			s.patch(m{})
			s.ends("status with more quota", "UPDATE_COMPLETE")
		})
	}
}

func TestServerBuildFault(t *testing.T) {
	w := simOnly(t)
	w.cloud.FailBuild("^x$", "", 1)
	s := w.create("a", oneServer("x"))
	s.ends("status", "CREATE_FAILED")
	matches(t, "reason", s.get().str("stack.stack_status_reason"), `ResourceInError: resources\.s: Went to status ERROR due to "Message: No valid host was found\. , Code: 500"`)
	old := s.resources()["s"].phys
	equal(t, "server", w.server(old).str("server.status"), "ERROR")
	s.patch(m{})
	s.ends("retry", "UPDATE_COMPLETE")
	equal(t, "the failed server", w.server(old).status, 404)
}

// A node whose user_data is too big wedges its stack: nobody but an
// administrator of Heat can delete it.
func TestTooMuchUserDataWedgesTheStack(t *testing.T) {
	w := simOnly(t)
	tpl := oneServer("x")
	props := tpl["resources"].(m)["s"].(m)["properties"].(m)
	props["user_data_format"] = "RAW"
	props["user_data"] = strings.Repeat("x", 49_149)
	ok := w.create("fits", tpl)
	ok.ends("49,149 bytes", "CREATE_COMPLETE")
	props["user_data"] = strings.Repeat("x", 49_152)
	s := w.create("toobig", tpl)
	w.pass(10 * time.Minute)
	equal(t, "49,152 bytes", s.resources()["s"].status, "CREATE_IN_PROGRESS")
	equal(t, "DELETE", w.call("DELETE", s.path(), nil).status, 204)
	w.pass(30 * time.Minute)
	if st := s.status(); st == "DELETE_COMPLETE" {
		t.Errorf("the stack could be deleted: %s", st)
	}
}

func TestBootFaults(t *testing.T) {
	w := simOnly(t)
	w.cloud.FailBoot("-a$", "kubeadm join: no route", 1)
	w.cloud.MuteBoot("-b$", 1)
	files := m{"n.yaml": node("x", "aa"), "o.yaml": node("x", "bb")}
	one := func(suffix, file string) m { return w.cluster([3]string{"n", file, suffix}) }
	a, b := w.create("a", one("a", "n.yaml"), m{"files": files}), w.create("b", one("b", "n.yaml"), m{"files": files})
	a.ends("a", "CREATE_FAILED")
	contains(t, "a's reason", a.get().str("stack.stack_status_reason"), "resources.n.resources.ready_aa: kubeadm join: no route")
	b.ends("b", "CREATE_FAILED")
	contains(t, "b's reason", b.get().str("stack.stack_status_reason"), "WaitConditionTimeout: resources.n.resources.ready_aa: 0 of 1 received")
	for _, s := range []*stack{a, b} {
		s.patch(m{"template": one(s.name[len(s.name)-1:], "o.yaml")})
		equal(t, "the next boot of "+s.name, s.settle(), "UPDATE_COMPLETE")
	}
}

func TestFaults(t *testing.T) {
	t.Run("status and body, a number of times, after some", func(t *testing.T) {
		w := simOnly(t)
		w.cloud.Fault(sim.Fault{Service: "orchestration", Method: "GET", PathRegexp: "/stacks", Skip: 1, Times: 2, Status: 503, Body: "<html>gone fishing</html>", Header: map[string]string{"Retry-After": "7"}})
		var got []int
		for range 4 {
			got = append(got, w.call("GET", "/stacks", nil).status)
		}
		equal(t, "statuses", fmt.Sprint(got), "[200 503 503 200]")
	})
	t.Run("a dropped connection, before and after the work", func(t *testing.T) {
		for _, after := range []bool{false, true} {
			w := simOnly2(t)
			w.cloud.Fault(sim.Fault{Method: "POST", PathRegexp: "/stacks$", Times: 1, Drop: true, AfterWork: after})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.urls["orchestration"]+"/stacks", strings.NewReader(`{"stack_name": "a", "template": {"heat_template_version": "2018-08-31"}}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Auth-Token", w.token)
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
				t.Error("the connection was not dropped")
			}
			equal(t, fmt.Sprintf("stacks made, after=%v", after), len(w.call("GET", "/stacks", nil).list("stacks")), map[bool]int{false: 0, true: 1}[after])
		}
	})
	t.Run("half an answer, and empty lists", func(t *testing.T) {
		w := simOnly(t)
		w.create("a", small)
		w.cloud.Fault(sim.Fault{PathRegexp: "/stacks", Times: 1, TruncateJSON: true})
		if a := w.call("GET", "/stacks", nil); a.status != 200 || a.json != nil {
			t.Errorf("got %d %q, want 200 and half a body", a.status, a.text)
		}
		w.cloud.Fault(sim.Fault{PathRegexp: "/stacks", Times: 1, EmptyList: true})
		equal(t, "empty list", len(w.call("GET", "/stacks", nil).list("stacks")), 0)
		equal(t, "afterwards", len(w.call("GET", "/stacks", nil).list("stacks")), 1)
	})
}

// simOnly2 is simOnly for a loop: it does not ask for parallel running twice.
func simOnly2(t *testing.T) *world {
	t.Helper()
	if onLab() {
		t.Skip("about the simulator itself")
	}
	clock := sim.NewManualClock(time.Time{})
	w := &world{t: t, clock: clock, cloud: sim.New(sim.Options{Clock: clock}), prefix: "x"}
	srv := httptest.NewServer(w.cloud)
	t.Cleanup(srv.Close)
	w.auth = srv.URL + "/identity/v3"
	w.login("demo", "sim", "demo")
	return w
}

func TestRequestLog(t *testing.T) {
	w := simOnly(t)
	s := w.create("a", small)
	s.settle()
	w.cloud.ResetRequests()
	w.call("GET", "/stacks?limit=1", nil)
	w.call("DELETE", s.path(), nil)
	w.call("DELETE", s.path(), nil)
	log := w.cloud.Requests()
	equal(t, "class", log.Counts["DELETE orchestration/v1/{project}/stacks/{name}/{id}"], 2)
	equal(t, "Count", log.Count("DELETE", "/stacks/"), 2)
	equal(t, "order", fmt.Sprint(log.Requests[0].Status, log.Requests[1].Status, log.Requests[2].Status), "200 204 204")
	contains(t, "query", log.Requests[0].Path, "/stacks?limit=1")
}

func TestControlSurface(t *testing.T) {
	w := simOnly(t)
	base := strings.TrimSuffix(w.auth, "/identity/v3")
	s := w.create("a", small)
	equal(t, "before", s.status(), "CREATE_IN_PROGRESS")
	equal(t, "advance", w.call("POST", base+"/sim/advance", m{"seconds": 30}).status, 200)
	equal(t, "after", s.status(), "CREATE_COMPLETE")
	w.call("POST", base+"/sim/fault", m{"service": "orchestration", "times": 1, "status": 500})
	equal(t, "fault", s.get().status, 500)
	equal(t, "a bad expression", w.call("POST", base+"/sim/fault", m{"path": "("}).status, 400)
	w.call("POST", base+"/sim/quota", m{"project": "demo", "resource": "instances", "limit": 3})
	equal(t, "quota", w.call("GET", w.urls["compute"]+"/limits", nil).at("limits.absolute.maxTotalInstances"), any(3.0))
	w.call("POST", base+"/sim/requests/reset", nil)
	s.get()
	equal(t, "requests", len(w.call("GET", base+"/sim/requests", nil).list("requests")), 1)
}

func TestTheWallClockCanRunAhead(t *testing.T) {
	if onLab() {
		t.Skip("about the simulator itself")
	}
	t.Parallel()
	srv := httptest.NewServer(sim.New(sim.Options{}))
	t.Cleanup(srv.Close)
	w := &world{t: t, auth: srv.URL + "/identity/v3", prefix: "x"}
	w.login("demo", "sim", "demo")
	s := w.create("a", small)
	equal(t, "advance", w.call("POST", srv.URL+"/sim/advance", m{"seconds": 60}).status, 200)
	equal(t, "after", s.status(), "CREATE_COMPLETE")
}

func TestTokens(t *testing.T) {
	w := simOnly(t)
	a := w.call("GET", "/stacks", nil)
	equal(t, "valid", a.status, 200)
	if !strings.HasPrefix(a.header.Get("X-Openstack-Request-Id"), "req-") {
		t.Error("no request id")
	}
	w.pass(24*time.Hour - time.Second)
	equal(t, "a second before its end", w.call("GET", "/stacks", nil).status, 200)
	w.pass(time.Second)
	for name, u := range map[string]string{"heat": "/stacks", "nova": w.urls["compute"] + "/servers", "neutron": w.urls["network"] + "/v2.0/ports", "glance": w.urls["image"] + "/v2/images", "cinder": w.urls["volumev3"] + "/volumes", "octavia": w.urls["load-balancer"] + "/v2/lbaas/pools", "barbican": w.urls["key-manager"] + "/v1/secrets"} {
		equal(t, name+" with an expired token", w.call("GET", u, nil).status, 401)
	}
	bad := w.call("POST", w.auth+"/auth/tokens", m{"auth": m{"identity": m{"methods": []string{"password"}, "password": m{"user": m{"name": "demo", "domain": m{"name": "Default"}, "password": "wrong"}}}}})
	equal(t, "wrong password", bad.status, 401)
	equal(t, "its text", bad.str("error.message"), "The request you have made requires authentication.")
}

func TestApplicationCredentials(t *testing.T) {
	for _, trusts := range []bool{true, false} {
		t.Run(fmt.Sprintf("trusts=%v", trusts), func(t *testing.T) {
			w := simOnly(t, func(o *sim.Options) { o.AppCredTrusts = trusts })
			user := w.callToken().str("token.user.id")
			at := w.auth + "/users/" + user + "/application_credentials"
			a := w.call("POST", at, m{"application_credential": m{"name": "robot", "roles": []any{m{"name": "member"}}}})
			equal(t, "create", a.status, 201)
			equal(t, "again", w.call("POST", at, m{"application_credential": m{"name": "robot"}}).status, 409)
			id, secret := a.str("application_credential.id"), a.str("application_credential.secret")
			ac := m{"auth": m{"identity": m{"methods": []string{"application_credential"}, "application_credential": m{"id": id, "secret": secret}}}}
			tok := w.call("POST", w.auth+"/auth/tokens", ac)
			equal(t, "login", tok.status, 201)
			equal(t, "roles", len(tok.list("token.roles")), 1)
			equal(t, "project", tok.str("token.project.id"), w.project)
			robot := tok.header.Get("X-Subject-Token")
			equal(t, "restricted", w.callAs(robot, "POST", at, m{"application_credential": m{"name": "other"}}).status, 403)
			want := map[bool]int{true: 201, false: 500}[trusts]
			equal(t, "stack create", w.callAs(robot, "POST", "/stacks", m{"stack_name": "a", "template": small}).status, want)
			equal(t, "delete", w.call("DELETE", at+"/"+id, nil).status, 204)
			equal(t, "its token afterwards", w.callAs(robot, "GET", "/stacks", nil).status, 401)
		})
	}
}

func (w *world) callToken() answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.auth+"/auth/tokens", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", w.token)
	req.Header.Set("X-Subject-Token", w.token)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return parse(raw)
}

func TestRoles(t *testing.T) {
	w := simOnly(t, func(o *sim.Options) { o.Roles = []string{"reader"} })
	for u, want := range map[string]int{
		"/stacks": 200, w.urls["compute"] + "/servers/detail": 200, w.urls["compute"] + "/os-keypairs": 200, w.urls["network"] + "/v2.0/quotas/" + w.project + "/details": 200,
		w.urls["volumev3"] + "/os-quota-sets/" + w.project + "?usage=True": 200, w.urls["load-balancer"] + "/v2/lbaas/loadbalancers": 403, w.urls["key-manager"] + "/v1/secrets": 403,
	} {
		equal(t, u, w.call("GET", u, nil).status, want)
	}
	_, a := w.tryCreate("a", small)
	equal(t, "a reader can create stacks, as in Zed", a.status, 201)
	equal(t, "another project", w.call("GET", strings.Replace(w.urls["orchestration"], w.project, strings.Repeat("f", 32), 1)+"/stacks", nil).status, 403)
}

func TestSameRequestsSameIDs(t *testing.T) {
	one, two := simOnly2(t), simOnly2(t)
	a, b := one.create("a", oneServer("x")), two.create("a", oneServer("x"))
	a.settle()
	b.settle()
	equal(t, "stack", a.id, b.id)
	equal(t, "server", a.resources()["s"].phys, b.resources()["s"].phys)
}

func TestNestedRollAfterSiblingFailed(t *testing.T) {
	w := simOnly(t)
	files := m{"node-aa.yaml": node("one", "aa")}
	w.cloud.MuteBoot("slow", 0)
	w.cloud.FailBoot("bad", "boot-sim", 0)
	s := w.create("c", w.cluster([3]string{"n0", "node-aa.yaml", "slow"}, [3]string{"n1", "node-aa.yaml", "bad"}), m{"files": files})
	w.until("the root has failed", time.Minute, func() bool { return s.status() == "CREATE_FAILED" })
	equal(t, "n0 goes on", s.resources()["n0/ready_aa"].status, "CREATE_IN_PROGRESS")
	equal(t, "n0", s.resources()["n0"].status, "CREATE_IN_PROGRESS")
}

func TestRollback(t *testing.T) {
	w := simOnly(t)
	s := w.create("c", small)
	s.settle()
	s.patch(m{"disable_rollback": false, "template": template(m{
		"v": value("2"), "h": m{"type": "OS::Heat::WaitConditionHandle"},
		"w": m{"type": "OS::Heat::WaitCondition", "properties": m{"handle": m{"get_resource": "h"}, "timeout": 2}},
	})})
	s.ends("end", "ROLLBACK_COMPLETE")
	equal(t, "template", w.call("GET", s.path()+"/template", nil).at("resources.v.properties.value"), any("1"))
	if _, left := s.resources()["w"]; left {
		t.Error("the failed condition is still there")
	}
}

func TestStackTimeout(t *testing.T) {
	w := simOnly(t)
	s := w.create("c", template(m{
		"h": m{"type": "OS::Heat::WaitConditionHandle"},
		"w": m{"type": "OS::Heat::WaitCondition", "properties": m{"handle": m{"get_resource": "h"}, "timeout": 3600}},
	}), m{"timeout_mins": 2})
	w.pass(2*time.Minute + time.Second)
	equal(t, "status", s.status(), "CREATE_FAILED")
	equal(t, "reason", s.get().str("stack.stack_status_reason"), "Timed out")
}

func TestInPlaceAndReplacement(t *testing.T) {
	w := simOnly(t)
	server := func(extra m) m {
		tpl := oneServer("x")
		tpl["resources"].(m)["port"] = m{"type": "OS::Neutron::Port", "properties": m{"network": "private"}}
		props := tpl["resources"].(m)["s"].(m)["properties"].(m)
		props["networks"] = []any{m{"port": m{"get_resource": "port"}}}
		maps.Copy(props, extra)
		return tpl
	}
	for _, c := range []struct {
		name    string
		change  m
		replace bool
		field   string
		want    any
	}{
		{"name", m{"name": "y"}, false, "server.name", "y"},
		{"metadata", m{"metadata": m{"a": "b"}}, false, "server.metadata.a", "b"},
		{"image", m{"image": "debian-latest"}, false, "server.status", "ACTIVE"},
		{"image with REPLACE", m{"image": "debian-latest", "image_update_policy": "REPLACE"}, true, "server.status", "ACTIVE"},
		{"flavor", m{"flavor": "m1.large"}, false, "server.status", "ACTIVE"},
		{"flavor with REPLACE", m{"flavor": "m1.large", "flavor_update_policy": "REPLACE"}, true, "server.status", "ACTIVE"},
		{"user_data", m{"user_data": "#!/bin/true"}, true, "server.status", "ACTIVE"},
		{"user_data with IGNORE", m{"user_data": "#!/bin/true", "user_data_update_policy": "IGNORE"}, false, "server.status", "ACTIVE"},
		{"key_name", m{"key_name": "testkey"}, true, "server.key_name", "testkey"},
	} {
		s := w.create(strings.ReplaceAll(c.name, " ", "-"), server(nil))
		s.settle()
		before := s.resources()
		s.patch(m{"template": server(c.change)})
		equal(t, c.name, s.settle(), "UPDATE_COMPLETE")
		after := s.resources()
		equal(t, c.name+": replaced", after["s"].phys != before["s"].phys, c.replace)
		equal(t, c.name+": port", after["port"].phys, before["port"].phys)
		equal(t, c.name+": port's server", w.port(after["port"].phys).str("port.device_id"), after["s"].phys)
		equal(t, c.name+": "+c.field, w.server(after["s"].phys).at(c.field), c.want)
	}
}

func TestAllTypesComeAndGo(t *testing.T) {
	w := simOnly(t)
	get := func(name string) m { return m{"get_resource": name} }
	s := w.create("all", template(m{
		"net":    m{"type": "OS::Neutron::Net"},
		"sub":    m{"type": "OS::Neutron::Subnet", "properties": m{"network": get("net"), "cidr": "10.9.0.0/24"}},
		"router": m{"type": "OS::Neutron::Router", "properties": m{"external_gateway_info": m{"network": "public"}}},
		"rif":    m{"type": "OS::Neutron::RouterInterface", "properties": m{"router": get("router"), "subnet": get("sub")}},
		"sg":     m{"type": "OS::Neutron::SecurityGroup", "properties": m{"rules": []any{m{"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, m{"remote_mode": "remote_group_id"}}}},
		"port":   m{"type": "OS::Neutron::Port", "properties": m{"network": get("net"), "security_groups": []any{get("sg")}, "fixed_ips": []any{m{"subnet": get("sub"), "ip_address": "10.9.0.77"}}}},
		"fip":    m{"type": "OS::Neutron::FloatingIP", "properties": m{"floating_network": "public", "port_id": get("port")}},
		"group":  m{"type": "OS::Nova::ServerGroup", "properties": m{"policies": []any{"soft-anti-affinity"}}},
		"key":    m{"type": "OS::Nova::KeyPair", "properties": m{"name": "k", "public_key": "ssh-ed25519 AAAA"}},
		"server": m{"type": "OS::Nova::Server", "properties": m{"image": "ubuntu-latest", "flavor": "m1.tiny", "key_name": get("key"), "networks": []any{m{"port": get("port")}}, "scheduler_hints": m{"group": get("group")}}},
		"vol":    m{"type": "OS::Cinder::Volume", "properties": m{"size": 3, "volume_type": "lab"}},
		"att":    m{"type": "OS::Cinder::VolumeAttachment", "properties": m{"instance_uuid": get("server"), "volume_id": get("vol")}},
		"lb":     m{"type": "OS::Octavia::LoadBalancer", "properties": m{"vip_subnet": get("sub")}},
		"lis":    m{"type": "OS::Octavia::Listener", "properties": m{"loadbalancer": get("lb"), "protocol": "TCP", "protocol_port": 6443}},
		"pool":   m{"type": "OS::Octavia::Pool", "properties": m{"listener": get("lis"), "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}},
		"mem":    m{"type": "OS::Octavia::PoolMember", "properties": m{"pool": get("pool"), "address": "10.9.0.77", "protocol_port": 6443, "subnet": get("sub")}},
		"mon":    m{"type": "OS::Octavia::HealthMonitor", "properties": m{"pool": get("pool"), "type": "TCP", "delay": 5, "timeout": 5, "max_retries": 3}},
		"rand":   m{"type": "OS::Heat::RandomString", "properties": m{"length": 7}},
		"none":   m{"type": "OS::Heat::None"},
	}))
	s.ends("create", "CREATE_COMPLETE")
	res := s.resources()
	srv := w.server(res["server"].phys)
	equal(t, "volume of the server", srv.str("server.os-extended-volumes:volumes_attached.0.id"), res["vol"].phys)
	contains(t, "addresses", srv.text, `"10.9.0.77"`)
	contains(t, "addresses", srv.text, `"floating"`)
	equal(t, "volume", w.call("GET", w.urls["volumev3"]+"/volumes/"+res["vol"].phys, nil).str("volume.status"), "in-use")
	equal(t, "members", len(w.call("GET", w.urls["load-balancer"]+"/v2/lbaas/pools/"+res["pool"].phys+"/members", nil).list("members")), 1)
	equal(t, "random string", len(w.call("GET", s.path()+"/resources/rand", nil).str("resource.attributes.value")), 7)
	w.call("DELETE", s.path(), nil)
	w.until("all is gone", 5*time.Minute, func() bool { return s.status() == "DELETE_COMPLETE" })
	for _, u := range []string{w.urls["compute"] + "/servers", w.urls["volumev3"] + "/volumes", w.urls["network"] + "/v2.0/floatingips", w.urls["load-balancer"] + "/v2/lbaas/loadbalancers"} {
		matches(t, u, w.call("GET", u, nil).text, `: ?\[\]`)
	}
	equal(t, "ports left", len(w.call("GET", w.urls["network"]+"/v2.0/ports", nil).list("ports")), 1)
}

func TestSeededStacks(t *testing.T) {
	w := simOnly(t)
	id := w.cloud.SeedStack("demo", "old", []string{"jb.owner=x"}, m{"p": "1"}, m{"heat_template_version": version, "parameters": m{"p": m{"type": "string"}}, "resources": m{"v": value("1")}}, map[string]string{"f": "text"})
	s := &stack{w, "old", id}
	equal(t, "status", s.status(), "CREATE_COMPLETE")
	equal(t, "parameter", s.get().str("stack.parameters.p"), "1")
	equal(t, "file", w.call("GET", s.path()+"/files", nil).str("f"), "text")
	equal(t, "resources", len(s.resources()), 0)
	s.patch(m{})
	s.ends("update", "UPDATE_COMPLETE")
	equal(t, "resources after an update", s.resources()["v"].status, "CREATE_COMPLETE")
}

func TestPagesOfOtherServices(t *testing.T) {
	w := simOnly(t)
	for i := range 3 {
		w.create(fmt.Sprint("s", i), oneServer(fmt.Sprint("srv", i))).settle()
	}
	var names []string
	for next := w.urls["compute"] + "/servers/detail?limit=2"; next != ""; {
		a := w.call("GET", next, nil)
		for _, s := range a.list("servers") {
			names = append(names, answer{json: s}.str("name"))
		}
		next = a.str("servers_links.0.href")
	}
	equal(t, "servers, newest first", fmt.Sprint(names), "[srv2 srv1 srv0]")
	equal(t, "an unknown marker", w.call("GET", w.urls["compute"]+"/servers?marker=zz", nil).status, 400)
	equal(t, "name filter", len(w.call("GET", w.urls["compute"]+"/servers?name=srv1", nil).list("servers")), 1)
	a := w.call("GET", w.urls["image"]+"/v2/images?os_distro=ubuntu", nil)
	equal(t, "images", len(a.list("images")), 2)
	a = w.call("GET", w.urls["network"]+"/v2.0/networks?router:external=true&fields=name", nil)
	equal(t, "external networks", a.text, `{"networks":[{"name":"public"}]}`)
	a = w.call("GET", w.urls["network"]+"/v2.0/ports?device_id=nope", nil)
	equal(t, "ports", len(a.list("ports")), 0)
}

func fleet(n int) *sim.Cloud {
	c := sim.New(sim.Options{})
	tpl := m{"heat_template_version": version, "resources": m{"v": value("1")}}
	for i := range n {
		c.SeedStack("demo", fmt.Sprintf("cluster-%05d", i), []string{"jb.owner=a", fmt.Sprintf("jb.cluster=%d", i), "jb.hash=0123456789abcdef"}, m{}, tpl, nil)
	}
	return c
}

func BenchmarkSeed10000(b *testing.B) {
	for b.Loop() {
		fleet(10_000)
	}
}

func BenchmarkListPageOf1000(b *testing.B) {
	c := fleet(10_000)
	r := httptest.NewRequest(http.MethodPost, "/identity/v3/auth/tokens", strings.NewReader(`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo", "domain": {"name": "Default"}, "password": "sim"}}}}}`))
	rec := httptest.NewRecorder()
	c.ServeHTTP(rec, r)
	token, project := rec.Header().Get("X-Subject-Token"), ""
	if i := strings.Index(rec.Body.String(), "/orchestration/v1/"); i > 0 {
		project = rec.Body.String()[i+18 : i+50]
	}
	for _, query := range []string{"", "&tags=jb.owner%3DA"} {
		b.Run("tags="+fmt.Sprint(query != ""), func(b *testing.B) {
			for b.Loop() {
				req := httptest.NewRequest(http.MethodGet, "/orchestration/v1/"+project+"/stacks?limit=1000"+query, nil)
				req.Header.Set("X-Auth-Token", token)
				rec := httptest.NewRecorder()
				c.ServeHTTP(rec, req)
				if rec.Code != 200 || rec.Body.Len() < 100_000 {
					b.Fatal(rec.Code, rec.Body.Len())
				}
			}
		})
	}
}

func TestAClusterOf100NodesIsQuick(t *testing.T) {
	w := simOnly(t)
	var nodes [][3]string
	for i := range 100 {
		nodes = append(nodes, [3]string{fmt.Sprintf("n%03d", i), "node-aa.yaml", fmt.Sprint("n", i)})
	}
	s := w.create("c", w.cluster(nodes...), m{"files": m{"node-aa.yaml": node("one", "aa")}})
	s.ends("create", "CREATE_COMPLETE")
	equal(t, "servers", len(w.call("GET", w.urls["compute"]+"/servers", nil).list("servers")), 100)
	w.call("DELETE", s.path(), nil)
	w.until("it is gone", 5*time.Minute, func() bool { return s.status() == "DELETE_COMPLETE" })
	equal(t, "servers left", len(w.call("GET", w.urls["compute"]+"/servers", nil).list("servers")), 0)
}

func TestUnknownPathsAre404(t *testing.T) {
	w := simOnly(t)
	for _, u := range []string{"/nonsense", w.urls["compute"] + "/nonsense", w.urls["network"] + "/v2.0/nonsense", w.urls["image"] + "/nonsense", w.urls["volumev3"] + "/nonsense", w.auth + "/nonsense"} {
		if a := w.call("GET", u, nil); a.status != 404 {
			t.Errorf("%s: %d, want 404", u, a.status)
		}
	}
}
