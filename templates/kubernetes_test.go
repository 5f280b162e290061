package templates_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKubernetesBootsInOrder(t *testing.T) {
	t.Parallel()
	for role, data := range map[string]string{"master": "kubelet=v1.36.3 containerd=v2.4.2 etcd=3.6.16", "worker": "kubelet=v1.36.3 containerd=v2.4.2"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, role)
			o, out := m.run("boot.sh")
			if d := cmp.Diff([]signal{{"SUCCESS", role + " is ready", "prod-" + role + "-0", data}}, o.signals); d != "" || o.failed {
				t.Fatalf("failed %v, signals (-want +got):\n%s\n%s", o.failed, d, out)
			}
			var steps []string
			for line := range strings.Lines(m.read("var/log/jeroboam-boot.log")) {
				if name, ok := strings.CutPrefix(line, "== "); ok {
					steps = append(steps, strings.TrimSpace(name))
				}
			}
			if d := cmp.Diff(kubernetesSteps(role), steps); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
			for _, said := range []string{m.read("calls"), m.read("var/log/jeroboam-boot.log"), out} {
				if told(said) {
					t.Errorf("a secret in a command line or the log:\n%s", said)
				}
			}
			for _, gone := range []string{"etc/jeroboam/secrets.env", "etc/kubernetes/bootstrap-kubelet.conf"} {
				if m.read(gone) != "" {
					t.Errorf("%s is still on the disk", gone)
				}
			}
		})
	}
}

// Phases of kubeadm in the order in which each needs the one before.
func TestKubernetesMasterRunsThePhases(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	o, _ := m.run("boot.sh")
	var phases []string
	for _, c := range o.calls {
		if rest, ok := strings.CutPrefix(c, "kubeadm init phase "); ok {
			phases = append(phases, strings.TrimSuffix(strings.Split(rest, " --")[0], " "))
		}
	}
	want := []string{
		"certs all", "kubeconfig all", "kubelet-start", "control-plane apiserver", "control-plane controller-manager",
		"control-plane scheduler", "upload-config all", "mark-control-plane", "bootstrap-token", "addon all",
	}
	if d := cmp.Diff(want, phases); d != "" {
		t.Errorf("phases (-want +got):\n%s", d)
	}
	for _, key := range []string{"ca.key", "etcd/ca.key", "sa.key"} {
		if info, err := os.Stat(filepath.Join(m.root, "etc/kubernetes/pki", key)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want it there with 0600", key, info, err)
		}
	}
	if unit := m.read("etc/systemd/system/etcd.service"); !strings.Contains(unit, "--initial-cluster=m0=https://10.0.0.11:2380,m1=https://10.0.0.12:2380,m2=https://10.0.0.13:2380 --initial-cluster-state=new ") {
		t.Errorf("etcd's unit is\n%s", unit)
	}
}

// As kubeadm's kubelet-finalize leaves it, before the kubelet first starts: nothing
// restarts it then.
func TestKubernetesMasterKeepsTheKubeletsCertificateWhereItRotates(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.write("broken", "kubeadm init phase kubelet-start*")
	o, _ := m.run("boot.sh")
	o.failure(t, "control_plane")
	const current = "var/lib/kubelet/pki/kubelet-client-current.pem"
	if got := m.read(current); got != "its certificate\nits key\n" || m.mode(current) != 0o600 {
		t.Errorf("%s is %q with the mode %v", current, got, m.mode(current))
	}
	at := filepath.Join(m.root, current)
	if to, err := os.Readlink(at); err != nil || !regexp.MustCompile(`^kubelet-client-[-0-9]{19}\.pem$`).MatchString(to) {
		t.Errorf("it is no link to one with a date, as the kubelet wants to replace: %q, %v", to, err)
	}
	want := "users:\n- user:\n    client-certificate: " + at + "\n    client-key: " + at + "\n"
	if d := cmp.Diff(want, m.read("etc/kubernetes/kubelet.conf")); d != "" {
		t.Errorf("kubelet.conf (-want +got):\n%s", d)
	}
}

