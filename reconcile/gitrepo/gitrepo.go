// Package gitrepo reads the fleet from a Git repository and shows its status on
// a branch of it.
//
// Everything is done with Git's objects in memory; there is never a work tree:
//
//	list refs ── head as before ─────────────────────► the same Snapshot
//	    │ head moved
//	    ▼
//	fetch objects ─► commit ─► tree of the path ─► files, read when asked for
//	    │
//	    └─ is the applied commit in what was fetched? if not, ask the remote
//	       for the commits between the two, and for nothing else
//
//	status: tip of the board ─► new blobs, trees, commit ─► push "tip → commit"
//
// A poll of an unchanged branch costs one request. The first fetch is at depth
// 1, later ones bring what is new; what a rewritten branch leaves incomplete is
// noticed and fetched afresh. The push names the tip that it was built on, so
// the server refuses it if somebody was faster, and it is built again.
//
// http://, https:// and ssh:// remotes need nothing but this package. For file:// and
// local paths go-git starts git-upload-pack and git-receive-pack of the
// installed Git. That is kept for the daemon: only Git itself takes its own
// locks, runs the hooks and sees packs that a gc has just rewritten. The command
// line reads the repository that it stands in directly (Local): it only reads,
// once, and works where Git is not installed.
//
// Not supported, each with an error that says so: redirects (the daemon would
// read from elsewhere than its settings say), SHA-256 repositories, symbolic
// links and submodules below the fleet's path.
//
// Read Options and Repo here, then fetch.go (the Source), tree.go and history.go
// below it, lastchange.go for whose commit a file is from, board.go (the Board) with
// folder.go below it, outbox.go (a Board that is pushed later) with spool.go, lease.go
// (who keeps the clusters), remote.go for what goes over the wire (ssh.go, sshauth.go,
// proxy.go and login.go for how it gets there),
// held.go and trust.go for whose commits are believed, sign.go for how ours are
// signed, errors.go for who can act, and local.go for the command line.
package gitrepo

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"go.uber.org/zap"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// What zero in Options means.
const (
	DefaultAuthor       = "Jeroboam <jeroboam@localhost>"
	DefaultTimeout      = time.Minute
	DefaultPushBudget   = 5 * time.Second
	DefaultMaxFiles     = 20_000
	DefaultMaxBlob      = 1 << 20
	DefaultMaxPack      = 256 << 20
	DefaultRecloneAfter = 200
)

// Options open a repository. Only URL is needed.
type Options struct {
	// URL is https://, ssh://, user@host:path, http://, file:// or a local path.
	// Credentials in it are taken out and used as Username and Token. Over http://
	// they are refused, except to this machine.
	URL string
	// Branch of the fleet, short or as refs/...; empty is the remote's HEAD.
	Branch string
	// Path is the folder of the fleet; empty is the root of the repository.
	Path string
	// StatusBranch is where the board is; empty: there is none. Where it is the
	// fleet's branch too, StatusPath is needed, and not below Path.
	StatusBranch string
	// StatusPath is the folder of the board; empty is the root.
	StatusPath string
	// SkipCI puts "[skip ci]" into the subjects of status commits, which forges
	// take for a wish.
	SkipCI bool
	// Trailers are put at the end of the messages of status commits.
	Trailers map[string]string
	// Author and Committer of status commits, "Name <mail>". Empty is
	// DefaultAuthor, and the author.
	Author, Committer string
	// Sign gives the armored signature (OpenPGP or SSH) of an encoded commit;
	// nil: status commits are not signed.
	Sign Sign
	// Trust says whose commits of the fleet are believed; zero: everybody's.
	Trust Trust
	// Username and Token are sent as HTTP basic authentication. An empty
	// username with a token is "git": forges do not look at it.
	Username, Token string
	// Login, if set, is asked for username and token before each call instead.
	Login func() (Login, error)
	// SSH is for ssh:// URLs and user@host:path.
	SSH SSH
	// Proxy is the URL of an HTTP or SOCKS5 proxy. Empty: for HTTP that of the
	// environment (HTTPS_PROXY, NO_PROXY), for SSH none.
	Proxy string
	// CABundle has certificates in PEM that are trusted beside the system's.
	CABundle []byte
	// Timeout is for one call with all its requests; zero is 60 s.
	Timeout time.Duration
	// PushBudget is how long WriteStatus tries again after lost races; zero is 5 s.
	PushBudget time.Duration
	// MaxFiles below Path; more are an error. Zero is 20,000.
	MaxFiles int
	// MaxBlob is the size in bytes above which a file cannot be read; zero is 1 MiB.
	MaxBlob int64
	// MaxPack bounds, in bytes, what one answer may bring; zero is 256 MiB.
	MaxPack int64
	// RecloneAfter is the number of updates after which everything is fetched
	// afresh, because objects in memory are never collected; zero is 200.
	RecloneAfter int
	// Log gets what was fetched and pushed; nil: nothing is logged.
	Log *zap.Logger
}

