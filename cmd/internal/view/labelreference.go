package view

import (
	"strings"

	"jeroboam.io/jeroboam/schema"
)

func labelReference() string {
	var b strings.Builder
	b.WriteString("## Labels\n\n" +
		"The labels of Magnum, which `spec.labels` and a group's `labels` take. Values are text: numbers and true or false are kept as they\n" +
		"are written. What a change takes is meant for a cluster that runs.\n\n" +
		"| Label | Value | Meaning | Read by, default, releases | A change takes |\n|--|--|--|--|--|\n")
	for _, l := range schema.Labels() {
		tableRow(&b, []string{"`" + l.Key + "`", labelValue(l), labelMeaning(l), labelReaders(l), labelChange(l)})
	}
	b.WriteString("\n")
	return b.String()
}

func labelValue(l schema.Label) string {
	parts := []string{labelForm(l.Type)}
	if len(l.Allowed) > 0 {
		parts = append(parts, "`"+strings.Join(l.Allowed, "`, `")+"`")
	}
	return joined(append(parts, between(l.Minimum, l.Maximum, ""), l.Unit), "; ")
}

// labelForm is a type in words; of an enum its values are enough.
func labelForm(t schema.LabelType) string {
	switch t {
	case schema.LabelBool:
		return "true or false"
	case schema.LabelInt:
		return "whole number"
	case schema.LabelEnum:
		return ""
	case schema.LabelList:
		return "list, with commas"
	case schema.LabelTag:
		return "tag of an image or chart"
	case schema.LabelVersion:
		return "version, as v1.33.4"
	case schema.LabelCIDR:
		return "network, as 10.0.0.0/24"
	case schema.LabelCIDRs:
		return "networks, with commas"
	case schema.LabelIP:
		return "address"
	case schema.LabelURL:
		return "http or https URL"
	case schema.LabelPrefix:
		return "empty, or ends with /"
	case schema.LabelSHA256:
		return "64 hex digits"
	case schema.LabelDigest:
		return "sha256: and 64 hex digits"
	case schema.LabelDomain:
		return "DNS name"
	case schema.LabelUUID:
		return "UUID"
	case schema.LabelPath:
		return "absolute path"
	case schema.LabelJSON:
		return "JSON object"
	case schema.LabelFlags:
		return "flags, with spaces"
	case schema.LabelZoneList:
		return "availability zones, with commas"
	case schema.LabelText:
	}
	return "text"
}

func labelMeaning(l schema.Label) string {
	parts := []string{"**" + ourProse(l.Title) + ".** " + ourProse(l.Meaning)}
	if l.Secret {
		parts = append(parts, "A secret.")
	}
	if l.Obsolete != "" {
		parts = append(parts, "**Obsolete:** "+ourProse(l.Obsolete))
	}
	return strings.Join(parts, " ")
}

// labelReaders is a line for each set of cluster types.
func labelReaders(l schema.Label) string {
	if len(l.Readers) == 0 {
		return "nothing"
	}
	lines := make([]string, 0, len(l.Readers))
	for _, r := range l.Readers {
		var parts []string
		if r.Default != "" && r.DefaultIs == "" {
			parts = append(parts, "default `"+r.Default+"`")
		}
		if r.DefaultIs != "" {
			parts = append(parts, "default: "+ourProse(r.DefaultIs))
		}
		switch {
		case r.Since == schema.SinceJeroboam:
			parts = append(parts, "only here")
		case r.Since != "" && r.Until != "":
			parts = append(parts, r.Since+" to "+r.Until)
		case r.Since != "":
			parts = append(parts, "since "+r.Since)
		case r.Until != "":
			parts = append(parts, "until "+r.Until)
		}
		if r.Cluster {
			parts = append(parts, "not in a group's own labels")
		}
		if r.Note != "" {
			parts = append(parts, ourProse(r.Note))
		}
		line := "`" + strings.Join(r.Types, "`, `") + "`"
		if len(parts) > 0 {
			line += ": " + strings.Join(parts, "; ")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "<br>")
}

func labelChange(l schema.Label) string {
	switch {
	case l.Effect == schema.EffectNever && l.Fixed != "":
		return "fixed: " + ourProse(l.Fixed)
	case l.Effect == schema.EffectNever:
		return "fixed"
	case l.Effect == schema.EffectInPlace:
		return "in place"
	case l.Masters:
		return "new masters"
	}
	return "new nodes"
}
