package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the fleet's documents. The author of
// the YAML can act on it, so it says where, what was found, what is allowed
// and, where there is one, the nearest valid name.
type Problem struct {
	Code    Code   `json:"code"`
	Pos     Pos    `json:"pos"`
	Pointer string `json:"pointer,omitempty"` // RFC 6901, inside the document
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do, e.g. `did you mean "flavor"?`
}

// Severity is the severity of the problem's code.
func (p Problem) Severity() Severity { return p.Code.Severity() }

// String gives "file:line:column: severity code: pointer: message; hint".
func (p Problem) String() string {
	var b strings.Builder
	if at := p.Pos.String(); at != "" {
		b.WriteString(at + ": ")
	}
	b.WriteString(string(p.Severity()) + " " + string(p.Code) + ": ")
	if p.Pointer != "" {
		b.WriteString(p.Pointer + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Problems are all that is wrong with a fleet, sorted by position. As an error
// they hold at least one of severity Error and mean: nothing of this commit may
// be acted on.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps))
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Sort orders problems by file, line, column and text, so that the same
// documents give the same list.
func (ps Problems) Sort() {
	slices.SortFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column), cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
}

// Errors tells whether one of them is an error.
func (ps Problems) Errors() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Severity() == Error })
}

// Count is how many have a severity.
func (ps Problems) Count(s Severity) int {
	n := 0
	for _, p := range ps {
		if p.Severity() == s {
			n++
		}
	}
	return n
}

// at tells whether something is wrong at a position. A warning is not.
func (ps Problems) at(pos Pos) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Pos == pos && p.Severity() == Error })
}

// AsProblems finds the Problems in an error chain.
func AsProblems(err error) (Problems, bool) {
	var ps Problems
	ok := errors.As(err, &ps)
	return ps, ok
}

// Problemf makes a problem at a position.
func Problemf(pos Pos, code Code, format string, args ...any) Problem {
	return Problem{Code: code, Pos: pos, Message: fmt.Sprintf(format, args...)}
}
