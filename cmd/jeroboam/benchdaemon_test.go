package main_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the daemon may cost.
const (
	warmTick = 200 * time.Millisecond // CPU of a look at as many as 10,000 clusters
	idleSize = 40                     // MiB resident with 500 clusters
)

// BenchmarkDaemon is the program as it is shipped, keeping a fleet that is as it
// should be. A tick is what jeroboam sync asks for: a look at the branch, at every
// cloud anew, a plan and a record of it. Idle is what is resident a while after the
// last of them, with the tick of each minute going on.
func BenchmarkDaemon(b *testing.B) {
	binary := build(b)
	for _, f := range []fleet{{clouds: 1, clusters: 500}, {clouds: 1, clusters: 10_000}} {
		b.Run(fmt.Sprintf("%dx%d", f.clouds, f.clusters), func(b *testing.B) {
			f.requests = 15
			w := f.start(b, binary)
			w.make(b)
			d := w.daemon(b)
			for range 3 {
				d.sync(b, f.size())
			}
			before, begin, n := d.cpu(b), time.Now(), 0
			for ; n < 10 || b.Loop(); n++ {
				d.sync(b, f.size())
			}
			cpu, wall := (d.cpu(b)-before)/time.Duration(n), time.Since(begin)/time.Duration(n)
			peak := d.memory(b, "VmHWM")
			d.waitIdle(b)
			idle := d.memory(b, "VmRSS")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(cpu.Seconds(), "tick-cpu-s")
			b.ReportMetric(idle, "idle-MiB")
			b.Logf("| daemon, on sim | %d clusters | tick %.3f s CPU, %.2f s wall | idle %.1f MiB, of which %.1f MiB are the program's own pages; peak %.1f MiB | %d ticks by jeroboam sync; %v latency; %d cores, %s |",
				f.size(), cpu.Seconds(), wall.Seconds(), idle, d.memory(b, "RssFile"), peak, n, latency, runtime.NumCPU(), runtime.Version())
			if cpu > warmTick {
				b.Errorf("a tick takes %s CPU, want at most %s", cpu, warmTick)
			}
			if f.size() <= 500 && idle > idleSize {
				b.Errorf("%.1f MiB are resident while it is idle, want at most %d", idle, idleSize)
			}
		})
	}
}

// keeping is a daemon that runs.
type keeping struct {
	*exec.Cmd
	w *world
}

func (w *world) daemon(b *testing.B) keeping {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), w.binary, "run", "--state-dir", w.state, "--listen", address)
	cmd.Dir = w.repo
	cmd.Env = append(os.Environ(), "OS_CLIENT_CONFIG_FILE="+w.config, "XDG_RUNTIME_DIR="+filepath.Dir(w.state))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	d := keeping{cmd, w}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	for {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil && resp.StatusCode == http.StatusOK {
			return d
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sync makes a tick, which must find every cluster in sync.
func (d keeping) sync(b *testing.B, clusters int) {
	b.Helper()
	_, out := d.w.run(b, "sync", "--state-dir", d.w.state)
	if want := fmt.Sprintf(": %d in sync\n", clusters); !strings.HasSuffix(string(out), want) {
		b.Fatalf("a tick says %q, want %q", out, want)
	}
}

// waitIdle waits until what is resident no longer becomes less: the runtime gives
// back memory a little at a time. At most three minutes.
func (d keeping) waitIdle(b *testing.B) {
	b.Helper()
	least := d.memory(b, "VmRSS")
	for quiet, waited := 0, 0; quiet < 4 && waited < 18; waited++ {
		time.Sleep(10 * time.Second)
		now := d.memory(b, "VmRSS")
		if quiet++; now < least-0.5 {
			least, quiet = now, 0
		}
	}
}

// memory is a line of the process's status, in MiB.
func (d keeping) memory(b *testing.B, what string) float64 {
	b.Helper()
	for line := range strings.Lines(d.proc(b, "status")) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == what+":" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatalf("no %s", what)
	return 0
}

// cpu is what the daemon and the programs that it started have used, in steps of
// 10 ms.
func (d keeping) cpu(b *testing.B) time.Duration {
	b.Helper()
	text := d.proc(b, "stat")
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+2:])
	var ticks int
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime (proc(5))
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func (d keeping) proc(b *testing.B, file string) string {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.Process.Pid, file))
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}
