package heat_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// apiServer is an API of a cluster with these keys, which answers everybody who
// has a certificate of the cluster's authority, and nobody else.
func apiServer(t testing.TB, keys *pki.Keys, answer http.Handler) (address string) {
	t.Helper()
	files, err := keys.Files()
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]*pem.Block{}
	for _, f := range files {
		texts[f.Name], _ = pem.Decode([]byte(f.Text.Reveal()))
	}
	authority, err := x509.ParseCertificate(texts[pki.ClusterCert].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"}, DNSNames: []string{"kubernetes"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, own.Public(), signer(t, texts[pki.ClusterKey]))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	s := httptest.NewUnstartedServer(answer)
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: own}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12,
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func signer(t testing.TB, block *pem.Block) crypto.Signer {
	t.Helper()
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer)
}

// components is what an API server says of etcd's members, one word each.
func components(words ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/api/v1/componentstatuses" {
			http.Error(w, "not asked for in the test", http.StatusNotFound)
			return
		}
		var items []string
		for i, word := range words {
			items = append(items, fmt.Sprintf(`{"metadata":{"name":"etcd-%d"},"conditions":[{"type":"Healthy","status":%q,"message":"it is so"}]}`, i, word))
		}
		_, _ = fmt.Fprintf(w, `{"kind":"ComponentStatusList","items":[%s]}`, strings.Join(items, ","))
	}
}

// three is a live cluster of three masters on sim, with keys.
func three(t *testing.T, config schema.CloudConfig) (*simulated, drivers.Driver, diff.Observed, *pki.Keys) {
	t.Helper()
	s := newSimulated(t)
	d := open(t, s, func(o *drivers.Options) { o.Config = config })
	c := declareKubernetes(t, "a", func(spec *schema.Spec) {
		spec.MasterLBEnabled, spec.Groups[0].NodeCount = true, 3
	})
	create(t, d, c)
	s.clock.Advance(time.Hour)
	keys, err := d.(drivers.Keeper).Keys(t.Context(), c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return s, d, observe(t, d)[0], keys
}

func TestProbe(t *testing.T) {
	t.Parallel()
	_, d, live, keys := three(t, schema.CloudConfig{})
	down := func(o *diff.Observed) { o.Nodes[1].State = diff.NodeFailed }
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		change func(*diff.Observed)
		want   diff.EtcdHealth
		why    string
	}{
		"all are well":                   {components("True", "True", "True"), nil, diff.EtcdHealthy, ""},
		"one is not":                     {components("True", "True", "False"), nil, diff.EtcdUnhealthy, "default-master-2: it is so"},
		"the one that failed is not":     {components("True", "False", "True"), down, diff.EtcdHealthy, ""},
		"another than the one that fail": {components("False", "True", "True"), down, diff.EtcdUnhealthy, "default-master-0: it is so"},
		"it is not sure":                 {components("True", "Unknown", "True"), nil, diff.EtcdUnhealthy, "default-master-1"},
		"it does not tell of one":        {components("True", "True"), nil, diff.EtcdUnknown, "does not tell of the member"},
		"it says nothing":                {func(http.ResponseWriter, *http.Request) {}, nil, diff.EtcdUnknown, "does not speak of components"},
		"it may not":                     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, nil, diff.EtcdUnknown, "403"},
		"nobody is there":                {nil, func(o *diff.Observed) { o.APIAddress = "https://127.0.0.1:1" }, diff.EtcdUnknown, "https://127.0.0.1:1 does not answer: dial tcp"},
		"no address":                     {nil, func(o *diff.Observed) { o.APIAddress = "" }, diff.EtcdUnknown, "address of the API is not known"},
		"no masters":                     {nil, func(o *diff.Observed) { o.Type = "docker_ubuntu" }, diff.EtcdNotAsked, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := live
			o.Nodes = append([]diff.Node(nil), live.Nodes...)
			if tt.answer != nil {
				o.APIAddress = apiServer(t, keys, tt.answer)
			}
			if tt.change != nil {
				tt.change(&o)
			}
			expect(t, d, o, tt.want, tt.why)
		})
	}
}

func expect(t *testing.T, d drivers.Driver, o diff.Observed, want diff.EtcdHealth, why string) {
	t.Helper()
	got, err := d.(*heat.Driver).Probe(t.Context(), []diff.Observed{o})
	if err != nil || len(got) != 1 || got[0].Etcd != want || !strings.Contains(got[0].EtcdReason, why) || why == "" && got[0].EtcdReason != "" {
		t.Errorf("%+v, %v; want %s because %q", got, err, want, why)
	}
}

// Another authority's API is not believed.
func TestProbeTrustsTheClusterAlone(t *testing.T) {
	t.Parallel()
	_, d, live, _ := three(t, schema.CloudConfig{})
	others, err := pki.New("other", 0, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	live.APIAddress = apiServer(t, others, components("True", "True", "True"))
	expect(t, d, live, diff.EtcdUnknown, "certificate signed by unknown authority")
}

// A server that was shut off is seen whatever else is asked.
func TestProbeByHeatSeesServers(t *testing.T) {
	t.Parallel()
	s, d, live, _ := three(t, schema.CloudConfig{EtcdHealth: schema.EtcdHealthHeat})
	live.APIAddress = "https://" + net.JoinHostPort("127.0.0.1", "1")
	expect(t, d, live, diff.EtcdHealthy, "")
	s.cloud.Fault(sim.Fault{Service: "compute", PathRegexp: "/servers/" + live.Nodes[2].Server, Status: http.StatusOK, Body: `{"server": {"status": "SHUTOFF"}}`})
	expect(t, d, live, diff.EtcdUnhealthy, live.Nodes[2].Name+" is SHUTOFF")
	live.Nodes[2].State = diff.NodeFailed
	expect(t, d, live, diff.EtcdHealthy, "")
}
