package heat

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// How long a cluster has to answer, and how much.
const (
	probeTime  = 15 * time.Second
	probeBytes = 1 << 20
)

// Probe asks clusters how their etcd is: first Nova, whether the masters' servers
// run, then the API of the cluster, which tells of each member of etcd. Where no
// way leads to that API, Config clouds.X.etcdHealth says that the first answer
// has to do.
func (d *Driver) Probe(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error) {
	out := slices.Clone(observed)
	group := errgroup.Group{}
	group.SetLimit(8)
	for i := range out {
		group.Go(func() error {
			out[i].Etcd, out[i].EtcdReason = d.etcd(ctx, &out[i])
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its answer
	return out, ctx.Err()
}

func (d *Driver) etcd(ctx context.Context, o *diff.Observed) (diff.EtcdHealth, string) {
	t, err := typeNamed(o.Type)
	if err != nil || !t.kubernetes || o.Spec == nil {
		return diff.EtcdNotAsked, ""
	}
	var asked []int // members: they are numbered as etcd's addresses are given, which is as the masters are
	masters := mastersOf(o)
	for i, n := range masters {
		if n.State != diff.NodeReady {
			continue
		}
		asked = append(asked, i)
		switch status, err := d.api.serverStatus(ctx, n.Server); {
		case err != nil:
			return diff.EtcdUnknown, "the server of " + n.Name + " cannot be seen: " + err.Error()
		case status != "ACTIVE":
			return diff.EtcdUnhealthy, "the server of " + n.Name + " is " + status
		}
	}
	if d.config.EtcdHealth == schema.EtcdHealthHeat {
		return diff.EtcdHealthy, ""
	}
	members, err := d.members(ctx, o)
	if err != nil {
		return diff.EtcdUnknown, err.Error()
	}
	for _, i := range asked {
		switch said, known := members[fmt.Sprintf("etcd-%d", i)]; {
		case !known:
			return diff.EtcdUnknown, "the API does not tell of the member on " + masters[i].Name
		case said != "":
			return diff.EtcdUnhealthy, "the member on " + masters[i].Name + ": " + said
		}
	}
	return diff.EtcdHealthy, ""
}

// mastersOf are a cluster's masters in the order of their numbers, which is that
// of the root template.
func mastersOf(o *diff.Observed) []diff.Node {
	return slices.DeleteFunc(slices.Clone(o.Nodes), func(n diff.Node) bool {
		g, _ := o.Spec.Group(n.Group)
		return g.Role != roleMaster
	})
}

// members are what the API server says of each member of etcd it knows, empty if
// it is well. It asks them for their health, which a member without a leader
// does not have (Kubernetes, component statuses; deprecated since 1.19 and still
// the one question that names members).
func (d *Driver) members(ctx context.Context, o *diff.Observed) (map[string]string, error) {
	ctx, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	body, err := d.ask(ctx, o, "/api/v1/componentstatuses")
	if err != nil {
		return nil, err
	}
	var got struct {
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Conditions []struct{ Type, Status, Message, Error string } `json:"conditions"`
		} `json:"items"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return nil, fmt.Errorf("the API does not speak of components: %w", err)
	}
	members := map[string]string{}
	for _, item := range got.Items {
		said := "it does not say whether it is healthy"
		for _, c := range item.Conditions {
			if c.Type == "Healthy" {
				if said = ""; c.Status != "True" {
					said = clip(strings.TrimSpace(c.Message+" "+c.Error), 200)
				}
			}
		}
		members[item.Metadata.Name] = said
	}
	return members, nil
}

// ask reads something of a cluster's API, as one who may do anything, for as
// long as a question takes.
func (d *Driver) ask(ctx context.Context, o *diff.Observed, path string) ([]byte, error) {
	address, err := url.Parse(o.APIAddress)
	if err != nil || o.APIAddress == "" {
		return nil, fmt.Errorf("the address of the API is not known")
	}
	config, err := d.asMaster(ctx, o.Key)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		if of, ok := errors.AsType[*url.Error](err); ok { // which repeats the address
			err = of.Err
		}
		return nil, fmt.Errorf("the API at %s does not answer: %w", o.APIAddress, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API at %s answers %s", o.APIAddress, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, probeBytes))
}

// apiName is a name that every API server's certificate has (kubeadm): its
// addresses from outside are not all in it, because they may change.
const apiName = "kubernetes"

func (d *Driver) asMaster(ctx context.Context, key schema.Key) (*tls.Config, error) {
	keys, err := d.Keys(ctx, key)
	if err != nil {
		return nil, err
	}
	who, err := keys.Cluster.Client(pki.Client{User: "jeroboam", Groups: []string{pki.Masters}},
		pki.Terms{Now: d.now(), Random: rand.Reader, Lifetime: time.Hour})
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
	for _, c := range keys.Cluster.Bundle() {
		roots.AddCert(c)
	}
	return &tls.Config{RootCAs: roots, ServerName: apiName, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