// Units are read anew, all of them, only when systemd has an old one.
func TestKubernetesUnitsAreReadWhenTheyAreOld(t *testing.T) {
	t.Parallel()
	for says, reloads := range map[string]bool{"NeedDaemonReload=no": false, "NeedDaemonReload=yes": true, "": true} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "worker")
			m.stub("systemctl", `case $1 in show) echo "`+says+`" ;; esac`)
			m.run("boot.sh", "binaries")
			o, _ := m.run("boot.sh", "containerd")
			if got := o.called("systemctl daemon-reload") > 0; got != reloads {
				t.Errorf("reloaded: %v, want %v; calls %q", got, reloads, o.calls)
			}
		})
	}
}

// The second run finds everything as it left it.
func TestKubernetesBootTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"master", "worker"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, role)
			tree := func() string {
				var all strings.Builder
				root := os.DirFS(m.root)
				for _, dir := range []string{"etc", "usr", "opt", "var/lib"} {
					if err := fs.WalkDir(root, dir, func(path string, d fs.DirEntry, err error) error {
						if err == nil && !d.IsDir() {
							fmt.Fprintf(&all, "%s %x\n", path, sha256.Sum256([]byte(m.read(path))))
						}
						return err
					}); err != nil {
						t.Fatal(err)
					}
				}
				return all.String()
			}
			m.run("boot.sh")
			once := tree()
			m.write("calls", "")
			o, out := m.run("boot.sh")
			if d := cmp.Diff(once, tree()); d != "" {
				t.Errorf("files (-once +twice):\n%s", d)
			}
			if len(o.signals) != 2 || o.signals[1].Status != "SUCCESS" {
				t.Errorf("signals %+v\n%s", o.signals, out)
			}
			for _, again := range []string{"mkfs.ext4", "mount ", "ctr -n k8s.io images import", "systemctl restart", "kubeadm init phase kubelet-start", "etcdctl --command-timeout=5s --member"} {
				if o.called(again) > 0 {
					t.Errorf("%s was done again", again)
				}
			}
			if n := strings.Count(strings.Join(o.calls, "\n"), "curl "); n != 1 && role == "worker" {
				t.Errorf("%d downloads, want that of SHA256SUMS only: %q", n, o.calls)
			}
		})
	}
}

func TestKubernetesFailureNamesStepFirst(t *testing.T) {
	t.Parallel()
	broken := map[string]string{ // pattern of the call that fails
		"prepare": "modprobe*", "container_volume": "mkfs.ext4*jb-containers*", "etcd_volume": "mkfs.ext4*jb-etcd*", "binaries": "curl*/amd64/bin/kubelet",
		"containerd": "systemctl --root=/ enable containerd", "images": "ctr*images import*", "keys": "curl*/payload", "certificates": "kubeadm init phase certs*",
		"etcd": "systemctl --root=/ enable etcd", "control_plane": "kubeadm init phase kubeconfig*", "cni": "kubectl*apply --server-side*", "cloud": "kubectl*cloud.yaml", "addons": "kubeadm init phase addon*",
		"drain": "systemctl --root=/ enable jeroboam-drain", "labels": "kubectl*label --overwrite*", "ready": "kubectl*bootID*", "join": "systemctl --root=/ enable kubelet",
	}
	for _, role := range []string{"master", "worker"} {
		for i, step := range kubernetesSteps(role) {
			t.Run(role+" "+step, func(t *testing.T) {
				t.Parallel()
				m := newNode(t, role)
				m.write("broken", broken[step])
				if step == "cloud" {
					m.cloud()
				}
				if slices.Contains([]string{"cni", "cloud", "addons", "ready"}, step) {
					m.write("limit", "5") // these try until their time is over
				}
				o, out := m.run("boot.sh")
				log := o.failure(t, step)
				if want := "out-of-order"; !strings.Contains(log, want) {
					t.Errorf("the log is %q, want %q in it", log, want)
				}
				for _, said := range []string{log, out, m.read("var/log/jeroboam-boot.log")} {
					if told(said) {
						t.Errorf("a secret was told: %s", said)
					}
				}
				if next := kubernetesSteps(role)[i:]; len(next) > 1 && strings.Contains(out, "== "+next[1]+"\n") {
					t.Errorf("went on after the failure")
				}
			})
		}
	}
}

