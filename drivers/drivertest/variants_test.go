package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// variant is a driver that breaks one promise.
type variant struct {
	breaks, name string
	wrap         func(*bad)
}

// bad is a driver whose verbs can be replaced.
type bad struct {
	good    drivers.Driver
	m       *Memory
	o       drivers.Options
	observe func(context.Context) ([]diff.Observed, error)
	apply   func(context.Context, diff.Step) error
	inspect func(context.Context, []diff.Observed) ([]diff.Observed, error)
	forget  func(context.Context, schema.Key) error
	probe   func(context.Context, []diff.Observed) ([]diff.Observed, error)
	attend  func(context.Context, drivers.Visit) drivers.Health
	work    func(context.Context, diff.Observed, []string) diff.Observed
	drain   func(context.Context, diff.Step) (map[string]diff.Workload, error)
	open    error
	drivers.Keeper
}

func (b *bad) Attend(ctx context.Context, v drivers.Visit) drivers.Health { return b.attend(ctx, v) }

func (b *bad) Workload(ctx context.Context, o diff.Observed, nodes []string) diff.Observed {
	return b.work(ctx, o, nodes)
}

func (b *bad) Drain(ctx context.Context, s diff.Step) (map[string]diff.Workload, error) {
	return b.drain(ctx, s)
}

// Forget is the verb of drivers.Keeper that is about what may be done.
func (b *bad) Forget(ctx context.Context, k schema.Key) error { return b.forget(ctx, k) }

func (b *bad) Observe(ctx context.Context) ([]diff.Observed, error) { return b.observe(ctx) }
func (b *bad) Inspect(ctx context.Context, have []diff.Observed) ([]diff.Observed, error) {
	return b.inspect(ctx, have)
}

func (b *bad) Probe(ctx context.Context, have []diff.Observed) ([]diff.Observed, error) {
	return b.probe(ctx, have)
}
func (b *bad) Apply(ctx context.Context, s diff.Step) error { return b.apply(ctx, s) }

func (v variant) harness(t testing.TB) *Backend {
	m := NewMemory()
	backend := memoryBackend(t, m)
	open := backend.Open
	backend.Open = func(t testing.TB, change func(*drivers.Options)) (drivers.Driver, error) {
		var o drivers.Options
		d, err := open(t, func(opened *drivers.Options) { change(opened); o = *opened })
		b := &bad{good: d, m: m, o: o, open: err}
		if err == nil {
			b.observe, b.apply, b.inspect = d.Observe, d.Apply, d.(drivers.Inspector).Inspect
			b.Keeper = d.(drivers.Keeper)
			b.forget = b.Keeper.Forget
			b.probe = d.(drivers.Prober).Probe
			a := d.(drivers.Attendant)
			b.attend, b.work, b.drain = a.Attend, a.Workload, a.Drain
		}
		v.wrap(b)
		return b, b.open
	}
	return backend
}

// seeing changes what is observed.
func seeing(change func(b *bad, have []diff.Observed) []diff.Observed) func(*bad) {
	return func(b *bad) {
		b.observe = func(ctx context.Context) ([]diff.Observed, error) {
			have, err := b.good.Observe(ctx)
			if err == nil {
				have = change(b, have)
			}
			return have, err
		}
	}
}

func seeingEach(change func(o *diff.Observed)) func(*bad) {
	return seeing(func(_ *bad, have []diff.Observed) []diff.Observed {
		for i := range have {
			change(&have[i])
		}
		return have
	})
}

func seeingNodes(change func(n *diff.Node)) func(*bad) {
	return seeingEach(func(o *diff.Observed) {
		for i := range o.Nodes {
			change(&o.Nodes[i])
		}
	})
}

// asking changes the steps before they are carried out.
func asking(change func(b *bad, s *diff.Step)) func(*bad) {
	return func(b *bad) {
		b.apply = func(ctx context.Context, s diff.Step) error {
			change(b, &s)
			return b.good.Apply(ctx, s)
		}
	}
}

func forOp(op diff.Op, change func(s *diff.Step)) func(*bad) {
	return asking(func(_ *bad, s *diff.Step) {
		if s.Op == op {
			change(s)
		}
	})
}

// failing changes errors of both verbs.
func failing(change func(error) error) func(*bad) {
	return func(b *bad) {
		if b.open != nil {
			b.open = change(b.open)
			return
		}
		b.observe = func(ctx context.Context) ([]diff.Observed, error) {
			have, err := b.good.Observe(ctx)
			if err != nil {
				err = change(err)
			}
			return have, err
		}
		b.apply = func(ctx context.Context, s diff.Step) error {
			err := b.good.Apply(ctx, s)
			if err != nil {
				err = change(err)
			}
			return err
		}
	}
}

