package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile/record"
	"jeroboam.io/jeroboam/schema"
)

// preFlight is what `validate --cloud` does besides: it asks clouds what a live
// plan would ask them about clusters that are not there, and plans nothing.
type preFlight struct {
	clouds []string // "all" stands for those of the fleet
	names  bool     // tell the names of every cluster, not only of those that are cut
}

func (p *preFlight) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&p.clouds, "cloud", nil, "also check against this `cloud` of clouds.yaml, all for those of the fleet; only sends GET")
	cmd.Flags().BoolVar(&p.names, "names", false, "with --cloud: show what stacks and nodes of every cluster are called")
}

// preFlight adds what clouds say to a validation. exit is what the program exits
// with, once that is shown, if a cloud could not be asked.
func (a *app) preFlight(ctx context.Context, p preFlight, fleet *schema.Fleet, v *view.Validation) (exit, err error) {
	if len(p.clouds) == 0 {
		return nil, nil
	}
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	store, err := record.View(ctx, config.StateDir)
	if err != nil {
		return nil, err
	}
	defer closeStore(store, &err)
	asked := a.askClouds(ctx, config, store, cloudsToAsk(fleet, p.clouds), fleet)
	v.Preflight = &view.Preflight{Checked: []view.CheckedCloud{}, Names: []view.ClusterNames{}}
	merged := problemsByPlace{}
	for _, s := range asked {
		v.Preflight.Checked = append(v.Preflight.Checked, s.sum())
		v.Preflight.Names = append(v.Preflight.Names, s.names(p.names || a.json())...)
		s.problems(&merged)
		if s.err != nil {
			exit = outcome(exitError)
		}
	}
	v.Problems = append(slices.Clone(v.Problems), merged.all()...)
	v.Problems.Sort()
	return exit, nil
}

// cloudsToAsk are the clouds that flags name, sorted, each once.
func cloudsToAsk(fleet *schema.Fleet, flags []string) []schema.CloudName {
	var clouds []schema.CloudName
	for _, f := range flags {
		if f != "all" {
			clouds = append(clouds, schema.CloudName(f))
			continue
		}
		for _, c := range fleet.Clusters {
			clouds = append(clouds, c.Cloud)
		}
	}
	slices.Sort(clouds)
	return slices.Compact(clouds)
}

// cloudAnswer is what one cloud said of the fleet's clusters.
type cloudAnswer struct {
	cloud   schema.CloudName
	want    []*schema.Cluster
	driver  drivers.Driver
	foreign map[schema.Key]bool
	found   map[schema.Key][]diff.Objection
	err     error
}

// askClouds asks a few clouds beside each other. One that fails hides no other.
func (a *app) askClouds(ctx context.Context, c schema.Config, store *record.Store, clouds []schema.CloudName, fleet *schema.Fleet) []*cloudAnswer {
	answers := make([]*cloudAnswer, len(clouds))
	group := errgroup.Group{}
	group.SetLimit(16)
	for i, name := range clouds {
		s := &cloudAnswer{cloud: name}
		for _, want := range fleet.Clusters {
			if want.Cloud == name {
				s.want = append(s.want, want)
			}
		}
		answers[i] = s
		group.Go(func() error {
			s.err = a.askCloud(ctx, c, store, s)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error: each is in its answer
	return answers
}

func (a *app) askCloud(ctx context.Context, c schema.Config, store *record.Store, s *cloudAnswer) (err error) {
	if s.driver, err = a.reader(ctx, c, store, s.cloud); err != nil {
		return err
	}
	checker, ok := s.driver.(drivers.Checker)
	if !ok {
		return errors.New("its driver cannot check anything beforehand")
	}
	have, err := s.driver.Observe(ctx)
	if err != nil {
		return err
	}
	s.foreign = map[schema.Key]bool{}
	for _, o := range have {
		s.foreign[o.Key] = o.Owner == diff.Foreign
	}
	s.found, err = checker.Check(ctx, s.want, have)
	return err
}

// reader opens a cloud for reading alone.
func (a *app) reader(ctx context.Context, c schema.Config, store *record.Store, name schema.CloudName) (drivers.Driver, error) {
	o := a.options(c, name)
	o.Memory, o.ReadOnly = store, true
	return a.drivers.Open(ctx, o)
}

// sum counts the clusters by what was found.
func (s *cloudAnswer) sum() view.CheckedCloud {
	sum := view.CheckedCloud{Cloud: s.cloud, Clusters: len(s.want)}
	if s.err != nil {
		sum.Error = s.err.Error()
		return sum
	}
	for _, c := range s.want {
		wrong := slices.ContainsFunc(s.found[c.Key], func(o diff.Objection) bool { return o.Holds() })
		switch {
		case wrong || s.foreign[c.Key]:
			sum.Wrong++
		case len(s.found[c.Key]) > 0:
			sum.Unsure++
		default:
			sum.Fine++
		}
	}
	return sum
}

// names of the clusters: of all, or of those for which a name of Git was changed.
func (s *cloudAnswer) names(all bool) []view.ClusterNames {
	namer, ok := s.driver.(drivers.Namer)
	if !ok {
		return nil
	}
	var names []view.ClusterNames
	for _, c := range s.want {
		if n := namer.Names(c); all || n.Changed {
			names = append(names, view.ClusterNames{Cluster: c.Key, Names: n})
		}
	}
	return names
}

func (s *cloudAnswer) problems(merged *problemsByPlace) {
	for _, c := range s.want {
		if s.foreign[c.Key] {
			merged.add(c, diff.Objection{
				Code: schema.CodeNameConflict, Field: "name",
				Reason: "what has its name in the cloud is not ours: somebody else's stack has to go, or this cluster needs another name",
			})
		}
		for _, o := range s.found[c.Key] {
			merged.add(c, o)
		}
	}
}

// problemsByPlace are objections as problems. One that many clusters share,
// because their template has it or a role is missing, is told once.
type problemsByPlace struct {
	order []*sharedProblem
	by    map[sharedProblem]*sharedProblem
	who   map[*sharedProblem][]schema.Key
}

type sharedProblem struct {
	code          schema.Code
	pos           schema.Pos // of what could not be seen: none
	field, reason string
}

func (p *problemsByPlace) add(c *schema.Cluster, o diff.Objection) {
	if p.by == nil {
		p.by, p.who = map[sharedProblem]*sharedProblem{}, map[*sharedProblem][]schema.Key{}
	}
	pos := c.Where(o.Field)
	key := sharedProblem{o.Code, pos, o.Field, o.Reason}
	if o.Unknown {
		key.code, key.pos = schema.CodeUnseen, schema.Pos{}
	}
	shared := p.by[key]
	if shared == nil {
		shared = &sharedProblem{key.code, pos, o.Field, o.Reason}
		p.by[key] = shared
		p.order = append(p.order, shared)
	}
	p.who[shared] = append(p.who[shared], c.Key)
}

func (p *problemsByPlace) all() schema.Problems {
	var all schema.Problems
	for _, s := range p.order {
		field := ""
		if s.field != "" {
			field = s.field + ": "
		}
		all = append(all, schema.Problemf(s.pos, s.code, "%s: %s%s", several(p.who[s]), field, s.reason))
	}
	return all
}

// several names the first few.
func several(keys []schema.Key) string {
	var names []string
	for i, k := range keys {
		if i == 2 && len(keys) > 3 {
			names = append(names, fmt.Sprintf("%d more", len(keys)-2))
			break
		}
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}
