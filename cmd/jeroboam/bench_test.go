package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers/sim"
)

const (
	latency   = 5 * time.Millisecond
	templates = 100
	runs      = 5 // at least; medians are told
)

// BenchmarkPlanWithoutChange is what people wait for most often: `jeroboam
// plan` of a fleet that is as it should be, in a process that knows nothing but
// what earlier ones left in the local store. The program is built as it is
// shipped and measured from outside; the clouds are simulated. A plan that finds anything to do, or asks more than it may, measures something
// else and fails.
//
// The clouds are in a process of their own, which is this one once more: a
// child's peak memory begins with that of its parent. To make the fleets takes
// minutes, above all the syncs of the store: a TMPDIR in memory helps.
func BenchmarkPlanWithoutChange(b *testing.B) {
	if n := os.Getenv(cloudsEnv); n != "" {
		serveClouds(b, n)
		return
	}
	binary := build(b)
	for _, f := range []fleet{
		{clouds: 1, clusters: 1000, requests: 6},
		{clouds: 1, clusters: 10_000, requests: 15},
		{clouds: 100, clusters: 100, requests: 300},
	} {
		b.Run(fmt.Sprintf("%dx%d", f.clouds, f.clusters), func(b *testing.B) {
			w := f.start(b, binary)
			w.make(b)
			var all []sample
			for b.Loop() {
				all = append(all, w.plan(b))
			}
			for len(all) < runs {
				all = append(all, w.plan(b))
			}
			tell(b, f, all)
		})
	}
}

// BenchmarkValidate checks 10,000 Kubernetes clusters of 25 lines, a file each,
// with the program as it is shipped, in a new process. Validation must find all
// of them and no warning.
func BenchmarkValidate(b *testing.B) {
	const clusters = 10_000
	binary, dir := build(b), b.TempDir()
	writeKubernetes(b, dir, clusters)
	var all []sample
	for len(all) < runs || b.Loop() {
		s, out := run(b, dir, nil, binary, "validate")
		if want := fmt.Sprintf("Valid: %d clusters, %d templates\n", clusters, templates); string(out) != want {
			b.Fatalf("got %.2000s, want %s", out, want)
		}
		all = append(all, s)
	}
	cpu, wall, peak := medians(b, all)
	b.Logf("| validate | %d documents of 25 lines | %.2f s CPU | %.2f s wall | %.0f MiB peak | cold process; medians of %d; %d cores, %s |",
		clusters, cpu, wall, peak, len(all), runtime.NumCPU(), runtime.Version())
}

// fleet is what is measured: how many clouds with how many clusters each, and
// how many requests a plan of it may send.
type fleet struct{ clouds, clusters, requests int }

func (f fleet) size() int { return f.clouds * f.clusters }

// sample is one run of the program, with all that it started.
type sample struct {
	cpu, wall time.Duration
	peak      int64 // bytes
	requests  int
}

// medians reports the medians of CPU and wall time, in seconds, and of the peak,
// in MiB.
func medians(b *testing.B, all []sample) (cpu, wall, peak float64) {
	b.Helper()
	cpu = median(all, func(s sample) float64 { return s.cpu.Seconds() })
	wall = median(all, func(s sample) float64 { return s.wall.Seconds() })
	peak = median(all, func(s sample) float64 { return float64(s.peak) / (1 << 20) })
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(cpu, "cpu-s")
	b.ReportMetric(wall, "wall-s")
	b.ReportMetric(peak, "peak-MiB")
	return cpu, wall, peak
}

func median(all []sample, of func(sample) float64) float64 {
	var values []float64
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// tell reports the medians of plans.
func tell(b *testing.B, f fleet, all []sample) {
	b.Helper()
	cpu, wall, peak := medians(b, all)
	requests := median(all, func(s sample) float64 { return float64(s.requests) })
	b.ReportMetric(requests, "requests")
	b.Logf("| plan without change, on sim | %d x %d clusters | %.0f requests | %.2f s CPU | %.2f s wall | %.0f MiB peak | "+
		"cold process, full store, fleet from Git; %v latency; medians of %d; %d cores, %s |",
		f.clouds, f.clusters, requests, cpu, wall, peak, latency, len(all), runtime.NumCPU(), runtime.Version())
}

// build makes the program as `make build` does.
func build(b *testing.B) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "jeroboam")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// world is a fleet in a repository, its clouds, and the local store.
type world struct {
	fleet
	binary string
	repo   string
	state  string
	urls   []string // of the clouds
	config string   // clouds.yaml
}

