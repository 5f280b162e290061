package record_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// childDir makes the test binary begin an intent in that directory and wait to
// be killed.
const childDir = "JEROBOAM_RECORD_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		beginAndHang(dir)
	}
	os.Exit(m.Run())
}

func noon() time.Time  { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
func prod() schema.Key { return schema.Key{Cloud: "lab", Name: "prod"} }
func test() schema.Key { return schema.Key{Cloud: "lab", Name: "test"} }

func intent(operation string) reconcile.Intent {
	return reconcile.Intent{Operation: operation, Key: prod(), Op: diff.Create, Version: "v1", SpecHash: "abc", At: noon()}
}

func beginAndHang(dir string) {
	ctx := context.Background()
	s, err := record.Open(ctx, dir)
	if err == nil {
		err = s.Begin(ctx, intent("killed"))
	}
	fmt.Println("begun", err)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // never comes
}

func open(t testing.TB, dir string) *record.Store {
	t.Helper()
	s, err := record.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func reopen(t testing.TB, s *record.Store, dir string) *record.Store {
	t.Helper()
	check(t, s.Close())
	return open(t, dir)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, want, have any) {
	t.Helper()
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("(-want +have)\n%s", d)
	}
}

func TestIntentOutlivesKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	_, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	equal(t, "begun <nil>\n", line)

	_, err = record.Open(t.Context(), dir)
	locked, ok := errors.AsType[*record.LockedError](err)
	if !ok || locked.Holder.PID != cmd.Process.Pid || time.Since(locked.Holder.Since) > time.Hour {
		t.Errorf("a second writer got %v, want a refusal that names process %d", err, cmd.Process.Pid)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // "signal: killed"

	for _, open := range []func(context.Context, string) (*record.Store, error){record.View, record.Open} {
		s, err := open(t.Context(), dir)
		check(t, err)
		have, err := s.OpenIntents(t.Context())
		check(t, err)
		equal(t, []reconcile.Intent{intent("killed")}, have)
		check(t, s.Close())
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	_, err := record.Open(t.Context(), dir)
	want := fmt.Sprintf("in use by process %d on ", os.Getpid())
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), " since 20") {
		t.Fatalf("have %v, want %q and since when", err, want)
	}
	reopen(t, s, dir)
}

// A process that is being started has our descriptors for a moment.
func TestClosedStoreIsFreeAlthoughAChildHoldsItsLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	child, err := syscall.Dup(s.LockDescriptor())
	check(t, err)
	defer syscall.Close(child)
	reopen(t, s, dir)
}

func TestDirectoryIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b", "100%?")
	open(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "state.db"): 0o600} {
		info, err := os.Stat(path)
		check(t, err)
		equal(t, want, info.Mode().Perm())
	}
}

func TestKilledFirstStartIsNoDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, left := range []string{"state.db.new", "state.db.new-journal"} {
		check(t, os.WriteFile(filepath.Join(dir, left), []byte("half of something"), 0o600))
	}
	check(t, open(t, dir).Begin(t.Context(), intent("a")))
}

func TestViewOfNothingIsEmptyAndMakesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := record.View(t.Context(), dir)
	check(t, err)
	intents, err := s.OpenIntents(t.Context())
	check(t, err)
	runs, err := s.Runs(t.Context(), 10)
	check(t, err)
	head, err := s.Head(t.Context())
	check(t, err)
	if len(intents)+len(runs)+len(s.Recall("lab")) != 0 || head != (reconcile.Head{}) {
		t.Errorf("have %v, %v, %v, want nothing", intents, runs, head)
	}
	check(t, s.Close())
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the view made %s: %v", dir, err)
	}
}

func TestViewReadsWhileAWriterIsOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir)
	check(t, w.Begin(t.Context(), intent("one")))
	v, err := record.View(t.Context(), dir)
	check(t, err)
	defer func() { check(t, v.Close()) }()
	check(t, w.Begin(t.Context(), intent("two")))
	have, err := v.OpenIntents(t.Context())
	check(t, err)
	equal(t, []reconcile.Intent{intent("one"), intent("two")}, have)

	for name, write := range map[string]error{
		"begin":              v.Begin(t.Context(), intent("three")),
		"observed":           v.SaveObserved(t.Context(), "lab", nil),
		"declare protection": v.DeclareProtection(t.Context(), "c", nil),
		"run":                v.SaveRun(t.Context(), reconcile.Run{ID: "1"}),
	} {
		if !errors.Is(write, record.ErrReadOnly) {
			t.Errorf("%s through a view: %v, want ErrReadOnly", name, write)
		}
	}
}

