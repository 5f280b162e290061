package heat

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
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
}

func onSim(t *testing.T, o sim.Options) *bench {
	t.Helper()
	t.Parallel()
	clock := sim.NewManualClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	o.Clock = clock
	server := httptest.NewServer(sim.New(o))
	t.Cleanup(server.Close)
	return newBench(t, server.URL+"/identity/v3", "sim", clock)
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
	b.cloud = b.connect("demo", false)
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

func TestVault(t *testing.T)    { life(onSim(t, sim.Options{})) }
func TestLabVault(t *testing.T) { life(inLab(t)) }

func life(b *bench) {
	ctx := b.Context()
	texts := map[string]string{"ca.key": b.pem(), "sa.key": b.pem()}
	refs := b.mustPut(texts)
	if have, err := b.get(ctx, refs); err != nil || !maps.Equal(have, texts) {
		b.Errorf("get: %v, not what was put", err)
	}
	other := map[string]string{"ca.key": b.pem(), "sa.key": b.pem()}
	if again := b.mustPut(other); !maps.Equal(again, refs) {
		b.Errorf("a second put gives %v, want %v", again, refs)
	}
	if have, err := b.get(ctx, refs); err != nil || !maps.Equal(have, texts) {
		b.Errorf("after a second put: %v, not what was put first", err)
	}
	// Sets are not mixed, but one can be completed.
	other["etcd.key"] = b.pem()
	_, err := b.put(ctx, b.stack, other)
	b.refused(err, drivers.Conflict, "2 of 3 files are kept, and ca.key is another")
	if found, err := b.find(ctx, b.stack, []string{"etcd.key"}); err != nil || len(found) != 0 {
		b.Errorf("a put that was refused left %v, %v", found, err)
	}
	texts["etcd.key"] = other["etcd.key"]
	more := b.mustPut(texts)
	if more["etcd.key"] == "" || more["ca.key"] != refs["ca.key"] || more["sa.key"] != refs["sa.key"] {
		b.Errorf("completed: %v, want also %v", more, refs)
	}
	b.owners(texts)
	for range 2 { // what is gone may be deleted
		if err := b.delete(ctx, b.stack); err != nil {
			b.Error(err)
		}
	}
	if found, err := b.find(ctx, b.stack, []string{"ca.key"}); err != nil || len(found) != 0 {
		b.Errorf("after delete: %v, %v", found, err)
	}
	_, err = b.get(ctx, refs)
	b.refused(err, drivers.NotFound)
	for file, text := range map[string]string{"ca.key": "no PEM", "a/b": b.pem(), "": b.pem()} {
		_, err := b.put(ctx, b.stack, map[string]string{file: text})
		b.refused(err, drivers.Unknown, "neither a file name nor a PEM text")
	}
}

// owners checks who sees what is kept, and that nobody else deletes it.
func (b *bench) owners(texts map[string]string) {
	b.Helper()
	ctx := b.Context()
	for _, c := range []struct {
		owner, cloud string
		known        []string
		want         []string
	}{
		{b.owner, "c", nil, []string{b.stack}},
		{b.owner, "c", []string{b.stack}, nil},
		{b.owner, "d", nil, nil},
		{"kv", "c", nil, nil},
		{b.owner + "/" + b.stack, "c", nil, nil},
		{b.owner[:5], "c", nil, nil},
	} {
		v := b.vault
		v.owner, v.cloudName = c.owner, schema.CloudName(c.cloud)
		left, err := v.leftovers(ctx, c.known)
		if err != nil || !slices.Equal(left, c.want) {
			b.Errorf("leftovers of %s on %s: %v, %v, want %v", c.owner, c.cloud, left, err, c.want)
		}
		if v.name("", "") != b.name("", "") || v.cloudName != b.cloudName {
			if err := v.delete(ctx, b.stack); err != nil {
				b.Error(err)
			}
		}
	}
	found, err := b.find(ctx, b.stack, slices.Sorted(maps.Keys(texts)))
	if err != nil || len(found) != len(texts) {
		b.Errorf("after others deleted theirs: %v, %v", found, err)
	}
}

// Two runs that knew nothing of each other kept a key each: one counts, for
// both, and the log says so.
func TestVaultTwice(t *testing.T)    { twice(onSim(t, sim.Options{})) }
func TestLabVaultTwice(t *testing.T) { twice(inLab(t)) }

func twice(b *bench) {
	ctx := b.Context()
	texts := map[string]string{"ca.key": b.pem()}
	refs := b.mustPut(texts)
	if b.clock != nil {
		b.clock.Advance(2 * time.Second)
	}
	if err := b.create(ctx, b.name(b.stack, "ca.key"), b.pem()); err != nil {
		b.Fatal(err)
	}
	if b.logs.FilterMessage("several secrets of one name, the oldest counts").Len() != 0 {
		b.Error("there was one")
	}
	all, err := b.list(ctx, b.name(b.stack, "ca.key"))
	if err != nil || len(all) != 2 {
		b.Fatal(all, err)
	}
	if all[0].Created == all[1].Created { // on the lab, within one second
		refs["ca.key"] = min(all[0].id(), all[1].id())
	}
	for range 2 {
		if again := b.mustPut(texts); !maps.Equal(again, refs) {
			b.Errorf("got %v, want %v", again, refs)
		}
	}
	if n := b.logs.FilterMessage("several secrets of one name, the oldest counts").Len(); n != 2 {
		b.Errorf("said %d times", n)
	}
}

// More secrets than a page holds, of the project's and of one name.
func TestVaultPages(t *testing.T) {
	b := onSim(t, sim.Options{})
	refs := b.mustPut(map[string]string{"ca.key": b.pem()})
	for range 2*secretsPage + 5 {
		if err := b.create(b.Context(), b.name(b.stack, "ca.key"), b.pem()); err != nil {
			b.Fatal(err)
		}
		b.clock.Advance(time.Second)
	}
	refs2 := b.mustPut(map[string]string{"ca.key": b.pem()})
	all, err := b.list(b.Context(), "")
	if err != nil || len(all) != 2*secretsPage+6 || !maps.Equal(refs2, refs) {
		b.Errorf("%d secrets, %v; %v, want %v", len(all), err, refs2, refs)
	}
}

func TestVaultReadOnly(t *testing.T) {
	b := onSim(t, sim.Options{RuledServices: []string{"key-manager"}})
	reader := b.vault
	reader.cloud = b.connect("demo", true)
	texts := map[string]string{"ca.key": b.pem()}
	_, err := reader.put(b.Context(), b.stack, texts)
	b.refused(err, drivers.Denied, "read-only")
	refs := b.mustPut(texts)
	if same, err := reader.put(b.Context(), b.stack, texts); err != nil || !maps.Equal(same, refs) {
		b.Errorf("nothing to write: %v, %v", same, err)
	}
	_, err = reader.admit(b.Context(), b.stack, "m0", refs, b.inAnHour())
	b.refused(err, drivers.Denied, "read-only")
	b.refused(reader.delete(b.Context(), b.stack), drivers.Denied, "read-only")
}

func TestVaultWithoutRole(t *testing.T)    { withoutRole(onSim(t, sim.Options{})) }
func TestLabVaultWithoutRole(t *testing.T) { withoutRole(inLab(t)) }

func withoutRole(b *bench) {
	refs := b.mustPut(map[string]string{"ca.key": b.pem()})
	viewer := b.vault
	viewer.cloud = b.connect("viewer", false)
	_, err := viewer.put(b.Context(), b.stack, map[string]string{"ca.key": b.pem()})
	b.refused(err, drivers.Denied, "give the user of cloud c the role creator")
	_, err = viewer.get(b.Context(), refs)
	b.refused(err, drivers.Denied, "give the user of cloud c the role creator")
	_, err = viewer.admit(b.Context(), b.stack, "m0", refs, b.inAnHour())
	b.refused(err, drivers.Denied, "has no role that reads secrets: give it creator")
}

func TestVaultQuota(t *testing.T) {
	t.Parallel()
	clock := sim.NewManualClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	cloud := sim.New(sim.Options{Clock: clock})
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	b := newBench(t, server.URL+"/identity/v3", "sim", clock)
	cloud.SetQuota("demo", "secrets", 1)
	texts := map[string]string{"ca.key": b.pem(), "sa.key": b.pem()}
	_, err := b.put(b.Context(), b.stack, texts)
	b.refused(err, drivers.Rejected, "Only 1 secrets are allowed")
	cloud.SetQuota("demo", "secrets", 2)
	if refs := b.mustPut(texts); len(refs) != 2 {
		t.Errorf("with room: %v", refs)
	}
}

// echo answers what would keep a secret with all that was sent.
type echo struct{ next http.RoundTripper }

func (e echo) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/v1/secrets") {
		return e.next.RoundTrip(r)
	}
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	answer, err := json.Marshal(map[string]string{"title": "Bad Request", "description": "Provided object does not match: " + string(sent)})
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer)), Request: r}, nil
}

