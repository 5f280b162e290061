package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/crypto/scrypt"
)

// A label's value can be a secret (grafana_admin_passwd). Such a value is in one
// place of the program: Cluster.Secrets, as SecretText, which does not print.
//
//	labels: {grafana_admin_passwd: hunter2} ──────── Load (Hide) ──┐
//	secretLabels: {grafana_admin_passwd: {env: GRAFANA}} ── run ───┤
//	                                                               ├─► Cluster.Secrets[digest]  the text
//	                                                               └─► Spec.SecretLabels[key]   {digest}
//
// What is compared, hashed, shown, stored and sent is Spec, and Spec has the
// digest. So whoever prints a Spec, a step or a record leaks nothing, and a
// driver that wants the text has to ask for it: Cluster.SecretText, with the
// digest that the step's spec has, so that it never sends another text than the
// one that was planned.
//
// Load reads no environment and no file, so documents can be checked and two
// commits compared where the secrets are not. A reference stays one until a run
// resolves it; of a resolved one only the digest is left, so that to move a
// secret from one variable to another is no change of the cluster.

// Secret stands for the value of a secret label: its digest where the value is
// known, else where it will be read. Exactly one field is set, so == compares.
type Secret struct {
	Env    string `json:"env,omitempty"`    // name of an environment variable
	File   string `json:"file,omitempty"`   // absolute path
	Digest string `json:"digest,omitempty"` // 16 hex digits: see Digester
}

// String shows what may be shown of it: "(secret 1a2b3c4d)", "env NAME (not
// read)", "file /path (not read)". The first 8 digits tell two values apart.
func (s Secret) String() string {
	switch {
	case s.Digest != "":
		return "(secret " + s.Digest[:min(len(s.Digest), 8)] + ")"
	case s.Env != "":
		return "env " + s.Env + " (not read)"
	case s.File != "":
		return "file " + s.File + " (not read)"
	}
	return ""
}

// SecretText is the text of a secret. However it is printed or encoded, it
// reads "(secret)", or is an address: package fmt calls no methods of what it
// meets in a field that is not exported, and does not follow pointers there.
type SecretText struct{ text *string }

// NewSecretText hides a text.
func NewSecretText(text string) SecretText { return SecretText{&text} }

// Reveal is the text itself, for the call that sends it to where it belongs.
func (s SecretText) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

const hidden = "(secret)"

// String does not give the text.
func (SecretText) String() string { return hidden }

// Format does not print the text, whatever the verb.
func (SecretText) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText does not encode the text, in JSON and YAML neither.
func (SecretText) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// SecretText is the text that a secret of the cluster's spec, or of a step of
// it, stands for; false if it was not resolved.
func (c *Cluster) SecretText(s Secret) (SecretText, bool) {
	t, ok := c.Secrets[s.Digest]
	return t, ok
}

// ShownLabel is what may be shown of a label's value.
func ShownLabel(key, value string) string {
	if secretLabel(key) {
		return hidden
	}
	return value
}

// ShownLabels are the labels of a spec, secret ones among them, as they may be
// shown.
func (s *Spec) ShownLabels() map[string]string {
	if len(s.SecretLabels) == 0 && !hasSecret(s.Labels) {
		return s.Labels
	}
	shown := make(map[string]string, len(s.Labels)+len(s.SecretLabels))
	for key, value := range s.Labels {
		shown[key] = ShownLabel(key, value)
	}
	for key, secret := range s.SecretLabels {
		shown[key] = secret.String()
	}
	return shown
}

func secretLabel(key string) bool {
	l, ok := catalogue()[key]
	return ok && l.Secret
}

func hasSecret(labels map[string]string) bool {
	for key := range labels {
		if secretLabel(key) {
			return true
		}
	}
	return false
}

// A Digester gives secrets their digests and remembers them, because each takes
// a twentieth of a second. The zero Digester is ready; it may be shared.
type Digester struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]string // by SHA-256 of key and text: no text is kept
}

// Parameters of scrypt (RFC 7914): 16 MiB and some 40 ms for one digest.
const (
	scryptN = 1 << 14
	scryptR = 8
	scryptP = 1
)

// Digest is 16 hex digits that stand for the text of a label: equal texts of
// one label have equal digests, in every cluster and on every machine.
//
// It is shown in plans, on the status branch and in the cloud, so it is slow to
// compute: who has a digest tries some 25 passwords a second on one core, not
// the billion that SHA-256 would allow. The salt is the label's key and nothing
// of the cluster, the fleet or the reference. That is the trade: a fleet of 500
// clusters with one password costs one digest a run, a commit can be compared
// with a cloud on any machine, and renaming a variable changes nothing; on the
// other hand one can see that two clusters have the same password, and a guess
// made once holds for all of them. A password out of a dictionary can be found,
// as it can from any hash that is shown; a random one of 12 characters cannot.
// Five hundred passwords that differ cost twenty seconds, once in a process.
func (d *Digester) Digest(key, text string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := sha256.Sum256([]byte(key + "\x00" + text))
	if known, ok := d.known[id]; ok {
		return known
	}
	sum, err := scrypt.Key([]byte(text), []byte("jeroboam secret label "+key), scryptN, scryptR, scryptP, 8)
	if err != nil {
		panic("schema: digest of a secret: " + err.Error()) // only wrong parameters fail
	}
	if d.known == nil {
		d.known = map[[sha256.Size]byte]string{}
	}
	d.known[id] = hex.EncodeToString(sum)
	return d.known[id]
}

