"""IPv6 addresses by router advertisements of the real dnsmasq with what `camfw show dnsmasq` prints; the
kernels of the hosts make theirs (SLAAC)."""

from __future__ import annotations

import ipaddress
import re
import shutil
import socket
import subprocess

from lab import probes
from lab.namespace import Namespace
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import PING, allow
from netns.test_ipv6_same import INTERNET, ROUTER, zones

DNSMASQ = str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin"))
NETWORKS = {"camera": ROUTER["camera"], "laptop": ROUTER["laptop"]}
LISTED = '[router]\negress = "listed"\n'
ACROSS = allow("private", "camera", "ping") + allow("private", "external", "http")


@both_backends
class Advertised(RouterTest):
    """dnsmasq on the router; the camera and the laptop have no IPv6 address of their own."""

    def setUp(self) -> None:
        super().setUp()
        self.server: subprocess.Popen[bytes] | None = None
        self.addCleanup(self.end)
        self.enterContext(Listener(self.internet, tcp=[80], family=socket.AF_INET6))
        self.hosts = {"camera": self.camera, "laptop": self.laptop}
        for host in self.hosts.values():
            host.ip("-6", "address", "flush", "dev", "eth0", "scope", "global")
            host.ip("-6", "route", "flush", "default")
            host.write_sysctl("net.ipv6.conf.eth0.accept_ra", "1")
            host.write_sysctl("net.ipv6.conf.eth0.router_solicitation_interval", "1")

    def serve(self, *more: str) -> None:
        config = self.scratch / "dnsmasq.conf"
        config.write_text(self.camfw("show", "dnsmasq").stdout + "".join(f"{line}\n" for line in more))
        tried = self.router.run([DNSMASQ, "--test", f"--conf-file={config}"])
        self.assertEqual(tried.returncode, 0, tried.stdout + tried.stderr)
        self.end()
        self.server = self.router.start([
            DNSMASQ, "--keep-in-foreground", f"--conf-file={config}", "--no-resolv", "--no-hosts",
            "--dhcp-leasefile=/dev/null", "--leasefile-ro", "--pid-file=", "--user=root",
        ])

    def end(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    def solicit(self) -> None:
        """A host whose interface comes up asks for routers."""
        for host in self.hosts.values():
            host.ip("link", "set", "eth0", "down")
            host.ip("link", "set", "eth0", "up")

    def made(self, host: Namespace) -> str:
        """The address that the host made; nothing without one."""
        shown = host.run(["ip", "-6", "address", "show", "dev", "eth0", "scope", "global", "dynamic"]).stdout
        found = re.search(r"inet6 (\S+)/64", shown)
        return found[1] if found else ""

    def default(self, host: Namespace) -> str:
        return host.run(["ip", "-6", "route", "show", "default"]).stdout

    def test_hosts_that_may_ask_make_their_addresses(self) -> None:
        for egress in ("", LISTED):
            with self.subTest(egress):
                ask = allow("private", "router", "dhcpv6") + allow("camera", "router", '["dhcpv6", "dns"]')
                self.boot(zones(), PING, ask, ACROSS, egress)
                self.serve()
                self.solicit()
                for name, host in self.hosts.items():
                    self.assertTrue(probes.wait_until(lambda host=host: self.made(host) != ""), name)
                    network = ipaddress.ip_network(f"{NETWORKS[name]}/64", strict=False)
                    self.assertIn(ipaddress.ip_address(self.made(host)), network)
                    self.assertTrue(probes.wait_until(lambda host=host: "proto ra" in self.default(host)), self.default(host))
                    self.assertTrue(probes.ping(host, ROUTER[name]))
                self.assertTrue(probes.ping(self.laptop, self.made(self.camera)), "by the routes that they learnt")
                self.assertFalse(probes.ping(self.camera, self.made(self.laptop), 0.5))
                self.assertTrue(probes.tcp(self.laptop, INTERNET, 80), "out by IPv6")
                self.assertFalse(probes.tcp(self.camera, INTERNET, 80, 0.5))
                self.camfw("prove", "--live")
                self.camfw("status")

    def test_where_no_line_lets_hosts_ask_nothing_is_advertised(self) -> None:
        # With a server that would, and a router that sends what is listed.
        self.boot(zones(), PING, allow("private", "router", "dhcpv6"), LISTED)
        self.serve("interface=eth1", "dhcp-range=set:camera,fd00:8::,ra-only,64")
        self.solicit()
        self.assertTrue(probes.wait_until(lambda: self.made(self.laptop) != ""), "control")
        self.assertEqual(self.made(self.camera), "")
        self.assertEqual(self.default(self.camera), "")
