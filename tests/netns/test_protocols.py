"""Protocols without ports, source ports, and `all`: real packets by raw sockets."""

from __future__ import annotations

import itertools
import socket

from lab import example, probes
from lab.namespace import Namespace
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import ZONES, allow

IGMP, GRE, ESP, VRRP = 2, 47, 50, 112
PORT, SOURCE = 7000, 7001
FROM_PORT = f"{{ udp = {PORT}, tcp = {PORT}, source-port = {SOURCE} }}"
NUMBERS = itertools.count()


@both_backends
class Protocols(RouterTest):
    def arrives(self, source: Namespace, target: Namespace, address: str, protocol: int,
                wait: float = probes.PATIENCE) -> bool:
        """Whether a packet of this protocol gets there; sent again until it does."""
        # The header of GRE with IPv4 in it, which conntrack reads; for others it is only bytes.
        text = b"\0\0\x08\0" + b"camfw %d" % next(NUMBERS)
        with target.entered():
            there = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
        with source.entered():
            here = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
        with there, here:
            there.settimeout(0.2)

            def came() -> bool:
                here.sendto(text, (address, 0))
                try:
                    return text in there.recv(2000)
                except OSError:
                    return False

            return probes.wait_until(came, wait)

    def asks(self, source: Namespace, kind: int, port: int, wait: float = probes.PATIENCE) -> bool:
        """Whether the internet host answers what is sent from this port."""
        with source.socket(kind=kind) as flow:
            flow.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            flow.bind(("0.0.0.0", port))
            flow.settimeout(wait)
            try:
                flow.connect((example.INTERNET.address, PORT))
            except OSError:
                return False
            return probes.wait_until(lambda: probes.echoes(flow, min(wait, 1)), wait)

    def test_igmp_comes_to_its_groups_from_where_a_line_says(self) -> None:
        group = "224.0.0.1"
        self.boot(ZONES, allow("camera", "router", '{ protocol = "igmp" }', 'address = "224.0.0.0/24"'))
        self.assertTrue(self.arrives(self.camera, self.router, group, IGMP))
        self.assertFalse(self.arrives(self.camera, self.router, example.CAMERA.router, IGMP, wait=0.5))
        self.assertFalse(self.arrives(self.laptop, self.router, group, IGMP, wait=0.5))
        self.camfw("open")
        self.assertTrue(self.arrives(self.laptop, self.router, group, IGMP), "control")

    def test_what_the_lines_name_passes_and_nothing_else(self) -> None:
        listener = Listener(self.internet, tcp=[PORT], udp=[PORT])
        self.addCleanup(listener.stop)
        self.boot(
            '[router]\negress = "listed"', ZONES,
            allow("private", "external", f'["gre", {{ protocol = {VRRP} }}, {FROM_PORT}]'),
            allow("router", "external", FROM_PORT),
            allow("private", "camera", "all"),
        )
        inside, outside = example.LAPTOP.address, example.INTERNET.address
        # Nobody outside begins; an answer passes.
        self.assertFalse(self.arrives(self.internet, self.laptop, inside, GRE, 1))
        for protocol in (GRE, VRRP):
            self.assertTrue(self.arrives(self.laptop, self.internet, outside, protocol), protocol)
            self.assertTrue(self.arrives(self.internet, self.laptop, inside, protocol), protocol)
        self.assertFalse(self.arrives(self.laptop, self.internet, outside, ESP, 1))
        for host in (self.laptop, self.router):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                self.assertTrue(self.asks(host, kind, SOURCE), (host, kind))
                self.assertFalse(self.asks(host, kind, SOURCE + 1, 1), (host, kind))
        # All is TCP, UDP and ICMP too.
        camera = example.CAMERA.address
        self.assertFalse(self.arrives(self.camera, self.laptop, inside, ESP, 1))
        self.assertTrue(self.arrives(self.laptop, self.camera, camera, ESP))
        self.assertTrue(self.arrives(self.camera, self.laptop, inside, ESP))
        self.assertTrue(probes.ping(self.laptop, camera))
        with_ports = Listener(self.camera, tcp=[PORT], udp=[PORT])
        self.addCleanup(with_ports.stop)
        self.assertTrue(probes.tcp(self.laptop, camera, PORT))
        self.assertTrue(probes.udp(self.laptop, camera, PORT))
        self.assertIn("all", self.camfw("show", "matrix").stdout)
        self.camfw("prove", "--live")
        self.camfw("status")
