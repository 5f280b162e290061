package heat

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coreos/ignition/v2/config/v3_4"
	"github.com/coreos/ignition/v2/config/v3_4/types"
)

// machine is what the first boot of a node is told, in either of the two ways
// that images understand: cloudConfig and ignition make the same machine.
//
// Contents of files may hold placeholders such as __VOLUME__, which Heat's
// str_replace fills in inside the finished text. They stand there in plain sight,
// and what comes of them decodes to the file as it was meant, for values of
// printable ASCII without ", %, \, braces and brackets but those of a URL.
// Ignition needs one thing more for that: see inDataURLs.
//
// An error of either is an error of ours, not of a cluster's author.
type machine struct {
	sshKeys []string // of the image's usual user
	files   []machineFile
	masked  []string    // systemd units that shall not run
	unit    machineUnit // the one service that boots the node: enabled and started
}

// machineFile is a file of root's. It is below /etc, the one place that every
// image lets us write: Fedora CoreOS mounts /usr read-only.
type machineFile struct {
	path    string
	mode    int
	content string // of any bytes; only text has placeholders
}

// machineUnit is a systemd unit. Its text has no placeholders: systemd gives
// meanings of its own to what a value may hold, and Ignition refuses lines of
// 2,048 bytes and more.
type machineUnit struct{ name, text string }

const unitFolder = "/etc/systemd/system/"

var (
	placeholder = regexp.MustCompile(`__[A-Z]+(_[A-Z]+)*__`)
	filePath    = regexp.MustCompile(`^/etc/[A-Za-z0-9._@/-]+$`)
	unitName    = regexp.MustCompile(`^[A-Za-z0-9._@-]+\.[a-z]+$`)
)

// mayBe are those of the three ways to say a content, plain, in base64, and packed
// in base64, that say this one: placeholders must be seen, and what looks like
// one in bytes that are no text must not.
func mayBe[T any](f machineFile, ways [3]T) []T {
	switch {
	case !utf8.ValidString(f.content):
		return ways[1:]
	case placeholder.MatchString(f.content):
		return ways[:1]
	}
	return ways[:]
}

func (m machine) check() error {
	var found []error
	bad := func(format string, args ...any) { found = append(found, fmt.Errorf("user data: "+format, args...)) }
	seen := map[string]bool{unitFolder + m.unit.name: true}
	for _, f := range m.files {
		if !filePath.MatchString(f.path) || path.Clean(f.path) != f.path {
			bad("file %q: want a plain path below /etc", f.path)
		}
		if seen[f.path] {
			bad("file %s is there twice", f.path)
		}
		seen[f.path] = true
		if f.mode <= 0 || f.mode > 0o777 {
			bad("file %s: mode %o is none of permissions alone", f.path, f.mode)
		}
	}
	for _, name := range append([]string{m.unit.name}, m.masked...) {
		if !unitName.MatchString(name) {
			bad("unit %q: want a name such as a.service", name)
		}
	}
	for _, text := range append([]string{m.unit.text}, m.sshKeys...) {
		if !utf8.ValidString(text) || placeholder.MatchString(text) {
			bad("%q: want text without placeholders; they are for files", text)
		}
	}
	return errors.Join(found...)
}

// cloudConfig is the machine for cloud-init: the YAML of its modules
// ssh_authorized_keys, write_files and runcmd, a line for each thing.
func (m machine) cloudConfig() (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#cloud-config")
	if len(m.sshKeys) > 0 {
		line("ssh_authorized_keys:")
	}
	for _, key := range m.sshKeys {
		line("- %s", inYAML(key))
	}
	line("write_files:")
	for _, f := range append(slices.Clone(m.files), machineFile{unitFolder + m.unit.name, 0o644, m.unit.text}) {
		line("- {path: %s, permissions: %q, %s}", inYAML(f.path), fmt.Sprintf("%04o", f.mode), f.inYAML())
	}
	line("runcmd:")
	// A reload reads all units, which can take seconds: enabling ours is one.
	for _, name := range m.masked {
		line("- [systemctl, mask, --now, --no-reload, %s]", inYAML(name))
	}
	line("- [systemctl, enable, --now, --no-block, %s]", inYAML(m.unit.name))
	return b.String(), nil
}

func (f machineFile) inYAML() string {
	b64, packed := packedText(f.content)
	ways := [...]string{"content: " + inYAML(f.content), "encoding: b64, content: " + b64, "encoding: gz+b64, content: " + packed}
	return shortest(mayBe(f, ways), func(s string) int { return len(s) })
}

