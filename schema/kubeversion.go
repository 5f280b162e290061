package schema

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// KubeVersion is what kube_tag says, without its suffix.
type KubeVersion struct{ Major, Minor, Patch int }

// ParseKube reads vMAJOR.MINOR.PATCH[-suffix]; false if it is something else,
// which the value's own check tells.
func ParseKube(tag string) (KubeVersion, bool) {
	numbers, ok := strings.CutPrefix(tag, "v")
	numbers, _, _ = strings.Cut(numbers, "-")
	parts := strings.Split(numbers, ".")
	if !ok || len(parts) != 3 {
		return KubeVersion{}, false
	}
	var v KubeVersion
	for i, to := range []*int{&v.Major, &v.Minor, &v.Patch} {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return KubeVersion{}, false
		}
		*to = n
	}
	return v, true
}

// Compare orders versions, the older before the newer.
func (v KubeVersion) Compare(o KubeVersion) int {
	return cmp.Or(v.CompareMinor(o), cmp.Compare(v.Patch, o.Patch))
}

// CompareMinor is Compare without the patch releases: 0 for two of one minor
// version.
func (v KubeVersion) CompareMinor(o KubeVersion) int {
	return cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor))
}

func (v KubeVersion) String() string { return fmt.Sprintf("v%d.%d.%d", v.Major, v.Minor, v.Patch) }

// KubeRelease is the patch release to stop at on the way through a minor version
// of Kubernetes 1 that a document does not name: the last one of a minor version
// that has no more, and of the newest here the last that this release of
// Jeroboam knows. False for a minor version that is not in the table. Source: the
// release history of Kubernetes (kubernetes.io/releases/patch-releases), of
// which each minor version ends 14 months after it began.
func KubeRelease(minor int) (KubeVersion, bool) {
	last := map[int]int{29: 15, 30: 14, 31: 14, 32: 13, 33: 13, 34: 13, 35: 10}
	patch, ok := last[minor]
	return KubeVersion{1, minor, patch}, ok
}

// minorOf is MAJOR.MINOR of any tag that begins with it, such as v1.23.1 or
// 1.13.2-alpha; "" if none does.
func minorOf(tag string) string {
	parts := strings.SplitN(strings.TrimPrefix(tag, "v"), ".", 3)
	if len(parts) != 3 || !digits(parts[0]) || !digits(parts[1]) {
		return ""
	}
	return parts[0] + "." + parts[1]
}

// Behind is how many minor versions a kubelet may be older than an API server of
// this version: three, and two before 1.28 (Kubernetes, version skew policy).
func (v KubeVersion) Behind() int {
	if v.Minor < 28 {
		return 2
	}
	return 3
}

// checkKubeTag applies the rules over kube_tag of the cluster.
func (c *labelChecker) checkKubeTag() {
	tag := c.spec.Labels["kube_tag"]
	switch v, ok := ParseKube(tag); {
	case c.spec.COE != "kubernetes" || c.hidden("kube_tag"):
	case tag == "" && c.driver == "heat":
		c.find(CodeLabelsDoubt, "kube_tag", "set kube_tag, so that a release of Jeroboam does not choose another version", "kube_tag is not set, so nothing says which Kubernetes the cluster runs")
	case tag == "" && c.only("k8s_fedora_coreos"):
		// Magnum 22, k8s_fedora_coreos_v1/templates/kubecluster.yaml: its heat
		// parameter kube_version stays at v1.18.16, which is what Magnum shows.
		c.find(CodeLabelsDoubt, "kube_tag", "set kube_tag",
			"without kube_tag Magnum runs v1.23.3-rancher1, which is out of support since 2023, and shows v1.18.16")
	case ok && c.driver == "heat":
		c.checkKubeRange(v)
	}
}

// checkKubeRange refuses a version that none of the types has, where one of
// them says what it has.
func (c *labelChecker) checkKubeRange(v KubeVersion) {
	var ranges []string
	hint := ""
	for _, t := range c.types {
		if t.Kubernetes == [2]int{} {
			hint = "if the image is of a type without such bounds, such as " + t.Name + ", name it in driver"
			continue
		}
		if v.Major == 1 && v.Minor >= t.Kubernetes[0] && v.Minor <= t.Kubernetes[1] {
			return
		}
		ranges = append(ranges, fmt.Sprintf("%s v1.%d to v1.%d", t.Name, t.Kubernetes[0], t.Kubernetes[1]))
	}
	if len(ranges) > 0 {
		c.find(CodeKubeVersion, "kube_tag", hint, "Kubernetes v%d.%d is not supported: %s", v.Major, v.Minor, strings.Join(ranges, ", "))
	}
}

// checkSkew holds a group's version to the cluster's, which the API server has:
// a kubelet is never of a newer minor version.
func (c *labelChecker) checkSkew() {
	tag, written := c.labels["kube_tag"]
	api, ok := ParseKube(c.spec.Labels["kube_tag"])
	if !ok || c.hidden("kube_tag") {
		return
	}
	v, ok := ParseKube(tag)
	switch {
	case !written:
		c.findAt(strings.TrimSuffix(c.at, "/"), CodeLabelsDoubt, "set kube_tag here too, or leave mergeLabels: false out",
			"the labels of the group replace the cluster's, so it has no kube_tag")
	case !ok:
	case v.Major != api.Major || v.Minor > api.Minor:
		c.find(CodeKubeVersion, "kube_tag", "upgrade the cluster first", "the group has Kubernetes v%d.%d, newer than v%d.%d of the masters", v.Major, v.Minor, api.Major, api.Minor)
	case v.Minor < api.Minor-api.Behind():
		c.find(CodeKubeVersion, "kube_tag", "", "the group has Kubernetes v%d.%d, more than %d minor versions older than v%d.%d of the masters",
			v.Major, v.Minor, api.Behind(), api.Major, api.Minor)
	case v.Minor != api.Minor && c.driver == "heat":
		c.checkKubeRange(v)
	}
}
