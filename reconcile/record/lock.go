package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// LockedError says who else writes to the state directory, or keeps the clusters
// of the owner.
type LockedError struct {
	Dir    string
	Owner  string // empty: it is about the directory
	Holder Holder // zero if the other process had not yet said who it is
}

// Holder is the process that has a state directory open for writing.
type Holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host,omitempty"`
	Since time.Time `json:"since"`
}

// Error names the directory, and the process and since when it has it.
func (e *LockedError) Error() string {
	what := fmt.Sprintf("state directory %s is in use", e.Dir)
	if e.Owner != "" {
		what = fmt.Sprintf("the clusters of owner %s are kept", e.Owner)
	}
	if e.Holder.PID == 0 {
		return what + " by another process"
	}
	return fmt.Sprintf("%s by process %d on %s since %s", what, e.Holder.PID, e.Holder.Host, e.Holder.Since.Format(time.RFC3339))
}

// Owner is the right to keep the clusters of an owner.
type Owner struct{ lock *os.File }

// LockOwner takes that right for this machine: two daemons of one owner with state
// directories of their own would each take the other's work for drift. dir is one
// folder for all daemons. While another process has the right, it fails with a
// *LockedError.
func LockOwner(dir, owner string) (*Owner, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of owners: %w", err)
	}
	lock, err := acquire(filepath.Join(dir, owner+".lock"))
	if locked, ok := errors.AsType[*LockedError](err); ok {
		locked.Owner = owner
	}
	if err != nil {
		return nil, err
	}
	return &Owner{lock}, nil
}

// Close gives the right up.
func (o *Owner) Close() error { return release(o.lock) }

// acquire takes the lock and writes who we are into it. The kernel frees it when
// the process dies. The file itself stays for ever: two processes could each
// hold "the" lock, if it were removed and made again between them.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = &LockedError{Dir: filepath.Dir(path), Holder: readHolder(f)}
	}
	if err == nil {
		err = writeHolder(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// release empties the file first, so that nobody reads us as its holder later,
// and unlocks it by word: closing would leave it locked as long as a process that
// is just being started shares the descriptor.
func release(f *os.File) error {
	return errors.Join(f.Truncate(0), syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

func readHolder(f *os.File) Holder {
	var h Holder
	b, err := io.ReadAll(f)
	if err != nil || json.Unmarshal(b, &h) != nil {
		return Holder{} // being written just now
	}
	return h
}

func writeHolder(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	b, err := json.Marshal(Holder{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	if _, err := f.WriteAt(append(b, '\n'), 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}
