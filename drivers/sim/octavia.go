package sim

import "slices"

// balancing is Octavia's state, in the form in which it is shown.
type balancing struct {
	loadbalancers, listeners, pools, members, monitors table
}

func octaviaError(status int, text string) reply {
	return reply{status: status, body: obj{"faultcode": "Client", "faultstring": text, "debuginfo": nil}}
}

// octavia lets in those whom its default policy lets read.
func (c *Cloud) octavia(h handler) handler {
	return c.authed(func(q *query) reply {
		if slices.ContainsFunc([]string{"load-balancer_observer", "load-balancer_member", "load-balancer_admin", "load-balancer_global_observer", "admin"}, q.tok.has) {
			return h(q)
		}
		return octaviaError(403, "Policy does not allow this request to be performed.")
	})
}

func (c *Cloud) octaviaRoutes() {
	c.handle("GET "+octaviaAt+"/{$}", func(q *query) reply {
		return ok(obj{"versions": []any{obj{"id": "v2.26", "status": "CURRENT", "updated": "2022-08-29T00:00:00Z", "links": []any{obj{"href": q.base() + octaviaAt + "/v2", "rel": "self"}}}}})
	})
	c.octaviaRoutesBelow(octaviaAt + "/v2")
	c.octaviaRoutesBelow(octaviaAt + "/v2.0")
	c.barbicanRoutes()
}

// octaviaRoutesBelow are those of one of the two names that the API has.
func (c *Cloud) octaviaRoutesBelow(v2 string) {
	for _, k := range []struct {
		path, key, what string
		t               *table
	}{
		{"loadbalancers", "loadbalancer", "Load Balancer", &c.lb.loadbalancers},
		{"listeners", "listener", "Listener", &c.lb.listeners},
		{"pools", "pool", "Pool", &c.lb.pools},
		{"healthmonitors", "healthmonitor", "Health Monitor", &c.lb.monitors},
	} {
		c.handle("GET "+v2+"/lbaas/"+k.path, c.octavia(func(q *query) reply {
			rows := []obj{}
			for _, o := range k.t.rows {
				if o.str("project_id") == q.tok.project.id && (q.param("name") == "" || q.param("name") == o.str("name")) {
					rows = append(rows, o)
				}
			}
			return ok(obj{k.path: rows, k.path + "_links": []any{}})
		}))
		c.handle("GET "+v2+"/lbaas/"+k.path+"/{id}", c.octavia(func(q *query) reply {
			if o := k.t.get(q.path("id")); o != nil && o.str("project_id") == q.tok.project.id {
				return ok(obj{k.key: o})
			}
			return octaviaError(404, k.what+" "+q.path("id")+" not found.")
		}))
	}
	c.handle("GET "+v2+"/lbaas/pools/{id}/members", c.octavia(func(q *query) reply {
		rows := []obj{}
		for _, o := range q.lb.members.rows {
			if o.str("pool_id") == q.path("id") {
				rows = append(rows, o)
			}
		}
		return ok(obj{"members": rows, "members_links": []any{}})
	}))
	c.handle("GET "+v2+"/lbaas/quotas/{project}", c.octavia(func(q *query) reply {
		set := obj{}
		for _, k := range []string{"load_balancer", "listener", "member", "pool", "health_monitor", "l7policy", "l7rule"} {
			set[k] = q.quota(q.path("project"), k, -1)
		}
		return ok(obj{"quota": set})
	}))
	c.handle("GET "+v2+"/lbaas/providers", c.octavia(func(*query) reply {
		return ok(obj{"providers": []any{
			obj{"name": "amphora", "description": "The no-op amphora driver"}, obj{"name": "octavia", "description": "alias of amphora"},
		}})
	}))
}
