package heat

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

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
	if _, err := b.create(ctx, b.name(b.stack, "ca.key"), b.pem()); err != nil {
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
		if _, err := b.create(b.Context(), b.name(b.stack, "ca.key"), b.pem()); err != nil {
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
	b := onSim(t, sim.Options{})
	b.sim.SetQuota("demo", "secrets", 1)
	texts := map[string]string{"ca.key": b.pem(), "sa.key": b.pem()}
	_, err := b.put(b.Context(), b.stack, texts)
	b.refused(err, drivers.Rejected, "Only 1 secrets are allowed")
	b.sim.SetQuota("demo", "secrets", 2)
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
