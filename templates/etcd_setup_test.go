package templates_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers/pki"
)

// etcdVersion is what TestEtcdReal runs: that of Kubernetes 1.36.
const etcdVersion = "v3.6.16"

// supervisor stands for systemd: it runs the unit's command in a session of its
// own, and again when it ends.
const supervisor = `[ "$*" = "start --no-block etcd" ] || exit 0
[ ! -e "$ROOT/run/etcd.pid" ] || exit 0
command=$(sed ':a;/\\$/{N;s/\\\n//;ba}' "$ROOT/etc/systemd/system/etcd.service" | sed -n 's/^ExecStart=//p')
setsid bash -c "while :; do $command; /bin/sleep 0.5; done" >>"$ROOT/var/log/etcd.log" 2>&1 </dev/null &
echo $! >"$ROOT/run/etcd.pid"`

// newEtcdCluster are three masters on one bridge that have not booted yet.
func newEtcdCluster(t *testing.T) *etcdCluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces are root's: run this as root")
	}
	keys, err := pki.New("lab/etcd", 0, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	binaries := etcdBinaries(t)
	c := &etcdCluster{t, nil, map[string]string{}}
	var all []string
	for i := range 3 {
		m := &etcdMember{newMachine(t), fmt.Sprint("m", i), fmt.Sprint("10.0.0.1", i), fmt.Sprintf("jeroboam-etcd-%d-m%d", os.Getpid(), i)}
		c.members, all = append(c.members, m), append(all, m.name+"="+m.address)
	}
	for _, m := range c.members {
		m.env = map[string]string{
			"ROLE": "master", "CLUSTER": "prod", "NODE": "prod-" + m.name, "KUBE_TAG": "v1.36.3", "API_HOST": "10.0.0.5", "NETWORK_DRIVER": "flannel",
			"ETCD_MEMBERS": strings.Join(all, " "), "ETCD_MEMBER": m.name,
		}
		m.programs(binaries)
		m.keys(keys)
	}
	c.network()
	t.Cleanup(func() {
		if t.Failed() {
			for _, m := range c.members {
				log := m.read("var/log/etcd.log")
				t.Logf("the end of %s's etcd:\n%s", m.name, log[max(0, len(log)-3000):])
			}
		}
	})
	return c
}

// programs are those of an image. Only time is shorter: a pause is short, and a
// member that has to refuse looks twice.
func (m *etcdMember) programs(binaries string) {
	m.Helper()
	m.tools("awk", "cmp", "curl", "cut", "dirname", "head", "mv", "rm", "setsid", "sort", "timeout", "tr")
	for _, name := range []string{"seq", "systemctl", "sleep"} {
		if err := os.Remove(filepath.Join(m.root, "bin", name)); err != nil { // never write through a link to the system's
			m.Fatal(err)
		}
	}
	m.script("bin/seq", "echo 1 2")
	m.script("bin/sleep", "/bin/sleep 0.2")
	m.script("bin/systemctl", supervisor)
	for _, name := range []string{"etcd", "etcdctl"} {
		if err := os.Symlink(filepath.Join(binaries, name), filepath.Join(m.root, "bin", name)); err != nil {
			m.Fatal(err)
		}
	}
	for _, dir := range []string{"etc/jeroboam/boot", "etc/kubernetes/pki/etcd", "run", "var/lib/etcd"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			m.Fatal(err)
		}
	}
}

