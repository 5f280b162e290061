package view

import (
	"fmt"
	"strings"
)

// alikeFrom is from how many clusters on text says a thing once for all.
const alikeFrom = 6

// group puts items together that say the same, where there are at least few of
// them, at the place of the first. The others stay alone in their places.
func group[T any](items []T, says func(T) string, few int) [][]T {
	count := map[string]int{}
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = says(item)
		count[keys[i]]++
	}
	var groups [][]T
	first := map[string]int{}
	for i, item := range items {
		at, seen := first[keys[i]]
		switch {
		case count[keys[i]] < few:
			groups = append(groups, []T{item})
		case seen:
			groups[at] = append(groups[at], item)
		default:
			first[keys[i]] = len(groups)
			groups = append(groups, []T{item})
		}
	}
	return groups
}

// several names the first few of many.
func several(names []string, few int) string {
	if len(names) <= few+1 { // "… 1 more" is no shorter than the name
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s, … %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// names gives the name of each item.
func names[T any](items []T, name func(T) string) []string {
	all := make([]string, 0, len(items))
	for _, item := range items {
		all = append(all, name(item))
	}
	return all
}

// sameOn names one cluster, or the first of the clusters that are alike.
func sameOn(clusters []string) string {
	if len(clusters) == 1 {
		return clusters[0]
	}
	return fmt.Sprintf("same on %d clusters: %s", len(clusters), several(clusters, 3))
}

// count is "1 node" or "3 nodes".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
