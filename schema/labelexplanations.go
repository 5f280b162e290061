package schema

// labelCodes are those of Magnum's labels, and of the Config.
func labelCodes() []Explanation {
	return []Explanation{
		{
			Code: CodeUnknownLabel, Severity: Error, Title: "Unknown label",
			Text: "No cluster type reads a label of this name. Magnum takes any and ignores what it does not know, so that a slip shows months later as a setting that never held. Take the name in the hint; if a driver of yours reads it, " +
				"name it in labels of the cloud in Config.",
			Wrong: `kind: Cluster
spec:
  labels: {kube_tga: v1.33.4}
`,
			Right: `kind: Cluster
spec:
  labels: {kube_tag: v1.33.4}
`,
		},
		{
			Code: CodeLabelValue, Severity: Error, Title: "Wrong value of a label",
			Text: "Labels are text for Magnum, which checks hardly any: a wrong value comes back from Heat, or from a boot script after minutes. Here it has to be of the label's type, such as true or false, a whole number within bounds, a network, a version or one " +
				"of a few words. `jeroboam schema --markdown` lists them all.",
			Wrong: `kind: Cluster
spec:
  labels: {auto_healing_enabled: maybe}
`,
			Right: `kind: Cluster
spec:
  labels: {auto_healing_enabled: true}
`,
		},
		{
			Code: CodeLabelIgnored, Severity: Warning, Title: "Label without effect",
			Text: "The label exists, but no cluster type that this cluster can turn out to be reads it: it belongs to another engine, or to another driver, or it is set in a group and read from the cluster alone. Leave it out, or set it where it is read.",
			Wrong: `kind: ClusterTemplate
spec:
  coe: docker
  labels: {kube_tag: v1.33.4}
`,
			Right: `kind: ClusterTemplate
spec:
  coe: docker
`,
		},
		{
			Code: CodeLabelsClash, Severity: Error, Title: "Labels that exclude each other",
			Text: "One label needs what another, or a field, forbids: the cluster would fail while it is created, or come up without the part. Cinder's CSI driver, for one, is started by the OpenStack cloud provider, and Magnum refuses to create the one without the other. " +
				"The message names both; change one.",
			Wrong: `kind: Cluster
spec:
  labels: {cinder_csi_enabled: true, cloud_provider_enabled: false}
`,
			Right: `kind: Cluster
spec:
  labels: {cinder_csi_enabled: true, cloud_provider_enabled: true}
`,
		},
		{
			Code: CodeLabelsDoubt, Severity: Warning, Title: "Labels that hardly work together",
			Text: "Each label is fine, but together, or with what is not set, they hardly do what was meant: the cloud provider of one Kubernetes with another, a version without the checksum that goes with it, " +
				"no kube_tag, so that a default decides. It is carried out, since an image of your own may make it work. Set what the hint names, or take the label out.",
			Wrong: `kind: Cluster
spec:
  labels: {kube_tag: v1.33.4, cloud_provider_tag: v1.30.0}
`,
			Right: `kind: Cluster
spec:
  labels: {kube_tag: v1.33.4, cloud_provider_tag: v1.33.0}
`,
		},
		{
			Code: CodeKubeVersion, Severity: Error, Title: "Kubernetes version",
			Text: "kube_tag is not a version of Kubernetes, as v1.33.4, or it is one that the nodes of this cluster type cannot run: their boot scripts know the components and flags of certain minor versions. " +
				"In a group it can also be newer than the masters', or too old for them, which Kubernetes does not support. Choose one within the bounds in the message. A running cluster moves by one minor version at a time, which the plan sees to.",
			Wrong: `kind: Cluster
spec:
  labels: {kube_tag: v1.18.16}
`,
			Right: `kind: Cluster
spec:
  labels: {kube_tag: v1.33.4}
`,
		},
		{
			Code: CodeLabelSecret, Severity: Warning, Title: "Secret in Git",
			Text: "The label's value is a password or a key, and whoever can read the repository, now or later, has it. Move it to secretLabels, which names an environment variable or a file, and change the secret: it stays in the history.",
			Wrong: `kind: Cluster
spec:
  labels: {grafana_admin_passwd: hunter2}
`,
			Right: `kind: Cluster
spec:
  secretLabels:
    grafana_admin_passwd: {env: GRAFANA_PASSWORD}
`,
		},
		{
			Code: CodeLabelNumber, Severity: Error, Title: "Number instead of text",
			Text: "Labels are text, and plain numbers are kept as they are written. This one YAML reads as something else than it looks: 0x1F and 010 are other numbers, 1e3 and 1_000 lose their form, and different programs disagree. " +
				"Put it in quotes if it is a name, or write the number plainly.",
			Wrong: `kind: Cluster
spec:
  labels: {availability_zone: 010}
`,
			Right: `kind: Cluster
spec:
  labels: {availability_zone: "010"}
`,
		},
		{
			Code: CodeLabelObsolete, Severity: Warning, Title: "Obsolete label",
			Text: "Nobody should set the label any more: what it installs is no longer maintained, another label has taken its place, or no release reads it although a guide names it. " +
				"The message says which. Take it out, or take the label that replaces it.",
			Wrong: `kind: Cluster
spec:
  labels: {heapster_enabled: true}
`,
			Right: `kind: Cluster
spec:
  labels: {metrics_server_enabled: true}
`,
		},
		{
			Code: CodeRepository, Severity: Error, Title: "Wrong repository",
			Text: "The repository's URL is none that can be read, or it has a user, a password or a token in it, which everybody who sees the configuration would have: these are given by the environment or a file (access). Of the ways to give a token only one can hold. path is a folder below the root of the repository.",
			Wrong: `kind: Config
spec:
  repository: {url: "https://s3cret@git.example.com/fleet.git"}
`,
			Right: `kind: Config
spec:
  repository: {url: "https://git.example.com/fleet.git"}
`,
		},
		{
			Code: CodeVerify, Severity: Error, Title: "Signatures without keys",
			Text: "Commits are to be verified, or status commits to be signed, and there is no key to do it with. To verify, name a file of SSH keys as Git's gpg.ssh.allowedSignersFile has it, or one of OpenPGP keys. To sign, name the file of a private key.",
			Wrong: `kind: Config
spec:
  repository: {verify: {mode: require}}
`,
			Right: `kind: Config
spec:
  repository: {verify: {mode: require, allowedSigners: allowed_signers}}
`,
		},
		{
			Code: CodeSources, Severity: Error, Title: "Sources in each other's way",
			Text: "The sources of one daemon are instances of their own: each has a name, an owner, a fleet and a place for its status that no other has. Two with the same owner would each delete the clusters of the other, because its own fleet does not have them. Beside sources there is no instance, owner or repository of the Config itself.",
			Wrong: `kind: Config
spec:
  sources:
  - {name: prod, repository: {url: "https://git.example.com/fleet.git", path: prod}}
  - {name: prod, repository: {url: "https://git.example.com/fleet.git", path: test}}
`,
			Right: `kind: Config
spec:
  sources:
  - {name: prod, repository: {url: "https://git.example.com/fleet.git", path: prod}}
  - {name: test, repository: {url: "https://git.example.com/fleet.git", path: test}}
`,
		},
	}
}

