package convert

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// A record is a cluster template, cluster or node group in the words of
// Magnum's API.
type record struct {
	place string         // schema.KindClusterTemplate, schema.KindCluster or schema.NodeGroups
	attrs map[string]any // by Magnum's name; what is empty there is absent here
	ids   []string       // by which other records mean this one
	where string         // for notes: the input, and the place in it

	// live: Magnum said this of something that exists, so the values are what came
	// out of template and cluster together, and node_count counts all workers.
	live bool

	// merge is Magnum's merge_labels where it is a wish. Magnum itself does not
	// keep it and prints false whatever it was.
	merge bool

	secret map[string]bool // attributes, and labels as "labels/KEY", that the source marks as secret
	notes  []Note
}

func (r *record) text(attr string) string { return textOf(r.attrs[attr]) }

func (r *record) note(attr, text string) {
	r.notes = append(r.notes, Note{Attributes: []string{attr}, Text: text})
}

// A collection is what the inputs hold.
type collection struct {
	records []*record
	notes   []Note // on what is not to become a record

	// Of united records:
	named  map[meaning]*record   // the first that is meant
	groups map[*record][]*record // node groups by their cluster; nil: of none that is here
}

// meaning is how one record means another.
type meaning struct{ place, id string }

// add takes a record, without the attributes that say nothing.
func (c *collection) add(r *record) {
	maps.DeleteFunc(r.attrs, func(_ string, v any) bool { return empty(v) })
	for _, id := range []string{"uuid", "name"} {
		if s := r.text(id); s != "" {
			r.ids = append(r.ids, s)
		}
	}
	c.records = append(c.records, r)
}

// unite makes one record of those that are about the same thing: a list and
// what show prints of its entries. What only the later one says is added. Then
// it finds out who means whom.
func (c *collection) unite() {
	var kept []*record
	first := map[meaning]*record{}
	for _, r := range c.records {
		is := meaning{r.place, r.text("uuid")}
		known := first[is]
		if known == nil {
			kept = append(kept, r)
			if is.id != "" {
				first[is] = r
			}
			continue
		}
		for name, v := range r.attrs {
			if _, ok := known.attrs[name]; !ok {
				known.attrs[name] = v
			}
		}
		maps.Copy(known.secret, r.secret)
	}
	c.records, c.named = kept, map[meaning]*record{}
	for _, r := range kept {
		for _, id := range r.ids {
			if is := (meaning{r.place, id}); c.named[is] == nil {
				c.named[is] = r
			}
		}
	}
	c.groups = map[*record][]*record{}
	clusters := c.of(schema.KindCluster)
	for _, g := range c.of(schema.NodeGroups) {
		cluster := c.find(schema.KindCluster, g.text("cluster_id"))
		// A list of groups does not say whose they are.
		if g.text("cluster_id") == "" && len(clusters) == 1 {
			cluster = clusters[0]
		}
		c.groups[cluster] = append(c.groups[cluster], g)
	}
}

// find gives the record of a place that is called so, or nil.
func (c *collection) find(place, id string) *record { return c.named[meaning{place, id}] }

// of gives all records of a place.
func (c *collection) of(place string) []*record {
	var list []*record
	for _, r := range c.records {
		if r.place == place {
			list = append(list, r)
		}
	}
	return list
}

// empty tells whether a value stands for none: the client prints "-" and "None".
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "-" || v == "None" || v == "null"
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// textOf is a scalar as text, empty for anything else.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

func keysOf(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// snake spells an attribute as Magnum's API does: docker-volume-size of a
// command line is docker_volume_size.
func snake(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "_")) }
