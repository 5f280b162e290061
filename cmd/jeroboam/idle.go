package main

import (
	"runtime/debug"
	"time"
)

// idleAfter is how long neither a run nor a look at the branch has ended when a
// daemon counts as idle: less than the minute from one look to the next.
const idleAfter = 15 * time.Second

// idler gives memory back when a daemon has nothing to do: what the last run left to
// the collector, which would come by itself only after as much again, and the pages of
// the program's own file. Of those the kernel makes far more resident than are used,
// up to a folio around each: after a minute 39 of the 58 MB that it has. They stay in
// the kernel's cache while that has room for them, and what is used again is mapped
// again.
type idler struct{ timer *time.Timer }

func newIdler() idler { return idler{time.AfterFunc(idleAfter, giveBack)} }

// busy begins the time anew.
func (i idler) busy() { i.timer.Reset(idleAfter) }

func (i idler) stop() { i.timer.Stop() }

func giveBack() {
	debug.FreeOSMemory() // a collection, which is why it waits for a pause
	giveBackProgram()
}
