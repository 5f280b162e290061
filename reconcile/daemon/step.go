package daemon

import (
	"context"
	"errors"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// TooSoon implements reconcile.Pacer: a step that failed is not tried again before
// its pause is over, unless it has become another.
func (n *lane) TooSoon(s diff.Step) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	t, failed := n.tries[s.Cluster]
	switch {
	case !failed:
	case t.operation != s.Operation:
		delete(n.tries, s.Cluster)
	case t.until.After(n.lanes.Now()):
		return t.err
	}
	return nil
}

// Apply implements drivers.Driver. A step that the cloud has neither taken nor
// refused in time is on its way: its intent stays open, and nothing is asked of
// this cloud before it has arrived.
func (n *lane) Apply(ctx context.Context, s diff.Step) error {
	n.mu.Lock()
	n.forget()
	n.quiet = false
	if n.steps++; n.steps == 1 {
		n.idle = make(chan struct{})
	}
	since := n.lanes.Now()
	n.mu.Unlock()
	arrived := make(chan error, 1)
	go n.apply(context.WithoutCancel(ctx), s, arrived)
	patience := time.NewTimer(5 * n.lanes.Patience)
	defer patience.Stop()
	select {
	case err := <-arrived:
		return err
	case <-patience.C:
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case err := <-arrived: // just now
		return err
	default:
		n.left = true
		return n.pending(string(s.Op)+" "+s.Cluster.String(), since)
	}
}

func (n *lane) apply(ctx context.Context, s diff.Step, arrived chan<- error) {
	ctx, cancel := context.WithTimeout(ctx, n.lanes.Limit)
	defer cancel()
	since := n.lanes.Now()
	d, err := n.reach(ctx)
	if err == nil {
		err = d.Apply(ctx, s)
	}
	wake, took := n.arrive(s, err, arrived), n.lanes.Now().Sub(since)
	if n.lanes.Asked != nil {
		n.lanes.Asked(n.options.Cloud, string(s.Op), took, err)
	}
	if wake {
		n.lanes.Wake()
	}
}

// arrive notes what became of a step. It says true when it was the last on its way
// and a run did not wait for it or another.
func (n *lane) arrive(s diff.Step, err error, arrived chan<- error) (wake bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if kind := drivers.KindOf(err); err == nil || kind == drivers.Conflict || kind == drivers.NotFound {
		delete(n.tries, s.Cluster)
	} else {
		t := n.tries[s.Cluster]
		if t.operation != s.Operation {
			t = try{operation: s.Operation}
		}
		n.tries[s.Cluster] = t.again(err, s.Cluster.String(), n.lanes.Now())
	}
	arrived <- err // has room for it
	if n.steps--; n.steps > 0 {
		return false
	}
	close(n.idle)
	wake, n.left = n.left, false
	return wake
}

// keeper is the driver's, which is open by the time that anybody has keys.
func (n *lane) keeper(ctx context.Context) (drivers.Keeper, error) {
	d, err := n.reach(ctx)
	if err != nil {
		return nil, err
	}
	k, ok := d.(drivers.Keeper)
	if !ok {
		return nil, &drivers.Error{Kind: drivers.NotFound, Op: "read keys", Err: errors.New("the driver keeps none")}
	}
	return k, nil
}

// Keys implements drivers.Keeper.
func (n *lane) Keys(ctx context.Context, k schema.Key) (*pki.Keys, error) {
	keeper, err := n.keeper(ctx)
	if err != nil {
		return nil, err
	}
	return keeper.Keys(ctx, k)
}

// KeptAt implements drivers.Keeper.
func (n *lane) KeptAt(k schema.Key) drivers.KeyPlace {
	n.mu.Lock()
	defer n.mu.Unlock()
	if keeper, ok := n.driver.(drivers.Keeper); ok {
		return keeper.KeptAt(k)
	}
	return drivers.KeyPlace{}
}

// BackedUp implements drivers.Keeper.
func (n *lane) BackedUp(ctx context.Context, k schema.Key) error {
	keeper, err := n.keeper(ctx)
	if err != nil {
		return err
	}
	return keeper.BackedUp(ctx, k)
}

// Forget implements drivers.Keeper; a driver without keys has none to forget. It is
// not waited for longer than any question.
func (n *lane) Forget(ctx context.Context, k schema.Key) error {
	_, err := ask(ctx, n, "forget keys of "+k.String(), "", func(ctx context.Context, d drivers.Driver) (bool, error) {
		if keeper, ok := d.(drivers.Keeper); ok {
			return true, keeper.Forget(ctx, k)
		}
		return true, nil
	})
	return err
}
