package heat

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// vault is where the keys of Kubernetes clusters are kept: Barbican, because
// everything sent to Heat is readable by the whole project. Each file is a
// secret of its own, so that a master may be let in to some and not to others
// (admission.go):
//
//	jeroboam/<owner>/<stack>/<file>, e.g. jeroboam/us/a-1f3c5a77/ca.key
//
// The stack's name is the cluster's identity. Names of secrets are not unique,
// and nothing is ever overwritten: what was there first counts.
type vault struct {
	cloud     *openstack.Cloud
	cloudName schema.CloudName
	owner     string
	log       *zap.Logger
	tried     bool // by another credential with the same rules
}

// Barbican gives no more than a hundred rows at once, and next pages by number.
const secretsPage = 100

const keptActive = "ACTIVE"

// kept is one secret as Barbican lists it.
type kept struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Created string `json:"created"` // its resolution is one second
	Ref     string `json:"secret_ref"`
	Types   *struct {
		Default string `json:"default"`
	} `json:"content_types"` // nil: it holds nothing
}

// id is the end of the reference: its beginning is Barbican's own idea of its
// address, which need not be one that anybody reaches.
func (k kept) id() string { return k.Ref[strings.LastIndex(k.Ref, "/")+1:] }

func (v vault) name(stack, file string) string { return v.prefix() + stack + "/" + file }

func (v vault) prefix() string { return "jeroboam/" + v.owner + "/" }

// parse tells which stack of ours a secret or a credential of that name belongs
// to. The identity in the stack's name keeps owners apart of whom one is the
// beginning of another, and clouds that end in one project.
func (v vault) parse(name string) (stack string, ours bool) {
	rest, ours := strings.CutPrefix(name, v.prefix())
	stack, file, two := strings.Cut(rest, "/")
	if _, known := named(stack, v.owner, v.cloudName); !ours || !two || !known || !isFile(file) {
		return "", false
	}
	return stack, true
}

// isFile says that a stack may have a file of that name. Others than those of a
// cluster's keys have no folder: the name of another owner may end where that of
// a stack of ours does.
func isFile(file string) bool {
	return file != "" && (!strings.Contains(file, "/") || slices.Contains(pki.Names(), file))
}

// put keeps PEM texts by file name and gives the ids of their secrets by file
// name. What is kept already stays as it is, so that a run that was killed can
// be repeated and one that comes second uses what the first one kept: use what
// get gives, not what was given here.
//
// A set is never mixed of two: where some of the files are kept and differ from
// those given, and others are missing, it is a Conflict. Whoever completes such
// a set gives put what get gave, and the missing files with it.
func (v vault) put(ctx context.Context, stack string, texts map[string]string) (map[string]string, error) {
	if err := checkTexts(texts); err != nil {
		return nil, err
	}
	files := slices.Sorted(maps.Keys(texts))
	refs, err := v.find(ctx, stack, files)
	if err != nil || len(refs) == len(files) {
		return refs, err
	}
	if err := v.same(ctx, refs, texts); err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(files), func(file string) bool { return refs[file] != "" })
	if err := beside(ctx, missing, func(ctx context.Context, _ int, file string) error {
		_, err := v.create(ctx, v.name(stack, file), texts[file])
		return err
	}); err != nil {
		return nil, err
	}
	// Another run may have done the same in the meantime: both look again, and
	// both find that the same ones count.
	refs, err = v.find(ctx, stack, files)
	if err == nil && len(refs) < len(files) {
		err = &drivers.Error{Kind: drivers.Conflict, Op: "keep keys of " + stack, Err: errors.New("what was just kept is gone")}
	}
	return refs, err
}

// checkTexts refuses what no store keeps.
func checkTexts(texts map[string]string) error {
	for file, text := range texts {
		if block, _ := pem.Decode([]byte(text)); block == nil || !isFile(file) {
			return &drivers.Error{Kind: drivers.Unknown, Op: "keep " + file, Err: errors.New("neither a file name nor a PEM text")}
		}
	}
	return nil
}

