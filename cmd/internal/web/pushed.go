package web

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// pushedTo are the members whose repository a push names; all of them if it names
// none of theirs.
func pushedTo(members []Member, body []byte) []Member {
	if len(members) < 2 {
		return members
	}
	named := repositories(body)
	theirs := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return !named[place(m.Repository)] })
	if len(theirs) == 0 {
		return members
	}
	return theirs
}

// repositories are the places of the repository that the beginning of a body
// names, in the words of GitHub and Gitea (repository) and of GitLab (project).
// What comes before it is passed over without being held.
func repositories(body []byte) map[string]bool {
	named := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return named
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return named
		}
		if key != "repository" && key != "project" {
			if !skip(dec) {
				return named
			}
			continue
		}
		var urls struct {
			Clone   string `json:"clone_url"`
			SSH     string `json:"ssh_url"`
			HTML    string `json:"html_url"`
			GitHTTP string `json:"git_http_url"`
			GitSSH  string `json:"git_ssh_url"`
			Web     string `json:"web_url"`
		}
		if dec.Decode(&urls) != nil {
			return named
		}
		for _, u := range []string{urls.Clone, urls.SSH, urls.HTML, urls.GitHTTP, urls.GitSSH, urls.Web} {
			if p := place(u); p != "" {
				named[p] = true
			}
		}
	}
	return named
}

// skip passes over one value.
func skip(dec *json.Decoder) bool {
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return false
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return true
		}
	}
}

// place is what the URLs of one repository have in common, whether over https or
// ssh (also as user@host:path): "host/path".
func place(repository string) string {
	if !strings.Contains(repository, "://") {
		if host, path, ok := strings.Cut(repository, ":"); ok && !strings.Contains(host, "/") {
			repository = "ssh://" + host + "/" + strings.TrimPrefix(path, "/")
		}
	}
	u, err := url.Parse(repository)
	if err != nil || u.Host == "" {
		return ""
	}
	return strings.ToLower(u.Hostname()) + "/" + strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
}
