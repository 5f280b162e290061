package sim_test

import (
	"strings"
	"testing"
	"time"
)

// Wait conditions and what is said to their handles.

func TestFactsSignals(t *testing.T) {
	w := newWorld(t)
	s := w.create("c", template(m{
		"h": m{"type": "OS::Heat::WaitConditionHandle"},
		"g": m{"type": "OS::Heat::WaitConditionHandle"},
		"w": m{"type": "OS::Heat::WaitCondition", "properties": m{"handle": m{"get_resource": "h"}, "timeout": 120, "count": 3}},
	}))
	w.until("it waits", time.Minute, func() bool {
		res := s.resources()
		return res["w"].status == "CREATE_IN_PROGRESS" && res["g"].status == "CREATE_COMPLETE"
	})
	h := w.call("GET", s.path()+"/resources/h", nil)
	g := w.call("GET", s.path()+"/resources/g", nil)
	endpoint, token := h.str("resource.attributes.endpoint"), h.str("resource.attributes.token")
	contains(t, "curl_cli", h.str("resource.attributes.curl_cli"), "-H 'X-Auth-Token: "+token+"'")
	contains(t, "curl_cli", h.str("resource.attributes.curl_cli"), endpoint)
	equal(t, "no token", w.callAs("nonsense", "POST", endpoint, m{"status": "SUCCESS"}).status, 401)
	equal(t, "the user's token", w.call("POST", endpoint, m{"status": "SUCCESS"}).status, 403)
	equal(t, "the token of another handle of the stack", w.callAs(g.str("resource.attributes.token"), "POST", endpoint, m{"status": "SUCCESS", "id": "g"}).status, 200)
	// A signal is accepted before it is stored, and the number of one without an id is that of those stored.
	stored := func(id string) {
		t.Helper()
		w.until("signal "+id+" is stored", time.Minute, func() bool {
			return w.call("GET", s.path()+"/resources/h/metadata", nil).str("metadata."+id+".status") == "SUCCESS"
		})
	}
	stored("g")
	other := w.create("d", template(m{"h": m{"type": "OS::Heat::WaitConditionHandle"}}))
	other.settle()
	foreign := w.call("GET", other.path()+"/resources/h", nil).str("resource.attributes.token")
	equal(t, "the token of another stack", w.callAs(foreign, "POST", endpoint, m{"status": "SUCCESS"}).status, 403)
	equal(t, "the token for reading", w.callAs(token, "GET", s.path(), nil).status, 403)
	equal(t, "an invalid status", w.callAs(token, "POST", endpoint, m{"status": "zz"}).status, 200)
	equal(t, "a signal", w.callAs(token, "POST", endpoint, m{"status": "SUCCESS"}).status, 200)
	stored("2")
	equal(t, "a named signal", w.callAs(token, "POST", endpoint, m{"status": "SUCCESS", "id": "x", "data": "D"}).status, 200)
	s.ends("end", "CREATE_COMPLETE")
	md := w.call("GET", s.path()+"/resources/h/metadata", nil)
	equal(t, "default reason", md.str("metadata.2.reason"), "Signal 2 received")
	equal(t, "data", md.str("metadata.x.data"), "D")
	contains(t, "condition's data", w.call("GET", s.path()+"/resources/w", nil).str("resource.attributes.data"), `"x": "D"`)
}

func TestFactsTimeout(t *testing.T) {
	w := newWorld(t)
	s := w.create("c", template(m{
		"h": m{"type": "OS::Heat::WaitConditionHandle"},
		"w": m{"type": "OS::Heat::WaitCondition", "properties": m{"handle": m{"get_resource": "h"}, "timeout": 2}},
	}))
	s.ends("end", "CREATE_FAILED")
	equal(t, "reason", s.get().str("stack.stack_status_reason"), "Resource CREATE failed: WaitConditionTimeout: resources.w: 0 of 1 received")
}

func TestFactsEventReasonsAreCut(t *testing.T) {
	w := newWorld(t)
	s := w.create("c", template(m{
		"h": m{"type": "OS::Heat::WaitConditionHandle"},
		"w": m{"type": "OS::Heat::WaitCondition", "properties": m{"handle": m{"get_resource": "h"}, "timeout": 60}},
	}))
	w.until("it waits", time.Minute, func() bool { return s.resources()["w"].status == "CREATE_IN_PROGRESS" })
	h := w.call("GET", s.path()+"/resources/h", nil)
	long := strings.Repeat("0123456789", 100)
	w.callAs(h.str("resource.attributes.token"), "POST", h.str("resource.attributes.endpoint"), m{"status": "FAILURE", "reason": long})
	s.ends("end", "CREATE_FAILED")
	contains(t, "reason of the stack", s.get().str("stack.stack_status_reason"), long)
	contains(t, "reason of the resource", s.resources()["w"].reason, long)
	evs, _ := s.events("")
	for _, e := range evs {
		if len(e.reason) > 255 {
			t.Errorf("event's reason has %d bytes: %+v", len(e.reason), e)
		}
	}
}
