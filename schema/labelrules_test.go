package schema_test

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestLabelRules has a line for each rule over labels: what is written in the
// template and in the cluster, and the problem that there is, or "" for none.
// Labels of the cluster are merged over kube_tag v1.33.4 of the template, and
// the driver is heat; "magnum" in front of the name makes it magnum.
func TestLabelRules(t *testing.T) {
	t.Parallel()
	const (
		fcos    = "driver: k8s_fedora_coreos; labels: {kube_tag: v1.33.4}"
		atomic  = "driver: k8s_fedora_atomic; labels: {kube_tag: v1.15.7}"
		magnum  = "driver: k8s_fedora_coreos_v1; labels: {kube_tag: v1.28.9-rancher1, helm_client_tag: v3.2.1}"
		capi    = "driver: k8s_cluster_api_ubuntu; labels: {kube_tag: v1.33.4}"
		mesos   = "coe: mesos; labels: {}"
		swarm   = "coe: swarm; labels: {}"
		scaling = "auto_scaling_enabled: true, min_node_count: 2, max_node_count: 2"
		sum     = "96641849cb78a0a119223a427dfdc1ade88412ef791a14193212c8c8e29d447b"
	)
	for name, r := range map[string]struct{ template, cluster, want string }{
		// Keys.
		"known":                     {"", "labels: {availability_zone: a}", ""},
		"unknown":                   {"", "labels: {nothing_like_it_at_all: a}", `error JB1401: /spec/labels/nothing_like_it_at_all: unknown label "nothing_like_it_at_all"`},
		"misspelt":                  {"", "labels: {auto_heeling_enabled: true}", `unknown label "auto_heeling_enabled"; did you mean "auto_healing_enabled"?`},
		"misspelt in a group":       {"", "nodeGroups: [{name: a, labels: {availabilityzone: a}}]", `/spec/nodeGroups/0/labels/availabilityzone: unknown label "availabilityzone"; did you mean "availability_zone"?`},
		"magnum unknown":            {magnum, "labels: {nothing_like_it_at_all: a}", "name it in labels of the cloud in Config"},
		"magnum known elsewhere":    {magnum, "labels: {elsewhere: a}", ""},
		"magnum known, end":         {magnum, "labels: {where: a}", `unknown label "where"`},
		"of the other driver":       {"", "labels: {audit_log_enabled: true}", `error JB1401: /spec/labels/audit_log_enabled: the label "audit_log_enabled" is read with driver magnum only (magnum_cluster_api), and the cloud has driver heat`},
		"magnum of ours":            {magnum, "labels: {mirror_url: 'https://x.example.com/'}", `the label "mirror_url" is read with driver heat only`},
		"ours":                      {"", "labels: {mirror_url: 'https://x.example.com/'}", ""},
		"ours, not for atomic":      {atomic, "labels: {mirror_url: 'https://x.example.com/'}", "it is read by k8s_debian, k8s_fedora_coreos only, and driver is k8s_fedora_atomic"},
		"obsolete":                  {"", "labels: {heapster_enabled: true}", `warning JB1409: /spec/labels/heapster_enabled: the label "heapster_enabled" is obsolete: metrics_server_enabled`},
		"obsolete, never read":      {"", "labels: {audit_log_maxage: 3}", "the key is audit_log_max_age"},
		"secret elsewhere":          {"", "labels: {monitoring_enabled: true}; secretLabels: {grafana_admin_passwd: {env: A}}", ""},
		"secret without its switch": {"", "secretLabels: {grafana_admin_passwd: {env: A}}", "warning JB1403: /spec/secretLabels/grafana_admin_passwd: the label \"grafana_admin_passwd\" does nothing unless monitoring_enabled or prometheus_monitoring is true"},
		"secret switch":             {"", "labels: {coredns_tag: v1.11.3, flannel_tag: v0.25.0, etcd_volume_type: ssd}; secretLabels: {etcd_volume_size: {env: A}}", ""},
		"secret, unknown":           {"", "secretLabels: {nothing_like_it_at_all: {env: A}}", "error JB1401: /spec/secretLabels/nothing_like_it_at_all: unknown label"},
		"secret version":            {"labels: -", "secretLabels: {kube_tag: {env: A}}; nodeGroups: [{name: a, labels: {availability_zone: z}}]", ""},
		"secret":                    {"", "labels: {monitoring_enabled: true, grafana_admin_passwd: x}", "warning JB1407: /spec/labels/grafana_admin_passwd: the label \"grafana_admin_passwd\" is a secret, and everybody who can read the repository has it; write secretLabels: {grafana_admin_passwd: {env: NAME}}"},

		// Labels that nobody reads here.
		"of another coe":          {"", "labels: {swarm_strategy: spread}", `warning JB1403: /spec/labels/swarm_strategy: the label "swarm_strategy" does nothing here: it is read by swarm_fedora_atomic only, and coe is kubernetes; leave it out`},
		"of its coe":              {swarm, "labels: {swarm_strategy: spread}", ""},
		"of another driver":       {"driver: k8s_debian; labels: {kube_tag: v1.33.4}", "labels: {selinux_mode: permissive}", "it is read by k8s_fedora_atomic, k8s_fedora_coreos only, and driver is k8s_debian"},
		"of a possible driver":    {"", "labels: {selinux_mode: permissive}", ""},
		"of another server type":  {"serverType: bm; fixedNetwork: n; fixedSubnet: s; labels: {kube_tag: v1.15.7}", "labels: {selinux_mode: permissive}", "only, and serverType is bm"},
		"docker has a zone":       {"coe: docker; masterFlavor: -", "labels: {availability_zone: a}", ""},
		"docker has no version":   {"coe: docker; masterFlavor: -", "labels: {kube_tag: v1.33.4}", "only, and coe is docker"},
		"magnum driver of a firm": {"driver: ours; labels: {kube_tag: v1.33.4}", "labels: {selinux_mode: permissive}", ""},
		"from the cluster":        {"", "nodeGroups: [{name: a, labels: {service_cluster_ip_range: 10.1.0.0/16}}]", `warning JB1403: /spec/nodeGroups/0/labels/service_cluster_ip_range: the label "service_cluster_ip_range" is read from the cluster`},
		"from the group":          {"", "nodeGroups: [{name: a, labels: {availability_zone: a}}]", ""},
		"of ours, from the group": {"", "nodeGroups: [{name: a, labels: {mirror_url: 'https://x.example.com/', boot_volume_size: 10}}]", ""},
		"magnum, from its own":    {magnum, "nodeGroups: [{name: a, labels: {boot_volume_size: 10}}]", `the label "boot_volume_size" is read from the cluster`},
		"magnum from the group":   {capi, "nodeGroups: [{name: a, labels: {boot_volume_size: 10}}]", ""},
		"of masters, in a group":  {"", "nodeGroups: [{name: a, labels: {kubeapi_options: --v=2}}]", "only masters read the label"},
		"of masters":              {"", "labels: {kubeapi_options: --v=2}", ""},
		"the cluster's again":     {"", "labels: {kubeapi_options: --v=2}; nodeGroups: [{name: a, labels: {kubeapi_options: --v=2}}]", ""},

		// What labels need.
		"calico":                   {"networkDriver: calico", "labels: {calico_tag: v3.26.1}", ""},
		"calico with flannel":      {"", "labels: {calico_tag: v3.26.1}", `warning JB1403: /spec/labels/calico_tag: the label "calico_tag" does nothing unless networkDriver is calico; set networkDriver: calico, or leave the label out`},
		"flannel with calico":      {"networkDriver: calico", "labels: {flannel_backend: vxlan}", "does nothing unless networkDriver is flannel"},
		"type of no etcd volume":   {"", "labels: {etcd_volume_type: ssd}", "does nothing unless etcd_volume_size is set"},
		"type of etcd volume 0":    {"", "labels: {etcd_volume_size: 0, etcd_volume_type: ssd}", "does nothing unless etcd_volume_size is set"},
		"type of etcd volume":      {"", "labels: {etcd_volume_size: 2, etcd_volume_type: ssd}", ""},
		"type of no root disk":     {"", "labels: {boot_volume_type: ssd}", "does nothing unless boot_volume_size is set"},
		"magnum type of root disk": {magnum, "labels: {boot_volume_type: ssd}", ""}, // its settings may have a size
		"type of no volume":        {"", "labels: {docker_volume_type: ssd}", "does nothing unless dockerVolumeSize is set"},
		"type of volume":           {"", "dockerVolumeSize: 5; labels: {docker_volume_type: ssd}", ""},
		"type of group's volume":   {"", "nodeGroups: [{name: a, dockerVolumeSize: 5}]; labels: {docker_volume_type: ssd}", ""},
		"healer, no healing":       {"", "labels: {auto_healing_controller: draino}", "does nothing unless auto_healing_enabled is true"},
		"healer, healing off":      {"", "labels: {auto_healing_enabled: 'False', auto_healing_controller: draino}", "does nothing unless auto_healing_enabled is true"},
		"healer":                   {"", "labels: {auto_healing_enabled: 'True', auto_healing_controller: draino}", ""},
		"tag of another healer":    {"", "labels: {auto_healing_enabled: true, magnum_auto_healer_tag: v1.18.0}", "does nothing unless auto_healing_controller is magnum-auto-healer"},
		"containerd with docker":   {fcos, "labels: {containerd_tarball_url: 'https://m.example.com/c'}", "does nothing unless container_runtime is containerd"},
		"containerd":               {fcos, "labels: {container_runtime: containerd, containerd_version: 1.7.20, containerd_tarball_sha256: " + sum + "}", ""},
		"containerd, debian may":   {"", "labels: {containerd_version: 1.7.20, containerd_tarball_sha256: " + sum + "}", ""},
		"containerd without sum":   {"", "labels: {containerd_version: 1.7.20}", `error JB1404: /spec/labels/containerd_version: the label "containerd_version" works only if containerd_tarball_sha256 or mirror_url is set`},
		"containerd of a mirror":   {"", "labels: {containerd_version: 1.7.20, mirror_url: 'https://m.example.com'}", ""},
		"sum without containerd":   {"", "labels: {containerd_tarball_sha256: " + strings.Repeat("a", 64) + "}", "works only if containerd_version is set"},
		"magnum default pair":      {magnum, "labels: {container_runtime: containerd, containerd_version: 1.4.4, helm_client_tag: v3.2.1}", ""},
		"helm without sum":         {"", "labels: {helm_client_tag: v3.18.0}", "works only if helm_client_sha256 or mirror_url is set"},
		"sum without helm":         {"", "labels: {helm_client_sha256: " + sum + "}", "works only if helm_client_tag is set"},
		"balancer off":             {"", "labels: {master_lb_allowed_cidrs: 10.0.0.0/8}", "does nothing unless masterLBEnabled is true"},
		"balancer on":              {"masterLBEnabled: true", "labels: {master_lb_allowed_cidrs: 10.0.0.0/8}", ""},
		"monitoring off":           {"", "labels: {monitoring_retention_days: 3}", "does nothing unless monitoring_enabled is true"},
		"monitoring on":            {"", "labels: {monitoring_enabled: true, monitoring_retention_days: 3}", ""},
		"ingress of another":       {"", "labels: {ingress_controller: nginx, octavia_ingress_controller_tag: v1.18.0}", "does nothing unless ingress_controller is octavia"},
		"ingress":                  {"", "labels: {ingress_controller: octavia, octavia_ingress_controller_tag: v1.18.0}", ""},
		"role of no ingress":       {"", "labels: {ingress_controller_role: edge}", "does nothing unless ingress_controller is traefik or nginx"},
		"monitoring, no ingress":   {"", "labels: {monitoring_enabled: true, monitoring_ingress_enabled: true}", "error JB1404: /spec/labels/monitoring_ingress_enabled: monitoring_ingress_enabled: true works only if ingress_controller is set"},
		"monitoring, off, none":    {"", "labels: {monitoring_ingress_enabled: false}", ""},
		"monitoring with ingress":  {"", "labels: {monitoring_enabled: true, monitoring_ingress_enabled: true, ingress_controller: nginx}", ""},
		"cinder without driver":    {"", "labels: {cinder_csi_enabled: true}", "error JB1404: /spec/labels/cinder_csi_enabled: cinder_csi_enabled: true works only if volumeDriver is cinder"},
		"cinder":                   {"volumeDriver: cinder", "labels: {cinder_csi_enabled: true}", ""},
		"cinder off":               {"", "labels: {cinder_csi_enabled: false}", ""},
		"cinder without provider":  {"volumeDriver: cinder", "labels: {cinder_csi_enabled: true, cloud_provider_enabled: false}", "works only if cloud_provider_enabled is true"},
		"magnum cinder of capi":    {capi, "labels: {cinder_csi_enabled: true}", ""},
		"ovn":                      {"", "labels: {octavia_provider: ovn, octavia_lb_algorithm: SOURCE_IP_PORT}", ""},
		"ovn by turns":             {"", "labels: {octavia_provider: ovn}", "octavia_provider: ovn works only if octavia_lb_algorithm is SOURCE_IP_PORT"},
		"magnum ovn of capi":       {capi, "labels: {octavia_provider: ovn}", ""},
		"magnum oidc, no issuer":   {capi, "labels: {oidc_client_id: a}", "does nothing unless oidc_issuer_url is set"},
		"magnum oidc, no client":   {capi, "labels: {oidc_issuer_url: 'https://a.example.com'}", "works only if oidc_client_id is set"},
		"magnum oidc":              {capi, "labels: {oidc_issuer_url: 'https://a.example.com', oidc_client_id: a}", ""},
		"magnum audit off":         {capi, "labels: {audit_log_max_age: 3}", "does nothing unless audit_log_enabled is true"},
		"range of a given subnet":  {"fixedNetwork: n; fixedSubnet: s", "labels: {fixed_subnet_cidr: 10.9.0.0/24}", "does nothing while fixedSubnet is set; leave one of the two out"},
		"range of a new subnet":    {"", "labels: {fixed_subnet_cidr: 10.9.0.0/24}", ""},
		"two prefixes":             {"", "labels: {container_infra_prefix: r/, hyperkube_prefix: h/}", "does nothing while container_infra_prefix is set"},
		"two targets of the OS":    {"", "labels: {ostree_commit: abc, ostree_remote: 'f:r'}", "does nothing while ostree_commit is set"},
		"rexray with nothing":      {swarm, "labels: {rexray_preempt: true}", "does nothing unless volumeDriver is rexray"},

		// Several labels.
		"scaling, equal bounds":    {"", "nodeCount: 2; labels: {" + scaling + "}", ""},
		"scaling":                  {"", "nodeCount: 2; labels: {auto_scaling_enabled: true, min_node_count: 1, max_node_count: 3}", "warning JB1405: /spec/labels/auto_scaling_enabled: the autoscaler changes the number of nodes, and for the documents it is nodeCount; give the group default-worker"},
		"scaling, bounds of both":  {"", "nodeCount: 2; labels: {auto_scaling_enabled: true, min_node_count: 1, max_node_count: 3}; nodeGroups: [{name: default-worker, minNodeCount: 1, maxNodeCount: 3}]", ""},
		"scaling, bounds disagree": {"", "nodeCount: 2; labels: {auto_scaling_enabled: true, min_node_count: 1, max_node_count: 3}; nodeGroups: [{name: default-worker, minNodeCount: 1, maxNodeCount: 4}]", "min_node_count and max_node_count are not minNodeCount 1 and maxNodeCount 4 of default-worker"},
		"scaling, too few":         {"", "nodeCount: 1; labels: {" + scaling + "}", "error JB1404: /spec/nodeCount: 1 nodes are less than min_node_count 2"},
		"scaling, default count":   {"", "labels: {" + scaling + "}", "1 nodes are less than min_node_count 2"},
		"scaling, too many":        {"", "nodeCount: 3; labels: {" + scaling + "}", "error JB1404: /spec/nodeCount: 3 nodes are more than max_node_count 2"},
		"no scaling, too few":      {"", "nodeCount: 1; labels: {min_node_count: 2}", "warning JB1405: /spec/nodeCount: 1 nodes are less than min_node_count 2"},
		"no scaling, most":         {"", "labels: {max_node_count: 2}", "does nothing unless auto_scaling_enabled is true"},
		"flannel":                  {"", "nodeCount: 255; labels: {flannel_network_cidr: 10.4.0.0/16}", ""},
		"flannel, defaults":        {"", "nodeCount: 255", ""},
		"flannel, defaults full":   {"", "nodeCount: 256", "error JB1404: /spec/nodeCount: 10.100.0.0/16 has room for 256 nodes"},
		"magnum flannel, perhaps":  {"labels: {}", "nodeCount: 300", ""},
		"flannel, full":            {"", "nodeCount: 256; labels: {flannel_network_cidr: 10.4.0.0/16}", "error JB1404: /spec/labels/flannel_network_cidr: 10.4.0.0/16 has room for 256 nodes with subnets of /24, and the cluster has up to 257"},
		"flannel, group may fill":  {"", "nodeCount: 10; nodeGroups: [{name: a, maxNodeCount: 300}]; labels: {flannel_network_subnetlen: 24}", "room for 256 nodes"},
		"flannel, wrong way":       {"", "labels: {flannel_network_cidr: 10.4.0.0/24, flannel_network_subnetlen: 20}", "error JB1404: /spec/labels/flannel_network_subnetlen: subnets of /20 do not fit into the pod network 10.4.0.0/24"},
		"podman off":               {fcos, "labels: {use_podman: false}", "error JB1404: /spec/labels/use_podman: Fedora CoreOS runs Kubernetes with Podman only"},
		"podman off, atomic may":   {"", "labels: {use_podman: false}", ""},
		"podman":                   {fcos, "labels: {use_podman: true}", ""},
		"podman, old":              {atomic, "labels: {use_podman: true}", "use_podman needs kube_tag v1.16 or newer, found v1.15.7"},
		"podman, new":              {atomic, "labels: {use_podman: true, kube_tag: v1.16.0}", ""},
		"mesos docker":             {mesos, "labels: {mesos_slave_image_providers: 'appc,docker', mesos_slave_isolation: 'cgroups/cpu,docker/runtime'}", ""},
		"mesos docker, alone":      {mesos, "labels: {mesos_slave_image_providers: 'appc,docker', mesos_slave_isolation: cgroups/cpu}", "the image provider docker needs docker/runtime"},
		"mesos appc":               {mesos, "labels: {mesos_slave_image_providers: appc}", ""},
		"volumes without provider": {"volumeDriver: cinder", "labels: {cloud_provider_enabled: false, cinder_csi_enabled: false}", "error JB1404: /spec/labels/cloud_provider_enabled: volumeDriver cinder needs the cloud provider"},
		"magnum volumes, provider": {magnum + "; volumeDriver: cinder", "labels: {cloud_provider_enabled: false}", "volumeDriver cinder needs the cloud provider"},
		"no volumes, no provider":  {"", "labels: {cloud_provider_enabled: false}", ""},
		"provider of another":      {"", "labels: {cloud_provider_tag: v1.31.0}", "warning JB1405: /spec/labels/cloud_provider_tag: cloud_provider_tag is of Kubernetes v1.31, and kube_tag of v1.33; take a release v1.33"},
		"provider":                 {"", "labels: {cloud_provider_tag: v1.33.0}", ""},

		// Versions.
		"no version":              {"labels: -", "", "warning JB1405: /spec: kube_tag is not set"},
		"no version, replaced":    {"", "labels: {}; mergeLabels: false", "kube_tag is not set"},
		"no version of swarm":     {swarm, "", ""},
		"old version":             {"", "labels: {kube_tag: v1.28.9}", "error JB1406: /spec/labels/kube_tag: Kubernetes v1.28 is not supported: k8s_fedora_coreos v1.29 to v1.36, k8s_debian v1.29 to v1.36"},
		"oldest version":          {"", "labels: {kube_tag: v1.29.0}", ""},
		"newest version":          {"", "labels: {kube_tag: v1.36.0}", ""},
		"new version":             {"", "labels: {kube_tag: v1.37.0}", "Kubernetes v1.37 is not supported"},
		"version 2":               {"", "labels: {kube_tag: v2.33.0}", "Kubernetes v2.33 is not supported"},
		"version of one driver":   {"driver: k8s_debian; labels: {kube_tag: v1.28.9}", "", "not supported: k8s_debian v1.29 to v1.36"},
		"version of atomic":       {atomic, "", ""},
		"group as the cluster":    {"", "nodeGroups: [{name: a, labels: {kube_tag: v1.33.9}}]", ""},
		"group newer":             {"", "nodeGroups: [{name: a, labels: {kube_tag: v1.34.0}}]", "error JB1406: /spec/nodeGroups/0/labels/kube_tag: the group has Kubernetes v1.34, newer than v1.33 of the masters; upgrade the cluster first"},
		"group older by three":    {"", "nodeGroups: [{name: a, labels: {kube_tag: v1.30.0}}]", ""},
		"group older by four":     {"", "nodeGroups: [{name: a, labels: {kube_tag: v1.29.0}}]", "more than 3 minor versions older than v1.33 of the masters"},
		"magnum older by two":     {capi, "labels: {kube_tag: v1.27.0}; nodeGroups: [{name: a, labels: {kube_tag: v1.25.0, availability_zone: z}}]", "read from the cluster"},
		"atomic older by three":   {atomic, "nodeGroups: [{name: a, labels: {kube_tag: v1.12.0}}]", "more than 2 minor versions older than v1.15"},
		"atomic older by two":     {atomic, "nodeGroups: [{name: a, labels: {kube_tag: v1.13.0}}]", ""},
		"group too old for nodes": {"", "labels: {kube_tag: v1.30.0}; nodeGroups: [{name: a, labels: {kube_tag: v1.28.0}}]", "error JB1406: /spec/nodeGroups/0/labels/kube_tag: Kubernetes v1.28 is not supported"},
		"group lost it":           {"", "nodeGroups: [{name: a, mergeLabels: false, labels: {availability_zone: z}}]", "warning JB1405: /spec/nodeGroups/0/labels: the labels of the group replace the cluster's, so it has no kube_tag"},

		// Magnum's own.
		"magnum":                 {magnum, "", ""},
		"magnum, any driver":     {"labels: {}", "", ""},
		"magnum, no version":     {"driver: k8s_fedora_coreos_v1; labels: {helm_client_tag: v3.2.1}", "", "without kube_tag Magnum runs v1.23.3-rancher1"},
		"magnum helm pair":       {"driver: k8s_fedora_coreos_v1; labels: {kube_tag: v1.28.9}", "", "the checksum of v3.2.1 for helm_client_sha256"},
		"magnum services":        {magnum, "labels: {service_cluster_ip_range: 10.200.0.0/16}", "Magnum gives the cluster's DNS the address 10.254.0.10 in any case, which is not in 10.200.0.0/16"},
		"magnum services, wider": {magnum, "labels: {service_cluster_ip_range: 10.240.0.0/12}", ""},
		"services":               {"", "labels: {service_cluster_ip_range: 10.200.0.0/16}", ""},
		"magnum calico":          {"networkDriver: calico; " + magnum, "labels: {calico_tag: v3.25.0}", "takes that of v3.21 for v3.25.0"},
		"magnum calico 3.26":     {"networkDriver: calico; " + magnum, "labels: {calico_tag: v3.26.4}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := least(r.template, r.cluster)
			if strings.HasPrefix(name, "magnum") {
				fsys["config.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: jeroboam.io/v1alpha1\nkind: Config\nmetadata: {name: c}\n" +
					"spec: {clouds: {lab: {driver: magnum, labels: [other, elsewhere]}}}\n")}
			}
			problems := problemsOf(fsys)
			switch {
			case r.want == "" && len(problems) > 0:
				t.Errorf("want no problem, got\n%v", problems)
			case r.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), r.want)):
				t.Errorf("want one problem with %q, got\n%v", r.want, problems)
			}
		})
	}
}
