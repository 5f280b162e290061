package heat

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

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
