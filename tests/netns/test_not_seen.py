"""Changes that others make besides rules: detected, or harmless for the reason given in
docs/behaviour.md."""

from __future__ import annotations

from dataclasses import dataclass

from lab.probes import wait_until
from netns.network import NetworkTest
from netns.program import ROOT

DOCS = ROOT / "docs/behaviour.md"


@dataclass(frozen=True)
class Change:
    """Commands, of `ip` unless `command` says otherwise, and those that undo them."""

    what: str
    done: str
    undone: str
    # Words of a line of `status`; empty if the change is harmless.
    told: tuple[str, ...] = ()
    # For a harmless change, part of the line in docs/behaviour.md that says so.
    why: str = ""
    command: str = "ip"


SEEN = (
    Change("a rule", "rule add from 192.168.8.0/24 table 77 priority 100", "rule del priority 100",
           ("rule 100 looks at table 77", "ip rule del priority 100")),
    Change("a rule for all", "rule add table 77 priority 100", "rule del priority 100", ("rule 100", "77")),
    Change("a rule that inverts a mark", "rule add not fwmark 3 table 77 priority 100", "rule del priority 100",
           ("rule 100", "77")),
    Change("a rule for a mark", "rule add fwmark 9 table 77 priority 100", "rule del priority 100",
           ("mark 9 looks at table 77",)),
    Change("a rule that prohibits", "rule add iif eth1 prohibit priority 100", "rule del priority 100", ("rule 100",)),
    Change("a local route", "route add local 10.4.0.0/16 dev lo table local",
           "route del local 10.4.0.0/16 dev lo table local", ("local route 10.4.0.0/16", "table 255")),
    Change("a route without a gateway", "route add 10.4.0.0/16 dev eth1", "route del 10.4.0.0/16", ("10.4.0.0/16 on eth1",)),
    Change("two ways", "route add 10.4.0.0/16 nexthop via 192.168.8.110 nexthop via 192.168.5.10",
           "route del 10.4.0.0/16", ("multipath route 10.4.0.0/16 on eth1, eth2",)),
    Change("a black hole", "route add blackhole 10.4.0.0/16", "route del blackhole 10.4.0.0/16", ("10.4.0.0/16 to nowhere",)),
    Change("an unreachable route", "route add unreachable 10.4.0.0/16", "route del unreachable 10.4.0.0/16",
           ("10.4.0.0/16 unreachable is not ours",)),
    Change("a prohibition", "route add prohibit 10.4.0.0/16", "route del prohibit 10.4.0.0/16", ("prohibit route 10.4.0.0/16",)),
    Change("a neighbour", "neigh add 192.168.8.77 lladdr 02:00:00:00:00:77 dev eth1 nud permanent",
           "neigh del 192.168.8.77 dev eth1", ("192.168.8.77", "02:00:00:00:00:77", "not ours")),
    Change("a proxy neighbour", "neigh add proxy 192.168.8.77 dev eth1", "neigh del proxy 192.168.8.77 dev eth1",
           ("eth1", "192.168.8.77", "ip neigh del proxy")),
    Change("an address of the loopback", "address add 10.7.7.7/32 dev lo", "address del 10.7.7.7/32 dev lo",
           ("lo", "10.7.7.7/32")),
    *(
        Change(f"nftables, {family}", f"{{ type filter hook {hook} {device} priority 7; policy accept; {rule}; }}", family,
               (f"table {family} mine", "1 rule,"), command="nft")
        for family, hook, device, rule in (
            ("ip", "input", "", "counter"), ("ip6", "forward", "", "counter"), ("inet", "forward", "", "accept"),
            ("arp", "input", "", "counter"), ("bridge", "forward", "", "counter"),
            ("netdev", "ingress", "device eth1", "counter"),
        )
    ),
)

HARMLESS = (
    Change("a policy of IPsec", "xfrm policy add dir out src 192.168.8.0/24 dst 10.4.0.0/16 action allow",
           "xfrm policy flush", why="IPsec policies"),
    Change("promiscuous mode", "link set eth1 promisc on", "link set eth1 promisc off", why="promiscuous mode"),
    Change("an MTU", "link set eth1 mtu 1400", "link set eth1 mtu 1500", why="another MTU"),
    Change("no ARP", "link set eth1 arp off", "link set eth1 arp on", why="arp off"),
    Change("a hardware address", "link set eth1 address 02:00:00:00:77:77", "link set eth1 up", why="another hardware address"),
    Change("a chain without a hook", "", "ip", why="a chain of nftables without a hook", command="nft"),
)