// A Barbican that repeats what it does not like.
func TestVaultSaysNothing(t *testing.T) {
	b := onSim(t, sim.Options{})
	b.wire = func(next http.RoundTripper) http.RoundTripper { return echo{next} }
	b.cloud = b.connect("demo", false)
	_, err := b.put(b.Context(), b.stack, map[string]string{"ca.key": b.pem()})
	b.refused(err, drivers.Rejected, "does not match", "***")
}

func (b *bench) inAnHour() time.Time {
	if b.clock != nil {
		return b.clock.Now().Add(time.Hour)
	}
	return time.Now().Add(time.Hour)
}

func TestAdmission(t *testing.T) {
	t.Run("where rules are checked", func(t *testing.T) {
		b := onSim(t, sim.Options{RuledServices: []string{"key-manager"}})
		refs := b.mustPut(map[string]string{"ca.key": b.pem(), "sa.key": b.pem()})
		a, err := b.admit(b.Context(), b.stack, "m0", refs, b.inAnHour())
		if err != nil {
			b.Fatal(err)
		}
		b.admitted(a, refs, "creator")
		b.clock.Advance(2 * time.Hour)
		_, err = b.cloud.As(b.Context(), a.ID, a.Secret)
		b.refused(err, drivers.Denied, "may have expired")
		if err := b.sweep(b.Context(), b.clock.Now()); err != nil {
			b.Error(err)
		}
		b.nothingLeft()
	})
	t.Run("where members read secrets, and creators do not", func(t *testing.T) {
		b := onSim(t, sim.Options{RuledServices: []string{"key-manager"}, MemberSecrets: true})
		refs := b.mustPut(map[string]string{"ca.key": b.pem()})
		a, err := b.admit(b.Context(), b.stack, "m0", refs, b.inAnHour())
		if err != nil {
			b.Fatal(err)
		}
		b.admitted(a, refs, "member")
	})
	t.Run("where nobody of ours may, all that was tried is gone", func(t *testing.T) {
		b := onSim(t, sim.Options{RuledServices: []string{"key-manager"}, Roles: []string{"admin", "creator", "member", "reader"}, MemberSecrets: true})
		refs := b.mustPut(map[string]string{"ca.key": b.pem()})
		few := b.vault
		few.cloud = b.fewer("creator")
		if _, err := few.get(b.Context(), refs); err == nil {
			b.Fatal("a creator reads secrets")
		}
		_, err := few.admit(b.Context(), b.stack, "m0", refs, b.inAnHour())
		b.refused(err, drivers.Denied, "admit a master to ca.key", "the role creator in the project, or member")
		if err := b.drop(b.Context(), credential{ID: few.cloud.Token().ApplicationCredential.ID}); err != nil {
			b.Error(err)
		}
		b.nothingLeft()
	})
	t.Run("where they are not, none is possible", func(t *testing.T) {
		b := onSim(t, sim.Options{})
		_, err := b.admit(b.Context(), b.stack, "m0", b.mustPut(map[string]string{"ca.key": b.pem()}), b.inAnHour())
		b.refused(err, drivers.Denied, "service_type = key-manager")
		b.nothingLeft()
	})
}

