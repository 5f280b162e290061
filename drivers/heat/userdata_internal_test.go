package heat

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/coreos/ignition/v2/config/v3_4"
	"github.com/google/go-cmp/cmp"
	"github.com/vincent-petithory/dataurl"
	"sigs.k8s.io/yaml"
)

// User data is tested from the inside, as what a machine reads of it: a map of
// its files, which must be the same in both formats.

type modeAndContent struct {
	Mode    int
	Content string
}

const bootUnit = `[Unit]
Description=Boot #1 of 100% "real" nodes <https://[fd00::1]:80/>
After=network-online.target

[Service]
ExecStart=/etc/jeroboam/boot

[Install]
WantedBy=multi-user.target
`

func machineWith(files ...machineFile) machine {
	return machine{files: files, unit: machineUnit{"jeroboam-boot.service", bootUnit}}
}

// values are what Heat fills in, as hostile as they may be.
func values() map[string]string {
	var ascii strings.Builder
	for c := byte(' '); c < 0x7f; c++ {
		if strings.IndexByte("%\"\\[]{}", c) < 0 {
			ascii.WriteByte(c)
		}
	}
	return map[string]string{
		"__SIGNAL__":  `curl -i -X POST -H 'X-Auth-Token: gAAA-_==' -H 'Accept: application/json' 'http://[fd00::1]:8004/v1/a?b=c&d#e@f' http://[::1]/`,
		"__VOLUME__":  "0c8a1f2e-9a3b-4c5d-8e7f-001122334455",
		"__EMPTY__":   "",
		"__ASCII__":   " " + ascii.String() + " ",
		"__SECRETS__": `CA_CERT='` + strings.Repeat("aB+/", 2000) + `==' B='x y'  C='z;,&?#@:'`,
		"__A_B__":     "#",
	}
}

