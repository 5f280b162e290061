package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// at puts the clock of the world to a time of May 2026, whose fourth is a Monday.
func (w *world) at(text string) {
	w.Helper()
	t, err := time.Parse("2006-01-02T15:04", "2026-05-"+text)
	if err != nil {
		w.Fatal(err)
	}
	w.now = t
}

func reason(report reconcile.Report, guard string) string {
	for _, s := range report.Plan.HeldSteps() {
		if s.Held.Guard == guard {
			return s.Held.Reason
		}
	}
	return ""
}

// TestMaintenanceWindow: what removes nodes waits for the window, also in its last
// minutes, and a run knows when to look again.
func TestMaintenanceWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const window = `maintenance: {cron: "0 2 * * *", duration: 4h, timeZone: Europe/Berlin}`
	w.commit("a.yaml", cluster("a", "nodeCount: 2", window))
	w.settle()
	w.commit("a.yaml", cluster("a", "nodeCount: 1", window))
	for _, c := range []struct{ now, says, next string }{
		{"04T12:00", "opens on Tue 2026-05-05 02:00 CEST", "05T00:00"},
		{"05T03:45", "closes at 06:00 CEST, and nothing starts in its last 15 minutes; it opens on Wed 2026-05-06 02:00 CEST", "06T00:00"},
	} {
		w.at(c.now)
		report := w.run()
		w.want(report, "resize lab/a held by maintenance")
		if have := reason(report, "maintenance"); !strings.Contains(have, c.says) {
			t.Errorf("at %s it says %q, want %q", c.now, have, c.says)
		}
		if have := report.Next.UTC().Format("02T15:04"); have != c.next {
			t.Errorf("at %s it looks again at %s, want %s", c.now, have, c.next)
		}
		if status := strings.Join(strings.Fields(string(w.board.files["status/lab/a.yaml"])), " "); !strings.Contains(status, c.says) {
			t.Errorf("the status says %s", status)
		}
	}
	w.at("06T00:00")
	w.want(w.run(), "resize lab/a")
}

// TestFleetWindow: the window of the Config is that of clusters without one, and
// of deletes.
func TestFleetWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.r.Config.Maintenance = &schema.Maintenance{Cron: "0 2 * * *", Duration: "1h", TimeZone: "UTC"}
	w.commit("a.yaml", cluster("a", "nodeCount: 2", "deletionProtection: false"), "b.yaml", cluster("b", "nodeCount: 2", `maintenance: {cron: "0 12 * * *", duration: 1h}`))
	w.settle()
	w.commit("a.yaml", "", "b.yaml", cluster("b", "nodeCount: 1", `maintenance: {cron: "0 12 * * *", duration: 1h}`))
	w.at("06T12:10")
	w.want(w.run(), "resize lab/b; delete lab/a held by maintenance")
	w.cloud.Tick()
	w.at("07T02:10")
	w.want(w.run(), "delete lab/a")
}

// TestRecordOfDeleted: the store keeps no record of a cluster that is gone, also if
// the process that deleted it was killed before it had seen it go.
func TestRecordOfDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "deletionProtection: false"), "b.yaml", cluster("b"))
	w.settle()
	w.commit("a.yaml", "")
	w.settle()
	w.run()
	records, err := w.store.Records(t.Context())
	if err != nil || len(records) != 1 {
		t.Errorf("%d records, %v", len(records), err)
	}
	stale := map[schema.Key][]byte{{Cloud: "lab", Name: "a"}: []byte("{}")}
	if err := w.store.SaveRecords(t.Context(), stale); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.run()
	if records, err = w.store.Records(t.Context()); err != nil || len(records) != 1 {
		t.Errorf("after a kill: %d records, %v", len(records), err)
	}
}

// TestSuspension: a suspended cluster is left alone until the suspension is over.
func TestSuspension(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a"))
	w.settle()
	w.commit("a.yaml", cluster("a", "nodeCount: 2", `suspend: {until: 2026-05-08, by: ops, reason: the disks}`))
	w.at("07T23:59")
	report := w.run()
	w.want(report, "resize lab/a held by suspended")
	if have := reason(report, "suspended"); have != "the cluster is suspended by ops until 2026-05-08, the disks; remove suspend to go on" {
		t.Error(have)
	}
	if have := w.status("a", "suspended"); have != "suspended by ops until 2026-05-08, the disks" {
		t.Errorf("the status says %q", have)
	}
	w.now = report.Next
	report = w.run()
	w.want(report, "resize lab/a")
	if len(report.Plan.Notes) != 1 || !strings.Contains(report.Plan.Notes[0].Text, "over on Fri 2026-05-08 00:00 UTC") {
		t.Errorf("notes: %v", report.Plan.Notes)
	}
	if have := w.status("a", "suspended"); have != "" {
		t.Errorf("the status says %q", have)
	}
}

// TestSchedule: a group follows its schedule by the clock, through a window and
// past the limit of a step; an edit of the schedule does not.
func TestSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := func(night string) string {
		return `nodeGroups: [{name: web, nodeCount: 1, flavor: m1.small, schedule: [{cron: "0 7 * * *", nodeCount: 4}, {cron: "0 20 * * *", nodeCount: ` + night + `}]}]`
	}
	const window = `maintenance: {cron: "0 2 * * 6", duration: 4h}`
	w.at("04T12:00")
	w.commit("a.yaml", cluster("a", window, group("0")))
	w.settle()
	report := w.run()
	w.want(report, "")
	if text := report.Plan.Notes[0].Text; text != "by its schedule (0 7 * * * UTC) it has 4 since Mon 2026-05-04 07:00 UTC, and 0 from Mon 2026-05-04 20:00 UTC" {
		t.Errorf("the plan says %q", text)
	}
	if w.now = report.Next; w.now.Format("15:04") != "20:00" {
		t.Fatalf("it looks again at %s", w.now)
	}
	w.want(w.run(), "resize lab/a")
	w.cloud.Tick()
	w.restart()
	w.at("05T07:00")
	w.want(w.run(), "resize lab/a")
	w.settle()

	w.at("05T21:00")
	w.want(w.run(), "resize lab/a")
	w.settle()
	w.commit("a.yaml", cluster("a", window, group("3")))
	w.want(w.run(), "resize lab/a") // grows
	w.settle()
	w.commit("a.yaml", cluster("a", window, group("1")))
	w.want(w.run(), "resize lab/a held by shrink-limit")
	w.commit("a.yaml", cluster("a", window, group("2")))
	w.want(w.run(), "resize lab/a held by maintenance")
}

// TestScheduleWithoutStore: whether the clock or an edit changed a size cannot be
// known by a machine that has just been set up, so the guards look at it.
func TestScheduleWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", `nodeGroups: [{name: web, nodeCount: 1, flavor: m1.small, schedule: [{cron: "0 7 * * *", nodeCount: 4}, {cron: "0 20 * * *", nodeCount: 0}]}]`))
	w.settle()
	w.machine()
	w.at("04T21:00")
	w.want(w.run(), "resize lab/a held by shrink-limit")
}
