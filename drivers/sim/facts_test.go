package sim_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The facts that the Heat driver relies on, as a real Heat was seen to be. By
// default they are asked of the simulator; with JEROBOAM_LAB=1 and OS_* set,
// of the lab: `. deploy/lab/env.sh demo && JEROBOAM_LAB=1 go test -run Facts
// -timeout 40m ./drivers/sim`.

type m = map[string]any

const version = "2018-08-31"

func value(v any) m { return m{"type": "OS::Heat::Value", "properties": m{"value": v}} }

func template(resources m) m { return m{"heat_template_version": version, "resources": resources} }

var small = template(m{"v": value("1")})

// node is a node file: a port, a server, and a wait condition of its own
// revision. Whoever plays the nodes boots it well.
func node(text, rev string) string {
	return nodeFile(rev, "#!/bin/sh\n# "+text+"\nCURL --data-binary '{}'\n")
}

// quietNode is the same, but says nothing that a player of nodes understands:
// the test reports for it.
func quietNode(text, rev string) string { return nodeFile(rev, "#!/bin/sh\n# "+text+"\n") }

func nodeFile(rev, userData string) string {
	boot, ready := "boot_"+rev, "ready_"+rev
	t := m{
		"heat_template_version": version,
		"parameters":            m{"name": m{"type": "string"}, "secret": m{"type": "string", "hidden": true, "default": "s"}},
		"resources": m{
			"port": m{"type": "OS::Neutron::Port", "properties": m{"network": "private"}},
			boot:   m{"type": "OS::Heat::WaitConditionHandle"},
			ready:  m{"type": "OS::Heat::WaitCondition", "depends_on": "server", "properties": m{"handle": m{"get_resource": boot}, "timeout": 60}},
			"server": m{"type": "OS::Nova::Server", "properties": m{
				"name": m{"get_param": "name"}, "image": "ubuntu-latest", "flavor": "m1.tiny", "networks": []any{m{"port": m{"get_resource": "port"}}},
				"user_data_format": "RAW",
				"user_data":        m{"str_replace": m{"template": userData, "params": m{"CURL": m{"get_attr": []any{boot, "curl_cli"}}}}},
			}},
		},
		"outputs": m{"ip": m{"value": m{"get_attr": []any{"port", "fixed_ips", 0, "ip_address"}}}},
	}
	raw, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// cluster is a root with one nested stack per node: name, file, suffix of the
// server's name.
func (w *world) cluster(nodes ...[3]string) m {
	res := m{}
	for _, n := range nodes {
		res[n[0]] = m{"type": n[1], "properties": m{"name": w.name(n[2]), "secret": m{"get_param": "secret"}}}
	}
	return m{"heat_template_version": version, "parameters": m{"secret": m{"type": "string", "hidden": true, "default": "d"}}, "resources": res}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func contains(t *testing.T, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want it to contain %q", what, got, want)
	}
}

func refused(t *testing.T, a answer, status int, kind, text string) {
	t.Helper()
	if a.status != status || a.str("error.type") != kind || !strings.Contains(a.str("error.message"), text) {
		t.Errorf("got %d %s, want %d %s %q", a.status, a.text, status, kind, text)
	}
}

func ids(a answer) []string {
	var out []string
	for _, s := range a.list("stacks") {
		out = append(out, answer{json: s}.str("id"))
	}
	return out
}

func TestFactsTags(t *testing.T) {
	t.Run("80 characters are stored and 81 refused", func(t *testing.T) {
		w := newWorld(t)
		s := w.create("a", small, m{"tags": strings.Repeat("x", 80)})
		equal(t, "tag", s.get().str("stack.tags.0"), strings.Repeat("x", 80))
		_, a := w.tryCreate("b", small, m{"tags": strings.Repeat("x", 81)})
		refused(t, a, 400, "HTTPBadRequest", "is longer than 80 characters")
		s.settle()
		a = w.call("PATCH", s.path(), m{"existing": true, "tags": strings.Repeat("x", 81)})
		refused(t, a, 400, "HTTPBadRequest", "is longer than 80 characters")
	})
	t.Run("comma separates, other characters and empty tags are kept", func(t *testing.T) {
		w := newWorld(t)
		s := w.create("a", small, m{"tags": "a=b:c/d;e|f,,é x,a=b:c/d;e|f"})
		want := []string{"a=b:c/d;e|f", "", "é x", "a=b:c/d;e|f"}
		if got := s.get().tags(); !slices.Equal(got, want) {
			t.Errorf("tags %q, want %q", got, want)
		}
	})
	t.Run("a list instead of text is refused", func(t *testing.T) {
		_, a := newWorld(t).tryCreate("a", small, m{"tags": []string{"a"}})
		refused(t, a, 400, "AttributeError", "")
	})
	t.Run("the filter ignores case and trailing blanks and ANDs", func(t *testing.T) {
		w := newWorld(t)
		mine := w.name("Owner=X")
		s := w.create("a", small, m{"tags": mine + " ,two"})
		w.create("b", small, m{"tags": mine + "2,two"})
		for _, f := range []string{mine, strings.ToUpper(mine), mine + "  ", mine + ",TWO"} {
			if got := ids(w.call("GET", "/stacks?tags="+url.QueryEscape(f), nil)); !slices.Equal(got, []string{s.id}) {
				t.Errorf("tags=%q found %v, want only %s", f, got, s.id)
			}
		}
		if got := ids(w.call("GET", "/stacks?tags="+url.QueryEscape(mine+",three"), nil)); len(got) != 0 {
			t.Errorf("AND of a missing tag found %v", got)
		}
		if got := ids(w.call("GET", "/stacks?tags_any="+url.QueryEscape(mine+",three"), nil)); !slices.Equal(got, []string{s.id}) {
			t.Errorf("tags_any found %v", got)
		}
	})
	t.Run("PATCH keeps tags, PATCH with tags replaces them at acceptance, PUT drops them", func(t *testing.T) {
		w := newWorld(t)
		s := w.create("a", small, m{"tags": "one,two"})
		s.settle()
		s.patch(m{})
		equal(t, "after PATCH", fmt.Sprint(s.get().tags()), "[one two]")
		s.settle()
		s.patch(m{"tags": "three"})
		equal(t, "at acceptance", fmt.Sprint(s.get().tags()), "[three]")
		s.settle()
		if a := w.call("PUT", s.path(), m{"template": small}); a.status != 202 {
			t.Fatalf("PUT: %d %s", a.status, a.text)
		}
		equal(t, "after PUT", len(s.get().list("stack.tags")), 0)
	})
	t.Run("tags of a failed update stay", func(t *testing.T) {
		w := newWorld(t)
		s := w.create("a", small, m{"tags": "old"})
		s.settle()
		s.patch(m{"tags": "asked", "template": template(m{
			"h": m{"type": "OS::Heat::WaitConditionHandle"},
			"w": m{"type": "OS::Heat::WaitCondition", "properties": m{"handle": m{"get_resource": "h"}, "timeout": 2}},
		})})
		s.ends("status", "UPDATE_FAILED")
		equal(t, "tags", fmt.Sprint(s.get().tags()), "[asked]")
	})
}

func TestFactsTimes(t *testing.T) {
	w := newWorld(t)
	s := w.create("a", small)
	s.settle()
	a := s.get()
	equal(t, "updated_time after create", a.at("stack.updated_time"), nil)
	created := a.str("stack.creation_time")
	if _, err := time.Parse("2006-01-02T15:04:05Z", created); err != nil {
		t.Errorf("creation_time %q has not a resolution of one second: %v", created, err)
	}
	w.pass(2 * time.Second)
	s.patch(m{})
	first := s.get().str("stack.updated_time")
	if first <= created {
		t.Errorf("updated_time %q not set at the start of a no-op update", first)
	}
	s.settle()
	equal(t, "updated_time at the end", s.get().str("stack.updated_time"), first)
	equal(t, "creation_time", s.get().str("stack.creation_time"), created)
	w.call("POST", s.path()+"/actions", m{"check": nil})
	w.until("the check is over", time.Minute, func() bool { return s.status() == "CHECK_COMPLETE" })
	equal(t, "updated_time after a check", s.get().str("stack.updated_time"), first)
}

func TestFactsPages(t *testing.T) {
	w := newWorld(t)
	tag := w.name("page")
	var want []string
	var made []*stack
	for i := range 5 {
		s := w.create(fmt.Sprint("p", i), small, m{"tags": tag})
		made = append(made, s)
		want = append([]string{s.id}, want...) // newest first
		w.pass(1100 * time.Millisecond)        // the order within a second is not promised
	}
	next := "/stacks?limit=2&tags=" + tag
	var got []string
	pages := 0
	for {
		a := w.call("GET", next, nil)
		page := ids(a)
		if len(page) == 0 {
			if len(a.list("links")) != 0 {
				t.Error("an empty page has a next link")
			}
			break
		}
		got = append(got, page...)
		href := a.str("links.0.href")
		equal(t, "a full page has a next link", href != "", len(page) == 2)
		if pages++; pages == 1 { // the marker itself goes, and a newer one comes
			made[3].settle()
			w.call("DELETE", made[3].path(), nil)
			w.until("marker is deleted", time.Minute, func() bool { return made[3].status() == "DELETE_COMPLETE" })
			w.create("late", small, m{"tags": tag})
		}
		next = "/stacks?limit=2&tags=" + tag + "&marker=" + page[len(page)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages gave %v, want %v", got, want)
	}
}

func TestFactsNames(t *testing.T) {
	w := newWorld(t)
	s := w.create("a", small, m{"tags": "x"})
	_, a := w.tryCreate("a", small)
	refused(t, a, 409, "StackExists", "already exists")
	s.settle()
	a = w.call("GET", "/stacks/"+s.name, nil)
	equal(t, "GET by name", a.status, 302)
	equal(t, "redirect", a.header.Get("Location"), w.urls["orchestration"]+s.path())
	row := answer{json: w.call("GET", "/stacks?name="+s.name, nil).at("stacks.0")}
	equal(t, "row's status", row.str("stack_status"), "CREATE_COMPLETE")
	equal(t, "row's reason", row.str("stack_status_reason"), "Stack CREATE completed successfully")
	equal(t, "row's tag", row.str("tags.0"), "x")
	equal(t, "row's parameters", row.at("parameters"), nil)

	equal(t, "DELETE", w.call("DELETE", s.path(), nil).status, 204)
	_, a = w.tryCreate("a", small)
	refused(t, a, 409, "StackExists", "already exists")
	equal(t, "repeated DELETE", w.call("DELETE", s.path(), nil).status, 204)
	if a = w.call("PATCH", s.path(), m{"existing": true}); a.status != 500 { // of a Heat that is late: the stack's trust has gone before the stack
		refused(t, a, 400, "NotSupported", "Updating a stack when it is deleting")
	}
	w.until("the name is free", time.Minute, func() bool { return w.call("GET", "/stacks/"+s.name, nil).status == 404 })
	a = s.get()
	equal(t, "GET by id of a deleted stack", a.status, 200)
	equal(t, "its status", a.str("stack.stack_status"), "DELETE_COMPLETE")
	refused(t, w.call("DELETE", s.path(), nil), 404, "EntityNotFound", "could not be found")
	again := w.create("a", small)
	if again.id == s.id {
		t.Error("the new stack has the old id")
	}
}

func TestFactsRefusals(t *testing.T) {
	for _, c := range []struct {
		name, kind, text string
		status           int
		template         any
		extra            m
	}{
		{"a parameter and a resource of one name", "StackValidationFailed", "Duplicate names {'a'}", 400, m{"heat_template_version": version, "parameters": m{"a": m{"type": "string", "default": ""}}, "resources": m{"a": value(1)}}, nil},
		{"a missing parameter", "UserParameterMissing", "The Parameter (p) was not provided.", 400, m{"heat_template_version": version, "parameters": m{"p": m{"type": "string"}}}, nil},
		{"an unknown parameter", "UnknownUserParameter", "The Parameter (q) was not defined in template.", 400, template(m{}), m{"parameters": m{"q": 1}}},
		{"an unknown type", "StackValidationFailed", "The Resource Type (OS::Foo::Bar) could not be found.", 400, template(m{"a": m{"type": "OS::Foo::Bar"}}), nil},
		{"an unknown property", "StackValidationFailed", "resources.a.properties: : Unknown Property zz", 400, template(m{"a": m{"type": "OS::Heat::Value", "properties": m{"value": 1, "zz": 2}}}), nil},
		{"a reference to no resource", "InvalidTemplateReference", `The specified reference "zz" (in a.Properties.value) is incorrect.`, 400, template(m{"a": value(m{"get_resource": "zz"})}), nil},
		{"a dependency on no resource", "InvalidTemplateReference", `The specified reference "zz" (in a) is incorrect.`, 400, template(m{"a": m{"type": "OS::Heat::Value", "properties": m{"value": 1}, "depends_on": "zz"}}), nil},
		{"an unknown attribute", "StackValidationFailed", "The Referenced Attribute (a nope) is incorrect.", 400, template(m{"a": value(1), "b": value(m{"get_attr": []any{"a", "nope"}})}), nil},
		{"an undefined get_param", "StackValidationFailed", "The Parameter (zz) was not provided.", 400, template(m{"a": value(m{"get_param": "zz"})}), nil},
		{"a circle", "RemoteError", "", 500, template(m{"a": value(m{"get_resource": "b"}), "b": value(m{"get_resource": "a"})}), nil},
		{"a value out of range", "StackValidationFailed", "resources.a.properties.length: : 0 is out of range (min: 1, max: 512)", 400, template(m{"a": m{"type": "OS::Heat::RandomString", "properties": m{"length": 0}}}), nil},
		{"an unknown image", "StackValidationFailed", "Error validating value 'nope': No images matching {'name': 'nope'}.", 400, template(m{"a": m{"type": "OS::Nova::Server", "properties": m{"image": "nope", "flavor": "m1.tiny"}}}), nil},
		{"an unknown flavor", "StackValidationFailed", "Error validating value 'nope': No Flavor matching {'name': 'nope'}. (HTTP 404)", 400, template(m{"a": m{"type": "OS::Nova::Server", "properties": m{"image": "ubuntu-latest", "flavor": "nope"}}}), nil},
		{"an unknown key", "StackValidationFailed", "The Key (nope) could not be found.", 400, template(m{"a": m{"type": "OS::Nova::Server", "properties": m{"image": "ubuntu-latest", "flavor": "m1.tiny", "key_name": "nope"}}}), nil},
		{"an unknown network", "StackValidationFailed", "Unable to find network with name or id 'nope'", 400, template(m{"a": m{"type": "OS::Neutron::Port", "properties": m{"network": "nope"}}}), nil},
		{"a version that is none", "InvalidTemplateVersion", "2099-01-01", 400, m{"heat_template_version": "2099-01-01"}, nil},
		{"a value against a constraint", "StackValidationFailed", "Parameter 'p' is invalid: length (3) is out of range (min: None, max: 2)", 400, m{"heat_template_version": version, "parameters": m{"p": m{"type": "string", "constraints": []any{m{"length": m{"max": 2}}}}}}, m{"parameters": m{"p": "abc"}}},
		{"a value that is not allowed", "StackValidationFailed", `"c" is not an allowed value ["a", "b"]`, 400, m{"heat_template_version": version, "parameters": m{"p": m{"type": "string", "constraints": []any{m{"allowed_values": []any{"a", "b"}}}}}}, m{"parameters": m{"p": "c"}}},
		{"a number that is none", "StackValidationFailed", "could not convert string to float: 'x'", 400, m{"heat_template_version": version, "parameters": m{"p": m{"type": "number"}}}, m{"parameters": m{"p": "x"}}},
		{"an unknown property inside a file", "StackValidationFailed", "resources.a<n.yaml>.resources.x.properties: : Unknown Property zz", 400, template(m{"a": m{"type": "n.yaml"}}), m{"files": m{"n.yaml": `{"heat_template_version": "2018-08-31", "resources": {"x": {"type": "OS::Heat::Value", "properties": {"value": 1, "zz": 2}}}}`}}},
		{"a parameter that a file does not have", "StackValidationFailed", "resources.a.properties: : Unknown Property zz", 400, template(m{"a": m{"type": "n.yaml", "properties": m{"zz": 1}}}), m{"files": m{"n.yaml": `{"heat_template_version": "2018-08-31"}`}}},
		{"a parameter that a file needs", "StackValidationFailed", "resources.a.properties: : Property p not assigned", 400, template(m{"a": m{"type": "n.yaml"}}), m{"files": m{"n.yaml": `{"heat_template_version": "2018-08-31", "parameters": {"p": {"type": "string"}}}`}}},
		{"an unknown section", "StackValidationFailed", "The template section is invalid: zz", 400, m{"heat_template_version": version, "zz": 1}, nil},
		{"a file that was not sent", "StackValidationFailed", `Could not fetch remote template "n.yaml": Invalid URL scheme`, 400, template(m{"a": m{"type": "n.yaml"}}), nil},
		{"a bad name", "StackValidationFailed", "must contain only alphanumeric", 400, small, m{"stack_name": "1a b"}},
		{"no template", "HTTPBadRequest", "No template specified", 400, nil, nil},
		{"a negative timeout", "HTTPBadRequest", "Value '-1' is invalid for 'timeout_mins'", 400, small, m{"timeout_mins": -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, a := newWorld(t).tryCreate("a", c.template, c.extra)
			refused(t, a, c.status, c.kind, c.text)
		})
	}
}

func TestFactsValidateKnowsParameters(t *testing.T) {
	w := newWorld(t)
	refused(t, w.call("POST", "/validate", m{"template": small, "parameters": m{"q": "1"}}), 400, "UnknownUserParameter", "The Parameter (q) was not defined in template.")
}

// ofNode tells whether an event is the word of a node and not the work of
// Heat. Heat writes it down after what the node said took effect: it may come
// later than the end of the create that waited for it.
func ofNode(e happening) bool { return e.status == "SIGNAL_COMPLETE" }

func TestFactsNodes(t *testing.T) {
	w := newWorld(t)
	files := m{"node-aa.yaml": node("one", "aa")}
	s := w.create("c", w.cluster([3]string{"n0", "node-aa.yaml", "n0"}, [3]string{"n1", "node-aa.yaml", "n1"}),
		m{"files": files, "parameters": m{"secret": "S"}, "tags": "t"})
	s.ends("create", "CREATE_COMPLETE")
	before := s.resources()
	oldPort := w.port(before["n0/port"].phys)
	equal(t, "port's server", oldPort.str("port.device_id"), before["n0/server"].phys)

	t.Log("hidden parameters are masked")
	equal(t, "parameters", s.get().str("stack.parameters.secret"), "******")
	equal(t, "environment", w.call("GET", s.path()+"/environment", nil).str("parameters.secret"), "******")

	t.Log("a no-op PATCH visits the nested stacks and no leaf")
	mark := s.mark()
	s.patch(m{})
	s.ends("no-op", "UPDATE_COMPLETE")
	evs, _ := s.events(mark)
	seen := map[string]bool{}
	for _, e := range evs {
		seen[e.name] = true
		if slices.Contains([]string{"server", "port", "boot_aa", "ready_aa"}, e.name) && !ofNode(e) {
			t.Errorf("leaf event %+v", e)
		}
	}
	if !seen["n0"] || !seen["n1"] {
		t.Errorf("nested stacks got no events: %v", evs)
	}

	t.Log("a content-addressed file replaces its node's server only; port and address stay")
	mark = s.mark()
	s.patch(m{"template": w.cluster([3]string{"n0", "node-bb.yaml", "n0"}, [3]string{"n1", "node-aa.yaml", "n1"}), "files": m{"node-bb.yaml": node("two", "bb")}})
	s.ends("update", "UPDATE_COMPLETE")
	after := s.resources()
	equal(t, "nested stack's id", after["n0"].phys, before["n0"].phys)
	equal(t, "type", after["n0"].kind, "node-bb.yaml")
	equal(t, "port", after["n0/port"].phys, before["n0/port"].phys)
	newPort := w.port(after["n0/port"].phys)
	equal(t, "address", newPort.str("port.fixed_ips.0.ip_address"), oldPort.str("port.fixed_ips.0.ip_address"))
	if after["n0/server"].phys == before["n0/server"].phys {
		t.Error("the server was not replaced")
	}
	equal(t, "old server", w.server(before["n0/server"].phys).status, 404)
	equal(t, "the other server", after["n1/server"].phys, before["n1/server"].phys)
	equal(t, "the new condition", after["n0/ready_bb"].status, "CREATE_COMPLETE")
	if _, still := after["n0/ready_aa"]; still {
		t.Error("the old condition is still there")
	}
	equal(t, "tags", fmt.Sprint(s.get().tags()), "[t]")
	evs, _ = s.events(mark)
	order := []string{}
	for _, e := range evs {
		if strings.Contains(e.stack, "-n1-") && e.name != e.stack && !ofNode(e) {
			t.Errorf("leaf event of the other node: %+v", e)
		}
		if strings.Contains(e.stack, "-n0-") && e.name == "server" {
			order = append(order, e.status)
		}
	}
	equal(t, "order of the replacement", fmt.Sprint(order), "[UPDATE_IN_PROGRESS UPDATE_COMPLETE CREATE_IN_PROGRESS CREATE_COMPLETE DELETE_IN_PROGRESS DELETE_COMPLETE]")

	t.Log("files pile up in PATCH, parameters survive it")
	got := w.call("GET", s.path()+"/files", nil)
	for _, f := range []string{"node-aa.yaml", "node-bb.yaml"} {
		if got.json.(map[string]any)[f] == nil {
			t.Errorf("file %s is gone", f)
		}
	}
	equal(t, "parameters", s.get().str("stack.parameters.secret"), "******")

	t.Log("GET template gives what was sent")
	raw, _ := json.Marshal(w.cluster([3]string{"n0", "node-bb.yaml", "n0"}, [3]string{"n1", "node-aa.yaml", "n1"}))
	sent, _ := json.Marshal(w.call("GET", s.path()+"/template", nil).json)
	equal(t, "template", string(sent), string(raw))

	t.Log("a server deleted by hand is invisible until a check; the next PATCH brings it back on its port")
	gone := after["n0/server"].phys
	equal(t, "DELETE server", w.call("DELETE", w.urls["compute"]+"/servers/"+gone, nil).status, 204)
	w.until("the server is gone", time.Minute, func() bool { return w.server(gone).status == 404 })
	s.patch(m{})
	s.ends("no-op PATCH", "UPDATE_COMPLETE")
	equal(t, "server in Heat", s.resources()["n0/server"].phys, gone)
	a := w.call("POST", s.path()+"/actions", m{"check": nil})
	equal(t, "check", a.status, 200)
	s.ends("check's end", "CHECK_FAILED")
	contains(t, "reason", s.get().str("stack.stack_status_reason"), "NotFound: resources.n0.resources.server: Instance "+gone+" could not be found. (HTTP 404)")
	s.patch(m{})
	s.ends("PATCH after check", "UPDATE_COMPLETE")
	back := s.resources()
	if back["n0/server"].phys == gone {
		t.Error("the server was not made again")
	}
	equal(t, "port", w.port(before["n0/port"].phys).str("port.device_id"), back["n0/server"].phys)

	t.Log("leaving a key out removes that node only")
	s.patch(m{"template": w.cluster([3]string{"n0", "node-bb.yaml", "n0"})})
	s.ends("update", "UPDATE_COMPLETE")
	left := s.resources()
	if _, still := left["n1"]; still {
		t.Error("n1 is still there")
	}
	equal(t, "its server", w.server(before["n1/server"].phys).status, 404)
	equal(t, "n0's server", left["n0/server"].phys, back["n0/server"].phys)
}

func TestFactsFailedBoot(t *testing.T) {
	w := newWorld(t)
	aa := m{"node-aa.yaml": node("one", "aa"), "node-qa.yaml": quietNode("one", "aa")}
	s := w.create("c", w.cluster([3]string{"n0", "node-aa.yaml", "n0"}, [3]string{"n1", "node-qa.yaml", "n1"}), m{"files": aa, "tags": "t1"})
	s.report("n1", "aa", "FAILURE", "boot-sim")
	s.ends("create", "CREATE_FAILED")
	want := "Resource CREATE failed: WaitConditionFailure: resources.n1.resources.ready_aa: boot-sim"
	equal(t, "reason", s.get().str("stack.stack_status_reason"), want)
	equal(t, "reason in the list", w.call("GET", "/stacks?name="+s.name, nil).str("stacks.0.stack_status_reason"), want)
	res := s.resources()
	equal(t, "resource's reason", res["n1/ready_aa"].reason, "WaitConditionFailure: resources.ready_aa: boot-sim")
	equal(t, "sibling", res["n0"].status, "CREATE_COMPLETE")

	t.Log("the same handle fails again at once")
	s.patch(m{})
	s.ends("retry", "UPDATE_FAILED")
	equal(t, "reason", s.get().str("stack.stack_status_reason"), "Resource UPDATE failed: resources.n1: Resource CREATE failed: WaitConditionFailure: resources.ready_aa: boot-sim")
	equal(t, "tags", fmt.Sprint(s.get().tags()), "[t1]")

	t.Log("a fresh handle recovers; what was finished stays")
	s.patch(m{"template": w.cluster([3]string{"n0", "node-aa.yaml", "n0"}, [3]string{"n1", "node-bb.yaml", "n1"}), "files": m{"node-bb.yaml": node("one", "bb")}})
	s.ends("recover", "UPDATE_COMPLETE")
	fixed := s.resources()
	equal(t, "n0's server", fixed["n0/server"].phys, res["n0/server"].phys)
	equal(t, "n1's port", fixed["n1/port"].phys, res["n1/port"].phys)

	t.Log("a failed update has already lost the old server")
	s.patch(m{"tags": "t3", "template": w.cluster([3]string{"n0", "node-aa.yaml", "n0"}, [3]string{"n1", "node-cc.yaml", "n1"}), "files": m{"node-cc.yaml": quietNode("three", "cc")}})
	s.report("n1", "cc", "FAILURE", "boot-sim")
	s.ends("update", "UPDATE_FAILED")
	equal(t, "reason", s.get().str("stack.stack_status_reason"), "Resource UPDATE failed: resources.n1: Resource CREATE failed: WaitConditionFailure: resources.ready_cc: boot-sim")
	w.until("old server is gone", time.Minute, func() bool { return w.server(fixed["n1/server"].phys).status == 404 })
	equal(t, "tags", fmt.Sprint(s.get().tags()), "[t3]")
	broken := s.resources()
	equal(t, "its port", broken["n1/port"].phys, res["n1/port"].phys)

	t.Log("a new revision recovers and removes what was left")
	s.patch(m{"template": w.cluster([3]string{"n0", "node-aa.yaml", "n0"}, [3]string{"n1", "node-dd.yaml", "n1"}), "files": m{"node-dd.yaml": node("three", "dd")}})
	s.ends("recover", "UPDATE_COMPLETE")
	equal(t, "orphan", w.server(broken["n1/server"].phys).status, 404)
	for key := range s.resources() {
		if strings.Contains(key, "_cc") || strings.Contains(key, "_bb") {
			t.Errorf("left over: %s", key)
		}
	}
}

func TestFactsOverlappingUpdates(t *testing.T) {
	w := newWorld(t)
	files := m{"node-aa.yaml": node("one", "aa"), "node-qa.yaml": quietNode("one", "aa"), "node-bb.yaml": node("one", "bb")}
	s := w.create("c", w.cluster([3]string{"n0", "node-aa.yaml", "n0"}, [3]string{"n1", "node-qa.yaml", "n1"}), m{"files": files, "tags": "t1"})
	w.until("n1 waits for its node", time.Minute, func() bool { return s.resources()["n1/ready_aa"].status == "CREATE_IN_PROGRESS" })
	equal(t, "status", s.status(), "CREATE_IN_PROGRESS")
	old := s.resources()["n1/server"].phys
	mark := s.mark()

	change := m{"template": w.cluster([3]string{"n0", "node-aa.yaml", "n0"}, [3]string{"n1", "node-bb.yaml", "n1"}), "tags": "t2"}
	s.patch(change)
	equal(t, "at once", s.status(), "UPDATE_IN_PROGRESS")
	equal(t, "tags", fmt.Sprint(s.get().tags()), "[t2]")
	// The old wait still blocks the new update until its timeout. A real Heat may
	// also end what the new one has just begun, as part of the old one: then it takes
	// one more. Nothing here updates a stack that moves, for this reason too.
	if s.settle() == "UPDATE_FAILED" && strings.HasSuffix(s.get().str("stack.stack_status_reason"), "n0: Stack UPDATE cancelled") {
		t.Log("the old update's end took the new one along")
		s.patch(change)
	}
	s.ends("end", "UPDATE_COMPLETE")
	after := s.resources()
	if after["n1/server"].phys == old {
		t.Error("the merged update did not replace the server")
	}
	evs, _ := s.events(mark)
	found := false
	for _, e := range evs {
		found = found || e.name == "n1" && e.status == "CREATE_FAILED" && e.reason == "resources.n1: Stack CREATE cancelled"
	}
	if !found {
		t.Errorf("the running nested create was not cancelled: %v", evs)
	}
}

func TestFactsCancel(t *testing.T) {
	w := newWorld(t)
	s := w.create("c", small)
	s.settle()
	refused(t, w.call("POST", s.path()+"/actions", m{"cancel_without_rollback": nil}), 400, "NotSupported", "Cancelling update when stack is CREATE_COMPLETE is not supported.")
	refused(t, w.call("POST", s.path()+"/actions", m{}), 400, "HTTPBadRequest", "No action specified")
	refused(t, w.call("POST", s.path()+"/actions", m{"zz": nil}), 400, "HTTPBadRequest", "Invalid action zz specified")
	s.patch(m{"template": template(m{
		"v": value("1"),
		"h": m{"type": "OS::Heat::WaitConditionHandle"},
		"w": m{"type": "OS::Heat::WaitCondition", "properties": m{"handle": m{"get_resource": "h"}, "timeout": 20}},
	})})
	w.until("it waits", time.Minute, func() bool { return s.resources()["w"].status == "CREATE_IN_PROGRESS" })
	equal(t, "cancel", w.call("POST", s.path()+"/actions", m{"cancel_without_rollback": nil}).status, 200)
	w.until("it is cancelled", time.Minute, func() bool { return s.status() == "UPDATE_FAILED" })
	equal(t, "reason", s.get().str("stack.stack_status_reason"), "Stack UPDATE cancelled")
}
