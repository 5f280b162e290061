// Package drivers says what Jeroboam asks of a backend that runs clusters.
//
// A driver has two verbs. Observe tells everything it owns in one project, as
// values; Apply starts one step and returns when the cloud has accepted it.
// Deciding is not its work (package diff), nor is waiting: the next run sees
// how far it came.
//
// Read Driver for the promises, error.go for how errors say who can act, calls.go
// for what those are told who watch the requests. Package
// drivertest checks the promises of every driver, and has a driver in memory.
// heat is the real one; sim is an OpenStack to test it on, pki makes and reads the
// keys of clusters, and kube reaches into them while they run.
package drivers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// Driver is one backend in one project of one cloud. Its methods may be called
// from several goroutines; Apply never twice at once for one cluster.
//
// Promises, each a test in drivertest:
//
//   - Observe returns everything that the driver owns, sorted by key, or an
//     error; never a part of it. A cluster that Memory knows and the cloud's
//     list lacks is asked for by id: gone is reported as DELETE_COMPLETE, still
//     there means that the list lied, which is an error.
//   - What others own is not in it, except that a foreign thing which stands on a
//     name that we would use is reported as diff.Foreign.
//   - Two Observes with nothing done between give equal values.
//   - Apply checks just before its first write that the cluster is at
//     Step.Observed, and fails with Conflict if not, having changed nothing.
//   - Apply of a create that was accepted before (by a call that crashed before
//     it could say so) creates no second cluster: it fails with Conflict, and
//     the next Observe shows what the first call made.
//   - Deleting what is gone is fine.
//   - Apply returns when the cloud has accepted the step. A failure later on is
//     seen by Observe: a FAILED status with the reason of every failed node.
//   - A cancelled context ends a call soon; what was accepted stays accepted.
//   - A secret label is observed as its digest, equal to what the step asked for.
//     Its text comes from Step.Want.SecretText and goes into the call that needs
//     it: nowhere else that anything observed comes from. A driver whose backend
//     shows labels in plain text hides them first (schema.Digester.Hide).
//   - Errors are *Error with the kind that says who can act.
//   - A read-only driver sends nothing but GET, and POST to Keystone for a token.
type Driver interface {
	Observe(ctx context.Context) ([]diff.Observed, error)
	Apply(ctx context.Context, step diff.Step) error
}

// Checker is a driver that can say, before anything is touched, what stands
// against a wanted cluster: no such image, a field that the cluster type has no
// use for, a limit that it would pass, a quota that is too small for it and those
// before it in the order of their keys. Every objection has a code. What a role
// keeps from us is told as unknown. It only reads.
type Checker interface {
	Check(ctx context.Context, want []*schema.Cluster, have []diff.Observed) (map[schema.Key][]diff.Objection, error)
}

// Namer is a driver that can say what a cluster's things in the cloud are called.
// The names follow from the cluster and the owner alone.
type Namer interface {
	Names(c *schema.Cluster) Names
}

// Names are what a cluster is called in its cloud.
type Names struct {
	Stack  string       `json:"stack"`
	Groups []GroupNames `json:"groups"` // in the order of the spec
	// Changed says that a name of Git is not in them as it is: it was cut, or
	// holds what a host name may not.
	Changed bool `json:"changed"`
}

// GroupNames are the names of a group's nodes, which are those of their servers
// and ports as well: of the first and the last as far as the group is a new one.
type GroupNames struct {
	Group string `json:"group"`
	Nodes int    `json:"nodes"`
	First string `json:"first,omitempty"` // empty for a group without nodes
	Last  string `json:"last,omitempty"`
}

// Inspector is a driver that can look deeper than Observe, at the price of
// another list per project: nodes whose server is gone, which no record of the
// cluster shows. It takes what was observed and returns it with those nodes
// marked diff.NodeMissing.
type Inspector interface {
	Inspect(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error)
}

