package sim

import (
	_ "embed"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// schemasText lists, per resource type of Heat 19, its properties: name, kind,
// then required, update (may change in place), default, range, length, allowed
// values, ref (a custom constraint). Indentation nests; * is a list's element,
// @ the attributes.
//
//go:embed schemas.txt
var schemasText string

// property is one line of the list.
type property struct {
	name, kind, ref  string
	required, update bool
	def              any
	low, high        string
	isRange          bool
	isLength         bool
	allowed          []string
	sub              map[string]*property
}

type typeSchema struct {
	props map[string]*property
	attrs []string
}

func readSchemas() map[string]*typeSchema {
	out := map[string]*typeSchema{}
	var stack []map[string]*property
	var cur *typeSchema
	for line := range strings.SplitSeq(strings.TrimSpace(schemasText), "\n") {
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		f := strings.Fields(line)
		switch {
		case depth == 0:
			cur = &typeSchema{props: map[string]*property{}}
			out[f[0]], stack = cur, []map[string]*property{nil, cur.props}
		case f[0] == "@":
			cur.attrs = f[1:]
		default:
			p := newProperty(f)
			stack = append(stack[:depth+1], p.sub)
			stack[depth][p.name] = p
		}
	}
	return out
}

func newProperty(f []string) *property {
	p := &property{name: f[0], kind: f[1], sub: map[string]*property{}}
	for _, w := range f[2:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "required":
			p.required = true
		case "update":
			p.update = true
		case "default":
			p.def, _ = decodeJSON([]byte(v))
		case "range", "length":
			p.low, p.high, _ = strings.Cut(v, "..")
			p.isRange, p.isLength = k == "range", k == "length"
		case "allowed":
			p.allowed = strings.Split(v, "|")
		case "ref":
			p.ref = v
		}
	}
	return p
}

// owner is on whose behalf something is looked up.
type owner struct {
	project, user string
	admin         bool
}

// propErr is a property error: where, and what.
type propErr struct{ path, msg string }

func (e *propErr) at(base string) string {
	if e.path != "" {
		base += "." + e.path
	}
	return "Property error: : " + base + ": : " + e.msg
}

// properties converts given values by a schema: types, defaults, constraints,
// and names to ids. Unresolved values pass.
func (c *Cloud) properties(schema map[string]*property, given map[string]any, who owner) (map[string]any, *propErr) {
	for _, k := range sortedKeys(given) {
		if schema[k] == nil {
			return nil, &propErr{"", "Unknown Property " + k}
		}
	}
	out := map[string]any{}
	for _, k := range sortedKeys(schema) {
		p := schema[k]
		v, has := given[k]
		if !has || v == nil {
			if p.required {
				return nil, &propErr{"", "Property " + k + " not assigned"}
			}
			if p.def != nil {
				out[k] = p.def
			}
			continue
		}
		conv, err := c.value(p, v, who)
		if err != nil {
			if err.path == "" {
				err.path = k
			} else {
				err.path = k + "." + err.path
			}
			return nil, err
		}
		out[k] = conv
	}
	return out, nil
}

func (c *Cloud) value(p *property, v any, who owner) (any, *propErr) {
	if _, later := v.(unresolved); later {
		return v, nil
	}
	bad := func(format string, args ...any) (any, *propErr) {
		return nil, &propErr{"", fmt.Sprintf(format, args...)}
	}
	switch p.kind {
	case "string":
		switch x := v.(type) {
		case string:
		case bool, int64, float64:
			v = pyStr(x)
		default:
			return bad("Value must be a string; got %s", pyStr(v))
		}
	case "integer", "number":
		n, valid := toNumber(v)
		if !valid || p.kind == "integer" && n != math.Trunc(n) {
			if p.kind == "integer" {
				return bad("Value '%s' is not an integer", pyStr(v))
			}
			return bad("Value '%s' is not a number", pyStr(v))
		}
		if n == math.Trunc(n) {
			v = int64(n)
		} else {
			v = n
		}
	case "boolean":
		if _, isBool := v.(bool); !isBool {
			b, valid := parseBool(pyStr(v))
			if !valid {
				return bad("\"%s\" is not a valid boolean", pyStr(v))
			}
			v = b
		}
	case "list":
		return c.listValue(p, v, who)
	case "map":
		m, isMap := v.(map[string]any)
		if !isMap {
			return bad("\"%s\" is not a map", pyStr(v))
		}
		if len(p.sub) == 0 {
			return m, nil
		}
		out, err := c.properties(p.sub, m, who)
		return out, err
	}
	if msg := c.constrained(p, v); msg != "" {
		return bad("%s", msg)
	}
	if p.ref != "" {
		id, msg := c.resolveRef(p.ref, pyStr(v), who)
		if msg != "" {
			return bad("%s", msg)
		}
		v = id
	}
	return v, nil
}

func toNumber(v any) (float64, bool) {
	switch x := v.(type) {
	case int64:
		return float64(x), true
	case float64:
		return x, true
	case string:
		f, err := strconv.ParseFloat(x, 64)
		return f, err == nil
	}
	return 0, false
}

