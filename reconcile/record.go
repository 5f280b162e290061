package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// Record is the Magnum-style representation of a cluster: Magnum's own
// attribute names and statuses (magnum/api/controllers/v1/cluster.py), so that
// those who read Magnum's output can read this. What Magnum does not have comes
// last.
type Record struct {
	UUID              string            `json:"uuid,omitempty"`
	Name              string            `json:"name"`
	ClusterTemplateID string            `json:"cluster_template_id,omitempty"`
	Status            string            `json:"status"`
	StatusReason      string            `json:"status_reason,omitempty"`
	HealthStatus      string            `json:"health_status,omitempty"` // as of the last look while it stood still; empty: not asked
	HealthReason      map[string]string `json:"health_status_reason,omitempty"`
	StackID           string            `json:"stack_id,omitempty"`
	ProjectID         string            `json:"project_id,omitempty"`
	COE               string            `json:"coe,omitempty"`
	COEVersion        string            `json:"coe_version,omitempty"`       // the oldest kubelet that a master reported
	ContainerVersion  string            `json:"container_version,omitempty"` // the oldest containerd that a master reported
	APIAddress        string            `json:"api_address,omitempty"`
	NodeCount         int               `json:"node_count"`
	MasterCount       int               `json:"master_count"`
	NodeAddresses     []string          `json:"node_addresses"`
	MasterAddresses   []string          `json:"master_addresses"`
	Keypair           string            `json:"keypair,omitempty"`
	FlavorID          string            `json:"flavor_id,omitempty"`
	MasterFlavorID    string            `json:"master_flavor_id,omitempty"`
	DockerVolumeSize  int               `json:"docker_volume_size,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	FixedNetwork      string            `json:"fixed_network,omitempty"`
	FixedSubnet       string            `json:"fixed_subnet,omitempty"`
	FloatingIPEnabled bool              `json:"floating_ip_enabled"`
	MasterLBEnabled   bool              `json:"master_lb_enabled"`
	CreateTimeout     int               `json:"create_timeout,omitempty"`
	Faults            map[string]string `json:"faults,omitempty"` // node group to reason
	CreatedAt         string            `json:"created_at,omitempty"`
	UpdatedAt         string            `json:"updated_at,omitempty"`
	NodeGroups        []RecordGroup     `json:"node_groups,omitempty"`

	Cloud              schema.CloudName `json:"cloud"`
	ClusterType        string           `json:"cluster_type,omitempty"`
	ImageID            string           `json:"image_id,omitempty"`
	DeletionProtection bool             `json:"deletion_protection"`
	Suspended          string           `json:"suspended,omitempty"` // by whom, until when, why
	Sizes              []string         `json:"sizes,omitempty"`     // of groups that have them by schedule, and what comes next
	Declared           string           `json:"declared,omitempty"`  // file:line:column of the document
	Progress           string           `json:"progress,omitempty"`  // of an upgrade under way: "upgrade 3/7 to v1.30.14, then v1.31.14"; of a drain: "draining NODE: 3 pods left"
	Advice             string           `json:"advice,omitempty"`    // what to do if it does not get on, and what happens by itself
	Pending            []string         `json:"pending,omitempty"`   // steps that the next runs take
	Held               []string         `json:"held,omitempty"`
	Holds              []Hold           `json:"holds,omitempty"` // the same taken apart; not on the board, where each plan's tokens would be a commit
	Drift              []string         `json:"drift,omitempty"`
}

// RecordGroup is a node group in Magnum's attributes (A.3 of its API).
type RecordGroup struct {
	Name         string       `json:"name"`
	Role         string       `json:"role"`
	NodeCount    int          `json:"node_count"`
	MinNodeCount int          `json:"min_node_count,omitempty"`
	MaxNodeCount int          `json:"max_node_count,omitempty"`
	FlavorID     string       `json:"flavor_id"`
	ImageID      string       `json:"image_id,omitempty"`
	Nodes        []RecordNode `json:"nodes,omitempty"`
}

// RecordNode is one node.
type RecordNode struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"`
	Address string `json:"address,omitempty"`
	Server  string `json:"server,omitempty"`
	// Versions are what the node reported: "kubelet=v1.36.3 containerd=v2.4.2".
	Versions string `json:"versions,omitempty"`
}

