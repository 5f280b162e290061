package sim

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Fault makes matching requests go wrong. Empty Service, Method or PathRegexp
// match everything; Service is the first path segment ("orchestration",
// "compute", ...), PathRegexp is matched against path and query.
type Fault struct {
	Service    string
	Method     string
	PathRegexp string
	// Times is how many requests it hits; 0 means every one until ClearFaults.
	Times int
	// Skip lets that many matching requests pass first.
	Skip int

	// Status and Body answer instead of the service, which does not see the
	// request.
	Status int
	Body   string
	// Header is added to that answer, such as Retry-After.
	Header map[string]string
	// Drop closes the connection without an answer; AfterWork does so only
	// after the service has carried the request out, as a lost answer does.
	Drop      bool
	AfterWork bool
	// Delay holds the answer back, in real time.
	Delay time.Duration
	// TruncateJSON cuts the true answer in half.
	TruncateJSON bool
	// EmptyList empties every top-level list of the true answer.
	EmptyList bool

	path *regexp.Regexp
}

// Fault adds a fault. It panics if PathRegexp does not compile: that is a
// mistake in a test.
func (c *Cloud) Fault(f Fault) {
	f.path = regexp.MustCompile(f.PathRegexp)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &f)
}

// ClearFaults removes all faults: of requests, of boots, of server builds.
func (c *Cloud) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults, c.boots, c.builds = nil, nil, nil
}

func (c *Cloud) faultFor(r *http.Request) *Fault {
	if strings.HasPrefix(r.URL.Path, "/sim/") {
		return nil
	}
	for i, f := range c.faults {
		if !f.matches(r) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				c.faults = append(c.faults[:i:i], c.faults[i+1:]...)
			}
		}
		return &hit
	}
	return nil
}

func (f *Fault) matches(r *http.Request) bool {
	return (f.Service == "" || f.Service == serviceOf(r.URL.Path)) &&
		(f.Method == "" || f.Method == r.Method) && f.path.MatchString(r.URL.RequestURI())
}

func (f *Fault) reply() reply {
	h := map[string]string{}
	maps.Copy(h, f.Header)
	if f.Body != "" && !strings.HasPrefix(strings.TrimSpace(f.Body), "{") {
		h["Content-Type"] = "text/html; charset=UTF-8"
	}
	return reply{status: f.Status, header: h, body: f.Body}
}

func (f *Fault) spoil(rep *reply) {
	if !f.EmptyList {
		return
	}
	var o map[string]any
	raw, isRaw := rep.body.([]byte)
	if !isRaw {
		raw = marshal(rep.body)
	}
	if json.Unmarshal(raw, &o) != nil {
		return
	}
	for k, v := range o {
		if _, isList := v.([]any); isList {
			o[k] = []any{}
		}
	}
	rep.body = o
}

// serverFault befalls servers by name.
type serverFault struct {
	name   *regexp.Regexp
	reason string
	times  int
}

// FailBoot makes the next times boots (0: all) of servers whose name matches
// report FAILURE with this reason instead of SUCCESS.
func (c *Cloud) FailBoot(nameRegexp, reason string, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boots = append(c.boots, &serverFault{regexp.MustCompile(nameRegexp), reason, times})
}

// MuteBoot makes matching servers never signal, as a node without network.
func (c *Cloud) MuteBoot(nameRegexp string, times int) { c.FailBoot(nameRegexp, "", times) }

// FailBuild makes the next times builds (0: all) of matching servers end in
// Nova's ERROR; an empty reason is the scheduler's "No valid host".
func (c *Cloud) FailBuild(nameRegexp, reason string, times int) {
	if reason == "" {
		reason = "No valid host was found. "
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds = append(c.builds, &serverFault{regexp.MustCompile(nameRegexp), reason, times})
}

// strike reports whether a fault of the list befalls this server, once.
func strike(list *[]*serverFault, name string) (reason string, hit bool) {
	for i, f := range *list {
		if !f.name.MatchString(name) {
			continue
		}
		if f.times > 0 {
			if f.times--; f.times == 0 {
				*list = append((*list)[:i:i], (*list)[i+1:]...)
			}
		}
		return f.reason, true
	}
	return "", false
}

// SetQuota limits a resource of a project (name or id): instances, cores, ram,
// key_pairs, volumes, gigabytes, network, port, floatingip, ... as the services
// name them. A negative number is no limit.
func (c *Cloud) SetQuota(project, resource string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := project
	if p := c.identity.projectByName(project); p != nil {
		id = p.id
	}
	if c.quotas[id] == nil {
		c.quotas[id] = map[string]int{}
	}
	c.quotas[id][resource] = n
}

func (c *Cloud) quota(project, resource string, def int) int {
	if n, set := c.quotas[project][resource]; set {
		return n
	}
	return def
}
