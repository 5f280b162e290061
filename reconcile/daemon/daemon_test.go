package daemon_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/drivertest"
	"jeroboam.io/jeroboam/reconcile/daemon"
	"jeroboam.io/jeroboam/reconcile/schedule"
	"jeroboam.io/jeroboam/schema"
)

// playSettled begins when the first commit, with one cluster, is carried out.
func playSettled(t *testing.T, test func(w *world, lab *cloud)) {
	t.Helper()
	play(t, func(w *world) {
		lab := w.cloud("lab")
		w.repo.commit("one", "a.yaml", cluster("lab", "a"))
		w.start()
		w.pass(5 * time.Minute)
		test(w, lab)
	})
}

// TestFollowsTheBranch: a commit is carried out when the source is looked at, what
// is in motion is watched to its end, and then clouds are left alone until the
// drift interval.
func TestFollowsTheBranch(t *testing.T) {
	t.Parallel()
	playSettled(t, func(w *world, lab *cloud) {
		w.clusters("lab", "a")
		runs := len(w.ran())
		if !w.runs[runs-1].Settled() {
			t.Fatal("it has not settled")
		}
		fetches, lists := w.repo.fetched(), lab.asked("observe")
		w.pass(60 * time.Minute)
		if n := w.repo.fetched() - fetches; n != 60 {
			t.Errorf("%d fetches in an hour, want 60", n)
		}
		if n := lab.asked("observe") - lists; n != 6 {
			t.Errorf("the cloud was listed %d times in an hour in which nothing changed, want 6", n)
		}
		w.repo.commit("two", "b.yaml", cluster("lab", "b"))
		w.pass(time.Minute)
		w.clusters("lab", "a", "b")
	})
}

// TestSync: who asks for a sync gets the report of a run that has seen what was
// committed before.
func TestSync(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.cloud("lab")
		w.repo.set(func() { w.repo.takes = time.Second })
		w.repo.commit("one", "a.yaml", cluster("lab", "a"))
		w.start()
		w.pass(5 * time.Minute)
		for i := range 3 {
			name := fmt.Sprintf("b%d", i)
			time.Sleep(time.Duration(i*450) * time.Millisecond) // also when a fetch has begun already
			w.repo.commit("more", name+".yaml", cluster("lab", name))
			begin := time.Now()
			report, err := w.d.Sync(w.Context())
			if err != nil || report.Snapshot.Commit != w.repo.head.Hash {
				t.Errorf("commit %s, %v, want %s", report.Snapshot.Commit, err, w.repo.head.Hash)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		}
		w.repo.set(func() { w.repo.err = errors.New("the forge is down") })
		if _, err := w.d.Sync(w.Context()); err == nil || err.Error() != "the forge is down" {
			t.Errorf("a sync without a source: %v", err)
		}
	})
}

// TestManyAsk: ten thousand requests in a moment are a handful of fetches.
func TestManyAsk(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.cloud("lab")
		w.repo.commit("one", "a.yaml", cluster("lab", "a"))
		w.start()
		w.pass(5 * time.Minute)
		before, runs := w.repo.fetched(), len(w.ran())
		for range 10_000 {
			if err := w.d.Ask(w.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Second)
		if n := w.repo.fetched() - before; n < 1 || n > 3 {
			t.Errorf("%d fetches", n)
		}
		if n := len(w.ran()) - runs; n < 1 || n > 3 {
			t.Errorf("%d runs", n)
		}
	})
}

