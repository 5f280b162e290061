package heat

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// OpenOn is Open with something between the driver and the network, and with
// credentials from an environment of the test's.
func OpenOn(ctx context.Context, o drivers.Options, getenv func(string) string, wire func(http.RoundTripper) http.RoundTripper) (drivers.Driver, error) {
	return open(ctx, o, openstack.Settings{Cloud: o.Cloud, ReadOnly: o.ReadOnly, Log: o.Log, Getenv: getenv, Wire: wire})
}

// StackName and NodeName are the names that the driver gives.
func StackName(owner string, k schema.Key) string { return stackName(owner, k) }

// NodeName is the name of a node.
func NodeName(owner string, k schema.Key, group string, number int) string {
	return nodeName(owner, k, group, number)
}

// Texts are all that a new cluster's stack is made of: the create as it is
// sent, root.yaml, user-data.yaml, and a node.yaml of each group by its name.
func Texts(typ, owner string, c *schema.Cluster) (body []byte, texts map[string]string, err error) {
	t, err := typeNamed(typ)
	if err != nil {
		return nil, nil, err
	}
	l := layout{owner: owner, about: about{Cloud: c.Cloud, Name: c.Name, Instance: "golden", Type: typ, Revision: t.revision}}
	l, err = l.next(diff.Step{Op: diff.Create, Cluster: c.Key, To: &c.Spec, Want: c, Operation: "golden"})
	if err != nil {
		return nil, nil, err
	}
	b, err := l.body()
	if err != nil {
		return nil, nil, err
	}
	b.Name, b.TimeoutMinutes = stackName(owner, c.Key), 30
	texts = map[string]string{}
	if texts["root.yaml"], err = t.at(t.revision).render("root.yaml", l.values()); err != nil {
		return nil, nil, err
	}
	for _, g := range c.Spec.Groups {
		name := "user-data.yaml"
		if t.kubernetes {
			name = "user data of " + g.Name
		}
		if texts[name], err = t.userData(t.at(t.revision), &c.Spec, g, ""); err != nil {
			return nil, nil, err
		}
	}
	for _, n := range l.nodes {
		texts["node.yaml of "+n.Group] = l.files[n.File]
	}
	return []byte(mustJSON(b)), texts, nil
}

// Archive is what the nodes of Kubernetes boot from, as bytes.
func Archive() (string, error) { return archive(revision{"kubernetes", 1}) }

// KeepKeys makes and keeps keys of a cluster, as its create does.
func KeepKeys(ctx context.Context, d drivers.Driver, k schema.Key) error {
	h := d.(*Driver)
	_, err := h.keyring(ctx, stackName(h.owner, k), k, cloudConf)
	return err
}

// DropKeys removes what KeepKeys kept, whatever else there is.
func DropKeys(ctx context.Context, d drivers.Driver, k schema.Key) error {
	h := d.(*Driver)
	stack := stackName(h.owner, k)
	return errors.Join(h.vault().revoke(ctx, stack), h.vault().delete(ctx, stack))
}

// Supported says whether a cluster type carries out, or every type does, an
// effective field.
func Supported(typ, field string) bool {
	t, err := typeNamed(typ)
	return err == nil && (slices.Contains(required(), field) || slices.Contains(t.fields, field))
}

// SetFields are the effective fields of a spec that are set.
func SetFields(s *schema.Spec) []string { return setFields(s) }

// Need is what a cluster takes of quotas beyond what it has, by service and name.
func Need(ctx context.Context, d drivers.Driver, c *schema.Cluster, have ...diff.Observed) (map[string]int, error) {
	x := &checked{Driver: d.(*Driver), c: c, names: d.(*Driver).catalogue()}
	for _, x.o = range have {
		x.exists = true
	}
	if err := x.check(ctx); err != nil {
		return nil, err
	}
	sum := map[string]int{}
	if x.claim != nil {
		n, err := x.names.exact(ctx, x.claim.need)
		if err != nil {
			return nil, err
		}
		for q, n := range n.sum {
			sum[q.service+" "+q.name] = n
		}
	}
	return sum, nil
}

// Count is what a template takes of quotas, with the files that it names.
func Count(d drivers.Driver, template map[string]any, files map[string]string) map[string]int {
	c := d.(*Driver).catalogue()
	sum := map[string]int{}
	for q, n := range c.stack(template, nil, files) {
		sum[q.service+" "+q.name] = n
	}
	return sum
}

// Left is what a project may have of something and has; the limit is negative if
// there is none.
func Left(ctx context.Context, d drivers.Driver, service, name string) (limit, used int, no *diff.Objection, err error) {
	r, no, err := d.(*Driver).catalogue().room(ctx, quantity{service, name})
	return r.limit, r.used, no, err
}

// VolumeZones checks the zones in which the volumes of a node file are asked, of
// a node with these properties.
func VolumeZones(ctx context.Context, d drivers.Driver, file string, properties map[string]any) ([]diff.Objection, error) {
	l := layout{nodes: []node{{Name: "n", Group: "g", File: "f"}}, files: map[string]string{"f": file}}
	root := map[string]any{"resources": map[string]any{"n": map[string]any{"type": "f", "properties": properties}}}
	return d.(*Driver).catalogue().volumeZones(ctx, l, root)
}
