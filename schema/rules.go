package schema

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// A checker applies the rules of one document that its JSON Schema cannot say:
// those over several fields, and those about what a text means.
type checker struct {
	kind     *kind
	root     *yaml.Node
	clock    *clockTexts
	problems Problems
}

// report notes a problem with what a JSON pointer leads to, or with the object
// in which it is missing. What is already known to be wrong is not told twice.
func (c *checker) report(code Code, pointer, hint, format string, args ...any) {
	s := c.kind.find(c.root, pointerParts(pointer))
	p := s.problem(code, s.value, fmt.Sprintf(format, args...), hint)
	p.Pointer = pointer
	if !c.problems.at(p.Pos) {
		c.problems = append(c.problems, p)
	}
}

// networkDrivers are what each engine can use, the default first
// (magnum/api/attr_validator.py and its settings). Plain Docker hosts are ours:
// they have the network that Docker makes.
func networkDrivers(coe string) []string {
	switch coe {
	case "kubernetes":
		return []string{"flannel", "calico", "cilium"}
	case "swarm":
		return []string{"docker", "flannel"}
	case "swarm-mode", "mesos", "docker":
		return []string{"docker"}
	}
	return nil
}

func volumeDrivers(coe string) []string {
	switch coe {
	case "kubernetes":
		return []string{"cinder"}
	case "swarm", "swarm-mode", "mesos", "docker":
		return []string{"rexray"}
	}
	return nil
}

// minDevicemapper is the smallest volume, in GiB, that devicemapper can use, as
// in Magnum.
const minDevicemapper = 3

func (c *checker) template(t *templateSpec) {
	c.driver("networkDriver", t.COE, t.NetworkDriver, networkDrivers(t.COE))
	c.driver("volumeDriver", t.COE, t.VolumeDriver, volumeDrivers(t.COE))
	c.keys(t.SSHPublicKeys)
	for i, s := range t.DNSNameservers {
		c.nameserver(i, s)
	}
	c.proxy("httpProxy", t.HTTPProxy)
	c.proxy("httpsProxy", t.HTTPSProxy)
	c.noProxy(t.NoProxy)
	c.registry(t.InsecureRegistry)
	c.tls(t)
	c.clusterType(t)
	if t.DockerStorageDriver == "devicemapper" && t.DockerVolumeSize > 0 && t.DockerVolumeSize < minDevicemapper {
		c.report(CodeVolumeSize, "/spec/dockerVolumeSize", "", "devicemapper needs at least %d GiB, found %d", minDevicemapper, t.DockerVolumeSize)
	}
	if t.COE == "docker" && t.MasterFlavor != "" {
		c.report(CodeNoMasters, "/spec/masterFlavor", "leave it out", "coe docker has no masters")
	}
	c.labels(child(child(c.root, "spec"), "labels"), "/spec/labels")
	c.secretLabels(t.Labels, t.SecretLabels)
	c.maintenance(t.Maintenance)
}

func (c *checker) driver(field, coe, value string, allowed []string) {
	if value != "" && allowed != nil && !slices.Contains(allowed, value) {
		c.report(CodeDriver, "/spec/"+field, "", "coe %s works with %s, found %q", coe, strings.Join(allowed, ", "), value)
	}
}

func (c *checker) cluster(d *clusterDoc) {
	s := &d.Spec
	if s.MasterCount != nil && *s.MasterCount%2 == 0 {
		c.report(CodeEvenMasters, "/spec/masterCount", fmt.Sprintf("take %d or %d", *s.MasterCount-1, *s.MasterCount+1),
			"expected an odd number of masters, found %d: etcd gains nothing from an even one", *s.MasterCount)
	}
	c.keys(s.SSHPublicKeys)
	spec := child(c.root, "spec")
	c.labels(child(spec, "labels"), "/spec/labels")
	c.secretLabels(s.Labels, s.SecretLabels)
	for i := range s.NodeGroups {
		n := child(spec, "nodeGroups").Content[i]
		c.group(s, i, n, "/spec/nodeGroups/"+strconv.Itoa(i))
	}
	c.maintenance(s.Maintenance)
	if s.Suspend.holds() {
		c.suspension(s.Suspend)
	}
	if i := slices.Index(s.PreviousNames, ClusterName(d.Metadata.Name)); i >= 0 {
		c.report(CodePreviousNames, "/spec/previousNames/"+strconv.Itoa(i), "remove it", "%q is the present name", d.Metadata.Name)
	}
}

