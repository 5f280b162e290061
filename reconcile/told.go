package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// told is the record of a cluster, with all that it was made of. Where nothing of
// that has changed it is the same again: of ten thousand clusters that are as they
// were, to make, encode and render each anew is most of what a run takes.
type told struct {
	want   *schema.Cluster
	seen   diff.Observed
	place  drivers.Place
	health drivers.Health

	record Record
	file   string // its path on the board
	quiet  bool   // made of the above alone
	fits   bool   // seen does not differ from want
	fresh  bool   // made by this run: digest, page and saved are still of the one before
	digest string // of its JSON
	page   string // digest of its file; empty: not known
	saved  bool   // the store has it
	line   string // what the log says of it; empty: it was not known yet
}

// index finds the clusters of a fleet, which mostly is the one of the last run.
type index struct {
	fleet *schema.Fleet
	byKey map[schema.Key]*schema.Cluster
}

func (i *index) of(f *schema.Fleet) map[schema.Key]*schema.Cluster {
	if i.fleet == f {
		return i.byKey
	}
	i.fleet, i.byKey = f, make(map[schema.Key]*schema.Cluster, len(f.Clusters))
	for _, c := range f.Clusters {
		i.byKey[c.Key] = c
	}
	return i.byKey
}

// because is what a run did and decided about its clusters.
type because struct {
	steps    map[schema.Key][]diff.Step
	draining map[schema.Key]Draining
	started  map[schema.Key]Result
}

func (l *look) because() because {
	b := because{map[schema.Key][]diff.Step{}, map[schema.Key]Draining{}, map[schema.Key]Result{}}
	for _, s := range l.report.Plan.Steps {
		b.steps[s.Cluster] = append(b.steps[s.Cluster], s)
	}
	for _, d := range l.report.Draining {
		b.draining[d.Step.Cluster] = d
	}
	for _, r := range l.report.Results {
		b.started[r.Step.Cluster] = r
	}
	return b
}

// fitsStill says that a cluster was as wanted in the last run, and is.
func (t *told) fitsStill(c *schema.Cluster, o *diff.Observed) bool {
	return t != nil && t.fits && t.want == c && t.seen.Same(o)
}

// tell makes the records of every cluster that is wanted or seen, in order.
func (r *Reconciler) tell(l *look) {
	seen := l.seen
	if len(l.lastSeen) > 0 {
		seen = byKey(l.lastSeen)
		maps.Copy(seen, l.seen)
	}
	because, keys := l.because(), l.keys(seen)
	before := r.told
	r.told = make(map[schema.Key]*told, len(keys))
	l.report.Records = make([]Record, 0, len(keys))
	for _, k := range keys {
		t := before[k]
		if !l.asBefore(t, k, seen[k], because) {
			t = l.tellOf(k, seen[k], because, t)
			r.logNews(k, t)
		}
		r.told[k] = t
		l.report.Records = append(l.report.Records, t.record)
	}
	for k := range before {
		if r.told[k] == nil {
			r.Log.Info("cluster gone", zap.String("cluster", k.String()))
		}
	}
}

// keys are those of the clusters that there is something to tell of, in order.
func (l *look) keys(seen map[schema.Key]*diff.Observed) []schema.Key {
	keys := make([]schema.Key, 0, len(l.fleet.Clusters))
	for _, c := range l.fleet.Clusters {
		keys = append(keys, c.Key)
	}
	for k, o := range seen {
		if l.wanted[k] == nil && o.Owner != diff.Foreign && o.Status != diff.DeleteComplete {
			keys = append(keys, k)
		}
	}
	if len(keys) > len(l.fleet.Clusters) { // which are in order
		slices.SortFunc(keys, schema.Key.Compare)
	}
	return keys
}

// asBefore says that a record would be the one that was told.
func (l *look) asBefore(t *told, k schema.Key, o *diff.Observed, b because) bool {
	if t == nil || o == nil || !t.quiet || !l.quiet(k, b) || t.want != l.wanted[k] || t.place != l.places[k.Cloud] {
		return false
	}
	return t.health.Same(l.health[k]) && t.seen.Same(o)
}

// quiet says that a record has nothing in it of what a run decided, did or failed to
// read, nor of the time, so that it is made of its told's own fields alone.
func (l *look) quiet(k schema.Key, b because) bool {
	_, draining := b.draining[k]
	_, started := b.started[k]
	_, unknown := l.have.Unknown[k.Cloud]
	return l.wanted[k] != nil && !draining && !started && !unknown && len(b.steps[k]) == 0 && l.overdue[k] == "" && len(l.clock.Sizes[k]) == 0
}

// tellOf makes a record. What was known of the one before is kept: it may say the
// same.
func (l *look) tellOf(k schema.Key, o *diff.Observed, b because, before *told) *told {
	t := &told{want: l.wanted[k], place: l.places[k.Cloud], health: l.health[k], file: statusPath(k), quiet: l.quiet(k, b), fresh: true}
	if before != nil {
		t.digest, t.page, t.saved, t.line = before.digest, before.page, before.saved, before.line
	}
	rec := Record{Name: string(k.Name), Cloud: k.Cloud, Status: statusDeclared, NodeAddresses: []string{}, MasterAddresses: []string{}}
	rec.declared(t.want, l.memory.facts[k])
	if o != nil && o.Owner != diff.Foreign {
		t.seen, t.fits = *o, t.want != nil && !differs(o, t.want)
		rec.observed(o)
		rec.ProjectID = t.place.ProjectID
	}
	if reason, unknown := l.have.Unknown[k.Cloud]; unknown {
		rec.Status, rec.StatusReason = statusUnknown, reason
	}
	rec.planned(b.steps[k], b.started[k])
	rec.started(b.started[k])
	rec.live(t.health, b.draining[k])
	if rec.Advice = advise(b.steps[k], b.started[k], l.overdue[k]); l.overdue[k] != "" {
		rec.StatusReason = rec.Status + " " + l.overdue[k]
	}
	for _, s := range l.clock.Sizes[k] {
		rec.Sizes = append(rec.Sizes, s.Group+": "+s.Says)
	}
	slices.Sort(rec.Sizes)
	t.record = rec
	return t
}

// logNews logs once what became of a cluster: its status, and what somebody should
// look at. Of clusters that are in order when they are first seen it says nothing,
// nor of those of a cloud that cannot be read, which has a line of its own.
func (r *Reconciler) logNews(k schema.Key, t *told) {
	rec := &t.record
	if rec.Status == statusUnknown {
		return
	}
	concerns, line := rec.Concerns(), rec.Status
	if len(concerns) > 0 {
		line += "\n" + strings.Join(concerns, "\n")
	}
	if line == t.line {
		return
	}
	known := t.line != ""
	t.line = line
	if known || line != rec.Status || strings.HasSuffix(rec.Status, "_FAILED") {
		r.Log.Info("cluster status", zap.String("cluster", k.String()), zap.String("status", rec.Status),
			zap.String("reason", rec.StatusReason), zap.Strings("concerns", concerns))
	}
}

// unsaved encodes the records that the store does not have so.
func (r *Reconciler) unsaved() (map[schema.Key][]byte, error) {
	encoded := map[schema.Key][]byte{}
	for k, t := range r.told {
		if !t.fresh && t.saved {
			continue
		}
		text, err := json.Marshal(t.record)
		if err != nil {
			return nil, fmt.Errorf("encode the record of %s: %w", k, err)
		}
		if d := digest(text); d != t.digest {
			t.digest, t.page, t.saved = d, "", false
		}
		if t.fresh = false; !t.saved {
			encoded[k] = text
		}
	}
	return encoded, nil
}
