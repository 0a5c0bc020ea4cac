"""Listed cameras with IPv6 addresses, bound to their hardware addresses as they are by IPv4, and a neighbour on their
wire that borrows them."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from typing import Any

from lab import example, probes
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.probes import wait_until
from lab.services import HttpServer, Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, allow
from netns.test_ipv6_same import zones

PORCH, PORCH6, MAC = example.CAMERA.address, example.CAMERA.address6, example.CAMERA.mac
ROUTER, ROUTER6 = example.CAMERA.router, example.CAMERA.router6
LAPTOP6 = example.LAPTOP.address6
# Of the neighbour, and of nobody.
NEIGHBOUR6, NEIGHBOUR_MAC, UNUSED6 = "fd00:8::111", "02:00:00:00:00:99", "fd00:8::112"
LISTED = f"""
[[cameras]]
name = "porch"
address = ["{PORCH}", "{PORCH6}"]
mac = "{MAC}"
allow = [{{ to = "router", service = {{ tcp = [21] }} }}]
"""
LINES = PING + allow("camera", "router", "{ tcp = [22] }") + allow("private", "porch", "http")
PAGE = "the camera's picture\n"


@both_backends
class Cameras6(RouterTest):
    """The camera, and a neighbour with a hardware address of its own on the same wire."""

    def setUp(self) -> None:
        super().setUp()
        self.neighbour = Namespace("neighbour")
        self.addCleanup(self.neighbour.delete)
        self.camera.ip(
            "link", "add", "link", INTERFACE, "name", "near", "address", NEIGHBOUR_MAC, "type", "macvlan", "mode", "bridge")
        self.camera.ip("link", "set", "near", "netns", self.neighbour.name, "name", INTERFACE)
        self.be(self.neighbour, NEIGHBOUR6)
        self.addCleanup(Listener(self.router, (21, 22), (), socket.AF_INET6).stop)
        for host in (self.camera, self.neighbour):
            self.addCleanup(HttpServer(host, self.scratch / host.role, PAGE, bind="::").stop)

    def be(self, host: Namespace, *addresses: str) -> None:
        """Gives a host these IPv6 addresses and no others but its link-local one."""
        host.ip("link", "set", INTERFACE, "up")
        host.ip("-6", "address", "flush", "dev", INTERFACE, "scope", "global")
        for address in addresses:
            host.ip("address", "add", f"{address}/64", "dev", INTERFACE, "nodad")
        if addresses:
            host.ip("-6", "route", "replace", "default", "via", ROUTER6, "dev", INTERFACE)

    def dropped(self, chain: str) -> int:
        return self.tables.packets("raw", chain, "DROP", "ip6tables")

    def assert_dropped(self, chain: str, host: Namespace, source: str) -> None:
        """Nothing that a host sends from this address is answered, since that chain drops it."""
        before = self.dropped(chain)

        def tried() -> bool:
            self.assertFalse(probes.ping(host, ROUTER6, 0.4, "-I", source), source)
            return self.dropped(chain) > before

        self.assertTrue(wait_until(tried), f"nothing from {source} came as far as {chain}")

    def assert_open(self, host: Namespace, source: str) -> None:
        """Without the firewall the same packets are answered."""
        self.lab.configure_router(ipv6=True)
        self.be(host, source)
        self.router.ip("-6", "neigh", "flush", "dev", "eth1")
        self.assertTrue(probes.ping(host, ROUTER6, probes.PATIENCE, "-I", source), f"control: {source}")

    def know_router(self, host: Namespace) -> None:
        """Spares a host the search for the router's hardware address."""
        shown = self.router.run(["ip", "-br", "link", "show", "dev", "eth1"], check=True).stdout
        host.ip("neigh", "replace", ROUTER6, "lladdr", shown.split()[2], "nud", "permanent", "dev", INTERFACE)

    def link_local(self, host: Namespace, interface: str = INTERFACE) -> str:
        shown = host.run(["ip", "-6", "-o", "address", "show", "dev", interface, "scope", "link"], check=True)
        return shown.stdout.split()[3].split("/")[0]

    def test_neither_address_nor_hardware_address_can_be_borrowed(self) -> None:
        self.assert_open(self.neighbour, PORCH6)
        self.be(self.neighbour, NEIGHBOUR6)
        self.assert_open(self.camera, UNUSED6)
        self.boot(zones(), LINES, LISTED)
        self.assert_dropped("spoofed-camera", self.camera, UNUSED6)
        self.be(self.camera, PORCH6)
        self.assertTrue(probes.ping(self.camera, ROUTER6), "the camera itself")
        self.be(self.neighbour, PORCH6)
        self.assert_dropped("spoofed-camera", self.neighbour, PORCH6)
        self.be(self.neighbour, NEIGHBOUR6)
        self.assertTrue(probes.ping(self.neighbour, ROUTER6), "who is not listed, where anybody may be")

    def test_lines_of_the_camera_are_its_own_in_both_families(self) -> None:
        self.lab.configure_router(ipv6=True)
        self.assertTrue(probes.http(self.laptop, NEIGHBOUR6, PAGE), "control")
        self.boot(zones(), LINES, LISTED)
        for to in (ROUTER, ROUTER6):
            self.assertTrue(probes.tcp(self.camera, to, 21), to)
        self.assertTrue(probes.tcp(self.neighbour, ROUTER6, 22), "control")
        self.assertFalse(probes.tcp(self.neighbour, ROUTER6, 21, wait=0.5))
        for address in (PORCH, PORCH6):
            self.assertTrue(probes.http(self.laptop, address, PAGE), address)
        self.assertFalse(probes.http(self.laptop, NEIGHBOUR6, PAGE, wait=0.5), "a line to a camera leads to no other")

    def test_what_is_for_the_camera_is_not_led_to_its_neighbour(self) -> None:
        shown = ["ip", "-6", "-o", "neigh", "show", PORCH6, "dev", "eth1"]

        def led_astray() -> bool:
            advertise(self.neighbour, PORCH6, NEIGHBOUR_MAC)
            return NEIGHBOUR_MAC in self.router.run(shown, check=True).stdout

        self.lab.configure_router(ipv6=True)
        self.assertTrue(probes.ping(self.camera, ROUTER6))
        self.assertTrue(wait_until(led_astray), "control: the kernel believes it")
        self.boot(zones(), LINES, LISTED)
        for _ in range(5):
            self.assertFalse(led_astray())
        self.assertTrue(probes.http(self.laptop, PORCH6, PAGE))

    def test_known_only_lets_listed_cameras_in_and_nobody_else(self) -> None:
        known_only = zones("known-only = true")
        # A control: the same zone, where anybody may send.
        self.boot(zones(), LINES, LISTED)
        near = self.link_local(self.router, "eth1")
        self.assertTrue(probes.ping(self.neighbour, ROUTER6))
        self.assertTrue(probes.ping(self.neighbour, f"{near}%{INTERFACE}"))
        self.boot(known_only, LINES, LISTED)
        for host in (self.camera, self.laptop):
            host.ip("-6", "neigh", "flush", "dev", INTERFACE)
        self.assertTrue(probes.ping(self.camera, ROUTER6), "neighbours are found")
        self.assertTrue(probes.tcp(self.camera, ROUTER6, 21))
        self.assertTrue(probes.http(self.laptop, PORCH6, PAGE), "and from the house")
        self.assertTrue(probes.ping(self.camera, f"{near}%{INTERFACE}"), "by its link-local address")
        self.assert_dropped("source-camera", self.neighbour, NEIGHBOUR6)
        before = self.dropped("source-camera")
        self.assertFalse(probes.ping(self.neighbour, f"{near}%{INTERFACE}", 0.5), "not by a link-local address either")
        self.assertGreater(self.dropped("source-camera"), before)
        # Beyond what neighbours say the camera's link-local address opens nothing.
        with self.camera.socket(socket.AF_INET6) as connection, self.camera.entered():
            scope = socket.if_nametoindex(INTERFACE)
            connection.settimeout(0.5)
            self.assertNotEqual(connection.connect_ex((near, 22, 0, scope)), 0)
        self.be(self.neighbour, PORCH6)
        self.assert_dropped("spoofed-camera", self.neighbour, PORCH6)
        self.be(self.neighbour)
        self.be(self.camera, UNUSED6)
        self.assert_dropped("source-camera", self.camera, UNUSED6)

    def test_a_camera_that_is_listed_by_ipv4_alone_sends_no_ipv6_where_it_is_known_only(self) -> None:
        mine = f'[[cameras]]\nname = "near"\naddress = "192.168.8.111"\nmac = "{NEIGHBOUR_MAC}"\n'
        self.boot(zones("known-only = true"), LINES, LISTED, mine)
        self.assert_dropped("source-camera", self.neighbour, NEIGHBOUR6)
        self.assertTrue(probes.ping(self.camera, ROUTER6), "control")

    def test_its_connections_are_bounded(self) -> None:
        self.boot(zones("bound = { connections = 3 }"), LINES, LISTED)
        with contextlib.ExitStack() as stack:
            def opened(host: Namespace) -> bool:
                connection = stack.enter_context(host.socket(socket.AF_INET6))
                # Less than a second, after which the SYN would be retransmitted.
                connection.settimeout(0.9)
                return connection.connect_ex((ROUTER6, 22)) == 0

            for host in (self.camera, self.neighbour):
                self.know_router(host)
            self.assertEqual([opened(self.camera) for _ in range(5)], [True, True, True, False, False])
            self.assertTrue(opened(self.neighbour), "its neighbour has a bound of its own")

    def test_on_the_houses_wire_its_address_is_nobodys(self) -> None:
        self.boot(zones(), LINES, LISTED, allow("private", "router", "ssh"))
        self.assertTrue(probes.tcp(self.laptop, example.LAPTOP.router6, 22), "control")
        self.laptop.ip("address", "add", f"{PORCH6}/128", "dev", INTERFACE, "nodad")
        before = self.dropped("source-private")
        self.assertFalse(probes.ping(self.laptop, example.LAPTOP.router6, 0.5, "-I", PORCH6))
        self.assertGreater(self.dropped("source-private"), before)

    def test_it_is_told_by_its_name(self) -> None:
        self.boot(zones(), LINES, LISTED, "[watch]\ninterval = 3600\n")
        with self.program.watching():
            self.assertTrue(wait_until(lambda: self.json("blocked")["recording"]), "it records")

            def blocked() -> bool:
                probes.tcp(self.camera, LAPTOP6, 80, wait=0.3)
                hosts = self.json("blocked")["hosts"]
                return any(host["camera"] == "porch" and PORCH6 in host["addresses"] for host in hosts)

            self.assertTrue(wait_until(blocked), self.program.run("blocked").stdout)
            self.assertIn(PORCH6, self.program.run("hosts").stdout)
            seen = [camera for zone in self.json("hosts")["zones"] for camera in zone["cameras"]]
            self.assertEqual([(it["name"], it["addresses6"], it["state"]) for it in seen], [("porch", [PORCH6], "seen")])

            def problem(kind: str, host: Namespace, address: str) -> bool:
                self.be(host, address)
                probes.tcp(host, ROUTER6, 22, wait=0.3)
                problems = self.json("hosts")["problems"]
                return any(it["kind"] == kind and address in it["text"] for it in problems)

            self.assertTrue(
                wait_until(lambda: problem("other-address", self.camera, UNUSED6)), self.program.run("hosts").stdout)
            self.be(self.camera, PORCH6)
            self.assertTrue(probes.ping(self.camera, ROUTER6))

    def json(self, command: str) -> dict[str, Any]:
        return dict(json.loads(self.program.run(command, "--json").stdout))


def advertise(sender: Namespace, address: str, mac: str) -> None:
    """Tells all nodes that an address is at a hardware address (RFC 4861, 4.4), from the sender's link-local one."""
    override = 0x2000_0000
    message = struct.pack("!BBHI", 136, 0, 0, override) + socket.inet_pton(socket.AF_INET6, address)
    message += b"\x02\x01" + bytes.fromhex(mac.replace(":", ""))
    with sender.entered():
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        scope = socket.if_nametoindex(INTERFACE)
    with raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, scope)
        raw.sendto(message, ("ff02::1", 0, 0, scope))
