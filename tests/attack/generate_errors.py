"""Owns ICMP errors and redirects that quote connections which exist, and the wrapped forms of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from attack import forge
from attack.forge import ACK, ICMP, ICMPV6, TCP, UDP
from attack.oracle import Connection
from attack.shots import Shot, Side, drawn

# Unreachable (net, host, protocol, port, fragmentation needed, prohibited), source quench,
# redirect, time exceeded, parameter problem, traceroute's two obsolete ones.
_KINDS4 = ((3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 13), (4, 0), (5, 1), (5, 0), (11, 0), (11, 1), (12, 0), (30, 0), (3, 15))
# Unreachable, packet too big, time exceeded, parameter problem, redirect, and what is private (RFC 4443).
_KINDS6 = ((1, 0), (1, 1), (1, 3), (1, 4), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (137, 0), (100, 0), (127, 0))
_MORE_BYTES = 1200


def kinds(side: Side) -> Sequence[tuple[int, int]]:
    """Types and codes of its family."""
    return _KINDS6 if side.six else _KINDS4


def quotes(side: Side) -> list[tuple[Connection, bytes, str, str]]:
    """Each connection's packets in each direction, as each wire sees them: what is quoted,
    who sent it, and to whom. Nothing of the marker is in it."""
    found = []
    for connection in side.connections:
        opener = next(iter(connection.views))
        for wire, view in connection.views.items():
            for (source, sport), (target, port), sent_here in (
                    (view.local, view.remote, True), (view.remote, view.local, False)):
                by_opener = sent_here == (wire == opener)
                quoted = _quoted(connection, str(source), str(target), sport, port, by_opener)
                found.append((connection, quoted, str(source), str(target)))
    return found


def errors(side: Side) -> Iterator[Shot]:
    """From every source, to who would have to be told and to others, with up to 1,200 bytes of its own."""
    to_everybody = [None] * 6 + [*side.victims, *side.routers]
    from_everybody = [None] * 2 + [*side.sources[:12], "203.0.113.250" if not side.six else "2001:db8::250"]
    for (kind, code), (connection, quoted, told, about), target, source, long in drawn(
            side.rng, kinds(side), quotes(side), to_everybody, from_everybody, (False, False, True)):
        number = side.stage.number()
        # By default who could not be reached says so itself, to who tried.
        source, target = source or about, target or told
        data = quoted + forge.marker(number, _MORE_BYTES // 8 if long else 2)
        rest = struct.pack("!I", 1400) if (kind, code) in ((3, 4), (2, 0)) and not long else bytes(4)
        message = forge.icmp(source, target, kind, code, rest, data)
        packet = forge.ip(source, target, forge.icmp_protocol(source), message)
        yield side.shot(f"type {kind}/{code} about {connection.name} ({told} > {about}), {source} > {target}", number, packet)


def wrapped_errors(side: Side) -> Iterator[Shot]:
    """The same in fragments, with options, about fragments and about errors."""
    forms = ("fragments", "options", "of an error", "of a fragment", "cut", "extended")
    for (kind, code), (connection, quoted, told, about), form in drawn(side.rng, kinds(side), quotes(side), forms):
        number = side.stage.number()
        source = side.own if side.rng.random() < 0.5 else about
        note = f"type {kind}/{code} {form} about {connection.name}, {source} > {told}"
        protocol = forge.icmp_protocol(source)
        inner = quoted
        if form == "of an error":
            inner = forge.ip(told, about, protocol, forge.icmp(told, about, kind, code, bytes(4), quoted))
        elif form == "of a fragment" and not side.six:
            inner = quoted[:6] + struct.pack("!H", 0x2000 | side.rng.choice((0, 1, 50))) + quoted[8:]
        elif form == "cut":
            inner = quoted[:(40 if side.six else 20) + side.rng.choice((0, 2, 4, 7))]
        data = inner + forge.marker(number, 10)
        if form == "extended":
            # An extension object behind 128 bytes of quotation (RFC 4884).
            data = inner.ljust(128, b"\0") + b"\x20\0\0\0" + struct.pack("!HBB", 52, 1, 1) + forge.marker(number, 6)
        message = forge.icmp(source, told, kind, code, bytes((0, 32, 0, 0)) if form == "extended" else bytes(4), data)
        packet = forge.ip(source, told, protocol, message)
        if form == "fragments":
            sent = forge.fragments(packet, (side.rng.choice((8, 16, 24, 40)),), number)
            yield side.shot(note, number, *sent, whole=packet)
        elif form == "options" and not side.six:
            routed = forge.ipv4(source, told, protocol, message, options=b"\x94\x04\0\0")
            yield side.shot(note, number, routed)
        elif form == "options":
            header = bytes((protocol, 0, 1, 4, 0, 0, 0, 0))
            yield side.shot(note, number, forge.ipv6(source, told, 60, header + message))
        else:
            yield side.shot(note, number, packet)


def redirects(side: Side) -> Iterator[Shot]:
    """To another router, to the router and to hosts, about nothing and about connections."""
    if side.six:
        for source, target, hops in drawn(side.rng, side.sources, [*side.routers, *side.victims, "ff02::1"], (64, 255)):
            number = side.stage.number()
            body = ip_address(side.victims[0] if side.victims else "fd00::9").packed + ip_address("2620:fe::fe").packed
            message = forge.icmp(source, target, 137, 0, bytes(4), body + b"\x04\x02" + bytes(6) + forge.marker(number))
            yield side.shot(f"redirect {source} > {target}", number, forge.ip(source, target, ICMPV6, message, hops=hops))
        return
    for source, target, gateway, code in drawn(
            side.rng, side.sources, [*side.routers, *side.victims], (side.own, "8.8.8.8"), range(4)):
        number = side.stage.number()
        about = forge.transport(UDP, target, "9.9.9.9", 53, 53, b"")
        message = forge.icmp(source, target, 5, code, ip_address(gateway).packed, about + forge.marker(number))
        yield side.shot(f"redirect {source} > {target} to {gateway}", number, forge.ip(source, target, ICMP, message))


def _quoted(connection: Connection, source: str, target: str, sport: int, port: int, by_opener: bool) -> bytes:
    """A packet of the connection, as far as its transport header."""
    if connection.protocol == TCP:
        return forge.ip(source, target, TCP, forge.tcp(source, target, sport, port, ACK, b"", sequence=5, acknowledged=5))
    if connection.protocol == UDP:
        return forge.transport(UDP, source, target, sport, port, b"")
    return forge.echo(source, target, sport, b"", reply=not by_opener)