// ignition is the machine for Ignition, in version 3.4.0 of its format, which
// Ignition reads since its release 2.15.0 of early 2023
// (coreos.github.io/ignition/specs). Files are data URLs; Ignition itself sees
// to the labels of SELinux. The text has been read by Ignition's own parser,
// without a warning.
//
// Where files have placeholders, the template must pass the text through
// inDataURLs after they are filled in.
func (m machine) ignition() (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	c := types.Config{Ignition: types.Ignition{Version: types.MaxVersion.String()}}
	if len(m.sshKeys) > 0 {
		user := types.PasswdUser{Name: "core"}
		for _, key := range slices.Compact(slices.Sorted(slices.Values(m.sshKeys))) { // Ignition refuses a key given twice
			user.SSHAuthorizedKeys = append(user.SSHAuthorizedKeys, types.SSHAuthorizedKey(key))
		}
		c.Passwd.Users = append(c.Passwd.Users, user)
	}
	for _, f := range m.files {
		c.Storage.Files = append(c.Storage.Files, f.inIgnition())
	}
	c.Systemd.Units = []types.Unit{{Name: m.unit.name, Contents: &m.unit.text, Enabled: new(true)}}
	for _, name := range m.masked {
		c.Systemd.Units = append(c.Systemd.Units, types.Unit{Name: name, Mask: new(true)})
	}
	return ignitionText(c)
}

// ignitionText writes and checks a config. What inDataURLs has is in it only
// where values for placeholders bring it: JSON says it in another way.
func ignitionText(c types.Config) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		return "", fmt.Errorf("user data: %w", err)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	for _, raw := range slices.Sorted(maps.Keys(inDataURLs())) {
		var otherwise strings.Builder
		for _, char := range raw {
			fmt.Fprintf(&otherwise, `\u%04x`, char)
		}
		text = strings.ReplaceAll(text, raw, otherwise.String())
	}
	_, report, err := v3_4.Parse([]byte(text))
	if err == nil && len(report.Entries) == 0 {
		return text, nil
	}
	return "", fmt.Errorf("user data: ignition says: %w", errors.Join(err, errors.New(report.String())))
}

// inDataURLs are what the decoder of Ignition's data URLs refuses to see as it
// is, and what it takes instead. A value that brings one, such as the spaces of a
// command line, would leave a node without a boot. (The units of a config take
// any character, but only short lines, and everybody on the node reads them.) So
// Heat does it, by a second str_replace around the one that fills in, which
// reaches nothing but the values:
//
//	user_data:
//	  str_replace:
//	    params: <inDataURLs>
//	    template: {str_replace: {params: {__SIGNAL__: ...}, template: <ignition>}}
//
// Brackets are JSON's own, so that those of a value are seen only where JSON has
// none: round the IPv6 address of a URL. Others must not be in a value.
func inDataURLs() map[string]string {
	return map[string]string{
		" ": "%20", "#": "%23", "<": "%3C", ">": "%3E", "^": "%5E", "`": "%60", "|": "%7C",
		"//[": "//%5B", "]:": "%5D:", "]/": "%5D/",
	}
}

func (f machineFile) inIgnition() types.File {
	b64, packed := packedText(f.content)
	ways := [...]types.Resource{
		{Source: new("data:," + percentEncoded(f.content))},
		{Source: new("data:;base64," + b64)},
		{Source: new("data:;base64," + packed), Compression: new("gzip")},
	}
	return types.File{
		Node: types.Node{Path: f.path, Overwrite: new(true)},
		FileEmbedded1: types.FileEmbedded1{
			Mode:     new(f.mode),
			Contents: shortest(mayBe(f, ways), func(r types.Resource) int { return len(mustJSON(r)) }),
		},
	}
}

// percentEncoded is data for a URL: what RFC 2396 lets stand there stands for
// itself, but for & and ?.
func percentEncoded(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'():/;,=+@$", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// packedText is data as it is, and packed with gzip.
func packedText(s string) (plain, packed string) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write([]byte(s))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic("heat: " + err.Error()) // memory takes everything
	}
	return base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString(b.Bytes())
}

// shortest of some ways to say the same; the first of several.
func shortest[T any](ways []T, length func(T) int) T {
	return slices.MinFunc(ways, func(a, b T) int { return length(a) - length(b) })
}
