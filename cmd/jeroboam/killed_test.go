package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// killsAll, in the environment, is the file of a program as it is built for people,
// which killedrun kills at every point; else it is the test's, at a sample of them.
const killsAll = "JEROBOAM_KILLS"

// A death is how a life of the daemon ends; n is the point at which it does.
type death struct {
	name string
	arm  func(s *stage, n int64)
	ends bool // by itself, since it was asked to
}

// deaths, in the order in which the points of a sample take turns. Writes are those
// to the files of the store and of the outbox, as the kernel tells of them; pushes
// are those that the server has taken in and not yet made the branch's.
var deaths = []death{
	{name: "after request", arm: func(s *stage, n int64) { s.killAt.Store(n) }},
	{name: "at write", arm: func(s *stage, n int64) { s.killAtWrite.Store(2 * n) }},
	{name: "before request", arm: func(s *stage, n int64) { s.early.Store(true); s.killAt.Store(n) }},
	{name: "at SIGTERM at request", arm: func(s *stage, n int64) { s.termAt.Store(n) }, ends: true},
	{name: "two requests after SIGTERM at request", arm: func(s *stage, n int64) { s.termAt.Store(n); s.killAt.Store(n + 2) }},
	{name: "within push", arm: (*stage).killInPush},
}

// everyNth point is one of a sample.
const everyNth = 4

// maxPoints are more than a pass over a cluster has, with what comes before and
// after it.
const maxPoints = 60

// killedRun lets the daemon live and kills it, at its first point, then at its
// second, and so on until a pass has no more of them; then it lives on until as many
// clusters as are given are in sync and no other stack is there. A life is a start,
// a pass, and SIGTERM.
func (s *stage) killedRun(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: killedrun CLUSTERS")
	}
	clusters, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if err := s.armPushes(); err != nil {
		return err
	}
	if s.killedBy == nil {
		s.killedBy = map[string]int{}
	}
	all := os.Getenv(killsAll) != ""
	for n, turn := int64(1), 0; ; turn++ {
		if n > maxPoints {
			return fmt.Errorf("a pass has more than %d points", maxPoints)
		}
		lived := false
		for i, d := range deaths {
			if !all && i != turn%len(deaths) {
				continue
			}
			life, err := s.live(d, n)
			if err != nil {
				return err
			}
			lived = lived || d.name == "after request" && life.whole
		}
		if lived {
			break
		}
		if n++; !all {
			n += everyNth - 1
		}
		if !all && n > maxPoints/2 { // the deaths take turns: none sees every point
			break
		}
	}
	return s.retry(func() error {
		life, err := s.live(death{name: "never"}, 0)
		if err != nil {
			return err
		}
		if err := s.checkStacks(args); err != nil {
			return err
		}
		if life.InSync != clusters || life.Started > 0 {
			return fmt.Errorf("%d clusters are in sync, want %d", life.InSync, clusters)
		}
		return nil
	})
}

// aLife is what came of one.
type aLife struct {
	whole   bool // nothing killed it
	InSync  int  `json:"in_sync"`
	Started int
}

// live starts the daemon, and asks it to end when it has made a pass.
func (s *stage) live(d death, n int64) (life aLife, err error) {
	watch, err := s.watchWrites()
	if err != nil {
		return life, err
	}
	defer watch.Close()
	cmd, logged, err := s.start()
	if err != nil {
		return life, err
	}
	if d.arm != nil {
		d.arm(s, n)
	}
	s.pid.Store(int64(cmd.Process.Pid))
	defer s.disarm()
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var log strings.Builder
	for lines := bufio.NewScanner(logged); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		var line struct{ Msg string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			continue // a panic's
		}
		switch line.Msg {
		case "a new commit waits for its time": // that of the next minute, after a start that soon
			s.sync(cmd)
		case "run", "run decided nothing":
			if err := json.Unmarshal(lines.Bytes(), &life); err != nil {
				return life, err
			}
			s.term()
		}
	}
	code := exitCode(cmd.Wait())
	s.asking.Wait()
	switch life.whole = code == exitOK; {
	case life.whole:
		return life, nil
	case !late.Stop():
		return life, fmt.Errorf("killed %s %d: it does not end\n%s", d.name, n, log.String())
	case code == -1 && d.arm != nil:
		s.kills++
		s.killedBy[d.name]++
		return life, nil
	}
	return life, fmt.Errorf("killed %s %d: it ends with %d\n%s", d.name, n, code, log.String())
}

