package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// The guards that hold a whole commit, which is then not the applied one.
const (
	GuardRewound    = "rewound"
	GuardEmptyFleet = "empty-fleet"
)

// The other guards. A name is what an acknowledgement says.
const (
	guardSuspended      = "suspended"
	guardForeign        = "foreign"
	guardDeletedOutside = "deleted-outside"
	guardHalfDeleted    = "half-deleted"
	guardUnknown        = "unknown"
	guardImmutable      = "immutable"
	guardShrinkLimit    = "shrink-limit"
	guardMaintenance    = "maintenance"
	guardDrift          = "drift"
	guardRename         = "rename"
	guardProtection     = "deletion-protection"
	guardPreFlight      = "pre-flight"
	guardFailed         = "failed"
	guardDeleteLimit    = "delete-limit"
	guardDisruptive     = "disruptive-limit"
	guardDowngrade      = "downgrade"
	guardVersionGap     = "version-gap"
	guardSkew           = "version-skew"
	guardEtcd           = "etcd-health"
	guardEtcdData       = "etcd-data"
	guardDrain          = "drain"
)

// maxAttempts is how often a cluster may fail to recover for the same spec
// before somebody has to look at it. It has one more for each master beside the
// first, since they are recovered one at a time.
const maxAttempts = 3

// judge holds a step that a guard refuses: the first in this order that nobody
// acknowledged. own is what only this kind of step has to fear.
func (p *planner) judge(s Step, own *Held) Step {
	for _, guard := range []func(*Step) *Held{
		p.rewound, suspended, func(*Step) *Held { return own },
		p.rename, p.protection, p.emptyFleet, p.preFlight, p.failedOften, p.drifted, p.maintenance, p.drain,
	} {
		if held := guard(&s); held != nil && !p.acked(held) {
			s.Held = held
			break
		}
	}
	return s
}

func (p *planner) acked(h *Held) bool { return h.Ack != "" && p.policy.Acks[h.Guard][h.Ack] }

// token stands for what exactly is acknowledged, so that an acknowledgement
// does not reach what comes later, and what happens to others does not undo it.
func token(guard string, what ...any) string { return schema.Digest([]any{guard, what})[:8] }

// rewound distrusts the whole head of the branch. What is acknowledged is to leave
// the applied commit behind: the commit that says so is another head than the one
// that was held.
func (p *planner) rewound(*Step) *Held {
	if p.policy.Rewound == "" {
		return nil
	}
	return &Held{Guard: GuardRewound, Reason: p.policy.Rewound, Ack: token(GuardRewound, p.policy.Left)}
}

func suspended(s *Step) *Held {
	if s.Want == nil || !s.Want.Policy.Suspend {
		return nil
	}
	return &Held{Guard: guardSuspended, Reason: "the cluster is " + s.Want.Policy.Suspension.String() + "; remove suspend to go on"}
}

// drifted leaves what others changed alone, where that is only to be reported.
func (p *planner) drifted(s *Step) *Held {
	lost := s.Op == Recover && !s.Have.Status.failed() && !slices.ContainsFunc(s.Have.Nodes, func(n Node) bool { return n.State == NodeFailed })
	if !p.policy.ReportDrift || s.Op != Adopt && !lost {
		return nil
	}
	return &Held{
		Guard: guardDrift, Ack: token(guardDrift, s.Cluster, s.Have.ID, s.Op, s.Nodes),
		Reason: "somebody changed it in the cloud, and drift is only reported here; acknowledge to have it put right",
	}
}

// rename holds both ends of a change of name: what was meant to be one cluster
// must become neither two nor none.
func (p *planner) rename(s *Step) *Held {
	if now, ok := p.renamed[s.Cluster]; ok && s.Op == Delete {
		return &Held{Guard: guardRename, Reason: fmt.Sprintf("%s names it as its previous name, and renaming is not carried out yet; remove that previous name to have this cluster deleted", now)}
	}
	if s.Op != Create {
		return nil
	}
	for _, name := range s.Want.Policy.PreviousNames {
		old := schema.Key{Cloud: s.Cluster.Cloud, Name: name}
		if _, there := p.renamed[old]; there {
			return &Held{Guard: guardRename, Reason: fmt.Sprintf("%s is there under a previous name, and renaming is not carried out yet; declare it as %s, or remove the previous name to have a new cluster", old, name)}
		}
	}
	return nil
}

