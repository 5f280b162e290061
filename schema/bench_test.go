package schema_test

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"jeroboam.io/jeroboam/schema"
)

// clusters makes a fleet: one Cluster a file, of 25 lines each, and one
// template for every hundred of them.
func clusters(n int) []schema.File {
	file := func(path, text string) schema.File {
		return schema.File{Path: path, Hash: path, Read: func() ([]byte, error) { return []byte(text), nil }}
	}
	files := make([]schema.File, 0, n+n/100)
	for i := range max(1, n/100) {
		files = append(files, file(fmt.Sprintf("templates/t%03d.yaml", i), fmt.Sprintf(`apiVersion: jeroboam.io/v1alpha1
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
  labels: {kube_tag: v1.33.1, auto_healing_enabled: true}
`, i)))
	}
	for i := range n {
		files = append(files, file(fmt.Sprintf("clusters/%03d/c%05d.yaml", i/100, i), fmt.Sprintf(`# owned by team %d
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
`, i%40, i, i%40, i%20, i%max(1, n/100), i%9, i%3)))
	}
	return files
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// changed is the fleet with another text in one file of a hundred.
func changed(files []schema.File) []schema.File {
	other := slices.Clone(files)
	for i := 0; i < len(other); i += 100 {
		f := other[len(other)-1-i]
		other[len(other)-1-i] = schema.File{Path: f.Path, Hash: f.Hash + " changed", Read: func() ([]byte, error) {
			text, err := f.Read()
			return append(text, "# changed\n"...), err
		}}
	}
	return other
}

// BenchmarkLoad reads a fleet for the first time (cold), again unchanged (warm)
// and again with one file of a hundred changed, and shows CPU time and what the
// fleet and the loader keep.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		files := clusters(n)
		trees := [][]schema.File{files, changed(files)}
		load := func(b *testing.B, l *schema.Loader, files []schema.File) *schema.Fleet {
			fleet, err := l.Load(files)
			if err != nil || len(fleet.Clusters) != n {
				b.Fatalf("%d clusters, %v", len(fleet.Clusters), err)
			}
			return fleet
		}
		run := func(name string, fresh bool, trees ...[]schema.File) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				loader := schema.NewLoader()
				if !fresh {
					load(b, loader, files)
				}
				var fleet *schema.Fleet
				runtime.GC()
				before := heap()
				start := cpu()
				for i := 1; b.Loop(); i++ {
					if fresh {
						loader = schema.NewLoader()
					}
					fleet = load(b, loader, trees[i%len(trees)])
				}
				b.ReportMetric(float64(cpu()-start)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
				runtime.GC()
				b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-kept")
				runtime.KeepAlive(fleet)
				runtime.KeepAlive(loader)
			})
		}
		run("cold", true, files)
		run("warm", false, files)
		run("changed", false, trees...)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
