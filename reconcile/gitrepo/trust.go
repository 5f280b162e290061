package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Trust says whose commits of the fleet are believed. A commit is judged by its
// own signature, which speaks for its whole tree and for all that it descends
// from; those below it need none.
type Trust struct {
	Policy TrustPolicy
	// AllowedSigners is a file of SSH keys in the form of ssh-keygen(1), the one
	// of Git's gpg.ssh.allowedSignersFile.
	AllowedSigners string
	// Keyring is a file of OpenPGP keys, armored or as gpg --export writes them.
	Keyring string
}

// TrustPolicy is what becomes of a head that nobody vouches for.
type TrustPolicy string

// The policies. Empty is TrustOff.
const (
	TrustOff     TrustPolicy = "off"     // signatures are not looked at
	TrustWarn    TrustPolicy = "warn"    // it is followed, and told
	TrustRequire TrustPolicy = "require" // it is held: the fleet stays at the commit before
)

func (t Trust) check() error {
	switch t.Policy {
	case "", TrustOff:
		return nil
	case TrustWarn, TrustRequire:
		if t.AllowedSigners == "" && t.Keyring == "" {
			return errors.New("signatures are to be verified, and neither allowed signers nor a keyring is set")
		}
		return nil
	}
	return fmt.Errorf("verification %q is not one of off, warn, require", t.Policy)
}

func (t Trust) on() bool { return t.Policy == TrustWarn || t.Policy == TrustRequire }

// judge says what is wrong with a commit's signature; nil: nothing. The files are
// read anew: who adds a key is not to restart the daemon.
func (t Trust) judge(c *object.Commit) error {
	sig := c.PGPSignature
	switch {
	case sig == "":
		return errors.New("it is not signed")
	case strings.Count(sig, "-----BEGIN ") != 1:
		return errors.New("it has more than one signature")
	}
	var o plumbing.MemoryObject
	if err := c.EncodeWithoutSignature(&o); err != nil {
		return err
	}
	payload, err := readBlob(&o, o.Size())
	if err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(sig, "-----BEGIN "+sigBlock):
		return t.judgeSSH(sig, payload, c.Committer.When)
	case strings.HasPrefix(sig, "-----BEGIN PGP "):
		return t.judgeOpenPGP(sig, payload)
	}
	return errors.New("its signature is neither of SSH nor of OpenPGP")
}

// judgeSSH takes the commit's own time for that of the signature, as Git does.
func (t Trust) judgeSSH(sig string, payload []byte, at time.Time) error {
	if t.AllowedSigners == "" {
		return errors.New("it is signed by an SSH key, and no allowed signers are set")
	}
	text, err := os.ReadFile(t.AllowedSigners)
	if err != nil {
		return fmt.Errorf("it cannot be verified: %w", err)
	}
	allowed, err := parseAllowed(text)
	if err != nil {
		return fmt.Errorf("it cannot be verified: %s: %w", t.AllowedSigners, err)
	}
	key, err := sshVerify(sig, payload)
	if err != nil {
		return err
	}
	return allowed.judge(key, at)
}

// judgeOpenPGP judges as of the signature's own time: a key that expires later
// does not take its commits along. One that was revoked does.
func (t Trust) judgeOpenPGP(sig string, payload []byte) error {
	if t.Keyring == "" {
		return errors.New("it is signed by an OpenPGP key, and no keyring is set")
	}
	keys, err := readKeyring(t.Keyring)
	if err != nil {
		return fmt.Errorf("it cannot be verified: %w", err)
	}
	s, err := readSignature(sig)
	if err != nil {
		return errors.New("its OpenPGP signature cannot be read")
	}
	config := &packet.Config{Time: func() time.Time { return s.CreationTime }}
	signer, err := openpgp.CheckArmoredDetachedSignature(keys, bytes.NewReader(payload), strings.NewReader(sig), config)
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return fmt.Errorf("it is signed by the OpenPGP key %s, which is not in the keyring", issuer(s))
	case err != nil:
		return fmt.Errorf("its OpenPGP signature does not count: %w", err)
	case signer.Revoked(time.Now()):
		return fmt.Errorf("it is signed by the OpenPGP key %s, which is revoked", issuer(s))
	}
	return nil
}

func readKeyring(file string) (openpgp.EntityList, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	read := openpgp.ReadKeyRing
	if bytes.Contains(text, []byte("-----BEGIN PGP")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

func readSignature(armored string) (*packet.Signature, error) {
	block, err := armor.Decode(strings.NewReader(armored))
	if err != nil {
		return nil, err
	}
	p, err := packet.Read(block.Body)
	if err != nil {
		return nil, err
	}
	s, ok := p.(*packet.Signature)
	if !ok {
		return nil, errors.New("no signature")
	}
	return s, nil
}

func issuer(s *packet.Signature) string {
	switch {
	case len(s.IssuerFingerprint) > 0:
		return fmt.Sprintf("%X", s.IssuerFingerprint)
	case s.IssuerKeyId != nil:
		return fmt.Sprintf("%016X", *s.IssuerKeyId)
	}
	return "of nobody"
}
