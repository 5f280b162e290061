package gitrepo

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// folder is one folder of the board, as Git's tree has it. It is a value: a
// change gives a new folder that shares those below it which did not change, so
// what a commit costs follows from what it changes.
type folder struct {
	hash    plumbing.Hash
	entries []object.TreeEntry
	sub     map[string]*folder
}

// loadFolder reads a tree with those below it; if the board is in a folder of it,
// only those on the way there and below, because nothing else is changed.
func loadFolder(s storer.EncodedObjectStorer, tree plumbing.Hash, board string) (*folder, error) {
	t, err := getTree(s, tree)
	if err != nil {
		return nil, err
	}
	f := &folder{hash: tree, entries: t.Entries, sub: map[string]*folder{}}
	next, rest, _ := strings.Cut(board, "/")
	for _, e := range t.Entries {
		if e.Mode != filemode.Dir || next != "" && e.Name != next {
			continue
		}
		if f.sub[e.Name], err = loadFolder(s, e.Hash, rest); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// change is what to do in one folder: files here, and changes below.
type change struct {
	files map[string][]byte // nil content removes
	sub   map[string]*change
}

// sortOut turns files by path into changes by folder.
func sortOut(files map[string][]byte) (*change, error) {
	root := &change{files: map[string][]byte{}, sub: map[string]*change{}}
	for p, content := range files {
		if p == "" || p == "." || path.Clean(p) != p || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") || strings.Contains(p, "\x00") {
			return nil, fmt.Errorf("%q is no path for a file of the board", p)
		}
		at := root
		dirs := strings.Split(p, "/")
		for _, d := range dirs[:len(dirs)-1] {
			if at.sub[d] == nil {
				at.sub[d] = &change{files: map[string][]byte{}, sub: map[string]*change{}}
			}
			at = at.sub[d]
		}
		at.files[dirs[len(dirs)-1]] = content
	}
	return root, nil
}

// with is the folder after a change. New objects go to out, none if nothing
// changes. at is for texts.
func (f *folder) with(c *change, at string, out storer.EncodedObjectStorer) (*folder, error) {
	entries := make(map[string]object.TreeEntry, len(f.entries)+len(c.files))
	for _, e := range f.entries {
		entries[e.Name] = e
	}
	next := &folder{sub: map[string]*folder{}}
	maps.Copy(next.sub, f.sub)
	if err := next.changeFiles(entries, c, at, out); err != nil {
		return nil, err
	}
	if err := next.changeFolders(entries, c, at, out); err != nil {
		return nil, err
	}
	for _, e := range entries {
		next.entries = append(next.entries, e)
	}
	sort.Sort(object.TreeEntrySorter(next.entries))
	if slices.Equal(f.entries, next.entries) {
		return f, nil
	}
	var err error
	next.hash, err = encode(out, &object.Tree{Entries: next.entries})
	return next, err
}

func (f *folder) changeFiles(entries map[string]object.TreeEntry, c *change, at string, out storer.EncodedObjectStorer) error {
	for name, content := range c.files {
		old, exists := entries[name]
		if exists && old.Mode == filemode.Dir {
			if content == nil {
				continue // there is no such file
			}
			return fmt.Errorf("%q is a folder on the board, and a file is to be written", path.Join(at, name))
		}
		if content == nil {
			delete(entries, name)
			continue
		}
		e := object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: plumbing.ComputeHash(plumbing.BlobObject, content)}
		if exists && old == e {
			continue
		}
		entries[name] = e
		if err := storeBlob(out, content); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) changeFolders(entries map[string]object.TreeEntry, c *change, at string, out storer.EncodedObjectStorer) error {
	for name, below := range c.sub {
		here := path.Join(at, name)
		old := f.sub[name]
		if old == nil {
			old = &folder{hash: emptyTree()}
		}
		next, err := old.with(below, here, out)
		if err != nil {
			return err
		}
		if next == old {
			continue
		}
		if e, exists := entries[name]; exists && e.Mode != filemode.Dir {
			return fmt.Errorf("%q is a file on the board, and a folder is needed", here)
		}
		if len(next.entries) == 0 { // Git has no empty folders
			delete(entries, name)
			delete(f.sub, name)
			continue
		}
		entries[name] = object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: next.hash}
		f.sub[name] = next
	}
	return nil
}

func storeBlob(out storer.EncodedObjectStorer, content []byte) error {
	o := out.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	w, err := o.Writer()
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	_, err = out.SetEncodedObject(o)
	return err
}

// encode stores a tree or a commit.
func encode(out storer.EncodedObjectStorer, v interface {
	Encode(plumbing.EncodedObject) error
},
) (plumbing.Hash, error) {
	o := out.NewEncodedObject()
	if err := v.Encode(o); err != nil {
		return plumbing.ZeroHash, err
	}
	return out.SetEncodedObject(o)
}
