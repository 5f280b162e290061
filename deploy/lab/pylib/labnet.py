#!/usr/bin/python3
"""The guests' network: one namespace that is switch and router of every guest.

    guest - tap - bridge (a Neutron network; has its gateways' addresses) - routing, nftables - veth - this machine

There is no route to the world, in or out. This machine reaches floating IPs
over the veth pair, and guests only answer it; they reach the lab at ADDRESS
(labforward.py), and nothing else of this machine. Addresses
of two networks must not overlap, as one namespace routes them all.

    labnet.py up | down      the namespace and the way to it; both may be repeated

rules() is pure; the rest calls ip and nft. Knows nothing of Nova."""
import ipaddress
import json
import subprocess
import sys
import threading

NAMESPACE = "lab-boot"
ADDRESS = "169.254.169.1"  # the lab, for guests and for this machine alike
FLOATING = "172.24.0.0/16"  # of the external network (lib/seed.py)
HERE, THERE = "lab-boot0", "lab-boot1"  # the veth pair: this machine's end, the namespace's
LINK = "169.254.170.1", "169.254.170.2"  # their addresses
LOCK = threading.Lock()  # a bridge goes with its last tap


class NetworkError(Exception):
    """What ip or nft said, or an address that is taken."""


def run(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if done.returncode:
        raise NetworkError("%s: %s" % (" ".join(words), done.stderr.strip()))
    return done.stdout


def ip(*words):
    return run("ip", "-n", NAMESPACE, *words)


def exists():
    return any(n["name"] == NAMESPACE for n in json.loads(run("ip", "-j", "netns") or "[]"))


def links():
    """name -> master, of every link in the namespace"""
    return {l["ifname"]: l.get("master") for l in json.loads(ip("-j", "link", "show"))}


def up():
    if not exists():
        run("ip", "netns", "add", NAMESPACE)
    ip("link", "set", "lo", "up")
    if THERE not in links():
        run("ip", "link", "add", HERE, "type", "veth", "peer", "name", THERE, "netns", NAMESPACE)
    for name, value in (
            ("net.ipv4.ip_forward", 1), ("net.ipv6.conf.all.disable_ipv6", 1),
            ("net.ipv6.conf.default.disable_ipv6", 1),
            # what a bridge switches is not what this router filters
            ("net.bridge.bridge-nf-call-iptables", 0), ("net.bridge.bridge-nf-call-arptables", 0)):
        run("ip", "netns", "exec", NAMESPACE, "sysctl", "-q", "-e", "-w", "%s=%d" % (name, value))
    ip("addr", "replace", ADDRESS + "/32", "dev", "lo")
    ip("addr", "replace", LINK[1] + "/30", "dev", THERE)
    ip("link", "set", THERE, "up")
    run("ip", "addr", "replace", ADDRESS + "/32", "dev", "lo")
    run("ip", "addr", "replace", LINK[0] + "/30", "dev", HERE)
    run("ip", "link", "set", HERE, "up")
    run("ip", "route", "replace", FLOATING, "via", LINK[1])
    if "lab" not in run("ip", "netns", "exec", NAMESPACE, "nft", "list", "tables"):
        apply(rules({}, []))


def down():
    """Taps, bridges, the veth pair and the route go with the namespace."""
    if exists():
        run("ip", "netns", "del", NAMESPACE)
    here = json.loads(run("ip", "-j", "addr", "show", "dev", "lo"))[0]["addr_info"]
    if any(a.get("local") == ADDRESS for a in here):
        run("ip", "addr", "del", ADDRESS + "/32", "dev", "lo")


def bridge_of(network):
    return "br" + network[:11]


def tap_of(port):
    return "tap" + port[:11]


def taps():
    """tap -> bridge"""
    return {n: m for n, m in links().items() if n.startswith("tap") and m}


def plug(port, network, subnets, mtu):
    """A port's tap on its network's bridge. subnets: (CIDR, gateway or None);
    what is there already stays."""
    bridge, tap = bridge_of(network), tap_of(port)
    with LOCK:
        there = links()
        if bridge not in there:
            _free(subnets)
            ip("link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
        for cidr, gateway in subnets:
            if gateway:
                ip("addr", "replace", "%s/%d" % (gateway, ipaddress.ip_network(cidr).prefixlen), "dev", bridge)
        if tap not in there:
            ip("tuntap", "add", tap, "mode", "tap")
        for name in (bridge, tap):
            ip("link", "set", name, "mtu", str(mtu))
        ip("link", "set", tap, "master", bridge)
        ip("link", "set", bridge, "up")
        ip("link", "set", tap, "up")


def _free(subnets):
    taken = [(l["ifname"], ipaddress.ip_interface("%(local)s/%(prefixlen)d" % a).network)
             for l in json.loads(ip("-j", "-4", "addr", "show")) for a in l.get("addr_info", [])]
    for cidr, _ in subnets:
        for name, other in taken:
            if other.overlaps(ipaddress.ip_network(cidr)):
                raise NetworkError("%s overlaps %s of %s: networks with guests need addresses of their own"
                                   % (cidr, other, name))


def unplug(tap):
    with LOCK:
        there = links()
        if tap not in there:
            return
        ip("link", "del", tap)
        bridge = there[tap]
        if bridge and bridge not in taps().values():
            ip("link", "del", bridge)


def rules(floating, routed):
    """nftables' text. floating: floating IP -> fixed address; routed: sets of
    bridges that a router joins. Everything else is apart."""
    joined = []
    for bridges in sorted(sorted(b) for b in routed):
        names = "{ %s }" % ", ".join(bridges)
        joined.append("iifname %s oifname %s accept" % (names, names))
    return """table ip lab
delete table ip lab
table ip lab {
  chain in {
    type nat hook prerouting priority dstnat
    %s
  }
  chain out {
    type nat hook postrouting priority srcnat
    # a guest that asks a neighbour's floating IP must be answered through here
    ct status dnat iifname "br*" oifname "br*" masquerade
  }
  chain between {
    type filter hook forward priority filter
    policy drop
    ct state established,related accept
    ct status dnat accept
    %s
  }
}
""" % ("\n    ".join("ip daddr %s dnat ip to %s" % i for i in sorted(floating.items())),
       "\n    ".join(joined))


def wanted(plugged, floating_ips, interfaces):
    """rules() of what Neutron lists (floating IPs; ports of router interfaces),
    as far as it is about plugged: tap -> bridge."""
    floating = {f["floating_ip_address"]: f["fixed_ip_address"] for f in floating_ips
                if f.get("port_id") and tap_of(f["port_id"]) in plugged}
    routers = {}
    for port in interfaces:
        if bridge_of(port["network_id"]) in plugged.values():
            routers.setdefault(port["device_id"], set()).add(bridge_of(port["network_id"]))
    return rules(floating, {frozenset(b) for b in routers.values()})


def apply(text):
    """In one transaction: connections that are open stay."""
    run("ip", "netns", "exec", NAMESPACE, "nft", "-f", "-", text=text)


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]]()
