package templates_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/templates"
)

const (
	etcdVolume = "1d8a1f2e-9a3b-4c5d-8e7f-001122334455"
	appSecret  = "ap/p.Cr3d*hunter2"
	bootKey    = "-----BEGIN EC PRIVATE KEY-----\nhunter2 is what the bootstrap key is\n-----END EC PRIVATE KEY-----\n"
)

// What the stubs do beside noting their calls.
var kubernetesStubs = map[string]string{
	"modprobe": "", "sysctl": "", "swapoff": "", "hostnamectl": "", "resize2fs": "", "sleep": "/bin/sleep 0.05", "fsck.ext4": "",
	"mount": `touch "$1/.mounted"`, "mountpoint": `[ -e "$2/.mounted" ]`,
	"mkfs.ext4": `echo "$3" >"$4.fs"`,
	"blkid":     `for d; do :; done; [ -e "$d.fs" ] || exit 2; case $* in *LABEL*) cat "$d.fs" ;; esac`,
	"systemctl": `[ "$*" != "start --no-block etcd" ] || { mkdir -p "$ROOT/var/lib/etcd/data/member/wal"; touch "$ROOT/var/lib/etcd/data/member/wal/0.wal"; }`,
	"curl": `out=/dev/stdout; all=$*
while [ $# -gt 0 ]; do case $1 in -o) out=$2; shift ;; *) url=$1 ;; esac; shift; done
case $url in
  */members) [ -e "$ROOT/members" ] && cat "$ROOT/members" || exit 7 ;;
  */auth/tokens) cat >"$ROOT/auth"; printf 'HTTP/1.1 201 Created\r\nX-Subject-Token: gAAAAhunter2\r\n\r\n' ;;
  */payload) grep -q 'X-Auth-Token: gAAAAhunter2' && printf -- '-----BEGIN PRIVATE KEY-----\nhunter2\n' >"$out" ;;
  */v1.*/amd64/*) cat "$ROOT/mirror/${url#*/amd64/}" >"$out" ;;
  *) exit 6 ;;
esac`,
}

var kubernetesBinaries = map[string]string{
	"kubelet":    `echo Kubernetes v1.36.3`,
	"containerd": `echo containerd github.com/containerd/containerd/v2 v2.4.2 abc`,
	"etcd":       `echo etcd Version: 3.6.16`, "runc": "", "containerd-shim-runc-v2": "",
	"kubeadm": `case $* in
  *"images list"*) echo registry.k8s.io/pause:3.10.1 ;;
  *kubelet-start*) mkdir -p "$ROOT/var/lib/kubelet"; touch "$ROOT/var/lib/kubelet/config.yaml" "$ROOT/var/lib/kubelet/kubeadm-flags.env"; echo x >"$ROOT/etc/kubernetes/kubelet.conf" ;;
esac`,
	"kubectl": `case $* in
  *spec.taints*) [ ! -e "$ROOT/taints" ] || { read -r taint <"$ROOT/taints" && echo "$taint"; sed -i 1d "$ROOT/taints"; } ;;
  *bootID*) echo "$(cat /proc/sys/kernel/random/boot_id) True" ;;
  *"get pods -n"*) echo True ;;
  *"get daemonset"*) [ -e "$ROOT/masters" ] ;;
  *kubeletVersion*) cat "$ROOT/masters" ;;
  *clusterIP*) echo 10.254.0.10 ;;
esac`,
	"ctr": `case $* in
  *"images ls"*) [ ! -e "$ROOT/imported" ] || cat "$ROOT/imported" ;;
  *"images import"*) for a; do :; done; tar -xOf "$a" manifest.json | sed 's/.*RepoTags":\["//; s/".*//' >>"$ROOT/imported"; echo >>"$ROOT/imported" ;;
esac`,
	"etcdctl": `case $* in
  *127.0.0.1*) ;;
  *"endpoint health"*) [ -e "$ROOT/healthy" ] ;;
  *"member list"*) cat "$ROOT/memberlist" ;;
esac`,
}

// noted is a stub that notes its call, is broken when asked to be, and tells
// then everything that it should not have told.
func noted(name, does string) string {
	return fmt.Sprintf(`echo %[1]q "$@" >>"$ROOT/calls"
[ ! -e "$ROOT/broken" ] || case "%[1]s $*" in
  $(cat "$ROOT/broken")) printf '%%s\n' out-of-order 'password=hunter2' "$([ ! -e "$ROOT/appcred" ] || echo %[3]q)" 'join with abcdef.123456789hunter2 now' %[4]q '-----BEGIN EC PRIVATE KEY-----' 'hunter2' '-----END EC PRIVATE KEY-----'; exit 7 ;;
esac
%[2]s`, name, does, "the "+appSecret+" leaked", "user: "+encoded(bootKey)[:80]+" cut")
}