func (c *checker) group(s *clusterSpec, index int, n *yaml.Node, at string) {
	before, g := s.NodeGroups[:index], &s.NodeGroups[index]
	nodes, counted := orDefault(g.NodeCount, 1), at+"/nodeCount"
	switch g.Name {
	case DefaultWorker:
		nodes, counted = orDefault(s.NodeCount, 1), "/spec/nodeCount"
		for _, field := range ownFields() {
			if child(n, field) != nil {
				c.report(CodeGroup, at+"/"+field, "set "+field+" in spec", "the group %s has its %s in spec", g.Name, field)
			}
		}
	case DefaultMaster:
		c.report(CodeGroup, at+"/name", "set masterCount and masterFlavor in spec", "every cluster with masters has the group %s", g.Name)
	}
	if slices.ContainsFunc(before, func(o groupSpec) bool { return o.Name == g.Name }) {
		c.report(CodeGroup, at+"/name", "names of groups differ", "the cluster has another group %q", g.Name)
	}
	if g.Role == "master" {
		c.report(CodeGroup, at+"/role", "set masterCount for more masters", "a group of its own cannot hold masters")
	}
	if g.MaxNodeCount > 0 && g.MinNodeCount > g.MaxNodeCount {
		c.report(CodeNodeCount, at+"/minNodeCount", "", "minNodeCount %d is more than maxNodeCount %d", g.MinNodeCount, g.MaxNodeCount)
	} else {
		c.count(g, nodes, counted)
	}
	c.schedule(g, at)
	c.labels(child(n, "labels"), at+"/labels")
	c.taints(g, at)
	for key := range g.NodeLabels {
		if reservedNodeLabel(key) {
			c.report(CodeNodeLabel, at+"/nodeLabels/"+escape(key), "use a domain of your own", "Kubernetes keeps %q for itself", key)
		}
	}
}

// ownFields are those of a group that default-worker has in spec, where Magnum
// has them. A document of default-worker among nodeGroups is for the others.
func ownFields() []string { return []string{"nodeCount", "flavor", "dockerVolumeSize", "role"} }

func (c *checker) count(g *groupSpec, n int, at string) {
	if n < g.MinNodeCount {
		c.report(CodeNodeCount, at, "", "%d nodes are less than minNodeCount %d", n, g.MinNodeCount)
	}
	if g.MaxNodeCount > 0 && n > g.MaxNodeCount {
		c.report(CodeNodeCount, at, "", "%d nodes are more than maxNodeCount %d", n, g.MaxNodeCount)
	}
}

// reservedNodeLabel follows Magnum's rule, which is the kubelet's: below
// kubernetes.io and k8s.io a node may set its own namespaces and a fixed list.
func reservedNodeLabel(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok || !inDomain(domain, "kubernetes.io") && !inDomain(domain, "k8s.io") {
		return false
	}
	if inDomain(domain, "kubelet.kubernetes.io") || inDomain(domain, "node.kubernetes.io") {
		return false
	}
	return !slices.Contains([]string{
		"kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os",
		"beta.kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type",
		"topology.kubernetes.io/region", "topology.kubernetes.io/zone",
		"failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
	}, key)
}

