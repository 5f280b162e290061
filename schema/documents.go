package schema

// The documents as they are written, before resolution. What may be left out
// and is not the same as its zero value is a pointer. The names are those of
// the JSON Schemas; kind.compile refuses a schema and a type that differ.

type header struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
}

type metadata struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

type templateDoc struct {
	header
	Spec templateSpec `json:"spec"`
}

type templateSpec struct {
	COE                 string                `json:"coe"`
	Driver              string                `json:"driver"`
	Image               string                `json:"image"`
	Flavor              string                `json:"flavor"`
	MasterFlavor        string                `json:"masterFlavor"`
	Keypair             string                `json:"keypair"`
	SSHPublicKeys       []string              `json:"sshPublicKeys"`
	ExternalNetwork     string                `json:"externalNetwork"`
	FixedNetwork        string                `json:"fixedNetwork"`
	FixedSubnet         string                `json:"fixedSubnet"`
	DNSNameservers      []string              `json:"dnsNameservers"`
	NetworkDriver       string                `json:"networkDriver"`
	VolumeDriver        string                `json:"volumeDriver"`
	DockerVolumeSize    int                   `json:"dockerVolumeSize"`
	DockerStorageDriver string                `json:"dockerStorageDriver"`
	ServerType          string                `json:"serverType"`
	APIServerPort       int                   `json:"apiserverPort"`
	HTTPProxy           string                `json:"httpProxy"`
	HTTPSProxy          string                `json:"httpsProxy"`
	NoProxy             string                `json:"noProxy"`
	Labels              map[string]string     `json:"labels"`
	SecretLabels        map[string]secretSpec `json:"secretLabels"`
	TLSDisabled         bool                  `json:"tlsDisabled"`
	RegistryEnabled     bool                  `json:"registryEnabled"`
	InsecureRegistry    string                `json:"insecureRegistry"`
	MasterLBEnabled     bool                  `json:"masterLBEnabled"`
	FloatingIPEnabled   *bool                 `json:"floatingIPEnabled"`
	Public              bool                  `json:"public"`
	Hidden              bool                  `json:"hidden"`
	Tags                string                `json:"tags"`
	Maintenance         *Maintenance          `json:"maintenance"`
}

type clusterDoc struct {
	header
	Spec clusterSpec `json:"spec"`
}

type clusterSpec struct {
	Cloud              CloudName             `json:"cloud"`
	Template           TemplateName          `json:"template"`
	MasterCount        *int                  `json:"masterCount"`
	NodeCount          *int                  `json:"nodeCount"`
	Keypair            string                `json:"keypair"`
	SSHPublicKeys      []string              `json:"sshPublicKeys"`
	Flavor             string                `json:"flavor"`
	MasterFlavor       string                `json:"masterFlavor"`
	DockerVolumeSize   int                   `json:"dockerVolumeSize"`
	Labels             map[string]string     `json:"labels"`
	SecretLabels       map[string]secretSpec `json:"secretLabels"`
	MergeLabels        *bool                 `json:"mergeLabels"`
	FixedNetwork       string                `json:"fixedNetwork"`
	FixedSubnet        string                `json:"fixedSubnet"`
	FloatingIPEnabled  *bool                 `json:"floatingIPEnabled"`
	MasterLBEnabled    *bool                 `json:"masterLBEnabled"`
	CreateTimeout      *int                  `json:"createTimeout"`
	DiscoveryURL       string                `json:"discoveryURL"`
	MaxBatchSize       int                   `json:"maxBatchSize"`
	NodesToRemove      []string              `json:"nodesToRemove"`
	NodeGroups         []groupSpec           `json:"nodeGroups"`
	Maintenance        *Maintenance          `json:"maintenance"`
	DeletionProtection *bool                 `json:"deletionProtection"`
	Suspend            *suspendSpec          `json:"suspend"`
	PreviousNames      []ClusterName         `json:"previousNames"`
}

// secretSpec says where a secret label's value is.
type secretSpec struct {
	Env  string `json:"env"`
	File string `json:"file"`
}

// suspendSpec is true, false or a mapping, which means true.
type suspendSpec struct {
	Suspension
	Said *bool `json:"-"` // true or false; nil: it was a mapping
}

func (s *suspendSpec) holds() bool { return s != nil && (s.Said == nil || *s.Said) }

type groupSpec struct {
	Name             string            `json:"name"`
	Role             string            `json:"role"`
	NodeCount        *int              `json:"nodeCount"`
	MinNodeCount     int               `json:"minNodeCount"`
	MaxNodeCount     int               `json:"maxNodeCount"`
	Image            string            `json:"image"`
	Flavor           string            `json:"flavor"`
	DockerVolumeSize int               `json:"dockerVolumeSize"`
	Labels           map[string]string `json:"labels"`
	MergeLabels      *bool             `json:"mergeLabels"`
	NodeLabels       map[string]string `json:"nodeLabels"`
	NodeTaints       []Taint           `json:"nodeTaints"`
	Schedule         []scheduleSpec    `json:"schedule"`
}

type scheduleSpec struct {
	Cron      string `json:"cron"`
	TimeZone  string `json:"timeZone"`
	NodeCount int    `json:"nodeCount"`
}

type configDoc struct {
	header
	Spec Config `json:"spec"`
}
