package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// LabelFinding is something wrong or doubtful about the labels of a spec.
type LabelFinding struct {
	Field   string // effective field: labels/kube_tag, nodeGroups/gpu/labels/kube_tag
	Code    Code
	Message string // has no name of a cluster: what a template says is told once
	Hint    string
}

// CheckLabels applies the catalogue, and the rules over several labels, to the
// labels of a spec and of its groups. The driver is "heat" or "magnum"; types
// are what the cluster may be, and what is told is so for each of them: the
// documents give PossibleTypes, and who knows the image's os_distro gives one.
// More are labels beyond the catalogue, each between spaces.
//
// The values themselves are checked when a document is read.
func CheckLabels(s *Spec, driver string, types []ClusterType, more string) []LabelFinding {
	c := labelChecker{spec: s, driver: driver, types: types, more: more, labels: s.Labels, secrets: s.SecretLabels, at: "secretLabels/"}
	for _, key := range slices.Sorted(maps.Keys(s.SecretLabels)) {
		c.checkLabel(key)
	}
	c.at = "labels/"
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		c.checkLabel(key)
	}
	c.checkKubeTag()
	c.checkTogether()
	for i := range s.Groups {
		g := &s.Groups[i]
		if g.Labels == nil && g.SecretLabels == nil {
			continue
		}
		c.group, c.labels, c.secrets, c.at = g, s.LabelsOf(*g), s.SecretsOf(*g), "nodeGroups/"+g.Name+"/secretLabels/"
		for _, key := range slices.Sorted(maps.Keys(g.SecretLabels)) {
			if secret, inherited := s.SecretLabels[key]; !inherited || secret != g.SecretLabels[key] {
				c.checkLabel(key)
			}
		}
		c.at = "nodeGroups/" + g.Name + "/labels/"
		for _, key := range slices.Sorted(maps.Keys(g.Labels)) {
			if value, inherited := s.Labels[key]; !inherited || value != g.Labels[key] {
				c.checkLabel(key)
			}
		}
		c.checkSkew()
	}
	return c.found
}

// Ignored are the labels of a spec that clusters of one type do not read, or
// that do nothing for them, with the reason.
func Ignored(s *Spec, driver string, t ClusterType, more string) []LabelFinding {
	return slices.DeleteFunc(CheckLabels(s, driver, []ClusterType{t}, more), func(f LabelFinding) bool { return f.Code != CodeLabelIgnored })
}

// checkLabels applies the rules of labels over cluster and template together.
func (c *clusterResolver) checkLabels(s *Spec) {
	for _, f := range CheckLabels(s, c.play.driver, c.possibleTypes(s), c.play.labels) {
		if c.partial && slices.Contains([]Code{CodeLabelIgnored, CodeLabelsClash, CodeLabelsDoubt}, f.Code) {
			continue // what it goes without may be what was not understood
		}
		// What nobody wrote is told of the template, once for all its clusters.
		pos, pointer := c.t.start(), "/spec"
		switch {
		case c.wrote(f.Field):
			pos, pointer = c.where(f.Field), c.pointer(f.Field)
		case c.origins().replaced:
			pos, pointer = c.d.at("labels"), "/spec/labels"
		}
		c.report(pos, f.Code, pointer, f.Hint, "%s", f.Message)
	}
}

// strangeLabels are the labels among the marks of a document that the catalogue
// does not know. What is no label's name at all is told by the JSON Schema.
func strangeLabels(marks []mark) []mark {
	var strange []mark
	for _, m := range marks {
		key, ok := labelAt(m.field)
		if ok && catalogue()[key] == nil && labelName.MatchString(key) &&
			!slices.ContainsFunc(strange, func(o mark) bool { return o.field == m.field }) {
			strange = append(strange, m)
		}
	}
	return strange
}

// labelName is the form of a label's name.
var labelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// labelAt is the key of a label at an effective field.
func labelAt(field string) (key string, ok bool) {
	if group, in := strings.CutPrefix(field, "nodeGroups/"); in {
		_, field, _ = strings.Cut(group, "/")
	}
	if key, ok = strings.CutPrefix(field, "labels/"); !ok {
		key, ok = strings.CutPrefix(field, "secretLabels/")
	}
	return key, ok
}

// refuseStrange tells of labels that the catalogue does not know, also in a
// document that is otherwise broken and in a template that no cluster uses. What
// the configuration of some cloud names is left to the clusters there.
func (r *resolver) refuseStrange(d placed) {
	for _, m := range d.strange {
		key, _ := labelAt(m.field)
		if named(key, r.fleet.Config, r.config) {
			continue
		}
		c := &clusterResolver{resolver: r, d: d, spec: &clusterSpec{}}
		magnum := false
		if d.cluster != nil {
			c.spec = &d.cluster.Spec
			magnum = r.playOf(c.spec.Cloud).driver == "magnum"
		}
		pos := Pos{d.file, int(m.line), int(m.column)}
		r.report(pos, CodeUnknownLabel, c.pointer(m.field), strangeHint(key, magnum), "unknown label %q", short(key))
		r.known[pos] = true
	}
}

// named tells whether a configuration names a label for one of its clouds.
func named(label string, configs ...*Config) bool {
	for _, c := range configs {
		if c == nil {
			continue
		}
		for _, cloud := range c.Clouds {
			if slices.Contains(cloud.Labels, label) {
				return true
			}
		}
	}
	return false
}

