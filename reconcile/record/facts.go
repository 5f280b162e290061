package record

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// Facts gives the facts of every cluster that has any. The map must not be changed:
// it is read once, and again when a fact was written.
func (s *Store) Facts(ctx context.Context) (map[schema.Key]reconcile.Facts, error) {
	return s.facts.get(s, func() (map[schema.Key]reconcile.Facts, error) { return s.readFacts(ctx) })
}

func (s *Store) readFacts(ctx context.Context) (map[schema.Key]reconcile.Facts, error) {
	facts := map[schema.Key]reconcile.Facts{}
	err := s.each(ctx, "read facts", func(r *sql.Rows) error {
		var k schema.Key
		var f reconcile.Facts
		var protected sql.NullBool
		var deleted int64
		err := r.Scan(&k.Cloud, &k.Name, &protected, &f.ProtectionCommit, &f.DeletedID, &deleted, &f.RecoverSpec, &f.RecoverAttempts)
		f.DeletedAt = moment(deleted)
		if protected.Valid {
			f.Protection = protection(protected.Bool)
		}
		facts[k] = f
		return err
	}, `SELECT cloud, name, protected, protected_commit, deleted_id, deleted_at, recover_spec, recover_attempts FROM fact`)
	return facts, err
}

func protection(on bool) reconcile.Protection {
	if on {
		return reconcile.Protected
	}
	return reconcile.Unprotected
}

