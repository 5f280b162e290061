// Package schema turns the YAML of a repository into a Fleet: every document
// checked against its JSON Schema, every reference followed, every default
// filled in.
//
//	files ─► decode (yaml.Node, positions) ─► JSON Schema ─► typed document ─┐
//	                                                                          ├─► resolve ─► Fleet
//	ClusterTemplate + Cluster + group, labels merged, defaults, references ───┘
//
// Resolution happens here and only here: what comes after (diff, drivers,
// status) sees effective specs and never asks which of template, cluster or
// group a value came from, except to show its position.
//
// Read schema.go for the words, load.go for the way from bytes to documents
// (yaml.go, check.go, decode.go), resolve.go for the way from documents to a
// Fleet, cluster.go for how one cluster is laid over its template. Where things
// are that change:
//
//	a field         its .json file, documents.go, effective.go, cluster.go; what
//	                a change of it leads to is in package diff
//	a rule          rules.go within a document, attributes.go for what a value
//	                means, networks.go for addresses, label*.go for labels
//	a label         labels.json, from which the JSON Schemas, the reference and
//	                the class of its change are made; a rule over several in
//	                labelcombos.go
//	a cluster type  clustertypes.go
//	a problem       codes.go, and its text in one of the explanations
//	an old word     oldwords.go; whole documents of others in package convert
//	a secret        secret.go, the one place in which its text is
package schema

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// APIVersion is the only version of the documents so far.
const APIVersion = "jeroboam.io/v1alpha1"

// Names are types of their own because mixing them up would act on the wrong
// cluster.
type (
	// CloudName names an entry of clouds.yaml.
	CloudName string
	// ClusterName is a Cluster's metadata.name.
	ClusterName string
	// TemplateName is a ClusterTemplate's metadata.name.
	TemplateName string
)

// Key is the identity of a cluster. Moving its file or renaming its template
// changes nothing; another cloud or another name is another cluster.
type Key struct {
	Cloud CloudName   `json:"cloud"`
	Name  ClusterName `json:"name"`
}

// String gives "cloud/name", as printed everywhere.
func (k Key) String() string { return string(k.Cloud) + "/" + string(k.Name) }

// Compare orders keys by cloud, then name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Cloud, o.Cloud), cmp.Compare(k.Name, o.Name))
}

