package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// migrations are the SQL that leads from each version of the file to the next;
// the version is how many were applied. Published ones are never changed.
func migrations() []string {
	return []string{
		`
CREATE TABLE intent (
	operation TEXT PRIMARY KEY, cloud TEXT NOT NULL, name TEXT NOT NULL, op TEXT NOT NULL,
	id TEXT NOT NULL, version TEXT NOT NULL, spec TEXT NOT NULL, at INTEGER NOT NULL,
	outcome TEXT, finished INTEGER
) STRICT;
CREATE TABLE layout (digest TEXT NOT NULL) STRICT;
CREATE TABLE spec (digest TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE observed (
	cloud TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, spec TEXT NOT NULL, value BLOB NOT NULL,
	PRIMARY KEY (cloud, id)
) STRICT;
CREATE TABLE fact (
	cloud TEXT NOT NULL, name TEXT NOT NULL,
	protected INTEGER, protected_commit TEXT NOT NULL DEFAULT '',
	deleted_id TEXT NOT NULL DEFAULT '', deleted_at INTEGER NOT NULL DEFAULT 0,
	recover_spec TEXT NOT NULL DEFAULT '', recover_attempts INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (cloud, name)
) STRICT;
CREATE TABLE deletion (cloud TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX deletion_at ON deletion (at);
CREATE TABLE head (
	only INTEGER PRIMARY KEY CHECK (only = 1),
	commit_hash TEXT NOT NULL, tree TEXT NOT NULL, clusters INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE place (cloud TEXT PRIMARY KEY, auth_url TEXT NOT NULL, region TEXT NOT NULL, project TEXT NOT NULL) STRICT;
CREATE TABLE firing (schedule TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
CREATE TABLE run (
	id TEXT PRIMARY KEY, commit_hash TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
	summary BLOB, err TEXT NOT NULL
) STRICT;
CREATE INDEX run_started ON run (started);
CREATE TABLE cluster (cloud TEXT NOT NULL, name TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (cloud, name)) STRICT;
`, `
ALTER TABLE head ADD COLUMN owner TEXT NOT NULL DEFAULT '';
`, `
ALTER TABLE intent ADD COLUMN run TEXT NOT NULL DEFAULT '';
ALTER TABLE intent ADD COLUMN commit_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE intent ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE intent ADD COLUMN requests TEXT NOT NULL DEFAULT '';
CREATE INDEX intent_of ON intent (cloud, name, at);
`,
	}
}

// applicationID marks the file as ours ("JERO").
const applicationID = 0x4a45524f

// Ways to open the file. FULL syncs the log with every commit: an intent has to
// outlive a power cut. Readers wait for a writer that checkpoints.
const (
	forWriting = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate&mode=rw"
	forReading = "_pragma=busy_timeout(10000)&mode=ro"
	forMaking  = "_pragma=journal_mode(DELETE)&_pragma=synchronous(FULL)&mode=rwc"
)

func dsn(path, how string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	return (&url.URL{Scheme: "file", Path: abs, RawQuery: how}).String()
}

// connect opens the database with one connection: SQLite has one writer, and
// waiting for a turn here is kinder than SQLITE_BUSY.
func (s *Store) connect(source string) error {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	s.db = db
	return nil
}

// createIfAbsent makes the file under another name and moves it into place, so
// that a file which is there is whole: an empty or headless one is damage, not
// a first start that was killed.
func (s *Store) createIfAbsent(ctx context.Context) error {
	if _, err := os.Stat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// SQLite would play a log that the lost file left behind into the new one.
	if _, err := os.Stat(s.path + "-wal"); err == nil {
		return fmt.Errorf("%w: %s is gone but its log %[2]s-wal is there: put the file back, or move the log away as well", ErrDamaged, s.path)
	}
	fresh := s.path + ".new"
	for _, killed := range []string{fresh, fresh + "-journal"} { // of a first start that was
		if err := os.Remove(killed); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := create(ctx, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, s.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

func create(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", dsn(path, forMaking))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	if err == nil {
		err = migrate(ctx, db, migrations())
	}
	return errors.Join(err, db.Close(), os.Chmod(path, 0o600))
}

// syncDir makes a rename last.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check reads the whole file's structure once: damage is told at the start,
// not in the middle of a run.
func check(ctx context.Context, db *sql.DB) error {
	var id int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != applicationID {
		return fmt.Errorf("%w: it is not one of Jeroboam's", ErrDamaged)
	}
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, answer)
	}
	return nil
}

// migrate brings the file to the newest version, each step in a transaction
// of its own with its version number.
func migrate(ctx context.Context, db *sql.DB, steps []string) error {
	have, err := version(ctx, db, steps)
	if err != nil {
		return err
	}
	for i := have; i < len(steps); i++ {
		err := inTx(ctx, db, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, steps[i]); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate to version %d: %w", i+1, err)
		}
	}
	return nil
}

// current refuses a file that would have to be migrated first, which a reader
// may not do.
func current(ctx context.Context, db *sql.DB, steps []string) error {
	have, err := version(ctx, db, steps)
	if err == nil && have < len(steps) {
		return fmt.Errorf("the file has version %d, this release reads %d: start the daemon of this release once", have, len(steps))
	}
	return err
}

func version(ctx context.Context, db *sql.DB, steps []string) (int, error) {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return 0, err
	}
	if have > len(steps) {
		return 0, fmt.Errorf("the file has version %d, this release knows %d: it was written by a newer release", have, len(steps))
	}
	return have, nil
}

// wrap turns SQLite's words for damage into ours.
func (s *Store) wrap(err error) error {
	if damaged(err) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: stop Jeroboam and move %s and the files beside it (-wal, -shm) away; "+
			"clusters are not touched by that, the history of runs is lost", err, s.path)
	}
	return err
}

func damaged(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	primary := e.Code() & 0xff // the rest is the extended code
	return primary == sqlite3.SQLITE_CORRUPT || primary == sqlite3.SQLITE_NOTADB
}

func inTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func eachRow(ctx context.Context, db *sql.DB, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}
