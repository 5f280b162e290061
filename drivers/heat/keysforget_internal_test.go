package heat

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// withStack makes an empty stack of the bench's name.
func (b *bench) withStack(d *Driver) row {
	b.Helper()
	if err := d.api.create(b.Context(), stackBody{
		Name: b.stack, DisableRollback: true, TimeoutMinutes: 5,
		Template: map[string]any{"heat_template_version": "2018-08-31"}, Files: map[string]string{}, Parameters: map[string]string{},
	}); err != nil {
		b.Fatal(err)
	}
	b.clock.Advance(time.Minute)
	r, exists, err := d.api.named(b.Context(), b.stack)
	if err != nil || !exists {
		b.Fatal(exists, err)
	}
	return r
}

// Nothing that belongs to a cluster outlives it once it is forgotten: neither
// keys, in whichever store, nor ways in.
func TestForget(t *testing.T) {
	b := onSim(t, sim.Options{RuledServices: []string{"key-manager"}})
	remote, here := b.driver(schema.CloudConfig{}), b.driver(local)
	ring := b.mustRing(remote, cloudConf)
	b.mustRing(here)
	for _, boot := range []string{"b1", "b2"} {
		b.line(remote, ring, roleMaster, boot)
	}
	stack := b.withStack(remote)
	for _, d := range []*Driver{remote, here} {
		b.refused(d.Forget(b.Context(), b.key()), drivers.Conflict, "is there (CREATE_COMPLETE)")
		if _, err := d.Keys(b.Context(), b.key()); err != nil {
			b.Error(err)
		}
	}
	if err := remote.api.delete(b.Context(), stack.path()); err != nil {
		b.Fatal(err)
	}
	b.refused(remote.Forget(b.Context(), b.key()), drivers.Conflict, "is there (DELETE_IN_PROGRESS)")
	b.clock.Advance(time.Minute)
	for range 2 {
		if err := remote.Forget(b.Context(), b.key()); err != nil {
			b.Error(err)
		}
	}
	b.nothingLeft()
	for _, d := range []*Driver{remote, here} {
		_, err := d.Keys(b.Context(), b.key())
		b.refused(err, drivers.NotFound, "none are kept in "+d.KeptAt(b.key()).Where)
	}
	if left, err := filepath.Glob(filepath.Join(b.keyDir, "c", "*")); err != nil || len(left) > 0 {
		b.Errorf("left %v, %v", left, err)
	}
}

// A cloud whose Barbican is not for us has nothing of ours, if keys are kept
// locally; otherwise nobody knows.
func TestForgetWithoutRole(t *testing.T) {
	b := onSim(t, sim.Options{})
	d, here := b.driver(schema.CloudConfig{}), b.driver(local)
	viewer := b.connect("viewer", false)
	d.cloud, here.cloud = viewer, viewer
	d.api, here.api = heatAPI{viewer}, heatAPI{viewer}
	b.refused(d.Forget(b.Context(), b.key()), drivers.Denied, "the role creator")
	if err := here.Forget(b.Context(), b.key()); err != nil {
		b.Error(err)
	}
}

func TestForgetIsCutOff(t *testing.T) {
	b := onSim(t, sim.Options{RuledServices: []string{"key-manager"}})
	b.mustRing(b.driver(schema.CloudConfig{}), cloudConf)
	b.sim.Fault(sim.Fault{Service: "key-manager", Method: "DELETE", Status: 500, Skip: 4, Times: 1})
	err := b.driver(schema.CloudConfig{}).Forget(b.Context(), b.key())
	b.refused(err, drivers.Transient)
	if err := b.driver(schema.CloudConfig{}).Forget(b.Context(), b.key()); err != nil {
		b.Error(err)
	}
	b.nothingLeft()
}

