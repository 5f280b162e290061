package heat

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// Heat's limits as production has them by default, and Nova's of user data. That
// of stacks per project is not here: Heat refuses a create beyond it before it
// makes anything, and only it knows the number.
const (
	maxResources = 1000       // max_resources_per_stack, of a root and all below it
	maxTemplate  = 512 << 10  // max_template_size, bytes
	maxBody      = 1 << 20    // max_json_body_size, bytes
	maxUserData  = 48<<10 - 1 // bytes; 65,532 after base64. One more, and the refusal is too long for Heat's table: nobody can delete the stack
	maxSecrets   = 4 << 10    // bytes: of what a node is given in secret, a test says that none has more
	replacing    = 3          // resources that a node has twice while it boots anew: server, handle, condition
)

// Check says what stands against wanted clusters, before anything is touched.
// What it asks the cloud for it asks once, however many clusters name it.
func (d *Driver) Check(ctx context.Context, want []*schema.Cluster, have []diff.Observed) (map[schema.Key][]diff.Objection, error) {
	live := make(map[schema.Key]diff.Observed, len(have))
	for _, o := range have {
		live[o.Key] = o
	}
	names := d.catalogue()
	all := map[schema.Key][]diff.Objection{}
	var claims []claim
	for _, c := range want {
		o, exists := live[c.Key]
		x := &checked{Driver: d, c: c, o: o, exists: exists && o.Status != diff.DeleteComplete, names: names}
		if err := x.check(ctx); err != nil {
			return nil, err
		}
		all[c.Key] = x.found
		if x.claim != nil {
			claims = append(claims, *x.claim)
		}
	}
	more, err := names.allot(ctx, claims)
	if err != nil {
		return nil, err
	}
	for k, found := range more {
		all[k] = append(all[k], found...)
	}
	maps.DeleteFunc(all, func(_ schema.Key, found []diff.Objection) bool { return len(found) == 0 })
	return all, nil
}

// checked is one cluster on its way through the checks.
type checked struct {
	*Driver
	c      *schema.Cluster
	o      diff.Observed // if it exists
	exists bool
	names  *catalogue

	found []diff.Objection
	claim *claim // nil if what it needs cannot be known, or nothing will be done to it
}

func (x *checked) check(ctx context.Context) (err error) {
	if x.found, err = x.names.missing(ctx, withRead(&x.c.Spec)); err != nil {
		return err
	}
	if !x.exists {
		x.o.Type = "" // what is gone may come back as another
		x.found = append(x.found, x.trusts()...)
	}
	t, revision, unclear, err := x.names.typeOf(ctx, x.c, x.o)
	if err != nil || unclear != nil {
		x.found = append(x.found, unclear...)
		return err
	}
	strange, err := x.names.strange(ctx, t, &x.c.Spec)
	if err != nil {
		return err
	}
	x.found = append(x.found, strange...)
	x.found = append(x.found, x.ignored(t)...)
	for _, f := range t.unsupported(&x.c.Spec) {
		x.found = append(x.found, object(schema.CodeUnsupported, f, "cluster type %s has no use for %s", t.name, f))
	}
	x.found = append(x.found, t.idle(&x.c.Spec)...)
	x.found = append(x.found, x.onlyAtBoot(t)...)
	return x.measure(ctx, t, revision)
}

// withRead is a spec without the labels that no type which it can be of reads:
// what they name need not be there.
func withRead(s *schema.Spec) *schema.Spec {
	types := schema.PossibleTypes(s, "heat")
	unread := func(key, _ string) bool {
		l, known := schema.LabelOf(key)
		return known && !slices.ContainsFunc(types, func(t schema.ClusterType) bool { _, reads := l.ReadBy(t.Name, "heat"); return reads })
	}
	without := func(labels map[string]string) map[string]string {
		if labels = maps.Clone(labels); labels != nil {
			maps.DeleteFunc(labels, unread)
		}
		return labels
	}
	out := *s
	out.Labels, out.Groups = without(s.Labels), slices.Clone(s.Groups)
	for i := range out.Groups {
		out.Groups[i].Labels = without(out.Groups[i].Labels)
	}
	return &out
}

// ignored are labels that clusters of the type do not read: a warning, because
// the cluster will be as it would be without them. What the documents show alone,
// whatever the image is, was told when they were read.
func (x *checked) ignored(t clusterType) []diff.Objection {
	typ, known := schema.ClusterTypeNamed(t.name)
	if !known {
		return nil
	}
	more := strings.Join(x.config.Labels, " ")
	told := map[string]bool{}
	for _, f := range schema.CheckLabels(&x.c.Spec, "heat", schema.PossibleTypes(&x.c.Spec, "heat"), more) {
		told[f.Field] = true
	}
	var found []diff.Objection
	for _, f := range schema.Ignored(&x.c.Spec, "heat", typ, more) {
		if !told[f.Field] {
			found = append(found, diff.Objection{Code: f.Code, Field: f.Field, Reason: f.Message})
		}
	}
	return found
}

