package openstack

import (
	"encoding/json"
	"html"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const maxText = 2000 // bytes of a service's text that an error carries

// message finds type and text in an error body. Each service has its own form;
// only a Heat validation error is likely to be seen by the author of a cluster.
func message(contentType string, body []byte) (typ, text string) {
	var tree map[string]any
	if json.Unmarshal(body, &tree) == nil {
		typ, text = jsonMessage(tree)
		return typ, tidy(breaks.ReplaceAllString(text, "\n"))
	}
	text = strings.ToValidUTF8(string(body), "?")
	if !strings.Contains(contentType, "html") && !strings.HasPrefix(strings.TrimSpace(text), "<") {
		return "", tidy(text)
	}
	if _, after, ok := strings.Cut(text, "</h1>"); ok {
		text = after
	}
	return "", tidy(html.UnescapeString(markup.ReplaceAllString(text, " ")))
}

// jsonMessage knows:
//
//	Keystone {"error": {"message"}}        Heat      {"error": {"message", "type"}, "explanation"}
//	Nova     {"badRequest": {"message"}}   Cinder    {"itemNotFound": {"message"}}
//	Neutron  {"NeutronError": {"message", "type"}}, or a text in place of the object
//	Octavia  {"faultstring"}               Barbican  {"title", "description"}
//	Magnum   {"errors": [{"detail"}]}      Glance    {"message"}
func jsonMessage(tree map[string]any) (typ, text string) {
	if list, ok := tree["errors"].([]any); ok && len(list) > 0 {
		if first, ok := list[0].(map[string]any); ok {
			return "", oneOf(first, "detail", "title")
		}
	}
	if s := oneOf(tree, "faultstring", "message", "description"); s != "" {
		return "", s
	}
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		switch v := tree[key].(type) {
		case map[string]any:
			if s := oneOf(v, "message", "faultstring", "description"); s != "" {
				return oneOf(v, "type"), s
			}
		case string:
			if key == "NeutronError" || key == "error" {
				return "", v
			}
		}
	}
	return "", oneOf(tree, "explanation", "title")
}

func oneOf(m map[string]any, keys ...string) string {
	for _, k := range keys {
		if s, ok := m[k].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

var (
	breaks = regexp.MustCompile(`<br ?/?>`) // Glance's JSON has them
	markup = regexp.MustCompile(`(?s)<(style|script|title)\b.*?</(style|script|title)>|</?[a-zA-Z!][^<>]*>`)
	blanks = regexp.MustCompile(`[ \t]*\s*\n\s*|[ \t]{2,}`)
)

// tidy takes superfluous blanks out of a text.
func tidy(s string) string {
	return strings.TrimSpace(blanks.ReplaceAllStringFunc(s, func(b string) string {
		if strings.Contains(b, "\n") {
			return "\n"
		}
		return " "
	}))
}

// cut bounds a text.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "..."
}

// mask takes secrets out of texts that services send back: the ones that we
// know, and whatever stands where one would.
type mask struct{ known *known }

type known struct {
	mu      sync.Mutex
	secrets []string
}

// shortSecret is the length below which a known secret is a word that stands in
// innocent texts too.
const shortSecret = 6

func newMask(secrets []string) mask {
	m := mask{&known{}}
	for _, s := range secrets {
		m.add(s)
	}
	return m
}

func (m mask) add(secret string) {
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	if len(secret) >= shortSecret && !slices.Contains(m.known.secrets, secret) {
		m.known.secrets = append(m.known.secrets, secret)
	}
}

var (
	// A text may begin in the middle of a key, whose lines have 64 letters in PEM.
	opaque = regexp.MustCompile(`[A-Za-z0-9+/=]{48,}`)

	fernet   = regexp.MustCompile(`\bgAAAA[A-Za-z0-9_\-=]{20,}`)
	pem      = regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*-----.*?(?:-----END [A-Z0-9 ]*-----|$)`)
	assigned = regexp.MustCompile(`(?i)((?:\w*passw(?:or)?d|\w*secret|(?:x-)?(?:auth|subject)[-_ ]token|signature)["']?\s*[:=]\s*["']?)([^\s"',;}&]+)`)
)

// isMixed tells base64 from a digest in hexadecimal and from a path.
func isMixed(s string) bool {
	return strings.ContainsAny(s, "0123456789") && strings.ToLower(s) != s && strings.ToUpper(s) != s
}

func (m mask) apply(s string) string {
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	for _, secret := range m.known.secrets {
		s = strings.ReplaceAll(s, secret, "***")
	}
	s = pem.ReplaceAllString(s, "***")
	s = opaque.ReplaceAllStringFunc(s, func(run string) string {
		if isMixed(run) {
			return "***"
		}
		return run // a digest or a path, which people look for
	})
	s = fernet.ReplaceAllString(s, "***")
	return assigned.ReplaceAllString(s, "$1***")
}