// Whether the lab's Barbican knows its own name, and with it may be asked for
// by rules, is a matter of its configuration: either way is one of the two
// above, whole.
func TestLabAdmission(t *testing.T) {
	b := inLab(t)
	refs := b.mustPut(map[string]string{"ca.key": b.pem(), "sa.key": b.pem()})
	a, err := b.admit(b.Context(), b.stack, "m0", refs, b.inAnHour())
	if errors.Is(err, errRules) {
		b.refused(err, drivers.Denied, "service_type = key-manager")
		b.nothingLeft()
		return
	}
	if err != nil {
		b.Fatal(err)
	}
	b.admitted(a, refs, "creator", "member") // whichever its policy wants
}

// admitted checks what an admission is good for, that one of the same boot
// replaces it, and that it can be revoked; in the end another one is there.
func (b *bench) admitted(a *admission, refs map[string]string, oneOf ...string) {
	b.Helper()
	ctx := b.Context()
	b.secrets = append(b.secrets, a.Secret)
	if err := b.create(ctx, b.name(b.stack, "other.key"), b.pem()); err != nil {
		b.Fatal(err)
	}
	other, err := b.find(ctx, b.stack, []string{"other.key"})
	if err != nil {
		b.Fatal(err)
	}
	master, err := b.cloud.As(ctx, a.ID, a.Secret)
	if err != nil {
		b.Fatal(err)
	}
	if roles := master.Token().Roles; len(roles) != 1 || !slices.Contains(oneOf, roles[0]) {
		b.Errorf("roles %v", roles)
	}
	for file, id := range refs {
		if _, err := payload(ctx, master, id); err != nil || !strings.HasSuffix(a.URLs[file], payloadPath(id)) {
			b.Errorf("%s at %s: %v", file, a.URLs[file], err)
		}
	}
	_, err = payload(ctx, master, other["other.key"])
	b.refused(err, drivers.Denied)
	for _, at := range [][2]string{{"key-manager", "/secrets"}, {"compute", "/servers"}, {"orchestration", "/stacks"}, {"key-manager", "/secrets/" + refs["ca.key"]}} {
		b.refused(master.Get(ctx, at[0], at[1], nil, nil), drivers.Denied)
	}
	b.refused(master.Delete(ctx, "key-manager", "/secrets/"+refs["ca.key"], nil, nil), drivers.Denied)

	again, err := b.admit(ctx, b.stack, "m0", refs, b.inAnHour())
	if err != nil || again.ID == a.ID {
		b.Fatalf("again: %+v, %v", again, err)
	}
	_, err = b.cloud.As(ctx, a.ID, a.Secret)
	b.refused(err, drivers.Denied, "it was deleted")
	for range 2 {
		if err := b.revoke(ctx, b.stack); err != nil {
			b.Error(err)
		}
	}
	b.nothingLeft()
	last, err := b.admit(ctx, b.stack, "m1", refs, b.inAnHour())
	if err != nil {
		b.Fatal(err)
	}
	b.secrets = append(b.secrets, again.Secret, last.Secret)
	if err := b.sweep(ctx, b.inAnHour().Add(-2*time.Hour)); err != nil { // too early
		b.Error(err)
	}
	if _, err := b.cloud.As(ctx, last.ID, last.Secret); err != nil {
		b.Error(err)
	}
	*a = *last
}

