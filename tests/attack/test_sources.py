"""Packets whose source is the router itself, or a zone's by an interface that is no zone's."""

from __future__ import annotations

import socket
import unittest
from typing import ClassVar

from attack import forge
from attack.forge import ICMPV6, TCP, UDP
from attack.scenarios import CAMERA_ROUTER, SAME
from attack.stage import Stage
from lab import frames
from netns.case import both_backends

# To which the router has no IPv6 route.
NOWHERE = "2620:fe::fe"


@both_backends
class OwnLinkLocalAddress(unittest.TestCase):
    """Where IPv6 is dropped the kernel answers what it finds no route for before any chain
    of filter sees it: to the router itself by the loopback, quoting the sender."""

    backend: ClassVar[str]

    def test_nothing_of_it_comes_back_by_the_loopback(self) -> None:
        with Stage(CAMERA_ROUTER, self.backend) as stage:
            for wire in stage.scenario.wires:
                own = stage.router_link_local(wire)
                for protocol in (TCP, UDP, ICMPV6):
                    number = stage.number()
                    packet = forge.transport(protocol, own, NOWHERE, 40009, 53, forge.marker(number))
                    stage.send_ip(wire, packet)
                    stage.settle(wire)
                    with self.subTest(wire=wire, protocol=protocol):
                        self.assertNotIn(number, stage.arrived)


@both_backends
class UnnamedInterface(unittest.TestCase):
    """An interface that is up and that the file does not name: who is there takes no part
    in the connections of zones, whatever source they write."""

    backend: ClassVar[str]

    def test_nothing_from_it_belongs_to_a_connection(self) -> None:
        with Stage(SAME, self.backend) as stage:
            stage.router.ip("link", "add", "eth9", "type", "veth", "peer", "name", "eth9", "netns", stage.outside.name)
            stage.router.ip("link", "set", "eth9", "up")
            stage.outside.ip("link", "set", "eth9", "up")
            with stage.outside.entered():
                sender = self.enterContext(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
            sender.bind(("eth9", 0))
            router = stage.mac_of_interface("eth9")
            inside = [(one, wire, view) for one in stage.oracle.connections for wire, view in one.views.items()
                      if stage.policy.zone_of_wire(wire).holds(view.local[0])]
            self.assertGreater(len(inside), 10)
            for connection, wire, view in inside:
                number = stage.number()
                packet = stage.packet_of(connection, wire, view, forge.marker(number))
                kind = forge.IPV6 if packet[0] >> 4 == 6 else frames.IPV4
                sender.send(frames.frame(router, stage.mac_of(wire), None, packet, kind))
                # The same from its own wire is the control.
                self.assertTrue(stage.carries(connection, wire, 60), connection.name)
                with self.subTest(connection.name, wire=wire):
                    self.assertNotIn(number, stage.arrived)