// start is the daemon, and what it logs.
func (s *stage) start() (*exec.Cmd, io.Reader, error) {
	cmd := exec.Command(s.program(), "run", "--repo", s.Getenv("giturl"), "--log-json", "--log-level", "debug")
	cmd.Dir = s.dir
	cmd.Env = append([]string{}, s.env.Vars...)
	for _, name := range []string{"PATH", "JEROBOAM_GIT_TOKEN"} {
		cmd.Env = append(cmd.Env, name+"="+s.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+filepath.Join(s.dir, "runtime"))
	logged, err := cmd.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return cmd, logged, os.WriteFile(filepath.Join(s.dir, "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// sync asks the daemon for a pass. It may be killed before it answers.
func (s *stage) sync(daemon *exec.Cmd) {
	ask := exec.Command(daemon.Path, "sync")
	ask.Dir, ask.Env = daemon.Dir, slices.DeleteFunc(slices.Clone(daemon.Env), func(v string) bool { return strings.HasPrefix(v, pidFile) })
	s.asking.Go(func() { _ = ask.Run() })
}

// program is the test's own, or the one that people have.
func (s *stage) program() string {
	own := filepath.Join(filepath.SplitList(s.Getenv("PATH"))[0], "jeroboam")
	return cmp.Or(os.Getenv(killsAll), own)
}

// disarm takes all deaths back.
func (s *stage) disarm() {
	for _, n := range []*atomic.Int64{&s.killAt, &s.killAtWrite, &s.termAt, &s.pid} {
		n.Store(0)
	}
	s.early.Store(false)
	s.asked.Store(false)
	_ = os.Remove(filepath.Join(s.dir, "kill-in-push"))
}

// term asks the program to end, once: a second time is an order to end at once.
func (s *stage) term() {
	if pid := int(s.pid.Load()); pid > 0 && s.asked.CompareAndSwap(false, true) {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
}

// armPushes makes the repository kill the program in the midst of a push, when it
// is told to.
func (s *stage) armPushes() error {
	const hook = `#!/bin/sh
cd "%s" && read n <kill-in-push && rm kill-in-push || exit 0
[ "$n" -gt 1 ] && echo $((n - 1)) >kill-in-push || kill -9 "$(cat pid)"
exit 0
`
	return os.WriteFile(filepath.Join(s.dir, "fleet.git", "hooks", "pre-receive"), fmt.Appendf(nil, hook, s.dir), 0o700)
}

// killInPush kills within the first, second or third push of a life: the lease's,
// that of the status, and the lease's when it is given up.
func (s *stage) killInPush(n int64) {
	text := strconv.FormatInt((n-1)%3+1, 10) + "\n"
	if err := os.WriteFile(filepath.Join(s.dir, "kill-in-push"), []byte(text), 0o600); err != nil {
		s.Fatalf("%v", err)
	}
}

// kill is kill -9 of the program that runs.
func (s *stage) kill() {
	pid := int(s.pid.Load())
	if text, err := os.ReadFile(filepath.Join(s.dir, "pid")); pid == 0 && err == nil {
		pid, _ = strconv.Atoi(string(text))
	}
	if pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // exits -1 sees whether it was
	}
}

// watchWrites counts writes to the state directory until it is closed.
func (s *stage) watchWrites() (io.Closer, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	watch := os.NewFile(uintptr(fd), "inotify")
	for _, dir := range []string{"state", "state/outbox"} {
		dir = filepath.Join(s.dir, dir)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		const writes = syscall.IN_MODIFY | syscall.IN_CREATE | syscall.IN_MOVED_TO | syscall.IN_DELETE
		if _, err := syscall.InotifyAddWatch(fd, dir, writes); err != nil {
			return nil, err
		}
	}
	go func() {
		one := make([]byte, syscall.SizeofInotifyEvent+syscall.NAME_MAX+1)
		for {
			n, err := watch.Read(one)
			if err != nil {
				return
			}
			for i := 0; i+syscall.SizeofInotifyEvent <= n; i += syscall.SizeofInotifyEvent + int(one[i+12]) {
				if s.killAtWrite.Add(-1) == 0 {
					s.kill()
				}
			}
		}
	}()
	return watch, nil
}
