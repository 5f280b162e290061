package record

import (
	"context"
	"database/sql"
	"time"

	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// keepRuns is how many runs stay in the history.
const keepRuns = 1000

// SaveRun adds a run or replaces the one with its ID, and drops the oldest
// beyond a thousand.
func (s *Store) SaveRun(ctx context.Context, r reconcile.Run) error {
	return s.write(ctx, "save run "+r.ID, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
INSERT INTO run (id, commit_hash, started, ended, summary, err) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET commit_hash = excluded.commit_hash, started = excluded.started,
	ended = excluded.ended, summary = excluded.summary, err = excluded.err`,
			r.ID, r.Commit, stamp(r.StartedAt), stamp(r.EndedAt), []byte(r.Summary), r.Err)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
DELETE FROM run WHERE rowid IN (SELECT rowid FROM run ORDER BY started DESC, rowid DESC LIMIT -1 OFFSET ?)`, keepRuns)
		return err
	})
}

// Runs gives at most limit runs, newest first.
func (s *Store) Runs(ctx context.Context, limit int) ([]reconcile.Run, error) {
	var runs []reconcile.Run
	err := s.each(ctx, "read runs", func(r *sql.Rows) error {
		var run reconcile.Run
		var started, ended int64
		var summary []byte
		err := r.Scan(&run.ID, &run.Commit, &started, &ended, &summary, &run.Err)
		run.StartedAt, run.EndedAt, run.Summary = moment(started), moment(ended), summary
		runs = append(runs, run)
		return err
	}, `SELECT id, commit_hash, started, ended, summary, err FROM run ORDER BY started DESC, rowid DESC LIMIT ?`, limit)
	return runs, err
}

// SaveRecords writes the records (JSON) of the clusters given and leaves the
// others; nil removes a record.
func (s *Store) SaveRecords(ctx context.Context, records map[schema.Key][]byte) error {
	return s.write(ctx, "save records", func(tx *sql.Tx) error {
		put, err := tx.PrepareContext(ctx, `
INSERT INTO cluster (cloud, name, record) VALUES (?, ?, ?)
ON CONFLICT (cloud, name) DO UPDATE SET record = excluded.record WHERE record <> excluded.record`)
		if err != nil {
			return err
		}
		for k, record := range records {
			if record == nil {
				_, err = tx.ExecContext(ctx, `DELETE FROM cluster WHERE cloud = ? AND name = ?`, k.Cloud, k.Name)
			} else {
				_, err = put.ExecContext(ctx, k.Cloud, k.Name, record)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Records gives the record of every cluster that has one.
func (s *Store) Records(ctx context.Context) (map[schema.Key][]byte, error) {
	records := map[schema.Key][]byte{}
	err := s.each(ctx, "read records", func(r *sql.Rows) error {
		var k schema.Key
		var record []byte
		err := r.Scan(&k.Cloud, &k.Name, &record)
		records[k] = record
		return err
	}, `SELECT cloud, name, record FROM cluster`)
	return records, err
}

// Fired writes when a schedule last fired, so that a restart neither misses
// nor repeats it.
func (s *Store) Fired(ctx context.Context, schedule string, at time.Time) error {
	return s.write(ctx, "save firing of "+schedule, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO firing (schedule, at) VALUES (?, ?)`, schedule, stamp(at))
		return err
	})
}

// Unschedule removes what Fired wrote of these schedules.
func (s *Store) Unschedule(ctx context.Context, schedules []string) error {
	return s.write(ctx, "forget schedules", func(tx *sql.Tx) error {
		for _, name := range schedules {
			if _, err := tx.ExecContext(ctx, `DELETE FROM firing WHERE schedule = ?`, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Firings gives when each schedule last fired.
func (s *Store) Firings(ctx context.Context) (map[string]time.Time, error) {
	firings := map[string]time.Time{}
	err := s.each(ctx, "read firings", func(r *sql.Rows) error {
		var schedule string
		var at int64
		err := r.Scan(&schedule, &at)
		firings[schedule] = moment(at)
		return err
	}, `SELECT schedule, at FROM firing`)
	return firings, err
}
