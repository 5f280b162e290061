package convert

import (
	"errors"
	"fmt"

	"jeroboam.io/jeroboam/schema"
)

// oldAttributes are those of bays and baymodels, which the API had until
// microversion 1.10, and those that only the client has.
//
//nolint:gochecknoglobals // a table, never changed
var oldAttributes = map[string]string{
	"baymodel_id": "cluster_template_id", "baymodel": "cluster_template_id", "cluster_template": "cluster_template_id",
	"bay_create_timeout": "create_timeout", "timeout": "create_timeout",
}

// magnum finds records in what Magnum's API or a client of it prints: an
// object, a list of them, or a list under its name.
func (c *collection) magnum(where string, v any) error {
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if err := c.magnum(fmt.Sprintf("%s, entry %d", where, i+1), item); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return c.magnumObject(where, v)
	}
	return unknownSource(v)
}

func (c *collection) magnumObject(where string, m map[string]any) error {
	if l, ok := m["errors"].([]any); ok && len(l) > 0 {
		first, _ := l[0].(map[string]any)
		return fmt.Errorf("this is an error that Magnum answered: %s", textOf(first["detail"]))
	}
	lists := 0
	for _, name := range []string{"clustertemplates", "baymodels", "clusters", "bays", "nodegroups"} {
		if l, ok := m[name].([]any); ok {
			lists++
			if err := c.magnum(where, l); err != nil {
				return err
			}
		}
	}
	if lists > 0 {
		return nil
	}
	r := &record{attrs: map[string]any{}, secret: map[string]bool{}, where: where, live: true}
	for name, v := range m {
		name = snake(name)
		if now, ok := oldAttributes[name]; ok {
			name = now
		}
		r.attrs[name] = v
	}
	r.place = placeOf(r.attrs)
	if r.place == "" {
		return unknownSource(m)
	}
	if r.place == schema.NodeGroups {
		r.listedGroup()
	}
	delete(r.attrs, "merge_labels")
	c.add(r)
	return nil
}

// placeOf tells templates, clusters and node groups apart. Newer clusters have a
// cluster_id too, and lists show less than half of the attributes.
func placeOf(attrs map[string]any) string {
	has := func(names ...string) bool {
		for _, n := range names {
			if _, ok := attrs[n]; ok {
				return true
			}
		}
		return false
	}
	switch {
	case has("role", "is_default"):
		return schema.NodeGroups
	case has("cluster_template_id", "master_count", "node_count"):
		return schema.KindCluster
	case has("coe", "image_id"):
		return schema.KindClusterTemplate
	}
	return ""
}

// listedGroup drops what Magnum says wrongly of node groups in a list, which
// does not name their cluster either: the bounds there are the defaults of an
// empty object, not the group's.
func (r *record) listedGroup() {
	if empty(r.attrs["cluster_id"]) {
		delete(r.attrs, "min_node_count")
		delete(r.attrs, "max_node_count")
	}
}

var errNoMapping = errors.New("expected a mapping at the top")
