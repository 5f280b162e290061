package record

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"reflect"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// Recall gives what was last saved of a cloud, by backend id. The map and what
// it points to belong to everybody and must not be changed. A value that a
// release with another idea of Observed saved comes back with Key and ID only:
// its empty Version matches nothing, so it is read again, but a list which
// lacks it is still noticed.
func (s *Store) Recall(cloud schema.CloudName) map[string]diff.Observed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mem[cloud]
}

// SaveObserved makes have all that is remembered of a cloud, in one transaction
// that writes what differs and nothing else. The values must not be changed
// afterwards. Leave out what need not be asked for again when it is missing
// from the cloud's list, such as a cluster that is known to be deleted.
func (s *Store) SaveObserved(ctx context.Context, cloud schema.CloudName, have []diff.Observed) error {
	op := "save observed of " + string(cloud)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil && same(s.mem[cloud], have) {
		return nil
	}
	next, err := byID(cloud, have)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	changed, gone := compare(s.mem[cloud], have, next)
	if s.lock != nil && len(changed)+len(gone) == 0 {
		return nil
	}
	err = s.write(ctx, op, func(tx *sql.Tx) error { return replace(ctx, tx, cloud, changed, gone) })
	if err != nil {
		return err
	}
	s.mem[cloud] = next
	return nil
}

// same says that a cloud is as it is remembered, which is mostly so and cheap to
// find out: what is in order by cluster has none twice.
func same(old map[string]diff.Observed, have []diff.Observed) bool {
	if len(old) != len(have) {
		return false
	}
	for i := range have {
		if i > 0 && have[i-1].Key.Compare(have[i].Key) >= 0 {
			return false
		}
		if o, ok := old[have[i].ID]; !ok || !o.Same(&have[i]) {
			return false
		}
	}
	return true
}

func byID(cloud schema.CloudName, have []diff.Observed) (map[string]diff.Observed, error) {
	m := make(map[string]diff.Observed, len(have))
	for i := range have {
		o := &have[i]
		if _, twice := m[o.ID]; twice || o.ID == "" || o.Key.Cloud != cloud {
			return nil, fmt.Errorf("cluster %s has id %q, which is empty, not its own or not of this cloud", o.Key, o.ID)
		}
		m[o.ID] = *o
	}
	return m, nil
}

// compare tells which values are not yet stored so and which ids are no more.
func compare(old map[string]diff.Observed, have []diff.Observed, next map[string]diff.Observed) (changed []*diff.Observed, gone []string) {
	for i := range have {
		if o, ok := old[have[i].ID]; !ok || !o.Same(&have[i]) {
			changed = append(changed, &have[i])
		}
	}
	for id := range old {
		if _, ok := next[id]; !ok {
			gone = append(gone, id)
		}
	}
	return changed, gone
}

func replace(ctx context.Context, tx *sql.Tx, cloud schema.CloudName, changed []*diff.Observed, gone []string) error {
	put, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO observed (cloud, id, name, spec, value) VALUES (?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	specs := specWriter{tx: tx, written: map[*schema.Spec]string{}}
	for _, o := range changed {
		digest, err := specs.put(ctx, o.Spec)
		if err != nil {
			return err
		}
		rest := *o
		rest.Spec = nil
		if _, err := put.ExecContext(ctx, cloud, o.ID, o.Key.Name, digest, pack(nil, reflect.ValueOf(rest))); err != nil {
			return err
		}
	}
	for _, id := range gone {
		if _, err := tx.ExecContext(ctx, `DELETE FROM observed WHERE cloud = ? AND id = ?`, cloud, id); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM spec WHERE digest NOT IN (SELECT spec FROM observed)`)
	return err
}

// specWriter stores specs by their content: clusters that are alike share one.
type specWriter struct {
	tx      *sql.Tx
	written map[*schema.Spec]string
}

func (w *specWriter) put(ctx context.Context, spec *schema.Spec) (string, error) {
	if spec == nil {
		return "", nil
	}
	if digest, ok := w.written[spec]; ok {
		return digest, nil
	}
	packed := pack(nil, reflect.ValueOf(spec).Elem())
	// Not Spec.Hash: an empty map and none have one hash, and are two values.
	sum := sha256.Sum256(packed)
	digest := hex.EncodeToString(sum[:16])
	w.written[spec] = digest
	_, err := w.tx.ExecContext(ctx, `INSERT OR IGNORE INTO spec (digest, value) VALUES (?, ?)`, digest, packed)
	return digest, err
}

// load reads all memory, once, so that Recall has nothing to fail with.
func (s *Store) load(ctx context.Context) error {
	s.mem = map[schema.CloudName]map[string]diff.Observed{}
	same, err := s.sameLayout(ctx)
	if err != nil {
		return err
	}
	specs := map[string]*schema.Spec{}
	if same {
		if err := s.loadSpecs(ctx, specs); err != nil {
			return err
		}
	}
	if err := s.makeRoom(ctx); err != nil {
		return err
	}
	var o diff.Observed // one for all rows, since Scan makes it escape
	return s.each(ctx, "load memory", func(r *sql.Rows) error {
		o = diff.Observed{}
		var spec string
		var packed sql.RawBytes
		if err := r.Scan(&o.Key.Cloud, &o.ID, &o.Key.Name, &spec, &packed); err != nil {
			return err
		}
		if same && len(packed) > 0 {
			if err := unpack(string(packed), &o); err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			o.Spec = specs[spec]
		}
		s.mem[o.Key.Cloud][o.ID] = o
		return nil
	}, `SELECT cloud, id, name, spec, value FROM observed`)
}

// makeRoom makes the clouds' maps as large as they will be: growing ones leave
// twice their size behind.
func (s *Store) makeRoom(ctx context.Context) error {
	return s.each(ctx, "load memory", func(r *sql.Rows) error {
		var cloud schema.CloudName
		var clusters int
		err := r.Scan(&cloud, &clusters)
		s.mem[cloud] = make(map[string]diff.Observed, clusters)
		return err
	}, `SELECT cloud, count(*) FROM observed GROUP BY cloud`)
}

func (s *Store) loadSpecs(ctx context.Context, to map[string]*schema.Spec) error {
	return s.each(ctx, "load memory", func(r *sql.Rows) error {
		var digest string
		var packed sql.RawBytes
		if err := r.Scan(&digest, &packed); err != nil {
			return err
		}
		to[digest] = &schema.Spec{}
		if err := unpack(string(packed), to[digest]); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil
	}, `SELECT digest, value FROM spec`)
}

func (s *Store) sameLayout(ctx context.Context) (bool, error) {
	same := false
	err := s.each(ctx, "load memory", func(r *sql.Rows) error {
		var digest string
		err := r.Scan(&digest)
		same = digest == layout()
		return err
	}, `SELECT digest FROM layout`)
	return same, err
}

// forgetOtherLayouts keeps of values that were packed by another release only
// whose they are.
func (s *Store) forgetOtherLayouts(ctx context.Context) error {
	if same, err := s.sameLayout(ctx); same || err != nil {
		return err
	}
	return s.write(ctx, "forget memory", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
UPDATE observed SET spec = '', value = x'';
DELETE FROM spec;
DELETE FROM layout;
INSERT INTO layout (digest) VALUES (?)`, layout())
		return err
	})
}
