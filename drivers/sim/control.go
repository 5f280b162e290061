package sim

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Request is one line of the log of requests.
type Request struct {
	Method string `json:"method"`
	// Path with the query, as it was asked for.
	Path   string `json:"path"`
	Status int    `json:"status"`
}

// Log is what the cloud was asked since the last reset.
type Log struct {
	// Counts by "METHOD service/route", the route with its wildcards, such as
	// "DELETE orchestration/v1/{project}/stacks/{name}/{id}".
	Counts map[string]int `json:"counts"`
	// Requests in the order of their arrival; only the last 100,000 are kept.
	Requests []Request `json:"requests"`
}

// Count sums the requests with this method whose path contains part.
func (l Log) Count(method, part string) int {
	n := 0
	for _, r := range l.Requests {
		if r.Method == method && strings.Contains(r.Path, part) {
			n++
		}
	}
	return n
}

const keepRequests = 100_000

type requestLog struct {
	counts map[string]int
	lines  []Request
}

func (l *requestLog) reset() { l.counts, l.lines = map[string]int{}, nil }

func (l *requestLog) add(r *http.Request, pattern string, status int) {
	if strings.HasPrefix(r.URL.Path, "/sim/") {
		return
	}
	if pattern == "" {
		pattern = r.Method + " /" + serviceOf(r.URL.Path) + "/..."
	}
	method, path, found := strings.Cut(pattern, " ")
	if !found {
		method, path = r.Method, pattern
	}
	l.counts[method+" "+strings.TrimPrefix(path, "/")]++
	if len(l.lines) >= 2*keepRequests {
		l.lines = append([]Request(nil), l.lines[keepRequests:]...)
	}
	l.lines = append(l.lines, Request{r.Method, r.URL.RequestURI(), status})
}

// Requests returns a copy of the log.
func (c *Cloud) Requests() Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.log.lines[max(0, len(c.log.lines)-keepRequests):]
	return Log{maps.Clone(c.log.counts), append([]Request(nil), lines...)}
}

// ResetRequests empties the log.
func (c *Cloud) ResetRequests() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.reset()
}

// controlRoutes are for scripts and `jeroboam sim`; they need no token.
//
//	POST /sim/advance {"seconds": n}
//	                  the wall clock then runs ahead
//	POST /sim/fault   {"service", "method", "path", "times", "skip", "status", "body", "drop", "afterWork",
//	                   "delaySeconds", "truncateJSON", "emptyList"}
//	POST /sim/fail-boot {"name", "reason", "times"}, POST /sim/fail-build likewise; POST /sim/faults/clear
//	POST /sim/quota   {"project", "resource", "limit"}
//	GET  /sim/requests, POST /sim/requests/reset
func (c *Cloud) controlRoutes() {
	c.handle("GET /sim/requests", func(q *query) reply {
		return ok(Log{q.log.counts, q.log.lines[max(0, len(q.log.lines)-keepRequests):]})
	})
	c.control("/sim/requests/reset", func(controlBody) string { c.ResetRequests(); return "" })
	c.control("/sim/faults/clear", func(controlBody) string { c.ClearFaults(); return "" })
	c.control("/sim/advance", func(b controlBody) string {
		m, can := c.clock.(interface{ Advance(time.Duration) })
		if !can {
			return "this cloud's clock cannot be pushed"
		}
		m.Advance(time.Duration(b.Seconds * float64(time.Second)))
		return ""
	})
	c.control("/sim/fault", func(b controlBody) string {
		c.Fault(Fault{
			Service: b.Service, Method: b.Method, PathRegexp: b.Path, Times: b.Times, Skip: b.Skip,
			Status: b.Status, Body: b.Body, Drop: b.Drop, AfterWork: b.AfterWork,
			Delay: time.Duration(b.DelaySeconds * float64(time.Second)), TruncateJSON: b.TruncateJSON, EmptyList: b.EmptyList,
		})
		return ""
	})
	c.control("/sim/fail-boot", func(b controlBody) string { c.FailBoot(b.Name, b.Reason, b.Times); return "" })
	c.control("/sim/fail-build", func(b controlBody) string { c.FailBuild(b.Name, b.Reason, b.Times); return "" })
	c.control("/sim/quota", func(b controlBody) string { c.SetQuota(b.Project, b.Resource, b.Limit); return "" })
}

type controlBody struct {
	Seconds, DelaySeconds           float64
	Service, Method, Path, Body     string
	Times, Skip, Status, Limit      int
	Drop, AfterWork                 bool
	TruncateJSON, EmptyList         bool
	Name, Reason, Project, Resource string
}

// control registers do, which takes the cloud's lock itself. A mistake in the
// body, a bad expression included, is answered with 400.
func (c *Cloud) control(path string, do func(controlBody) string) {
	c.handle("POST "+path, func(q *query) (rep reply) {
		var b controlBody
		if len(q.body) > 0 {
			if err := json.Unmarshal(q.body, &b); err != nil {
				return reply{status: 400, body: obj{"error": err.Error()}}
			}
		}
		defer c.mu.Lock()
		c.mu.Unlock()
		defer func() {
			if p := recover(); p != nil {
				rep = reply{status: 400, body: obj{"error": p}}
			}
		}()
		if problem := do(b); problem != "" {
			return reply{status: 409, body: obj{"error": problem}}
		}
		return reply{status: 200, body: obj{"now": stamp(c.clock.Now())}}
	})
}
