package heat_test

import (
	"net/url"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers/sim"
)

// A master's port that somebody removed has no address in Heat any more. All masters' user data names all addresses: an update that left out
// one would replace every master at once.

func TestSimPortLost(t *testing.T) {
	t.Parallel()
	portLost(t, newSimulatedWith(t, sim.Options{RuledServices: []string{"key-manager"}}), "lost")
}

func TestLabPortLost(t *testing.T) {
	t.Parallel()
	on := newLab(t)
	portLost(t, on, playBoots(t))
}

func portLost(t *testing.T, on stage, name string) {
	s := newStory(t, on, name, "debian-latest")
	s.c.Spec.Groups[1].NodeCount = 1
	s.follow("create")
	s.c.Spec.Groups[1].NodeCount = 2
	s.follow("resize")
	before, port := s.see(), s.portOf(1)

	s.losePort(port)
	s.c.Spec.Groups[1].NodeCount = 1
	s.follow("resize without a port")
	s.sameMasters(before)

	s.sayLost(before.Nodes[1].Name)
	s.c.Spec.Groups[1].NodeCount = 2
	s.follow("resize, which makes the port anew")
	s.sameMasters(before)
	again := s.portOf(1)
	if again["id"] == port["id"] || firstAddress(again) != firstAddress(port) {
		t.Errorf("the port was %s (%s) and is %s (%s)", port["id"], firstAddress(port), again["id"], firstAddress(again))
	}
	s.remove()
}

// Before anything was changed Heat alone knows the addresses.

func TestSimPortLostEarly(t *testing.T) {
	t.Parallel()
	portLostEarly(t, newSimulated(t), "lost")
}

func TestLabPortLostEarly(t *testing.T) {
	t.Parallel()
	on := newLab(t)
	portLostEarly(t, on, playBoots(t))
}

func portLostEarly(t *testing.T, on stage, name string) {
	s := newStory(t, on, name, "debian-latest")
	s.follow("create")
	before, port := s.see(), s.portOf(1)
	s.losePort(port)

	s.c.Spec.Groups[1].NodeCount = 1
	s.follow("resize without a port")
	s.sameMasters(before)
	s.remove()
}

func (s *story) sameMasters(before *diff.Observed) {
	s.Helper()
	for i, n := range s.see().Nodes[:3] {
		if n.Server != before.Nodes[i].Server {
			s.Errorf("the server of %s was replaced", n.Name)
		}
	}
}

// portOf is a master's port, by its number.
func (s *story) portOf(number int) map[string]any {
	s.Helper()
	var got struct {
		Ports []map[string]any `json:"ports"`
	}
	if err := s.raw.Get(s.Context(), "network", "/ports", url.Values{"name": {s.see().Nodes[number].Name}}, &got); err != nil || len(got.Ports) != 1 {
		s.Fatalf("ports %v, %v", got.Ports, err)
	}
	return got.Ports[0]
}

func firstAddress(port map[string]any) string {
	ips, _ := port["fixed_ips"].([]any)
	first, _ := ips[0].(map[string]any)
	address, _ := first["ip_address"].(string)
	return address
}

// losePort removes a port by hand. Heat does not look: a check knows no ports.
func (s *story) losePort(port map[string]any) {
	s.Helper()
	id, _ := port["id"].(string)
	if err := s.raw.Delete(s.Context(), "network", "/ports/"+id, nil, nil); err != nil {
		s.Fatal(err)
	}
}

// sayLost has Heat make a node's port anew with its next update, as `openstack
// stack resource mark unhealthy` does.
func (s *story) sayLost(node string) {
	s.Helper()
	path, _ := s.stackOf(s, s.c)
	if err := s.raw.Patch(s.Context(), "orchestration", path+"/resources/"+node+"-port", map[string]any{"mark_unhealthy": true, "resource_status_reason": "its port is gone"}, nil); err != nil {
		s.Fatal(err)
	}
}
