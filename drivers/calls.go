package drivers

import (
	"context"
	"time"

	"jeroboam.io/jeroboam/schema"
)

// Call is one request to a service of a cloud, as those see it who watch: nothing
// of what was sent or answered is in it.
type Call struct {
	Cloud   schema.CloudName
	Service string        // its type in OpenStack's words: orchestration, compute, identity
	Method  string        // of HTTP
	Status  int           // of the answer; 0: none came
	Request string        // the cloud's request id, for its operators' logs; empty: it gave none
	Took    time.Duration // until the answer began
	// Changes says that it asked for a change; a token is none.
	Changes bool
	// Operation is that of the step that it was sent for (WithOperation); empty: none.
	Operation string
}

// CallWatcher is told of every call after it was answered, by several goroutines.
// It must not block.
type CallWatcher interface{ Called(c Call) }

type operationKey struct{}

// WithOperation marks the calls that a step leads to, as net/http/httptrace marks
// those of a request: nothing is decided by it.
func WithOperation(ctx context.Context, operation string) context.Context {
	return context.WithValue(ctx, operationKey{}, operation)
}

// OperationOf is what WithOperation marked, or empty.
func OperationOf(ctx context.Context) string {
	s, _ := ctx.Value(operationKey{}).(string)
	return s
}
