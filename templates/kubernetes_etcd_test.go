package templates_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEtcdActions(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.files()
	for in, want := range map[string]string{ // data, answering, listed, healthy, members
		"present 2 lived 2 3": "start", "present 0 never 0 3": "start", "present 0 never 0 1": "start",
		"empty 0 never 0 3": "new", "empty 0 never 0 1": "new", "empty 1 never 0 3": "new", "empty 2 never 2 3": "new",
		"empty 2 unstarted 2 3": "join", "empty 2 unstarted 0 3": "join",
		"empty 2 absent 2 3": "add", "empty 1 absent 1 3": "refuse", "empty 1 absent 0 3": "refuse",
		"empty 2 lived 2 3": "replace", "empty 2 lived 1 3": "refuse", "empty 1 lived 0 3": "refuse", "empty 4 lived 3 5": "replace", "empty 4 lived 2 5": "refuse",
		"empty 1 lived 1 2": "refuse", "empty 2 what 2 3": "refuse",
	} {
		cmd := exec.CommandContext(t.Context(), "/bin/bash", "-c", ". '"+m.root+"/etc/jeroboam/boot/etcd.sh'; etcd_action "+in)
		if got, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q, %v; want %s", in, got, err, want)
		}
	}
}

// What the others' peer ports say of m0, and what m0 without data makes of it.
func TestEtcdOfAMemberWithoutData(t *testing.T) {
	t.Parallel()
	const (
		others = `[{"id":2,"peerURLs":["https://10.0.0.12:2380"],"name":"m1","clientURLs":["https://10.0.0.12:2379"]},{"id":3,"peerURLs":["https://10.0.0.13:2380"],"name":"m2","clientURLs":["https://10.0.0.13:2379"]}`
		listed = "2, started, m1, https://10.0.0.12:2380, https://10.0.0.12:2379, false\n3, started, m2, https://10.0.0.13:2380, https://10.0.0.13:2379, false\n"
	)
	for name, c := range map[string]struct {
		members, memberlist string
		healthy             bool
		calls               []string // that change the membership
		state               string   // or "" when it refuses
	}{
		"told of, not up yet":  {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":"m0"}]`, "", true, nil, "new"},
		"lost, others healthy": {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":"m0","clientURLs":["https://10.0.0.11:2379"]}]`, "1f, started, m0, https://10.0.0.11:2380, https://10.0.0.11:2379, false\n" + listed, true, []string{"member remove 1f", "member add m0 --peer-urls=https://10.0.0.11:2380"}, "existing"},
		"lost, no quorum":      {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":"m0","clientURLs":["https://10.0.0.11:2379"]}]`, "", false, nil, ""},
		"removed, not added":   {others + `]`, listed + "1f, unstarted, , https://10.0.0.11:2380, , false\n", true, []string{"member add m0 --peer-urls=https://10.0.0.11:2380"}, "existing"},
		"added, not started":   {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":""}]`, listed + "1f, unstarted, , https://10.0.0.11:2380, , false\n", true, nil, "existing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "master")
			m.write("members", c.members)
			m.write("memberlist", c.memberlist)
			if c.healthy {
				m.write("healthy", "")
			}
			o, out := m.run("boot.sh")
			var calls []string
			for _, call := range o.calls {
				if _, change, ok := strings.Cut(call, ":2379 member "); ok && !strings.HasPrefix(change, "list") {
					calls = append(calls, "member "+change)
				}
			}
			if d := cmp.Diff(c.calls, calls); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
			if c.state == "" {
				if log := o.failure(t, "etcd"); !strings.Contains(log, "too few others are healthy") || o.called("systemctl start --no-block etcd") > 0 {
					t.Errorf("the log is %q", log)
				}
				return
			}
			unit := m.read("etc/systemd/system/etcd.service")
			if o.failed || !strings.Contains(unit, "--initial-cluster-state="+c.state) || strings.Count(unit, "m0=https://10.0.0.11:2380") != 1 {
				t.Errorf("failed %v, unit\n%s\n%s", o.failed, unit, out)
			}
		})
	}
}
