// Package sim is a small OpenStack over HTTP, in memory, for tests, demos and
// benchmarks. It knows nothing of Jeroboam: drivers meet it only on the wire.
//
// Its measure is a real cloud (Zed, Heat 19): shapes, status codes, error
// bodies, redirects and the order of what Heat does are copied from what that
// cloud was seen to answer, and facts_test.go holds both to the same
// sentences. Where sim differs it is stricter, never kinder.
//
// Everything happens under one lock and on one clock. Work that takes time
// (a server booting, a nested stack converging) is an event in a queue:
//
//	request ──► catchUp(clock) ──► handler ──► reply
//	                 ▲                │
//	ManualClock ─────┘                └─► after(duration, event)
//
// so with a ManualClock every phase is over when Advance returns, and with the
// wall clock no goroutine is needed: what fell due is done at the next request.
//
// Reading order: sim.go (options), web.go (one request, routes and replies),
// clock.go, faults.go, control.go, seed.go, stock.go; the services around Heat:
// keystone.go, keystone_creds.go, keystone_rules.go, nova.go, nova_api.go, nova_servers.go, neutron.go, neutron_api.go,
// glance.go, cinder.go, octavia.go, barbican.go; then Heat: hot_template.go,
// hot_params.go, hot_eval.go and hot_functions.go are the template language,
// schema.go the properties of types, heat_stack.go the data, heat_traversal.go
// how a stack converges, heat_update.go what happens to one resource,
// heat_kind.go and heat_types*.go what each type does, heat_check.go and
// heat_validate.go; heat_api.go, heat_body.go, heat_actions.go, heat_views.go,
// heat_list.go and heat_resources.go are the wire; boot.go is what a node does.
package sim

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Options says how a Cloud behaves; the zero value is a quick, permissive one.
type Options struct {
	// Latency is added to each answer, in real time.
	Latency time.Duration
	// Clock drives every phase; nil is the wall clock.
	Clock Clock
	// BuildTime is how long one resource takes to create or update, and Heat to
	// notice that a stack is done; 0 means 1 s, negative none.
	BuildTime time.Duration
	// BootTime is from server ACTIVE to the node's signal; 0 means 2 s.
	BootTime time.Duration
	// DeleteTime is how long one resource takes to go; 0 means 1 s.
	DeleteTime time.Duration
	// TokenTTL is the life of a token; 0 means 24 h. Tokens inside wait
	// condition handles live as long.
	TokenTTL time.Duration
	// MaxStacks is Heat's limit of root stacks per project; 0 means 512.
	MaxStacks int
	// MaxResourcesPerStack limits a whole root tree; 0 means 1000.
	MaxResourcesPerStack int
	// MaxTemplateSize in bytes, for templates and nested files; 0 means 524288.
	MaxTemplateSize int
	// MaxBodySize of a request to Heat in bytes; 0 means 1048576.
	MaxBodySize int
	// MaxDepth is the nesting limit of stacks; 0 means 5.
	MaxDepth int
	// PageLimit is the largest page Nova, Glance, Neutron and Cinder give;
	// 0 means 1000. Heat gives whatever limit is asked for.
	PageLimit int
	// Roles of the users demo and demo2; nil means member, reader, creator,
	// heat_stack_owner, load-balancer_member.
	Roles []string
	// AppCredTrusts lets Heat make trusts with application-credential tokens.
	// The default is strict, as current Keystones ship: stack create and update
	// with such a token answer 500.
	AppCredTrusts bool
	// RuledServices are the types of the services that check the access rules
	// of application credentials, whose operators set service_type in
	// [keystone_authtoken]. The others refuse every token that has rules. Nil
	// is what a cloud does unless told otherwise: none checks, all refuse.
	RuledServices []string
	// MemberSecrets lets members keep and read secrets, and creators and
	// observers no more, as Barbican with enforce_new_defaults does.
	MemberSecrets bool
}

func (o Options) withDefaults() Options {
	dur := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
		*d = max(*d, 0)
	}
	num := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	dur(&o.BuildTime, time.Second)
	dur(&o.BootTime, 2*time.Second)
	dur(&o.DeleteTime, time.Second)
	dur(&o.TokenTTL, 24*time.Hour)
	num(&o.MaxStacks, 512)
	num(&o.MaxResourcesPerStack, 1000)
	num(&o.MaxTemplateSize, 524288)
	num(&o.MaxBodySize, 1048576)
	num(&o.MaxDepth, 5)
	num(&o.PageLimit, 1000)
	if o.Clock == nil {
		o.Clock = &wallClock{}
	}
	if o.Roles == nil {
		o.Roles = []string{"member", "reader", "creator", "heat_stack_owner", "load-balancer_member"}
	}
	return o
}

// Cloud is one simulated OpenStack; it serves every service below one base
// URL (/identity/v3, /orchestration/v1/{project}, ...), and its catalog
// follows the Host that a request came to, so httptest.NewServer(cloud) works.
type Cloud struct {
	mu    sync.Mutex
	opt   Options
	clock Clock
	now   time.Time // of the event or request being handled
	queue eventQueue
	seq   int
	ids   uint64

	mux     *http.ServeMux
	log     requestLog
	faults  []*Fault
	boots   []*serverFault
	builds  []*serverFault
	quotas  map[string]map[string]int // project id, resource name
	schemas map[string]*typeSchema    // by resource type

	identity identity
	compute  compute
	network  network
	volumes  table
	vtypes   table
	images   table
	lb       balancing
	secrets  table
	payloads map[string][]byte // by id of the secret
	heat     orchestration
}

var _ http.Handler = (*Cloud)(nil)

// New returns a seeded cloud: projects and users demo, demo2, admin (password
// "sim", domain Default), the user viewer who only reads in demo, flavors,
// images, networks, keypairs. Ids are the same in every cloud that sees the same
// requests in the same order.
func New(o Options) *Cloud {
	o = o.withDefaults()
	c := &Cloud{opt: o, clock: o.Clock, now: o.Clock.Now().UTC(), quotas: map[string]map[string]int{}, schemas: readSchemas()}
	c.log.reset()
	c.routes()
	c.seed()
	if m, ok := o.Clock.(*ManualClock); ok {
		m.onAdvance(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.catchUp()
		})
	}
	return c
}

// uuid gives the next id of the cloud's own sequence.
func (c *Cloud) uuid() string {
	h := c.hex32()
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:])
}

func (c *Cloud) hex32() string { return fmt.Sprintf("%016x%016x", c.random(), c.random()) }

// random is splitmix64: well spread, and the same in every run.
func (c *Cloud) random() uint64 {
	c.ids += 0x9e3779b97f4a7c15
	z := c.ids
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// letters gives n random lower-case letters and digits.
func (c *Cloud) letters(n int) string { return c.pick(n, "abcdefghijklmnopqrstuvwxyz234567") }

func (c *Cloud) pick(n int, from string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[c.random()%uint64(len(from))]
	}
	return string(b)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
