package drivertest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Every promise has a driver that breaks it, and the suite must notice. A
// promise without one could be empty.
func TestSuiteFailsBrokenDrivers(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{}
	for _, v := range variants() {
		broken[v.breaks] = true
		t.Run(v.breaks+"/"+strings.ReplaceAll(v.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			if !known(v.breaks) {
				t.Fatalf("%s is no promise", v.breaks)
			}
			for _, p := range promises() {
				if p.name != v.breaks {
					continue
				}
				if r := record(t, p, v.harness); !r.failed {
					t.Errorf("a driver that %s passes %s", v.name, p.name)
				} else {
					t.Log(strings.Join(r.said, "\n"))
				}
			}
		})
	}
	for _, p := range promises() {
		if !broken[p.name] {
			t.Errorf("no driver breaks %s", p.name)
		}
	}
}

func TestWhatIsNotShownNeedsAReason(t *testing.T) {
	t.Parallel()
	p := promise{"TagsLostIsSeen", []string{"DropTags"}, tagsLostIsSeen}
	for name, c := range map[string]struct {
		change func(*Backend)
		failed bool
	}{
		"as it is":          {func(*Backend) {}, false},
		"a hook is missing": {func(b *Backend) { b.DropTags = nil }, true},
	} {
		r := record(t, p, func(t testing.TB) *Backend {
			b := memoryBackend(t, NewMemory())
			c.change(b)
			return b
		})
		if r.failed != c.failed {
			t.Errorf("%s: failed %v, said %q", name, r.failed, r.said)
		}
	}
	shown, err := Harness{Cannot: map[string]string{p.name: "it has no tags"}}.shown()
	if err != nil || len(shown) != len(promises())-1 || slices.ContainsFunc(shown, func(s promise) bool { return s.name == p.name }) {
		t.Errorf("one is not shown: %v, %v", shown, err)
	}
	if _, err := (Harness{Cannot: map[string]string{"TagsLost": "it has no tags"}}).shown(); err == nil {
		t.Error("a reason for what is no promise is taken")
	}
}

// recorder stands in for the test that a promise fails.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed bool
	said   []string
}

func record(t *testing.T, p promise, backend func(testing.TB) *Backend) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { p.run(r, backend(r)) }) // of its own, because FailNow ends it
	wg.Wait()
	return r
}

func (r *recorder) note(failed bool, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.said = append(r.said, text)
}

func (r *recorder) Errorf(format string, args ...any) { r.note(true, fmt.Sprintf(format, args...)) }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }

func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Failed() bool        { return r.failed }
