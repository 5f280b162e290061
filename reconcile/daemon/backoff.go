package daemon

import (
	"fmt"
	"hash/fnv"
	"time"

	"jeroboam.io/jeroboam/drivers"
)

// pause is how long to wait after so many failures in a row, by who can do
// something about them: what passes by itself is tried again soon, what somebody
// has to mend is not asked for every few seconds.
//
//	transient, unknown    5 s, 10 s, 20 s ... 5 min
//	denied                1 min, 2 min ... 15 min    the operator may mend it
//	rejected              1 min, 2 min ... 30 min    an edit makes another step of it, tried at once
//	conflict, not found   none                       the next look shows how it is
//
// A fifth more or less hangs on the name, so that what failed together does not
// come back together.
func pause(kind drivers.Kind, failures int, name string) time.Duration {
	first, most := 5*time.Second, 5*time.Minute
	switch kind {
	case drivers.Conflict, drivers.NotFound:
		return 0
	case drivers.Denied:
		first, most = time.Minute, 15*time.Minute
	case drivers.Rejected:
		first, most = time.Minute, 30*time.Minute
	case drivers.Transient, drivers.Unknown:
	}
	d := first
	for i := 1; i < failures && d < most; i++ {
		d *= 2
	}
	return spread(min(d, most), name, failures)
}

// spread makes a time longer or shorter by up to a fifth.
func spread(d time.Duration, name string, n int) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails, as hash.Hash says
	_, _ = fmt.Fprint(h, n)
	part := (h.Sum64() * 0x9e3779b97f4a7c15) >> 54 // ten bits
	return d*4/5 + d*2/5*time.Duration(part)/1024
}
