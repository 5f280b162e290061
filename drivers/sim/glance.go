package sim

import (
	"slices"
	"strconv"
)

func (c *Cloud) glanceRoutes() {
	c.handle("GET "+glanceAt+"/{$}", func(q *query) reply {
		rep := ok(obj{"versions": []any{obj{"id": "v2.15", "status": "CURRENT", "links": []any{obj{"rel": "self", "href": q.base() + glanceAt + "/v2/"}}}}})
		rep.status = 300
		return rep
	})
	c.handle("GET "+glanceAt+"/v2", func(q *query) reply {
		return reply{status: 302, header: map[string]string{"Location": q.base() + glanceAt + "/v2/"}}
	})
	c.handle("GET "+glanceAt+"/v2/images", c.authed(listImages))
	c.handle("GET "+glanceAt+"/v2/images/{id}", c.authed(func(q *query) reply {
		if im := q.images.get(q.path("id")); im != nil {
			return ok(im)
		}
		return htmlReply(404, "Not Found", "No image found with ID "+q.path("id"))
	}))
}

func listImages(q *query) reply {
	want := q.r.URL.Query()
	var rows []obj
	for _, im := range slices.Backward(q.images.rows) { // newest first

		match := true
		for k, vals := range want {
			if k == "limit" || k == "marker" || k == "sort" || k == "sort_key" || k == "sort_dir" {
				continue
			}
			s, isString := im[k].(string)
			match = match && isString && slices.Contains(vals, s)
		}
		if match {
			rows = append(rows, im)
		}
	}
	limit, _ := strconv.Atoi(want.Get("limit"))
	if limit == 0 {
		limit = 25
	}
	out, more, found := page(rows, func(o obj) string { return o.str("id") }, want.Get("marker"), limit, q.opt.PageLimit)
	if !found {
		return htmlReply(400, "Bad Request", "No image found with ID "+want.Get("marker"))
	}
	first := "/v2/images"
	if q.r.URL.RawQuery != "" {
		first += "?" + q.r.URL.RawQuery
	}
	answer := obj{"images": append([]obj{}, out...), "first": first, "schema": "/v2/schemas/images"}
	if more {
		answer["next"] = withQuery(q.r.URL, "/v2/images", map[string]string{"marker": out[len(out)-1].str("id")})
	}
	return ok(answer)
}
