"""Packets that are related to a connection but not part of it: ICMP errors.

An error quotes the packet that it is about, and so carries bytes chosen by its sender
to that packet's sender. The kernel checks only where the error is sent, not who sends
it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

from attack import forge
from lab import example, probes
from lab.capture import Capture
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import EXTERNAL, PING, PRIVATE, ZONES, allow, camera
from netns.test_ipv6_same import zones as zones_of_both_families

INTERNET, CAMERA, LAPTOP = example.INTERNET, example.CAMERA, example.LAPTOP
# Neighbours of these hosts, and a router on the path to the internet's servers.
ANOTHER_CAMERA, ANOTHER_LAPTOP, FAR_ROUTER = "192.168.8.77", "192.168.5.77", "1.2.3.4"

# Type and code: unreachable (host, port, too big), redirect, time exceeded,
# parameter problem; source quench. Of IPv6: no route, port, too big, time, parameter.
KINDS = ((3, 1), (3, 3), (3, 4), (5, 1), (11, 0), (12, 0), (4, 0))
KINDS6 = ((1, 0), (1, 4), (2, 0), (3, 0), (4, 0))
PASS = frozenset({(3, 1), (3, 3), (3, 4), (11, 0), (12, 0)})
ETH_P_ALL = 0x0003

_numbers = itertools.count(os.getpid() << 12 & 0x7FFFFFFF)


class Sniffer:
    """The marked packets that arrive at a host, captured before any firewall there. A
    context manager."""

    def __init__(self, namespace: Namespace, interface: str = INTERFACE) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind((interface, 0))
        self._socket.settimeout(0.1)
        self.seen: set[int] = set()
        self._open = True
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Sniffer:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while self._open:
            with contextlib.suppress(TimeoutError):
                data, (_, _, kind, *_) = self._socket.recvfrom(4096)
                if kind != 4:  # PACKET_OUTGOING (linux/if_packet.h)
                    self.seen |= forge.numbers_in(data)

    def wait(self, numbers: set[int]) -> bool:
        """Waits until all of these have arrived."""
        return probes.wait_until(lambda: numbers <= self.seen)


def raw_send(namespace: Namespace, packets: Sequence[bytes]) -> None:
    """Sends raw IP packets, with any source, using the host's routes."""
    for packet in packets:
        six = packet[0] >> 4 == 6
        family = socket.AF_INET6 if six else socket.AF_INET
        target = socket.inet_ntop(family, packet[24:40] if six else packet[16:20])
        with namespace.entered(), socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(packet, (target, 0))


def error(kind: tuple[int, int], source: str, quoted: bytes) -> tuple[int, bytes]:
    """An ICMP error to the sender of the quoted packet, with a unique number in it."""
    number = next(_numbers)
    six = quoted[0] >> 4 == 6
    family = socket.AF_INET6 if six else socket.AF_INET
    target = socket.inet_ntop(family, quoted[8:24] if six else quoted[12:16])
    # The MTU of the next hop, if the type has one.
    rest = struct.pack("!HH", 0, 1280) if not six else struct.pack("!I", 1280)
    message = forge.icmp(source, target, *kind, rest, quoted + forge.marker(number, 4))
    return number, forge.ip(source, target, forge.icmp_protocol(source), message)


def tcp_packet(source: str, target: str, sport: int, dport: int) -> bytes:
    """A packet of a connection, as quoted by an error."""
    return forge.ip(source, target, forge.TCP, forge.tcp(source, target, sport, dport, forge.ACK, b""))