func (f fleet) start(b *testing.B, binary string) *world {
	b.Helper()
	dir := b.TempDir()
	w := &world{
		fleet: f, binary: binary, repo: filepath.Join(dir, "fleet"), state: filepath.Join(dir, "state"),
		urls: startClouds(b, f.clouds), config: filepath.Join(dir, "clouds.yaml"),
	}
	var clouds strings.Builder
	clouds.WriteString("clouds:\n")
	for i, url := range w.urls {
		fmt.Fprintf(&clouds, "  cloud-%d: {region_name: RegionOne, auth: {auth_url: %q, username: demo, password: sim, "+
			"project_name: demo, user_domain_name: Default, project_domain_name: Default}}\n", i, url+"/identity/v3")
	}
	write(b, w.config, clouds.String())
	f.write(b, w.repo)
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"add", "-A"},
		{"-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "the fleet"},
		{"repack", "-adq"}, // as on a server, which reads no file for each object
	} {
		cmd := exec.CommandContext(b.Context(), "git", args...)
		cmd.Dir = w.repo
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return w
}

// cloudsEnv makes this program the clouds: its value says how many.
const cloudsEnv = "JEROBOAM_BENCH_CLOUDS"

// startClouds starts a process with n clouds and gives their URLs. It ends when
// its standard input does.
func startClouds(b *testing.B, n int) []string {
	b.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkPlanWithoutChange$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", cloudsEnv, n))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{in}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	_ = in.Close()
	var urls []string
	if err := json.NewDecoder(out).Decode(&urls); err != nil || len(urls) != n {
		b.Fatalf("%d clouds of %d: %v", len(urls), n, err)
	}
	return urls
}

// serveClouds is the other side of startClouds.
func serveClouds(b *testing.B, count string) {
	n, err := strconv.Atoi(count)
	if err != nil {
		b.Fatal(err)
	}
	urls := make([]string, n)
	for i := range urls {
		server := httptest.NewServer(seeding{sim.New(sim.Options{Latency: latency})})
		defer server.Close()
		urls[i] = server.URL
	}
	told := os.NewFile(3, "urls")
	if err := json.NewEncoder(told).Encode(urls); err != nil {
		b.Fatal(err)
	}
	_ = told.Close()
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		b.Error(err)
	}
	os.Exit(0) // without the framework's wish for another iteration
}

// seeding is a cloud that has every new stack at once, instead of making its
// thousands of resources one after the other. The stack is what the driver sent.
type seeding struct{ *sim.Cloud }

func (s seeding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/stacks") {
		s.Cloud.ServeHTTP(w, r)
		return
	}
	var body struct {
		Name       string            `json:"stack_name"`
		Template   map[string]any    `json:"template"`
		Files      map[string]string `json:"files"`
		Parameters map[string]any    `json:"parameters"`
		Tags       string            `json:"tags"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := s.SeedStack("demo", body.Name, strings.Split(body.Tags, ","), body.Parameters, body.Template, body.Files)
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"stack": {"id": %q, "links": []}}`, id)
}

// asked counts the requests since the last call.
func (w *world) asked(b *testing.B) int {
	b.Helper()
	n := 0
	for _, url := range w.urls {
		var log sim.Log
		call(b, http.MethodGet, url+"/sim/requests", &log)
		call(b, http.MethodPost, url+"/sim/requests/reset", nil)
		n += len(log.Requests)
	}
	return n
}

func call(b *testing.B, method, url string, out any) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), method, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if out != nil {
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			b.Fatal(err)
		}
	}
}

// write puts the fleet into a folder: a file of about twenty lines for each
// cluster, and the templates.
func (f fleet) write(b *testing.B, dir string) {
	b.Helper()
	for i := range templates {
		write(b, filepath.Join(dir, "templates", fmt.Sprintf("docker-%03d.yaml", i)), fmt.Sprintf(`apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata:
  name: docker-%03d
spec:
  coe: docker
  image: ubuntu-latest
  keypair: testkey
  externalNetwork: public
  dnsNameservers: [8.8.8.8]
  flavor: m1.small
  dockerVolumeSize: %d
  floatingIPEnabled: true
`, i, 10+i))
	}
	for i := range f.size() {
		write(b, filepath.Join(dir, "clusters", fmt.Sprintf("%03d/c%05d.yaml", i/100, i)), fmt.Sprintf(`# owned by team %d
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata:
  name: cluster-%05d
  labels:
    team: team-%d
  annotations:
    contact: team-%d@example.org
spec:
  cloud: cloud-%d
  template: docker-%03d
  nodeCount: %d
  createTimeout: 90
  maxBatchSize: 2
  deletionProtection: true
  nodeGroups:
  - name: large
    nodeCount: 1
    minNodeCount: 1
    maxNodeCount: 4
    flavor: m1.large
`, i%40, i, i%40, i%40, i%f.clouds, i%templates, 1+i%3))
	}
}