// newNode is a machine that is about to become a node of a cluster with three
// masters and one mirror.
func newNode(t testing.TB, role string) *machine {
	t.Helper()
	m := newMachine(t)
	m.tools("awk", "base64", "cmp", "cut", "dirname", "flock", "gzip", "head", "mv", "rm", "sha256sum", "sort", "tar", "tee", "tr", "uname")
	for _, dir := range []string{"etc/jeroboam/boot", "etc/kubernetes", "run", "mirror/bin", "mirror/cni", "mirror/images", "usr/local/bin", "opt"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write("etc/hosts", "127.0.0.1 localhost\n")
	m.write("limit", "60")
	m.script("bin/timeout", `[ "$1" != -k ] || shift 2; shift; exec /usr/bin/timeout "$(cat "$ROOT/limit")" "$@"`)
	for name, does := range kubernetesStubs {
		m.script("bin/"+name, noted(name, does))
	}
	for name, does := range kubernetesBinaries {
		m.script("mirror/bin/"+name, noted(name, does))
	}
	for _, plugin := range []string{"bridge", "host-local", "loopback", "portmap", "flannel"} {
		m.write("mirror/cni/"+plugin, plugin)
	}
	for _, image := range []string{"kube-apiserver", "kube-proxy", "pause"} {
		m.write("mirror/images/"+image+".tar", archive(t, map[string]string{"manifest.json": `[{"RepoTags":["registry.k8s.io/` + image + `:v1.36.3"]}]`}))
	}
	m.sums()
	for _, id := range []string{volumeID, etcdVolume} {
		m.write("dev/disk/by-id/virtio-"+id[:20], "")
	}
	m.env = map[string]string{
		"ROLE": role, "CLUSTER": "prod", "NODE": "prod-" + role + "-0", "KUBE_TAG": "v1.36.3", "API_HOST": "10.0.0.5", "ADDRESS": "10.0.0.11",
		"POD_CIDR": "10.100.0.0/16", "SERVICE_CIDR": "10.254.0.0/16", "DNS_ADDRESS": "10.254.0.10", "NETWORK_DRIVER": "flannel",
		"CONTAINER_VOLUME": volumeID, "MIRROR": "http://mirror", "NODE_LABELS": "a=b,c=d",
	}
	if role == "master" {
		m.env["ETCD_MEMBERS"], m.env["ETCD_MEMBER"], m.env["ETCD_VOLUME"] = "m0=10.0.0.11 m1=10.0.0.12 m2=10.0.0.13", "m0", etcdVolume
		m.secrets("KEYSTONE_URL", "http://keystone/v3", "APPCRED_ID", "id", "APPCRED_SECRET", appSecret, "BARBICAN_URL", "http://barbican",
			"KEYS", "ca.crt=1 ca.key=2 etcd/ca.crt=3 etcd/ca.key=4 front-proxy-ca.crt=5 front-proxy-ca.key=6 sa.pub=7 sa.key=http://barbican/v1/secrets/8")
		m.write("appcred", "")
	} else {
		m.secrets("CA_CERT", encoded("-----BEGIN CERTIFICATE-----\nca\n"), "BOOTSTRAP_CERT", encoded("-----BEGIN CERTIFICATE-----\nboot\n"), "BOOTSTRAP_KEY", encoded(bootKey))
	}
	return m
}

// secrets writes what this boot may know: names and values.
func (m *machine) secrets(assignments ...string) {
	m.Helper()
	var words []string
	for pair := range slices.Chunk(assignments, 2) {
		words = append(words, pair[0]+"='"+pair[1]+"'")
	}
	m.write("etc/jeroboam/secrets.env", strings.Join(words, " "))
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// told says whether a text has a secret in it, or part of one.
func told(text string) bool {
	return strings.Contains(text, "hunter2") || strings.Contains(text, encoded(bootKey)[:60])
}

// sums writes the mirror's SHA256SUMS.
func (m *machine) sums() {
	m.Helper()
	var text strings.Builder
	mirror := os.DirFS(filepath.Join(m.root, "mirror"))
	paths, err := fs.Glob(mirror, "*/*")
	if err != nil {
		m.Fatal(err)
	}
	for _, path := range paths {
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256([]byte(m.read("mirror/"+path))), path)
	}
	m.write("mirror/SHA256SUMS", text.String())
}

// files are the scripts as they are but for the folder that stands for /.
func (m *machine) files() {
	m.Helper()
	here := strings.NewReplacer("/etc/", m.root+"/etc/", "/var/", m.root+"/var/", "/dev/disk", m.root+"/dev/disk",
		"/usr/local/", m.root+"/usr/local/", "/opt/", m.root+"/opt/", "/run/", m.root+"/run/")
	for name, text := range bootFiles(m) {
		m.write("etc/jeroboam/boot/"+name, here.Replace(text))
	}
	var env strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m.env)) {
		fmt.Fprintf(&env, "%s='%s'\n", k, strings.ReplaceAll(m.env[k], "'", `'\''`))
	}
	m.write("etc/jeroboam/node.env", env.String())
}