// TestSlowCloud: a cloud that takes a minute to answer, and one that never does,
// delay nobody; the slow one is kept all the same.
func TestSlowCloud(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		for _, name := range []schema.CloudName{"fast", "slow", "dead"} {
			w.cloud(name)
			w.repo.commit("one", string(name)+".yaml", cluster(string(name), "a", "deletionProtection: false"))
		}
		w.clouds["slow"].set(func() { w.clouds["slow"].takes = time.Minute })
		defer w.clouds["dead"].Fault(drivertest.Hang)()
		w.start()
		time.Sleep(3 * time.Second)
		w.clusters("fast", "a")
		w.clusters("slow")
		for i := range 20 {
			name := fmt.Sprintf("b%d", i)
			w.repo.commit("more", name+".yaml", cluster("fast", name))
			begin := time.Now()
			if _, err := w.d.Sync(w.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("a sync took %s", took)
			}
		}
		if n := len(w.clouds["fast"].Names()); n != 21 {
			t.Errorf("%d clusters in the fast cloud", n)
		}
		w.pass(10 * time.Minute)
		w.clusters("slow", "a")
		w.pass(10 * time.Minute)
		if last := w.ran()[len(w.ran())-1]; last.Unread["slow"] != nil || last.Unread["dead"] == nil {
			t.Errorf("unread: %v", last.Unread)
		}
		if n := w.clouds["dead"].asked("observe"); n > 3 {
			t.Errorf("the dead cloud was asked %d times beside each other", n)
		}
	})
}

// TestSlowSteps: a cloud that is slow to take its steps keeps nobody from taking
// theirs, and no cluster gets two at once.
func TestSlowSteps(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		slow, fast := w.cloud("slow"), w.cloud("fast")
		slow.set(func() { slow.step = 40 * time.Second })
		for i := range 30 {
			w.repo.commit("s", fmt.Sprintf("s%d.yaml", i), cluster("slow", fmt.Sprintf("s%02d", i)))
		}
		w.repo.commit("f", "f.yaml", cluster("fast", "f"))
		w.start()
		time.Sleep(15 * time.Second)
		w.clusters("fast", "f")
		begin := time.Now()
		w.repo.commit("g", "g.yaml", cluster("fast", "g"))
		if _, err := w.d.Sync(w.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("a sync took %s", took)
		}
		w.clusters("fast", "f", "g")
		w.pass(15 * time.Minute)
		if n := len(slow.Names()); n != 30 {
			t.Errorf("%d clusters in the slow cloud", n)
		}
		if n := slow.asked("apply"); n != 30 {
			t.Errorf("%d steps for 30 clusters", n)
		}
		if fast.asked("apply") != 2 {
			t.Errorf("%d steps for two clusters", fast.asked("apply"))
		}
	})
}

// TestBackoff: what fails is left alone for longer and longer, by who can do
// something about it, and an edit is tried at once.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for kind, most := range map[drivers.Kind]int{drivers.Transient: 50, drivers.Rejected: 15, drivers.Denied: 20} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				lab := w.cloud("lab")
				lab.set(func() { lab.deny = &drivers.Error{Kind: kind, Op: "create", Err: errors.New("no")} })
				w.repo.commit("one", "a.yaml", cluster("lab", "a"))
				w.start()
				w.pass(3 * time.Hour)
				tries := lab.asked("apply")
				if tries < 5 || tries > most {
					t.Errorf("%d tries in three hours, want 5 to %d", tries, most)
				}
				if failed := w.ran()[len(w.ran())-1].Failed(); len(failed) != 1 || drivers.KindOf(failed[0].Err) != kind {
					t.Errorf("the last run failed with %v", failed)
				}
				w.repo.commit("two", "a.yaml", cluster("lab", "a", "nodeCount: 2"))
				w.pass(70 * time.Second)
				if n := lab.asked("apply"); n == tries {
					t.Error("an edit was not tried")
				}
				lab.set(func() { lab.deny = nil })
				if _, err := w.d.Sync(w.Context()); err != nil { // who asks does not wait for a pause
					t.Fatal(err)
				}
				w.clusters("lab", "a")
			})
		})
	}
}

// TestSourceDown: a forge that is away is asked less and less; the clusters are
// watched meanwhile, and the first answer counts.
func TestSourceDown(t *testing.T) {
	t.Parallel()
	playSettled(t, func(w *world, lab *cloud) {
		w.repo.commit("two", "b.yaml", cluster("lab", "b"))
		w.repo.set(func() { w.repo.err = errors.New("the forge is down") })
		before, lists := w.repo.fetched(), lab.asked("observe")
		w.pass(time.Hour)
		if n := w.repo.fetched() - before; n > 20 {
			t.Errorf("%d fetches in an hour", n)
		}
		if n := lab.asked("observe") - lists; n < 5 {
			t.Errorf("the cloud was listed %d times in an hour", n)
		}
		if w.d.State().FetchErr == "" {
			t.Error("nobody is told")
		}
		w.repo.set(func() { w.repo.err = nil })
		w.pass(6*time.Minute + 10*time.Second)
		w.clusters("lab", "a", "b")
		if w.d.State().FetchErr != "" {
			t.Error("it is still told")
		}
	})
}

