package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// keyed is a cluster and the driver that keeps its keys.
type keyed struct {
	drivers.Keeper
	driver drivers.Driver
	key    schema.Key
	config schema.Config
}

// withKeeper finds a cluster, opens its cloud and does something with its keys.
// The cluster is named as for status; with its cloud it need not have a record,
// since keys are there before their cluster and after it.
func (a *app) withKeeper(ctx context.Context, cluster string, readOnly bool, do func(keyed) error) (err error) {
	config, err := a.config()
	if err != nil {
		return err
	}
	key, err := a.clusterNamed(ctx, cluster)
	if err != nil {
		return err
	}
	store, err := record.View(ctx, config.StateDir)
	if err != nil {
		return err
	}
	defer closeStore(store, &err)
	o := a.options(config, key.Cloud)
	o.Memory, o.ReadOnly = store, readOnly
	d, err := a.drivers.Open(ctx, o)
	if err != nil {
		return err
	}
	keeper, ok := d.(drivers.Keeper)
	if !ok {
		return fmt.Errorf("the driver of cloud %s keeps no keys", key.Cloud)
	}
	return do(keyed{keeper, d, key, config})
}

func (a *app) clusterNamed(ctx context.Context, cluster string) (schema.Key, error) {
	if cloud, name, ok := strings.Cut(cluster, "/"); ok {
		if cloud == "" || name == "" || strings.Contains(name, "/") {
			return schema.Key{}, fmt.Errorf("%q is no cluster: give a name or cloud/name", cluster)
		}
		return schema.Key{Cloud: schema.CloudName(cloud), Name: schema.ClusterName(name)}, nil
	}
	records, err := a.records(ctx)
	if err != nil {
		return schema.Key{}, err
	}
	r, err := oneRecord(records, cluster)
	if err != nil {
		return schema.Key{}, fmt.Errorf("%w; cloud/name needs no record", err)
	}
	return r.Key(), nil
}

// oneRecord finds the cluster of a name, or of cloud/name.
func oneRecord(records []reconcile.Record, cluster string) (reconcile.Record, error) {
	found := slices.DeleteFunc(slices.Clone(records), func(r reconcile.Record) bool {
		return cluster != r.Name && cluster != r.Key().String()
	})
	switch len(found) {
	case 0:
		return reconcile.Record{}, noRecordError(cluster)
	case 1:
		return found[0], nil
	}
	keys := make([]string, len(found))
	for i, r := range found {
		keys[i] = r.Key().String()
	}
	return reconcile.Record{}, fmt.Errorf("%d clusters are named %q: give one of %s", len(found), cluster, strings.Join(keys, ", "))
}

// noRecordError is a cluster without a record.
type noRecordError string

func (e noRecordError) Error() string {
	return fmt.Sprintf("there is no record of a cluster %q", string(e))
}

// notBackedUp are the commands that would back up keys of which there is but one
// copy, on this machine.
func (a *app) notBackedUp(ctx context.Context, c schema.Config) ([]string, error) {
	keys, err := heat.NotBackedUp(ctx, c.KeyDir(), c.Owner)
	lines := make([]string, len(keys))
	for i, key := range keys {
		lines[i] = "jeroboam ca export " + key.String() + " --out FOLDER"
	}
	return lines, err
}

// warnOfKeys tells of keys that would be lost with this machine.
func (a *app) warnOfKeys(ctx context.Context, c schema.Config) error {
	lines, err := a.notBackedUp(ctx, c)
	if err == nil && len(lines) > 0 {
		a.say("warning", "keys are on this machine alone; back them up:\n  "+strings.Join(lines, "\n  "))
	}
	return err
}
