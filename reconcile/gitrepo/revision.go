package gitrepo

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

var (
	// revisionForm is a base and steps back from it. Peeling (^0, ^{}) is no step.
	revisionForm = regexp.MustCompile(`^([^~^:?*\[\\\s]+)((?:~\d*|\^\d*|\^\{\}|\^\{commit\})*)$`)
	stepForm     = regexp.MustCompile(`~\d*|\^\{\}|\^\{commit\}|\^\d*`)
	shortHash    = regexp.MustCompile(`^[0-9a-f]{4,39}$`)
)

// resolve finds a revision: a branch, a tag, a remote's branch (origin/main),
// HEAD or @, a whole or a short hash; each with ~N and ^N behind it. go-git's
// resolver is not used: it takes forms that it does not know (HEAD@{1}) for
// their beginning, and a short hash for the first that fits.
func (l *LocalRepo) resolve(rev string) (*object.Commit, error) {
	m := revisionForm.FindStringSubmatch(rev)
	if m == nil || strings.Contains(rev, "..") || strings.Contains(rev, "@{") {
		return nil, fmt.Errorf("%q is no revision: give a branch, a tag, a hash, and ~N or ^N behind it", rev)
	}
	h, err := l.resolveBase(m[1])
	if err != nil {
		return nil, err
	}
	c, err := l.commit(h)
	for _, step := range stepForm.FindAllString(m[2], -1) {
		if err != nil {
			break
		}
		c, err = l.step(c, step)
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("%q is not in this clone: fetch more of the history (git fetch --unshallow, or depth 0 in CI)", rev)
	}
	return c, err
}

// step goes back from a commit: ~2 is two first parents, ^2 the second parent.
func (l *LocalRepo) step(c *object.Commit, step string) (*object.Commit, error) {
	n := 1
	if digits := strings.TrimLeft(step, "~^"); strings.HasPrefix(digits, "{") {
		n = 0
	} else if digits != "" {
		var err error
		if n, err = strconv.Atoi(digits); err != nil {
			return nil, err
		}
	}
	if n == 0 {
		return c, nil
	}
	if step[0] == '^' {
		return l.parent(c, n)
	}
	var err error
	for ; n > 0 && err == nil; n-- {
		c, err = l.parent(c, 1)
	}
	return c, err
}

func (l *LocalRepo) parent(c *object.Commit, n int) (*object.Commit, error) {
	if n > len(c.ParentHashes) {
		return nil, fmt.Errorf("commit %.12s has %d parents", c.Hash, len(c.ParentHashes))
	}
	return l.commit(c.ParentHashes[n-1])
}

// resolveBase follows Git's order: a whole hash, refs, a short hash.
func (l *LocalRepo) resolveBase(name string) (plumbing.Hash, error) {
	if plumbing.IsHash(name) {
		return plumbing.NewHash(name), nil
	}
	if name == "@" {
		name = "HEAD"
	}
	for _, form := range []string{"%s", "refs/%s", "refs/tags/%s", "refs/heads/%s", "refs/remotes/%s", "refs/remotes/%s/HEAD"} {
		full := plumbing.ReferenceName(fmt.Sprintf(form, name))
		if form == "%s" && name != "HEAD" && !strings.HasPrefix(name, "refs/") && strings.ToUpper(name) != name {
			continue // not a file like "config" of the Git folder
		}
		ref, err := storer.ResolveReference(l.store, full)
		if err == nil {
			return ref.Hash(), nil
		}
	}
	if name == "HEAD" {
		return plumbing.ZeroHash, errors.New("the repository has no commit yet")
	}
	if shortHash.MatchString(name) {
		return l.resolveShort(name)
	}
	return plumbing.ZeroHash, fmt.Errorf("there is no branch, tag or commit %q in this clone; is it fetched?", name)
}

func (l *LocalRepo) resolveShort(name string) (plumbing.Hash, error) {
	prefix, err := hex.DecodeString(name[:len(name)/2*2])
	if err != nil {
		return plumbing.ZeroHash, err
	}
	candidates, err := l.store.HashesWithPrefix(prefix)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	found := map[plumbing.Hash]bool{} // one object may be in several packs
	for _, h := range candidates {
		if strings.HasPrefix(h.String(), name) {
			if c, err := l.commit(h); err == nil {
				found[c.Hash] = true
			}
		}
	}
	if len(found) > 1 {
		return plumbing.ZeroHash, fmt.Errorf("%q is the beginning of %d commits: give more of it", name, len(found))
	}
	for h := range found {
		return h, nil
	}
	return plumbing.ZeroHash, fmt.Errorf("there is no commit %q in this clone", name)
}
