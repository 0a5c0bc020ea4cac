"""A host that opens a known TCP connection anew: conntrack takes the SYN for a part of the
connection, and the line's limits and the zone's bound count it nevertheless."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lab import example, frames, probes
from lab.hosts import Wiring
from lab.namespace import Namespace
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import CAMERA, EXTERNAL, PING, PRIVATE, allow

SYN, RESET, ACK, PUSH, FIN = 0x02, 0x04, 0x10, 0x08, 0x01
# SACK permitted, and twice nothing (RFC 2018).
MAY_SACK = bytes((4, 2, 1, 1))
PORT = 21
WRAPS = 1 << 32
# How long a host that has been answered once waits for another answer.
SOON = 0.5
# As often as a host tries what may succeed three times, or five.
TRIES = 8


@dataclass(frozen=True)
class Segment:
    """What the server sent to a port of the host."""

    port: int
    flags: int
    sequence: int
    acknowledged: int


class RawHost:
    """A host whose TCP is the test: an address that no kernel in the lab has."""

    def __init__(self, router: Namespace, namespace: Namespace, wiring: Wiring, address: str, target: str) -> None:
        self.address, self._target = address, target
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind(("eth0", 3))
        self._socket.settimeout(0.1)
        mac = self._socket.getsockname()[4]
        links = json.loads(router.run(["ip", "-json", "link", "show", wiring.interface]).stdout)
        self._header = frames.address(links[0]["address"]) + mac + frames.IPV4
        router.ip("neighbor", "replace", address, "lladdr", mac.hex(":"), "dev", wiring.interface, "nud", "permanent")

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def send(self, port: int, flags: int, sequence: int, acknowledged: int,
             options: bytes = b"", data: bytes = b"") -> None:
        """Sends a segment from a port."""
        self._socket.send(self._header + frames.tcp(
            self.address, self._target, (port, PORT), flags, sequence % WRAPS, acknowledged % WRAPS, options, data))

    def receive(self, port: int, wanted: Callable[[Segment], bool], wait: float) -> Segment | None:
        """The next segment to this port that is wanted."""
        ends = time.monotonic() + wait
        while time.monotonic() < ends:
            try:
                data = self._socket.recv(2000)
            except TimeoutError:
                continue
            if data[12:14] != frames.IPV4 or data[23] != frames.TCP or data[30:34] != socket.inet_aton(self.address):
                continue
            _, to, sequence, acknowledged = struct.unpack("!HHII", data[34:46])
            segment = Segment(to, data[47], sequence, acknowledged)
            if to == port and wanted(segment):
                return segment
        return None

    def syn(self, port: int, sequence: int, wait: float) -> int | None:
        """Asks for a connection, once. Returns the server's sequence number if it accepts."""
        self.send(port, SYN, sequence, 0, MAY_SACK)
        accepted = self.receive(
            port, lambda it: it.flags == SYN | ACK and it.acknowledged == (sequence + 1) % WRAPS, wait)
        return None if accepted is None else accepted.sequence + 1

    def finish(self, port: int, sequence: int, acknowledged: int) -> None:
        """Closes a connection as both sides agree to."""
        self.send(port, FIN | ACK, sequence, acknowledged)
        last = self.receive(port, lambda it: bool(it.flags & FIN), probes.PATIENCE)
        if last is None:
            raise AssertionError("the server does not close")
        self.send(port, ACK, sequence + 1, last.sequence + 1)


def reset(host: RawHost, port: int, sequence: int, acknowledged: int) -> None:
    """Resets a connection and sends on in it: conntrack has it as closed, and not by the
    host that resets it last."""
    host.send(port, ACK, sequence, acknowledged)
    host.send(port, RESET | ACK, sequence, acknowledged)
    time.sleep(0.1)
    host.send(port, ACK, sequence, acknowledged)
    time.sleep(0.1)


def reset_for_the_server_alone(host: RawHost, port: int, sequence: int, acknowledged: int) -> None:
    """Resets a connection at the edge of what the server has received out of order: the
    server believes it (tcp_validate_incoming in net/ipv4/tcp_input.c), and conntrack, which
    knows no such edge, keeps the connection as established for days."""
    host.send(port, ACK, sequence, acknowledged)
    host.send(port, ACK | PUSH, sequence + 100, acknowledged, data=b"ten octets")
    again = host.receive(port, lambda it: it.flags == ACK, probes.PATIENCE)
    if again is None:
        raise AssertionError("the server does not say what it has received")
    host.send(port, RESET, sequence + 110, acknowledged)
    time.sleep(0.1)
    # The server's answer to this has an older number than the host has acknowledged, so that
    # conntrack does not believe it either.
    host.send(port, ACK, sequence, acknowledged - 1)
    time.sleep(0.1)


