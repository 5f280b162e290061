package heat

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// Keys gives what is kept of a cluster.
func (d *Driver) Keys(ctx context.Context, key schema.Key) (*pki.Keys, error) {
	store, err := d.keyStore()
	if err != nil {
		return nil, err
	}
	stack := stackName(d.owner, key)
	k, err := readKept(ctx, store, stack, pki.Names())
	if err != nil {
		return nil, err
	}
	if k.count() == 0 {
		return nil, &drivers.Error{Kind: drivers.NotFound, Op: "read keys of " + key.String(), Err: fmt.Errorf("none are kept in %s", d.KeptAt(key).Where)}
	}
	ring, err := k.ring(nil)
	if err != nil {
		return nil, err
	}
	return ring.keys, nil
}

// KeptAt says where keys of a cluster are or would be kept.
func (d *Driver) KeptAt(key schema.Key) drivers.KeyPlace {
	stack := stackName(d.owner, key)
	if d.config.Keys == schema.KeysLocal {
		return drivers.KeyPlace{Where: filepath.Join(d.safe().dir, stack), Local: true}
	}
	return drivers.KeyPlace{Where: fmt.Sprintf("Barbican of project %s, as %s", d.cloud.Token().ProjectName, d.vault().name(stack, ""))}
}

// BackedUp notes that keys which are kept locally are elsewhere too.
func (d *Driver) BackedUp(ctx context.Context, key schema.Key) error {
	if d.config.Keys != schema.KeysLocal {
		return nil
	}
	return d.safe().noteExport(ctx, stackName(d.owner, key))
}

// Forget removes what is kept of a cluster whose stack is gone. What lets
// somebody in goes before what it lets in to. It looks into both stores: which
// one is used may have been changed since.
func (d *Driver) Forget(ctx context.Context, key schema.Key) error {
	stack := stackName(d.owner, key)
	switch s, exists, err := d.api.named(ctx, stack); {
	case err != nil:
		return err
	case exists && s.status() != diff.DeleteComplete:
		return conflict("forget keys of "+key.String(), "stack %s is there (%s)", stack, s.Status)
	}
	if err := d.vault().revoke(ctx, stack); err != nil {
		return err
	}
	if d.cloud.Has("key-manager") {
		err := d.vault().delete(ctx, stack)
		refused := d.config.Keys == schema.KeysLocal && drivers.KindOf(err) == drivers.Denied // then nothing of ours is there
		if err != nil && !refused {
			return err
		}
	}
	if d.keyDir == "" {
		return nil
	}
	return d.safe().delete(ctx, stack)
}

// examineKeys tells of what belongs to stacks that are not there: keys, and the
// credentials that lead to them. Whether such things may be read at all, the
// probes of the services say.
func (d *Driver) examineKeys(ctx context.Context) []drivers.Finding {
	rows, _, err := d.api.list(ctx, nil)
	if err != nil {
		return nil
	}
	var live []string
	for _, r := range rows {
		live = append(live, r.Name)
	}
	var left []string
	var unseen []error
	look := func(stacks []string, err error) {
		left, unseen = append(left, stacks...), append(unseen, err)
	}
	if d.cloud.Has("key-manager") {
		look(d.vault().leftovers(ctx, live))
	}
	if d.keyDir != "" {
		look(d.safe().leftovers(ctx, live))
	}
	doors, err := d.vault().doors(ctx)
	look(slices.DeleteFunc(doors, func(s string) bool { return slices.Contains(live, s) }), err)
	f := drivers.Finding{Check: "keys", Level: drivers.Fine, Detail: "none are left over"}
	slices.Sort(left)
	left = slices.Compact(left)
	switch err := errors.Join(unseen...); {
	case len(left) > 0:
		f.Level = drivers.Doubt
		f.Detail = "of stacks that are not there: " + strings.Join(left, ", ")
		f.Advice = "they are kept until their cluster is made again, which may be under way; otherwise remove them:\n" + d.forgetLines(left)
	case err != nil:
		f.Level, f.Detail = drivers.Missing, "what is left over cannot be seen: "+strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return []drivers.Finding{f}
}

func (d *Driver) forgetLines(stacks []string) string {
	lines := make([]string, len(stacks))
	for i, stack := range stacks {
		key, _ := named(stack, d.owner, d.cloudName)
		lines[i] = "jeroboam ca forget " + key.String()
	}
	return strings.Join(lines, "\n")
}
