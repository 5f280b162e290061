package heat_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
)

// How long a boot takes here, and how much of Magnum's time we may take.
const (
	bootTime = 5 * time.Second
	maxRatio = 0.7
	maxRuns  = 4 // as long as a ratio is over it
)

// TestSpeed times Magnum and us making the same clusters of the same lab, one
// after the other, taking turns so that other load on the machine is shared. Both
// wait for boots of five seconds, which one player plays. The table has the
// medians; a ratio over maxRatio fails. While there is one, all runs again, up to
// maxRuns: on a machine that others use too, runs differ by a third.
func TestSpeed(t *testing.T) {
	newLab(t) // there is one
	table, slow, left := "", []string(nil), []string(nil)
	t.Cleanup(func() { // at the very end, where it is read
		t.Log(table)
		for _, s := range slow {
			t.Errorf("%s, over %.1f", s, maxRatio)
		}
		if len(left) > 0 {
			t.Errorf("we left:\n%s", strings.Join(left, "\n"))
		}
	})
	mark := newMark()
	us, them := newTenant(t, mark+"j"), newTenant(t, mark+"m")
	playBootsOf(t, mark)
	sides := map[string]side{"Jeroboam": &ours{driver: us.driver(), owner: us.name, cloud: us.own}, "Magnum": &magnum{cloud: them.own}}
	marks := map[string]string{"Jeroboam": us.mark, "Magnum": them.mark}
	order := []string{"Magnum", "Jeroboam"}
	times := &timing{began: machine(t)}
	for run := 0; run < runs(t) || run < maxRuns && len(slow) > 0; run++ {
		for _, chapter := range []func(context.Context, side, string) ([]measured, error){small, whole33} {
			for _, name := range order {
				got, err := chapter(t.Context(), sides[name], fmt.Sprintf("%s-%d", marks[name], run))
				for _, m := range got {
					t.Logf("run %d, %s: %s in %.1f s", run+1, name, m.what, m.took.Seconds())
					times.add(name, m)
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		slices.Reverse(order)
		table, slow = times.table()
	}
	table = fmt.Sprintf("%s\n%safterwards: %s", times.began, table, machine(t))
	left = us.left()
	if left := them.left(); len(left) > 0 {
		t.Logf("Magnum left:\n%s", strings.Join(left, "\n"))
	}
}

// TestLongTen makes ten clusters at once.
func TestLongTen(t *testing.T) {
	newLab(t) // there is one
	mark := playBoots(t)
	n := newTenant(t, mark)
	d := n.driver()
	var want []*schema.Cluster
	for i := range 10 {
		want = append(want, shape{masters: 1, workers: 1}.declared(fmt.Sprintf("%s-%d", mark, i)))
	}
	t.Log(machine(t))
	stopwatch(t, "create ten clusters of 1+1", func() error { return reach(t.Context(), d, want...) })
	stopwatch(t, "delete ten clusters of 1+1", func() error { return removeAll(t.Context(), d) })
	n.nothingLeft()
}

// TestLongFifty gives the figures of a cluster of fifty nodes.
func TestLongFifty(t *testing.T) {
	newLab(t) // there is one
	name := playBoots(t)
	n := newTenant(t, name)
	o := &ours{driver: n.driver(), owner: n.name, cloud: n.own}
	t.Log(machine(t))
	stopwatch(t, "create 3+47", func() error {
		_, err := o.create(t.Context(), name, shape{masters: 3, workers: 47, whole: true})
		return err
	})
	stopwatch(t, "resize 3+47 to 3+48", func() error { _, err := o.resize(t.Context(), 48); return err })
	stopwatch(t, "delete 3+48", func() error { _, err := o.remove(t.Context()); return err })
	n.nothingLeft()
}

func stopwatch(t *testing.T, what string, do func() error) {
	t.Helper()
	began := time.Now()
	if err := do(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Logf("%6.1f s  %s", time.Since(began).Seconds(), what)
}

// runs is how often everything is timed: JEROBOAM_SPEED_RUNS, or three times.
func runs(t *testing.T) int {
	t.Helper()
	text := os.Getenv("JEROBOAM_SPEED_RUNS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("JEROBOAM_SPEED_RUNS is %q, want a number from 1", text)
	}
	return n
}

// measured is what was timed, in words, and whether it has a target.
type measured struct {
	what   string
	target bool
	took   time.Duration
}

// small is one master and two workers, made and deleted.
func small(ctx context.Context, s side, name string) (all []measured, err error) {
	took, err := s.create(ctx, name+"s", shape{masters: 1, workers: 2})
	if err != nil {
		return all, err
	}
	all = append(all, measured{"create 1+2", true, took})
	took, err = s.remove(ctx)
	return append(all, measured{"delete 1+2", true, took}), err
}

// whole33 is three masters and three workers with all that they can have.
func whole33(ctx context.Context, s side, name string) (all []measured, err error) {
	for _, step := range []struct {
		what   string
		target bool
		do     func() (time.Duration, error)
	}{
		{"create 3+3, load balancer, volumes", true, func() (time.Duration, error) {
			return s.create(ctx, name+"w", shape{masters: 3, workers: 3, whole: true})
		}},
		{"resize 3+3 to 3+2", false, func() (time.Duration, error) { return s.resize(ctx, 2) }},
		{"resize 3+2 to 3+3", true, func() (time.Duration, error) { return s.resize(ctx, 3) }},
		{"delete 3+3, load balancer, volumes", true, func() (time.Duration, error) { return s.remove(ctx) }},
	} {
		took, err := step.do()
		if err != nil {
			return all, fmt.Errorf("%s: %w", step.what, err)
		}
		all = append(all, measured{step.what, step.target, took})
	}
	return all, nil
}

// timing collects laps by what was done, in the order of the first run.
type timing struct {
	began string
	rows  []*timed
}

type timed struct {
	what     string
	target   bool
	us, them []time.Duration
}

func (x *timing) add(side string, m measured) {
	i := slices.IndexFunc(x.rows, func(r *timed) bool { return r.what == m.what })
	if i < 0 {
		i = len(x.rows)
		x.rows = append(x.rows, &timed{what: m.what, target: m.target})
	}
	if side == "Magnum" {
		x.rows[i].them = append(x.rows[i].them, m.took)
	} else {
		x.rows[i].us = append(x.rows[i].us, m.took)
	}
}

// table has the medians in seconds. slow are the rows over the target.
func (x *timing) table() (text string, slow []string) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "median of %d, seconds\tJeroboam\tMagnum\tratio\tat most\t\n", len(x.rows[0].us))
	for _, r := range x.rows {
		us, them := median(r.us), median(r.them)
		target := "-"
		if r.target {
			target = fmt.Sprintf("%.1f", maxRatio)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t%s\t\n", r.what, us, them, us/them, target)
		if r.target && us/them > maxRatio {
			slow = append(slow, fmt.Sprintf("%s takes %.2f of Magnum's time", r.what, us/them))
		}
	}
	_ = w.Flush() // to memory
	return b.String(), slow
}

// A row that is too slow is told, unless it has no target.
func TestTableOfTimes(t *testing.T) {
	t.Parallel()
	var x timing
	for _, took := range []time.Duration{9, 2, 8} {
		for what, target := range map[string]bool{"create": true, "shrink": false} {
			x.add("Jeroboam", measured{what, target, took * time.Second})
			x.add("Magnum", measured{what, target, took * 5 * time.Second / 4})
		}
	}
	slices.SortFunc(x.rows, func(a, b *timed) int { return strings.Compare(a.what, b.what) })
	table, slow := x.table()
	want := `
  median of 3, seconds  Jeroboam  Magnum  ratio  at most
                create       8.0    10.0   0.80      0.7
                shrink       8.0    10.0   0.80        -
`
	if table != want[1:] {
		t.Errorf("have\n%swant%s", table, want)
	}
	if d := cmp.Diff([]string{"create takes 0.80 of Magnum's time"}, slow); d != "" {
		t.Error(d)
	}
}

// median in seconds; of an even number the mean of the middle two.
func median(times []time.Duration) float64 {
	all := slices.Sorted(slices.Values(times))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]).Seconds() / 2
}

// newMark is how the names of a test's clusters begin. The lab's own player
// leaves names with boot-never alone.
func newMark() string { return "boot-never-" + strings.ToLower(rand.Text()[:4]) }

// playBoots plays the boots of clusters whose names begin with the mark.
func playBoots(t *testing.T) (mark string) {
	t.Helper()
	mark = newMark()
	playBootsOf(t, mark)
	return mark
}

// playBootsOf plays them until the test ends.
func playBootsOf(t *testing.T, mark string) {
	t.Helper()
	player, err := filepath.Abs("../../deploy/lab/boot-sim")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), player, "--loop", "1", "--delay", fmt.Sprint(bootTime.Seconds()), "--name", "^"+mark, "--state", filepath.Join(t.TempDir(), "boots.json"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's context is over, which ends the player
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the boots, at the end:\n%s", said.Bytes()[max(0, said.Len()-3000):])
		}
	})
}

// machine says what it runs on, and how busy that is.
func machine(t *testing.T) string {
	t.Helper()
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, model, _ := strings.Cut(read("/proc/cpuinfo"), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	versions, err := exec.CommandContext(t.Context(), "dpkg-query", "-W", "-f", "${source:Package} ${source:Upstream-Version}, ", "python3-heat", "python3-magnum").Output()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d CPUs %s, %sboots of %s, load %s", runtime.NumCPU(), model, versions, bootTime, strings.Join(strings.Fields(read("/proc/loadavg"))[:3], " "))
}
