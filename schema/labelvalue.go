package schema

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// labels checks what JSON Schema cannot say of the values of labels: that the
// text of each is what its author wrote, and that it means something.
func (c *checker) labels(labels *yaml.Node, at string) {
	if labels == nil || labels.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i < len(labels.Content); i += 2 {
		key, v := labels.Content[i].Value, labels.Content[i+1]
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			continue // said already
		}
		text, ok := labelText(v)
		l := catalogue()[key]
		switch {
		case !ok && secretLabel(key):
			c.report(CodeLabelNumber, at+"/"+escape(key), "put it in quotes", "YAML reads it as a number, labels are text")
		case !ok && l != nil && l.Type == LabelInt:
			n, _ := integer(v)
			c.report(CodeLabelNumber, at+"/"+escape(key), fmt.Sprintf("write %d", n),
				"YAML reads %s as a number, labels are text", short(v.Value))
		case !ok:
			c.report(CodeLabelNumber, at+"/"+escape(key), fmt.Sprintf("put it in quotes: %q", short(v.Value)),
				"YAML reads %s as a number, labels are text", short(v.Value))
		case l != nil:
			if message, hint := l.problem(text); message != "" {
				c.report(CodeLabelValue, at+"/"+escape(key), hint, "%s", message)
			}
		}
	}
}

// problem says what is wrong with a value of the label, given as text, and what
// to write instead; empty if nothing is. A secret value is not repeated.
func (l *Label) problem(value string) (message, hint string) {
	_, _, expected := l.Type.form()
	wrong := func(expected string) (string, string) {
		if l.Secret {
			return "expected " + expected, ""
		}
		return fmt.Sprintf("expected %s, found %q", expected, short(value)), ""
	}
	if pattern := labelPatterns()[l.Type]; pattern != nil && !pattern.MatchString(value) {
		return wrong(expected)
	}
	switch l.Type {
	case LabelInt:
		return l.bounds(value)
	case LabelEnum:
		return l.oneOf(value)
	case LabelList:
		for item := range strings.SplitSeq(value, ",") {
			if message, hint = l.oneOf(item); message != "" && value != "" && len(l.Allowed) > 0 {
				return message, hint
			}
		}
	case LabelCIDR, LabelCIDRs:
		return networkProblem(value, l.Type == LabelCIDR)
	case LabelIP:
		if _, err := netip.ParseAddr(value); err != nil {
			return wrong(expected)
		}
	case LabelURL:
		return urlProblem(value)
	case LabelDomain:
		if len(value) > 253 { // RFC 1035, section 2.3.4
			return wrong("a domain name of at most 253 characters")
		}
	case LabelJSON:
		var object map[string]any
		if value != "" && json.Unmarshal([]byte(value), &object) != nil {
			return "expected a JSON object as text", ""
		}
	case LabelBool, LabelText, LabelTag, LabelVersion, LabelPrefix, LabelSHA256, LabelDigest, LabelUUID, LabelPath, LabelFlags, LabelZoneList:
	}
	return "", ""
}

func (l *Label) bounds(value string) (message, hint string) {
	n, _ := strconv.Atoi(value)
	switch {
	case l.Minimum != nil && n < *l.Minimum:
		return fmt.Sprintf("expected at least %d, found %d", *l.Minimum, n), ""
	case l.Maximum != nil && n > *l.Maximum:
		return fmt.Sprintf("expected at most %d, found %d", *l.Maximum, n), ""
	}
	return "", ""
}

func (l *Label) oneOf(value string) (message, hint string) {
	if slices.Contains(l.Allowed, value) {
		return "", ""
	}
	return fmt.Sprintf("expected one of %s, found %q", choice(l.Allowed), short(value)), didYouMean(value, l.Allowed)
}

// choice lists values for a message, the empty one in quotes.
func choice(values []string) string {
	words := slices.Clone(values)
	for i, w := range words {
		if w == "" {
			words[i] = `""`
		}
	}
	return strings.Join(words, ", ")
}

// networkProblem checks networks with commas between. Neutron cuts host bits
// off and Octavia keeps them, so that 10.0.0.5/24 would mean two things.
func networkProblem(value string, v4 bool) (message, hint string) {
	if value == "" {
		return "", ""
	}
	for item := range strings.SplitSeq(value, ",") {
		p, err := netip.ParsePrefix(item)
		switch {
		case err != nil || v4 && !p.Addr().Is4():
			return fmt.Sprintf("%q is not a network", short(item)), "write it as 10.0.0.0/24"
		case p != p.Masked():
			return fmt.Sprintf("%s is an address in a network, not the network", p), "write " + p.Masked().String()
		}
	}
	return "", ""
}

// urlProblem does not repeat a URL with a password.
func urlProblem(value string) (message, hint string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || value != "" && u.Hostname() == "":
		return "expected a URL with http or https and a host", ""
	case u.User != nil:
		return "user and password do not belong in a label", "everybody who can see the cluster can read it"
	}
	return "", ""
}

// labelPatterns are the patterns of form, compiled.
//
//nolint:gochecknoglobals // computed once from the catalogue, never changed
var labelPatterns = sync.OnceValue(func() map[LabelType]*regexp.Regexp {
	all := map[LabelType]*regexp.Regexp{}
	for _, l := range catalogue() {
		if _, pattern, _ := l.Type.form(); pattern != "" && all[l.Type] == nil {
			all[l.Type] = regexp.MustCompile(pattern)
		}
	}
	return all
})
