package drivers

import (
	"context"
	"errors"
)

// Kind says who can do something about an error.
type Kind string

// The kinds. The kind, never the text, chooses retry, status and whom to tell.
const (
	Transient Kind = "transient" // we retry: the network, a 5xx, a rate limit
	Rejected  Kind = "rejected"  // the author of the YAML acts: quota, a flavor that does not exist
	Denied    Kind = "denied"    // the operator acts: credentials, roles, policy
	Conflict  Kind = "conflict"  // look again: it is not as it was planned on
	NotFound  Kind = "not-found" // look again: it is gone
	Unknown   Kind = "unknown"   // a defect of ours or of the cloud
)

// Error is an error of a backend. Op is a short verb phrase ("create stack").
type Error struct {
	Kind    Kind
	Op      string
	Request string // the cloud's request id, for its operators' logs
	Err     error
}

// Error gives "op: text (request id)".
func (e *Error) Error() string {
	s := e.Op + ": " + e.Err.Error()
	if e.Request != "" {
		s += " (request " + e.Request + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first *Error in the chain. A cancelled or expired
// context is transient; anything else is Unknown.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Transient
	default:
		return Unknown
	}
}
