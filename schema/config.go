package schema

import (
	"cmp"
	"maps"
	"path/filepath"
	"time"
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
	// Maintenance is the window of clusters that have none and whose template has
	// none, and of deletes, whose documents are gone; nil: at any time.
	Maintenance *Maintenance `json:"maintenance,omitempty"`

	Sync     SyncConfig `json:"sync,omitzero"`
	Webhooks []Webhook  `json:"webhooks,omitempty"`
	Listen   string     `json:"listen,omitempty"` // address of health, metrics and webhooks; empty: none is opened

	StateDir string `json:"stateDir,omitempty"` // default $XDG_STATE_HOME/jeroboam/<instance>

	Sources []Source `json:"sources,omitempty"` // instead of Instance, Owner and Repository: see Instances
}

// SyncConfig says when the daemon looks at the repository and the clouds.
type SyncConfig struct {
	Cron     string `json:"cron,omitempty"`     // when the branch is looked at; default DefaultSync
	TimeZone string `json:"timeZone,omitempty"` // of Cron; default UTC
	Jitter   string `json:"jitter,omitempty"`   // by how much at most Cron is delayed; default DefaultJitter
	Missed   string `json:"missed,omitempty"`   // once (default) or skip: what becomes of times at which it was down

	DriftInterval string `json:"driftInterval,omitempty"` // how often clouds are looked at when nothing changed; default DefaultDrift
	Drift         string `json:"drift,omitempty"`         // correct (default) or report
}

// What the daemon does when it is not told otherwise.
const (
	DefaultSync   = "* * * * *"
	DefaultJitter = "20s"
	DefaultDrift  = "10m"

	DriftCorrect = "correct" // SyncConfig.Drift
	DriftReport  = "report"  // what others changed is shown and left
)

// WithDefaults fills in what is unset.
func (s SyncConfig) WithDefaults() SyncConfig {
	s.Cron, s.TimeZone = cmp.Or(s.Cron, DefaultSync), cmp.Or(s.TimeZone, "UTC")
	s.Missed, s.Drift = cmp.Or(s.Missed, "once"), cmp.Or(s.Drift, DriftCorrect)
	s.Jitter, s.DriftInterval = cmp.Or(s.Jitter, DefaultJitter), cmp.Or(s.DriftInterval, DefaultDrift)
	return s
}

// Webhook is somebody who may ask for a sync over HTTP, at /hooks/<name>.
type Webhook struct {
	Name   string       `json:"name"`
	Type   string       `json:"type"` // github, gitlab, gitea or generic: how the request shows that it knows the secret
	Secret SecretSource `json:"secret"`
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

	Drain Drain `json:"drain,omitzero"`
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

// Drain says how nodes of Kubernetes are emptied before they are replaced or
// removed. Magnum's upgrade of 2023 drained with --force and --delete-local-data,
// which is evict and lose; kubectl refuses both unless it is told to.
type Drain struct {
	Minutes int `json:"minutes,omitempty"` // what it may take until somebody has to look; unset: 30
	// LonePods are pods that no controller makes again.
	LonePods LonePods `json:"lonePods,omitempty"` // unset: LonePodsHold
	// EmptyDirData is what pods keep in volumes of kind emptyDir, which end with the
	// pod by definition.
	EmptyDirData EmptyDirData `json:"emptyDirData,omitempty"` // unset: EmptyDirLose
}

// Limit is how long a drain may take.
func (d Drain) Limit() time.Duration { return time.Duration(cmp.Or(d.Minutes, 30)) * time.Minute }

// LonePods is what becomes of a drain that meets pods without a controller.
type LonePods string

// The choices.
const (
	LonePodsHold  LonePods = "hold"  // nothing is drained until they are gone or somebody acknowledged it
	LonePodsEvict LonePods = "evict" // they go like others, and do not come back
)

// EmptyDirData is what becomes of a drain that meets pods with such volumes.
type EmptyDirData string

// The choices.
const (
	EmptyDirLose EmptyDirData = "lose"
	EmptyDirHold EmptyDirData = "hold"
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
	DeletesPerRun     int `json:"deletesPerRun,omitempty"`     // 1, all clouds together
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

// withDefaults is a copy with what was left out; nil stays nil.
func (m *Maintenance) withDefaults() *Maintenance {
	if m == nil {
		return nil
	}
	return &Maintenance{Cron: m.Cron, Duration: m.Duration, TimeZone: cmp.Or(m.TimeZone, "UTC")}
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
	if len(c.Sources) == 0 {
		c.Instance = cmp.Or(c.Instance, "default")
		c.Owner = cmp.Or(c.Owner, c.Instance)
		c.Status.Branch = cmp.Or(c.Status.Branch, "jeroboam-status/"+c.Instance)
	}
	c.Limits = c.Limits.WithDefaults()
	c.Maintenance = c.Maintenance.withDefaults()
	c.Sync = c.Sync.WithDefaults()
	c.Clouds = maps.Clone(c.Clouds)
	for name, cloud := range c.Clouds {
		cloud.Driver = cmp.Or(cloud.Driver, "heat")
		c.Clouds[name] = cloud
	}
	return &c
}
