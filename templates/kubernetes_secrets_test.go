package templates_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// keyFiles are the names of what a master gets, as drivers/pki and kubeadm have them.
const keyFiles = "ca.crt ca.key etcd/ca.crt etcd/ca.key front-proxy-ca.crt front-proxy-ca.key sa.pub sa.key"

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// keyArchive is PKI of secrets.env: each file's text is PEM and has its name in it.
func keyArchive(t testing.TB, names string) string {
	t.Helper()
	files := map[string]string{}
	for name := range strings.FieldsSeq(names) {
		files[name] = "-----BEGIN THING-----\n" + name + "\n"
	}
	return base64.StdEncoding.EncodeToString(packed(t, archive(t, files)))
}

// mode is that of a file of the machine, or 0 when there is none.
func (m *machine) mode(path string) fs.FileMode {
	m.Helper()
	info, err := os.Stat(filepath.Join(m.root, path))
	if err != nil {
		return 0
	}
	return info.Mode().Perm()
}

func TestKubernetesKeysFromUserData(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.secrets("PKI", keyArchive(t, keyFiles))
	o, out := m.run("boot.sh")
	if o.failed || len(o.signals) != 1 || o.signals[0].Status != "SUCCESS" {
		t.Fatal(out)
	}
	for name := range strings.FieldsSeq(keyFiles) {
		path := "etc/kubernetes/pki/" + name
		if got := m.read(path); !strings.Contains(got, "\n"+name+"\n") || m.mode(path) != 0o600 {
			t.Errorf("%s is %q with %v; want its text with 0600", name, got, m.mode(path))
		}
	}
	if n := strings.Count(strings.Join(o.calls, "\n"), "auth/tokens"); n != 0 {
		t.Errorf("Keystone was asked %d times", n)
	}
	if m.mode("etc/kubernetes/pki.part") != 0 || m.mode("etc/jeroboam/secrets.env") != 0 {
		t.Error("a copy of the keys is still on the disk")
	}
}

// A half-made archive leaves no half-made key behind.
func TestKubernetesRefusesKeysThatAreNotWhole(t *testing.T) {
	t.Parallel()
	whole := keyArchive(t, keyFiles)
	for name, c := range map[string]struct{ archive, want string }{
		"cut short":  {whole[:len(whole)/2], "PKI is no .tar.gz in base64"},
		"not base64": {"???", "PKI is no .tar.gz in base64"},
		"one short":  {keyArchive(t, strings.TrimSuffix(keyFiles, " sa.key")), "sa.key is missing, and neither PKI nor KEYS has it"},
		"not PEM": {
			base64.StdEncoding.EncodeToString(packed(t, archive(t, map[string]string{"ca.crt": "nonsense"}))),
			"what is stored for ca.crt is not PEM",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newNode(t, "master")
			m.secrets("PKI", c.archive)
			o, _ := m.run("boot.sh")
			if log := o.failure(t, "keys"); !strings.Contains(log, c.want) {
				t.Errorf("the log is %q, want %q in it", log, c.want)
			}
			if name != "one short" && (m.mode("etc/kubernetes/pki/ca.crt") != 0 || m.mode("etc/kubernetes/pki.part/ca.crt") != 0) {
				t.Error("something of it is on the disk")
			}
		})
	}
}

