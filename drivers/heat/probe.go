package heat

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// probeTime is how long a cluster has to answer.
const probeTime = 15 * time.Second

// Probe asks clusters how their etcd is: first Nova, whether the masters' servers
// run, then the API of the cluster, which tells of each member of etcd. Where no
// way leads to that API, Config clouds.X.etcdHealth says that the first answer
// has to do.
func (d *Driver) Probe(ctx context.Context, observed []diff.Observed) ([]diff.Observed, error) {
	out := slices.Clone(observed)
	group := errgroup.Group{}
	group.SetLimit(8)
	for i := range out {
		group.Go(func() error {
			out[i].Etcd, out[i].EtcdReason = d.etcd(ctx, &out[i])
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its answer
	return out, ctx.Err()
}

func (d *Driver) etcd(ctx context.Context, o *diff.Observed) (diff.EtcdHealth, string) {
	t, err := typeNamed(o.Type)
	if err != nil || !t.kubernetes || o.Spec == nil {
		return diff.EtcdNotAsked, ""
	}
	var asked []int // members: they are numbered as etcd's addresses are given, which is as the masters are
	masters := mastersOf(o)
	for i, n := range masters {
		if n.State != diff.NodeReady {
			continue
		}
		asked = append(asked, i)
		switch status, err := d.api.serverStatus(ctx, n.Server); {
		case err != nil:
			return diff.EtcdUnknown, "the server of " + n.Name + " cannot be seen: " + err.Error()
		case status != "ACTIVE":
			return diff.EtcdUnhealthy, "the server of " + n.Name + " is " + status
		}
	}
	if d.config.EtcdHealth == schema.EtcdHealthHeat {
		return diff.EtcdHealthy, ""
	}
	members, err := d.members(ctx, o)
	if err != nil {
		return diff.EtcdUnknown, err.Error()
	}
	for _, i := range asked {
		switch said, known := members[fmt.Sprintf("etcd-%d", i)]; {
		case !known:
			return diff.EtcdUnknown, "the API does not tell of the member on " + masters[i].Name
		case said != "":
			return diff.EtcdUnhealthy, "the member on " + masters[i].Name + ": " + said
		}
	}
	return diff.EtcdHealthy, ""
}

// mastersOf are a cluster's masters in the order of their numbers, which is that
// of the root template.
func mastersOf(o *diff.Observed) []diff.Node {
	return slices.DeleteFunc(slices.Clone(o.Nodes), func(n diff.Node) bool {
		g, _ := o.Spec.Group(n.Group)
		return g.Role != roleMaster
	})
}

// members are what the API says of each member of etcd.
func (d *Driver) members(ctx context.Context, o *diff.Observed) (map[string]string, error) {
	ctx, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	c, err := d.inside(ctx, o)
	if err != nil {
		return nil, err
	}
	return c.Members(ctx)
}
