"""With IPv6 dropped, no IPv6 packet passes: neither to the router, from it, nor across
it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from lab import example, probes
from lab.namespace import Namespace
from lab.probes import Reach
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.program import COMMANDS, tools

PORTS = (21, 22, 80)
UDP_PORTS = (53, 546)


@both_backends
class Ipv6(RouterTest):
    """Every interface has IPv6 addresses and routes, and forwarding is on."""

    def setUp(self) -> None:
        super().setUp()
        with contextlib.ExitStack() as stack:
            self.listeners = {
                name: stack.enter_context(Listener(namespace, PORTS, UDP_PORTS, socket.AF_INET6))
                for name, namespace in {
                    "router": self.router, "internet": self.internet,
                    "camera": self.camera, "laptop": self.laptop,
                }.items()
            }
            self.addCleanup(stack.pop_all().close)
        self.lab.configure_router(ipv6=True)

    def attempts(self, wait: float) -> dict[str, Reach]:
        """Each protocol from each host to the router and to each other host, and back."""
        tried: dict[str, Future[Reach]] = {}
        with ThreadPoolExecutor(32) as pool:
            for source, target, namespace, address in self.ways():
                way = f"{source} -> {target}"
                tried[f"{way} ping"] = pool.submit(probes.ping, namespace, address, wait)
                for port in PORTS:
                    tried[f"{way} tcp {port}"] = pool.submit(probes.tcp, namespace, address, port, wait)
                received = self.listeners[target].received
                for port in UDP_PORTS:
                    tried[f"{way} udp {port}"] = pool.submit(
                        probes.udp, namespace, address, port, received, wait)
        return {way: reach.result() for way, reach in tried.items()}

    def ways(self) -> Iterator[tuple[str, str, Namespace, str]]:
        """Source and target by name, the source's namespace, and the target's address."""
        for host in self.lab.hosts.values():
            yield host.name, "router", host.namespace, host.wiring.router6
            yield "router", host.name, self.router, host.wiring.address6
            for other in self.lab.hosts.values():
                if other is not host:
                    yield host.name, other.name, host.namespace, other.wiring.address6

    def assert_all(self, reached: bool, wait: float) -> None:
        wrong = {way: reach.detail for way, reach in self.attempts(wait).items() if bool(reach) != reached}
        self.assertEqual(wrong, {}, "got through" if not reached else "control: did not get through")

    def test_ipv6_gets_nowhere_after_boot(self) -> None:
        self.assert_all(True, wait=probes.PATIENCE)
        self.camfw("boot")
        self.assert_all(False, wait=0.3)

    def test_ipv6_gets_nowhere_after_apply(self) -> None:
        self.camfw("apply")
        self.assert_all(False, wait=0.3)

    def test_ipv6_gets_nowhere_while_sealed(self) -> None:
        self.camfw("seal")
        self.assert_all(False, wait=0.3)

    def test_an_established_ipv6_flow_is_cut(self) -> None:
        with self.camera.socket(socket.AF_INET6) as flow:
            flow.settimeout(probes.PATIENCE)
            flow.connect((example.LAPTOP.address6, 80))
            flow.sendall(b"control")
            self.assertEqual(flow.recv(100), b"control")
            self.camfw("boot")
            flow.settimeout(1)
            flow.sendall(b"after")
            with self.assertRaises(TimeoutError):
                flow.recv(100)

    def test_a_link_local_address_is_no_way_in(self) -> None:
        show = ["ip", "-6", "-o", "address", "show", "dev", "eth1", "scope", "link"]
        shown = self.router.run(show, check=True)
        address = shown.stdout.split()[3].split("/")[0] + "%eth0"
        self.assertTrue(probes.ping(self.camera, address), "control")
        self.camfw("boot")
        self.assertFalse(probes.ping(self.camera, address, 0.5))

    def test_the_loopback_address_still_works(self) -> None:
        self.camfw("boot")
        self.assertTrue(probes.tcp(self.router, "::1", 80))

    def test_without_ip6tables_ipv6_is_turned_off_and_said(self) -> None:
        without = [name for name in COMMANDS if name.startswith("ip6")]
        path = tools(self.scratch / "without", self.backend, without)
        result = self.camfw("boot", path=path)
        self.assertIn("ip6tables", result.said)
        self.assertEqual(self.router.read_sysctl("net.ipv6.conf.all.disable_ipv6"), "1")
        self.assert_all(False, wait=0.3)
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router), "IPv4 works")