// A node says which labels and taints are ours, once: a later boot knows only those
// of its own time.
func TestKubernetesMarksItsLabels(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.env["NODE_LABELS"], m.env["NODE_TAINTS"] = "a=b,c=", "dedicated=x:NoSchedule,alone:NoExecute"
	m.run("boot.sh")
	calls := m.read("calls")
	if want := "annotate node prod-master-0 jeroboam.io/node-labels=a,c jeroboam.io/node-taints=dedicated:NoSchedule,alone:NoExecute\n"; !strings.Contains(calls, want) {
		t.Errorf("no %q in\n%s", want, calls)
	}
	m.write("calls", "")
	m.write("marked", "a,old")
	m.run("boot.sh")
	if calls := m.read("calls"); strings.Contains(calls, "jeroboam.io/node-labels=") || !strings.Contains(calls, "annotate node prod-master-0 jeroboam.io/node-taints=") {
		t.Errorf("the mark was overwritten:\n%s", calls)
	}
}

// The lease of a leader that nobody competes for is only something to lose.
func TestKubernetesOnlyMasterLeads(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]int{"m0=10.0.0.11": 2, "m0=10.0.0.11 m1=10.0.0.12 m2=10.0.0.13": 0} {
		m := newNode(t, "master")
		m.env["ETCD_MEMBERS"] = members
		m.run("boot.sh")
		text := m.read("etc/jeroboam/kubeadm.yaml")
		if got := strings.Count(text, `{name: 'leader-elect', value: 'false'}`); got != want {
			t.Errorf("with the members %s %d components lead without a lease, want %d:\n%s", members, got, want, text)
		}
	}
}

// What is not what SHA256SUMS says never gets its name.
func TestKubernetesRefusesAWrongSum(t *testing.T) {
	t.Parallel()
	m := newNode(t, "worker")
	m.write("mirror/bin/kubelet", "#!/bin/sh\n")
	o, _ := m.run("boot.sh")
	if log := o.failure(t, "binaries"); !strings.Contains(log, "bin/kubelet of the mirror has not the sum") {
		t.Errorf("the log is %q", log)
	}
	if m.read("usr/local/bin/kubelet") != "" {
		t.Error("the kubelet is there")
	}
}

