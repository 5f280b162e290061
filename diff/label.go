package diff

import (
	"maps"
	"slices"

	"jeroboam.io/jeroboam/schema"
)

// labels are those of a cluster or a group in both ways to give them. They are
// compared and blended as one: a label that becomes a secret is one change, of
// the label's class, and its old text is not shown.
type labels struct {
	plain  map[string]string
	secret map[string]schema.Secret
}

// label is the value of one: a text, or what stands for a secret.
type label struct {
	text   string
	secret schema.Secret
}

func labelsOf(s *schema.Spec) labels { return labels{s.Labels, s.SecretLabels} }

func labelsIn(s *schema.Spec, g schema.Group) labels { return labels{s.LabelsOf(g), s.SecretsOf(g)} }

func (l labels) at(key string) (label, bool) {
	if s, ok := l.secret[key]; ok {
		return label{secret: s}, true
	}
	text, ok := l.plain[key]
	return label{text: text}, ok
}

func (l labels) equal(o labels) bool {
	return maps.Equal(l.plain, o.plain) && maps.Equal(l.secret, o.secret)
}

// without are the labels that a condition does not remove.
func (l labels) without(remove func(key string) bool) labels {
	return blendLabels(labels{}, l, func(key string) bool { return !remove(key) })
}

// apart are labels as a group has them: nil where they are the cluster's.
func (l labels) apart(cluster labels) (plain map[string]string, secret map[string]schema.Secret) {
	if !maps.Equal(l.plain, cluster.plain) {
		plain = l.plain
	}
	if !maps.Equal(l.secret, cluster.secret) {
		secret = l.secret
	}
	return plain, secret
}

func sameKey(a, b labels, key string) bool {
	x, inA := a.at(key)
	y, inB := b.at(key)
	return inA == inB && x == y
}

// labelDifference compares one label. within is empty, or "nodeGroups/NAME/".
func labelDifference(within, key string, have, want labels) (difference, bool) {
	if sameKey(have, want, key) {
		return difference{}, false
	}
	x, was := have.at(key)
	y, is := want.at(key)
	d := difference{Change: Change{Field: within + "labels/" + key, From: schema.ShownLabel(key, x.text), To: schema.ShownLabel(key, y.text)}}
	if x.secret != y.secret {
		d.Field, d.From, d.To = within+"secretLabels/"+key, x.shown(), y.shown()
	}
	if !was {
		d.From = ""
	}
	if !is {
		d.To = ""
	}
	d.Class, d.Says = labelClass(key)
	return d, true
}

// shown is a value of which one side is a secret.
func (l label) shown() string {
	if l.secret == (schema.Secret{}) {
		return "(in plain text)"
	}
	return l.secret.String()
}

// takesLabel says that the change of a label is among those that are taken.
func takesLabel(taken map[string]bool, within, key string) bool {
	return taken[within+"labels/"+key] || taken[within+"secretLabels/"+key]
}

// blendLabels is have with those labels of want that are taken. No map of it is
// nil.
func blendLabels(have, want labels, take func(key string) bool) labels {
	to := labels{make(map[string]string, len(have.plain)), map[string]schema.Secret{}}
	for _, key := range labelKeys(have, want) {
		from := have
		if take(key) {
			from = want
		}
		if s, ok := from.secret[key]; ok {
			to.secret[key] = s
		} else if text, ok := from.plain[key]; ok {
			to.plain[key] = text
		}
	}
	return to
}

// labelKeys are the keys of both, sorted.
func labelKeys(a, b labels) []string {
	var all []string
	for _, l := range []labels{a, b} {
		all = slices.AppendSeq(slices.AppendSeq(all, maps.Keys(l.plain)), maps.Keys(l.secret))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
