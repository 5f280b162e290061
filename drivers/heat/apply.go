package heat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// Apply starts one step: one create, one update or one delete of the root stack.
func (d *Driver) Apply(ctx context.Context, step diff.Step) error {
	switch step.Op {
	case diff.Create:
		return d.create(ctx, step)
	case diff.Delete:
		return d.delete(ctx, step)
	case diff.Adopt, diff.Resize, diff.Update, diff.Upgrade, diff.CreateGroup, diff.DeleteGroup, diff.Recover:
		return d.update(ctx, step)
	case diff.Wait, diff.None:
	}
	return &drivers.Error{Kind: drivers.Rejected, Op: string(step.Op), Err: errors.New("is nothing to carry out")}
}

func conflict(op, format string, args ...any) error {
	return &drivers.Error{Kind: drivers.Conflict, Op: op, Err: fmt.Errorf(format, args...)}
}

// create makes the root stack. The name is looked up first, and if Heat has it
// all the same by the time of the call, Heat refuses the second.
func (d *Driver) create(ctx context.Context, step diff.Step) error {
	name := stackName(d.owner, step.Cluster)
	switch s, exists, err := d.api.named(ctx, name); {
	case err != nil:
		return err
	case exists:
		return conflict("create stack", "stack %s exists already (%s)", s.Name, s.Status)
	}
	l, err := d.first(ctx, step)
	if err != nil {
		return err
	}
	if err := d.admitNodes(ctx, layout{}, &l, step.Want.Policy.CreateTimeout); err != nil {
		return err
	}
	body, err := l.body()
	if err != nil {
		return &drivers.Error{Kind: drivers.Rejected, Op: "render stack", Err: err}
	}
	body.Name, body.TimeoutMinutes = name, step.Want.Policy.CreateTimeout
	return d.explain(d.api.create(ctx, body))
}

// admitNodes gives the nodes that boot anew between two layouts what is secret in
// their user data, for as long as a boot may take. Everything else that they boot
// from follows from the layout.
func (d *Driver) admitNodes(ctx context.Context, was layout, next *layout, minutes int) error {
	t, err := next.typ()
	if err != nil || !t.kubernetes {
		return err
	}
	var anew []*node
	for i := range next.nodes {
		n := &next.nodes[i]
		if !slices.ContainsFunc(was.nodes, func(o node) bool { return o.Name == n.Name && o.File == n.File }) {
			anew = append(anew, n)
		}
	}
	if len(anew) == 0 {
		return nil
	}
	stack := stackName(d.owner, next.about.key())
	ring, err := d.keyring(ctx, stack, next.about.key(), filesBeside(&next.spec)...)
	if err != nil {
		return err
	}
	role := func(n *node) string {
		g, _ := next.spec.Group(n.Group)
		return roleOf(g)
	}
	give := func(ctx context.Context, n *node, alike bool) (err error) {
		n.Given[givenSecrets], err = d.secretsFor(ctx, ring, bootPass{
			Stack: stack, Node: n.Name, Role: role(n), Boot: bootOf(next.files[n.File]),
			Expires: d.now().Add(bootLife(minutes)), Alike: alike,
		})
		return err
	}
	// Keystone keeps the rules that masters' credentials share when it makes the first.
	if first := slices.IndexFunc(anew, func(n *node) bool { return role(n) == roleMaster }); first >= 0 {
		if err := give(ctx, anew[first], false); err != nil {
			return err
		}
		anew = slices.Delete(anew, first, first+1)
	}
	return beside(ctx, anew, func(ctx context.Context, _ int, n *node) error { return give(ctx, n, true) })
}

// bootLife is how long what lets a node in is good for, when its stack may take
// so many minutes; none: any time.
func bootLife(minutes int) time.Duration {
	if minutes <= 0 {
		return 24 * time.Hour
	}
	return time.Duration(minutes)*time.Minute + 30*time.Minute
}

// explain says what Heat's internal error means when the credential is an
// application credential: the trust that Keystone refused.
func (d *Driver) explain(err error) error {
	fault := openstack.AsFault(err)
	if fault == nil || fault.Status != http.StatusInternalServerError || d.cloud.Token().ApplicationCredential == nil {
		return err
	}
	return &drivers.Error{Kind: drivers.Denied, Op: "create stack with an application credential", Err: fmt.Errorf("%w; "+trustAdvice, err)}
}

// trustAdvice is for those who run the daemon, and their cloud.
const trustAdvice = "Keystone refuses Heat's trust to application credentials: use a password, " +
	"or ask the cloud's operator for [security_compliance] allow_insecure_application_credential_trust_escalation"

// first is the layout of a new cluster.
func (d *Driver) first(ctx context.Context, step diff.Step) (layout, error) {
	distro, err := d.distroOf(ctx, step.To.Image)
	if err != nil {
		return layout{}, err
	}
	t, err := typeFor(step.To, distro)
	if err != nil {
		return layout{}, &drivers.Error{Kind: drivers.Rejected, Op: "choose cluster type", Err: err}
	}
	ca, err := d.cloud.CA()
	if err != nil {
		return layout{}, err
	}
	l := layout{owner: d.owner, ca: ca, about: about{
		Cloud: step.Cluster.Cloud, Name: step.Cluster.Name, Instance: d.instance, Type: t.name, Revision: t.revision,
	}}
	l, err = l.next(step)
	if err != nil {
		return layout{}, &drivers.Error{Kind: drivers.Rejected, Op: "render stack", Err: err}
	}
	return l, nil
}

