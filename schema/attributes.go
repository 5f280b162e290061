package schema

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Rules about what single attributes of a template mean. They are checked in
// its document, where the place is known exactly.

// proxy checks a proxy's URL. Magnum only counts its characters, and nodes whose
// proxy is wrong fail at their first download.
func (c *checker) proxy(field, text string) {
	at := "/spec/" + field
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https"}, u.Scheme):
		c.report(CodeProxy, at, "such as http://proxy.example.com:3128", "expected an http or https URL") // it may hold a password
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		c.report(CodeProxy, at, "end it after the port", "a proxy's URL has no path, query or fragment")
	case u.User != nil:
		c.report(CodeInsecure, at, "let the proxy know the nodes by their address",
			"user and password of a proxy are readable in Git, in Heat and on every node")
	}
}

// noProxy checks a list of names and networks. A program that reads it compares
// the text: what has a scheme or a path is never met.
func (c *checker) noProxy(text string) {
	if text == "" {
		return
	}
	for part := range strings.SplitSeq(text, ",") {
		entry := strings.TrimSpace(part)
		_, notNet := netip.ParsePrefix(entry)
		switch {
		case entry == "":
			c.report(CodeProxy, "/spec/noProxy", "", "the list has an empty entry")
		case strings.Contains(entry, "://") || strings.Contains(entry, "/") && notNet != nil || strings.ContainsAny(entry, " \t"):
			c.report(CodeProxy, "/spec/noProxy", "", "expected names, addresses and networks with commas between, found %q", short(entry))
		}
	}
}

// nameserver checks the address of a DNS server.
func (c *checker) nameserver(i int, text string) {
	at := "/spec/dnsNameservers/" + strconv.Itoa(i)
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		c.report(CodeAddress, at, "", "expected an IP address, found %q", short(text))
	case ip.Zone() != "":
		c.report(CodeAddress, at, "leave the zone out", "the zone of %s is another on every node", short(text))
	case ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast():
		c.report(CodeAddress, at, "", "%s is no address of a server", ip)
	}
}

// registry checks a registry's address, as container engines take it.
func (c *checker) registry(text string) {
	const at, such = "/spec/insecureRegistry", "such as registry.example.com:5000"
	host, port, found := strings.Cut(text, ":")
	if inside, rest, ok := strings.Cut(text, "]"); ok { // an IPv6 address
		if ip, err := netip.ParseAddr(strings.TrimPrefix(inside, "[")); err == nil && ip.Is6() && inside[0] == '[' {
			host, port, found = ip.String(), strings.TrimPrefix(rest, ":"), rest != ""
		}
	}
	number, err := strconv.Atoi(port)
	switch {
	case text == "":
	case strings.Contains(text, "://"):
		c.report(CodeRegistry, at, such, "expected host:port without a scheme, found %q", short(text))
	case host == "" || strings.ContainsAny(host, "[]") || strings.ContainsAny(text, "/@ ") || found && (err != nil || number < 1 || number > 65535):
		c.report(CodeRegistry, at, such, "expected host:port, found %q", short(text))
	}
}

// tls warns where a template gives the cluster away.
func (c *checker) tls(t *templateSpec) {
	if t.TLSDisabled {
		c.report(CodeInsecure, "/spec/tlsDisabled", "leave it out",
			"whoever reaches the API of these clusters owns them: there is no TLS and no login")
	}
}

// clusterType checks spec.driver as far as the template says: what a Magnum from
// elsewhere calls its drivers is not known here.
func (c *checker) clusterType(t *templateSpec) {
	typ, ok := ClusterTypeNamed(t.Driver)
	serverType := t.ServerType
	if serverType == "" {
		serverType = "vm"
	}
	if ok && (typ.COE != t.COE || typ.ServerType != serverType) {
		c.report(CodeClusterType, "/spec/driver", "", "cluster type %s is for server type %s and coe %s, and the template has %s and %s",
			typ.Name, typ.ServerType, typ.COE, serverType, t.COE)
	}
	if ok && t.DockerStorageDriver == "devicemapper" && slices.Contains(withoutDevicemapper(), typ.Name) {
		c.report(CodeDriver, "/spec/dockerStorageDriver", "leave it out", "cluster type %s has no devicemapper", typ.Name)
	}
}

// withoutDevicemapper are the types of systems that no longer have it: the
// template of Magnum's k8s_fedora_coreos_v1 refuses it, and so does containerd.
func withoutDevicemapper() []string { return []string{"k8s_fedora_coreos", "k8s_debian"} }

