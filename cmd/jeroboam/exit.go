package main

import (
	"errors"
	"fmt"
	"strings"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/schema"
)

// The exit codes, the same for every command.
const (
	exitOK      = 0 // fine; or changes, without --detailed-exitcode
	exitError   = 1 // the tool, Git or a cloud failed
	exitChanges = 2 // changes are present, with --detailed-exitcode
	exitHeld    = 3 // a guard holds something
	exitInvalid = 4 // the configuration or the fleet is invalid
	exitStale   = 5 // the plan or its base is not the present one
)

const exitHelp = `Exit codes: 0 fine (or changes without --detailed-exitcode), 1 error,
2 changes (with --detailed-exitcode), 3 a guard holds something,
4 invalid configuration, 5 stale plan or base.`

// outcome is an exit code that is not an error to print: everything was said.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("exit code %d", int(o)) }

// exit says what is left to say about an error and gives its code.
func (a *app) exit(err error) int {
	if done, ok := errors.AsType[outcome](err); ok {
		return int(done)
	}
	if problems, ok := schema.AsProblems(err); ok {
		// What else was said: of which commit they are, what could not be written.
		if rest := strings.Trim(strings.Replace(err.Error(), problems.Error(), "", 1), ": \n"); rest != "" {
			a.say("jeroboam", rest)
		}
		if a.json() {
			_ = view.ProblemsJSON(a.stdout, problems)
			return exitInvalid
		}
		_ = view.ProblemsText(a.stderr, problems, a.viewOn(a.stderr))
		return exitInvalid
	}
	_, held := errors.AsType[*reconcile.Distrust](err)
	switch {
	case err == nil:
		return exitOK
	case held:
		a.say("jeroboam", err.Error())
		return exitHeld
	case errors.Is(err, reconcile.ErrStale):
		a.say("jeroboam", err.Error())
		return exitStale
	default:
		a.say("jeroboam", err.Error())
		return exitError
	}
}

// say writes a message to stderr, as harmless to a terminal as all that is shown:
// errors repeat the names of files and what servers answered.
func (a *app) say(who, message string) { _ = view.MessageText(a.stderr, who, message) }
