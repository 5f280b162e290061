package diff

import (
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// WorkState says how much is known of what runs on the nodes of a cluster.
type WorkState string

// The answers. Nobody was asked, or who was asked has no pods to tell of: then
// nothing is drained and nothing is held.
const (
	WorkNotAsked WorkState = ""
	WorkKnown    WorkState = "known"   // Observed.Workloads has it
	WorkUnknown  WorkState = "unknown" // the cluster could not be asked
	WorkUnseen   WorkState = "unseen"  // who looks may not ask; who carries out may
	// WorkOwn is of clusters whose API nobody reaches by design: their nodes drain
	// themselves when they shut down, as well as they can.
	WorkOwn WorkState = "own"
)

// Workload is what has to move before a node may go.
type Workload struct {
	// Pods counts the pods that an eviction moves: not those of DaemonSets, static
	// ones, or finished ones.
	Pods     int    `json:"pods"`
	Cordoned bool   `json:"cordoned,omitempty"` // it takes no new ones, whoever said so
	Since    string `json:"since,omitempty"`    // RFC 3339: when its drain began; empty: it did not
	// Late is since when it is drained, as the end of a sentence, when that is
	// longer than it may take.
	Late string `json:"late,omitempty"`
	// Holds are those among Pods that are not moved unless somebody says so, each
	// with the reason: "shop/db-0 (no controller makes it again)". Sorted.
	Holds []string `json:"holds,omitempty"`
	// Left names some of Pods, each with what keeps it for now if that is known:
	// "shop/db-1 (disruption budget shop/db)". Sorted.
	Left []string `json:"left,omitempty"`
}

// Drain is what has to be done inside a cluster before a step is carried out.
type Drain struct {
	// Nodes are those of the step's that work and still have pods, or take new ones.
	Nodes []string `json:"nodes"`
	// All says that pods which hold a drain are evicted like the others:
	// acknowledged.
	All bool `json:"all,omitempty"`
	// Anyway says that the step is carried out whatever is left: acknowledged.
	Anyway bool `json:"anyway,omitempty"`
}

// WantsWorkload are the nodes, by cluster, of which it has to be known what runs
// on them before the steps that are due may be started: those that go, and where
// a group shrinks all among which the choice is. Observed.Workloads is then to
// be found out, and the plan computed again.
func WantsWorkload(p Plan) map[schema.Key][]string {
	want := map[schema.Key][]string{}
	for _, s := range p.Due() {
		if s.Have == nil || s.Have.Work != WorkNotAsked && s.Have.Work != WorkKnown {
			continue
		}
		var nodes []string
		for _, name := range s.candidates() {
			if _, known := s.Have.Workloads[name]; !known {
				nodes = append(nodes, name)
			}
		}
		if len(nodes) > 0 {
			want[s.Cluster] = nodes
		}
	}
	return want
}

// Leaving are the nodes, by cluster, that a step is about to replace or remove,
// if nothing or nothing but their drain holds it. Others have no reason to be
// cordoned by us.
func Leaving(p Plan) map[schema.Key][]string {
	leaving := map[schema.Key][]string{}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Held == nil || s.Held.Guard == guardDrain {
			leaving[s.Cluster] = append(leaving[s.Cluster], s.emptied()...)
		}
	}
	return leaving
}

// emptied are the nodes that a step takes away from pods: those that work. What
// failed or is gone has nothing that could be moved.
func (s *Step) emptied() []string {
	if s.Have == nil || s.Have.Spec == nil || s.Have.Spec.COE != "kubernetes" {
		return nil
	}
	switch s.Op {
	case Resize, DeleteGroup, Upgrade, Recover:
	case Create, Adopt, Update, CreateGroup, Delete, Wait, None:
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Nodes), func(name string) bool { return !s.works(name) })
}

// candidates are the nodes that emptied takes, or may take once it is known what
// runs on them.
func (s *Step) candidates() []string {
	going := s.emptied()
	if s.Op != Resize || len(going) == 0 {
		return going
	}
	return names(slices.DeleteFunc(nodesOf(s.Have.Nodes, s.Group), func(n Node) bool { return n.State != NodeReady }))
}

func (s *Step) works(name string) bool {
	return slices.ContainsFunc(s.Have.Nodes, func(n Node) bool { return n.Name == name && n.State == NodeReady })
}

