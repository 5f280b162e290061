package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// mapping is a part of the address space.
type mapping struct{ from, to uintptr }

// giveBackProgram drops the pages of the program's file that nothing was ever
// written to: code and constants. A private mapping without such pages has nothing
// to lose (madvise(2), MADV_DONTNEED), and is read from the file again. What it
// cannot find out it leaves as it is: it is only memory.
func giveBackProgram() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range programPages(string(text), exe) {
		pages := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), m.from)), m.to-m.from) //nolint:gosec // never read or written here
		_ = syscall.Madvise(pages, syscall.MADV_DONTNEED)                                    // refused: they stay
	}
}

// programPages finds them in /proc/self/smaps. That a mapping cannot be written now
// is not enough: a dynamic linker writes addresses among the constants before it
// forbids that, and such pages are anonymous.
func programPages(smaps, exe string) []mapping {
	var found []mapping
	var m mapping
	ours := false
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0" && ours {
			found = append(found, m)
		}
		if len(f) > 1 && !strings.HasSuffix(f[0], ":") {
			m, ours = programMapping(f, exe)
		}
	}
	return found
}

func programMapping(f []string, exe string) (mapping, bool) {
	if len(f) != 6 || f[5] != exe || f[1] != "r-xp" && f[1] != "r--p" {
		return mapping{}, false
	}
	from, to, _ := strings.Cut(f[0], "-")
	a, errA := strconv.ParseUint(from, 16, 64)
	b, errB := strconv.ParseUint(to, 16, 64)
	return mapping{uintptr(a), uintptr(b)}, errA == nil && errB == nil && a < b
}
