"""Packets whose source is the router itself, at any of its interfaces."""

from __future__ import annotations

import unittest
from typing import ClassVar

from attack import forge
from attack.forge import ICMPV6, TCP, UDP
from attack.scenarios import CAMERA_ROUTER
from attack.stage import Stage
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
