"""Owns what is not as it should be: fragments, options, extension headers, tunnels,
tags, lengths. Most of it a kernel drops; what it does not, the rules have to."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attack import forge
from attack.forge import BROADCAST, ICMP, ICMPV6, SYN, TCP, UDP
from attack.shots import Shot, Side, drawn
from lab import frames

_FORMS = ("two", "reversed", "tiny", "overlap behind", "overlap before", "lone first", "lone later", "lone last", "twice",
          "too long", "many", "header overwritten", "other protocol later")


def fragments(side: Side) -> Iterator[Shot]:
    """In order and out of it, tiny, overlapping (RFC 1858, RFC 5722), alone, too long."""
    kinds = [(forge.icmp_protocol(side.own), 0), *side.ports]
    for form, source, target, (protocol, port) in drawn(
            side.rng, _FORMS, [side.own] * 3 + side.sources[1:8], side.targets[:12], kinds):
        number, sport = side.stage.number(), side.rng.randrange(1024, 65536)
        data = forge.marker(number, 12)
        packet = forge.transport(protocol, source, target, sport, port, data)
        note = f"{form}: {source} > {target} {protocol}/{port}"
        if form in ("two", "reversed", "twice"):
            sent = forge.fragments(packet, (40,), number)
            order = {"two": sent, "reversed": sent[::-1], "twice": [sent[0], sent[0], sent[1]]}[form]
            yield side.shot(note, number, *order, whole=packet)
        elif form == "tiny":
            yield side.shot(note, number, *forge.fragments(packet, (8,), number), whole=packet)
        elif form == "many":
            cuts = range(8, len(packet) - (40 if side.six else 20), 8)
            yield side.shot(note, number, *forge.fragments(packet, cuts, number), whole=packet)
        elif form == "lone first":
            yield side.shot(note, number, forge.fragments(packet, (40,), number)[0], judged=False)
        elif form in ("lone later", "lone last"):
            alone = forge.fragments(packet, (40, 64), number)[1 if form == "lone later" else 2]
            yield side.shot(note, number, alone, judged=False)
        elif form == "header overwritten":
            # The second comes over the ports of the first: to another port than was looked at.
            hidden = forge.transport(protocol, source, target, sport, 23, data)
            start = 40 if side.six else 20
            sent = [_piece(side, packet, 0, True, packet[start:start + 40], number),
                    _piece(side, packet, 0, True, hidden[start:start + 24], number),
                    _piece(side, packet, 40, False, packet[start + 40:], number)]
            yield side.shot(note, number, *sent, whole=packet)
        elif form == "other protocol later" and side.six:
            first, last = forge.pieces6(packet, (40,), number)
            yield side.shot(note, number, first, last[:40] + b"\x11" + last[41:], whole=packet)
        elif form == "too long":
            last = forge.fragments(packet, (40,), number)[1]
            offset = 0x1FFF if not side.six else 0xFFF8
            far = (last[:6] + struct.pack("!H", offset) + last[8:] if not side.six
                   else last[:42] + struct.pack("!H", offset) + last[44:])
            yield side.shot(note, number, forge.fragments(packet, (40,), number)[0], _rechecked(far), judged=False)
        else:
            start = 40 if side.six else 20
            content = packet[start:]
            second, behind = (32, content[32:]) if form == "overlap behind" else (16, b"\xff" * 32 + content[48:])
            sent = [_piece(side, packet, 0, True, content[:40], number), _piece(side, packet, second, False, behind, number)]
            yield side.shot(note, number, *sent, whole=packet)


def atomic(side: Side) -> Iterator[Shot]:
    """Fragments that are whole (RFC 6946), and with the flag that none be made."""
    kinds = [(forge.icmp_protocol(side.own), 0), *side.ports]
    for target, (protocol, port) in drawn(side.rng, side.targets, kinds):
        number = side.stage.number()
        packet = forge.transport(protocol, side.own, target, 40003, port, forge.marker(number))
        if side.six:
            yield side.shot(f"atomic > {target} {protocol}/{port}", number,
                            forge.fragment6(packet, 0, False, packet[40:], number), whole=packet)
        else:
            flagged = packet[:6] + struct.pack("!H", side.rng.choice((0x4000, 0x8000, 0xC000))) + packet[8:]
            yield side.shot(f"flagged > {target} {protocol}/{port}", number, _rechecked(flagged), whole=packet)


def options(side: Side) -> Iterator[Shot]:
    """IPv4 options, source routes past the filter among them."""
    if side.six:
        return
    kinds = ("loose", "strict", "record", "time", "alert", "long", "bad", "none")
    for target, through, kind, (protocol, port) in drawn(
            side.rng, side.targets[:10], [*side.victims, *side.routers], kinds, [(ICMP, 0), *side.ports]):
        number = side.stage.number()
        address = forge.packed(through)
        option = {
            "loose": b"\x83\x07\x04" + address, "strict": b"\x89\x07\x04" + address, "record": b"\x07\x0b\x04" + bytes(8),
            "time": b"\x44\x0c\x05\x01" + bytes(8), "alert": b"\x94\x04\0\0", "long": b"\x83\x27\x04" + address * 9,
            "bad": b"\x83\x50\x04" + address, "none": b"\x01\x01\x01\x00",
        }[kind]
        packet = forge.transport(protocol, side.own, target, 40004, port, forge.marker(number))
        yield side.shot(f"option {kind} through {through} > {target} {protocol}/{port}", number,
                        forge.ipv4(side.own, target, protocol, packet[20:], options=option[:40]))


def extension_headers(side: Side) -> Iterator[Shot]:
    """Of IPv6: alone, repeated, in any order, with routing headers that lead elsewhere (RFC 5095)."""
    if not side.six:
        return
    headers = ("hop-by-hop", "options", "routing 0", "routing 2", "routing 3", "routing 4", "fragment",
               "authentication", "none", "mobility", "hip", "shim", "jumbo", "home address", "alert")
    ways = [*side.victims, *side.routers][:6]
    for first, second, target, through, (protocol, port) in drawn(
            side.rng, headers, ("", "", *headers), side.targets[:10], ways, [(ICMPV6, 0), *side.ports]):
        number = side.stage.number()
        inner = forge.transport(protocol, side.own, target, 40005, port, forge.marker(number))
        content, following = inner[40:], protocol
        for name in filter(None, (second, first)):
            own, header = _extension(name, following, through, side.own)
            content, following = header + content, own
        # What no kernel looks through is another protocol; a home address is another source.
        opaque = {"none", "mobility", "hip", "shim", "jumbo"} & {first, second}
        yield side.shot(f"{first} {second} through {through} > {target} {protocol}/{port}", number,
                        forge.ipv6(side.own, target, following, content), judged=not opaque)


def tunnels(side: Side) -> Iterator[Shot]:
    """Packets within packets: what they would do if somebody took them out."""
    kinds = [(forge.icmp_protocol(side.own), 0), *side.ports]
    forms = ("ip", "gre", "gre key", "6in4", "4in6", "teredo", "vxlan", "geneve", "gtp", "l2tp", "udp encap",
             "ipcomp", "etherip", "mpls", "erspan", "wireguard")
    for form, target, inner_target, inner_source, (protocol, port) in drawn(
            side.rng, forms, side.targets[:8], [*side.victims, *side.routers], side.sources[:10], kinds):
        number = side.stage.number()
        inner = forge.transport(protocol, inner_source, inner_target, 40006, port, forge.marker(number))
        own, content = _tunnelled(form, inner, side, target)
        yield side.shot(f"{form} > {target} holding {inner_source} > {inner_target} {protocol}/{port}", number,
                        forge.ip(side.own, target, own, content))


def tagged(side: Side) -> Iterator[Shot]:
    """VLAN tags, several of them, and other Ethernet types around a packet that would be allowed or not."""
    kinds = [(forge.icmp_protocol(side.own), 0), *side.ports]
    for form, vlan, target, (protocol, port) in drawn(
            side.rng, ("802.1Q", "802.1ad", "QinQ", "QinQ in 0", "pppoe", "mpls", "llc", "loopback", "macsec", "batman"),
            (0, 0, 0, 0, 1, 2, 20, 100, 4094, 4095), [*side.routers, *side.victims], kinds):
        number = side.stage.number()
        packet = forge.transport(protocol, side.own, target, 40007, port, forge.marker(number))
        kind = forge.IPV6 if side.six else frames.IPV4
        tag = struct.pack("!H", vlan | side.rng.choice((0, 0x2000)))
        shape = {
            "802.1Q": b"\x81\x00" + tag + kind, "802.1ad": b"\x88\xa8" + tag + kind,
            "QinQ": b"\x88\xa8" + tag + b"\x81\x00" + struct.pack("!H", side.rng.choice((0, 1, 20))) + kind,
            "QinQ in 0": b"\x81\x00\0\0\x81\x00" + tag + kind,
            "pppoe": b"\x88\x64\x11\0\0\1" + struct.pack("!HH", len(packet) + 2, 0x0057 if side.six else 0x0021),
            "mpls": b"\x88\x47\0\0\x11\x40", "llc": struct.pack("!H", len(packet) + 8) + b"\xaa\xaa\3\0\0\0" + kind,
            "loopback": b"\x90\0\0\0\1\0", "macsec": b"\x88\xe5\0\0\0\0\0\1", "batman": b"\x43\x05\x40\x0f",
        }[form]
        to = BROADCAST if side.rng.random() < 0.2 else side.router_mac
        data = frames.address(to) + frames.address(side.mac) + shape + packet
        yield Shot(number, f"{form} {vlan} > {target} {protocol}/{port}", (data,), data)


def lengths(side: Side) -> Iterator[Shot]:
    """Headers that lie about lengths, versions and checksums; frames too short and too long."""
    kinds = [(forge.icmp_protocol(side.own), 0), *side.ports]
    told_right = ("hops 0", "hops 1", "mtu", "padding", "udp length", "checksum", "huge", "tcp offset", "total short",
                  "total long")
    forms = (*told_right, "total 0", "words 4", "words 15", "version", "cut", "empty")
    if side.six:
        # Whose header is always as long.
        forms = tuple(form for form in forms if not form.startswith("words"))
    for form, target, (protocol, port) in drawn(side.rng, forms, side.targets[:10], kinds):
        number = side.stage.number()
        data = forge.marker(number, {"huge": 1100, "mtu": 178}.get(form, 4))
        packet = forge.transport(protocol, side.own, target, 40008, port, data)
        head = 40 if side.six else 20
        content = packet[head:]
        make = forge.ipv6 if side.six else forge.ipv4
        words = {} if side.six else {"words": {"words 4": 4, "words 15": 15}.get(form, 5)}
        length = {"total short": head // 40 * 40 + 24, "total long": len(packet) + 200, "total 0": 0}.get(form)
        made = make(side.own, target, protocol, content, hops={"hops 0": 0, "hops 1": 1}.get(form, 64), length=length,
                    version=side.rng.choice((0, 5, 15)) if form == "version" else (6 if side.six else 4), **words)
        judged = form in told_right
        if form == "checksum" and not side.six:
            made = forge.ipv4(side.own, target, protocol, content, wrong_checksum=True)
        elif form == "udp length":
            made = made[:head + 4] + struct.pack("!H", side.rng.choice((0, 7, 9, 65535))) + made[head + 6:]
        elif form == "tcp offset":
            made = made[:head + 12] + bytes((side.rng.choice((0, 0x40, 0xF0)),)) + made[head + 13:]
        elif form == "padding":
            made = make(side.own, target, protocol, content[:8]) + data
        elif form == "empty":
            made = make(side.own, target, protocol, b"") + data
        frame = side.frame(made)
        if form == "cut":
            frame = side.frame(packet)[:14 + side.rng.randrange(0, head + 8)]
        if form == "version":
            kind = forge.IPV6 if side.six else frames.IPV4
            frame = forge.frame(side.router_mac, side.mac, None, made, kind)
        yield Shot(number, f"{form} > {target} {protocol}/{port}", (frame,), frame if judged else None)


def neighbours(side: Side) -> Iterator[Shot]:
    """ARP and neighbour discovery that lie about who is where: outside of the promise, recorded."""
    if side.six:
        others = [*side.neighbours, *side.victims, "fd00:77::7"]
        for claimed, target, kind in drawn(side.rng, others, [*side.routers, "ff02::1"], (135, 136)):
            number = side.stage.number()
            option, rest = (2, b"\x20\0\0\0") if kind == 136 else (1, bytes(4))
            body = forge.packed(claimed) + bytes((option, 1)) + frames.address("02:00:00:00:09:0b")
            message = forge.icmp(claimed, target, kind, 0, rest, body + forge.marker(number))
            packet = forge.ipv6(claimed, target, ICMPV6, message, hops=255)
            yield side.shot(f"{kind} of {claimed} > {target}", number, packet, recorded_only=True)
        return
    odd = ("192.168.77.7", "10.9.8.7", "127.0.0.1")
    for claimed, operation, to in drawn(side.rng, odd, (1, 2, 3, 8), (side.router_mac, BROADCAST)):
        number = side.stage.number()
        said = frames.arp(operation, ("02:00:00:00:09:0b", claimed), (side.router_mac, side.routers[0]))
        data = forge.frame(to, side.mac, None, said + forge.marker(number), frames.ARP)
        yield Shot(number, f"ARP {operation} of {claimed}", (data,), data, recorded_only=True)


def _piece(side: Side, packet: bytes, offset: int, more: bool, content: bytes, identifier: int) -> bytes:
    if side.six:
        return forge.fragment6(packet, offset, more, content, identifier)
    place = (0x2000 if more else 0) | offset // 8
    changed = struct.pack("!HHH", 20 + len(content), identifier & 0xFFFF, place)
    return _rechecked(packet[:2] + changed + packet[8:20] + content)


def _rechecked(packet: bytes) -> bytes:
    """With the checksum that its IPv4 header has now; of IPv6 as it is."""
    if packet[0] >> 4 == 6:
        return packet
    header = packet[:10] + b"\0\0" + packet[12:20]
    return header[:10] + struct.pack("!H", forge.checksum(header)) + header[12:] + packet[20:]


def _extension(name: str, following: int, through: str, source: str) -> tuple[int, bytes]:
    """The number of an extension header, and its bytes."""
    padding = b"\x01\x04\0\0\0\0"
    if name == "fragment":
        return 44, struct.pack("!BBHI", following, 0, 0, 77)
    if name == "authentication":
        return 51, struct.pack("!BBHIII", following, 4, 0, 256, 1, 0) + bytes(8)
    if name.startswith("routing"):
        kind = int(name[-1])
        return 43, bytes((following, 2, kind, 1)) + bytes(4) + forge.packed(through)
    numbers = {"hop-by-hop": 0, "alert": 0, "jumbo": 0, "options": 60, "none": 59, "mobility": 135, "hip": 139, "shim": 140}
    if name == "alert":
        padding = b"\x05\x02\0\0\x01\0"
    elif name == "jumbo":
        padding = b"\xc2\x04\0\1\0\0"
    elif name == "home address":
        return 60, bytes((following, 2)) + b"\x01\x02\0\0" + b"\xc9\x10" + forge.packed(through)
    return numbers[name], bytes((following, 0)) + padding


def _tunnelled(form: str, inner: bytes, side: Side, target: str) -> tuple[int, bytes]:
    """The protocol that carries it, and that protocol's header with the packet behind it."""
    kind = forge.IPV6 if inner[0] >> 4 == 6 else frames.IPV4
    ethernet = forge.frame(side.router_mac, side.mac, None, inner, kind)
    in_udp = {
        "teredo": (3544, inner), "vxlan": (4789, b"\x08\0\0\0\0\0\1\0" + ethernet),
        "geneve": (6081, b"\0\0\x65\x58\0\0\1\0" + ethernet),
        "gtp": (2152, b"\x30\xff" + struct.pack("!HI", len(inner), 1) + inner), "l2tp": (1701, b"\0\x02\0\1\0\1" + inner),
        "udp encap": (4500, struct.pack("!II", 256, 1) + inner), "wireguard": (51820, b"\4\0\0\0" + bytes(12) + inner),
    }
    if form in in_udp:
        port, data = in_udp[form]
        return UDP, forge.udp(side.own, target, port, port, data)
    return {
        "ip": (41 if kind == forge.IPV6 else 4, inner), "6in4": (41, inner), "4in6": (4, inner),
        "gre": (47, b"\0\0" + kind + inner), "gre key": (47, b"\x20\0" + kind + b"\0\0\0\1" + inner),
        "ipcomp": (108, bytes((TCP, 0, 0, 2)) + inner), "etherip": (97, b"\x30\0" + ethernet),
        "mpls": (137, b"\0\0\x11\x40" + inner),
        "erspan": (47, b"\x10\0\x88\xbe\0\0\0\1" + bytes(8) + ethernet),
    }[form]
