// Package heat keeps clusters as Heat stacks.
//
// One root stack per cluster: what its nodes share, and every node as a nested
// stack of its own under a stable name. The root is rendered by us from the
// effective spec and from what is read back of the live stack (layout.go), so
// that a step changes exactly what it says:
//
//	live stack ─► layout ─► layout.next(step) ─► root template + node files ─► one update
//
// Batches are ours, not Heat's: one Apply is one update, which moves one batch;
// the next run sees it finished and starts the next. Heat has no lock and
// accepts an update while another runs, so each write reads the stack first.
//
// Read layout.go for what a stack is made of, observe.go for how it is seen
// (looked.go: the next time; nodes.go: each of its nodes), apply.go for how it is changed, identity.go for whose it is, clustertype.go
// for what is different from one cluster type to the next (docker_ubuntu.go;
// kubernetes.go, and kubernetes_boot.go for what its nodes boot from, which
// userdata.go writes for cloud-init or Ignition). probe.go asks a cluster itself
// how its etcd is, before a master goes, and live.go reaches into it for all else:
// its health, drains, labels of nodes. What is found out
// before anything is touched is in check.go: catalogue.go looks up names, once
// each (images.go, networks.go, volumes.go, services.go), need.go counts what
// would be sent (hot.go), quota.go compares that with what rooms.go says is left.
// keys.go is about the keys of Kubernetes clusters: vault.go and keyslocal.go are
// where they are kept, keysline.go what a boot is given of them, admission.go how
// a master gets in, keyscloud.go the cluster's own way into the cloud.
// api.go is what is asked of Heat, examine.go is for doctor. The templates
// themselves are in package templates.
package heat

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// Driver is the clusters of one owner in one project.
type Driver struct {
	api       heatAPI
	cloud     *openstack.Cloud
	cloudName schema.CloudName
	config    schema.CloudConfig
	owner     string
	instance  string
	memory    drivers.Memory
	keyDir    string
	readOnly  bool
	last      atomic.Pointer[looked]
	insides   insides
	now       func() time.Time
	log       *zap.Logger
}

var (
	_ drivers.Driver    = (*Driver)(nil)
	_ drivers.Checker   = (*Driver)(nil)
	_ drivers.Namer     = (*Driver)(nil)
	_ drivers.Placed    = (*Driver)(nil)
	_ drivers.Inspector = (*Driver)(nil)
	_ drivers.Examiner  = (*Driver)(nil)
	_ drivers.Prober    = (*Driver)(nil)
	_ drivers.Attendant = (*Driver)(nil)
	_ drivers.Keeper    = (*Driver)(nil)
	_ drivers.Open      = Open
)

// Open connects to the cloud of that name. The owner must fit into a tag.
func Open(ctx context.Context, o drivers.Options) (drivers.Driver, error) {
	return open(ctx, o, openstack.Settings{Cloud: o.Cloud, ReadOnly: o.ReadOnly, Log: o.Log, Calls: o.Calls})
}

func open(ctx context.Context, o drivers.Options, settings openstack.Settings) (drivers.Driver, error) {
	for _, tag := range []string{tagOwner + o.Owner, tagInstance + o.Instance} {
		if len(tag) > maxTag || strings.ContainsAny(tag, ",") || o.Owner == "" || o.Instance == "" {
			return nil, &drivers.Error{Kind: drivers.Rejected, Op: "open cloud " + string(o.Cloud), Err: fmt.Errorf(
				"owner %q and instance %q go into stack tags: not empty, no comma, tag at most %d characters", o.Owner, o.Instance, maxTag)}
		}
	}
	cloud, err := openstack.Connect(ctx, settings)
	if err != nil {
		return nil, err
	}
	return &Driver{
		api: heatAPI{cloud}, cloud: cloud, cloudName: o.Cloud, config: o.Config,
		owner: o.Owner, instance: o.Instance, memory: o.Memory, keyDir: o.KeyDir, readOnly: o.ReadOnly, now: clock(o), log: o.Log,
	}, nil
}

func clock(o drivers.Options) func() time.Time {
	if o.Now == nil {
		return time.Now
	}
	return o.Now
}

// Place is the project that the credential is scoped to.
func (d *Driver) Place(context.Context) (drivers.Place, error) {
	t := d.cloud.Token()
	return drivers.Place{AuthURL: t.AuthURL, Region: t.Region, ProjectID: t.ProjectID}, nil
}