// DeclareProtection writes what a commit declares, by cluster. Clusters that it
// does not name keep what was declared before: that is how protection outlives
// the removal of a file.
func (s *Store) DeclareProtection(ctx context.Context, commit string, declared map[schema.Key]bool) error {
	facts, err := s.Facts(ctx)
	if err != nil {
		return err
	}
	changed := map[schema.Key]bool{}
	for k, on := range declared {
		if facts[k].Protection != protection(on) {
			changed[k] = on
		}
	}
	if s.lock != nil && len(changed) == 0 {
		return nil
	}
	defer s.facts.forget()
	return s.write(ctx, "declare protection", func(tx *sql.Tx) error {
		for k, on := range changed {
			_, err := tx.ExecContext(ctx, `
INSERT INTO fact (cloud, name, protected, protected_commit) VALUES (?, ?, ?, ?)
ON CONFLICT (cloud, name) DO UPDATE SET protected = excluded.protected, protected_commit = excluded.protected_commit`,
				k.Cloud, k.Name, on, commit)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Deleted writes that the cloud accepted our delete of a cluster: among its
// facts, and in the log that DeletesSince reads. Told again of the same cluster,
// as after a crash, the log has it once.
func (s *Store) Deleted(ctx context.Context, k schema.Key, id string, at time.Time) error {
	defer s.facts.forget()
	return s.write(ctx, "save delete of "+k.String(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
INSERT INTO deletion (cloud, name, id, at) SELECT ?1, ?2, ?3, ?4
WHERE NOT EXISTS (SELECT 1 FROM deletion WHERE cloud = ?1 AND id = ?3)`, k.Cloud, k.Name, id, stamp(at))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
INSERT INTO fact (cloud, name, deleted_id, deleted_at) VALUES (?, ?, ?, ?)
ON CONFLICT (cloud, name) DO UPDATE SET deleted_id = excluded.deleted_id, deleted_at = excluded.deleted_at`,
			k.Cloud, k.Name, id, stamp(at))
		return err
	})
}

// DeletesSince gives the deletes of ours after a time, oldest first.
func (s *Store) DeletesSince(ctx context.Context, t time.Time) ([]reconcile.Deletion, error) {
	var deletes []reconcile.Deletion
	err := s.each(ctx, "read deletes", func(r *sql.Rows) error {
		var d reconcile.Deletion
		var at int64
		err := r.Scan(&d.Cluster.Cloud, &d.Cluster.Name, &d.ID, &at)
		d.At = moment(at)
		deletes = append(deletes, d)
		return err
	}, `SELECT cloud, name, id, at FROM deletion WHERE at > ? ORDER BY at, rowid`, stamp(t))
	return deletes, err
}

// Recovering counts one more recover step towards the spec with that hash and
// returns the count; another hash starts at one again.
func (s *Store) Recovering(ctx context.Context, k schema.Key, specHash string) (int, error) {
	var attempts int
	defer s.facts.forget()
	err := s.write(ctx, "count recover of "+k.String(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
INSERT INTO fact (cloud, name, recover_spec, recover_attempts) VALUES (?, ?, ?, 1)
ON CONFLICT (cloud, name) DO UPDATE SET
	recover_attempts = iif(recover_spec = excluded.recover_spec, recover_attempts + 1, 1),
	recover_spec = excluded.recover_spec
RETURNING recover_attempts`, k.Cloud, k.Name, specHash).Scan(&attempts)
	})
	return attempts, err
}

// Recovered forgets the attempts of a cluster that is well again.
func (s *Store) Recovered(ctx context.Context, k schema.Key) error {
	defer s.facts.forget()
	return s.write(ctx, "forget recovers of "+k.String(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE fact SET recover_spec = '', recover_attempts = 0 WHERE cloud = ? AND name = ?`, k.Cloud, k.Name)
		return err
	})
}

// SaveHead replaces the applied head.
func (s *Store) SaveHead(ctx context.Context, h reconcile.Head) error {
	return s.write(ctx, "save head", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO head (only, commit_hash, tree, clusters, at, owner) VALUES (1, ?, ?, ?, ?, ?)`,
			h.Commit, h.Tree, h.Clusters, stamp(h.At), h.Owner)
		return err
	})
}

// Head gives the applied head; the zero value if nothing was ever applied.
func (s *Store) Head(ctx context.Context) (reconcile.Head, error) {
	var h reconcile.Head
	err := s.each(ctx, "read head", func(r *sql.Rows) error {
		var at int64
		err := r.Scan(&h.Commit, &h.Tree, &h.Clusters, &at, &h.Owner)
		h.At = moment(at)
		return err
	}, `SELECT commit_hash, tree, clusters, at, owner FROM head`)
	return h, err
}

// ErrMoved means that a cloud is remembered at another place.
var ErrMoved = errors.New("the cloud was seen at another place before")

// SavePlace remembers the place at which a cloud was first seen. If another
// project or region is remembered it stays, and SavePlace fails with ErrMoved.
// Another URL is only another way to the same project.
func (s *Store) SavePlace(ctx context.Context, cloud schema.CloudName, p drivers.Place) error {
	return s.write(ctx, "save place of "+string(cloud), func(tx *sql.Tx) error {
		var known drivers.Place
		err := tx.QueryRowContext(ctx, `
INSERT INTO place (cloud, auth_url, region, project) VALUES (?, ?, ?, ?)
ON CONFLICT (cloud) DO UPDATE SET cloud = cloud
RETURNING auth_url, region, project`, cloud, p.AuthURL, p.Region, p.ProjectID).Scan(&known.AuthURL, &known.Region, &known.ProjectID)
		if err == nil && (known.ProjectID != p.ProjectID || known.Region != p.Region) {
			return ErrMoved
		}
		if err == nil && known != p {
			_, err = tx.ExecContext(ctx, `UPDATE place SET auth_url = ? WHERE cloud = ?`, p.AuthURL, cloud)
		}
		return err
	})
}

// Places gives the place at which each cloud was first seen.
func (s *Store) Places(ctx context.Context) (map[schema.CloudName]drivers.Place, error) {
	places := map[schema.CloudName]drivers.Place{}
	err := s.each(ctx, "read places", func(r *sql.Rows) error {
		var cloud schema.CloudName
		var p drivers.Place
		err := r.Scan(&cloud, &p.AuthURL, &p.Region, &p.ProjectID)
		places[cloud] = p
		return err
	}, `SELECT cloud, auth_url, region, project FROM place`)
	return places, err
}
