package schema

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// Origins says where the effective fields of a cluster are written. It refers
// to the positions that were noted when the documents were read instead of
// copying them: a fleet has some forty for each cluster, and a run asks for a
// few. The zero Origins knows of no field.
type Origins struct {
	layers   []written // the cluster's document, then its template's
	replaced bool      // labels of the first layer, secret or not, replace those of the others
}

// written are the positions of one document.
type written struct {
	file  string
	marks []mark
}

// OriginsOf gives Origins with these positions, by effective field.
func OriginsOf(at map[string]Pos) Origins {
	files := map[string][]mark{}
	for _, field := range slices.Sorted(maps.Keys(at)) {
		p := at[field]
		files[p.File] = append(files[p.File], mark{field, int32(p.Line), int32(p.Column)}) //nolint:gosec // lines of a file
	}
	var o Origins
	for _, file := range slices.Sorted(maps.Keys(files)) {
		o.layers = append(o.layers, written{file, files[file]})
	}
	return o
}

// At is where an effective field is written: in the cluster's document, else in
// its template's; false if nobody wrote it. What a group takes over from the
// cluster is written where the cluster has it. An object that has no place of
// its own is where its first field is.
func (o Origins) At(field string) (Pos, bool) {
	for _, name := range candidates(field) {
		for i, from := range o.layers {
			if i > 0 && o.replaced && isLabel(name) {
				continue
			}
			if p, ok := from.at(name); ok {
				return p, true
			}
			// A secret may be written in plain text, as any other label.
			if before, key, ok := strings.Cut(name, "secretLabels/"); ok {
				if p, ok := from.at(before + "labels/" + key); ok {
					return p, true
				}
			}
		}
	}
	return Pos{}, false
}

// All gives every field that is written, with its position: the cluster's in
// the order of its document, then those of the template that the cluster does
// not write itself.
func (o Origins) All() iter.Seq2[string, Pos] {
	return func(yield func(string, Pos) bool) {
		seen := map[string]bool{}
		for i, from := range o.layers {
			for _, m := range from.marks {
				one := strings.Replace(m.field, "secretLabels/", "labels/", 1) // the nearer of the two counts
				if seen[one] || i > 0 && o.replaced && isLabel(m.field) {
					continue
				}
				seen[one] = true
				if !yield(m.field, from.pos(m)) {
					return
				}
			}
		}
	}
}

// isLabel says that a field is the cluster's labels or one of them.
func isLabel(field string) bool {
	top, _, _ := strings.Cut(field, "/")
	return top == "labels" || top == "secretLabels"
}

// Equal tells whether both know the same fields at the same places.
func (o Origins) Equal(p Origins) bool {
	return maps.Equal(maps.Collect(o.All()), maps.Collect(p.All()))
}

// candidates are the fields that a field may come from, nearest first.
func candidates(field string) []string {
	rest, ok := strings.CutPrefix(field, "nodeGroups/")
	if !ok {
		return []string{field}
	}
	group, rest, _ := strings.Cut(rest, "/")
	top, _, _ := strings.Cut(rest, "/")
	switch {
	case top == "flavor" && group != DefaultMaster && group != DefaultWorker:
		return []string{field, "nodeGroups/" + DefaultWorker + "/flavor"}
	case top == "dockerVolumeSize":
		return []string{field, "nodeGroups/*/dockerVolumeSize"}
	case top == "image" || top == "labels" || top == "secretLabels":
		return []string{field, rest}
	}
	return []string{field}
}

func (w written) pos(m mark) Pos { return Pos{w.file, int(m.line), int(m.column)} }

func (w written) at(field string) (Pos, bool) {
	below := -1
	for i, m := range w.marks {
		if m.field == field {
			return w.pos(m), true
		}
		if below < 0 && len(m.field) > len(field) && m.field[len(field)] == '/' && m.field[:len(field)] == field {
			below = i
		}
	}
	if below >= 0 {
		return w.pos(w.marks[below]), true
	}
	return Pos{}, false
}
