package heat

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/kube"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// liveTime is how long the API of a cluster has for one request, and for a visit.
// What the key store takes before is not in it.
const liveTime = 6 * time.Second

// Attend asks a cluster how it is, and mends what is ours of its nodes.
func (d *Driver) Attend(ctx context.Context, v drivers.Visit) drivers.Health {
	o := &v.Observed
	if !hasPods(o) {
		return drivers.Health{}
	}
	if d.config.EtcdHealth == schema.EtcdHealthHeat {
		return kube.Unreached(fmt.Errorf("not asked: clouds.%s.etcdHealth is heat, which says that nobody here reaches it", d.cloudName))
	}
	c, err := d.inside(ctx, o)
	if err != nil {
		return kube.Unreached(err)
	}
	ctx, stop := context.WithTimeout(ctx, liveTime)
	defer stop()
	return c.Attend(ctx, nodesInside(v), v.Mend && !d.readOnly)
}

// nodesInside are the nodes as Kubernetes should have them.
func nodesInside(v drivers.Visit) []kube.Node {
	nodes := make([]kube.Node, 0, len(v.Observed.Nodes))
	for _, n := range v.Observed.Nodes {
		g, _ := v.Observed.Spec.Group(n.Group)
		nodes = append(nodes, kube.Node{
			Name: n.Name, Labels: g.NodeLabels, Taints: g.NodeTaints, Leaving: slices.Contains(v.Leaving, n.Name),
		})
	}
	return nodes
}

// Workload asks a cluster what has to move from nodes. Where nobody reaches it by
// design, its nodes drain themselves when they shut down.
func (d *Driver) Workload(ctx context.Context, o diff.Observed, nodes []string) diff.Observed {
	if !hasPods(&o) {
		return o
	}
	if d.config.EtcdHealth == schema.EtcdHealthHeat {
		o.Work = diff.WorkOwn
		return o
	}
	work, err := d.workload(ctx, &o, nodes)
	switch {
	case err == nil:
		o.Work, o.Workloads = diff.WorkKnown, work
	case d.readOnly && drivers.KindOf(err) == drivers.Denied: // who plans may have less rights than who carries out
		o.Work, o.WorkReason = diff.WorkUnseen, err.Error()
	default:
		o.Work, o.WorkReason = diff.WorkUnknown, err.Error()
	}
	return o
}

func (d *Driver) workload(ctx context.Context, o *diff.Observed, nodes []string) (map[string]diff.Workload, error) {
	c, err := d.inside(ctx, o)
	if err != nil {
		return nil, err
	}
	return c.Workload(ctx, nodes, d.config.Drain)
}

// Drain empties the nodes of a step, as far as that is possible by now.
func (d *Driver) Drain(ctx context.Context, step diff.Step) (map[string]diff.Workload, error) {
	const op = "drain nodes"
	if d.readOnly {
		return nil, &drivers.Error{Kind: drivers.Denied, Op: op, Err: errors.New("the driver is read-only")}
	}
	c, err := d.inside(ctx, step.Have)
	if err != nil {
		return nil, err
	}
	work, err := c.Drain(ctx, step.Drain.Nodes, d.config.Drain, step.Drain.All)
	if err != nil {
		return nil, &drivers.Error{Kind: drivers.Transient, Op: op, Err: err}
	}
	return work, nil
}

// hasPods says that a cluster is one of Kubernetes that is known.
func hasPods(o *diff.Observed) bool {
	t, err := typeNamed(o.Type)
	return err == nil && t.kubernetes && o.Spec != nil
}

// insides are the ways into clusters that were opened, for as long as their
// certificates last: to read keys from the store again for every question would
// be several requests for each cluster and run. They hold the key of a client,
// which ends within the hour, and none of an authority.
type insides struct {
	mu   sync.Mutex
	open map[string]inside
}

type inside struct {
	*kube.Cluster
	until time.Time
}

// passTime is how long a way into a cluster is good for, and what is left of that
// when another is opened.
const (
	passTime = time.Hour
	passRest = 10 * time.Minute
)

// inside is the way into a cluster, as one who may do anything.
func (d *Driver) inside(ctx context.Context, o *diff.Observed) (*kube.Cluster, error) {
	now, name := d.now(), o.ID+" "+o.APIAddress
	d.insides.mu.Lock()
	was, ok := d.insides.open[name]
	d.insides.mu.Unlock()
	if ok && now.Before(was.until) {
		return was.Cluster, nil
	}
	if o.APIAddress == "" {
		return nil, errors.New("the address of the API is not known")
	}
	who, err := d.asMaster(ctx, o.Key)
	if err != nil {
		return nil, steady(err)
	}
	c, err := kube.Connect(kube.Connection{Address: o.APIAddress, TLS: who, Timeout: probeTime, Now: d.now})
	if err != nil {
		return nil, err
	}
	d.insides.mu.Lock()
	defer d.insides.mu.Unlock()
	for name, i := range d.insides.open {
		if !now.Before(i.until) {
			delete(d.insides.open, name)
		}
	}
	if d.insides.open == nil {
		d.insides.open = map[string]inside{}
	}
	d.insides.open[name] = inside{c, now.Add(passTime - passRest)}
	return c, nil
}

// steady is an error without the id of its request, which is another each time.
func steady(err error) error {
	if e, ok := errors.AsType[*drivers.Error](err); ok {
		return &drivers.Error{Kind: e.Kind, Op: e.Op, Err: e.Err}
	}
	return err
}

// apiName is a name that every API server's certificate has (kubeadm): its
// addresses from outside are not all in it, because they may change.
const apiName = "kubernetes"

func (d *Driver) asMaster(ctx context.Context, key schema.Key) (*tls.Config, error) {
	authority, err := d.authority(ctx, key)
	if err != nil {
		return nil, err
	}
	who, err := authority.Client(pki.Client{User: "jeroboam", Groups: []string{pki.Masters}},
		pki.Terms{Now: d.now(), Random: rand.Reader, Lifetime: passTime})
	if err != nil {
		return nil, err
	}
	secret, err := who.Key()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(pki.EncodeCertificates(who.Certificate)), []byte(secret.Reveal()))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, c := range authority.Bundle() {
		roots.AddCert(c)
	}
	return &tls.Config{RootCAs: roots, ServerName: apiName, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// authority reads the one of a cluster's authorities that lets people in.
func (d *Driver) authority(ctx context.Context, key schema.Key) (pki.Authority, error) {
	op := "read keys of " + key.String()
	store, err := d.keyStore()
	if err != nil {
		return pki.Authority{}, err
	}
	k, err := readKept(ctx, store, stackName(d.owner, key), []string{pki.ClusterCert, pki.ClusterKey})
	if err != nil {
		return pki.Authority{}, err
	}
	if k.refs[pki.ClusterCert] == "" || k.refs[pki.ClusterKey] == "" {
		return pki.Authority{}, &drivers.Error{Kind: drivers.NotFound, Op: op, Err: fmt.Errorf("none are kept in %s", d.KeptAt(key).Where)}
	}
	file := func(name string) pki.File { return pki.File{Name: name, Text: pki.NewSecret(k.texts[name])} }
	a, err := pki.ParseAuthority(file(pki.ClusterCert), file(pki.ClusterKey))
	if err != nil {
		return pki.Authority{}, &drivers.Error{Kind: drivers.Conflict, Op: op, Err: err}
	}
	return a, nil
}
