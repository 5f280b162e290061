package main

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the program: scripts start it as jeroboam.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"jeroboam": program})
}

// Variables with the names of two files: the time at which a script's clock
// stands, and the process to be killed.
const (
	clockFile = "JEROBOAM_TEST_CLOCK"
	pidFile   = "JEROBOAM_TEST_PID"
)

// program is main but for the clock, which is the simulated cloud's where the
// script has one: half of what a guard or an inspection decides is how long ago
// something was.
func program() {
	now := time.Now
	if text, err := os.ReadFile(os.Getenv(clockFile)); err == nil {
		at, err := time.Parse(time.RFC3339, string(text))
		if err != nil {
			panic(err)
		}
		now = func() time.Time { return at }
	}
	if file := os.Getenv(pidFile); file != "" {
		if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
			panic(err)
		}
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr, now))
}
