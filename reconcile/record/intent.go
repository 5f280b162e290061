package record

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// keepFinished is how many finished intents stay to be looked at.
const keepFinished = 1000

// Begin writes an intent. It is on disk when Begin returns nil, so that after a
// crash the step is known to have perhaps happened. Begun again while it is
// still open, it keeps the time of the first attempt.
func (s *Store) Begin(ctx context.Context, i reconcile.Intent) error {
	defer s.last.forget()
	return s.write(ctx, "begin "+i.Operation, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
INSERT INTO intent (operation, cloud, name, op, id, version, spec, at, run, commit_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (operation) DO UPDATE SET
	cloud = excluded.cloud, name = excluded.name, op = excluded.op, id = excluded.id, version = excluded.version, spec = excluded.spec,
	run = excluded.run, commit_hash = excluded.commit_hash, reason = '', requests = '',
	at = iif(outcome IS NULL, at, excluded.at), outcome = NULL, finished = NULL`,
			i.Operation, i.Key.Cloud, i.Key.Name, i.Op, i.ID, i.Version, i.SpecHash, stamp(i.At), i.Run, i.Commit)
		return err
	})
}

// maxReason is how many bytes of an error stay with a finished intent.
const maxReason = 2000

// Finish closes an intent with what became of the call: the caller's words.
// Finishing what was never begun is an error.
func (s *Store) Finish(ctx context.Context, operation string, e reconcile.Ending) error {
	reason := strings.ToValidUTF8(e.Reason[:min(len(e.Reason), maxReason)], "")
	defer s.last.forget()
	return s.write(ctx, "finish "+operation, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE intent SET outcome = ?, finished = ?, reason = ?, requests = ? WHERE operation = ?`,
			e.Outcome, stamp(e.At), reason, strings.Join(e.Requests, "\n"), operation)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("no such intent (%w)", sql.ErrNoRows)
		}
		_, err = tx.ExecContext(ctx, `
DELETE FROM intent WHERE rowid IN (
	SELECT rowid FROM intent WHERE outcome IS NOT NULL ORDER BY finished DESC, rowid DESC LIMIT -1 OFFSET ?)`, keepFinished)
		return err
	})
}

// OpenIntents are those that were begun and not finished, oldest first.
func (s *Store) OpenIntents(ctx context.Context) ([]reconcile.Intent, error) {
	var open []reconcile.Intent
	err := s.each(ctx, "read intents", func(r *sql.Rows) error {
		var i reconcile.Intent
		var at int64
		err := r.Scan(&i.Operation, &i.Key.Cloud, &i.Key.Name, &i.Op, &i.ID, &i.Version, &i.SpecHash, &at, &i.Run, &i.Commit)
		i.At = moment(at)
		open = append(open, i)
		return err
	}, `SELECT operation, cloud, name, op, id, version, spec, at, run, commit_hash FROM intent WHERE outcome IS NULL ORDER BY at, operation`)
	return open, err
}

// LastIntents are, for each cluster, the last intent that was not refused. The map
// must not be changed.
func (s *Store) LastIntents(ctx context.Context) (map[schema.Key]reconcile.Intent, error) {
	return s.last.get(s, func() (map[schema.Key]reconcile.Intent, error) { return s.readLast(ctx) })
}

func (s *Store) readLast(ctx context.Context) (map[schema.Key]reconcile.Intent, error) {
	last := map[schema.Key]reconcile.Intent{}
	err := s.each(ctx, "read last intents", func(r *sql.Rows) error {
		var i reconcile.Intent
		var at int64
		err := r.Scan(&i.Operation, &i.Key.Cloud, &i.Key.Name, &i.Op, &i.ID, &i.Version, &i.SpecHash, &at, &i.Run, &i.Commit)
		i.At = moment(at)
		last[i.Key] = i
		return err
	}, `SELECT operation, cloud, name, op, id, version, spec, at, run, commit_hash FROM intent
WHERE outcome IS NULL OR outcome IN (?, ?) ORDER BY at, rowid`, reconcile.Accepted, reconcile.Resolved)
	return last, err
}

// Steps are the last intents of a cluster, at most limit, newest first, with how
// they ended as far as they have.
func (s *Store) Steps(ctx context.Context, k schema.Key, limit int) ([]reconcile.Step, error) {
	var steps []reconcile.Step
	err := s.each(ctx, "read steps of "+k.String(), func(r *sql.Rows) error {
		i := reconcile.Intent{Key: k}
		var e reconcile.Ending
		var begun, ended int64
		var requests string
		err := r.Scan(&i.Operation, &i.Op, &i.ID, &i.Version, &i.SpecHash, &begun, &i.Run, &i.Commit,
			&e.Outcome, &ended, &e.Reason, &requests)
		i.At, e.At = moment(begun), moment(ended)
		if requests != "" {
			e.Requests = strings.Split(requests, "\n")
		}
		steps = append(steps, reconcile.Step{Intent: i, Ended: e})
		return err
	}, `SELECT operation, op, id, version, spec, at, run, commit_hash, coalesce(outcome, ''), coalesce(finished, 0), reason, requests
FROM intent WHERE cloud = ? AND name = ? ORDER BY at DESC, rowid DESC LIMIT ?`, k.Cloud, k.Name, limit)
	return steps, err
}

// stamp and moment store a time as nanoseconds since 1970; 0 is no time at all.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
