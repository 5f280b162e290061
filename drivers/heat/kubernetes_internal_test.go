package heat

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// laden is a cluster with everything in its user data that can be.
func laden() schema.Spec {
	long := strings.Repeat("x", 150)
	s := schema.Spec{
		COE: "kubernetes", ServerType: "vm", Image: "i", Keypair: "k", ExternalNetwork: "public", NetworkDriver: "calico",
		HTTPProxy: "http://" + long, HTTPSProxy: "http://" + long, NoProxy: long, InsecureRegistry: long,
		MasterLBEnabled: true, FloatingIPEnabled: true, TLSDisabled: true,
		Labels: map[string]string{
			"kube_tag": "v1.36.1", "mirror_url": "https://" + long, "container_infra_prefix": long, "calico_ipv4pool_ipip": "CrossSubnet", "cgroup_driver": "systemd",
			"kubelet_options": "--a=" + long, "kubeapi_options": "--a=" + long, "kubecontroller_options": "--a=" + long, "kubescheduler_options": "--a=" + long,
			"kubeproxy_options": "--a=" + long, "admission_control_list": long, "cloud_provider_tag": "v1.36.0", "etcd_volume_size": "10", "boot_volume_size": "20",
		},
		Groups: []schema.Group{{Name: "m", Role: "master", NodeCount: 5, Flavor: "f", DockerVolumeSize: 20}, {Name: "w", Role: "worker", NodeCount: 1, Flavor: "f", DockerVolumeSize: 20}},
	}
	for range 10 { // RSA of 4,096 bits
		key := make([]byte, 535)
		_, _ = rand.Read(key)
		s.SSHPublicKeys = append(s.SSHPublicKeys, "ssh-rsa "+base64.StdEncoding.EncodeToString(key)+" somebody@example.com")
	}
	return s
}

// User data that is a byte too long wedges the stack beyond its owner's reach.
func TestUserDataFitsWithEverythingOn(t *testing.T) {
	t.Parallel()
	for _, typ := range []clusterType{kubernetesDebian(), kubernetesFedoraCoreOS()} {
		for i, g := range laden().Groups {
			s := laden()
			text, err := typ.node(typ.revision, &s, s.Groups[i], "00000000", strings.Repeat("certificate\n", 150))
			if err != nil {
				t.Fatal(err)
			}
			size := len(text) + maxSecrets + 1000 // labels, taints and the call that reports
			t.Logf("%s %s: %d of %d bytes", typ.name, g.Name, size, maxUserData)
			if size > maxUserData {
				t.Errorf("%s of %s: %d bytes are %d too many", g.Name, typ.name, size, size-maxUserData)
			}
		}
	}
}

// What sizes are counted with must be no less than what nodes are given.
func TestSecretsFitIntoTheirRoom(t *testing.T) {
	for _, c := range []schema.CloudConfig{{}, {Keys: schema.KeysLocal, KeyDelivery: schema.DeliverUserData}} {
		t.Run(fmt.Sprint(c.KeyDelivery), func(t *testing.T) {
			b := onSim(t, sim.Options{RuledServices: []string{"key-manager"}})
			d := b.driver(c)
			ring := b.mustRing(d, cloudConf)
			for _, role := range []string{roleMaster, roleWorker} {
				line, err := d.secretsFor(b.Context(), ring, b.pass(role, "b"))
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: %d of %d bytes", role, len(line), maxSecrets)
				if len(line) > maxSecrets {
					t.Errorf("secrets of a %s have %d bytes", role, len(line))
				}
			}
		})
	}
}

// Every placeholder in user data has a value in node.yaml.
func TestNothingIsLeftToFillIn(t *testing.T) {
	t.Parallel()
	s := laden()
	for _, typ := range []clusterType{kubernetesDebian(), kubernetesFedoraCoreOS()} {
		for _, g := range s.Groups {
			m, err := kubernetesMachine(typ.at(1), &s, g, "CA")
			if err != nil {
				t.Fatal(err)
			}
			text, err := typ.node(1, &s, g, "00000000", "CA")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range m.files {
				for _, name := range placeholder.FindAllString(f.content, -1) {
					if !strings.Contains(text, " "+name+": ") {
						t.Errorf("%s of a %s: nobody fills in %s of %s", typ.name, g.Role, name, f.path)
					}
				}
			}
		}
	}
}

// Neutron refuses a rule that is there, and with newer releases of Heat the whole
// security group fails with it.
func TestSourcesAreSaidOnce(t *testing.T) {
	t.Parallel()
	s := &schema.Spec{MasterLBEnabled: true, Labels: map[string]string{"master_lb_allowed_cidrs": "192.0.2.0/24,10.0.0.0/24,192.0.2.0/24,10.0.0.0/8"}}
	root := kubernetesRootOf(s)
	want := []string{"192.0.2.0/24", "10.0.0.0/24", "10.0.0.0/8"}
	if !slices.Equal(root.APISources, want) || !slices.Equal(root.AllowedCIDRs, want) {
		t.Errorf("sources %q, allowed %q; want %q", root.APISources, root.AllowedCIDRs, want)
	}
	s.FixedNetwork = "n"
	want = append(want, "172.16.0.0/12", "192.168.0.0/16")
	if got := kubernetesRootOf(s).APISources; !slices.Equal(got, want) {
		t.Errorf("sources %q; want %q", got, want)
	}
}

// Addresses of nodes and load balancers are IPv4, and neither Neutron nor Octavia
// takes an IPv6 network beside them.
func TestSourcesAreIPv4(t *testing.T) {
	t.Parallel()
	s := &schema.Spec{
		NetworkDriver: "flannel", MasterLBEnabled: true, ExternalNetwork: "public",
		Labels: map[string]string{"kube_tag": "v1.35.2", "master_lb_allowed_cidrs": "192.0.2.0/24"},
	}
	if found := kubernetesIdle(s); len(found) > 0 {
		t.Errorf("objections %+v", found)
	}
	s.Labels["master_lb_allowed_cidrs"] += ",2001:db8::/32"
	found := kubernetesIdle(s)
	if len(found) != 1 || found[0].Field != "labels/master_lb_allowed_cidrs" || !strings.Contains(found[0].Reason, "2001:db8::/32") {
		t.Errorf("objections %+v", found)
	}
}

func TestDNSAddressFollowsTheServices(t *testing.T) {
	t.Parallel()
	for cidr, want := range map[string]string{"10.254.0.0/16": "10.254.0.10", "10.40.7.9/16": "10.40.0.10", "192.168.5.16/28": "192.168.5.26", "fd00::/108": "fd00::a"} {
		if got, err := dnsAddress(cidr); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", cidr, got, err, want)
		}
	}
	if a, err := dnsAddress("10.0.0.0/29"); err == nil {
		t.Errorf("a range of eight has a tenth address %s", a)
	}
}

// What validation says of a group's labels is what is done with them.
func TestGroupLabelsAreAsTheCatalogueSays(t *testing.T) {
	t.Parallel()
	ofGroups := kubernetesGroupLabels("")
	for _, typ := range []string{"k8s_debian", "k8s_fedora_coreos"} {
		for _, key := range kubernetesLabels("") {
			l, ok := schema.LabelOf(key)
			r, read := l.ReadBy(typ, "heat")
			if !ok || !read || r.Cluster == slices.Contains(ofGroups, key) {
				t.Errorf("%s of %s: the catalogue has it: %t, read: %t, from the cluster alone: %t; read from a group: %t", key, typ, ok, read, r.Cluster, slices.Contains(ofGroups, key))
			}
		}
	}
}
