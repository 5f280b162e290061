package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Asker is who is asked for a sync.
type Asker interface {
	Ask(ctx context.Context) error
}

// Hook is a sender that may ask.
type Hook struct {
	Name   string
	Type   string // github, gitlab, gitea or generic
	Secret []byte
}

// maxBody is how much a sender may send; GitHub's limit. It is hashed and thrown
// away but for its beginning, which says what was pushed to.
const (
	maxBody  = 25 << 20
	maxStart = 1 << 20
)

// hookHandler takes pushes. A request only makes instances look at their branch,
// where what counts is; so a repeated one does no harm, and none is remembered.
// Those are asked that have the hook, of them those whose repository the body
// names. If it names none of theirs, all are: a forge may call it by another name
// than we do.
func hookHandler(members []Member) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := knownAs(members, r.PathValue("name"))
		if len(known) == 0 {
			code, text := http.StatusNotFound, "no such webhook"
			if slices.ContainsFunc(members, func(m Member) bool { return m.Instance == nil }) {
				code, text = http.StatusServiceUnavailable, "starting"
			}
			say(w, code, text)
			return
		}
		var start head
		sums := make([]hash.Hash, len(known))
		sinks := []io.Writer{&start}
		for i, k := range known {
			sums[i] = hmac.New(sha256.New, k.hook.Secret)
			sinks = append(sinks, sums[i])
		}
		_, err := io.Copy(io.MultiWriter(sinks...), http.MaxBytesReader(w, r.Body, maxBody))
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			say(w, http.StatusRequestEntityTooLarge, "the body is too large")
			return
		}
		var shown []Member
		for i, k := range known {
			if err == nil && k.hook.shows(r.Header, sums[i]) {
				shown = append(shown, k.member)
			}
		}
		switch {
		case err != nil:
			say(w, http.StatusBadRequest, "the body could not be read")
		case len(shown) == 0:
			say(w, http.StatusUnauthorized, "the signature is not right")
		case r.Header.Get("X-Github-Event") == "ping":
			say(w, http.StatusOK, "pong")
		case askAll(r.Context(), pushedTo(shown, start.text)) != nil:
			say(w, http.StatusServiceUnavailable, "ending")
		default:
			say(w, http.StatusAccepted, "looking")
		}
	})
}

// knower is a member with the hook of a name.
type knower struct {
	member Member
	hook   Hook
}

func knownAs(members []Member, name string) []knower {
	var known []knower
	for _, m := range members {
		for _, h := range m.Hooks {
			if h.Name == name && m.Instance != nil {
				known = append(known, knower{m, h})
			}
		}
	}
	return known
}

func askAll(ctx context.Context, members []Member) error {
	var errs []error
	for _, m := range members {
		errs = append(errs, m.Instance.Ask(ctx))
	}
	return errors.Join(errs...)
}

// head keeps the beginning of what is written.
type head struct{ text []byte }

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), maxStart-len(h.text))]...)
	return len(p), nil
}

// shows says that a sender knows the secret: it signed the body, or, as GitLab
// does, sent the secret itself. Either takes the same time for right and wrong.
//
//	github   X-Hub-Signature-256: sha256=HEX
//	gitea    X-Gitea-Signature: HEX          (Forgejo and Gogs as well)
//	generic  X-Signature: sha256=HEX
//	gitlab   X-Gitlab-Token: SECRET
func (h Hook) shows(header http.Header, body hash.Hash) bool {
	if len(h.Secret) == 0 {
		return false
	}
	text := ""
	switch h.Type {
	case "gitlab":
		sent, want := sha256.Sum256([]byte(header.Get("X-Gitlab-Token"))), sha256.Sum256(h.Secret)
		return hmac.Equal(sent[:], want[:])
	case "github":
		text = header.Get("X-Hub-Signature-256")
	case "gitea":
		text = "sha256=" + header.Get("X-Gitea-Signature")
	case "generic":
		text = header.Get("X-Signature")
	}
	digest, ok := strings.CutPrefix(text, "sha256=")
	sent, err := hex.DecodeString(digest)
	return ok && err == nil && hmac.Equal(sent, body.Sum(nil))
}
