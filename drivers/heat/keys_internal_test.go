package heat

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/drivers/sim"
	"jeroboam.io/jeroboam/schema"
)

// driver is one of the bench's owner, with the cloud's Config.
func (b *bench) driver(c schema.CloudConfig) *Driver {
	return &Driver{api: heatAPI{b.cloud}, cloud: b.cloud, cloudName: "c", config: c, owner: b.owner, keyDir: b.keyDir, now: b.now, log: b.log}
}

func (b *bench) key() schema.Key { return schema.Key{Cloud: "c", Name: "a"} }

func (b *bench) mustRing(d *Driver, also ...string) *keyring {
	b.Helper()
	ring, err := d.keyring(b.Context(), b.stack, b.key(), also...)
	if err != nil {
		b.Fatal(err)
	}
	b.secretFiles(ring.files)
	return ring
}

// secretFiles makes sure that nothing of private files is seen.
func (b *bench) secretFiles(files []pki.File) {
	for _, f := range files {
		if f.Private() || f.Name == cloudConf {
			b.secrets = append(b.secrets, strings.Split(f.Text.Reveal(), "\n")[1])
		}
	}
}

// fingerprint tells sets of keys apart.
func fingerprint(k *pki.Keys) string {
	var all []string
	for _, s := range k.Show() {
		all = append(all, s.Fingerprint)
	}
	return strings.Join(all, " ")
}

var (
	barbican = schema.CloudConfig{}
	local    = schema.CloudConfig{Keys: schema.KeysLocal, KeyDelivery: schema.DeliverUserData}
)

func TestKeyring(t *testing.T) {
	t.Run("in Barbican", func(t *testing.T) { ring(onSim(t, sim.Options{}), barbican) })
	t.Run("kept locally", func(t *testing.T) { ring(onSim(t, sim.Options{}), local) })
}

func TestLabKeyring(t *testing.T) { ring(inLab(t), barbican) }

// Made once, found from then on, whole and with nothing beside it.
func ring(b *bench, c schema.CloudConfig) {
	d := b.driver(c)
	first := b.mustRing(d)
	again := b.mustRing(b.driver(c))
	if fingerprint(first.keys) != fingerprint(again.keys) || !maps.Equal(first.refs, again.refs) {
		b.Error("the second call gives other keys")
	}
	if subject := first.keys.Cluster.Certificate().Subject.String(); subject != "CN=kubernetes,OU=c/a" {
		b.Errorf("subject %s", subject)
	}
	if (first.refs == nil) != (c.Keys == schema.KeysLocal) || first.refs != nil && len(first.refs) != len(pki.Names()) {
		b.Errorf("refs %v", first.refs)
	}
	store, err := d.keyStore()
	if err != nil {
		b.Fatal(err)
	}
	if left, err := store.leftovers(b.Context(), nil); err != nil || !slices.Equal(left, []string{b.stack}) {
		b.Errorf("leftovers %v, %v", left, err)
	}
	if err := store.delete(b.Context(), b.stack); err != nil {
		b.Error(err)
	}
	if fingerprint(b.mustRing(d).keys) == fingerprint(first.keys) {
		b.Error("what was deleted came back")
	}
}

// cutter ends everything with the n-th write, which is carried out.
type cutter struct {
	next http.RoundTripper
	cut  context.CancelFunc
	mu   *sync.Mutex
	left *int
}

func (c cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/auth/tokens") {
		c.mu.Lock()
		*c.left--
		last := *c.left == 0
		c.mu.Unlock()
		if last {
			defer c.cut()
		}
	}
	return c.next.RoundTrip(r)
}

// A run is killed after each of its writes in turn. Whoever comes next has whole
// keys, and everybody after that the same.
func TestKeyringIsCutOff(t *testing.T) {
	b := onSim(t, sim.Options{})
	for n := 1; ; n++ {
		b.stack = stackName(b.owner, schema.Key{Cloud: "c", Name: "a"})
		if err := b.delete(b.Context(), b.stack); err != nil {
			b.Fatal(err)
		}
		ctx, cut := context.WithCancel(b.Context())
		whole := b.cloud
		b.wire = func(next http.RoundTripper) http.RoundTripper {
			return cutter{next, cut, new(sync.Mutex), &[]int{n}[0]}
		}
		b.cloud = b.connect("demo", false)
		_, err := b.driver(barbican).keyring(ctx, b.stack, b.key(), cloudConf)
		ended := ctx.Err() == nil
		cut()
		b.wire, b.cloud = nil, whole
		if ended {
			b.Logf("%d writes make a keyring", n-1)
			if n < 10 || err != nil {
				b.Fatalf("%d writes made a keyring: %v", n, err)
			}
			return
		}
		ring := b.mustRing(b.driver(barbican), cloudConf)
		if again := b.mustRing(b.driver(barbican), cloudConf); fingerprint(again.keys) != fingerprint(ring.keys) || !maps.Equal(again.refs, ring.refs) {
			b.Errorf("cut off after write %d: two calls give different keys", n)
		}
	}
}

