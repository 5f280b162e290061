package schema_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
)

// TestRules has a line for each rule over several fields or about the meaning
// of a text: what is written in the template and in the cluster beyond the
// least, and the problem that there is, or "" for none. "field: -" takes a
// field of the least away.
func TestRules(t *testing.T) {
	t.Parallel()
	const (
		docker = "coe: docker; masterFlavor: -"
		key    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@example.com"
	)
	for name, r := range map[string]struct{ template, cluster, want string }{
		"nothing":                     {"", "", ""},
		"unknown engine":              {"coe: kubernets", "masterCount: 1", "expected one of kubernetes, "},
		"one master without balancer": {"", "masterCount: 1", ""},
		"even masters":                {"masterLBEnabled: true", "masterCount: 2", "expected an odd number of masters, found 2"},
		"masters without balancer":    {"", "masterCount: 3", "3 masters need a load balancer"},
		"masters, template balances":  {"masterLBEnabled: true", "masterCount: 3", ""},
		"masters, cluster balances":   {"", "masterCount: 3; masterLBEnabled: true", ""},
		"masters, cluster refuses":    {"masterLBEnabled: true", "masterCount: 3; masterLBEnabled: false", "3 masters need a load balancer"},

		"docker":                            {docker, "", ""},
		"docker has no masters":             {docker, "masterCount: 1", "coe docker has no masters"},
		"docker has no master flavor":       {docker, "masterFlavor: m1.small", "coe docker has no masters"},
		"docker template, no master flavor": {"coe: docker", "", "coe docker has no masters"},
		"docker has no taints":              {docker, "nodeGroups: [{name: a, nodeTaints: [{key: a, effect: NoExecute}]}]", "node labels and taints are of Kubernetes"},
		"docker has no node labels":         {docker, "nodeGroups: [{name: a, nodeLabels: {a: b}}]", "node labels and taints are of Kubernetes"},

		"no worker flavor":               {"flavor: -", "", "the workers have no flavor"},
		"worker flavor of cluster":       {"flavor: -", "flavor: m1.small", ""},
		"no master flavor":               {"masterFlavor: -", "", "the masters have no flavor"},
		"master flavor of cluster":       {"masterFlavor: -", "masterFlavor: m1.small", ""},
		"no keys":                        {"keypair: -", "", "nobody could log in to the nodes"},
		"keypair of cluster":             {"keypair: -", "keypair: k", ""},
		"public keys instead":            {"keypair: -; sshPublicKeys: [" + key + "]", "", ""},
		"public keys of cluster instead": {"keypair: -", "sshPublicKeys: [" + key + "]", ""},
		"public key as a block":          {"sshPublicKeys: [\"" + key + "\\n\"]", "", ""},
		"key of no type":                 {"sshPublicKeys: [AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl]", "", "expected an SSH public key"},
		"key of another type":            {"sshPublicKeys: [" + strings.Replace(key, "ssh-ed25519", "ssh-rsa", 1) + "]", "", "expected an SSH public key"},
		"key cut off":                    {"sshPublicKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5]", "", "expected an SSH public key"},
		"key with options":               {"sshPublicKeys: [no-pty " + key + "]", "", "expected an SSH public key"},
		"private key":                    {"", "sshPublicKeys: [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]", "this is a private key"},

		"no external network":      {"externalNetwork: -", "", "floating IPs need externalNetwork"},
		"no floating IPs":          {"externalNetwork: -", "floatingIPEnabled: false", ""},
		"subnet without network":   {"fixedSubnet: s", "", "fixedSubnet is a subnet of fixedNetwork"},
		"subnet, cluster's net":    {"fixedSubnet: s", "fixedNetwork: n", ""},
		"bare metal needs subnet":  {"serverType: bm; fixedNetwork: n", "", "bare metal needs fixedNetwork and fixedSubnet"},
		"bare metal":               {"serverType: bm; fixedNetwork: n; fixedSubnet: s", "", ""},
		"name server not an IP":    {"dnsNameservers: [dns.example.com]", "", `expected an IP address, found "dns.example.com"`},
		"name servers":             {"dnsNameservers: [1.1.1.1, 'fe80::1']", "", ""},
		"network of kubernetes":    {"networkDriver: docker", "", `coe kubernetes works with flannel, calico, cilium, found "docker"`},
		"cilium":                   {"networkDriver: cilium", "", ""},
		"network of swarm":         {"coe: swarm; networkDriver: calico", "", `coe swarm works with docker, flannel, found "calico"`},
		"network of swarm-mode":    {"coe: swarm-mode; networkDriver: flannel", "", `coe swarm-mode works with docker, found "flannel"`},
		"volumes of kubernetes":    {"volumeDriver: rexray", "", `coe kubernetes works with cinder, found "rexray"`},
		"volumes of mesos":         {"coe: mesos; volumeDriver: cinder", "", `coe mesos works with rexray, found "cinder"`},
		"devicemapper":             {"dockerStorageDriver: devicemapper; dockerVolumeSize: 3", "", ""},
		"devicemapper, small":      {"dockerStorageDriver: devicemapper; dockerVolumeSize: 2", "", "devicemapper needs at least 3 GiB, found 2"},
		"devicemapper, small here": {"dockerStorageDriver: devicemapper", "nodeGroups: [{name: a, dockerVolumeSize: 2}]", "devicemapper needs at least 3 GiB on the nodes of a, found 2"},

		"group default-worker":   {"", "nodeGroups: [{name: default-worker}]", ""},
		"group default-master":   {"", "nodeGroups: [{name: default-master}]", "every cluster with masters has the group default-master"},
		"group twice":            {"", "nodeGroups: [{name: a}, {name: b}, {name: a}]", `the cluster has another group "a"`},
		"group of masters":       {"", "nodeGroups: [{name: a, role: master}]", "a group of its own cannot hold masters"},
		"group within bounds":    {"", "nodeGroups: [{name: a, nodeCount: 2, minNodeCount: 2, maxNodeCount: 2}]", ""},
		"group below minimum":    {"", "nodeGroups: [{name: a, nodeCount: 1, minNodeCount: 2}]", "1 nodes are less than minNodeCount 2"},
		"group, default below":   {"", "nodeGroups: [{name: a, minNodeCount: 2}]", "1 nodes are less than minNodeCount 2"},
		"group above maximum":    {"", "nodeGroups: [{name: a, nodeCount: 3, maxNodeCount: 2}]", "3 nodes are more than maxNodeCount 2"},
		"bounds the wrong way":   {"", "nodeGroups: [{name: a, nodeCount: 3, minNodeCount: 4, maxNodeCount: 2}]", "minNodeCount 4 is more than maxNodeCount 2"},
		"schedule above maximum": {"", "nodeGroups: [{name: a, maxNodeCount: 2, schedule: [{cron: '@daily', nodeCount: 3}]}]", "3 nodes are more than maxNodeCount 2"},
		"schedule of no time":    {"", "nodeGroups: [{name: a, schedule: [{cron: daily, nodeCount: 3}]}]", "not a cron expression"},
		"schedule of no zone":    {"", "nodeGroups: [{name: a, schedule: [{cron: '@daily', timeZone: Mars/Base, nodeCount: 3}]}]", `unknown time zone "Mars/Base"`},
		"label of the kubelet":   {"", "nodeGroups: [{name: a, nodeLabels: {x.node.kubernetes.io/a: b, topology.kubernetes.io/zone: z}}]", ""},
		"label of Kubernetes":    {"", "nodeGroups: [{name: a, nodeLabels: {node-role.kubernetes.io/gpu: ''}}]", "Kubernetes keeps"},
		"label of k8s.io":        {"", "nodeGroups: [{name: a, nodeLabels: {k8s.io/gpu: x}}]", "Kubernetes keeps"},
		"label of look-alike":    {"", "nodeGroups: [{name: a, nodeLabels: {notk8s.io/gpu: x}}]", ""},

		"window":                    {"maintenance: {cron: '0 2 * * 6', duration: 4h}", "", ""},
		"window in a zone":          {"", "maintenance: {cron: '0 2 * * 6', duration: 4h, timeZone: Europe/Berlin}", ""},
		"window, zone in cron":      {"", "maintenance: {cron: 'TZ=Europe/Berlin 0 2 * * 6', duration: 4h}", "a cron expression has no time zone here"},
		"window, only zone in cron": {"", "maintenance: {cron: 'CRON_TZ=UTC', duration: 4h}", "a cron expression has no time zone here"},
		"window, spaces and zone":   {"", "maintenance: {cron: ' TZ=UTC', duration: 4h}", "a cron expression has no time zone here"},
		"window, counted":           {"", "maintenance: {cron: '@every 1h', duration: 4h}", "@every counts from when the daemon starts"},
		"window, six fields":        {"", "maintenance: {cron: '0 0 2 * * 6', duration: 4h}", "not a cron expression"},
		"window, 30 February":       {"", "maintenance: {cron: '0 0 30 2 *', duration: 4h}", "never comes true"},
		"window, 29 February":       {"", "maintenance: {cron: '0 0 29 2 *', duration: 4h}", ""},
		"window, no minute":         {"", "maintenance: {cron: ', * * * *', duration: 4h}", "never comes true"},
		"window, local zone":        {"", "maintenance: {cron: '@daily', duration: 4h, timeZone: Local}", `"Local" depends on the machine`},
		"window, zone outside":      {"", "maintenance: {cron: '@daily', duration: 4h, timeZone: ../etc/passwd}", "unknown time zone"},
		"window, no duration":       {"", "maintenance: {cron: '@daily', duration: long}", "expected a duration such as 90m or 4h"},
		"window, days":              {"", "maintenance: {cron: '@daily', duration: 2d}", "expected a duration such as 90m or 4h"},
		"window, backwards":         {"", "maintenance: {cron: '@daily', duration: -4h}", "expected between 30m and 168h"},
		"window, last minutes only": {"", "maintenance: {cron: '@daily', duration: 29m}", "expected between 30m and 168h"},
		"window, always":            {"", "maintenance: {cron: '@daily', duration: 169h}", "expected between 30m and 168h"},

		"suspended":                {"", "suspend: true", ""},
		"suspended with a reason":  {"", "suspend: {reason: the disks}", ""},
		"suspended to a date":      {"", "suspend: {until: 2026-12-01, by: ops, reason: the disks}", ""},
		"suspended to a time":      {"", "suspend: {until: '2026-12-01T08:00:00+01:00', reason: the disks}", ""},
		"suspended to no date":     {"", "suspend: {until: tomorrow, reason: the disks}", "expected a date such as 2026-12-01"},
		"suspended to no day":      {"", "suspend: {until: 2026-02-30, reason: the disks}", "expected a date such as 2026-12-01"},
		"suspended to an hour":     {"", "suspend: {until: '2026-12-01T08', reason: the disks}", "expected a date such as 2026-12-01"},
		"suspended without reason": {"", "suspend: {until: 2026-12-01}", `"reason" is missing`},
		"suspended by a word":      {"", "suspend: later", "expected true or false, a mapping"},

		"schedule of two sizes":  {"", "nodeGroups: [{name: a, schedule: [{cron: '0 7 * * *', nodeCount: 3}, {cron: '0 20 * * *', nodeCount: 0}]}]", ""},
		"schedule twice at once": {"", "nodeGroups: [{name: a, schedule: [{cron: '0 7 * * *', nodeCount: 3}, {cron: '0 7 * * *', timeZone: UTC, nodeCount: 0}]}]", "entry 0 comes at the same times"},
		"schedule in two zones":  {"", "nodeGroups: [{name: a, schedule: [{cron: '0 7 * * *', nodeCount: 3}, {cron: '0 7 * * *', timeZone: Europe/Berlin, nodeCount: 0}]}]", ""},

		"label as hex":         {"labels: {kube_tag: v1.33.1, coredns_tag: 0x1F}", "", "YAML reads 0x1F as a number"},
		"label with exponent":  {"", "labels: {min_node_count: 1e3}", "YAML reads 1e3 as a number"},
		"label with underline": {"", "labels: {min_node_count: 1_000}", "YAML reads 1_000 as a number"},
		"label as octal":       {"", "nodeGroups: [{name: a, labels: {availability_zone: 010}}]", "YAML reads 010 as a number"},
		"label infinite":       {"", "labels: {coredns_tag: .inf}", "YAML reads .inf as a number"},
		"label no number":      {"", "labels: {coredns_tag: .nan}", "YAML reads .nan as a number"},
		"label in quotes":      {"", `labels: {coredns_tag: "0x1F", octavia_provider: -1.50, min_node_count: 0}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(least(r.template, r.cluster))
			problems, _ := schema.AsProblems(err)
			switch {
			case r.want == "" && err != nil:
				t.Errorf("want no problem, got\n%v", err)
			case r.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, r.want)):
				t.Errorf("want one problem with %q, got\n%v", r.want, err)
			}
		})
	}
}

// TestOrderMeansNothing: to write keys, taints, groups and schedules of groups
// in another order is no change.
func TestOrderMeansNothing(t *testing.T) {
	t.Parallel()
	const (
		key   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
		a     = "{name: a, schedule: [{cron: '@daily', nodeCount: 1}]}"
		b     = "{name: b, nodeTaints: [{key: x, effect: NoExecute}, {key: x, effect: NoSchedule}], schedule: [{cron: '@daily', nodeCount: 2}]}"
		other = "{name: b, nodeTaints: [{key: x, effect: NoSchedule}, {key: x, effect: NoExecute}], schedule: [{cron: '@daily', nodeCount: 2}]}"
	)
	one, err := load(least("", "sshPublicKeys: ["+key+" a, "+key+" b]; nodeGroups: ["+a+", "+b+"]"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := load(least("", "sshPublicKeys: ["+key+" b, "+key+" a]; nodeGroups: ["+other+", "+a+"]"))
	if err != nil {
		t.Fatal(err)
	}
	v, w := one.Clusters[0], two.Clusters[0]
	if diff := cmp.Diff(v.Spec, w.Spec) + cmp.Diff(v.Policy, w.Policy); diff != "" || v.Spec.Hash() != w.Spec.Hash() {
		t.Errorf("another order is a change:\n%s", diff)
	}
}

// least is a small fleet, with fields of the template's and the cluster's spec
// set, or with the value "-" taken away.
func least(template, cluster string) fstest.MapFS {
	fields := map[string]string{
		"coe": "kubernetes", "image": "i", "keypair": "k", "externalNetwork": "public", "flavor": "f", "masterFlavor": "m",
	}
	if !strings.Contains(template, "coe: ") {
		fields["labels"] = "{kube_tag: v1.33.4}"
	}
	return fstest.MapFS{
		"template.yaml": {Data: []byte("apiVersion: jeroboam.io/v1alpha1\nkind: ClusterTemplate\nmetadata: {name: t}\n" + spec(fields, template))},
		"cluster.yaml": {Data: []byte("apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: c}\n" + spec(map[string]string{
			"cloud": "lab", "template": "t",
		}, cluster))},
	}
}

func spec(fields map[string]string, changes string) string {
	for change := range strings.SplitSeq(changes, "; ") {
		name, value, ok := strings.Cut(change, ": ")
		switch {
		case !ok:
		case value == "-":
			delete(fields, name)
		default:
			fields[name] = value
		}
	}
	var b strings.Builder
	b.WriteString("spec:\n")
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		b.WriteString("  " + name + ": " + fields[name] + "\n")
	}
	return b.String()
}