func TestDamagedFileIsAnErrorAndStays(t *testing.T) {
	t.Parallel()
	whole := func(t *testing.T, dir string) string {
		s := open(t, dir)
		for i := range 200 {
			check(t, s.SaveRun(t.Context(), reconcile.Run{ID: fmt.Sprint(i), Summary: []byte(strings.Repeat("x", 500))}))
		}
		check(t, s.Close())
		return filepath.Join(dir, "state.db")
	}
	damage := map[string]func(*testing.T, string) error{
		"empty":     func(_ *testing.T, path string) error { return os.Truncate(path, 0) },
		"truncated": func(_ *testing.T, path string) error { return os.Truncate(path, 3*4096) },
		"garbage": func(_ *testing.T, path string) error {
			return os.WriteFile(path, []byte("hello, this is a text"), 0o600)
		},
		"overwritten middle": func(_ *testing.T, path string) error {
			b, err := os.ReadFile(path)
			if err == nil {
				copy(b[4096:], strings.Repeat("jeroboam", 10*512))
				err = os.WriteFile(path, b, 0o600)
			}
			return err
		},
		"another program's": func(t *testing.T, path string) error {
			check(t, os.Remove(path))
			db, err := sql.Open("sqlite", path)
			check(t, err)
			_, err = db.ExecContext(t.Context(), "CREATE TABLE a (b)")
			return errors.Join(err, db.Close())
		},
		"gone, with its log left": func(_ *testing.T, path string) error { return os.Rename(path, path+"-wal") },
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := whole(t, dir)
			check(t, do(t, path))
			before, _ := os.ReadFile(path)
			_, err := record.Open(t.Context(), dir)
			if !errors.Is(err, record.ErrDamaged) || !strings.Contains(err.Error(), "move") || !strings.Contains(err.Error(), path) {
				t.Errorf("have %v, want an error that says what may be moved away", err)
			}
			after, _ := os.ReadFile(path)
			if string(before) != string(after) {
				t.Error("the damaged file was changed")
			}
			if _, err := record.View(t.Context(), dir); before != nil && !errors.Is(err, record.ErrDamaged) {
				t.Errorf("view: have %v, want ErrDamaged", err)
			}
			aside := t.TempDir() // what the message says works
			for _, f := range []string{path, path + "-wal", path + "-shm"} {
				if err := os.Rename(f, filepath.Join(aside, filepath.Base(f))); err != nil && !os.IsNotExist(err) {
					t.Error(err)
				}
			}
			open(t, dir)
		})
	}
}

func TestMigrationsApplyOnceAndInOrder(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "a.db"))
	check(t, err)
	defer func() { check(t, db.Close()) }()
	one := []string{"CREATE TABLE a (n); INSERT INTO a VALUES (1)"}
	two := append(one[:1:1], "ALTER TABLE a ADD COLUMN m DEFAULT 7")
	broken := append(two[:2:2], "DROP TABLE a; SELECT nonsense FROM nowhere")

	check(t, record.Migrate(t.Context(), db, one))
	if err := record.Current(t.Context(), db, two); err == nil {
		t.Error("a reader took a file that is older than it knows")
	}
	check(t, record.Migrate(t.Context(), db, two))
	check(t, record.Migrate(t.Context(), db, two))
	check(t, record.Current(t.Context(), db, two))
	if err := record.Migrate(t.Context(), db, broken); err == nil {
		t.Error("a broken migration passed")
	}
	var n, m, version int
	check(t, db.QueryRowContext(t.Context(), "SELECT sum(n), sum(m) FROM a").Scan(&n, &m))
	check(t, db.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version))
	equal(t, [3]int{1, 7, 2}, [3]int{n, m, version})
	if err := record.Migrate(t.Context(), db, one); err == nil || !strings.Contains(err.Error(), "newer release") {
		t.Errorf("a file of a newer release: %v", err)
	}
}

func TestFinishedIntentsAreNotOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for _, op := range []string{"a", "b", "c"} {
		check(t, s.Begin(t.Context(), intent(op)))
	}
	check(t, s.Finish(t.Context(), "a", reconcile.Ending{Outcome: "accepted", At: noon()}))
	check(t, s.Finish(t.Context(), "b", reconcile.Ending{Outcome: "transient", At: noon()}))
	again := intent("b")
	again.At = noon().Add(time.Hour)
	check(t, s.Begin(t.Context(), again))
	still := intent("c")
	still.At, still.Version = noon().Add(time.Hour), "v2"
	check(t, s.Begin(t.Context(), still))
	if err := s.Finish(t.Context(), "never", reconcile.Ending{Outcome: "accepted", At: noon()}); err == nil {
		t.Error("an intent that was never begun could be finished")
	}

	s = reopen(t, s, dir)
	have, err := s.OpenIntents(t.Context())
	check(t, err)
	still.At = noon() // of the first attempt
	equal(t, []reconcile.Intent{still, again}, have)
}

