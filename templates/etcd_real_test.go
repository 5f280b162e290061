package templates_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEtcdReal lets the step etcd of three masters make a cluster of real
// members, each in a network namespace of its own, and then takes from them what
// a cloud takes: a machine, a machine with its volume, two at once. Whatever is
// written must stay.
//
// It needs root, and builds etcd once: make acceptance-etcd.
func TestEtcdReal(t *testing.T) {
	if os.Getenv("JEROBOAM_ETCD") == "" {
		t.Skip("JEROBOAM_ETCD is not set: the test needs root and builds etcd, see make acceptance-etcd")
	}
	c := newEtcdCluster(t)
	began := time.Now()
	stage := func(name string, does func()) {
		t.Helper()
		start := time.Now()
		does()
		if t.Failed() {
			t.FailNow() // what comes next builds on it
		}
		t.Logf("%s: %.1f s", name, time.Since(start).Seconds())
	}
	stage("three members form in parallel", c.form)
	for _, m := range c.members {
		stage(m.name+" is killed and comes back with its volume", func() { c.comesBack(m) })
	}
	for _, m := range c.members {
		stage(m.name+" loses its volume and is replaced", func() { c.isReplaced(m) })
	}
	stage("two lose their volumes, and nobody makes it worse", c.refuses)
	stage("one volume is found, and all come back", c.recovers)
	t.Logf("all: %.1f s, %d keys written and read", time.Since(began).Seconds(), len(c.written))
}

// etcdCluster is three masters, and what was written to their etcd.
type etcdCluster struct {
	*testing.T
	members []*etcdMember
	written map[string]string
}

// etcdMember is a master of which only the step etcd runs.
type etcdMember struct {
	*machine
	name, address, namespace string
}

func (c *etcdCluster) form() {
	c.Helper()
	for i, said := range c.boot(c.members...) {
		if said.err != nil || !strings.HasSuffix(strings.TrimSpace(said.decision()), ": new") {
			c.Errorf("%s: %v\n%s", c.members[i].name, said.err, said.text)
		}
	}
	if c.Failed() {
		return
	}
	if names := slices.Sorted(maps.Keys(c.ids())); !cmp.Equal(names, []string{"m0", "m1", "m2"}) {
		c.Errorf("the members are %v", names)
	}
	c.works()
}

// comesBack: the machine is another, the volume and the keys are what they were.
func (c *etcdCluster) comesBack(m *etcdMember) {
	c.Helper()
	before := c.ids()
	m.dies()
	c.write(c.others(m)[0], "while "+m.name+" is down")
	said := c.boot(m)[0]
	if said.err != nil || !strings.HasSuffix(said.decision(), ": start") {
		c.Errorf("%v\n%s", said.err, said.text)
		return
	}
	if d := cmp.Diff(before, c.ids()); d != "" {
		c.Errorf("members (-before +after):\n%s", d)
	}
	c.works()
}

// isReplaced: another member takes the place, the rest stay who they are.
func (c *etcdCluster) isReplaced(m *etcdMember) {
	c.Helper()
	before := c.ids()
	m.dies()
	m.losesVolume("gone for good")
	c.write(c.others(m)[0], "while "+m.name+" is lost")
	said := c.boot(m)[0]
	if said.err != nil || !strings.HasSuffix(said.decision(), ": replace") {
		c.Errorf("%v\n%s", said.err, said.text)
		return
	}
	c.replaced(before, m)
	c.works()
}

// refuses: with two of three volumes lost, one has all that there is. Neither
// the others nor its own restart may touch that, or begin anew.
func (c *etcdCluster) refuses() {
	c.Helper()
	last := c.members[2]
	for _, m := range c.members[:2] {
		m.dies()
		m.losesVolume("lost")
	}
	if out, err := last.ctl("put", "refused", "x"); err == nil {
		c.Errorf("it was written without a quorum: %s", out)
	}
	for i, said := range c.boot(c.members[:2]...) {
		m := c.members[i]
		if said.err == nil || !strings.HasSuffix(said.decision(), ": refuse") || !strings.Contains(said.text, "bring them back first") {
			c.Errorf("%s did not refuse: %v\n%s", m.name, said.err, said.text)
		}
		if m.mode("etc/systemd/system/etcd.service") != 0 || m.exists("var/lib/etcd/data/member") {
			c.Errorf("%s has begun something", m.name)
		}
	}
	c.readable(last)
	last.dies()
	said := last.boot(10 * time.Second) // it waits for a quorum until its time is over
	if said.err == nil || !strings.HasSuffix(said.decision(), ": start") {
		c.Errorf("%s: %v\n%s", last.name, said.err, said.text)
	}
	if out, err := last.ctl("put", "refused", "x"); err == nil {
		c.Errorf("it was written without a quorum: %s", out)
	}
	// It serves no client before it has met a quorum: what it has is read when all are back.
}

func (c *etcdCluster) recovers() {
	c.Helper()
	lost, found := c.members[0], c.members[1]
	if err := errors.Join(os.RemoveAll(filepath.Join(found.root, "var/lib/etcd")), os.Rename(filepath.Join(found.root, "lost"), filepath.Join(found.root, "var/lib/etcd"))); err != nil {
		c.Fatal(err)
	}
	if said := c.boot(found)[0]; said.err != nil || !strings.HasSuffix(said.decision(), ": start") {
		c.Fatalf("%v\n%s", said.err, said.text)
	}
	c.write(found, "with a quorum again")
	before := c.ids()
	if said := c.boot(lost)[0]; said.err != nil || !strings.HasSuffix(said.decision(), ": replace") {
		c.Fatalf("%v\n%s", said.err, said.text)
	}
	c.replaced(before, lost)
	c.works()
}

