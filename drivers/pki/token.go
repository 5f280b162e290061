package pki

import (
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Token is a bootstrap token of Kubernetes: what a worker joins with. Its text
// is <ID>.<16 characters>, of a-z and 0-9.
type Token struct {
	ID   string // public: the Secret bootstrap-token-<ID> is named after it
	text Secret
}

// NewToken makes one of random, which is crypto/rand.Reader but in tests: 82
// bits of its 22 characters are the secret.
func NewToken(random io.Reader) (Token, error) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	const even = 256 / len(alphabet) * len(alphabet) // above, the first letters would be likelier
	var text []byte
	for range 1024 { // 22 of the first 23 or so are taken
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return Token{}, fmt.Errorf("make a bootstrap token: read randomness: %w", err)
		}
		if int(b[0]) < even {
			text = append(text, alphabet[int(b[0])%len(alphabet)])
		}
		if len(text) == 22 {
			return ParseToken(string(text[:6]) + "." + string(text[6:]))
		}
	}
	return Token{}, fmt.Errorf("make a bootstrap token: %w", errNotRandom)
}

// ParseToken reads a token's text. The error does not repeat it.
func ParseToken(text string) (Token, error) {
	if !tokenForm.MatchString(text) {
		return Token{}, errors.New("bootstrap token: expected 6 characters, a dot and 16 characters of a-z and 0-9")
	}
	return Token{ID: text[:6], text: NewSecret(text)}, nil
}

var tokenForm = regexp.MustCompile(`\A[a-z0-9]{6}\.[a-z0-9]{16}\z`)

// Text is the whole token, for the user data of workers and the cluster's own
// Secret.
func (t Token) Text() Secret { return t.text }

// String gives the public half.
func (t Token) String() string { return t.ID + "." + hidden }

// Format prints String, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalText encodes String, in JSON and YAML too.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
