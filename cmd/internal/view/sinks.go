package view

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"

	"jeroboam.io/jeroboam/schema"
)

// What the sinks for CI have in common: how a place and a problem are named
// there. They show the same problems in the same order.

// sinkFile is a path as forges know the files of a repository: with slashes and
// without "./". One outside of the working directory stays as it is, and a
// problem that is in no file belongs to the folder.
func sinkFile(pos schema.Pos) string { return path.Clean(filepath.ToSlash(pos.File)) }

// sinkLine is where forges show a problem that has no line.
func sinkLine(pos schema.Pos) int { return max(pos.Line, 1) }

// said is a problem without its place and code.
func said(p schema.Problem) string {
	s := p.Message
	if p.Pointer != "" {
		s = p.Pointer + ": " + s
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return clean(s)
}

// fingerprints tell problems apart from run to run: by code, file and pointer,
// and by number where these are the same. Lines are left out, since they shift
// with every edit above them, and so are messages, which name lines and change
// with releases.
func fingerprints(problems schema.Problems) []string {
	seen := map[string]int{}
	prints := make([]string, 0, len(problems))
	for _, p := range problems {
		what := fmt.Sprintf("%s\x00%s\x00%s", p.Code, sinkFile(p.Pos), p.Pointer)
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", what, seen[what]))
		seen[what]++
		prints = append(prints, hex.EncodeToString(sum[:16]))
	}
	return prints
}
