package convert

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// labelsOf are a record's labels as texts. Clients print them as a mapping, as
// a mapping in the words of Python, or as text k=v,k=v. What cannot be made out
// is in left.
func labelsOf(v any) (labels map[string]string, left []string) {
	labels = map[string]string{}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch value.(type) {
			case nil:
				labels[key] = ""
			case map[string]any, []any:
				text, err := json.Marshal(value)
				if err != nil {
					left = append(left, key)
					continue
				}
				labels[key] = string(text)
			default:
				labels[key] = textOf(value)
			}
		}
	case string:
		if empty(v) {
			return labels, nil
		}
		if strings.HasPrefix(strings.TrimSpace(v), "{") {
			return bracedLabels(v)
		}
		return pairedLabels(v)
	default:
		if !empty(v) {
			left = append(left, "labels")
		}
	}
	return labels, left
}

// pairedLabels reads k=v,k=v as the client takes it: also with ';' between, and
// the same key again adds to its value.
func pairedLabels(s string) (labels map[string]string, left []string) {
	labels = map[string]string{}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			left = append(left, key)
			continue
		}
		if before, ok := labels[key]; ok {
			value = before + "," + value
		}
		labels[key] = value
	}
	return labels, left
}

// pythonItem is one item of Python's text for a dictionary, old Python's u”
// included.
var pythonItem = regexp.MustCompile(`^\s*u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*:\s*(u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*"|[^,{}'"]+)\s*(,|\}\s*$)`)

func bracedLabels(s string) (labels map[string]string, left []string) {
	var m map[string]any
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	if dec.Decode(&m) == nil {
		return labelsOf(m)
	}
	labels = map[string]string{}
	rest := strings.TrimPrefix(strings.TrimSpace(s), "{")
	for strings.TrimSpace(rest) != "}" && rest != "" {
		item := pythonItem.FindStringSubmatch(rest)
		if item == nil {
			return labels, append(left, "what begins after "+fmt.Sprint(len(labels))+" of them")
		}
		labels[pythonText(item[1])] = pythonText(item[2])
		rest = rest[len(item[0]):]
	}
	return labels, left
}

// pythonText is what a literal of Python stands for, as a label's text.
func pythonText(s string) string {
	s = strings.TrimSpace(s)
	switch s {
	case "True":
		return "true"
	case "False":
		return "false"
	case "None":
		return ""
	}
	if u := strings.TrimPrefix(s, "u"); u != "" && (u[0] == '\'' || u[0] == '"') {
		return strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\n`, "\n").Replace(u[1 : len(u)-1])
	}
	return s
}

// ownLabels are those that are to be written where base already holds, and
// whether they are merged over it: if some of base are gone, all are written and
// replace it.
func ownLabels(all, base map[string]string) (own map[string]string, merge bool) {
	own = map[string]string{}
	for key, value := range all {
		if b, ok := base[key]; !ok || b != value {
			own[key] = value
		}
	}
	for key := range base {
		if _, ok := all[key]; !ok {
			return maps.Clone(all), false
		}
	}
	return own, true
}

var secretWord = regexp.MustCompile(`(?i)passw|secret|token|credential|private_?key`)

// isSecret tells whether a label's value is not for eyes. Of labels that the
// catalogue does not know, the name has to tell.
func isSecret(key string) bool {
	if l, ok := schema.LabelOf(key); ok {
		return l.Secret
	}
	return secretWord.MatchString(key)
}

// withoutSecrets takes the secret labels out and refers to the environment for
// each.
func withoutSecrets(labels map[string]string, marked func(key string) bool) (open map[string]string, secrets Fields) {
	open = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if labels[key] == "" || !isSecret(key) && !marked(key) && !userInfo.MatchString(labels[key]) {
			open[key] = labels[key]
			continue
		}
		secrets = append(secrets, Field{key, Fields{{"env", variable(key)}}})
	}
	return open, secrets
}

var notVariable = regexp.MustCompile(`[^A-Z0-9]+`)

// variable is the environment variable for a label.
func variable(key string) string {
	name := notVariable.ReplaceAllString(strings.ToUpper(key), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "LABEL_" + name
	}
	return name
}

// userInfo is a URL with a password in it.
var userInfo = regexp.MustCompile(`^(?:[a-zA-Z][a-zA-Z0-9+.-]*://)?[^/@\s]+:[^/@\s]+@`)
