package schema

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"maps"
	"slices"
	"sync"
)

// Label is one of Magnum's labels: what it means, what it may be, who reads it.
// The catalogue is labels.json; the JSON Schemas of documents take what editors
// show and what values are checked by from it, and package diff takes what a
// change leads to.
type Label struct {
	Key     string    `json:"-"`
	Title   string    `json:"title"`   // a few words
	Meaning string    `json:"meaning"` // sentences
	Type    LabelType `json:"type"`
	Unit    string    `json:"unit,omitempty"`    // GiB, MiB, seconds, minutes, days, files
	Allowed []string  `json:"allowed,omitempty"` // values of an enum; of a list, what may be in it
	Minimum *int      `json:"minimum,omitempty"` // of an int
	Maximum *int      `json:"maximum,omitempty"`
	Example string    `json:"example,omitempty"` // a value, where no reader has a default that is one

	// What a change of it takes on a cluster that runs.
	Effect LabelEffect `json:"effect"`
	Fixed  string      `json:"fixed,omitempty"` // of effect never: why, and what a new cluster would have

	Masters bool `json:"masters,omitempty"` // only masters read it: a change replaces no worker
	Secret  bool `json:"secret,omitempty"`  // belongs in secretLabels, and is never shown

	Needs     []Need   `json:"needs,omitempty"`
	Readers   []Reader `json:"readers"`             // none: no release reads it; of a type one, and one SinceJeroboam
	Successor string   `json:"successor,omitempty"` // the label to write instead of one that is obsolete
	Obsolete  string   `json:"obsolete,omitempty"`  // why nobody should set it any more
}

// Reader is a set of cluster types that read a label, and what they make of it.
type Reader struct {
	Types     []string `json:"types"`               // names of ClusterTypes
	Default   string   `json:"default,omitempty"`   // the newest; empty: none
	DefaultIs string   `json:"defaultIs,omitempty"` // what it is where settings of Magnum or other fields decide
	Since     string   `json:"since,omitempty"`     // release of Magnum or of the driver; or SinceJeroboam
	Until     string   `json:"until,omitempty"`     // last release that reads it
	Note      string   `json:"note,omitempty"`      // what is different here
	Cluster   bool     `json:"cluster,omitempty"`   // read from the cluster alone: labels of a group's own do nothing
}

// SinceJeroboam is Reader.Since of what only our own Heat driver reads: the same
// type behind a Magnum API does not.
const SinceJeroboam = "Jeroboam"

// Need is what a label takes to have an effect, or to work at all: another
// label, or a field, with one of some values.
type Need struct {
	When    []string `json:"when,omitempty"`    // values of the label that need it; none: all
	Unless  []string `json:"unless,omitempty"`  // values that do not, behind a Magnum API: its defaults fit them
	Types   []string `json:"types,omitempty"`   // names of the ClusterTypes that need it; none: all
	Label   string   `json:"label,omitempty"`   // the other label, or
	Field   string   `json:"field,omitempty"`   // the effective field
	Values  []string `json:"values,omitempty"`  // one of these; none: anything but nothing, 0 and false
	Or      string   `json:"or,omitempty"`      // a label that does as well if it is set
	Written bool     `json:"written,omitempty"` // the other label's default does not do
	Must    bool     `json:"must,omitempty"`    // the cluster cannot work without; else the label does nothing
}

// LabelType is what the text of a label has to be.
type LabelType string

// The types of labels.
const (
	LabelBool     LabelType = "bool"     // true or false
	LabelInt      LabelType = "int"      // a whole number
	LabelText     LabelType = "text"     // any
	LabelEnum     LabelType = "enum"     // one of Allowed
	LabelList     LabelType = "list"     // texts with commas between; of Allowed, if there are any
	LabelTag      LabelType = "tag"      // of a container image or chart
	LabelVersion  LabelType = "version"  // vMAJOR.MINOR.PATCH, perhaps with -suffix
	LabelCIDR     LabelType = "cidr"     // an IPv4 network, as 10.0.0.0/24
	LabelCIDRs    LabelType = "cidrs"    // networks, IPv4 or IPv6, with commas between
	LabelIP       LabelType = "ip"       // an address
	LabelURL      LabelType = "url"      // http or https
	LabelPrefix   LabelType = "prefix"   // empty, or ends with /
	LabelSHA256   LabelType = "sha256"   // 64 hex digits
	LabelDigest   LabelType = "digest"   // sha256:, then 64 hex digits
	LabelDomain   LabelType = "domain"   // a DNS name
	LabelUUID     LabelType = "uuid"     //
	LabelPath     LabelType = "path"     // absolute
	LabelJSON     LabelType = "json"     // an object
	LabelFlags    LabelType = "flags"    // of a command line, with spaces between
	LabelZoneList LabelType = "zonelist" // availability zones with commas between
)

// LabelEffect is what a change of a label takes on a cluster that runs.
type LabelEffect string

// The effects.
const (
	EffectBoot    LabelEffect = "boot"     // reaches a node when it boots anew
	EffectInPlace LabelEffect = "in-place" // applied on the cluster, or by Neutron and Octavia; no node is replaced
	EffectNever   LabelEffect = "never"    // holds for the life of the cluster
)

//go:embed labels.json
var labelFile []byte

// catalogue reads labels.json once. It is part of the program, so one that
// cannot be read is a defect of the program.
//
//nolint:gochecknoglobals // computed once from an embedded file, never changed
var catalogue = sync.OnceValue(func() map[string]*Label {
	var all map[string]*Label
	dec := json.NewDecoder(bytes.NewReader(labelFile))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		panic("schema: labels.json: " + err.Error())
	}
	for key, l := range all {
		l.Key = key
	}
	return all
})

// Labels are all labels of the catalogue, sorted by key.
func Labels() []Label {
	all := catalogue()
	list := make([]Label, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[key])
	}
	return list
}

// LabelOf looks a label up.
func LabelOf(key string) (Label, bool) {
	l, ok := catalogue()[key]
	if !ok {
		return Label{}, false
	}
	return *l, true
}

// instead is what to do about a label that is obsolete.
func (l *Label) instead() string {
	if l.Successor != "" {
		return "write " + l.Successor
	}
	return "leave it out"
}

// ReadBy is how a cluster type reads the label under a driver ("heat" or
// "magnum"); false if it does not. Where the type here reads it in another way
// than behind a Magnum API, there is a reader for each.
func (l *Label) ReadBy(clusterType, driver string) (read Reader, ok bool) {
	for _, r := range l.Readers {
		switch ours := r.Since == SinceJeroboam; {
		case !slices.Contains(r.Types, clusterType) || ours && driver != "heat":
		case ours:
			return r, true
		case !ok:
			read, ok = r, true
		}
	}
	return read, ok
}
