package heat

import (
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

func pemDecode(text string) (*pem.Block, []byte) { return pem.Decode([]byte(text)) }

func TestCloudConf(t *testing.T)    { cloudConfLife(onSim(t, sim.Options{})) }
func TestLabCloudConf(t *testing.T) { cloudConfLife(inLab(t)) }

// The cluster's own way into its cloud: made when it is asked for, kept, made
// anew when its credential is gone, and gone with the cluster.
func cloudConfLife(b *bench) {
	d := b.driver(schema.CloudConfig{})
	if without := b.mustRing(d); without.refs[cloudConf] != "" {
		b.Error("there is a cloud.conf that nobody asked for")
	}
	ring := b.mustRing(d, cloudConf)
	last := ring.files[len(ring.files)-1]
	block, _ := pemDecode(last.Text.Reveal())
	if last.Name != cloudConf || ring.refs[cloudConf] == "" || block == nil {
		b.Fatalf("the last file is %s: %v", last.Name, ring.refs)
	}
	text, id := string(block.Bytes), credentialOf(last.Text.Reveal())
	secret := text[strings.Index(text, "secret=\"")+8:]
	secret = secret[:strings.Index(secret, `"`)]
	b.secrets = append(b.secrets, secret)
	t := b.cloud.Token()
	want := fmt.Sprintf("[Global]\nauth-url=%q\nregion=%q\napplication-credential-id=%q\napplication-credential-secret=%q\n\n[LoadBalancer]\nenabled=true\n",
		t.AuthURL, t.Region, id, secret)
	if text != want {
		b.Errorf("cloud.conf is not as expected: %s", strings.ReplaceAll(text, secret, "***"))
	}
	as, err := b.cloud.As(b.Context(), id, secret)
	if err != nil {
		b.Fatal(err)
	}
	if got := as.Token(); !slices.Equal(got.Roles, t.Roles) || got.ApplicationCredential == nil || !got.ApplicationCredential.Restricted {
		b.Errorf("roles %v, want %v; %+v", got.Roles, t.Roles, got.ApplicationCredential)
	}
	if again := b.mustRing(d, cloudConf); again.refs[cloudConf] != ring.refs[cloudConf] {
		b.Error("a second call made another")
	}
	if err := b.dropCredentials(b.Context(), credential{ID: id}); err != nil {
		b.Fatal(err)
	}
	anew := b.mustRing(d, cloudConf)
	if other := credentialOf(anew.files[len(anew.files)-1].Text.Reveal()); other == id || other == "" {
		b.Errorf("its credential was deleted, and it names %q still", other)
	}
	if err := b.revoke(b.Context(), b.stack); err != nil {
		b.Error(err)
	}
	b.nothingLeft()
}

func TestCloudConfByRestricted(t *testing.T) {
	b := onSim(t, sim.Options{})
	c, err := b.make(b.Context(), map[string]any{"name": b.name(b.stack, "us"), "description": tagOwner + b.owner})
	if err != nil {
		b.Fatal(err)
	}
	b.secrets = append(b.secrets, c.Secret)
	d := b.driver(schema.CloudConfig{})
	if d.cloud, err = b.cloud.As(b.Context(), c.ID, c.Secret); err != nil {
		b.Fatal(err)
	}
	_, err = d.keyring(b.Context(), b.stack, b.key(), cloudConf)
	b.refused(err, drivers.Denied, "a restricted application credential makes no other")
	_, err = d.keyring(b.Context(), b.stack, b.key(), "x")
	b.refused(err, drivers.Unknown, `there is no file "x"`)
}

func TestCredentialOfNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", string(pem.EncodeToMemory(&pem.Block{Type: pemCloudConf, Bytes: []byte("[Global]\n")})), string(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte("application-credential-id=\"x\"\n")}))} {
		if id := credentialOf(text); id != "" {
			t.Errorf("%q gives %q", text, id)
		}
	}
}
