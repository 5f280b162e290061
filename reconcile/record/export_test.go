package record

import (
	"context"
	"database/sql"
	"reflect"
)

// What only tests of this package may see.

func Migrate(ctx context.Context, db *sql.DB, steps []string) error { return migrate(ctx, db, steps) }

func Current(ctx context.Context, db *sql.DB, steps []string) error { return current(ctx, db, steps) }

func Pack(v any) string                  { return string(pack(nil, reflect.ValueOf(v))) }
func Unpack(packed string, to any) error { return unpack(packed, to) }

// LockDescriptor is the descriptor that holds the lock.
func (s *Store) LockDescriptor() int { return int(s.lock.Fd()) }
