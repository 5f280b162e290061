package heat

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Observe lists the project's root stacks and reads in detail those that are
// not as they were remembered: a fleet without change costs list pages only.
func (d *Driver) Observe(ctx context.Context) ([]diff.Observed, error) {
	last := d.last.Load()
	if last == nil {
		last = &looked{}
	}
	rows, pages, err := d.api.list(ctx, last.pages)
	if err != nil {
		return nil, err
	}
	var known map[string]diff.Observed
	if d.memory != nil {
		known = d.memory.Recall(d.cloudName)
	}
	if last.still(pages, known) {
		return slices.Clone(last.seen), nil
	}
	seen := make([]*diff.Observed, len(rows))
	same := make([]diff.Observed, 0, min(len(rows), len(known)))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	hashes, asked := specHashes{}, false
	for i, r := range rows {
		if old, ok := known[r.ID]; ok && d.unchanged(r, old, hashes) {
			same = append(same, old)
			seen[i] = &same[len(same)-1]
			continue
		}
		if d.mayBeOurs(r) {
			asked = true
			group.Go(func() (err error) { seen[i], err = d.detail(ctx, r); return err })
		}
	}
	vanished, err := d.vanished(ctx, rows, known)
	if err := cmpErr(group.Wait(), err); err != nil {
		return nil, err
	}
	all, now := sorted(seen, vanished), &looked{pages: pages}
	if !asked && len(vanished) == 0 {
		now.known, now.seen = known, slices.Clone(all)
	}
	d.last.Store(now)
	return all, nil
}

// cmpErr is the first error there is.
func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sorted drops what is not ours, and of two that claim one name the gone one.
func sorted(seen []*diff.Observed, vanished []diff.Observed) []diff.Observed {
	all := make([]diff.Observed, 0, len(seen))
	present := map[schema.Key]bool{}
	for _, o := range seen {
		if o != nil {
			all = append(all, *o)
			present[o.Key] = true
		}
	}
	for _, o := range vanished {
		if !present[o.Key] {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b diff.Observed) int { return a.Key.Compare(b.Key) })
	return all
}

// mayBeOurs goes by the name, which a foreign update cannot change as it can
// the tags. What has our tag under a name that we never give is a copy.
func (d *Driver) mayBeOurs(r row) bool {
	_, ours := named(r.Name, d.owner, d.cloudName)
	return ours
}

// unchanged says that a row shows what was remembered. A cluster in motion or
// in trouble is always read, and tags are compared since they can be changed
// within the second of an update.
func (d *Driver) unchanged(r row, old diff.Observed, hashes specHashes) bool {
	if !calm(r.status()) || old.Version != r.version() || old.Moving {
		return false
	}
	switch old.Owner {
	case diff.Ours:
		return old.Spec != nil && hasTag(r.Tags, tagOwner+d.owner) && hasTag(r.Tags, tagSpec+hashes.of(old.Spec))
	case diff.Foreign:
		return !hasTag(r.Tags, tagOwner+d.owner)
	default:
		return false
	}
}

// specHashes are hashes that were asked for: remembered clusters that are alike
// share their spec.
type specHashes map[*schema.Spec]string

func (h specHashes) of(s *schema.Spec) string {
	hash, ok := h[s]
	if !ok {
		hash = s.Hash()
		h[s] = hash
	}
	return hash
}

// calm says that a stack did what it was last asked for: made, updated, checked
// or rolled back. Its nodes may be looked up in it and remembered.
func calm(s diff.Status) bool {
	switch s {
	case diff.CreateComplete, diff.UpdateComplete, diff.CheckComplete, diff.RollbackComplete:
		return true
	default:
		return false
	}
}

// vanished asks by id for what was remembered and is not in the list: an empty
// list may be a lie, and only the stack itself says that it is gone.
func (d *Driver) vanished(ctx context.Context, rows []row, known map[string]diff.Observed) ([]diff.Observed, error) {
	listed := make(map[string]bool, len(rows))
	for _, r := range rows {
		listed[r.ID] = true
	}
	var lost []diff.Observed
	for id, old := range known {
		if !listed[id] && old.Owner != diff.Foreign {
			lost = append(lost, old)
		}
	}
	slices.SortFunc(lost, func(a, b diff.Observed) int { return a.Key.Compare(b.Key) })
	for i := range lost {
		o := &lost[i]
		s, err := d.api.show(ctx, row{ID: o.ID, Name: stackName(d.owner, o.Key)}.path())
		switch {
		case gone(err): // purged from Heat's database
			o.Status, o.Version, o.Reason = diff.DeleteComplete, o.ID+"@/"+string(diff.DeleteComplete), ""
		case err != nil:
			return nil, err
		case s.status() != diff.DeleteComplete && s.status() != diff.DeleteInProgress:
			return nil, &drivers.Error{Kind: drivers.Transient, Op: "list stacks", Err: fmt.Errorf(
				"the list lacks stack %s, which exists and is %s: nothing is decided on such a list", s.Name, s.Status)}
		default:
			o.Status, o.Version, o.Reason = s.status(), s.version(), s.Reason
		}
		o.Moving, o.Nodes, o.Drift = false, nil, nil
	}
	return lost, nil
}