// fewer is the same user with one role, and a credential that may make others.
func (b *bench) fewer(role string) *openstack.Cloud {
	b.Helper()
	c, err := b.make(b.Context(), map[string]any{
		"name": b.name(b.stack, "us"), "description": tagOwner + b.owner, "unrestricted": true, "roles": []map[string]string{{"name": role}},
	})
	if err != nil {
		b.Fatal(err)
	}
	cloud, err := b.cloud.As(b.Context(), c.ID, c.Secret)
	if err != nil {
		b.Fatal(err)
	}
	return cloud
}

// nothingLeft checks that Keystone has no credential and no rule of ours.
func (b *bench) nothingLeft() {
	b.Helper()
	for path, about := range map[string]string{b.credentials(): b.owner, b.user() + "/access_rules": "/secrets/"} {
		var got json.RawMessage
		if err := b.cloud.Get(b.Context(), "identity", path, nil, &got); err != nil {
			b.Error(err)
		}
		if b.clock == nil && about == "/secrets/" {
			continue // others in the lab may have some
		}
		if strings.Contains(string(got), about) {
			b.Errorf("%s has %s", path, got)
		}
	}
}

// We ourselves are logged in with a credential that makes no other.
func TestAdmissionByRestricted(t *testing.T)    { byRestricted(onSim(t, sim.Options{})) }
func TestLabAdmissionByRestricted(t *testing.T) { byRestricted(inLab(t)) }

