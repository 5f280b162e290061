package diff

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// difference is a change with what the table says of it.
type difference struct {
	Change
	Class Class
	Says  string
	Group string // of what is a group's own
}

// same is the cheap question, asked of every cluster in every run: are both
// written alike? If not, compare says whether that means anything.
func (t *table) same(a, b *schema.Spec) bool {
	if len(a.Groups) != len(b.Groups) || !labelsOf(a).equal(labelsOf(b)) {
		return false
	}
	for i := range t.spec {
		if at := t.spec[i].at; !equal(at(a), at(b)) {
			return false
		}
	}
	for i := range a.Groups {
		g, h := &a.Groups[i], &b.Groups[i]
		if g.Name != h.Name || g.Image != h.Image || (g.Labels == nil) != (h.Labels == nil) || !maps.Equal(g.Labels, h.Labels) ||
			(g.SecretLabels == nil) != (h.SecretLabels == nil) || !maps.Equal(g.SecretLabels, h.SecretLabels) {
			return false
		}
		for i := range t.group {
			if at := t.group[i].at; !equal(at(g), at(h)) {
				return false
			}
		}
	}
	return true
}

// compare lists what differs between two specs: the cluster's fields in the
// order of the table, its labels by key, then the groups. populated says
// whether a group has nodes that run.
func (t *table) compare(have, want *schema.Spec, populated func(group string) bool) []difference {
	var ds []difference
	for _, c := range t.spec {
		if a, b := c.at(have), c.at(want); !equal(a, b) {
			ds = append(ds, difference{Change{Field: c.Field, From: text(a), To: text(b)}, c.Class, c.Says, ""})
		}
	}
	x, y := labelsOf(have), labelsOf(want)
	for _, key := range labelKeys(x, y) {
		if d, ok := labelDifference("", key, x, y); ok {
			if key == zoneLabel && !slices.ContainsFunc(have.Groups, func(g schema.Group) bool {
				return populated(g.Name) && sameKey(labelsIn(have, g), x, key)
			}) {
				d.Class = ClassUpdate
			}
			ds = append(ds, d)
		}
	}
	for _, name := range groupNames(have, want) {
		ds = append(ds, t.compareGroup(have, want, name, populated(name))...)
	}
	return ds
}

// compareGroup lists what differs in one group, or that it came or went.
func (t *table) compareGroup(have, want *schema.Spec, name string, populated bool) []difference {
	path := "nodeGroups/" + name
	a, was := have.Group(name)
	b, is := want.Group(name)
	if was != is {
		d := difference{Change: Change{Field: path}, Class: ClassGroup, Group: name}
		if was {
			d.From = text(&a)
		} else {
			d.To = text(&b)
		}
		if was && master(a) || is && master(b) {
			d.Class, d.Says = ClassImmutable, mastersSay
		}
		return []difference{d}
	}
	var ds []difference
	for _, c := range t.group {
		if x, y := c.at(&a), c.at(&b); !equal(x, y) {
			d := difference{Change{Field: path + "/" + c.Field, From: text(x), To: text(y)}, c.Class, c.Says, name}
			if c.Class == ClassResize && master(a) {
				d.Class, d.Says = ClassImmutable, mastersSay
			}
			ds = append(ds, d)
		}
	}
	if x, y := have.ImageOf(a), want.ImageOf(b); x != y && (x != have.Image || y != want.Image) {
		ds = append(ds, difference{Change{Field: path + "/image", From: x, To: y}, ClassUpgrade, "", name})
	}
	x, y := labelsIn(have, a), labelsIn(want, b)
	for _, key := range labelKeys(x, y) {
		if followsLabel(have, want, a, b, key) {
			continue
		}
		if d, ok := labelDifference(path+"/", key, x, y); ok {
			d.Group = name
			if key == zoneLabel && !populated {
				d.Class = ClassUpdate
			}
			ds = append(ds, d)
		}
	}
	return ds
}

// followsLabel says that a group has the cluster's label on both sides.
func followsLabel(have, want *schema.Spec, a, b schema.Group, key string) bool {
	return sameKey(labelsIn(have, a), labelsOf(have), key) && sameKey(labelsIn(want, b), labelsOf(want), key)
}

