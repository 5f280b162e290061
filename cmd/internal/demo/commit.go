package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// initRepository makes the repository, with an author for those who commit in it:
// git wants one, and new machines have none.
func (f *Folder) initRepository(ctx context.Context) error {
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", "--template=", "."},
		{"config", "user.name", "Jeroboam demo"},
		{"config", "user.email", "demo@example.org"},
	} {
		if _, err := f.git(ctx, time.Time{}, args...); err != nil {
			return err
		}
	}
	return nil
}

// Commit puts all documents on the branch, and says which commit that is.
func (f *Folder) Commit(ctx context.Context, message string, at time.Time) (string, error) {
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}} {
		if _, err := f.git(ctx, at, args...); err != nil {
			return "", err
		}
	}
	return f.Head(ctx)
}

// Head is the commit that the branch is at, whoever made it.
func (f *Folder) Head(ctx context.Context) (string, error) {
	return f.git(ctx, time.Time{}, "rev-parse", "main")
}

// git runs git in the repository. What it is set up to do elsewhere, such as to
// sign commits, is no part of a demo. A commit is of the time that is given.
func (f *Folder) git(ctx context.Context, at time.Time, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // G204: the words are those above
	cmd.Dir = f.path("")
	own := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "GIT_") }) // GIT_DIR: somebody's repository
	cmd.Env = append(own, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	if !at.IsZero() {
		date := at.Format(time.RFC3339)
		cmd.Env = append(cmd.Env, "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
