package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// allowedSigners is a file of those whose signatures count, in the form of
// ssh-keygen(1), "ALLOWED SIGNERS", which Git's gpg.ssh.allowedSignersFile has:
//
//	ada@example.org,ben@example.org namespaces="git",valid-before="20270101" ssh-ed25519 AAAA...
//	*@example.org cert-authority ssh-ed25519 AAAA...
type allowedSigners []allowedSigner

type allowedSigner struct {
	principals string // patterns
	key        ssh.PublicKey
	authority  bool
	namespaces string // patterns; empty: all
	after      time.Time
	before     time.Time
}

func parseAllowed(text []byte) (allowedSigners, error) {
	var all allowedSigners
	number := 0
	for line := range bytes.Lines(text) {
		number++
		l := strings.TrimSpace(string(line))
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		one, err := parseAllowedLine(l)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func parseAllowedLine(line string) (a allowedSigner, err error) {
	var rest string
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		a.principals, rest, _ = strings.Cut(quoted, `"`)
	} else if i := strings.IndexAny(line, " \t"); i > 0 {
		a.principals, rest = line[:i], line[i:]
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(rest)))
	if err != nil {
		return a, errors.New("expected principals, perhaps options, and a public key")
	}
	a.key = key
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "cert-authority":
			a.authority = true
		case "namespaces":
			a.namespaces = value
		case "valid-after":
			a.after, err = parseValid(value)
		case "valid-before":
			a.before, err = parseValid(value)
		default:
			err = fmt.Errorf("the option %q is not known", name)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// parseValid reads YYYYMMDD[HHMM[SS]], in the local time zone without a Z.
func parseValid(s string) (time.Time, error) {
	zone, digits := time.Local, s
	if d, ok := strings.CutSuffix(s, "Z"); ok {
		zone, digits = time.UTC, d
	}
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(form) == len(digits) {
			return time.ParseInLocation(form, digits, zone)
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: it is like 20270131 or 202701311800Z", s)
}

// judge says why a key that signed at a time does not count; nil: it does.
func (all allowedSigners) judge(key ssh.PublicKey, at time.Time) error {
	why := fmt.Errorf("it is signed by the key %s, which is not among the allowed signers", ssh.FingerprintSHA256(key))
	for _, a := range all {
		cert, certified := key.(*ssh.Certificate)
		switch {
		case a.authority && (!certified || !sameKey(cert.SignatureKey, a.key)), !a.authority && !sameKey(key, a.key):
			continue
		case a.namespaces != "" && !matches(a.namespaces, sigNamespace):
			why = fmt.Errorf("it is signed by a key of %s, which may not sign commits", a.principals)
		case !a.after.IsZero() && at.Before(a.after), !a.before.IsZero() && !at.Before(a.before):
			why = fmt.Errorf("it is signed by a key of %s, which was not valid at %s", a.principals, at.UTC().Format(time.RFC3339))
		case a.authority:
			err := a.certifies(cert, at)
			if err == nil {
				return nil
			}
			why = fmt.Errorf("it is signed with a certificate that does not count: %w", err)
		default:
			return nil
		}
	}
	return why
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// certifies checks a certificate of this authority: for one of the principals.
func (a allowedSigner) certifies(cert *ssh.Certificate, at time.Time) error {
	if cert.CertType != ssh.UserCert {
		return errors.New("it is none of a user")
	}
	checker := ssh.CertChecker{Clock: func() time.Time { return at }}
	err := errors.New("it names nobody")
	for _, p := range cert.ValidPrincipals {
		if !matches(a.principals, p) {
			err = fmt.Errorf("%s is none of %s", p, a.principals)
			continue
		}
		if err = checker.CheckCert(p, cert); err == nil {
			return nil
		}
	}
	return err
}

// matches is OpenSSH's match_pattern_list: patterns with * and ?, separated by
// commas; one with ! before it takes away.
func matches(patterns, s string) bool {
	found := false
	for p := range strings.SplitSeq(patterns, ",") {
		not := strings.HasPrefix(p, "!")
		if glob(strings.TrimPrefix(p, "!"), s) {
			if not {
				return false
			}
			found = true
		}
	}
	return found
}

// glob is path.Match without its brackets and slashes.
func glob(pattern, s string) bool {
	pattern = strings.NewReplacer("[", `\[`, `\`, `\\`, "/", "\x00").Replace(pattern)
	ok, err := path.Match(pattern, strings.ReplaceAll(s, "/", "\x00"))
	return err == nil && ok
}