// Hide moves the secret labels that a spec has in plain text to where they
// belong, and gives the texts by digest; nil if there are none. Load does it to
// what is written in Git. A driver does it to what it reads from a backend that
// keeps labels in plain text, before anything else sees it.
func (d *Digester) Hide(s *Spec) map[string]SecretText {
	if !hasSecret(s.Labels) && !slices.ContainsFunc(s.Groups, func(g Group) bool { return hasSecret(g.Labels) }) {
		return nil
	}
	texts := map[string]SecretText{}
	sets := make([]labelSet, len(s.Groups)) // before the cluster's change, which they may be
	for i, g := range s.Groups {
		sets[i] = d.hide(labelSet{s.LabelsOf(g), s.SecretsOf(g)}, texts)
	}
	cluster := d.hide(labelSet{s.Labels, s.SecretLabels}, texts)
	s.Labels, s.SecretLabels = cluster.plain, cluster.secret
	s.Groups = slices.Clone(s.Groups)
	for i := range s.Groups {
		s.Groups[i].Labels, s.Groups[i].SecretLabels = sets[i].unlike(cluster)
	}
	return texts
}

func (d *Digester) hide(set labelSet, texts map[string]SecretText) labelSet {
	if !hasSecret(set.plain) {
		return set
	}
	out := labelSet{map[string]string{}, map[string]Secret{}}
	maps.Copy(out.secret, set.secret)
	for key, text := range set.plain {
		if !secretLabel(key) {
			out.plain[key] = text
			continue
		}
		digest := d.Digest(key, text)
		out.secret[key], texts[digest] = Secret{Digest: digest}, NewSecretText(text)
	}
	return out
}

// labelSet are labels in the two ways to give them. No key is in both.
type labelSet struct {
	plain  map[string]string
	secret map[string]Secret
}

// under lays labels over those of a set, or replaces them. What is not written
// takes nothing away, as in Magnum.
func (set labelSet) under(own labelSet, merge *bool) labelSet {
	switch {
	case own.plain == nil && own.secret == nil:
		return set
	case !orDefault(merge, true) || len(set.plain) == 0 && len(set.secret) == 0:
		return own
	}
	return labelSet{overlaid(set.plain, own.plain, own.secret), overlaid(set.secret, own.secret, own.plain)}
}

// overlaid is base with own over it and without the keys of other. Where one
// of the two says nothing it is the other itself, which nobody changes.
func overlaid[V, O any](base, own map[string]V, other map[string]O) map[string]V {
	switch {
	case len(own) == 0 && !common(base, other):
		return base
	case len(base) == 0:
		return own
	}
	merged := make(map[string]V, len(base)+len(own))
	maps.Copy(merged, base)
	maps.Copy(merged, own)
	maps.DeleteFunc(merged, func(key string, _ V) bool { _, ok := other[key]; return ok })
	return merged
}

func common[V, O any](a map[string]V, b map[string]O) bool {
	for key := range a {
		if _, ok := b[key]; ok {
			return true
		}
	}
	return false
}

// unlike are the labels of a group as Group has them: only what is not the
// cluster's, and then not nil.
func (set labelSet) unlike(cluster labelSet) (plain map[string]string, secret map[string]Secret) {
	if !maps.Equal(set.plain, cluster.plain) {
		if plain = set.plain; plain == nil {
			plain = map[string]string{}
		}
	}
	if !maps.Equal(set.secret, cluster.secret) {
		if secret = set.secret; secret == nil {
			secret = map[string]Secret{}
		}
	}
	return plain, secret
}

// references are the secret labels of a document.
func references(labels map[string]secretSpec) map[string]Secret {
	if labels == nil {
		return nil
	}
	secrets := make(map[string]Secret, len(labels))
	for key, s := range labels {
		secrets[key] = Secret{Env: s.Env, File: s.File}
	}
	return secrets
}

// envName is the form of a name of an environment variable that a shell can set
// (POSIX, base definitions, 8.1).
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// secretLabels checks that each secret label says where its value is, in one
// way, and that the key is no plain label as well. What is wrong is not
// repeated: it may be the secret itself.
func (c *checker) secretLabels(labels map[string]string, secrets map[string]secretSpec) {
	written := child(child(c.root, "spec"), "secretLabels")
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		s, at := secrets[key], "/spec/secretLabels/"+escape(key)
		n := child(written, key)
		switch {
		case child(n, "env") == nil && child(n, "file") == nil:
			c.report(CodeSecretReference, at, "add env, the name of an environment variable, or file, an absolute path", "it does not say where the value is")
		default:
			c.secretSource(SecretSource(s), at)
		}
		if _, both := labels[key]; both {
			c.report(CodeSecretReference, at, "keep one of the two", "the label %q is in labels as well", key)
		}
	}
}
