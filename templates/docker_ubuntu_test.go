package templates_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/templates"
)

const volumeID = "0c8a1f2e-9a3b-4c5d-8e7f-001122334455"

// machine is where boot.sh runs: a folder that stands for /, and on PATH what
// an Ubuntu image has. What would change the real machine is a stub that notes
// how it was called.
type machine struct {
	testing.TB
	root string
	env  map[string]string // /etc/jeroboam/environment
}

// outcome is what came of one boot.
type outcome struct {
	signals []signal // what Heat was told, ever
	calls   []string // of stubs, ever
	failed  bool
}

type signal struct{ Status, Reason, ID, Data string }

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t, t.TempDir(), map[string]string{"VOLUME": "", "HTTP_PROXY": "", "HTTPS_PROXY": "", "NO_PROXY": ""}}
	for _, dir := range []string{"bin", "etc/jeroboam", "etc/apt/apt.conf.d", "etc/systemd/system", "var/log", "var/lib", "dev/disk/by-id"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write("etc/fstab", "LABEL=cloudimg-rootfs / ext4 defaults 0 1\n")
	m.script("etc/jeroboam/signal", `cat >>"$ROOT/signals"`)
	m.tools("bash", "sh", "cat", "chmod", "grep", "mkdir", "python3", "sed", "seq", "tail", "touch")
	for name, does := range map[string]string{
		"apt-get": "", "systemctl": "", "mount": `touch "$ROOT/mounted"`, "mountpoint": `[ -e "$ROOT/mounted" ]`, "sleep": "",
		"docker": `[ "$1" != version ] || echo 27.5.1`, "hostname": "echo node-0", "mkfs.ext4": `touch "$ROOT/formatted"`,
		"blkid": `[ -e "$ROOT/formatted" ] || exit 2`,
	} {
		m.stub(name, does)
	}
	return m
}

// tools puts the system's own programs on the machine's PATH.
func (m *machine) tools(names ...string) {
	m.Helper()
	for _, tool := range names {
		path := "/usr/bin/" + tool // the system's: what is first on PATH may be a wrapper that needs more
		if _, err := os.Stat(path); err != nil {
			path = "/bin/" + tool
		}
		if _, err := os.Stat(path); err != nil {
			m.Skipf("%s is not installed, and every image has it: the boot cannot be played here", tool)
		}
		if err := os.Symlink(path, filepath.Join(m.root, "bin", tool)); err != nil && !errors.Is(err, fs.ErrExist) {
			m.Fatal(err)
		}
	}
}

