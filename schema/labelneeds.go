package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkNeeds tells of the first thing that a label needs and does not have
// under any of the types that read it.
func (c *labelChecker) checkNeeds(l *Label, readers []ClusterType) {
	value := c.labels[l.Key] // none of a secret label
	for i := range l.Needs {
		n := &l.Needs[i]
		switch {
		case len(n.When) > 0 && !among(n.When, value):
		case c.driver == "magnum" && slices.Contains(n.Unless, value):
		case len(n.Types) > 0 && slices.ContainsFunc(readers, func(t ClusterType) bool { return !slices.Contains(n.Types, t.Name) }):
		case n.Or != "" && (isOn(c.labels[n.Or]) || c.hidden(n.Or)):
		case slices.ContainsFunc(readers, func(t ClusterType) bool { return c.has(n, t) }):
		case n.Must:
			what := fmt.Sprintf("the label %q", l.Key)
			if len(n.When) > 0 {
				what = l.Key + ": " + value
			}
			c.find(CodeLabelsClash, l.Key, n.remedy(), "%s works only if %s", what, n.condition())
			return
		case n.unset():
			c.find(CodeLabelIgnored, l.Key, n.remedy(), "the label %q does nothing while %s is set", l.Key, n.Label+n.Field)
			return
		default:
			c.find(CodeLabelIgnored, l.Key, n.remedy(), "the label %q does nothing unless %s", l.Key, n.condition())
			return
		}
	}
}

// hidden tells whether a label is set to what nobody knows here.
func (c *labelChecker) hidden(key string) bool {
	_, ok := c.secrets[key]
	return ok
}

// has tells whether the need is met for a type. What settings of Magnum or
// secrets decide counts as met.
func (c *labelChecker) has(n *Need, t ClusterType) bool {
	if n.Field != "" {
		return n.met(c.field(n.Field))
	}
	if c.hidden(n.Label) {
		return true
	}
	if value, written := c.labels[n.Label]; written || n.Written {
		return n.met(value)
	}
	r, ok := catalogue()[n.Label].ReadBy(t.Name, c.driver)
	if !ok {
		return n.Or == "" // what the type reads instead is not set
	}
	if r.DefaultIs != "" && c.driver == "magnum" {
		return true
	}
	return n.met(r.Default)
}

// field is the text of an effective field that needs speak of.
func (c *labelChecker) field(name string) string {
	switch name {
	case "networkDriver":
		return c.spec.NetworkDriver
	case "volumeDriver":
		return c.spec.VolumeDriver
	case "fixedSubnet":
		return c.spec.FixedSubnet
	case "masterLBEnabled":
		return strconv.FormatBool(c.spec.MasterLBEnabled)
	case "dockerVolumeSize":
		size := 0
		for i := range c.spec.Groups {
			if g := &c.spec.Groups[i]; c.group == nil || c.group == g {
				size = max(size, g.DockerVolumeSize)
			}
		}
		return strconv.Itoa(size)
	}
	panic("schema: labels need the field " + name)
}

func (n *Need) met(value string) bool {
	if len(n.Values) == 0 {
		return isOn(value)
	}
	return among(n.Values, value)
}

// unset says that it must not be set.
func (n *Need) unset() bool { return len(n.Values) == 1 && n.Values[0] == "" }

// among compares as Magnum does: True is true.
func among(values []string, value string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, value) })
}

func isOn(value string) bool {
	return value != "" && value != "0" && !strings.EqualFold(value, "false")
}

// condition is what is needed, in words.
func (n *Need) condition() string {
	what := n.Label + n.Field
	switch {
	case len(n.Values) == 0 && n.Or != "":
		return what + " or " + n.Or + " is set"
	case len(n.Values) == 0:
		return what + " is set"
	case n.Or != "":
		return what + " or " + n.Or + " is " + n.Values[0]
	}
	return what + " is " + strings.Join(n.Values, " or ")
}

// remedy is what to do about it.
func (n *Need) remedy() string {
	what := n.Label + n.Field
	switch {
	case len(n.Values) == 0:
		return "set " + what + " too, or leave the label out"
	case n.unset():
		return "leave one of the two out"
	}
	return "set " + what + ": " + n.Values[0] + ", or leave the label out"
}
