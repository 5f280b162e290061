package templates_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
