"""Owns how the oracle reads a frame that was sent, once its fragments are together.

As the kernel finds it: through IPv6's extension headers, and with the packet that
an ICMP error quotes. Judges nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from attack.forge import ICMP, ICMPV6, TCP, UDP

Address = IPv4Address | IPv6Address

# Loose and strict source route (RFC 791), which no router here follows.
_SOURCE_ROUTES = (131, 137)
# What the kernel skips (ipv6_ext_hdr in net/ipv6/exthdrs_core.c), but the fragment
# header, whose packets come here whole.
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS = 0, 43, 44, 51, 60
_ERRORS4 = (3, 4, 5, 11, 12)
_ERRORS6 = (1, 2, 3, 4)


@dataclass(frozen=True)
class Packet:
    """An IP packet. `ports` are source and destination; an echo's are its identifier, twice."""

    source: Address
    target: Address
    protocol: int
    ports: tuple[int, int] = (0, 0)
    flags: int = 0
    icmp: tuple[int, int] | None = None
    hops: int = 64
    source_routed: bool = False
    # A fragment that is not the first, of which nothing further is known.
    later_fragment: bool = False
    quoted: Packet | None = None

    @property
    def is_echo(self) -> bool:
        return self.icmp is not None and self.icmp[0] in ((8, 0) if self.protocol == ICMP else (128, 129))

    @property
    def is_error(self) -> bool:
        """A message about a packet that it quotes, redirects aside."""
        return self.icmp is not None and self.icmp[0] in (_ERRORS4 if self.protocol == ICMP else _ERRORS6)


@dataclass(frozen=True)
class Frame:
    """`packet` is None where there is none that a router would look at."""

    target: str
    source: str
    packet: Packet | None


def read_frame(data: bytes) -> Frame:
    """A frame from its destination on. A tag with VLAN 0 is none but a priority (802.1Q)."""
    target, source, rest = data[:6].hex(":"), data[6:12].hex(":"), data[12:]
    while len(rest) >= 4 and rest[:2] in (b"\x81\x00", b"\x88\xa8") and struct.unpack("!H", rest[2:4])[0] & 0xFFF == 0:
        rest = rest[4:]
    versions = {b"\x08\x00": 4, b"\x86\xdd": 6}
    packet = read_packet(rest[2:]) if rest[:2] in versions and rest[2:3] and rest[2] >> 4 == versions[rest[:2]] else None
    return Frame(target, source, packet)


def read_packet(data: bytes) -> Packet | None:
    """An IP packet, or the first bytes of one; None for what is none."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        return _read_ipv4(data)
    if len(data) >= 40 and data[0] >> 4 == 6:
        return _read_ipv6(data)
    return None


def _read_ipv4(data: bytes) -> Packet | None:
    header = (data[0] & 15) * 4
    if header < 20 or len(data) < header:
        return None
    source, target = ip_address(data[12:16]), ip_address(data[16:20])
    routed, options = False, data[20:header]
    while options and options[0] != 0:
        routed |= options[0] in _SOURCE_ROUTES
        step = 1 if options[0] == 1 or len(options) < 2 else max(options[1], 2)
        options = options[step:]
    fragment = struct.unpack("!H", data[6:8])[0]
    return _read_content(
        data[header:], source, target, data[9], data[8], routed, later=fragment & 0x1FFF != 0)


def _read_ipv6(data: bytes) -> Packet | None:
    source, target = ip_address(data[8:24]), ip_address(data[24:40])
    protocol, content, routed = data[6], data[40:], False
    while protocol in (_HOP_BY_HOP, _ROUTING, _AUTHENTICATION, _OPTIONS, _FRAGMENT):
        if len(content) < 8:
            return None
        if protocol == _FRAGMENT:
            length = 8
            if struct.unpack("!H", content[2:4])[0] & 0xFFF8:
                return Packet(source, target, content[0], later_fragment=True)
        else:
            length = (content[1] + 2) * 4 if protocol == _AUTHENTICATION else (content[1] + 1) * 8
        routed |= protocol == _ROUTING
        protocol, content = content[0], content[length:]
    return _read_content(content, source, target, protocol, data[7], routed, later=False)


def _read_content(
    content: bytes, source: Address, target: Address, protocol: int, hops: int, routed: bool, *, later: bool
) -> Packet:
    if later:
        return Packet(source, target, protocol, hops=hops, source_routed=routed, later_fragment=True)
    if protocol in (TCP, UDP) and len(content) >= 4:
        flags = content[13] if protocol == TCP and len(content) >= 14 else 0
        return Packet(source, target, protocol, struct.unpack("!HH", content[:4]), flags,
                      hops=hops, source_routed=routed)
    own = ICMP if isinstance(source, IPv4Address) else ICMPV6
    if protocol == own and len(content) >= 8:
        identifier = struct.unpack("!H", content[4:6])[0]
        found = Packet(source, target, protocol, icmp=(content[0], content[1]), hops=hops, source_routed=routed)
        if found.is_echo:
            return Packet(source, target, protocol, (identifier, identifier), icmp=found.icmp, hops=hops,
                          source_routed=routed)
        if found.is_error:
            return Packet(source, target, protocol, icmp=found.icmp, hops=hops, source_routed=routed,
                          quoted=read_packet(content[8:]))
        return found
    return Packet(source, target, protocol, hops=hops, source_routed=routed)
