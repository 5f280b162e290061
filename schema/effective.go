package schema

import "slices"

// Effective says which effective field a property of a document becomes, by
// path as in Fields: a field of Spec ("image", "nodeGroups/*/flavor"), of
// Policy ("policy/suspend"), or one of
//
//	name, cloud, template  a cluster's identity and its template
//	metadata               labels and annotations of a cluster
//	template/...           what only a template has
//	config                 the daemon's configuration
//
// Empty for what becomes nothing (apiVersion, kind) and for paths that are not
// in the schema. Stars in the result are the keys and group names of the path,
// from left to right; one that is left over stands for every group.
func Effective(kind, field string) string {
	k, ok := registry()[kind]
	switch {
	case !ok || field == "apiVersion" || field == "kind":
		return ""
	case kind == KindConfig && slices.Contains(Fields(kind), field):
		return "config"
	}
	return k.effective[field]
}

// templateFields and clusterFields are the tables of Effective. Some objects are
// here beside their fields (nodeGroups/*, maintenance) because people ask where
// the object is.
func templateFields() map[string]string {
	return map[string]string{
		"metadata/name":             "template/name",
		"metadata/labels/*":         "template/metadata",
		"metadata/annotations/*":    "template/metadata",
		"spec/coe":                  "coe",
		"spec/driver":               "driver",
		"spec/image":                "image",
		"spec/flavor":               "nodeGroups/default-worker/flavor",
		"spec/masterFlavor":         "nodeGroups/default-master/flavor",
		"spec/keypair":              "keypair",
		"spec/sshPublicKeys":        "sshPublicKeys",
		"spec/externalNetwork":      "externalNetwork",
		"spec/fixedNetwork":         "fixedNetwork",
		"spec/fixedSubnet":          "fixedSubnet",
		"spec/dnsNameservers":       "dnsNameservers",
		"spec/networkDriver":        "networkDriver",
		"spec/volumeDriver":         "volumeDriver",
		"spec/dockerVolumeSize":     "nodeGroups/*/dockerVolumeSize",
		"spec/dockerStorageDriver":  "dockerStorageDriver",
		"spec/serverType":           "serverType",
		"spec/apiserverPort":        "apiserverPort",
		"spec/httpProxy":            "httpProxy",
		"spec/httpsProxy":           "httpsProxy",
		"spec/noProxy":              "noProxy",
		"spec/labels/*":             "labels/*",
		"spec/secretLabels/*":       "secretLabels/*",
		"spec/secretLabels/*/env":   "secretLabels/*",
		"spec/secretLabels/*/file":  "secretLabels/*",
		"spec/tlsDisabled":          "tlsDisabled",
		"spec/registryEnabled":      "registryEnabled",
		"spec/insecureRegistry":     "insecureRegistry",
		"spec/masterLBEnabled":      "masterLBEnabled",
		"spec/floatingIPEnabled":    "floatingIPEnabled",
		"spec/public":               "template/public",
		"spec/hidden":               "template/hidden",
		"spec/tags":                 "template/tags",
		"spec/maintenance":          "policy/maintenance",
		"spec/maintenance/cron":     "policy/maintenance/cron",
		"spec/maintenance/duration": "policy/maintenance/duration",
		"spec/maintenance/timeZone": "policy/maintenance/timeZone",
	}
}

func clusterFields() map[string]string {
	return map[string]string{
		"metadata/name":                          "name",
		"metadata/labels/*":                      "metadata",
		"metadata/annotations/*":                 "metadata",
		"spec/cloud":                             "cloud",
		"spec/template":                          "template",
		"spec/masterCount":                       "nodeGroups/default-master/nodeCount",
		"spec/nodeCount":                         "nodeGroups/default-worker/nodeCount",
		"spec/keypair":                           "keypair",
		"spec/sshPublicKeys":                     "sshPublicKeys",
		"spec/flavor":                            "nodeGroups/default-worker/flavor",
		"spec/masterFlavor":                      "nodeGroups/default-master/flavor",
		"spec/dockerVolumeSize":                  "nodeGroups/*/dockerVolumeSize",
		"spec/labels/*":                          "labels/*",
		"spec/secretLabels/*":                    "secretLabels/*",
		"spec/secretLabels/*/env":                "secretLabels/*",
		"spec/secretLabels/*/file":               "secretLabels/*",
		"spec/mergeLabels":                       "labels",
		"spec/fixedNetwork":                      "fixedNetwork",
		"spec/fixedSubnet":                       "fixedSubnet",
		"spec/floatingIPEnabled":                 "floatingIPEnabled",
		"spec/masterLBEnabled":                   "masterLBEnabled",
		"spec/createTimeout":                     "policy/createTimeout",
		"spec/discoveryURL":                      "discoveryURL",
		"spec/maxBatchSize":                      "policy/maxBatchSize",
		"spec/nodesToRemove":                     "policy/nodesToRemove",
		"spec/nodeGroups/*":                      "nodeGroups/*",
		"spec/nodeGroups/*/name":                 "nodeGroups/*/name",
		"spec/nodeGroups/*/role":                 "nodeGroups/*/role",
		"spec/nodeGroups/*/nodeCount":            "nodeGroups/*/nodeCount",
		"spec/nodeGroups/*/minNodeCount":         "nodeGroups/*/minNodeCount",
		"spec/nodeGroups/*/maxNodeCount":         "nodeGroups/*/maxNodeCount",
		"spec/nodeGroups/*/image":                "nodeGroups/*/image",
		"spec/nodeGroups/*/flavor":               "nodeGroups/*/flavor",
		"spec/nodeGroups/*/dockerVolumeSize":     "nodeGroups/*/dockerVolumeSize",
		"spec/nodeGroups/*/labels/*":             "nodeGroups/*/labels/*",
		"spec/nodeGroups/*/mergeLabels":          "nodeGroups/*/labels",
		"spec/nodeGroups/*/nodeLabels/*":         "nodeGroups/*/nodeLabels/*",
		"spec/nodeGroups/*/nodeTaints/*/key":     "nodeGroups/*/nodeTaints",
		"spec/nodeGroups/*/nodeTaints/*/value":   "nodeGroups/*/nodeTaints",
		"spec/nodeGroups/*/nodeTaints/*/effect":  "nodeGroups/*/nodeTaints",
		"spec/nodeGroups/*/schedule/*/cron":      "policy/schedules",
		"spec/nodeGroups/*/schedule/*/timeZone":  "policy/schedules",
		"spec/nodeGroups/*/schedule/*/nodeCount": "policy/schedules",
		"spec/maintenance":                       "policy/maintenance",
		"spec/maintenance/cron":                  "policy/maintenance/cron",
		"spec/maintenance/duration":              "policy/maintenance/duration",
		"spec/maintenance/timeZone":              "policy/maintenance/timeZone",
		"spec/deletionProtection":                "policy/deletionProtection",
		"spec/suspend":                           "policy/suspend",
		"spec/suspend/until":                     "policy/suspension/until",
		"spec/suspend/by":                        "policy/suspension/by",
		"spec/suspend/reason":                    "policy/suspension/reason",
		"spec/previousNames":                     "policy/previousNames",
	}
}
