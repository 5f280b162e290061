package reconcile

import (
	"context"
	"fmt"
	"time"

	"jeroboam.io/jeroboam/schema"
)

// Source is where the fleet is read from.
type Source interface {
	// Fetch brings the head of the branch. applied is the commit that was
	// applied last, or empty: Snapshot.Descends and Commits are about the way
	// from it to the head. An unreachable source is an error, never an empty
	// snapshot; a fleet path that does not exist at the head is an error as well.
	Fetch(ctx context.Context, applied string) (Snapshot, error)
}

// Snapshot is the fleet's tree at one commit.
type Snapshot struct {
	Commit  string // full hash; empty for a working tree
	Tree    string // hash of the tree below the fleet's path: equal tree, equal fleet
	Author  string // "Name <mail>" of the head
	Subject string // first line of the head's message
	Time    time.Time
	Files   []schema.File // positions are relative to the repository's root

	// Distrust is what the repository's rules for signatures have against the head
	// of the branch; nil: nothing.
	Distrust *Distrust

	// Descends says whether the head descends from (or is) the applied commit.
	Descends Ancestry
	// Commits are those after the applied one up to the head, newest first, at
	// most a hundred; just the head if nothing was applied, if it is the applied
	// one or if it does not descend. The head is always there, because what it
	// acknowledges holds until it is done, not for the one run that sees it first.
	Commits []Commit
}

// Distrust is a head of the branch that nobody vouches for.
type Distrust struct {
	Commit  string `json:"commit"`
	Author  string `json:"author"`
	Subject string `json:"subject"`
	Reason  string `json:"reason"`
	// Held: the snapshot is not of this commit but of the one before it that was
	// believed. Otherwise it is of this commit, and somebody should know.
	Held bool `json:"held"`
}

func (d *Distrust) String() string {
	text := fmt.Sprintf("commit %s of %s (%s): %s", short(d.Commit), d.Author, d.Subject, d.Reason)
	if d.Held {
		return "held: " + text + "; nothing of it is applied"
	}
	return text
}

// Error is for a source that has nothing before the held commit.
func (d *Distrust) Error() string { return d.String() }

// Commit is one commit of the desired branch.
type Commit struct {
	Hash    string
	Author  string
	Message string // whole, with trailers
}

// Ancestry is whether one commit comes after another.
type Ancestry string

// The answers. UnknownAncestry is no permission.
const (
	Descends        Ancestry = "descends"
	Rewound         Ancestry = "rewound"
	UnknownAncestry Ancestry = "unknown"
)

// Board is where status is shown: a branch with files that only we write.
type Board interface {
	// ReadStatus gives all files of the board by path; none if there is no board yet.
	ReadStatus(ctx context.Context) (map[string][]byte, error)
	// WriteStatus commits files. It never forces: on a lost race, or if the tip
	// is not what was written last, all of our files are put on the new tip,
	// where files that are not ours stay. No difference, no commit. It returns
	// the tip's commit.
	WriteStatus(ctx context.Context, c StatusCommit) (string, error)
}

// StatusCommit is one change of the board.
type StatusCommit struct {
	Changed map[string][]byte // by path; nil content removes
	// All gives every file of ours; it is called when the tip is not ours, perhaps
	// later and by another goroutine: nobody changes what it gives.
	All     func() map[string][]byte
	Message string // subject, body, trailers
	Time    time.Time
}
