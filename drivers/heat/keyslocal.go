package heat

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// safe is where keys are kept without Barbican: a folder of this machine, with
// the promises of vault.
//
//	<Options.KeyDir>/<cloud>/<stack>/<file>, folders 0700, files 0600
//
// Its references are paths. A file is there whole or not at all: it is written
// beside its place, brought to the disk, and linked to where it belongs, which
// fails if somebody was there first.
type safe struct {
	dir       string // of the cloud
	owner     string
	cloudName schema.CloudName
}

func (d *Driver) safe() safe {
	return safe{dir: filepath.Join(d.keyDir, string(d.cloudName)), owner: d.owner, cloudName: d.cloudName}
}

// partSuffix ends the name of a file that is being written.
const partSuffix = ".part"

func (s safe) path(stack, file string) string {
	return filepath.Join(s.dir, stack, filepath.FromSlash(file))
}

func (s safe) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	kind := drivers.Denied
	if errors.Is(err, fs.ErrNotExist) {
		kind = drivers.NotFound
	}
	return &drivers.Error{Kind: kind, Op: op, Err: fmt.Errorf("%w; keys of cloud %s are kept locally", err, s.cloudName)}
}

// check refuses a stack that is not ours to name a folder after.
func (s safe) check(stack string) error {
	if _, known := named(stack, s.owner, s.cloudName); !known || stack != filepath.Base(stack) {
		return &drivers.Error{Kind: drivers.Unknown, Op: "find keys", Err: fmt.Errorf("%q is no stack of ours", stack)}
	}
	return nil
}

func (s safe) put(ctx context.Context, stack string, texts map[string]string) (map[string]string, error) {
	if err := errors.Join(s.check(stack), checkTexts(texts)); err != nil {
		return nil, err
	}
	files := slices.Sorted(maps.Keys(texts))
	refs, err := s.find(ctx, stack, files)
	if err != nil || len(refs) == len(files) {
		return refs, err
	}
	have, err := s.get(ctx, refs)
	if err != nil {
		return nil, err
	}
	if err := alike(have, texts); err != nil {
		return nil, err
	}
	for _, file := range files {
		if refs[file] == "" {
			if err := keepFile(s.path(stack, file), texts[file]); err != nil {
				return nil, s.fault("keep "+file, err)
			}
		}
	}
	return s.find(ctx, stack, files)
}

func (s safe) claim(ctx context.Context, stack, file, text string) (string, error) {
	if err := s.check(stack); err != nil {
		return "", err
	}
	if text != "" {
		if err := keepFile(s.path(stack, file), text); err != nil {
			return "", s.fault("keep "+file, err)
		}
	}
	refs, err := s.find(ctx, stack, []string{file})
	if err != nil {
		return "", err
	}
	texts, err := s.get(ctx, refs)
	if gone(err) || err == nil && text != "" && texts[file] == "" {
		return "", conflict("keep "+file, "another run is done with that of %s", stack)
	}
	return texts[file], err
}

// keepFile writes a file that is not there yet, and leaves one that is.
func keepFile(path, text string) (err error) {
	folder := filepath.Dir(path)
	if err := makeFolders(folder); err != nil {
		return err
	}
	part, err := os.CreateTemp(folder, "*"+partSuffix) // 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) //nolint:errcheck // what a crash leaves is in nobody's way
	_, err = part.WriteString(text)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err := os.Link(part.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(folder)
}

// makeFolders makes a folder and those above it, on the disk too.
func makeFolders(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	above := filepath.Dir(folder)
	if above != folder {
		if err := makeFolders(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(above)
}

func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s safe) find(_ context.Context, stack string, files []string) (map[string]string, error) {
	if err := s.check(stack); err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for _, file := range files {
		path := s.path(stack, file)
		switch info, err := os.Lstat(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, s.fault("find "+file, err)
		case !info.Mode().IsRegular():
			return nil, s.fault("find "+file, fmt.Errorf("%s is no regular file", path))
		case info.Mode().Perm()&0o077 != 0:
			return nil, s.fault("find "+file, fmt.Errorf("%s may be read or written by others than its owner: find out who did, then chmod 600", path))
		default:
			refs[file] = path
		}
	}
	return refs, nil
}

func (s safe) get(_ context.Context, refs map[string]string) (map[string]string, error) {
	texts := map[string]string{}
	for file, path := range refs {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, s.fault("read "+file, err)
		}
		texts[file] = strings.TrimSpace(string(text)) + "\n"
	}
	return texts, nil
}

// delete removes the folder of a stack. It is given another name first, so that
// a crash leaves a whole set or none.
func (s safe) delete(_ context.Context, stack string) error {
	if err := s.check(stack); err != nil {
		return err
	}
	folder := filepath.Join(s.dir, stack)
	gone := folder + ".deleted"
	if err := os.RemoveAll(gone); err != nil {
		return s.fault("delete keys of "+stack, err)
	}
	if err := os.Rename(folder, gone); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return s.fault("delete keys of "+stack, err)
	}
	return s.fault("delete keys of "+stack, errors.Join(os.RemoveAll(gone), syncFolder(s.dir)))
}

func (s safe) drop(_ context.Context, stack, file string) error {
	if err := s.check(stack); err != nil {
		return err
	}
	path := s.path(stack, file)
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return s.fault("delete "+file, err)
	}
	return s.fault("delete "+file, syncFolder(filepath.Dir(path)))
}

func (s safe) leftovers(_ context.Context, stacks []string) ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, s.fault("list keys", err)
	}
	var left []string
	for _, e := range entries {
		if _, ours := named(e.Name(), s.owner, s.cloudName); ours && !slices.Contains(stacks, e.Name()) {
			left = append(left, e.Name())
		}
	}
	return left, nil // ReadDir sorts
}

// exportFile notes which keys were exported.
const exportFile = "exported"

// mark tells sets of keys apart without giving anything away.
func (s safe) mark(ctx context.Context, stack string) (string, error) {
	refs, err := s.find(ctx, stack, []string{pki.ClusterCert, pki.EtcdCert, pki.FrontProxyCert, pki.ServiceAccountPublic})
	if err != nil {
		return "", err
	}
	texts, err := s.get(ctx, refs)
	return schema.Digest(texts), err
}

// noteExport writes down that the keys as they are now are elsewhere too.
func (s safe) noteExport(ctx context.Context, stack string) error {
	mark, err := s.mark(ctx, stack)
	if err != nil {
		return err
	}
	if err := s.drop(ctx, stack, exportFile); err != nil {
		return err
	}
	return s.fault("note the export of "+stack, keepFile(s.path(stack, exportFile), mark+"\n"))
}

// NotBackedUp are the clusters of an owner whose keys are kept locally and, as
// they are now, were never exported; sorted.
func NotBackedUp(ctx context.Context, keyDir, owner string) ([]schema.Key, error) {
	clouds, err := os.ReadDir(keyDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var keys []schema.Key
	for _, c := range clouds {
		s := safe{dir: filepath.Join(keyDir, c.Name()), owner: owner, cloudName: schema.CloudName(c.Name())}
		stacks, err := s.leftovers(ctx, nil)
		if err != nil {
			return nil, err
		}
		for _, stack := range stacks {
			mark, err := s.mark(ctx, stack)
			if err != nil {
				return nil, err
			}
			noted, err := os.ReadFile(s.path(stack, exportFile))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if strings.TrimSpace(string(noted)) != mark {
				key, _ := named(stack, owner, s.cloudName)
				keys = append(keys, key)
			}
		}
	}
	slices.SortFunc(keys, schema.Key.Compare)
	return keys, nil
}
