package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestExamples: the help of every command has an example, and each line of one
// that starts the program has a command and flags that there are.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, c := range below((&app{stdout: io.Discard, stderr: io.Discard}).root()) {
		if !strings.Contains(c.Example, "jeroboam ") {
			t.Errorf("the help of %s has no example", c.CommandPath())
		}
		for _, line := range regexp.MustCompile(`(?m)(?:^ *|&& )jeroboam (\w[^#&|>\n]*)`).FindAllStringSubmatch(c.Example, -1) {
			root := (&app{}).root()
			found, rest, err := root.Find(strings.Fields(line[1]))
			if err == nil && found != root {
				err = found.ParseFlags(rest)
			}
			if err == nil && found != root {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil || found == root {
				t.Errorf("example of %s: jeroboam %s: %v", c.CommandPath(), line[1], err)
			}
		}
	}
}

// below is a command with those below it.
func below(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, below(sub)...)
	}
	return all
}

// TestRelease: the linker sets a variable only if there is one of that name, and
// is silent if not.
func TestRelease(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("version.go")
	if err != nil {
		t.Fatal(err)
	}
	set := regexp.MustCompile(`-X main\.(\w+)=`).FindSubmatch(makefile)
	if set == nil || !regexp.MustCompile(`(?m)^var `+string(set[1])+` string`).Match(source) {
		t.Errorf("the Makefile sets %s, which is no variable of version.go", set)
	}
}
