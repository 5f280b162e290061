package heat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// pageSize of stack and server lists.
const pageSize = "1000"

// row is one stack as Heat lists or shows it, as far as it is needed. Lists
// hold no parameters and no outputs.
type row struct {
	ID      string   `json:"id"`
	Name    string   `json:"stack_name"`
	Tags    []string `json:"tags"`
	Created string   `json:"creation_time"`
	Updated string   `json:"updated_time"` // empty after create; set at the start of every accepted update
	Status  string   `json:"stack_status"`
	Reason  string   `json:"stack_status_reason"`
}

func (r row) path() string { return "/stacks/" + url.PathEscape(r.Name) + "/" + r.ID }

// version changes with every accepted update and every change of status. The
// time alone would not do, because its resolution is one second; the tags hold
// the digest of what was asked, and are replaced when an update is accepted.
func (r row) version() string {
	return r.ID + "@" + cmp.Or(r.Updated, r.Created) + "/" + r.Status + "/" + schema.Digest(slices.Sorted(slices.Values(r.Tags)))[:8]
}

func (r row) status() diff.Status { return diff.Status(r.Status) }

func (r row) inProgress() bool { return strings.HasSuffix(r.Status, "_IN_PROGRESS") }
func (r row) failed() bool     { return strings.HasSuffix(r.Status, "_FAILED") }

// shown is a stack in detail.
type shown struct {
	row
	Parameters map[string]string `json:"parameters"`
	Outputs    []output          `json:"outputs"`
}

type output struct {
	Key   string `json:"output_key"`
	Value any    `json:"output_value"`
}

// resource of a stack or, with a parent, of one of its nested stacks.
type resource struct {
	Name     string `json:"resource_name"`
	Type     string `json:"resource_type"`
	Status   string `json:"resource_status"`
	Reason   string `json:"resource_status_reason"`
	Physical string `json:"physical_resource_id"`
	Parent   string `json:"parent_resource"`
}

// stackBody is what a create or update sends. It is ours because the client
// library's helper would resolve get_file and file names from the local disk.
type stackBody struct {
	Name            string            `json:"stack_name,omitempty"`
	Template        map[string]any    `json:"template"`
	Files           map[string]string `json:"files"`
	Parameters      map[string]string `json:"parameters"`
	Tags            string            `json:"tags"`
	TimeoutMinutes  int               `json:"timeout_mins,omitempty"`
	DisableRollback bool              `json:"disable_rollback"`
}

// heatAPI is the part of Heat that the driver uses.
type heatAPI struct{ cloud *openstack.Cloud }

// list reads all root stacks of the project; before are the pages of the last time.
// It does not filter by tag: the filter ignores case, and a stack that lost its tags
// must be seen as well. The end is an empty page: a short one may be a proxy's or a
// limit's doing.
func (h heatAPI) list(ctx context.Context, before pages) ([]row, pages, error) {
	var all []row
	seen, now := map[string]bool{}, pages{}
	query := url.Values{"limit": {pageSize}}
	for {
		asked := query.Encode()
		page, err := h.page(ctx, query, before[asked])
		if now[asked] = page; err != nil || len(page.stacks) == 0 {
			return all, now, err
		}
		more := len(all)
		for _, r := range page.stacks {
			if !seen[r.ID] {
				seen[r.ID] = true
				all = append(all, r)
			}
		}
		if len(all) == more {
			return nil, nil, &drivers.Error{Kind: drivers.Unknown, Op: "list stacks", Err: errSamePage}
		}
		query.Set("marker", page.stacks[len(page.stacks)-1].ID)
	}
}

// page reads one page. While a stack goes away Heat 19 may answer the list with
// 400: it reads the tags late, and there are none any more. Asking again helps.
func (h heatAPI) page(ctx context.Context, query url.Values, before page) (page, error) {
	for attempt := 1; ; attempt++ {
		err := h.cloud.Get(ctx, "orchestration", "/stacks", query, &before)
		fault := openstack.AsFault(err)
		if fault == nil || fault.Status != http.StatusBadRequest {
			return before, err
		}
		if attempt == 3 {
			return before, &drivers.Error{Kind: drivers.Transient, Op: "list stacks", Err: err}
		}
	}
}

// errSamePage is a list without end.
var errSamePage = errors.New("the next page is the same again: does something before the service drop its query?")

