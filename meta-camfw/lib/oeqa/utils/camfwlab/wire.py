"""Owns hosts that consist only of frames, for places where no namespace is available.

Each is the far end of an emulated machine's `-netdev dgram`: one UDP datagram on the
loopback is one frame. It answers only ARP. A probe succeeds when its first packet
arrives, or when the router answers it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from . import frames
from .facts import BEGINS, Flow, Wiring
from .frames import Packet, Segment

# Long compared with the delay of an emulated router, but each round takes this long.
WAIT_SECONDS = 4.0

# The interval between the packets of a stream.
STREAM_SECONDS = 0.02

# The first of the source ports, or identifiers, that distinguish the attempts.
_FIRST_PORT = 40000


class Wire:
    """One host. A context manager."""

    def __init__(self, wiring: Wiring, router_mac: str, machine_port: int) -> None:
        """`machine_port` is the machine's end; this end uses the port above it."""
        self.wiring = wiring
        self.router_mac = router_mac
        self._machine = ("127.0.0.1", machine_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", machine_port + 1))
        self._socket.settimeout(0.2)
        self._packets: list[Packet] = []
        self._segments: list[Segment] = []
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._reader.join()
        self._socket.close()

    @property
    def packets(self) -> list[Packet]:
        """The packets received so far."""
        return list(self._packets)

    def segments(self, first: int) -> list[Segment]:
        """The TCP segments received so far, from that number on."""
        return self._segments[first:]

    def send(self, packet: bytes) -> None:
        """Sends an IPv4 packet to the router's network card."""
        # While the machine is off, no one listens; ignore that.
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.sendto(
                frames.frame(self.router_mac, self.wiring.mac, None, packet), self._machine)

    def _read(self) -> None:
        while self._open:
            try:
                data = self._socket.recv(2048)
            except (TimeoutError, ConnectionRefusedError):
                continue
            asked = frames.asked(data)
            if asked and asked[2] == self.wiring.address:
                mac, address, _ = asked
                answer = frames.arp(2, (self.wiring.mac, self.wiring.address), (mac, address))
                self._socket.sendto(
                    frames.frame(mac, self.wiring.mac, None, answer, frames.ARP), self._machine)
            packet = frames.read(data)
            if packet:
                self._packets.append(packet)
            segment = frames.read_tcp(data)
            if segment:
                self._segments.append(segment)


class Stream:
    """Packets that a host sends repeatedly until `stop`. A context manager."""

    def __init__(self, wire: Wire, packets: Iterable[bytes]) -> None:
        self._wire = wire
        self._packets = tuple(packets)
        self._sent = 0
        self._open = True
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Stops the stream and returns the number of packets sent."""
        self._open = False
        self._sender.join()
        return self._sent

    def _send(self) -> None:
        while self._open:
            for packet in self._packets:
                self._wire.send(packet)
            self._sent += len(self._packets)
            time.sleep(STREAM_SECONDS)


@dataclass(frozen=True)
class Attempt:
    """One packet of a flow, identified by its port (or ICMP identifier)."""

    flow: Flow
    source: str
    target: str
    protocol: int
    port: int
    own_port: int

    def packet(self) -> bytes:
        """The packet that the source sends."""
        if self.protocol == frames.ICMP:
            return frames.echo_request(self.source, self.target, self.own_port)
        make = frames.tcp_syn if self.protocol == frames.TCP else frames.udp
        return make(self.source, self.target, self.own_port, self.port)

    def is_it(self, packet: Packet) -> bool:
        """Whether this is the packet, seen at the target."""
        ports = (8, self.own_port) if self.protocol == frames.ICMP else (self.own_port, self.port)
        return (packet.source, packet.target, packet.protocol, packet.ports) == (
            self.source, self.target, self.protocol, ports)

    def is_answer(self, packet: Packet) -> bool:
        """Whether this is the target's answer. A refusal counts as one: the packet did
        arrive."""
        if packet.about and self.is_it(packet.about):
            return packet.source == self.target
        ports = (0, self.own_port) if self.protocol == frames.ICMP else (self.port, self.own_port)
        return (packet.source, packet.target, packet.protocol, packet.ports) == (
            self.target, self.source, self.protocol, ports)

    def is_logged(self, log: str) -> bool:
        """Whether the packet is among those that a LOG rule wrote to the kernel's log."""
        ends = rf"SRC={re.escape(self.source)} DST={re.escape(self.target)} "
        key = (rf"PROTO=ICMP TYPE=8 CODE=0 ID={self.own_port}\b" if self.protocol == frames.ICMP
               else rf"SPT={self.own_port} DPT={self.port}\b")
        return re.search(rf"{ends}.*{key}", log) is not None


def attempts(flows: Iterable[Flow], wires: Mapping[str, Wire], addresses: Mapping[str, str],
             first_port: int = _FIRST_PORT) -> list[Attempt]:
    """The attempts of the flows that begin at a wire; `addresses` has the address of
    every host."""
    made = []
    for number, flow in enumerate(flow for flow in flows if flow.source in wires):
        wiring = wires[flow.source].wiring
        target = wiring.router if flow.target == "router" else addresses[flow.target]
        protocol, port = BEGINS[flow.service]
        made.append(Attempt(flow, wiring.address, target, protocol, port, first_port + number))
    return made


def try_all(tried: Iterable[Attempt], wires: Mapping[str, Wire], log: Callable[[], str],
            seconds: float = WAIT_SECONDS) -> dict[Flow, bool]:
    """Sends all attempts twice and returns which of them got through.

    A packet to a host without a wire is looked up in the router's kernel log, which
    `log` reads. The caller must add a LOG rule for packets that leave the router.
    """
    tried = list(tried)
    for _ in range(2):
        for attempt in tried:
            wires[attempt.flow.source].send(attempt.packet())
        time.sleep(seconds / 2)
    left = log()
    return {attempt.flow: _reached(attempt, wires, left) for attempt in tried}


def _reached(attempt: Attempt, wires: Mapping[str, Wire], log: str) -> bool:
    if attempt.flow.target == "router":
        return any(map(attempt.is_answer, wires[attempt.flow.source].packets))
    if attempt.flow.target in wires:
        return any(map(attempt.is_it, wires[attempt.flow.target].packets))
    return attempt.is_logged(log)