func inDomain(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// keys checks lines of authorized_keys. What is not one is never repeated in
// the message: it may be a private key.
func (c *checker) keys(lines []string) {
	for i, line := range lines {
		at := "/spec/sshPublicKeys/" + strconv.Itoa(i)
		switch {
		case strings.Contains(line, "PRIVATE KEY"):
			c.report(CodePublicKey, at, "it is in the repository's history now: replace the key pair", "this is a private key")
		case !publicKey(strings.TrimSpace(line)):
			c.report(CodePublicKey, at, "copy the line of a .pub file", "expected an SSH public key: type, base64, comment")
		}
	}
}

// publicKey tells whether a line has the shape of a public key: the type stands
// in front and again inside the base64 (RFC 4253, section 6.6).
func publicKey(line string) bool {
	parts := strings.Fields(line)
	if len(parts) < 2 || strings.ContainsAny(line, "\r\n") {
		return false
	}
	blob, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil || len(blob) < 4 {
		return false
	}
	n := binary.BigEndian.Uint32(blob)
	return uint64(n) == uint64(len(parts[0])) && len(blob) > 4+len(parts[0]) && string(blob[4:4+n]) == parts[0]
}

// The lengths of a maintenance window. In a shorter one nothing could start,
// since nothing starts in its last quarter of an hour; a longer one is always open.
const (
	minWindow = 30 * time.Minute
	maxWindow = 7 * 24 * time.Hour
)

func (c *checker) maintenance(m *Maintenance) {
	if m == nil {
		return
	}
	c.cron(m.Cron, "/spec/maintenance/cron")
	c.timeZone(m.TimeZone, "/spec/maintenance/timeZone")
	d, err := time.ParseDuration(m.Duration)
	switch {
	case err != nil:
		c.report(CodeDuration, "/spec/maintenance/duration", "", "expected a duration such as 90m or 4h, found %q", short(m.Duration))
	case d < minWindow || d > maxWindow:
		c.report(CodeDuration, "/spec/maintenance/duration", "", "expected between 30m and 168h, found %q", short(m.Duration))
	}
}

// suspension checks what its pattern cannot: that there is such a day.
func (c *checker) suspension(s *suspendSpec) {
	if _, ends := s.End(); s.Until != "" && !ends {
		c.report(CodeForm, "/spec/suspend/until", "", "expected a date such as 2026-12-01, or a time such as 2026-12-01T08:00:00Z, found %q", short(s.Until))
	}
}

// schedule checks the entries of a group together.
func (c *checker) schedule(g *groupSpec, at string) {
	for i, s := range g.Schedule {
		entry := at + "/schedule/" + strconv.Itoa(i)
		c.cron(s.Cron, entry+"/cron")
		c.timeZone(s.TimeZone, entry+"/timeZone")
		c.count(g, s.NodeCount, entry+"/nodeCount")
		before := slices.IndexFunc(g.Schedule[:i], func(o scheduleSpec) bool {
			return strings.TrimSpace(o.Cron) == strings.TrimSpace(s.Cron) && cmp.Or(o.TimeZone, "UTC") == cmp.Or(s.TimeZone, "UTC")
		})
		if before >= 0 {
			c.report(CodeCron, entry+"/cron", "leave one of them out", "entry %d comes at the same times, and the later one always wins", before)
		}
	}
	if len(g.Schedule) > 0 && !c.problems.Errors() && !slices.ContainsFunc(g.Schedule, func(s scheduleSpec) bool { return s.NodeCount != g.Schedule[0].NodeCount }) {
		c.report(CodeIdle, at+"/schedule", fmt.Sprintf("set nodeCount: %d instead, or add an entry with another size", g.Schedule[0].NodeCount),
			"no entry has another size, so the group has %d nodes at all times, whatever nodeCount says", g.Schedule[0].NodeCount)
	}
}

func (c *checker) cron(text, at string) {
	if p := c.clock.cron(text); p != (clockProblem{}) {
		c.report(CodeCron, at, p.hint, "%s", p.message)
	}
}

func (c *checker) timeZone(name, at string) {
	if p := c.clock.zone(name); p != (clockProblem{}) {
		c.report(CodeTimeZone, at, p.hint, "%s", p.message)
	}
}

// clockTexts remembers what it thinks of cron expressions and time zones: a
// fleet has few, and a zone is read from a file.
type clockTexts struct {
	crons, zones map[string]clockProblem
}

type clockProblem struct{ message, hint string }

func (c *clockTexts) cron(text string) clockProblem {
	p, ok := c.crons[text]
	if !ok {
		p = cronProblem(text)
		c.crons[text] = p
	}
	return p
}

func (c *clockTexts) zone(name string) clockProblem {
	p, ok := c.zones[name]
	if !ok {
		p = zoneProblem(name)
		c.zones[name] = p
	}
	return p
}

func cronProblem(text string) clockProblem {
	trimmed := strings.TrimSpace(text)
	switch {
	// The parser cuts the zone off at a space and panics if there is none.
	case strings.HasPrefix(trimmed, "TZ=") || strings.HasPrefix(trimmed, "CRON_TZ="):
		return clockProblem{"a cron expression has no time zone here", "use timeZone"}
	case strings.HasPrefix(trimmed, "@every"):
		return clockProblem{"@every counts from when the daemon starts", "use five cron fields"}
	}
	schedule, err := cron.ParseStandard(trimmed)
	if err != nil {
		return clockProblem{
			fmt.Sprintf("not a cron expression: %s", short(err.Error())),
			"five fields: minute, hour, day of month, month, day of week",
		}
	}
	// The parser takes 30 February and looks for it for five years.
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return clockProblem{fmt.Sprintf("the cron expression %q never comes true", short(text)), ""}
	}
	return clockProblem{}
}