func (m *machine) write(path, text string) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.root, path), []byte(text), 0o600); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) read(path string) string {
	m.Helper()
	b, err := os.ReadFile(filepath.Join(m.root, path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Fatal(err)
	}
	return string(b)
}

func (m *machine) script(path, does string) {
	m.Helper()
	m.write(path, "#!/bin/bash\nROOT='"+m.root+"'\n"+does+"\n")
	if err := os.Chmod(filepath.Join(m.root, path), 0o700); err != nil {
		m.Fatal(err)
	}
}

// stub replaces a command by one that notes its call and then does something.
func (m *machine) stub(name, does string) {
	m.Helper()
	m.script("bin/"+name, fmt.Sprintf("echo %q \"$@\" >>\"$ROOT/calls\"\n%s", name, does))
}

// boot runs the script as it is but for the folder that stands for /.
func (m *machine) boot() outcome {
	m.Helper()
	text, err := templates.FS.ReadFile("docker_ubuntu/1/boot.sh")
	if err != nil {
		m.Fatal(err)
	}
	var env strings.Builder
	for k, v := range m.env {
		fmt.Fprintf(&env, "%s='%s'\n", k, strings.ReplaceAll(v, "'", `'\''`))
	}
	m.write("etc/jeroboam/environment", env.String())
	here := strings.NewReplacer("/etc/", m.root+"/etc/", "/var/", m.root+"/var/", "/dev/disk", m.root+"/dev/disk", "/dev/null", "/dev/null")
	cmd := exec.CommandContext(m.Context(), "/bin/bash", "-c", here.Replace(string(text)))
	cmd.Env = []string{"PATH=" + m.root + "/bin", "LC_ALL=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	if len(out) > 0 {
		m.Errorf("the script says to nobody: %s", out)
	}
	return m.outcome(err != nil)
}

// outcome reads what stubs and the signal noted.
func (m *machine) outcome(failed bool) outcome {
	m.Helper()
	o := outcome{failed: failed, calls: strings.Split(strings.TrimSuffix(m.read("calls"), "\n"), "\n")}
	for dec := json.NewDecoder(strings.NewReader(m.read("signals"))); dec.More(); {
		var s signal
		if err := dec.Decode(&s); err != nil {
			m.Fatal(err)
		}
		o.signals = append(o.signals, s)
	}
	return o
}

func (o outcome) called(prefix string) int {
	n := 0
	for _, c := range o.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// failure is the one signal of a boot that failed, in a step.
func (o outcome) failure(t testing.TB, step string) (log string) {
	t.Helper()
	if !o.failed || len(o.signals) != 1 || o.signals[0].Status != "FAILURE" {
		t.Fatalf("failed %v, signals %+v; want one FAILURE", o.failed, o.signals)
	}
	log, ok := strings.CutPrefix(o.signals[0].Reason, "step "+step+" failed: ")
	if !ok {
		t.Errorf("the reason is %q, want it to begin with the step %s", o.signals[0].Reason, step)
	}
	if len(log) > 1000 {
		t.Errorf("%d bytes of log, want 1000 at most", len(log))
	}
	return log
}

func TestBootSignalsSuccessOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	o := m.boot()
	if d := cmp.Diff([]signal{{"SUCCESS", "docker is up", "node-0", "27.5.1"}}, o.signals); d != "" || o.failed {
		t.Errorf("failed %v, signals (-want +got):\n%s", o.failed, d)
	}
	want := []string{
		"apt-get update", "apt-get -o DPkg::Lock::Timeout=300 install -y docker.io",
		"systemctl daemon-reload", "systemctl enable docker", "systemctl restart docker", "docker info",
	}
	calls := slices.DeleteFunc(o.calls, func(c string) bool { return strings.HasPrefix(c, "hostname") || strings.HasPrefix(c, "docker version") })
	if d := cmp.Diff(want, calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

// The second run finds everything as it left it.
func TestBootTwiceIsHarmless(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env["VOLUME"], m.env["HTTP_PROXY"] = volumeID, "http://proxy:3128"
	m.write("dev/disk/by-id/virtio-"+volumeID[:20], "")
	files := func() []string {
		return []string{m.read("etc/fstab"), m.read("etc/apt/apt.conf.d/90jeroboam-proxy"), m.read("etc/systemd/system/docker.service.d/proxy.conf"), m.read("etc/systemd/system/docker.service.d/volume.conf")}
	}
	m.boot()
	once := files()
	o := m.boot()
	if d := cmp.Diff(once, files()); d != "" {
		t.Errorf("files (-once +twice):\n%s", d)
	}
	if len(o.signals) != 2 || o.signals[1].Status != "SUCCESS" {
		t.Errorf("signals %+v", o.signals)
	}
	if o.called("mkfs.ext4") != 1 || o.called("mount ") != 1 {
		t.Errorf("made or mounted the file system again: %q", o.calls)
	}
	if want := m.root + "/dev/disk/by-id/virtio-" + volumeID[:20] + " " + m.root + "/var/lib/docker ext4 "; strings.Count(once[0], want) != 1 {
		t.Errorf("fstab is %q", once[0])
	}
}

func TestBootFailureNamesStepFirst(t *testing.T) {
	t.Parallel()
	for step, broken := range map[string]string{"packages": "apt-get", "service": "systemctl", "works": "docker"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.stub(broken, `echo "out of order"; exit 7`)
			o := m.boot()
			if log := o.failure(t, step); !strings.Contains(log, "out of order") {
				t.Errorf("the log is %q", log)
			}
			if step == "packages" && o.called("systemctl") > 0 {
				t.Errorf("went on after the failure: %q", o.calls)
			}
		})
	}
}

// What Heat is told is readable by the whole project, and shown to many more.
func TestBootFailureMasksSecrets(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"X-Auth-Token: gAAAAABsecret":                 "X-Auth-Token: ***",
		"password=hunter2 and more":                   "password=*** and more",
		`{"password": "hunter2"}`:                     `{"password": ***`,
		"OS_PASSWORD='hunter2'":                       "OS_PASSWORD=***",
		"passwd\thunter2":                             "passwd\t***",
		"client_secret_key = hunter2":                 "client_secret_key = ***",
		"Authorization: Bearer hunter2":               "Authorization: Bearer ***",
		"proxy http://user:hunter2@proxy:3128 is off": "proxy http://***@proxy:3128 is off",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.write("line", line+"\n")
			m.stub("docker", `[ "$1" != info ] || { cat "$ROOT/line"; exit 1; }`)
			if log := m.boot().failure(t, "works"); !strings.Contains(log, want) || strings.Contains(log, "hunter2") || strings.Contains(log, "gAAAA") {
				t.Errorf("the log is %q, want %q in it", log, want)
			}
		})
	}
}

