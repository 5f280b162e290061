package heat

import (
	"strings"
	"testing"

	"jeroboam.io/jeroboam/schema"
)

func TestPin(t *testing.T) {
	t.Parallel()
	const server = "16eebc83-7174-4b72-ab38-46b1c9cbd3ba"
	for name, c := range map[string]struct {
		api, members any
		server       string
		why, want    string // want: the first master's address
	}{
		"all is known":                       {"10.0.0.9", "m-0=10.0.0.3 m-1=10.0.0.4", server, "", "10.0.0.3"},
		"a port is gone":                     {"10.0.0.9", "m-0=10.0.0.3 m-1=", server, "port of m-1", ""},
		"the load balancer is gone":          {nil, "m-0=10.0.0.3 m-1=10.0.0.4", server, "load balancer", ""},
		"nothing was ever told to a machine": {nil, nil, "", "", ""},
		"an address of another member":       {"10.0.0.9", "m-0=10.0.0.3 m-2=10.0.0.4", server, "port of m-1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := layout{
				owner: "o", about: about{Cloud: "c", Name: "n", Type: "k8s_debian", Revision: 1},
				spec:  schema.Spec{MasterLBEnabled: true, Groups: []schema.Group{{Name: "g", Role: roleMaster, NodeCount: 2}}},
				nodes: []node{{Name: "m-0", Group: "g"}, {Name: "m-1", Group: "g", Number: 1}},
			}
			why := l.pin(shown{Outputs: []output{
				{Key: outputAPI, Value: c.api},
				{Key: outputMembers, Value: c.members},
				{Key: "nodes", Value: map[string]any{"m-0": map[string]any{"server": c.server}}},
			}})
			if (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				t.Errorf("why is %q, want %q", why, c.why)
			}
			if l.nodes[0].Address != c.want || (l.api != "") != (c.want != "") {
				t.Errorf("pinned %q, API %q", l.nodes[0].Address, l.api)
			}
		})
	}
}
