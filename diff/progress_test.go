package diff_test

import (
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// TestProgress is how far an upgrade is said to be: what is wanted, what is
// there, what was started last, and what the first step says.
func TestProgress(t *testing.T) {
	t.Parallel()
	check := func(want, have string, started diff.Op, says string) {
		t.Helper()
		fleet := wanted(t, want)
		policy := diff.Policy{Started: map[schema.Key]diff.Op{fleet.Clusters[0].Key: started}}
		s := diff.Compute(fleet, there(t, have), policy).Steps[0]
		got := s.Progress()
		if stopped := s.Stopped(); stopped != "" {
			got = stopped
		}
		if got != says {
			t.Errorf("want %s have %s after %q: %q, not %q", want, have, started, got, says)
		}
	}
	check("a v1.31", "a", "", "upgrade 0/2")
	check("a v1.31.1", "a v1.30.4", "", "upgrade 0/2 to v1.31.1")
	check("a v1.32.1", "a v1.29.4", "", "upgrade 0/2 to v1.30.14, then v1.31.14, v1.32.1")
	check("a x3 image=i2", "a x3 image=i2 default-worker-0=old", "", "upgrade 3/4")
	check("a x3", "a", "", "")

	check("a x3", "a x3 UPDATE_IN_PROGRESS default-worker-0=old", "", "upgrade 3/4")
	check("a v1.31.1 x3", "a v1.30.14 x3 UPDATE_IN_PROGRESS default-worker-0=old", diff.Upgrade, "upgrade 3/4 to v1.30.14, then v1.31.1")
	check("a v1.29.1 x3", "a v1.30.14 x3 UPDATE_IN_PROGRESS default-worker-0=old", diff.Upgrade, "upgrade 3/4 to v1.30.14")
	check("a x3", "a x3 UPDATE_IN_PROGRESS", diff.Upgrade, "upgrade 4/4")
	check("a x3", "a x3 UPDATE_IN_PROGRESS", diff.Resize, "")
	check("a x3", "a x3 UPDATE_IN_PROGRESS", "", "")
	check("a x3", "a x3 UPDATE_IN_PROGRESS default-worker-0=old", diff.Recover, "upgrade 3/4")
	check("a x3", "a x3 DELETE_IN_PROGRESS default-worker-0=old", diff.Delete, "")

	check("a x3", "a x3 UPDATE_FAILED default-worker-0=failed default-worker-2=old", "", "upgrade stopped at 2/4: default-worker-0: boot script failed")
	check("a x3", "a x3 UPDATE_FAILED default-worker-0=failed", diff.Upgrade, "upgrade stopped at 3/4: default-worker-0: boot script failed")
	check("a x3", "a x3 UPDATE_FAILED default-worker-0=failed", diff.Resize, "")
}
