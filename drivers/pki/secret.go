package pki

import (
	"crypto"
	"fmt"
	"io"
)

// Secret is a text with a private key in it. However it is printed or encoded,
// it reads "(secret)".
//
// The text is in a closure and not in a field. The trap: fmt calls no method of
// a value that it reaches through an unexported field, it prints the fields, and
// so do comparing and dumping packages by reflection. None of them opens a
// closure.
type Secret struct{ reveal func() string }

// NewSecret hides a text.
func NewSecret(text string) Secret { return Secret{func() string { return text }} }

// Reveal is the text itself, for the call that stores or sends it. The zero
// Secret has an empty one.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

const hidden = "(secret)"

// String does not give the text.
func (Secret) String() string { return hidden }

// Format does not print the text, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText does not encode the text, in JSON and YAML neither.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// hide puts a private key where a Secret has its text. A nil func is no key.
func hide(key crypto.Signer) func() crypto.Signer {
	return func() crypto.Signer { return key }
}
