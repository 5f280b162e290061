package heat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// catalogue looks up what specs name in the cloud, each name once. A name that
// is not there, or twice, is the author's matter; what a role keeps from us is
// not known, and whoever is told so can ask for it.
type catalogue struct {
	d       *Driver
	answers map[string]any    // answer[T] by kind and name
	lists   map[string]any    // by what they list
	flavors map[string]flavor // by name and id; nil: not listed yet

	files map[string]map[string]any // node files by name, as data
}

func (d *Driver) catalogue() *catalogue {
	return &catalogue{d: d, answers: map[string]any{}, lists: map[string]any{}, files: map[string]map[string]any{}}
}

// answer is what came of one look-up; err is neither the author's nor a role's.
type answer[T any] struct {
	is  T
	no  *diff.Objection
	err error
}

// ask looks a name up, once. The objection has no field: that is where the name
// is written, which may be in many places.
func ask[T any](ctx context.Context, c *catalogue, kind, name string, find func(context.Context, string) (T, error)) (T, *diff.Objection, error) {
	key := kind + " " + name
	a, ok := c.answers[key].(answer[T])
	if !ok {
		var err error
		a.is, err = find(ctx, name)
		a.no, a.err = objection(kind, name, err)
		c.answers[key] = a
	}
	return a.is, a.no, a.err
}

// once reads a list that several look-ups need.
func once[T any](c *catalogue, what string, read func() (T, error)) (T, error) {
	type result struct {
		list T
		err  error
	}
	r, ok := c.lists[what].(result)
	if !ok {
		r.list, r.err = read()
		c.lists[what] = r
	}
	return r.list, r.err
}

// at puts an objection, if there is one, to a field.
func at(field string, no *diff.Objection) []diff.Objection {
	if no == nil {
		return nil
	}
	o := *no
	o.Field = field
	return []diff.Objection{o}
}

func object(code schema.Code, field, format string, args ...any) diff.Objection {
	return diff.Objection{Code: code, Field: field, Reason: fmt.Sprintf(format, args...)}
}

// misfitError is something that is there and will not do.
type misfitError struct {
	code schema.Code
	text string
}

func (e *misfitError) Error() string { return e.text }

func misfit(code schema.Code, op, format string, args ...any) error {
	return &drivers.Error{Kind: drivers.Rejected, Op: op, Err: &misfitError{code, fmt.Sprintf(format, args...)}}
}

// objection turns an error into one, if it is the author's or a role's matter.
func objection(kind, name string, err error) (*diff.Objection, error) {
	f, e, m := openstack.AsFault(err), (*drivers.Error)(nil), (*misfitError)(nil)
	switch {
	case f != nil && f.Status == http.StatusForbidden:
		return &diff.Objection{Code: schema.CodeUnseen, Unknown: true, Reason: fmt.Sprintf(
			"%s cannot be seen (%v): ask the cloud's operator for a role that may read it, mostly %s", whether(kind, name), f, roleFor(kind))}, nil
	case f != nil || drivers.KindOf(err) != drivers.Rejected || !errors.As(err, &e):
		return nil, err
	case openstack.NoService(err):
		return &diff.Objection{Code: schema.CodeNoService, Reason: e.Err.Error()}, nil
	case errors.As(err, &m):
		return &diff.Objection{Code: m.code, Reason: m.text, Unknown: m.code == schema.CodeUnseen}, nil
	}
	return &diff.Objection{Code: schema.CodeNotInCloud, Reason: e.Err.Error()}, nil
}

func whether(kind, name string) string {
	switch {
	case kind == kindQuota:
		return "how much is left of the quota of " + name
	case name == "":
		return "whether there is a " + kind + " for us"
	}
	return fmt.Sprintf("whether there is %s %q", kind, name)
}

// missing is every name of a spec that stands for nothing.
func (c *catalogue) missing(ctx context.Context, s *schema.Spec) ([]diff.Objection, error) {
	var found []diff.Objection
	for _, look := range c.lookups(s) {
		no, err := look(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, no...)
	}
	return found, nil
}

type lookup func(ctx context.Context) ([]diff.Objection, error)

