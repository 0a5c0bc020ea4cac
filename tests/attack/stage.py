"""Owns the router under attack and the wires around it: what is sent on them, and
where each shot's marker arrives.

The far ends of all wires are in one namespace without any address: who is there
is made of frames, so that nothing answers but what is told to, and whatever
carries a marker is the hostile sender's. Judges nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

from attack import forge
from attack.forge import ACK, ICMP, ICMPV6, PSH, SYN, TCP, UDP
from attack.oracle import Connection, Oracle, View
from attack.policy import ROUTER, Policy
from attack.scenarios import Flow, Host, Scenario
from lab import frames
from lab.namespace import LabError, Namespace, sweep
from lab.probes import PATIENCE
from lab.services import Listener
from netns.program import Program

SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
_BUFFER = 32 << 20
_EVERYTHING = 0x0003  # ETH_P_ALL
_FIRST_OF_SETUP = 0x40000000
_ALIVE_SECONDS = 5.0
_SETTLE_SECONDS = 0.05
# Between two controls no more frames are on their way than any queue holds: the
# kernel's backlog is 1,000, a neighbour that is being asked for has 200 kB.
CHUNK = 100

Prepare = Callable[["Stage"], None]


def boot(stage: Stage) -> None:
    """The program under test, with the scenario's policy."""
    stage.program.configure(stage.scenario.policy)
    result = stage.program.run("boot")
    if result.code != 0:
        raise LabError(f"camfw boot: {result}")


