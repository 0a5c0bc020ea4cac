"""Addresses that another program brings: an interface that comes late, gets and changes its
address and goes, as that of PPPoE does.

A line of tun devices stands for pppd's: the kernels on which this runs need not have PPP. tests/qemu/test_pppoe.py
has a real one.
"""

from __future__ import annotations

import json

from lab import probes
from lab.capture import Capture
from lab.dialup import MTU, Line
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import allow
from netns.program import ROOT
from netns.recipes import HOUSE, INTERNET, PORCH, PORCH_MAC, SERVER, base, recipe

EXAMPLE = ROOT / "examples/behind-pppoe.toml"
# Whoever is on the wire that carries PPPoE, beside the provider's end of it.
NEIGHBOUR = INTERNET
PROVIDER, OWN, NEXT = "100.64.0.1", "100.64.1.2", "100.64.9.9"
# The other end of a VPN.
PHONE = "10.8.0.2"
VPN = f"""
[zones.vpn]
interface = "tun0"
address = "given"
role = "private"

[[routes]]
to = "10.8.0.0/24"
via = "vpn"
"""


@both_backends
class Given(RouterTest):
    """The example; the internet host is the provider's end of the line, with a server behind it."""

    wirings = (NEIGHBOUR, PORCH, HOUSE)

    def setUp(self) -> None:
        super().setUp()
        self.camera.ip("link", "set", "eth0", "address", PORCH_MAC)
        self.internet.ip("address", "add", f"{SERVER}/32", "dev", "lo")
        self.text = EXAMPLE.read_text()

    def dial(self, near: str = OWN, far: str = PROVIDER) -> Line:
        """A new line, whose other end knows the ways inside, as nobody on the internet does."""
        line = Line(self.router, self.internet)
        self.addCleanup(line.hang_up)
        line.address(near, far)
        for inside in ("192.168.8.0/24", "192.168.5.0/24"):
            self.internet.ip("route", "replace", inside, "dev", line.interface)
        return line

    def leads_out(self) -> bool:
        """Whether the default route is the line."""
        return self.router.run(["ip", "-4", "route", "show", "default"], check=True).stdout.startswith("default dev ppp0")

    def status(self, expect: int) -> str:
        return self.camfw("status", expect=expect).said

    def settled(self) -> bool:
        return self.program.run("status").code == 0

    def source_seen(self, target: str = SERVER) -> str:
        """The source of what the house opens, as the internet sees it."""
        with Capture(self.internet, "tcp dst port 443 and tcp[tcpflags] & tcp-syn != 0", "ppp0") as arrived:
            reach = probes.tcp(self.laptop, target, 443)
            self.assertTrue(reach, reach.detail)
            self.assertGreater(arrived.count(expected=1), 0)
        self.assertIn(f"mss {MTU - 40}", arrived.packets[0], "clamped to what PPPoE leaves")
        return arrived.packets[0].split(" IP ")[1].split(" > ")[0].rpartition(".")[0]

    def assert_closed_to_outside(self, own: str) -> None:
        """From the other end of the line, and from the wire that carries it."""
        self.assertFalse(probes.tcp(self.internet, own, 22, wait=0.5))
        self.assertFalse(probes.tcp(self.internet, HOUSE.address, 443, wait=0.5))
        self.assertFalse(probes.tcp(self.internet, PORCH.address, 443, wait=0.5))
        self.assertFalse(probes.tcp(self.camera, SERVER, 443, wait=0.5))

    def test_the_file_gives_the_address_and_the_other_end_is_the_gateway(self) -> None:
        for host, port in ((self.internet, 443), (self.router, 22)):
            self.addCleanup(Listener(host, [port]).stop)
        given = 'address   = "given"          # by pppd, which may come late or dial again\n'
        self.assertIn(given, self.text)
        self.program.configure(self.text.replace(given, f'address   = "{OWN}/32"\nmtu       = {MTU}\n'))
        self.dial()
        self.camfw("boot")
        self.assertTrue(self.leads_out())
        self.assertTrue(self.settled())
        self.assertEqual(self.source_seen(), OWN)
        self.assertFalse(probes.tcp(self.internet, OWN, 22, wait=0.5))
        self.camfw("open")
        self.assertTrue(probes.tcp(self.internet, OWN, 22), "control")

    def test_it_comes_late_gets_another_address_goes_and_comes_back(self) -> None:
        listeners = [Listener(host, [22, 443]) for host in (self.internet, self.router, self.camera, self.laptop)]
        for listener in listeners:
            self.addCleanup(listener.stop)
        self.program.configure(self.text)
        self.camfw("boot")
        self.assertRegex(self.status(0), "^APPLIED for ")
        self.assertFalse(self.leads_out())
        # The carrier is up, and nobody's.
        self.assertIn(",UP", self.router.run(["ip", "link", "show", "eth0"], check=True).stdout)
        self.assertEqual(self.router.run(["ip", "-4", "address", "show", "eth0"], check=True).stdout, "")
        self.assertFalse(probes.tcp(self.laptop, SERVER, 443, wait=0.5))
        watch = self.program.start("watch")
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.terminate)
        line = self.dial()
        self.assertTrue(wait_until(self.leads_out), self.program.logged())
        self.assertTrue(wait_until(self.settled))
        self.assertEqual(self.router.read_sysctl("net.ipv4.conf.ppp0.rp_filter"),
                         self.router.read_sysctl("net.ipv4.conf.eth2.rp_filter"))
        self.assertEqual(self.source_seen(), OWN)
        self.assert_closed_to_outside(OWN)
        # Another address: its programs'. Nothing of it is undone by an apply, and it holds at once.
        line.address(NEXT, PROVIDER)
        self.camfw("apply")
        self.assertIn(f"{NEXT} peer {PROVIDER}/32",
                      self.router.run(["ip", "address", "show", "ppp0"], check=True).stdout)
        self.assertTrue(wait_until(self.leads_out))
        self.assertEqual(self.source_seen(), NEXT)
        self.assert_closed_to_outside(NEXT)
        self.assertTrue(self.settled())
        self.camfw("prove", "--live")
        loaded = self.scratch / "loaded.v4"
        loaded.write_text(self.tables.save("iptables"))
        self.camfw("compare", str(self.program.config), str(loaded))
        # It is hung up, and the rest goes on.
        line.hang_up()
        self.assertTrue(wait_until(lambda: not self.leads_out()))
        self.assertFalse(probes.tcp(self.laptop, SERVER, 443, wait=0.5))
        self.status(0)
        self.dial()
        self.assertTrue(wait_until(self.leads_out))
        self.assertEqual(self.source_seen(), OWN)
        # The control: without a firewall each of what did not pass does.
        self.camfw("open")
        self.open_router()
        for source, target in ((self.internet, OWN), (self.internet, HOUSE.address), (self.internet, PORCH.address)):
            self.assertTrue(probes.tcp(source, target, 443), target)

    def test_what_its_program_gives_is_told_where_it_takes_from_another_zone(self) -> None:
        line = self.dial()
        self.program.configure(self.text)
        self.camfw("boot")
        self.status(0)
        # The other end says that it is the camera, whose packets would go there.
        line.address(OWN, PORCH.address)
        self.assertIn(f"interface ppp0: its other end has the address {PORCH.address}/32", self.status(1))
        line.address("192.168.8.99", PROVIDER)
        self.assertIn("interface ppp0: address 192.168.8.99/32 is not ours", self.status(1))
        line.address(OWN, PROVIDER)
        self.camfw("apply")
        self.router.ip("route", "add", f"{PORCH.address}/32", "dev", "ppp0")
        self.assertIn(f"unicast route {PORCH.address}/32 on ppp0", self.status(1))
        self.router.ip("route", "del", f"{PORCH.address}/32", "dev", "ppp0")
        # A route of its own to somewhere else is its business.
        self.router.ip("route", "add", "198.51.100.0/24", "dev", "ppp0")
        self.status(0)
        # An address on the carrier is nobody's to set.
        self.router.ip("address", "add", "192.168.0.2/24", "dev", "eth0")
        self.assertIn("interface eth0: address 192.168.0.2/24 is not ours", self.status(1))

    def test_a_vpn_is_who_its_routes_say(self) -> None:
        self.program.configure(self.text + VPN + allow("vpn", "camera", "rtsp") + allow("vpn", "router", "ping"))
        self.camfw("boot")
        self.status(0)
        # A packet for it goes nowhere while it is not there.
        self.dial()
        self.camfw("apply")
        gone = self.router.run(["ip", "route", "get", PHONE])
        self.assertNotIn("ppp0", gone.stdout)
        line = Line(self.router, self.laptop, "tun0")
        self.addCleanup(line.hang_up)
        line.address("10.8.0.1", PHONE)
        self.laptop.ip("route", "add", "192.168.8.0/24", "dev", "tun0")
        self.camfw("apply")
        self.status(0)
        with Listener(self.camera, [554, 80]):
            self.assertTrue(probes.tcp(self.laptop, PORCH.address, 554))
            self.assertFalse(probes.tcp(self.laptop, PORCH.address, 80, wait=0.5))
            # Nobody else is let in by it.
            line.address("10.9.0.1", "10.9.0.2")
            self.laptop.ip("route", "add", "192.168.8.0/24", "dev", "tun0")
            self.camfw("apply")
            self.assertFalse(probes.tcp(self.laptop, PORCH.address, 554, wait=0.5))
        matrix = self.camfw("show", "matrix", "--exact", "--proto", "tcp", "--dport", "554").stdout
        self.assertIn("10.8.0.0/24", matrix)
        report = json.loads(self.camfw("status", "--json").stdout)
        self.assertEqual(report["missing"], [])
        said = self.camfw("trace", "--from", "vpn", "--to", "camera", "--src", PHONE, "--dst", PORCH.address,
                          "--dport", "554").stdout
        self.assertRegex(said.splitlines()[-1], "^ACCEPT")

    def test_the_recipe_is_carried_out(self) -> None:
        dropin = recipe("The internet comes by PPPoE").block()
        self.program.configure(base(dropin))
        folder = self.program.config.with_suffix(".d")
        folder.mkdir()
        (folder / "pppoe.toml").write_text(dropin)
        self.camfw("apply")
        self.dial()
        self.camfw("apply")
        self.assertRegex(self.status(0), "^APPLIED for ")
        with Listener(self.internet, [443]), Listener(self.laptop, [443]):
            self.assertEqual(self.source_seen(), OWN)
            self.assertFalse(probes.tcp(self.camera, SERVER, 443, wait=0.5))
            self.assertFalse(probes.tcp(self.internet, HOUSE.address, 443, wait=0.5))
