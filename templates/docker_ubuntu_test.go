package templates_test

import (
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/templates"
)

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