// Hold is a step that a guard holds.
type Hold struct {
	Step   string `json:"step"`
	Guard  string `json:"guard"`
	Reason string `json:"reason"`
	Ack    string `json:"ack,omitempty"` // diff.Held's
}

// Key is the record's cluster.
func (r Record) Key() schema.Key {
	return schema.Key{Cloud: r.Cloud, Name: schema.ClusterName(r.Name)}
}

// Steps are how far an upgrade is and what comes after, for a column.
func (r Record) Steps() []string {
	if r.Progress == "" {
		return r.Pending
	}
	return append([]string{r.Progress}, r.Pending...)
}

// Concerns are what somebody should look at beside the status and its reason: what
// to do about it, what ails the cluster, what is held and what drifted.
func (r Record) Concerns() []string {
	var parts []string
	if r.Advice != "" {
		parts = append(parts, r.Advice)
	}
	if ails := r.Ails(); ails != "" {
		parts = append(parts, "unhealthy: "+ails)
	}
	for _, h := range r.Held {
		parts = append(parts, "held: "+h)
	}
	for _, d := range r.Drift {
		parts = append(parts, "drift: "+d)
	}
	return parts
}

// Ails is what is wrong with a cluster by its own word: "node-1.Ready False"; empty
// if nothing is, or if it cannot be asked.
func (r Record) Ails() string {
	if r.HealthStatus != string(drivers.Unhealthy) {
		return ""
	}
	var wrong []string
	for _, what := range slices.Sorted(maps.Keys(r.HealthReason)) {
		if is := r.HealthReason[what]; is != "ok" && is != "True" {
			wrong = append(wrong, what+" "+is)
		}
	}
	if len(wrong) > maxAils {
		wrong = append(wrong[:maxAils], fmt.Sprintf("and %d more", len(wrong)-maxAils))
	}
	return strings.Join(wrong, ", ")
}

// maxAils is how much of it a line bears.
const maxAils = 5

// Statuses that Magnum does not have, of clusters that do not exist.
const (
	statusUnknown  = "UNKNOWN"  // the cloud could not be read
	statusDeclared = "DECLARED" // in Git, not yet in the cloud
)

// declared fills in what Git says. What Git no longer has is protected as it
// was declared last.
func (r *Record) declared(c *schema.Cluster, f Facts) {
	if c == nil {
		r.DeletionProtection = f.Protection != Unprotected
		return
	}
	r.ClusterTemplateID, r.Declared = string(c.Template), c.Pos.String()
	r.CreateTimeout, r.DeletionProtection = c.Policy.CreateTimeout, c.Policy.DeletionProtection
	if c.Policy.Suspend {
		r.Suspended = c.Policy.Suspension.String()
	}
	r.spec(&c.Spec)
}

// observed fills in what the cloud says. The attributes are those that were
// last asked for: Magnum shows those of the stack as well.
func (r *Record) observed(o *diff.Observed) {
	r.UUID, r.StackID = o.ID, o.ID
	r.Status, r.StatusReason = string(o.Status), o.Reason
	r.APIAddress, r.ClusterType = o.APIAddress, o.Type
	r.CreatedAt, r.UpdatedAt = o.CreatedAt, o.UpdatedAt
	if o.Spec != nil {
		r.spec(o.Spec)
	}
	for _, n := range o.Nodes {
		r.node(n)
	}
	for _, d := range o.Drift {
		r.Drift = append(r.Drift, d.Field+": "+d.Detail)
	}
}

func (r *Record) spec(s *schema.Spec) {
	r.COE, r.ImageID, r.Keypair, r.Labels = s.COE, s.Image, s.Keypair, s.ShownLabels()
	r.FixedNetwork, r.FixedSubnet = s.FixedNetwork, s.FixedSubnet
	r.FloatingIPEnabled, r.MasterLBEnabled = s.FloatingIPEnabled, s.MasterLBEnabled
	r.NodeCount, r.MasterCount = s.Nodes(false), s.Nodes(true)
	r.NodeGroups = nil
	for _, g := range s.Groups {
		switch g.Name {
		case schema.DefaultMaster:
			r.MasterFlavorID = g.Flavor
		case schema.DefaultWorker:
			r.FlavorID, r.DockerVolumeSize = g.Flavor, g.DockerVolumeSize
		}
		r.NodeGroups = append(r.NodeGroups, RecordGroup{
			Name: g.Name, Role: g.Role, NodeCount: g.NodeCount, MinNodeCount: g.MinNodeCount, MaxNodeCount: g.MaxNodeCount,
			FlavorID: g.Flavor, ImageID: s.ImageOf(g),
		})
	}
}

