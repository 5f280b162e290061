package sim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// secretBytes is the largest payload: Barbican 15 takes its limit from
// oslo.middleware's, later ones say 20,000.
const secretBytes = 65536

func barbicanError(status int, title, text string) reply {
	return reply{status: status, body: obj{"code": status, "title": title, "description": text}}
}

// barbican lets in the roles creator and admin, and observer for reads. What
// is attempted is a word of the refusal.
func (c *Cloud) barbican(what string, h handler, roles ...string) handler {
	return c.authed(func(q *query) reply {
		rep := barbicanError(403, "Forbidden", what+" attempt not allowed - please review your user/project privileges")
		may := append(slices.Clone(roles), "creator", "admin")
		if c.opt.MemberSecrets {
			may = []string{"member", "admin"}
		}
		if slices.ContainsFunc(may, q.tok.has) {
			rep = h(q)
		}
		header := map[string]string{"openstack-api-version": "key-manager 1.0", "vary": "openstack-api-version"}
		maps.Copy(header, rep.header)
		rep.header = header
		return rep
	})
}

func (c *Cloud) barbicanRoutes() {
	c.payloads = map[string][]byte{}
	c.handle("GET "+barbicanAt+"/{$}", func(q *query) reply {
		rep := ok(obj{"versions": obj{"values": []any{obj{"id": "v1", "status": "stable", "links": []any{obj{"rel": "self", "href": q.base() + barbicanAt + "/v1/"}}}}}})
		rep.status = 300
		return rep
	})
	const secrets = barbicanAt + "/v1/secrets"
	c.handle("GET "+secrets, c.barbican("Secret(s) retrieval", listSecrets, "observer"))
	c.handle("POST "+secrets, c.barbican("Secret creation", createSecret))
	c.handle("GET "+secrets+"/{id}", c.barbican("Secret retrieval", withSecret("Secret retrieval", func(q *query, o obj) reply { return ok(q.secretView(o)) }), "observer"))
	c.handle("GET "+secrets+"/{id}/payload", c.barbican("Secret payload retrieval", withSecret("Secret payload retrieval", secretPayload), "observer"))
	c.handle("DELETE "+secrets+"/{id}", c.barbican("Secret deletion", withSecret("Secret deletion", func(q *query, o obj) reply {
		q.secrets.drop(o.str("id"))
		delete(q.payloads, o.str("id"))
		return reply{status: 204}
	})))
	c.handle("GET "+barbicanAt+"/v1/quotas", c.barbican("Quotas retrieval", func(q *query) reply {
		set := obj{}
		for _, k := range []string{"secrets", "orders", "containers", "consumers", "cas"} {
			set[k] = q.quota(q.tok.project.id, k, -1)
		}
		return ok(obj{"quotas": set})
	}, "observer"))
	c.handle("GET "+barbicanAt+"/v1/containers", c.barbican("Containers(s) retrieval", func(*query) reply { return ok(obj{"containers": []any{}, "total": 0}) }, "observer"))
}

// withSecret finds the secret; that of another project is forbidden, not missing.
func withSecret(what string, h func(*query, obj) reply) handler {
	return func(q *query) reply {
		switch o := q.secrets.get(q.path("id")); {
		case o == nil:
			return barbicanError(404, "Not Found", "Not Found. Provided secret id is invalid.")
		case o.str("project_id") != q.tok.project.id:
			return barbicanError(403, "Forbidden", what+" attempt not allowed - please review your user/project privileges")
		default:
			return h(q, o)
		}
	}
}

func (q *query) secretView(o obj) obj {
	v := o.clone()
	delete(v, "id")
	delete(v, "project_id")
	v["secret_ref"] = q.base() + barbicanAt + "/v1/secrets/" + o.str("id")
	return v
}

