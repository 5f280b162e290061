package gitrepo_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"jeroboam.io/jeroboam/reconcile/gitrepo"
)

// Benchmarks do not log, or they would measure that.
func quiet(b *testing.B, o gitrepo.Options) *gitrepo.Repo {
	b.Helper()
	r, err := gitrepo.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// A poll that finds nothing new: one listing, over each way to get there.
func BenchmarkPollUnchanged(b *testing.B) {
	o := newOrigin(b)
	o.commit("main", "", "many", fleetOf(10_000))
	file, public := newKeyFile(b, "")
	overSSH := serveSSH(b, o, public).options(b, file)
	s := serve(b, o)
	for name, options := range map[string]gitrepo.Options{"http": {URL: s.repoURL()}, "ssh": overSSH} {
		b.Run(name, func(b *testing.B) {
			options.Path = "fleet"
			r := quiet(b, options)
			applied := fetch(b, r, "").Commit
			s.seen()
			start := ourCPU(b)
			for b.Loop() {
				fetch(b, r, applied)
			}
			ms := reportCPU(b, start)
			requests, _ := s.seen()
			if want := strings.TrimSuffix(strings.Repeat("list upload-pack, ", b.N), ", "); name == "http" && requests != want {
				b.Fatalf("%d polls sent %.200s, want a listing each", b.N, requests)
			}
			b.Logf("| poll of an unchanged branch of 10,000 files | one ref listing over %s | %.2f ms CPU | our process, server's side of HTTP included; %d polls |", name, ms, b.N)
		})
	}
}

// The first fetch of a process, at depth 1, with every file read.
func BenchmarkClone10000(b *testing.B) {
	o := newOrigin(b)
	o.commit("main", "", "many", fleetOf(10_000))
	url := serve(b, o).repoURL()
	start := ourCPU(b)
	for b.Loop() {
		snap := fetch(b, quiet(b, gitrepo.Options{URL: url, Path: "fleet"}), "")
		for _, f := range snap.Files {
			if _, err := f.Read(); err != nil {
				b.Fatal(err)
			}
		}
	}
	reportCPU(b, start)
}

// One changed file of 10,000: what a commit costs a running process.
func BenchmarkUpdate1Of10000(b *testing.B) {
	o := newOrigin(b)
	o.commit("main", "", "many", fleetOf(10_000))
	r := quiet(b, gitrepo.Options{URL: serve(b, o).repoURL(), Path: "fleet", RecloneAfter: 1 << 30})
	applied := fetch(b, r, "").Commit
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		o.commit("main", "main", "next", files{"fleet/00/c0000.yaml": fmt.Sprint(i)})
		b.StartTimer()
		applied = fetch(b, r, applied).Commit
	}
}

// Five hundred changed clusters, kept on disk and pushed as one commit.
func BenchmarkOutbox500Of10000(b *testing.B) {
	_, s := withBoard(b)
	box := openOutbox(b, b.TempDir(), quiet(b, gitrepo.Options{URL: s.repoURL(), StatusBranch: statusBranch}))
	var w ours
	keep(b, box, w.commit(tenThousand(0, 10_000)))
	flush(b, box)
	start := ourCPU(b)
	for generation := 1; b.Loop(); generation++ {
		keep(b, box, w.commit(tenThousand(generation, 500)))
		flush(b, box)
	}
	reportCPU(b, start)
}

// ourCPU is the time that this process was computing, the server's side of HTTP
// included and Git left out: on a busy machine nothing else can be compared.
func ourCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B, since time.Duration) (ms float64) {
	b.Helper()
	ms = float64((ourCPU(b) - since).Microseconds()) / 1000 / float64(b.N)
	b.ReportMetric(ms, "cpu-ms-ours/op")
	return ms
}

func fleetOf(n int) files {
	many := files{}
	for i := range n {
		many[fmt.Sprintf("fleet/%02d/c%04d.yaml", i%50, i)] = fmt.Sprintf("kind: Cluster\nmetadata: {name: c%04d}\nspec: {nodeCount: %d}\n", i, i%9)
	}
	return many
}
