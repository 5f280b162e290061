package sim

import (
	"slices"
	"strings"
)

// checkStack is Heat's check action: it looks at what the types can look at,
// and everything that depends on something bad is left out.
func (c *Cloud) checkStack(s *stack) {
	s.traversal = 0
	c.setState(s, "CHECK", "IN_PROGRESS", "Stack CHECK started")
	c.heat.seq++
	run := c.heat.seq
	s.checking = run
	c.after(c.opt.BuildTime, func() { c.checkLeaves(s, run) })
}

// checkLeaves looks at each resource and then waits for the nested stacks.
func (c *Cloud) checkLeaves(s *stack, run int) {
	if s.checking != run || s.action != "CHECK" {
		return
	}
	bad := map[string]string{}
	nested, full := 0, true
	for _, name := range s.checkOrder() {
		r := s.current[name]
		if c.blocked(s, name, bad) {
			continue
		}
		k := c.kindOf(r)
		switch {
		case k.nodes && r.nested != nil:
			nested++
			c.set(r, "CHECK", "IN_PROGRESS", "state changed")
			n := r.nested
			n.settled = func() { c.after(0, func() { c.checkedNested(s, run, r, bad) }) }
			c.checkStack(n)
		case k.check == nil:
			full = false
			c.set(r, "CHECK", "COMPLETE", "CHECK not supported for "+r.kind)
		default:
			c.set(r, "CHECK", "IN_PROGRESS", "state changed")
			if f := k.check(c, r); f != nil {
				bad[name] = r.fails("CHECK", f).String()
				c.set(r, "CHECK", "FAILED", bad[name])
			} else {
				c.set(r, "CHECK", "COMPLETE", "state changed")
			}
		}
	}
	if nested == 0 {
		c.checked(s, bad, full)
	}
}

func (s *stack) checkOrder() []string {
	var out []string
	seen := map[string]bool{}
	var walk func(string)
	walk = func(name string) {
		if seen[name] || s.current[name] == nil {
			return
		}
		seen[name] = true
		for _, d := range s.deps(name) {
			walk(d)
		}
		out = append(out, name)
	}
	for _, name := range sortedKeys(s.enabled()) {
		walk(name)
	}
	return out
}

func (c *Cloud) blocked(s *stack, name string, bad map[string]string) bool {
	return slices.ContainsFunc(s.deps(name), func(d string) bool { return bad[d] != "" || c.blocked(s, d, bad) })
}

func (c *Cloud) checkedNested(s *stack, run int, r *resource, bad map[string]string) {
	if s.checking != run || s.action != "CHECK" || r.action != "CHECK" || r.status != "IN_PROGRESS" {
		return
	}
	if r.nested.status == "FAILED" {
		// the nested reason begins with the list; the path grows inside it
		reason := strings.TrimPrefix(r.nested.reason, "Resource CHECK failed: ")
		bad[r.name] = strings.ReplaceAll(reason, ": resources.", ": resources."+r.name+".resources.")
		c.set(r, "CHECK", "FAILED", bad[r.name])
	} else {
		c.set(r, "CHECK", "COMPLETE", "state changed")
	}
	for _, other := range s.current {
		if other.action == "CHECK" && other.status == "IN_PROGRESS" {
			return
		}
	}
	c.checked(s, bad, false)
}

const checkNotFull = "'CHECK' not fully supported (see resources)"

func (c *Cloud) checked(s *stack, bad map[string]string, full bool) {
	status, reason := "COMPLETE", "Stack CHECK completed successfully"
	if len(bad) > 0 {
		list := []string{}
		for _, name := range sortedKeys(bad) {
			list = append(list, pyRepr(bad[name]))
		}
		status, reason = "FAILED", "Resource CHECK failed: ["+strings.Join(list, ", ")+"]"
	}
	if !full {
		reason += ". " + checkNotFull
	}
	c.setState(s, "CHECK", status, reason)
	s.tell()
}

// pyRepr quotes like Python: single quotes unless there are some inside.
func pyRepr(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}
