package heat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
	"jeroboam.io/jeroboam/templates"
)

// clusterType is what Magnum calls a cluster driver: what clusters of one
// (server type, os_distro, COE) are made of. The next type is
//
//	a line in clusterTypes, below;
//	a file of its own beside this one, such as docker_ubuntu.go, that says what
//	  it carries out of a spec and what its nodes boot from;
//	a folder templates/<name>/1 with root.yaml, node.yaml and whatever nodes
//	  boot from; types that differ in little share one;
//	cases in testdata/golden, which pin it.
//
// The next revision of a type is the next folder and the next number; the one
// before stays, because clusters stand on it.
type clusterType struct {
	name     string
	revision int // the newest, which new clusters get

	serverType, distro, coe string
	folder                  string // of package templates
	updateMinutes           int    // bounds every update but a create: a node's boot may take that long

	// fields are the effective fields that it carries out, besides those that
	// every type does (see required). What it has no use for is an objection,
	// never ignored; idle says the same of fields that only others make useless.
	fields []string
	idle   func(s *schema.Spec) []diff.Objection

	// atBoot are those among fields that a node is given when it boots, and that
	// reach nodes which run only through the cluster's own API (live.go).
	atBoot []string

	// kubernetes says that its clusters have masters, which need the cluster's
	// keys, and workers, which join with a certificate (keys.go).
	kubernetes bool

	// userData is what a group's nodes boot from; in it are names in double
	// underscores, for which node.yaml puts in what is a node's own. ca is who
	// signed the cloud's certificates, if the image does not know.
	userData func(x revision, s *schema.Spec, g schema.Group, ca string) (string, error)
	// escapes are put in for characters of what a node is given, after it was
	// filled in; none: user data takes it as it is.
	escapes map[string]string
}

// clusterTypes in plain sight.
func clusterTypes() []clusterType {
	return []clusterType{dockerUbuntu(), kubernetesDebian(), kubernetesFedoraCoreOS()}
}

// required are the fields that every type carries out.
func required() []string {
	return []string{"coe", "serverType", "image", "nodeGroups/*/name", "nodeGroups/*/role", "nodeGroups/*/nodeCount", "nodeGroups/*/flavor"}
}

// typeNamed finds the type of a live cluster.
func typeNamed(name string) (clusterType, error) {
	for _, t := range clusterTypes() {
		if t.name == name {
			return t, nil
		}
	}
	return clusterType{}, fmt.Errorf("cluster type %q is not known to this release", name)
}

// typeFor finds the type that a spec and its image ask for.
func typeFor(s *schema.Spec, distro string) (clusterType, error) {
	var known []string
	for _, t := range clusterTypes() {
		if t.serverType == s.ServerType && t.distro == distro && t.coe == s.COE {
			return t, nil
		}
		known = append(known, fmt.Sprintf("%s (%s, %s, %s)", t.name, t.serverType, t.distro, t.coe))
	}
	return clusterType{}, fmt.Errorf("no cluster type for server type %s, image with os_distro %q and coe %s; there is %s",
		s.ServerType, distro, s.COE, strings.Join(known, ", "))
}

// unsupported are the fields of a spec that the type has no use for. Labels that
// it does not read by the catalogue are not among them: they change nothing, and
// have a warning. Nor is what is switched off.
func (t clusterType) unsupported(s *schema.Spec) []string {
	var bad []string
	for _, f := range setFields(s) {
		if key, is := strings.CutPrefix(f, "labels/"); is && strings.EqualFold(s.Labels[key], "false") {
			continue
		}
		if !slices.Contains(required(), f) && !slices.Contains(t.fields, f) && t.reads(f) {
			bad = append(bad, f)
		}
	}
	return bad
}

// reads tells whether a field is none of a label, or of one that the type reads,
// as far as the catalogue knows.
func (t clusterType) reads(field string) bool {
	parts := strings.Split(field, "/")
	if len(parts) < 2 || !strings.HasSuffix(strings.ToLower(parts[len(parts)-2]), "labels") || parts[len(parts)-2] == "nodeLabels" {
		return true
	}
	l, known := schema.LabelOf(parts[len(parts)-1])
	_, read := l.ReadBy(t.name, "heat")
	return !known || read
}

// setFields are the effective fields of a spec that are not zero, groups' names
// as "*", sorted. Labels of a group are those that it does not have of the
// cluster.
func setFields(s *schema.Spec) []string {
	var top map[string]json.RawMessage
	if err := json.Unmarshal([]byte(mustJSON(s)), &top); err != nil {
		panic("heat: " + err.Error())
	}
	set := map[string]bool{}
	for f := range top {
		switch f {
		case "nodeGroups":
			for _, g := range s.Groups {
				addGroupFields(set, s, g)
			}
		case "labels":
			for k := range s.Labels {
				set["labels/"+k] = true
			}
		case "secretLabels":
			for k := range s.SecretLabels {
				set["secretLabels/"+k] = true
			}
		default:
			set[f] = true
		}
	}
	fields := make([]string, 0, len(set))
	for f := range set {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	return fields
}

func addGroupFields(set map[string]bool, s *schema.Spec, g schema.Group) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(mustJSON(g)), &fields); err != nil {
		panic("heat: " + err.Error())
	}
	for f := range fields {
		if f != "labels" && f != "secretLabels" {
			set["nodeGroups/*/"+f] = true
		}
	}
	for k, own := range g.Labels {
		if of, has := s.Labels[k]; !has || of != own {
			set["nodeGroups/*/labels/"+k] = true
		}
	}
	for k, own := range g.SecretLabels {
		if of, has := s.SecretLabels[k]; !has || of != own {
			set["nodeGroups/*/secretLabels/"+k] = true
		}
	}
}

