package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// What a cluster may take before it counts as stuck. A backend ends by itself
// what takes longer than it was given, so that who is late by half an hour was
// forgotten by it.
const (
	createMinutes = 60  // Magnum's default of create_timeout
	updateMinutes = 200 // as much as any driver gives an update
	deleteMinutes = 90
	graceMinutes  = 30
)

// overdue finds the clusters that are in motion for too long: since when, as the
// end of a sentence.
func (r *Reconciler) overdue(l *look) map[schema.Key]string {
	late := map[schema.Key]string{}
	want := map[schema.Key]*schema.Cluster{}
	for _, c := range l.fleet.Clusters {
		want[c.Key] = c
	}
	for i := range l.have.Clusters {
		o := &l.have.Clusters[i]
		since, minutes, ok := motion(o, want[o.Key], l.memory.last[o.Key])
		if took := time.Duration(minutes) * time.Minute; ok && r.Now().Sub(since) > took+graceMinutes*time.Minute {
			late[o.Key] = fmt.Sprintf("since %s, longer than the %d minutes that it may take", since.UTC().Format(time.RFC3339), minutes)
		}
	}
	return late
}

// motion is since when a cluster is in motion and how many minutes that may
// take. Backends do not say when a delete began; our own note of it does.
func motion(o *diff.Observed, want *schema.Cluster, last Intent) (since time.Time, minutes int, ok bool) {
	stamp := cmp.Or(o.UpdatedAt, o.CreatedAt)
	minutes = updateMinutes
	switch {
	case !strings.HasSuffix(string(o.Status), "_IN_PROGRESS"):
		return since, 0, false
	case o.Status == diff.DeleteInProgress:
		return last.At, deleteMinutes, last.Op == diff.Delete && last.ID == o.ID
	case o.Status == diff.CreateInProgress:
		stamp, minutes = o.CreatedAt, createMinutes
		if want != nil && want.Policy.CreateTimeout > 0 {
			minutes = want.Policy.CreateTimeout
		}
	}
	since, err := time.Parse(time.RFC3339, stamp)
	return since, minutes, err == nil
}

// advise says what somebody can do about a cluster that does not get on, and
// what happens by itself. Empty if nothing is wrong, or if what holds its steps
// says it.
func advise(steps []diff.Step, done Result, late string) string {
	for i := range steps {
		s := &steps[i]
		switch {
		case s.Held != nil:
			continue
		case s.Op == diff.Wait && late != "":
			return stuck(s.Have)
		case s.Op == diff.Recover:
			return recovers(s, done)
		case s.Op == diff.Delete && s.Have.Status == diff.DeleteFailed:
			return "the next run deletes it again; if that fails as well, look at what the reason names: somebody else may use it"
		}
	}
	return ""
}

// stuck is the advice for what moves for too long.
func stuck(o *diff.Observed) string {
	var moving []string
	for _, n := range o.Nodes {
		if n.State == diff.NodeMoving {
			moving = append(moving, n.Name)
		}
	}
	advice := "nothing is done to it while it moves"
	if len(moving) > 0 {
		advice += " (still " + strings.Join(moving, ", ") + ")"
	}
	advice += ": ask the cloud's operator why it does not end"
	if o.Status != diff.DeleteInProgress {
		advice += fmt.Sprintf("; `openstack stack cancel --no-rollback %s` gives it up where it is a stack of Heat, and the next run recovers it", o.ID)
	}
	return advice
}

// recovers is the advice for what failed: what the backend's words hint at, and
// what recover does about it. The words are of no kind that a program could rely
// on, so they decide nothing.
func recovers(s *diff.Step, done Result) string {
	who := "the next run recovers"
	if done.Step.Operation == s.Operation && done.Err == nil {
		who = "recover has begun to bring back"
	}
	what := " it and replaces nothing that works"
	if len(s.Nodes) > 0 {
		what = " " + strings.Join(s.Nodes, ", ") + " and replaces nothing else"
	}
	cause := "if that fails again, mend what the reason names"
	reason := strings.ToLower(s.Have.Reason + s.Why)
	for _, hint := range []struct {
		words []string
		says  string
	}{
		{[]string{"quota", "overlimit", "over_limit"}, "have the project's quota raised, or ask for less in Git: until then that fails again"},
		{[]string{"octavia", "loadbalancer", "load balancer", "load_balancer"}, "ask the cloud's operator about the load balancer (`openstack loadbalancer failover` may mend it): until then that fails again"},
		{[]string{"no valid host"}, "the cloud has no host with room for the flavor: ask for another in Git, or ask the cloud's operator"},
		{[]string{"timed out", "timeout"}, "it took too long: the node's console (`openstack console log show`) says how far it came; a slow mirror or image needs a longer createTimeout"},
		{[]string{"key pair", "keypair"}, "see that the keypair exists for the user that makes clusters"},
	} {
		if slices.ContainsFunc(hint.words, func(w string) bool { return strings.Contains(reason, w) }) {
			cause = hint.says
			break
		}
	}
	return who + what + "; " + cause
}
