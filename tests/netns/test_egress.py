"""What the router itself may connect to: anything, or only what the file lists."""

from __future__ import annotations

import socket

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

    def test_a_long_list_of_services_is_read_back_whole(self) -> None:
        # The kernel gives a list of ports to the first read alone.
        ports = ", ".join(str(port) for port in range(2000, 60_000, 1000))
        self.boot(ZONES, allow("private", "router", f"{{ udp = [{ports}] }}"))
        self.camfw("status")
        self.camfw("apply")

    def test_no_query_takes_the_port_of_a_service(self) -> None:
        # One port is left that no service has, and each query needs one.
        self.router.write_sysctl("net.ipv4.ip_local_port_range", "40000 40009")
        ports = ", ".join(str(port) for port in range(40_000, 40_009))
        self.boot(ZONES, allow("private", "router", f"{{ udp = [{ports}] }}"))
        for number in range(10):
            with self.router.socket(kind=socket.SOCK_DGRAM) as query:
                # What OUTPUT drops is an error of the sender.
                query.sendto(b"query %d." % number, (NAMED, 53))
                self.assertEqual(query.getsockname()[1], 40_009)
        self.assertTrue(probes.wait_until(lambda: self.received(b"query 9.")))
        self.router.write_sysctl("net.ipv4.ip_local_reserved_ports", "7")
        self.assertIn("ip_local_reserved_ports", self.camfw("status", expect=1).stdout)
        self.camfw("apply")
        self.camfw("status")