func byRestricted(b *bench) {
	ctx := b.Context()
	refs := b.mustPut(map[string]string{"ca.key": b.pem()})
	c, err := b.make(ctx, map[string]any{"name": b.name(b.stack, "us"), "description": tagOwner + b.owner})
	if err != nil {
		b.Fatal(err)
	}
	b.secrets = append(b.secrets, cmp.Or(c.Secret, "no secret was given"))
	us := b.vault
	if us.cloud, err = b.cloud.As(ctx, c.ID, c.Secret); err != nil {
		b.Fatal(err)
	}
	_, err = us.admit(ctx, b.stack, "m0", refs, b.inAnHour())
	b.refused(err, drivers.Denied, "a restricted application credential makes no other")
	b.refused(us.revoke(ctx, b.stack), drivers.Denied, "a restricted application credential makes no other")
}

func TestAdmissionToNothing(t *testing.T) {
	b := onSim(t, sim.Options{})
	_, err := b.admit(b.Context(), b.stack, "m0", nil, b.inAnHour())
	b.refused(err, drivers.Unknown, "to no secret")
}

// A secret without payload, which is how some clients begin one, is no key.
func TestVaultEmptySecret(t *testing.T)    { emptySecret(onSim(t, sim.Options{})) }
func TestLabVaultEmptySecret(t *testing.T) { emptySecret(inLab(t)) }

func emptySecret(b *bench) {
	ctx := b.Context()
	if err := b.cloud.Post(ctx, "key-manager", "/secrets", map[string]string{"name": b.name(b.stack, "ca.key")}, nil); err != nil {
		b.Fatal(err)
	}
	if b.clock != nil {
		b.clock.Advance(2 * time.Second)
	}
	texts := map[string]string{"ca.key": b.pem()}
	if have, err := b.get(ctx, b.mustPut(texts)); err != nil || !maps.Equal(have, texts) {
		b.Errorf("get: %v, not what was put", err)
	}
}

// Names that look like ours, of a program that is not: the description is not.
func TestSweepLeavesOthers(t *testing.T) {
	b := onSim(t, sim.Options{})
	end := b.inAnHour()
	for _, c := range [][2]string{{b.name(b.stack, "m0"), "somebody's"}, {"jeroboam/" + b.owner + "/x", tagOwner + b.owner}, {b.name(b.stack, "m1"), tagOwner + b.owner}} {
		if _, err := b.make(b.Context(), map[string]any{"name": c[0], "description": c[1], "expires_at": end.Format(keystoneTakes)}); err != nil {
			b.Fatal(err)
		}
	}
	for _, step := range []struct {
		now  time.Time
		want int
	}{{end.Add(-time.Second), 3}, {end.Add(time.Second), 2}} {
		if err := b.sweep(b.Context(), step.now); err != nil {
			b.Error(err)
		}
		var got struct {
			Credentials []credential `json:"application_credentials"`
		}
		if err := b.cloud.Get(b.Context(), "identity", b.credentials(), nil, &got); err != nil || len(got.Credentials) != step.want {
			b.Errorf("at %s: %+v, %v, want %d", step.now, got, err, step.want)
		}
	}
}
