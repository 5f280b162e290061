package heat

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// layout is all that a root stack is rendered from, and what can be read back
// from a live one. A step turns one layout into the next: what it does not
// mention stays as it is, above all the node files.
type layout struct {
	about about
	owner string
	spec  schema.Spec
	nodes []node
	files map[string]string // text by name, of every file that a node has
	works map[string]bool   // "node/ready_boot" of nodes that work though their stack failed (working)
	api   string            // address of the API within the network, once it is pinned; see pin.go

	ca string // who signed the cloud's certificates, PEM; of this machine and for nodes that boot now
}

// node is one nested stack of a root.
type node struct {
	Name     string
	Group    string
	Number   int
	Revision string // diff.NodeRevision of the spec it boots
	File     string
	Address  string // a master's, once it is pinned

	// Given are properties that hold for the life of one boot. They are in the
	// user data, so another value would replace the server.
	Given map[string]string
}

// property of a node's stack, as the root gives it.
type property struct{ Name, Value string }

// BootProperties are those of Given, by name.
func (n node) BootProperties() []property {
	var all []property
	for _, name := range slices.Sorted(maps.Keys(n.Given)) {
		all = append(all, property{name, n.Given[name]})
	}
	return all
}

// The names in node.Given.
const (
	givenSecrets = "secrets"
	givenLabels  = "node_labels"
	givenTaints  = "node_taints"
)

// typ is the layout's cluster type.
func (l layout) typ() (clusterType, error) { return typeNamed(l.about.Type) }

// root renders the layout.
func (l layout) root() (map[string]any, error) {
	t, err := l.typ()
	if err != nil {
		return nil, err
	}
	return t.root(l.about.Revision, l.values())
}

// values are what root.yaml is rendered with.
func (l layout) values() rootValues {
	return rootValues{
		Key: l.about.key(), StackName: stackName(l.owner, l.about.key()), Spec: l.spec, Nodes: l.nodes, API: l.api,
		Routed:     l.spec.FixedNetwork == "" && l.spec.ExternalNetwork != "",
		Kubernetes: kubernetesRootOf(&l.spec),
	}
}

// parameters of the root stack.
func (l layout) parameters() map[string]string {
	return map[string]string{paramOwner: l.owner, paramCluster: mustJSON(l.about), paramSpec: mustJSON(l.spec)}
}

// tags of the root stack.
func (l layout) tags() []string { return tags(l.owner, l.about, l.spec.Hash()) }

// next is the layout that a step asks for.
func (l layout) next(step diff.Step) (layout, error) {
	n := l
	n.spec, n.files = *step.To, map[string]string{}
	if step.Want != nil {
		n.about.Protected = step.Want.Policy.DeletionProtection
	}
	n.nodes = keep(l.nodes, step)
	texts := make(map[string]string, len(l.files))
	maps.Copy(texts, l.files)
	if err := n.boot(step, texts); err != nil {
		return layout{}, err
	}
	if err := n.fill(step, texts); err != nil {
		return layout{}, err
	}
	for _, x := range n.nodes {
		if n.files[x.File] = texts[x.File]; texts[x.File] == "" {
			return layout{}, fmt.Errorf("the stack has no text of %s, the file of %s", x.File, x.Name)
		}
	}
	return n, nil
}

// keep are the nodes that stay: a resize and a delete-group name those that go;
// a recover leaves out failed nodes that are no longer wanted, the last first.
func keep(nodes []node, step diff.Step) []node {
	goes := map[string]bool{}
	switch step.Op {
	case diff.Resize, diff.DeleteGroup:
		for _, name := range step.Nodes {
			goes[name] = true
		}
	case diff.Recover:
		for _, name := range surplus(nodes, step) {
			goes[name] = true
		}
	case diff.Create, diff.Adopt, diff.Update, diff.Upgrade, diff.CreateGroup, diff.Delete, diff.Wait, diff.None:
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n node) bool { return goes[n.Name] })
}

func surplus(nodes []node, step diff.Step) []string {
	var names []string
	over := map[string]int{}
	for _, n := range nodes {
		over[n.Group]++
	}
	for _, g := range step.To.Groups {
		over[g.Name] -= g.NodeCount
	}
	for _, name := range slices.Backward(step.Nodes) {
		i := slices.IndexFunc(nodes, func(n node) bool { return n.Name == name })
		if i >= 0 && over[nodes[i].Group] > 0 {
			over[nodes[i].Group]--
			names = append(names, name)
		}
	}
	return names
}

