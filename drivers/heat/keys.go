package heat

import (
	"context"
	"crypto/rand"
	"crypto/sha3"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// keyStore is where the keys of clusters are kept: vault or safe. The promises
// are those of vault's methods; what a reference is, the store knows.
type keyStore interface {
	put(ctx context.Context, stack string, texts map[string]string) (refs map[string]string, err error)
	find(ctx context.Context, stack string, files []string) (refs map[string]string, err error)
	get(ctx context.Context, refs map[string]string) (texts map[string]string, err error)
	claim(ctx context.Context, stack, file, text string) (string, error)
	drop(ctx context.Context, stack, file string) error
	delete(ctx context.Context, stack string) error
	leftovers(ctx context.Context, stacks []string) ([]string, error)
}

var (
	_ keyStore = vault{}
	_ keyStore = safe{}
)

func (d *Driver) vault() vault {
	return vault{cloud: d.cloud, cloudName: d.cloudName, owner: d.owner, log: d.log}
}

// keyStore is the one that the Config asks for. Keys on our own disk are lost
// with it, so nobody gets that without having said so.
func (d *Driver) keyStore() (keyStore, error) {
	refuse := func(format string, args ...any) (keyStore, error) {
		return nil, &drivers.Error{Kind: drivers.Denied, Op: "choose a key store", Err: fmt.Errorf(format, args...)}
	}
	switch d.config.Keys {
	case "", schema.KeysBarbican:
		if !d.cloud.Has("key-manager") {
			return refuse("cloud %[1]s has no Barbican (key-manager) to keep the keys of Kubernetes clusters in: "+
				"ask its operator for one, or set clouds.%[1]s.keys: local with keyDelivery: userData in the Config, "+
				"which keeps them below stateDir and lets everybody in the project read them", d.cloudName)
		}
		return d.vault(), nil
	case schema.KeysLocal:
		if d.keyDir == "" {
			return refuse("clouds.%s.keys is local, and there is no stateDir to keep them below", d.cloudName)
		}
		return d.safe(), nil
	}
	return refuse("clouds.%s.keys is %q: expected barbican or local", d.cloudName, d.config.Keys)
}

// keyring is a cluster's keys as they are kept.
type keyring struct {
	keys  *pki.Keys
	refs  map[string]string // ids of Barbican's secrets by file; nil when kept locally
	files []pki.File        // all that a master gets, in the order of pki.Names; then cloudConf, if it was asked for
}

// keyring finds the keys that are kept under a stack's name, or makes keys and
// keeps them; either way it gives what the store then has, which others may have
// put there. also are files that are wanted beside the authorities': cloudConf,
// or none. A run that was killed anywhere in it can be repeated, and of several
// at once all get the same keys, or a Conflict and the same keys later.
//
// Denied: there is no store, or none for us. Conflict: what is kept is in
// pieces that nothing can be made of, or changes just now.
func (d *Driver) keyring(ctx context.Context, stack string, key schema.Key, also ...string) (*keyring, error) {
	store, err := d.keyStore()
	if err != nil {
		return nil, err
	}
	if vault, ok := store.(vault); ok {
		if err := vault.sweep(ctx, d.now()); err != nil { // those of other boots: in nobody's way
			d.log.Warn("expired admissions not removed", zap.String("cluster", key.String()), zap.Error(err))
		}
	}
	k, err := readKept(ctx, store, stack, append(pki.Names(), also...))
	if err != nil {
		return nil, err
	}
	if !k.complete() {
		if err := k.make(ctx, key, d.now()); err != nil {
			return nil, err
		}
	}
	for _, file := range also {
		if file != cloudConf {
			return nil, &drivers.Error{Kind: drivers.Unknown, Op: "make keys", Err: fmt.Errorf("there is no file %q", file)}
		}
		if err := d.keepCloudConf(ctx, k); err != nil {
			return nil, err
		}
	}
	return k.ring(also)
}

// keptKeys are the files of one stack in a store.
type keptKeys struct {
	store       keyStore
	stack       string
	refs, texts map[string]string // by file; of what is kept
}

func readKept(ctx context.Context, store keyStore, stack string, files []string) (*keptKeys, error) {
	refs, err := store.find(ctx, stack, files)
	if err != nil {
		return nil, err
	}
	texts, err := store.get(ctx, refs)
	return &keptKeys{store, stack, refs, texts}, err
}

// complete says that everything is there that pki.Parse wants.
func (k *keptKeys) complete() bool {
	return !slices.ContainsFunc(pki.Names(), func(file string) bool { return k.refs[file] == "" })
}

// keep puts texts into the store and takes from it what counts.
func (k *keptKeys) keep(ctx context.Context, texts map[string]string) error {
	refs, err := k.store.put(ctx, k.stack, texts)
	if err != nil {
		return err
	}
	have, err := k.store.get(ctx, refs)
	if err != nil {
		return err
	}
	for file := range texts {
		k.refs[file], k.texts[file] = refs[file], have[file]
	}
	return nil
}

// drop removes a file from the store.
func (k *keptKeys) drop(ctx context.Context, file string) error {
	delete(k.refs, file)
	delete(k.texts, file)
	return k.store.drop(ctx, k.stack, file)
}

// seedFile is all the randomness of a cluster's keys. It is kept before them, and
// stays: who began before it was there would make other keys after it is gone.
const seedFile = "seed"

// make makes the keys, or those that a killed run did not come to.
//
// The trap: eight files cannot be kept at once, so a run may be killed between
// two, and two runs may each keep a half. That is why a seed is kept first, of
// which there is one for all: the keys follow from it to the byte, so whoever
// makes keys of this stack makes the same ones.
func (k *keptKeys) make(ctx context.Context, key schema.Key, now time.Time) error {
	seed, n := "", k.count()
	if n == 0 {
		var err error
		if seed, err = newSeed(now); err != nil {
			return err
		}
	}
	seed, err := k.store.claim(ctx, k.stack, seedFile, seed)
	switch {
	case err != nil:
		return err
	case seed == "":
		return conflict("make keys", "%d of the %d files of %s's keys are kept, and the others are lost: put them back from an export "+
			"(jeroboam ca export), or delete them all if no cluster runs with them", n, len(pki.Names()), k.stack)
	}
	texts, err := grow(seed, keysName(key))
	if err != nil {
		return &drivers.Error{Kind: drivers.Conflict, Op: "make keys of " + k.stack, Err: err}
	}
	return k.keep(ctx, texts)
}

// count is how many files of the keys are kept.
func (k *keptKeys) count() (n int) {
	for _, file := range pki.Names() {
		if k.refs[file] != "" {
			n++
		}
	}
	return n
}

// ring checks what is kept and gives it away.
func (k *keptKeys) ring(also []string) (*keyring, error) {
	ring := &keyring{}
	for _, name := range pki.Names() {
		ring.files = append(ring.files, pki.File{Name: name, Text: pki.NewSecret(k.texts[name])})
	}
	var err error
	if ring.keys, err = pki.Parse(ring.files); err != nil {
		return nil, conflict("read keys of "+k.stack, "what is kept is no set of keys: %w; put it back from an export, or delete it if no cluster runs with it", err)
	}
	for _, name := range also {
		ring.files = append(ring.files, pki.File{Name: name, Text: pki.NewSecret(k.texts[name])})
	}
	if _, local := k.store.(safe); local {
		return ring, nil
	}
	ring.refs = map[string]string{}
	for _, f := range ring.files {
		ring.refs[f.Name] = k.refs[f.Name]
	}
	return ring, nil
}

// keysName is what the subjects of a cluster's authorities say, cut to what
// pki.New takes.
func keysName(key schema.Key) string {
	name := []rune(key.String())
	return string(name[:min(len(name), 64)])
}

// pemSeed is the type of a seed: eight bytes of Unix time, which is when the
// authorities begin, and 32 random ones.
const pemSeed = "JEROBOAM SEED"

const seedBytes = 8 + 32

func newSeed(now time.Time) (string, error) {
	seed := make([]byte, seedBytes)
	binary.BigEndian.PutUint64(seed, uint64(now.Unix())) // #nosec G115 -- it is after 1970
	if _, err := rand.Read(seed[8:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: pemSeed, Bytes: seed})), nil
}

// grow makes the keys of a seed, by file: the same seed, the same keys. What
// pki.New reads is the output of SHAKE256 (FIPS 202) of the whole seed.
func grow(seed, name string) (map[string]string, error) {
	block, _ := pem.Decode([]byte(seed))
	if block == nil || block.Type != pemSeed || len(block.Bytes) != seedBytes {
		return nil, errors.New("the seed that is kept is none: delete it if no cluster runs with keys of it")
	}
	stream := sha3.NewSHAKE256()
	if _, err := stream.Write(block.Bytes); err != nil {
		return nil, err
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(block.Bytes)), 0) // #nosec G115 -- as newSeed wrote it
	keys, err := pki.New(name, 0, made, stream)
	if err != nil {
		return nil, err
	}
	files, err := keys.Files()
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, f := range files {
		texts[f.Name] = f.Text.Reveal()
	}
	return texts, nil
}