// keys gives the member the cluster's authority and what kubeadm makes with it.
func (m *etcdMember) keys(keys *pki.Keys) {
	m.Helper()
	files, err := keys.Files()
	if err != nil {
		m.Fatal(err)
	}
	var cert, key string
	for _, f := range files {
		switch f.Name {
		case pki.EtcdCert:
			cert = f.Text.Reveal()
		case pki.EtcdKey:
			key = f.Text.Reveal()
		}
	}
	m.write("etc/kubernetes/pki/etcd/ca.crt", cert)
	issuer, signer := parsed(m, cert, key)
	for name, usages := range map[string][]x509.ExtKeyUsage{
		"server": {x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, "peer": {x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		"healthcheck-client": {x509.ExtKeyUsageClientAuth},
	} {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			m.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: m.name + " " + name},
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usages,
			IPAddresses: []net.IP{net.ParseIP(m.address), net.IPv4(127, 0, 0, 1)},
		}, issuer, own.Public(), signer)
		if err != nil {
			m.Fatal(err)
		}
		secret, err := x509.MarshalPKCS8PrivateKey(own)
		if err != nil {
			m.Fatal(err)
		}
		m.write("etc/kubernetes/pki/etcd/"+name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		m.write("etc/kubernetes/pki/etcd/"+name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	}
}

func parsed(t testing.TB, cert, key string) (*x509.Certificate, any) {
	t.Helper()
	certs, keys := der(cert), der(key)
	issuer, err := x509.ParseCertificate(certs)
	if err != nil {
		t.Fatal(err)
	}
	if signer, err := x509.ParsePKCS8PrivateKey(keys); err == nil {
		return issuer, signer
	}
	signer, err := x509.ParseECPrivateKey(keys)
	if err != nil {
		t.Fatal(err)
	}
	return issuer, signer
}

func der(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	return block.Bytes
}

// network puts the members on one bridge, which has a namespace too: the
// machine itself gets no interface, and all of it goes with the namespaces.
func (c *etcdCluster) network() {
	c.Helper()
	bridge := fmt.Sprintf("jeroboam-etcd-%d-bridge", os.Getpid())
	namespaces := []string{bridge}
	for _, m := range c.members {
		namespaces = append(namespaces, m.namespace)
	}
	c.sweep(namespaces)
	ip := func(args ...string) {
		c.Helper()
		if out, err := exec.CommandContext(c.Context(), "ip", args...).CombinedOutput(); err != nil {
			c.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	for _, name := range namespaces {
		ip("netns", "add", name)
		ip("-n", name, "link", "set", "lo", "up")
	}
	ip("-n", bridge, "link", "add", "bridge", "type", "bridge")
	ip("-n", bridge, "link", "set", "bridge", "up")
	for _, m := range c.members {
		ip("-n", bridge, "link", "add", m.name, "type", "veth", "peer", "name", "eth0", "netns", m.namespace)
		ip("-n", bridge, "link", "set", m.name, "master", "bridge", "up")
		ip("-n", m.namespace, "address", "add", m.address+"/24", "dev", "eth0")
		ip("-n", m.namespace, "link", "set", "eth0", "up")
	}
}

// sweeper waits for the end of its input, which is the end of the test however
// that came, then ends what runs in the namespaces and removes them.
const sweeper = `cat >/dev/null
for name; do
  for _ in $(seq 50); do
    pids=$(ip netns pids "$name" 2>/dev/null) && [ -n "$pids" ] || break
    kill -9 $pids 2>/dev/null; sleep 0.1
  done
  ! ip netns pids "$name" 2>/dev/null | grep . || echo "processes are left in $name"
  ip netns delete "$name" 2>/dev/null
done
! ip netns list | grep -F "${1%-*}-"`

// sweep is ready before there is something to sweep. It is a process of its own,
// so that it comes to its work even when the test is killed.
func (c *etcdCluster) sweep(namespaces []string) {
	c.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(c.Context()), "/bin/bash", append([]string{"-c", sweeper, "sweeper"}, namespaces...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	end, err := cmd.StdinPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		if err := errors.Join(end.Close(), cmd.Wait()); err != nil || said.Len() > 0 {
			c.Errorf("something is left: %v: %s", err, said.String())
		}
	})
}

// etcdBinaries is a folder with etcd and etcdctl, built from their modules when
// it is not there yet. The module proxy's sums are checked as those of any module.
func etcdBinaries(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "jeroboam", "etcd-"+etcdVersion+"-"+runtime.Version())
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	built := fmt.Sprint(dir, "-", os.Getpid()) // beside its place: a rename crosses no file system
	if err := os.Mkdir(built, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(built)
	module := t.TempDir()
	text := fmt.Sprintf("module scratch.invalid/etcd\n\ngo 1.26\n\nrequire (\n\tgo.etcd.io/etcd/etcdctl/v3 %[1]s\n\tgo.etcd.io/etcd/server/v3 %[1]s\n)\n", etcdVersion)
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for name, path := range map[string]string{"etcd": "go.etcd.io/etcd/server/v3", "etcdctl": "go.etcd.io/etcd/etcdctl/v3"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(built, name), path)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s %s: %v\n%s", name, etcdVersion, err, out)
		}
	}
	t.Logf("etcd %s was built in %.0f s", etcdVersion, time.Since(began).Seconds())
	// Somebody else may have been quicker: theirs is as good.
	if err := os.Rename(built, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			t.Fatal(err)
		}
	}
	return dir
}
