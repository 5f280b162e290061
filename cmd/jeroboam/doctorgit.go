package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// examineGit looks at what a fetch does not need: that status can be pushed, and
// who else can read the key.
func (a *app) examineGit(ctx context.Context, c schema.Config) (found []drivers.Finding) {
	if !c.Status.Disabled {
		found = append(found, a.examineBoard(ctx, c))
	}
	for what, file := range map[string]string{"SSH key": c.Repository.Access.SSHKey, "SSH key for status": c.Status.Access.SSHKey, "signing key": c.Status.Signing.Key} {
		if f, told := keyForAll(what, file); told && !strings.HasSuffix(file, ".pub") {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(x, y drivers.Finding) int { return cmp.Compare(x.Check, y.Check) })
	return found
}

func (a *app) examineBoard(ctx context.Context, c schema.Config) drivers.Finding {
	f := drivers.Finding{Check: "push status", Level: drivers.Fine, Detail: "a push to " + c.Status.Branch + " is answered"}
	_, board, err := a.repositories(c)
	if err == nil {
		err = board.CanWrite(ctx)
	}
	if err != nil {
		f.Level, f.Detail = drivers.Bad, err.Error()
		f.Advice = "give a key or a token that may write, or switch status off (status.disabled)"
	}
	return f
}

// keyForAll tells of a private key that every user of this machine can read.
func keyForAll(what, file string) (f drivers.Finding, told bool) {
	if file == "" {
		return f, false
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o007 == 0 {
		return f, false // one that is not there is told by those who use it
	}
	return drivers.Finding{
		Check: what, Level: drivers.Doubt, Detail: file + " can be read by every user of this machine",
		Advice: "unless this is a container of its own, run chmod o-rwx " + file,
	}, true
}
