package heat_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// simulated is a stage of its own for each subtest, with a clock to push.
type simulated struct {
	cloud  *sim.Cloud
	clock  *sim.ManualClock
	clouds string
}

func TestSim(t *testing.T) {
	t.Parallel()
	dockerHosts(t, func(t testing.TB) stage { return newSimulated(t) })
}

func newSimulated(t testing.TB) *simulated {
	t.Helper()
	return newSimulatedWith(t, sim.Options{RuledServices: []string{"key-manager"}})
}

func newSimulatedWith(t testing.TB, o sim.Options) *simulated {
	t.Helper()
	s := &simulated{clock: sim.NewManualClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))}
	o.Clock = s.clock
	s.cloud = sim.New(o)
	server := httptest.NewServer(s.cloud)
	t.Cleanup(server.Close)
	s.clouds = filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(s.clouds, fmt.Appendf(nil, simClouds, server.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

const simClouds = `clouds:
  lab-demo:
    region_name: RegionOne
    auth: {auth_url: "%[1]s/identity/v3", username: demo, password: sim, project_name: demo, user_domain_name: Default, project_domain_name: Default}
  lab-wrong:
    region_name: RegionOne
    auth: {auth_url: "%[1]s/identity/v3", username: demo, password: wrong, project_name: demo, user_domain_name: Default, project_domain_name: Default}
`

func (s *simulated) getenv(name string) string {
	if name == "OS_CLIENT_CONFIG_FILE" {
		return s.clouds
	}
	return ""
}

func (s *simulated) settle(t testing.TB, x *scene) {
	t.Helper()
	for range 100 {
		s.clock.Advance(10 * time.Second)
		if len(x.moving(t)) == 0 {
			return
		}
	}
	t.Fatalf("still moving after a thousand seconds: %v", x.moving(t))
}

func (s *simulated) failBoot(_ testing.TB, name, reason string) (undo func()) {
	s.cloud.FailBoot("^"+regexp.QuoteMeta(name), reason, 0)
	return s.cloud.ClearFaults
}

// A list of servers that lacks some is no word of Nova that they are gone: to
// believe it would replace the nodes of every cluster at once.
func TestInspectDoubtsTheList(t *testing.T) {
	t.Parallel()
	s := newSimulated(t)
	d, err := newScene(t, s).open(t, func(o *drivers.Options) { o.Owner, o.Instance = "us", "test" })
	if err != nil {
		t.Fatal(err)
	}
	plan := diff.Compute(&schema.Fleet{Clusters: []*schema.Cluster{declare(t, "a", nil)}}, diff.Have{}, diff.Policy{})
	if err := d.Apply(t.Context(), plan.Steps[0]); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	have, err := d.Observe(t.Context())
	if err != nil || len(have) != 1 || len(have[0].Nodes) != 1 {
		t.Fatalf("observed %+v, %v", have, err)
	}
	s.cloud.Fault(sim.Fault{Service: "compute", PathRegexp: `/servers\?`, EmptyList: true})
	if have, err = d.(drivers.Inspector).Inspect(t.Context(), have); drivers.KindOf(err) != drivers.Transient {
		t.Errorf("inspected %+v, %v; want an error, to look again", have, err)
	}
}
