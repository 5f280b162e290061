package heat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
	answers map[string]answer // by what it is, and its name
	flavors map[string]bool   // names and ids; nil: not listed yet

	resources map[string]int // by node file: its nested stack and what is in it
}

// answer is what came of one look-up; err is neither the author's nor a role's.
type answer struct {
	distro string // of an image
	no     *diff.Objection
	err    error
}

func (d *Driver) catalogue() *catalogue {
	return &catalogue{d: d, answers: map[string]answer{}, resources: map[string]int{}}
}

// missing is every name of a spec that stands for nothing.
func (c *catalogue) missing(ctx context.Context, s *schema.Spec) ([]diff.Objection, error) {
	type named struct {
		field, name string
		find        func(ctx context.Context, name string) (distro string, err error)
	}
	wanted := []named{
		{"image", s.Image, c.d.distroOf},
		{"keypair", s.Keypair, c.keypair},
		{"externalNetwork", s.ExternalNetwork, c.externalNetwork},
		{"fixedNetwork", s.FixedNetwork, c.fixedNetwork},
		{"fixedSubnet", s.FixedSubnet, c.fixedSubnet},
	}
	for _, g := range s.Groups {
		at := "nodeGroups/" + g.Name
		wanted = append(wanted, named{at + "/image", g.Image, c.d.distroOf}, named{at + "/flavor", g.Flavor, c.flavor})
	}
	var found []diff.Objection
	for _, w := range wanted {
		if w.name == "" {
			continue
		}
		a := c.ask(ctx, w.field[strings.LastIndex(w.field, "/")+1:], w.name, w.find)
		switch {
		case a.err != nil:
			return nil, a.err
		case a.no != nil:
			found = append(found, diff.Objection{Field: w.field, Reason: a.no.Reason, Unknown: a.no.Unknown})
		}
	}
	return found, nil
}

// typeOf is the type of the live cluster, else the one that image, server type
// and COE ask for; unclear says why it is not known, and is not nil then.
func (c *catalogue) typeOf(ctx context.Context, want *schema.Cluster, o diff.Observed) (t clusterType, revision int, unclear []diff.Objection, err error) {
	if o.Type != "" {
		t, no := typeNamed(o.Type)
		return t, o.TypeRevision, against("", no), nil
	}
	a := c.ask(ctx, "image", want.Spec.Image, c.d.distroOf)
	switch {
	case a.err != nil:
		return t, 0, nil, a.err
	case a.no != nil && a.no.Unknown:
		return t, 0, []diff.Objection{{Field: "image", Reason: "its os_distro, by which the cluster type is chosen, cannot be read"}}, nil
	case a.no != nil: // said already
		return t, 0, []diff.Objection{}, nil
	}
	t, no := typeFor(&want.Spec, a.distro)
	return t, t.revision, against("coe", no), nil
}

func against(field string, why error) []diff.Objection {
	if why == nil {
		return nil
	}
	return []diff.Objection{{Field: field, Reason: why.Error()}}
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
		a := c.ask(ctx, "image", images[field], c.d.distroOf)
		if a.err != nil {
			return nil, a.err
		}
		if a.distro != "" && a.distro != t.distro {
			found = append(found, diff.Objection{Field: field, Reason: fmt.Sprintf(
				"image %q has os_distro %q, and nodes of cluster type %s boot %s", images[field], a.distro, t.name, t.distro)})
		}
	}
	return found, nil
}

func (c *catalogue) ask(ctx context.Context, kind, name string, find func(context.Context, string) (string, error)) answer {
	key := kind + " " + name
	a, ok := c.answers[key]
	if !ok {
		a.distro, a.err = find(ctx, name)
		a.no, a.err = objection(kind, name, a.err)
		c.answers[key] = a
	}
	return a
}

func objection(kind, name string, err error) (*diff.Objection, error) {
	switch f := openstack.AsFault(err); {
	case f != nil && f.Status == http.StatusForbidden:
		return &diff.Objection{Unknown: true, Reason: fmt.Sprintf(
			"whether there is %s %q cannot be seen (%v): ask the cloud's operator for a role that may read it, mostly reader or member", kind, name, f)}, nil
	case f == nil && drivers.KindOf(err) == drivers.Rejected:
		var e *drivers.Error
		errors.As(err, &e)
		return &diff.Objection{Reason: e.Err.Error()}, nil
	}
	return nil, err
}

