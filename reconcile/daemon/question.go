package daemon

import (
	"context"
	"slices"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// The questions.
const (
	observe = "list clusters"
	place   = "read project"
	inspect = "list servers"
	check   = "check clusters"
	probe   = "ask clusters"
)

var (
	_ drivers.Driver    = (*lane)(nil)
	_ drivers.Placed    = (*lane)(nil)
	_ drivers.Inspector = (*lane)(nil)
	_ drivers.Checker   = (*lane)(nil)
	_ drivers.Prober    = (*lane)(nil)
	_ drivers.Keeper    = (*lane)(nil)
	_ reconcile.Pacer   = (*lane)(nil)
)

// Observe implements drivers.Driver.
func (n *lane) Observe(ctx context.Context) ([]diff.Observed, error) {
	return ask(ctx, n, observe, "", func(ctx context.Context, d drivers.Driver) ([]diff.Observed, error) { return d.Observe(ctx) })
}

// Place implements drivers.Placed; zero for a driver that does not say.
func (n *lane) Place(ctx context.Context) (drivers.Place, error) {
	return ask(ctx, n, place, "", func(ctx context.Context, d drivers.Driver) (drivers.Place, error) {
		if p, ok := d.(drivers.Placed); ok {
			return p.Place(ctx)
		}
		return drivers.Place{}, nil
	})
}

// Inspect implements drivers.Inspector; without change for a driver that does not.
func (n *lane) Inspect(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error) {
	return ask(ctx, n, inspect, about(observed), func(ctx context.Context, d drivers.Driver) ([]diff.Observed, error) {
		if i, ok := d.(drivers.Inspector); ok {
			return i.Inspect(ctx, clone(observed))
		}
		return observed, nil
	})
}

// Check implements drivers.Checker; a driver that does not has no objection.
func (n *lane) Check(ctx context.Context, want []*schema.Cluster, have []diff.Observed) (map[schema.Key][]diff.Objection, error) {
	wanted := make([]any, 0, len(want))
	for _, c := range want {
		wanted = append(wanted, c.Key, c.Spec, c.Policy.Suspend)
	}
	return ask(ctx, n, check, schema.Digest(wanted)+about(have), func(ctx context.Context, d drivers.Driver) (map[schema.Key][]diff.Objection, error) {
		if c, ok := d.(drivers.Checker); ok {
			return c.Check(ctx, want, have)
		}
		return nil, nil
	})
}

// Probe implements drivers.Prober; without change for a driver that does not.
// Answers are true for one run, so a quiet cloud is asked again as well.
func (n *lane) Probe(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error) {
	return ask(ctx, n, probe, about(observed), func(ctx context.Context, d drivers.Driver) ([]diff.Observed, error) {
		if p, ok := d.(drivers.Prober); ok {
			return p.Probe(ctx, clone(observed))
		}
		return observed, nil
	})
}

// clone is for a driver that writes into what it is given, while others read it.
func clone(observed []diff.Observed) []diff.Observed {
	own := slices.Clone(observed)
	for i := range own {
		own[i].Nodes = slices.Clone(own[i].Nodes)
	}
	return own
}

// about tells questions on different things apart.
func about(observed []diff.Observed) string {
	seen := make([][4]string, 0, len(observed))
	for _, o := range observed {
		seen = append(seen, [4]string{o.Key.String(), o.ID, o.Version, string(o.Status)})
	}
	return schema.Digest(seen)
}