// Several runs that know nothing of each other make keys of one cluster, all
// within one second of the cloud's clock, which stands.
func TestKeyringManyAtOnce(t *testing.T) {
	for name, c := range map[string]schema.CloudConfig{"in Barbican": barbican, "kept locally": local} {
		t.Run(name, func(t *testing.T) {
			b := onSim(t, sim.Options{})
			rings := make([]*keyring, 8)
			var all sync.WaitGroup
			for i := range rings {
				all.Go(func() {
					var err error
					if rings[i], err = b.driver(c).keyring(b.Context(), b.stack, b.key()); err != nil && drivers.KindOf(err) != drivers.Conflict {
						b.Error(err)
					}
				})
			}
			all.Wait()
			last := b.mustRing(b.driver(c))
			for _, r := range rings {
				if r != nil && fingerprint(r.keys) != fingerprint(last.keys) {
					b.Error("one of them has other keys")
				}
			}
		})
	}
}

// Two runs keep a seed within one second, so that no time tells them apart: who
// sees that steps back, and nothing was made of either.
func TestSeedOfTwoAtOnce(t *testing.T) {
	b := onSim(t, sim.Options{})
	whole := b.vault
	b.wire = func(next http.RoundTripper) http.RoundTripper {
		return between{next, func() {
			if _, err := whole.create(b.Context(), b.name(b.stack, seedFile), b.pem()); err != nil {
				b.Error(err)
			}
		}, new(sync.Once)}
	}
	b.cloud = b.connect("demo", false)
	_, err := b.driver(barbican).keyring(b.Context(), b.stack, b.key())
	b.refused(err, drivers.Conflict, "several runs keep one of "+b.stack)
	if seeds, err := b.list(b.Context(), b.name(b.stack, seedFile)); err != nil || len(seeds) != 1 {
		b.Errorf("%d seeds are left, %v, want the other's", len(seeds), err)
	}
	if refs, err := b.find(b.Context(), b.stack, pki.Names()); err != nil || len(refs) > 0 {
		b.Errorf("it went on: %v, %v", refs, err)
	}
	if err := whole.drop(b.Context(), b.stack, seedFile); err != nil {
		b.Fatal(err)
	}
	b.mustRing(b.driver(barbican))
}

// between does something after the first secret was kept.
type between struct {
	next http.RoundTripper
	do   func()
	once *sync.Once
}

func (x between) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := x.next.RoundTrip(r)
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/v1/secrets") {
		x.once.Do(x.do)
	}
	return answer, err
}

// A file that was lost follows from the seed; without it, it cannot be made
// again, and those that are left stay.
func TestKeyringInPieces(t *testing.T) {
	for name, c := range map[string]schema.CloudConfig{"in Barbican": barbican, "kept locally": local} {
		t.Run(name, func(t *testing.T) {
			b := onSim(t, sim.Options{})
			d := b.driver(c)
			was := b.mustRing(d)
			store, err := d.keyStore()
			if err != nil {
				b.Fatal(err)
			}
			lose := func(file string) {
				if err := store.drop(b.Context(), b.stack, file); err != nil {
					b.Fatal(err)
				}
			}
			lose(pki.EtcdKey)
			if is := b.mustRing(d); fingerprint(is.keys) != fingerprint(was.keys) {
				b.Error("the lost file came back as another")
			}
			lose(pki.EtcdKey)
			lose(seedFile)
			_, err = d.keyring(b.Context(), b.stack, b.key())
			b.refused(err, drivers.Conflict, "7 of the 8 files", "put them back from an export")
			if refs, err := store.find(b.Context(), b.stack, append(pki.Names(), seedFile)); err != nil || len(refs) != 7 {
				b.Errorf("left: %v, %v", refs, err)
			}
		})
	}
}

