"""Owns the hostile packets that are whole: addresses, ports, protocols, flags, and
what goes with the zone's own protocols."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attack import forge
from attack.forge import ACK, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP
from attack.shots import Shot, Side, drawn


def addresses(side: Side) -> Iterator[Shot]:
    """Each class of source to each class of destination."""
    kinds = [(forge.icmp_protocol(side.own), 0), *side.ports]
    for source, target, (protocol, port) in drawn(side.rng, side.sources, side.targets, kinds):
        number, sport = side.stage.number(), side.rng.randrange(1024, 65536)
        packet = forge.transport(protocol, source, target, sport, port, forge.marker(number))
        yield side.shot(f"{source} > {target} {protocol}/{port}", number, packet)


def ports_of_answers(side: Side) -> Iterator[Shot]:
    """From its own address, from ports that answers come from."""
    sports = (20, 53, 67, 123, 443, 554, 40000)
    for sport, target, (protocol, port) in drawn(side.rng, sports, side.targets, side.ports):
        number = side.stage.number()
        packet = forge.transport(protocol, side.own, target, sport, port, forge.marker(number))
        yield side.shot(f"{side.own}:{sport} > {target} {protocol}/{port}", number, packet)


def protocols(side: Side) -> Iterator[Shot]:
    """All 256, each as it would be if it had no header."""
    for protocol, target in drawn(side.rng, range(256), side.targets):
        number = side.stage.number()
        packet = forge.ip(side.own, target, protocol, forge.marker(number, 6))
        # An extension header of IPv6 would be read from the marker: what it is then, nobody allows.
        judged = not (side.six and protocol in (0, 43, 44, 51, 60))
        yield side.shot(f"protocol {protocol} > {target}", number, packet, judged=judged)


def tcp_flags(side: Side) -> Iterator[Shot]:
    """All combinations, the first of the reserved bits among them."""
    named = [port for protocol, port in side.ports if protocol == TCP]
    for flags, target, port in drawn(side.rng, range(512), [*side.routers, *side.victims], named):
        number, sport = side.stage.number(), side.rng.randrange(1024, 65536)
        segment = forge.tcp(side.own, target, sport, port, flags, forge.marker(number), sequence=number, acknowledged=7)
        yield side.shot(f"flags {flags:#05x} > {target}:{port}", number, forge.ip(side.own, target, TCP, segment))


def icmp_types(side: Side) -> Iterator[Shot]:
    """All 256, of both families' ICMP, about nothing."""
    own = forge.icmp_protocol(side.own)
    for protocol, kind, code, hops, target in drawn(side.rng, (ICMP, ICMPV6), range(256), (0, 1, 4), (1, 64, 255), side.targets):
        number = side.stage.number()
        rest = struct.pack("!HH", side.rng.randrange(65536), 1)
        message = forge.icmp(side.own, target, kind, code, rest, forge.marker(number, 6))
        yield side.shot(f"protocol {protocol} type {kind}/{code} hops {hops} > {target}", number,
                        forge.ip(side.own, target, protocol, message, hops=hops), judged=protocol == own)


def injections(side: Side) -> Iterator[Shot]:
    """Segments and datagrams in the connections of others, in either direction, in and
    out of the window; what would end its own ones is left out."""
    tcp = [one for one in side.connections if one.protocol == TCP]
    other = [one for one in side.connections if one.protocol != TCP]
    flags = (ACK, ACK | PSH, RST, RST | ACK, FIN | ACK, SYN, SYN | ACK, 0)
    for connection, wire_index, backwards, kind, offset in drawn(
            side.rng, tcp, (0, 1), (False, True), flags, (0, 1, 500, -500, 100_000, 1 << 31)):
        wire = list(connection.views)[wire_index % len(connection.views)]
        view = connection.views[wire]
        ends = (view.remote, view.local) if backwards else (view.local, view.remote)
        if side.is_here(ends[0][0]) and kind & (RST | FIN | SYN):
            continue
        sequence, acknowledged = side.stage.sequence(connection, wire)
        if backwards:
            sequence, acknowledged = acknowledged, sequence
        number = side.stage.number()
        (source, sport), (target, port) = ((str(address), port) for address, port in ends)
        segment = forge.tcp(source, target, sport, port, kind, forge.marker(number), sequence=sequence + offset,
                            acknowledged=acknowledged)
        yield side.shot(f"into {connection.name}: flags {kind:#x} at {offset}, {source} > {target}", number,
                        forge.ip(source, target, TCP, segment))
    for connection, wire_index, backwards in drawn(side.rng, other, (0, 1), (False, True)):
        wire = list(connection.views)[wire_index % len(connection.views)]
        view = connection.views[wire]
        ends = (view.remote, view.local) if backwards else (view.local, view.remote)
        number = side.stage.number()
        (source, sport), (target, port) = ((str(address), port) for address, port in ends)
        if connection.protocol == UDP:
            packet = forge.transport(UDP, source, target, sport, port, forge.marker(number))
        else:
            packet = forge.echo(source, target, port, forge.marker(number), reply=side.rng.random() < 0.5)
        yield side.shot(f"into {connection.name}: {source} > {target}", number, packet)


def rewritten(side: Side) -> Iterator[Shot]:
    """To the ports of the router that stand for others' connections, from everybody but
    their far ends, and from its own address to the far side's."""
    views = [(one, view) for one in side.connections for view in one.views.values()]
    if not views:
        return
    for (connection, view), source, sport_is_theirs, flags in drawn(
            side.rng, views, [side.own, *side.neighbours, *side.victims], (False, True), (SYN, ACK, SYN | ACK, RST)):
        for (target, port), (far, theirs) in ((view.local, view.remote), (view.remote, view.local)):
            if sport_is_theirs and source == str(far) and flags != ACK:
                continue
            number, sport = side.stage.number(), theirs if sport_is_theirs else 40001
            if connection.protocol == TCP:
                segment = forge.tcp(source, str(target), sport, port, flags, forge.marker(number), sequence=7001, acknowledged=2)
                packet = forge.ip(source, str(target), TCP, segment)
            else:
                packet = forge.transport(connection.protocol, source, str(target), sport, port, forge.marker(number))
            yield side.shot(f"at {connection.name}: {source}:{sport} > {target}:{port}", number, packet)


