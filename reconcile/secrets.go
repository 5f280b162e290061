package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// SecretReader reads what secretLabels refer to, where the process runs. What
// is nil can read nothing.
type SecretReader struct {
	Env func(name string) (string, bool)
	// File opens a file. It must not wait for what is none: opening a named pipe
	// must return.
	File func(path string) (fs.File, error)
}

// maxSecret bounds a secret, in bytes: Magnum's labels share one request of at
// most 1 MiB.
const maxSecret = 64 << 10

// Text reads a secret. Its error says who can act, and never what was read.
func (r SecretReader) Text(s schema.Secret) (string, error) {
	what, text, err := "file "+s.File, "", error(nil)
	if s.Env != "" {
		what = "environment variable " + s.Env
		text, err = r.env(s.Env)
	} else {
		text, err = r.file(s.File)
	}
	switch {
	case err != nil:
	case text == "":
		err = errors.New("is empty: give it the value")
	case len(text) > maxSecret:
		err = fmt.Errorf("has more than %d bytes: give it the value alone", maxSecret)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		err = errors.New("is no text (UTF-8): encode the value")
	}
	if err != nil {
		return "", fmt.Errorf("%s %w", what, err)
	}
	return text, nil
}

func (r SecretReader) env(name string) (string, error) {
	if r.Env != nil {
		if text, ok := r.Env(name); ok {
			return text, nil
		}
	}
	return "", errors.New("is not set where jeroboam runs: set it there, or correct what refers to it")
}