// beside does something with every one beside the others, as many at once as
// the cloud is asked anyway. The first error ends it.
func beside[T any](ctx context.Context, all []T, do func(ctx context.Context, i int, one T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, one := range all {
		group.Go(func() error { return do(ctx, i, one) })
	}
	return group.Wait()
}

// same compares the texts with what is kept of them.
func (v vault) same(ctx context.Context, refs, texts map[string]string) error {
	have, err := v.get(ctx, refs)
	if err != nil {
		return err
	}
	return alike(have, texts)
}

// alike refuses texts of which some are kept and are others.
func alike(have, texts map[string]string) error {
	for _, file := range slices.Sorted(maps.Keys(have)) {
		if strings.TrimSpace(have[file]) != strings.TrimSpace(texts[file]) {
			return &drivers.Error{Kind: drivers.Conflict, Op: "keep keys", Err: fmt.Errorf(
				"%d of %d files are kept, and %s is another than the one given: complete that set, or delete it", len(have), len(texts), file)}
		}
	}
	return nil
}

// claim keeps a text of which there may be but one, unless there is one, and
// gives that. An empty text is not kept: then it only looks, and what is not there
// is empty.
//
// Barbican has nothing that only one of two can do, and its times are too coarse
// to tell who was first. So who keeps a text looks again, and who then sees
// another takes his own back: of two at once one goes on, who did not see the
// other, or none does. That is a Conflict, for the next run to be alone.
func (v vault) claim(ctx context.Context, stack, file, text string) (string, error) {
	name := v.name(stack, file)
	all, err := v.active(ctx, name)
	mine := ""
	if err == nil && len(all) == 0 {
		if text == "" {
			return "", nil
		}
		if mine, err = v.create(ctx, name, text); err == nil {
			all, err = v.active(ctx, name)
		}
	}
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		if mine != "" {
			err = v.remove(context.WithoutCancel(ctx), kept{Name: name, Ref: mine})
		}
		return "", errors.Join(conflict("keep "+file, "several runs keep one of %s at once, look again; if that stays so, they were killed: "+
			"jeroboam ca forget, if there is no such cluster", stack), err)
	}
	got, err := payload(ctx, v.cloud, all[0].id())
	if gone(err) {
		return "", conflict("keep "+file, "another run is done with that of %s", stack)
	}
	return got, v.explain("read "+file, err)
}

// create keeps a secret and gives its reference.
func (v vault) create(ctx context.Context, name, text string) (ref string, err error) {
	var made struct {
		Ref string `json:"secret_ref"`
	}
	err = v.cloud.Post(ctx, "key-manager", "/secrets", map[string]string{
		"name": name, "payload": text, "payload_content_type": "text/plain", "secret_type": "opaque",
	}, &made)
	return made.Ref, v.explain("keep "+name, err)
}

// find gives the ids of the secrets of a stack by file name. Files of which
// nothing is kept are missing. Of several secrets of one name the oldest
// counts, for everybody.
func (v vault) find(ctx context.Context, stack string, files []string) (map[string]string, error) {
	ids := make([]string, len(files))
	if err := beside(ctx, files, func(ctx context.Context, i int, file string) (err error) {
		ids[i], err = v.oldest(ctx, v.name(stack, file))
		return err
	}); err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for i, file := range files {
		if ids[i] != "" {
			refs[file] = ids[i]
		}
	}
	return refs, nil
}

// oldest is the id of the secret of a name, or "".
func (v vault) oldest(ctx context.Context, name string) (string, error) {
	all, err := v.active(ctx, name)
	if err != nil || len(all) == 0 {
		return "", err
	}
	first := slices.MinFunc(all, func(a, b kept) int { return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.id(), b.id())) })
	if len(all) > 1 {
		v.log.Warn("several secrets of one name, the oldest counts", zap.String("secret", name), zap.Int("count", len(all)), zap.String("id", first.id()))
	}
	return first.id(), nil
}

// active are the secrets of a name that hold something.
func (v vault) active(ctx context.Context, name string) ([]kept, error) {
	all, err := v.list(ctx, name)
	return slices.DeleteFunc(all, func(k kept) bool { return k.Name != name || k.Status != keptActive || k.Types == nil }), err
}