// Repo is one repository: where the fleet is read, and where the board is.
// Its methods may be called from several goroutines. Fetches wait for each
// other, and so do writes of the board, but not one for the other.
type Repo struct {
	o         Options
	remote    *remote
	author    person
	committer person
	fleet     fleet
	board     board
}

var (
	_ reconcile.Source = (*Repo)(nil)
	_ reconcile.Board  = (*Repo)(nil)
)

// Open checks the options. It sends nothing: a wrong password is known at the
// first Fetch. Errors are Denied, because options are the operator's.
func Open(o Options) (*Repo, error) {
	o = o.withDefaults()
	r := &Repo{o: o, fleet: fleet{turn: newTurn()}, board: board{turn: newTurn()}}
	for _, step := range []func() error{r.setPaths, r.setBranches, r.setSameBranch, r.setPeople, r.o.Trust.check, r.setRemote} {
		if err := step(); err != nil {
			return nil, &drivers.Error{Kind: drivers.Denied, Op: "open repository", Err: err}
		}
	}
	return r, nil
}

func (o Options) withDefaults() Options {
	orDuration := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orDuration(&o.Timeout, DefaultTimeout)
	orDuration(&o.PushBudget, DefaultPushBudget)
	if o.MaxFiles <= 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if o.MaxBlob <= 0 {
		o.MaxBlob = DefaultMaxBlob
	}
	if o.MaxPack <= 0 {
		o.MaxPack = DefaultMaxPack
	}
	if o.RecloneAfter <= 0 {
		o.RecloneAfter = DefaultRecloneAfter
	}
	if o.Author == "" {
		o.Author = DefaultAuthor
	}
	if o.Committer == "" {
		o.Committer = o.Author
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

func (r *Repo) setPaths() error {
	for _, p := range []*string{&r.o.Path, &r.o.StatusPath} {
		clean := path.Clean(strings.TrimLeft(*p, "/"))
		switch {
		case clean == ".":
			clean = ""
		case clean == "..", strings.HasPrefix(clean, "../"):
			return fmt.Errorf("path %q leaves the repository", *p)
		}
		*p = clean
	}
	return nil
}

// setSameBranch keeps status out of the fleet: its tree would change with each
// status commit, and status is no document of ours.
func (r *Repo) setSameBranch() error {
	o := r.o
	if o.StatusBranch == "" || o.Branch == "" || refName(o.Branch) != refName(o.StatusBranch) {
		return nil
	}
	switch {
	case o.StatusPath == "":
		return fmt.Errorf("status is to be on the branch of the fleet, %q, and needs a path of its own there", o.Branch)
	case o.Path == "" || o.StatusPath == o.Path || strings.HasPrefix(o.StatusPath, o.Path+"/"):
		return fmt.Errorf("status is to be in %q, which is in the fleet's %q: keep them beside each other", o.StatusPath, "/"+o.Path)
	}
	return nil
}

func (r *Repo) setBranches() error {
	for what, b := range map[string]string{"branch": r.o.Branch, "status branch": r.o.StatusBranch} {
		if b == "" {
			continue
		}
		if err := refName(b).Validate(); err != nil {
			return fmt.Errorf("%s %q is no name for a branch", what, b)
		}
	}
	return nil
}

func (r *Repo) setPeople() (err error) {
	if r.author, err = parsePerson(r.o.Author); err != nil {
		return fmt.Errorf("author: %w", err)
	}
	if r.committer, err = parsePerson(r.o.Committer); err != nil {
		return fmt.Errorf("committer: %w", err)
	}
	return nil
}

func (r *Repo) setRemote() (err error) {
	r.remote, err = newRemote(r.o)
	return err
}

// refName is the whole name of a branch; what begins with refs/ is whole.
func refName(branch string) plumbing.ReferenceName {
	if strings.HasPrefix(branch, "refs/") {
		return plumbing.ReferenceName(branch)
	}
	return plumbing.NewBranchReferenceName(branch)
}

// person is the name and address that a commit carries.
type person struct{ name, mail string }

// parsePerson is not as strict as mail addresses are: forges have bots with
// brackets in their names and addresses.
func parsePerson(s string) (person, error) {
	name, mail, ok := strings.Cut(strings.TrimSuffix(s, ">"), "<")
	name, mail = strings.TrimSpace(name), strings.TrimSpace(mail)
	if !ok || !strings.HasSuffix(s, ">") || name == "" || mail == "" || strings.ContainsAny(name+mail, "<>\n\x00") {
		return person{}, fmt.Errorf(`%q is not of the form "Name <mail>"`, s)
	}
	return person{name, mail}, nil
}

// turn lets one caller in at a time, and those who wait give up with their context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) leave() { <-t }
