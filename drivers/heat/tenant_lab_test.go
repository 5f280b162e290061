package heat_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// tenant is a project of the lab's with one user, and nobody else works in it:
// what is there after a delete was left by it.
type tenant struct {
	*ground
	user string // id; its name is the project's
	mark string // how the names of all clusters in it begin
	own  *openstack.Cloud
	had  map[string]bool // before anything was made
}

func newTenant(t *testing.T, mark string) *tenant {
	t.Helper()
	n := &tenant{ground: newGround(t), mark: mark}
	var made struct{ User struct{ ID string } }
	n.post("identity", "/users", map[string]any{"user": map[string]any{"name": n.name, "domain_id": "default", "password": "lab"}}, &made)
	n.user = made.User.ID
	n.later("identity", "/users/"+n.user)
	n.grant(n.user, memberRoles()...)
	n.own = n.connect(n.name, n.name)
	if err := n.own.Post(t.Context(), "compute", "/os-keypairs", map[string]any{"keypair": map[string]any{"name": "testkey"}}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.cleanUp)
	// Neutron makes a project's default security group when groups are listed first.
	for range 2 {
		have, err := n.things(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n.had = have
	}
	return n
}

// driver is one that acts in the project as its user.
func (n *tenant) driver() drivers.Driver {
	n.Helper()
	o := drivers.Options{Cloud: openstack.EnvCloud, Owner: n.name, Instance: "speed", Log: zap.NewNop()}
	d, err := heat.OpenOn(n.Context(), o, n.env(n.name, n.name), nil)
	if err != nil {
		n.Fatal(err)
	}
	return d
}

// listing is one list of one service.
type listing struct {
	by            *openstack.Cloud
	service, path string
	key           string // of the rows in the answer
	query         url.Values
	all           bool // all rows are the project's; else those that have its id or mark in their names
}

// lists are all that a cluster may leave behind.
func (n *tenant) lists(ctx context.Context) ([]listing, error) {
	project := url.Values{"project_id": {n.project}}
	all := []listing{
		{n.own, "orchestration", "/stacks", "stacks", url.Values{"show_nested": {"true"}}, true},
		{n.own, "compute", "/servers", "servers", nil, true},
		{n.own, "compute", "/os-server-groups", "server_groups", nil, true},
		{n.own, "block-storage", "/volumes", "volumes", nil, true},
		{n.own, "block-storage", "/snapshots", "snapshots", nil, true},
		{n.own, "key-manager", "/secrets", "secrets", url.Values{"limit": {"100"}}, true},
		{n.own, "key-manager", "/containers", "containers", url.Values{"limit": {"100"}}, true},
		{n.own, "container-infra", "/clusters", "clusters", nil, true},
		{n.own, "identity", "/users/" + n.user + "/application_credentials", "application_credentials", nil, true},
		{n.own, "identity", "/users/" + n.user + "/access_rules", "access_rules", nil, true},
		{n.own, "identity", "/OS-TRUST/trusts", "trusts", url.Values{"trustor_user_id": {n.user}}, true},
	}
	for _, key := range []string{"networks", "subnets", "ports", "routers", "floatingips", "security_groups"} {
		all = append(all, listing{n.own, "network", "/" + strings.ReplaceAll(key, "_", "-"), key, project, true})
	}
	for _, key := range []string{"loadbalancers", "listeners", "pools", "healthmonitors"} {
		all = append(all, listing{n.own, "load-balancer", "/lbaas/" + key, key, nil, true})
	}
	// Heat and Magnum keep users in domains of their own, Heat a project for each stack as well.
	// They are named by the project, or by the stack.
	var domains struct{ Domains []struct{ ID, Name string } }
	if err := n.operator.Get(ctx, "identity", "/domains", nil, &domains); err != nil {
		return nil, err
	}
	for _, d := range domains.Domains {
		if d.Name != "heat" && d.Name != "magnum" {
			continue
		}
		for _, key := range []string{"users", "projects"} {
			all = append(all, listing{n.operator, "identity", "/" + key, key, url.Values{"domain_id": {d.ID}}, false})
		}
	}
	return all, nil
}

// things are all that the project has, each as kind, id and name.
func (n *tenant) things(ctx context.Context) (map[string]bool, error) {
	lists, err := n.lists(ctx)
	if err != nil {
		return nil, err
	}
	things := map[string]bool{}
	for _, l := range lists {
		var got map[string]any
		if err := l.by.Get(ctx, l.service, l.path, l.query, &got); err != nil {
			return nil, err
		}
		rows, ok := got[l.key].([]any)
		if !ok {
			return nil, fmt.Errorf("%s %s: no %s in %v", l.service, l.path, l.key, got)
		}
		for _, r := range rows {
			row, _ := r.(map[string]any)
			text := func(key string) string { s, _ := row[key].(string); return s }
			name := cmp.Or(text("name"), text("stack_name"))
			if text("stack_status") != "DELETE_COMPLETE" && (l.all || strings.Contains(name, n.project) || strings.HasPrefix(name, n.mark)) {
				things[strings.Join([]string{l.key, cmp.Or(text("id"), text("uuid"), text("secret_ref"), text("container_ref")), name}, " ")] = true
			}
		}
	}
	return things, nil
}

// left is what is there and was not before. The lab's services end some deletes
// after they said that all is gone.
func (n *tenant) left() []string {
	n.Helper()
	var left []string
	for range 20 {
		have, err := n.things(n.Context())
		if err != nil {
			n.Fatal(err)
		}
		maps.DeleteFunc(have, func(thing string, _ bool) bool { return n.had[thing] })
		if left = slices.Sorted(maps.Keys(have)); len(left) == 0 {
			return nil
		}
		if err := pause(n.Context()); err != nil {
			n.Fatal(err)
		}
	}
	return left
}

// nothingLeft fails if there is anything.
func (n *tenant) nothingLeft() {
	n.Helper()
	if left := n.left(); len(left) > 0 {
		n.Errorf("left in the project:\n%s", strings.Join(left, "\n"))
	}
}

// pause is half a second, which both sides are asked in.
func pause(ctx context.Context) error {
	select {
	case <-time.After(500 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cleanUp deletes what a test that failed has left, and the project's default
// security group, which Neutron would keep for ever.
func (n *tenant) cleanUp() {
	ctx, stop := context.WithTimeout(context.Background(), 8*time.Minute)
	defer stop()
	for {
		busy, err := n.sweep(ctx)
		if err == nil && !busy {
			break
		}
		if pause(ctx) != nil {
			n.Errorf("clean up %s: clusters are still there: %v", n.name, err)
			return
		}
	}
	var groups struct {
		Groups []struct{ ID string } `json:"security_groups"`
	}
	err := n.operator.Get(ctx, "network", "/security-groups", url.Values{"project_id": {n.project}}, &groups)
	for _, g := range groups.Groups {
		err = cmp.Or(err, n.operator.Delete(ctx, "network", "/security-groups/"+g.ID, nil, nil))
	}
	if err != nil {
		n.Errorf("clean up %s: %v", n.name, err)
	}
}

// sweep deletes clusters, templates and stacks, and says whether there were any.
func (n *tenant) sweep(ctx context.Context) (busy bool, err error) {
	for _, l := range []struct{ service, path, key string }{
		{"container-infra", "/clusters", "clusters"},
		{"container-infra", "/clustertemplates", "clustertemplates"},
		{"orchestration", "/stacks", "stacks"},
	} {
		var got map[string][]struct {
			ID, UUID, Status string
			StackName        string `json:"stack_name"`
			StackStatus      string `json:"stack_status"`
		}
		if err := n.own.Get(ctx, l.service, l.path, nil, &got); err != nil {
			return true, err
		}
		for _, r := range got[l.key] {
			if r.StackStatus == "DELETE_COMPLETE" {
				continue
			}
			busy = true
			if status := r.Status + r.StackStatus; status == "DELETE_IN_PROGRESS" {
				continue
			}
			path := l.path + "/" + r.UUID
			if r.StackName != "" {
				path = l.path + "/" + r.StackName + "/" + r.ID
			}
			if err := n.own.Delete(ctx, l.service, path, nil, nil); err != nil && drivers.KindOf(err) != drivers.NotFound {
				return true, err
			}
		}
		if busy {
			return true, nil
		}
	}
	return false, nil
}
