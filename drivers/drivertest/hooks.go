package drivertest

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// What tests do to a Memory behind the drivers' back. A cluster that is not
// there is left alone.

// FailBoot makes boots of nodes whose name begins so fail, until undo.
func (m *Memory) FailBoot(name, reason string) (undo func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	n := m.made
	m.boots[n] = bootFault{name, reason}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.boots, n)
	}
}

// Fault makes the cloud misbehave until undo.
func (m *Memory) Fault(f Fault) (undo func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ended := make(chan struct{})
	m.faults[f] = ended
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(ended)
		delete(m.faults, f)
	}
}

// LoseAnswer carries out the n-th write from now and loses its answer.
func (m *Memory) LoseAnswer(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lose = n
}

// Writes counts the steps that were accepted.
func (m *Memory) Writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// Names gives the names of all clusters that are there, sorted; whoever's.
func (m *Memory) Names() []schema.ClusterName {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []schema.ClusterName
	for _, c := range m.clusters {
		names = append(names, c.name)
	}
	slices.Sort(names)
	return names
}

// SetPlace makes the same entry of clouds.yaml mean another project.
func (m *Memory) SetPlace(p drivers.Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.place = p
}

// AddForeign puts something of others on a name.
func (m *Memory) AddForeign(name schema.ClusterName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clusters["/"+string(name)] = &live{name: name, Observed: diff.Observed{
		ID: m.id("foreign"), Version: m.id("v"), Owner: diff.Foreign, Status: diff.CreateComplete, Unknown: "it is not ours",
	}}
}

// DropTags loses the tags of a cluster.
func (m *Memory) DropTags(name schema.ClusterName) {
	m.each(name, func(_ string, c *live) { c.Owner, c.Version = diff.TagsLost, m.id("v") })
}

// Change changes a cluster by hand.
func (m *Memory) Change(name schema.ClusterName) {
	m.each(name, func(_ string, c *live) {
		c.Version, c.Drift = m.id("v"), []diff.Drift{{Field: "template", Detail: "is not the one that was sent"}}
	})
}

// Remove deletes a cluster by hand, at once.
func (m *Memory) Remove(name schema.ClusterName) {
	m.each(name, func(key string, c *live) {
		delete(m.clusters, key)
		m.gone[c.ID] = true
	})
}

// DeleteServer deletes a node's server by hand; only Inspect sees that.
func (m *Memory) DeleteServer(server string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost[server] = true
}

// each does something to the clusters of a name; of any, if it is empty.
func (m *Memory) each(name schema.ClusterName, do func(key string, c *live)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, c := range m.clusters {
		if c.owner != "" && (name == "" || c.name == name) {
			do(key, c)
		}
	}
}

// KeepKeys makes and keeps keys of an owner's cluster, once.
func (m *Memory) KeepKeys(owner string, name schema.ClusterName) error {
	keys, err := pki.New(string(name), 0, time.Now(), rand.Reader)
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := owner + "/" + string(name); m.keys[at] == nil {
		m.keys[at] = keys
	}
	return err
}

// Kept are the owners and names of the clusters of which keys are kept, sorted.
func (m *Memory) Kept() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.keys))
}

// Leftovers names what there is of a cluster: itself and its servers.
func (m *Memory) Leftovers(name schema.ClusterName) []string {
	var left []string
	m.each(name, func(_ string, c *live) {
		left = append(left, c.ID)
		for _, n := range c.Nodes {
			left = append(left, strings.Join([]string{n.Name, n.Server}, " "))
		}
	})
	return left
}

// SetEtcd makes a cluster answer so when its etcd is asked for.
func (m *Memory) SetEtcd(name schema.ClusterName, health diff.EtcdHealth, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.etcd[name] = etcd{health, reason}
}

// Stamp sets when a cluster was made and changed last, in RFC 3339.
func (m *Memory) Stamp(name schema.ClusterName, created, updated string) {
	m.each(name, func(_ string, c *live) { c.CreatedAt, c.UpdatedAt = created, updated })
}
