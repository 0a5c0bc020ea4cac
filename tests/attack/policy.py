"""Owns what the oracle knows of a configuration: zones, allow lines, forwards.

Reads the file itself, with Python's own TOML, and nothing that camfw says of it;
only the keys that scenarios use.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Any

from attack.dissect import Address
from attack.forge import ICMP, TCP, UDP

Table = Mapping[str, Any]
Network = Any  # ip_network's two types share no useful base

ROUTER = "router"
# By IANA's registry of service names, but for the passive ports of ftp.
SERVICES: Mapping[str, Table] = {
    "dhcp": {"udp": [67]}, "dns": {"tcp": [53], "udp": [53]}, "ftp": {"tcp": [21, "50000-50100"]},
    "http": {"tcp": [80]}, "https": {"tcp": [443]}, "ntp": {"udp": [123]}, "ping": {"icmp": ["echo-request"]},
    "rtsp": {"tcp": [554], "udp": [554]}, "ssh": {"tcp": [22]},
}


@dataclass(frozen=True)
class Zone:
    name: str
    role: str
    # Its interface as the router's kernel has it, and the wires that reach it: several, of a bridge.
    interface: str
    wires: tuple[str, ...]
    # The router's own addresses in it.
    addresses: tuple[Address, ...]
    networks: tuple[Network, ...]
    known_only: bool
    dhcp: bool

    def holds(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


@dataclass(frozen=True)
class Camera:
    name: str
    zone: str
    address: Address
    mac: str | None


@dataclass(frozen=True)
class Line:
    """Who may open what to whom; a source or target that is None is anybody of its zone."""

    source: str
    target: str
    ports: Mapping[int, tuple[range, ...]]
    ping: bool
    helper: bool
    sources: tuple[Network, ...] | None
    targets: tuple[Network, ...] | None
    # A camera's own, by its hardware address.
    mac: str | None


@dataclass(frozen=True)
class Forward:
    """From one zone; of one port, or of all that comes to an address of its own."""

    source: str
    # The zone whose lines let it in: its `from`, also for a zone of its `loopback`.
    outside: str
    at: tuple[Address, ...]
    ports: tuple[int, int] | None
    target: Address
    to_port: int | None
    direct: bool

    def takes(self, zone: str, target: Address, protocol: int, port: int) -> bool:
        return self.source == zone and target in self.at and self.ports in (None, (protocol, port))

    def leads_to(self, zone: str, target: Address | None, protocol: int, port: int) -> bool:
        """Whether it is one from outside to there."""
        here = self.ports is None or (self.ports[0], self.to_port) == (protocol, port)
        return self.source == self.outside == zone and self.target == target and here


class Policy:
    """The file, as the oracle reads it."""

    def __init__(self, text: str) -> None:
        self._file: Table = tomllib.loads(text)
        self.same = self._file.get("ipv6", {}).get("mode") == "same"
        self.zones = {name: _zone(name, table, self._file) for name, table in self._file["zones"].items()}
        self.cameras = {table["name"]: self._camera(table) for table in self._file.get("cameras", [])}
        self.lines = tuple(self._lines())
        self.forwards = tuple(self._forwards())

    def zone_of_wire(self, wire: str) -> Zone:
        """The zone that it leads to."""
        return next(zone for zone in self.zones.values() if wire in zone.wires)

    def zone_of(self, address: Address) -> Zone | None:
        """The zone that an address is in; whatever is in no other is in the one with
        the default route, if there is one."""
        for zone in self.zones.values():
            if zone.holds(address):
                return zone
        outward = [name for name, table in self._file["zones"].items() if "gateway" in table]
        return self.zones[outward[0]] if outward else None

    def _camera(self, table: Table) -> Camera:
        address = ip_interface(table["address"]).ip
        zone = self.zone_of(address)
        assert zone is not None
        return Camera(table["name"], zone.name, address, table.get("mac"))

    def _lines(self) -> Iterator[Line]:
        for table in self._file.get("allow", []):
            target = table["to"]
            if table["from"] == "any":
                zone = self.cameras[target].zone if target in self.cameras else target
                for name in self.zones:
                    if name != zone:
                        yield self._line(name, table)
            elif table["from"] != ROUTER:
                yield self._line(table["from"], table)
        for owner in self._file.get("cameras", []):
            for table in owner.get("allow", []):
                yield self._line(owner["name"], table)

    def _line(self, source: str, table: Table) -> Line:
        target, sources, targets, mac = table["to"], _networks(table, "source"), _networks(table, "address"), None
        if source in self.cameras:
            camera = self.cameras[source]
            source, sources, mac = camera.zone, (ip_network(camera.address),), camera.mac
        if target in self.cameras:
            targets = (ip_network(self.cameras[target].address),)
            target = self.cameras[target].zone
        named = table["service"] if isinstance(table["service"], list) else [table["service"]]
        services = [{**SERVICES.get(name, {}), **self._file.get("services", {}).get(name, {})}
                    if isinstance(name, str) else name for name in named]
        ports: dict[int, list[range]] = {TCP: [], UDP: []}
        for service in services:
            for protocol, key in ((TCP, "tcp"), (UDP, "udp")):
                ports[protocol] += map(_range, service.get(key, []))
            if "passive" in service:
                ports[TCP].append(_range(service["passive"]))
        return Line(
            source, target, {protocol: tuple(ranges) for protocol, ranges in ports.items()},
            any("echo-request" in service.get("icmp", []) for service in services),
            any(service.get("helper", False) for service in services), sources, targets, mac)

    def _forwards(self) -> Iterator[Forward]:
        for table in self._file.get("forwards", []):
            outside, ports = table["from"], None
            for protocol, key in ((TCP, "tcp"), (UDP, "udp")):
                if key in table:
                    ports = protocol, table[key]
            at = tuple(one for one in self.zones[outside].addresses if one.version == 4)
            if "at" in table:
                at = (ip_interface(table["at"]).ip,)
            address = ip_interface(table["address"]).ip if "address" in table else self.cameras[table["to"]].address
            to_port = table.get("to-port", ports and ports[1])
            for source in (outside, *table.get("loopback", [])):
                yield Forward(source, outside, at, ports, address, to_port, table.get("direct", False))


def _zone(name: str, table: Table, file: Table) -> Zone:
    interface = table["interface"]
    written = table["address"] if isinstance(table["address"], list) else [table["address"]]
    given = [ip_interface(address) for address in written if address != "dhcp"]
    if isinstance(interface, str):
        wires: tuple[str, ...] = (interface,)
    else:
        wires = tuple(interface["bridge"])
        interface = interface["name"]
    own = tuple(one.network for one in given)
    routed = tuple(ip_network(route["to"]) for route in file.get("routes", [])
                   if "via" in route and any(ip_interface(route["via"]).ip in network for network in own))
    return Zone(name, table["role"], interface, wires, tuple(one.ip for one in given), own + routed,
                table.get("known-only", False), "dhcp" in written)


def _networks(table: Table, key: str) -> tuple[Network, ...] | None:
    if key not in table:
        return None
    written = table[key] if isinstance(table[key], list) else [table[key]]
    return tuple(ip_network(one) for one in written)


def _range(written: int | str) -> range:
    first, _, last = str(written).partition("-")
    return range(int(first), int(last or first) + 1)
