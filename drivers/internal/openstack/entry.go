package openstack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reader takes typed values out of a parsed entry and collects what is wrong
// with them, so that the operator sees all of it at once.
type reader struct{ wrong []string }

func (r *reader) fail(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// text reads a string. Unquoted digits are refused: YAML has read 0123 as 83
// and 1e3 as 1000 by now, and nobody would find out why Keystone says no.
func (r *reader) text(m map[string]any, key string) string {
	switch v := m[key].(type) {
	case nil:
		return ""
	case string:
		return v
	}
	r.fail("%s must be a text in quotes", key)
	return ""
}

func (r *reader) truth(m map[string]any, key string, unset bool) bool {
	switch v := m[key].(type) {
	case nil:
		return unset
	case bool:
		return v
	case string:
		if b, err := strconv.ParseBool(strings.ToLower(v)); err == nil {
			return b
		}
	case float64:
		if v == 0 || v == 1 {
			return v == 1
		}
	}
	r.fail("%s must be true or false", key)
	return unset
}

func (r *reader) oneInterface(s string) string {
	s = strings.TrimSuffix(s, "URL")
	if !slices.Contains([]string{"public", "internal", "admin"}, s) {
		r.fail("interface must be public, internal or admin, not %q", s)
	}
	return s
}

// version is the last folder of a versioned endpoint: v3, v2.1.
var version = regexp.MustCompile(`^v\d+(\.\d+)?$`)

// authURL gives Keystone's v3 address whatever version was written.
func (r *reader) authURL(s string) string {
	if s == "" {
		r.fail("auth_url is missing")
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.fail("auth_url must be an http or https URL")
		return ""
	}
	parts := strings.Split(strings.TrimRight(u.Path, "/"), "/")
	if last := len(parts) - 1; version.MatchString(parts[last]) {
		parts = parts[:last]
	}
	return u.Scheme + "://" + u.Host + strings.Join(parts, "/") + "/v3"
}

// authType gives the method of authentication. Where none is written it
// follows from what is there.
func (r *reader) authType(written string, auth map[string]string) string {
	switch written {
	case "password", "v3password":
		return "password"
	case "token", "v3token":
		return "token"
	case "v3applicationcredential":
		return written
	case "":
	default:
		r.fail("auth_type must be password, token or v3applicationcredential, not %q", written)
		return written
	}
	switch {
	case auth["application_credential_secret"] != "":
		return "v3applicationcredential"
	case auth["token"] != "" && auth["password"] == "":
		return "token"
	default:
		return "password"
	}
}

// complete says what the method of authentication needs and lacks.
func (r *reader) complete(e entry) {
	need := func(keys ...string) {
		for _, k := range keys {
			if e.auth[k] != "" {
				return
			}
		}
		r.fail("auth needs %s", strings.Join(keys, " or "))
	}
	switch e.authType {
	case "password":
		need("username", "user_id")
		need("password")
		need("project_name", "project_id")
	case "token":
		need("token")
	case "v3applicationcredential":
		need("application_credential_secret")
		need("application_credential_id", "application_credential_name")
		if e.auth["application_credential_id"] == "" {
			need("username", "user_id")
		}
	}
	if (e.cert == "") != (e.key == "") && e.key != "" {
		r.fail("key needs cert")
	}
}

// tlsConfig is how the cloud's servers prove who they are, and we to them.
func (e entry) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if !e.verify {
		c.InsecureSkipVerify = true // #nosec G402 -- the operator wrote verify: false
	}
	if e.cacert != "" {
		pem, err := os.ReadFile(expand(e.cacert))
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", e.cacert)
		}
	}
	if e.cert != "" {
		key := e.key
		if key == "" {
			key = e.cert // one file may hold both
		}
		pair, err := tls.LoadX509KeyPair(expand(e.cert), expand(key))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read client certificate %s", e.cert), err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// expand replaces a leading ~ as openstacksdk does; nothing else is expanded.
func expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

func child(m map[string]any, key string) (map[string]any, bool) {
	v, ok := m[key]
	if !ok {
		return nil, false
	}
	c, _ := v.(map[string]any)
	return c, true
}

func childOf(m map[string]any, key string) map[string]any {
	c, _ := child(m, key)
	return c
}

// merge lays one tree over another.
func merge(under, over map[string]any) map[string]any {
	out := maps.Clone(under)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range over {
		if o, ok := v.(map[string]any); ok {
			v = merge(childOf(out, k), o)
		}
		if v != nil {
			out[k] = v
		}
	}
	return out
}

// nearest is the name that was probably meant, or "".
func nearest(name string, names []string) string {
	best, limit := "", max(2, len(name)/3)
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d <= limit {
			best, limit = n, d-1
		}
	}
	return best
}

// distance is how many letters to insert, drop or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
