// Package drivertest says what it takes to be a driver: Run checks every promise
// of drivers.Driver, each as a subtest that is named by its outcome. A driver's
// own test hands over a Harness and nothing else:
//
//	func TestDriver(t *testing.T) {
//		drivertest.Run(t, drivertest.Harness{Backend: func(t testing.TB) *drivertest.Backend { ... }})
//	}
//
// The suite plays a platform team: it asks for clusters, lets time pass, breaks
// things by hand behind the driver's back, and looks again. It knows no backend;
// what only a backend can do to itself is a hook of Backend. Who changes a
// promise changes the suite first.
//
// Read Backend, then promises in this file, then the promises themselves:
// observe.go, life.go (create to delete), nodes.go (resize to recover), inside.go
// (what goes through a cluster's own API), owner.go (what others do) and
// failure.go. Memory is a cloud in memory that passes; the loop's tests run on it.
// broken_test.go shows that the suite can fail.
package drivertest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Harness gives a driver to the suite.
type Harness struct {
	// Backend gives what one subtest uses. Subtests run in parallel, so it is either
	// of its own or a shared one whose faults are in Cannot.
	Backend func(t testing.TB) *Backend
	// Cannot says which promises these backends cannot show, and why. They are no
	// subtests: a skip is a failure where nothing may be left out (make acceptance).
	Cannot map[string]string
}

// Backend is a cloud with a driver, as the suite uses it. Open, Settle, Cluster
// and Upgrade must be there. A hook may be nil if every promise that needs it is
// in Cannot.
type Backend struct {
	// Open connects a driver; change sets owner, memory or read-only in options
	// that are otherwise ready. A driver that was just opened and remembers
	// nothing reads everything in detail.
	Open func(t testing.TB, change func(*drivers.Options)) (drivers.Driver, error)
	// Settle lets time pass until nothing moves any more, failures included.
	Settle func(t testing.TB)
	// Cluster declares a cluster that the backend can make, with a default-worker
	// group; change, if it is not nil, alters its spec.
	Cluster func(t testing.TB, name schema.ClusterName, change func(*schema.Spec)) *schema.Cluster
	// Upgrade alters a spec so that nodes have to boot anew to get there.
	Upgrade func(*schema.Spec)

	// FailBoot makes boots of nodes whose name begins so fail with this reason,
	// until undo.
	FailBoot func(t testing.TB, name, reason string) (undo func())
	// Squat puts something of others on the name that the driver would use.
	Squat func(t testing.TB, c *schema.Cluster)
	// DropTags loses what a foreign update would lose of our ownership.
	DropTags func(t testing.TB, c *schema.Cluster)
	// ChangeByHand changes the live cluster so that it is not as asked for.
	ChangeByHand func(t testing.TB, c *schema.Cluster)
	// DeleteByHand deletes the live cluster behind the driver's back.
	DeleteByHand func(t testing.TB, c *schema.Cluster)
	// DeleteServer deletes a server (diff.Node.Server) behind the driver's back.
	DeleteServer func(t testing.TB, server string)
	// Fault makes the backend misbehave until undo.
	Fault func(t testing.TB, f Fault) (undo func())
	// LoseAnswer carries out the n-th write from now (the first is 1) and loses
	// its answer, as a crash between the two would.
	LoseAnswer func(t testing.TB, n int)
	// Writes counts the requests so far that could have changed something;
	// asking for a token is none.
	Writes func() int
	// KeepKeys makes keys for a cluster and keeps them, as the create of one that
	// has some does.
	KeepKeys func(t testing.TB, c *schema.Cluster)
	// Inside gives a hand in a running cluster, for drivers that reach into them.
	Inside func(t testing.TB, c *schema.Cluster, o diff.Observed) Inside
	// Leftovers names everything in the backend that belongs to a cluster.
	Leftovers func(t testing.TB, c *schema.Cluster) []string
}

// Fault is a way in which a backend misbehaves.
type Fault string

// The faults.
const (
	ServerError      Fault = "server-error"  // every request fails on the backend's side
	EmptyList        Fault = "empty-list"    // lists of clusters are empty and say nothing is wrong
	Hang             Fault = "hang"          // requests get no answer
	WrongCredentials Fault = "login-refused" // who opens a driver now has the wrong password
	Quota            Fault = "quota"         // nothing more may be made
	KeysOutOfReach   Fault = "no-key-store"  // where keys are kept does not answer; only Memory knows it
)

// NoSuchFlavor is a flavor that no backend may have.
const NoSuchFlavor = "no-such-flavor"

// promise is one sentence of drivers.Driver.
type promise struct {
	name  string
	needs []string // hooks of Backend
	check func(*world)
}

