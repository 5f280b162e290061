package diff

import (
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// EtcdHealth is how the etcd members of a cluster are, as a prober found.
type EtcdHealth string

// The answers. Nobody was asked, or who was asked has nothing to say because
// the cluster cares for itself: then nothing is held.
const (
	EtcdNotAsked  EtcdHealth = ""
	EtcdHealthy   EtcdHealth = "healthy"   // every member on a master that is ready serves, and they have a leader
	EtcdUnhealthy EtcdHealth = "unhealthy" // one of them does not, or they have no leader
	EtcdUnknown   EtcdHealth = "unknown"   // they could not be asked
)

// WantsProbe are the clusters, sorted, whose etcd has to be known healthy before
// the steps that are due may be started: Observed.Etcd is then to be found out,
// and the plan computed again.
func WantsProbe(p Plan) []schema.Key {
	var keys []schema.Key
	for _, s := range p.Due() {
		if len(s.members()) > 0 {
			keys = append(keys, s.Cluster)
		}
	}
	slices.SortFunc(keys, schema.Key.Compare)
	return slices.Compact(keys)
}

// members are the masters that a step replaces and that may hold data, where
// others are left to lose: a server that is gone takes nothing away when it comes
// back, nor does a master when none of the others works.
func (s *Step) members() []string {
	if s.Have == nil || s.Op != Upgrade && s.Op != Recover {
		return nil
	}
	var replaced []string
	others := false
	for i := range s.Have.Nodes {
		n := &s.Have.Nodes[i]
		switch named := slices.Contains(s.Nodes, n.Name); {
		case !s.Have.isMaster(n):
		case named && n.State != NodeMissing:
			replaced = append(replaced, n.Name)
		case !named && n.State == NodeReady:
			others = true
		}
	}
	if !others {
		return nil
	}
	return replaced
}

// quorum holds a step that replaces a master unless the others are known to be
// well: with one more away they may be too few to agree on anything.
func quorum(s *Step) *Held {
	masters := s.members()
	if len(masters) == 0 {
		return nil
	}
	held := &Held{Guard: guardEtcd, Ack: token(guardEtcd, s.Cluster, s.Observed, s.Nodes)}
	who, why := strings.Join(masters, ", "), shorten(s.Have.EtcdReason)
	switch s.Have.Etcd {
	case EtcdNotAsked, EtcdHealthy:
		return nil
	case EtcdUnhealthy:
		held.Reason = fmt.Sprintf("etcd is not healthy (%s), and replacing %s may cost the cluster its data; mend etcd, and the next run goes on", why, who)
		if s.Op == Upgrade {
			held.Ack = ""
			return held
		}
	case EtcdUnknown:
		held.Reason = fmt.Sprintf("whether etcd is healthy without %s is not known (%s); let this machine reach the API of the cluster, and the next run goes on, or set clouds.%s.etcdHealth: heat in the Config where it never can", who, why, s.Cluster.Cloud)
	default:
		held.Reason = fmt.Sprintf("etcd is %q, which is none that we know", s.Have.Etcd)
	}
	held.Reason += "; or acknowledge, if you know that the other masters have a quorum or that nothing is left to lose"
	return held
}

// etcdVolume is the label without which etcd's data is on the disk of its server.
const etcdVolume = "etcd_volume_size"

// lastCopy holds a step that would replace the only master together with all that
// etcd knows. It is about backends which replace servers, whose nodes have a
// revision, and about masters that worked: the data of others is gone or never was.
func lastCopy(s *Step) *Held {
	h := s.Have
	if h == nil || h.Spec == nil || h.Spec.COE != "kubernetes" || h.masters(func(*Node) bool { return true }) != 1 {
		return nil
	}
	if size := h.Spec.Labels[etcdVolume]; size != "" && size != "0" {
		return nil
	}
	i := slices.IndexFunc(h.Nodes, func(n Node) bool { return h.isMaster(&n) })
	n := &h.Nodes[i]
	if !slices.Contains(s.Nodes, n.Name) || n.Revision == "" || n.State != NodeReady {
		return nil
	}
	return &Held{Guard: guardEtcdData, Ack: token(guardEtcdData, s.Cluster, s.Observed, s.Nodes), Reason: fmt.Sprintf(
		"%s is the only master and has no volume for etcd (label %s), so replacing it removes everything that the cluster knows, and its workloads with it; "+
			"declare a new cluster with such a volume, or acknowledge to begin again from nothing", n.Name, etcdVolume)}
}