// file reads a file, one newline at its end left out. One that everybody may
// write is refused, because then everybody may choose the cluster's password.
// One that everybody may read is not: Kubernetes mounts secrets as 0644 and
// Docker as 0444, where the container is the fence.
func (r SecretReader) file(path string) (string, error) {
	if r.File == nil {
		return "", errors.New("cannot be read here")
	}
	f, err := r.File(path)
	if err != nil {
		return "", unreadable(err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", unreadable(err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("is no regular file (%s): name the file itself", info.Mode().Type())
	case info.Mode().Perm()&0o002 != 0:
		return "", errors.New("may be written by everybody where jeroboam runs: take that right away (chmod o-w)")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+2)) // one more than the newline tells that it is too much
	if err != nil {
		return "", unreadable(err)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if text != string(b) {
		text = strings.TrimSuffix(text, "\r")
	}
	return text, nil
}

func unreadable(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("is not there where jeroboam runs: put it there, or correct what refers to it")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("may not be read by the user that jeroboam runs as: give it the right")
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// resolution is one run's reading of secrets: each is read once, so that all
// clusters have the same.
type resolution struct {
	reader  SecretReader
	digests *schema.Digester
	read    map[schema.Secret]reading // by reference
}

type reading struct {
	text string
	err  error
}

// resolveSecrets is the fleet with what its secret labels refer to. What cannot
// be read stays a reference and is an objection to all that the cluster's steps
// would do: what the cluster should be is not known. Nothing is deleted for it,
// and the other clusters go on.
func (r *Reconciler) resolveSecrets(fleet *schema.Fleet) (*schema.Fleet, map[schema.Key][]diff.Objection) {
	run := resolution{r.Secrets, &r.digests, map[schema.Secret]reading{}}
	out, objections := *fleet, map[schema.Key][]diff.Objection{}
	out.Clusters = slices.Clone(fleet.Clusters)
	for i, c := range fleet.Clusters {
		if !refers(&c.Spec) {
			continue
		}
		resolved, found := run.cluster(c)
		out.Clusters[i] = resolved
		if len(found) > 0 {
			objections[c.Key] = found
		}
	}
	return &out, objections
}

// refers says that a spec has a secret that is yet to be read.
func refers(s *schema.Spec) bool {
	open := func(secrets map[string]schema.Secret) bool {
		for _, s := range secrets {
			if s.Digest == "" {
				return true
			}
		}
		return false
	}
	return open(s.SecretLabels) || slices.ContainsFunc(s.Groups, func(g schema.Group) bool { return open(g.SecretLabels) })
}

// cluster is a copy of a cluster with its secrets read: the fleet is not ours to
// change.
func (r *resolution) cluster(c *schema.Cluster) (*schema.Cluster, []diff.Objection) {
	out := *c
	out.Spec.Groups, out.Secrets = slices.Clone(c.Spec.Groups), map[string]schema.SecretText{}
	maps.Copy(out.Secrets, c.Secrets)
	var found []diff.Objection
	resolve := func(within string, secrets map[string]schema.Secret) map[string]schema.Secret {
		if secrets == nil {
			return nil
		}
		resolved := make(map[string]schema.Secret, len(secrets))
		for _, key := range slices.Sorted(maps.Keys(secrets)) {
			s, err := r.secret(key, secrets[key], out.Secrets)
			inherited := within != "" && secrets[key] == c.Spec.SecretLabels[key]
			if resolved[key] = s; err != nil && !inherited {
				found = append(found, diff.Objection{Code: schema.CodeSecretReference, Field: within + "secretLabels/" + key, Reason: err.Error(), All: true})
			}
		}
		return resolved
	}
	out.Spec.SecretLabels = resolve("", c.Spec.SecretLabels)
	for i, g := range out.Spec.Groups {
		out.Spec.Groups[i].SecretLabels = resolve("nodeGroups/"+g.Name+"/", g.SecretLabels)
	}
	return &out, found
}

// secret gives what stands for the text of a reference and keeps the text.
func (r *resolution) secret(key string, s schema.Secret, texts map[string]schema.SecretText) (schema.Secret, error) {
	if s.Digest != "" {
		return s, nil
	}
	got, ok := r.read[s]
	if !ok {
		got.text, got.err = r.reader.Text(s)
		r.read[s] = got
	}
	if got.err != nil {
		return s, got.err
	}
	digest := r.digests.Digest(key, got.text)
	texts[digest] = schema.NewSecretText(got.text)
	return schema.Secret{Digest: digest}, nil
}

// minMasked is the shortest secret that is taken out of other people's texts: a
// shorter one is in every second word.
const minMasked = 4

// mask takes the secrets of a cluster out of a text that a cloud wrote: some
// repeat in their errors what they were sent.
func mask(c *schema.Cluster, text string) string {
	if c == nil {
		return text
	}
	texts := make([]string, 0, len(c.Secrets))
	for _, secret := range c.Secrets {
		if s := secret.Reveal(); len(s) >= minMasked {
			texts = append(texts, s)
		}
	}
	// The longest first: one may be in another.
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	for _, s := range texts {
		text = strings.ReplaceAll(text, s, schema.NewSecretText(s).String())
	}
	return text
}

// maskError is an error without the secrets of a cluster in its text; its kind
// stays.
func maskError(c *schema.Cluster, err error) error {
	if err == nil || mask(c, err.Error()) == err.Error() {
		return err
	}
	e, ok := errors.AsType[*drivers.Error](err)
	if !ok {
		return errors.New(mask(c, err.Error()))
	}
	return &drivers.Error{Kind: e.Kind, Op: e.Op, Request: e.Request, Err: errors.New(mask(c, e.Err.Error()))}
}

// maskObserved does it to what clouds say of the clusters of a fleet.
func maskObserved(fleet *schema.Fleet, have []diff.Observed) {
	secretive := map[schema.Key]*schema.Cluster{}
	for _, c := range fleet.Clusters {
		if len(c.Secrets) > 0 {
			secretive[c.Key] = c
		}
	}
	for i := range have {
		o := &have[i]
		c, ok := secretive[o.Key]
		if !ok {
			continue
		}
		o.Reason, o.Unknown = mask(c, o.Reason), mask(c, o.Unknown)
		o.Nodes, o.Drift = slices.Clone(o.Nodes), slices.Clone(o.Drift) // the driver's
		for i := range o.Nodes {
			o.Nodes[i].Reason = mask(c, o.Nodes[i].Reason)
		}
		for i := range o.Drift {
			o.Drift[i].Detail = mask(c, o.Drift[i].Detail)
		}
	}
}
