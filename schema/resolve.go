package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A document is one checked and decoded document: exactly one of template,
// cluster and config is set. It is the same wherever its file lies.
type document struct {
	line, column int
	template     *templateDoc
	cluster      *clusterDoc
	config       *configDoc
	marks        []mark
	unfit        bool   // its JSON Schema refuses it: what seems to be missing may be what was not understood
	strange      []mark // labels that the catalogue does not know

	// The cluster of the last Load, what is doubtful about it and what it was
	// resolved from, so that a Load of an unchanged document only compares.
	resolved *Cluster
	warnings Problems
	from     sources
}

// sources are all that a cluster is resolved from.
type sources struct {
	cluster, template placed
	play              play
}

// play is what the configuration says of a cloud that matters to documents.
type play struct {
	driver string // "heat" or "magnum"
	labels string // known beyond the catalogue, each between spaces

	maintenance Maintenance // of the whole fleet; zero: none
}

// placed is a document in a file.
type placed struct {
	*document
	file string
}

// start is where the document begins.
func (p placed) start() Pos { return Pos{p.file, p.line, p.column} }

// at is where the document writes an effective field, or begins.
func (p placed) at(field string) Pos {
	if pos, ok := (written{p.file, p.marks}).at(field); ok {
		return pos
	}
	return p.start()
}

func (p placed) clusterKey() Key {
	return Key{p.cluster.Spec.Cloud, ClusterName(p.cluster.Metadata.Name)}
}

// A resolver puts the documents of a fleet together.
type resolver struct {
	docs      []placed // in the order of their files
	lost      bool     // there are documents that could not be made out
	templates map[TemplateName]placed
	names     []string                // of templates, for suggestions
	hints     map[TemplateName]string // suggestions that were made
	clusters  map[Key]placed
	fleet     Fleet
	problems  Problems
	known     map[Pos]bool // where problems of single documents are
	config    *Config      // the program's; nil if there is none
	plays     map[CloudName]play
	digests   *Digester
	types     map[typeKey][]ClusterType
}

// A typeKey is all that PossibleTypes depends on.
type typeKey struct{ play, coe, serverType, driver string }

func newResolver(size int, config *Config, digests *Digester) *resolver {
	return &resolver{
		config:    config,
		digests:   digests,
		plays:     map[CloudName]play{},
		types:     map[typeKey][]ClusterType{},
		docs:      make([]placed, 0, size),
		templates: map[TemplateName]placed{},
		hints:     map[TemplateName]string{},
		clusters:  make(map[Key]placed, size),
	}
}

// report notes a problem, but where a document is wrong in itself it says no
// more: that is what to mend first.
func (r *resolver) report(pos Pos, code Code, pointer, hint, format string, args ...any) {
	if r.known[pos] {
		return
	}
	p := Problemf(pos, code, format, args...)
	p.Pointer, p.Hint = pointer, hint
	r.problems = append(r.problems, p)
}

// resolve makes the fleet. It is of use only if there are no problems then.
func (r *resolver) resolve() *Fleet {
	r.known = make(map[Pos]bool, len(r.problems))
	for _, p := range r.problems {
		if p.Severity() == Error {
			r.known[p.Pos] = true
		}
	}
	if r.config != nil {
		r.problems = append(r.problems, r.config.Warnings...)
	}
	var config placed
	for _, d := range r.docs {
		switch {
		case d.template != nil:
			r.addTemplate(d)
		case d.cluster != nil:
			r.addCluster(d)
		case config.document != nil:
			r.report(d.start(), CodeDuplicate, "", "a fleet has one", "another Config is in %s", config.start())
		default:
			config = d
			r.fleet.Config = config.effectiveConfig()
		}
	}
	for _, d := range r.docs {
		r.refuseStrange(d)
	}
	r.fleet.Clusters = make([]*Cluster, 0, len(r.clusters))
	for _, d := range r.docs {
		if d.cluster != nil {
			r.checkPreviousNames(d)
			r.resolveCluster(d)
		}
	}
	slices.SortFunc(r.fleet.Templates, func(a, b Template) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.fleet.Clusters, func(a, b *Cluster) int { return a.Compare(b.Key) })
	return &r.fleet
}