// The kubelet asks for its certificate with that of the boot, and nobody else
// on the machine may.
func TestKubernetesWorkerJoinsWithACertificate(t *testing.T) {
	t.Parallel()
	m := newNode(t, "worker")
	m.write("broken", "kubeadm init phase kubelet-start*") // while the file is still there
	o, _ := m.run("boot.sh")
	o.failure(t, "join")
	var config struct {
		Clusters []struct{ Cluster map[string]string }
		Users    []struct{ User map[string]string }
	}
	if err := yaml.Unmarshal([]byte(m.read("etc/kubernetes/bootstrap-kubelet.conf")), &config); err != nil || len(config.Users) != 1 || len(config.Clusters) != 1 {
		t.Fatal(config, err)
	}
	want := map[string]string{"client-certificate-data": encoded("-----BEGIN CERTIFICATE-----\nboot\n"), "client-key-data": encoded(bootKey)}
	if d := cmp.Diff(want, config.Users[0].User); d != "" {
		t.Errorf("user (-want +got):\n%s", d)
	}
	if at := config.Clusters[0].Cluster; at["server"] != "https://10.0.0.5:6443" || m.read("etc/kubernetes/pki/ca.crt") != "-----BEGIN CERTIFICATE-----\nca\n" {
		t.Errorf("cluster %v, ca.crt %q", at, m.read("etc/kubernetes/pki/ca.crt"))
	}
	if mode := m.mode("etc/kubernetes/bootstrap-kubelet.conf"); mode != 0o600 {
		t.Errorf("the file's mode is %v", mode)
	}
}

func TestKubernetesWorkerWithoutItsCertificateSaysSo(t *testing.T) {
	t.Parallel()
	m := newNode(t, "worker")
	m.secrets("CA_CERT", "eA==", "BOOTSTRAP_CERT", "eA==")
	o, _ := m.run("boot.sh")
	if log := o.failure(t, "join"); !strings.Contains(log, "CA_CERT, BOOTSTRAP_CERT and BOOTSTRAP_KEY are not all in secrets.env") {
		t.Errorf("the log is %q", log)
	}
}

// Nobody gets a token: what kubeadm makes is over in a minute.
func TestKubernetesLeavesNoToken(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	m.run("boot.sh")
	if config := m.read("etc/jeroboam/kubeadm.yaml"); strings.Count(config, "bootstrapTokens: [{ttl: 1m0s}]") != 1 || strings.Contains(config, "token:") {
		t.Errorf("the configuration is\n%s", config)
	}
}

// A disk that was extended is used, at this boot or the next, after it is mounted.
func TestKubernetesGrowsItsVolumes(t *testing.T) {
	t.Parallel()
	m := newNode(t, "master")
	containers, etcd := m.root+"/dev/disk/by-id/virtio-"+volumeID[:20], m.root+"/dev/disk/by-id/virtio-"+etcdVolume[:20]
	for _, want := range [][]string{
		{"mount " + m.root + "/var/lib/containerd", "resize2fs " + containers, "mount " + m.root + "/var/lib/etcd", "resize2fs " + etcd},
		{"resize2fs " + containers, "resize2fs " + etcd},
	} {
		m.write("calls", "")
		o, out := m.run("boot.sh")
		var calls []string
		for _, call := range o.calls {
			if strings.HasPrefix(call, "mount ") || strings.HasPrefix(call, "resize2fs ") {
				calls = append(calls, call)
			}
		}
		if d := cmp.Diff(want, calls); d != "" || o.failed {
			t.Errorf("failed %v, calls (-want +got):\n%s\n%s", o.failed, d, out)
		}
	}
}

// What boot.sh says that a wait condition must allow is what its steps may take.
func TestKubernetesSaysHowLongABootTakes(t *testing.T) {
	t.Parallel()
	text := bootFiles(t)["boot.sh"]
	said := regexp.MustCompile(`limits: (\d+) s on a master, (\d+) s on a worker`).FindStringSubmatch(text)
	if said == nil {
		t.Fatal("boot.sh does not say it")
	}
	for i, role := range []string{"master", "worker"} {
		line := regexp.MustCompile(`(?s)` + role + `\) echo (.*?);;`).FindStringSubmatch(text)
		if line == nil {
			t.Fatal("no steps of a", role)
		}
		sum := 0
		for _, limit := range regexp.MustCompile(`:(\d+)`).FindAllStringSubmatch(line[1], -1) {
			n, err := strconv.Atoi(limit[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		if got, err := strconv.Atoi(said[i+1]); err != nil || got < sum || got-sum >= 100 {
			t.Error(fmt.Sprint(role, ": it says ", said[i+1], " s, its steps may take ", sum, " s"), err)
		}
	}
}