class Stage:
    """A context manager that leaves nothing behind."""

    def __init__(self, scenario: Scenario, backend: str, prepare: Prepare = boot) -> None:
        self.scenario = scenario
        self.policy = Policy(scenario.policy)
        self.arrived: dict[int, set[str]] = {}
        self._numbers = itertools.count(1)
        self._ports = itertools.count(41001)
        self._setup = itertools.count(_FIRST_OF_SETUP)
        self._watch: tuple[str, Callable[[bytes], object]] | None = None
        # Sequence numbers to send next and to acknowledge, per connection and wire.
        self._sequence: dict[tuple[str, str], tuple[int, int]] = {}
        self._flows: dict[str, tuple[Flow, bool]] = {}
        self._sockets_of_router: list[socket.socket] = []
        sweep()
        with contextlib.ExitStack() as stack:
            self.scratch = Path(tempfile.mkdtemp(prefix="camfw-attack-"))
            stack.callback(shutil.rmtree, self.scratch)
            self.router = stack.enter_context(Namespace("router"))
            self.outside = stack.enter_context(Namespace("outside"))
            self._wire()
            self.program = Program(self.router, self.scratch, backend)
            stack.callback(self.program.close)
            self._selector = stack.enter_context(contextlib.closing(selectors.DefaultSelector()))
            self._wires = {wire: stack.enter_context(self._listen_on(wire)) for wire in scenario.wires}
            prepare(self)
            for protocol in range(1, 255):
                for family in (socket.AF_INET, socket.AF_INET6):
                    stack.enter_context(self._listen_inside(family, protocol))
            stack.enter_context(Listener(self.router, scenario.tcp, scenario.udp))
            if self.policy.same:
                stack.enter_context(_listening6(self.router, scenario.tcp))
            self.router_macs = {wire: self.mac_of_interface(self.policy.zone_of_wire(wire).interface) for wire in scenario.wires}
            self.oracle = Oracle(self.policy, self.router_macs.values())
            for flow in scenario.flows:
                self.open(flow, six=False)
            for flow in scenario.flows6:
                self.open(flow, six=True)
            self._stack = stack.pop_all()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._sockets_of_router:
            opened.close()
        self._stack.close()

    # -- who is where --

    def hostile(self, wire: str) -> Host:
        return next(host for host in self.scenario.hosts if host.wire == wire)

    def mac_of(self, wire: str) -> str:
        """The far end's own hardware address."""
        return "02:00:00:00:02:%02x" % int(wire[-1])

    def mac_of_host(self, host: Host) -> str:
        return host.mac or self.mac_of(host.wire)

    def router_address(self, wire: str, six: bool) -> str:
        """The router's own on the network of that wire."""
        zone = self.policy.zone_of_wire(wire)
        return str(next(one for one in zone.addresses if (one.version == 6) == six))

    def router_link_local(self, wire: str) -> str:
        """As the kernel makes it of the hardware address (RFC 4291, appendix A)."""
        mac = frames.address(self.router_macs[wire])
        return str(ip_address(b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]))

    # -- sending, and what arrives --

    def number(self) -> int:
        """A shot's own."""
        return next(self._numbers)

    def send(self, wire: str, shots: Sequence[bytes]) -> None:
        """Frames, as they are. Some are too long for the wire: those are not sent."""
        for data in shots:
            with contextlib.suppress(OSError):
                self._wires[wire].send(data)

    def drain(self, wait: float = 0.0) -> None:
        """Read whatever has arrived, and answer who asks for a hardware address."""
        for key, _ in self._selector.select(wait):
            wire: str | None = key.data
            with contextlib.suppress(BlockingIOError):
                while True:
                    data = key.fileobj.recv(4096)  # type: ignore[union-attr]
                    for number in forge.numbers_in(data):
                        self.arrived.setdefault(number, set()).add(wire or ROUTER)
                    if wire is not None:
                        self._answer(wire, data)
                        if self._watch is not None and self._watch[0] == wire:
                            self._watch[1](data)

    def send_ip(self, wire: str, packet: bytes) -> None:
        """An IP packet, from the hardware address of whose source it has."""
        kind = frames.IPV4 if packet[0] >> 4 == 4 else forge.IPV6
        source = ip_address(packet[12:16] if packet[0] >> 4 == 4 else packet[8:24])
        sender = next((self.mac_of_host(host) for host in self.scenario.hosts
                       if str(source) in (host.address, host.address6)), self.mac_of(wire))
        self._wires[wire].send(frames.frame(self.router_macs[wire], sender, None, packet, kind))

    def watch(self, wire: str, see: Callable[[bytes], object]) -> None:
        """Show each frame that arrives there from now on."""
        self._watch = wire, see

    def settle(self, wire: str) -> None:
        """Wait until a control has gone through, sent after everything else on that wire."""
        connection = next(one for one in self.oracle.connections if wire in one.views)
        if not self.carries(connection, wire, PATIENCE):
            raise LabError(f"{self.scenario.name}: the control of {wire}, {connection.name}, does not arrive")
        self.drain(_SETTLE_SECONDS)

    def carries(self, connection: Connection, wire: str, seconds: float) -> bool:
        """Whether a packet of the connection gets from this wire to the other end, sent
        again each second."""
        end, view = time.monotonic() + seconds, connection.views[wire]
        number = next(self._setup)
        while time.monotonic() < end:
            self.send_ip(wire, self.packet_of(connection, wire, view, forge.marker(number)))
            again = min(end, time.monotonic() + 1)
            while time.monotonic() < again:
                self.drain(0.02)
                if self.arrived.get(number, set()) & connection.beyond(wire):
                    del self.arrived[number]
                    return True
        return False

    def revive(self) -> tuple[int, int]:
        """How many of the connections still carried packets both ways, and of how many;
        those that did not are opened again."""
        dead = [one for one in self.oracle.connections
                if not all(self.carries(one, wire, _ALIVE_SECONDS) for wire in one.views)]
        total = len(self.oracle.connections)
        for connection in dead:
            flow, six = self._flows[connection.name]
            place = self.oracle.connections.index(connection)
            self.oracle.connections[place] = self._opened(flow, six)
        return total - len(dead), total

    def sequence(self, connection: Connection, wire: str) -> tuple[int, int]:
        """Which numbers a segment from this end would have: its own, and what it acknowledges."""
        return self._sequence[connection.name, wire]

    # -- connections --

    def open(self, flow: Flow, *, six: bool) -> Connection:
        """Open one, packet by packet, and let the oracle know of it."""
        connection = self._opened(flow, six)
        self.oracle.connections.append(connection)
        return connection

    def _opened(self, flow: Flow, six: bool) -> Connection:
        name = f"{flow.source} > {flow.target} {flow.protocol}/{flow.port}{' v6' if six else ''}"
        self._flows[name] = flow, six
        open_it = self._open_from_router if flow.source == ROUTER else self._open_from_host
        return open_it(name, flow, six)

    def _host(self, name: str) -> Host:
        return next(host for host in self.scenario.hosts if host.name == name)

    def _open_from_host(self, name: str, flow: Flow, six: bool) -> Connection:
        source = self._host(flow.source)
        address, port = _address(source, six), next(self._ports)
        if flow.at:
            target, target_port = flow.at
        elif flow.target == ROUTER:
            target, target_port = self.router_address(source.wire, six), flow.port
        else:
            target, target_port = _address(self._host(flow.target), six), flow.port
        echo = flow.protocol in (ICMP, ICMPV6)
        view = View((ip_address(address), port), (ip_address(target), port if echo else target_port))
        connection = Connection(name, flow.protocol, {source.wire: view}, flow.target == ROUTER)
        data = forge.marker(next(self._setup))
        self._sequence[name, source.wire] = 1000, 0
        packet = forge.transport(flow.protocol, address, target, port, target_port, data)
        if flow.target == ROUTER:
            answer = self._exchange(source.wire, packet, source.wire, _answers(view, flow.protocol)) if not echo else b""
        else:
            wire = self._host(flow.target).wire
            came = self._exchange(source.wire, packet, wire, lambda found: data in found)
            connection.views[wire] = seen = _view_of(came, flow.protocol)
            self._sequence[name, wire] = 7000, 1001
            again = forge.marker(next(self._setup))
            if flow.protocol == TCP:
                reply = forge.ip(str(seen.local[0]), str(seen.remote[0]), TCP, forge.tcp(
                    str(seen.local[0]), str(seen.remote[0]), seen.local[1], seen.remote[1], SYN | ACK, again,
                    sequence=7000, acknowledged=2))
            else:
                reply = self.packet_of(connection, wire, seen, again)
            answer = self._exchange(wire, reply, source.wire, lambda found: again in found)
            self._sequence[name, wire] = 7001, 2
        if flow.protocol == TCP:
            theirs = struct.unpack("!I", _transport_of(answer)[4:8])[0]
            self._sequence[name, source.wire] = 2, theirs + 1
            # Bare: the kernel gives a connection its state by the ACK alone.
            self.send_ip(source.wire, self.packet_of(connection, source.wire, view, b"", flags=ACK))
        if not self.carries(connection, source.wire, PATIENCE):
            raise LabError(f"{self.scenario.name}: {name} does not open")
        return connection

    def _open_from_router(self, name: str, flow: Flow, six: bool) -> Connection:
        host = self._host(flow.target)
        address = _address(host, six)
        kind = socket.SOCK_STREAM if flow.protocol == TCP else socket.SOCK_DGRAM
        opened = self.router.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
        self._sockets_of_router.append(opened)
        opened.setblocking(False)

        def begin() -> None:
            with contextlib.suppress(BlockingIOError):
                opened.connect((address, flow.port))
            if flow.protocol == UDP:
                opened.send(b"from the router")

        target = forge.packed(address)
        came = self._exchange(host.wire, None, host.wire, lambda found: _is_to(found, target, flow.protocol, flow.port), begin)
        view = _view_of(came, flow.protocol)
        connection = Connection(name, flow.protocol, {host.wire: view}, with_router=True)
        if flow.protocol == TCP:
            theirs = struct.unpack("!I", _transport_of(came)[4:8])[0]
            self._sequence[name, host.wire] = 7000, theirs + 1
            self.send_ip(host.wire, self.packet_of(connection, host.wire, view, b"", flags=SYN | ACK))
            self._sequence[name, host.wire] = 7001, theirs + 1
        if not self.carries(connection, host.wire, PATIENCE):
            raise LabError(f"{self.scenario.name}: {name} does not open")
        return connection

    def packet_of(
        self, connection: Connection, wire: str, view: View, data: bytes, flags: int = ACK | PSH
    ) -> bytes:
        """The next packet of a connection from its end on this wire."""
        source, target = str(view.local[0]), str(view.remote[0])
        if connection.protocol == TCP:
            sequence, acknowledged = self._sequence[connection.name, wire]
            return forge.ip(source, target, TCP, forge.tcp(
                source, target, view.local[1], view.remote[1], flags, data, sequence=sequence, acknowledged=acknowledged))
        if connection.protocol == UDP:
            return forge.transport(UDP, source, target, view.local[1], view.remote[1], data)
        opener = next(iter(connection.views))
        return forge.echo(source, target, view.local[1], data, reply=wire != opener)

    def _exchange(
        self, wire: str, packet: bytes | None, at: str, is_it: Callable[[bytes], bool], begin: Callable[[], None] | None = None
    ) -> bytes:
        """Send until the frame arrives that is waited for."""
        found: list[bytes] = []

        self.watch(at, lambda data: found.append(data) if is_it(data) else None)
        if begin is not None:
            begin()
        end = time.monotonic() + PATIENCE
        while not found and time.monotonic() < end:
            if packet is not None:
                self.send_ip(wire, packet)
            again = time.monotonic() + 1
            while not found and time.monotonic() < again:
                self.drain(0.02)
        self._watch = None
        if not found:
            raise LabError(f"{self.scenario.name}: nothing arrives at {at} that was sent at {wire}")
        return found[0]

    # -- wires --

    def _wire(self) -> None:
        self.outside.write_sysctl("net.ipv6.conf.default.disable_ipv6", "1")
        self.outside.write_sysctl("net.ipv6.conf.all.disable_ipv6", "1")
        for wire in self.scenario.wires:
            # The router's by number too: the same run has the same link-local addresses.
            own = self.mac_of(wire).replace(":02:", ":01:")
            self.router.ip("link", "add", wire, "address", own, "type", "veth", "peer", "name", wire, "netns", self.outside.name)
        self.outside.ip(batch="".join(f"link set {wire} address {self.mac_of(wire)} up\n" for wire in self.scenario.wires))

    def mac_of_interface(self, interface: str) -> str:
        """The router's."""
        said = self.router.run(["ip", "-o", "link", "show", "dev", interface], check=True).stdout
        return said.split("link/ether ")[1].split()[0]

    def _listen_on(self, wire: str) -> socket.socket:
        with self.outside.entered():
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _BUFFER)
        opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        opened.bind((wire, _EVERYTHING))
        opened.setblocking(False)
        self._selector.register(opened, selectors.EVENT_READ, wire)
        return opened

    def _listen_inside(self, family: int, protocol: int) -> socket.socket:
        """What the router's own stack takes of a protocol, behind all filters."""
        with self.router.entered():
            opened = socket.socket(family, socket.SOCK_RAW, protocol)
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _BUFFER)
        opened.setblocking(False)
        self._selector.register(opened, selectors.EVENT_READ, None)
        return opened

    def _answer(self, wire: str, data: bytes) -> None:
        asked = frames.asked(data)
        if asked:
            mac, address, wanted = asked
            owner = self._owner(wire, wanted)
            if owner is not None:
                answer = frames.arp(2, (owner, wanted), (mac, address))
                self._wires[wire].send(frames.frame(mac, owner, None, answer, frames.ARP))
        # A neighbour solicitation (RFC 4861, 4.3) that is none for duplicates of the asker's own address.
        elif data[12:14] == forge.IPV6 and data[20:21] == b"\x3a" and data[54:55] == b"\x87" and any(data[22:38]):
            wanted, asker = str(ip_address(data[62:78])), str(ip_address(data[22:38]))
            owner = self._owner(wire, wanted)
            if owner is not None:
                body = data[62:78] + b"\x02\x01" + frames.address(owner)
                message = forge.icmp(wanted, asker, 136, 0, b"\x60\0\0\0", body)
                packet = forge.ipv6(wanted, asker, ICMPV6, message, hops=255)
                self._wires[wire].send(frames.frame(data[6:12].hex(":"), owner, None, packet, forge.IPV6))

    def _owner(self, wire: str, wanted: str) -> str | None:
        """Whose an address is on a wire: a host's, or else, but for the router's, anybody's."""
        zone = self.policy.zone_of_wire(wire)
        if ip_address(wanted) in zone.addresses:
            return None
        host = next((host for host in self.scenario.hosts if wanted in (host.address, host.address6)), None)
        if host is not None:
            return self.mac_of_host(host) if host.wire == wire else None
        return self.mac_of(wire) if wire == zone.wires[0] else None


