"""IPv6 addresses, routes and forwarding from the same file, with mode = "same".

Does not test what passes: tables and network are tested separately.
"""

from __future__ import annotations

import re

from lab import probes
from lab.probes import wait_until
from netns.network import NetworkTest
from netns.program import COMMANDS, Result, tools

GATEWAY = "fd00::1"
CONFIG = {
    'address   = "192.168.0.2/24"': 'address   = ["192.168.0.2/24", "fd00::2/64"]',
    'gateway   = "192.168.0.1"': f'gateway   = ["192.168.0.1", "{GATEWAY}"]',
    'address   = "192.168.8.1/24"': 'address   = ["192.168.8.1/24", "fd00:8::1/64"]',
    'address   = "192.168.5.200/24"': 'address   = ["192.168.5.200/24", "fd00:5::200/64"]',
    'mode = "drop"': 'mode = "same"',
}
MORE = """
[[routes]]
to = "fd00:50::/48"
via = "fd00:5::10"

[[routes]]
to = "fd00::/16"
blackhole = true
metric = 7

[[routes]]
to = "::/0"
via = "fd00:5::10"
table = 300

[[marks]]
fwmark = 3
table = 300
"""
ADDRESSES = {
    ("eth0", "fd00::2/64"), ("eth1", "fd00:8::1/64"), ("eth2", "fd00:5::200/64"),
}
FORWARDING = "net.ipv6.conf.all.forwarding"


