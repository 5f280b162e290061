package gitrepo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// LocalRepo is a repository on this machine, read without starting Git.
type LocalRepo struct {
	dir   string // where the user is; symbolic links resolved
	root  string // of the work tree; empty in a bare repository
	store *locked
}

// Local finds the repository that a folder is in, as Git does: a .git folder, a
// .git file (a linked work tree, a submodule) or a bare repository, here or
// above. Errors are Rejected.
func Local(dir string) (*LocalRepo, error) {
	op := "look for a repository around " + dir
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return nil, rejected(op, "%w", err)
	}
	for at := abs; ; at = filepath.Dir(at) {
		gitDir, bare, err := gitDirOf(at)
		if err != nil {
			return nil, rejected(op, "%w", err)
		}
		if gitDir == "" {
			if at == filepath.Dir(at) {
				return nil, rejected(op, "neither it nor a folder above is one")
			}
			continue
		}
		l := &LocalRepo{dir: abs, root: at}
		if bare {
			l.root = ""
		}
		if l.store, err = openStore(gitDir); err != nil {
			return nil, rejected("open repository "+gitDir, "%w", err)
		}
		return l, nil
	}
}

// gitDirOf is the Git folder that belongs to a folder; empty if there is none.
func gitDirOf(dir string) (gitDir string, bare bool, err error) {
	dot := filepath.Join(dir, ".git")
	info, err := os.Stat(dot)
	switch {
	case errors.Is(err, os.ErrNotExist):
		for _, part := range []string{"HEAD", "objects", "refs"} {
			if _, err := os.Stat(filepath.Join(dir, part)); err != nil {
				return "", false, nil //nolint:nilerr // not a bare repository
			}
		}
		return dir, true, nil
	case err != nil:
		return "", false, err
	case info.IsDir():
		return dot, false, nil
	}
	text, err := os.ReadFile(dot)
	if err != nil {
		return "", false, err
	}
	to, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "gitdir: ")
	if !ok {
		return "", false, fmt.Errorf("%s does not say where the repository is", dot)
	}
	return within(dir, to), false, nil
}

// openStore opens the objects and refs. go-git's own open is not used: it
// refuses extensions that change nothing for those who read, such as the one
// that a sparse checkout sets.
func openStore(gitDir string) (*locked, error) {
	if _, err := os.Stat(gitDir); err != nil {
		return nil, err
	}
	fs := dotgit.NewRepositoryFilesystem(osfs.New(gitDir), nil)
	common, err := os.ReadFile(filepath.Join(gitDir, "commondir"))
	if err == nil {
		fs = dotgit.NewRepositoryFilesystem(osfs.New(gitDir), osfs.New(within(gitDir, strings.TrimSpace(string(common)))))
	}
	s := filesystem.NewStorageWithOptions(fs, cache.NewObjectLRUDefault(), filesystem.Options{AlternatesFS: osfs.New("/")})
	cfg, err := s.Config()
	if err != nil {
		return nil, err
	}
	return &locked{Storage: s}, checkExtensions(cfg)
}

func within(dir, p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}

func checkExtensions(cfg *config.Config) error {
	ext := cfg.Raw.Section("extensions")
	if f := ext.Option("objectformat"); f != "" && f != "sha1" {
		return fmt.Errorf("its objects have %s names; only sha1 is supported", f)
	}
	if f := ext.Option("refstorage"); f != "" && f != "files" {
		return fmt.Errorf("its refs are stored as %s; only files are supported", f)
	}
	return nil
}

// Root is the folder of the work tree, or of a bare repository.
func (l *LocalRepo) Root() string {
	if l.root == "" {
		return l.dir
	}
	return l.root
}

// locked lets files be read from several goroutines; go-git's storage does not.
type locked struct {
	mu sync.Mutex
	*filesystem.Storage
}

func (l *locked) read(h plumbing.Hash) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, err := l.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, err)
	}
	return readBlob(o, DefaultMaxBlob)
}

