package gitrepo

import (
	"errors"
	"net/url"
	"os"
	"strings"
)

// Login is what goes with each HTTP request.
type Login struct{ Username, Token string }

// SameHost says that two repositories are on one host, by one way to it: a
// credential for the one may be sent to the other.
func SameHost(a, b string) bool {
	x, err := parseURL(a)
	if err != nil {
		return false
	}
	y, err := parseURL(b)
	return err == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Host, y.Host)
}

// StoredLogin finds the login for a repository in a file as git-credential-store
// writes it: a URL with user and password on each line, the first that fits. Of
// the path only so much is compared as the line has.
func StoredLogin(file, repository string) (Login, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Login{}, err
	}
	want, err := url.Parse(repository)
	if err != nil {
		return Login{}, errors.New("the repository's URL cannot be parsed")
	}
	for line := range strings.Lines(string(text)) {
		u, err := url.Parse(strings.TrimSpace(line))
		if err != nil || u.User == nil || !fits(u, want) {
			continue
		}
		token, _ := u.User.Password()
		return Login{u.User.Username(), token}, nil
	}
	return Login{}, errors.New(file + " has no line for " + want.Scheme + "://" + want.Host)
}

func fits(stored, want *url.URL) bool {
	if stored.Scheme != want.Scheme || !strings.EqualFold(stored.Host, want.Host) {
		return false
	}
	if want.User != nil && want.User.Username() != "" && want.User.Username() != stored.User.Username() {
		return false
	}
	p := strings.Trim(stored.Path, "/")
	w := strings.Trim(want.Path, "/")
	return p == "" || p == w || strings.TrimSuffix(w, ".git") == strings.TrimSuffix(p, ".git")
}
