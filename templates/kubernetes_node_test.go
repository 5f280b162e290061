package templates_test

import (
	"archive/tar"
	"bytes"
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
  */readyz) echo ok ;;
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
  *"kubeconfig all"*) [ -e "$ROOT/etc/kubernetes/kubelet.conf" ] || printf 'users:\n- user:\n    client-certificate-data: %s\n    client-key-data: %s\n' "$(echo its certificate | base64)" "$(echo its key | base64)" >"$ROOT/etc/kubernetes/kubelet.conf" ;;
  *kubelet-start*) mkdir -p "$ROOT/var/lib/kubelet/pki"; touch "$ROOT/var/lib/kubelet/config.yaml" "$ROOT/var/lib/kubelet/kubeadm-flags.env"
    [ -e "$ROOT/etc/kubernetes/kubelet.conf" ] || echo x | tee "$ROOT/etc/kubernetes/kubelet.conf" >"$ROOT/var/lib/kubelet/pki/kubelet-client-current.pem" ;;
esac`,
	"kubectl": `case $* in
  *node-labels}*) echo "$(cat "$ROOT/marked" 2>/dev/null)|" ;;
  *spec.taints*) [ ! -e "$ROOT/taints" ] || { read -r taint <"$ROOT/taints" && echo "$taint"; sed -i 1d "$ROOT/taints"; } ;;
  *bootID*) echo "$(cat /proc/sys/kernel/random/boot_id) True" ;;
  *"get pods -n"*) echo True ;;
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
	m.tools("awk", "base64", "cmp", "cp", "cut", "dirname", "flock", "gzip", "head", "ln", "mv", "rm", "sha256sum", "sort", "tar", "tee", "tr", "uname")
	for _, dir := range []string{"etc/jeroboam/boot", "etc/kubernetes", "run/flannel", "mirror/bin", "mirror/cni", "mirror/images", "usr/local/bin", "opt"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write("etc/hosts", "127.0.0.1 localhost\n")
	m.write("run/flannel/subnet.env", "FLANNEL_MTU=1450\n")
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
	for _, name := range slices.Sorted(maps.Keys(files)) { // how small it becomes depends on the order
		text := files[name]
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
