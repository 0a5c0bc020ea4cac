"""What the router itself may connect to: anything, or only what the file lists."""

from __future__ import annotations

from lab import example, probes
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, ZONES, allow

NAMED = example.INTERNET.address
ANOTHER = "192.168.0.77"
LISTED = '[router]\negress = "listed"\n'


@both_backends
class Egress(RouterTest):
    """The internet host has two addresses; the file names one of them."""

    def setUp(self) -> None:
        super().setUp()
        self.internet.ip("address", "add", f"{ANOTHER}/24", "dev", "eth0")
        self.listeners = [
            Listener(namespace, tcp=[53, 80, 443], udp=[53, 123]) for namespace in (self.internet, self.camera)
        ]
        for listener in self.listeners:
            self.addCleanup(listener.stop)

    def received(self, token: bytes) -> bool:
        return any(listener.received(token) for listener in self.listeners)

    def reached(self, wait: float) -> set[str]:
        """The destinations that the router reaches, by name."""
        tried: dict[str, probes.Reach] = {}
        for name, address in (("named", NAMED), ("another", ANOTHER), ("camera", example.CAMERA.address)):
            for port in (53, 80, 443):
                tried[f"{name} tcp {port}"] = probes.tcp(self.router, address, port, wait)
            for port in (53, 123):
                tried[f"{name} udp {port}"] = probes.udp(self.router, address, port, self.received, wait)
            tried[f"{name} ping"] = probes.ping(self.router, address, wait)
        return {name for name, reach in tried.items() if reach}

    def test_open_unless_it_is_listed(self) -> None:
        self.boot(ZONES, PING)
        self.assertEqual(len(self.reached(2)), 18)

    def test_just_what_is_listed(self) -> None:
        self.boot(
            ZONES, LISTED, allow("router", "external", '["dns", "ntp"]', f'address = "{NAMED}"'),
            allow("router", "camera", "http"),
        )
        self.assertEqual(self.reached(0.3), {"named tcp 53", "named udp 53", "named udp 123", "camera tcp 80"})

    def test_nothing_where_nothing_is_listed(self) -> None:
        self.boot(ZONES, LISTED, PING)
        self.assertEqual(self.reached(0.3), set())
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router), "answers pass")
        self.assertTrue(probes.ping(self.router, "127.0.0.1"), "the loopback")