// Pos is a place in a file of the repository. Line and Column count from 1;
// the zero Pos is "nowhere" (a default has no place).
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String gives "file:line:column", the file as it was given to the loader.
func (p Pos) String() string {
	if p.File == "" {
		return ""
	}
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// Fleet is everything the repository declares at one commit, resolved. It is
// not to be changed: the next Load gives the same clusters again where nothing
// in their documents changed, and clusters share what they take from a template.
type Fleet struct {
	Config    *Config    // the Config document of the repository; nil if it has none
	Templates []Template // sorted by name
	Clusters  []*Cluster // sorted by Key
	Warnings  Problems   // what may be acted on and is hardly meant; sorted, no errors
}

// Template is a ClusterTemplate as far as anything but resolution needs it.
type Template struct {
	Name TemplateName
	Pos  Pos

	// What Magnum knows of a template and no cluster inherits.
	Public bool   // visible to all projects
	Hidden bool   // left out of other people's lists
	Tags   string // free text
}

// Cluster is one cluster that should exist: its effective spec and the policy
// that says how and when to get there.
type Cluster struct {
	Key
	Pos         Pos // of the document
	Template    TemplateName
	Labels      map[string]string // metadata.labels, for people and selectors
	Annotations map[string]string
	Spec        Spec
	Policy      Policy

	// Secrets are the texts of the secret labels in Spec, by their digest. They
	// are in no other place: see secret.go.
	Secrets map[string]SecretText `json:"-"`

	// Origins says where an effective field was written, by field path as in
	// Spec's JSON ("image", "nodeGroups/gpu/flavor", "labels/kube_tag",
	// "policy/suspend"). A field that nobody wrote is absent: it is a default.
	Origins Origins
}

// Where is the position of an effective field: its own if it was written
// somewhere, else that of the cluster's document.
func (c *Cluster) Where(field string) Pos {
	if p, ok := c.Origins.At(field); ok {
		return p
	}
	return c.Pos
}

// Spec is what a cluster should be, after resolution. It is compared, hashed
// and stored with the live cluster, so it holds nothing that is only policy,
// and a field that a later release adds must be absent from the JSON while it
// is unset: the hash of an untouched cluster must not change with a release.
//
// Names and values are Magnum's (magnum/api/controllers/v1/cluster_template.py
// and cluster.py), in camelCase.
type Spec struct {
	COE                 string            `json:"coe"`                           // kubernetes, swarm, swarm-mode, mesos, docker
	ServerType          string            `json:"serverType"`                    // vm or bm
	Driver              string            `json:"driver,omitempty"`              // cluster type by name, ours or Magnum's; empty: image, server type and COE pick it
	Image               string            `json:"image"`                         // Glance name or id; its os_distro picks the cluster type
	Keypair             string            `json:"keypair,omitempty"`             // Nova keypair; belongs to the credential's user
	SSHPublicKeys       []string          `json:"sshPublicKeys,omitempty"`       // authorized_keys lines; the alternative a team can share
	ExternalNetwork     string            `json:"externalNetwork,omitempty"`     // router:external network for floating IPs and the router
	FixedNetwork        string            `json:"fixedNetwork,omitempty"`        // existing network; empty: a new one
	FixedSubnet         string            `json:"fixedSubnet,omitempty"`         // existing subnet of FixedNetwork
	DNSNameservers      []string          `json:"dnsNameservers,omitempty"`      // IP addresses
	NetworkDriver       string            `json:"networkDriver,omitempty"`       // flannel, calico, cilium, docker
	VolumeDriver        string            `json:"volumeDriver,omitempty"`        // cinder, rexray
	DockerStorageDriver string            `json:"dockerStorageDriver,omitempty"` // overlay2, overlay, devicemapper
	HTTPProxy           string            `json:"httpProxy,omitempty"`
	HTTPSProxy          string            `json:"httpsProxy,omitempty"`
	NoProxy             string            `json:"noProxy,omitempty"`
	APIServerPort       int               `json:"apiserverPort,omitempty"`
	DiscoveryURL        string            `json:"discoveryURL,omitempty"` // etcd discovery; Magnum only
	TLSDisabled         bool              `json:"tlsDisabled,omitempty"`
	RegistryEnabled     bool              `json:"registryEnabled,omitempty"`
	InsecureRegistry    string            `json:"insecureRegistry,omitempty"`
	MasterLBEnabled     bool              `json:"masterLBEnabled,omitempty"`
	FloatingIPEnabled   bool              `json:"floatingIPEnabled,omitempty"` // a floating IP for each node
	Labels              map[string]string `json:"labels,omitempty"`            // values as text, as Heat gets them
	SecretLabels        map[string]Secret `json:"secretLabels,omitempty"`      // labels whose text is in Cluster.Secrets; no key is in both
	Groups              []Group           `json:"nodeGroups"`                  // default-master (if any), default-worker, then the others by name
}

// Names of the groups that every cluster has, as Magnum calls them.
const (
	DefaultMaster = "default-master"
	DefaultWorker = "default-worker"
)

// Group is a set of nodes that are alike. Everything that a group inherits is
// filled in: its flavor is never empty because the template had one.
type Group struct {
	Name             string            `json:"name"`
	Role             string            `json:"role"` // master, worker, or any other word for workers of that role
	NodeCount        int               `json:"nodeCount"`
	MinNodeCount     int               `json:"minNodeCount,omitempty"`
	MaxNodeCount     int               `json:"maxNodeCount,omitempty"` // 0: no limit
	Image            string            `json:"image,omitempty"`        // only if it is not the cluster's
	Flavor           string            `json:"flavor"`
	DockerVolumeSize int               `json:"dockerVolumeSize,omitempty"` // GiB; 0: no volume
	Labels           map[string]string `json:"labels,omitzero"`            // only if they are not the cluster's; empty is not nil
	SecretLabels     map[string]Secret `json:"secretLabels,omitzero"`      // likewise
	NodeLabels       map[string]string `json:"nodeLabels,omitempty"`
	NodeTaints       []Taint           `json:"nodeTaints,omitempty"`
}

// Taint is a Kubernetes taint that the nodes of a group carry.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"` // NoSchedule, PreferNoSchedule, NoExecute
}

