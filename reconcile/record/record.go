// Package record is the local durable store: what a run must still know when
// the next one starts, or when the process was killed in between.
//
//	begun, not finished   ─► intents     what may have happened before a crash
//	seen                  ─► memory      so that an unchanged fleet costs list pages only
//	declared, done        ─► facts       protection, deletes, recover attempts, places, the applied head
//	told                  ─► history     runs and the clusters' records
//
// All of it is one SQLite file in a state directory that one process at a time
// may write. The file can be lost: what decisions need is rebuilt from Git, the
// status branch and the cloud, and only history is gone. It is therefore never
// repaired or made anew behind anybody's back: a damaged file is an error that
// says it may be moved away.
//
// Read this file, then intent.go, memory.go (pack.go is how it is stored),
// facts.go and history.go. database.go makes, checks and migrates the file;
// lock.go keeps the second writer out.
package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

var _ reconcile.Recorder = (*Store)(nil)

var (
	// ErrReadOnly is the answer to a write through View.
	ErrReadOnly = errors.New("this view of the state only reads")
	// ErrDamaged means that the state file cannot be trusted. The operator
	// decides; nothing is ever made anew over it.
	ErrDamaged = errors.New("the state file is damaged")
)

// Names in the state directory.
const (
	fileName = "state.db"
	lockName = "lock"
)

// Store is an open state directory. Its methods may be called from several
// goroutines.
type Store struct {
	path string   // of the database file, for messages
	db   *sql.DB  // nil: a view of what is not there
	lock *os.File // nil: this store only reads

	close func() error // Close, once

	mu  sync.Mutex                                    // held while memory is replaced
	mem map[schema.CloudName]map[string]diff.Observed // published maps are never changed

	facts kept[reconcile.Facts]
	last  kept[reconcile.Intent]
}

// kept is a table as it was read, until something is written to it. Only who holds the
// lock knows of every write; a view reads anew each time.
type kept[T any] struct {
	mu    sync.Mutex
	value map[schema.Key]T
}

func (k *kept[T]) get(s *Store, read func() (map[schema.Key]T, error)) (map[schema.Key]T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.value != nil {
		return k.value, nil
	}
	value, err := read()
	if err == nil && s.lock != nil {
		k.value = value
	}
	return value, err
}

func (k *kept[T]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.value = nil
}

var _ drivers.Memory = (*Store)(nil)

// Open opens the state directory for writing and makes it (0700) and the file
// if they are not there. While another process has it open, Open fails with a
// *LockedError.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := acquire(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	s := &Store{path: filepath.Join(dir, fileName), lock: lock}
	s.close = sync.OnceValue(s.end)
	if err := s.openForWriting(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open state: %w", err), s.Close())
	}
	return s, nil
}

// View opens the state directory for reading, also while a writer has it. What
// is not there reads as empty; nothing is made. Writes fail with ErrReadOnly.
// What drivers.Memory gives is as of the call of View.
func View(ctx context.Context, dir string) (*Store, error) {
	s := &Store{path: filepath.Join(dir, fileName)}
	s.close = sync.OnceValue(s.end)
	if err := s.openForReading(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("view state: %w", err), s.Close())
	}
	return s, nil
}

// Close ends the store and lets the next writer in. Closing twice is fine.
func (s *Store) Close() error { return s.close() }

func (s *Store) end() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, release(s.lock))
	}
	return errors.Join(errs...)
}

func (s *Store) openForWriting(ctx context.Context) error {
	if err := s.createIfAbsent(ctx); err != nil {
		return err
	}
	// Opening for writing already writes, so damage is looked for before.
	if err := s.openChecked(ctx); err != nil {
		return err
	}
	if err := s.db.Close(); err != nil {
		return err
	}
	if err := s.connect(dsn(s.path, forWriting)); err != nil {
		return err
	}
	if err := migrate(ctx, s.db, migrations()); err != nil {
		return s.wrap(err)
	}
	if err := s.forgetOtherLayouts(ctx); err != nil {
		return err
	}
	return s.load(ctx)
}

func (s *Store) openForReading(ctx context.Context) error {
	_, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.openChecked(ctx)
	}
	if err != nil {
		return err
	}
	if err := current(ctx, s.db, migrations()); err != nil {
		return s.wrap(err)
	}
	return s.load(ctx)
}

// openChecked opens for reading what is whole.
func (s *Store) openChecked(ctx context.Context) error {
	if err := s.connect(dsn(s.path, forReading)); err != nil {
		return err
	}
	return s.wrap(check(ctx, s.db))
}

// write runs do in one transaction, which is on disk when write returns nil.
func (s *Store) write(ctx context.Context, op string, do func(*sql.Tx) error) error {
	if s.lock == nil {
		return fmt.Errorf("%s: %w", op, ErrReadOnly)
	}
	if err := inTx(ctx, s.db, do); err != nil {
		return fmt.Errorf("%s: %w", op, s.wrap(err))
	}
	return nil
}

// each runs scan on every row of a query.
func (s *Store) each(ctx context.Context, op string, scan func(*sql.Rows) error, query string, args ...any) error {
	if s.db == nil {
		return nil
	}
	if err := eachRow(ctx, s.db, scan, query, args...); err != nil {
		return fmt.Errorf("%s: %w", op, s.wrap(err))
	}
	return nil
}