func (r *Record) node(n diff.Node) {
	for i := range r.NodeGroups {
		g := &r.NodeGroups[i]
		if g.Name != n.Group {
			continue
		}
		g.Nodes = append(g.Nodes, RecordNode{
			Name: n.Name, State: string(n.State), Reason: n.Reason, Address: n.Address, Server: n.Server, Versions: n.Versions,
		})
		if g.Role == "master" {
			r.COEVersion = older(r.COEVersion, n.Version("kubelet"))
			r.ContainerVersion = older(r.ContainerVersion, n.Version("containerd"))
		}
		if n.Address != "" && g.Role == "master" {
			r.MasterAddresses = append(r.MasterAddresses, n.Address)
		} else if n.Address != "" {
			r.NodeAddresses = append(r.NodeAddresses, n.Address)
		}
		if n.State == diff.NodeFailed || n.State == diff.NodeMissing {
			r.fault(g.Name, n.Name+": "+n.Reason)
		}
	}
}

// older is the older of two versions; one that is not known, or is none, is not
// compared.
func older(a, b string) string {
	x, isA := schema.ParseKube(a)
	y, isB := schema.ParseKube(b)
	if isB && (!isA || y.Compare(x) < 0) {
		return b
	}
	return cmp.Or(a, b)
}

func (r *Record) fault(group, reason string) {
	if r.Faults == nil {
		r.Faults = map[string]string{}
	}
	if r.Faults[group] != "" {
		reason = r.Faults[group] + "; " + reason
	}
	r.Faults[group] = reason
}

// planned shows how far an upgrade is or where it stopped, what is still to come
// and what is held. The stages of an upgrade are one.
func (r *Record) planned(steps []diff.Step, done Result) {
	upgrade := false
	for i := range steps {
		s := &steps[i]
		if stopped := s.Stopped(); stopped != "" {
			r.StatusReason = stopped
		}
		later := upgrade && s.Op == diff.Upgrade
		upgrade = upgrade || s.Op == diff.Upgrade
		begun := done.Err == nil && s.Operation == done.Step.Operation && s.Held == nil
		name := string(s.Op)
		if s.Group != "" {
			name += " " + s.Group
		}
		switch {
		case later:
		case s.Held != nil:
			r.Held = append(r.Held, fmt.Sprintf("%s: %s: %s", name, s.Held.Guard, s.Held.Reason))
			r.Holds = append(r.Holds, Hold{name, s.Held.Guard, s.Held.Reason, s.Held.Ack})
		case begun, s.Op == diff.Wait:
			r.Progress = s.Progress()
		case s.Op == diff.Upgrade:
			if r.Progress == "" { // else it has been told
				r.Pending = append(r.Pending, cmp.Or(s.Progress(), name))
			}
		default:
			r.Pending = append(r.Pending, name)
		}
	}
}

// started shows the status that Magnum shows when it has accepted a request,
// without asking the cloud once more. Why a cluster is recovered stays in sight.
func (r *Record) started(x Result) {
	switch {
	case x.Step.Op == "":
	case x.Err != nil:
		r.StatusReason = strings.TrimSpace(fmt.Sprintf("%s: %v", x.Step.Op, x.Err))
	case x.Step.Op == diff.Create:
		r.Status, r.StatusReason = string(diff.CreateInProgress), ""
	case x.Step.Op == diff.Delete:
		r.Status, r.StatusReason = string(diff.DeleteInProgress), ""
	case x.Step.Op == diff.Recover:
		r.Status, r.StatusReason = string(diff.UpdateInProgress), "recover: "+cmp.Or(x.Step.Stopped(), x.Step.Why)
	default:
		r.Status, r.StatusReason = string(diff.UpdateInProgress), ""
	}
}

// live fills in what the cluster itself says: how it is, and which pods a step
// waits for.
func (r *Record) live(h drivers.Health, d Draining) {
	r.HealthStatus, r.HealthReason = string(h.Status), h.Reason
	r.Pending = slices.Concat(r.Pending, h.Undone, h.Later)
	if len(d.Left) > 0 {
		r.Progress = strings.Join(d.Left, "; ")
	}
}