class RelatedTest(RouterTest):
    """Sends errors and checks which of them arrive."""

    tool = "iptables"

    def sent(self, sender: Namespace, source: str, quoted: bytes, kinds: Sequence[tuple[int, int]]) -> dict[int, tuple[int, int]]:
        made = {}
        for kind in kinds:
            number, packet = error(kind, source, quoted)
            made[number] = kind
            raw_send(sender, [packet])
        return made

    def assert_passing(
        self, sender: Namespace, sources: Sequence[str], receiver: Namespace, quoted: bytes,
        passing: frozenset[tuple[int, int]] = frozenset(), kinds: Sequence[tuple[int, int]] = KINDS,
    ) -> None:
        """Checks that exactly these errors arrive. A control shows that all of them
        would arrive with the common rule for related packets inserted before ours."""
        everybody = ["FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"]
        with Sniffer(receiver) as sniffer:
            first: dict[int, tuple[int, int]] = {}
            for source in sources:
                first |= self.sent(sender, source, quoted, kinds)
            self.tables.run(self.tool, "-I", *everybody)
            control: dict[int, tuple[int, int]] = {}
            for source in sources:
                control |= self.sent(sender, source, quoted, kinds)
            arrived = sniffer.wait(set(control))
            self.tables.run(self.tool, "-D", *everybody)
            missing = {kind for number, kind in control.items() if number not in sniffer.seen}
            self.assertTrue(arrived, f"control: {missing}")
            # They were sent before the control, which has arrived.
            came = {kind for number, kind in first.items() if number in sniffer.seen}
            self.assertEqual(came, set(passing) & set(kinds))

    @contextlib.contextmanager
    def connection(
        self, server: Namespace, address: str, port: int, opener: Namespace | None = None,
    ) -> Iterator[int]:
        """The laptop's TCP connection to a server, or that of another opener, with its
        port."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with Listener(server, tcp=[port], family=family), (opener or self.laptop).socket(family) as client:
            client.settimeout(probes.PATIENCE)
            client.connect((address, port))
            client.send(b"hello")
            self.assertEqual(client.recv(5), b"hello")
            yield client.getsockname()[1]

    def pinged(self, host: Namespace, source: str, target: str, identifier: int) -> bytes:
        """A ping that the router answered; returns the request as an error quotes it."""
        request = forge.echo(source, target, identifier, b"ping")
        family, size = (socket.AF_INET6, 0) if ":" in source else (socket.AF_INET, 20)
        protocol = socket.IPPROTO_ICMPV6 if size == 0 else socket.IPPROTO_ICMP
        with host.entered():
            answers = socket.socket(family, socket.SOCK_RAW, protocol)
        with answers:
            answers.settimeout(0.3)

            def answered() -> bool:
                raw_send(host, [request])
                with contextlib.suppress(TimeoutError):
                    for _ in range(20):
                        data = answers.recv(200)[size:]
                        if data[0] in (0, 129) and data[4:6] == struct.pack("!H", identifier):
                            return True
                return False

            self.assertTrue(probes.wait_until(answered), f"{source} -> {target}")
        return request


@both_backends
class Related(RelatedTest):
    """The example, unchanged except for lines that name hosts."""

    def test_camera_and_external_that_both_pinged_the_router(self) -> None:
        self.camfw("boot")
        of_camera = self.pinged(self.camera, CAMERA.address, CAMERA.router, 0x1101)
        of_internet = self.pinged(self.internet, INTERNET.address, INTERNET.router, 0x1102)
        self.assert_passing(self.camera, [CAMERA.address, ANOTHER_CAMERA], self.internet, of_internet)
        self.assert_passing(self.internet, [INTERNET.address, FAR_ROUTER], self.camera, of_camera)

    def test_camera_about_the_laptops_connections(self) -> None:
        self.camfw("boot")
        with self.connection(self.internet, INTERNET.address, 80) as port:
            ends = (LAPTOP.address, INTERNET.address, port, 80)
            forth = tcp_packet(*ends)
            back = tcp_packet(INTERNET.address, LAPTOP.address, 80, port)
            sources = [CAMERA.address, ANOTHER_CAMERA]
            self.assert_passing(self.camera, sources, self.laptop, forth)
            self.assert_passing(self.camera, sources, self.internet, back)
        # Nor about its own connection, since no line names it.
        with self.connection(self.camera, CAMERA.address, 80) as port:
            forth = tcp_packet(LAPTOP.address, CAMERA.address, port, 80)
            self.assert_passing(self.camera, sources, self.laptop, forth)
            # No other host may send errors about it.
            self.assert_passing(self.internet, [INTERNET.address, FAR_ROUTER], self.laptop, forth)
            back = tcp_packet(CAMERA.address, LAPTOP.address, 80, port)
            self.assert_passing(self.internet, [FAR_ROUTER], self.camera, back)
            # Hosts in the laptop's zone may send errors to its camera.
            self.assert_passing(self.laptop, [LAPTOP.address, ANOTHER_LAPTOP], self.camera, back, PASS)

    def test_a_camera_with_lines_tells_of_its_own_connections(self) -> None:
        self.boot(ZONES, camera("porch", CAMERA.address), camera("garage", ANOTHER_CAMERA), allow("private", "camera", "http"))
        with self.connection(self.camera, CAMERA.address, 80) as port:
            forth = tcp_packet(LAPTOP.address, CAMERA.address, port, 80)
            self.assert_passing(self.camera, [CAMERA.address], self.laptop, forth, PASS)
            self.assert_passing(self.camera, [ANOTHER_CAMERA], self.laptop, forth)

    def test_routers_on_the_internet(self) -> None:
        for more in ("", '[[masquerade]]\nfrom = "private"\nto = "external"\n'):
            with self.subTest(more):
                self.boot(ZONES, allow("private", "external", "http"), PING, more)
                with self.connection(self.internet, INTERNET.address, 80) as port:
                    sender = INTERNET.router if more else LAPTOP.address
                    known = self.translated(port) if more else port
                    forth = tcp_packet(sender, INTERNET.address, known, 80)
                    # The kernel itself passes on no redirect about what it rewrites
                    # (nf_nat_icmp_reply_translation in net/netfilter/nf_nat_proto.c).
                    kinds = [kind for kind in KINDS if not more or kind[0] != 5]
                    self.assert_passing(
                        self.internet, [INTERNET.address, FAR_ROUTER], self.laptop, forth, PASS, kinds)
                    # A camera that pretends to send from the router's own address.
                    back = tcp_packet(INTERNET.address, LAPTOP.address, 80, port)
                    self.assert_passing(self.camera, [CAMERA.address], self.internet, back, kinds=kinds)

    def translated(self, port: int) -> int:
        """The translated source port of a masqueraded connection."""
        listed = self.router.run(["conntrack", "-L", "-p", "tcp", "--sport", str(port)], check=True).stdout
        found = re.findall(r"dport=(\d+)", listed)
        return int(found[-1])


@both_backends
class KnownCameras(RelatedTest):
    """The recorder's example: cameras bound to their hardware addresses."""

    def test_a_known_camera_reaches_nobody_by_errors(self) -> None:
        bound = camera("porch", CAMERA.address, CAMERA.mac, '{ to = "router", service = ["ping", "ntp"] }'.strip("{} "))
        known = ZONES.replace('role = "camera"', 'role = "camera"\nknown-only = true')
        self.boot(known, bound, allow("private", "external", "http"), allow("external", "router", "ping"))
        of_internet = self.pinged(self.internet, INTERNET.address, INTERNET.router, 0x1103)
        self.assert_passing(self.camera, [CAMERA.address], self.internet, of_internet)
        with self.connection(self.internet, INTERNET.address, 80) as port:
            forth = tcp_packet(LAPTOP.address, INTERNET.address, port, 80)
            self.assert_passing(self.camera, [CAMERA.address], self.laptop, forth)


