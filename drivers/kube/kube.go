// Package kube reaches into a running cluster of Kubernetes through its own API:
// how it is, what runs on its nodes, moving that away, and what is ours of its
// Node objects. It knows no OpenStack; a driver of one connects it and says which
// nodes there should be.
//
// Nothing is remembered on this side. What was begun stands on the Node objects,
// in annotations, so that any later run, and the node itself when it boots
// (templates/kubernetes/1/drain.sh), knows what is to be undone:
//
//	jeroboam.io/drained      we cordoned it: since when; "shutdown": it did so itself
//	jeroboam.io/draining     somebody else had cordoned it when we began to drain: since when
//	jeroboam.io/node-labels  keys of labels that are ours
//	jeroboam.io/node-taints  keys and effects of taints that are ours
//
// Each Node object is changed in one request that fails if somebody else changed
// it meanwhile, so a process that dies leaves it as it was or as it should be.
//
// Read Connect here, then health.go for the visit that each run makes, mend.go for
// what it puts right, pods.go for what has to move from a node and drain.go for
// moving it. members.go asks for etcd.
package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	policyclient "k8s.io/client-go/kubernetes/typed/policy/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// Connection is the way to the API of a cluster.
type Connection struct {
	Address string // https://host:port
	// TLS trusts the cluster's authority, has a client certificate of one who may do
	// anything, and the name that every API server's certificate has: addresses
	// from outside are not all in it.
	TLS     *tls.Config
	Timeout time.Duration // of one request
	// Now is the time that is written on nodes; nil: time.Now.
	Now func() time.Time
}

// Cluster is one cluster that can be asked. It may be used by several goroutines.
type Cluster struct {
	api     clients
	address string
	now     func() time.Time
	ends    *atomic.Int64 // when the certificate that the API last showed ends, in Unix seconds; 0: none was seen
}

// maxAnswer bounds what one answer may cost: a cluster is not ours to trust with
// the memory of a process that looks after many.
const maxAnswer = 64 << 20

// Connect prepares to ask. It asks nothing yet.
func Connect(c Connection) (*Cluster, error) {
	address, err := url.Parse(c.Address)
	if err != nil || c.Address == "" {
		return nil, errors.New("the address of the API is not known")
	}
	transport := &http.Transport{
		TLSClientConfig: c.TLS, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 10 * time.Second,
	}
	config := &rest.Config{
		Host: address.String(), Timeout: c.Timeout,
		ContentConfig:  rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"},
		QPS:            -1, // who calls bounds what is asked; a server that is busy says so
		WarningHandler: rest.NoWarnings{},
		UserAgent:      "jeroboam",
	}
	// A client of our own: client-go's would keep the connections of every
	// certificate that there ever was.
	ends := new(atomic.Int64)
	api, err := newClients(config, &http.Client{Transport: bounded{transport, ends}, Timeout: c.Timeout})
	if err != nil {
		return nil, fmt.Errorf("connect to the API at %s: %w", c.Address, err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Cluster{api: api, address: c.Address, now: c.Now, ends: ends}, nil
}

// clients are the groups of the API that are asked for, in the shape that kubectl's
// drain wants. The others are nil, and so not linked: with kubernetes.NewForConfig
// the program would carry a client for each of sixty.
type clients struct {
	kubernetes.Interface
	core   *coreclient.CoreV1Client
	policy *policyclient.PolicyV1Client
	apps   *appsclient.AppsV1Client
}

func newClients(config *rest.Config, over *http.Client) (c clients, err error) {
	var errs [3]error
	c.core, errs[0] = coreclient.NewForConfigAndClient(config, over)
	c.policy, errs[1] = policyclient.NewForConfigAndClient(config, over)
	c.apps, errs[2] = appsclient.NewForConfigAndClient(config, over)
	return c, errors.Join(errs[:]...)
}

func (c clients) CoreV1() coreclient.CoreV1Interface       { return c.core }
func (c clients) PolicyV1() policyclient.PolicyV1Interface { return c.policy }
func (c clients) AppsV1() appsclient.AppsV1Interface       { return c.apps }

// bounded ends answers that are too long, and notes until when who gave them may.
type bounded struct {
	http.RoundTripper
	ends *atomic.Int64
}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		if answer.TLS != nil && len(answer.TLS.PeerCertificates) > 0 {
			b.ends.Store(answer.TLS.PeerCertificates[0].NotAfter.Unix())
		}
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

// quietly is for all that asks: client-go writes some errors on standard error, in
// a form of its own, and returns them too. Whom we answer tells them.
func quietly(ctx context.Context) context.Context { return klog.NewContext(ctx, logr.Discard()) }

// get reads a path as it is.
func (c *Cluster) get(ctx context.Context, path string) ([]byte, error) {
	said, err := c.api.core.RESTClient().Get().AbsPath(path).DoRaw(ctx)
	if err == nil && ctx.Err() != nil { // net/http takes what a server still says when it is hung up on
		err = ctx.Err()
	}
	return said, err
}

// why is an error in words that are the same each time, for a record that is
// written when something changes: no ports of ours, no times.
func (c *Cluster) why(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		said := strings.Join(strings.Fields(status.Status().Message), " ")
		return fmt.Errorf("the API at %s answers %d: %s", c.address, status.Status().Code, clip(said))
	}
	if of, ok := errors.AsType[*url.Error](err); ok { // which repeats the address
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return fmt.Errorf("the API at %s does not answer in time", c.address)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok { // whose text has our port, which is another each time
		err = fmt.Errorf("%s %s: %w", op.Op, op.Net, op.Err)
	}
	return fmt.Errorf("the API at %s does not answer: %w", c.address, err)
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// clip keeps a text short.
func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:197], "") + "..."
	}
	return s
}
