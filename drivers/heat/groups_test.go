package heat_test

import (
	"slices"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// TestSimKubernetesGroups and TestLongGroups give five masters to a cluster, and to its groups all
// that a group may have of its own, a group without nodes included.

func TestSimKubernetesGroups(t *testing.T) {
	t.Parallel()
	groupsStory(t, newSimulatedWith(t, sim.Options{RuledServices: []string{"key-manager"}}), "groups")
}

func TestLongGroups(t *testing.T) {
	on := newLab(t)
	groupsStory(t, on, playBoots(t))
}

func groupsStory(t *testing.T, on stage, name string) {
	s := newStory(t, on, name, "fedora-coreos-latest")
	spec := &s.c.Spec
	spec.Groups[0].NodeCount, spec.Groups[1].NodeCount = 5, 1
	fast := schema.Group{
		Name: "fast", Role: "worker", NodeCount: 2, MinNodeCount: 1, MaxNodeCount: 4,
		Flavor: "m1.medium", Image: "fedora-coreos-next", DockerVolumeSize: 2,
		Labels:     map[string]string{"boot_volume_size": "3", "kubelet_options": "--max-pods=50", "kube_tag": "v1.34.4"},
		NodeLabels: map[string]string{"disk": "fast"},
		NodeTaints: []schema.Taint{{Key: "dedicated", Value: "db", Effect: "NoSchedule"}},
	}
	spec.Groups = append(spec.Groups, fast, schema.Group{Name: "spare", Role: "worker", Flavor: "m1.small"})
	s.follow("create")
	first := s.see()
	counts := map[string]int{}
	for _, n := range first.Nodes {
		counts[n.Group]++
		if want := "kubelet=v1.35.2 "; n.Group != "fast" && !strings.HasPrefix(n.Versions, want) {
			t.Errorf("%s reported %q", n.Name, n.Versions)
		}
		if n.Group == "fast" && !strings.HasPrefix(n.Versions, "kubelet=v1.34.4 ") {
			t.Errorf("%s reported %q", n.Name, n.Versions)
		}
	}
	if first.Status != diff.CreateComplete || counts[schema.DefaultMaster] != 5 || counts[schema.DefaultWorker] != 1 || counts["fast"] != 2 || counts["spare"] != 0 {
		t.Fatalf("created %v as %+v", counts, first)
	}

	mark := s.mark()
	spec.Groups[3].NodeCount = 1
	s.follow("the first node of a group")
	s.noLeafMoved(mark, first.Nodes)

	// A group with all of its own goes, and another comes; nobody else is touched.
	mark = s.mark()
	was := s.see()
	spec.Groups[2].MinNodeCount = 0
	for spec.Groups[2].NodeCount > 0 { // one by one: a guard holds more
		spec.Groups[2].NodeCount--
		s.follow("fewer nodes of a group")
	}
	rest := slices.DeleteFunc(slices.Clone(was.Nodes), func(n diff.Node) bool { return n.Group == "fast" })
	s.noLeafMoved(mark, rest)
	s.kept(&diff.Observed{Nodes: rest}, s.see())

	mark = s.mark()
	late := fast
	late.Name, late.NodeCount = "late", 1
	spec.Groups = append(spec.Groups, late)
	s.follow("another group")
	s.noLeafMoved(mark, rest)
	if o := s.see(); len(o.Nodes) != 8 || len(nodesIn(o, diff.NodeReady)) != 8 {
		t.Errorf("at the end %+v", o.Nodes)
	}
	s.remove()
}