func (r *resolver) addTemplate(d placed) {
	name := TemplateName(d.template.Metadata.Name)
	if name == "" {
		return // said already
	}
	if other, ok := r.templates[name]; ok {
		r.duplicate(other, d, "template/name", fmt.Sprintf("ClusterTemplate %q", name))
		return
	}
	r.templates[name] = d
	r.names = append(r.names, string(name))
	s := &d.template.Spec
	r.fleet.Templates = append(r.fleet.Templates,
		Template{Name: name, Pos: d.start(), Public: s.Public, Hidden: s.Hidden, Tags: s.Tags})
}

func (r *resolver) addCluster(d placed) {
	key := d.clusterKey()
	if key.Cloud == "" || key.Name == "" {
		return // said already
	}
	if other, ok := r.clusters[key]; ok {
		r.duplicate(other, d, "name", fmt.Sprintf("Cluster %q of cloud %q", key.Name, key.Cloud))
		return
	}
	r.clusters[key] = d
}

// duplicate tells both places, each naming the other.
func (r *resolver) duplicate(a, b placed, field, what string) {
	r.report(a.at(field), CodeDuplicate, "/metadata/name", "keep one of the two", "%s is also in %s", what, b.at(field))
	r.report(b.at(field), CodeDuplicate, "/metadata/name", "keep one of the two", "%s is also in %s", what, a.at(field))
}

// checkPreviousNames refuses a previous name that another cluster has or had:
// two documents would claim the same live cluster.
func (r *resolver) checkPreviousNames(d placed) {
	key := d.clusterKey()
	for i, name := range d.cluster.Spec.PreviousNames {
		if name == key.Name {
			continue // said already
		}
		old := Key{key.Cloud, name}
		other, ok := r.clusters[old]
		if !ok {
			r.clusters[old] = d // claimed
			continue
		}
		r.report(d.at("policy/previousNames"), CodePreviousNames, fmt.Sprintf("/spec/previousNames/%d", i), "remove it where it is wrong",
			"the previous name %q of cloud %q is also used in %s", name, key.Cloud, other.start())
	}
}

// resolveCluster adds the cluster of a document to the fleet.
func (r *resolver) resolveCluster(d placed) {
	name := d.cluster.Spec.Template
	t, ok := r.templates[name]
	// It may be in a document that could not be made out.
	if pos := d.at("template"); !ok && name != "" && !r.lost && !r.known[pos] {
		r.report(pos, CodeNoTemplate, "/spec/template", r.templateHint(name), "no ClusterTemplate %q", name)
	}
	switch {
	case !ok || networkDrivers(t.template.Spec.COE) == nil: // nothing is known of an engine that there is not
		return
	case d.unfit || t.unfit:
		c := r.clusterResolver(d, t)
		c.partial = true
		c.spell(&Cluster{})
		return
	}
	from := sources{d, t, r.playOf(d.cluster.Spec.Cloud)}
	if d.resolved != nil && d.from == from {
		r.problems = append(r.problems, d.warnings...)
	} else {
		before := len(r.problems)
		cluster := r.clusterResolver(d, t).cluster()
		found := r.problems[before:]
		if found.Errors() {
			return
		}
		d.resolved, d.warnings, d.from = cluster, slices.Clone(found), from
	}
	r.fleet.Clusters = append(r.fleet.Clusters, d.resolved)
}

// maxHints bounds the names of templates for which the one that was meant is
// looked for: all the names of a file among all others would take minutes.
const maxHints = 100

func (r *resolver) templateHint(name TemplateName) string {
	hint, ok := r.hints[name]
	switch {
	case len(r.names) == 0:
		return "the fleet has no ClusterTemplate"
	case !ok && len(r.hints) < maxHints:
		hint = didYouMean(string(name), r.names)
		r.hints[name] = hint
	}
	return hint
}

func (r *resolver) clusterResolver(d, t placed) *clusterResolver {
	return &clusterResolver{resolver: r, d: d, t: t, spec: &d.cluster.Spec, base: &t.template.Spec, play: r.playOf(d.cluster.Spec.Cloud)}
}

// playOf is what the program's configuration, else the fleet's, says of a cloud.
func (r *resolver) playOf(cloud CloudName) play {
	if p, ok := r.plays[cloud]; ok {
		return p
	}
	p := play{driver: "heat"}
	for _, c := range []*Config{r.fleet.Config, r.config} {
		if c == nil {
			continue
		}
		if c.Maintenance != nil {
			p.maintenance = *c.Maintenance
		}
		if said, ok := c.Clouds[cloud]; ok {
			p.driver = cmp.Or(said.Driver, p.driver)
			p.labels = strings.Join(append(slices.Clone(said.Labels), ""), " ")
		}
	}
	r.plays[cloud] = p
	return p
}
