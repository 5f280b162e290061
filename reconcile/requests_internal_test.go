package reconcile

import (
	"fmt"
	"slices"
	"testing"

	"jeroboam.io/jeroboam/drivers"
)

type count int

func (c *count) Called(drivers.Call) { *c++ }

// Only what changed something for a step is kept, under its operation, so many for
// each and for so many steps; whoever else watches is told of all.
func TestRequestsOfSteps(t *testing.T) {
	t.Parallel()
	var all count
	q := requests{next: &all}
	for _, c := range []drivers.Call{
		{Service: "orchestration", Request: "req-1", Changes: true, Operation: "a"},
		{Service: "orchestration", Request: "req-2", Operation: "a"},
		{Service: "orchestration", Request: "req-3", Changes: true},
		{Service: "orchestration", Changes: true, Operation: "a"},
		{Service: "key-manager", Request: "req-4", Changes: true, Operation: "a"},
		{Service: "compute", Request: "req-5", Changes: true, Operation: "b"},
	} {
		q.Called(c)
	}
	if have := q.take("a"); !slices.Equal(have, []string{"orchestration req-1", "key-manager req-4"}) || all != 6 {
		t.Errorf("have %v, and %d told", have, all)
	}
	if have := q.take("a"); have != nil {
		t.Errorf("taken twice: %v", have)
	}
	for i := range 3 * maxOperations {
		for range 2 * maxRequests {
			q.Called(drivers.Call{Request: "r", Changes: true, Operation: fmt.Sprint(i)})
		}
	}
	if n := len(q.of); n != maxOperations || len(q.order) != n {
		t.Errorf("%d operations are kept, in an order of %d", n, len(q.order))
	}
	if n := len(q.take(fmt.Sprint(3*maxOperations - 1))); n != maxRequests {
		t.Errorf("%d requests of a step are kept", n)
	}
	if have := q.take("b"); have != nil {
		t.Errorf("the oldest is kept: %v", have)
	}
}