// cloudCodes are those of documents and a cloud together, which validate --cloud
// tells. They have no snippets: the same YAML is right elsewhere.
func cloudCodes() []Explanation {
	return []Explanation{
		{
			Code: CodeNotInCloud, Severity: Error, Title: "Not in the cloud",
			Text: "The document names an image, flavor, keypair, network, subnet, volume type or availability zone that the project cannot see in this cloud, or that several things there are called. A creation would be refused, or fail half-way. " +
				"Correct the name, give the id where names are not unique, or ask the operator to share it with the project.",
		},
		{
			Code: CodeUnseen, Severity: Note, Title: "Could not be checked",
			Text: "The cloud did not let this be looked at: the credential may not read it, the service did not answer, or it does not tell. That does not mean that it is wrong, so it never fails a check. " +
				"The message says which role or service would be needed.",
		},
		{
			Code: CodeNoSuchType, Severity: Error, Title: "No such cluster type",
			Text: "Server type, the os_distro property of the image and the engine pick the cluster type, and there is none for the three, or the image has no os_distro. Choose another image, or set the property: " +
				"`openstack image set --property os_distro=fedora-coreos IMAGE`.",
		},
		{
			Code: CodeUnsupported, Severity: Error, Title: "Not supported by the cluster type",
			Text: "The image decides the cluster type, and now that it is known, a field or label turns out to be one that this type does not have, or a value that it refuses. Change the value, or take an image of a type that has it.",
		},
		{
			Code: CodeCloudLimit, Severity: Error, Title: "Beyond a limit of the cloud",
			Text: "The cluster is larger than the services of this cloud take in one piece, whatever the quota: Heat bounds the resources of a stack, its template and user data, Octavia the members of a pool. Make the cluster smaller or split it, or ask the operator whether the limit can be raised.",
		},
		{
			Code: CodeQuota, Severity: Error, Title: "Quota too small",
			Text: "What the documents ask for in addition to what runs does not fit into what is left of the project's quota, so that the creation would stop in the middle and hold what it has got. Ask for more quota, free something, or ask for fewer or smaller nodes. " +
				"The message has the numbers: needed, used, allowed.",
		},
		{
			Code: CodeFlavor, Severity: Error, Title: "Flavor too small",
			Text: "The flavor has less memory, fewer CPUs or a smaller disk than the image or the nodes' software needs. kubeadm asks for 2 CPUs and about 2 GB on a master; a flavor with a disk of 0 boots only from a volume (boot_volume_size). Take a larger flavor.",
		},
		{
			Code: CodeNetwork, Severity: Error, Title: "Network does not fit",
			Text: "The networks exist, but do not fit together or to their task: externalNetwork is not marked router:external, fixedNetwork is, fixedSubnet is of another network or without a router to the external one, or its addresses overlap with those of pods and services. " +
				"The message says which.",
		},
		{
			Code: CodeNoService, Severity: Error, Title: "Service missing in the cloud",
			Text: "The cluster needs a service that the cloud's catalogue does not have: Octavia for masterLBEnabled and services of type LoadBalancer, Cinder for volumes, Barbican for certificates. Leave out what needs it, or use another cloud.",
		},
		{
			Code: CodeCredential, Severity: Error, Title: "Credential cannot do it",
			Text: "The credential for this cloud is refused, or lacks a role that a step of this cluster needs, such as load-balancer_member for Octavia or creator for Barbican; an application credential may also be restricted, so that Heat cannot act in its name. The operator of the cloud can help; `jeroboam doctor --cloud CLOUD` shows the whole picture.",
		},
		{
			Code: CodeNameConflict, Severity: Error, Title: "Names collide",
			Text: "Something that is not of this fleet, or of another instance of Jeroboam, has the name in the cloud that this cluster would take, and what is foreign is never touched. Rename the cluster, adopt the other one with import, or remove it.",
		},
	}
}