@both_backends
class Related6(RelatedTest):
    """ICMPv6 errors with the same policy."""

    tool = "ip6tables"

    def test_camera_reaches_nobody_by_errors(self) -> None:
        self.boot(zones_of_both_families(), PING, allow("private", "external", "http"))
        of_internet = self.pinged(self.internet, INTERNET.address6, INTERNET.router6, 0x1104)
        sources = [CAMERA.address6, CAMERA.address6.replace("::110", "::77")]
        self.assert_passing(self.camera, sources, self.internet, of_internet, kinds=KINDS6)
        with self.connection(self.internet, INTERNET.address6, 80) as port:
            forth = tcp_packet(LAPTOP.address6, INTERNET.address6, port, 80)
            self.assert_passing(self.camera, sources, self.laptop, forth, kinds=KINDS6)
            passing = frozenset(KINDS6)
            far = ["2600::1", INTERNET.address6]
            self.assert_passing(self.internet, far, self.laptop, forth, passing, KINDS6)


@both_backends
class OwnErrors(RelatedTest):
    """Errors that the router sends, and errors to it."""

    def test_to_the_routers_own_queries(self) -> None:
        for egress in ("open", "listed"):
            lines = allow("router", "external", "{ udp = [9] }") if egress == "listed" else ""
            self.boot(ZONES, lines, f'[router]\negress = "{egress}"\n')
            for address in (INTERNET.address, "127.0.0.1"):
                with self.subTest(egress, address=address), self.router.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
                    query.settimeout(probes.PATIENCE)
                    query.connect((address, 9))
                    query.send(b"nobody")
                    with self.assertRaises(ConnectionRefusedError):
                        query.recv(100)

    def test_the_router_is_seen_on_the_way(self) -> None:
        """Traceroute: the first packet expires at the router, before any rule has let
        it through."""
        masquerade = '[[masquerade]]\nfrom = "private"\nto = "external"\n'
        for egress, more in itertools.product(("open", "listed"), ("", masquerade)):
            with self.subTest(egress, more=more):
                self.boot(ZONES, PING, allow("private", "external", "{ udp = [33434] }"), f'[router]\negress = "{egress}"\n', more)
                self.assertEqual(self.hop(1), LAPTOP.router)
                self.assertTrue(probes.ping(self.laptop, LAPTOP.router))
                with Listener(self.internet, udp=[33434]), self.laptop.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.settimeout(probes.PATIENCE)
                    probe.sendto(b"here", (INTERNET.address, 33434))
                    self.assertEqual(probe.recv(10), b"here")

    def hop(self, hops: int) -> str:
        """The host that reports that a packet with this hop limit has expired."""
        with self.laptop.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
            probe.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR (linux/in.h)
            probe.connect((INTERNET.address, 33434))
            said: list[str] = []

            def told() -> bool:
                with contextlib.suppress(OSError):
                    probe.send(b"probe")
                with contextlib.suppress(OSError):
                    # struct sock_extended_err, and the sender's address after it.
                    _, parts, _, _ = probe.recvmsg(100, 200, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
                    said.extend(socket.inet_ntoa(data[20:24]) for *_, data in parts)
                return bool(said)

            self.assertTrue(probes.wait_until(told), "nobody said so")
        return said[0]

    def test_a_camera_that_brings_many_about_takes_nobodys(self) -> None:
        """The kernel limits its errors per address, so packets from many addresses that
        all expire cause only a limited number of errors, and the laptop still receives
        its own."""
        sources = [f"192.168.8.{host}" for host in range(2, 250)]
        # All addresses belong to the camera, so the errors arrive.
        known = "".join(f"neigh replace {source} lladdr {CAMERA.mac} dev eth1 nud permanent\n" for source in sources)
        self.boot(ZONES, PING, allow("private", "external", "{ udp = [33434] }"))
        self.router.ip(batch=known)
        sent, came = self.flood(sources)
        self.assertLessEqual(came, 100 * sent + 20)
        self.assertGreater(came, 20, "control: some do go back")
        self.tables.run("iptables", "-I", "OUTPUT", "-p", "icmp", "-j", "ACCEPT")
        sent, came = self.flood(sources)
        self.assertGreater(came, 150 * sent + 20, "control: without the rules more go back")

    def flood(self, sources: Sequence[str]) -> tuple[float, int]:
        """How long the camera flooded while the laptop sent packets and received
        errors, and how many errors came back to the camera."""
        packets = [forge.ip(it, LAPTOP.address, forge.UDP, forge.udp(it, LAPTOP.address, 9, 9, b""), hops=1) for it in sources]
        running = True

        def send() -> None:
            with self.camera.entered():
                raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            with raw:
                for packet in itertools.cycle(packets):
                    if not running:
                        return
                    raw.sendto(packet, (LAPTOP.address, 0))

        with Capture(self.camera, "icmp[icmptype] == icmp-timxceed") as errors:
            begun = time.monotonic()
            flood = threading.Thread(target=send, daemon=True)
            flood.start()
            try:
                self.assertEqual(self.hop(1), LAPTOP.router)
                self.assertTrue(probes.wait_until(lambda: time.monotonic() > begun + 2))
            finally:
                running = False
                flood.join()
                    # Packets in transit come first.
            return time.monotonic() - begun, errors.count()

    def test_too_big_for_the_way_out(self) -> None:
        masquerade = '[[masquerade]]\nfrom = "private"\nto = "external"\n'
        for more in ("", masquerade):
            with self.subTest(more):
                small = EXTERNAL.replace('role =', 'mtu = 1300\nrole =')
                self.boot(small, PRIVATE, allow("private", "external", "{ udp = [9] }"), '[router]\negress = "listed"\n', more)
                self.laptop.ip("route", "flush", "cache")
                with self.laptop.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    # IP_MTU_DISCOVER (10), IP_PMTUDISC_DO (2), IP_MTU (14): linux/in.h.
                    sender.setsockopt(socket.IPPROTO_IP, 10, 2)
                    sender.connect((INTERNET.address, 9))

                    def known() -> bool:
                        with contextlib.suppress(OSError):
                            sender.send(b"x" * 1400)
                        return sender.getsockopt(socket.IPPROTO_IP, 14) == 1300

                    self.assertTrue(probes.wait_until(known), "the error came to who sent it")
                self.lab.hosts["laptop"].namespace.ip("route", "flush", "cache")

    def test_about_connections_that_the_router_proxies(self) -> None:
        """An error from a client, and from no other host, reaches the router that acts
        as the server."""
        self.boot(
            ZONES, allow("private", "router", "{ tcp = [3128] }"), allow("private", "external", "http"), PING,
            '[[proxy]]\nfrom = "private"\nto = "external"\nservice = "http"\nport = 3128\n')
        with Listener(self.router, tcp=[3128]), self.laptop.socket() as client:
            client.settimeout(probes.PATIENCE)
            client.connect((INTERNET.address, 80))
            port = client.getsockname()[1]
            back = tcp_packet(INTERNET.address, LAPTOP.address, 80, port)

            def passed() -> int:
                return self.tables.packets("filter", "errors-private", "ACCEPT")

            before = passed()
            for host, source in ((self.camera, CAMERA.address), (self.laptop, LAPTOP.address)):
                number, packet = error((3, 4), source, back)
                raw_send(host, [packet])
            self.assertTrue(probes.wait_until(lambda: passed() > before))
            self.assertEqual(passed(), before + 1)
