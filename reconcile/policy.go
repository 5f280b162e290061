package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// policy gathers the facts that Compute decides with.
func (r *Reconciler) policy(ctx context.Context, l *look) diff.Policy {
	p := diff.Policy{
		Clock:           l.clock,
		ReportDrift:     r.Config.Sync.Drift == schema.DriftReport,
		Limits:          r.Config.Limits,
		KnownBefore:     l.memory.head.Clusters,
		Protected:       map[schema.Key]string{},
		SeenUnprotected: map[schema.Key]bool{},
		DeletedByUs:     map[schema.Key]bool{},
		Attempts:        map[schema.Key]int{},
		Started:         map[schema.Key]diff.Op{},
		Overdue:         r.overdue(l),
		Deletes:         map[schema.CloudName]int{},
		Acks:            acks(l.report.Snapshot.Commits),
		Objections:      r.objections(ctx, l),
	}
	switch l.report.Snapshot.Descends {
	case Descends:
	case Rewound:
		p.Rewound = fmt.Sprintf("commit %s does not descend from %s, which was applied last: the branch was rewound or replaced",
			short(l.report.Snapshot.Commit), short(l.memory.head.Commit))
	case UnknownAncestry:
		p.Rewound = fmt.Sprintf("whether commit %s descends from %s, which was applied last, cannot be told",
			short(l.report.Snapshot.Commit), short(l.memory.head.Commit))
	}
	if p.Rewound != "" {
		p.Left = l.memory.head.Commit
	}
	for _, d := range l.memory.deletes {
		p.Deletes[d.Cluster.Cloud]++
	}
	r.clusterFacts(l, &p)
	return p
}

func (r *Reconciler) clusterFacts(l *look, p *diff.Policy) {
	for k, f := range l.memory.facts {
		switch wanted := l.wanted[k] != nil; {
		case wanted: // nothing deletes it
		case f.Protection == Protected:
			p.Protected[k] = "commit " + short(f.ProtectionCommit)
		case f.Protection == Unprotected:
			p.SeenUnprotected[k] = true
		}
		if f.DeletedID != "" && f.DeletedID == l.seenID(k) {
			p.DeletedByUs[k] = true
		}
		if c := l.wanted[k]; c != nil && f.RecoverSpec != "" && f.RecoverSpec == c.Spec.Hash() {
			p.Attempts[k] = f.RecoverAttempts
		}
	}
	for _, i := range l.memory.intents { // a delete whose answer we did not live to see
		if i.Op == diff.Delete && i.ID == l.seenID(i.Key) {
			p.DeletedByUs[i.Key] = true
		}
	}
	for k, i := range l.memory.last {
		if i.Op == diff.Create || i.ID == l.seenID(k) {
			p.Started[k] = i.Op
		}
	}
}

// objections asks the drivers about the clusters that are not as wanted; those
// that are were asked about when they were made. A driver that cannot answer
// objects to all of them: what was not looked at is not fine. Secrets that could
// not be read are objections as well.
func (r *Reconciler) objections(ctx context.Context, l *look) map[schema.Key][]diff.Objection {
	all := map[schema.Key][]diff.Objection{}
	asked := map[schema.CloudName][]*schema.Cluster{}
	for _, c := range l.fleet.Clusters {
		if o, ok := l.seen[c.Key]; !ok || !r.told[c.Key].fitsStill(c, o) && differs(o, c) {
			asked[c.Cloud] = append(asked[c.Cloud], c)
		}
	}
	for cloud, want := range asked {
		checker, ok := l.drivers[cloud].(drivers.Checker)
		if !ok {
			continue
		}
		found, err := checker.Check(ctx, want, l.have.Clusters)
		if err != nil {
			for _, c := range want {
				all[c.Key] = []diff.Objection{{Code: schema.CodeUnseen, Reason: "it could not be checked: " + err.Error()}}
			}
			continue
		}
		maps.Copy(all, found)
	}
	for k, unread := range l.unread {
		all[k] = append(slices.Clone(all[k]), unread...)
	}
	return all
}

// differs says that a cluster may get a step that boots nodes.
func differs(o *diff.Observed, c *schema.Cluster) bool {
	if o.Spec == nil || !o.Spec.Same(&c.Spec) || o.Owner != diff.Ours ||
		(o.Status != diff.CreateComplete && o.Status != diff.UpdateComplete) {
		return true
	}
	for _, n := range o.Nodes {
		if n.State != diff.NodeReady {
			return true
		}
	}
	return false
}

// byKey finds clusters where they are: to copy ten thousand is most of a run that
// has nothing to do.
func byKey(have []diff.Observed) map[schema.Key]*diff.Observed {
	m := make(map[schema.Key]*diff.Observed, len(have))
	for i := range have {
		m[have[i].Key] = &have[i]
	}
	return m
}

// seenID is the backend's id of a cluster that was seen; empty: it was not.
func (l *look) seenID(k schema.Key) string {
	if o := l.seen[k]; o != nil {
		return o.ID
	}
	return ""
}

// AckTrailer is the commit trailer that lets a held step through.
const AckTrailer = "Jeroboam-Ack:"

// acks are the acknowledgements in the messages of commits: guard to tokens.
// A squash or merge commit carries the trailers of what it took in somewhere in
// its body, so every line counts.
func acks(commits []Commit) map[string]map[string]bool {
	found := map[string]map[string]bool{}
	for _, c := range commits {
		for line := range strings.SplitSeq(c.Message, "\n") {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), AckTrailer)
			words := strings.Fields(rest)
			if !ok || len(words) != 2 {
				continue
			}
			if found[words[0]] == nil {
				found[words[0]] = map[string]bool{}
			}
			found[words[0]][words[1]] = true
		}
	}
	return found
}

func short(commit string) string { return commit[:min(len(commit), 8)] }
