package gitrepo

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"jeroboam.io/jeroboam/schema"
)

// What makes a file unreadable. It is told when the file is read, so that only
// somebody who wanted it is bothered.
var (
	errSymlink   = errors.New("a symbolic link; the fleet is read from plain files only")
	errSubmodule = errors.New("a submodule; the fleet is read from this repository only")
)

// emptyTree exists in every repository without being stored in any.
func emptyTree() plumbing.Hash { return plumbing.ComputeHash(plumbing.TreeObject, nil) }

func getTree(s storer.EncodedObjectStorer, h plumbing.Hash) (*object.Tree, error) {
	if h == emptyTree() {
		return &object.Tree{Hash: emptyTree()}, nil
	}
	t, err := object.GetTree(s, h)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	return t, nil
}

// descend finds a folder of a commit. What is in the way is the author's to mend.
func descend(s storer.EncodedObjectStorer, commit *object.Commit, folder string) (*object.Tree, error) {
	op := fmt.Sprintf("look for folder %q at %.12s", folder, commit.Hash)
	t, err := getTree(s, commit.TreeHash)
	if err != nil || folder == "" {
		return t, err
	}
	at := ""
	for name := range strings.SplitSeq(folder, "/") {
		e := entry(t, name)
		here := path.Join(at, name)
		switch {
		case e == nil && at == "":
			return nil, rejected(op, "it does not exist: no %q in the root of the repository", name)
		case e == nil:
			return nil, rejected(op, "it does not exist: no %q in %q", name, at)
		case e.Mode == filemode.Symlink:
			return nil, rejected(op, "%q is %w", here, errSymlink)
		case e.Mode == filemode.Submodule:
			return nil, rejected(op, "%q is %w", here, errSubmodule)
		case e.Mode != filemode.Dir:
			return nil, rejected(op, "%q is a file", here)
		}
		if t, err = getTree(s, e.Hash); err != nil {
			return nil, err
		}
		at = here
	}
	return t, nil
}

func entry(t *object.Tree, name string) *object.TreeEntry {
	for i := range t.Entries {
		if t.Entries[i].Name == name {
			return &t.Entries[i]
		}
	}
	return nil
}

// content prepares to read a blob; an error says that the store lacks it.
type content func(plumbing.Hash) (func() ([]byte, error), error)

// lister turns a tree into files.
type lister struct {
	store    storer.EncodedObjectStorer
	content  content
	maxFiles int
	files    []schema.File
}

// list adds what is below a tree, in Git's order. Names that differ only by
// case, or that cannot be printed, make all of it unreadable: on somebody's
// disk, or in somebody's terminal, the fleet would be another one.
func (l *lister) list(t *object.Tree, at string) error {
	if err := checkNames(t, at); err != nil {
		return err
	}
	for _, e := range t.Entries {
		here := path.Join(at, e.Name)
		if e.Mode == filemode.Dir {
			sub, err := getTree(l.store, e.Hash)
			if err != nil {
				return err
			}
			if err := l.list(sub, here); err != nil {
				return err
			}
			continue
		}
		f := schema.File{Path: here, Hash: e.Hash.String()}
		switch e.Mode {
		case filemode.Symlink:
			f.Read = unreadable(here, errSymlink)
		case filemode.Submodule:
			f.Read = unreadable(here, errSubmodule)
		default:
			read, err := l.content(e.Hash)
			if err != nil {
				return fmt.Errorf("blob %s: %w", e.Hash, err)
			}
			f.Read = read
		}
		if l.files = append(l.files, f); len(l.files) > l.maxFiles {
			return rejected("list files", "there are more than %d: is the path that of the fleet?", l.maxFiles)
		}
	}
	return nil
}

func unreadable(name string, err error) func() ([]byte, error) {
	return func() ([]byte, error) { return nil, fmt.Errorf("%s is %w", name, err) }
}

func checkNames(t *object.Tree, at string) error {
	names := make([]string, len(t.Entries))
	for i, e := range t.Entries {
		names[i] = e.Name
	}
	return checkSiblings(names, at)
}

func checkSiblings(names []string, at string) error {
	seen := make(map[string]string, len(names))
	for _, n := range names {
		if n == "." || n == ".." || strings.Contains(n, "/") || !utf8.ValidString(n) || strings.ContainsFunc(n, unicode.IsControl) {
			return rejected("list files", "the name %q in %q cannot be used", n, at)
		}
		low := strings.ToLower(n)
		if other, ok := seen[low]; ok {
			return rejected("list files", "%q and %q differ only by case", path.Join(at, other), path.Join(at, n))
		}
		seen[low] = n
	}
	return nil
}

// fromMemory keeps the object itself: a File stays readable after its store was
// dropped, and readers share nothing that a fetch writes.
func fromMemory(s storer.EncodedObjectStorer, maxBlob int64) content {
	return func(h plumbing.Hash) (func() ([]byte, error), error) {
		o, err := s.EncodedObject(plumbing.BlobObject, h)
		if err != nil {
			return nil, err
		}
		return func() ([]byte, error) { return readBlob(o, maxBlob) }, nil
	}
}

func readBlob(o plumbing.EncodedObject, maxBlob int64) (_ []byte, err error) {
	if o.Size() > maxBlob {
		return nil, tooLarge(o.Size(), maxBlob)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}

func tooLarge(size, limit int64) error {
	return fmt.Errorf("%d bytes; files above %d bytes are not read", size, limit)
}
