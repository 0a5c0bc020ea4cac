"""Owns what may become of a frame: where it may arrive, by the policy and by the
connections that are open.

Independent of the program under test: by the allow lines and what the reference
promises about sources, errors and addresses. It says what may arrive, and not
what must: limits, times and the kernel's own checks only take away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from attack.dissect import Address, Frame, Packet, read_frame
from attack.forge import ACK, FIN, ICMP, RST, SYN, TCP, UDP
from attack.policy import ROUTER, Forward, Line, Policy, Zone

End = tuple[Address, int]
NOWHERE: frozenset[str] = frozenset()

# Unreachable, time exceeded, parameter problem; ICMPv6's packet too big beside them.
_ERRORS = {4: (3, 11, 12), 6: (1, 2, 3, 4)}
# Neighbour discovery and multicast listener discovery, and the hop limit of each
# (RFC 4861, 7.1; RFC 2710, 3). A router takes no advertisement (134) and no redirect (137).
_HOPS6 = {133: 255, 135: 255, 136: 255, 130: 1, 131: 1, 132: 1, 143: 1}
_DHCP_SERVER, _DHCP_CLIENT = 67, 68


@dataclass(frozen=True)
class View:
    """A connection as it looks on one wire: who is there, and whom they talk to."""

    local: End
    remote: End


@dataclass
class Connection:
    """One that is open. The router's own end has no view."""

    name: str
    protocol: int
    views: dict[str, View] = field(default_factory=dict)
    with_router: bool = False

    def beyond(self, wire: str) -> frozenset[str]:
        """Where its packets go that come from this wire."""
        return frozenset(self.views) - {wire} | ({ROUTER} if self.with_router else NOWHERE)


