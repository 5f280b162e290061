package schema

// ruleCodes are those of rules over several fields, and of what a text means.
func ruleCodes() []Explanation {
	return []Explanation{
		{
			Code: CodeEvenMasters, Severity: Error, Title: "Even number of masters",
			Text: "The masters are the members of etcd, which works as long as more than half of them do: four survive the loss of one, as three do, and are one more that can fail. " +
				"Magnum refuses an even master_count as well. Take one more or one less.",
			Wrong: `kind: Cluster
spec:
  masterCount: 2
  masterLBEnabled: true
`,
			Right: `kind: Cluster
spec:
  masterCount: 3
  masterLBEnabled: true
`,
		},
		{
			Code: CodeMastersNeedLB, Severity: Error, Title: "Masters without load balancer",
			Text: "Nodes and users reach the API at one address. With several masters that is the address of a load balancer in front of them; without one, the API would be gone with the first master. " +
				"Magnum has the same rule. Set masterLBEnabled in the cluster or in its template.",
			Wrong: `kind: Cluster
spec:
  masterCount: 3
`,
			Right: `kind: Cluster
spec:
  masterCount: 3
  masterLBEnabled: true
`,
		},
		{
			Code: CodeDriver, Severity: Error, Title: "Driver does not fit the engine",
			Text: "The network, volume or storage driver does not exist for this container engine or cluster type. With kubernetes the networks are flannel, calico and cilium and the volumes cinder's; swarm and mesos " +
				"have docker and rexray. These are the lists of Magnum's validators. None of the types that Magnum itself makes of Heat stacks has cilium, although it takes the name.",
			Wrong: `kind: ClusterTemplate
spec:
  coe: kubernetes
  networkDriver: docker
`,
			Right: `kind: ClusterTemplate
spec:
  coe: kubernetes
  networkDriver: calico
`,
		},
		{
			Code: CodeNoFlavor, Severity: Error, Title: "No flavor",
			Text: "Neither the cluster nor its template names a flavor for the masters or the workers. OpenStack has no default: Magnum's client sends m1.medium, which many clouds do not have. " +
				"Set flavor and masterFlavor in the template, so that all its clusters have them.",
			Wrong: `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: k8s}
spec:
  coe: kubernetes
  image: fedora-coreos-latest
  keypair: ops
  externalNetwork: public
`,
			Right: `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: k8s}
spec:
  coe: kubernetes
  image: fedora-coreos-latest
  keypair: ops
  externalNetwork: public
  flavor: m1.medium
  masterFlavor: m1.medium
`,
		},
		{
			Code: CodeNoKey, Severity: Error, Title: "No way to log in",
			Text: "Neither a keypair nor sshPublicKeys is set, so nobody could look at a node that does not come up. A Nova keypair belongs to the user of the credential alone; sshPublicKeys are in the document, " +
				"and a team can share them.",
			Wrong: `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: k8s}
spec:
  coe: kubernetes
  image: fedora-coreos-latest
  externalNetwork: public
  flavor: m1.medium
  masterFlavor: m1.medium
`,
			Right: `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: k8s}
spec:
  coe: kubernetes
  image: fedora-coreos-latest
  keypair: ops
  externalNetwork: public
  flavor: m1.medium
  masterFlavor: m1.medium
`,
		},
		{
			Code: CodeNoNetwork, Severity: Error, Title: "No external network",
			Text: "Nodes get floating IPs unless floatingIPEnabled is false, and floating IPs are addresses of an external network: one that Neutron marks as router:external. The types that Magnum makes of Heat stacks need it without floating IPs too. " +
				"Name it in externalNetwork of the template.",
			Wrong: `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: k8s}
spec:
  coe: kubernetes
  image: fedora-coreos-latest
  keypair: ops
  flavor: m1.medium
  masterFlavor: m1.medium
`,
			Right: `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: k8s}
spec:
  coe: kubernetes
  image: fedora-coreos-latest
  keypair: ops
  externalNetwork: public
  flavor: m1.medium
  masterFlavor: m1.medium
`,
		},
		{
			Code: CodeNoSubnet, Severity: Error, Title: "Network and subnet do not go together",
			Text: "fixedSubnet is a subnet of fixedNetwork, so it says nothing without it. Bare metal needs both: its network is the one that the machines are wired to, and no new one can be made for them. Behind Magnum the subnet of bare metal is enough.",
			Wrong: `kind: Cluster
spec:
  fixedSubnet: nodes-v4
`,
			Right: `kind: Cluster
spec:
  fixedNetwork: nodes
  fixedSubnet: nodes-v4
`,
		},
		{
			Code: CodeNoMasters, Severity: Error, Title: "Engine without masters",
			Text: "With coe docker every node stands for itself: there is no control plane, and so nothing that masterCount or masterFlavor could be about. Leave the field out, or choose another engine.",
			Wrong: `kind: ClusterTemplate
spec:
  coe: docker
  masterFlavor: m1.medium
`,
			Right: `kind: ClusterTemplate
spec:
  coe: docker
`,
		},
		{
			Code: CodeNodeCount, Severity: Error, Title: "Node count out of bounds",
			Text: "The size of a group, or one that its schedule sets, is outside of the group's own minNodeCount and maxNodeCount, or these two contradict each other. Magnum answers with 409 to the same. " +
				"Without nodeCount a group has one node.",
			Wrong: `kind: Cluster
spec:
  nodeGroups:
  - {name: gpu, nodeCount: 5, maxNodeCount: 4}
`,
			Right: `kind: Cluster
spec:
  nodeGroups:
  - {name: gpu, nodeCount: 4, maxNodeCount: 4}
`,
		},
		{
			Code: CodeGroup, Severity: Error, Title: "Wrong node group",
			Text: "The names of a cluster's groups differ; default-master and default-worker exist in every cluster and have their sizes and flavors in spec itself; and no further group can hold masters, because they are the " +
				"members of one etcd. Behind Magnum only kubernetes has further groups. The rules are Magnum's.",
			Wrong: `kind: Cluster
spec:
  nodeGroups:
  - {name: gpu, role: master}
`,
			Right: `kind: Cluster
spec:
  nodeGroups:
  - {name: gpu, role: gpu}
`,
		},
		{
			Code: CodeNodeLabel, Severity: Error, Title: "Refused node label or taint",
			Text: "Kubernetes keeps the domains kubernetes.io and k8s.io for itself: a kubelet may set labels below kubelet.kubernetes.io and node.kubernetes.io and a short list of others, and its API server refuses the rest, so the node " +
				"would never join. Use a domain of your own. Only nodes of Kubernetes have labels and taints, and two taints of a group differ in key or effect.",
			Wrong: `kind: Cluster
spec:
  nodeGroups:
  - name: gpu
    nodeLabels: {kubernetes.io/role: gpu}
`,
			Right: `kind: Cluster
spec:
  nodeGroups:
  - name: gpu
    nodeLabels: {example.com/role: gpu}
`,
		},
		{
			Code: CodeVolumeSize, Severity: Error, Title: "Volume too small",
			Text: "The storage driver devicemapper makes a thin pool on the container volume and needs at least 3 GiB for it; Magnum refuses less as well. Give the volume more, or use overlay2, which needs no volume.",
			Wrong: `kind: ClusterTemplate
spec:
  dockerStorageDriver: devicemapper
  dockerVolumeSize: 2
`,
			Right: `kind: ClusterTemplate
spec:
  dockerStorageDriver: devicemapper
  dockerVolumeSize: 20
`,
		},
		{
			Code: CodeAddress, Severity: Error, Title: "Wrong address",
			Text: "A name server is given by its IP address, because nodes have nobody to ask for its name before they have a name server. It is one that nodes can reach: loopback and multicast addresses mean another machine on each of them.",
			Wrong: `kind: ClusterTemplate
spec:
  dnsNameservers: [dns.example.com]
`,
			Right: `kind: ClusterTemplate
spec:
  dnsNameservers: [192.0.2.53]
`,
		},
		{
			Code: CodePublicKey, Severity: Error, Title: "Wrong SSH public key",
			Text: "An entry is a line as in authorized_keys: the type of the key, the key in base64, a comment. Copy the line of a .pub file. If it was a private key, it is in the history of the repository now: " +
				"to remove it is not enough, replace the key pair.",
			Wrong: `kind: Cluster
spec:
  sshPublicKeys:
  - AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops@example.com
`,
			Right: `kind: Cluster
spec:
  sshPublicKeys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops@example.com
`,
		},
		{
			Code: CodeProxy, Severity: Error, Title: "Wrong proxy",
			Text: "httpProxy and httpsProxy are http or https URLs of a host and a port, without a path. noProxy is a list of names, addresses and networks with commas between, without schemes. Magnum only counts the characters; " +
				"nodes with a wrong proxy fail at their first download, a quarter of an hour into the creation.",
			Wrong: `kind: ClusterTemplate
spec:
  httpProxy: proxy.example.com:3128
`,
			Right: `kind: ClusterTemplate
spec:
  httpProxy: http://proxy.example.com:3128
`,
		},
		{
			Code: CodeOverlap, Severity: Error, Title: "Networks overlap",
			Text: "The networks of nodes, pods and services meet on every node and have to be apart, or packets for one go to the other. What the documents do not set has the default of the cluster type, and counts too. Magnum does not check it, and the " +
				"cluster comes up all the same: it is its workloads that fail. Set one of the two to a network that is free, also in your own site.",
			Wrong: `kind: ClusterTemplate
spec:
  networkDriver: calico
  labels: {fixed_subnet_cidr: 10.0.0.0/16, calico_ipv4pool: 10.0.128.0/17}
`,
			Right: `kind: ClusterTemplate
spec:
  networkDriver: calico
  labels: {fixed_subnet_cidr: 10.0.0.0/16, calico_ipv4pool: 10.100.0.0/16}
`,
		},
		{
			Code: CodeCron, Severity: Error, Title: "Wrong cron expression",
			Text: "A time is five cron fields: minute, hour, day of month, month, day of week; or a word such as @daily. There are no seconds, no @every, which would count from the start of the daemon, and no TZ= inside: " +
				"the zone is in timeZone. An expression that never comes true, such as 30 February, is refused, and so is a second entry of a schedule at the same times.",
			Wrong: `kind: Cluster
spec:
  maintenance: {cron: "0 2 * *", duration: 4h}
`,
			Right: `kind: Cluster
spec:
  maintenance: {cron: "0 2 * * 6", duration: 4h}
`,
		},
		{
			Code: CodeTimeZone, Severity: Error, Title: "Unknown time zone",
			Text: "Time zones are named as in the IANA database, such as Europe/Berlin or UTC. Abbreviations such as CET do not know summer time reliably, and Local would be another zone on another machine.",
			Wrong: `kind: Cluster
spec:
  maintenance: {cron: "0 2 * * 6", duration: 4h, timeZone: Berlin}
`,
			Right: `kind: Cluster
spec:
  maintenance: {cron: "0 2 * * 6", duration: 4h, timeZone: Europe/Berlin}
`,
		},
		{
			Code: CodeDuration, Severity: Error, Title: "Wrong duration",
			Text: "A duration is numbers with units, h for hours, m for minutes and s for seconds: 4h, 90m, 1h30m. There is no unit for days, because not all have 24 hours. A window is between half an hour and a week (168h) long: " +
				"nothing starts in its last 15 minutes, and longer would be always.",
			Wrong: `kind: Cluster
spec:
  maintenance: {cron: "0 2 * * 6", duration: 2d}
`,
			Right: `kind: Cluster
spec:
  maintenance: {cron: "0 2 * * 6", duration: 48h}
`,
		},
		{
			Code: CodeRegistry, Severity: Error, Title: "Wrong registry",
			Text: "Container engines take a registry as host:port, without a scheme and a path; with one they do not start, or ignore the entry. Whether it is spoken to with TLS is what insecureRegistry itself says.",
			Wrong: `kind: ClusterTemplate
spec:
  insecureRegistry: http://registry.example.com:5000
`,
			Right: `kind: ClusterTemplate
spec:
  insecureRegistry: registry.example.com:5000
`,
		},
		{
			Code: CodeInsecure, Severity: Warning, Title: "Not secure",
			Text: "What is set gives the cluster or a password away: without TLS whoever reaches the API owns the cluster, and a password in a proxy's URL is readable in Git, in Heat and on every node. Keys in user data are readable by the project. " +
				"It is carried out, because there are networks where that is meant; say so in the review.",
			Wrong: `kind: ClusterTemplate
spec:
  tlsDisabled: true
`,
			Right: `kind: ClusterTemplate
spec:
  tlsDisabled: false
`,
		},
		{
			Code: CodeIdle, Severity: Warning, Title: "Field without effect",
			Text: "The field is valid, but nothing reads it in this combination: the driver has no use for it, or another field takes its place. Leave it out, or set what the hint names; a value without effect misleads the next reader.",
			Wrong: `kind: ClusterTemplate
spec:
  fixedNetwork: nodes
  dnsNameservers: [192.0.2.53]
`,
			Right: `kind: ClusterTemplate
spec:
  fixedNetwork: nodes
`,
		},
		{
			Code: CodeClusterType, Severity: Error, Title: "Wrong cluster type",
			Text: "Server type, the image's os_distro and the engine pick the cluster type, which Magnum calls a cluster driver; spec.driver names one outright. The name is unknown, or its server type or engine are not those of the template, " +
				"or no cluster type fits at all. Leave driver out unless two types fit one image.",
			Wrong: `kind: ClusterTemplate
spec:
  coe: kubernetes
  driver: k8s_fedora_corse
`,
			Right: `kind: ClusterTemplate
spec:
  coe: kubernetes
  driver: k8s_fedora_coreos
`,
		},
		{
			Code: CodeSecretReference, Severity: Error, Title: "Wrong secret reference",
			Text: "A secret label says where its value is read when a plan is made: in an environment variable (env) or in a file (file, an absolute path), in exactly one of them. A label is either in labels or in secretLabels, not in both.",
			Wrong: `kind: Cluster
spec:
  secretLabels:
    grafana_admin_passwd: {env: GRAFANA_PASSWORD, file: /run/secrets/grafana}
`,
			Right: `kind: Cluster
spec:
  secretLabels:
    grafana_admin_passwd: {env: GRAFANA_PASSWORD}
`,
		},
		{
			Code: CodeNoLogin, Severity: Warning, Title: "Perhaps no way to log in",
			Text: "Neither keypair nor sshPublicKeys is set. Magnum takes that, and some of its drivers let people in by other ways; with the others nobody can look into a node that fails to boot. Set keypair if you want to.",
		},
		{
			Code: CodeKeyDelivery, Severity: Error, Title: "Keys out of reach",
			Text: "Keys that are kept locally are on the machine of the daemon, from which no node can fetch them. Keep them in Barbican (keys: barbican, or leave it out), or let them be delivered in user data, where everybody in the project can read them: that has to be said with keyDelivery: userData.",
			Wrong: `kind: Config
spec:
  clouds:
    lab: {keys: local}
`,
			Right: `kind: Config
spec:
  clouds:
    lab: {keys: local, keyDelivery: userData}
`,
		},
	}
}
