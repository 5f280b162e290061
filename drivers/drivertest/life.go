package drivertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

func createThenPlanIsEmpty(w *world) {
	c, _ := w.running("a", workers(2))
	w.inSync(c, w.look(c))
	if plan := w.plan(c); len(plan.Steps)+len(plan.Drift) != 0 || plan.InSync != 1 {
		w.Errorf("nothing changed, planned %+v, drift %v", plan.Steps, plan.Drift)
	}
}

// From one commit to the next, with nothing but what Compute says.
func planIsCarriedOutToTheEnd(w *world) {
	c, _ := w.running("a", workers(2))
	next := changed(c, w.Upgrade)
	workers(3)(&next.Spec)
	w.follow(next)
	w.oneRevision(w.see(next))
	fewer := changed(next, workers(2))
	w.follow(fewer)
}

// Apply returns when the cloud has accepted: from then on the cluster is there.
func createIsSeenAtOnce(w *world) {
	c := w.cluster("a", nil)
	w.apply(create(c))
	before := w.see(c)
	w.Settle(w.TB)
	after := w.see(c)
	w.inSync(c, after)
	w.equal(before.ID, after.ID)
}

func createTwice(w *world) {
	c, o := w.running("a", nil)
	made := w.leftovers(c)
	w.want(drivers.Conflict, w.driver.Apply(w.Context(), create(c)))
	w.want(drivers.Conflict, w.open(nil).Apply(w.Context(), create(c)))
	w.Settle(w.TB)
	w.equal(o.ID, w.see(c).ID)
	w.equal(made, w.leftovers(c))
}

// leftovers in order.
func (w *world) leftovers(c *schema.Cluster) []string {
	w.Helper()
	left := w.Leftovers(w.TB, c)
	slices.Sort(left)
	return left
}

// A create is cut off after each of its writes in turn. Whoever comes next sees
// the cluster, or makes it; either way there is one, and nothing lies about.
func createAdoptsOwnHalfMadeWork(w *world) {
	whole, _ := w.running("whole", nil)
	want := len(w.leftovers(whole))
	for n := 1; ; n++ {
		c := w.cluster(fmt.Sprintf("cut-%d", n), nil)
		w.LoseAnswer(w.TB, n)
		err := w.driver.Apply(w.Context(), create(c))
		if err == nil {
			if n == 1 {
				w.Errorf("the first write got no answer, but Apply says that it was accepted")
			}
			return
		}
		w.want(drivers.Transient, err)
		w.driver = w.open(nil)
		there := false
		for _, o := range w.observe() {
			there = there || o.Key == c.Key
		}
		if err := w.driver.Apply(w.Context(), create(c)); there {
			w.want(drivers.Conflict, err)
		} else if err != nil {
			w.Fatalf("cut off after write %d, the second try failed: %v", n, err)
		}
		w.Settle(w.TB)
		w.inSync(c, w.see(c))
		if left := w.leftovers(c); len(left) != want {
			w.Errorf("cut off after write %d, %d things belong to it, want %d: %v", n, len(left), want, left)
		}
	}
}

func protectionIsWritten(w *world) {
	for _, on := range []bool{true, false} {
		c := w.cluster(fmt.Sprintf("protected-%v", on), nil)
		c.Policy.DeletionProtection = on
		w.equal(on, w.carryOut(create(c)).Protected)
		w.equal(on, w.look(c).Protected)
	}
}

// A secret is made and changed, and nothing that is observed has its text.
func secretsAreSeenAsDigests(w *world) {
	var digests schema.Digester
	c := w.cluster("a", nil)
	for _, text := range []string{"planted-at-first", "planted-later"} {
		const key = "grafana_admin_passwd"
		digest := digests.Digest(key, text)
		c = changed(c, func(s *schema.Spec) { s.SecretLabels = map[string]schema.Secret{key: {Digest: digest}} })
		c.Secrets = map[string]schema.SecretText{digest: schema.NewSecretText(text)}
		w.follow(c)
		w.look(c)
		if seen, err := json.Marshal(w.observe()); err != nil || strings.Contains(string(seen), "planted") {
			w.Errorf("the secret is in what is observed: %v\n%s", err, seen)
		}
	}
}

