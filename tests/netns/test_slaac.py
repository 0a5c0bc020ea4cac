"""IPv6 on the way out by router advertisements (SLAAC): those of the real dnsmasq on the internet's host, and
others that a test makes by hand."""

from __future__ import annotations

import ipaddress
import re
import shutil
import socket
import struct
import subprocess

from lab import example, probes
from lab.capture import Capture
from lab.namespace import Namespace
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, allow
from netns.program import Result

DNSMASQ = str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin"))
INTERNET, CAMERA, LAPTOP = (wiring.address6 for wiring in example.WIRINGS)
PREFIX = ipaddress.ip_network("fd00::/64")
# Behind the next router, which the default route leads to.
SERVER = "2600::1"
AUTO = 'address = ["192.168.0.2/24", "auto"]'
FIXED = 'address = ["192.168.0.2/24", "fd00::2/64"]'
ZONES = f"""
[ipv6]
mode = "same"

[zones.external]
interface = "eth0"
{AUTO}
gateway = "192.168.0.1"
role = "external"

[zones.camera]
interface = "eth1"
address = ["192.168.8.1/24", "fd00:8::1/64"]
role = "camera"

[zones.private]
interface = "eth2"
address = ["192.168.5.200/24", "fd00:5::200/64"]
role = "private"
"""
POLICY = "\n".join((
    PING, allow("private", "external", "http"), allow("private", "camera", "http"), allow("private", "router", "ssh"),
))
LISTED = '[router]\negress = "listed"\n'