// protection needs two commits for a delete, so that no single slip removes a
// cluster. What is written on the live cluster is old once a run has seen the
// protection go.
func (p *planner) protection(s *Step) *Held {
	if s.Op != Delete {
		return nil
	}
	by, protected := p.policy.Protected[s.Cluster]
	switch {
	case protected:
		by = "says " + cmp.Or(by, "an earlier run")
	case p.policy.SeenUnprotected[s.Cluster]:
		return nil
	case s.Have.Protected:
		by = "says the live cluster"
	default:
		by = "as by default, since no run has seen it off"
	}
	return &Held{Guard: guardProtection, Reason: "deletion protection is on, " + by +
		"; commit its document with deletionProtection: false, let a run see it, then remove the document with a second commit"}
}

// emptyFleet doubts a fleet that lost all of its clusters at once.
func (p *planner) emptyFleet(s *Step) *Held {
	if s.Op != Delete || p.empty == "" || p.again(s) {
		return nil
	}
	return &Held{Guard: GuardEmptyFleet, Ack: p.empty, Reason: fmt.Sprintf("the fleet declares no cluster, where it had %d before", p.policy.KnownBefore)}
}

// preFlight holds what the cloud would refuse: every step that boots nodes, and
// those that change what is objected to, or all steps if the objection says so.
func (p *planner) preFlight(s *Step) *Held {
	var reasons []string
	for _, o := range p.policy.Objections[s.Cluster] {
		if !o.Holds() || s.Want == nil || !o.All && !s.boots() && !s.touches(o.Field) {
			continue
		}
		reason := o.Reason
		if o.Field != "" {
			reason = o.Field + " (" + s.Want.Where(o.Field).String() + "): " + reason
		}
		reasons = append(reasons, reason)
	}
	if len(reasons) == 0 {
		return nil
	}
	slices.Sort(reasons)
	return &Held{Guard: guardPreFlight, Reason: strings.Join(slices.Compact(reasons), "; ")}
}

// boots says that the step makes nodes boot.
func (s *Step) boots() bool {
	switch s.Op {
	case Create, CreateGroup, Upgrade, Recover:
		return true
	case Resize:
		return s.Risk == Low
	case Adopt, Update, DeleteGroup, Delete, Wait, None:
	}
	return false
}

// touches says that the step changes a field, or what the field is in, or
// something in it.
func (s *Step) touches(field string) bool {
	return field != "" && slices.ContainsFunc(s.Changes, func(c Change) bool {
		return c.Field == field || strings.HasPrefix(field, c.Field+"/") || strings.HasPrefix(c.Field, field+"/")
	})
}

// failedOften stops a recover that does not help.
func (p *planner) failedOften(s *Step) *Held {
	n := p.policy.Attempts[s.Cluster]
	if s.Op != Recover || n < maxAttempts+max(s.Have.masters(func(*Node) bool { return true })-1, 0) {
		return nil
	}
	return &Held{
		Guard: guardFailed, Ack: token(guardFailed, s.Cluster, s.Want.Spec.Hash(), n),
		Reason: fmt.Sprintf("%d attempts did not bring it back (%s); mend the cause, or acknowledge to try once more", n, s.Why),
	}
}

// tooMuch holds a group that shrinks by more than its share in one step.
func (p *planner) tooMuch(key schema.Key, group string, from, to int) *Held {
	limit := share(p.policy.Limits.ShrinkPercent, from)
	if from-to <= limit {
		return nil
	}
	return &Held{
		Guard: guardShrinkLimit, Ack: token(guardShrinkLimit, key, group, from, to),
		Reason: fmt.Sprintf("it removes %d of %d nodes, and a step may remove %d; shrink by less, or acknowledge", from-to, from, limit),
	}
}

// share is that many percent of n, rounded down, but at least one.
func share(percent, n int) int { return max(1, n*percent/100) }
