package heat

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"reflect"

	"jeroboam.io/jeroboam/diff"
)

// page is one of the list of stacks. One that is as it was is not decoded again: of
// ten thousand stacks that is most of what a look at them takes.
type page struct {
	stacks []row
	sum    [sha256.Size]byte // of the text
}

// Decode is openstack.Answer's.
func (p *page) Decode(body []byte) error {
	sum := sha256.Sum256(body)
	if sum == p.sum {
		return nil
	}
	var list struct {
		Stacks []row `json:"stacks"`
	}
	err := json.Unmarshal(body, &list)
	if err == nil {
		p.stacks, p.sum = list.Stacks, sum
	}
	return err
}

// pages are those of one list, by what was asked for.
type pages map[string]page

func (p pages) same(q pages) bool {
	return maps.EqualFunc(p, q, func(a, b page) bool { return a.sum == b.sum })
}

// looked is one look at the list, and what came of it if no stack had to be asked for.
type looked struct {
	pages pages
	known map[string]diff.Observed // what was remembered then
	seen  []diff.Observed
}

// still says that the same would come of it again: nothing is listed otherwise, and
// nothing else is remembered, as published memory is never changed.
func (l *looked) still(now pages, known map[string]diff.Observed) bool {
	return l.seen != nil && reflect.ValueOf(l.known).UnsafePointer() == reflect.ValueOf(known).UnsafePointer() && l.pages.same(now)
}
