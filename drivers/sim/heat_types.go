package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// kindOf finds what a resource's type does; files are nested stacks.
func (c *Cloud) kindOf(r *resource) *kind {
	if k := kindFor(r.kind); k != nil {
		return k
	}
	return nestedKind()
}

func kindFor(name string) *kind {
	switch name {
	case "OS::Heat::None":
		return &kind{class: "NoneResource"}
	case "OS::Heat::Value":
		return valueKind()
	case "OS::Heat::RandomString":
		return randomKind()
	case "OS::Heat::WaitConditionHandle":
		return handleKind()
	case "OS::Heat::WaitCondition":
		return waitKind()
	case "OS::Nova::Server":
		return serverKind()
	case "OS::Nova::ServerGroup":
		return serverGroupKind()
	case "OS::Nova::KeyPair":
		return keyPairKind()
	case "OS::Cinder::Volume":
		return volumeKind()
	case "OS::Cinder::VolumeAttachment":
		return attachmentKind()
	}
	if k := neutronKind(name); k != nil {
		return k
	}
	return octaviaKind(name)
}

// text reads a string property.
func (o *op) text(name string) string { s, _ := o.props[name].(string); return s }

// name is the given name, or the one Heat makes up.
func (o *op) name(limit int) string {
	if n := o.text("name"); n != "" {
		return n
	}
	return shorten(o.r.physName, limit)
}

// ---- values

func valueKind() *kind {
	set := func(c *Cloud, o *op) (time.Duration, *fail) {
		o.r.phys, o.r.value = o.r.physName, o.props["value"]
		if o.r.kind == "OS::Heat::Value" && o.text("type") != "" {
			p := &hotParam{name: "value", kind: o.text("type")}
			v, msg := p.convert(o.props["value"])
			if msg != "" {
				return 0, &fail{"StackValidationFailed", msg}
			}
			o.r.value = v
		}
		return 0, nil
	}
	return &kind{class: "Value", create: set, update: set, attrs: func(_ *Cloud, r *resource) map[string]any { return map[string]any{"value": r.value} }}
}

func randomKind() *kind {
	k := valueKind()
	k.class, k.update = "RandomString", nil
	k.create = func(c *Cloud, o *op) (time.Duration, *fail) {
		from := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		if list := asList(o.props["character_classes"]); len(list) > 0 {
			switch toObj(list[0]).str("class") {
			case "letters":
				from = from[:52]
			case "lowercase":
				from = from[:26]
			case "uppercase":
				from = from[26:52]
			case "digits":
				from = from[52:]
			case "hexdigits":
				from = "0123456789abcdef"
			case "octdigits":
				from = "01234567"
			}
		}
		n, _ := o.props["length"].(int64)
		o.r.phys, o.r.value = o.r.physName, c.pick(int(n), from)
		return 0, nil
	}
	k.ref = func(r *resource) string { s, _ := r.value.(string); return s }
	return k
}

// ---- wait conditions

func handleKind() *kind {
	return &kind{
		class: "HeatWaitConditionHandle",
		create: func(c *Cloud, o *op) (time.Duration, *fail) {
			if t := o.text("signal_transport"); t != "TOKEN_SIGNAL" && t != "" {
				return 0, failf("NotSupported", "signal_transport %s is not simulated", t)
			}
			r := o.r
			r.phys = c.hex32()
			t := c.newToken(r.st.user, r.st.project, "password")
			t.handle, t.roles = r, []string{"heat_stack_user"}
			r.token = t.id
			return 0, nil
		},
		gone: func(c *Cloud, r *resource) { delete(c.identity.tokens, r.token) },
		attrs: func(_ *Cloud, r *resource) map[string]any {
			url := r.signalURL()
			return map[string]any{
				"token": r.token, "endpoint": url, "signal": "null",
				"curl_cli": "curl -i -X POST -H 'X-Auth-Token: " + r.token + "' -H 'Content-Type: application/json' -H 'Accept: application/json' " + url,
			}
		},
	}
}