ENDS = {"reset": reset, "reset for the server alone": reset_for_the_server_alone}


def accepted(host: RawHost, end: Callable[[RawHost, int, int, int], None]) -> int:
    """How many of many connections from one port are accepted, each ended before the next."""
    count = 0
    for number in range(TRIES):
        sequence = 1000 + 1_000_000 * number
        answer = host.syn(20_000, sequence, probes.PATIENCE if number == 0 else SOON)
        if answer is not None:
            count += 1
            end(host, 20_000, sequence + 1, answer)
    return count


@both_backends
class Reopened(RouterTest):
    """A camera that opens its connections to the router anew."""

    def start(self, *line: str, bound: str = "") -> None:
        """Boots with a line for FTP that has these limits."""
        self.boot(EXTERNAL, CAMERA + bound, PRIVATE, PING, allow("camera", "router", "ftp", *line),
                  allow("private", "external", "http"))
        # An answer that is lost is not sent again, so that each belongs to a SYN.
        self.router.write_sysctl("net.ipv4.tcp_synack_retries", "0")
        listener = Listener(self.router, tcp=[PORT])
        self.addCleanup(listener.stop)

    def raw(self, address: str) -> RawHost:
        """A host in the camera's network."""
        host = RawHost(self.router, self.camera, example.CAMERA, address, example.CAMERA.router)
        self.addCleanup(host.close)
        return host

    def test_attempts(self) -> None:
        self.start('block-after = { attempts = 3, within = "1 day" }')
        for number, (name, end) in enumerate(ENDS.items()):
            with self.subTest(name):
                self.assertIn(accepted(self.raw(f"192.168.8.{120 + number}"), end), range(1, 4))

    def test_rate(self) -> None:
        self.start('limit = "1/hour"')
        for number, (name, end) in enumerate(ENDS.items()):
            with self.subTest(name):
                self.assertIn(accepted(self.raw(f"192.168.8.{120 + number}"), end), range(1, 6))

    def opened(self, host: RawHost, end: Callable[[RawHost, int, int, int], None]) -> int:
        """How many connections from different ports are open at once, of those that were
        opened one after the other and ended."""
        ports = range(20_000, 20_004)
        ended = []
        for port in ports:
            answer = host.syn(port, 1000, probes.PATIENCE if port == ports[0] else SOON)
            if answer is not None:
                end(host, port, 1001, answer)
                ended.append(port)
        again = [host.syn(port, 5_000_000, SOON) for port in ended]
        for port, answer in zip(ended, again):
            if answer is not None:
                host.send(port, ACK, 5_000_001, answer)
        return sum(answer is not None for answer in again)

    def test_open_connections(self) -> None:
        self.start("connections = 1")
        for number, (name, end) in enumerate(ENDS.items()):
            with self.subTest(name):
                self.assertLessEqual(self.opened(self.raw(f"192.168.8.{120 + number}"), end), 1)

    def test_bound_of_the_zone(self) -> None:
        self.start(bound="bound = { zone-connections = 1 }\n")
        self.assertLessEqual(self.opened(self.raw("192.168.8.120"), reset), 1)

    def test_what_is_open_stays_counted(self) -> None:
        """Also if the server has lost it, and only it is opened anew."""
        self.start("connections = 1")
        host = self.raw("192.168.8.120")
        answer = host.syn(20_000, 1000, probes.PATIENCE)
        assert answer is not None
        reset_for_the_server_alone(host, 20_000, 1001, answer)
        self.assertIsNotNone(host.syn(20_000, 5_000_000, probes.PATIENCE), "the same one")
        self.assertIsNone(host.syn(20_001, 1000, SOON), "a second one")