// lookups are the names of a spec, in the order in which they are told. An image
// of the cluster that a group names again is said once.
func (c *catalogue) lookups(s *schema.Spec) []lookup {
	all := []lookup{
		nameAt(c, "image", "image", s.Image, c.d.imageNamed),
		nameAt(c, "keypair", "keypair", s.Keypair, c.keypair),
		nameAt(c, "externalNetwork", "externalNetwork", s.ExternalNetwork, c.externalNetwork),
		nameAt(c, "fixedNetwork", "fixedNetwork", s.FixedNetwork, c.fixedNetwork),
		nameAt(c, "fixedSubnet", "fixedSubnet", s.FixedSubnet, c.fixedSubnet),
	}
	all = append(all, c.labelled("labels/", s.Labels)...)
	for _, g := range s.Groups {
		in := "nodeGroups/" + g.Name + "/"
		all = append(all,
			nameAt(c, in+"image", "image", g.Image, c.d.imageNamed),
			nameAt(c, in+"flavor", "flavor", g.Flavor, c.flavor))
		if g.Labels != nil {
			all = append(all, c.labelled(in+"labels/", g.Labels)...)
		}
	}
	for _, check := range []func(context.Context, *schema.Spec) ([]diff.Objection, error){c.unfit, c.tooSmall, c.balancers, c.secrets} {
		all = append(all, func(ctx context.Context) ([]diff.Objection, error) { return check(ctx, s) })
	}
	return all
}

// labelled are the names that labels hold.
func (c *catalogue) labelled(in string, labels map[string]string) []lookup {
	all := []lookup{nameAt(c, in+"availability_zone", "availability zone", labels["availability_zone"], c.serverZone)}
	for _, l := range volumeTypeLabels() {
		all = append(all, nameAt(c, in+l, "volume type", labels[l], c.volumeType))
	}
	return all
}

func nameAt[T any](c *catalogue, field, kind, name string, find func(context.Context, string) (T, error)) lookup {
	return func(ctx context.Context) ([]diff.Objection, error) {
		if name == "" {
			return nil, nil
		}
		_, no, err := ask(ctx, c, kind, name, find)
		return at(field, no), err
	}
}

// typeOf is the type of the live cluster, else the one that image, server type
// and COE ask for; unclear says why it is not known, and is not nil then.
func (c *catalogue) typeOf(ctx context.Context, want *schema.Cluster, o diff.Observed) (t clusterType, revision int, unclear []diff.Objection, err error) {
	if o.Type != "" {
		t, no := typeNamed(o.Type)
		return t, o.TypeRevision, against("", no), nil
	}
	img, no, err := ask(ctx, c, "image", want.Spec.Image, c.d.imageNamed)
	switch {
	case err != nil:
		return t, 0, nil, err
	case no != nil && no.Unknown:
		return t, 0, []diff.Objection{object(schema.CodeCredential, "image", "its os_distro, by which the cluster type is chosen, cannot be read")}, nil
	case no != nil: // said already
		return t, 0, []diff.Objection{}, nil
	}
	t, why := typeFor(&want.Spec, img.Distro)
	return t, t.revision, against("coe", why), nil
}

func against(field string, why error) []diff.Objection {
	if why == nil {
		return nil
	}
	return []diff.Objection{object(schema.CodeNoSuchType, field, "%v", why)}
}

// strange are images that the cluster type does not know how to boot.
func (c *catalogue) strange(ctx context.Context, t clusterType, s *schema.Spec) ([]diff.Objection, error) {
	images := map[string]string{"image": s.Image}
	for _, g := range s.Groups {
		if g.Image != "" {
			images["nodeGroups/"+g.Name+"/image"] = g.Image
		}
	}
	var found []diff.Objection
	for _, field := range slices.Sorted(maps.Keys(images)) {
		img, no, err := ask(ctx, c, "image", images[field], c.d.imageNamed)
		if err != nil {
			return nil, err
		}
		if no == nil && img.Distro != t.distro {
			found = append(found, object(schema.CodeUnsupported, field,
				"image %q has os_distro %q, and nodes of cluster type %s boot %s", images[field], img.Distro, t.name, t.distro))
		}
	}
	return found, nil
}

// keypair: a user who may only read is not the one who makes the clusters, and
// no user sees the keypairs of another.
func (c *catalogue) keypair(ctx context.Context, name string) (string, error) {
	err := c.d.cloud.Get(ctx, "compute", "/os-keypairs/"+url.PathEscape(name), nil, nil)
	switch t := c.d.cloud.Token(); {
	case gone(err) && slices.Equal(t.Roles, []string{"reader"}):
		return "", misfit(schema.CodeUnseen, "find keypair", "user %s, whose credential is used, may only read and has no keypair %q; "+
			"whether the user who makes the cluster has it cannot be seen: a keypair is its user's, not the project's", t.UserName, name)
	case gone(err):
		return "", rejected("find keypair", "user %s, whose credential is used, has no keypair %q: a keypair is its user's, not the project's; "+
			"use one of that user's, or sshPublicKeys, which a team can share", t.UserName, name)
	}
	return "", err
}
