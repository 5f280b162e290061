package heat

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"jeroboam.io/jeroboam/drivers"
)

// cloudConf is the file with which the cloud controller manager of a cluster
// logs in: the configuration of cloud-provider-openstack, in PEM armour because
// that is what stores and masters take. It is in no template and no parameter.
const cloudConf = "cloud.conf"

const pemCloudConf = "JEROBOAM CLOUD CONFIG"

// openstackCA is where the manager's pods have the certificates that Keystone's
// is signed by (cloud.yaml).
const openstackCA = "/etc/config/openstack-ca.pem"

// keepCloudConf makes the application credential of a cluster's own and keeps
// the configuration with it. It has our roles, cannot make others, and lives
// until the cluster is forgotten. One that is kept stays, unless Keystone does
// not know its credential any more: then it is of no use to anybody.
func (d *Driver) keepCloudConf(ctx context.Context, k *keptKeys) error {
	v := d.vault()
	if text, ok := k.texts[cloudConf]; ok {
		there, err := v.knows(ctx, credentialOf(text))
		if err != nil || there {
			return err
		}
		if err := k.drop(ctx, cloudConf); err != nil {
			return err
		}
	}
	made, err := v.make(ctx, map[string]any{
		"name": v.name(k.stack, "cloud"), "description": tagOwner + v.owner, "unrestricted": false,
	})
	if err != nil {
		return err
	}
	text, err := d.cloudConf(made)
	if err != nil {
		return err
	}
	if err := k.keep(ctx, map[string]string{cloudConf: text}); err != nil {
		return err
	}
	if credentialOf(k.texts[cloudConf]) != made.ID {
		return conflict("keep "+cloudConf, "another run made one of %s at the same time", k.stack)
	}
	return nil
}

// knows tells whether a credential of ours is still there.
func (v vault) knows(ctx context.Context, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	err := v.cloud.Get(ctx, "identity", v.credentials()+"/"+url.PathEscape(id), nil, nil)
	if gone(err) {
		return false, nil
	}
	return err == nil, err
}

// cloudConf is the configuration for a credential. It names no networks: what
// there is to know of those is in the cluster, and can be given beside it.
func (d *Driver) cloudConf(c credential) (string, error) {
	t := d.cloud.Token()
	ca, err := d.cloud.CA()
	if err != nil {
		return "", err
	}
	if ca != "" {
		ca = openstackCA
	}
	var b strings.Builder
	b.WriteString("[Global]\n")
	for _, line := range [][2]string{
		{"auth-url", t.AuthURL},
		{"region", t.Region},
		{"application-credential-id", c.ID},
		{"application-credential-secret", c.Secret},
		{"ca-file", ca},
	} {
		if strings.ContainsAny(line[1], "\n\r\"\\") {
			return "", &drivers.Error{Kind: drivers.Denied, Op: "make " + cloudConf, Err: fmt.Errorf("%s has a character that it does not take", line[0])}
		}
		if line[1] != "" {
			fmt.Fprintf(&b, "%s=\"%s\"\n", line[0], line[1])
		}
	}
	fmt.Fprintf(&b, "\n[LoadBalancer]\nenabled=%v\n", d.cloud.Has("load-balancer"))
	return string(pem.EncodeToMemory(&pem.Block{Type: pemCloudConf, Bytes: []byte(b.String())})), nil
}

var credentialLine = regexp.MustCompile(`(?m)^application-credential-id="([^"]*)"$`)

// credentialOf is the credential of a kept configuration, or "".
func credentialOf(text string) string {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != pemCloudConf {
		return ""
	}
	found := credentialLine.FindSubmatch(block.Bytes)
	if found == nil {
		return ""
	}
	return string(found[1])
}