@both_backends
class Honest(RouterTest):
    """What hosts do that is no attempt to get past a limit. Each SYN is sent once, so that an
    answer is the answer to it."""

    def setUp(self) -> None:
        super().setUp()
        self.boot(EXTERNAL, CAMERA, PRIVATE, PING, allow("camera", "router", "ftp", "connections = 4"))
        self.router.write_sysctl("net.ipv4.tcp_synack_retries", "0")
        self.host = RawHost(self.router, self.camera, example.CAMERA, "192.168.8.120", example.CAMERA.router)
        self.addCleanup(self.host.close)

    def accepted(self, sequence: int) -> int:
        """Opens the connection and returns the server's sequence number."""
        answer = self.host.syn(20_000, sequence, probes.PATIENCE)
        assert answer is not None, "it is not answered"
        return answer

    def listen(self) -> None:
        """Starts a server on the router."""
        listener = Listener(self.router, tcp=[PORT])
        self.addCleanup(listener.stop)

    def test_an_answer_that_is_lost_is_given_again(self) -> None:
        self.listen()
        first = self.accepted(1000)
        # The kernel answers no two of a kind within half a second (tcp_invalid_ratelimit).
        time.sleep(0.6)
        again = self.accepted(1000)
        self.host.send(20_000, ACK, 1001, again)
        self.host.send(20_000, ACK | PUSH, 1001, again, data=b"hello")
        echoed = self.host.receive(20_000, lambda it: it.acknowledged == 1006, probes.PATIENCE)
        self.assertIsNotNone(echoed, f"it is open ({first}, {again})")

    def test_a_port_is_used_again_after_the_end(self) -> None:
        self.listen()
        sequence = 1000
        for _ in range(3):
            answer = self.accepted(sequence)
            self.host.send(20_000, ACK, sequence + 1, answer)
            self.host.finish(20_000, sequence + 1, answer)
            sequence += 1_000_000

    def test_a_port_is_used_again_after_a_reset_of_its_own(self) -> None:
        self.listen()
        for sequence in (1000, 1_000_000, 2_000_000):
            answer = self.accepted(sequence)
            self.host.send(20_000, ACK, sequence + 1, answer)
            self.host.send(20_000, RESET | ACK, sequence + 1, answer)

    def test_a_port_is_used_again_after_the_server_resets(self) -> None:
        """Once the kernel has forgotten the connection: in 10 seconds, within which a host
        asks again."""
        server = self.router.socket()
        self.addCleanup(server.close)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", PORT))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        answer = self.accepted(1000)
        self.host.send(20_000, ACK, 1001, answer)
        gone = self.host.receive(20_000, lambda it: bool(it.flags & RESET), probes.PATIENCE)
        self.assertIsNotNone(gone, "the server resets it")
        tries = iter(range(1, 1000))
        self.assertTrue(probes.wait_until(
            lambda: self.host.syn(20_000, 1_000_000 * next(tries), 1) is not None))

    def test_a_host_that_was_started_again_finds_its_way(self) -> None:
        """It does not know of its open connection, and opens it from the same port: the
        server says that it knows one (RFC 5961, 4), and the host resets that."""
        self.listen()
        answer = self.accepted(1000)
        self.host.send(20_000, ACK, 1001, answer)
        self.host.send(20_000, ACK | PUSH, 1001, answer, data=b"hello")
        self.assertIsNotNone(self.host.receive(20_000, lambda it: it.acknowledged == 1006, probes.PATIENCE))
        self.host.send(20_000, SYN, 5_000_000, 0, MAY_SACK)
        known = self.host.receive(20_000, lambda it: it.flags == ACK and it.acknowledged == 1006, probes.PATIENCE)
        assert known is not None, "the server says nothing"
        self.host.send(20_000, RESET, known.acknowledged, 0)
        self.accepted(5_000_000)


@both_backends
class Across(RouterTest):
    """The same across the router."""

    def test_attempts(self) -> None:
        limited = 'limit = "1/hour"'
        self.boot(EXTERNAL, CAMERA, PRIVATE, PING, allow("private", "external", "ftp", limited))
        listener = Listener(self.internet, tcp=[PORT])
        self.addCleanup(listener.stop)
        for number, end in enumerate(ENDS.values()):
            host = RawHost(self.router, self.laptop, example.LAPTOP, f"192.168.5.{120 + number}",
                           example.INTERNET.address)
            self.addCleanup(host.close)
            self.assertIn(accepted(host, end), range(1, 6))


@both_backends
class OtherTimes(RouterTest):
    """The file may set another time for which the kernel keeps what was reset."""

    def test_the_rules_follow(self) -> None:
        for seconds, range_of_rule in ((0, "0"), (30, "0:30"), (-1, "0:4294967295")):
            with self.subTest(seconds=seconds):
                key = f'[sysctls]\n"net.netfilter.nf_conntrack_tcp_timeout_close" = {seconds}\n'
                self.boot(EXTERNAL, CAMERA, PRIVATE, PING, key)
                rules = [counted.rule for counted in self.tables.rules("iptables")]
                self.assertTrue(any(f"--ctexpire {range_of_rule} " in rule for rule in rules), rules)
                self.camfw("status")
