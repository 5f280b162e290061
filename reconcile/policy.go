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
	for _, d := range l.memory.deletes {
		p.Deletes[d.Cluster.Cloud]++
	}
	r.clusterFacts(l, &p)
	return p
}

func (r *Reconciler) clusterFacts(l *look, p *diff.Policy) {
	observed := byKey(l.have.Clusters)
	for k, f := range l.memory.facts {
		switch f.Protection {
		case Protected:
			p.Protected[k] = "commit " + short(f.ProtectionCommit)
		case Unprotected:
			p.SeenUnprotected[k] = true
		case Undeclared:
		}
		if o, ok := observed[k]; ok && f.DeletedID != "" && f.DeletedID == o.ID {
			p.DeletedByUs[k] = true
		}
	}
	for _, i := range l.memory.intents { // a delete whose answer we did not live to see
		if i.Op == diff.Delete && observed[i.Key].ID == i.ID {
			p.DeletedByUs[i.Key] = true
		}
	}
	for k, i := range l.memory.last {
		if i.ID == observed[k].ID || i.Op == diff.Create {
			p.Started[k] = i.Op
		}
	}
	for _, c := range l.fleet.Clusters {
		if f := l.memory.facts[c.Key]; f.RecoverSpec != "" && f.RecoverSpec == c.Spec.Hash() {
			p.Attempts[c.Key] = f.RecoverAttempts
		}
	}
}

// objections asks the drivers about the clusters that are not as wanted; those
// that are were asked about when they were made. A driver that cannot answer
// objects to all of them: what was not looked at is not fine. Secrets that could
// not be read are objections as well.
func (r *Reconciler) objections(ctx context.Context, l *look) map[schema.Key][]diff.Objection {
	all := map[schema.Key][]diff.Objection{}
	have, observed := l.have.Clusters, byKey(l.have.Clusters)
	asked := map[schema.CloudName][]*schema.Cluster{}
	for _, c := range l.fleet.Clusters {
		if o, ok := observed[c.Key]; !ok || differs(o, c) {
			asked[c.Cloud] = append(asked[c.Cloud], c)
		}
	}
	for cloud, want := range asked {
		checker, ok := l.drivers[cloud].(drivers.Checker)
		if !ok {
			continue
		}
		found, err := checker.Check(ctx, want, have)
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
func differs(o diff.Observed, c *schema.Cluster) bool {
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

func byKey(have []diff.Observed) map[schema.Key]diff.Observed {
	m := make(map[schema.Key]diff.Observed, len(have))
	for _, o := range have {
		m[o.Key] = o
	}
	return m
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
