package record_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// fleet makes n observed clusters of five nodes whose values depend on variant;
// 50 clusters share a spec.
func fleet(cloud schema.CloudName, n, variant int) []diff.Observed {
	have := make([]diff.Observed, n)
	for i := range have {
		o := diff.Observed{
			Key: schema.Key{Cloud: cloud, Name: schema.ClusterName(fmt.Sprintf("cluster-%05d", i))},
			ID:  fmt.Sprintf("7f1c2c0e-5d0b-4f0e-9a53-%012d", i), Version: fmt.Sprintf("2026-03-01T12:00:00Z/%d", variant),
			Owner: diff.Ours, Status: diff.CreateComplete, Type: "k8s_fedora_coreos", TypeRevision: 3, Protected: true,
			APIAddress: "https://203.0.113.7:6443", CreatedAt: "2026-03-01T12:00:00Z", UpdatedAt: "2026-03-01T12:10:00Z",
			Spec: spec(i / 50),
		}
		for j := range 5 {
			o.Nodes = append(o.Nodes, diff.Node{
				Name: fmt.Sprintf("cluster-%05d-1a2b3c4d-default-worker-%d", i, j), Group: schema.DefaultWorker, Number: j,
				Revision: "0123456789abcdef", State: diff.NodeReady,
				Server: fmt.Sprintf("0c9d7a52-2f39-4f6a-8f0f-%012d", i*5+j), Address: "10.0.0.7",
			})
		}
		have[i] = o
	}
	return have
}

func spec(i int) *schema.Spec {
	return &schema.Spec{
		COE: "kubernetes", ServerType: "vm", Image: "fedora-coreos-latest", Keypair: "testkey", ExternalNetwork: "public",
		NetworkDriver: "calico", VolumeDriver: "cinder", DNSNameservers: []string{"8.8.8.8"}, MasterLBEnabled: true,
		Labels: map[string]string{"kube_tag": fmt.Sprintf("v1.33.%d", i), "auto_healing_enabled": "true", "boot_volume_size": "20"},
		Groups: []schema.Group{
			{Name: schema.DefaultMaster, Role: "master", NodeCount: 1, Flavor: "m1.medium"},
			{
				Name: schema.DefaultWorker, Role: "worker", NodeCount: 4, Flavor: "m1.small", NodeLabels: map[string]string{"a": "b"},
				Labels: map[string]string{}, NodeTaints: []schema.Taint{{Key: "k", Effect: "NoSchedule"}},
			},
		},
	}
}

func asMap(have []diff.Observed) map[string]diff.Observed {
	m := map[string]diff.Observed{}
	for _, o := range have {
		m[o.ID] = o
	}
	return m
}

func TestMemoryIsLossless(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	want := fleet("lab", 120, 0)
	want[1].Spec, want[1].Unknown, want[1].Nodes = nil, "the template is not ours", nil
	want[2].Drift = []diff.Drift{{Field: "tags", Detail: "are gone"}}
	want[3].Nodes[0].Number = -1
	want[4].Spec = spec(4)
	want[4].Spec.SecretLabels = map[string]schema.Secret{"b": {Digest: "d"}, "a": {Env: "E"}, "c": {File: "/f"}}
	want[4].Spec.Groups[0].SecretLabels = map[string]schema.Secret{}
	check(t, s.SaveObserved(t.Context(), "lab", want))
	check(t, s.SaveObserved(t.Context(), "other", fleet("other", 2, 0)))
	equal(t, asMap(want), s.Recall("lab"))

	s = reopen(t, s, dir)
	equal(t, asMap(want), s.Recall("lab"))
	equal(t, asMap(fleet("other", 2, 0)), s.Recall("other"))
	if m := s.Recall("lab"); m[want[50].ID].Spec != m[want[51].ID].Spec {
		t.Error("clusters that are alike do not share their spec")
	}
	equal(t, 0, len(s.Recall("never seen")))
}

func TestSaveWritesWhatDiffersOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	check(t, s.SaveObserved(t.Context(), "lab", fleet("lab", 100, 0)))
	before := rows(t, dir)
	check(t, s.SaveObserved(t.Context(), "lab", fleet("lab", 100, 0)))
	equal(t, before, rows(t, dir))

	next := fleet("lab", 100, 0)
	next[7].Status = diff.UpdateInProgress
	next[8].Spec = spec(99)
	check(t, s.SaveObserved(t.Context(), "lab", next[:99]))
	after := rows(t, dir)
	for _, i := range []int{7, 8} { // a replaced row has a new rowid
		if before[next[i].ID] == after[next[i].ID] {
			t.Errorf("%s was not written", next[i].Key)
		}
		delete(before, next[i].ID)
		delete(after, next[i].ID)
	}
	delete(before, next[99].ID)
	equal(t, before, after)
	s = reopen(t, s, dir)
	equal(t, asMap(next[:99]), s.Recall("lab"))
}

