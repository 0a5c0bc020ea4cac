"""Owns a shot: the frames that a hostile sender sends at once, under one number; and
the side that it sends from, with the addresses and connections that it may abuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random
from typing import Any

from attack import forge
from attack.forge import TCP, UDP
from attack.dissect import Address
from attack.oracle import Connection
from attack.policy import Zone
from attack.scenarios import Host
from attack.stage import Stage
from lab.frames import BROADCAST, IPV4

# How many of a generator's combinations are drawn at most.
_DRAWN = 30_000

OUTSIDER = "02:00:00:00:03:09"


@dataclass(frozen=True)
class Shot:
    """`whole` is the frame as it is once its fragments are together: what the oracle
    judges. None: nothing of it may arrive anywhere."""

    number: int
    note: str
    frames: tuple[bytes, ...]
    whole: bytes | None
    # Outside of what a router can promise: counted, not judged.
    recorded_only: bool = False


class Side:
    """A wire, as who attacks from there sees it, in one family."""

    def __init__(self, stage: Stage, wire: str, six: bool, rng: Random) -> None:
        self.stage = stage
        self.wire = wire
        self.six = six
        self.rng = rng
        self.zone: Zone = stage.policy.zone_of_wire(wire)
        self.host: Host = stage.hostile(wire)
        self.mac = stage.mac_of_host(self.host)
        self.router_mac = stage.router_macs[wire]

    @property
    def own(self) -> str:
        """The hostile host's address."""
        return _of(self.host, self.six) or ("fd00:99::9" if self.six else "192.168.99.9")

    @cached_property
    def neighbours(self) -> list[str]:
        """Others on its own wire, listed or not."""
        return self._hosts(lambda host: host.wire == self.wire and host is not self.host)

    @cached_property
    def victims(self) -> list[str]:
        """Hosts on other wires."""
        return self._hosts(lambda host: host.wire != self.wire)

    @cached_property
    def routers(self) -> list[str]:
        """All the addresses of the router, the one on this wire first."""
        zones = sorted(self.stage.policy.zones.values(), key=lambda zone: zone is not self.zone)
        found = [str(one) for zone in zones for one in zone.addresses if (one.version == 6) == self.six]
        return found + [self.stage.router_link_local(self.wire)] if self.six else found

    @cached_property
    def sources(self) -> list[str]:
        """Every class of source address, its own first."""
        odd = (["::", "::1", "ff02::1", "fe80::99", "2001:db8::9", "2002:c0a8:50a::1", "::ffff:192.168.5.10", "fd00:77::1",
                "2620:fe::99"] if self.six else
               ["0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1", "169.254.7.7", "10.9.8.7", "100.64.0.9", "192.0.2.9",
                "240.0.0.9", "8.8.8.8"] + self._ends())
        return [self.own, *self.neighbours, *self.routers, *self.victims, *odd]

    @cached_property
    def targets(self) -> list[str]:
        """Every class of destination address, the router and the others first."""
        odd = (["ff02::1", "ff02::2", "ff05::2", "ff02::fb", "::1", "fd00:77::1", "2620:fe::99", "::"] if self.six else
               ["255.255.255.255", "224.0.0.1", "224.0.0.251", "239.255.255.250", "127.0.0.1", "0.0.0.0", "169.254.7.7",
                "10.9.8.7", "8.8.8.8"] + self._ends())
        unused = [] if self.six else [victim.rsplit(".", 1)[0] + ".77" for victim in self.victims if victim.startswith("192.")]
        return [*self.routers, *self.victims, *self.neighbours, *odd, *dict.fromkeys(unused)]

    def is_here(self, address: Address) -> bool:
        """Whether it is an address of its own zone."""
        return self.stage.policy.zone_of(address) is self.zone and str(address) not in self.routers

    @property
    def connections(self) -> list[Connection]:
        """Those that are open, of its family."""
        return [one for one in self.stage.oracle.connections
                if all((view.local[0].version == 6) == self.six for view in one.views.values())]

    @cached_property
    def ports(self) -> list[tuple[int, int]]:
        """Protocols and ports that some line of the policy names, and others."""
        named = {(protocol, ports[0]) for line in self.stage.policy.lines
                 for protocol, ranges in line.ports.items() for ports in ranges}
        for forward in self.stage.policy.forwards:
            if forward.ports is not None and forward.to_port is not None:
                named |= {forward.ports, (forward.ports[0], forward.to_port)}
        others = {(TCP, port) for port in (21, 22, 23, 80, 443, 445, 8080, 50050, 0, 65535)}
        others |= {(UDP, port) for port in (53, 67, 68, 69, 123, 137, 161, 500, 546, 547, 1900, 3702, 5353, 5355)}
        return sorted(named | others)

    def shot(
        self, note: str, number: int, *packets: bytes, whole: bytes | None = None, mac: str | None = None, to: str | None = None,
        recorded_only: bool = False, judged: bool = True,
    ) -> Shot:
        """Of IP packets. `whole` is the packet that they are together, by default the one
        there is; not `judged`: nothing may arrive."""
        sent = tuple(self.frame(packet, mac, to) for packet in packets)
        if whole is not None:
            complete: bytes | None = self.frame(whole, mac, to)
        else:
            complete = sent[0] if judged and len(sent) == 1 else None
        return Shot(number, note, sent, complete, recorded_only)

    def frame(self, packet: bytes, mac: str | None = None, to: str | None = None) -> bytes:
        """To the router, unless it goes to a group."""
        kind = forge.IPV6 if packet[:1] and packet[0] >> 4 == 6 else IPV4
        if to is None:
            to = self.router_mac
            if kind == IPV4 and packet[16:17] and (packet[16] >= 224 or packet[19] == 255):
                to = BROADCAST if packet[16] >= 240 or packet[16] < 224 else "01:00:5e:%02x:%02x:%02x" % (
                    packet[17] & 127, packet[18], packet[19])
            elif kind == forge.IPV6 and packet[24:25] == b"\xff":
                to = "33:33:" + packet[36:40].hex(":")
        return forge.frame(to, mac or self.mac, None, packet, kind)

    def _hosts(self, wanted: Callable[[Host], bool]) -> list[str]:
        return [address for host in self.stage.scenario.hosts if wanted(host) and (address := _of(host, self.six))]

    def _ends(self) -> list[str]:
        """First and last addresses of all networks of IPv4."""
        return [str(end) for zone in self.stage.policy.zones.values() for network in zone.networks
                if network.version == 4 for end in (network.network_address, network.broadcast_address)]


Generator = Callable[[Side], Iterator[Shot]]


def drawn(rng: Random, *axes: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The combinations of the axes, each once, in random order."""
    total = math.prod(len(axis) for axis in axes)
    if total <= _DRAWN:
        found = list(product(*axes))
        rng.shuffle(found)
        yield from found
        return
    for index in rng.sample(range(total), _DRAWN):
        combination = []
        for axis in axes:
            index, place = divmod(index, len(axis))
            combination.append(axis[place])
        yield tuple(combination)


def _of(host: Host, six: bool) -> str | None:
    return host.address6 if six else host.address
