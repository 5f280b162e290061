package schedule

import "time"

// Size is one entry of a group's schedule: from each time of Cron on the group
// has so many nodes, until another entry's time comes.
type Size struct {
	Cron  Cron
	Nodes int
}

// Sizing is which entry holds at a time, and what changes it.
type Sizing struct {
	Entry int       // that wins; -1: none has ever fired
	Since time.Time // when it fired
	Then  int       // the entry that wins next with another number of nodes; -1: none ever
	Next  time.Time // when that is
}

// At says which entry holds: the one that fired last. Of entries that fire at the
// same moment, the last in the list.
func At(sizes []Size, now time.Time) Sizing {
	s := Sizing{Entry: -1, Then: -1}
	for i, e := range sizes {
		if at := e.Cron.Last(now); !at.IsZero() && !at.Before(s.Since) {
			s.Entry, s.Since = i, at
		}
	}
	if s.Entry < 0 {
		return s
	}
	s.Then, s.Next = change(sizes, sizes[s.Entry].Nodes, now)
	return s
}

// lookAhead bounds how many firings are looked at for one that changes anything.
const lookAhead = 1000

// change is the first firing after now that leads to another number of nodes.
func change(sizes []Size, nodes int, now time.Time) (entry int, at time.Time) {
	for range lookAhead {
		entry, at = -1, time.Time{}
		for i, e := range sizes {
			if next := e.Cron.Next(now); !next.IsZero() && (entry < 0 || !next.After(at)) {
				entry, at = i, next
			}
		}
		if entry < 0 || sizes[entry].Nodes != nodes {
			return entry, at
		}
		now = at
	}
	return -1, time.Time{}
}