// detail reads one stack. A stack that is gone by now, or is not ours after
// all, is nil.
func (d *Driver) detail(ctx context.Context, r row) (*diff.Observed, error) {
	s, err := d.api.show(ctx, r.path())
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o := &diff.Observed{
		ID: s.ID, Version: s.version(), Status: s.status(), Reason: s.Reason,
		CreatedAt: s.Created, UpdatedAt: s.Updated,
	}
	o.Key, _ = named(s.Name, d.owner, d.cloudName)
	switch {
	case s.Parameters[paramOwner] != d.owner:
		o.Owner = diff.Foreign
		return o, nil
	case hasTag(s.Tags, tagOwner+d.owner):
		o.Owner = diff.Ours
	default:
		o.Owner = diff.TagsLost
	}
	return o, d.describe(ctx, s, o)
}

// describe fills in what our own parameters, template and resources tell.
func (d *Driver) describe(ctx context.Context, s shown, o *diff.Observed) error {
	root, err := d.api.template(ctx, s.path())
	if err != nil && !gone(err) {
		return err
	}
	l, why := d.layoutOf(s, root)
	if why != "" {
		o.Unknown = why
		return nil
	}
	o.Spec, o.Type, o.TypeRevision, o.Protected = &l.spec, l.about.Type, l.about.Revision, l.about.Protected
	for _, n := range l.nodes {
		o.Nodes = append(o.Nodes, diff.Node{Name: n.Name, Group: n.Group, Number: n.Number, Revision: n.Revision, State: diff.NodeReady})
	}
	outputs(s, o)
	if !strings.HasPrefix(s.Status, "DELETE_") { // the template of a stack that goes shows no resources
		o.Drift = drift(s, l, root, o.Owner)
	}
	if calm(s.status()) {
		return nil
	}
	resources, err := d.api.resources(ctx, s.path())
	if err != nil && !gone(err) {
		return err
	}
	nodeStates(o, resources, s.inProgress())
	return nil
}

// layoutOf reads a layout back from a live stack; why says what is wrong with it.
func (d *Driver) layoutOf(s shown, root map[string]any) (l layout, why string) {
	l = layout{owner: d.owner}
	if err := json.Unmarshal([]byte(s.Parameters[paramCluster]), &l.about); err != nil {
		return l, fmt.Sprintf("parameter %s of stack %s cannot be read: %v", paramCluster, s.Name, err)
	}
	if err := json.Unmarshal([]byte(s.Parameters[paramSpec]), &l.spec); err != nil {
		return l, fmt.Sprintf("parameter %s of stack %s cannot be read: %v", paramSpec, s.Name, err)
	}
	l.nodes = nodesOf(root)
	l.pinned(root)
	l.sort()
	return l, ""
}

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

// drift is what Git did not ask for: tags that somebody dropped or changed,
// parameters and a template that are not what we sent.
func drift(s shown, l layout, root map[string]any, owner diff.Ownership) []diff.Drift {
	var found []diff.Drift
	if owner == diff.TagsLost {
		found = append(found, diff.Drift{Field: "tags", Detail: "the owner's tag is gone from the stack: somebody updated it without its tags"})
	} else if !hasTag(s.Tags, tagSpec+l.spec.Hash()) {
		found = append(found, diff.Drift{Field: "parameters", Detail: "parameter " + paramSpec + " is not the one whose digest the tags hold"})
	}
	want, err := l.root()
	if err != nil || reflect.DeepEqual(plain(want), root) {
		return found
	}
	return append(found, diff.Drift{Field: "template", Detail: "differs in " + strings.Join(differing(plain(want), root), ", ")})
}

// plain is v as it looks after a way through JSON.
func plain(v map[string]any) map[string]any {
	var p map[string]any
	if err := json.Unmarshal([]byte(mustJSON(v)), &p); err != nil {
		panic("heat: " + err.Error())
	}
	return p
}

// differing names the resources, parameters and outputs in which two templates
// differ.
func differing(a, b map[string]any) []string {
	var names []string
	for _, section := range []string{"parameters", "conditions", "resources", "outputs"} {
		x, _ := a[section].(map[string]any)
		y, _ := b[section].(map[string]any)
		for name := range x {
			if !reflect.DeepEqual(x[name], y[name]) {
				names = append(names, section+"."+name)
			}
		}
		for name := range y {
			if _, ok := x[name]; !ok {
				names = append(names, section+"."+name)
			}
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		names = []string{"its description or version"}
	}
	return names
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
