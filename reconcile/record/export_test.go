package record

import (
	"context"
	"database/sql"
	"reflect"

	"jeroboam.io/jeroboam/diff"
)

// What only tests of this package may see.

func Migrate(ctx context.Context, db *sql.DB, steps []string) error { return migrate(ctx, db, steps) }

func Current(ctx context.Context, db *sql.DB, steps []string) error { return current(ctx, db, steps) }
func Equal(a, b *diff.Observed) bool                                { return equal(a, b) }
func Pack(v any) string                                             { return string(pack(nil, reflect.ValueOf(v))) }
func Unpack(packed string, to any) error                            { return unpack(packed, to) }

// LockDescriptor is the descriptor that holds the lock.
func (s *Store) LockDescriptor() int { return int(s.lock.Fd()) }
