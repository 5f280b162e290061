package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the program as people and their CI do, each script with a
// bare Git repository and a simulated OpenStack of its own. What a script can do
// besides testscript's own commands is in commands below. A script begins in a
// folder with the configuration jeroboam.yaml, the repository fleet.git and its
// work tree fleet, in which there is a template named docker.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		Setup:              setUp,
		Cmds:               commands(),
		RequireUniqueNames: true,
	})
}

type command = func(s *stage, args []string) error

// commands are the words that scripts have in addition. All fail the script if
// what they say cannot be done or is not so.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	all := map[string]command{
		"sim":       (*stage).startCloud,    // sim [wall] [roles=A,B] [appcredtrusts=true] [maxstacks=N]: a cloud, and a clouds.yaml for it
		"advance":   (*stage).advance,       // advance SECONDS: on the clock of the cloud and of the program
		"fault":     (*stage).fault,         // fault [service=S] [method=M] [path=REGEXP] [times=N] [skip=N] and status=N, body=B, drop, afterwork, truncate or empty; fault clear
		"failboot":  (*stage).failBoot,      // failboot REGEXP REASON: nodes whose name matches report a failed boot
		"quota":     (*stage).quota,         // quota RESOURCE N: in project demo
		"appcred":   (*stage).appCred,       // appcred CLOUD: an application credential of demo, as an entry of clouds.yaml
		"api":       (*stage).api,           // api METHOD SERVICE PATH [BODYFILE]: what a person does by hand, as demo
		"keys":      (*stage).makeKeys,      // keys NAME [local]: keys of a cluster of cloud lab-demo, in Barbican or below state; $stack is the name they are under
		"lookup":    (*stage).lookup,        // lookup stack|server REGEXP: $stack is name/id, $server the id of the only one whose name matches
		"tamper":    (*stage).tamper,        // tamper template|tags: an update of $stack that changes its template, or drops its tags
		"requests":  (*stage).checkRequests, // requests reset; requests total|writes|METHOD [PATH] N: how many were sent
		"before":    (*stage).before,        // before: what is there must not be lost from now on
		"harmless":  (*stage).harmless,      // harmless [writes|METHOD [PATH] N]: no DELETE was sent since before, and in an hour nothing is lost
		"gone":      (*stage).gone,          // gone [CLUSTER...] [nodes=N]: exactly these are lost
		"stacks":    (*stage).checkStacks,   // stacks N: how many root stacks project demo has
		"cluster":   (*stage).cluster,       // cluster NAME [LINE...]: a document with these lines of its spec
		"commit":    (*stage).commit,        // commit MESSAGE: everything in fleet, and push it
		"edit":      (*stage).edit,          // edit FILE OLD NEW: replaces the only OLD; \n in NEW is a new line
		"status":    (*stage).showStatus,    // status FILE: prints a file of the status branch
		"configure": (*stage).configure,     // configure LINE...: jeroboam.yaml anew with these lines of its spec; GITURL and WORK are the served URL and the script's folder
		"stored":    (*stage).storeLogin,    // stored USER TOKEN: the file credentials, for the URL that is served
		"signers":   (*stage).signers,       // signers NAME...: the file allowed, with NAME.pub of each
		"serve":     (*stage).serveGit,      // serve TOKEN: the repository over HTTP, for who knows the token; its URL is $giturl
		"exits":     (*stage).exits,         // exits CODE PROGRAM [ARGUMENT...]
		"killed":    (*stage).killed,        // killed [both] PROGRAM [ARGUMENT...]: again and again, with kill -9 once the cloud, or the served repository, has done what the first, second, ... request asks for; both: and before it has
		"killedrun": (*stage).killedRun,     // killedrun CLUSTERS: jeroboam run on $giturl again and again, killed in all the ways that there are, until so many are in sync
		"clean":     (*stage).clean,         // clean WORD PATH [PATH...]: no file at or below these paths has the word, nor anything that was sent to the cloud
		"echo":      (*stage).echo,          // echo PATHREGEXP [FROM]: the cloud refuses writes there with what they said, from that byte on; echo off: no more, and it did
		"password":  (*stage).password,      // password WORD: demo has this one from now on
		"record":    (*stage).keepOutput,    // record NAME PROGRAM [ARGUMENT...]: whatever the exit code; what it prints is in out/NAME.stdout and out/NAME.stderr
		"told":      (*stage).sentWords,     // told WORD...: the cloud was sent these words
		"nowhere":   (*stage).nowhere,       // nowhere PATH... [-PATH...]: no file there has a secret: one that begins with planted-, a private key, one of an application credential that was made; but for -PATH, where they are by design
		"settle":    (*stage).settle,        // settle [ARGUMENT...]: apply and advance until nothing is left but what is held
		"until":     (*stage).until,         // until PROGRAM [ARGUMENT...]: again and again, until it exits with 0
		"push":      (*stage).push,          // push URL SECRET CODE: what GitHub sends when somebody pushed, and what is answered
		"signal":    (*stage).signal,        // signal HUP|TERM|KILL [FOLDER]: to the daemon that has the folder state, or that one
		"port":      (*stage).port,          // port NAME: $NAME is an address of loopback that nobody has
		"ack":       (*stage).ack,           // ack GUARD: $ack is the trailer that the last output asks for
		"kills":     (*stage).checkKills,    // kills N [ALL]: so many there were at least; ALL where JEROBOAM_KILLS names the program
	}
	words := map[string]func(*testscript.TestScript, bool, []string){}
	for name, do := range all {
		words[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			s, _ := ts.Value(stageKey{}).(*stage)
			s.TestScript = ts
			ts.Check(do(s, args))
		}
	}
	return words
}

