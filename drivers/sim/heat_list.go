package sim

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// hiddenTag is Heat's default hidden_stack_tags: such stacks are listed only
// with show_hidden.
const hiddenTag = "data-processing-cluster"

// filter is what a list asks for.
type filter struct {
	all, any, notAll, notAny []string
	fields                   map[string][]string
	hidden                   bool
}

func newFilter(v url.Values) (*filter, *heatErr) {
	f := &filter{fields: map[string][]string{}}
	for key, into := range map[string]*[]string{"tags": &f.all, "tags_any": &f.any, "not_tags": &f.notAll, "not_tags_any": &f.notAny} {
		if s := v.Get(key); s != "" {
			for t := range strings.SplitSeq(s, ",") {
				*into = append(*into, foldTag(t))
			}
		}
	}
	for _, key := range []string{"id", "name", "status", "action", "username", "owner_id"} {
		if vals := v[key]; len(vals) > 0 {
			f.fields[key] = vals
		}
	}
	if s := v.Get("show_hidden"); s != "" {
		b, valid := parseBool(s)
		if !valid || s == "1" || s == "0" {
			return nil, badRequest(`Unrecognized value "%s" for "show_hidden", acceptable values are: true, false`, s)
		}
		f.hidden = b
	}
	return f, nil
}

func (f *filter) match(s *stack) bool {
	has := func(t string) bool { return slices.Contains(s.fold, t) }
	every := func(list []string) bool { return !slices.ContainsFunc(list, func(t string) bool { return !has(t) }) }
	switch {
	case !f.hidden && has(hiddenTag),
		len(f.all) > 0 && !every(f.all),
		len(f.any) > 0 && !slices.ContainsFunc(f.any, has),
		len(f.notAll) > 0 && every(f.notAll),
		len(f.notAny) > 0 && slices.ContainsFunc(f.notAny, has):
		return false
	}
	for key, vals := range f.fields {
		v := map[string]string{"id": s.id, "name": s.name, "status": s.status, "action": s.action, "username": s.user.name}[key]
		if key == "owner_id" && s.parent != nil {
			v = s.parent.id
		}
		if !slices.ContainsFunc(vals, func(x string) bool { return foldTag(x) == foldTag(v) }) {
			return false
		}
	}
	return true
}

// listStacks answers one page. Rows are kept encoded: a fleet of ten thousand
// stacks is copied, not rendered.
func listStacks(q *query) reply {
	v := q.r.URL.Query()
	f, herr := newFilter(v)
	if herr != nil {
		return herr.reply()
	}
	limit, herr := listLimit(v.Get("limit"))
	if herr != nil {
		return herr.reply()
	}
	list, herr := q.listed(v)
	if herr != nil {
		return herr.reply()
	}
	at := len(list)
	ascending := v.Get("sort_dir") == "asc"
	if ascending {
		list = slices.Clone(list)
		slices.Reverse(list)
	}
	if m := q.heat.stacks[v.Get("marker")]; m != nil { // deleted markers hold their place
		if ascending {
			at = sort.Search(len(list), func(i int) bool { return list[i].seq <= m.seq })
		} else {
			at = sort.Search(len(list), func(i int) bool { return list[i].seq >= m.seq })
		}
	}
	var out bytes.Buffer
	out.WriteString(`{"stacks": [`)
	n, last := q.writeRows(&out, list[:at], f, limit)
	out.WriteByte(']')
	if last != nil && n == limit {
		next := nextLink(q.r.URL, q.self(), last.id)
		out.WriteString(`, "links": [` + string(marshal(obj{"rel": "next", "href": next})) + "]")
	}
	if v.Get("with_count") != "" {
		total := 0
		for _, s := range list {
			if f.match(s) {
				total++
			}
		}
		out.WriteString(`, "count": ` + strconv.Itoa(total))
	}
	out.WriteByte('}')
	return ok(out.Bytes())
}

// listLimit reads a page size; -1 is no limit.
func listLimit(s string) (int, *heatErr) {
	if s == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, badRequest("Only integer is acceptable by 'limit'.")
	}
	if n < 0 {
		return 0, badRequest("Value '%d' is invalid for 'limit' which only accepts non-negative integer.", n)
	}
	return n, nil
}

// writeRows writes up to limit matching rows from the end of list, and says
// how many and which was the last.
func (q *query) writeRows(out *bytes.Buffer, list []*stack, f *filter, limit int) (n int, last *stack) {
	for i := len(list) - 1; i >= 0 && n != limit; i-- {
		s := list[i]
		if !f.match(s) {
			continue
		}
		if n > 0 {
			out.WriteString(", ")
		}
		out.Write(q.listRow(s))
		n, last = n+1, s
	}
	return n, last
}

// nextLink keeps the query as it was asked and puts the marker at its end.
func nextLink(u *url.URL, self, marker string) string {
	kept := []string{}
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		if !strings.HasPrefix(part, "marker=") {
			kept = append(kept, part)
		}
	}
	return self + "?" + strings.Join(append(kept, "marker="+marker), "&")
}

// listed is what there is to filter, the oldest first.
func (q *query) listed(v url.Values) ([]*stack, *heatErr) {
	project := q.path("project")
	if g := v.Get("global_tenant"); g != "" {
		on, valid := parseBool(g)
		if !valid || g == "1" || g == "0" {
			return nil, badRequest(`Unrecognized value "%s" for "global_tenant", acceptable values are: true, false`, g)
		}
		if on && !q.tok.admin() {
			return nil, &heatErr{403, "Forbidden", "You are not authorized to use stacks:global_index."}
		}
		if on {
			project = ""
		}
	}
	nested, deleted := truthy(v.Get("show_nested")), truthy(v.Get("show_deleted"))
	if project != "" && !nested && !deleted {
		return q.heat.roots[project], nil
	}
	var out []*stack
	for _, s := range q.heat.stacks {
		if (project == "" || s.project.id == project) && (nested || s.parent == nil) && (deleted || s.deleted.IsZero()) {
			out = append(out, s)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].seq < out[j].seq })
	return out, nil
}

// listRow is one stack of the list, encoded once per change and base URL.
func (q *query) listRow(s *stack) []byte {
	if s.row != nil && s.rowFor == q.base() {
		return s.row
	}
	row := struct {
		ID      string              `json:"id"`
		Links   []map[string]string `json:"links"`
		Name    string              `json:"stack_name"`
		Desc    string              `json:"description"`
		Status  string              `json:"stack_status"`
		Reason  string              `json:"stack_status_reason"`
		Created string              `json:"creation_time"`
		Updated *string             `json:"updated_time"`
		Deleted *string             `json:"deletion_time"`
		Owner   string              `json:"stack_owner"`
		Parent  *string             `json:"parent"`
		Domain  string              `json:"stack_user_project_id"`
		Tags    []string            `json:"tags"`
	}{
		ID: s.id, Links: []map[string]string{{"href": q.stackURL(s), "rel": "self"}}, Name: s.name, Status: s.action + "_" + s.status,
		Reason: s.reason, Created: stamp(s.created), Owner: s.user.name, Domain: s.root().domainProject, Tags: s.tags,
	}
	if !s.updated.IsZero() {
		t := stamp(s.updated)
		row.Updated = &t
	}
	if !s.deleted.IsZero() {
		t := stamp(s.deleted)
		row.Deleted = &t
	}
	if s.parent != nil {
		row.Parent = &s.parent.id
	}
	raw, err := json.Marshal(row)
	if err != nil {
		panic(err) // strings and nothing else
	}
	s.row, s.rowFor = raw, q.base()
	return raw
}
