package schema_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"jeroboam.io/jeroboam/schema"
)

// TestAttributes has a line for each rule about what an attribute means: what
// template, cluster and Config say beyond the least, and the problem's code and
// a part of its message; no code, no problem, not even a warning.
func TestAttributes(t *testing.T) {
	t.Parallel()
	const (
		magnum  = "clouds: {lab: {driver: magnum}}"
		docker  = "coe: docker; masterFlavor: -"
		swarm   = "coe: swarm"
		group   = "nodeGroups: [{name: default-worker, "
		noFIP   = "externalNetwork: -; floatingIPEnabled: false; "
		ownNets = "fixedNetwork: n; fixedSubnet: s; "
	)
	for name, r := range map[string]struct {
		template, cluster, config string
		code                      schema.Code
		message                   string
	}{
		"proxy":                   {template: "httpProxy: http://proxy:3128; httpsProxy: https://10.0.0.1:3129/"},
		"proxy without scheme":    {template: "httpProxy: proxy.example.com:3128", code: "JB1315", message: "expected an http or https URL"},
		"proxy of another scheme": {template: "httpsProxy: socks5://proxy:1080", code: "JB1315", message: "expected an http or https URL"},
		"proxy without host":      {template: "httpProxy: http://:3128", code: "JB1315", message: "expected an http or https URL"},
		"proxy with path":         {template: "httpProxy: http://proxy:3128/a", code: "JB1315", message: "no path"},
		"proxy, not a URL":        {template: "httpProxy: 'http://[::1'", code: "JB1315", message: "expected an http or https URL"},
		"proxy with password":     {template: "httpProxy: http://me:secret@proxy:3128", code: "JB1321", message: "user and password of a proxy"},
		"no proxy":                {template: "noProxy: 'localhost, .example.com,10.0.0.0/8,::1,*.svc'"},
		"no proxy, empty entry":   {template: "noProxy: 'a,,b'", code: "JB1315", message: "empty entry"},
		"no proxy with a URL":     {template: "noProxy: 'a,http://b'", code: "JB1315", message: `found "http://b"`},
		"no proxy with a path":    {template: "noProxy: a/b", code: "JB1315", message: `found "a/b"`},
		"no proxy, spaces":        {template: "noProxy: a b", code: "JB1315", message: `found "a b"`},

		"registry":              {template: "insecureRegistry: registry.example.com:5000"},
		"registry without port": {template: "insecureRegistry: registry.example.com"},
		"registry, IPv6":        {template: "insecureRegistry: '[2001:db8::1]:5000'"},
		"registry, IPv6 alone":  {template: "insecureRegistry: '[2001:db8::1]'"},
		"registry, no brackets": {template: "insecureRegistry: '2001:db8::1'", code: "JB1320", message: "expected host:port"},
		"registry, no address":  {template: "insecureRegistry: '[registry]:5000'", code: "JB1320", message: "expected host:port"},
		"registry with scheme":  {template: "insecureRegistry: http://registry:5000", code: "JB1320", message: "without a scheme"},
		"registry with path":    {template: "insecureRegistry: registry:5000/team", code: "JB1320", message: "expected host:port"},
		"registry, odd port":    {template: "insecureRegistry: registry:70000", code: "JB1320", message: "expected host:port"},

		"name server anywhere":  {template: "dnsNameservers: [0.0.0.0]", code: "JB1313", message: "no address of a server"},
		"name server, loopback": {template: "dnsNameservers: ['::1']", code: "JB1313", message: "no address of a server"},
		"name server, zone":     {template: "dnsNameservers: ['fe80::1%eth0']", code: "JB1313", message: "another on every node"},
		"name server of pods":   {template: "dnsNameservers: [10.100.3.4]", code: "JB1316", message: "10.100.3.4 lies in the network of pods (10.100.0.0/16)"},
		"name server of nodes":  {template: "dnsNameservers: [10.0.0.2]"},
		"name server of bridge": {template: docker + "; dnsNameservers: [172.17.0.1]", code: "JB1316", message: "Docker's bridge"},
		"name server, own nets": {template: ownNets + "dnsNameservers: [1.1.1.1]", code: "JB1322", message: "take those of its subnet"},

		"no TLS":                 {template: "tlsDisabled: true", code: "JB1321", message: "owns them"},
		"external as fixed":      {template: "fixedNetwork: public", code: "JB1306", message: "do not live in an external network"},
		"type":                   {template: "driver: k8s_debian"},
		"type, Magnum's name":    {template: "driver: k8s_fedora_coreos_v1"},
		"type, misspelt":         {template: "driver: k8s_debain", code: "JB1323", message: `no cluster type "k8s_debain"`},
		"type of another engine": {template: "driver: mesos_ubuntu", code: "JB1323", message: "coe mesos"},
		"type of Magnum alone":   {template: "driver: magnum_cluster_api", code: "JB1323", message: "the Heat driver has no cluster type"},
		"type, behind Magnum":    {template: "driver: from_elsewhere", config: magnum},
		"bare metal swarm":       {template: swarm + "; serverType: bm; " + ownNets, code: "JB1323", message: "no cluster type for server type bm and coe swarm"},
		"bare metal volumes":     {template: "serverType: bm; dockerVolumeSize: 10; " + ownNets, code: "JB1322", message: "no Cinder volumes"},
		"devicemapper, gone":     {template: "driver: k8s_fedora_coreos; dockerStorageDriver: devicemapper", code: "JB1303", message: "has no devicemapper"},

		"no key, Magnum":    {template: "keypair: -", config: magnum, code: "JB1325", message: "nobody could log in"},
		"port, Heat":        {template: "apiserverPort: 6443"},
		"port, Magnum":      {template: "apiserverPort: 6443", config: magnum, code: "JB1322", message: "apiserverPort"},
		"discovery, Magnum": {cluster: "discoveryURL: https://discovery.example.com/x", config: magnum},
		"discovery, Heat":   {cluster: "discoveryURL: https://discovery.example.com/x", code: "JB1322", message: "without a discovery service"},

		"bare metal, subnet, Magnum": {template: "serverType: bm; fixedSubnet: s; labels: {kube_tag: v1.11.1}", config: magnum},
		"bare metal, subnet, Heat":   {template: "serverType: bm; fixedSubnet: s; labels: {kube_tag: v1.11.1}", code: "JB1307", message: "which is not set"},
		"cilium, Magnum's Heat":      {template: "driver: k8s_fedora_atomic_v1; networkDriver: cilium; labels: {kube_tag: v1.15.7}", config: magnum, code: "JB1303", message: "cluster type k8s_fedora_atomic has no cilium"},
		"cilium, Magnum":             {template: "networkDriver: cilium; labels: {kube_tag: v1.33.4}", config: magnum},
		"cilium, Cluster API":        {template: "driver: k8s_cluster_api_ubuntu; networkDriver: cilium; labels: {kube_tag: v1.33.4}", config: magnum},

		"no external network, Magnum's Heat": {template: noFIP + "driver: k8s_fedora_atomic_v1; labels: {kube_tag: v1.15.7}", config: magnum, code: "JB1306", message: "needs externalNetwork in any case"},
		"no external network, Magnum":        {template: noFIP + "labels: {kube_tag: v1.33.4}", config: magnum},
		"no external network, Heat":          {template: noFIP},
		"groups of swarm, Magnum":            {template: swarm, cluster: "nodeGroups: [{name: a}]", config: magnum, code: "JB1310", message: "node groups only for kubernetes"},
		"bounds of swarm, Magnum":            {template: swarm, cluster: group + "minNodeCount: 1}]", config: magnum},
		"groups of docker, Heat":             {template: noFIP + docker, cluster: "nodeGroups: [{name: a}]"},

		"pods on nodes":        {template: "labels: {kube_tag: v1.33.4, flannel_network_cidr: 10.0.0.0/16}", code: "JB1316", message: "pods (10.0.0.0/16) and nodes (10.0.0.0/24)"},
		"nodes among pods":     {cluster: "labels: {fixed_subnet_cidr: 10.100.7.0/24}", code: "JB1316", message: "nodes (10.100.7.0/24) and pods (10.100.0.0/16)"},
		"pods among services":  {template: "networkDriver: calico; labels: {kube_tag: v1.33.4, calico_ipv4pool: 10.254.128.0/17}", code: "JB1316", message: "services (10.254.0.0/16)"},
		"other driver's pods":  {template: "networkDriver: calico; labels: {kube_tag: v1.33.4, flannel_network_cidr: 10.254.0.0/16}", code: "JB1403", message: "does nothing unless networkDriver is flannel"},
		"nodes in own subnet":  {template: ownNets + "labels: {kube_tag: v1.33.4, flannel_network_cidr: 10.0.0.0/16}"},
		"nodes on the bridge":  {template: "labels: {kube_tag: v1.33.4, container_runtime: host-docker, fixed_subnet_cidr: 172.17.4.0/24}", code: "JB1316", message: "Docker's bridge (172.17.0.0/16)"},
		"nodes, containerd":    {template: "labels: {kube_tag: v1.33.4, container_runtime: containerd, fixed_subnet_cidr: 172.17.4.0/24}"},
		"swarm's pods, bridge": {template: swarm + "; networkDriver: flannel; labels: {flannel_network_cidr: 172.16.0.0/12}", code: "JB1316", message: "Docker's bridge"},

		"taints":            {cluster: "nodeGroups: [{name: a, nodeTaints: [{key: a, effect: NoExecute}, {key: a, effect: NoSchedule}]}]"},
		"taint twice":       {cluster: "nodeGroups: [{name: a, nodeTaints: [{key: a, value: b, effect: NoExecute}, {key: a, effect: NoExecute}]}]", code: "JB1311", message: "another taint"},
		"taint of the node": {cluster: "nodeGroups: [{name: a, nodeTaints: [{key: node-role.kubernetes.io/x, effect: NoExecute}]}]", code: "JB1311", message: "Kubernetes keeps"},

		"default-worker":                {cluster: "nodeCount: 3; " + group + "minNodeCount: 2, maxNodeCount: 4, nodeLabels: {a: b}, schedule: [{cron: '@daily', nodeCount: 4}, {cron: '0 7 * * *', nodeCount: 2}]}]"},
		"default-worker, too few":       {cluster: group + "minNodeCount: 2}]", code: "JB1309", message: "1 nodes are less than minNodeCount 2"},
		"default-worker, too many":      {cluster: "nodeCount: 3; " + group + "maxNodeCount: 2}]", code: "JB1309", message: "3 nodes are more than maxNodeCount 2"},
		"default-worker, its count":     {cluster: group + "nodeCount: 2}]", code: "JB1310", message: "has its nodeCount in spec"},
		"default-worker, its flavor":    {cluster: group + "flavor: x}]", code: "JB1310", message: "has its flavor in spec"},
		"default-worker twice":          {cluster: group + "minNodeCount: 1}, {name: default-worker}]", code: "JB1310", message: `another group "default-worker"`},
		"default-worker without Docker": {template: noFIP + docker, cluster: group + "nodeLabels: {a: b}}]", code: "JB1311", message: "are of Kubernetes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := least(r.template, r.cluster)
			if r.config != "" {
				files["jeroboam.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: jeroboam.io/v1alpha1\nkind: Config\nmetadata: {name: c}\nspec: {" + r.config + "}\n")}
			}
			fleet, err := load(files)
			problems, _ := schema.AsProblems(err)
			if fleet != nil {
				problems = fleet.Warnings
			}
			switch {
			case err != nil && problems == nil:
				t.Fatal(err)
			case r.code == "" && len(problems) > 0:
				t.Errorf("want no problem, got\n%v", problems)
			case r.code != "" && (len(problems) != 1 || problems[0].Code != r.code || !strings.Contains(problems[0].Message, r.message)):
				t.Errorf("want one problem %s with %q, got\n%v", r.code, r.message, problems)
			case r.code != "" && (fleet == nil) != (r.code.Severity() == schema.Error):
				t.Errorf("%s is of severity %s, and the fleet is %v", r.code, r.code.Severity(), fleet)
			}
		})
	}
}