// onlyAtBoot are changes that the nodes which run would not see, because nobody
// here reaches the cluster's API. They hold nothing: the next boot brings them.
func (x *checked) onlyAtBoot(t clusterType) []diff.Objection {
	if !x.exists || x.o.Spec == nil || x.config.EtcdHealth != schema.EtcdHealthHeat {
		return nil
	}
	var found []diff.Objection
	add := func(field string, differ bool) {
		if differ {
			found = append(found, diff.Objection{Field: field, Unknown: true, Reason: fmt.Sprintf(
				"nodes that run get it when they boot the next time: clouds.%s.etcdHealth: heat says that nobody here reaches the API of the cluster", x.c.Cloud)})
		}
	}
	for _, f := range t.atBoot {
		for _, g := range x.c.Spec.Groups {
			was, there := x.o.Spec.Group(g.Name)
			if !there || was.NodeCount == 0 {
				continue
			}
			at := strings.Replace(f, "*", g.Name, 1)
			switch f {
			case "nodeGroups/*/nodeLabels":
				add(at, !maps.Equal(g.NodeLabels, was.NodeLabels))
			case "nodeGroups/*/nodeTaints":
				add(at, !slices.Equal(g.NodeTaints, was.NodeTaints))
			}
		}
	}
	return found
}

// measure renders what a create would send and looks at its size, at what it
// names, and at what it takes of the project's quotas.
func (x *checked) measure(ctx context.Context, t clusterType, revision int) error {
	l, body, err := x.sketch(t, revision, x.c, &x.c.Spec)
	if err != nil {
		x.found = append(x.found, object(schema.CodeUnsupported, "", "%v", err))
		return nil
	}
	x.found = append(x.found, limits(l, body, x.c, x.names)...)
	zones, err := x.names.volumeZones(ctx, l, body.Template)
	if err != nil {
		return err
	}
	x.found = append(x.found, zones...)
	if n, known := x.need(t, revision, x.parts(t, l, body)); known {
		held := slices.ContainsFunc(x.found, func(o diff.Objection) bool { return o.Holds() })
		x.claim = &claim{key: x.c.Key, need: n, moving: x.exists && moving(x.o), held: held}
	}
	return nil
}

// parts are what a stack consists of, and the secrets that are kept for it.
func (x *checked) parts(t clusterType, l layout, body stackBody) parts {
	p := x.names.partsOf(l, body.Template)
	if t.kubernetes && x.config.Keys != schema.KeysLocal {
		p.shared[quantity{"key-manager", "secrets"}] += len(pki.Names()) + 1 + len(filesBeside(&l.spec)) // and the seed
	}
	return p
}

// need is what the cluster will take. What is in motion takes what it asked for
// before, and what is suspended takes nothing.
func (x *checked) need(t clusterType, revision int, want parts) (need, bool) {
	switch {
	case !x.exists:
		return creation(&x.c.Spec, want), !x.c.Policy.Suspend
	case x.o.Spec == nil:
		return need{}, false
	}
	l, body, err := x.sketch(t, revision, x.c, x.o.Spec)
	if err != nil {
		return need{}, false
	}
	have := x.parts(t, l, body)
	if moving(x.o) {
		return coming(x.o, have), x.o.Status != diff.DeleteInProgress
	}
	return growth(x.c, x.o, want, have), !x.c.Policy.Suspend
}

func moving(o diff.Observed) bool {
	return strings.HasSuffix(string(o.Status), "_IN_PROGRESS") || o.Moving
}

// volumeZones are the availability zones that volumes would be asked in.
func (c *catalogue) volumeZones(ctx context.Context, l layout, root map[string]any) ([]diff.Objection, error) {
	var found []diff.Objection
	seen := map[string]bool{}
	for _, n := range l.nodes {
		if seen[n.Group] {
			continue
		}
		seen[n.Group] = true
		params := asMap(asMap(asMap(root["resources"])[n.Name])["properties"])
		for _, zone := range zonesOfVolumes(c.file(n.File, l.files[n.File]), params) {
			_, no, err := ask(ctx, c, "availability zone of volumes", zone, c.volumeZone)
			if err != nil {
				return nil, err
			}
			found = append(found, at("nodeGroups/"+n.Group+"/labels/availability_zone", no)...)
		}
	}
	return found, nil
}