// A whole set of two halves is no set.
func TestKeyringMixed(t *testing.T) {
	b := onSim(t, sim.Options{})
	d := b.driver(local)
	b.mustRing(d)
	seed, err := newSeed(b.clock.Now())
	if err != nil {
		b.Fatal(err)
	}
	other, err := grow(seed, "c/a")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(d.safe().path(b.stack, pki.ClusterKey), []byte(other[pki.ClusterKey]), 0o600); err != nil {
		b.Fatal(err)
	}
	_, err = d.keyring(b.Context(), b.stack, b.key())
	b.refused(err, drivers.Conflict, "ca.key: it is not the key of the first certificate in ca.crt")
}

// The same seed, the same keys to the byte: what a killed run did not come to
// may be made by another release, so this must not change.
func TestSeedGrowsTheSameKeys(t *testing.T) {
	t.Parallel()
	seed := "-----BEGIN JEROBOAM SEED-----\nAAAAAGoAAAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fIA==\n-----END JEROBOAM SEED-----\n"
	texts, err := grow(seed, "c/a")
	if err != nil {
		t.Fatal(err)
	}
	var files []pki.File
	for name, text := range texts {
		files = append(files, pki.File{Name: name, Text: pki.NewSecret(text)})
	}
	keys, err := pki.Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	const want = "BD:7F:D6:2A:D4:66:8C:B5:00:CE:88:F4:E2:C5:07:22:9C:35:AB:E3:8A:54:18:DF:E9:45:18:4D:19:86:53:7F"
	if have := pki.Fingerprint(keys.Cluster.Certificate()); have != want {
		t.Errorf("cluster authority %s, want %s", have, want)
	}
	for _, bad := range []string{"", "x", strings.Replace(seed, "SEED", "WEED", 2), "-----BEGIN JEROBOAM SEED-----\nAAAA\n-----END JEROBOAM SEED-----\n"} {
		if _, err := grow(bad, "c/a"); err == nil || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%q grows: %v", bad, err)
		}
	}
}

func TestKeysAreKeptLocally(t *testing.T) {
	b := onSim(t, sim.Options{})
	d := b.driver(local)
	b.mustRing(d)
	modes := map[string]os.FileMode{}
	if err := filepath.Walk(b.keyDir, func(path string, info os.FileInfo, err error) error {
		modes[strings.TrimPrefix(path, b.keyDir)] = info.Mode()
		return err
	}); err != nil {
		b.Fatal(err)
	}
	want := map[string]os.FileMode{"": os.ModeDir | 0o700, "/c": os.ModeDir | 0o700, "/c/" + b.stack: os.ModeDir | 0o700, "/c/" + b.stack + "/etcd": os.ModeDir | 0o700}
	for _, file := range append(pki.Names(), seedFile) {
		want["/c/"+b.stack+"/"+file] = 0o600
	}
	if !maps.Equal(modes, want) {
		b.Errorf("have %v\nwant %v", modes, want)
	}
	for _, stack := range []string{"../x", "a", "", stackName("other", b.key())} {
		_, err := d.safe().find(b.Context(), stack, pki.Names())
		b.refused(err, drivers.Unknown, "is no stack of ours")
		b.refused(d.safe().delete(b.Context(), stack), drivers.Unknown, "is no stack of ours")
	}
	if err := os.Chmod(d.safe().path(b.stack, pki.ClusterKey), 0o640); err != nil { // #nosec G302 -- what the test is about
		b.Fatal(err)
	}
	_, err := d.keyring(b.Context(), b.stack, b.key())
	b.refused(err, drivers.Denied, "may be read or written by others than its owner")
}

func TestKeyStoreIsChosen(t *testing.T) {
	b := onSim(t, sim.Options{})
	b.sim.RemoveService("key-manager")
	for name, c := range map[string]struct {
		config schema.CloudConfig
		keyDir string
		words  []string
	}{
		"no Barbican":     {barbican, "/x", []string{"cloud c has no Barbican", "clouds.c.keys: local", "keyDelivery: userData"}},
		"no folder":       {local, "", []string{"there is no stateDir"}},
		"an unknown word": {schema.CloudConfig{Keys: "vault"}, "/x", []string{`clouds.c.keys is "vault"`}},
	} {
		d := b.driver(c.config)
		d.cloud, d.keyDir = b.connect("demo", false), c.keyDir
		_, err := d.keyring(b.Context(), b.stack, b.key())
		b.Log(name)
		b.refused(err, drivers.Denied, c.words...)
	}
}