# A setting, its changed value, and whether that is detected and corrected.
SETTINGS = (
    *((f"net.ipv4.conf.{scope}.{name}", "1", True)
      for name in ("proxy_arp", "proxy_arp_pvlan", "route_localnet", "accept_local", "arp_accept", "bc_forwarding")
      for scope in ("all", "eth1")),
    ("net.ipv4.conf.eth1.forwarding", "0", True),
    ("net.ipv4.conf.all.arp_filter", "1", False),
    ("net.ipv4.conf.eth1.src_valid_mark", "1", False),
    ("net.ipv4.conf.eth1.bootp_relay", "1", False),
    ("net.ipv4.ip_nonlocal_bind", "1", False),
    ("net.netfilter.nf_conntrack_acct", "1", False),
    ("net.ipv4.icmp_echo_ignore_all", "1", False),
    ("net.ipv4.conf.eth1.drop_gratuitous_arp", "1", False),
    ("net.ipv4.conf.lo.rp_filter", "2", False),
    ("net.ipv6.conf.eth1.forwarding", "1", False),
    ("net.ipv6.conf.eth1.proxy_ndp", "1", False),
    ("net.ipv6.conf.eth1.seg6_enabled", "1", False),
    ("net.ipv4.ip_early_demux", "0", False),
    ("net.ipv4.fwmark_reflect", "1", False),
)


class NotSeenLegacy(NetworkTest):
    """shared/cases/drift, each with what is right."""

    def setUp(self) -> None:
        super().setUp()
        self.camfw("boot")
        self.camfw("status")

    def change(self, change: Change) -> None:
        if change.command == "ip":
            self.router.ip(*change.done.split())
            return
        family = change.undone
        chain = change.done or "{ counter; }"
        self.router.run(["nft", "-f", "-"], input=f"table {family} mine {{\nchain here {chain}\n}}\n", check=True)

    def take_back(self, change: Change) -> None:
        if change.command == "ip":
            self.router.ip(*change.undone.split())
        else:
            self.router.run(["nft", "delete", "table", change.undone, "mine"], check=True)

    def test_what_changes_the_policy_is_told(self) -> None:
        for change in SEEN:
            with self.subTest(change.what):
                self.change(change)
                try:
                    said = self.camfw("status", expect=1).stdout
                    found = [line for line in said.splitlines() if all(word in line for word in change.told)]
                    self.assertEqual(len(found), 1, f"{change.told}: {said}")
                    # It is not ours to remove, and is still reported.
                    self.camfw("apply")
                    self.camfw("status", expect=1)
                finally:
                    self.take_back(change)
                self.camfw("status")

    def test_what_is_harmless_is_said_to_be(self) -> None:
        docs = DOCS.read_text()
        for change in HARMLESS:
            with self.subTest(change.what):
                self.change(change)
                try:
                    self.camfw("status")
                finally:
                    self.take_back(change)
                self.assertTrue(change.why in docs, f"{DOCS.name} says nothing of {change.why}")

    def test_settings_are_mended_or_said_to_be_harmless(self) -> None:
        docs = DOCS.read_text()
        for key, value, seen in SETTINGS:
            with self.subTest(key):
                before = self.router.read_sysctl(key)
                self.assertNotEqual(before, value, "control: it is changed")
                self.router.write_sysctl(key, value)
                if seen:
                    said = self.camfw("status", expect=1).stdout
                    self.assertIn(f"sysctl {key} is {value}, not {before}", said)
                    self.camfw("apply")
                    self.assertEqual(self.router.read_sysctl(key), before)
                else:
                    self.camfw("status")
                    self.assertTrue(key.rsplit(".", 1)[1] in docs, f"{DOCS.name} says nothing of {key}")
                    self.router.write_sysctl(key, before)
                self.camfw("status")

    def test_an_interface_that_the_file_does_not_name(self) -> None:
        self.router.ip(batch="""
            link add wlan0 type veth peer name wlan1
            link set wlan0 up
            address add 10.7.7.1/24 dev wlan0
            route add 10.8.0.0/16 via 10.7.7.2
        """)
        self.router.write_sysctl("net.ipv4.conf.wlan0.proxy_arp", "1")
        self.camfw("status")

    def test_watch_mends_settings(self) -> None:
        changed = [(key, value) for key, value, seen in SETTINGS if seen]
        for key, value in changed:
            self.router.write_sysctl(key, value)
        with self.program.watching():
            self.assertTrue(wait_until(lambda: all(self.router.read_sysctl(key) != value for key, value in changed)))
        self.camfw("status")

    def test_ipv6_is_told_where_the_file_speaks_of_it(self) -> None:
        done, undone = "-6 rule add from fd00::/8 table 77 priority 100", "-6 rule del priority 100"
        self.router.ip(*done.split())
        self.camfw("status")
        self.change_config('mode = "drop"', 'mode = "same"')
        self.camfw("apply")
        self.assertIn("ip -6 rule del priority 100", self.camfw("status", expect=1).stdout)
        self.router.ip(*undone.split())
        self.camfw("status")