// Prober is a driver that can ask clusters themselves how their etcd is. It is
// given the clusters in which a master is about to be replaced (diff.WantsProbe),
// all of which are ours, and returns them in the same order with Observed.Etcd
// and EtcdReason set, and nothing else changed. Whom it has nothing to say about,
// because no etcd is in it that replacing a node could harm, it returns as it is.
// Only EtcdHealthy lets a master go: healthy means that every member on a master
// that is ready answered now that it serves, and that they have a leader; a
// master that is not ready is not asked, since it is the one to be replaced.
//
// It only reads, remembers no answer, and does not fail because a cluster does:
// what cannot be reached or does not answer in time is diff.EtcdUnknown with the
// reason. An error means that none could be asked.
type Prober interface {
	Probe(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error)
}

// Attendant is a driver that can reach into its clusters while they run, through
// their own API: ask how they are, move pods from nodes that are to go, and keep
// what is ours on nodes as it was asked for. What others put there it leaves
// alone, and it destroys nothing that nobody consented to.
//
// Every method is about one cluster and may be called beside others. It ends with
// its context, which is how long the caller is willing to wait, and changes
// nothing that Observe sees. Whatever was cut short or killed can be repeated.
type Attendant interface {
	// Attend asks a cluster that stands still how it is. It does not fail: what
	// cannot be reached is Unreached, with the reason. Unless the driver is
	// read-only, and if v.Mend says so, it also puts right what has to follow the
	// cluster as it is observed: nodes that we cordoned and that are not about to
	// leave take pods again, what Kubernetes remembers of drained nodes that are
	// gone is removed, and nodes carry the labels and taints of their group, as
	// many of them as are ours.
	Attend(ctx context.Context, v Visit) Health
	// Workload gives the cluster back with Work, WorkReason and the Workloads of
	// these nodes set. It only reads. A node that Kubernetes does not know has
	// nothing to move. Whom it has nothing to say about, because there are no pods
	// that an eviction could move, it returns as it is.
	Workload(ctx context.Context, o diff.Observed, nodes []string) diff.Observed
	// Drain cordons the nodes of step.Drain, marks them as cordoned by us, and has
	// their pods evicted, as far as their disruption budgets allow it by now; then
	// it waits for them to leave, as long as the context lets it, and gives what is
	// left. Pods that hold a drain are evicted only if step.Drain.All says so. An
	// error means that it is not known what is left.
	Drain(ctx context.Context, step diff.Step) (map[string]diff.Workload, error)
}

// Visit is what an Attendant has to know of a cluster.
type Visit struct {
	Observed diff.Observed
	Leaving  []string // nodes that are about to be replaced or removed (diff.Leaving)
	Mend     bool     // nodes may be changed
}

// Health is how a cluster is, in Magnum's words (magnum/drivers/common/k8s_monitor.py).
type Health struct {
	Status HealthStatus
	// Reason says why, by what was asked: "api" is "ok" or what is wrong with it,
	// "<node>.Ready" is the condition of a node: True, False or Unknown; beyond Magnum,
	// "api.certificate" is there when it soon ends. It changes only when something happens.
	Reason map[string]string
	// Undone is what could not be put right, for people; the next visit tries
	// again.
	Undone []string
	// Later is what could not be put right yet, for people: a visit in a minute can.
	Later []string
}

// Same says that two visits found the same.
func (h Health) Same(other Health) bool {
	return h.Status == other.Status && maps.Equal(h.Reason, other.Reason) && slices.Equal(h.Undone, other.Undone) && slices.Equal(h.Later, other.Later)
}

// HealthStatus is Magnum's health_status.
type HealthStatus string

// The statuses. Unasked is none of Magnum's: there is nothing that could be asked.
const (
	Unasked   HealthStatus = ""
	Healthy   HealthStatus = "HEALTHY"   // the API says it is well, and every node is Ready
	Unhealthy HealthStatus = "UNHEALTHY" // one of them is not
	Unreached HealthStatus = "UNKNOWN"   // the API cannot be reached
)