// rows gives the rowid of every remembered value by id.
func rows(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	ids := map[string]int64{}
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db"))
	check(t, err)
	defer func() { check(t, db.Close()) }()
	found, err := db.QueryContext(t.Context(), "SELECT id, rowid FROM observed")
	check(t, err)
	defer func() { check(t, found.Close()) }()
	for found.Next() {
		var id string
		var row int64
		check(t, found.Scan(&id, &row))
		ids[id] = row
	}
	check(t, found.Err())
	return ids
}

func TestUnusedSpecsGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	check(t, s.SaveObserved(t.Context(), "lab", fleet("lab", 500, 0)))
	check(t, s.SaveObserved(t.Context(), "lab", fleet("lab", 50, 0)))
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db"))
	check(t, err)
	defer func() { check(t, db.Close()) }()
	var n int
	check(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM spec").Scan(&n))
	equal(t, 1, n)
}

func TestFailedSaveLeavesMemory(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	want := fleet("lab", 3, 0)
	check(t, s.SaveObserved(t.Context(), "lab", want))
	twice := append(fleet("lab", 2, 1), fleet("lab", 1, 2)...)
	for name, bad := range map[string][]diff.Observed{
		"an id twice": twice, "another cloud's": fleet("other", 1, 0), "no id": {{Key: prod()}},
	} {
		if err := s.SaveObserved(t.Context(), "lab", bad); err == nil {
			t.Errorf("%s was saved", name)
		}
	}
	equal(t, asMap(want), s.Recall("lab"))
}

// A release with another Observed must not take an old value for a whole one,
// and must not forget that there was a cluster.
func TestMemoryOfAnotherReleaseIsKnownByIDOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	have := fleet("lab", 2, 0)
	check(t, s.SaveObserved(t.Context(), "lab", have))
	check(t, s.Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db"))
	check(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE layout SET digest = 'older'")
	check(t, err)
	check(t, db.Close())

	bare := map[string]diff.Observed{}
	for _, o := range have {
		bare[o.ID] = diff.Observed{Key: o.Key, ID: o.ID}
	}
	v, err := record.View(t.Context(), dir)
	check(t, err)
	equal(t, bare, v.Recall("lab"))
	check(t, v.Close())
	s = open(t, dir)
	equal(t, bare, s.Recall("lab"))
	check(t, s.SaveObserved(t.Context(), "lab", have))
	s = reopen(t, s, dir)
	equal(t, asMap(have), s.Recall("lab"))
}

func TestUnpackRefusesTornValues(t *testing.T) {
	t.Parallel()
	o := fleet("lab", 1, 0)[0]
	packed := record.Pack(o)
	var back diff.Observed
	check(t, record.Unpack(packed, &back))
	equal(t, o, back)
	for i := range packed {
		var torn diff.Observed
		if record.Unpack(packed[:i], &torn) == nil {
			t.Fatalf("%d of %d bytes passed", i, len(packed))
		}
	}
}

func TestUnpackRefusesLengthsBeyondTheValue(t *testing.T) {
	t.Parallel()
	var names []string
	for _, packed := range []string{"\x03\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		if record.Unpack(packed, &names) == nil {
			t.Errorf("%q passed", packed)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	o := fleet("lab", 1, 0)[0]
	f.Add(record.Pack(o))
	f.Fuzz(func(_ *testing.T, packed string) {
		var o diff.Observed
		_ = record.Unpack(packed, &o) // must end, and must not panic
	})
}

// What a start and a save of 10,000 clusters cost, in CPU time.
func BenchmarkMemory(b *testing.B) {
	const n = 10_000
	dir := b.TempDir()
	s := open(b, dir)
	have := fleet("lab", n, 0)
	check(b, s.SaveObserved(b.Context(), "lab", have))
	b.Run("load", func(b *testing.B) {
		cpu(b, func() {
			v, err := record.View(b.Context(), dir)
			check(b, err)
			check(b, v.Close())
		})
	})
	b.Run("save-unchanged-remembered", func(b *testing.B) {
		known := s.Recall("lab")
		again := fleet("lab", n, 0)
		for i := range again {
			again[i] = known[again[i].ID]
		}
		cpu(b, func() { check(b, s.SaveObserved(b.Context(), "lab", again)) })
	})
	b.Run("save-unchanged-read-anew", func(b *testing.B) {
		again := fleet("lab", n, 0)
		cpu(b, func() { check(b, s.SaveObserved(b.Context(), "lab", again)) })
	})
	b.Run("save-ten-changed", func(b *testing.B) {
		next, round := have, 0
		cpu(b, func() {
			round++
			for i := range 10 {
				next[i].Version = fmt.Sprint(round)
			}
			check(b, s.SaveObserved(b.Context(), "lab", next))
		})
	})
	b.Run("save-all-changed", func(b *testing.B) {
		round := 0
		cpu(b, func() {
			round++
			check(b, s.SaveObserved(b.Context(), "lab", fleet("lab", n, round)))
		})
	})
}

func BenchmarkBegin(b *testing.B) {
	s := open(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		check(b, s.Begin(b.Context(), intent(fmt.Sprint(i))))
	}
}

// cpu reports the processor time of do, of all threads.
func cpu(b *testing.B, do func()) {
	b.Helper()
	before := used(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((used(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
