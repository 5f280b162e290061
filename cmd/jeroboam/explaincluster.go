package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/reconcile/schedule"
	"jeroboam.io/jeroboam/schema"
)

// shownSteps is how many steps of a cluster are told.
const shownSteps = 20

// explainCluster tells of a cluster what Git and the local store know. What one of
// them does not give is said, and the other told all the same.
func (a *app) explainCluster(ctx context.Context, name string) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	repo, _, err := a.repositories(config)
	if err != nil {
		return err
	}
	records, err := a.records(ctx)
	if err != nil {
		return err
	}
	fleet, commit, unread := a.declaredFleet(ctx, repo)
	key, err := clusterCalled(name, fleet, records)
	if err != nil {
		return errors.Join(err, unread)
	}
	e := view.ClusterExplanation{Key: key, Commit: commit}
	if unread != nil {
		e.Unread = append(e.Unread, "where it is declared: "+unread.Error())
	}
	if i := slices.IndexFunc(records, func(r reconcile.Record) bool { return r.Key() == key }); i >= 0 {
		e.Record = &records[i]
	}
	if err := a.explainDeclared(ctx, &e, repo, fleet, config); err != nil {
		return err
	}
	if err := explainDone(ctx, &e, config.StateDir); err != nil {
		return err
	}
	if a.json() {
		return view.ClusterExplanationJSON(a.stdout, e, a.now())
	}
	return view.ClusterExplanationText(a.stdout, e, a.now(), a.view())
}

// declaredFleet is the fleet as the branch has it now.
func (a *app) declaredFleet(ctx context.Context, repo *gitrepo.Repo) (*schema.Fleet, string, error) {
	snapshot, err := repo.Fetch(ctx, "")
	if err != nil {
		return &schema.Fleet{}, "", err
	}
	a.tellDistrust(snapshot.Distrust)
	loader, err := a.loader()
	if err != nil {
		return &schema.Fleet{}, "", err
	}
	fleet, err := loader.Load(snapshot.Files)
	if problems, invalid := schema.AsProblems(err); invalid {
		return &schema.Fleet{}, snapshot.Commit, fmt.Errorf("the fleet at commit %.12s is invalid: %s (jeroboam validate tells all)", snapshot.Commit, problems[0])
	}
	if err != nil {
		return &schema.Fleet{}, "", err
	}
	return fleet, snapshot.Commit, nil
}

// clusterCalled finds the cluster of a name, or of cloud/name, among those that are
// declared and those that have a record.
func clusterCalled(name string, fleet *schema.Fleet, records []reconcile.Record) (schema.Key, error) {
	keys := map[schema.Key]bool{}
	for _, c := range fleet.Clusters {
		keys[c.Key] = true
	}
	for _, r := range records {
		keys[r.Key()] = true
	}
	var found []schema.Key
	var names []string
	for k := range keys {
		if name == string(k.Name) || name == k.String() {
			found = append(found, k)
		}
		names = append(names, k.String(), string(k.Name))
	}
	switch len(found) {
	case 0:
		return schema.Key{}, nobody(name, names)
	case 1:
		return found[0], nil
	}
	slices.SortFunc(found, schema.Key.Compare)
	texts := make([]string, len(found))
	for i, k := range found {
		texts[i] = k.String()
	}
	return schema.Key{}, fmt.Errorf("%d clusters are named %q: give one of %s", len(found), name, strings.Join(texts, ", "))
}

// nobody is for a name that is neither a cluster's nor a code.
func nobody(name string, names []string) error {
	for _, e := range schema.Explanations() {
		names = append(names, string(e.Code))
	}
	slices.Sort(names)
	err := fmt.Errorf("there is no cluster and no code %q", name)
	if near := schema.Nearest(name, slices.Compact(names), 3); len(near) > 0 {
		return fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, ", "))
	}
	return fmt.Errorf("%w; jeroboam status lists clusters, jeroboam explain codes", err)
}

// explainDeclared fills in what Git says.
func (a *app) explainDeclared(ctx context.Context, e *view.ClusterExplanation, repo *gitrepo.Repo, fleet *schema.Fleet, config schema.Config) error {
	i := slices.IndexFunc(fleet.Clusters, func(c *schema.Cluster) bool { return c.Key == e.Key })
	if i < 0 {
		return nil
	}
	e.Cluster = fleet.Clusters[i]
	e.Changed = lastChange(ctx, e, repo, e.Cluster.Pos.File)
	for _, t := range fleet.Templates {
		if t.Name == e.Cluster.Template {
			e.Template = &view.DeclaredTemplate{Name: t.Name, Pos: t.Pos, Changed: lastChange(ctx, e, repo, t.Pos.File)}
		}
	}
	e.Window = e.Cluster.Policy.Maintenance
	if e.Window == nil {
		e.Window = config.Maintenance
	}
	if e.Window == nil {
		return nil
	}
	opens, err := schedule.Parse(e.Window.Cron, e.Window.TimeZone)
	if err != nil {
		return fmt.Errorf("window of %s: %w", e.Key, err)
	}
	length, err := time.ParseDuration(e.Window.Duration)
	if err != nil {
		return fmt.Errorf("window of %s: %w", e.Key, err)
	}
	o := schedule.Window{Opens: opens, Length: length}.At(a.now())
	e.Opening = view.Opening{Open: o.Open, Closes: o.Closes, Next: o.Next}
	return nil
}

// lastChange is who last changed a file; what cannot be found out is noted.
func lastChange(ctx context.Context, e *view.ClusterExplanation, repo *gitrepo.Repo, file string) *gitrepo.Change {
	c, err := repo.LastChange(ctx, e.Commit, file)
	if err != nil {
		e.Unread = append(e.Unread, "who changed "+file+": "+err.Error())
		return nil
	}
	return &c
}

// explainDone fills in what was done and seen, as far as this machine knows.
func explainDone(ctx context.Context, e *view.ClusterExplanation, stateDir string) (err error) {
	store, err := record.View(ctx, stateDir)
	if err != nil {
		return err
	}
	defer closeStore(store, &err)
	if e.Record != nil {
		if o, seen := store.Recall(e.Key.Cloud)[e.Record.UUID]; seen {
			e.Type, e.Revision = o.Type, o.TypeRevision
		}
	}
	e.Steps, err = store.Steps(ctx, e.Key, shownSteps)
	return err
}