// doctor tells of keys and ways in whose stack is not there, and how to get rid
// of them.
func TestExamineKeys(t *testing.T) {
	b := onSim(t, sim.Options{})
	d := b.driver(schema.CloudConfig{})
	find := func() drivers.Finding {
		found := d.examineKeys(b.Context())
		if len(found) != 1 || found[0].Check != "keys" {
			b.Fatalf("%+v", found)
		}
		return found[0]
	}
	if f := find(); f.Level != drivers.Fine {
		b.Errorf("nothing is there: %+v", f)
	}
	for _, made := range []func(){
		func() { b.mustRing(b.driver(schema.CloudConfig{}), cloudConf) },
		func() { b.mustRing(b.driver(local)) },
		func() {
			if _, err := b.make(b.Context(), map[string]any{"name": b.name(b.stack, "m0.b1"), "description": tagOwner + b.owner}); err != nil {
				b.Fatal(err)
			}
		},
	} {
		made()
		f := find()
		if f.Level != drivers.Doubt || f.Detail != "of stacks that are not there: "+b.stack || !strings.HasSuffix(f.Advice, "\njeroboam ca forget c/a") {
			b.Errorf("%+v", f)
		}
		stack := b.withStack(d)
		if f := find(); f.Level != drivers.Fine {
			b.Errorf("the stack is there: %+v", f)
		}
		if err := d.api.delete(b.Context(), stack.path()); err != nil {
			b.Fatal(err)
		}
		b.clock.Advance(time.Minute)
		if err := d.Forget(b.Context(), b.key()); err != nil {
			b.Error(err)
		}
	}
	d.cloud = b.connect("viewer", false)
	if f := find(); f.Level != drivers.Missing || !strings.Contains(f.Detail, "creator") {
		b.Errorf("without a role: %+v", f)
	}
}

// Keys on our own disk are told of until they are elsewhere too, and again when
// they are others.
func TestNotBackedUp(t *testing.T) {
	b := onSim(t, sim.Options{})
	d := b.driver(local)
	check := func(want ...schema.Key) {
		b.Helper()
		have, err := NotBackedUp(b.Context(), b.keyDir, b.owner)
		if err != nil || !slices.Equal(have, want) {
			b.Errorf("have %v, %v, want %v", have, err, want)
		}
	}
	check()
	b.mustRing(d)
	if _, err := d.keyring(b.Context(), stackName(b.owner, schema.Key{Cloud: "c", Name: "b"}), schema.Key{Cloud: "c", Name: "b"}); err != nil {
		b.Fatal(err)
	}
	check(b.key(), schema.Key{Cloud: "c", Name: "b"})
	for range 2 {
		if err := d.BackedUp(b.Context(), b.key()); err != nil {
			b.Error(err)
		}
		check(schema.Key{Cloud: "c", Name: "b"})
	}
	if have, err := NotBackedUp(b.Context(), b.keyDir, "somebody-else"); err != nil || len(have) > 0 {
		b.Errorf("of others: %v, %v", have, err)
	}
	if err := d.Forget(b.Context(), b.key()); err != nil {
		b.Error(err)
	}
	b.mustRing(d)
	check(b.key(), schema.Key{Cloud: "c", Name: "b"})
	if err := b.driver(schema.CloudConfig{}).BackedUp(b.Context(), b.key()); err != nil {
		b.Error(err)
	}
	check(b.key(), schema.Key{Cloud: "c", Name: "b"})
	if err := os.Chmod(d.safe().path(b.stack, pki.EtcdCert), 0o666); err != nil { // #nosec G302 -- what the test is about
		b.Fatal(err)
	}
	if _, err := NotBackedUp(b.Context(), b.keyDir, b.owner); drivers.KindOf(err) != drivers.Denied {
		b.Errorf("a store that is open to all: %v", err)
	}
}

// The disk does not do what it should.
func TestKeysCannotBeKeptLocally(t *testing.T) {
	b := onSim(t, sim.Options{})
	d := b.driver(local)
	if err := os.WriteFile(b.keyDir, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	_, err := d.keyring(b.Context(), b.stack, b.key())
	b.refused(err, drivers.Denied, b.keyDir, "kept locally")
	if errors.Is(err, os.ErrNotExist) {
		b.Errorf("it is taken for an empty store: %v", err)
	}
	if err := os.Remove(b.keyDir); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(d.safe().path(b.stack, pki.ClusterKey), 0o700); err != nil {
		b.Fatal(err)
	}
	_, err = d.keyring(b.Context(), b.stack, b.key())
	b.refused(err, drivers.Denied, "is no regular file")
}
