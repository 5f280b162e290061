package heat

import (
	"fmt"
	"net/netip"
	"strings"
)

// The user data of every master names the address of the API and of all members
// of etcd. Heat knows these from ports and the load balancer, and asks them anew
// with each update: one that somebody removed has no address any more, and Heat
// would replace all masters at once to tell them so. Hence the root template has
// the addresses as they are from the first update on, and a port that has to be
// made again gets the one it had.

// pin puts the addresses that the stack tells into the layout, unless it has
// them. why says what is wrong: machines run that were told an address which is
// not known any more. Nothing may be changed then.
func (l *layout) pin(s shown) (why string) {
	v := l.values()
	masters := v.Masters()
	if t, err := l.typ(); err != nil || !t.kubernetes || l.api != "" {
		return ""
	}
	told, running := addressesIn(s)
	api := told.api
	var lost []string
	for _, n := range masters {
		if told.members[n.Name] == "" {
			lost = append(lost, "port of "+n.Name)
		}
	}
	if _, err := netip.ParseAddr(api); err != nil && l.spec.MasterLBEnabled {
		lost = append(lost, "load balancer")
	}
	if len(lost) > 0 {
		if !running { // nobody was told: it failed before there was a machine
			return ""
		}
		return fmt.Sprintf("Heat has no address of the %s, which somebody may have removed: any change would now replace all masters at once. "+
			"Make it anew under the old address, or take the cluster's data out and make it anew", strings.Join(lost, " and of the "))
	}
	l.api = api
	for i := range l.nodes {
		l.nodes[i].Address = told.members[l.nodes[i].Name]
	}
	return ""
}

// told are addresses as a stack's outputs have them.
type told struct {
	api     string
	members map[string]string // by the master's name
}

// addressesIn reads them, and whether there is a server that knows them.
func addressesIn(s shown) (t told, running bool) {
	t.members = map[string]string{}
	for _, out := range s.Outputs {
		switch text, _ := out.Value.(string); out.Key {
		case outputAPI:
			t.api = text
		case outputMembers:
			for m := range strings.FieldsSeq(text) {
				name, address, _ := strings.Cut(m, "=")
				if _, err := netip.ParseAddr(address); err == nil {
					t.members[name] = address
				}
			}
		case "nodes":
			for _, n := range asMap(out.Value) {
				id, _ := asMap(n)["server"].(string)
				running = running || serverID.MatchString(id)
			}
		}
	}
	return t, running
}

// The outputs with the addresses of a cluster within its network.
const (
	outputAPI     = "api_host"
	outputMembers = "etcd_members"
)

// pinned reads back what a live root template has as it is.
func (l *layout) pinned(root map[string]any) {
	resources := asMap(root["resources"])
	api, _ := asMap(asMap(resources["api"])["properties"])["value"].(string)
	l.api = api
	if api == "" {
		return
	}
	for i := range l.nodes {
		n := &l.nodes[i]
		ips, _ := asMap(asMap(resources[n.Name+"-port"])["properties"])["fixed_ips"].([]any)
		if len(ips) > 0 {
			n.Address, _ = asMap(ips[0])["ip_address"].(string)
		}
	}
}
