package diff

import "jeroboam.io/jeroboam/schema"

// Policy is everything besides want and have that a decision depends on, as
// facts: who asks has looked at the clock, the store, Git's history and the
// cloud's catalogue before.
type Policy struct {
	Limits schema.Limits // zero fields mean the defaults

	// Clock is what windows, suspensions and schedules say at the time of the plan.
	Clock Clock
	// ReportDrift holds what only puts right what others changed.
	ReportDrift bool

	// Rewound is the reason why the head of the branch may not be trusted (it
	// does not descend from the commit applied last); empty: it may.
	Rewound string
	// Left is the commit applied last, if the head does not descend from it.
	Left string
	// KnownBefore is how many clusters the fleet had when it was last applied.
	KnownBefore int

	// Protected are clusters whose deletion protection is remembered outside
	// of Git (store, status branch), with who says so.
	Protected map[schema.Key]string
	// SeenUnprotected are clusters that a run has seen declared with
	// deletionProtection: false, so that the removal of their file may count.
	SeenUnprotected map[schema.Key]bool
	// DeletedByUs are clusters whose last delete was a step of ours.
	DeletedByUs map[schema.Key]bool
	// Attempts are how often a cluster's recover was started for the spec that is
	// wanted now, since it was last in order.
	Attempts map[schema.Key]int
	// Started is the step of ours that was last accepted for a cluster, if that is
	// known: what it does if it is in motion, or did if it failed. Only for people.
	Started map[schema.Key]Op
	// Overdue are clusters in motion for longer than what they do may take: since
	// when, as the end of a sentence. Only for people.
	Overdue map[schema.Key]string
	// Deletes are how many deletes each cloud had in the last 24 hours.
	Deletes map[schema.CloudName]int
	// Acks are the acknowledgement tokens found in commit trailers, by guard.
	Acks map[string]map[string]bool

	// Objections are what the cloud or the cluster type has against a wanted
	// cluster, found before anything is touched. They hold create and the steps
	// that would bring the field in.
	Objections map[schema.Key][]Objection
}

// Objection is a reason why a wanted cluster, or one of its fields, cannot be
// carried out.
type Objection struct {
	Code   schema.Code `json:"code,omitempty"` // one of a warning is shown and holds nothing
	Field  string      `json:"field"`          // effective field path; empty: the whole cluster
	Reason string      `json:"reason"`
	// All makes it hold every step of the cluster: what the cluster should be is
	// not known as long as it stands.
	All bool `json:"all,omitempty"`
	// Unknown marks what could not be checked for lack of a role: it is shown
	// and holds nothing.
	Unknown bool `json:"unknown,omitempty"`
}

// Holds tells whether it stands against the steps that it is about, or is only
// to be shown.
func (o *Objection) Holds() bool { return !o.Unknown && o.Code.Severity() == schema.Error }
