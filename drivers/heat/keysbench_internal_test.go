package heat

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// bench is a vault on a cloud of its own, or in the lab's project under an owner
// of its own. When the test ends nothing of it is left, and no secret is in any
// log line.
type bench struct {
	*testing.T
	vault
	stack   string
	clock   *sim.ManualClock // nil on the lab
	env     map[string]string
	logs    *observer.ObservedLogs
	secrets []string // what no log line and no error may say
	wire    func(http.RoundTripper) http.RoundTripper
	keyDir  string
	sim     *sim.Cloud // nil on the lab
}

func onSim(t *testing.T, o sim.Options) *bench {
	t.Helper()
	t.Parallel()
	clock := sim.NewManualClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	o.Clock = clock
	cloud := sim.New(o)
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	b := newBench(t, server.URL+"/identity/v3", "sim", clock)
	b.sim = cloud
	return b
}

func inLab(t *testing.T) *bench {
	t.Helper()
	if os.Getenv("JEROBOAM_LAB") == "" {
		t.Skip("JEROBOAM_LAB is not set: the test needs deploy/lab up, see make acceptance")
	}
	return newBench(t, "http://127.0.0.1:5000/v3", "lab", nil)
}

func newBench(t *testing.T, auth, password string, clock *sim.ManualClock) *bench {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	b := &bench{T: t, clock: clock, logs: logs, secrets: []string{}, env: map[string]string{
		"OS_AUTH_URL": auth, "OS_REGION_NAME": "RegionOne", "OS_USERNAME": "demo", "OS_PASSWORD": password, "OS_PROJECT_NAME": "demo",
	}}
	b.vault = vault{cloudName: "c", owner: "kv-" + strings.ToLower(rand.Text()[:8]), log: zap.New(core)}
	b.cloud, b.keyDir = b.connect("demo", false), filepath.Join(t.TempDir(), "keys")
	b.stack = stackName(b.owner, schema.Key{Cloud: "c", Name: "a"})
	t.Cleanup(b.clean)
	return b
}

func (b *bench) connect(user string, readOnly bool) *openstack.Cloud {
	b.Helper()
	env := maps.Clone(b.env)
	env["OS_USERNAME"] = user
	c, err := openstack.Connect(b.Context(), openstack.Settings{
		Cloud: openstack.EnvCloud, ReadOnly: readOnly, Log: b.log, Wire: b.wire, Getenv: func(k string) string { return env[k] },
	})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (b *bench) clean() {
	ctx := context.WithoutCancel(b.Context())
	if err := errors.Join(b.delete(ctx, b.stack), b.revoke(ctx, b.stack)); err != nil {
		b.Error(err)
	}
	left, err := b.leftovers(ctx, nil)
	if err != nil || len(left) > 0 {
		b.Errorf("left over: %v, %v", left, err)
	}
	if b.logs.Len() == 0 {
		b.Error("no request was logged")
	}
	for _, e := range b.logs.All() {
		line, err := json.Marshal(e.ContextMap())
		if err != nil {
			b.Error(err)
		}
		b.quiet(e.Message + " " + string(line))
	}
}

// quiet checks that a text has no secret in it.
func (b *bench) quiet(text string) {
	b.Helper()
	for _, s := range b.secrets {
		if strings.Contains(text, s) {
			b.Errorf("a secret is in %q", text)
		}
	}
}

// pem is a new text, of which nothing may be seen.
func (b *bench) pem() string {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(rand.Text() + rand.Text())}))
	b.secrets = append(b.secrets, strings.Split(text, "\n")[1])
	return text
}

func (b *bench) mustPut(texts map[string]string) map[string]string {
	b.Helper()
	refs, err := b.put(b.Context(), b.stack, texts)
	if err != nil {
		b.Fatal(err)
	}
	return refs
}

// refused checks an error's kind and words, and that it says no secret.
func (b *bench) refused(err error, kind drivers.Kind, words ...string) {
	b.Helper()
	if err == nil || drivers.KindOf(err) != kind {
		b.Fatalf("got %v (%s), want an error of kind %s", err, drivers.KindOf(err), kind)
	}
	b.quiet(err.Error())
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			b.Errorf("got %q, want %q in it", err, w)
		}
	}
}

// now is the cloud's time.
func (b *bench) now() time.Time {
	if b.clock != nil {
		return b.clock.Now()
	}
	return time.Now()
}

func (b *bench) inAnHour() time.Time { return b.now().Add(time.Hour) }