def dhcp(side: Side) -> Iterator[Shot]:
    """Of clients and of servers, from known and unknown hardware addresses (RFC 2131)."""
    if side.six:
        return
    macs = [side.mac, *(side.stage.mac_of_host(host) for host in side.stage.scenario.hosts), "02:0d:0e:0a:0d:01"]
    ends = [("0.0.0.0", "255.255.255.255", (68, 67))] * 40
    ends += [(source, target, ports) for source in ("0.0.0.0", side.own, side.routers[0], "127.0.0.5")
             for target in ("255.255.255.255", *side.routers, *side.victims[:2])
             for ports in ((68, 67), (67, 68), (67, 67), (68, 68))]
    for mac, claimed, (source, target, ports), kind in drawn(side.rng, macs, macs, ends, range(1, 9)):
        number = side.stage.number()
        operation = 1 if ports[1] == 67 else 2
        message = struct.pack("!BBBBIHH", operation, 1, 6, 0, number, 0, 0x8000) + bytes(16)
        message += bytes.fromhex(claimed.replace(":", "")) + bytes(10) + forge.marker(number).ljust(192, b"\0")
        message += b"\x63\x82\x53\x63" + bytes((53, 1, kind, 255))
        packet = forge.ipv4(source, target, UDP, forge.udp(source, target, *ports, message))
        note = f"DHCP {kind} of {claimed} from {mac}, {source}:{ports[0]} > {target}:{ports[1]}"
        yield side.shot(note, number, packet, mac=mac)


def hardware(side: Side) -> Iterator[Shot]:
    """Addresses with other hardware addresses than theirs, to the router's and to others."""
    macs = list(dict.fromkeys(
        [side.mac, *(side.stage.mac_of_host(host) for host in side.stage.scenario.hosts), side.router_mac, "02:00:00:00:09:09"]))
    to = (side.router_mac, "ff:ff:ff:ff:ff:ff", "02:00:00:00:09:0a", "01:00:5e:00:00:01", *side.stage.router_macs.values())
    ends = [(source, target, at) for source in side.sources[:8] for target in side.targets[:8] for at in side.ports[:6]]
    ends += [(side.own, side.routers[0], (forge.icmp_protocol(side.own), 0))] * 6
    for mac, receiver, (source, target, (protocol, port)) in drawn(side.rng, macs, to, ends):
        number = side.stage.number()
        # Each has ports of its own, and so goes on with nothing that another opened.
        packet = forge.transport(protocol, source, target, 40100 + macs.index(mac), port, forge.marker(number))
        yield side.shot(f"{mac} to {receiver}: {source} > {target} {protocol}/{port}", number, packet, mac=mac, to=receiver)
    for connection, mac in drawn(side.rng, [one for one in side.connections if side.wire in one.views], macs):
        view, number = connection.views[side.wire], side.stage.number()
        (source, sport), (target, port) = ((str(address), port) for address, port in (view.local, view.remote))
        if connection.protocol == TCP:
            sequence, acknowledged = side.stage.sequence(connection, side.wire)
            segment = forge.tcp(source, target, sport, port, ACK, forge.marker(number), sequence=sequence,
                                acknowledged=acknowledged)
            packet = forge.ip(source, target, TCP, segment)
        else:
            packet = forge.transport(connection.protocol, source, target, sport, port, forge.marker(number))
        yield side.shot(f"{mac} in {connection.name}", number, packet, mac=mac)


def groups(side: Side) -> Iterator[Shot]:
    """What is sent to everybody: discovery, routing protocols, multicast membership."""
    six = (("ff02::fb", UDP, 5353), ("ff02::c", UDP, 1900), ("ff02::1:2", UDP, 547), ("ff02::5", 89, 0),
           ("ff02::16", ICMPV6, 143), ("ff02::1", ICMPV6, 134), ("ff02::2", ICMPV6, 133), ("ff02::1", ICMPV6, 136),
           ("ff02::12", 112, 0), ("ff02::1", ICMPV6, 137))
    four = (("224.0.0.251", UDP, 5353), ("239.255.255.250", UDP, 1900), ("239.255.255.250", UDP, 3702),
            ("224.0.0.252", UDP, 5355), ("224.0.0.1", 2, 0), ("224.0.0.22", 2, 0), ("224.0.0.5", 89, 0),
            ("224.0.0.18", 112, 0), ("224.0.0.9", UDP, 520), ("224.0.0.102", UDP, 1985), ("255.255.255.255", UDP, 137),
            ("224.0.1.129", UDP, 319))
    for (target, protocol, port), source, hops in drawn(side.rng, six if side.six else four, side.sources, (1, 2, 255)):
        number = side.stage.number()
        if protocol == UDP:
            content = forge.udp(source, target, port, port, forge.marker(number))
        elif protocol == ICMPV6:
            content = forge.icmp(source, target, port, 0, bytes(4), forge.marker(number, 4))
        else:
            content = bytes((0x16, 0, 0, 0, 0, 0, 0, 0)) + forge.marker(number, 4)
        yield side.shot(f"{source} > group {target} {protocol}/{port} hops {hops}", number,
                        forge.ip(source, target, protocol, content, hops=hops))
