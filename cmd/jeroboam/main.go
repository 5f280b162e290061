// Command jeroboam keeps OpenStack container clusters as a Git repository says.
//
// This package is flags and wiring, one file per command: app.go puts the parts
// together, exit.go says which exit code an outcome has. What a command shows is
// in cmd/internal/view.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
	_ "time/tzdata" // time zones of schedules, on machines that have none

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/heat"
)

// gcPercent trades a tenth of a plan's CPU time for a tenth of its memory: the
// fleet is kept, the trees of its YAML are not, and with Go's 100 half of the
// peak would be waiting to be collected. A GOGC of the operator's wins.
const gcPercent = 60

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, time.Now)
	stop()
	os.Exit(code)
}

// run is main without the process. The scripts in testdata run it with a clock
// that they push.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, now func() time.Time) int {
	a := &app{
		stdout: stdout, stderr: stderr, getenv: os.Getenv, now: now,
		drivers: drivers.Registry{"heat": heat.Open},
	}
	root := a.root() //nolint:contextcheck // commands get it from ExecuteContext
	root.SetArgs(args)
	return a.exit(root.ExecuteContext(ctx))
}