func (c *Cloud) listValue(p *property, v any, who owner) (any, *propErr) {
	if s, isText := v.(string); isText && p.sub["*"] == nil {
		v = []any{}
		if s != "" {
			for e := range strings.SplitSeq(s, ",") {
				v = append(v.([]any), strings.TrimSpace(e))
			}
		}
	}
	list, isList := v.([]any)
	if !isList {
		return nil, &propErr{"", fmt.Sprintf("\"%s\" is not a list", pyStr(v))}
	}
	out := make([]any, 0, len(list))
	for i, e := range list {
		if sub := p.sub["*"]; sub != nil {
			conv, err := c.value(sub, e, who)
			if err != nil {
				err.path = strings.TrimSuffix(fmt.Sprintf("%d.%s", i, err.path), ".")
				return nil, err
			}
			e = conv
		}
		out = append(out, e)
	}
	if len(p.allowed) > 0 {
		for _, e := range out {
			if !slices.Contains(p.allowed, pyStr(e)) {
				return nil, &propErr{"", notAllowedIn(out, p.allowed)}
			}
		}
	}
	return out, nil
}

func notAllowedIn(v any, allowed []string) string {
	list := make([]any, len(allowed))
	for i, a := range allowed {
		list[i] = a
		if n, err := strconv.ParseInt(a, 10, 64); err == nil {
			list[i] = n
		}
	}
	return pyJSON(v) + " is not an allowed value " + pyJSON(list)
}

func (c *Cloud) constrained(p *property, v any) string {
	num := func(s string) any {
		if s == "" {
			return nil
		}
		n, _ := strconv.ParseInt(s, 10, 64)
		return n
	}
	switch {
	case p.isRange:
		return outOfRange(pyStr(v), toFloat(v), num(p.low), num(p.high))
	case p.isLength:
		n := len([]rune(pyStr(v)))
		return outOfRange(fmt.Sprintf("length (%d)", n), float64(n), num(p.low), num(p.high))
	case len(p.allowed) > 0 && !slices.Contains(p.allowed, pyStr(v)):
		return notAllowedIn(v, p.allowed)
	}
	return ""
}

var macPattern = regexp.MustCompile(`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`)

// resolveRef checks a value by one of Heat's custom constraints and gives the
// id that it stands for; msg says what is wrong with it.
func (c *Cloud) resolveRef(kind, v string, who owner) (id, msg string) {
	failed := func(format string, args ...any) (string, string) {
		return "", fmt.Sprintf("Error validating value '%s': ", v) + fmt.Sprintf(format, args...)
	}
	mine := func(o obj) bool {
		return who.admin || o.str("project_id") == who.project || o["shared"] == true || o["router:external"] == true
	}
	lookup := func(t *table, singular string) (string, string) {
		switch found := t.find(v, mine); len(found) {
		case 1:
			return found[0].str("id"), ""
		case 0:
			return failed("Unable to find %s with name or id '%s'", singular, v)
		}
		return failed("Multiple %s matches found for name '%s', use an ID to be more specific.", singular, v)
	}
	all := func(obj) bool { return true }
	switch kind {
	case "glance.image":
		found := c.images.find(v, all)
		if len(found) == 0 {
			return failed("No images matching {'name': '%s'}.", v)
		}
		return found[0].str("id"), ""
	case "nova.flavor":
		if f := c.compute.flavor(v); f != nil {
			return f.id, ""
		}
		return failed("No Flavor matching {'name': '%s'}. (HTTP 404)", v)
	case "nova.keypair":
		if c.compute.key(who.user, v) == nil {
			return failed("The Key (%s) could not be found.", v)
		}
	case "neutron.network":
		return lookup(&c.network.nets, "network")
	case "neutron.subnet":
		return lookup(&c.network.subnets, "subnet")
	case "neutron.port":
		return lookup(&c.network.ports, "port")
	case "neutron.router":
		return lookup(&c.network.routers, "router")
	case "neutron.security_group":
		return lookup(&c.network.groups, "security_group")
	case "cinder.volume":
		if found := c.volumes.find(v, mine); len(found) > 0 {
			return found[0].str("id"), ""
		}
		return failed("The Volume (%s) could not be found.", v)
	case "cinder.vtype":
		if found := c.vtypes.find(v, all); len(found) > 0 {
			return found[0].str("id"), ""
		}
		return failed("The VolumeType (%s) could not be found.", v)
	case "octavia.loadbalancer":
		return lookup(&c.lb.loadbalancers, "loadbalancer")
	case "octavia.listener":
		return lookup(&c.lb.listeners, "listener")
	case "octavia.pool":
		return lookup(&c.lb.pools, "pool")
	case "net_cidr":
		if _, err := netip.ParsePrefix(v); err != nil {
			return failed("Invalid net cidr invalid IPNetwork %s ", v)
		}
	case "ip_addr":
		if _, err := netip.ParseAddr(v); err != nil {
			return failed("Invalid IP address")
		}
	case "ip_or_cidr":
		_, err1 := netip.ParseAddr(v)
		if _, err2 := netip.ParsePrefix(v); err1 != nil && err2 != nil {
			return failed("Invalid net cidr invalid IPNetwork %s ", v)
		}
	case "mac_addr":
		if !macPattern.MatchString(v) {
			return failed("Invalid MAC address.")
		}
	}
	return v, ""
}

// changed lists the properties that differ between two converted sets.
func changed(before, after map[string]any) []string {
	var out []string
	for _, k := range sortedKeys(after) {
		if !reflect.DeepEqual(before[k], after[k]) {
			out = append(out, k)
		}
	}
	for _, k := range sortedKeys(before) {
		if _, still := after[k]; !still {
			out = append(out, k)
		}
	}
	return out
}
