package heat

import (
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// dockerUbuntu is plain Docker hosts: no masters, nothing between the nodes.
func dockerUbuntu() clusterType {
	return clusterType{
		name: "docker_ubuntu", folder: "docker_ubuntu", revision: 1, updateMinutes: 90,
		serverType: "vm", distro: "ubuntu", coe: "docker",
		fields: []string{
			"keypair", "sshPublicKeys", "externalNetwork", "fixedNetwork", "fixedSubnet", "dnsNameservers",
			"httpProxy", "httpsProxy", "noProxy", "insecureRegistry", "dockerStorageDriver", "floatingIPEnabled",
			"labels/availability_zone", "nodeGroups/*/image", "nodeGroups/*/dockerVolumeSize",
			"nodeGroups/*/minNodeCount", "nodeGroups/*/maxNodeCount", "nodeGroups/*/labels/availability_zone",
		},
		idle:     dockerIdle,
		userData: dockerUserData,
	}
}

// dockerIdle are the fields that others make useless.
func dockerIdle(s *schema.Spec) []diff.Objection {
	var found []diff.Objection
	add := func(code schema.Code, field, reason string) {
		found = append(found, diff.Objection{Code: code, Field: field, Reason: reason})
	}
	if s.FloatingIPEnabled && s.ExternalNetwork == "" {
		add(schema.CodeNetwork, "externalNetwork", "floatingIPEnabled needs an externalNetwork to take addresses from")
	}
	if len(s.DNSNameservers) > 0 && s.FixedNetwork != "" {
		add(schema.CodeUnsupported, "dnsNameservers", "they are of a new network; those of fixedNetwork are set at its subnet")
	}
	return found
}

// dockerUserDataValues are what user-data.yaml is rendered with.
type dockerUserDataValues struct {
	SSHPublicKeys                  []string
	HTTPProxy, HTTPSProxy, NoProxy string
	Daemon                         map[string]any // Docker's daemon.json
	Boot                           string         // boot.sh
}

func dockerUserData(x revision, s *schema.Spec, _ schema.Group, _ string) (string, error) {
	script, err := x.read("boot.sh")
	if err != nil {
		return "", err
	}
	daemon := map[string]any{}
	if s.InsecureRegistry != "" {
		daemon["insecure-registries"] = []string{s.InsecureRegistry}
	}
	if s.DockerStorageDriver != "" {
		daemon["storage-driver"] = s.DockerStorageDriver
	}
	return x.render("user-data.yaml", dockerUserDataValues{
		SSHPublicKeys: s.SSHPublicKeys,
		HTTPProxy:     s.HTTPProxy, HTTPSProxy: s.HTTPSProxy, NoProxy: s.NoProxy,
		Daemon: daemon, Boot: script,
	})
}
