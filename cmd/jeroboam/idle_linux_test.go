package main

import (
	"fmt"
	"testing"
)

// Only what is from the program's own file and was never written is given back; a
// linked program has constants that its linker wrote. The process lives on.
func TestGiveBackTouchesNoData(t *testing.T) {
	t.Parallel()
	const exe = "/usr/bin/jeroboam"
	for name, c := range map[string]struct {
		header    string
		anonymous int
		want      int
	}{
		"code":               {"00400000-02c5b000 r-xp 00000000 fe:00 123      " + exe, 0, 1},
		"constants":          {"02c5b000-05b00000 r--p 0285b000 fe:00 123      " + exe, 0, 1},
		"linked constants":   {"02c5b000-05b00000 r--p 0285b000 fe:00 123      " + exe, 64, 0},
		"data":               {"05b00000-05c00000 rw-p 05700000 fe:00 123      " + exe, 0, 0},
		"shared":             {"05b00000-05c00000 r--s 05700000 fe:00 123      " + exe, 0, 0},
		"of an old file":     {"00400000-02c5b000 r-xp 00000000 fe:00 123      " + exe + " (deleted)", 0, 0},
		"of another file":    {"7f0000000000-7f0000001000 r-xp 00000000 fe:00 9 /lib/libc.so", 0, 0},
		"the heap":           {"c000000000-c000400000 rw-p 00000000 00:00 0 ", 64, 0},
		"nothing":            {"00400000-00400000 r-xp 00000000 fe:00 123      " + exe, 0, 0},
		"what is no address": {"x-y r-xp 00000000 fe:00 123      " + exe, 0, 0},
	} {
		smaps := fmt.Sprintf("%s\nSize:  41324 kB\nRss:  8 kB\nAnonymous: %10d kB\nVmFlags: rd ex mr\n", c.header, c.anonymous)
		if have := programPages(smaps, exe); len(have) != c.want {
			t.Errorf("%s: %v", name, have)
		}
	}
	for range 3 {
		giveBack()
	}
}
