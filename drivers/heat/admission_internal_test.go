package heat

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/drivers/sim"
)

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
		if err := b.dropCredentials(b.Context(), credential{ID: few.cloud.Token().ApplicationCredential.ID}); err != nil {
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
	if _, err := b.create(ctx, b.name(b.stack, "other.key"), b.pem()); err != nil {
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