// What was refused was not started.
func TestLastIntents(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	last := func(operation string) {
		t.Helper()
		have, err := s.LastIntents(t.Context())
		check(t, err)
		if have[prod()].Operation != operation || len(have) != 1 {
			t.Errorf("have %v, want %s", have, operation)
		}
	}
	for i, outcome := range []string{reconcile.Accepted, reconcile.Resolved} {
		at := intent(outcome)
		at.At = noon().Add(time.Duration(i) * time.Minute)
		check(t, s.Begin(t.Context(), at))
		check(t, s.Finish(t.Context(), outcome, reconcile.Ending{Outcome: outcome, At: noon()}))
		last(outcome)
	}
	refused := intent("refused")
	refused.At = noon().Add(time.Hour)
	check(t, s.Begin(t.Context(), refused))
	last("refused") // as far as anybody knows
	check(t, s.Finish(t.Context(), "refused", reconcile.Ending{Outcome: "rejected", At: noon()}))
	last(reconcile.Resolved)
}

func TestFactsAreKept(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	s := open(t, dir)
	check(t, s.DeclareProtection(ctx, "c1", map[schema.Key]bool{prod(): true, test(): false}))
	check(t, s.DeclareProtection(ctx, "c2", map[schema.Key]bool{prod(): false})) // test()'s file is gone
	check(t, s.DeclareProtection(ctx, "c3", map[schema.Key]bool{prod(): false}))
	for want, hash := range []string{"h1", "h1", "h2"} {
		n, err := s.Recovering(ctx, prod(), hash)
		check(t, err)
		equal(t, []int{1, 2, 1}[want], n)
	}
	check(t, s.Deleted(ctx, test(), "id-1", noon()))

	s = reopen(t, s, dir)
	have, err := s.Facts(ctx)
	check(t, err)
	equal(t, map[schema.Key]reconcile.Facts{
		prod(): {Protection: reconcile.Unprotected, ProtectionCommit: "c2", RecoverSpec: "h2", RecoverAttempts: 1},
		test(): {Protection: reconcile.Unprotected, ProtectionCommit: "c1", DeletedID: "id-1", DeletedAt: noon()},
	}, have)

	check(t, s.Recovered(ctx, test()))
	have, err = s.Facts(ctx)
	check(t, err)
	if f := have[test()]; f.RecoverAttempts != 0 || f.RecoverSpec != "" {
		t.Errorf("attempts are remembered after a recovery: %+v", f)
	}
}

func TestDeletesSinceATime(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, t.TempDir())
	other := schema.Key{Cloud: "other", Name: "x"}
	for i, k := range []schema.Key{prod(), prod(), test(), other} {
		check(t, s.Deleted(ctx, k, fmt.Sprint(i), noon().Add(time.Duration(i)*time.Hour)))
	}
	check(t, s.Deleted(ctx, test(), "2", noon().Add(5*time.Hour))) // told again after a crash
	have, err := s.DeletesSince(ctx, noon())
	check(t, err)
	counts := map[schema.CloudName]int{}
	for _, d := range have {
		counts[d.Cluster.Cloud]++
	}
	equal(t, map[schema.CloudName]int{"lab": 2, "other": 1}, counts)
}

func TestHeadAndPlaces(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	s := open(t, dir)
	check(t, s.SaveHead(ctx, reconcile.Head{Commit: "c1"}))
	want := reconcile.Head{Commit: "c2", Tree: "t2", Clusters: 7, At: noon()}
	check(t, s.SaveHead(ctx, want))
	home := drivers.Place{AuthURL: "https://a/v3", Region: "r", ProjectID: "p1"}
	away := drivers.Place{AuthURL: "https://a/v3", Region: "r", ProjectID: "p2"}
	check(t, s.SavePlace(ctx, "lab", drivers.Place{AuthURL: "http://old/v3", Region: "r", ProjectID: "p1"}))
	check(t, s.SavePlace(ctx, "lab", home)) // Keystone has a new name
	for _, p := range []drivers.Place{away, {AuthURL: home.AuthURL, Region: "r2", ProjectID: home.ProjectID}} {
		if err := s.SavePlace(ctx, "lab", p); !errors.Is(err, record.ErrMoved) {
			t.Errorf("%v: %v, want ErrMoved", p, err)
		}
	}

	s = reopen(t, s, dir)
	head, err := s.Head(ctx)
	check(t, err)
	equal(t, want, head)
	places, err := s.Places(ctx)
	check(t, err)
	equal(t, map[schema.CloudName]drivers.Place{"lab": home}, places)
}

