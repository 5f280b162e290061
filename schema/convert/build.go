package convert

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// build makes documents of records: the templates, then the clusters, each in
// the order in which they were found.
func build(c *collection, o Options) Result {
	b := builder{collection: c, options: o, names: map[*record]string{}, taken: map[string]bool{}}
	result := Result{Notes: c.notes}
	templates, clusters := c.of(schema.KindClusterTemplate), c.of(schema.KindCluster)
	for _, r := range slices.Concat(templates, clusters) {
		b.name(r)
	}
	for _, r := range templates {
		result.Documents = append(result.Documents, b.template(r))
	}
	for _, r := range clusters {
		result.Documents = append(result.Documents, b.cluster(r))
	}
	for _, g := range c.groups[nil] {
		result.Notes = append(result.Notes, Note{Text: fmt.Sprintf("%s: the node group %q is left out: its cluster is not among the input", g.where, g.text("name"))})
	}
	return result
}

type builder struct {
	*collection
	options Options
	names   map[*record]string // metadata.name
	taken   map[string]bool    // KIND/NAME
}

var notName = regexp.MustCompile(`[^a-zA-Z0-9_.-]+`)

// name chooses metadata.name: Magnum's if it may be one here and is not taken.
// There, names are free text and need not differ.
func (b *builder) name(r *record) {
	was := r.text("name")
	name := strings.Trim(notName.ReplaceAllString(was, "-"), "-_.")
	if name == "" {
		name = strings.ToLower(r.place)
	}
	rule := outlines()[r.place+"/metadata"].fields["name"]
	if rule.text(name) != nil && name[0] >= '0' && name[0] <= '9' {
		name = "c-" + name
	}
	if most := *rule.MaxLength - len("-999"); len(name) > most {
		name = name[:most]
	}
	base := name
	for n := 2; b.taken[r.place+"/"+name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	b.taken[r.place+"/"+name], b.names[r] = true, name
	switch {
	case was == "":
		r.note("name", "there is none in the input")
	case name != was && name != base:
		r.note("name", fmt.Sprintf("there are several of the name %q", was))
	case name != was:
		r.note("name", fmt.Sprintf("%q is no name here", was))
	}
	if name != was && r.live && r.place == schema.KindCluster {
		r.note("name", "a Cluster of another name is another cluster: do not apply this to the cloud where the old one runs")
	}
}

// A draft is a mapping of a document while it is made of a record.
type draft struct {
	*record
	doc    *Document
	path   string // of the mapping, for notes
	fields Fields
	used   map[string]bool // attributes that need no more telling
}

func (b *builder) draft(r *record, doc *Document, path string) *draft {
	d := &draft{record: r, doc: doc, path: path, used: map[string]bool{"name": true}}
	for _, n := range r.notes {
		n.Field = ""
		if name, ok := fieldFor(r.place, n.Attributes); ok {
			n.Field = path + name
		}
		d.tell(n)
	}
	return d
}

// fieldFor is the field that an attribute becomes.
func fieldFor(place string, attrs []string) (string, bool) {
	for name, p := range outlines()[place].fields {
		if len(attrs) == 1 && p.attr() == attrs[0] {
			return name, true
		}
	}
	return "", false
}

func (d *draft) tell(n Note) {
	n.Document = d.doc.Kind + "/" + d.doc.Name
	if d.path != "" && n.Field == "" {
		n.Text = "node group " + d.text("name") + ": " + n.Text
	}
	d.doc.Notes = append(d.doc.Notes, n)
}

// remark tells of an attribute at the field, or at the head if field is empty.
func (d *draft) remark(field, attr, format string, args ...any) {
	n := Note{Text: fmt.Sprintf(format, args...)}
	if field != "" {
		n.Field = d.path + field
	}
	if attr != "" {
		n.Attributes = []string{attr}
	}
	d.tell(n)
}

func (d *draft) set(name string, v any) { d.fields = append(d.fields, Field{name, v}) }

// value is what a field of the record's place gets from its attribute. It is
// false if there is nothing, or nothing that may be written, which is noted.
func (d *draft) value(name string) (any, bool) {
	p := outlines()[d.place].fields[name]
	attr := p.attr()
	v, ok := d.attrs[attr]
	d.used[attr] = true
	if !ok {
		return nil, false
	}
	made, err := p.value(v)
	switch {
	case p.Minimum != nil && *p.Minimum > 0 && made == 0: // Terraform's nothing
		return nil, false
	case d.secret[attr] || userInfo.MatchString(textOf(v)):
		d.remark("", attr, "left out: it holds a secret, which does not belong in Git")
		return nil, false
	case err != nil:
		d.remark("", attr, "left out: %v", err)
		return nil, false
	}
	return made, true
}

// rest tells of the attributes that became nothing: those that have no
// counterpart one by one, those that Magnum only reports together.
func (d *draft) rest() {
	var reported []string
	for _, attr := range slices.Sorted(maps.Keys(d.attrs)) {
		if d.used[attr] {
			continue
		}
		hint, known := schema.MagnumWord(d.place, attr)
		switch {
		case known:
			reported = append(reported, attr)
		case hint == "":
			d.remark("", attr, "left out: it has no counterpart")
		default:
			d.remark("", attr, "%s", strings.Replace(hint, "leave it out", "left out", 1))
		}
	}
	if len(reported) > 0 {
		d.tell(Note{Attributes: reported, Text: "left out: Magnum reports this, nobody sets it"})
	}
}

func (b *builder) template(r *record) Document {
	doc := Document{Kind: schema.KindClusterTemplate, Name: b.names[r]}
	d := b.draft(r, &doc, "")
	for _, name := range outlines()[r.place].order {
		switch {
		case name == "labels":
			d.labels(nil, nil)
		case name == "sshPublicKeys":
			if key := r.text("ssh_authorized_key"); key != "" {
				d.set(name, []string{key})
				d.used["ssh_authorized_key"] = true
			}
		case outlines()[r.place].fields[name].Magnum != "":
			if v, ok := d.value(name); ok {
				d.set(name, v)
			}
		}
	}
	d.required(doc.Kind)
	d.rest()
	doc.Spec = d.fields
	return doc
}

// required tells of what the document cannot be without.
func (d *draft) required(kind string) {
	if kind == schema.KindClusterTemplate {
		for _, name := range []string{"coe", "image"} {
			if d.fields.Get(name) == nil {
				d.remark("", outlines()[kind].fields[name].Magnum, "not in the input: a ClusterTemplate needs %s", name)
			}
		}
	}
}

func (b *builder) cluster(r *record) Document {
	doc := Document{Kind: schema.KindCluster, Name: b.names[r]}
	d := b.draft(r, &doc, "")
	d.set("cloud", string(b.options.Cloud))
	template := b.find(schema.KindClusterTemplate, r.text("cluster_template_id"))
	b.templateOf(d, template)
	groups := b.groupsOf(r)
	base := &draft{record: &record{place: schema.KindClusterTemplate}, doc: &Document{}, used: map[string]bool{}}
	if template != nil {
		base.record = template
	}
	for _, name := range outlines()[r.place].order {
		switch {
		case name == "labels":
			d.clusterLabels(template)
		case name == "nodeCount":
			d.workers(groups)
		case name == "masterCount":
			d.masters(groups)
		case name == "discoveryURL" && r.live:
			if _, ok := d.value(name); ok {
				d.remark("", "discovery_url", "left out: the token of a cluster that exists is used up")
			}
		case name == "template", outlines()[r.place].fields[name].Magnum == "":
		default:
			d.inherit(name, base, template != nil)
		}
	}
	if _, ok := r.attrs["floating_ip_enabled"]; r.live && !ok {
		d.tell(Note{
			Attributes: []string{"fixed_network", "fixed_subnet", "floating_ip_enabled", "master_lb_enabled"},
			Text:       "not in the input, so the template's hold: a list does not have them, convert what openstack coe cluster show prints",
		})
	}
	b.nodeGroups(d, groups)
	d.rest()
	doc.Spec = d.fields
	return doc
}

// templateOf names the cluster's template.
func (b *builder) templateOf(d *draft, template *record) {
	id := d.text("cluster_template_id")
	d.used["cluster_template_id"] = true
	switch {
	case template != nil:
		d.set("template", b.names[template])
	case b.options.Template != "":
		d.set("template", string(b.options.Template))
	case id != "":
		d.set("template", id)
		d.remark("template", "cluster_template_id", "no template of this name or id is among the input: write the name of the ClusterTemplate")
	default:
		d.remark("", "cluster_template_id", "not in the input: a Cluster needs template, the name of its ClusterTemplate")
	}
}

// inherit sets a field unless the template says the same.
func (d *draft) inherit(name string, base *draft, known bool) {
	v, ok := d.value(name)
	if !ok {
		return
	}
	if field, both := outlines()[schema.KindClusterTemplate].fields[name]; known && both {
		inherited, ok := base.value(name)
		if !ok {
			inherited = field.Default
		}
		if inherited == v {
			return
		}
	}
	d.set(name, v)
}

// labels writes the record's labels, those that base does not already give.
func (d *draft) labels(all, base map[string]string) {
	own, merge := all, true
	if all == nil {
		own, _ = d.allLabels()
	}
	if base != nil {
		own, merge = ownLabels(all, base)
	}
	d.writeLabels(own, merge)
}

func (d *draft) writeLabels(own map[string]string, merge bool) {
	open, secrets := withoutSecrets(own, func(key string) bool { return d.secret["labels"] || d.secret["labels/"+key] })
	if len(open) > 0 {
		d.set("labels", open)
	}
	if len(secrets) > 0 {
		names := make([]string, 0, len(secrets))
		for _, s := range secrets {
			names = append(names, s.Name)
		}
		if d.place == schema.NodeGroups {
			d.remark("", "labels", "left out: %s hold secrets, which a node group cannot refer to", strings.Join(names, ", "))
		} else {
			d.set("secretLabels", secrets)
			d.remark("secretLabels", "labels", "secrets do not belong in Git: the value is not written here, put it into the environment of Jeroboam under this name or refer to a file")
		}
	}
	switch {
	case merge:
	case len(own) > 0:
		d.set("mergeLabels", false)
	default:
		d.remark("", "labels", "there are none, but the template has some, which will hold")
	}
}

// allLabels are the labels as they stand in the record; false if it has none.
func (d *draft) allLabels() (map[string]string, bool) {
	d.used["labels"], d.used["labels_overridden"], d.used["labels_added"], d.used["labels_skipped"] = true, true, true, true
	v, ok := d.attrs["labels"]
	all, left := labelsOf(v)
	if len(left) > 0 {
		d.remark("", "labels", "some cannot be made out and are left out: %s", strings.Join(left, ", "))
	}
	return all, ok
}

// clusterLabels writes what the cluster adds to its template's labels. Magnum
// stores what came out of both; where the template is not at hand, Magnum's own
// comparison with it says what was added.
func (d *draft) clusterLabels(template *record) {
	all, some := d.allLabels()
	if template != nil {
		for mark, secret := range template.secret {
			d.secret[mark] = d.secret[mark] || secret && strings.HasPrefix(mark, "labels")
		}
	}
	overridden, compared := d.attrs["labels_overridden"].(map[string]any)
	added, compared2 := d.attrs["labels_added"].(map[string]any)
	switch {
	case !some && !d.live:
	case template != nil && d.merge:
		base, _ := labelsOf(template.attrs["labels"])
		own, _ := ownLabels(all, base)
		d.writeLabels(own, true)
	case template != nil && (some || d.replaced()):
		base, _ := labelsOf(template.attrs["labels"])
		d.labels(all, base)
	case template != nil:
	case (compared || compared2) && empty(d.attrs["labels_skipped"]):
		own := maps.Clone(all)
		maps.DeleteFunc(own, func(key, _ string) bool { return overridden[key] == nil && added[key] == nil })
		d.writeLabels(own, true)
	default:
		skipped, _ := d.attrs["labels_skipped"].(map[string]any)
		d.writeLabels(all, len(skipped) == 0)
		if len(all) > 0 && len(skipped) == 0 {
			d.remark("labels", "labels", "the template is not among the input: these may repeat its labels")
		}
	}
}

// replaced tells whether Magnum says that labels of the template are gone.
func (d *draft) replaced() bool {
	skipped, _ := d.attrs["labels_skipped"].(map[string]any)
	return len(skipped) > 0
}
