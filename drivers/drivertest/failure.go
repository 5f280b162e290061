package drivertest

import (
	"context"
	"strings"
	"time"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

const (
	soon     = 2 * time.Second        // in which a cancelled call has to end
	underWay = 100 * time.Millisecond // by which a call has sent its request
)

// A step is carried out on what it was planned on, or not at all.
func staleVersionIsConflict(w *world) {
	c, old := w.running("a", workers(1))
	two, three := changed(c, workers(2)), changed(c, workers(3))
	now := w.carryOut(resize(two, old))
	if now.Version == old.Version {
		w.Fatalf("the version is still %q after a resize", now.Version)
	}
	w.noWrites(func() {
		for _, s := range []diff.Step{resize(three, old), step(diff.Upgrade, three, old, theWorkers(old)[0].Name), remove(old)} {
			w.want(drivers.Conflict, w.driver.Apply(w.Context(), s))
			w.want(drivers.Conflict, w.open(nil).Apply(w.Context(), s))
		}
	})
	w.Settle(w.TB)
	w.equal(now, w.see(c))
}

// An empty list is no proof that everything is gone.
func listThatLiesIsAnError(w *world) {
	w.running("a", nil)
	seen := remember(w.observe())
	w.driver = w.open(func(o *drivers.Options) { o.Memory = seen })
	undo := w.Fault(w.TB, EmptyList)
	have, err := w.driver.Observe(w.Context())
	if err == nil || have != nil {
		w.Errorf("have error %v and\n%swant an error alone", err, show(have))
	}
	undo()
	w.equal([]diff.Observed(seen), w.observe())
}

func readOnlyRefusesWrites(w *world) {
	c, o := w.running("a", nil)
	w.noWrites(func() {
		w.driver = w.open(func(o *drivers.Options) { o.ReadOnly = true })
		w.equal(o, w.see(c))
		for _, s := range []diff.Step{create(w.cluster("b", nil)), resize(changed(c, workers(5)), o), remove(o)} {
			if err := w.driver.Apply(w.Context(), s); err == nil {
				w.Errorf("%s was accepted by a driver that only reads", s.Op)
			}
		}
	})
}

func cancelledContextEndsSoon(w *world) {
	c, o := w.running("a", nil)
	s := resize(changed(c, workers(2)), o)
	observe := func(ctx context.Context) error { _, err := w.driver.Observe(ctx); return err }
	apply := func(ctx context.Context) error { return w.driver.Apply(ctx, s) }

	w.noWrites(func() { // cancelled before it starts
		w.endsSoon("Observe", 0, observe)
		w.endsSoon("Apply", 0, apply)
	})
	defer w.Fault(w.TB, Hang)()
	w.endsSoon("Observe", underWay, observe)
	w.endsSoon("Apply", underWay, apply)
}

// endsSoon fails unless a call ends when its context is cancelled, with an error
// to try again on. after is how long the call is left alone once it runs.
func (w *world) endsSoon(verb string, after time.Duration, call func(context.Context) error) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	running, end := make(chan struct{}), make(chan error, 1)
	if after == 0 {
		cancel()
	}
	go func() {
		close(running)
		end <- call(ctx)
	}()
	<-running
	time.AfterFunc(after, cancel)
	select {
	case err := <-end:
		w.want(drivers.Transient, err)
	case <-time.After(after + soon):
		w.Fatalf("%s goes on %s after its context ended", verb, soon)
	}
}

func serverErrorIsTransient(w *world) {
	c, o := w.running("a", nil)
	undo := w.Fault(w.TB, ServerError)
	have, err := w.driver.Observe(w.Context())
	w.want(drivers.Transient, err)
	if have != nil {
		w.Errorf("beside the error there are\n%s", show(have))
	}
	w.want(drivers.Transient, w.driver.Apply(w.Context(), resize(changed(c, workers(2)), o)))
	undo()
	w.inSync(c, w.see(c))
}

func wrongCredentialsAreDenied(w *world) {
	defer w.Fault(w.TB, WrongCredentials)()
	_, err := w.tryOpen(nil)
	w.want(drivers.Denied, err)
}

func quotaIsRejected(w *world) {
	defer w.Fault(w.TB, Quota)()
	w.isRefused(w.cluster("a", workers(2)), "quota")
}

func badFlavorIsRejected(w *world) {
	w.isRefused(w.cluster("a", func(s *schema.Spec) {
		for i := range s.Groups {
			s.Groups[i].Flavor = NoSuchFlavor
		}
	}), NoSuchFlavor)
}

// isRefused fails unless a create is refused at once as the author's matter, or
// accepted and then seen to fail; the word tells the author what it was.
func (w *world) isRefused(c *schema.Cluster, word string) {
	w.Helper()
	says := ""
	if err := w.driver.Apply(w.Context(), create(c)); err != nil {
		w.want(drivers.Rejected, err)
		says = err.Error()
	} else {
		w.Settle(w.TB)
		o := w.see(c)
		w.equal(diff.CreateFailed, o.Status)
		says = o.Reason
	}
	if !strings.Contains(strings.ToLower(says), word) {
		w.Errorf("it says %q and not %q", says, word)
	}
}
