package gitrepo

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"

	"jeroboam.io/jeroboam/schema"
)

// diskLister lists a folder of a work tree.
type diskLister struct {
	root    string
	ignored func(below string, isDir bool) bool
	files   []schema.File
}

// list adds what is below a folder. below is relative to the root, with slashes;
// shown is how the user writes it.
func (d *diskLister) list(below, shown string) error {
	dir := filepath.Join(d.root, filepath.FromSlash(below))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		name, next := e.Name(), filepath.Join(shown, e.Name())
		here := path.Join(below, name)
		if name == ".git" || d.ignored(here, e.IsDir()) {
			continue
		}
		names = append(names, name)
		if e.IsDir() {
			if err := d.listDir(here, next); err != nil {
				return err
			}
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		d.files = append(d.files, oneFile(filepath.Join(dir, name), next, info))
	}
	if len(d.files) > DefaultMaxFiles {
		return fmt.Errorf("there are more than %d files: is the path that of the fleet?", DefaultMaxFiles)
	}
	return checkSiblings(names, below)
}

// listDir goes down, except into other repositories.
func (d *diskLister) listDir(below, shown string) error {
	if _, err := os.Lstat(filepath.Join(d.root, filepath.FromSlash(below), ".git")); err == nil {
		d.files = append(d.files, schema.File{Path: shown, Read: unreadable(shown, errSubmodule)})
		return nil
	}
	return d.list(below, shown)
}

// ignored says what Git would not commit: what .gitignore files and info/exclude
// name, unless it is in the index. A tracked file that is left out would look
// like a deleted cluster, so where the index cannot be read nothing is ignored.
func (l *LocalRepo) ignored() func(below string, isDir bool) bool {
	index, err := l.store.Index()
	if err != nil {
		return func(string, bool) bool { return false }
	}
	tracked := map[string]bool{}
	for _, e := range index.Entries {
		for p := e.Name; p != "." && !tracked[p]; p = path.Dir(p) {
			tracked[p] = true
		}
	}
	rules := &ignoreRules{root: l.root, of: map[string][]gitignore.Pattern{}}
	if f, err := l.store.Filesystem().Open("info/exclude"); err == nil {
		rules.top = parseIgnore(f, nil)
		_ = f.Close()
	}
	return func(below string, isDir bool) bool {
		return !tracked[below] && rules.match(below, isDir)
	}
}

// ignoreRules reads .gitignore files on the way down, each once.
type ignoreRules struct {
	root string
	top  []gitignore.Pattern
	of   map[string][]gitignore.Pattern // by folder, with those above
}

func (r *ignoreRules) match(below string, isDir bool) bool {
	return gitignore.NewMatcher(r.in(path.Dir(below))).Match(strings.Split(below, "/"), isDir)
}

func (r *ignoreRules) in(dir string) []gitignore.Pattern {
	if ps, ok := r.of[dir]; ok {
		return ps
	}
	var above []gitignore.Pattern
	var domain []string
	if dir == "." {
		above = r.top
	} else {
		above, domain = r.in(path.Dir(dir)), strings.Split(dir, "/")
	}
	all := slices.Clone(above)
	if f, err := os.Open(filepath.Join(r.root, filepath.FromSlash(dir), ".gitignore")); err == nil {
		all = append(all, parseIgnore(f, domain)...)
		_ = f.Close()
	}
	r.of[dir] = all
	return all
}

// parseIgnore reads rules. What cannot be read ignores nothing: that shows too
// much, never too little.
func parseIgnore(from io.Reader, domain []string) []gitignore.Pattern {
	var ps []gitignore.Pattern
	for lines := bufio.NewScanner(from); lines.Scan(); {
		line := strings.TrimRight(lines.Text(), "\r")
		if line != "" && !strings.HasPrefix(line, "#") {
			ps = append(ps, gitignore.ParsePattern(line, domain))
		}
	}
	return ps
}