@both_backends
class BySlaac(RouterTest):
    """A server behind the internet's host, which routes what is for the private zone's network to the router."""

    def setUp(self) -> None:
        super().setUp()
        self.internet.ip("address", "add", f"{SERVER}/128", "dev", "lo")
        # Where a neighbour says that it is no router, the kernel takes the default route by it away (ndisc_recv_na).
        self.internet.write_sysctl("net.ipv6.conf.all.forwarding", "1")
        for host in (self.internet, self.camera, self.laptop, self.router):
            listener = Listener(host, (22, 80), family=socket.AF_INET6)
            self.addCleanup(listener.stop)

    def advertise(self, interval: int = 4) -> subprocess.Popen[bytes]:
        """dnsmasq advertises its prefix every few seconds, and at once when asked."""
        server = self.internet.start([
            DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--enable-ra",
            "--dhcp-range=fd00::,ra-only,64", f"--ra-param=eth0,{interval},1800", "--leasefile-ro", "--pid-file=", "--user=root",
        ])
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        return server

    def ip6(self, *arguments: str) -> str:
        return self.router.run(["ip", "-6", *arguments], check=True).stdout

    def made(self) -> str:
        """The address that the kernel made, once it may be used; nothing without one."""
        shown = self.ip6("address", "show", "dev", "eth0", "scope", "global", "-tentative")
        found = re.search(r"inet6 (\S+)/64", shown)
        return found[1] if found else ""

    def default(self) -> str:
        return self.ip6("route", "show", "default")

    def learnt(self) -> bool:
        return self.made() != "" and "proto ra" in self.default()

    def converge(self) -> str:
        """Waits for what advertisements bring, and has the internet route back by it."""
        self.assertTrue(wait_until(self.learnt), self.ip6("address") + self.default())
        made = self.made()
        self.assertIn(ipaddress.ip_address(made), PREFIX)
        self.internet.ip("-6", "route", "replace", "default", "via", made, "dev", "eth0")
        return made

    def status(self, expect: int = 0) -> Result:
        return self.camfw("status", expect=expect)

    def test_the_address_and_the_default_route_come_and_go(self) -> None:
        for egress in ("", LISTED):
            with self.subTest(egress):
                self.boot(ZONES, POLICY, egress)
                self.assertEqual((self.made(), self.default()), ("", ""))
                self.assertRegex(self.status().said, "zone external: interface eth0 has no IPv6 address")
                self.assertFalse(probes.tcp(self.laptop, SERVER, 80, 0.5))
                server = self.advertise()
                made = self.converge()
                self.assertNotIn("no IPv6 address", self.status().said)
                self.assertIn(made, self.camfw("hosts").stdout)
                self.assert_reach(made)
                self.camfw("prove", "--live")
                # It is no drift, and an apply leaves it.
                self.camfw("apply")
                self.assertEqual(self.made(), made)
                self.assert_reach(made)
                self.status()
                self.assert_traced(made)
                server.kill()
                server.wait()
                # The router takes it back.
                self.assertTrue(wait_until(self.taken_back, 15), "no more than a few a minute are taken")
                self.change_config(AUTO, 'address = "192.168.0.2/24"')
                self.camfw("apply")
                self.assertEqual((self.made(), self.default()), ("", ""))
                self.assertNotIn("fd00::/64", self.ip6("route"))
                self.assertEqual(self.router.read_sysctl("net.ipv6.conf.eth0.accept_ra"), "0")
                self.status()

    def taken_back(self) -> bool:
        """Whether the router's last advertisement has taken the default route away."""
        self.send(advertisement(lifetime=0))
        return self.default() == ""

    def assert_reach(self, made: str) -> None:
        """Who reaches whom."""
        self.assertTrue(probes.tcp(self.laptop, SERVER, 80))
        self.assertFalse(probes.tcp(self.camera, SERVER, 80, 0.5))
        self.assertFalse(probes.tcp(self.camera, INTERNET, 80, 0.5))
        self.assertFalse(probes.tcp(self.internet, LAPTOP, 80, 0.5))
        self.assertFalse(probes.tcp(self.internet, CAMERA, 80, 0.5))
        self.assertFalse(probes.tcp(self.internet, made, 22, 0.5))
        self.assertTrue(probes.ping(self.internet, made))
        # A neighbour asks the address itself, from its link-local one, whether it is still there.
        self.assertTrue(probes.ping(self.internet, made, probes.PATIENCE, "-I", f"{self.link_local(self.internet)}%eth0"))

    def assert_traced(self, made: str) -> None:
        out = ("trace", "--dst", SERVER, "--dport", "80", "--src")
        self.assertIn("ACCEPT", self.camfw(*out, LAPTOP).stdout)
        self.assertIn("DROP", self.camfw(*out, CAMERA).stdout)
        ping = ("trace", "--from", "external", "--src", SERVER, "--dst", made, "--proto", "58", "--to", "router")
        self.assertIn("ACCEPT", self.camfw(*ping).stdout)
        # At a rate.
        advertised = ("trace", "--from", "external", "--to", "router", "--src", "fe80::1", "--dst", "ff02::1", "--proto", "58",
                      "--icmp-type", "134/0", "--state", "UNTRACKED", "--ttl")
        self.assertIn("DEPENDS", self.camfw(*advertised, "255").stdout)
        self.assertIn("DROP", self.camfw(*advertised, "254").stdout)

    def link_local(self, host: Namespace) -> str:
        shown = host.run(["ip", "-6", "address", "show", "dev", "eth0", "scope", "link"], check=True).stdout
        found = re.search(r"inet6 (\S+)/64", shown)
        assert found is not None, shown
        return found[1]

    def send(self, message: bytes, sender: Namespace | None = None, hops: int = 255, source: str = "", times: int = 1) -> None:
        """Sends to all nodes, as an advertisement is sent (RFC 4861, 4.2)."""
        with (sender or self.internet).entered():
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            scope = socket.if_nametoindex("eth0")
        with raw:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, scope)
            if source:
                raw.bind((source, 0))
            for _ in range(times):
                raw.sendto(message, ("ff02::1", 0, 0, scope))

    def taken(self) -> int:
        """How many advertisements the rule let in."""
        rules = self.tables.rules("ip6tables")
        return sum(rule.packets for rule in rules if "--icmpv6-type 134" in rule.rule and rule.rule.startswith("-A INPUT"))

    def test_a_running_box_asks_for_routers(self) -> None:
        self.boot(ZONES.replace(AUTO, FIXED), POLICY)
        self.advertise(600)
        # An interface that is up, without what it had.
        self.change_config(FIXED, AUTO)
        with Capture(self.internet, "icmp6 and ip6[40] == 133") as asked:
            self.camfw("apply")
            self.assertGreater(asked.count(expected=1), 0)
        self.converge()
        self.assertNotIn("fd00::2/64", self.ip6("address"))
        self.status()
        self.change_config(AUTO, FIXED)
        self.camfw("apply")
        self.assertTrue(wait_until(lambda: self.made() == "fd00::2"))
        self.assertEqual(self.default(), "")
        self.status()

    def test_advertisements_count_on_that_link_alone_and_from_a_neighbour(self) -> None:
        self.boot(ZONES, POLICY)
        self.assertEqual(
            [self.router.read_sysctl(f"net.ipv6.conf.{scope}.accept_ra") for scope in ("eth0", "eth1", "eth2", "all", "default")],
            ["2", "0", "0", "0", "0"])
        message = advertisement("fd00:77::", 64)
        for interface in ("eth1", "eth2"):
            self.router.write_sysctl(f"net.ipv6.conf.{interface}.accept_ra", "2")
            self.router.write_sysctl(f"net.ipv6.conf.{interface}.autoconf", "1")
        for host in (self.camera, self.laptop):
            self.send(message, host)
        self.send(message, hops=64)
        self.send(message, source=INTERNET, times=500)
        self.assertEqual(self.taken(), 0)
        self.assertEqual(self.default(), "")
        self.assertNotIn("fd00:77::", self.ip6("address") + self.ip6("route"))
        for interface in ("eth1", "eth2"):
            self.assertIn(f"net.ipv6.conf.{interface}.accept_ra is 2, not 0", self.status(1).said)
        # One that counts, and no more than a few of a stream.
        self.send(message, times=500)
        self.assertTrue(wait_until(self.learnt), "control")
        self.assertGreater(self.taken(), 0)
        self.assertLess(self.taken(), 100)

    def test_what_is_for_another_zone_does_not_leave_where_an_advertisement_says(self) -> None:
        self.boot(ZONES, POLICY)
        self.assertTrue(probes.tcp(self.laptop, CAMERA, 80))
        self.internet.ip("address", "add", f"{CAMERA}/128", "dev", "eth0", "nodad")
        self.internet.ip("-6", "route", "replace", "fd00:5::/64", "via", self.link_local_of_router(), "dev", "eth0")
        self.send(advertisement(CAMERA, 128))
        self.assertTrue(wait_until(lambda: f"{CAMERA} dev eth0" in self.ip6("route")), "it is on that link, it says")
        with Capture(self.internet, f"tcp and dst host {CAMERA}") as leaked:
            self.assertFalse(probes.tcp(self.laptop, CAMERA, 80, 1))
            self.assertEqual(leaked.count(), 0)
        said = self.status(1).said
        self.assertIn(f"a router advertised {CAMERA}/128, which overlaps the network of zone camera", said)
        # Where nothing drops it, it leaves: the control.
        self.camfw("open")
        with Capture(self.internet, f"tcp and dst host {CAMERA}") as leaked:
            probes.tcp(self.laptop, CAMERA, 80, 2)
            self.assertGreater(leaked.count(expected=1), 0)

    def test_who_advertises_many_networks_uses_up_little(self) -> None:
        self.boot(ZONES, POLICY)
        self.advertise()
        made = self.converge()
        for first in range(0, 44 * 300, 44):
            self.send(many_networks(first, 44))
        # At a rate, which the router's own advertisements had some of.
        self.assertLess(len(self.ip6("route").splitlines()), 44 * 20)
        self.assertTrue(wait_until(lambda: len(self.ip6("route").splitlines()) > 80), "control")
        told = [line for line in self.status(1).stdout.splitlines() if "overlap" in line]
        self.assertEqual(len(told), 5, told)
        self.assertRegex(told[-1], "interface eth0: routers advertised more networks that overlap other zones': [0-9]+$")
        said = self.camfw("apply").said
        self.assertRegex(said, "routers advertise more networks than a link has: [0-9]+ routes taken away")
        left = self.ip6("route")
        self.assertNotIn("fd00:8::1:", left)
        self.assertIn("fd00::/64", left)
        self.assertEqual(self.made(), made)
        self.assertTrue(probes.tcp(self.laptop, SERVER, 80))
        self.status()

    def test_a_source_that_is_the_routers_own_is_no_part_of_its_connections_with_itself(self) -> None:
        self.boot(ZONES, POLICY)
        self.advertise()
        made = self.converge()
        self.assertTrue(probes.ping(self.internet, made), "a neighbour knows it")
        ends = [self.router.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
        for end, port in zip(ends, (5001, 5002), strict=True):
            self.addCleanup(end.close)
            end.settimeout(probes.PATIENCE)
            end.bind((made, port))
        one, other = ends
        one.sendto(b"question", (made, 5002))
        self.assertEqual(other.recvfrom(64)[0], b"question")
        other.sendto(b"answer", (made, 5001))
        self.assertEqual(one.recvfrom(64)[0], b"answer")
        with self.internet.entered():
            raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with raw:
            forged = datagram(made, 5001, made, 5002, b"forged")
            other.settimeout(1)
            raw.sendto(forged, (made, 0))
            with self.assertRaises(TimeoutError):
                other.recvfrom(64)
            self.camfw("open")
            other.settimeout(probes.PATIENCE)
            raw.sendto(forged, (made, 0))
            self.assertEqual(other.recvfrom(64)[0], b"forged", "control")

    def link_local_of_router(self) -> str:
        shown = self.ip6("address", "show", "dev", "eth0", "scope", "link")
        found = re.search(r"inet6 (\S+)/64", shown)
        assert found is not None, shown
        return found[1]


def datagram(source: str, sport: int, target: str, dport: int, data: bytes) -> bytes:
    """A UDP datagram with any source."""
    ends = b"".join(socket.inet_pton(socket.AF_INET6, it) for it in (source, target))
    length = 8 + len(data)
    header = struct.pack("!HHH", sport, dport, length)
    summed = ends + struct.pack("!II", length, socket.IPPROTO_UDP) + header + b"\0\0" + data + b"\0" * (length % 2)
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!IHBB", 6 << 28, length, socket.IPPROTO_UDP, 64) + ends + header + struct.pack("!H", ~total & 0xFFFF) + data


def many_networks(first: int, count: int) -> bytes:
    """An advertisement of networks of one host each in the camera zone's, which never end."""
    message = advertisement()
    for number in range(first, first + count):
        network = socket.inet_pton(socket.AF_INET6, f"fd00:8::1:{number:x}")
        message += struct.pack("!BBBBIII", 3, 4, 128, 0x80, 0xFFFFFFFF, 0xFFFFFFFF, 0) + network
    return message


def advertisement(prefix: str = "", length: int = 64, lifetime: int = 1800) -> bytes:
    """A router's advertisement with the prefix as one of its link, of which addresses are made if it has 64 bits
    (RFC 4861, 4.2 and 4.6.2). The kernel fills in the checksum."""
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0)
    if prefix:
        flags = 0xC0 if length == 64 else 0x80
        message += struct.pack("!BBBBIII", 3, 4, length, flags, 3600, 3600, 0) + socket.inet_pton(socket.AF_INET6, prefix)
    return message