// named finds a root stack by its exact name. Asking for the stack itself by
// name would be answered with a redirect.
func (h heatAPI) named(ctx context.Context, name string) (row, bool, error) {
	found, err := h.page(ctx, url.Values{"name": {name}}, page{})
	for _, r := range found.stacks {
		if r.Name == name {
			return r, true, err
		}
	}
	return row{}, false, err
}

func (h heatAPI) show(ctx context.Context, path string) (shown, error) {
	var got struct {
		Stack shown `json:"stack"`
	}
	err := h.cloud.Get(ctx, "orchestration", path, nil, &got)
	return got.Stack, err
}

func (h heatAPI) template(ctx context.Context, path string) (map[string]any, error) {
	var root map[string]any
	err := h.cloud.Get(ctx, "orchestration", path+"/template", nil, &root)
	return root, err
}

func (h heatAPI) files(ctx context.Context, path string) (map[string]string, error) {
	var files map[string]string
	err := h.cloud.Get(ctx, "orchestration", path+"/files", nil, &files)
	return files, err
}

// resources are those of the root and of every node's stack.
func (h heatAPI) resources(ctx context.Context, path string) ([]resource, error) {
	var got struct {
		Resources []resource `json:"resources"`
	}
	err := h.cloud.Get(ctx, "orchestration", path+"/resources", url.Values{"nested_depth": {"1"}}, &got)
	return got.Resources, err
}

func (h heatAPI) create(ctx context.Context, body stackBody) error {
	return h.cloud.Post(ctx, "orchestration", "/stacks", body, nil)
}

// update replaces template, files, parameters and tags by exactly what is sent:
// a PATCH would keep every node file that there ever was.
func (h heatAPI) update(ctx context.Context, path string, body stackBody) error {
	return h.cloud.Put(ctx, "orchestration", path, body, nil)
}

func (h heatAPI) delete(ctx context.Context, path string) error {
	return h.cloud.Delete(ctx, "orchestration", path, nil, nil)
}

// server is a row of Nova's list.
type server struct {
	ID string `json:"id"`
}

// servers are the ids of all servers of the project.
func (h heatAPI) servers(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	err := novaPages(ctx, h.cloud, "/servers", "servers", func(s server) (id string, known bool) {
		known = ids[s.ID]
		ids[s.ID] = true
		return s.ID, known
	})
	return ids, err
}

// novaPages reads a list of Nova's to its end, which is a page that links to no
// other. Unlike Heat's, a marker that was deleted in the meantime is an error
// there; so is, for us, a page on which everything is known.
func novaPages[T any](ctx context.Context, c *openstack.Cloud, path, key string, take func(T) (id string, known bool)) error {
	query := url.Values{"limit": {pageSize}}
	for {
		var page map[string]json.RawMessage
		err := c.Get(ctx, "compute", path, query, &page)
		if f := openstack.AsFault(err); f != nil && f.Status == http.StatusBadRequest && query.Has("marker") {
			return &drivers.Error{Kind: drivers.Transient, Op: "list " + key, Err: fmt.Errorf("it changed while it was read: %w", f)}
		}
		if err != nil {
			return err
		}
		var rows []T
		if err := json.Unmarshal(page[key], &rows); err != nil {
			return &drivers.Error{Kind: drivers.Unknown, Op: "list " + key, Err: err}
		}
		fresh := false
		for _, r := range rows {
			id, known := take(r)
			fresh = fresh || !known
			query.Set("marker", id)
		}
		switch {
		case len(page[key+"_links"]) == 0:
			return nil
		case !fresh:
			return &drivers.Error{Kind: drivers.Unknown, Op: "list " + key, Err: errSamePage}
		}
	}
}

// serverStatus is Nova's word for how a server is.
func (h heatAPI) serverStatus(ctx context.Context, id string) (string, error) {
	var got struct {
		Server struct {
			Status string `json:"status"`
		} `json:"server"`
	}
	err := h.cloud.Get(ctx, "compute", "/servers/"+url.PathEscape(id), nil, &got)
	return got.Server.Status, err
}

// server is nil if there is such a server.
func (h heatAPI) server(ctx context.Context, id string) error {
	return h.cloud.Get(ctx, "compute", "/servers/"+url.PathEscape(id), nil, nil)
}

// gone says that an error means: there is no such thing.
func gone(err error) bool { return drivers.KindOf(err) == drivers.NotFound }