// At is a folder as it is at a revision: see resolve for what a revision is. The
// folder is as the user writes it, relative to where they are. Positions are
// relative to the repository's root. Errors are Rejected.
func (l *LocalRepo) At(rev, folder string) (reconcile.Snapshot, error) {
	op := fmt.Sprintf("read %s at %s", folder, rev)
	below, err := l.below(folder)
	if err != nil {
		return reconcile.Snapshot{}, rejected(op, "%w", err)
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	c, err := l.resolve(rev)
	if err != nil {
		return reconcile.Snapshot{}, rejected("find revision "+rev, "%w", err)
	}
	lazily := func(h plumbing.Hash) (func() ([]byte, error), error) {
		return func() ([]byte, error) { return l.store.read(h) }, nil
	}
	head, snap, err := snapshot(l.store, c.Hash, below, lazily, DefaultMaxFiles)
	if err != nil {
		return reconcile.Snapshot{}, asRejected(op, err)
	}
	snap.Descends, snap.Commits = reconcile.Descends, []reconcile.Commit{commitOf(head)}
	return snap, nil
}

// MergeBase is the newest commit that both revisions come from.
func (l *LocalRepo) MergeBase(a, b string) (string, error) {
	op := fmt.Sprintf("find what %s and %s come from", a, b)
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	ca, err := l.resolve(a)
	if err != nil {
		return "", rejected("find revision "+a, "%w", err)
	}
	cb, err := l.resolve(b)
	if err != nil {
		return "", rejected("find revision "+b, "%w", err)
	}
	bases, err := ca.MergeBase(cb)
	if err == nil && len(bases) > 0 {
		return bases[0].Hash.String(), nil
	}
	if shallow, _ := l.store.Shallow(); len(shallow) > 0 {
		return "", rejected(op, "the clone is shallow: fetch more of the history (git fetch --unshallow, or depth 0 in CI)")
	}
	if err != nil {
		return "", rejected(op, "%w", err)
	}
	return "", rejected(op, "they have no common commit")
}

// below turns a folder as written into one relative to the root of the repository.
func (l *LocalRepo) below(folder string) (string, error) {
	if l.root == "" {
		return strings.TrimPrefix(filepath.ToSlash(filepath.Clean("/"+folder)), "/"), nil
	}
	abs := within(l.dir, folder)
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real // it may have been written through a link to the repository
	}
	rel, err := filepath.Rel(l.root, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", fmt.Errorf("it is not in the repository %s", l.root)
	}
	if rel == "." {
		return "", nil
	}
	return filepath.ToSlash(rel), nil
}

// Worktree is a folder as it is on disk, committed or not, without what Git
// ignores. Positions are as the user would write them. There is no commit and no
// tree hash, and content has no hash: nobody may take it for something cached.
func (l *LocalRepo) Worktree(folder string) (reconcile.Snapshot, error) {
	op := "read " + folder
	if l.root == "" {
		return reconcile.Snapshot{}, rejected(op, "the repository is bare: it has no work tree")
	}
	below, err := l.below(folder)
	if err != nil {
		return reconcile.Snapshot{}, rejected(op, "%w", err)
	}
	l.store.mu.Lock()
	ignored := l.ignored()
	l.store.mu.Unlock()
	d := diskLister{root: l.root, ignored: ignored}
	if err := d.list(below, folder); err != nil {
		return reconcile.Snapshot{}, asRejected(op, err)
	}
	return reconcile.Snapshot{Files: d.files, Descends: reconcile.Descends}, nil
}

// oneFile is a file of the work tree.
func oneFile(name, shown string, info os.FileInfo) schema.File {
	f := schema.File{Path: shown}
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		f.Read = unreadable(shown, errSymlink)
	case !info.Mode().IsRegular():
		f.Read = unreadable(shown, errors.New("no plain file"))
	case info.Size() > DefaultMaxBlob:
		f.Read = func() ([]byte, error) { return nil, tooLarge(info.Size(), DefaultMaxBlob) }
	default:
		f.Read = func() ([]byte, error) { return os.ReadFile(name) }
	}
	return f
}

var errNotCommit = errors.New("it is not a commit")

// commit peels annotated tags.
func (l *LocalRepo) commit(h plumbing.Hash) (*object.Commit, error) {
	for {
		o, err := object.GetObject(l.store, h)
		if err != nil {
			return nil, err
		}
		switch o := o.(type) {
		case *object.Commit:
			return o, nil
		case *object.Tag:
			h = o.Target
		default:
			return nil, errNotCommit
		}
	}
}
