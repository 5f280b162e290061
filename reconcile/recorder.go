package reconcile

import (
	"context"
	"encoding/json"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Recorder is the local durable store of one instance. It can be lost: all but
// the history is found again in Git, on the board and in the cloud.
type Recorder interface {
	drivers.Memory
	SaveObserved(ctx context.Context, cloud schema.CloudName, have []diff.Observed) error

	// Begin is durable before it returns, and comes before the call.
	Begin(ctx context.Context, i Intent) error
	Finish(ctx context.Context, operation string, e Ending) error
	OpenIntents(ctx context.Context) ([]Intent, error)
	// LastIntents are, for each cluster, the last one that the cloud accepted or
	// may have accepted, as far as they are kept.
	LastIntents(ctx context.Context) (map[schema.Key]Intent, error)

	Facts(ctx context.Context) (map[schema.Key]Facts, error) // not to be changed, as LastIntents
	DeclareProtection(ctx context.Context, commit string, declared map[schema.Key]bool) error
	Deleted(ctx context.Context, k schema.Key, id string, at time.Time) error
	DeletesSince(ctx context.Context, t time.Time) ([]Deletion, error)
	// Recovering counts an attempt to recover towards a spec and returns how
	// many there were; Recovered forgets them.
	Recovering(ctx context.Context, k schema.Key, specHash string) (int, error)
	Recovered(ctx context.Context, k schema.Key) error

	SaveHead(ctx context.Context, h Head) error
	Head(ctx context.Context) (Head, error)
	SavePlace(ctx context.Context, cloud schema.CloudName, p drivers.Place) error
	Places(ctx context.Context) (map[schema.CloudName]drivers.Place, error)

	SaveRun(ctx context.Context, r Run) error
	SaveRecords(ctx context.Context, records map[schema.Key][]byte) error
	Fired(ctx context.Context, schedule string, at time.Time) error
	Firings(ctx context.Context) (map[string]time.Time, error)
	// Unschedule forgets when schedules fired that are there no more.
	Unschedule(ctx context.Context, schedules []string) error
}

// Intent is a step that is about to be carried out. One that is still open at
// the next start may or may not have reached the cloud.
type Intent struct {
	Operation string // diff.Step.Operation
	Op        diff.Op
	Key       schema.Key
	ID        string // the backend's id; empty for create
	Version   string // observed version that the step was planned on
	SpecHash  string // of the spec that it asks for; empty for delete
	At        time.Time
	Run       string // that began it
	Commit    string // that it was planned at
}

// Ending is how an intent ended.
type Ending struct {
	Outcome string // Accepted, Resolved, or the kind of the error
	Reason  string // the error's text, for people; without secrets
	// Requests are the ids that the cloud gave to the requests which changed
	// something for it, in their order, with their service: "orchestration req-1".
	Requests []string
	At       time.Time
}

// Step is an intent as the history has it.
type Step struct {
	Intent
	Ended Ending // zero: it has not
}

// How intents end that may have changed something. Any other outcome is the kind
// of the error with which the cloud refused.
const (
	Accepted = "accepted" // the cloud said so
	Resolved = "resolved" // nobody knows; what was observed since then counts
)

// Deletion is a delete of ours that the cloud accepted.
type Deletion struct {
	Cluster schema.Key `json:"cluster"`
	ID      string     `json:"id"`
	At      time.Time  `json:"at"`
}

// Head is the commit that was applied last.
type Head struct {
	Commit   string    `json:"commit"`
	Tree     string    `json:"tree"` // of the fleet's path
	Clusters int       `json:"clusters"`
	At       time.Time `json:"at"`
	Owner    string    `json:"-"` // of the clusters; the board says it elsewhere. Empty: not known
}

// Facts are what is known of a cluster besides what Git and the cloud say now.
type Facts struct {
	// Protection is the deletion protection that was last declared.
	Protection Protection
	// ProtectionCommit is the commit at which it was first seen so.
	ProtectionCommit string
	// DeletedID is the backend id of the cluster whose delete was last accepted
	// from us, and DeletedAt when; empty if there was none.
	DeletedID string
	DeletedAt time.Time
	// RecoverAttempts counts the recover steps towards the spec with the hash
	// RecoverSpec.
	RecoverSpec     string
	RecoverAttempts int
}

// Protection is what is known about a declared deletion protection.
type Protection string

// The answers. Undeclared is no permission to delete.
const (
	Undeclared  Protection = ""
	Protected   Protection = "protected"
	Unprotected Protection = "unprotected"
)

// Run is one pass in the history.
type Run struct {
	ID        string
	Commit    string
	StartedAt time.Time
	EndedAt   time.Time       // zero: not ended, or killed
	Summary   json.RawMessage // the writer's; nil if there is none
	Err       string          // why the run as a whole failed; empty if it did not
}
