// Package demo is what `jeroboam demo` plays on and with: a folder with a sample
// fleet in a Git repository, and the commits of its story.
//
//	DIR/fleet/          the repository: documents of examples/, branch main
//	DIR/jeroboam.yaml   the Config
//	DIR/clouds.yaml     of the simulated cloud; written by who starts that
//	DIR/state/          the local store
//	DIR/run/            what would be below $XDG_RUNTIME_DIR
//	DIR/jeroboam.log    of the daemon
//
// Read Folder for the place, story.go for the acts and commit.go for the commits.
// The loop, the plans and the cloud are those of the program: the command puts them
// together.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"jeroboam.io/jeroboam/examples"
)

// Folder is where a demo is. Everything that it makes is in it.
type Folder struct {
	Dir string // absolute
}

// What is in it, relative to Dir.
const (
	Fleet   = "fleet"
	Clouds  = "clouds.yaml"
	State   = "state"
	Runtime = "run"
	Log     = "jeroboam.log"
)

// config is complete, so that the reader of a demo finds what to change. No way
// leads into clusters whose nodes are simulated, hence etcdHealth.
const config = `# The Config of jeroboam demo. Its paths are relative to the working directory.
apiVersion: jeroboam.io/v1alpha1
kind: Config
metadata: {name: demo}
spec:
  instance: demo
  repository: {url: fleet, branch: main}
  stateDir: state
  clouds:
    lab-demo: {etcdHealth: heat}    # simulated nodes have no API to ask
`

// Make prepares a folder that is new or empty; without a name it is a temporary
// one, which nobody removes. A demo cannot go on in the folder of another: its
// cloud was in memory and has ended, and clusters that are gone without a commit
// are what the guards hold.
func Make(ctx context.Context, dir string) (*Folder, error) {
	dir, err := emptyFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "jeroboam.yaml"), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("make the demo's Config: %w", err)
	}
	f := &Folder{dir}
	if err := os.Mkdir(f.path(""), 0o700); err != nil {
		return nil, fmt.Errorf("make the demo's repository: %w", err)
	}
	if err := f.initRepository(ctx); err != nil {
		return nil, fmt.Errorf("make the demo's repository: %w", err)
	}
	return f, nil
}

func emptyFolder(dir string) (string, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "jeroboam-demo-")
		if err != nil {
			return "", fmt.Errorf("make a folder: %w; give one with --dir", err)
		}
		return made, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return dir, os.MkdirAll(dir, 0o700)
	case err != nil:
		return "", fmt.Errorf("look into the folder: %w", err)
	case len(entries) > 0:
		return "", fmt.Errorf("%s is not empty: the cloud of a demo is in memory and ends with it, so each begins in a new folder; give another with --dir, or remove this one", dir)
	}
	return dir, nil
}

// Edit is a change of the fleet that a shell command can make as well.
type Edit struct {
	Copy     string // a folder of examples: its documents come
	Remove   string // a file goes
	File     string // or in this one
	Old, New string // a part that is there once becomes another; as in sed, without / and special characters
}

// Command is how a person does it, in the demo's folder; empty if there is none.
func (e Edit) Command() string {
	switch {
	case e.Remove != "":
		return "git -C " + Fleet + " rm -q " + e.Remove
	case e.Copy != "":
		return ""
	}
	return fmt.Sprintf("sed -i 's/%s/%s/' %s/%s", e.Old, e.New, Fleet, e.File)
}

// Make carries an edit out in the work tree.
func (f *Folder) Make(e Edit) error {
	switch {
	case e.Copy != "":
		return f.copy(e.Copy)
	case e.Remove != "":
		return os.Remove(f.path(e.Remove))
	}
	text, err := os.ReadFile(f.path(e.File))
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), e.Old); n != 1 {
		return fmt.Errorf("%s has %q %d times", e.File, e.Old, n)
	}
	return os.WriteFile(f.path(e.File), []byte(strings.Replace(string(text), e.Old, e.New, 1)), 0o600) //nolint:gosec // G703: the files are those of Acts
}

func (f *Folder) path(file string) string { return filepath.Join(f.Dir, Fleet, file) }

// copy brings documents. What would keep a cluster as it is until Saturday night
// is left out: a demo has a minute.
func (f *Folder) copy(from string) error {
	files, err := examples.Fleets.ReadDir(from)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := examples.Fleets.ReadFile(path.Join(from, file.Name()))
		if err != nil {
			return err
		}
		var kept strings.Builder
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "  maintenance: ") {
				kept.WriteString(line)
			}
		}
		name := file.Name()
		if name == "fleet.yaml" {
			name = from + ".yaml"
		}
		if err := os.WriteFile(f.path(name), []byte(kept.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}