// afterwards does something to the cloud after a step that was accepted.
func afterwards(op diff.Op, do func(c *live)) func(*bad) {
	return func(b *bad) {
		b.apply = func(ctx context.Context, s diff.Step) error {
			err := b.good.Apply(ctx, s)
			if s.Op == op && err == nil {
				b.m.each(s.Cluster.Name, func(_ string, c *live) { do(c) })
			}
			return err
		}
	}
}

func rebootAll(c *live) {
	for i := range c.Nodes {
		c.Nodes[i].State = diff.NodeMoving
	}
}

func bareError(err error) error { return errors.New(err.Error()) }

func variants() []variant {
	return []variant{
		{"ObserveEmpty", "sees what is not there", seeing(func(_ *bad, have []diff.Observed) []diff.Observed {
			return append(have, diff.Observed{Key: schema.Key{Cloud: "memory", Name: "ghost"}})
		})},
		{"ObserveIsSorted", "lists in any order", seeing(func(_ *bad, have []diff.Observed) []diff.Observed {
			slices.Reverse(have)
			return have
		})},
		{"ObserveIsSorted", "lists nodes in any order", seeingEach(func(o *diff.Observed) { slices.Reverse(o.Nodes) })},
		{"ObserveTwiceIsEqual", "puts the time of its look into the value", func(b *bad) {
			n := 0
			seeingEach(func(o *diff.Observed) { n++; o.UpdatedAt = fmt.Sprint(n) })(b)
		}},
		{"RememberedIsEqual", "believes memory in everything", func(b *bad) {
			seeingEach(func(o *diff.Observed) {
				if b.o.Memory != nil {
					if old, ok := b.o.Memory.Recall(o.Key.Cloud)[o.ID]; ok {
						*o = old
					}
				}
			})(b)
		}},

		{"ProbeChangesNothing", "remembers the answer", seeingEach(func(o *diff.Observed) { o.Etcd = diff.EtcdHealthy })},
		{"ProbeChangesNothing", "tells what it saw on the way", func(b *bad) {
			b.probe = func(ctx context.Context, have []diff.Observed) ([]diff.Observed, error) {
				asked, err := b.good.(drivers.Prober).Probe(ctx, have)
				for i := range asked {
					asked[i].Version += "+"
				}
				return asked, err
			}
		}},
		{"ProbeChangesNothing", "forgets a cluster", func(b *bad) {
			b.probe = func(ctx context.Context, have []diff.Observed) ([]diff.Observed, error) {
				return b.good.(drivers.Prober).Probe(ctx, have[1:])
			}
		}},

		{"AttendTellsHealth", "says what time it is", func(b *bad) {
			n := 0
			b.attend = func(ctx context.Context, v drivers.Visit) drivers.Health {
				h := b.good.(drivers.Attendant).Attend(ctx, v)
				n++
				h.Reason["api"] = fmt.Sprint(n)
				return h
			}
		}},
		{"AttendTellsHealth", "forgets a node", func(b *bad) {
			b.attend = func(ctx context.Context, v drivers.Visit) drivers.Health {
				v.Observed.Nodes = v.Observed.Nodes[1:]
				return b.good.(drivers.Attendant).Attend(ctx, v)
			}
		}},
		{"DrainEmptiesOnlyItsNodes", "gives nodes back that leave", func(b *bad) {
			b.attend = func(ctx context.Context, v drivers.Visit) drivers.Health {
				v.Leaving = nil
				return b.good.(drivers.Attendant).Attend(ctx, v)
			}
		}},
		{"DrainEmptiesOnlyItsNodes", "never gives nodes back", func(b *bad) {
			b.attend = func(ctx context.Context, v drivers.Visit) drivers.Health {
				v.Mend = false
				return b.good.(drivers.Attendant).Attend(ctx, v)
			}
		}},
		{"DrainEmptiesOnlyItsNodes", "empties all", func(b *bad) {
			b.drain = func(ctx context.Context, s diff.Step) (map[string]diff.Workload, error) {
				s.Drain = &diff.Drain{}
				for _, n := range s.Have.Nodes {
					s.Drain.Nodes = append(s.Drain.Nodes, n.Name)
				}
				return b.good.(drivers.Attendant).Drain(ctx, s)
			}
		}},
		{"DrainEmptiesOnlyItsNodes", "sees no pods", func(b *bad) {
			b.work = func(ctx context.Context, o diff.Observed, nodes []string) diff.Observed {
				o = b.good.(drivers.Attendant).Workload(ctx, o, nodes)
				clear(o.Workloads)
				return o
			}
		}},
		{"DrainSparesPodsAlone", "evicts everything", func(b *bad) {
			b.drain = func(ctx context.Context, s diff.Step) (map[string]diff.Workload, error) {
				s.Drain = &diff.Drain{Nodes: s.Drain.Nodes, All: true}
				return b.good.(drivers.Attendant).Drain(ctx, s)
			}
		}},
		{"NodeLabelsFollow", "labels everybody", func(b *bad) {
			b.attend = func(ctx context.Context, v drivers.Visit) drivers.Health {
				v.Observed.Nodes = slices.Clone(v.Observed.Nodes)
				for i := range v.Observed.Nodes {
					v.Observed.Nodes[i].Group = schema.DefaultWorker
				}
				return b.good.(drivers.Attendant).Attend(ctx, v)
			}
		}},

		{"CreateThenPlanIsEmpty", "asks for one node less", forOp(diff.Create, func(s *diff.Step) {
			s.To = clone(s.To)
			s.To.Groups[1].NodeCount--
		})},
		{"CreateIsSeenAtOnce", "hides what is in motion", seeing(func(_ *bad, have []diff.Observed) []diff.Observed {
			return slices.DeleteFunc(have, func(o diff.Observed) bool { return inProgress(o.Status) })
		})},
		{"PlanIsCarriedOutToTheEnd", "upgrades nothing", forOp(diff.Upgrade, func(s *diff.Step) { s.Nodes = nil })},
		{"PlanIsCarriedOutToTheEnd", "boots with the old files", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				err := b.good.Apply(ctx, s)
				b.m.each(s.Cluster.Name, func(_ string, c *live) {
					for i := range c.Nodes {
						if s.Op == diff.Upgrade && err == nil {
							c.Nodes[i].Revision = s.Have.Nodes[0].Revision
						}
					}
				})
				return err
			}
		}},
		{"CreateTwice", "makes it anew", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				if s.Op == diff.Create {
					b.m.Remove(s.Cluster.Name)
				}
				return b.good.Apply(ctx, s)
			}
		}},
		{"CreateTwice", "says that a second create is fine", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				if err := b.good.Apply(ctx, s); s.Op != diff.Create || drivers.KindOf(err) != drivers.Conflict {
					return err
				}
				return nil
			}
		}},
		{"CreateAdoptsOwnHalfMadeWork", "makes a second one beside the half-made", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				err := b.good.Apply(ctx, s)
				if s.Op == diff.Create && drivers.KindOf(err) == drivers.Conflict {
					s.Cluster.Name += "-2"
					return b.good.Apply(ctx, s)
				}
				return err
			}
		}},
		{"CreateAdoptsOwnHalfMadeWork", "does not own what it did not finish", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				err := b.good.Apply(ctx, s)
				if s.Op == diff.Create && drivers.KindOf(err) == drivers.Transient {
					b.m.mu.Lock()
					defer b.m.mu.Unlock()
					b.m.clusters["nobody/x"] = b.m.clusters[b.o.Owner+"/"+string(s.Cluster.Name)]
					b.m.clusters["nobody/x"].owner = "nobody"
					delete(b.m.clusters, b.o.Owner+"/"+string(s.Cluster.Name))
				}
				return err
			}
		}},
		{"ProtectionIsWritten", "protects nothing", seeingEach(func(o *diff.Observed) { o.Protected = false })},
		{"ProtectionIsWritten", "protects everything", seeingEach(func(o *diff.Observed) { o.Protected = true })},
		{"SecretsAreSeenAsDigests", "shows what it was given", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				err := b.good.Apply(ctx, s)
				b.m.each(s.Cluster.Name, func(_ string, c *live) {
					for _, text := range s.Want.Secrets {
						c.Type = text.Reveal()
					}
				})
				return err
			}
		}},
		{"SecretsAreSeenAsDigests", "forgets the digest", asking(func(_ *bad, s *diff.Step) {
			s.To = clone(s.To)
			s.To.SecretLabels = nil
		})},
		{"DeleteRemovesEverything", "only forgets whose it is", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				if s.Op != diff.Delete {
					return b.good.Apply(ctx, s)
				}
				b.m.mu.Lock()
				defer b.m.mu.Unlock()
				key := b.o.Owner + "/" + string(s.Cluster.Name)
				c := b.m.clusters[key]
				delete(b.m.clusters, key)
				c.owner = "nobody"
				b.m.clusters["nobody/"+string(s.Cluster.Name)] = c
				return nil
			}
		}},
		{"DeleteRemovesEverything", "deletes the neighbour as well", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				err := b.good.Apply(ctx, s)
				if s.Op == diff.Delete {
					b.m.each("", func(_ string, c *live) { c.Status = diff.DeleteInProgress })
				}
				return err
			}
		}},
		{"DeleteMissing", "fails to delete what is gone", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				if len(b.m.Names()) == 0 && s.Op == diff.Delete {
					return failure(drivers.NotFound, "delete", "it is gone")
				}
				return b.good.Apply(ctx, s)
			}
		}},
		{"KeysAreKeptUntilForgotten", "forgets the keys of a cluster that is there", func(b *bad) {
			b.forget = func(_ context.Context, k schema.Key) error {
				b.m.mu.Lock()
				defer b.m.mu.Unlock()
				delete(b.m.keys, b.o.Owner+"/"+string(k.Name))
				return nil
			}
		}},
		{"KeysAreKeptUntilForgotten", "forgets nothing", func(b *bad) {
			b.forget = func(ctx context.Context, k schema.Key) error {
				if err := b.Keeper.Forget(ctx, k); drivers.KindOf(err) == drivers.Conflict {
					return err
				}
				return b.m.KeepKeys(b.o.Owner, k.Name)
			}
		}},
		{"KeysAreKeptUntilForgotten", "forgets those of all", func(b *bad) {
			b.forget = func(ctx context.Context, k schema.Key) error {
				err := b.Keeper.Forget(ctx, k)
				if err == nil {
					b.m.mu.Lock()
					defer b.m.mu.Unlock()
					clear(b.m.keys)
				}
				return err
			}
		}},
		{"TenInParallel", "loses a call beside another", func(b *bad) {
			var calls atomic.Int32
			b.apply = func(ctx context.Context, s diff.Step) error {
				if calls.Add(1) == 5 {
					return nil
				}
				return b.good.Apply(ctx, s)
			}
		}},

		{"ResizeUpKeepsIdentity", "replaces all members at once", afterwards(diff.Resize, rebootAll)},
		{"ResizeDownRemovesTheChosen", "removes the last", forOp(diff.Resize, func(s *diff.Step) {
			if len(s.Nodes) > 0 {
				of := theWorkers(s.Have)
				s.Nodes = []string{of[len(of)-1].Name}
			}
		})},
		{"FreeNumberIsUsedAgain", "counts on", afterwards(diff.Resize, func(c *live) {
			for i := range c.Nodes {
				if c.Nodes[i].Server == "" {
					c.Nodes[i].Number = 7
				}
			}
			slices.SortFunc(c.Nodes, compareNodes)
		})},
		{"GroupComesAndGoes", "rolls the others for a new group", afterwards(diff.CreateGroup, rebootAll)},
		{"GroupComesAndGoes", "leaves the group in the spec", forOp(diff.DeleteGroup, func(s *diff.Step) {
			s.To = clone(s.Have.Spec)
			for i := range s.To.Groups {
				if s.To.Groups[i].Name == "extra" {
					s.To.Groups[i].NodeCount = 0
				}
			}
		})},
		{"UpdateReplacesNothing", "boots nodes anew for an update", afterwards(diff.Update, rebootAll)},
		{"UpdateReplacesNothing", "does not write what was asked", forOp(diff.Update, func(s *diff.Step) { s.To = s.Have.Spec })},
		{"UpgradeReplacesOnlyTheBatch", "does all at once", forOp(diff.Upgrade, everyWorker)},
		{"UpgradeReplacesOnlyTheBatch", "changes no node", forOp(diff.Upgrade, func(s *diff.Step) { s.Nodes = nil })},
		{"UpgradeReplacesOnlyTheBatch", "does not know who boots what", seeingNodes(func(n *diff.Node) { n.Revision = "" })},
		{"UpgradeKeepsAddresses", "makes new ports", afterwards(diff.Upgrade, func(c *live) {
			for i := range c.Nodes {
				if c.Nodes[i].State == diff.NodeMoving {
					c.Nodes[i].Address = ""
				}
			}
		})},
		{"ResizeAmidUpgradeRollsNothing", "takes the newest file for all", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				err := b.good.Apply(ctx, s)
				b.m.each(s.Cluster.Name, func(_ string, c *live) {
					for i := range c.Nodes {
						if g, _ := s.To.Group(c.Nodes[i].Group); s.Op == diff.Resize && c.Nodes[i].Revision != diff.NodeRevision(s.To, g) {
							c.Nodes[i].State, c.Nodes[i].Revision = diff.NodeMoving, diff.NodeRevision(s.To, g)
						}
					}
				})
				return err
			}
		}},
		{"FailedBootNamesNodeAndReason", "keeps the reason of a node to itself", seeingNodes(func(n *diff.Node) { n.Reason = "" })},
		{"FailedBootNamesNodeAndReason", "names no node", seeingEach(func(o *diff.Observed) { o.Reason = "Resource CREATE failed" })},
		{"FailedBootNamesNodeAndReason", "says that all is well", seeingEach(func(o *diff.Observed) {
			if o.Status == diff.CreateFailed {
				o.Status = diff.CreateComplete
			}
		})},
		{"RecoverReplacesOnlyTheFailed", "recovers all nodes", forOp(diff.Recover, everyWorker)},
		{"RecoverReplacesOnlyTheFailed", "asks for the same and gets the same", forOp(diff.Recover, func(s *diff.Step) { s.Nodes = nil })},
		{"RecoverLeavesOtherFailedNodesAlone", "recovers all that failed", forOp(diff.Recover, func(s *diff.Step) {
			s.Nodes = nil
			for _, n := range s.Have.Nodes {
				if n.State == diff.NodeFailed {
					s.Nodes = append(s.Nodes, n.Name)
				}
			}
		})},
		{"FailedUpgradeStopsAndRecovers", "goes on after a failed batch", func(b *bad) {
			b.observe = func(ctx context.Context) ([]diff.Observed, error) {
				b.m.each("", func(_ string, c *live) {
					if c.Status == diff.UpdateFailed {
						rebootAll(c)
						c.Status = diff.UpdateInProgress
					}
				})
				b.m.Tick()
				return b.good.Observe(ctx)
			}
		}},

		{"FailedCreateRecovers", "starts over with a new cluster", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				if s.Op != diff.Recover {
					return b.good.Apply(ctx, s)
				}
				b.m.Remove(s.Cluster.Name)
				return b.good.Apply(ctx, create(s.Want))
			}
		}},
		{"FailedCreateRecovers", "leaves it failed", forOp(diff.Recover, func(s *diff.Step) { s.Nodes = nil })},

		{"ForeignIsInvisible", "shows what others own", seeing(func(b *bad, have []diff.Observed) []diff.Observed {
			b.m.each("", func(_ string, c *live) {
				if c.owner != b.o.Owner {
					have = append(have, c.show(b.o.Cloud))
				}
			})
			slices.SortFunc(have, func(a, b diff.Observed) int { return a.Key.Compare(b.Key) })
			return have
		})},
		{"ForeignNameIsReported", "does not see what stands on its name", seeing(func(_ *bad, have []diff.Observed) []diff.Observed {
			return slices.DeleteFunc(have, func(o diff.Observed) bool { return o.Owner == diff.Foreign })
		})},
		{"ForeignNameIsReported", "deletes what is not its own", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				if s.Op == diff.Delete && s.Have.Owner == diff.Foreign {
					b.m.mu.Lock()
					defer b.m.mu.Unlock()
					delete(b.m.clusters, "/"+string(s.Cluster.Name))
					return nil
				}
				return b.good.Apply(ctx, s)
			}
		}},
		{"TagsLostIsSeen", "loses what lost its tags", seeing(func(_ *bad, have []diff.Observed) []diff.Observed {
			return slices.DeleteFunc(have, func(o diff.Observed) bool { return o.Owner == diff.TagsLost })
		})},
		{"TagsLostIsSeen", "does not look at tags", seeingEach(func(o *diff.Observed) { o.Owner = diff.Ours })},
		{"AdoptWritesTagsAgain", "forgets the tags in its updates", afterwards(diff.Adopt, func(c *live) { c.Owner = diff.TagsLost })},
		{"AdoptWritesTagsAgain", "rolls the nodes for the tags", afterwards(diff.Adopt, rebootAll)},
		{"DeletedByHandIsReported", "is silent about what is gone", seeing(func(_ *bad, have []diff.Observed) []diff.Observed {
			return slices.DeleteFunc(have, func(o diff.Observed) bool { return o.Status == diff.DeleteComplete })
		})},
		{"HandMadeChangeIsDrift", "sees no drift", seeingEach(func(o *diff.Observed) { o.Drift = nil })},
		{"HandMadeChangeIsDrift", "sees drift everywhere", seeingEach(func(o *diff.Observed) {
			o.Drift = []diff.Drift{{Field: "template", Detail: "differs"}}
		})},
		{"ServerDeletedByHandIsMissing", "believes that a node has its server", func(b *bad) {
			b.inspect = func(_ context.Context, have []diff.Observed) ([]diff.Observed, error) { return have, nil }
		}},
		{"ServerDeletedByHandIsMissing", "misses every server", func(b *bad) {
			b.inspect = func(_ context.Context, have []diff.Observed) ([]diff.Observed, error) {
				for i := range have {
					have[i].Nodes = slices.Clone(have[i].Nodes)
					for j := range have[i].Nodes {
						have[i].Nodes[j].State = diff.NodeMissing
					}
				}
				return have, nil
			}
		}},

		{"StaleVersionIsConflict", "does not look before it writes", asking(func(b *bad, s *diff.Step) {
			b.m.each(s.Cluster.Name, func(_ string, c *live) { s.Observed = c.Version })
		})},
		{"StaleVersionIsConflict", "looks before all but a delete", asking(func(b *bad, s *diff.Step) {
			if s.Op == diff.Delete {
				b.m.each(s.Cluster.Name, func(_ string, c *live) { s.Observed = c.Version })
			}
		})},
		{"StaleVersionIsConflict", "has one version for ever", func(b *bad) {
			asking(func(b *bad, s *diff.Step) {
				b.m.each(s.Cluster.Name, func(_ string, c *live) { s.Observed = c.Version })
			})(b)
			seeingEach(func(o *diff.Observed) { o.Version = "1" })(b)
		}},
		{"ListThatLiesIsAnError", "believes an empty list", func(b *bad) {
			b.observe = func(ctx context.Context) ([]diff.Observed, error) {
				have, err := b.good.Observe(ctx)
				if drivers.KindOf(err) == drivers.Unknown {
					err = nil
				}
				return have, err
			}
		}},
		{"ReadOnlyRefusesWrites", "writes although it may only read", func(b *bad) {
			o := b.o
			o.ReadOnly = false
			b.apply = (&memoryDriver{b.m, o}).Apply
		}},
		{"ReadOnlyRefusesWrites", "says that it did", func(b *bad) {
			b.apply = func(ctx context.Context, s diff.Step) error {
				if b.o.ReadOnly {
					return nil
				}
				return b.good.Apply(ctx, s)
			}
		}},
		{"CancelledContextEndsSoon", "listens before it starts and never again", func(b *bad) {
			b.observe = func(ctx context.Context) ([]diff.Observed, error) {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				return b.good.Observe(context.WithoutCancel(ctx))
			}
		}},
		{"CancelledContextEndsSoon", "does not listen to its context", func(b *bad) {
			b.observe = func(ctx context.Context) ([]diff.Observed, error) { return b.good.Observe(context.WithoutCancel(ctx)) }
			b.apply = func(ctx context.Context, s diff.Step) error { return b.good.Apply(context.WithoutCancel(ctx), s) }
		}},
		{"ServerErrorIsTransient", "has one kind of error", failing(bareError)},
		{"ServerErrorIsTransient", "takes an error for an empty list", func(b *bad) {
			b.observe = func(ctx context.Context) ([]diff.Observed, error) {
				have, err := b.good.Observe(ctx)
				if drivers.KindOf(err) == drivers.Transient {
					err = nil
				}
				return have, err
			}
		}},
		{"WrongCredentialsAreDenied", "has one kind of error", failing(bareError)},
		{"QuotaIsRejected", "has one kind of error", failing(bareError)},
		{"QuotaIsRejected", "does not say what it was", failing(func(error) error { return failure(drivers.Rejected, "create", "400") })},
		{"BadFlavorIsRejected", "has one kind of error", failing(bareError)},
		{"BadFlavorIsRejected", "takes any flavor", forOp(diff.Create, func(s *diff.Step) {
			s.To = clone(s.To)
			for i := range s.To.Groups {
				s.To.Groups[i].Flavor = "m1.small"
			}
		})},
	}
}

func everyWorker(s *diff.Step) {
	s.Nodes = nil
	for _, n := range theWorkers(s.Have) {
		s.Nodes = append(s.Nodes, n.Name)
	}
}
