package heat

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
)

// outputs takes the API's address, and the nodes' servers, addresses and what
// they reported, from the stack's outputs. Until a resource is there its
// attributes are its name in our template, or nothing.
func outputs(s shown, o *diff.Observed) {
	for _, out := range s.Outputs {
		switch byName, _ := out.Value.(map[string]any); out.Key {
		case "api_address":
			text, _ := out.Value.(string)
			if u, err := url.Parse(text); err == nil {
				if _, err := netip.ParseAddr(u.Hostname()); err == nil {
					o.APIAddress = text
				}
			}
		case "nodes":
			for i := range o.Nodes {
				described(asMap(byName[o.Nodes[i].Name]), &o.Nodes[i])
			}
		}
	}
}

// serverID is what Nova gives.
var serverID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func described(m map[string]any, n *diff.Node) {
	if id, _ := m["server"].(string); serverID.MatchString(id) {
		n.Server = id
	}
	text, _ := m["address"].(string)
	if _, err := netip.ParseAddr(text); err == nil {
		n.Address = text
	}
	text, _ = m["report"].(string)
	n.Versions = reported(text)
}

// versions is the form in which a node reports them (boot.sh).
var versions = regexp.MustCompile(`^[a-z]+=\S+( [a-z]+=\S+)*$`)

// reported are the versions in the data of a wait condition: JSON, by the ids of
// the signals that came.
func reported(data string) string {
	var byID map[string]string
	if json.Unmarshal([]byte(data), &byID) != nil {
		return ""
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		if text := byID[id]; len(text) <= 200 && versions.MatchString(text) {
			return text
		}
	}
	return ""
}

// nodeStates reads every node's state from its own resources: the root's
// reason names one failed node at most, and by a path that an update scrambles.
func nodeStates(o *diff.Observed, resources []resource, moving bool) {
	stacks, below := map[string]resource{}, map[string][]resource{}
	for _, r := range resources {
		if r.Parent == "" {
			stacks[r.Name] = r
		} else {
			below[r.Parent] = append(below[r.Parent], r)
		}
		if !moving && strings.HasSuffix(r.Status, "_IN_PROGRESS") {
			o.Moving = true
		}
	}
	var failed []failure
	var after []string
	for i := range o.Nodes {
		n := &o.Nodes[i]
		n.State, n.Reason = nodeState(stacks[n.Name], below[n.Name], moving || o.Moving)
		delete(stacks, n.Name)
		switch {
		case n.Reason == notBegun:
			after = append(after, n.Name)
		case n.State == diff.NodeFailed:
			failed = append(failed, failure{n.Name, n.Reason})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stacks)) { // what nodes share comes first: they may have failed for it
		if r := stacks[name]; strings.HasSuffix(r.Status, "_FAILED") {
			failed = slices.Insert(failed, 0, failure{name, r.Reason})
		}
	}
	if len(failed)+len(after) > 0 {
		o.Reason = reasons(failed, after)
	}
}

// failure is a node, or something that nodes share, and why it failed.
type failure struct{ name, reason string }

// What is kept of reasons, in bytes. A node says at most a thousand bytes of its
// own, but what Heat says of itself may be as long as a template.
const (
	maxReason  = 2 << 10 // of one node
	maxReasons = 8 << 10 // of a cluster, beside the names
	minReason  = 40      // of each node in it, however many there are

	notBegun = "it was not begun when another part of the stack failed"
)

// reasons names everything that failed, each with its share of what may be said,
// and the nodes that were not begun because of it.
func reasons(failed []failure, after []string) string {
	var said []string
	for _, f := range failed {
		said = append(said, f.name+": "+clip(f.reason, max(maxReasons/len(failed), minReason)))
	}
	if len(after) > 0 {
		said = append(said, strings.Join(after, ", ")+": not begun when another part of the stack failed")
	}
	return strings.Join(said, "; ")
}

// clip cuts a text to at most limit bytes of whole characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const more = "..."
	s = s[:limit-len(more)]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + more
}

// nodeState goes by the node's own resources first: of its nested stack only one
// reason is known, and under the root's name for it. A stack that a check or a
// rollback has been over is as good as one that was made; INIT_COMPLETE is one
// that was not begun.
func nodeState(stack resource, below []resource, moving bool) (diff.NodeState, string) {
	if strings.HasSuffix(stack.Status, "_IN_PROGRESS") {
		return diff.NodeMoving, ""
	}
	for _, r := range below {
		if strings.HasSuffix(r.Status, "_FAILED") {
			return diff.NodeFailed, clip(r.Name+": "+r.Reason, maxReason)
		}
	}
	switch {
	case strings.HasSuffix(stack.Status, "_FAILED"):
		return diff.NodeFailed, clip(stack.Reason, maxReason)
	case strings.HasSuffix(stack.Status, "_COMPLETE") && stack.Status != "INIT_COMPLETE" && stack.Status != "DELETE_COMPLETE":
		return diff.NodeReady, ""
	case moving:
		return diff.NodeMoving, ""
	default:
		return diff.NodeFailed, notBegun
	}
}

// Inspect marks the nodes whose server is gone: a server that somebody deleted
// is in no stack list. One paginated list of the project's servers, and one
// question more for each that it lacks.
func (d *Driver) Inspect(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error) {
	servers, err := d.api.servers(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(observed)
	for i := range out {
		o := &out[i]
		if o.Owner == diff.Foreign || !calm(o.Status) {
			continue
		}
		missing := func(n diff.Node) bool { return n.Server != "" && !servers[n.Server] }
		if !slices.ContainsFunc(o.Nodes, missing) {
			continue
		}
		o.Nodes = slices.Clone(o.Nodes)
		for j := range o.Nodes {
			n := &o.Nodes[j]
			if !missing(*n) {
				continue
			}
			if err := d.missing(ctx, n.Server); err != nil {
				return nil, err
			}
			n.State, n.Reason = diff.NodeMissing, "server "+n.Server+" is gone: somebody deleted it"
		}
	}
	return out, nil
}

// missing is nil if Nova itself says that there is no such server. A list that
// only lacks it may be a lie, and would have every node replaced.
func (d *Driver) missing(ctx context.Context, server string) error {
	switch err := d.api.server(ctx, server); {
	case gone(err):
		return nil
	case err != nil:
		return err
	}
	return &drivers.Error{Kind: drivers.Transient, Op: "list servers", Err: fmt.Errorf(
		"the list lacks server %s, which exists: nothing is decided on such a list", server)}
}