// blend is have with those fields of want that are taken. It shares memory with
// both, which nobody changes. If nothing is left to take, it is want itself,
// so that the end of a chain of steps has exactly want's hash.
func (t *table) blend(have, want *schema.Spec, taken map[string]bool) *schema.Spec {
	if len(taken) == 0 {
		return have
	}
	to := *have
	for _, c := range t.spec {
		if taken[c.Field] {
			reflect.ValueOf(c.at(&to)).Elem().Set(reflect.ValueOf(c.at(want)).Elem())
		}
	}
	all := blendLabels(labelsOf(have), labelsOf(want), func(key string) bool { return takesLabel(taken, "", key) })
	to.Labels, to.SecretLabels = all.plain, all.secret
	to.Groups = nil
	for _, name := range groupNames(have, want) {
		a, was := have.Group(name)
		b, is := want.Group(name)
		switch {
		case was && is:
			to.Groups = append(to.Groups, t.blendGroup(&to, have, want, a, b, taken))
		case was && !taken["nodeGroups/"+name]:
			to.Groups = append(to.Groups, lone(&to, have, a))
		case is && taken["nodeGroups/"+name]:
			to.Groups = append(to.Groups, lone(&to, want, b))
		}
	}
	nobody := func(string) bool { return false }
	if len(t.compare(&to, want, nobody)) == 0 {
		return want
	}
	return &to
}

// blendGroup is a group of have with what is taken of want's.
func (t *table) blendGroup(to, have, want *schema.Spec, a, b schema.Group, taken map[string]bool) schema.Group {
	path := "nodeGroups/" + a.Name
	g := a
	for _, c := range t.group {
		if taken[path+"/"+c.Field] {
			reflect.ValueOf(c.at(&g)).Elem().Set(reflect.ValueOf(c.at(&b)).Elem())
		}
	}
	x, y := have.ImageOf(a), want.ImageOf(b)
	field := path + "/image"
	if x == have.Image && y == want.Image {
		field = "image"
	}
	if g.Image = x; taken[field] {
		g.Image = y
	}
	if g.Image == to.Image {
		g.Image = ""
	}
	all := blendLabels(labelsIn(have, a), labelsIn(want, b), func(key string) bool {
		if followsLabel(have, want, a, b, key) {
			return takesLabel(taken, "", key)
		}
		return takesLabel(taken, path+"/", key)
	})
	g.Labels, g.SecretLabels = all.apart(labelsOf(to))
	return g
}

// lone is a group that only one side has, as it is in to: where it has what the
// cluster has on that side, it has what the cluster has in to. A label that a
// new group repeats must not boot its nodes with a newer version than the
// masters have by then.
func lone(to, side *schema.Spec, g schema.Group) schema.Group {
	if g.Labels == nil && g.SecretLabels == nil {
		return g
	}
	own := labelsIn(side, g)
	all := blendLabels(labelsOf(to), own, func(key string) bool { return !sameKey(own, labelsOf(side), key) })
	g.Labels, g.SecretLabels = all.apart(labelsOf(to))
	return g
}

// groupNames are the groups of both, in the order that a Spec has them.
func groupNames(a, b *schema.Spec) []string {
	var names []string
	for _, gs := range [][]schema.Group{a.Groups, b.Groups} {
		for _, g := range gs {
			names = append(names, g.Name)
		}
	}
	slices.SortFunc(names, compareGroups)
	return slices.Compact(names)
}

func compareGroups(a, b string) int {
	rank := func(name string) int {
		return slices.Index([]string{"", schema.DefaultWorker, schema.DefaultMaster}, name)
	}
	return cmp.Or(cmp.Compare(max(rank(b), 0), max(rank(a), 0)), cmp.Compare(a, b))
}

// text prints a value that a column points at, as Change has it.
func text(v any) string {
	if s, ok := v.(*string); ok {
		return *s
	}
	if k := reflect.ValueOf(v).Elem(); (k.Kind() == reflect.Map || k.Kind() == reflect.Slice) && k.Len() == 0 {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("diff: a field that is not plain data: " + err.Error())
	}
	return string(b)
}

// where is the nearest place that was written: the field's own, else that of
// what holds it, else the cluster's document.
func where(c *schema.Cluster, field string) schema.Pos {
	for f := field; f != "" && f != "nodeGroups"; f = f[:max(strings.LastIndexByte(f, '/'), 0)] {
		if p := c.Where(f); p != c.Pos {
			return p
		}
	}
	return c.Pos
}