// checkType applies what the type of a cluster decides, as far as the documents
// say which it is.
func (c *clusterResolver) checkType(s *Spec) {
	if c.play.driver == "heat" {
		c.checkHeatType(s)
	}
	if c.play.driver == "magnum" {
		c.checkMagnumType(s)
	}
	if s.ServerType == "bm" && slices.ContainsFunc(s.Groups, func(g Group) bool { return g.DockerVolumeSize > 0 }) {
		c.report(c.where("nodeGroups/"+DefaultWorker+"/dockerVolumeSize"), CodeIdle, "/spec/dockerVolumeSize", "leave it out",
			"bare metal nodes have no Cinder volumes")
	}
	if c.play.driver == "magnum" && s.APIServerPort != 0 {
		c.report(c.where("apiserverPort"), CodeIdle, "/spec/apiserverPort", "leave it out", "no driver of Magnum uses apiserverPort")
	}
	if c.play.driver == "heat" && s.DiscoveryURL != "" {
		c.report(c.where("discoveryURL"), CodeIdle, "/spec/discoveryURL", "leave it out",
			"etcd's members find each other without a discovery service; only a Magnum backend uses one")
	}
	if len(s.DNSNameservers) > 0 && s.FixedNetwork != "" {
		c.report(c.where("dnsNameservers"), CodeIdle, "/spec/dnsNameservers", "set them at the subnet, or leave them out",
			"dnsNameservers are of a new network; nodes in fixedNetwork take those of its subnet")
	}
}

// checkMagnumType refuses what Magnum takes and cannot make.
func (c *clusterResolver) checkMagnumType(s *Spec) {
	types := c.possibleTypes(s)
	heat := len(types) > 0 && !slices.ContainsFunc(types, func(t ClusterType) bool { return !t.Heat })
	if heat && s.NetworkDriver == "cilium" {
		// Magnum 22 takes the name, and none of its Heat templates knows it.
		c.report(c.where("networkDriver"), CodeDriver, "/spec/networkDriver", "take calico or flannel", "behind Magnum cluster type %s has no cilium", types[0].Name)
	}
	if heat && s.COE == "kubernetes" && s.ExternalNetwork == "" && !s.FloatingIPEnabled {
		// Magnum 22, k8s_template_def.py: a parameter without which it refuses.
		c.missing(CodeNoNetwork, "externalNetwork", "behind Magnum cluster type "+types[0].Name+" needs externalNetwork in any case")
	}
	if s.COE == "kubernetes" {
		return
	}
	for i, g := range c.spec.NodeGroups { // Magnum 22, node-groups.rst
		if g.Name != DefaultWorker {
			at := fmt.Sprintf("/spec/nodeGroups/%d", i)
			c.report(c.where("nodeGroups/"+g.Name), CodeGroup, at, "leave it out, or make it a cluster", "Magnum has node groups only for kubernetes, and coe is %s", s.COE)
		}
	}
}

// checkHeatType refuses what no cluster type of ours is for.
func (c *clusterResolver) checkHeatType(s *Spec) {
	if s.Driver != "" {
		if t, ok := ClusterTypeNamed(s.Driver); !ok || !t.Heat {
			c.report(c.where("driver"), CodeClusterType, "/spec/driver", c.typeHint(s.Driver),
				"the Heat driver has no cluster type %q", s.Driver)
		}
		return
	}
	if len(PossibleTypes(s, c.play.driver)) == 0 {
		c.report(c.where("coe"), CodeClusterType, "/spec/coe", "", "there is no cluster type for server type %s and coe %s", s.ServerType, s.COE)
	}
}

func (c *clusterResolver) typeHint(name string) string {
	var names []string
	for _, t := range ClusterTypes() {
		if t.Heat {
			names = append(names, t.Name)
		}
	}
	if hint := didYouMean(name, names); hint != "" {
		return hint
	}
	return "one of " + strings.Join(names, ", ")
}

// taints checks the taints of a group. Kubernetes tells them apart by key and
// effect.
func (c *checker) taints(g *groupSpec, at string) {
	for i, t := range g.NodeTaints {
		entry := fmt.Sprintf("%s/nodeTaints/%d", at, i)
		if reservedNodeLabel(t.Key) {
			c.report(CodeNodeLabel, entry+"/key", "use a domain of your own", "Kubernetes keeps %q for itself", t.Key)
		}
		if slices.ContainsFunc(g.NodeTaints[:i], func(o Taint) bool { return o.Key == t.Key && o.Effect == t.Effect }) {
			c.report(CodeNodeLabel, entry, "keep one of the two", "the group has another taint with key %q and effect %s", t.Key, t.Effect)
		}
	}
}
