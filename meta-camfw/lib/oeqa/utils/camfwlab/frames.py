"""Owns Ethernet frames that are built and parsed by hand, for what no kernel here sends
or reports.

Checks only what distinguishes one packet from another.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from .facts import ICMP, TCP, UDP

IPV4 = b"\x08\x00"
ARP = b"\x08\x06"
BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass(frozen=True)
class Packet:
    """An IPv4 packet received in a frame. `ports` are source and destination; for ICMP,
    the type and the identifier of the message."""

    source: str
    target: str
    protocol: int
    ports: tuple[int, int]
    # The source of the packet that an ICMP error reports on.
    about: Packet | None = None


@dataclass(frozen=True)
class Segment:
    """A TCP segment received in a frame."""

    source: str
    target: str
    ports: tuple[int, int]
    flags: int
    sequence: int
    acknowledged: int
    data: bytes


def address(text: str) -> bytes:
    """The six bytes of a hardware address."""
    return bytes.fromhex(text.replace(":", ""))


def frame(to: str, sender: str, vlan: int | None, packet: bytes, kind: bytes = IPV4) -> bytes:
    """An Ethernet frame, tagged or not."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return address(to) + address(sender) + tag + kind + packet


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str]) -> bytes:
    """An ARP packet (RFC 826) between two pairs of hardware and IPv4 addresses;
    operation 1 is a request, 2 a reply."""
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + b"".join(
        address(mac) + socket.inet_aton(ip) for mac, ip in (sender, target))


def echo_request(source: str, target: str, identifier: int = 0x6361) -> bytes:
    """An IPv4 packet with an ICMP echo request (RFC 791, RFC 792)."""
    icmp = struct.pack("!BBHHH", 8, 0, 0, identifier, 1) + b"camfw" * 4
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    return _ipv4(source, target, ICMP, icmp)


def tcp_syn(source: str, target: str, source_port: int, port: int) -> bytes:
    """An IPv4 packet with a TCP SYN (RFC 793)."""
    return tcp(source, target, (source_port, port), 0x02, 1, 0)


def tcp(
    source: str, target: str, ports: tuple[int, int], flags: int, sequence: int, acknowledged: int,
    options: bytes = b"", data: bytes = b"",
) -> bytes:
    """An IPv4 packet with a TCP segment (RFC 793); the length of the options is a multiple of four."""
    words = 5 + len(options) // 4
    header = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledged, words << 4, flags, 1024, 0, 0)
    segment = header + options + data
    segment = segment[:16] + struct.pack("!H", _transport_checksum(source, target, TCP, segment)) + segment[18:]
    return _ipv4(source, target, TCP, segment)


def udp(source: str, target: str, source_port: int, port: int, data: bytes = b"camfw") -> bytes:
    """An IPv4 packet with a UDP datagram (RFC 768)."""
    datagram = struct.pack("!HHHH", source_port, port, 8 + len(data), 0) + data
    total = _transport_checksum(source, target, UDP, datagram)
    return _ipv4(source, target, UDP, datagram[:6] + struct.pack("!H", total) + datagram[8:])


def read(data: bytes) -> Packet | None:
    """The IPv4 packet of an untagged frame; None for any other frame."""
    return _read_ipv4(data[14:]) if data[12:14] == IPV4 else None


def read_tcp(data: bytes) -> Segment | None:
    """The TCP segment of an untagged frame; None for any other frame."""
    packet = data[14:]
    if data[12:14] != IPV4 or len(packet) < 40 or packet[9] != TCP:
        return None
    # A short frame is padded: the header says where the packet ends.
    segment = packet[(packet[0] & 15) * 4:struct.unpack("!H", packet[2:4])[0]]
    if len(segment) < 20:
        return None
    source_port, port, sequence, acknowledged, words, flags = struct.unpack("!HHIIBB", segment[:14])
    return Segment(socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), (source_port, port),
                   flags, sequence, acknowledged, segment[(words >> 4) * 4:])


def asked(data: bytes) -> tuple[str, str, str] | None:
    """The addresses of an ARP request: the sender's hardware and IPv4 address, and the
    IPv4 address asked for."""
    if data[12:14] != ARP or data[20:22] != b"\x00\x01":
        return None
    return data[22:28].hex(":"), socket.inet_ntoa(data[28:32]), socket.inet_ntoa(data[38:42])


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ipv4(source: str, target: str, protocol: int, content: bytes) -> bytes:
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(content), 1, 0, 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(target),
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + content


def _transport_checksum(source: str, target: str, protocol: int, content: bytes) -> int:
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", protocol, len(content))
    return checksum(pseudo + content)


def _read_ipv4(packet: bytes) -> Packet | None:
    if len(packet) < 28:
        return None
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    protocol = packet[9]
    content = packet[(packet[0] & 15) * 4:]
    if protocol != ICMP:
        return Packet(source, target, protocol, struct.unpack("!HH", content[:4]))
    # Type 3, destination unreachable, with the packet that it reports on.
    about = _read_ipv4(content[8:]) if content[0] == 3 else None
    return Packet(source, target, protocol, (content[0], struct.unpack("!H", content[4:6])[0]), about)
