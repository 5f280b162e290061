package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// cloudsAtOnce bounds how many clouds are read beside each other.
const cloudsAtOnce = 16

// sight is what one cloud showed.
type sight struct {
	driver    drivers.Driver
	place     drivers.Place
	have      []diff.Observed
	inspected bool
	err       error
}

// observe reads every cloud that the fleet, the configuration or the memory
// names. A cloud that fails is unknown, and delays no other.
func (r *Reconciler) observe(ctx context.Context, l *look, readOnly bool) {
	names := r.cloudNames(l)
	sights := make([]sight, len(names))
	group := errgroup.Group{}
	group.SetLimit(cloudsAtOnce)
	var mu sync.Mutex
	for i, name := range names {
		group.Go(func() error {
			sights[i] = r.seeCloud(ctx, &mu, name, l.memory, readOnly)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its sight
	l.have.Unknown, l.report.Unread = map[schema.CloudName]string{}, map[schema.CloudName]error{}
	l.drivers, l.places = map[schema.CloudName]drivers.Driver{}, map[schema.CloudName]drivers.Place{}
	l.inspected, l.of = map[schema.CloudName]bool{}, map[schema.CloudName][2]int{}
	total := 0
	for _, s := range sights {
		total += len(s.have)
	}
	l.have.Clusters = make([]diff.Observed, 0, total)
	for i, s := range sights {
		if s.err != nil {
			l.have.Unknown[names[i]], l.report.Unread[names[i]] = s.err.Error(), s.err
			l.lastSeen = append(l.lastSeen, slices.Collect(maps.Values(r.Store.Recall(names[i])))...)
			r.Log.Warn("cloud cannot be read", zap.String("cloud", string(names[i])), zap.Error(s.err))
			continue
		}
		l.of[names[i]] = [2]int{len(l.have.Clusters), len(l.have.Clusters) + len(s.have)}
		l.have.Clusters = append(l.have.Clusters, s.have...)
		l.drivers[names[i]], l.places[names[i]], l.inspected[names[i]] = s.driver, s.place, s.inspected
	}
	maskObserved(l.fleet, l.have.Clusters)
	l.seen = byKey(l.have.Clusters)
}

// cloudNames are the clouds to look at, sorted: those of the fleet, and those
// where something of ours may still be.
func (r *Reconciler) cloudNames(l *look) []schema.CloudName {
	set := map[schema.CloudName]bool{}
	for _, c := range l.fleet.Clusters {
		set[c.Cloud] = true
	}
	for name := range r.Config.Clouds {
		set[name] = true
	}
	for name := range l.memory.places {
		set[name] = true
	}
	names := make([]schema.CloudName, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *Reconciler) seeCloud(ctx context.Context, mu *sync.Mutex, name schema.CloudName, m memory, readOnly bool) (s sight) {
	if s.driver, s.err = r.driver(ctx, mu, name, readOnly); s.err != nil {
		return s
	}
	if s.place, s.err = place(ctx, s.driver, name, m); s.err != nil {
		return s
	}
	if s.have, s.err = s.driver.Observe(ctx); s.err != nil {
		return s
	}
	if i, ok := s.driver.(drivers.Inspector); ok && r.inspectionDue(m, name) {
		s.inspected = true
		s.have, s.err = i.Inspect(ctx, s.have)
	}
	return s
}

// driver opens the cloud's driver, once in the life of the process.
func (r *Reconciler) driver(ctx context.Context, mu *sync.Mutex, name schema.CloudName, readOnly bool) (drivers.Driver, error) {
	mu.Lock()
	d, ok := r.clouds[access{name, readOnly}]
	mu.Unlock()
	if ok {
		return d, nil
	}
	d, err := r.Drivers.Open(ctx, drivers.Options{
		Cloud: name, Config: r.Config.Clouds[name], Owner: r.Config.Owner, Instance: r.Config.Instance,
		Memory: r.Store, ReadOnly: readOnly, KeyDir: r.Config.KeyDir(), Now: r.Now, Log: r.Log, Calls: &r.requests,
	})
	if err != nil {
		return nil, err
	}
	mu.Lock()
	r.clouds[access{name, readOnly}] = d
	mu.Unlock()
	return d, nil
}

// place asks where the driver works. An entry of clouds.yaml that suddenly
// means another project shows an empty list, which must not be believed.
func place(ctx context.Context, d drivers.Driver, name schema.CloudName, m memory) (drivers.Place, error) {
	p, ok := d.(drivers.Placed)
	if !ok {
		return drivers.Place{}, nil
	}
	now, err := p.Place(ctx)
	if err != nil {
		return now, err
	}
	if was, known := m.places[name]; known && (was.ProjectID != now.ProjectID || was.Region != now.Region) {
		return now, &drivers.Error{Kind: drivers.Denied, Op: "open cloud " + string(name), Err: fmt.Errorf(
			"it now means project %s in region %q and meant project %s in region %q: correct clouds.yaml, or give the new project a name of its own",
			now.ProjectID, now.Region, was.ProjectID, was.Region)}
	}
	return now, nil
}

func (r *Reconciler) inspectionDue(m memory, name schema.CloudName) bool {
	last, ok := m.firings[inspection(name)]
	return !ok || r.Now().Sub(last) >= r.InspectEvery || last.After(r.Now()) // or the clock was set back
}

func inspection(name schema.CloudName) string { return "inspect/" + string(name) }

// memory is what earlier runs left, from the store or, if that is empty, from
// the board.
type memory struct {
	head    Head
	facts   map[schema.Key]Facts
	deletes []Deletion // in the last 24 hours
	places  map[schema.CloudName]drivers.Place
	firings map[string]time.Time
	intents []Intent
	last    map[schema.Key]Intent // started last, by cluster

	restored bool // from the board: the store has yet to be told
}

// knows fails for an owner that is not the one whose clusters this instance has
// kept so far. By the new one none of them would be seen, and a second one of each
// would be made.
func (m *memory) knows(owner string) error {
	if m.head.Owner == "" || m.head.Owner == owner {
		return nil
	}
	return &drivers.Error{Kind: drivers.Denied, Op: "keep the clusters of owner " + owner, Err: fmt.Errorf(
		"this instance has kept those of owner %s: not one of them would be seen any more, and each would be made a second time; set owner to %s again",
		m.head.Owner, m.head.Owner)}
}

// remember reads the store. A store without a head is new or was lost: then the
// board says what guards must know. Otherwise it is read by those who will write
// it, and once: it has a file for each cluster.
func (r *Reconciler) remember(ctx context.Context, readOnly bool) (m memory, err error) {
	var errs [6]error
	m.head, errs[0] = r.Store.Head(ctx)
	m.facts, errs[1] = r.Store.Facts(ctx)
	m.deletes, errs[2] = r.Store.DeletesSince(ctx, r.Now().Add(-24*time.Hour))
	m.firings, errs[3] = r.Store.Firings(ctx)
	m.intents, errs[4] = r.Store.OpenIntents(ctx)
	m.last, errs[5] = r.Store.LastIntents(ctx)
	if err := errors.Join(errs[:]...); err != nil {
		return m, fmt.Errorf("read local store: %w", err)
	}
	if m.places, err = r.Store.Places(ctx); err != nil {
		return m, fmt.Errorf("read local store: %w", err)
	}
	if known := m.head.Commit != ""; r.Board == nil || known && (readOnly || r.published != nil) {
		return m, nil
	}
	files, err := r.Board.ReadStatus(ctx)
	if err != nil && m.head.Commit != "" {
		r.Log.Warn("status cannot be read; going on with the local store", zap.Error(err))
		return m, nil
	}
	if err != nil {
		return m, err
	}
	r.published, r.shownHead = digests(files), headOf(files)
	if m.head.Commit == "" {
		return m, m.restore(files, r.Now())
	}
	return m, nil
}
