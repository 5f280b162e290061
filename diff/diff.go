// Package diff decides. Compute takes what is wanted, what is there and what
// policy allows, and returns a Plan: the ordered steps, each with its reason,
// the refused ones among them as held.
//
//	want  *schema.Fleet ─┐
//	have  Have ──────────┼─► Compute ─► Plan{Steps, Drift, Unknown}
//	policy Policy ───────┘
//
// It is a total function: no clock, no context, no log, no network, and the
// same input in any order gives the same plan. Time enters as facts in Policy.
//
// What each field's change leads to is the table in table.go; read it first.
// compute.go walks the clusters (paired in pair.go), change.go compares two
// specs by the table (label.go their labels, secret or not), step.go makes steps
// of what differs, upgrade.go those that replace nodes, by the rules of
// Kubernetes in kube.go, and recover.go those of what is broken. nodes.go picks
// the nodes a step touches. guard.go holds what policy refuses, quorum.go what
// may cost a cluster its data, drain.go what would be lost with a node, and
// limit.go what is too much at once.
// clock.go keeps windows and schedules, by what Policy says of the clock, and
// progress.go says how far an upgrade is. offline.go plans between two commits.
package diff

import (
	"reflect"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// Status is a cluster's status in Magnum's words (magnum/objects/fields.py).
type Status string

// The statuses that an observed cluster can have.
const (
	CreateInProgress Status = "CREATE_IN_PROGRESS"
	CreateFailed     Status = "CREATE_FAILED"
	CreateComplete   Status = "CREATE_COMPLETE"
	UpdateInProgress Status = "UPDATE_IN_PROGRESS"
	UpdateFailed     Status = "UPDATE_FAILED"
	UpdateComplete   Status = "UPDATE_COMPLETE"
	DeleteInProgress Status = "DELETE_IN_PROGRESS"
	DeleteFailed     Status = "DELETE_FAILED"
	DeleteComplete   Status = "DELETE_COMPLETE"
	RollbackInProg   Status = "ROLLBACK_IN_PROGRESS"
	RollbackFailed   Status = "ROLLBACK_FAILED"
	RollbackComplete Status = "ROLLBACK_COMPLETE"
	CheckComplete    Status = "CHECK_COMPLETE"
	CheckFailed      Status = "CHECK_FAILED"
)

// Ownership says whose a cluster is. Nothing is ever done to what is not ours.
type Ownership string

const (
	// Ours carries our owner in both places.
	Ours Ownership = "ours"
	// TagsLost is ours by its parameter, but somebody's update dropped the
	// tags; the next step writes them again.
	TagsLost Ownership = "tags-lost"
	// Foreign has a name that we would use and is not ours.
	Foreign Ownership = "foreign"
)

// settled says whether nothing goes on in the status; known is false for a word
// that is none of a status.
func (s Status) settled() (settled, known bool) {
	switch {
	case strings.HasSuffix(string(s), "_IN_PROGRESS"):
		return false, true
	case strings.HasSuffix(string(s), "_COMPLETE"), s.failed():
		return true, true
	}
	return false, false
}

func (s Status) failed() bool { return strings.HasSuffix(string(s), "_FAILED") }

// Observed is what a driver sees of one cluster, as a value. Only what a
// decision or a record may depend on is in it.
type Observed struct {
	Key     schema.Key `json:"key"`
	ID      string     `json:"id"`      // the backend's id, e.g. the Heat stack's
	Version string     `json:"version"` // opaque; changes with every accepted change of the backend's object
	Owner   Ownership  `json:"owner"`
	Status  Status     `json:"status"`
	Reason  string     `json:"reason,omitempty"` // why it is in that status; of a failure, every failed node's

	// Moving says that something below still changes although Status is
	// settled: a FAILED stack may still be rolling its siblings.
	Moving bool `json:"moving,omitempty"`

	// Spec is the effective spec that was last asked for, which may not have
	// been reached; nil if it cannot be known, and then Unknown says why.
	Spec    *schema.Spec `json:"spec,omitempty"`
	Unknown string       `json:"unknown,omitempty"`

	Type         string  `json:"type,omitempty"`         // cluster type, e.g. docker_ubuntu
	TypeRevision int     `json:"typeRevision,omitempty"` // of the templates that built it
	Protected    bool    `json:"protected,omitempty"`    // deletion protection as written on the live cluster
	Nodes        []Node  `json:"nodes,omitempty"`        // sorted by group, then number
	Drift        []Drift `json:"drift,omitempty"`

	// Etcd is what a drivers.Prober was told by the cluster itself, and EtcdReason
	// why it is not healthy. It is asked for where a step hangs on it, is true for
	// that run, and no Observe gives it.
	Etcd       EtcdHealth `json:"etcd,omitempty"`
	EtcdReason string     `json:"etcdReason,omitempty"`

	// Workloads are what a drivers.Attendant was told of the nodes, by name, with
	// which a step is about to do away, and WorkReason why they are not known. Asked
	// for and valid like Etcd.
	Work       WorkState           `json:"work,omitempty"`
	WorkReason string              `json:"workReason,omitempty"`
	Workloads  map[string]Workload `json:"workloads,omitempty"`

	APIAddress string `json:"apiAddress,omitempty"`
	CreatedAt  string `json:"createdAt,omitempty"` // RFC 3339, of the backend; for the record, never for a decision
	UpdatedAt  string `json:"updatedAt,omitempty"`
}

// Same compares every field. It is written out because reflect.DeepEqual takes three
// times as long, and what a driver remembers is mostly equal to the last byte. A method
// Equal would be what go-cmp compares by in tests, and shows no difference.
func (o *Observed) Same(p *Observed) bool {
	return o.Key == p.Key && o.ID == p.ID && o.Version == p.Version &&
		o.Owner == p.Owner && o.Status == p.Status && o.Reason == p.Reason &&
		o.Moving == p.Moving && o.Unknown == p.Unknown &&
		o.Type == p.Type && o.TypeRevision == p.TypeRevision && o.Protected == p.Protected &&
		o.Etcd == p.Etcd && o.EtcdReason == p.EtcdReason &&
		o.Work == p.Work && o.WorkReason == p.WorkReason && reflect.DeepEqual(o.Workloads, p.Workloads) &&
		o.APIAddress == p.APIAddress && o.CreatedAt == p.CreatedAt && o.UpdatedAt == p.UpdatedAt &&
		slices.Equal(o.Nodes, p.Nodes) && slices.Equal(o.Drift, p.Drift) &&
		(o.Spec == p.Spec || reflect.DeepEqual(o.Spec, p.Spec))
}

// Node is one node of an observed cluster.
type Node struct {
	Name     string    `json:"name"` // stable for the node's life
	Group    string    `json:"group"`
	Number   int       `json:"number"`             // within its group, from 0; a free one is used again
	Revision string    `json:"revision,omitempty"` // NodeRevision of the spec it was last asked to boot
	State    NodeState `json:"state"`
	Reason   string    `json:"reason,omitempty"` // why it failed
	Server   string    `json:"server,omitempty"` // id of the server
	Address  string    `json:"address,omitempty"`

	// Versions are what the node reported when it had booted, such as
	// "kubelet=v1.36.3 containerd=v2.4.2 etcd=3.6.16"; empty: it reported none.
	Versions string `json:"versions,omitempty"`
}

// NodeState is how a node is doing.
type NodeState string

// The states of a node.
const (
	NodeReady   NodeState = "ready"   // its last boot reported success
	NodeMoving  NodeState = "moving"  // being made, replaced or removed
	NodeFailed  NodeState = "failed"  // its last boot failed, or what it stands on did
	NodeMissing NodeState = "missing" // its server is gone
)

// Drift is a difference that Git did not ask for: the live cluster was changed
// by somebody else.
type Drift struct {
	Field  string `json:"field"` // e.g. "tags", "template", "node gpu-2"
	Detail string `json:"detail"`
}

// Have is what is there, as far as it is known. A cloud that could not be read
// is in Unknown with the reason, and nothing is decided about its clusters: an
// error is never an empty answer.
type Have struct {
	Clusters []Observed                  // any order; at most one per key
	Unknown  map[schema.CloudName]string // clouds that could not be read, and why
}

// Op is what a step does.
type Op string

// The steps. Wait is not a step that anybody takes: it shows that a cluster is
// in motion and what it does.
const (
	Create      Op = "create"
	Adopt       Op = "adopt"
	Resize      Op = "resize"
	Update      Op = "update"
	Upgrade     Op = "upgrade"
	CreateGroup Op = "create-group"
	DeleteGroup Op = "delete-group"
	Recover     Op = "recover"
	Delete      Op = "delete"
	Wait        Op = "wait"
	// None stands for a change that no step can carry out (a held one) when
	// the field has no step in the table.
	None Op = "none"
)

// Risk is what a step may cost those who use the cluster.
type Risk string

// The risks, rising.
const (
	Low         Risk = "low"         // adds or changes beside what runs
	Disruptive  Risk = "disruptive"  // replaces or removes nodes
	Destructive Risk = "destructive" // removes the cluster
)

// Step is one thing to do to one cluster, or the reason why it is not done.
type Step struct {
	Op      Op         `json:"op"`
	Cluster schema.Key `json:"cluster"`
	Group   string     `json:"group,omitempty"`   // of resize, create-group, delete-group
	Changes []Change   `json:"changes,omitempty"` // what differs, from what to what, and where it was written
	Why     string     `json:"why,omitempty"`     // one sentence when the changes do not say it
	Pos     schema.Pos `json:"pos"`               // where in Git to look
	Risk    Risk       `json:"risk"`
	Held    *Held      `json:"held,omitempty"`

	// Nodes are those that the step replaces, recovers or removes, in order;
	// those that it adds have no name yet. A recover brings back as many of its
	// nodes, from the first, as To leaves room for in their group beside the
	// nodes that it does not name, and removes the others. Done and Total count
	// nodes, of upgrade and wait, and of a recover in the middle of an upgrade.
	Nodes []string `json:"nodes,omitempty"`
	Done  int      `json:"done,omitempty"`
	Total int      `json:"total,omitempty"`
	// Doing is what a wait waits for, as far as that is known; of a recover it is
	// upgrade when that is what stopped.
	Doing Op `json:"doing,omitempty"`
	// Stages are the versions of Kubernetes that an upgrade goes through from here,
	// that of this step first; of what Doing does likewise.
	Stages []string `json:"stages,omitempty"`

	// Drain is what comes before the step inside the cluster; nil: nothing. It
	// changes with what runs there, and is no part of what a plan's fingerprint
	// stands for.
	Drain *Drain `json:"drain,omitempty"`

	// Observed is the version that the step was planned on; a driver carries it
	// out only if the cluster still has it. Empty: the cluster must not exist.
	Observed string `json:"observed,omitempty"`
	// Operation identifies this step on this version: the same plan made twice
	// gives the same operation, so a repeated call can be recognised.
	Operation string `json:"operation"`

	// To is the effective spec that this step asks for: the To of the step before
	// it (of the first: Have's) with only the changes of this step; of a held
	// change the To before it. Nil for delete and wait. Read only.
	To *schema.Spec `json:"-"`
	// Want is the cluster as declared; nil for delete of what Git no longer has.
	Want *schema.Cluster `json:"-"`
	// Have is the cluster as observed; nil for create.
	Have *Observed `json:"-"`
}

// Change is one field's difference.
type Change struct {
	Field string     `json:"field"` // effective field path
	From  string     `json:"from"`  // as JSON, without quotes for a plain string; empty: was not there
	To    string     `json:"to"`
	Pos   schema.Pos `json:"pos"` // where the new value was written
}

// Held says which guard holds a step, why, and what to do.
type Held struct {
	Guard  string `json:"guard"`
	Reason string `json:"reason"`
	// Ack is the token that, in a commit trailer "Jeroboam-Ack: <guard> <token>",
	// lets the step through; empty where only a change of the YAML or the cloud
	// helps.
	Ack string `json:"ack,omitempty"`
}

// Plan is the differences between want and have, as ordered steps: the
// clusters in order of their key, each cluster's steps in the order in which
// they are carried out, deletes last. It is a value: the text, JSON, page,
// status and notification are renderings of it.
type Plan struct {
	Steps []Step `json:"steps"`
	// Drift is what somebody else changed, apart from what Git asks.
	Drift []ClusterDrift `json:"drift,omitempty"`
	// Unknown are the clouds about which nothing was decided, sorted.
	Unknown []UnknownCloud `json:"unknown,omitempty"`
	// Notes are what is good to know and holds nothing, sorted.
	Notes []Note `json:"notes,omitempty"`
	// InSync counts the wanted clusters that have no step.
	InSync int `json:"inSync"`
	// Fingerprint identifies what was decided: 16 hex digits of the SHA-256
	// over the steps, which hold the observed versions. That a step is held, and
	// where its cause is written, is not in it: an acknowledgement or a moved
	// file makes no other plan.
	Fingerprint string `json:"fingerprint"`
}

// ClusterDrift is the drift of one cluster.
type ClusterDrift struct {
	Cluster schema.Key `json:"cluster"`
	Drift   []Drift    `json:"drift"`
}

// Note is something about a wanted cluster that could not be checked.
type Note struct {
	Cluster schema.Key `json:"cluster"`
	Field   string     `json:"field,omitempty"` // effective field path; empty: the whole cluster
	Text    string     `json:"text"`
}

// UnknownCloud is a cloud that could not be read.
type UnknownCloud struct {
	Cloud  schema.CloudName `json:"cloud"`
	Reason string           `json:"reason"`
}

// Due are the steps to start now: of each cluster the first step, if nothing
// holds it and it is not a wait.
func (p *Plan) Due() []Step {
	var due []Step
	busy := map[schema.Key]bool{}
	for _, s := range p.Steps {
		if s.Held != nil || busy[s.Cluster] {
			continue
		}
		busy[s.Cluster] = true
		if s.Op != Wait {
			due = append(due, s)
		}
	}
	return due
}

// Changes says whether the plan has anything to do or to wait for or holds
// anything.
func (p *Plan) Changes() bool { return len(p.Steps) > 0 }

// HeldSteps are the steps that a guard holds.
func (p *Plan) HeldSteps() []Step {
	var held []Step
	for _, s := range p.Steps {
		if s.Held != nil {
			held = append(held, s)
		}
	}
	return held
}