// list reads the secrets of a name, or all of the project's. The end is what
// the total says: a link to a next page would lose the name.
func (v vault) list(ctx context.Context, name string) ([]kept, error) {
	var all []kept
	query := url.Values{"limit": {strconv.Itoa(secretsPage)}}
	if name != "" {
		query.Set("name", name)
	}
	for {
		var page struct {
			Secrets []kept `json:"secrets"`
			Total   int    `json:"total"`
		}
		query.Set("offset", strconv.Itoa(len(all)))
		if err := v.cloud.Get(ctx, "key-manager", "/secrets", query, &page); err != nil {
			return nil, v.explain("list secrets", err)
		}
		all = append(all, page.Secrets...)
		if len(page.Secrets) == 0 || len(all) >= page.Total {
			return all, nil
		}
	}
}

// get reads what secrets hold, by the names of their ids.
func (v vault) get(ctx context.Context, refs map[string]string) (map[string]string, error) {
	files := slices.Sorted(maps.Keys(refs))
	got := make([]string, len(files))
	if err := beside(ctx, files, func(ctx context.Context, i int, file string) (err error) {
		got[i], err = payload(ctx, v.cloud, refs[file])
		return v.explain("read "+file, err)
	}); err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(files))
	for i, file := range files {
		texts[file] = got[i]
	}
	return texts, nil
}

// maxPayload is more than Barbican takes by default.
const maxPayload = 64 << 10

// payload is what a secret holds. Barbican loses the end of the last line,
// without which some readers of PEM fail.
func payload(ctx context.Context, c *openstack.Cloud, id string) (string, error) {
	body, err := c.GetStream(ctx, "key-manager", payloadPath(id), nil, openstack.Accept("text/plain"))
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxPayload))
	return strings.TrimSpace(string(text)) + "\n", err
}

func payloadPath(id string) string { return "/secrets/" + url.PathEscape(id) + "/payload" }

// delete removes all that is kept of a stack, and nothing of others. That it is
// gone already is fine. What a page did not show because something before it
// went in the meantime is a leftover.
func (v vault) delete(ctx context.Context, stack string) error {
	return v.deleteAll(ctx, "", func(k kept) bool {
		of, ours := v.parse(k.Name)
		return ours && of == stack
	})
}

// drop removes one file of a stack, however many secrets it is.
func (v vault) drop(ctx context.Context, stack, file string) error {
	name := v.name(stack, file)
	return v.deleteAll(ctx, name, func(k kept) bool { return k.Name == name })
}

// deleteAll deletes among the secrets of a name, or of the project.
func (v vault) deleteAll(ctx context.Context, name string, which func(kept) bool) error {
	all, err := v.list(ctx, name)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(k kept) bool { return !which(k) })
	return beside(ctx, all, func(ctx context.Context, _ int, k kept) error { return v.remove(ctx, k) })
}

// remove deletes one secret, if it is still there.
func (v vault) remove(ctx context.Context, k kept) error {
	err := v.cloud.Delete(ctx, "key-manager", "/secrets/"+url.PathEscape(k.id()), nil, nil)
	if err == nil || gone(err) {
		return nil
	}
	return v.explain("delete "+k.Name, err)
}

// leftovers are the names of stacks of which something is kept and that are not
// among those given, sorted. One may belong to a create that is just under way.
func (v vault) leftovers(ctx context.Context, stacks []string) ([]string, error) {
	all, err := v.list(ctx, "")
	var left []string
	for _, k := range all {
		if stack, ours := v.parse(k.Name); ours && !slices.Contains(stacks, stack) {
			left = append(left, stack)
		}
	}
	slices.Sort(left)
	return slices.Compact(left), err
}

// explain adds to a refusal which role is missing.
func (v vault) explain(op string, err error) error {
	f := openstack.AsFault(err)
	if f == nil || f.Status != http.StatusForbidden || drivers.KindOf(err) != drivers.Denied {
		return err
	}
	return &drivers.Error{Kind: drivers.Denied, Op: op, Err: fmt.Errorf(
		"%w; keys are kept in Barbican: give the user of cloud %s the role %s in the project, or member where its policy is the new one", err, v.cloudName, roleFor(kindSecrets))}
}
