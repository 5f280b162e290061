package sim

import (
	"strings"
	"time"
)

// kind is what a resource type does. A nil function does nothing, at once.
type kind struct {
	class string // Heat's name for it in messages
	// create and update start the work and say how long it takes; forever
	// means that the type calls done itself.
	create func(*Cloud, *op) (time.Duration, *fail)
	update func(*Cloud, *op) (time.Duration, *fail)
	// built is called when the time is over.
	built func(*Cloud, *op) *fail
	// remove starts the end, gone completes it.
	remove func(*Cloud, *op) (time.Duration, *fail)
	gone   func(*Cloud, *resource)
	// replaces says whether these changes need a new resource although every
	// one of them may change in place, or the other way round.
	replaces func(c *Cloud, r *resource, after map[string]any, diff []string) replacement
	// unfit tells whether a FAILED resource must be replaced; nil: always.
	unfit func(*Cloud, *resource) bool
	// yield hands over what the replacement needs.
	yield func(*Cloud, *resource)
	attrs func(*Cloud, *resource) map[string]any
	check func(*Cloud, *resource) *fail
	ref   func(*resource) string
	// hidden are attributes that get_attr knows and the API does not show.
	hidden []string
	nodes  bool // a nested stack
}

type replacement int

const (
	bySchema replacement = iota
	inPlace
	replace
)

const forever = time.Duration(-1)

// failure is a resource's failure as Heat words it: error, path, message.
type failure struct {
	action string
	err    string
	path   []string
	msg    string
}

func (f failure) String() string {
	path := ""
	for _, p := range f.path {
		if strings.Trim(p, "0123456789") == "" && p != "" {
			path += "[" + p + "]"
		} else if path == "" {
			path = p
		} else {
			path += "." + p
		}
	}
	s := f.msg
	if path != "" {
		s = path + ": " + s
	}
	if f.err != "" {
		s = f.err + ": " + s
	}
	return s
}

func (r *resource) fails(action string, f *fail) failure {
	return failure{action, f.kind, []string{"resources", r.name}, f.msg}
}

// failsNested reads the reason of a nested stack as Heat does, which scrambles
// it unless the nested stack failed in the same action.
func (r *resource) failsNested(action, reason string) failure {
	f := failure{action: action, path: []string{"resources", r.name}, msg: reason}
	if !strings.Contains(reason, "Resource "+action+" failed: ") {
		return f
	}
	parts := strings.Split(reason, ":")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if len(parts) >= 4 {
		f.err, f.msg = parts[1], strings.Join(parts[3:], ": ")
		f.path = append(f.path, strings.Split(parts[2], ".")...)
	}
	return f
}