class Oracle:
    def __init__(self, policy: Policy, router_macs: Iterable[str]) -> None:
        self.policy = policy
        self.connections: list[Connection] = []
        self._router_macs = frozenset(router_macs)
        self._own = frozenset(address for zone in policy.zones.values() for address in zone.addresses)

    def may_reach(self, wire: str, data: bytes) -> frozenset[str]:
        """The wires at which the frame may come out, or "router" for the router itself.

        What the router answers goes back to the zone that it came from, which is
        beyond what a router can keep from each other's eyes there."""
        frame = read_frame(data)
        packet, zone = frame.packet, self.policy.zone_of_wire(wire)
        to_router = frame.target in self._router_macs
        if packet is None or not (to_router or int(frame.target[:2], 16) & 1):
            return NOWHERE
        if packet.later_fragment or (packet.source_routed and packet.source.version == 4):
            return NOWHERE
        if packet.source.version == 6 and not self.policy.same:
            return NOWHERE
        strays = self._is_misplaced(zone, frame)
        found = NOWHERE
        if not strays or packet.source.version == 6:
            found = self._infrastructure(zone, frame, packet)
        if not found and self._source_is_possible(zone, frame, packet):
            found = self._established(zone, packet)
            if not found and not strays:
                found = self._error(zone, packet) or self._new(zone, frame, packet)
        return found | frozenset(zone.wires) - {wire} if ROUTER in found else found

    def _infrastructure(self, zone: Zone, frame: Frame, packet: Packet) -> frozenset[str]:
        """What a zone's own protocols need, whatever the lines say."""
        if isinstance(packet.source, IPv6Address):
            kind = packet.icmp[0] if packet.icmp else None
            if zone.known_only or kind not in _HOPS6 or packet.hops != _HOPS6[kind]:
                return NOWHERE
            # Who has the router's address may say so, to all (RFC 4862, 5.4.4).
            claims = kind == 136 and packet.target.is_multicast and packet.source in zone.addresses
            source_is_possible = packet.source.is_unspecified or claims or self._source_is_possible(zone, frame, packet)
            return frozenset({ROUTER}) if source_is_possible else NOWHERE
        if packet.protocol != UDP:
            return NOWHERE
        if zone.dhcp and packet.ports == (_DHCP_SERVER, _DHCP_CLIENT):
            return frozenset({ROUTER}) if self._source_is_possible(zone, frame, packet) else NOWHERE
        if packet.ports == (_DHCP_CLIENT, _DHCP_SERVER) and packet.source == ip_address("0.0.0.0") \
                and packet.target == ip_address("255.255.255.255"):
            serves = any(line.mac in (None, frame.source) and _opens(line, UDP, _DHCP_SERVER)
                         for line in self._lines(zone.name, ROUTER))
            return frozenset({ROUTER}) if serves else NOWHERE
        return NOWHERE

    def _source_is_possible(self, zone: Zone, frame: Frame, packet: Packet) -> bool:
        source = packet.source
        if source in self._own or source.is_multicast or source.is_unspecified or source.is_loopback:
            return False
        if source == ip_address("255.255.255.255"):
            return False
        if isinstance(source, IPv6Address):
            if source.is_link_local:
                return not zone.known_only
            if zone.known_only:
                return False
        if not self._camera_is_itself(zone, frame, source):
            return False
        if zone.role == "external":
            return self.policy.zone_of(source) is zone
        # Of a network behind another router the kernel does not know the broadcast addresses.
        near = [network for network in zone.networks if any(own in network for own in zone.addresses)]
        broadcast = isinstance(source, IPv4Address) and any(source == network.broadcast_address for network in near)
        return zone.holds(source) and not broadcast

    def _is_misplaced(self, zone: Zone, frame: Frame) -> bool:
        """Whether it has the hardware address of a camera that is listed in another zone: it
        finds its neighbours, goes on with what is open, and opens nothing."""
        cameras = self.policy.cameras.values()
        return any(camera.mac == frame.source and camera.zone != zone.name for camera in cameras)

    def _camera_is_itself(self, zone: Zone, frame: Frame, source: Address) -> bool:
        """A listed camera's address and its hardware address go together, and
        `known-only` lets nobody else send."""
        if isinstance(source, IPv6Address):
            return True
        listed = [camera for camera in self.policy.cameras.values() if camera.zone == zone.name]
        for camera in listed:
            if camera.mac and (camera.address == source) != (camera.mac == frame.source):
                return False
        return not zone.known_only or any(camera.address == source for camera in listed)

    def _established(self, zone: Zone, packet: Packet) -> frozenset[str]:
        ends = View((packet.source, packet.ports[0]), (packet.target, packet.ports[1]))
        if packet.protocol not in (TCP, UDP) and not packet.is_echo:
            return NOWHERE
        return self._beyond(zone, packet.protocol, ends)

    def _error(self, zone: Zone, packet: Packet) -> frozenset[str]:
        """An error about a connection, from where the end is that could not be
        reached, to the other; of a camera, from that end itself."""
        about = packet.quoted
        if about is None or packet.icmp is None or packet.icmp[0] not in _ERRORS[packet.source.version]:
            return NOWHERE
        if packet.target != about.source or (zone.role == "camera" and packet.source != about.target):
            return NOWHERE
        ends = View((about.target, about.ports[1]), (about.source, about.ports[0]))
        return self._beyond(zone, about.protocol, ends)

    def _beyond(self, zone: Zone, protocol: int, ends: View) -> frozenset[str]:
        """Who is at which port of a bridge, and who uses whose address there, is not the router's to know."""
        found = NOWHERE
        for connection in self.connections:
            for wire in zone.wires:
                if connection.protocol == protocol and connection.views.get(wire) == ends:
                    found |= connection.beyond(wire)
        return found

    def _new(self, zone: Zone, frame: Frame, packet: Packet) -> frozenset[str]:
        source, target = packet.source, packet.target
        if packet.protocol == TCP and packet.flags & (FIN | SYN | RST | ACK) != SYN:
            return NOWHERE
        if zone.role == "external" and not source.is_global and not zone.holds(source) and not source.is_link_local:
            return NOWHERE
        for forward in self.policy.forwards:
            if forward.takes(zone.name, target, packet.protocol, packet.ports[1]):
                port = packet.ports[1] if forward.to_port is None else forward.to_port
                return self._allowed(zone, frame, packet, forward.target, port, by=forward)
        if target in zone.addresses or (isinstance(target, IPv6Address) and target.is_link_local):
            return self._allowed(zone, frame, packet, None, packet.ports[1])
        if target in self._own or target.is_multicast or target.is_loopback:
            return NOWHERE
        return self._allowed(zone, frame, packet, target, packet.ports[1])

    def _allowed(
        self, zone: Zone, frame: Frame, packet: Packet, target: Address | None, port: int, *, by: Forward | None = None
    ) -> frozenset[str]:
        """Where an allow line lets it go; `target` is None for the router itself. A line
        that names the host of a forward lets in to its port what came by the forward."""
        to_here = [one for one in self.policy.forwards if one.leads_to(zone.name, target, packet.protocol, port)]
        # A second echo with the identifier of one that came by a forward gets another, which conntrack takes for DNAT (docs/security.md).
        by_forward_alone = bool(to_here) and by is None and not packet.icmp and not any(one.direct for one in to_here)
        # Who comes by a loopback is let in by the line that lets in who comes from outside, whoever that is.
        looped = by is not None and by.source != by.outside
        source = by.outside if by is not None else zone.name
        if target is None:
            name, places = ROUTER, frozenset({ROUTER})
        else:
            target_zone = self.policy.zone_of(target)
            if target_zone is None or (target_zone is zone and not looped):
                return NOWHERE
            name, places = target_zone.name, frozenset(target_zone.wires)
        for line in self._lines(source, name):
            if line.mac not in (None, frame.source) and isinstance(packet.source, IPv4Address):
                continue
            if line.sources is not None and not looped and not any(packet.source in network for network in line.sources):
                continue
            if target is not None and line.targets is not None:
                holding = [one for one in line.targets if target in one]
                if not holding or (by_forward_alone and all(one.num_addresses == 1 for one in holding)):
                    continue
            if (packet.icmp and packet.icmp[0] == _echo(packet) and line.ping) or _opens(line, packet.protocol, port):
                return places
        return NOWHERE

    def _lines(self, source: str, target: str) -> list[Line]:
        return [line for line in self.policy.lines if (line.source, line.target) == (source, target)]


def _echo(packet: Packet) -> int:
    return 8 if packet.protocol == ICMP else 128


def _opens(line: Line, protocol: int, port: int) -> bool:
    return any(port in ports for ports in line.ports.get(protocol, ()))
