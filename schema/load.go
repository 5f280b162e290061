package schema

import (
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// File is one file of the fleet's tree.
type File struct {
	Path string                 // as it is printed in positions
	Hash string                 // identifies the content (Git's blob hash); empty: never cached
	Read func() ([]byte, error) // called at most once a Load, by the caller of Load; may fail with Problems
}

// Dir lists the YAML files of a folder and the folders below it, sorted by
// path. Paths begin with prefix, the name of the folder as people should see
// it; it may be empty. Hidden files and folders are left out. A symbolic link
// that is named like a YAML file is not followed: reading it gives Problems, and
// so does a file that is too large.
func Dir(fsys fs.FS, prefix string) ([]File, error) {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "." {
		prefix = ""
	}
	var files []File
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !isYAML(name):
			return nil
		}
		files = append(files, fileOf(fsys, name, join(prefix, name), d))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list YAML files: %w", err)
	}
	return files, nil
}

func fileOf(fsys fs.FS, name, printed string, d fs.DirEntry) File {
	return File{Path: printed, Read: func() ([]byte, error) {
		if !d.Type().IsRegular() {
			p := Problemf(Pos{File: printed}, CodeNotRegular, "not a regular file (%s), which is not followed", d.Type())
			p.Hint = "put the file itself there"
			return nil, Problems{p}
		}
		if info, err := d.Info(); err != nil {
			return nil, err
		} else if info.Size() > MaxFileSize {
			return nil, Problems{tooLarge(printed, info.Size())}
		}
		return fs.ReadFile(fsys, name)
	}}
}

func tooLarge(file string, size int64) Problem {
	return Problemf(Pos{File: file}, CodeTooLarge, "the file has %d bytes, at most %d are read", size, MaxFileSize)
}

func isYAML(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// A Loader loads fleets, one at a time. Between calls it keeps what it read of
// the files of the last one, so that a fleet in which little changed costs
// little.
type Loader struct {
	// Config is the program's configuration. What it says of a cloud wins over
	// the Config document of the fleet; nil if there is none.
	Config *Config

	cache   map[string]*content // by File.Hash
	digests Digester
}

// NewLoader gives a Loader that has seen nothing.
func NewLoader() *Loader { return &Loader{} }

// content is what a file holds, wherever it lies: its positions have no file.
type content struct {
	docs     []*document
	problems Problems
	lost     bool // some documents could not be made out
}

// Load reads, checks and resolves a fleet. Files that are not YAML are left
// out, and so are empty documents; every other document must be one of ours.
//
// The error is Problems, which are all that is wrong with all files, warnings
// included, or the error of a Read with the file's path. Then there is no
// fleet. Without an error the warnings are the fleet's.
func (l *Loader) Load(files []File) (*Fleet, error) {
	contents, err := l.contents(files)
	if err != nil {
		return nil, err
	}
	r := newResolver(len(files), l.Config, &l.digests)
	for i, c := range contents {
		if c == nil {
			continue
		}
		file := files[i].Path
		for _, d := range c.docs {
			r.docs = append(r.docs, placed{d, file})
		}
		for _, p := range c.problems {
			p.Pos.File = file
			r.problems = append(r.problems, p)
		}
		r.lost = r.lost || c.lost
	}
	fleet := r.resolve()
	r.problems.Sort()
	// Clusters of one template say the same of it.
	r.problems = slices.Compact(r.problems)
	if r.problems.Errors() {
		return nil, r.problems
	}
	fleet.Warnings = r.problems
	return fleet, nil
}

// contents gives the content of each file, nil for those that are left out. It
// reads one file at a time, because not every source can do more, and parses
// them in parallel.
func (l *Loader) contents(files []File) ([]*content, error) {
	contents := make([]*content, len(files))
	cache := make(map[string]*content, len(files))
	type job struct {
		index int
		data  []byte
	}
	jobs := make(chan job, 16)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		workers.Go(func() {
			p := newParser()
			for j := range jobs {
				contents[j.index] = p.parse(j.data)
			}
		})
	}
	var failed error
	for i, f := range files {
		if !isYAML(f.Path) {
			continue
		}
		if c, ok := l.cache[f.Hash]; ok && f.Hash != "" {
			contents[i] = c
			continue
		}
		data, err := f.Read()
		if ps, ok := AsProblems(err); ok {
			contents[i] = &content{problems: ps, lost: true}
			continue
		}
		if err != nil {
			failed = fmt.Errorf("read %s: %w", f.Path, err)
			break
		}
		jobs <- job{i, data}
	}
	close(jobs)
	workers.Wait()
	if failed != nil {
		return nil, failed
	}
	for i, f := range files {
		if f.Hash != "" && contents[i] != nil {
			cache[f.Hash] = contents[i]
		}
	}
	l.cache = cache
	return contents, nil
}