// drain holds a step whose nodes cannot be emptied without harm: by default
// nothing is destroyed. What it lets through because somebody acknowledged it is
// in Step.Drain.
func (p *planner) drain(s *Step) *Held {
	going := s.emptied()
	if len(going) == 0 {
		return nil
	}
	switch s.Have.Work {
	case WorkNotAsked:
		return nil
	case WorkOwn:
		s.add(fmt.Sprintf("what leaves drains itself when it shuts down, since clouds.%s.etcdHealth: heat says that nobody here reaches the API", s.Cluster.Cloud))
		return nil
	case WorkUnseen:
		s.add("whether it can be drained was not seen: " + shorten(s.Have.WorkReason))
		return nil
	case WorkKnown:
		return p.drainKnown(s, going)
	case WorkUnknown:
	}
	return p.unlessAcked(&Held{
		Guard: guardDrain, Ack: token(guardDrain, s.Cluster, s.Observed, s.Nodes, "unreachable"),
		Reason: fmt.Sprintf("what runs on %s is not known, and so it cannot be drained (%s); let this machine reach the API of the cluster, and the next run goes on, "+
			"or set clouds.%s.etcdHealth: heat in the Config where it never can; or acknowledge to leave it to the nodes themselves",
			list(going), shorten(s.Have.WorkReason), s.Cluster.Cloud),
	})
}

// drainKnown is drain where it is known what runs on the nodes.
func (p *planner) drainKnown(s *Step, going []string) *Held {
	d := &Drain{}
	var holds, late []string
	pods := 0
	for _, name := range going {
		w, known := s.Have.Workloads[name]
		if !known || w.Pods == 0 && w.Cordoned {
			continue
		}
		d.Nodes, pods = append(d.Nodes, name), pods+w.Pods
		for _, pod := range w.Holds {
			holds = append(holds, pod+" on "+name)
		}
		if w.Late != "" && w.Pods > 0 {
			late = append(late, fmt.Sprintf("%s is being drained %s, and has %s left: %s", name, w.Late, count(w.Pods, "pod", "pods"), list(w.Left)))
		}
	}
	if len(d.Nodes) == 0 {
		return nil
	}
	if len(holds) > 0 {
		held := &Held{
			Guard: guardDrain, Ack: token(guardDrain, s.Cluster, "holds", holds),
			Reason: "pods that would be lost: " + list(holds) + "; remove them, or give them what brings them back, and the next run goes on; or acknowledge to have them evicted as well",
		}
		if d.All = p.acked(held); !d.All {
			return held
		}
	}
	if len(late) > 0 {
		held := &Held{
			Guard: guardDrain, Ack: token(guardDrain, s.Cluster, s.Observed, s.Nodes, "late"),
			Reason: strings.Join(late, "; ") + "; give its workload room or replicas elsewhere, or its disruption budget a disruption to allow; or acknowledge to go on without waiting for them",
		}
		if d.Anyway = p.acked(held); !d.Anyway {
			return held
		}
	}
	s.Drain = d
	if pods > 0 {
		s.add(fmt.Sprintf("drains %s first (%s)", list(d.Nodes), count(pods, "pod", "pods")))
	}
	return nil
}

func (p *planner) unlessAcked(h *Held) *Held {
	if p.acked(h) {
		return nil
	}
	return h
}

// add says one thing more of why.
func (s *Step) add(why string) {
	if s.Why != "" {
		why = s.Why + "; " + why
	}
	s.Why = why
}

// maxListed keeps a sentence one.
const maxListed = 5

// list is as many of them as a sentence bears.
func list(all []string) string {
	if len(all) > maxListed {
		return strings.Join(all[:maxListed], ", ") + fmt.Sprintf(" and %d more", len(all)-maxListed)
	}
	return strings.Join(all, ", ")
}

// Draining says how far the drain of a node is: "draining NODE: 3 pods left", and
// which of them something keeps.
func (w Workload) Draining(node string) string {
	text := fmt.Sprintf("draining %s: %s left", node, count(w.Pods, "pod", "pods"))
	kept := slices.DeleteFunc(slices.Clone(w.Left), func(pod string) bool { return !strings.Contains(pod, " (") })
	if len(kept) > 0 {
		text += ", " + list(kept)
	}
	return text
}