// Group gives the group of that name.
func (s *Spec) Group(name string) (Group, bool) {
	for _, g := range s.Groups {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

// ImageOf is the image that nodes of a group boot.
func (s *Spec) ImageOf(g Group) string { return cmp.Or(g.Image, s.Image) }

// LabelsOf are the labels that apply to nodes of a group.
func (s *Spec) LabelsOf(g Group) map[string]string {
	if g.Labels != nil {
		return g.Labels
	}
	return s.Labels
}

// SecretsOf are the secret labels that apply to nodes of a group.
func (s *Spec) SecretsOf(g Group) map[string]Secret {
	if g.SecretLabels != nil {
		return g.SecretLabels
	}
	return s.SecretLabels
}

// Nodes is how many nodes groups of that role class have: masters, or all the
// others.
func (s *Spec) Nodes(master bool) int {
	n := 0
	for _, g := range s.Groups {
		if (g.Role == "master") == master {
			n += g.NodeCount
		}
	}
	return n
}

// Hash identifies an effective spec: 16 hex digits of the SHA-256 over its
// JSON, whose field and key order is fixed.
func (s *Spec) Hash() string { return Digest(s) }

// Same says that two specs have one hash. Most specs of a fleet are alike in
// every bit, which is known long before their JSON is made.
func (s *Spec) Same(o *Spec) bool { return reflect.DeepEqual(s, o) || s.Hash() == o.Hash() }

// Digest is 16 hex digits of the SHA-256 over v's JSON. v must be plain data.
func Digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("schema: digest of a value that is not plain data: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// Policy says how and when a cluster may be changed. Nothing in it is part of
// what the cluster is, so a change here is never a step.
type Policy struct {
	DeletionProtection bool            `json:"deletionProtection"`
	Suspend            bool            `json:"suspend,omitempty"`
	Suspension         Suspension      `json:"suspension,omitzero"`     // more about Suspend, as far as it is said
	CreateTimeout      int             `json:"createTimeout"`           // minutes, of create only; as Magnum's create_timeout
	MaxBatchSize       int             `json:"maxBatchSize"`            // workers replaced at once in an upgrade; Magnum's max_batch_size
	NodesToRemove      []string        `json:"nodesToRemove,omitempty"` // node names that go first when a group shrinks
	PreviousNames      []ClusterName   `json:"previousNames,omitempty"`
	Maintenance        *Maintenance    `json:"maintenance,omitempty"`
	Schedules          []GroupSchedule `json:"schedules,omitempty"` // sorted by group
}

// Maintenance is a recurring window outside of which nothing disruptive starts.
type Maintenance struct {
	Cron     string `json:"cron"`     // five fields, in TimeZone
	Duration string `json:"duration"` // as time.ParseDuration
	TimeZone string `json:"timeZone"` // IANA name; UTC by default
}

// String is when the window opens and how long it lasts.
func (m Maintenance) String() string { return m.Cron + " " + m.TimeZone + " for " + m.Duration }

// Suspension is until when, by whom and why a cluster is left alone.
type Suspension struct {
	Until  string `json:"until,omitempty"` // a date or RFC 3339 time; empty: until it is removed
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// String is "suspended by ops until 2026-12-01, the disks are being replaced".
func (s Suspension) String() string {
	var text strings.Builder
	text.WriteString("suspended")
	for _, part := range [][2]string{{" by ", s.By}, {" until ", s.Until}, {", ", s.Reason}} {
		if part[1] != "" {
			text.WriteString(part[0] + part[1])
		}
	}
	return text.String()
}

// End is when it ends: a date does as it begins, in UTC. False if it does not end
// by itself.
func (s Suspension) End() (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s.Until); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// GroupSchedule sets a group's size from a point in time on.
type GroupSchedule struct {
	Group     string `json:"group"`
	Cron      string `json:"cron"`
	TimeZone  string `json:"timeZone"`
	NodeCount int    `json:"nodeCount"`
}