// A parser turns the bytes of files into documents.
type parser struct {
	kinds   map[string]*kind
	decoder *decoder
	clock   *clockTexts
}

func newParser() *parser {
	return &parser{
		kinds:   registry(),
		decoder: newDecoder(),
		clock:   &clockTexts{crons: map[string]clockProblem{}, zones: map[string]clockProblem{}},
	}
}

func (p *parser) parse(data []byte) *content {
	roots, problems := parseYAML(data)
	c := &content{problems: problems, lost: len(problems) > 0}
	for _, root := range roots {
		k, bad := p.kindOf(root)
		if len(bad) > 0 {
			c.problems, c.lost = append(c.problems, bad...), true
			continue
		}
		d, bad := p.document(k, root)
		c.docs = append(c.docs, d)
		c.problems = append(c.problems, bad...)
	}
	return c
}

// kindOf finds out whether a document is one of ours, and which.
func (p *parser) kindOf(root *yaml.Node) (*kind, Problems) {
	report := func(at *yaml.Node, code Code, pointer, hint, format string, args ...any) (*kind, Problems) {
		pr := Problemf(Pos{Line: at.Line, Column: at.Column}, code, format, args...)
		pr.Pointer, pr.Hint = pointer, hint
		return nil, Problems{pr}
	}
	const elsewhere = "if the file is no part of the fleet, let path name the folder that is"
	if what, ok := foreign(root); ok {
		return report(root, CodeForeign, "", "turn it into documents of Jeroboam with: jeroboam convert FILE", "this is %s", what)
	}
	if root.Kind != yaml.MappingNode {
		return report(root, CodeForeign, "", elsewhere, "expected a document with apiVersion and kind, found %s", found(root))
	}
	version, name := child(root, "apiVersion"), child(root, "kind")
	switch {
	case version == nil:
		return report(root, CodeForeign, "", elsewhere, `"apiVersion" is missing: expected %s`, APIVersion)
	case version.Value != APIVersion && strings.HasPrefix(version.Value, "jeroboam.io/"):
		return report(version, CodeForeign, "/apiVersion", "", "expected %s, found %s", APIVersion, found(version))
	case version.Value != APIVersion:
		return report(version, CodeForeign, "/apiVersion", elsewhere, "expected %s, found %s", APIVersion, found(version))
	case name == nil:
		return report(root, CodeKind, "", "", `"kind" is missing: expected one of %s`, strings.Join(Kinds(), ", "))
	}
	if k, ok := p.kinds[name.Value]; ok {
		return k, nil
	}
	if hint, ok := oldKind(name.Value); ok {
		return report(name, CodeOldWord, "/kind", hint, "expected one of %s, found %s", strings.Join(Kinds(), ", "), found(name))
	}
	return report(name, CodeKind, "/kind", didYouMean(name.Value, Kinds()),
		"expected one of %s, found %s", strings.Join(Kinds(), ", "), found(name))
}

// document checks and decodes one document. One that does not fit its schema is
// decoded as far as it goes, so that the rules find the rest of what is wrong,
// and others find it by its name.
func (p *parser) document(k *kind, root *yaml.Node) (*document, Problems) {
	check := checker{kind: k, root: root, clock: p.clock}
	if !k.root.accepts(root) {
		check.problems = k.explain(root)
	}
	d := &document{line: root.Line, column: root.Column, unfit: len(check.problems) > 0}
	switch k.name {
	case KindClusterTemplate:
		d.template = &templateDoc{}
		d.marks = p.decoder.document(k.root, root, d.template)
		check.template(&d.template.Spec)
	case KindCluster:
		d.cluster = &clusterDoc{}
		d.marks = p.decoder.document(k.root, root, d.cluster)
		check.cluster(d.cluster)
	case KindConfig:
		d.config = &configDoc{}
		d.marks = p.decoder.document(k.root, root, d.config)
		check.config(&d.config.Spec)
	}
	d.strange = strangeLabels(d.marks)
	return d, check.problems
}
