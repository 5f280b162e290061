package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// query is one request on its way through a handler.
type query struct {
	*Cloud
	r    *http.Request
	body []byte
	tok  *token
}

// reply is what a handler answers. A []byte or string body is sent as it is,
// anything else as JSON.
type reply struct {
	status int
	header map[string]string
	body   any
}

type handler func(*query) reply

func ok(body any) reply { return reply{status: 200, body: body} }

func htmlReply(status int, title, text string) reply {
	if text == "" {
		text = "The resource could not be found."
	}
	return reply{
		status: status, header: map[string]string{"Content-Type": "text/html; charset=UTF-8"},
		body: fmt.Sprintf("<html>\n <head>\n  <title>%d %s</title>\n </head>\n <body>\n  <h1>%d %s</h1>\n  %s<br /><br />\n\n\n\n </body>\n</html>",
			status, title, status, title, text),
	}
}

func (q *query) path(name string) string { return q.r.PathValue(name) }

func (q *query) param(name string) string { return q.r.URL.Query().Get(name) }

// base is the URL of the cloud as this client sees it.
func (q *query) base() string { return "http://" + q.r.Host }

func (q *query) self() string { return q.base() + q.r.URL.Path }

// service prefixes; the catalog and the routes are both made from these.
const (
	identityAt = "/identity"
	heatAt     = "/orchestration"
	novaAt     = "/compute"
	neutronAt  = "/network"
	glanceAt   = "/image"
	cinderAt   = "/volume"
	octaviaAt  = "/load-balancer"
	barbicanAt = "/key-manager"
)

func serviceOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// capture takes the reply out of the mux.
type capture struct {
	http.ResponseWriter
	rep reply
	set bool
}

func (c *capture) Header() http.Header         { return http.Header{} }
func (c *capture) WriteHeader(int)             {}
func (c *capture) Write(b []byte) (int, error) { return len(b), nil }

// handle registers a route; its pattern is also the class under which the
// request is counted.
func (c *Cloud) handle(pattern string, h handler) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		cp := w.(*capture)
		q := &query{Cloud: c, r: r, body: cp.rep.body.([]byte)}
		cp.rep, cp.set = h(q), true
	})
}

func (c *Cloud) routes() {
	c.mux = http.NewServeMux()
	c.keystoneRoutes()
	c.heatRoutes()
	c.novaRoutes()
	c.neutronRoutes()
	c.glanceRoutes()
	c.cinderRoutes()
	c.octaviaRoutes()
	c.controlRoutes()
}

// ServeHTTP answers one request. The handler runs under the cloud's lock; the
// answer is written, and Latency spent, outside of it.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 256<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rep, f := c.answer(r, body)
	c.pause(r, c.opt.Latency)
	if f != nil {
		c.pause(r, f.Delay)
		if f.Drop {
			panic(http.ErrAbortHandler)
		}
	}
	rep.send(w, r, f)
}

func (c *Cloud) pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

func (c *Cloud) answer(r *http.Request, body []byte) (reply, *Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catchUp()
	f := c.faultFor(r)
	if f != nil && (f.Drop && !f.AfterWork || f.Status != 0) {
		c.log.add(r, "", f.Status)
		return f.reply(), f
	}
	cp := &capture{rep: reply{body: body}}
	c.mux.ServeHTTP(cp, r)
	if !cp.set {
		cp.rep = c.noRoute(r)
	}
	if cp.rep.header == nil {
		cp.rep.header = map[string]string{}
	}
	if strings.HasPrefix(r.URL.Path, identityAt) {
		cp.rep.header["Vary"] = "X-Auth-Token"
	}
	if cp.rep.header["x-openstack-request-id"] == "" && !strings.HasPrefix(r.URL.Path, "/sim/") {
		cp.rep.header["x-openstack-request-id"] = "req-" + c.uuid()
	}
	c.log.add(r, r.Pattern, cp.rep.status)
	if f != nil {
		f.spoil(&cp.rep)
	}
	return cp.rep, f
}

