package heat

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
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
	for _, c := range want {
		o, exists := live[c.Key]
		objections, err := d.checkOne(ctx, c, o, exists && o.Status != diff.DeleteComplete, names)
		if err != nil {
			return nil, err
		}
		if len(objections) > 0 {
			all[c.Key] = objections
		}
	}
	return all, nil
}

func (d *Driver) checkOne(ctx context.Context, c *schema.Cluster, o diff.Observed, exists bool, names *catalogue) ([]diff.Objection, error) {
	found, err := names.missing(ctx, &c.Spec)
	if err != nil {
		return nil, err
	}
	if !exists {
		o.Type = "" // what is gone may come back as another
		found = append(found, d.trusts()...)
	}
	t, revision, unclear, err := names.typeOf(ctx, c, o)
	switch {
	case err != nil:
		return nil, err
	case unclear != nil:
		return append(found, unclear...), nil
	}
	strange, err := names.strange(ctx, t, &c.Spec)
	if err != nil {
		return nil, err
	}
	found = append(found, strange...)
	for _, f := range t.unsupported(&c.Spec) {
		found = append(found, diff.Objection{Field: f, Reason: fmt.Sprintf("cluster type %s has no use for %s", t.name, f)})
	}
	found = append(found, t.idle(&c.Spec)...)
	return append(found, limits(d.owner, t, revision, c, names.resources)...), nil
}

// trusts: Heat makes a trust for every stack. A Keystone with the present
// default refuses that to application credentials, which Heat shows only as an
// internal error after the create, so it must have been said that it works.
func (d *Driver) trusts() []diff.Objection {
	ac := d.cloud.Token().ApplicationCredential
	if ac == nil || d.config.ApplicationCredentialTrusts {
		return nil
	}
	return []diff.Objection{{Reason: fmt.Sprintf("the credential of cloud %s is the application credential %s, and Heat needs a trust "+
		"that current Keystones refuse to application credentials: use a password, or if `jeroboam doctor --write --cloud %s` "+
		"shows that it works here, set clouds.%s.applicationCredentialTrusts: true in the Config", d.cloudName, ac.Name, d.cloudName, d.cloudName)}}
}

// limits says what would not fit, with the number that does. It measures what a
// create would send.
func limits(owner string, t clusterType, revision int, c *schema.Cluster, resources map[string]int) []diff.Objection {
	l := layout{owner: owner, about: about{Cloud: c.Cloud, Name: c.Name, Type: t.name, Revision: revision}}
	l, err := l.next(diff.Step{Op: diff.Create, Cluster: c.Key, To: &c.Spec, Want: c})
	if err != nil {
		return []diff.Objection{{Reason: err.Error()}}
	}
	body, err := l.body()
	if err != nil {
		return []diff.Objection{{Reason: err.Error()}}
	}
	found := tooManyNodes(l, body, c.Policy.MaxBatchSize, resources)
	for _, g := range c.Spec.Groups {
		i := slices.IndexFunc(l.nodes, func(n node) bool { return n.Group == g.Name })
		// A node file is longer than its user data by more than Heat puts in.
		if i >= 0 && len(l.files[l.nodes[i].File]) > maxUserData {
			found = append(found, diff.Objection{Field: "nodeGroups/" + g.Name, Reason: fmt.Sprintf(
				"its node file has %d bytes, and with its user data it may have %d; shorten sshPublicKeys or proxies", len(l.files[l.nodes[i].File]), maxUserData)})
		}
	}
	if n := len(mustJSON(body.Template)); n > maxTemplate {
		found = append(found, diff.Objection{Field: "nodeGroups", Reason: fmt.Sprintf("the root template has %d bytes, and Heat takes %d", n, maxTemplate)})
	}
	if n := len(mustJSON(body)); n > maxBody {
		found = append(found, diff.Objection{Field: "nodeGroups", Reason: fmt.Sprintf(
			"template and node files of %d groups have %d bytes, and Heat takes %d at once: fewer groups fit", len(c.Spec.Groups), n, maxBody)})
	}
	return append(found, twins(l)...)
}

// tooManyNodes counts the resources of root and node stacks as Heat does, those
// included that a condition leaves out, and room for one batch of an upgrade.
// What a file has is remembered, because most clusters of a fleet share theirs.
func tooManyNodes(l layout, body stackBody, batch int, resources map[string]int) []diff.Objection {
	if len(l.nodes) == 0 {
		return nil
	}
	for name, text := range l.files {
		if resources[name] == 0 {
			resources[name] = 1 + resourcesIn(text)
		}
	}
	root, _ := body.Template["resources"].(map[string]any)
	shared := len(root) - len(l.nodes) + replacing*max(batch, 1)
	need, largest := shared, 0
	for _, n := range l.nodes {
		need += resources[n.File]
		largest = max(largest, resources[n.File])
	}
	if need <= maxResources {
		return nil
	}
	return []diff.Objection{{Field: "nodeGroups/*/nodeCount", Reason: fmt.Sprintf(
		"%d nodes need %d resources and Heat takes %d a stack: %d nodes fit", len(l.nodes), need, maxResources, (maxResources-shared)/largest)}}
}

func resourcesIn(text string) int {
	var file struct {
		Resources map[string]json.RawMessage `json:"resources"`
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		panic("heat: a node file of ours is not YAML: " + err.Error())
	}
	return len(file.Resources)
}

// twins are groups whose nodes would have the same names: what is left of a
// group's name that is no host name's is told apart by four hex digits.
func twins(l layout) []diff.Objection {
	groups, found := map[string]string{}, []diff.Objection(nil)
	for _, n := range l.nodes {
		if other, ok := groups[n.Name]; ok {
			found = append(found, diff.Objection{Field: "nodeGroups/" + n.Group, Reason: fmt.Sprintf(
				"its nodes would be named as those of %s (%s): name one of the groups differently", other, n.Name)})
			break
		}
		groups[n.Name] = n.Group
	}
	return found
}

func rejected(op, format string, args ...any) error {
	return &drivers.Error{Kind: drivers.Rejected, Op: op, Err: fmt.Errorf(format, args...)}
}
