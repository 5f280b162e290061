package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// A limit is about all steps of a cloud together, or of all clouds. When it is passed, the whole
// class is held and not a part of it: which part would be chance, and many at
// once is a sign that something else is wrong.

// limitDeletes holds deletes if they are too many: of a cloud, or of one run,
// whatever clouds they are in, since what empties one cloud by mistake seldom stops
// at it. Those that another guard holds do not count, nor those that were let
// through before.
func (p *planner) limitDeletes(deletes []Step) {
	due := map[schema.CloudName][]*Step{}
	var all []*Step
	for i := range deletes {
		if s := &deletes[i]; s.Op == Delete && s.Held == nil && !p.again(s) {
			due[s.Cluster.Cloud], all = append(due[s.Cluster.Cloud], s), append(all, s)
		}
	}
	l := p.policy.Limits
	if len(due) > 1 && len(all) > l.DeletesPerRun {
		p.holdAll(all, guardDeleteLimit, fmt.Sprintf("%s of %d clouds would be deleted (%s); allowed are %d a run",
			count(len(all), "cluster", "clusters"), len(due), perCloud(due), l.DeletesPerRun))
		return
	}
	for cloud, steps := range due {
		today, part := max(l.DeletesPerDay-p.policy.Deletes[cloud], 0), share(l.DeletePercent, p.size[cloud])
		if len(steps) <= min(l.DeletesPerRun, today, part) {
			continue
		}
		p.holdAll(steps, guardDeleteLimit, fmt.Sprintf(
			"%s of %s would be deleted; allowed are %d a run, %d more today and %d of its %d clusters",
			count(len(steps), "cluster", "clusters"), cloud, l.DeletesPerRun, today, part, p.size[cloud]))
	}
}

// perCloud says how many steps each cloud has.
func perCloud(due map[schema.CloudName][]*Step) string {
	var parts []string
	for _, cloud := range slices.Sorted(maps.Keys(due)) {
		parts = append(parts, fmt.Sprintf("%s: %d", cloud, len(due[cloud])))
	}
	return strings.Join(parts, ", ")
}

// limitDisruption holds the disruptive steps of a cloud if too many of its
// clusters have one next. An upgrade that is under way goes on, and a recover
// mends more than it disturbs.
func (p *planner) limitDisruption(steps []Step) {
	due := map[schema.CloudName][]*Step{}
	clusters := map[schema.CloudName]int{}
	var now *Step // first due step of the cluster that is walked
	for i := range steps {
		s := &steps[i]
		if i == 0 || steps[i-1].Cluster != s.Cluster {
			now = nil
		}
		if s.Held != nil {
			continue
		}
		if now == nil {
			if now = s; p.disturbs(s) {
				clusters[s.Cluster.Cloud]++
			}
		}
		if p.disturbs(now) && p.disturbs(s) {
			due[s.Cluster.Cloud] = append(due[s.Cluster.Cloud], s)
		}
	}
	for cloud, n := range clusters {
		limit := share(p.policy.Limits.DisruptivePercent, p.size[cloud])
		if n <= limit {
			continue
		}
		p.holdAll(due[cloud], guardDisruptive, fmt.Sprintf(
			"%s of %s would have nodes replaced or removed; allowed are %d of its %d clusters a run",
			count(n, "cluster", "clusters"), cloud, limit, p.size[cloud]))
	}
}

// disturbs says that a step begins to replace or remove nodes, and not by a
// schedule at its time.
func (p *planner) disturbs(s *Step) bool {
	underWay := s.Op == Upgrade && len(s.Changes) == 0
	return s.Risk == Disruptive && s.Op != Recover && !underWay && !p.policy.Clock.byClock(s)
}

// holdAll holds all steps with one token, over what each does to which cluster.
func (p *planner) holdAll(steps []*Step, guard, reason string) {
	var what []string
	for _, s := range steps {
		id := []any{s.Cluster, s.Have.ID, s.Op, s.Group}
		for _, c := range s.Changes {
			id = append(id, c.Field, c.To)
		}
		what = append(what, schema.Digest(id))
	}
	slices.Sort(what)
	held := Held{Guard: guard, Reason: reason, Ack: token(guard, what)}
	if p.acked(&held) {
		return
	}
	for _, s := range steps {
		h := held
		s.Held = &h
	}
}
