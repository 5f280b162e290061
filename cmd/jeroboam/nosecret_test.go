package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// leaky is a cloud that says more than it should: it repeats what it was sent.
type leaky struct {
	mu       sync.Mutex
	password string         // that the cloud takes; empty: the simulated cloud's own
	refuse   *regexp.Regexp // paths of writes that are refused with their own body; nil: none
	from     int            // the byte of the body with which the repetition begins
	repeated int            // how often it did
	made     []string       // secrets of application credentials that were made
}

// planted begins all secrets that a script plants.
const planted = "planted-"

// echo makes the cloud refuse writes to what matches with what they said.
func (s *stage) echo(args []string) error {
	s.leaks.mu.Lock()
	defer s.leaks.mu.Unlock()
	switch {
	case len(args) == 1 && args[0] == "off":
		if s.leaks.refuse = nil; s.leaks.repeated == 0 {
			return errors.New("the cloud repeated nothing")
		}
		s.leaks.repeated = 0
		return nil
	case len(args) == 0 || len(args) > 2:
		return errors.New("usage: echo PATHREGEXP [FROM], or echo off")
	}
	s.leaks.from = 0
	if len(args) == 2 {
		if _, err := fmt.Sscan(args[1], &s.leaks.from); err != nil {
			return err
		}
	}
	var err error
	s.leaks.refuse, err = regexp.Compile(args[0])
	return err
}

// password changes that of demo.
func (s *stage) password(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: password WORD")
	}
	s.leaks.password = args[0]
	name := filepath.Join(s.dir, "clouds.yaml")
	text := strings.Replace(s.ReadFile(name), "password: sim", "password: "+args[0], 1)
	return os.WriteFile(name, []byte(text), 0o600)
}

// spill serves a request as the cloud does, unless it is to be repeated.
func (s *stage) spill(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.leaks.mu.Lock()
	defer s.leaks.mu.Unlock()
	if s.leaks.refuse != nil && r.Method != http.MethodGet && s.leaks.refuse.MatchString(r.URL.Path) {
		s.leaks.repeated++
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(body[min(s.leaks.from, len(body)):])
		return
	}
	if s.leaks.password != "" && strings.HasSuffix(r.URL.Path, "/auth/tokens") {
		body = bytes.ReplaceAll(body, []byte(s.leaks.password), []byte("sim"))
		r.ContentLength = int64(len(body))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/application_credentials") {
		s.leaks.mu.Unlock()
		defer s.leaks.mu.Lock()
		next.ServeHTTP(w, r)
		return
	}
	made := &tee{ResponseWriter: w}
	next.ServeHTTP(made, r)
	for _, m := range regexp.MustCompile(`"secret": ?"([^"]+)"`).FindAllSubmatch(made.b.Bytes(), -1) {
		s.leaks.made = append(s.leaks.made, string(m[1]))
	}
}

type tee struct {
	http.ResponseWriter
	b bytes.Buffer
}

func (t *tee) Write(p []byte) (int, error) {
	t.b.Write(p)
	return t.ResponseWriter.Write(p)
}

// keepOutput runs a program, whatever comes of it, and keeps what it prints.
func (s *stage) keepOutput(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: record NAME PROGRAM [ARGUMENT...]")
	}
	if code := exitCode(s.Exec(args[1], args[2:]...)); code < 0 {
		return fmt.Errorf("%v did not end by itself", args[1:])
	}
	for _, of := range []string{"stdout", "stderr"} {
		if err := s.writeNew(filepath.Join("out", args[0]+"."+of), s.ReadFile(of)); err != nil {
			return err
		}
	}
	return nil
}

// sentWords fails if a word was never sent to the cloud: then it being nowhere else
// says nothing.
func (s *stage) sentWords(args []string) error {
	s.heard.mu.Lock()
	defer s.heard.mu.Unlock()
	for _, word := range args {
		if !bytes.Contains(s.heard.sent.Bytes(), []byte(word)) {
			return fmt.Errorf("%s was never sent to the cloud", word)
		}
	}
	return nil
}

// nowhere looks for secrets at and below paths. A path with a minus before it is
// where they are by design, and is left out.
func (s *stage) nowhere(args []string) error {
	if len(s.leaks.made) == 0 {
		return errors.New("no application credential was made: there is nothing to look for")
	}
	keys := s.keyLines()
	if len(keys) == 0 {
		return errors.New("no private key was sent to the cloud: there is nothing to look for")
	}
	look := secretForms(s.leaks.made, keys)
	var except, errs []string
	files := 0
	for _, path := range args {
		if rest, out := strings.CutPrefix(path, "-"); out {
			except = append(except, s.MkAbs(rest))
		}
	}
	for _, path := range args {
		if strings.HasPrefix(path, "-") {
			continue
		}
		err := filepath.WalkDir(s.MkAbs(path), func(name string, d fs.DirEntry, err error) error {
			if slices.Contains(except, name) {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files++
			text, err := os.ReadFile(name)
			if found := look.Find(text); found != nil {
				at := bytes.Index(text, found)
				errs = append(errs, fmt.Sprintf("%s: ...%s", name, text[max(0, at-80):min(len(text), at+60)]))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if files < 2*len(args) {
		return fmt.Errorf("only %d files were looked at", files)
	}
	if len(errs) > 0 {
		return fmt.Errorf("secrets in %d files:\n%s", len(errs), strings.Join(errs, "\n"))
	}
	s.Logf("no secret in %d files", files)
	return nil
}

// keyLines are the first lines of the private keys that the cloud was sent: what is
// left of a key whose head was cut off.
func (s *stage) keyLines() []string {
	s.heard.mu.Lock()
	defer s.heard.mu.Unlock()
	var lines []string
	for _, m := range regexp.MustCompile(`PRIVATE KEY-----(?:\\n|\n)([A-Za-z0-9+/]{40})[A-Za-z0-9+/]*(?:\\n|\n)([A-Za-z0-9+/]{40})`).FindAllSubmatch(s.heard.sent.Bytes(), -1) {
		lines = append(lines, string(m[1][20:]), string(m[2]))
	}
	return lines
}

// secretForms matches what was planted and what was made, as it is and in base64:
// also private keys, whichever they are, and the last third of what was made.
func secretForms(made, keys []string) *regexp.Regexp {
	forms := []string{regexp.QuoteMeta(planted), `BEGIN [A-Z ]*PRIVATE KEY`}
	for _, word := range append([]string{planted, "PRIVATE KEY-----"}, made...) {
		for pad := range 3 {
			encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", pad) + word))
			// The first and the last characters hang on what stands beside the word.
			from, to := []int{0, 2, 3}[pad], len(encoded)-4
			forms = append(forms, regexp.QuoteMeta(encoded[from:to]))
		}
	}
	for _, word := range made {
		forms = append(forms, regexp.QuoteMeta(word[len(word)*2/3:]))
	}
	for _, line := range keys {
		forms = append(forms, regexp.QuoteMeta(line))
	}
	return regexp.MustCompile(strings.Join(forms, "|"))
}