// rootValues are what root.yaml is rendered with.
type rootValues struct {
	Key        schema.Key
	StackName  string
	Spec       schema.Spec
	Nodes      []node
	API        string         // its address, once it is pinned
	Routed     bool           // the cluster has a router of its own, which floating IPs need first
	Kubernetes kubernetesRoot // of no meaning to other types
}

// Masters are the nodes that run the control plane.
func (v rootValues) Masters() []node {
	return slices.DeleteFunc(slices.Clone(v.Nodes), func(n node) bool { return !v.Master(n) })
}

// Master tells whether a node runs the control plane.
func (v rootValues) Master(n node) bool {
	g, _ := v.Spec.Group(n.Group)
	return g.Role == roleMaster
}

// Address is a master's, for the template: what is pinned, else what its port has.
func (v rootValues) Address(n node) string {
	if n.Address != "" {
		return mustJSON(n.Address)
	}
	return fmt.Sprintf("{get_attr: [%s-port, fixed_ips, 0, ip_address]}", n.Name)
}

// FixedIP is what a master's port asks for, empty for any address.
func (v rootValues) FixedIP(n node) string {
	ip := map[string]any{}
	switch {
	case v.Spec.FixedNetwork == "":
		ip["subnet"] = map[string]string{"get_resource": "subnet"}
	case v.Spec.FixedSubnet != "":
		ip["subnet"] = v.Spec.FixedSubnet
	}
	if n.Address != "" {
		ip["ip_address"] = n.Address
	}
	if len(ip) == 0 {
		return ""
	}
	return mustJSON(ip)
}

// root renders the root template as plain data, the form in which Heat stores
// and returns it.
func (t clusterType) root(number int, v rootValues) (map[string]any, error) {
	x := t.at(number)
	text, err := x.render("root.yaml", v)
	if err != nil {
		return nil, err
	}
	var root map[string]any
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return nil, fmt.Errorf("%s: %w", x.path("root.yaml"), err)
	}
	return root, nil
}

// nodeValues are what node.yaml is rendered with.
type nodeValues struct {
	Boot             string // names this boot's wait handle and condition
	Image, Flavor    string
	Keypair          string
	AvailabilityZone string
	VolumeSize       int
	Subnet           bool
	UserData         string
	Escapes          map[string]string
	BootSeconds      int // how long the boot may take
	Master           bool
	Kubernetes       kubernetesNode // of no meaning to other types
}

// node renders the template of a group's nodes. The text names the wait handle
// by boot, so another boot is another text.
func (t clusterType) node(number int, s *schema.Spec, g schema.Group, boot, ca string) (string, error) {
	x := t.at(number)
	userData, err := t.userData(x, s, g, ca)
	if err != nil {
		return "", err
	}
	return x.render("node.yaml", nodeValues{
		Boot: boot, Image: s.ImageOf(g), Flavor: g.Flavor, Keypair: s.Keypair,
		AvailabilityZone: s.LabelsOf(g)["availability_zone"], VolumeSize: g.DockerVolumeSize,
		Subnet: s.FixedNetwork == "" || s.FixedSubnet != "", UserData: userData,
		Escapes: t.escapes, BootSeconds: bootSeconds(g), Master: g.Role == roleMaster, Kubernetes: kubernetesNodeOf(s, g, boot),
	})
}

// given are the properties of a node that hold for the life of one boot: what
// its user data has of the group, so that it does not change with the group.
func (t clusterType) given(g schema.Group) map[string]string {
	if !t.kubernetes {
		return nil
	}
	return givenTo(g)
}

// revision is one revision's folder of package templates.
type revision struct {
	folder string
	number int
}

func (t clusterType) at(number int) revision { return revision{t.folder, number} }

func (x revision) path(file string) string { return fmt.Sprintf("%s/%d/%s", x.folder, x.number, file) }

func (x revision) read(file string) (string, error) {
	text, err := templates.FS.ReadFile(x.path(file))
	if err != nil {
		return "", fmt.Errorf("this release has no templates of %s in revision %d", x.folder, x.number)
	}
	return string(text), nil
}

func (x revision) render(file string, values any) (string, error) {
	text, err := x.read(file)
	if err != nil {
		return "", err
	}
	parsed, err := template.New(file).Option("missingkey=error").Funcs(template.FuncMap{
		"json": inYAML, "quote": inYAML, "shell": shellQuote, "indent": indent,
	}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", x.path(file), err)
	}
	var b bytes.Buffer
	if err := parsed.Execute(&b, values); err != nil {
		return "", fmt.Errorf("%s: %w", x.path(file), err)
	}
	return b.String(), nil
}

// inYAML is JSON that is YAML as well: of what JSON leaves as it is, YAML
// refuses control characters and byte order marks.
func inYAML(v any) string {
	var b strings.Builder
	for _, r := range mustJSON(v) {
		if r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// shellQuote is text as one word of a shell's, and of an EnvironmentFile.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func indent(n int, s string) string {
	pad := strings.Repeat(" ", n)
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = pad + l
		}
	}
	return strings.Join(lines, "\n")
}

// fileName names a node file by its content.
func fileName(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "node-" + hex.EncodeToString(sum[:6]) + ".yaml"
}
