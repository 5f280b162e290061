package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// A kubeVersion is what kube_tag says, without its suffix.
type kubeVersion struct{ major, minor, patch int }

// parseKube reads vMAJOR.MINOR.PATCH[-suffix]; false if it is something else,
// which the value's own check tells.
func parseKube(tag string) (kubeVersion, bool) {
	numbers, ok := strings.CutPrefix(tag, "v")
	numbers, _, _ = strings.Cut(numbers, "-")
	parts := strings.Split(numbers, ".")
	if !ok || len(parts) != 3 {
		return kubeVersion{}, false
	}
	var v kubeVersion
	for i, to := range []*int{&v.major, &v.minor, &v.patch} {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return kubeVersion{}, false
		}
		*to = n
	}
	return v, true
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

// behind is how many minor versions a kubelet may be older than the API server:
// three, and two before 1.28 (Kubernetes, version skew policy).
func (v kubeVersion) behind() int {
	if v.minor < 28 {
		return 2
	}
	return 3
}

// checkKubeTag applies the rules over kube_tag of the cluster.
func (c *labelChecker) checkKubeTag() {
	tag := c.spec.Labels["kube_tag"]
	switch v, ok := parseKube(tag); {
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
func (c *labelChecker) checkKubeRange(v kubeVersion) {
	var ranges []string
	hint := ""
	for _, t := range c.types {
		if t.Kubernetes == [2]int{} {
			hint = "if the image is of a type without such bounds, such as " + t.Name + ", name it in driver"
			continue
		}
		if v.major == 1 && v.minor >= t.Kubernetes[0] && v.minor <= t.Kubernetes[1] {
			return
		}
		ranges = append(ranges, fmt.Sprintf("%s v1.%d to v1.%d", t.Name, t.Kubernetes[0], t.Kubernetes[1]))
	}
	if len(ranges) > 0 {
		c.find(CodeKubeVersion, "kube_tag", hint, "Kubernetes v%d.%d is not supported: %s", v.major, v.minor, strings.Join(ranges, ", "))
	}
}

// checkSkew holds a group's version to the cluster's, which the API server has:
// a kubelet is never of a newer minor version.
func (c *labelChecker) checkSkew() {
	tag, written := c.labels["kube_tag"]
	api, ok := parseKube(c.spec.Labels["kube_tag"])
	if !ok || c.hidden("kube_tag") {
		return
	}
	v, ok := parseKube(tag)
	switch {
	case !written:
		c.findAt(strings.TrimSuffix(c.at, "/"), CodeLabelsDoubt, "set kube_tag here too, or leave mergeLabels: false out",
			"the labels of the group replace the cluster's, so it has no kube_tag")
	case !ok:
	case v.major != api.major || v.minor > api.minor:
		c.find(CodeKubeVersion, "kube_tag", "upgrade the cluster first", "the group has Kubernetes v%d.%d, newer than v%d.%d of the masters", v.major, v.minor, api.major, api.minor)
	case v.minor < api.minor-api.behind():
		c.find(CodeKubeVersion, "kube_tag", "", "the group has Kubernetes v%d.%d, more than %d minor versions older than v%d.%d of the masters",
			v.major, v.minor, api.behind(), api.major, api.minor)
	case v.minor != api.minor && c.driver == "heat":
		c.checkKubeRange(v)
	}
}