func zoneProblem(name string) clockProblem {
	if name == "Local" {
		return clockProblem{`"Local" depends on the machine`, "name the zone, such as Europe/Berlin"}
	}
	if _, err := time.LoadLocation(name); err != nil {
		return clockProblem{fmt.Sprintf("unknown time zone %q", short(name)), "an IANA name such as Europe/Berlin or UTC"}
	}
	return clockProblem{}
}

func (c *checker) config(s *Config) {
	if len(s.Sources) > 0 {
		c.sources(s)
	}
	c.repository(&s.Repository, "/spec/repository")
	c.status(&s.Status, "/spec/status")
	c.sameBranch(&s.Repository, &s.Status, "/spec/status")
	for _, name := range slices.Sorted(maps.Keys(s.Clouds)) {
		c.keyStore(name, s.Clouds[name])
	}
	c.maintenance(s.Maintenance)
	c.sync(&s.Sync)
	for i, w := range s.Webhooks {
		c.webhook(s.Webhooks[:i], w, "/spec/webhooks/"+strconv.Itoa(i))
	}
}

// The bounds of what the daemon does by the clock: a longer jitter than an hour
// is another schedule, and servers are not listed more often than once a minute.
const (
	maxJitter = time.Hour
	minDrift  = time.Minute
	maxDrift  = 24 * time.Hour
)

func (c *checker) sync(s *SyncConfig) {
	if s.Cron != "" {
		c.cron(s.Cron, "/spec/sync/cron")
	}
	c.timeZone(s.TimeZone, "/spec/sync/timeZone")
	c.duration(s.Jitter, "/spec/sync/jitter", 0, maxJitter)
	c.duration(s.DriftInterval, "/spec/sync/driftInterval", minDrift, maxDrift)
}

func (c *checker) duration(text, at string, from, to time.Duration) {
	if d, err := time.ParseDuration(text); text != "" && (err != nil || d < from || d > to) {
		c.report(CodeDuration, at, "", "expected a duration from %s to %s, found %q", shortTime(from), shortTime(to), short(text))
	}
}

// shortTime is a duration as people write it: 1h, not 1h0m0s.
func shortTime(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if cut, ok := strings.CutSuffix(s, zero); ok {
			s = cut + zero[:1]
		}
	}
	return s
}

func (c *checker) webhook(before []Webhook, w Webhook, at string) {
	if slices.ContainsFunc(before, func(o Webhook) bool { return o.Name == w.Name }) {
		c.report(CodeDuplicate, at+"/name", "", "another webhook is named %q", w.Name)
	}
	if !w.Secret.Set() {
		c.report(CodeSecretReference, at+"/secret", "", "expected one of env and file")
	}
	c.secretSource(w.Secret, at+"/secret")
}

// keyStore finds keys that nobody could fetch, and those that too many can.
func (c *checker) keyStore(name CloudName, cloud CloudConfig) {
	at := "/spec/clouds/" + string(name)
	switch {
	case cloud.Driver == "magnum" && cloud.Keys != "":
		c.report(CodeIdle, at+"/keys", "leave it out", "Magnum keeps the keys of its clusters itself")
	case cloud.Driver == "magnum" && cloud.KeyDelivery != "":
		c.report(CodeIdle, at+"/keyDelivery", "leave it out", "Magnum delivers the keys of its clusters itself")
	case cloud.KeyDelivery == DeliverUserData:
		c.report(CodeInsecure, at+"/keyDelivery", "use credential where the cloud has Barbican",
			"everybody in the project can read the keys of its Kubernetes clusters, and with them owns the clusters")
	case cloud.Keys == KeysLocal:
		c.report(CodeKeyDelivery, at+"/keys", "set keyDelivery: userData beside it, with which everybody in the project can read them, or keys: barbican",
			"no node can fetch keys that are kept locally")
	}
}

func orDefault[T any](p *T, otherwise T) T {
	if p != nil {
		return *p
	}
	return otherwise
}