// The log is cut after the masking: a secret whose word is beyond the cut is
// masked as well.
func TestBootFailureCutsNoSecretOpen(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.stub("docker", `[ "$1" != info ] || { printf 'password: '; printf 'hunter2%.0s' $(seq 1000); printf '\n'; exit 1; }`)
	if log := m.boot().failure(t, "works"); strings.Contains(log, "hunter2") {
		t.Errorf("the log is %q", log)
	}
}

// Characters that the cut halves or that Heat's table does not take must not
// keep the failure from being told.
func TestBootFailureIsToldInASCII(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.stub("docker", `[ "$1" != info ] || { printf '\xe2\x80\x98\xf0\x9f\x8d\xbe\x00%.0s' $(seq 500); exit 1; }`)
	log := m.boot().failure(t, "works")
	if i := strings.IndexFunc(log, func(r rune) bool { return r > 0x7e }); i >= 0 {
		t.Errorf("the log has %q", log[i:min(i+10, len(log))])
	}
}

func TestBootWaitsForTheVolume(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]string{"virtio": "virtio-" + volumeID[:20], "scsi": "scsi-0QEMU_QEMU_HARDDISK_" + volumeID} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.env["VOLUME"] = volumeID
			m.stub("sleep", `[ "$(grep -c sleep "$ROOT/calls")" -lt 3 ] || touch "$ROOT/dev/disk/by-id/`+disk+`"`)
			o := m.boot()
			if len(o.signals) != 1 || o.signals[0].Status != "SUCCESS" || o.called("sleep") != 3 {
				t.Errorf("slept %d times, signals %+v", o.called("sleep"), o.signals)
			}
			if !strings.Contains(m.read("etc/fstab"), "/dev/disk/by-id/"+disk+" ") || o.called("mount ") != 1 {
				t.Errorf("fstab is %q, calls %q", m.read("etc/fstab"), o.calls)
			}
		})
	}
}

func TestBootMissingVolumeIsTheReason(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env["VOLUME"] = volumeID
	m.write("dev/disk/by-id/virtio-ffffffff-0000-0000-0", "") // another one
	o := m.boot()
	if log := o.failure(t, "volume"); !strings.Contains(log, "no disk of volume "+volumeID+" after 600 s") {
		t.Errorf("the log is %q", log)
	}
	if o.called("sleep 2") != 300 || o.called("mkfs") > 0 {
		t.Errorf("slept %d times 2 s, calls %q", o.called("sleep 2"), o.calls[len(o.calls)-3:])
	}
}

// A disk gets a file system only if it is known to have none.
func TestBootNeverFormatsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{0: 0, 2: 1, 4: 0, 8: 0, 126: 0} {
		t.Run(fmt.Sprint("blkid says ", status), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.env["VOLUME"] = volumeID
			m.write("dev/disk/by-id/virtio-"+volumeID[:20], "")
			m.stub("blkid", fmt.Sprint("exit ", status))
			o := m.boot()
			if o.called("mkfs.ext4") != want {
				t.Errorf("calls %q", o.calls)
			}
			if unknown := status != 0 && status != 2; unknown != o.failed {
				t.Errorf("failed %v, signals %+v", o.failed, o.signals)
			}
		})
	}
}

// Docker reads the proxies from the file, in which a % is a %.
func TestBootWritesProxies(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env["HTTP_PROXY"], m.env["NO_PROXY"] = "http://me:p%40ss'w@proxy:3128", "a b"
	o := m.boot()
	if len(o.signals) != 1 || o.signals[0].Status != "SUCCESS" {
		t.Fatalf("signals %+v", o.signals)
	}
	if got, want := m.read("etc/systemd/system/docker.service.d/proxy.conf"), "[Service]\nEnvironmentFile="+m.root+"/etc/jeroboam/environment\n"; got != want {
		t.Errorf("proxy.conf is %q, want %q", got, want)
	}
	const proxy = "http://me:p%40ss'w@proxy:3128"
	if got, want := m.read("etc/apt/apt.conf.d/90jeroboam-proxy"), "Acquire::http::Proxy \""+proxy+"\";\nAcquire::https::Proxy \""+proxy+"\";\n"; got != want {
		t.Errorf("apt's proxies are %q, want %q", got, want)
	}
}

// TestScripts runs shellcheck over every script, where there is one: make
// lint-scripts insists on it.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts, err := fs.Glob(templates.FS, "*/*/*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	check, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), check, scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
