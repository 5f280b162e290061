package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// Kubernetes goes up one minor version at a time and never down (its version
// skew policy). A jump is therefore stages, each an upgrade of the whole cluster
// that ends before the next begins:
//
//	v1.29.4 ─► v1.30.14 ─► v1.31.14 ─► v1.32.0 and all else that the upgrade changes
//
// What else changes goes with the last stage. Image and options were written
// for the version that is wanted, and maybe for no other; until then a stage
// changes one thing, so that one that fails says what failed.
//
// The rules are about clusters of kubernetes whose kube_tag is a version on both
// sides. Of others the backend knows more than we do.

// kubeTag is the label that says which Kubernetes a node runs.
const kubeTag = "kube_tag"

// kubeField is the field of the cluster's version.
const kubeField = "labels/" + kubeTag

// isKube says that a field is the version of the cluster or of a group.
func isKube(field string) bool { return field == kubeField || strings.HasSuffix(field, "/"+kubeField) }

// kubeOf is the version of a cluster of kubernetes; false if it has none that can
// be read.
func kubeOf(s *schema.Spec) (schema.KubeVersion, bool) {
	if s.COE != "kubernetes" {
		return schema.KubeVersion{}, false
	}
	return schema.ParseKube(s.Labels[kubeTag])
}

// ladder is where an upgrade stops on the way to the version that is wanted, that
// one last; the wanted tag alone where the rules say nothing.
func (p *planner) ladder(base, want *schema.Spec, nodes []Node) ([]string, *Held) {
	from, has := kubeOf(base)
	to, asks := kubeOf(want)
	tag := want.Labels[kubeTag]
	if !has || !asks {
		return []string{tag}, nil
	}
	if at := p.standing(base, from, nodes); to.CompareMinor(from) < 0 && to.CompareMinor(at) < 0 {
		return []string{tag}, &Held{Guard: guardDowngrade, Reason: fmt.Sprintf(
			"%s is older than v%d.%d, which the cluster has begun to run, and Kubernetes does not go back to an older minor version; set kube_tag to a release of v%d.%d or newer, or declare a new cluster",
			tag, at.Major, at.Minor, at.Major, at.Minor)}
	}
	var tags []string
	for from.Minor++; from.CompareMinor(to) < 0; from.Minor++ {
		release, known := schema.KubeRelease(from.Minor)
		if !known || from.Major != to.Major || strings.Contains(tag, "-") {
			return []string{tag}, &Held{Guard: guardVersionGap, Reason: fmt.Sprintf(
				"an upgrade goes one minor version at a time, and which release of v%d.%d to take on the way to %s is not known; set kube_tag to one of them first",
				from.Major, from.Minor, tag)}
		}
		tags = append(tags, release.String())
	}
	return append(tags, tag), nil
}

// climbs says that an upgrade goes to a newer minor version.
func climbs(base, want *schema.Spec) bool {
	from, has := kubeOf(base)
	to, asks := kubeOf(want)
	return has && asks && to.CompareMinor(from) > 0
}

// standing is the version that a cluster is at: the one that was last asked for,
// unless no node came up with it, as when the first master fails. Then it is the
// newest that its masters report, and the author may go back to that.
func (p *planner) standing(base *schema.Spec, asked schema.KubeVersion, nodes []Node) schema.KubeVersion {
	var runs schema.KubeVersion
	for i := range base.Groups {
		g := &base.Groups[i]
		if base.LabelsOf(*g)[kubeTag] != base.Labels[kubeTag] {
			continue
		}
		if p.cameUp(base, g, nodes) {
			return asked
		}
		for j := range nodes {
			if v, ok := nodes[j].kubelet(); ok && master(*g) && nodes[j].Group == g.Name && v.Compare(runs) > 0 {
				runs = v
			}
		}
	}
	if runs == (schema.KubeVersion{}) {
		return asked
	}
	return runs
}

// kubelet is the version that a node reported.
func (n *Node) kubelet() (schema.KubeVersion, bool) {
	return schema.ParseKube(n.Version("kubelet"))
}

// Version is what the node reported of one of its components, as "kubelet";
// empty if it did not.
func (n *Node) Version(component string) string {
	for word := range strings.FieldsSeq(n.Versions) {
		if version, ok := strings.CutPrefix(word, component+"="); ok {
			return version
		}
	}
	return ""
}

// apiBehind says that some masters have yet to come to the minor version that
// was last asked for: no node may boot with it before they have.
func (p *planner) apiBehind(base *schema.Spec, nodes []Node) bool {
	to, ok := kubeOf(base)
	if !ok {
		return false
	}
	masters, _ := p.outdated(nodes, base, base)
	for i := range masters {
		if v, reported := masters[i].kubelet(); reported && v.CompareMinor(to) < 0 {
			return true
		}
	}
	return false
}

