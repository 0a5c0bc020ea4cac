"""IPv6 with the same policy as IPv4, and with the ICMPv6 that IPv6 depends on."""

from __future__ import annotations

import socket
import struct
import time

from lab import example, probes
from lab.namespace import Namespace
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, allow

INTERNET, CAMERA, LAPTOP = (wiring.address6 for wiring in example.WIRINGS)
ROUTER = {wiring.name: wiring.router6 for wiring in example.WIRINGS}


def zones(camera: str = "") -> str:
    """The example's zones with both families; the camera's zone with further keys."""
    return f"""
[ipv6]
mode = "same"

[zones.external]
interface = "eth0"
address = ["192.168.0.2/24", "{ROUTER["internet"]}/64"]
gateway = ["192.168.0.1", "{INTERNET}"]
role = "external"

[zones.camera]
interface = "eth1"
address = ["192.168.8.1/24", "{ROUTER["camera"]}/64"]
role = "camera"
{camera}

[zones.private]
interface = "eth2"
address = ["192.168.5.200/24", "{ROUTER["laptop"]}/64"]
role = "private"
"""


POLICY = "\n".join((
    PING, allow("camera", "router", "{ tcp = [21] }"), allow("private", "router", "ssh"),
    allow("private", "camera", "{ tcp = [80], udp = [5004] }"), allow("private", "external", "http"),
    allow("external", "private", "https", f'address = "{LAPTOP}"'),
))
PORTS = (21, 22, 80, 443)