func (r *resource) signalURL() string {
	s := r.st
	return s.base + heatAt + "/v1/" + s.root().domainProject + "/stacks/" + s.name + "/" + s.id + "/resources/" + r.name + "/signal"
}

func waitKind() *kind {
	wait := func(c *Cloud, o *op) (time.Duration, *fail) {
		secs := time.Duration(toFloat(o.props["timeout"]) * float64(time.Second))
		o.until = c.now.Add(secs)
		s := o.r.st
		c.heat.waits[s] = append(c.heat.waits[s], o)
		c.after(0, func() { c.look(o) })
		c.after(secs, func() { c.look(o) })
		return forever, nil
	}
	return &kind{
		class: "HeatWaitCondition", create: wait, update: wait,
		remove: func(_ *Cloud, o *op) (time.Duration, *fail) {
			if h := handleOf(o.r, o.r.props); h != nil {
				h.signals = nil
			}
			return 0, nil
		},
		attrs: func(_ *Cloud, r *resource) map[string]any {
			data := map[string]any{}
			if h := handleOf(r, r.props); h != nil {
				for _, s := range h.signals {
					data[s.id] = s.data
				}
			}
			return map[string]any{"data": pyJSON(data)}
		},
	}
}

func handleOf(r *resource, props map[string]any) *resource {
	for _, h := range r.st.rows {
		if h.kind == "OS::Heat::WaitConditionHandle" && h.phys == props["handle"] && h.phys != "" {
			return h
		}
	}
	return nil
}

// look decides whether a wait is over.
func (c *Cloud) look(o *op) {
	if o.r.op != o {
		return
	}
	over := func(f *fail) {
		s := o.r.st
		c.heat.waits[s] = slices.DeleteFunc(c.heat.waits[s], func(x *op) bool { return x == o })
		c.done(o, f)
	}
	h := handleOf(o.r, o.props)
	if h == nil {
		over(failf("ValueError", "%s is not a valid wait condition handle.", pyStr(o.props["handle"])))
		return
	}
	var bad, good []string
	for _, s := range h.signals {
		if s.status == "SUCCESS" {
			good = append(good, s.reason)
		} else {
			bad = append(bad, s.reason)
		}
	}
	count := int(toFloat(o.props["count"]))
	switch {
	case !c.now.Before(o.until) && len(bad) == 0 && len(good) < count:
		text := fmt.Sprintf("%d of %d received", len(good), count)
		if len(good) > 0 {
			text += " - " + strings.Join(good, ";")
		}
		over(&fail{"WaitConditionTimeout", text})
	case len(bad) > 0:
		over(&fail{"WaitConditionFailure", strings.Join(bad, ";")})
	case len(good) >= count:
		over(nil)
	}
}

// signalled takes a signal in. What is not of the right form is dropped, as
// Heat does after having answered 200.
func (c *Cloud) signalled(h *resource, body map[string]any) {
	s := signal{id: fmt.Sprint(len(h.signals) + 1), status: "SUCCESS", reason: fmt.Sprintf("Signal %d received", len(h.signals)+1)}
	for k, v := range body {
		switch k {
		case "status":
			s.status = pyStr(v)
		case "reason":
			s.reason = pyStr(v)
		case "data":
			s.data = v
		case "id":
			s.id = pyStr(v)
		default:
			return
		}
	}
	if s.status != "SUCCESS" && s.status != "FAILURE" {
		return
	}
	h.signals = slices.DeleteFunc(h.signals, func(x signal) bool { return x.id == s.id })
	h.signals = append(h.signals, s)
	c.event(h.st, h.name, h.shownID(), "SIGNAL_COMPLETE", "Signal: status:"+s.status+" reason:"+s.reason, h.kind)
	for _, o := range c.heat.waits[h.st] {
		c.after(0, func() { c.look(o) })
	}
}
