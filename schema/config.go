package schema

import (
	"cmp"
	"maps"
	"path/filepath"
)

// Config is the daemon's configuration, one document (jeroboam.yaml),
// validated like the rest. Every setting is also a flag. It holds no secrets:
// those come from the environment, from files or from clouds.yaml.
type Config struct {
	Pos      Pos      `json:"-"`
	Warnings Problems `json:"-"` // of ParseConfig: what is hardly meant; a Loader tells them with those of a fleet

	Instance   string                    `json:"instance"`   // names this daemon, its state and its status branch; default "default"
	Owner      string                    `json:"owner"`      // whose clusters: written on every stack; default the instance
	Repository Repository                `json:"repository"` // where the fleet is read from
	Status     StatusConfig              `json:"status"`     // where status is written to
	Clouds     map[CloudName]CloudConfig `json:"clouds,omitempty"`
	Limits     Limits                    `json:"limits"`
	StateDir   string                    `json:"stateDir,omitempty"` // default $XDG_STATE_HOME/jeroboam/<instance>
}

// Repository says which tree of which branch is the fleet.
type Repository struct {
	URL    string `json:"url,omitempty"`    // https, http or file URL, or a local path
	Branch string `json:"branch,omitempty"` // default: the remote's HEAD
	Path   string `json:"path,omitempty"`   // folder below the root; default the root
}

// StatusConfig says how status is committed.
type StatusConfig struct {
	Disabled bool   `json:"disabled,omitempty"`
	Branch   string `json:"branch,omitempty"` // default jeroboam-status/<instance>
	Author   string `json:"author,omitempty"` // "Name <mail>"
}

// CloudConfig is what a cloud of clouds.yaml needs beyond its credentials.
type CloudConfig struct {
	Driver string `json:"driver,omitempty"` // heat (default) or magnum

	// Labels that a Magnum driver of this cloud knows and the catalogue does
	// not: drivers come from elsewhere too.
	Labels []string `json:"labels,omitempty"`

	// ApplicationCredentialTrusts says that this cloud's Keystone lets an
	// application credential create the trust that Heat needs. Current
	// Keystones refuse it by default, which Heat shows only as an internal
	// error, so without this word such a credential creates nothing.
	ApplicationCredentialTrusts bool `json:"applicationCredentialTrusts,omitempty"`

	Keys        KeyStore    `json:"keys,omitempty"`        // unset: Barbican, where the cloud has one
	KeyDelivery KeyDelivery `json:"keyDelivery,omitempty"` // unset: DeliverCredential

	EtcdHealth EtcdHealth `json:"etcdHealth,omitempty"` // unset: EtcdHealthAPI
}

// KeyStore is where the keys of a cloud's Kubernetes clusters are kept. Whoever
// reads them owns the clusters.
type KeyStore string

// The key stores. Nothing is chosen for a cloud without Barbican: on a disk of
// ours keys need a backup, and that is for people to know.
const (
	KeysBarbican KeyStore = "barbican"
	KeysLocal    KeyStore = "local" // below Config.StateDir
)

// KeyDelivery is how a master gets the keys when it boots.
type KeyDelivery string

// The ways. In user data keys are readable by everybody who may read the
// project's stacks or servers, for the life of the cluster.
const (
	DeliverCredential KeyDelivery = "credential" // it reads them from Barbican, for as long as a boot may take
	DeliverUserData   KeyDelivery = "userData"
)

// EtcdHealth is what says that etcd is well before a master is replaced.
type EtcdHealth string

// The ways to know. What Heat and Nova know is that masters reported success at
// their last boot and that their servers run.
const (
	EtcdHealthAPI  EtcdHealth = "api"
	EtcdHealthHeat EtcdHealth = "heat"
)

// KeyDir is where keys are kept that are kept locally; empty without a StateDir.
func (c *Config) KeyDir() string {
	if c.StateDir == "" {
		return ""
	}
	return filepath.Join(c.StateDir, "keys")
}

// Limits bound what one run and one day may destroy or disturb. Zero means the
// default that the comment gives; there is no "unlimited".
type Limits struct {
	DeletesPerRun     int `json:"deletesPerRun,omitempty"`     // 1, a cloud
	DeletesPerDay     int `json:"deletesPerDay,omitempty"`     // 3, a cloud and 24 hours
	DeletePercent     int `json:"deletePercent,omitempty"`     // 20 of a cloud's clusters, at least one
	DisruptivePercent int `json:"disruptivePercent,omitempty"` // 20 of a cloud's clusters, at least one, a run
	ShrinkPercent     int `json:"shrinkPercent,omitempty"`     // 50 of a group's nodes, at least one, a step
}

// WithDefaults fills in what is unset.
func (l Limits) WithDefaults() Limits {
	for _, f := range []struct {
		v *int
		d int
	}{{&l.DeletesPerRun, 1}, {&l.DeletesPerDay, 3}, {&l.DeletePercent, 20}, {&l.DisruptivePercent, 20}, {&l.ShrinkPercent, 50}} {
		if *f.v == 0 {
			*f.v = f.d
		}
	}
	return l
}

// ParseConfig reads a configuration file: exactly one Config document. The
// error is Problems. Defaults are filled in, but for StateDir, which depends on
// the environment.
func ParseConfig(path string, data []byte) (*Config, error) {
	c := newParser().parse(data)
	for i := range c.problems {
		c.problems[i].Pos.File = path
	}
	var config *Config
	for _, d := range c.docs {
		p := placed{d, path}
		switch {
		case d.config == nil:
			c.problems = append(c.problems, Problemf(p.start(), CodeKind, "expected a Config document only"))
		case config != nil:
			c.problems = append(c.problems, Problemf(p.start(), CodeDuplicate, "another Config is in %s", config.Pos))
		default:
			config = p.effectiveConfig()
		}
	}
	if config == nil && !c.problems.Errors() {
		c.problems = append(c.problems, Problemf(Pos{File: path}, CodeKind, "expected a Config document, found none"))
	}
	if c.problems.Errors() {
		c.problems.Sort()
		return nil, c.problems
	}
	config.Warnings = c.problems
	return config, nil
}

// effectiveConfig is the configuration of a document with its defaults.
func (p placed) effectiveConfig() *Config {
	c := p.config.Spec
	c.Pos = p.start()
	c.Instance = cmp.Or(c.Instance, "default")
	c.Owner = cmp.Or(c.Owner, c.Instance)
	c.Status.Branch = cmp.Or(c.Status.Branch, "jeroboam-status/"+c.Instance)
	c.Limits = c.Limits.WithDefaults()
	c.Clouds = maps.Clone(c.Clouds)
	for name, cloud := range c.Clouds {
		cloud.Driver = cmp.Or(cloud.Driver, "heat")
		c.Clouds[name] = cloud
	}
	return &c
}
