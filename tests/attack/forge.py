"""Owns packets as a hostile sender makes them: each field as it likes, IPv4 and IPv6.

Each carries the number of its shot as a marker, eight bytes that repeat, so that
a fragment, or an error that quotes it, tells which shot it is from. Sends nothing.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Sequence

from lab.frames import BROADCAST, ICMP, TCP, UDP, checksum, frame

__all__ = ["BROADCAST", "ICMP", "TCP", "UDP", "checksum", "frame"]

ICMPV6 = 58
IPV6 = b"\x86\xdd"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

_MAGIC = b"cfAT"
_MARKER = re.compile(re.escape(_MAGIC) + b"(.{4})", re.DOTALL)


def marker(number: int, times: int = 2) -> bytes:
    """The shot's number as a payload."""
    return (_MAGIC + struct.pack("!I", number)) * times


def numbers_in(data: bytes) -> set[int]:
    """The numbers of all shots of which something is in the data, at any depth."""
    return {struct.unpack("!I", found)[0] for found in _MARKER.findall(data)} if _MAGIC in data else set()


def is_ipv6(address: str) -> bool:
    """By how it is written."""
    return ":" in address


def packed(address: str) -> bytes:
    """The bytes of an IPv4 or IPv6 address."""
    return socket.inet_pton(socket.AF_INET6 if is_ipv6(address) else socket.AF_INET, address)


def ipv4(
    source: str, target: str, protocol: int, content: bytes, *, hops: int = 64, options: bytes = b"",
    identifier: int = 1, fragment: int = 0, length: int | None = None, words: int | None = None,
    version: int = 4, wrong_checksum: bool = False,
) -> bytes:
    """RFC 791. `fragment` is flags and offset, in the field's own layout; `length`
    and `words` are what the header claims of its packet and of itself."""
    options += b"\0" * (-len(options) % 4)
    claimed_words = 5 + len(options) // 4 if words is None else words
    claimed = 20 + len(options) + len(content) if length is None else length
    header = struct.pack(
        "!BBHHHBBH4s4s", (version << 4 | claimed_words) & 255, 0, claimed & 0xFFFF, identifier & 0xFFFF,
        fragment, hops, protocol, 0, packed(source), packed(target)) + options
    total = checksum(header) ^ (0x5555 if wrong_checksum else 0)
    return header[:10] + struct.pack("!H", total) + header[12:] + content


def ipv6(
    source: str, target: str, protocol: int, content: bytes, *, hops: int = 64, length: int | None = None,
    version: int = 6,
) -> bytes:
    """RFC 8200."""
    claimed = len(content) if length is None else length
    return struct.pack("!IHBB", version << 28, claimed & 0xFFFF, protocol, hops) + packed(source) + packed(
        target) + content


def ip(source: str, target: str, protocol: int, content: bytes, *, hops: int = 64) -> bytes:
    """Of the family of its addresses."""
    make = ipv6 if is_ipv6(source) else ipv4
    return make(source, target, protocol, content, hops=hops)


def tcp(
    source: str, target: str, sport: int, dport: int, flags: int, data: bytes, *, sequence: int = 1,
    acknowledged: int = 0,
) -> bytes:
    """A segment (RFC 9293) with the checksum that these addresses give it. Bit 8 of
    `flags` is the lowest of the reserved ones."""
    head = struct.pack("!HHIIBBHHH", sport, dport, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF,
                       5 << 4 | flags >> 8 & 1, flags & 255, 8192, 0, 0)
    return _summed(source, target, TCP, head + data, 16)


def udp(source: str, target: str, sport: int, dport: int, data: bytes) -> bytes:
    """A datagram (RFC 768)."""
    return _summed(source, target, UDP, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, 6)


def icmp(source: str, target: str, kind: int, code: int, rest: bytes, data: bytes) -> bytes:
    """A message of ICMP, or of ICMPv6, by the family; `rest` are its bytes 4 to 7."""
    message = struct.pack("!BBH4s", kind, code, 0, rest) + data
    if is_ipv6(source):
        return _summed(source, target, ICMPV6, message, 2)
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def icmp_protocol(address: str) -> int:
    """The protocol number of its family's ICMP."""
    return ICMPV6 if is_ipv6(address) else ICMP


def echo(source: str, target: str, identifier: int, data: bytes, *, reply: bool = False) -> bytes:
    """A whole packet with an echo request, or the answer to one."""
    kinds = (128, 129) if is_ipv6(source) else (8, 0)
    message = icmp(source, target, kinds[reply], 0, struct.pack("!HH", identifier, 1), data)
    return ip(source, target, icmp_protocol(source), message)


def transport(protocol: int, source: str, target: str, sport: int, dport: int, data: bytes) -> bytes:
    """A whole packet that opens something: a SYN, a datagram, an echo request (whose
    identifier is `sport`), or just the data, in any other protocol."""
    if protocol == TCP:
        return ip(source, target, TCP, tcp(source, target, sport, dport, SYN, data))
    if protocol == UDP:
        return ip(source, target, UDP, udp(source, target, sport, dport, data))
    if protocol in (ICMP, ICMPV6):
        return echo(source, target, sport, data)
    return ip(source, target, protocol, data)


def pieces(packet: bytes, cuts: Sequence[int], identifier: int) -> list[bytes]:
    """An IPv4 packet without options as fragments; each cut is a multiple of 8 in its content."""
    content, edges = packet[20:], [0, *cuts, len(packet) - 20]
    made = []
    for start, end in zip(edges, edges[1:]):
        more = 0x2000 if end < len(content) else 0
        made.append(ipv4(socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), packet[9],
                         content[start:end], identifier=identifier, fragment=more | start // 8))
    return made


def fragment6(packet: bytes, offset: int, more: bool, content: bytes, identifier: int, following: int | None = None) -> bytes:
    """An IPv6 fragment of a packet: its addresses, a fragment header (RFC 8200, 4.5), these bytes."""
    header = struct.pack("!BBHI", packet[6] if following is None else following, 0, offset | more, identifier)
    source, target = socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40])
    return ipv6(source, target, 44, header + content)


def pieces6(packet: bytes, cuts: Sequence[int], identifier: int) -> list[bytes]:
    """An IPv6 packet as fragments, as `pieces`."""
    content, edges = packet[40:], [0, *cuts, len(packet) - 40]
    return [fragment6(packet, start, end < len(content), content[start:end], identifier)
            for start, end in zip(edges, edges[1:])]


def fragments(packet: bytes, cuts: Sequence[int], identifier: int) -> list[bytes]:
    """`pieces` or `pieces6`, by the packet's family."""
    return (pieces6 if packet[0] >> 4 == 6 else pieces)(packet, cuts, identifier)


def _summed(source: str, target: str, protocol: int, content: bytes, place: int) -> bytes:
    length = struct.pack("!I", len(content))
    pseudo = packed(source) + packed(target) + length + struct.pack("!I", protocol)
    total = checksum(pseudo + content) or 0xFFFF
    return content[:place] + struct.pack("!H", total) + content[place + 2:]
