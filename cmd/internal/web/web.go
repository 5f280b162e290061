// Package web is what the daemon serves: on a port, whether it is well, its metrics
// and webhooks; on a socket beside its state, what jeroboam sync asks for.
//
//	/healthz        the loops of all instances turn
//	/readyz         each has made a run, and its source can be read
//	/metrics        for Prometheus; instance_name says whose
//	/hooks/NAME     somebody pushed: look at the branch
//
// One address serves all instances of a process that listen there. Nothing here
// changes anything but the time at which they look. Read Member and Handler, then
// hook.go for how a sender shows that it knows the secret and whose branch it
// pushed to, metrics.go, and socket.go for the other side.
package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"jeroboam.io/jeroboam/reconcile/daemon"
)

// stuck is how long a run may take before the daemon counts as ill. A run waits
// for no stack and has patience for no cloud, so this is far beyond any.
const stuck = 20 * time.Minute

// Instance is one daemon as the web knows it.
type Instance interface {
	Asker
	Syncer
	State() daemon.State
}

// Member is one of the instances behind an address.
type Member struct {
	Name       string
	Instance   Instance // nil: it is starting
	Repository string   // URL of its fleet
	Hooks      []Hook
	Metrics    *Metrics // nil: it has none
}

// Handler serves the port for all members, whose names differ.
func Handler(members []Member, now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", eachMember(members, func(m Member) string {
		if m.Instance == nil {
			return ""
		}
		if s := m.Instance.State(); !s.Since.IsZero() && now().Sub(s.Since) > stuck {
			return "a run has been under way since " + s.Since.UTC().Format(time.RFC3339)
		}
		return ""
	}))
	mux.HandleFunc("GET /readyz", eachMember(members, unready))
	mux.Handle("GET /metrics", metricsHandler(members))
	mux.Handle("POST /hooks/{name}", hookHandler(members))
	return mux
}

// unready says why an instance is not ready; empty: it is.
func unready(m Member) string {
	if m.Instance == nil {
		return "starting"
	}
	switch s := m.Instance.State(); {
	case s.Draining:
		return "ending"
	case s.RanAt.IsZero():
		return "no run yet"
	case s.FetchErr != "":
		return "the repository cannot be read"
	case s.RunErr != "":
		return "the last run decided nothing"
	}
	return ""
}

// eachMember answers with what is wrong with any of the members, by name where
// there are several, or with ok.
func eachMember(members []Member, wrong func(Member) string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var all []string
		for _, m := range members {
			text := wrong(m)
			if text != "" && len(members) > 1 {
				text = m.Name + ": " + text
			}
			if text != "" {
				all = append(all, text)
			}
		}
		if len(all) > 0 {
			say(w, http.StatusServiceUnavailable, strings.Join(all, "\n"))
			return
		}
		say(w, http.StatusOK, "ok")
	}
}

// say answers with a line. What went wrong in detail is in the log: whoever asks
// here may be anybody.
func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}

// Server has the time limits of both sides: no client can keep a connection busy
// by being slow. A sync is answered when it is done, so writing has none.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
}