class Network6Legacy(NetworkTest):
    def setUp(self) -> None:
        super().setUp()
        for old, new in CONFIG.items():
            self.change_config(old, new)

    # -- what there is --

    def ip6(self, *arguments: str) -> str:
        return self.router.run(["ip", "-6", *arguments], check=True).stdout

    def addresses(self) -> set[tuple[str, str]]:
        """Interface and address pairs, without those that the kernel assigned."""
        lines = self.ip6("-o", "address", "show", "scope", "global").splitlines()
        return {(line.split()[1], line.split()[3]) for line in lines}

    def way(self, destination: str, *arguments: str) -> str:
        """The gateway and the interface that the kernel uses."""
        shown = self.ip6("route", "get", destination, *arguments)
        found = re.search(r"via (\S+) dev (\S+)", shown)
        return " ".join(found.groups()) if found else shown

    def forwarding6(self) -> str:
        return self.router.read_sysctl(FORWARDING)

    def assert_drift(self, *words: str, expect: int = 1) -> Result:
        """Checks that a line of `status` has all these words."""
        drift = self.camfw("status", expect=expect)
        found = [line for line in drift.said.splitlines() if all(word in line for word in words)]
        self.assertTrue(found, f"{words} in one line of: {drift}")
        return drift

    # -- what the file says --

    def test_addresses_routes_and_forwarding_land_and_a_second_apply_sends_nothing(self) -> None:
        self.extend(MORE)
        self.camfw("boot")
        self.assertEqual(self.addresses(), ADDRESSES)
        self.assertEqual(self.way("2001:db8::1"), f"{GATEWAY} eth0")
        self.assertEqual(self.way("fd00:50::1"), "fd00:5::10 eth2")
        self.assertNotIn("via", self.ip6("route", "get", "fd00:8::110"), "on the link")
        self.assertEqual(self.way("2001:db8::1", "mark", "3"), "fd00:5::10 eth2")
        self.assertIn("blackhole fd00::/16", self.ip6("route", "show", "type", "blackhole"))
        self.assertEqual((self.forwarding(), self.forwarding6()), ("1", "1"))
        for interface in ("eth0", "eth1", "eth2"):
            for name, value in (
                ("accept_ra", "0"), ("accept_redirects", "0"), ("accept_source_route", "-1"),
                ("seg6_enabled", "0"), ("proxy_ndp", "0"), ("force_forwarding", "0"),
            ):
                self.assertEqual(self.router.read_sysctl(f"net.ipv6.conf.{interface}.{name}"), value, name)
        self.camfw("status")
        self.assertEqual(self.traced("apply"), [])

    def test_forwarding_is_the_last_that_is_turned_on(self) -> None:
        done = self.traced("boot", also=r"(all/forwarding|ip_forward)\"")
        opened = [index for index, line in enumerate(done) if "openat" in line]
        messages = [index for index, line in enumerate(done) if "openat" not in line]
        # Off and on again if it was on; otherwise just on.
        self.assertGreaterEqual(len(opened), 2)
        self.assertTrue(any("RTM_NEWROUTE" in done[index] for index in messages))
        after = [done[index] for index in opened if index > messages[-1]]
        self.assertEqual(["ipv6" in line for line in after], [True, False])

    def test_a_link_local_gateway(self) -> None:
        self.change_config(f'"{GATEWAY}"', '"fe80::1"')
        self.camfw("boot")
        self.assertEqual(self.way("2001:db8::1"), "fe80::1 eth0")
        self.assertEqual(self.traced("apply"), [])
        self.change_config('"fe80::1"', '"fe80::2"')
        self.assertRegex(self.camfw("apply", "--dry-run").stdout, r"(?m)^.*(fe80::2.*eth0|eth0.*fe80::2)")
        self.camfw("apply")
        self.assertEqual(self.way("2001:db8::1"), "fe80::2 eth0")
        self.assertNotIn("fe80::1 ", self.ip6("route"))

    def test_an_interface_without_a_cable_has_its_addresses(self) -> None:
        self.internet.ip("link", "set", "eth0", "down")
        self.camfw("boot")
        self.assertEqual(self.addresses(), ADDRESSES)
        self.camfw("status")
        self.internet.ip("link", "set", "eth0", "up")
        self.assertTrue(wait_until(lambda: self.way("2001:db8::1") == f"{GATEWAY} eth0"))
        self.assertEqual(self.traced("apply"), [])

    def test_an_interface_that_gets_another_name_keeps_its_addresses(self) -> None:
        self.camfw("boot")
        mac = "02:00:00:00:01:01"
        self.router.ip("link", "set", "eth1", "address", mac)
        self.change_config('interface = "eth1"', f'interface = {{ mac = "{mac}", name = "cam0" }}')
        self.camfw("apply")
        self.assertIn(("cam0", "fd00:8::1/64"), self.addresses())
        self.camfw("status")

    def test_another_prefix_length_takes_the_place_of_the_old(self) -> None:
        self.camfw("boot")
        self.change_config("fd00:8::1/64", "fd00:8::1/56")
        self.camfw("apply")
        self.assertIn(("eth1", "fd00:8::1/56"), self.addresses())
        self.assertEqual(self.traced("apply"), [])

    def test_ipv6_that_was_turned_off_is_on_again(self) -> None:
        for scope in ("all", "default"):
            self.router.write_sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", "1")
        self.camfw("boot")
        self.assertEqual(self.addresses(), ADDRESSES)
        self.router.write_sysctl("net.ipv6.conf.eth1.disable_ipv6", "1")
        self.assert_drift("net.ipv6.conf.eth1.disable_ipv6", "1")
        self.camfw("apply")
        self.assertEqual(self.addresses(), ADDRESSES)

    def test_a_bridge_has_its_addresses(self) -> None:
        self.change_config('interface = "eth1"', 'interface = { bridge = ["eth1"], name = "br-cam" }')
        self.camfw("boot")
        self.assertIn(("br-cam", "fd00:8::1/64"), self.addresses())
        self.assertTrue(probes.ping(self.camera, "fd00:8::1"))
        self.assertEqual(self.traced("apply"), [])

    def test_watch_brings_back_what_came_back(self) -> None:
        self.camfw("boot")
        with self.program.watching():
            self.unplug("camera")
            self.replug("camera")
            self.assertTrue(wait_until(lambda: self.addresses() == ADDRESSES))
            self.assertTrue(wait_until(self.holds))

    def holds(self) -> bool:
        return self.program.run("status").code == 0

    # -- what others did --

    def test_what_is_not_so_any_more_is_named_and_mended(self) -> None:
        self.camfw("boot")
        for command, words in (
            ("-6 address del fd00:8::1/64 dev eth1", ("eth1", "fd00:8::1/64")),
            ("-6 route del default", ("::/0", GATEWAY)),
            ("-6 route replace default via fd00:5::10", ("::/0", GATEWAY)),
            ("link set eth2 down", ("eth2", "fd00:5::200/64")),
        ):
            with self.subTest(command):
                self.router.ip(*command.split())
                self.assert_drift(*words)
                self.camfw("apply")
                self.camfw("status")
        for key, value in (
            (FORWARDING, "0"),
            ("net.ipv6.conf.eth1.accept_ra", "1"),
            ("net.ipv6.conf.eth1.accept_redirects", "1"),
            ("net.ipv6.conf.all.seg6_enabled", "1"),
        ):
            with self.subTest(key):
                self.router.write_sysctl(key, value)
                # A box that does not forward is in a state of its own.
                self.assert_drift(key, value, expect=3 if key == FORWARDING else 1)
                self.camfw("apply")
                self.camfw("status")

    def test_what_the_kernel_makes_by_itself_is_left_alone(self) -> None:
        self.camfw("boot")
        self.assertIn("fe80::", self.ip6("address", "show", "dev", "eth1"), "control")
        self.router.ip(batch="route add 2001:db8:7::/48 via fe80::7 dev eth1 proto ra")
        self.camfw("status")
        self.assertEqual(self.traced("apply"), [])
        self.assertIn("2001:db8:7::/48", self.ip6("route"))
        # A route of another program is drift: the control.
        self.router.ip(batch="route add 2001:db8:8::/48 via fe80::7 dev eth1 proto static")
        self.assert_drift("2001:db8:8::/48", "not ours")

    def test_what_the_file_no_longer_wants_goes_and_what_others_made_stays(self) -> None:
        self.change_config('"fd00:8::1/64"', '"fd00:8::1/64", "fd00:88::1/64"')
        self.extend(MORE)
        self.camfw("boot")
        self.router.ip(batch="""
            address add fd00:77::1/64 dev eth1 nodad
            route add fd00:78::/48 via fd00:8::110
        """)
        self.assert_drift("eth1", "fd00:77::1/64", "not ours")
        self.assert_drift("fd00:78::/48", "not ours")
        self.change_config('"fd00:8::1/64", "fd00:88::1/64"', '"fd00:8::1/64"')
        self.program.configure(self.program.config.read_text().replace(MORE, ""))
        self.camfw("apply")
        theirs = ("eth1", "fd00:77::1/64")
        self.assertEqual(self.addresses(), ADDRESSES | {theirs})
        routes = self.ip6("route", "show", "table", "all")
        self.assertNotIn("fd00:50::/48", routes)
        self.assertNotIn("blackhole", routes)
        self.assertNotIn("table 300", routes)
        self.assertIn("fd00:78::/48", routes)
        self.assertNotIn("0x3", self.ip6("rule"))
        # With IPv6 dropped, our routes are removed as well, and those of others are
        # ignored.
        text = self.program.config.read_text()
        for old, new in CONFIG.items():
            text = text.replace(new, old)
        self.program.configure(text)
        self.camfw("apply")
        self.assertEqual(self.addresses(), {theirs})
        self.assertNotIn("default", self.ip6("route"))
        self.assertEqual((self.forwarding(), self.forwarding6()), ("1", "0"))
        self.camfw("status")

    def test_a_path_mtu_that_was_learnt_is_no_drift(self) -> None:
        """It appears as a route, with the protocol number of the route that camfw added."""
        self.camfw("boot")
        self.camfw("open")
        self.internet.write_sysctl("net.ipv6.conf.all.forwarding", "1")
        self.internet.write_sysctl("net.ipv4.ip_forward", "1")
        self.internet.ip(batch="""
            link add narrow type veth peer name far
            link set narrow mtu 1280 up
            link set far up
            address add 198.51.100.1/24 dev narrow
            address add 2001:db8:9::1/64 dev narrow nodad
            neighbour add 198.51.100.9 lladdr 02:00:00:00:00:99 dev narrow
            neighbour add 2001:db8:9::9 lladdr 02:00:00:00:00:99 dev narrow
        """)
        for address in ("2001:db8:9::9", "198.51.100.9"):
            ping = ["ping", "-M", "do", "-c", "1", "-W", "1", "-s", "1400", address]

            def learnt() -> bool:
                self.router.run(ping)
                family = "-6" if ":" in address else "-4"
                cache = self.router.run(["ip", family, "route", "show", "cache"], check=True).stdout
                return address in cache

            self.assertTrue(wait_until(learnt), f"control: {address}")
        said = self.camfw("status", expect=1).said
        for address in ("2001:db8:9::9", "198.51.100.9"):
            self.assertNotIn(address, said)
        self.assertEqual(self.traced("apply"), [])

    def test_an_address_that_a_camera_claims_is_named(self) -> None:
        self.router.write_sysctl("net.ipv6.conf.eth1.accept_dad", "1")
        self.camera.ip("address", "add", "fd00:8::1/64", "dev", "eth0", "nodad")
        self.camfw("boot")
        failed = ("-o", "address", "show", "dev", "eth1", "dadfailed")
        self.assertTrue(wait_until(lambda: "fd00:8::1/64" in self.ip6(*failed)), "control")
        self.assert_drift("eth1", "fd00:8::1/64", "another host")
        # Following the advice in the line: with the conflict gone, set down and applied
        # again, the address is used.
        self.camera.ip("address", "del", "fd00:8::1/64", "dev", "eth0")
        self.router.ip("link", "set", "eth1", "down")
        self.camfw("apply")
        self.assertTrue(wait_until(self.holds))
        self.assertNotIn("fd00:8::1", self.ip6(*failed))

    # -- what cannot be --

    def test_an_address_of_another_prefix_length_that_others_gave_is_told(self) -> None:
        self.router.ip(batch="address add fd00:8::1/48 dev eth1 nodad")
        result = self.camfw("boot", expect=3)
        self.assertIn("fd00:8::1/64 of zone camera is already on interface eth1", result.said)
        self.assertEqual((self.forwarding(), self.forwarding6()), ("0", "0"))

    def test_both_families_are_forwarded_between_the_zones_that_are_there(self) -> None:
        self.program.configure(self.program.config.read_text() + "\n[router]\nwait = 0\n")
        self.unplug("camera")
        self.assertIn("incomplete: interface eth1", self.camfw("boot", expect=1).said)
        self.assertEqual((self.forwarding(), self.forwarding6()), ("1", "1"))
        self.assertIn("eth1", self.camfw("apply", expect=2).said)
        self.assertEqual((self.forwarding(), self.forwarding6()), ("1", "1"))
        self.replug("camera")
        self.camfw("apply")
        self.assertEqual((self.forwarding(), self.forwarding6()), ("1", "1"))

    def test_the_seal_turns_both_off(self) -> None:
        self.camfw("boot")
        self.camfw("seal")
        self.assertEqual((self.forwarding(), self.forwarding6()), ("0", "0"))

    def test_without_ip6tables_nothing_is_changed_and_a_boot_stays_sealed(self) -> None:
        without = [name for name in COMMANDS if name.startswith("ip6")]
        path = tools(self.scratch / "without", self.backend, without)
        result = self.camfw("boot", path=path, expect=3)
        self.assertIn('mode = "same"', result.said)
        self.assertIn("ip6tables", result.said)
        self.assertEqual(self.forwarding(), "0")
        self.assertEqual(self.tables.policy("iptables", "INPUT"), "DROP")
        self.assertEqual(self.router.read_sysctl("net.ipv6.conf.all.disable_ipv6"), "1")
        # With ip6tables it can: the control.
        self.camfw("apply")
        before = (self.addresses(), self.tables.save("iptables"), self.forwarding6())
        self.assertIn("nothing was changed", self.camfw("apply", path=path, expect=2).said)
        self.assertEqual((self.addresses(), self.tables.save("iptables"), self.forwarding6()), before)