func filledIn(text string, params map[string]string) string {
	var pairs []string
	for k, v := range params {
		pairs = append(pairs, k, v)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// booted is what the machine's files are by each format, after Heat.
func booted(t testing.TB, m machine) (cloud, ignition map[string]modeAndContent) {
	t.Helper()
	text, err := m.cloudConfig()
	if err != nil {
		t.Fatal(err)
	}
	cloud = cloudInitReads(t, filledIn(text, values()))
	if text, err = m.ignition(); err != nil {
		t.Fatal(err)
	}
	return cloud, ignitionReads(t, filledIn(filledIn(text, values()), inDataURLs()))
}

func cloudInitReads(t testing.TB, text string) map[string]modeAndContent {
	t.Helper()
	var c struct {
		WriteFiles []struct{ Path, Permissions, Encoding, Content string } `json:"write_files"`
	}
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	files := map[string]modeAndContent{}
	for _, f := range c.WriteFiles {
		mode, err := strconv.ParseInt(f.Permissions, 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		switch f.Encoding {
		case "":
		case "b64":
			f.Content = fromBase64(t, f.Content)
		case "gz+b64":
			f.Content = unpacked(t, fromBase64(t, f.Content))
		default:
			t.Fatalf("%s: encoding %q", f.Path, f.Encoding)
		}
		files[f.Path] = modeAndContent{int(mode), f.Content}
	}
	return files
}

// ignitionReads reads as Ignition does: the URL is parsed, written and decoded.
func ignitionReads(t testing.TB, text string) map[string]modeAndContent {
	t.Helper()
	c, report, err := v3_4.Parse([]byte(text))
	if err != nil || len(report.Entries) > 0 {
		t.Fatalf("%v %s\n%s", err, report, text)
	}
	files := map[string]modeAndContent{}
	for _, f := range c.Storage.Files {
		source, err := url.Parse(*f.Contents.Source)
		if err != nil {
			t.Fatal(err)
		}
		data, err := dataurl.DecodeString(source.String())
		if err != nil {
			t.Fatal(err)
		}
		content := string(data.Data)
		if f.Contents.Compression != nil {
			content = unpacked(t, content)
		}
		if f.Overwrite == nil || !*f.Overwrite {
			t.Errorf("%s would be left as the image has it", f.Path)
		}
		files[f.Path] = modeAndContent{*f.Mode, content}
	}
	for _, u := range c.Systemd.Units {
		if u.Contents != nil {
			files[unitFolder+u.Name] = modeAndContent{0o644, *u.Contents}
		}
	}
	return files
}

func fromBase64(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func unpacked(t testing.TB, s string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func noise(n int) string {
	r, b := rand.NewChaCha8([32]byte{1}), make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		panic(err)
	}
	return string(b)
}

func printable() string {
	var b strings.Builder
	for c := byte(' '); c < 0x7f; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

// contents are what a file may hold. Those with placeholders are the ones whose
// text cannot be packed.
func contents() map[string]string {
	all := map[string]string{
		"empty":                 "",
		"a newline":             "\n",
		"no newline at the end": "a\nb",
		"printable":             printable(),
		"every byte": func() (s string) {
			for c := range 256 {
				s += string([]byte{byte(c)})
			}
			return s
		}(),
		"UTF-8":                "grüße \u2028 \u0085 \ufeff \U0001f37e \ufffe\n",
		"control characters":   "\x00\x01\t\x1b[0m\x7f\u009f\n",
		"CRLF":                 "a\r\nb\rc\r\n",
		"YAML":                 "---\n- {a: &b !!c |\n  #cloud-config ': \"\n...\n",
		"spaces":               "  a\t \n   b \n ",
		"escapes":              `%41 %zz \n \u0041 \\ + %2B \# // ]: //[`,
		"long":                 strings.Repeat("0123456789 abcdef\n", 2000),
		"binary":               noise(30 << 10),
		"binary that looks so": "\xff__SIGNAL\x5f_",
	}
	for name, text := range all {
		if utf8.ValidString(text) {
			all[name+", filled in"] = "__SIGNAL__" + text + "__ASCII__\n'__VOLUME__' __EMPTY____SECRETS__" + text + "__A_B__"
		}
	}
	return all
}

func TestUserDataDecodesToItsFiles(t *testing.T) {
	t.Parallel()
	for name, content := range contents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, mode := range []int{0o400, 0o600, 0o644, 0o755, 0o777} {
				want := map[string]modeAndContent{
					"/etc/jeroboam/a": {mode, content},
					"/etc/systemd/system/jeroboam-boot.service": {0o644, bootUnit},
				}
				if utf8.ValidString(content) {
					want["/etc/jeroboam/a"] = modeAndContent{mode, filledIn(content, values())}
				}
				cloud, ignition := booted(t, machineWith(machineFile{"/etc/jeroboam/a", mode, content}))
				if d := cmp.Diff(want, cloud); d != "" {
					t.Errorf("cloud-init reads (-want +got):\n%s", d)
				}
				if d := cmp.Diff(want, ignition); d != "" {
					t.Errorf("Ignition reads (-want +got):\n%s", d)
				}
			}
		})
	}
}

// typical has something of everything.
func typical() machine {
	m := machineWith()
	m.sshKeys = []string{"ssh-ed25519 AAAAC3Nz a@b #1", `ssh-rsa AAAAB3Nz "c" <d>`}
	m.masked = []string{"docker.service", "zincati.service"}
	for name, content := range contents() {
		m.files = append(m.files, machineFile{"/etc/jeroboam/" + strings.NewReplacer(" ", "-", ",", "").Replace(name), 0o600, content})
	}
	return m
}

func TestUserDataHasKeysMasksAndService(t *testing.T) {
	t.Parallel()
	m := machineWith()
	m.sshKeys = []string{"ssh-ed25519 B #1", "ssh-ed25519 A", "ssh-ed25519 B #1"}
	m.masked = []string{"docker.service", "zincati.service"}

	text, err := m.cloudConfig()
	if err != nil {
		t.Fatal(err)
	}
	var cloud struct {
		Keys []string   `json:"ssh_authorized_keys"`
		Run  [][]string `json:"runcmd"`
	}
	if err := yaml.Unmarshal([]byte(text), &cloud); err != nil || !strings.HasPrefix(text, "#cloud-config\n") {
		t.Fatalf("%v\n%s", err, text)
	}
	if d := cmp.Diff(m.sshKeys, cloud.Keys); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]string{
		{"systemctl", "mask", "--now", "--no-reload", "docker.service"},
		{"systemctl", "mask", "--now", "--no-reload", "zincati.service"},
		{"systemctl", "enable", "--now", "--no-block", "jeroboam-boot.service"},
	}, cloud.Run); d != "" {
		t.Error(d)
	}

	if text, err = m.ignition(); err != nil {
		t.Fatal(err)
	}
	var ignition struct {
		Ignition struct{ Version string }
		Passwd   struct {
			Users []struct {
				Name              string
				SSHAuthorizedKeys []string
			}
		}
		Systemd struct {
			Units []struct {
				Name          string
				Enabled, Mask bool
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &ignition); err != nil {
		t.Fatal(err)
	}
	want := "{{3.4.0} {[{core [ssh-ed25519 A ssh-ed25519 B #1]}]} {[{jeroboam-boot.service true false} {docker.service false true} {zincati.service false true}]}}"
	if got := fmt.Sprint(ignition); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestUserDataIsSmall(t *testing.T) {
	t.Parallel()
	empty := machineWith()
	for name, c := range map[string]struct {
		content string
		most    int
	}{
		"zeros":                   {strings.Repeat("\x00", 30<<10), 250},
		"noise":                   {noise(30 << 10), 4*(30<<10)/3 + 200},
		"a word is left as it is": {"word", 200},
	} {
		m := machineWith(machineFile{"/etc/a", 0o600, c.content})
		for format, render := range map[string]func(machine) (string, error){"cloud-config": machine.cloudConfig, "Ignition": machine.ignition} {
			without, err := render(empty)
			if err != nil {
				t.Fatal(err)
			}
			text, err := render(m)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(text) - len(without); got > c.most {
				t.Errorf("%s: %s takes %d bytes, want at most %d", name, format, got, c.most)
			}
			if name == "a word is left as it is" && !strings.Contains(text, "word") {
				t.Errorf("%s: %s", format, text)
			}
			if again, err := render(m); again != text || err != nil {
				t.Errorf("%s: %s is not the same again, %v", name, format, err)
			}
		}
	}
}

// Why inDataURLs is needed, and that nothing in it is needless: each of it ends
// a boot when it comes as it is.
func TestIgnitionRefusesWhatIsNotEscaped(t *testing.T) {
	t.Parallel()
	text, err := machineWith(machineFile{"/etc/a", 0o600, "__SIGNAL__"}).ignition()
	if err != nil {
		t.Fatal(err)
	}
	for raw := range inDataURLs() {
		filled := filledIn(text, map[string]string{"__SIGNAL__": "http:" + raw + "a"})
		if _, report, err := v3_4.Parse([]byte(filled)); err == nil {
			t.Errorf("%q is taken as it is: %s", raw, report)
		}
		got := ignitionReads(t, filledIn(filled, inDataURLs()))["/etc/a"].Content
		if got != "http:"+raw+"a" {
			t.Errorf("%q became %q", raw, got)
		}
	}
}

func TestUserDataErrors(t *testing.T) {
	t.Parallel()
	file := func(path string, mode int) machine { return machineWith(machineFile{path, mode, ""}) }
	unit := func(name, text string) machine { return machine{unit: machineUnit{name, text}} }
	both := []func(machine) (string, error){machine.cloudConfig, machine.ignition}
	for want, c := range map[string]struct {
		machine
		formats []func(machine) (string, error)
	}{
		`"/usr/local/bin/a": want a plain path below /etc`: {file("/usr/local/bin/a", 0o755), both},
		`"/etc/../usr/a": want a plain path`:               {file("/etc/../usr/a", 0o755), both},
		`"/etc/a b": want a plain path`:                    {file("/etc/a b", 0o755), both},
		"mode 0 is none":                                   {file("/etc/a", 0), both},
		"mode 4755 is none":                                {file("/etc/a", 0o4755), both},
		"/etc/a is there twice":                            {machineWith(machineFile{"/etc/a", 0o600, ""}, machineFile{"/etc/a", 0o600, ""}), both},
		"boot.service is there twice":                      {file("/etc/systemd/system/jeroboam-boot.service", 0o644), both},
		`unit "a b": want a name`:                          {unit("a b", bootUnit), both},
		"they are for files":                               {unit("a.service", bootUnit+"# __SIGNAL__\n"), both},
		"has no install section":                           {unit("a.service", "[Service]\nExecStart=/etc/a\n"), both[1:]},
		"line too long":                                    {unit("a.service", bootUnit+"# "+strings.Repeat("a", 5000)+"\n"), both[1:]},
	} {
		for _, render := range c.formats {
			if text, err := render(c.machine); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q\n%s", err, want, text)
			}
		}
	}
}

// TestCloudInit has cloud-init itself judge and decode what is for it.
func TestCloudInit(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("cloud-init")
	if err != nil {
		t.Skip("cloud-init is not installed: nobody else judges our cloud-config")
	}
	m := typical()
	text, err := m.cloudConfig()
	if err != nil {
		t.Fatal(err)
	}
	valid := func(text string) (bool, string) {
		path := filepath.Join(t.TempDir(), "user-data")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), program, "schema", "--config-file", path).CombinedOutput()
		return err == nil && bytes.Contains(out, []byte("Valid cloud-config")), string(out)
	}
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"with placeholders": {text, true},
		"filled in":         {filledIn(text, values()), true},
		"a mode in octal":   {strings.ReplaceAll(text, `permissions: "0600"`, "permissions: 0600"), false},
	} {
		if got, out := valid(c.text); got != c.want {
			t.Errorf("%s: valid is %t, want %t\n%s", name, got, c.want, out)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", `
import base64, json, sys
from cloudinit import util
from cloudinit.config.cc_write_files import canonicalize_extraction, extract_contents
c = util.load_yaml(sys.stdin.buffer.read())
json.dump({f["path"]: base64.b64encode(util.encode_text(extract_contents(f["content"], canonicalize_extraction(f.get("encoding"))))).decode()
           for f in c["write_files"]}, sys.stdout)`)
	cmd.Stdin = strings.NewReader(filledIn(text, values()))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string][]byte
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	cloud, _ := booted(t, m)
	if len(got) != len(cloud) {
		t.Errorf("%d files, want %d", len(got), len(cloud))
	}
	for path, want := range cloud {
		if d := cmp.Diff(want.Content, string(got[path])); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
}

// FuzzUserData: any content comes out of both formats as it went in.
func FuzzUserData(f *testing.F) {
	f.Add("plain\n", 0o644)
	f.Add("\x00\xff", 0o600)
	f.Add("__SIGNAL__ 'a' \"b\" \\ % #\r\n", 0o755)
	f.Fuzz(func(t *testing.T, content string, mode int) {
		if mode = mode & 0o777; mode == 0 {
			mode = 0o600
		}
		file := machineFile{"/etc/a", mode, content}
		if utf8.ValidString(content) {
			content = filledIn(content, values())
		}
		want := modeAndContent{mode, content}
		cloud, ignition := booted(t, machineWith(file))
		if d := cmp.Diff(want, cloud["/etc/a"]); d != "" {
			t.Errorf("cloud-init reads (-want +got):\n%s", d)
		}
		if d := cmp.Diff(want, ignition["/etc/a"]); d != "" {
			t.Errorf("Ignition reads (-want +got):\n%s", d)
		}
	})
}