@both_backends
class Ipv6Same(RouterTest):
    """All hosts listen on all ports, and have IPv6 addresses and routes."""

    def setUp(self) -> None:
        super().setUp()
        self.namespaces = {
            "router": self.router, "internet": self.internet, "camera": self.camera, "laptop": self.laptop,
        }
        for namespace in self.namespaces.values():
            listener = Listener(namespace, PORTS, (5004, 5005), socket.AF_INET6)
            self.addCleanup(listener.stop)

    def open_router6(self) -> None:
        self.lab.configure_router(ipv6=True)

    def address(self, source: str, target: str) -> str:
        return ROUTER[source] if target == "router" else self.lab.hosts[target].wiring.address6

    def dropped(self, chain: str, table: str) -> int:
        return self.tables.packets(table, chain, "DROP", "ip6tables")

    def ping_as(self, sender: Namespace, source: str, target: str, wait: float = 0.5) -> bool:
        """Checks that a ping from this source address is answered."""
        return bool(probes.ping(sender, target, wait, "-I", source))

    def assert_dropped(self, chain: str, table: str, sender: Namespace, source: str, target: str) -> None:
        """Checks that a ping from this source address is dropped by the chain."""
        before = self.dropped(chain, table)
        self.assertFalse(self.ping_as(sender, source, target))
        self.assertTrue(probes.wait_until(lambda: self.dropped(chain, table) > before), "it came as far as this")

    def test_what_is_allowed_passes_and_nothing_else(self) -> None:
        ways = {
            ("camera", "router"): {21}, ("laptop", "router"): {22}, ("internet", "router"): set(),
            ("laptop", "camera"): {80}, ("laptop", "internet"): {80}, ("internet", "laptop"): {443},
            ("internet", "camera"): set(), ("camera", "laptop"): set(), ("camera", "internet"): set(),
        }
        for firewall in (False, True):
            if firewall:
                self.boot(zones(), POLICY)
            else:
                self.open_router6()
            for (source, target), ports in ways.items():
                for port in PORTS:
                    with self.subTest(source=source, target=target, port=port, firewall=firewall):
                        passes = not firewall or port in ports
                        reach = probes.tcp(
                            self.namespaces[source], self.address(source, target), port, probes.PATIENCE if passes else 0.3)
                        self.assertEqual(bool(reach), passes, reach.detail)

    def test_udp_and_ping(self) -> None:
        self.open_router6()
        for port in (5004, 5005):
            self.assertTrue(probes.udp(self.laptop, CAMERA, port), "control")
        self.assertTrue(probes.ping(self.laptop, CAMERA), "control")
        self.boot(zones(), POLICY)
        self.assertTrue(probes.udp(self.laptop, CAMERA, 5004))
        self.assertFalse(probes.udp(self.laptop, CAMERA, 5005, wait=0.3))
        for name, router in ROUTER.items():
            self.assertTrue(probes.ping(self.namespaces[name], router), name)
        self.assertFalse(probes.ping(self.laptop, CAMERA, 0.3), "no line allows it")
        self.assertTrue(probes.ping(self.router, INTERNET))
        self.assertTrue(probes.ping(self.router, CAMERA))

    def test_neighbours_are_found_again(self) -> None:
        for egress in ("open", "listed"):
            with self.subTest(egress):
                self.boot(zones(), POLICY, f'[router]\negress = "{egress}"\n')
                for namespace in (self.router, self.camera, self.laptop):
                    interfaces = ("eth1", "eth2") if namespace is self.router else ("eth0",)
                    for interface in interfaces:
                        namespace.ip("-6", "neigh", "flush", "dev", interface)
                self.assertTrue(probes.tcp(self.laptop, CAMERA, 80))

    def test_spoofed_sources_are_dropped(self) -> None:
        foreign = {
            "camera": (LAPTOP, "2001:db8::7", "fd00:77::1"), "laptop": (CAMERA, "2001:db8::7"),
            "internet": (LAPTOP.replace("::10", "::99"), CAMERA.replace("::110", "::99")),
        }
        chains = {"camera": "source-camera", "laptop": "source-private", "internet": "source-external"}
        self.boot(zones(), POLICY)
        for name, sources in foreign.items():
            sender = self.namespaces[name]
            self.know_router(name)
            for source in sources:
                with self.subTest(zone=name, source=source):
                    sender.ip("address", "add", f"{source}/128", "dev", "eth0", "nodad")
                    self.assert_dropped(chains[name], "raw", sender, source, ROUTER[name])
            self.assertTrue(self.ping_as(sender, self.lab.hosts[name].wiring.address6, ROUTER[name], probes.PATIENCE), "control")

    def know_router(self, name: str) -> None:
        """Lets the host cache the router's hardware address for every source address."""
        interface = self.lab.hosts[name].wiring.interface
        shown = self.router.run(["ip", "-br", "link", "show", "dev", interface], check=True).stdout
        self.namespaces[name].ip(
            "neigh", "replace", ROUTER[name], "lladdr", shown.split()[2], "nud", "permanent", "dev", "eth0")

    def test_reserved_sources_from_outside_are_dropped(self) -> None:
        self.open_router6()
        self.router.ip("-6", "route", "add", "default", "via", INTERNET)
        bogons = ("2001:db8::7", "fd77::1", "100::1", "2001:2::1", "fec0::1")
        passing = "2600::1"
        for source in (*bogons, passing):
            self.internet.ip("address", "add", f"{source}/128", "dev", "eth0", "nodad")
            self.assertTrue(self.ping_as(self.internet, source, ROUTER["internet"], probes.PATIENCE), f"control: {source}")
        self.boot(zones(), POLICY)
        self.know_router("internet")
        for source in bogons:
            with self.subTest(source):
                self.assert_dropped("reserved-external", "filter", self.internet, source, ROUTER["internet"])
        self.assertTrue(self.ping_as(self.internet, passing, ROUTER["internet"], probes.PATIENCE))

    def test_no_router_advertisement_is_taken(self) -> None:
        def default_by_link_local() -> bool:
            shown = self.router.run(["ip", "-6", "route", "show", "default"], check=True).stdout
            return "proto ra" in shown

        self.router.write_sysctl("net.ipv6.conf.eth1.accept_ra", "2")
        self.open_router6()
        self.router.write_sysctl("net.ipv6.conf.eth1.accept_ra", "2")

        def learnt() -> bool:
            advertise(self.camera)
            return probes.wait_until(default_by_link_local, 1)

        self.assertTrue(probes.wait_until(learnt), "control")
        self.router.ip("-6", "route", "flush", "proto", "ra")
        self.boot(zones(), POLICY)
        advertise(self.camera)
        time.sleep(0.5)
        self.assertFalse(default_by_link_local())
        # Nor if another program resets the setting: the filter drops them.
        self.router.write_sysctl("net.ipv6.conf.eth1.accept_ra", "2")
        advertise(self.camera)
        time.sleep(0.5)
        self.assertFalse(default_by_link_local())

    def test_too_big_gets_back_and_packets_get_smaller(self) -> None:
        self.boot(zones("mtu = 1280"), POLICY, '[router]\negress = "listed"\n')
        self.camera.ip("link", "set", "eth0", "mtu", "1280")
        with self.laptop.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            # IPV6_MTU_DISCOVER (23), IPV6_PMTUDISC_DO (2), IPV6_MTU (24): linux/in6.h.
            sender.setsockopt(socket.IPPROTO_IPV6, 23, 2)
            sender.connect((CAMERA, 5004))
            self.assertEqual(sender.getsockopt(socket.IPPROTO_IPV6, 24), 1500)
            sender.send(b"x" * 1400)

            def known() -> bool:
                return sender.getsockopt(socket.IPPROTO_IPV6, 24) == 1280

            self.assertTrue(probes.wait_until(known), "the error came to who sent it")

    def test_an_error_from_inside_gets_back_across_the_router(self) -> None:
        # The camera sends "port unreachable" to the laptop, which sent the request;
        # errors from a camera without allow lines are dropped, because it has no
        # connections.
        for more, passes in ((f'address = "{CAMERA}"', True), ("", False)):
            with self.subTest(more):
                self.boot(zones(), allow("private", "camera", "{ udp = [9] }", *filter(None, [more])))
                with self.laptop.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                    sender.settimeout(probes.PATIENCE if passes else 1)
                    sender.connect((CAMERA, 9))
                    sender.send(b"nobody")
                    with self.assertRaises(ConnectionRefusedError if passes else TimeoutError):
                        sender.recv(100)

    def test_known_only_takes_no_ipv6_by_any_address(self) -> None:
        show = ["ip", "-6", "-o", "address", "show", "dev", "eth1", "scope", "link"]
        for known_only in ("", "known-only = true"):
            with self.subTest(known_only):
                self.boot(zones(known_only), POLICY)
                link_local = self.router.run(show, check=True).stdout.split()[3].split("/")[0]
                passes = known_only == ""
                for target in (ROUTER["camera"], f"{link_local}%eth0"):
                    self.assertEqual(bool(probes.ping(self.camera, target, probes.PATIENCE if passes else 0.3)), passes)
                with self.camera.socket(socket.AF_INET6) as connection:
                    connection.settimeout(probes.PATIENCE if passes else 0.3)
                    scope = self.camera_scope()
                    reached = connection.connect_ex((link_local, 21, 0, scope)) == 0
                self.assertEqual(reached, passes)

    def camera_scope(self) -> int:
        with self.camera.entered():
            return socket.if_nametoindex("eth0")

    def test_sources_that_try_too_often_are_told_apart(self) -> None:
        another = LAPTOP.replace("::10", "::11")
        self.laptop.ip("address", "add", f"{another}/64", "dev", "eth0", "nodad")
        line = allow("private", "router", "ssh", 'block-after = { attempts = 2, within = "1 hour" }')
        self.boot(zones(), line)
        for source in (LAPTOP, another):
            tried = [self.connects(source) for _ in range(3)]
            self.assertEqual(tried, [True, True, False], source)

    def connects(self, source: str) -> bool:
        with self.laptop.socket(socket.AF_INET6) as connection:
            # Less than a second, after which the SYN would be retransmitted.
            connection.settimeout(0.9)
            connection.bind((source, 0))
            return connection.connect_ex((ROUTER["laptop"], 22)) == 0


def advertise(sender: Namespace) -> None:
    """A router advertisement to all nodes from a host that is not a router (RFC 4861,
    4.2)."""
    lifetime = 1800
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0)
    with sender.entered():
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        scope = socket.if_nametoindex("eth0")
    with raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, scope)
        raw.sendto(message, ("ff02::1", 0, 0, scope))
