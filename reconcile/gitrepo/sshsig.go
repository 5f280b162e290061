package gitrepo

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// SSH signatures are as OpenSSH's PROTOCOL.sshsig says. What is signed is not the
// message but this with a digest of it, so that a signature in one namespace is
// none in another, nor a login.
const (
	sigMagic     = "SSHSIG"
	sigVersion   = 1
	sigNamespace = "git" // Git's for commits and tags
	sigBlock     = "SSH SIGNATURE"
)

// sigBlob is a signature without its armor; it begins with sigMagic.
type sigBlob struct {
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// sigSigned is what is signed; it begins with sigMagic as well.
type sigSigned struct {
	Namespace string
	Reserved  string
	Hash      string
	Digest    []byte
}

func sshSign(key ssh.Signer, message []byte) (string, error) {
	data, err := signedBytes(sigNamespace, "sha512", message)
	if err != nil {
		return "", err
	}
	sig, err := signWith(key, data)
	if err != nil {
		return "", err
	}
	blob := append([]byte(sigMagic), ssh.Marshal(sigBlob{
		Version: sigVersion, PublicKey: key.PublicKey().Marshal(), Namespace: sigNamespace,
		Hash: "sha512", Signature: ssh.Marshal(sig),
	})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: sigBlock, Bytes: blob})), nil
}

// signWith keeps RSA keys from signing with SHA-1, which is what their plain
// Sign does.
func signWith(key ssh.Signer, data []byte) (*ssh.Signature, error) {
	if key.PublicKey().Type() != ssh.KeyAlgoRSA {
		return key.Sign(rand.Reader, data)
	}
	with, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("this RSA key signs with SHA-1 only")
	}
	return with.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
}

func signedBytes(namespace, hash string, message []byte) ([]byte, error) {
	var digest []byte
	switch hash {
	case "sha512":
		sum := sha512.Sum512(message)
		digest = sum[:]
	case "sha256":
		sum := sha256.Sum256(message)
		digest = sum[:]
	default:
		return nil, fmt.Errorf("a signature over %q is not supported", hash)
	}
	return append([]byte(sigMagic), ssh.Marshal(sigSigned{Namespace: namespace, Hash: hash, Digest: digest})...), nil
}

// sshVerify checks that a signature is one of the message, and gives the key that
// made it. Whether that key counts is for allowedSigners.
func sshVerify(armored string, message []byte) (ssh.PublicKey, error) {
	block, rest := pem.Decode([]byte(armored))
	if block == nil || block.Type != sigBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("its SSH signature cannot be read")
	}
	var blob sigBlob
	body, ok := bytes.CutPrefix(block.Bytes, []byte(sigMagic))
	if !ok || ssh.Unmarshal(body, &blob) != nil || blob.Version != sigVersion {
		return nil, errors.New("its SSH signature cannot be read")
	}
	if blob.Namespace != sigNamespace {
		return nil, fmt.Errorf("its signature is for %q, not for a commit", blob.Namespace)
	}
	key, err := ssh.ParsePublicKey(blob.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("the key of its signature cannot be read: %w", err)
	}
	var sig ssh.Signature
	if ssh.Unmarshal(blob.Signature, &sig) != nil {
		return nil, errors.New("its SSH signature cannot be read")
	}
	if sig.Format == ssh.KeyAlgoRSA || sig.Format == ssh.InsecureKeyAlgoDSA { //nolint:staticcheck // named to be refused
		return nil, fmt.Errorf("its signature is by %s, which can be forged", sig.Format)
	}
	data, err := signedBytes(blob.Namespace, blob.Hash, message)
	if err != nil {
		return nil, err
	}
	if err := key.Verify(data, &sig); err != nil {
		return nil, errors.New("its signature is not of this commit")
	}
	return key, nil
}