// body is the create or update that makes a stack look like the layout.
func (l layout) body() (stackBody, error) {
	root, err := l.root()
	if err != nil {
		return stackBody{}, err
	}
	return stackBody{
		Template: root, Files: l.files, Parameters: l.parameters(),
		Tags: strings.Join(l.tags(), ","), DisableRollback: true,
	}, nil
}

// update reads the stack, makes sure that it is as planned and that nothing
// moves, and sends the layout that the step asks for.
func (d *Driver) update(ctx context.Context, step diff.Step) error {
	op := "look before " + string(step.Op)
	s, err := d.stackOf(ctx, step)
	if err != nil {
		return err
	}
	if err := d.asPlanned(op, s, step); err != nil {
		return err
	}
	if s.inProgress() {
		return conflict(op, "stack %s is %s", s.Name, s.Status)
	}
	var works map[string]bool
	if s.failed() {
		if works, err = d.quiet(ctx, op, s); err != nil {
			return err
		}
	}
	l, err := d.live(ctx, op, s)
	if err != nil {
		return err
	}
	if why := l.pin(s); why != "" {
		return conflict(op, "%s", why)
	}
	l.works = works
	next, err := l.next(step)
	if err != nil {
		return &drivers.Error{Kind: drivers.Rejected, Op: op, Err: err}
	}
	t, err := next.typ()
	if err != nil {
		return &drivers.Error{Kind: drivers.Rejected, Op: op, Err: err}
	}
	if err := d.admitNodes(ctx, l, &next, t.updateMinutes); err != nil {
		return err
	}
	body, err := next.body()
	if err != nil {
		return &drivers.Error{Kind: drivers.Rejected, Op: op, Err: err}
	}
	body.TimeoutMinutes = t.updateMinutes
	return d.api.update(ctx, s.path(), body)
}

// stackOf shows the stack that a step was planned on, whatever became of it.
func (d *Driver) stackOf(ctx context.Context, step diff.Step) (shown, error) {
	id, _, _ := strings.Cut(step.Observed, "@")
	return d.api.show(ctx, row{ID: id, Name: stackName(d.owner, step.Cluster)}.path())
}

// asPlanned makes sure that a stack is ours and still at the version that the
// step was planned on.
func (d *Driver) asPlanned(op string, s shown, step diff.Step) error {
	switch {
	case s.Parameters[paramOwner] != d.owner:
		return conflict(op, "stack %s is not ours: its parameter %s is %q", s.Name, paramOwner, s.Parameters[paramOwner])
	case s.version() != step.Observed:
		return conflict(op, "stack %s was planned on as %s and is now %s", s.Name, step.Observed, s.version())
	}
	return nil
}

// quiet makes sure that a failed stack has stopped: its other nodes may still
// be rolling, and Heat would merge our update into theirs. It gives the boots of
// nodes that work all the same.
func (d *Driver) quiet(ctx context.Context, op string, s shown) (works map[string]bool, err error) {
	resources, err := d.api.resources(ctx, s.path())
	if err != nil {
		return nil, err
	}
	for _, r := range resources {
		if strings.HasSuffix(r.Status, "_IN_PROGRESS") {
			return nil, conflict(op, "stack %s is %s, but its %s %s is still %s", s.Name, s.Status, r.Parent, r.Name, r.Status)
		}
	}
	return working(resources), nil
}

// working are the boots that reported, as "node/ready_boot", of nodes of which
// nothing failed but what a server does without: their stacks failed, and they work.
func working(resources []resource) map[string]bool {
	booted, broken := map[string]bool{}, map[string]bool{}
	for _, r := range resources {
		switch {
		case r.Parent == "":
		case strings.HasSuffix(r.Status, "_FAILED"):
			broken[r.Parent] = broken[r.Parent] || r.Name != "floating_ip"
		case strings.HasPrefix(r.Name, "ready_") && slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE"}, r.Status):
			booted[r.Parent+"/"+r.Name] = true
		}
	}
	maps.DeleteFunc(booted, func(boot string, _ bool) bool { return broken[path.Dir(boot)] })
	return booted
}

// live is the layout of a stack with the texts of its node files.
func (d *Driver) live(ctx context.Context, op string, s shown) (layout, error) {
	root, err := d.api.template(ctx, s.path())
	if err != nil {
		return layout{}, err
	}
	files, err := d.api.files(ctx, s.path())
	if err != nil {
		return layout{}, err
	}
	l, why := d.layoutOf(s, root)
	if why != "" {
		return layout{}, conflict(op, "%s", why)
	}
	l.files = files
	l.about.Instance = d.instance
	l.ca, err = d.cloud.CA()
	return l, err
}

// delete removes the root stack and with it everything below. What is gone or
// goes already is fine.
func (d *Driver) delete(ctx context.Context, step diff.Step) error {
	s, err := d.stackOf(ctx, step)
	if gone(err) || err == nil && (s.status() == diff.DeleteComplete || s.status() == diff.DeleteInProgress) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.asPlanned("look before delete", s, step); err != nil {
		return err
	}
	if err := d.api.delete(ctx, s.path()); err != nil && !gone(err) {
		return err
	}
	return nil
}