// TestNewerCommit: while steps of a commit are being started, a newer one keeps
// those that have not begun from beginning.
func TestNewerCommit(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.change = func(o *daemon.Options) { o.Steps, o.StepsPerCloud, o.Starting = 1, 1, time.Hour }
		lab := w.cloud("lab")
		lab.set(func() { lab.step = 8 * time.Second })
		var remove []string
		for i := range 50 {
			file := fmt.Sprintf("c%02d.yaml", i)
			w.repo.commit("all", file, cluster("lab", file[:3]))
			if i > 0 {
				remove = append(remove, file, "")
			}
		}
		w.start()
		time.Sleep(20 * time.Second)
		w.repo.commit("only the first", remove...)
		if err := w.d.Ask(w.Context()); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * time.Minute)
		if n := len(lab.Names()); n > 5 {
			t.Errorf("%d clusters were made of a commit that was outdated", n)
		}
	})
}

// TestEnd: at the end no step begins, and those that have begun are carried out
// and written down.
func TestEnd(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.change = func(o *daemon.Options) { o.Steps, o.StepsPerCloud = 2, 2 }
		lab := w.cloud("lab")
		lab.set(func() { lab.step = 5 * time.Second })
		for i := range 20 {
			w.repo.commit("all", fmt.Sprintf("c%02d.yaml", i), cluster("lab", fmt.Sprintf("c%02d", i)))
		}
		w.start()
		time.Sleep(2 * time.Second)
		begin := time.Now()
		end := w.end
		w.end = nil
		if err := end(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("it took %s to end", took)
		}
		if n := len(lab.Names()); n != 2 {
			t.Errorf("%d clusters, want the 2 that had begun", n)
		}
		if err := w.d.Ask(w.Context()); err == nil {
			t.Error("it can still be asked")
		}
		w.start()
		w.pass(10 * time.Minute)
		if n := len(lab.Names()); n != 20 {
			t.Errorf("%d clusters after the next start", n)
		}
		if n := lab.asked("apply"); n != 20 {
			t.Errorf("%d steps for 20 clusters", n)
		}
	})
}

// TestStart: a process that starts at noon carries out at two in the morning what
// was committed meanwhile, where sync says so; what it knows it keeps at once.
func TestStart(t *testing.T) {
	t.Parallel()
	for missed, want := range map[schedule.Missed]bool{schedule.Skip: false, schedule.Once: true} {
		t.Run(string(missed), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				night, err := schedule.Parse("0 2 * * *", "UTC")
				if err != nil {
					t.Fatal(err)
				}
				w.sync = schedule.Timer{Cron: night, Name: "test", Missed: missed}
				w.cloud("lab")
				w.repo.commit("one", "a.yaml", cluster("lab", "a"))
				w.start()
				w.pass(26 * time.Hour)
				w.clusters("lab", "a")
				w.stop()
				w.repo.commit("two", "b.yaml", cluster("lab", "b"))
				time.Sleep(34 * time.Hour) // past one night
				w.start()
				w.pass(10 * time.Minute)
				if have := len(w.clouds["lab"].Names()) == 2; have != want {
					t.Errorf("%s: the commit was carried out at noon: %v", missed, have)
				}
				w.pass(24 * time.Hour)
				w.clusters("lab", "a", "b")
			})
		})
	}
}

// TestClockSetBack: a store that was written in the future does not stop anything
// until the future has come.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		back := time.Duration(0)
		w.change = func(o *daemon.Options) { o.Runs.Now = func() time.Time { return time.Now().Add(-back) } }
		w.cloud("lab")
		w.repo.commit("one", "a.yaml", cluster("lab", "a"))
		w.start()
		w.pass(5 * time.Minute)
		w.stop()
		back = 1000 * time.Hour
		w.repo.commit("two", "b.yaml", cluster("lab", "b"))
		w.start()
		w.pass(3 * time.Minute)
		w.clusters("lab", "a", "b")
	})
}