// commit puts everything in the work tree on the branch that is read.
func (s *stage) commit(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: commit MESSAGE")
	}
	at := s.clock.Now().Format("2006-01-02T15:04:05Z")
	s.Setenv("GIT_AUTHOR_DATE", at)
	s.Setenv("GIT_COMMITTER_DATE", at)
	for _, git := range [][]string{{"add", "-A"}, {"commit", "-q", "--allow-empty", "-m", args[0]}, {"push", "-q", "origin", "HEAD:main"}} {
		if err := s.Exec("git", append([]string{"-C", filepath.Join(s.dir, "fleet")}, git...)...); err != nil {
			return err
		}
	}
	return nil
}

// configure writes the configuration of a script that has another repository
// than fleet.git.
func (s *stage) configure(args []string) error {
	text := "apiVersion: jeroboam.io/v1alpha1\nkind: Config\nmetadata: {name: test}\nspec:\n  instance: test\n  stateDir: state\n" +
		strings.Join(args, "\n") + "\n"
	text = strings.NewReplacer("GITURL", s.Getenv("giturl"), "WORK", s.dir).Replace(text)
	return os.WriteFile(filepath.Join(s.dir, "jeroboam.yaml"), []byte(text), 0o600)
}

func (s *stage) signers(args []string) error {
	var all strings.Builder
	for _, name := range args {
		all.WriteString(name + " " + s.ReadFile(name+".pub"))
	}
	return os.WriteFile(filepath.Join(s.dir, "allowed"), []byte(all.String()), 0o600)
}

func (s *stage) storeLogin(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: stored USER TOKEN")
	}
	line := strings.Replace(s.Getenv("giturl"), "://", "://"+args[0]+":"+args[1]+"@", 1) + "\n"
	return os.WriteFile(filepath.Join(s.dir, "credentials"), []byte(line), 0o600)
}

func (s *stage) edit(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: edit FILE OLD NEW")
	}
	text := s.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		return fmt.Errorf("%s has %q %d times", args[0], args[1], n)
	}
	text = strings.Replace(text, args[1], strings.ReplaceAll(args[2], `\n`, "\n"), 1)
	return os.WriteFile(s.MkAbs(args[0]), []byte(text), 0o600)
}

func (s *stage) showStatus(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: status FILE")
	}
	return s.Exec("git", "-C", filepath.Join(s.dir, "fleet.git"), "show", "refs/heads/jeroboam-status/test:"+args[0])
}

func (s *stage) exits(args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil || len(args) < 2 {
		return errors.New("usage: exits CODE PROGRAM [ARGUMENT...]")
	}
	if have := exitCode(s.Exec(args[1], args[2:]...)); have != want {
		return fmt.Errorf("exit code %d, want %d", have, want)
	}
	return nil
}

// exitCode is -1 if the program did not run.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// maxPasses of a settle: more are a loop that never ends.
const maxPasses = 25

// settle makes passes, ten minutes from one to the next, which no phase of the
// cloud needs. The last output stays for the script to look at.
func (s *stage) settle(args []string) error {
	for range maxPasses {
		code := exitCode(s.Exec("jeroboam", append([]string{"apply"}, args...)...))
		if code != exitOK && code != exitHeld {
			return fmt.Errorf("apply exits with %d", code)
		}
		if out := s.ReadFile("stdout"); strings.HasPrefix(out, "Apply: nothing to start") && !strings.Contains(out, " in motion") {
			return nil
		}
		if err := s.advance([]string{"600"}); err != nil {
			return err
		}
	}
	return fmt.Errorf("it has not settled after %d passes", maxPasses)
}

// ack finds the trailer in the plan or report that was printed last.
func (s *stage) ack(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: ack GUARD")
	}
	for line := range strings.Lines(s.ReadFile("stdout")) {
		if _, trailer, ok := strings.Cut(line, "Jeroboam-Ack: "+args[0]+" "); ok {
			s.Setenv("ack", "Jeroboam-Ack: "+args[0]+" "+strings.Fields(trailer)[0])
			return nil
		}
	}
	return fmt.Errorf("no acknowledgement for %s was asked for", args[0])
}

func (s *stage) checkRequests(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "reset":
		s.cloud.ResetRequests()
		return nil
	case len(args) < 2 || len(args) > 3:
		return errors.New("usage: requests reset, or requests total|writes|METHOD [PATH] N")
	}
	part := ""
	if len(args) == 3 {
		part = args[1]
	}
	want, err := strconv.Atoi(args[len(args)-1])
	if err != nil {
		return err
	}
	have := s.sent(args[0], part)
	if len(have) != want {
		return fmt.Errorf("%d requests %s %s, want %d:\n%s", len(have), args[0], part, want, strings.Join(have, "\n"))
	}
	return nil
}

// checkStacks asks the cloud itself.
func (s *stage) checkStacks(args []string) error {
	var have struct {
		Stacks []struct {
			Name   string `json:"stack_name"`
			Status string `json:"stack_status"`
		} `json:"stacks"`
	}
	text, err := s.call("GET", "orchestration", "/stacks", nil)
	if err == nil {
		err = json.Unmarshal(text, &have)
	}
	if err != nil {
		return err
	}
	if len(args) != 1 || strconv.Itoa(len(have.Stacks)) != args[0] {
		return fmt.Errorf("there are %d stacks, want %v: %v", len(have.Stacks), args, have.Stacks)
	}
	return nil
}