// boot gives the nodes that a step boots anew their next file. Of those that
// work although their stack failed, a recover has Heat make what is missing.
func (l *layout) boot(step diff.Step, texts map[string]string) error {
	if step.Op != diff.Upgrade && step.Op != diff.Recover {
		return nil
	}
	for i := range l.nodes {
		n := &l.nodes[i]
		if step.Op == diff.Recover && l.works[n.Name+"/ready_"+bootOf(texts[n.File])] {
			continue
		}
		if slices.Contains(step.Nodes, n.Name) {
			g, ok := l.spec.Group(n.Group)
			if !ok {
				return fmt.Errorf("node %s is of group %s, which the spec does not have", n.Name, n.Group)
			}
			if err := l.assign(n, g, step, texts); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill adds the nodes that groups lack, under the lowest free numbers.
func (l *layout) fill(step diff.Step, texts map[string]string) error {
	if step.Op == diff.Update || step.Op == diff.Adopt || step.Op == diff.Upgrade {
		return nil
	}
	for _, g := range l.spec.Groups {
		taken := map[int]bool{}
		for _, n := range l.nodes {
			if n.Group == g.Name {
				taken[n.Number] = true
			}
		}
		for number := 0; len(taken) < g.NodeCount; number++ {
			if taken[number] {
				continue
			}
			taken[number] = true
			n := node{Name: nodeName(l.owner, l.about.key(), g.Name, number), Group: g.Name, Number: number}
			if err := l.assign(&n, g, step, texts); err != nil {
				return err
			}
			l.nodes = append(l.nodes, n)
		}
	}
	l.sort()
	return nil
}

// sort puts nodes into the order of their groups in the spec, then by number.
func (l *layout) sort() {
	order := map[string]int{}
	for i, g := range l.spec.Groups {
		order[g.Name] = i
	}
	slices.SortFunc(l.nodes, func(a, b node) int {
		return cmp.Or(cmp.Compare(order[a.Group], order[b.Group]), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Number, b.Number))
	})
}

// bootName finds the boot in a node file's text: the key of its wait handle.
var bootName = regexp.MustCompile(`(?m)^  boot_([0-9a-f]{8}):$`)

func bootOf(text string) string {
	if m := bootName.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// reboot is a node file's text with another boot.
func reboot(text, boot string) string {
	names := regexp.MustCompile(`\b(boot|ready|root)_` + bootOf(text) + `\b`)
	return names.ReplaceAllString(text, "${1}_"+boot)
}

// assign gives a node the file of its group's revision and what else holds for
// that boot, but secrets, which only the driver has. The file is a sibling's
// file, so that neither a resize nor the next batch brings in what a newer
// release would render; else a sibling's or its own text with a fresh boot;
// else a newly rendered one.
//
// A node that boots anew never gets a boot that it had: a wait condition is not
// waited for twice, and its handle may hold a failure. What failed may still
// have the handles of all its earlier boots, which siblings may stand on, so a
// recover shares no file but one of its own making.
func (l *layout) assign(n *node, g schema.Group, step diff.Step, texts map[string]string) error {
	t, err := l.typ()
	if err != nil {
		return err
	}
	n.Given = t.given(g)
	revision, was := diff.NodeRevision(&l.spec, g), bootOf(texts[n.File])
	boot := schema.Digest([]string{step.Operation, g.Name, revision})[:8]
	text := ""
	if n.Revision == revision {
		text = texts[n.File]
	}
	for _, sibling := range l.nodes {
		if sibling.Group != g.Name || sibling.Revision != revision || sibling.File == "" {
			continue
		}
		if has := bootOf(texts[sibling.File]); n.File == "" || has != was && (step.Op != diff.Recover || onlyLost(step, n.Name)) {
			n.Revision, n.File = revision, sibling.File
			return nil
		}
		text = cmp.Or(text, texts[sibling.File])
	}
	if text != "" {
		text = reboot(text, boot)
	} else {
		if text, err = t.node(l.about.Revision, &l.spec, g, boot, l.ca); err != nil {
			return err
		}
	}
	n.Revision, n.File = revision, fileName(text)
	texts[n.File] = text
	return nil
}

// onlyLost tells whether a node lost its server in a stack of which Heat had
// finished all that it was asked for, the removal of old handles included.
func onlyLost(step diff.Step, name string) bool {
	h := step.Have
	if h == nil || h.Moving || h.Status != diff.CreateComplete && h.Status != diff.UpdateComplete {
		return false
	}
	return slices.ContainsFunc(h.Nodes, func(n diff.Node) bool { return n.Name == name && n.State == diff.NodeMissing })
}

// nodesOf reads the nodes back from a live root template.
func nodesOf(root map[string]any) []node {
	resources, _ := root["resources"].(map[string]any)
	var nodes []node
	for name, r := range resources {
		m, _ := r.(map[string]any)
		file, _ := m["type"].(string)
		if !strings.HasPrefix(file, "node-") || !strings.HasSuffix(file, ".yaml") {
			continue
		}
		p, _ := m["properties"].(map[string]any)
		group, _ := p["group"].(string)
		revision, _ := p["revision"].(string)
		number, _ := p["number"].(float64)
		n := node{Name: name, Group: group, Number: int(number), Revision: revision, File: file}
		for _, key := range []string{givenSecrets, givenLabels, givenTaints} {
			if value, given := p[key].(string); given {
				if n.Given == nil {
					n.Given = map[string]string{}
				}
				n.Given[key] = value
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}
