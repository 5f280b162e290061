package daemon

import (
	"context"
	"errors"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

var _ drivers.Attendant = (*lane)(nil)

// visitEvery is how often a cluster is asked how it is, however often there are
// runs. Magnum's health_polling_interval has the same default.
const visitEvery = time.Minute

// visit is the last of a cluster: of what, when, and the answer.
type visit struct {
	about string
	at    time.Time
	said  drivers.Health
}

// attendant is the driver's. Clusters are asked through their own APIs, so a lane
// does not wait in turn for them; the run gives each its time.
func (n *lane) attendant(ctx context.Context) (drivers.Attendant, error) {
	d, err := n.reach(ctx)
	if err != nil {
		return nil, err
	}
	a, _ := d.(drivers.Attendant)
	return a, nil
}

// Attend implements drivers.Attendant. What changed since the last visit, in the
// cluster or in what is wanted of its nodes, makes it a new one.
func (n *lane) Attend(ctx context.Context, v drivers.Visit) drivers.Health {
	about := schema.Digest([]any{v.Observed.ID, v.Observed.Version, v.Leaving, v.Mend})
	now := n.lanes.Now()
	n.mu.Lock()
	last, visited := n.visits[v.Observed.Key]
	n.mu.Unlock()
	if age := now.Sub(last.at); visited && last.about == about && len(last.said.Undone) == 0 && age >= 0 && age < visitEvery {
		return last.said
	}
	a, err := n.attendant(ctx)
	switch {
	case err != nil:
		return drivers.Health{Status: drivers.Unreached, Reason: map[string]string{"api": err.Error()}}
	case a == nil:
		return drivers.Health{Status: drivers.Unasked}
	}
	said := a.Attend(ctx, v)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.visits[v.Observed.Key] = visit{about, now, said}
	return said
}

// Workload implements drivers.Attendant.
func (n *lane) Workload(ctx context.Context, o diff.Observed, nodes []string) diff.Observed {
	a, err := n.attendant(ctx)
	switch {
	case err != nil:
		o.Work, o.WorkReason = diff.WorkUnknown, err.Error()
		return o
	case a == nil:
		return o
	}
	return a.Workload(ctx, o, nodes)
}

// Drain implements drivers.Attendant.
func (n *lane) Drain(ctx context.Context, step diff.Step) (map[string]diff.Workload, error) {
	a, err := n.attendant(ctx)
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, errors.New("the driver reaches into no cluster")
	}
	return a.Drain(ctx, step)
}
