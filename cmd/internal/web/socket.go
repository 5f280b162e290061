package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"jeroboam.io/jeroboam/reconcile"
)

// Syncer makes a sync and waits for it.
type Syncer interface {
	Sync(ctx context.Context) (reconcile.Report, error)
}

// Synced is what a sync did, as jeroboam sync is told.
type Synced struct {
	Run     string `json:"run,omitempty"`
	Commit  string `json:"commit,omitempty"`
	Started int    `json:"started"`
	Failed  int    `json:"failed"`
	Held    int    `json:"held"`
	Moving  int    `json:"moving"`
	InSync  int    `json:"inSync"`
	Unknown int    `json:"unknownClouds"`
	Error   string `json:"error,omitempty"` // why nothing was decided
}

// maxSocket is how long the path of a socket may be (sun_path of Linux).
const maxSocket = 107

// SocketPath is where the daemon of a state directory listens.
func SocketPath(stateDir string) string { return filepath.Join(stateDir, "daemon.sock") }

// ListenSocket opens the socket of a state directory, which must be locked by the
// caller: what is in its place was left by a process that was killed. Only the
// directory's owner can reach it.
func ListenSocket(ctx context.Context, stateDir string) (net.Listener, error) {
	path := SocketPath(stateDir)
	if len(path) > maxSocket {
		return nil, fmt.Errorf("listen for jeroboam sync: the path %s is longer than the %d bytes that a socket may have; give a shorter --state-dir", path, maxSocket)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for jeroboam sync: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for jeroboam sync: %w", err)
	}
	return l, nil
}

// SocketHandler serves the socket.
func SocketHandler(d Instance) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sync", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait") == "false" {
			if err := d.Ask(r.Context()); err != nil {
				say(w, http.StatusServiceUnavailable, err.Error())
				return
			}
			w.WriteHeader(http.StatusAccepted)
			return
		}
		report, err := d.Sync(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(synced(report, err)) // who asked has gone
	})
	return mux
}

func synced(r reconcile.Report, err error) Synced {
	s := Synced{
		Run: r.Run, Commit: r.Snapshot.Commit, Failed: len(r.Failed()), Held: len(r.Plan.HeldSteps()),
		InSync: r.Plan.InSync, Unknown: len(r.Plan.Unknown),
	}
	for _, x := range r.Results {
		if x.Err == nil {
			s.Started++
		}
	}
	for _, step := range r.Plan.Steps {
		if step.Op == "wait" {
			s.Moving++
		}
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// ErrNoDaemon means that nobody listens at the socket.
var ErrNoDaemon = errors.New("no daemon is running")

// AskSync asks the daemon of a state directory for a sync. Without wait the answer
// is empty.
func AskSync(ctx context.Context, stateDir string, wait bool) (Synced, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", SocketPath(stateDir))
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://daemon/sync?wait=%t", wait), nil)
	if err != nil {
		return Synced{}, err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return Synced{}, fmt.Errorf("%w with the state directory %s: start jeroboam run, or make a pass with jeroboam apply", ErrNoDaemon, stateDir)
	case err != nil:
		return Synced{}, fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	var s Synced
	switch {
	case resp.StatusCode == http.StatusAccepted:
		return s, nil
	case resp.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return s, fmt.Errorf("the daemon answers %s: %s", resp.Status, text)
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("the daemon went away: %w", err)
	}
	return s, nil
}