// writeKubernetes puts a fleet of Kubernetes clusters into a folder: a file of 25
// lines for each, and the templates.
func writeKubernetes(b *testing.B, dir string, clusters int) {
	b.Helper()
	for i := range templates {
		write(b, filepath.Join(dir, "templates", fmt.Sprintf("k8s-%03d.yaml", i)), fmt.Sprintf(`apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: k8s-%03d}
spec:
  coe: kubernetes
  image: fedora-coreos-latest
  keypair: testkey
  externalNetwork: public
  networkDriver: calico
  volumeDriver: cinder
  dnsNameservers: [8.8.8.8]
  flavor: m1.small
  masterFlavor: m1.medium
  masterLBEnabled: true
  labels: {kube_tag: v1.33.1, auto_healing_enabled: true, calico_ipv4pool: 10.%d.0.0/16}
`, i, 101+i))
	}
	for i := range clusters {
		write(b, filepath.Join(dir, "clusters", fmt.Sprintf("%03d/c%05d.yaml", i/100, i)), fmt.Sprintf(`# owned by team %d
apiVersion: jeroboam.io/v1alpha1
kind: Cluster
metadata:
  name: cluster-%05d
  labels:
    team: team-%d
spec:
  cloud: cloud-%d
  template: k8s-%03d
  masterCount: 3
  nodeCount: %d
  labels:
    kube_tag: v1.33.4
    availability_zone: zone-%d
    etcd_volume_size: 10
  nodeGroups:
  - name: gpu
    nodeCount: 2
    maxNodeCount: 4
    flavor: g1.large
  maintenance:
    cron: "0 2 * * 6"
    duration: 4h
    timeZone: Europe/Berlin
`, i%40, i, i%40, i%20, i%templates, i%9, i%3))
	}
}

func write(b *testing.B, path, text string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// make lets the program make all clusters, and look at them once.
func (w *world) make(b *testing.B) {
	b.Helper()
	for range 2 {
		_, out := w.run(b, "apply", "-o", "json", "--state-dir", w.state)
		if len(out) == 0 {
			b.Fatal("apply printed nothing")
		}
	}
	w.plan(b) // the files of the store and of the program are in memory from here on
}

// plan measures one plan, which must find every cluster in sync.
func (w *world) plan(b *testing.B) sample {
	b.Helper()
	w.asked(b)
	s, out := w.run(b, "plan", "-o", "json", "--state-dir", w.state)
	s.requests = w.asked(b)
	var plan struct {
		Summary map[string]int
		Steps   []any
	}
	if err := json.Unmarshal(out, &plan); err != nil {
		b.Fatalf("plan is no JSON: %v", err)
	}
	switch {
	case plan.Summary["inSync"] != w.size(), len(plan.Steps) != 0:
		b.Fatalf("%d clusters in sync and %d steps, want %d and none: %.2000s", plan.Summary["inSync"], len(plan.Steps), w.size(), out)
	case s.requests > w.requests:
		b.Fatalf("%d requests for %d clusters of %d clouds, want at most %d", s.requests, w.size(), w.clouds, w.requests)
	}
	return s
}

// run runs the program in the fleet's repository.
func (w *world) run(b *testing.B, args ...string) (sample, []byte) {
	b.Helper()
	return run(b, w.repo, []string{"OS_CLIENT_CONFIG_FILE=" + w.config}, w.binary, args...)
}

// run runs the program in a folder.
func run(b *testing.B, dir string, env []string, binary string, args ...string) (sample, []byte) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		b.Fatalf("jeroboam %s: %v\n%.2000s\n%.2000s", args[0], err, stderr.Bytes(), stdout.Bytes())
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return sample{
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall: wall,
		peak: usage.Maxrss << 10, // Linux counts in KiB
	}, stdout.Bytes()
}