func promises() []promise {
	return []promise{
		{"ObserveEmpty", nil, observeEmpty},
		{"ObserveIsSorted", nil, observeIsSorted},
		{"ObserveTwiceIsEqual", nil, observeTwiceIsEqual},
		{"RememberedIsEqual", nil, rememberedIsEqual},
		{"ProbeChangesNothing", []string{"Writes"}, probeChangesNothing},

		{"CreateThenPlanIsEmpty", nil, createThenPlanIsEmpty},
		{"CreateIsSeenAtOnce", nil, createIsSeenAtOnce},
		{"PlanIsCarriedOutToTheEnd", nil, planIsCarriedOutToTheEnd},
		{"CreateTwice", []string{"Leftovers"}, createTwice},
		{"CreateAdoptsOwnHalfMadeWork", []string{"LoseAnswer", "Leftovers"}, createAdoptsOwnHalfMadeWork},
		{"ProtectionIsWritten", nil, protectionIsWritten},
		{"SecretsAreSeenAsDigests", nil, secretsAreSeenAsDigests},
		{"DeleteRemovesEverything", []string{"Leftovers"}, deleteRemovesEverything},
		{"DeleteMissing", nil, deleteMissing},
		{"KeysAreKeptUntilForgotten", []string{"KeepKeys"}, keysAreKeptUntilForgotten},
		{"TenInParallel", nil, tenInParallel},

		{"ResizeUpKeepsIdentity", nil, resizeUpKeepsIdentity},
		{"ResizeDownRemovesTheChosen", nil, resizeDownRemovesTheChosen},
		{"FreeNumberIsUsedAgain", nil, freeNumberIsUsedAgain},
		{"GroupComesAndGoes", nil, groupComesAndGoes},
		{"UpdateReplacesNothing", nil, updateReplacesNothing},
		{"UpgradeReplacesOnlyTheBatch", nil, upgradeReplacesOnlyTheBatch},
		{"UpgradeKeepsAddresses", nil, upgradeKeepsAddresses},
		{"ResizeAmidUpgradeRollsNothing", nil, resizeAmidUpgradeRollsNothing},
		{"FailedBootNamesNodeAndReason", []string{"FailBoot"}, failedBootNamesNodeAndReason},
		{"RecoverReplacesOnlyTheFailed", []string{"FailBoot"}, recoverReplacesOnlyTheFailed},
		{"RecoverLeavesOtherFailedNodesAlone", []string{"FailBoot"}, recoverLeavesOtherFailedNodesAlone},
		{"FailedUpgradeStopsAndRecovers", []string{"FailBoot"}, failedUpgradeStopsAndRecovers},
		{"FailedCreateRecovers", []string{"FailBoot"}, failedCreateRecovers},

		{"AttendTellsHealth", []string{"Inside", "Writes"}, attendTellsHealth},
		{"DrainEmptiesOnlyItsNodes", []string{"Inside"}, drainEmptiesOnlyItsNodes},
		{"DrainSparesPodsAlone", []string{"Inside"}, drainSparesPodsAlone},
		{"NodeLabelsFollow", []string{"Inside"}, nodeLabelsFollow},

		{"ForeignIsInvisible", nil, foreignIsInvisible},
		{"ForeignNameIsReported", []string{"Squat", "Writes"}, foreignNameIsReported},
		{"TagsLostIsSeen", []string{"DropTags"}, tagsLostIsSeen},
		{"AdoptWritesTagsAgain", []string{"DropTags"}, adoptWritesTagsAgain},
		{"DeletedByHandIsReported", []string{"DeleteByHand"}, deletedByHandIsReported},
		{"HandMadeChangeIsDrift", []string{"ChangeByHand"}, handMadeChangeIsDrift},
		{"ServerDeletedByHandIsMissing", []string{"DeleteServer"}, serverDeletedByHandIsMissing},

		{"StaleVersionIsConflict", []string{"Writes"}, staleVersionIsConflict},
		{"ListThatLiesIsAnError", []string{"Fault"}, listThatLiesIsAnError},
		{"ReadOnlyRefusesWrites", []string{"Writes"}, readOnlyRefusesWrites},
		{"CancelledContextEndsSoon", []string{"Fault", "Writes"}, cancelledContextEndsSoon},
		{"ServerErrorIsTransient", []string{"Fault"}, serverErrorIsTransient},
		{"WrongCredentialsAreDenied", []string{"Fault"}, wrongCredentialsAreDenied},
		{"QuotaIsRejected", []string{"Fault"}, quotaIsRejected},
		{"BadFlavorIsRejected", nil, badFlavorIsRejected},
	}
}

// Run checks every promise of drivers.Driver but those that the harness cannot
// show, whose reasons it logs.
func Run(t *testing.T, h Harness) {
	t.Helper()
	shown, err := h.shown()
	if err != nil {
		t.Fatal(err)
	}
	for name, why := range h.Cannot {
		t.Logf("%s is not shown: %s", name, why)
	}
	for _, p := range shown {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.run(t, h.Backend(t))
		})
	}
}

// shown are the promises that a harness can show.
func (h Harness) shown() ([]promise, error) {
	for name := range h.Cannot {
		if !known(name) {
			return nil, fmt.Errorf("the harness cannot show %s, which is no promise", name)
		}
	}
	return slices.DeleteFunc(promises(), func(p promise) bool {
		_, cannot := h.Cannot[p.name]
		return cannot
	}), nil
}

// run checks one promise on a backend.
func (p promise) run(t testing.TB, b *Backend) {
	t.Helper()
	for _, hook := range append([]string{"Open", "Settle", "Cluster", "Upgrade"}, p.needs...) {
		if reflect.ValueOf(b).Elem().FieldByName(hook).IsNil() {
			t.Fatalf("hook %s is nil and Cannot does not say why", hook)
		}
	}
	p.check(newWorld(t, b))
}

func known(name string) bool {
	for _, p := range promises() {
		if p.name == name {
			return true
		}
	}
	return false
}