func TestRunsAreBoundedAndNewestFirst(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	s := open(t, dir)
	for i := range 1003 {
		check(t, s.SaveRun(ctx, reconcile.Run{ID: fmt.Sprint(i), StartedAt: noon().Add(time.Duration(i) * time.Second)}))
	}
	last := reconcile.Run{ID: "1002", Commit: "c", StartedAt: noon().Add(1002 * time.Second), EndedAt: noon().Add(time.Hour), Summary: []byte(`{"a":1}`), Err: "why"}
	check(t, s.SaveRun(ctx, last))
	s = reopen(t, s, dir)
	runs, err := s.Runs(ctx, 2000)
	check(t, err)
	equal(t, 1000, len(runs))
	equal(t, last, runs[0])
	equal(t, "3", runs[999].ID)
	runs, err = s.Runs(ctx, 1)
	check(t, err)
	equal(t, []reconcile.Run{last}, runs)
}

func TestRecordsAndFirings(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	s := open(t, dir)
	check(t, s.SaveRecords(ctx, map[schema.Key][]byte{prod(): []byte(`1`), test(): []byte(`2`)}))
	check(t, s.SaveRecords(ctx, map[schema.Key][]byte{prod(): []byte(`3`)}))
	check(t, s.Fired(ctx, "lab/prod gpu", noon()))
	check(t, s.Fired(ctx, "lab/prod gpu", noon().Add(time.Minute)))
	s = reopen(t, s, dir)
	records, err := s.Records(ctx)
	check(t, err)
	equal(t, map[schema.Key][]byte{prod(): []byte(`3`), test(): []byte(`2`)}, records)
	firings, err := s.Firings(ctx)
	check(t, err)
	equal(t, map[string]time.Time{"lab/prod gpu": noon().Add(time.Minute)}, firings)
	check(t, s.Fired(ctx, "kept", noon()))
	check(t, s.Unschedule(ctx, []string{"lab/prod gpu", "never seen"}))
	firings, err = s.Firings(ctx)
	check(t, err)
	equal(t, map[string]time.Time{"kept": noon()}, firings)
	check(t, s.SaveRecords(ctx, map[schema.Key][]byte{prod(): nil}))
	records, err = s.Records(ctx)
	check(t, err)
	equal(t, map[schema.Key][]byte{test(): []byte(`2`)}, records)
}

// What was done for a cluster is there to be told, newest first, until it is too
// old: who began it, how it ended and with which requests. Begun again it has not
// ended yet.
func TestStepsOfACluster(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	s := open(t, dir)
	create, resize, other := intent("a"), intent("b"), intent("c")
	create.Run, create.Commit = "r1", "c1"
	resize.Op, resize.At, resize.Run, resize.Commit = diff.Resize, noon().Add(time.Minute), "r2", "c2"
	other.Key = test()
	for _, i := range []reconcile.Intent{create, resize, other} {
		check(t, s.Begin(ctx, i))
	}
	accepted := reconcile.Ending{Outcome: reconcile.Accepted, Requests: []string{"key-manager req-1", "orchestration req-2"}, At: noon().Add(time.Second)}
	refused := reconcile.Ending{Outcome: "rejected", Reason: strings.Repeat("x", 1999) + "é and more", Requests: []string{"orchestration req-3"}, At: noon().Add(time.Hour)}
	check(t, s.Finish(ctx, "a", accepted))
	check(t, s.Finish(ctx, "b", refused))
	s = reopen(t, s, dir)
	have, err := s.Steps(ctx, prod(), 10)
	check(t, err)
	refused.Reason = strings.Repeat("x", 1999)
	equal(t, []reconcile.Step{{Intent: resize, Ended: refused}, {Intent: create, Ended: accepted}}, have)
	have, err = s.Steps(ctx, prod(), 1)
	check(t, err)
	equal(t, 1, len(have))
	again := resize
	again.Run, again.At = "r3", noon().Add(2*time.Hour)
	check(t, s.Begin(ctx, again))
	have, err = s.Steps(ctx, prod(), 1)
	check(t, err)
	equal(t, []reconcile.Step{{Intent: again}}, have)
}

func TestManyGoroutines(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), open(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 8 {
		cloud := schema.CloudName(fmt.Sprint("cloud", i%4))
		wg.Go(func() {
			for j := range 10 {
				op := fmt.Sprint(i, "-", j)
				err := errors.Join(
					s.Begin(ctx, intent(op)),
					s.SaveObserved(ctx, cloud, fleet(cloud, 3, j)),
					s.SaveRun(ctx, reconcile.Run{ID: op}),
					s.Finish(ctx, op, reconcile.Ending{Outcome: "accepted", At: noon()}),
				)
				if n := len(s.Recall(cloud)); err != nil || n != 3 {
					t.Errorf("%v, %d remembered", err, n)
				}
			}
		})
	}
	wg.Wait()
	runs, err := s.Runs(ctx, 100)
	check(t, err)
	equal(t, 80, len(runs))
}

func TestCancelledContextWritesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Begin(ctx, intent("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("have %v, want context.Canceled", err)
	}
	have, err := s.OpenIntents(t.Context())
	check(t, err)
	equal(t, 0, len(have))
}
