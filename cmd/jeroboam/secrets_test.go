package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// wire is everything that was sent to the cloud.
type wire struct {
	mu   sync.Mutex
	sent bytes.Buffer
}

// listen keeps a request for clean. False is one of which only a part came: its
// sender was killed meanwhile, and the cloud never saw it.
func (s *stage) listen(r *http.Request) (whole bool) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.heard.mu.Lock()
	defer s.heard.mu.Unlock()
	fmt.Fprintf(&s.heard.sent, "%s %s %v\n%s %v\n", r.Method, r.URL, r.Header, body, err)
	return err == nil
}

// clean fails if a word is where it must not be. A path that has no file is a
// mistake of the script.
func (s *stage) clean(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: clean WORD PATH [PATH...]")
	}
	word := []byte(args[0])
	s.heard.mu.Lock()
	defer s.heard.mu.Unlock()
	switch sent := s.heard.sent.Bytes(); {
	case len(sent) == 0:
		return errors.New("nothing was sent to the cloud")
	case bytes.Contains(sent, word):
		return fmt.Errorf("%s was sent to the cloud", word)
	}
	for _, path := range args[1:] {
		files := 0
		err := filepath.WalkDir(s.MkAbs(path), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			text, err := os.ReadFile(name)
			if err == nil && bytes.Contains(text, word) {
				err = fmt.Errorf("%s has %s", name, word)
			}
			return err
		})
		if err == nil && files == 0 {
			err = fmt.Errorf("%s has no file", path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
