package gitrepo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// Sign gives the armored signature of an encoded commit.
type Sign = func(ctx context.Context, commit []byte) (string, error)

// SignSSH signs as git does with gpg.format ssh. The file is a private key, or a
// public one whose other half the agent has.
func SignSSH(o SSH) Sign {
	keys := &sshKeys{o: o}
	return func(ctx context.Context, commit []byte) (string, error) {
		text, err := os.ReadFile(o.KeyFile)
		if err != nil {
			return "", fmt.Errorf("SSH key: %w", err)
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey(text)
		if err != nil {
			key, err := keys.fromFile()
			if err != nil {
				return "", err
			}
			return sshSign(key, commit)
		}
		return signByAgent(ctx, o, public, commit)
	}
}

func signByAgent(ctx context.Context, o SSH, public ssh.PublicKey, commit []byte) (string, error) {
	if o.Agent == "" {
		return "", fmt.Errorf("SSH key %s is a public one, and there is no agent ($SSH_AUTH_SOCK)", o.KeyFile)
	}
	signers, done, err := fromAgent(ctx, o.Agent)
	if err != nil {
		return "", err
	}
	defer done()
	for _, s := range signers {
		if sameKey(s.PublicKey(), public) {
			return sshSign(s, commit)
		}
	}
	return "", fmt.Errorf("the SSH agent does not have the key of %s: add it (ssh-add)", o.KeyFile)
}

// SignOpenPGP signs with the first private key of a file, armored or not, as
// gpg --export-secret-keys writes it. passphrase may be nil.
func SignOpenPGP(file string, passphrase func() (string, error)) Sign {
	k := &openPGPKey{file: file, passphrase: passphrase}
	return func(_ context.Context, commit []byte) (string, error) {
		entity, err := k.open()
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		if err := openpgp.ArmoredDetachSign(&out, entity, bytes.NewReader(commit), &packet.Config{}); err != nil {
			return "", err
		}
		return strings.TrimRight(out.String(), "\n") + "\n", nil
	}
}

// openPGPKey is opened once, because that is slow on purpose; again if the file
// changes.
type openPGPKey struct {
	file       string
	passphrase func() (string, error)

	mu     sync.Mutex
	of     [sha256.Size]byte
	entity *openpgp.Entity
}

func (k *openPGPKey) open() (*openpgp.Entity, error) {
	text, err := os.ReadFile(k.file)
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := sha256.Sum256(text)
	if k.entity != nil && sum == k.of {
		return k.entity, nil
	}
	keys, err := readKeyring(k.file)
	if err != nil {
		return nil, fmt.Errorf("OpenPGP key: %w", err)
	}
	for _, e := range keys {
		if e.PrivateKey == nil {
			continue
		}
		if err := k.unlock(e); err != nil {
			return nil, err
		}
		k.of, k.entity = sum, e
		return e, nil
	}
	return nil, fmt.Errorf("%s has no private OpenPGP key", k.file)
}

func (k *openPGPKey) unlock(e *openpgp.Entity) error {
	locked := e.PrivateKey.Encrypted
	for _, s := range e.Subkeys {
		locked = locked || s.PrivateKey != nil && s.PrivateKey.Encrypted
	}
	if !locked {
		return nil
	}
	if k.passphrase == nil {
		return fmt.Errorf("the OpenPGP key of %s has a passphrase, and none is set", k.file)
	}
	word, err := k.passphrase()
	if err != nil {
		return fmt.Errorf("passphrase of OpenPGP key %s: %w", k.file, err)
	}
	if err := e.DecryptPrivateKeys([]byte(word)); err != nil {
		return errors.New("the OpenPGP key of " + k.file + " does not open with its passphrase")
	}
	return nil
}
