package diff

import (
	"cmp"
	"slices"

	"jeroboam.io/jeroboam/schema"
)

// pair is one cluster on both sides; one of them may be nil.
type pair struct {
	want *schema.Cluster
	have *Observed
}

func (c pair) key() schema.Key {
	if c.want != nil {
		return c.want.Key
	}
	return c.have.Key
}

// drift is what somebody else changed on a cluster of ours.
func (c pair) drift() []ClusterDrift {
	if c.have == nil || !c.have.stands() {
		return nil
	}
	drift := c.have.Drift
	if c.have.Owner == TagsLost && !slices.ContainsFunc(drift, func(d Drift) bool { return d.Field == "tags" }) {
		drift = append(slices.Clone(drift), Drift{Field: "tags", Detail: "the tags that say whose cluster it is are gone"})
	}
	if len(drift) == 0 {
		return nil
	}
	return []ClusterDrift{{Cluster: c.have.Key, Drift: drift}}
}

// pairs brings both sides together, in order of the key. It looks at pointers
// only: most clusters need nothing.
func pairs(want *schema.Fleet, have Have) []pair {
	ws := slices.Clone(want.Clusters)
	slices.SortStableFunc(ws, func(a, b *schema.Cluster) int { return a.Compare(b.Key) })
	hs := observed(have)
	pairs := make([]pair, 0, max(len(ws), len(hs)))
	for len(ws) > 0 || len(hs) > 0 {
		order := 0
		switch {
		case len(ws) == 0:
			order = 1
		case len(hs) == 0:
			order = -1
		default:
			order = ws[0].Compare(hs[0].Key)
		}
		var c pair
		if order <= 0 {
			c.want, ws = ws[0], ws[1:]
		}
		if order >= 0 {
			c.have, hs = hs[0], hs[1:]
		}
		pairs = append(pairs, c)
	}
	return pairs
}

// observed are the observed clusters in order, one of a name. What stands wins
// over what is gone or foreign. A name for which several of ours stand, which a
// driver should not let happen, is one cluster about which nothing is known.
func observed(have Have) []*Observed {
	hs := make([]*Observed, len(have.Clusters))
	for i := range have.Clusters {
		hs[i] = &have.Clusters[i]
	}
	slices.SortFunc(hs, func(a, b *Observed) int {
		return cmp.Or(a.Key.Compare(b.Key), first(a.stands(), b.stands()), cmp.Compare(a.ID, b.ID))
	})
	one := hs[:0]
	for _, h := range hs {
		last := len(one) - 1
		switch {
		case last < 0 || one[last].Key != h.Key:
			one = append(one, h)
		case h.stands() && one[last].Unknown != severalReason:
			one[last] = &Observed{Key: h.Key, Owner: Ours, Status: UpdateComplete, Unknown: severalReason}
		}
	}
	return one
}

// severalReason is why nothing is known of a name; without an id, not even an
// acknowledgement can say which of them is meant.
const severalReason = "several clusters of ours have this name; leave one of them"

// stands says that a cluster of ours is there.
func (o *Observed) stands() bool { return o.Owner != Foreign && o.Status != DeleteComplete }
