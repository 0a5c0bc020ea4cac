"""Owns a packet as it is predicted and as it is on the wire. Knows no rules."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from lab.frames import ICMP, TCP, UDP, checksum

FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
TAG = struct.Struct("!8sI")
MAGIC = b"camfw-no"

# What conntrack takes for the first packet of a connection, PSH aside
# (tcp_valid_flags, tcp_conntracks in net/netfilter/nf_conntrack_proto_tcp.c;
# invert_map in nf_conntrack_proto_icmp.c).
OPENING_FLAGS = ({"SYN"}, {"SYN", "URG"}, {"ACK"}, {"ACK", "URG"})
OPENING_TYPES = (8, 13, 15, 17)


@dataclass(frozen=True)
class Connection:
    """What conntrack knows of a connection: each way's addresses and ports. For ICMP
    the identifier stands in the place of the one port, and there is no other."""

    protocol: int
    opener: str
    server: str
    opener_port: int
    server_port: int
    # Who answers, and to whom.
    answers: str
    answered: str
    answers_port: int
    answered_port: int

    @property
    def dnat(self) -> bool:
        """Whether it reaches somebody else than it was opened to."""
        return (self.server, self.server_port) != (self.answers, self.answers_port)

    @property
    def snat(self) -> bool:
        """Whether it reaches him in another's name."""
        return (self.opener, self.opener_port) != (self.answered, self.answered_port)

    def words(self, direction: str) -> list[str]:
        """As `camfw trace` takes it, of a packet that goes this way in it."""
        words = [
            "--ctdir", direction, "--ctorigsrc", self.opener, "--ctorigdst", self.server,
            "--ctreplsrc", self.answers, "--ctrepldst", self.answered,
        ]
        if self.protocol != ICMP:
            words += ["--ctorigsrcport", str(self.opener_port), "--ctreplsrcport", str(self.answers_port)]
        return words + ["--dnat"] * self.dnat + ["--snat"] * self.snat


@dataclass(frozen=True)
class Packet:
    """One packet. `out` is where it goes: an interface, or "router"."""

    number: int
    into: str
    out: str
    source: str
    destination: str
    protocol: int
    mac: str
    sport: int = 0
    dport: int = 0
    flags: frozenset[str] = frozenset()
    icmp: tuple[int, int] = (8, 0)
    fragment: bool = False
    state: str = ""
    quoted: bytes = b""
    # The connection that it belongs to, and which way it goes in it.
    of: Connection | None = None
    direction: str = "ORIGINAL"

    def line(self) -> str:
        """As `camfw trace --packets` takes it."""
        words = [
            "--from", self.into, "--src", self.source, "--dst", self.destination,
            "--proto", str(self.protocol), "--mac", self.mac, "--state", self.state or self.opening(),
        ]
        if self.out:
            words += ["--to", self.out]
        if self.protocol in (TCP, UDP):
            words += ["--sport", str(self.sport), "--dport", str(self.dport)]
        if self.protocol == TCP:
            words += ["--flags", ",".join(name for name in FLAGS if name in self.flags) or "NONE"]
        if self.protocol == ICMP:
            words += ["--icmp-type", f"{self.icmp[0]}/{self.icmp[1]}"]
        if self.fragment:
            words.append("--fragment")
        if self.of:
            words += self.of.words(self.direction)
        return " ".join(words)

    def opened(self, wire: bytes) -> Connection:
        """The connection that it opened, as it came out on a wire."""
        source, destination, *ports = ends(wire)
        of_ports = self.protocol != ICMP
        return Connection(
            protocol=self.protocol, opener=self.source, server=self.destination, opener_port=self.sport,
            server_port=self.dport if of_ports else 0, answers=destination, answered=source,
            answers_port=ports[1] if of_ports else 0, answered_port=ports[0],
        )

    def opening(self) -> str:
        """What conntrack takes it for if it belongs to no connection."""
        if self.protocol == TCP:
            return "NEW" if set(self.flags) - {"PSH"} in OPENING_FLAGS else "INVALID"
        if self.protocol == ICMP:
            return "NEW" if self.icmp[0] in OPENING_TYPES else "INVALID"
        return "NEW"

    def datagram(self) -> bytes:
        """From the IP header on."""
        payload = TAG.pack(MAGIC, self.number)
        ends = socket.inet_aton(self.source) + socket.inet_aton(self.destination)
        if self.fragment:
            body = payload
        elif self.protocol == TCP:
            bits = sum(1 << place for place, name in enumerate(FLAGS) if name in self.flags)
            head = struct.pack("!HHIIBBHHH", self.sport, self.dport, self.number, 0, 5 << 4, bits, 1024, 0, 0)
            pseudo = ends + struct.pack("!BBH", 0, TCP, len(head + payload))
            check = checksum(pseudo + head + payload)
            body = head[:16] + struct.pack("!H", check) + head[18:] + payload
        elif self.protocol == UDP:
            length = 8 + len(payload)
            head = struct.pack("!HHHH", self.sport, self.dport, length, 0)
            pseudo = ends + struct.pack("!BBH", 0, UDP, length)
            check = checksum(pseudo + head + payload) or 0xFFFF
            body = head[:6] + struct.pack("!H", check) + payload
        elif self.protocol == ICMP:
            # An identifier of its own makes it a connection of its own.
            head = struct.pack("!BBHHH", *self.icmp, 0, self.sport, 1)
            if self.quoted:
                head = struct.pack("!BBHI", *self.icmp, 0, 0)
            rest = self.quoted + payload
            body = head[:2] + struct.pack("!H", checksum(head + rest)) + head[4:] + rest
        else:
            # As ESP has it: an index that is not 0, and a number.
            body = struct.pack("!II", 256 + self.number, 1) + payload
        offset = 3 if self.fragment else 0
        head = struct.pack(
            "!BBHHHBBH8s", 0x45, 0, 20 + len(body), self.number & 0xFFFF, offset, 64, self.protocol, 0, ends
        )
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body

    def frame(self, router: bytes) -> bytes:
        """From the Ethernet header on, to the router's hardware address."""
        return router + bytes.fromhex(self.mac.replace(":", "")) + b"\x08\x00" + self.datagram()


def ends(datagram: bytes) -> tuple[str, str, int, int]:
    """Source, destination and ports; of an echo its identifier, and 0."""
    source, destination = socket.inet_ntoa(datagram[12:16]), socket.inet_ntoa(datagram[16:20])
    if datagram[9] == ICMP:
        return source, destination, struct.unpack("!H", datagram[24:26])[0], 0
    return source, destination, *struct.unpack("!HH", datagram[20:24])


def quote(datagram: bytes) -> bytes:
    """As much of it as is rewritten with its addresses: TCP's whole header."""
    return datagram[:40 if datagram[9] == TCP else 28]


def number_of(datagram: bytes) -> int | None:
    """The number of a packet that came as it was sent, but for its addresses;
    None if it is another, such as an answer that quotes it."""
    if len(datagram) < 20 + TAG.size or datagram[0] != 0x45:
        return None
    length = struct.unpack("!H", datagram[2:4])[0]
    magic, number = TAG.unpack(datagram[length - TAG.size:length])
    # Answers have an IP header with a number of their own.
    same = struct.unpack("!H", datagram[4:6])[0] == number & 0xFFFF
    return number if magic == MAGIC and same else None