func (c *catalogue) keypair(ctx context.Context, name string) (string, error) {
	err := c.d.cloud.Get(ctx, "compute", "/os-keypairs/"+url.PathEscape(name), nil, nil)
	if gone(err) {
		return "", rejected("find keypair", "user %s, whose credential is used, has no keypair %q: a keypair is its user's, not the project's; "+
			"use one of that user's, or sshPublicKeys, which a team can share", c.d.cloud.Token().UserName, name)
	}
	return "", err
}

// flavor lists them all at first: Nova has no filter by name.
func (c *catalogue) flavor(ctx context.Context, name string) (string, error) {
	if c.flavors == nil {
		type flavor struct{ ID, Name string }
		all := map[string]bool{}
		err := novaPages(ctx, c.d.cloud, "/flavors", "flavors", func(f flavor) (id string, known bool) {
			known = all[f.ID]
			all[f.ID], all[f.Name] = true, true
			return f.ID, known
		})
		if err != nil {
			return "", err
		}
		c.flavors = all
	}
	if !c.flavors[name] {
		return "", rejected("find flavor", "there is no flavor %q that this project can see", name)
	}
	return "", nil
}

func (c *catalogue) externalNetwork(ctx context.Context, name string) (string, error) {
	n, err := c.neutron(ctx, "network", name)
	if err == nil && !n.External {
		err = rejected("find network", "network %q is not external (router:external): no floating IPs come from it, and no router has a gateway there", name)
	}
	return "", err
}

func (c *catalogue) fixedNetwork(ctx context.Context, name string) (string, error) {
	_, err := c.neutron(ctx, "network", name)
	return "", err
}

func (c *catalogue) fixedSubnet(ctx context.Context, name string) (string, error) {
	_, err := c.neutron(ctx, "subnet", name)
	return "", err
}

// neutronThing is a network or a subnet.
type neutronThing struct {
	ID       string `json:"id"`
	External bool   `json:"router:external"`
}

// neutron finds one by id or name, as Heat does.
func (c *catalogue) neutron(ctx context.Context, kind, name string) (neutronThing, error) {
	for _, by := range []string{"id", "name"} {
		var got map[string]json.RawMessage
		if err := c.d.cloud.Get(ctx, "network", "/"+kind+"s", url.Values{by: {name}}, &got); err != nil {
			return neutronThing{}, err
		}
		var rows []neutronThing
		if err := json.Unmarshal(got[kind+"s"], &rows); err != nil {
			return neutronThing{}, &drivers.Error{Kind: drivers.Unknown, Op: "find " + kind, Err: err}
		}
		switch {
		case len(rows) == 1:
			return rows[0], nil
		case len(rows) > 1:
			ids := make([]string, len(rows))
			for i, r := range rows {
				ids[i] = r.ID
			}
			slices.Sort(ids)
			return neutronThing{}, rejected("find "+kind, "%d %ss are named %q: give one of the ids %s", len(ids), kind, name, strings.Join(ids, ", "))
		}
	}
	return neutronThing{}, rejected("find "+kind, "there is no %s %q that this project can see", kind, name)
}

// image is a row of Glance's list.
type image struct {
	ID     string `json:"id"`
	Distro string `json:"os_distro"`
}

// distroOf is the os_distro of a Glance image given by id or name, as Magnum
// looks it up.
func (d *Driver) distroOf(ctx context.Context, name string) (string, error) {
	var list struct {
		Images []image `json:"images"`
	}
	if err := d.cloud.Get(ctx, "image", "/images", url.Values{"name": {name}}, &list); err != nil {
		return "", err
	}
	if len(list.Images) == 0 {
		var one image
		err := d.cloud.Get(ctx, "image", "/images/"+url.PathEscape(name), nil, &one)
		if gone(err) {
			return "", rejected("find image", "there is no image %q that this project can see", name)
		}
		if err != nil {
			return "", err
		}
		list.Images = append(list.Images, one)
	}
	switch {
	case len(list.Images) > 1:
		ids := make([]string, len(list.Images))
		for i, img := range list.Images {
			ids[i] = img.ID
		}
		slices.Sort(ids)
		return "", rejected("find image", "%d images are named %q: give one of the ids %s", len(ids), name, strings.Join(ids, ", "))
	case list.Images[0].Distro == "":
		return "", rejected("find image", "image %q has no property os_distro, by which the cluster type is chosen", name)
	}
	return list.Images[0].Distro, nil
}