// run runs one of the node's scripts, and says what came of it and was printed.
func (m *machine) run(script string, args ...string) (outcome, string) {
	m.Helper()
	m.files()
	cmd := exec.CommandContext(m.Context(), "/bin/bash", append([]string{m.root + "/etc/jeroboam/boot/" + script}, args...)...)
	cmd.Env = []string{"PATH=" + m.root + "/bin", "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	return m.outcome(err != nil), string(out)
}

func bootFiles(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	paths, err := fs.Glob(templates.FS, "kubernetes/1/*")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		if name := filepath.Base(path); name == "root.yaml" || name == "node.yaml" { // Heat's
			continue
		}
		text, err := templates.FS.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(text)
	}
	return files
}

func archive(t testing.TB, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func kubernetesSteps(role string) []string {
	steps := "prepare container_volume binaries containerd images join drain labels ready"
	if role == "master" {
		steps = "prepare container_volume etcd_volume binaries containerd images keys certificates etcd control_plane cni cloud addons drain labels ready"
	}
	return strings.Fields(steps)
}

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
		"certs all", "kubeconfig all", "kubelet-start", "control-plane all", "upload-config all", "mark-control-plane",
		"bootstrap-token", "kubelet-finalize all", "addon kube-proxy", "addon coredns",
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
		"containerd": "systemctl enable containerd", "images": "ctr*images import*", "keys": "curl*/payload", "certificates": "kubeadm init phase certs*",
		"etcd": "systemctl enable etcd", "control_plane": "kubeadm init phase kubeconfig*", "cni": "kubectl*apply --server-side*", "cloud": "kubectl*cloud.yaml", "addons": "kubeadm init phase addon*",
		"drain": "systemctl enable jeroboam-drain", "labels": "kubectl*label --overwrite*", "ready": "kubectl*bootID*", "join": "systemctl enable kubelet",
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

func TestKubeadmConfigOfEachMinor(t *testing.T) {
	t.Parallel()
	for minor := 29; minor <= 36; minor++ {
		t.Run(fmt.Sprint("v1.", minor), func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "master")
			m.env["KUBE_TAG"], m.env["APISERVER_OPTIONS"] = fmt.Sprintf("v1.%d.1", minor), "--v=2 --profiling --v=4 --a='it''s'"
			m.env["PROXY_OPTIONS"], m.env["IMAGE_PREFIX"] = "--proxy-mode=nftables", "registry.example/k8s/"
			if o, out := m.run("boot.sh"); o.failed {
				t.Fatal(out)
			}
			version, args := "kubeadm.k8s.io/v1beta4", any([]any{map[string]any{"name": "v", "value": "4"}, map[string]any{"name": "profiling", "value": "true"}, map[string]any{"name": "a", "value": "'it''s'"}})
			if minor < 31 {
				version, args = "kubeadm.k8s.io/v1beta3", map[string]any{"v": "4", "profiling": "true", "a": "'it''s'"}
			}
			var kinds []string
			for text := range strings.SplitSeq(m.read("etc/jeroboam/kubeadm.yaml"), "\n---\n") {
				var doc map[string]any
				if err := yaml.UnmarshalStrict([]byte(text), &doc); err != nil {
					t.Fatalf("%v in\n%s", err, text)
				}
				kinds = append(kinds, fmt.Sprint(doc["apiVersion"], " ", doc["kind"]))
				if doc["kind"] != "ClusterConfiguration" {
					continue
				}
				if d := cmp.Diff(args, doc["apiServer"].(map[string]any)["extraArgs"]); d != "" || doc["imageRepository"] != "registry.example/k8s" {
					t.Errorf("prefix %v, extraArgs (-want +got):\n%s", doc["imageRepository"], d)
				}
			}
			want := []string{version + " InitConfiguration", version + " ClusterConfiguration", "kubelet.config.k8s.io/v1beta1 KubeletConfiguration", "kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration"}
			if d := cmp.Diff(want, kinds); d != "" {
				t.Errorf("documents (-want +got):\n%s", d)
			}
			if etcd := m.read("etc/jeroboam/kubeadm-certs.yaml"); !strings.Contains(etcd, "\n  local:\n") || strings.Contains(etcd, "external:") {
				t.Errorf("the configuration for certificates is\n%s", etcd)
			}
		})
	}
}

