package heat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// claim is what one cluster needs of quotas.
type claim struct {
	key    schema.Key
	need   need
	moving bool // it takes its part already and is not asked
	held   bool // something else holds it: it takes no part
}

// room is how much a project may have of something, and has.
type room struct {
	limit int // negative: no limit
	used  int // negative: not known
}

// allot goes through the claims: first what is under way, then the others in the
// order of their keys. Each that fits takes its part; one that does not is
// objected to, with the numbers, and leaves what is there to those after it. A
// service that does not tell its quota holds nobody. Nothing is asked of a
// service that nobody needs anything of, and nothing twice.
func (c *catalogue) allot(ctx context.Context, claims []claim) (map[schema.Key][]diff.Objection, error) {
	slices.SortStableFunc(claims, func(a, b claim) int {
		if a.moving != b.moving {
			return map[bool]int{true: -1, false: 1}[a.moving]
		}
		return a.key.Compare(b.key)
	})
	all, taken := map[schema.Key][]diff.Objection{}, takings{}
	for _, cl := range claims {
		n, err := c.exact(ctx, cl.need)
		if err != nil {
			return nil, err
		}
		short, unseen, err := c.short(ctx, n, taken)
		switch {
		case err != nil:
			return nil, err
		case cl.moving || len(short) == 0 && !cl.held:
			taken.take(cl.key, n)
		}
		if found := append(short, unseen...); !cl.moving && len(found) > 0 {
			all[cl.key] = found
		}
	}
	return all, nil
}

// takings are what earlier claims took, and who they are.
type takings map[quantity]*taking

type taking struct {
	n   int
	who []schema.Key
}

func (t takings) take(k schema.Key, n need) {
	for q, x := range n.sum {
		if t[q] == nil {
			t[q] = &taking{}
		}
		t[q].n += x
		t[q].who = append(t[q].who, k)
	}
}

// short are objections to what does not fit; unseen to what no role lets us see.
func (c *catalogue) short(ctx context.Context, n need, taken takings) (short, unseen []diff.Objection, err error) {
	said := map[string]bool{}
	for _, q := range n.quantities() {
		r, no, err := c.room(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		if no != nil {
			if !said[q.service] {
				unseen = append(unseen, *no)
			}
			said[q.service] = true
			continue
		}
		left, before := max(0, r.limit-r.used), taken[q]
		if r.limit < 0 || before == nil && n.sum[q] <= left || before != nil && n.sum[q]+before.n <= left {
			continue
		}
		short = append(short, diff.Objection{Code: code(q), Field: n.field[q], Reason: tooLittle(q, n.sum[q], left, r.limit, before)})
	}
	return short, unseen, nil
}

func code(q quantity) schema.Code {
	if q.service == freeAddresses {
		return schema.CodeNetwork
	}
	return schema.CodeQuota
}

// tooLittle gives the numbers: "instances: 6 needed, 4 left of 20".
func tooLittle(q quantity, need, left, limit int, before *taking) string {
	noun, unit := words(q)
	amount := func(n int) string { return strings.TrimSpace(fmt.Sprintf("%d %s", n, unit)) }
	text := fmt.Sprintf("%s: %s needed, %s left of %s", noun, amount(need), amount(left), amount(limit))
	switch {
	case before == nil:
		return text
	case len(before.who) == 1:
		return fmt.Sprintf("%s, of which %s takes %s first", text, before.who[0], amount(before.n))
	}
	return fmt.Sprintf("%s, of which %d other clusters take %s first", text, len(before.who), amount(before.n))
}

// words say what a quantity is, and its unit where that is not one of them.
func words(q quantity) (noun, unit string) {
	known := map[string][2]string{
		"cores": {"vCPUs"}, "ram": {"RAM", "MiB"}, "gigabytes": {"volume storage", "GiB"},
		"server_groups": {"server groups"}, "floatingip": {"floating IPs"}, "security_group": {"security groups"},
		"security_group_rule": {"rules of security groups"}, "load_balancer": {"load balancers"}, "health_monitor": {"health monitors"},
		"l7policy": {"L7 policies"},
	}
	name, typ, typed := strings.Cut(q.name, "_")
	switch {
	case q.service == freeAddresses:
		return "addresses", ""
	case q.service == "block-storage" && typed:
		noun, unit = words(quantity{q.service, name})
		return noun + " of type " + typ, unit
	case known[q.name][0] != "":
		return known[q.name][0], known[q.name][1]
	case strings.HasSuffix(q.name, "s"):
		return q.name, ""
	}
	return q.name + "s", ""
}

// exact replaces names by what quotas and availabilities go by: a volume type's
// name, the default one where there is none, and the ids of networks.
func (c *catalogue) exact(ctx context.Context, n need) (need, error) {
	out := newNeed()
	for _, q := range n.quantities() {
		name, known, err := q.name, true, error(nil)
		switch {
		case q.service == freeAddresses:
			name, known, err = c.exactAddress(ctx, q.name)
		case q.service == "block-storage" && strings.Contains(q.name, "_"):
			name, known, err = c.exactType(ctx, q.name)
		}
		if err != nil {
			return out, err
		}
		if known {
			out.add(n.field[q], tally{{q.service, name}: n.sum[q]}, 1)
		}
	}
	return out, nil
}

func (c *catalogue) exactAddress(ctx context.Context, name string) (string, bool, error) {
	network, subnet, _ := strings.Cut(name, "\n")
	n, no, err := ask(ctx, c, "fixedNetwork", network, c.fixedNetwork)
	if err != nil || no != nil || subnet == "" {
		return n.ID + "\n", no == nil, err
	}
	s, no, err := ask(ctx, c, "fixedSubnet", subnet, c.fixedSubnet)
	return n.ID + "\n" + s.ID, no == nil, err
}

// exactType: quotas of types are rare, and only where there is one the type has
// to be known.
func (c *catalogue) exactType(ctx context.Context, name string) (string, bool, error) {
	rooms, no, err := c.rooms(ctx, "block-storage")
	limited := false
	for of, r := range rooms {
		ofType := strings.HasPrefix(of, "volumes_") || strings.HasPrefix(of, "gigabytes_")
		limited = limited || ofType && r.limit >= 0
	}
	if err != nil || no != nil || !limited {
		return name, false, err
	}
	of, typ, _ := strings.Cut(name, "_")
	if typ != "" {
		t, no, err := ask(ctx, c, "volume type", typ, c.volumeType)
		return of + "_" + t.Name, no == nil, err
	}
	t, no, err := ask(ctx, c, "default volume type", "", func(ctx context.Context, _ string) (volumeType, error) {
		var got struct {
			Type volumeType `json:"volume_type"`
		}
		return got.Type, c.d.cloud.Get(ctx, "block-storage", "/types/default", nil, &got)
	})
	return of + "_" + t.Name, no == nil, err
}
