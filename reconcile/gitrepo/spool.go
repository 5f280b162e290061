package gitrepo

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// spool is a folder of entries, a file each, named by their numbers. A file is
// whole or is not there.
type spool struct{ dir string }

func (s spool) name(seq int) string { return filepath.Join(s.dir, fmt.Sprintf("%012d.json", seq)) }

// load reads what is there, in order. What a killed process was writing is left out.
func (s spool) load() ([]keptWrite, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var entries []keptWrite
	for _, f := range files {
		number, isEntry := strings.CutSuffix(f.Name(), ".json")
		seq, err := strconv.Atoi(number)
		if !isEntry || err != nil {
			continue
		}
		e, err := s.read(seq)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name(seq), err)
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b keptWrite) int { return cmp.Compare(a.Seq, b.Seq) })
	return entries, nil
}

func (s spool) read(seq int) (keptWrite, error) {
	e := keptWrite{Seq: seq}
	text, err := os.ReadFile(s.name(seq))
	if err == nil && json.Unmarshal(text, &e) != nil {
		err = errDamaged
	}
	return e, err
}

// add is durable when it returns.
func (s spool) add(e keptWrite) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	tmp := s.name(e.Seq) + ".new"
	if err := writeSynced(tmp, text); err != nil {
		return err
	}
	if err := os.Rename(tmp, s.name(e.Seq)); err != nil {
		return err
	}
	return s.sync()
}

func writeSynced(name string, text []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}

// sync makes names durable.
func (s spool) sync() (err error) {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Sync()
}

// remove begins with the oldest: what a killed process leaves are the newest,
// which have the last word anyhow.
func (s spool) remove(entries []keptWrite) error {
	for _, e := range entries {
		if err := os.Remove(s.name(e.Seq)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