// replaced checks that of the members before only one is another now.
func (c *etcdCluster) replaced(before map[string]string, m *etcdMember) {
	c.Helper()
	after := c.ids()
	if after[m.name] == "" || after[m.name] == before[m.name] {
		c.Errorf("%s was %s and is %s", m.name, before[m.name], after[m.name])
	}
	after[m.name] = before[m.name]
	if d := cmp.Diff(before, after); d != "" {
		c.Errorf("the other members (-before +after):\n%s", d)
	}
}

// works writes through each member, and reads everything from each one's own data.
func (c *etcdCluster) works() {
	c.Helper()
	for _, m := range c.members {
		c.write(m, "through "+m.name)
	}
	c.readable(c.members...)
}

// write gives up when no quorum has taken it after a while; a leader may have
// to be found first.
func (c *etcdCluster) write(m *etcdMember, value string) {
	c.Helper()
	key := fmt.Sprintf("k/%03d", len(c.written))
	c.eventually("write "+value, func() error {
		out, err := m.ctl("put", key, value)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	c.written[key] = value
}

// readable reads without a quorum: what this member has itself.
func (c *etcdCluster) readable(members ...*etcdMember) {
	c.Helper()
	for _, m := range members {
		c.eventually("read from "+m.name, func() error {
			out, err := m.ctl("get", "--prefix", "k/", "--consistency=s")
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			got, lines := map[string]string{}, strings.Split(strings.TrimSpace(out), "\n")
			for pair := range slices.Chunk(lines, 2) {
				got[pair[0]] = pair[len(pair)-1]
			}
			if d := cmp.Diff(c.written, got); d != "" {
				return fmt.Errorf("keys (-want +got):\n%s", d)
			}
			return nil
		})
	}
}

// ids are the members' by their names, when all have started.
func (c *etcdCluster) ids() map[string]string {
	c.Helper()
	ids := map[string]string{}
	c.eventually("list the members", func() error {
		for _, m := range c.members {
			out, err := m.ctl("member", "list")
			if err != nil {
				continue
			}
			clear(ids)
			for line := range strings.Lines(out) {
				if f := strings.Split(strings.TrimSpace(line), ", "); len(f) > 3 && f[1] == "started" {
					ids[f[2]] = f[0]
				}
			}
			if len(ids) == len(c.members) {
				return nil
			}
		}
		return fmt.Errorf("last seen: %v", ids)
	})
	return ids
}

func (c *etcdCluster) others(m *etcdMember) []*etcdMember {
	return slices.DeleteFunc(slices.Clone(c.members), func(o *etcdMember) bool { return o == m })
}

// boot runs the step on all of them at once.
func (c *etcdCluster) boot(members ...*etcdMember) []stepOutput {
	c.Helper()
	for _, m := range members {
		m.files()
	}
	said := make([]stepOutput, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { said[i] = m.boot(60 * time.Second) })
	}
	all.Wait()
	return said
}

// eventually tries for half a minute.
func (c *etcdCluster) eventually(what string, does func() error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := does()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			c.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

type stepOutput struct {
	text string
	err  error
}

// decision is the last line that says what the member saw and does.
func (o stepOutput) decision() (line string) {
	for l := range strings.Lines(o.text) {
		if strings.HasPrefix(l, "etcd: data ") {
			line = strings.TrimSpace(l)
		}
	}
	return line
}

// boot runs the step as boot.sh would, for at most so long.
func (m *etcdMember) boot(limit time.Duration) stepOutput {
	ctx, cancel := context.WithTimeout(m.Context(), limit)
	defer cancel()
	cmd := m.command(ctx, "bash", m.root+"/etc/jeroboam/boot/boot.sh", "etcd")
	out, err := cmd.CombinedOutput()
	return stepOutput{string(out), err}
}

// ctl asks the member itself, as the API server would.
func (m *etcdMember) ctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(m.Context(), 10*time.Second)
	defer cancel()
	pki := m.root + "/etc/kubernetes/pki/etcd/"
	out, err := m.command(ctx, append([]string{
		"etcdctl", "--command-timeout=3s", "--endpoints=https://127.0.0.1:2379",
		"--cacert=" + pki + "ca.crt", "--cert=" + pki + "healthcheck-client.crt", "--key=" + pki + "healthcheck-client.key",
	}, args...)...).CombinedOutput()
	return string(out), err
}

// command is one in the member's namespace; with it end those that it started,
// but for services.
func (m *etcdMember) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", m.namespace, m.root + "/bin/" + args[0]}, args[1:]...)...)
	cmd.Env = []string{"PATH=" + m.root + "/bin", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// dies is the end of the machine, without a warning: the next one has its own
// disk, and from this one only the keys and the volume.
func (m *etcdMember) dies() {
	m.Helper()
	var pid int
	if _, err := fmt.Sscan(m.read("run/etcd.pid"), &pid); err != nil {
		m.Fatalf("%s has no etcd: %v", m.name, err)
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		m.Fatalf("kill %s: %v", m.name, err)
	}
	for _, path := range []string{"run/etcd.pid", "etc/systemd/system/etcd.service"} {
		if err := os.Remove(filepath.Join(m.root, path)); err != nil {
			m.Fatal(err)
		}
	}
}

func (m *etcdMember) losesVolume(to string) {
	m.Helper()
	volume := filepath.Join(m.root, "var/lib/etcd")
	if err := errors.Join(os.Rename(volume, filepath.Join(m.root, to)), os.Mkdir(volume, 0o700)); err != nil {
		m.Fatal(err)
	}
}

func (m *etcdMember) exists(path string) bool {
	_, err := os.Stat(filepath.Join(m.root, path))
	return !errors.Is(err, fs.ErrNotExist)
}