// An image may have the programs of several versions: what has the mirror's sum is
// taken from there, what has not is downloaded. A list of the image's own is believed.
func TestKubernetesTakesWhatTheImageBrings(t *testing.T) {
	t.Parallel()
	m := newNode(t, "worker")
	const folder = "opt/jeroboam/v1.36.3/bin/"
	if err := os.MkdirAll(filepath.Join(m.root, folder), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write(folder+"kubelet", m.read("mirror/bin/kubelet"))
	m.write(folder+"kubeadm", "another")
	m.write(folder+"kubectl", "#!/bin/sh\n# listed\n")
	m.write(folder+"runc", "of another time")
	m.write("opt/jeroboam/v1.36.3/SHA256SUMS", fmt.Sprintf("%x  bin/kubectl\n%064x  bin/runc\n%x  bin/containerd\n",
		sha256.Sum256([]byte(m.read("mirror/bin/kubectl"))), 0, sha256.Sum256([]byte(m.read("mirror/bin/containerd")))))
	m.run("boot.sh", "binaries")
	calls := m.read("calls")
	for name, downloads := range map[string]bool{"kubelet": false, "kubeadm": true, "kubectl": false, "runc": true, "containerd": true} {
		from := "mirror/bin/"
		if !downloads {
			from = folder
		}
		if m.read("usr/local/bin/"+name) != m.read(from+name) {
			t.Errorf("%s is not that of %s", name, from)
		}
		if got := strings.Contains(calls, "/bin/"+name+"\n"); got != downloads {
			t.Errorf("%s was downloaded: %v, want %v; calls:\n%s", name, got, downloads, calls)
		}
	}
}

// systemd reads the file of proxies by rules of its own: what is in double quotes
// is taken as it is, but for a backslash before one of \"`$ (systemd.exec).
func TestKubernetesProxiesReachContainerd(t *testing.T) {
	t.Parallel()
	m := newNode(t, "worker")
	m.env["HTTP_PROXY"], m.env["NO_PROXY"] = "http://u:it's`a`$HOME\\\"%20@proxy:3128", "a,.b"
	for _, step := range []string{"binaries", "containerd"} {
		m.run("boot.sh", step)
	}
	want := "HTTP_PROXY=\"http://u:it's\\`a\\`\\$HOME\\\\\\\"%20@proxy:3128\"\nHTTPS_PROXY=\"\"\nNO_PROXY=\"a,.b\"\n"
	if d := cmp.Diff(want, m.read("etc/jeroboam/proxy.env")); d != "" {
		t.Error(d)
	}
}

func TestKubernetesNeverFormatsForeignDisks(t *testing.T) {
	t.Parallel()
	for name, label := range map[string]string{"other label": "precious", "no label": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "worker")
			m.write("dev/disk/by-id/virtio-"+volumeID[:20]+".fs", label)
			o, _ := m.run("boot.sh")
			if log := o.failure(t, "container_volume"); !strings.Contains(log, "that is not jb-containers") || o.called("mkfs") > 0 {
				t.Errorf("the log is %q, calls %q", log, o.calls)
			}
		})
	}
}

// A master that is upgraded before the others leaves the add-ons as they are.
func TestKubernetesLastMasterMovesTheAddons(t *testing.T) {
	t.Parallel()
	for masters, want := range map[string]int{"v1.36.3 v1.35.4 v1.36.3": 0, "v1.36.3 v1.36.3 v1.36.3": 1} {
		m := newNode(t, "master")
		m.write("masters", masters)
		if o, out := m.run("boot.sh"); o.failed || o.called("kubeadm init phase addon") != want {
			t.Errorf("%s: %d add-ons, want %d\n%s", masters, o.called("kubeadm init phase addon"), want, out)
		}
	}
}

func TestDrainEvictsAtShutdownOnly(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]int{"stopping": 1, "running": 0} {
		m := newNode(t, "worker")
		m.stub("systemctl", "echo "+state)
		m.stub("kubectl", `case $* in
  *"get pods"*) [ -e "$ROOT/evicted" ] || printf 'default web-1 ReplicaSet\nkube-system proxy DaemonSet\nkube-system etcd-x Node\n' ;;
  *create*) touch "$ROOT/evicted" ;;
esac`)
		o, out := m.run("drain.sh", "stop")
		if o.failed || o.called("kubectl --request-timeout=10s create --raw /api/v1/namespaces/default/pods/web-1/eviction") != want || o.called("kubectl --request-timeout=10s create") != want ||
			o.called("kubectl --request-timeout=10s patch") != want {
			t.Errorf("%s: failed %v, calls %q, %s", state, o.failed, o.calls, out)
		}
	}
}

// The scripts are the most of a node's user data, which has 48 KiB.
func TestKubernetesFilesAreSmall(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(archive(t, bootFiles(t)))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	size := base64.StdEncoding.EncodedLen(packed.Len())
	t.Logf("boot files as .tar.gz in base64: %d bytes", size)
	if size > 27<<10 {
		t.Errorf("%d bytes, want at most %d", size, 27<<10)
	}
}
