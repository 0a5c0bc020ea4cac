"""Owns a router in a namespace with three wires, and what goes in and comes out.

Whatever comes out of a wire, or reaches the router itself, is noted by the
number in its payload.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence

from lab.namespace import Namespace
from lab.probes import PATIENCE
from lab.frames import ICMP, TCP, UDP
from prove.packets import Packet, number_of

WIRES = ("eth0", "eth1", "eth2")
PROTOCOLS = (TCP, UDP, ICMP, 50, 253)
HOSTS = range(2, 26)
BUFFER = 32 << 20
SO_RCVBUFFORCE = 33
PACKET_IGNORE_OUTGOING = 23
SOL_PACKET = 263

NETWORKS = "".join(f"eth{n} 10.{n}.0.0/16\n" for n in range(3)) + "lo 10.0.0.1 10.1.0.1 10.2.0.1\n"


class Bench:
    """A context manager: the namespaces go with it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.router = self._stack.enter_context(Namespace("router"))
        self.outside = self._stack.enter_context(Namespace("outside"))
        for namespace in (self.router, self.outside):
            namespace.write_sysctl("net.ipv6.conf.default.disable_ipv6", "1")
            namespace.write_sysctl("net.ipv6.conf.all.disable_ipv6", "1")
        for key in ("rp_filter", "send_redirects"):
            for scope in ("all", "default"):
                self.router.write_sysctl(f"net.ipv4.conf.{scope}.{key}", "0")
        self.router.write_sysctl("net.ipv4.icmp_echo_ignore_all", "1")
        batch = []
        for number, wire in enumerate(WIRES):
            self.router.ip("link", "add", wire, "type", "veth", "peer", "name", wire, "netns", self.outside.name)
            batch += [
                f"link set {wire} address {router_mac(wire)} up",
                f"addr add 10.{number}.0.1/16 dev {wire}",
                *(
                    f"neigh add 10.{number}.0.{host} lladdr {outside_mac(wire)} dev {wire} nud permanent"
                    for host in HOSTS
                ),
            ]
        self.router.ip(batch="\n".join(batch) + "\n")
        self.outside.ip(batch="".join(f"link set {wire} address {outside_mac(wire)} up\n" for wire in WIRES))
        self.router.write_sysctl("net.ipv4.ip_forward", "1")
        # Each packet as it came out last, by its number.
        self.seen: dict[int, bytes] = {}
        self.found: dict[int, str] = {}
        self._wires = {wire: self._wire(wire) for wire in WIRES}
        self._inside = [self._listen(protocol) for protocol in PROTOCOLS]

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (*self._wires.values(), *self._inside):
            opened.close()
        self._stack.close()

    def _wire(self, wire: str) -> socket.socket:
        with self.outside.entered():
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        opened.bind((wire, 0x0800))
        opened.setblocking(False)
        return opened

    def _listen(self, protocol: int) -> socket.socket:
        with self.router.entered():
            opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        opened.setblocking(False)
        return opened

    def send(self, packets: Sequence[Packet], expected: Mapping[int, str]) -> dict[int, str]:
        """Send them; where each came out, by number: a wire or "router". Waits for
        those in `expected`, with patience, and a moment for others."""
        found: dict[int, str] = {}
        for sent, packet in enumerate(packets):
            self._wires[packet.into].send(packet.frame(mac(router_mac(packet.into))))
            if sent % 64 == 63:
                self._drain(found, 0)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not expected.keys() <= found.keys():
            self._drain(found, 0.05)
        self._drain(found, 0.05)
        self.found = found
        return found

    def _drain(self, found: dict[int, str], wait: float) -> None:
        places = {opened: wire for wire, opened in self._wires.items()}
        places |= {opened: "router" for opened in self._inside}
        ready, _, _ = select.select(list(places), [], [], wait)
        for opened in ready:
            for data in _all(opened):
                datagram = data if places[opened] == "router" else data[14:]
                number = number_of(datagram)
                if number is not None:
                    found[number] = places[opened]
                    self.seen[number] = datagram


def _all(opened: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield opened.recv(65536)


def router_mac(wire: str) -> str:
    """The router's hardware address on a wire."""
    return f"02:00:00:00:01:{int(wire[-1]):02x}"


def outside_mac(wire: str) -> str:
    """That of everybody on the wire."""
    return f"02:00:00:00:02:{int(wire[-1]):02x}"


def mac(text: str) -> bytes:
    """As on the wire."""
    return struct.pack("!6B", *(int(part, 16) for part in text.split(":")))
