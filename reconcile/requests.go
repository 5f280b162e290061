package reconcile

import (
	"slices"
	"sync"

	"jeroboam.io/jeroboam/drivers"
)

// What is remembered of requests until their step has ended: a step that nobody
// hears of any more is forgotten with the oldest.
const (
	maxRequests   = 20  // of a step; the first ones
	maxOperations = 500 // that have not ended
)

// requests collects the ids of the requests with which steps change something:
// those are what the cloud's operators find in their logs.
type requests struct {
	next drivers.CallWatcher // told as well; nil: nobody is

	mu    sync.Mutex
	of    map[string][]string // by operation
	order []string            // of operations
}

// Called implements drivers.CallWatcher.
func (q *requests) Called(c drivers.Call) {
	if q.next != nil {
		q.next.Called(c)
	}
	if c.Operation == "" || c.Request == "" || !c.Changes {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	known, begun := q.of[c.Operation]
	if len(known) == maxRequests {
		return
	}
	if !begun {
		q.begin(c.Operation)
	}
	q.of[c.Operation] = append(known, c.Service+" "+c.Request)
}

func (q *requests) begin(operation string) {
	if q.of == nil {
		q.of = map[string][]string{}
	}
	if q.order = append(q.order, operation); len(q.order) > maxOperations {
		delete(q.of, q.order[0])
		q.order = slices.Delete(q.order, 0, 1)
	}
}

// take gives the ids of an operation and forgets them.
func (q *requests) take(operation string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := q.of[operation]
	delete(q.of, operation)
	q.order = slices.DeleteFunc(q.order, func(o string) bool { return o == operation })
	return ids
}

var _ drivers.CallWatcher = (*requests)(nil)
