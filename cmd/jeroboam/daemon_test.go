package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A daemon works in its own time, and so do these words: they try again until it
// is as they say, or a minute has passed.
func (s *stage) retry(try func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-late:
			return err
		case <-tick.C:
		}
	}
}

// until does not look at what is printed before the end.
func (s *stage) until(args []string) error {
	return s.retry(func() error { return s.Exec(args[0], args[1:]...) })
}

func (s *stage) push(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: push URL SECRET CODE")
	}
	body := []byte(`{"ref": "refs/heads/main"}`)
	mac := hmac.New(sha256.New, []byte(args[1]))
	mac.Write(body)
	return s.retry(func() error {
		req, err := http.NewRequest(http.MethodPost, args[0], bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if have := strconv.Itoa(resp.StatusCode); have != args[2] {
			return fmt.Errorf("it answers %s, want %s", resp.Status, args[2])
		}
		return nil
	})
}

// signal finds the daemon by what it says of itself to those that it keeps out.
func (s *stage) signal(args []string) error {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	if len(args) == 1 {
		args = append(args, "state")
	}
	if len(args) != 2 || signals[args[0]] == 0 {
		return errors.New("usage: signal HUP|TERM|KILL [FOLDER]")
	}
	var holder struct{ PID int }
	if err := json.Unmarshal([]byte(s.ReadFile(filepath.Join(args[1], "lock"))), &holder); err != nil || holder.PID == 0 {
		return fmt.Errorf("nobody has the folder %s: %w", args[1], err)
	}
	return syscall.Kill(holder.PID, signals[args[0]])
}

func (s *stage) port(args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil || len(args) != 1 {
		return fmt.Errorf("usage: port NAME: %w", err)
	}
	s.Setenv(args[0], l.Addr().String())
	return l.Close()
}

// checkKills has a second number for a run that kills at all points.
func (s *stage) checkKills(args []string) error {
	if len(args) == 2 && os.Getenv(killsAll) != "" {
		args = args[1:]
	}
	if len(args) == 0 || len(args) > 2 {
		return errors.New("usage: kills N [ALL]")
	}
	want, err := strconv.Atoi(args[0])
	if err == nil && s.kills < want {
		err = fmt.Errorf("it was killed %d times, want %d", s.kills, want)
	}
	for _, d := range deaths {
		if s.killedBy != nil && s.killedBy[d.name] == 0 && !d.ends {
			err = errors.Join(err, fmt.Errorf("it was never killed %s", d.name))
		}
	}
	s.Logf("killed %d times: %v", s.kills, s.killedBy)
	return err
}
