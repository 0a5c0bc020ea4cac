"""Traffic for an interface that disappeared never follows the default route out."""

from __future__ import annotations

import socket

from lab import example
from lab.capture import Capture
from lab.probes import PATIENCE, wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.network import NetworkTest
from netns.policies import MARKED, allow
from netns.test_ipv6_same import CAMERA as CAMERA6
from netns.test_ipv6_same import POLICY, zones


@both_backends
class Unreachable(RouterTest):
    """An open flow from inside, whose interface is then deleted."""

    def try_flow(self, family: socket.AddressFamily, camera: str, *removal: str) -> None:
        with Listener(self.camera, (), (5004,), family), \
                self.laptop.socket(family, socket.SOCK_DGRAM) as flow, \
                Capture(self.internet, "udp and dst port 5004") as internet:
            flow.settimeout(PATIENCE)
            flow.connect((camera, 5004))
            flow.send(b"open")
            self.assertEqual(flow.recv(100), b"open", "control: it is answered")
            self.router.ip("link", "del", "eth1")
            sent = 0
            while sent < 20:
                sent += self.sends(flow)
            self.assertEqual(internet.count(), 0, internet.packets)
            # Without the route it would.
            self.router.ip(*removal)

            def leaves() -> bool:
                self.sends(flow)
                return internet.count() > 0

            self.assertTrue(wait_until(leaves), "control")

    def sends(self, flow: socket.socket) -> int:
        try:
            # A host gets an error (EHOSTUNREACH) and tries again.
            flow.send(b"secret")
        except OSError:
            pass
        return 1

    def test_ipv4(self) -> None:
        text = self.program.config.read_text()
        self.program.configure(text + allow("private", "camera", "{ udp = [5004] }"))
        self.camfw("boot")
        self.try_flow(socket.AF_INET, example.CAMERA.address, "route", "del", "unreachable", "192.168.8.0/24")

    def test_ipv6(self) -> None:
        self.boot(zones(), POLICY)
        self.try_flow(socket.AF_INET6, CAMERA6, "-6", "route", "del", "unreachable", "fd00:8::/64")


class UnreachableRoutesLegacy(NetworkTest):
    def unreachable(self, *arguments: str) -> set[str]:
        shown = self.router.run(["ip", *arguments, "-N", "route", "show", "table", "all", "type", "unreachable"], check=True).stdout
        return {line for line in shown.splitlines() if "proto 202" in line}

    def test_there_is_one_behind_each_network_and_route_and_it_goes_with_it(self) -> None:
        self.extend('[[routes]]\nto = "10.1.0.0/16"\nvia = "192.168.5.10"\n'
                    '[[routes]]\nto = "10.0.0.0/8"\nblackhole = true\n' + MARKED)
        self.camfw("boot")
        found = self.unreachable()
        for destination in ("192.168.0.0/24", "192.168.8.0/24", "192.168.5.0/24", "10.1.0.0/16", "default"):
            self.assertEqual(len([line for line in found if f" {destination} " in line]), 1, found)
        self.assertEqual(len(found), 5, found)
        self.assertTrue(all("metric 4294967295" in line for line in found), found)
        self.assertTrue(any("default" in line and "table 300" in line for line in found), found)
        self.camfw("status")
        self.assertEqual(self.traced("apply"), [])
        # Drift, which is corrected.
        self.router.ip("route", "del", "unreachable", "10.1.0.0/16")
        self.assertIn("set route 10.1.0.0/16 unreachable", self.camfw("status", expect=1).stdout)
        self.camfw("apply")
        self.assertEqual(self.unreachable(), found)
        text = self.program.config.read_text()
        self.program.configure(text[:text.index("[[routes]]")])
        self.camfw("apply")
        self.assertEqual(len(self.unreachable()), 3)

    def test_marked_packets_do_not_fall_back_on_the_main_table(self) -> None:
        self.extend(MARKED)
        self.camfw("boot")
        ping = ["ping", "-c", "1", "-W", "1", "-m", "3", "10.9.9.9"]
        with Capture(self.internet, "icmp and dst host 10.9.9.9") as internet:
            self.router.ip("link", "del", "eth2")
            self.router.run(ping)
            self.assertEqual(internet.count(), 0)
            self.router.ip("route", "del", "unreachable", "default", "table", "300")
            self.router.run(ping)
            self.assertEqual(internet.count(1), 1, "control: it would")

    def test_an_interface_that_is_not_there_has_it_too(self) -> None:
        self.unplug("camera")
        self.extend("\n[router]\nwait = 0\n")
        self.program.run("boot")
        with Capture(self.internet, "icmp and dst host 192.168.8.110") as internet:
            self.router.run(["ping", "-c", "1", "-W", "1", "192.168.8.110"])
            self.assertEqual(internet.count(), 0)