func (rep reply) send(w http.ResponseWriter, r *http.Request, f *Fault) {
	var out []byte
	ctype := "application/json"
	switch b := rep.body.(type) {
	case nil:
	case []byte:
		out = b
	case string:
		out = []byte(b)
	default:
		out = marshal(b)
	}
	w.Header().Set("Content-Type", ctype)
	for k, v := range rep.header {
		w.Header().Set(k, v)
	}
	if f != nil && f.TruncateJSON {
		out = out[:len(out)/2]
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(rep.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out) // the client went away: nothing to do about it
	}
}

func marshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("sim: encode reply: %v", err)) // replies are made of plain JSON values
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// noRoute answers what each service answers to an unknown path.
func (c *Cloud) noRoute(r *http.Request) reply {
	switch "/" + serviceOf(r.URL.Path) {
	case neutronAt:
		return neutronError(404, "HTTPNotFound", "The resource could not be found.")
	case octaviaAt:
		return octaviaError(404, "Not found.")
	case barbicanAt:
		rep := barbicanError(404, "Not Found", "Not Found.")
		rep.header = map[string]string{"openstack-api-version": "key-manager 1.0", "vary": "openstack-api-version"}
		return rep
	case heatAt:
		if strings.HasSuffix(r.URL.Path, "/stacks") {
			return heatError(405, "Method Not Allowed", badRequestText, "HTTPMethodNotAllowed", badRequestText)
		}
	}
	return htmlReply(404, "Not Found", "")
}

// authed lets a handler see only requests with a valid token.
func (c *Cloud) authed(h handler) handler {
	return func(q *query) reply {
		q.tok = c.tokenFor(q.r.Header.Get("X-Auth-Token"))
		if q.tok == nil || q.tok.handle != nil || !q.ruled() {
			return unauthorized(q)
		}
		return h(q)
	}
}

func unauthorized(q *query) reply {
	rep := reply{
		status: 401,
		header: map[string]string{"WWW-Authenticate": `Keystone uri="` + q.base() + identityAt + `/v3"`},
		body:   obj{"error": obj{"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}},
	}
	if serviceOf(q.r.URL.Path) == "image" {
		html := htmlReply(401, "Unauthorized", "This server could not verify that you are authorized to access the document you requested.")
		rep.body, rep.header["Content-Type"] = html.body, html.header["Content-Type"]
	}
	return rep
}

// obj is a JSON object; most of the cloud's records are kept in the form in
// which they are shown.
type obj map[string]any

func (o obj) str(key string) string { s, _ := o[key].(string); return s }

func (o obj) clone() obj {
	out := make(obj, len(o))
	maps.Copy(out, o)
	return out
}

// table keeps objects by id in the order of their creation.
type table struct {
	rows []obj
	byID map[string]obj
}

func (t *table) add(o obj) obj {
	if t.byID == nil {
		t.byID = map[string]obj{}
	}
	t.rows = append(t.rows, o)
	t.byID[o.str("id")] = o
	return o
}

func (t *table) get(id string) obj { return t.byID[id] }

func (t *table) drop(id string) {
	if t.byID[id] == nil {
		return
	}
	delete(t.byID, id)
	for i, o := range t.rows {
		if o.str("id") == id {
			t.rows = append(t.rows[:i], t.rows[i+1:]...)
			return
		}
	}
}

// find returns the object with this id or, if visible and unique, this name.
func (t *table) find(key string, visible func(obj) bool) []obj {
	if o := t.byID[key]; o != nil && visible(o) {
		return []obj{o}
	}
	var out []obj
	for _, o := range t.rows {
		if o.str("name") == key && visible(o) {
			out = append(out, o)
		}
	}
	return out
}

// page cuts rows after marker to limit; more says that the page is full, which
// is when these services offer a next one.
// found is false when the marker names no row.
func page[T any](rows []T, id func(T) string, marker string, limit, most int) (out []T, more, found bool) {
	if marker != "" {
		at := -1
		for i, r := range rows {
			if id(r) == marker {
				at = i
			}
		}
		if at < 0 {
			return nil, false, false
		}
		rows = rows[at+1:]
	}
	if limit <= 0 || limit > most {
		limit = most
	}
	rows = rows[:min(limit, len(rows))]
	return rows, len(rows) == limit, true
}

func withQuery(u *url.URL, base string, set map[string]string) string {
	v := u.Query()
	for k, s := range set {
		v.Set(k, s)
	}
	return base + "?" + v.Encode()
}
