package heat

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// probe is one service that clusters need, and the role that its policy wants
// where the usual ones (member, reader) are not enough.
type probe struct {
	service, path string
	role          string
	optional      bool
}

func probes() []probe {
	one := "?limit=1"
	return []probe{
		{service: "orchestration", path: "/stacks" + one},
		{service: "compute", path: "/servers" + one},
		{service: "network", path: "/networks" + one},
		{service: "image", path: "/images" + one},
		{service: "block-storage", path: "/volumes" + one, optional: true},
		{service: "load-balancer", path: "/lbaas/loadbalancers" + one, role: "load-balancer_observer, or load-balancer_member to create", optional: true},
		{service: "key-manager", path: "/secrets" + one, role: "observer, or creator to create", optional: true},
	}
}

// Examine shows who the credential is, what it may read and, with write, that
// it can make a stack.
func (d *Driver) Examine(ctx context.Context, write bool) []drivers.Finding {
	found := d.credential()
	for _, p := range probes() {
		found = append(found, d.try(ctx, p))
	}
	found = append(found, d.examineKeys(ctx)...)
	if write {
		found = append(found, d.tryStack(ctx))
	}
	return found
}

func (d *Driver) credential() []drivers.Finding {
	t := d.cloud.Token()
	found := []drivers.Finding{
		{Check: "credential", Level: drivers.Fine, Detail: fmt.Sprintf("user %s in project %s (%s), region %s, at %s",
			t.UserName, t.ProjectName, t.ProjectID, t.Region, t.AuthURL)},
		{Check: "roles", Level: drivers.Fine, Detail: strings.Join(t.Roles, ", ")},
	}
	if ac := t.ApplicationCredential; ac != nil {
		f := drivers.Finding{Check: "application credential", Level: drivers.Fine, Detail: ac.Name}
		if !d.config.ApplicationCredentialTrusts {
			f.Level, f.Detail = drivers.Missing, ac.Name+": Heat makes a trust for each stack, which current Keystones refuse to application credentials"
			f.Advice = fmt.Sprintf("run doctor --write; if it works, set clouds.%s.applicationCredentialTrusts: true, otherwise use a password", d.cloudName)
		}
		found = append(found, f)
	}
	return found
}

func (d *Driver) try(ctx context.Context, p probe) drivers.Finding {
	f := drivers.Finding{Check: p.service, Level: drivers.Fine, Detail: "can be read"}
	path, query, _ := strings.Cut(p.path, "?")
	values, err := url.ParseQuery(query)
	if err == nil {
		err = d.cloud.Get(ctx, p.service, path, values, nil)
	}
	switch {
	case err == nil:
	case openstack.NoService(err) && p.optional:
		f.Level, f.Detail = drivers.Missing, "the cloud has no such service; clusters that need it cannot be made"
	case drivers.KindOf(err) == drivers.Denied && p.role != "":
		f.Level, f.Detail = drivers.Missing, "refused (403): what clusters have there is unknown"
		f.Advice = "ask the cloud's operator for the role " + p.role
	default:
		f.Level, f.Detail = drivers.Bad, err.Error()
	}
	return f
}

// tryStack makes a stack without resources and removes it: what that needs
// besides roles, above all the trust, no read can show.
func (d *Driver) tryStack(ctx context.Context) drivers.Finding {
	f := drivers.Finding{Check: "create a stack", Level: drivers.Bad}
	name := "jeroboam-doctor-" + token()
	err := d.api.create(ctx, stackBody{
		Name: name, DisableRollback: true, TimeoutMinutes: 5, Tags: "jeroboam-doctor",
		Template: map[string]any{"heat_template_version": "2018-08-31"}, Files: map[string]string{}, Parameters: map[string]string{},
	})
	if err != nil {
		f.Detail = err.Error()
		f.Advice = "ask the cloud's operator for the role that Heat wants of stack owners (often member or heat_stack_owner)"
		if d.cloud.Token().ApplicationCredential != nil {
			f.Advice = trustAdvice
		}
		return f
	}
	status, err := d.outcome(ctx, name)
	if err != nil {
		f.Detail = fmt.Sprintf("stack %s was accepted, then: %v; delete it by hand", name, err)
		return f
	}
	f.Detail = "a stack was made and deleted: " + status
	if status == "CREATE_COMPLETE" {
		f.Level = drivers.Fine
	}
	return f
}

// outcome waits for the probe stack to be made, deletes it and gives the status
// that it had reached.
func (d *Driver) outcome(ctx context.Context, name string) (string, error) {
	ctx, stop := context.WithTimeoutCause(ctx, time.Minute, errors.New("it is not done after a minute"))
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		r, exists, err := d.api.named(ctx, name)
		if err != nil {
			return "", err
		}
		if exists && !r.inProgress() {
			if err := d.api.delete(ctx, r.path()); err != nil {
				return "", err
			}
			return strings.TrimSpace(r.Status + " " + why(r)), nil
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func why(r row) string {
	if r.failed() {
		return r.Reason
	}
	return ""
}

func token() string {
	b := make([]byte, 4)
	if _, err := rand.Read(b); err != nil {
		panic("heat: no random numbers: " + err.Error())
	}
	return hex.EncodeToString(b)
}
