package schema

import (
	"maps"
	"slices"
	"strings"
)

// checkLabels applies the catalogue to the labels of a cluster and its groups,
// over cluster and template together.
func (c *clusterResolver) checkLabels(s *Spec) {
	types := PossibleTypes(s, c.play.driver)
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		c.checkLabel(types, key, "labels/"+key)
	}
}

// checkLabel tells of a label that nobody reads.
func (c *clusterResolver) checkLabel(types []ClusterType, key, field string) {
	l, known := LabelOf(key)
	switch {
	case strings.Contains(c.play.labels, key+" "):
	case !known:
		c.report(c.where(field), CodeUnknownLabel, c.pointer(field), didYouMean(key, slices.Collect(maps.Keys(catalogue()))), "unknown label %q", key)
	case len(types) > 0 && !slices.ContainsFunc(types, func(t ClusterType) bool { _, ok := l.ReadBy(t.Name); return ok }):
		c.report(c.where(field), CodeLabelIgnored, c.pointer(field), "leave it out", "no cluster type for this reads the label %q", key)
	}
}