// sketch is what a create of the cluster with that spec would send.
func (d *Driver) sketch(t clusterType, revision int, c *schema.Cluster, s *schema.Spec) (layout, stackBody, error) {
	ca, err := d.cloud.CA()
	if err != nil {
		return layout{}, stackBody{}, err
	}
	l := layout{owner: d.owner, ca: ca, about: about{Cloud: c.Cloud, Name: c.Name, Type: t.name, Revision: revision}}
	l, err = l.next(diff.Step{Op: diff.Create, Cluster: c.Key, To: s, Want: c})
	if err != nil {
		return l, stackBody{}, err
	}
	for _, n := range l.nodes {
		if n.Given != nil {
			n.Given[givenSecrets] = strings.Repeat("x", maxSecrets)
		}
	}
	body, err := l.body()
	return l, body, err
}

// trusts: Heat makes a trust for every stack. A Keystone with the present
// default refuses that to application credentials, which Heat shows only as an
// internal error after the create, so it must have been said that it works.
func (d *Driver) trusts() []diff.Objection {
	ac := d.cloud.Token().ApplicationCredential
	if ac == nil || d.config.ApplicationCredentialTrusts {
		return nil
	}
	return []diff.Objection{object(schema.CodeCredential, "", "the credential of cloud %s is the application credential %s, and Heat needs a trust "+
		"that current Keystones refuse to application credentials: use a password, or if `jeroboam doctor --write --cloud %s` "+
		"shows that it works here, set clouds.%s.applicationCredentialTrusts: true in the Config", d.cloudName, ac.Name, d.cloudName, d.cloudName)}
}

// limits says what would not fit, with the number that does.
func limits(l layout, body stackBody, c *schema.Cluster, names *catalogue) []diff.Objection {
	found := tooManyNodes(l, body, c.Policy.MaxBatchSize, names)
	for _, g := range c.Spec.Groups {
		i := slices.IndexFunc(l.nodes, func(n node) bool { return n.Group == g.Name })
		// A node file is longer than its user data by more than Heat puts in, but
		// for what a node is given.
		if i < 0 {
			continue
		}
		size := len(l.files[l.nodes[i].File])
		for _, p := range l.nodes[i].BootProperties() {
			size += len(p.Value)
		}
		if size > maxUserData {
			found = append(found, object(schema.CodeCloudLimit, "nodeGroups/"+g.Name,
				"its node file has %d bytes, and with its user data it may have %d; shorten sshPublicKeys, proxies or what cacert of the cloud has", size, maxUserData))
		}
	}
	if n := len(mustJSON(body.Template)); n > maxTemplate {
		found = append(found, object(schema.CodeCloudLimit, "nodeGroups", "the root template has %d bytes, and Heat takes %d", n, maxTemplate))
	}
	if n := len(mustJSON(body)); n > maxBody {
		found = append(found, object(schema.CodeCloudLimit, "nodeGroups",
			"template and node files of %d groups have %d bytes, and Heat takes %d at once: fewer groups fit", len(c.Spec.Groups), n, maxBody))
	}
	return append(found, twins(l)...)
}

// tooManyNodes counts the resources of root and node stacks as Heat does, those
// included that a condition leaves out, and room for one batch of an upgrade.
func tooManyNodes(l layout, body stackBody, batch int, names *catalogue) []diff.Objection {
	if len(l.nodes) == 0 {
		return nil
	}
	root, _ := body.Template["resources"].(map[string]any)
	shared := len(root) - len(l.nodes) + replacing*max(batch, 1)
	need, largest := shared, 0
	for _, n := range l.nodes {
		nested := 1 + len(asMap(names.file(n.File, l.files[n.File])["resources"]))
		need += nested
		largest = max(largest, nested)
	}
	if need <= maxResources {
		return nil
	}
	most := slices.MaxFunc(l.spec.Groups, func(a, b schema.Group) int { return cmp.Compare(a.NodeCount, b.NodeCount) })
	return []diff.Objection{object(schema.CodeCloudLimit, "nodeGroups/"+most.Name+"/nodeCount",
		"%d nodes need %d resources and Heat takes %d a stack: %d nodes fit", len(l.nodes), need, maxResources, (maxResources-shared)/largest)}
}

// twins are groups whose nodes would have the same names: what is left of a
// group's name that is no host name's is told apart by four hex digits.
func twins(l layout) []diff.Objection {
	groups, found := map[string]string{}, []diff.Objection(nil)
	for _, n := range l.nodes {
		if other, ok := groups[n.Name]; ok {
			found = append(found, object(schema.CodeNameConflict, "nodeGroups/"+n.Group,
				"its nodes would be named as those of %s (%s): name one of the groups differently", other, n.Name))
			break
		}
		groups[n.Name] = n.Group
	}
	return found
}

func rejected(op, format string, args ...any) error {
	return &drivers.Error{Kind: drivers.Rejected, Op: op, Err: fmt.Errorf(format, args...)}
}