def _address(host: Host, six: bool) -> str:
    address = host.address6 if six else host.address
    if address is None:
        raise LabError(f"{host.name} has no IPv6 address")
    return address


def _transport_of(data: bytes) -> bytes:
    """What an IP header without options, behind an Ethernet header, is in front of."""
    return data[14 + (40 if data[14] >> 4 == 6 else 20):]


def _ends_of(data: bytes) -> tuple[bytes, bytes]:
    return (data[22:38], data[38:54]) if data[14] >> 4 == 6 else (data[26:30], data[30:34])


def _view_of(data: bytes, protocol: int) -> View:
    """The connection as its target sees it, by the frame that opens it."""
    source, target = map(ip_address, _ends_of(data))
    content = _transport_of(data)
    ports = struct.unpack("!HH", content[:4])
    if protocol in (ICMP, ICMPV6):
        ports = struct.unpack("!H", content[4:6]) * 2
    return View((target, ports[1]), (source, ports[0]))


def _is_to(data: bytes, target: bytes, protocol: int, port: int) -> bool:
    if data[12:14] not in (frames.IPV4, forge.IPV6):
        return False
    place = 14 + (6 if data[14] >> 4 == 6 else 9)
    return (data[place], _ends_of(data)[1], struct.unpack("!H", _transport_of(data)[2:4])[0]) == (protocol, target, port)


def _answers(view: View, protocol: int) -> Callable[[bytes], bool]:
    """Whether a frame is from the far end of the view to the near one."""
    def is_it(data: bytes) -> bool:
        if not _is_to(data, view.local[0].packed, protocol, view.local[1]):
            return False
        return _ends_of(data)[0] == view.remote[0].packed
    return is_it


@contextlib.contextmanager
def _listening6(router: Namespace, ports: Sequence[int]) -> Iterator[None]:
    """TCP ports of IPv6, beside those of IPv4; the kernel accepts, nobody reads."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            listening = stack.enter_context(router.socket(socket.AF_INET6))
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(("::", port))
            listening.listen(64)
        yield
