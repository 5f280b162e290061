package diff_test

import (
	"fmt"
	"maps"
	"syscall"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// BenchmarkCompute plans a fleet of 10,000 clusters with 100 templates and
// eight nodes each, all in sync: what an idle run costs beside reading. The
// templates differ in one field each time, and neighbours have different ones.
func BenchmarkCompute(b *testing.B) {
	for _, differ := range []struct {
		in string
		by func(s *schema.Spec, template int)
	}{
		{"label", func(s *schema.Spec, template int) { s.Labels["kube_tag"] = fmt.Sprintf("v1.33.%d", template) }},
		{"volume", func(s *schema.Spec, template int) {
			for i := range s.Groups {
				s.Groups[i].DockerVolumeSize = 10 + template
			}
		}},
	} {
		b.Run(differ.in, func(b *testing.B) { compute(b, differ.by) })
	}
}

func compute(b *testing.B, differ func(s *schema.Spec, template int)) {
	b.Helper()
	want := &schema.Fleet{}
	for i := range 10_000 {
		c := &schema.Cluster{Key: schema.Key{Cloud: schema.CloudName(fmt.Sprintf("cloud-%d", i%10)), Name: schema.ClusterName(fmt.Sprintf("cluster-%05d", i))}}
		c.Spec, c.Policy.MaxBatchSize = plain(), 1
		c.Spec.Labels = map[string]string{
			"kube_tag": "v1.33.1", "monitoring_enabled": "true", "auto_healing_enabled": "true",
			"container_runtime": "containerd", "containerd_version": "2.0.1", "cgroup_driver": "systemd",
		}
		c.Spec.DNSNameservers = []string{"8.8.8.8", "9.9.9.9"}
		c.Spec.Groups[0].NodeCount, c.Spec.Groups[1].NodeCount = 3, 5
		differ(&c.Spec, i%100)
		want.Clusters = append(want.Clusters, c)
	}
	have := diff.FromFleet(want)
	for i := range have.Clusters {
		// What is observed comes from elsewhere: nothing is shared with want.
		s := *have.Clusters[i].Spec
		s.Labels = maps.Clone(s.Labels)
		s.Groups = append([]schema.Group(nil), s.Groups...)
		have.Clusters[i].Spec = &s
	}
	b.ReportAllocs()
	begin := cpu()
	for b.Loop() {
		if plan := diff.Compute(want, have, diff.Policy{}); plan.InSync != len(want.Clusters) {
			b.Fatalf("%d in sync, %d steps", plan.InSync, len(plan.Steps))
		}
	}
	b.ReportMetric((cpu()-begin).Seconds()*1000/float64(b.N), "cpu-ms/op")
}

// cpu is what the process has used so far; the wall clock would also count who
// else is on the machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