// TestMemoryIsFlat: ten thousand ticks, with a sync, a run, a look at the clouds and
// a change of the fleet now and then, leave no memory, no goroutine and no row of
// the store behind. Every change is of a schedule, which the store knows by what it
// says.
func TestMemoryIsFlat(t *testing.T) {
	play(t, func(w *world) {
		w.change = func(o *daemon.Options) {
			o.OnRun = nil
			o.Drift = 3 * time.Hour
		}
		for i := range 10 {
			name := schema.CloudName(fmt.Sprintf("c%d", i))
			w.cloud(name)
			w.repo.commit("one", string(name)+".yaml", cluster(string(name), "a"))
		}
		w.start()
		commits := 0
		tick := func(n int) (heap uint64, goroutines, rows int) {
			for i := range n {
				time.Sleep(time.Minute)
				if i%250 == 0 {
					w.repo.commit("next", "c0.yaml", cluster("c0", "a", fmt.Sprintf(
						`nodeGroups: [{name: web, nodeCount: 1, schedule: [{cron: "%d %d * * *", nodeCount: %d}]}]`, commits%60, commits/60, 1+commits%2)))
					commits++
				}
				for _, c := range w.clouds {
					c.Tick()
				}
			}
			synctest.Wait()
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc, runtime.NumGoroutine(), w.firings()
		}
		before, workers, rows := tick(1000)
		after, then, left := tick(10_000)
		t.Logf("after 1,000 and 11,000 ticks with %d changes: heap %d and %d KiB, %d and %d goroutines, %d and %d schedules in the store",
			commits, before>>10, after>>10, workers, then, rows, left)
		if after > before+before/10+256<<10 {
			t.Errorf("the heap grew from %d to %d bytes in 10,000 ticks", before, after)
		}
		if then > workers+2 {
			t.Errorf("goroutines grew from %d to %d", workers, then)
		}
		if left != rows {
			t.Errorf("schedules in the store grew from %d to %d", rows, left)
		}
	})
}

// TestDeadProjectAmongMany: of a hundred projects one never answers; the clusters of
// the others are made, and grow, when they would without it.
func TestDeadProjectAmongMany(t *testing.T) {
	t.Parallel()
	const projects = 100
	took := func(dead bool) (made, grown time.Duration) {
		play(t, func(w *world) {
			for i := range projects {
				name := schema.CloudName(fmt.Sprintf("p%02d", i))
				w.cloud(name).takes = 20 * time.Millisecond
				w.repo.commit("one", string(name)+".yaml", cluster(string(name), "a"))
			}
			if dead {
				defer w.clouds["p50"].Fault(drivertest.Hang)()
			}
			begin := time.Now()
			w.start()
			all := func(nodes int) bool {
				for name, c := range w.clouds {
					if name != "p50" && !c.settled(w.T, nodes) {
						return false
					}
				}
				return true
			}
			until := func(nodes int) time.Duration {
				for !all(nodes) {
					if time.Since(begin) > time.Hour {
						w.Fatalf("not all have %d nodes after an hour", nodes)
					}
					time.Sleep(250 * time.Millisecond)
					for _, c := range w.clouds {
						c.Tick()
					}
				}
				return time.Since(begin)
			}
			made = until(1)
			for i := range projects {
				name := fmt.Sprintf("p%02d", i)
				w.repo.commit("two", name+".yaml", cluster(name, "a", "nodeCount: 2"))
			}
			begin = time.Now()
			if err := w.d.Ask(w.Context()); err != nil {
				w.Fatal(err)
			}
			grown = until(2)
		})
		return made, grown
	}
	made, grown := took(false)
	madeBeside, grownBeside := took(true)
	t.Logf("%d projects: made in %s and grown in %s; with one dead %s and %s", projects, made, grown, madeBeside, grownBeside)
	// A run waits for a project that does not answer for a moment, once.
	const patience = 2 * time.Second
	if madeBeside > made+patience || grownBeside > grown+patience {
		t.Errorf("a dead project delays the others by %s and %s", madeBeside-made, grownBeside-grown)
	}
}