func strangeHint(key string, magnum bool) string {
	hint := didYouMean(key, slices.Sorted(maps.Keys(catalogue())))
	if hint == "" && magnum {
		hint = "if the cloud's Magnum has a driver that reads it, name it in labels of the cloud in Config"
	}
	return hint
}

// A labelChecker goes through the labels of a cluster, then of each group that
// has its own.
type labelChecker struct {
	spec   *Spec
	driver string
	types  []ClusterType
	more   string

	group   *Group            // nil: the cluster
	labels  map[string]string // that apply: the cluster's or the group's
	secrets map[string]Secret // likewise; nobody knows their values here
	at      string            // the path of those that are checked

	found []LabelFinding
}

// find notes something about the label of that key.
func (c *labelChecker) find(code Code, key, hint, format string, args ...any) {
	c.findAt(c.at+key, code, hint, format, args...)
}

func (c *labelChecker) findAt(field string, code Code, hint, format string, args ...any) {
	c.found = append(c.found, LabelFinding{field, code, fmt.Sprintf(format, args...), hint})
}

// only tells whether the cluster is of one of these types for sure.
func (c *labelChecker) only(names ...string) bool {
	return len(c.types) > 0 && !slices.ContainsFunc(c.types, func(t ClusterType) bool { return !slices.Contains(names, t.Name) })
}

// checkLabel tells at most one thing of a label, the first that there is to
// mend, and beside it that a secret is in Git.
func (c *labelChecker) checkLabel(key string) {
	l := catalogue()[key]
	if strings.Contains(" "+c.more, " "+key+" ") {
		return // a driver from elsewhere knows it
	}
	if l == nil {
		if labelName.MatchString(key) {
			c.unknown(key)
		}
		return
	}
	if _, hidden := c.secrets[key]; l.Secret && !hidden {
		c.find(CodeLabelSecret, key, fmt.Sprintf("write secretLabels: {%s: {env: NAME}}, and give it another value", key),
			"the label %q is a secret, and everybody who can read the repository has it", key)
	}
	readers := c.readers(l)
	switch {
	case l.Obsolete != "":
		c.find(CodeLabelObsolete, key, l.instead(), "the label %q is obsolete: %s", key, strings.TrimSuffix(l.Obsolete, "."))
	case len(readers) == 0 && c.otherDriver(l):
	case len(c.types) == 0: // a driver from elsewhere, or nothing fits: said already
	case len(readers) == 0:
		c.find(CodeLabelIgnored, key, "leave it out", "the label %q does nothing here: %s", key, c.whyUnread(l))
	case c.group != nil && l.Masters:
		c.find(CodeLabelIgnored, key, "set it in the labels of the cluster", "only masters read the label %q, and the group has none", key)
	case c.group != nil && c.fromCluster(l, readers):
		c.find(CodeLabelIgnored, key, "set it in the labels of the cluster", "the label %q is read from the cluster: in a group it does nothing", key)
	default:
		c.checkNeeds(l, readers)
	}
}

func (c *labelChecker) unknown(key string) {
	c.find(CodeUnknownLabel, key, strangeHint(key, c.driver == "magnum"), "unknown label %q", short(key))
}

// readers are those of the types that read a label.
func (c *labelChecker) readers(l *Label) []ClusterType {
	var types []ClusterType
	for _, t := range c.types {
		if _, ok := l.ReadBy(t.Name, c.driver); ok {
			types = append(types, t)
		}
	}
	return types
}

// otherDriver refuses a label that only types of the other driver read. It is
// no matter of taste: what was meant to happen cannot.
func (c *labelChecker) otherDriver(l *Label) bool {
	var names []string
	for _, r := range l.Readers {
		for _, name := range r.Types {
			t, _ := ClusterTypeNamed(name)
			if c.driver == "heat" && t.Heat || c.driver == "magnum" && len(t.Magnum) > 0 && r.Since != SinceJeroboam {
				return false
			}
			names = append(names, name)
		}
	}
	other := "heat"
	if c.driver == "heat" {
		other = "magnum"
	}
	c.find(CodeUnknownLabel, l.Key, "leave it out, or set the cloud's driver in Config",
		"the label %q is read with driver %s only (%s), and the cloud has driver %s", l.Key, other, strings.Join(names, ", "), c.driver)
	return true
}

// whyUnread names what of the spec keeps the label from being read.
func (c *labelChecker) whyUnread(l *Label) string {
	var names []string
	var any, coe, server bool // one of the readers has the spec's
	for _, r := range l.Readers {
		for _, name := range r.Types {
			t, _ := ClusterTypeNamed(name)
			names = append(names, name)
			any = true
			coe = coe || t.COE == c.spec.COE
			server = server || t.COE == c.spec.COE && t.ServerType == c.spec.ServerType
		}
	}
	slices.Sort(names)
	read := "it is read by " + strings.Join(slices.Compact(names), ", ") + " only"
	switch {
	case !any:
		return "nothing reads it"
	case !coe:
		return read + ", and coe is " + c.spec.COE
	case !server:
		return read + ", and serverType is " + c.spec.ServerType
	case c.spec.Driver != "":
		return read + ", and driver is " + c.spec.Driver
	case len(c.types) == 1:
		return read + ", and the cluster is of " + c.types[0].Name
	}
	return read + ", none of which it can be with driver " + c.driver
}

// fromCluster tells whether all that read a label take the cluster's.
func (c *labelChecker) fromCluster(l *Label, readers []ClusterType) bool {
	return !slices.ContainsFunc(readers, func(t ClusterType) bool {
		r, _ := l.ReadBy(t.Name, c.driver)
		return !r.Cluster
	})
}