// mastersFirstSay is why what boots nodes is held while apiBehind.
const mastersFirstSay = "masters come first to the version with which it boots nodes: "

// neverUp says that a cluster failed before any master worked: there is nothing
// in it that an older version could not read.
func neverUp(h *Observed) bool {
	return h.Status == CreateFailed && h.Spec != nil && h.masters(func(n *Node) bool { return n.State == NodeReady }) == 0
}

// masters counts the masters that are so.
func (o *Observed) masters(so func(n *Node) bool) int {
	count := 0
	for i := range o.Nodes {
		if n := &o.Nodes[i]; o.isMaster(n) && so(n) {
			count++
		}
	}
	return count
}

// isMaster says that a node is in a group of masters.
func (o *Observed) isMaster(n *Node) bool {
	if o.Spec == nil {
		return false
	}
	g, ok := o.Spec.Group(n.Group)
	return ok && master(g)
}

// stage is want as far as it goes while the cluster is at a version: no group is
// newer than that.
func stage(want *schema.Spec, tag string) *schema.Spec {
	last := want.Labels[kubeTag]
	at, ok := schema.ParseKube(tag)
	if tag == last || !ok {
		return want
	}
	with := func(labels map[string]string) map[string]string {
		labels = maps.Clone(labels)
		labels[kubeTag] = tag
		return labels
	}
	to := *want
	to.Labels = with(want.Labels)
	to.Groups = slices.Clone(want.Groups)
	for i := range to.Groups {
		g := &to.Groups[i]
		own, is := g.Labels[kubeTag]
		v, parses := schema.ParseKube(own)
		if is && (own == last || parses && v.CompareMinor(at) > 0) {
			g.Labels = with(g.Labels)
		}
	}
	return &to
}

// stageOf is want as far as changes go, which of an upgrade say where it stops.
func stageOf(want *schema.Spec, cs []Change) *schema.Spec {
	for _, c := range cs {
		if c.Field == kubeField && c.To != "" {
			return stage(want, c.To)
		}
	}
	return want
}

// skewed holds changes of versions that would leave a group newer than the
// masters, or older than Kubernetes allows, or lead it back to an older minor
// version. Between these a group may jump: its nodes keep nothing.
func (p *planner) skewed(have, to *schema.Spec, nodes []Node, cs []Change) *Held {
	api, ok := kubeOf(to)
	if !ok || !slices.ContainsFunc(cs, func(c Change) bool { return isKube(c.Field) }) {
		return nil
	}
	for i := range to.Groups {
		g := &to.Groups[i]
		tag := to.LabelsOf(*g)[kubeTag]
		v, ok := schema.ParseKube(tag)
		if !ok || master(*g) {
			continue
		}
		was, there := have.Group(g.Name)
		before, known := schema.ParseKube(have.LabelsOf(was)[kubeTag])
		switch held := skew(g.Name, v, api); {
		case held != nil:
			return held
		case there && known && v.CompareMinor(before) < 0 && p.cameUp(have, &was, nodes):
			return &Held{Guard: guardDowngrade, Reason: fmt.Sprintf(
				"group %s has v%d.%d, and Kubernetes does not go back to an older minor version; set its kube_tag to a release of that or newer, or put a new group with %s in its place",
				g.Name, before.Major, before.Minor, tag)}
		}
	}
	return nil
}

// tooNew holds a group that would come with a newer version than the masters
// have.
func (p *planner) tooNew(base, want *schema.Spec, group string) *Held {
	api, ok := kubeOf(base)
	if !ok {
		return nil
	}
	g, _ := want.Group(group)
	v, ok := schema.ParseKube(lone(base, want, g).Labels[kubeTag])
	if !ok {
		return nil
	}
	return skew(group, v, api)
}

// cameUp says that a node of a group works as was last asked of it.
func (p *planner) cameUp(s *schema.Spec, g *schema.Group, nodes []Node) bool {
	revision := p.of(s, g)
	for i := range nodes {
		if n := &nodes[i]; n.Group == g.Name && n.State == NodeReady && (n.Revision == "" || n.Revision == revision) {
			return true
		}
	}
	return false
}

// skew holds a group to the masters' version.
func skew(group string, v, api schema.KubeVersion) *Held {
	switch {
	case v.CompareMinor(api) > 0:
		return &Held{Guard: guardSkew, Reason: fmt.Sprintf(
			"group %s would have %s, newer than v%d.%d of the masters, which Kubernetes does not allow; upgrade the cluster first", group, v, api.Major, api.Minor)}
	case v.Major != api.Major || v.Minor < api.Minor-api.Behind():
		return &Held{Guard: guardSkew, Reason: fmt.Sprintf(
			"group %s would have %s, more than %d minor versions older than v%d.%d of the masters, which Kubernetes does not allow; set a newer kube_tag for the group",
			group, v, api.Behind(), api.Major, api.Minor)}
	}
	return nil
}