// listSecrets pages by offset. A limit that is none means the default of ten,
// no limit is over a hundred, and the links lose the name that was asked for.
func listSecrets(q *query) reply {
	limit, err := strconv.Atoi(q.param("limit"))
	if err != nil {
		limit = 10
	}
	limit = max(1, min(limit, 100))
	offset, err := strconv.Atoi(q.param("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	rows, total := []any{}, 0
	for _, o := range q.secrets.rows {
		if o.str("project_id") != q.tok.project.id || q.param("name") != "" && q.param("name") != o.str("name") {
			continue
		}
		if total++; total > offset && len(rows) < limit {
			rows = append(rows, q.secretView(o))
		}
	}
	body := obj{"secrets": rows, "total": total}
	link := func(at int) string { return fmt.Sprintf("%s?limit=%d&offset=%d", q.self(), limit, at) }
	if offset > 0 {
		body["previous"] = link(max(0, offset-limit))
	}
	if offset+limit < total {
		body["next"] = link(offset + limit)
	}
	return ok(body)
}

func createSecret(q *query) reply {
	var in struct {
		Name        string
		Payload     *string
		ContentType string `json:"payload_content_type"`
		Encoding    string `json:"payload_content_encoding"`
		Type        string `json:"secret_type"`
	}
	if json.Unmarshal(q.body, &in) != nil {
		return barbicanError(400, "Bad Request", "Malformed JSON")
	}
	if in.Type == "" {
		in.Type = "opaque"
	}
	bad := func(text, property string) reply {
		return barbicanError(400, "Bad Request", "Provided object does not match schema 'Secret': "+text+" Invalid property: '"+property+"'")
	}
	var payload []byte
	if in.Payload != nil {
		*in.Payload = strings.TrimSpace(*in.Payload) // the end of the last line of a PEM text is lost
	}
	switch {
	case len(in.Name) > 255:
		return bad("'"+in.Name+"' is too long.", "name")
	case in.Type != "opaque":
		return bad("'"+in.Type+"' is not one of the known types.", "secret_type")
	case in.Payload == nil:
	case *in.Payload == "":
		return bad("If 'payload' specified, must be non empty.", "payload")
	case in.ContentType == "":
		return bad("If 'payload' is supplied, 'payload_content_type' must also be supplied..", "payload_content_type")
	case in.ContentType == "application/octet-stream":
		var err error
		if payload, err = base64.StdEncoding.DecodeString(*in.Payload); err != nil || in.Encoding != "base64" {
			return bad("payload_content_encoding is not one of ['base64', 'binary'].", "payload_content_encoding")
		}
	default:
		payload = []byte(*in.Payload)
	}
	if len(payload) > secretBytes {
		return barbicanError(413, "Request Entity Too Large", "Provided information too large to process")
	}
	if most := q.quota(q.tok.project.id, "secrets", -1); most >= 0 && q.secretsOf(q.tok.project) >= most {
		return barbicanError(403, "Forbidden", fmt.Sprintf("Quota reached for project %s. Only %d secrets are allowed.", q.tok.project.id, most))
	}
	at := stamp(q.now)
	o := q.secrets.add(obj{
		"id": q.uuid(), "project_id": q.tok.project.id, "created": at[:19], "updated": at[:19], "status": "ACTIVE", "name": in.Name, "secret_type": in.Type,
		"expiration": nil, "algorithm": nil, "bit_length": nil, "mode": nil, "creator_id": q.tok.user.id,
	})
	if payload != nil {
		o["content_types"] = obj{"default": in.ContentType}
		q.payloads[o.str("id")] = payload
	}
	ref := q.secretView(o).str("secret_ref")
	return reply{status: 201, header: map[string]string{"Location": ref}, body: obj{"secret_ref": ref}}
}

func (q *query) secretsOf(p *project) int {
	n := 0
	for _, o := range q.secrets.rows {
		if o.str("project_id") == p.id {
			n++
		}
	}
	return n
}

// secretPayload gives bytes as text and text as bytes, whatever they went in as.
func secretPayload(q *query, o obj) reply {
	payload, there := q.payloads[o.str("id")]
	if !there {
		return barbicanError(404, "Not Found", "Not Found. Sorry but your secret has no payload.")
	}
	ctype := ""
	switch accept := q.r.Header.Get("Accept"); accept {
	case "text/plain":
		ctype = "text/plain; charset=UTF-8"
	case "application/octet-stream", "", "*/*":
		ctype = "application/octet-stream"
	default:
		return barbicanError(406, "Not Acceptable", "Secret payload retrieval issue seen - Wrong payload content-type.")
	}
	return reply{status: 200, header: map[string]string{"Content-Type": ctype}, body: payload}
}