func deleteRemovesEverything(w *world) {
	c, o := w.running("a", workers(2))
	other, _ := w.running("b", nil)
	if len(w.leftovers(c)) == 0 {
		w.Fatalf("nothing belongs to a cluster that runs: Leftovers does not see it")
	}
	w.apply(remove(o))
	w.Settle(w.TB)
	w.equal([]string(nil), w.leftovers(c))
	if have := w.observe(); len(have) != 1 {
		w.Errorf("want the other one, have\n%s", show(have))
	}
	w.inSync(other, w.see(other))
}

func deleteMissing(w *world) {
	_, o := w.running("a", nil)
	w.apply(remove(o))
	w.apply(remove(o)) // while it goes
	w.Settle(w.TB)
	w.apply(remove(o)) // when it is gone
	if have := w.observe(); len(have) != 0 {
		w.Errorf("want nothing, have\n%s", show(have))
	}
}

// Keys outlive their cluster until they are forgotten, which is refused while it
// is there and takes nobody else's.
func keysAreKeptUntilForgotten(w *world) {
	c, o := w.running("a", nil)
	other, _ := w.running("b", nil)
	keeper, ok := w.driver.(drivers.Keeper)
	if !ok {
		w.Fatalf("the driver keeps no keys")
	}
	_, err := keeper.Keys(w.Context(), w.cluster("never", nil).Key)
	w.want(drivers.NotFound, err)
	w.KeepKeys(w.TB, c)
	w.KeepKeys(w.TB, other)
	kept := w.keys(keeper, c)
	if mine, theirs := kept, w.keys(keeper, other); mine == theirs {
		w.Errorf("two clusters have the same keys")
	}
	w.want(drivers.Conflict, keeper.Forget(w.Context(), c.Key))
	w.equal(kept, w.keys(keeper, c))
	w.apply(remove(o))
	w.Settle(w.TB)
	w.equal(kept, w.keys(keeper, c))
	for range 2 {
		if err := keeper.Forget(w.Context(), c.Key); err != nil {
			w.Errorf("forget what is gone: %v", err)
		}
	}
	_, err = keeper.Keys(w.Context(), c.Key)
	w.want(drivers.NotFound, err)
	w.keys(keeper, other)
	w.apply(remove(w.see(other)))
	w.Settle(w.TB)
	if err := keeper.Forget(w.Context(), other.Key); err != nil {
		w.Errorf("forget the other: %v", err)
	}
}

// keys is what tells the keys of a cluster apart, of which there must be some.
func (w *world) keys(k drivers.Keeper, c *schema.Cluster) string {
	w.Helper()
	keys, err := k.Keys(w.Context(), c.Key)
	if err != nil {
		w.Fatalf("keys of %s: %v", c.Key, err)
	}
	if k.KeptAt(c.Key).Where == "" {
		w.Errorf("it is not known where keys of %s are kept", c.Key)
	}
	return keys.Cluster.String()
}

func tenInParallel(w *world) {
	var wanted []*schema.Cluster
	for i := range 10 {
		wanted = append(wanted, w.cluster(fmt.Sprintf("n%d", i), nil))
	}
	var wg sync.WaitGroup
	for _, c := range wanted {
		wg.Go(func() {
			if err := w.driver.Apply(w.Context(), create(c)); err != nil {
				w.Errorf("create %s: %v", c.Key, err)
			}
			if _, err := w.driver.Observe(w.Context()); err != nil {
				w.Errorf("observe beside it: %v", err)
			}
		})
	}
	wg.Wait()
	w.Settle(w.TB)
	for _, c := range wanted {
		w.inSync(c, w.see(c))
	}
	w.equal(10, len(w.observe()))
}