// Examiner is a driver that can say how well its cloud and credential serve:
// what they are, what is missing, whom to ask. With write it tries what only a
// write can show, and leaves nothing behind.
type Examiner interface {
	Examine(ctx context.Context, write bool) []Finding
}

// Keeper is a driver that keeps the keys of its clusters: their authorities,
// with which whoever has them owns the cluster. They are kept under the cluster's
// name before it is made and outlive it until they are forgotten.
type Keeper interface {
	// Keys gives what is kept of a cluster; NotFound if nothing is. It makes
	// none.
	Keys(ctx context.Context, k schema.Key) (*pki.Keys, error)
	// KeptAt says where keys of a cluster are or would be kept, without looking.
	KeptAt(k schema.Key) KeyPlace
	// BackedUp notes that the keys were given out to be kept elsewhere too. It
	// does nothing where the place has no need of that.
	BackedUp(ctx context.Context, k schema.Key) error
	// Forget removes the keys and all that lets somebody in to them or, in the
	// cluster's name, into the cloud. It first asks the cloud whether the cluster
	// is gone: one that is there, or still goes, is a Conflict, and nothing is
	// removed. That there is nothing to forget is fine. A Forget that failed or
	// was killed half-way can be repeated.
	Forget(ctx context.Context, k schema.Key) error
}

// KeyPlace is where the keys of a cluster are kept.
type KeyPlace struct {
	Where string `json:"where"` // for people
	Local bool   `json:"local"` // on a disk of ours, and gone with it unless backed up
}

// Finding is one thing that an examination found.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"` // what to do, and who
}

// Level is how bad a finding is.
type Level string

// The levels. Missing is what was not to be found out for lack of a role.
const (
	Fine    Level = "ok"
	Missing Level = "unknown"
	Doubt   Level = "warning" // it works, and somebody should look
	Bad     Level = "error"
)

// Placed is a driver that can say where it works, so that a clouds.yaml entry
// which suddenly means another project is noticed: its empty list must not
// read as "all clusters are gone".
type Placed interface {
	Place(ctx context.Context) (Place, error)
}

// Place is one project of one cloud.
type Place struct {
	AuthURL   string `json:"authURL"`
	Region    string `json:"region,omitempty"`
	ProjectID string `json:"projectID"`
}

// Memory is what earlier runs saw, by backend id. A driver may take a
// remembered value for one that it would otherwise read in detail, if the
// version is the same.
type Memory interface {
	Recall(cloud schema.CloudName) map[string]diff.Observed
}

// Options open a driver.
type Options struct {
	Cloud    schema.CloudName // entry of clouds.yaml; "envvars" for OS_* variables
	Config   schema.CloudConfig
	Owner    string // whose clusters; written on each of them
	Instance string // which daemon; written on each of them
	Memory   Memory // nil: nothing is remembered
	ReadOnly bool   // the transport refuses all but reads
	// KeyDir is where keys of clusters are kept that Config.Keys wants kept
	// locally; empty: nowhere.
	KeyDir string
	// Now is the time of whatever begins or ends with a clock, such as
	// certificates; nil: time.Now.
	Now func() time.Time
	Log *zap.Logger
	// Calls is told of every request to the cloud; nil: nobody is.
	Calls CallWatcher
}

// Open connects to a cloud. It authenticates, so a wrong password is known here.
type Open func(ctx context.Context, o Options) (Driver, error)

// Registry is the drivers by the name that Config uses, in plain sight in main.
type Registry map[string]Open

// Open connects to a cloud with the driver that its Config asks for, heat if it
// asks for none. A driver that there is not is the author's matter.
func (r Registry) Open(ctx context.Context, o Options) (Driver, error) {
	name := cmp.Or(o.Config.Driver, "heat")
	open, ok := r[name]
	if !ok {
		return nil, &Error{Kind: Rejected, Op: "open cloud " + string(o.Cloud), Err: fmt.Errorf("there is no driver %q in this release", name)}
	}
	return open(ctx, o)
}