func TestEtcdActions(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.files()
	for in, want := range map[string]string{ // data, answering, listed, healthy, members
		"present 2 lived 2 3": "start", "present 0 never 0 3": "start", "present 0 never 0 1": "start",
		"empty 0 never 0 3": "new", "empty 0 never 0 1": "new", "empty 1 never 0 3": "new", "empty 2 never 2 3": "new",
		"empty 2 unstarted 2 3": "join", "empty 2 unstarted 0 3": "join",
		"empty 2 absent 2 3": "add", "empty 1 absent 1 3": "refuse", "empty 1 absent 0 3": "refuse",
		"empty 2 lived 2 3": "replace", "empty 2 lived 1 3": "refuse", "empty 1 lived 0 3": "refuse", "empty 4 lived 3 5": "replace", "empty 4 lived 2 5": "refuse",
		"empty 1 lived 1 2": "refuse", "empty 2 what 2 3": "refuse",
	} {
		cmd := exec.CommandContext(t.Context(), "/bin/bash", "-c", ". '"+m.root+"/etc/jeroboam/boot/etcd.sh'; etcd_action "+in)
		if got, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %q, %v; want %s", in, got, err, want)
		}
	}
}

// What the others' peer ports say of m0, and what m0 without data makes of it.
func TestEtcdOfAMemberWithoutData(t *testing.T) {
	t.Parallel()
	const (
		others = `[{"id":2,"peerURLs":["https://10.0.0.12:2380"],"name":"m1","clientURLs":["https://10.0.0.12:2379"]},{"id":3,"peerURLs":["https://10.0.0.13:2380"],"name":"m2","clientURLs":["https://10.0.0.13:2379"]}`
		listed = "2, started, m1, https://10.0.0.12:2380, https://10.0.0.12:2379, false\n3, started, m2, https://10.0.0.13:2380, https://10.0.0.13:2379, false\n"
	)
	for name, c := range map[string]struct {
		members, memberlist string
		healthy             bool
		calls               []string // that change the membership
		state               string   // or "" when it refuses
	}{
		"told of, not up yet":  {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":"m0"}]`, "", true, nil, "new"},
		"lost, others healthy": {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":"m0","clientURLs":["https://10.0.0.11:2379"]}]`, "1f, started, m0, https://10.0.0.11:2380, https://10.0.0.11:2379, false\n" + listed, true, []string{"member remove 1f", "member add m0 --peer-urls=https://10.0.0.11:2380"}, "existing"},
		"lost, no quorum":      {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":"m0","clientURLs":["https://10.0.0.11:2379"]}]`, "", false, nil, ""},
		"removed, not added":   {others + `]`, listed + "1f, unstarted, , https://10.0.0.11:2380, , false\n", true, []string{"member add m0 --peer-urls=https://10.0.0.11:2380"}, "existing"},
		"added, not started":   {others + `,{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":""}]`, listed + "1f, unstarted, , https://10.0.0.11:2380, , false\n", true, nil, "existing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "master")
			m.write("members", c.members)
			m.write("memberlist", c.memberlist)
			if c.healthy {
				m.write("healthy", "")
			}
			o, out := m.run("boot.sh")
			var calls []string
			for _, call := range o.calls {
				if _, change, ok := strings.Cut(call, ":2379 member "); ok && !strings.HasPrefix(change, "list") {
					calls = append(calls, "member "+change)
				}
			}
			if d := cmp.Diff(c.calls, calls); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
			if c.state == "" {
				if log := o.failure(t, "etcd"); !strings.Contains(log, "too few others are healthy") || o.called("systemctl start --no-block etcd") > 0 {
					t.Errorf("the log is %q", log)
				}
				return
			}
			unit := m.read("etc/systemd/system/etcd.service")
			if o.failed || !strings.Contains(unit, "--initial-cluster-state="+c.state) || strings.Count(unit, "m0=https://10.0.0.11:2380") != 1 {
				t.Errorf("failed %v, unit\n%s\n%s", o.failed, unit, out)
			}
		})
	}
}

// A master that is upgraded before the others leaves the add-ons as they are.
func TestKubernetesLastMasterMovesTheAddons(t *testing.T) {
	t.Parallel()
	for masters, want := range map[string]int{"v1.36.3 v1.35.4 v1.36.3": 0, "v1.36.3 v1.36.3 v1.36.3": 2} {
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
