"""A listed camera whose cable was put into another zone's port: with an address from there it
opens nothing, and what it tries is told."""

from __future__ import annotations

import json
import shutil
import socket
from typing import Any

from lab import example, probes
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.probes import wait_until
from lab.services import Listener
from netns.case import RouterTest, both_backends
from netns.policies import allow, camera
from netns.test_ipv6_same import zones

MAC, HOUSE_MAC, OTHER_MAC = example.CAMERA.mac, "02:00:00:00:00:77", "02:00:00:00:00:99"
# Addresses that the house's wire gives.
TAKEN, TAKEN6 = "192.168.5.77", "fd00:5::77"
INTERNET, INTERNET6 = example.INTERNET.address, example.INTERNET.address6
HOUSE, HOUSE6 = example.LAPTOP.router, example.LAPTOP.router6
PASSES = (
    allow("private", "external", "http") + allow("private", "camera", "http") + allow("private", "router", "ssh")
    + allow("private", "router", "dhcp") + allow("camera", "router", "ping") + allow("external", "router", "{ tcp = [8443] }")
)
TARGETS = (
    (INTERNET, 80), (INTERNET6, 80), (example.CAMERA.address, 80), (example.CAMERA.address6, 80), (HOUSE, 22), (HOUSE6, 22),
)
LINE = 'to = "router", service = { tcp = [21] }'
POLICY = zones() + PASSES + camera("porch", example.CAMERA.address, MAC, LINE)


@both_backends
class Misplaced(RouterTest):
    """The laptop is whoever is on the house's wire, with any hardware address."""

    def setUp(self) -> None:
        super().setUp()
        for host, ports in ((self.internet, [80]), (self.camera, [80]), (self.router, [22, 8443])):
            # Of both families.
            self.addCleanup(Listener(host, ports, (), socket.AF_INET6).stop)

    def be(self, host: Namespace, mac: str, *addresses: str, via: tuple[str, ...] = (HOUSE, HOUSE6)) -> None:
        """Gives a host this hardware address, and no others than these addresses."""
        host.ip("address", "flush", "dev", INTERFACE, "scope", "global")
        self.wear(host, mac)
        for address in addresses:
            length, more = ("64", ["nodad"]) if ":" in address else ("24", [])
            host.ip("address", "add", f"{address}/{length}", "dev", INTERFACE, *more)
        for router in via:
            host.ip("-6" if ":" in router else "-4", "route", "replace", "default", "via", router)

    def wear(self, host: Namespace, mac: str) -> None:
        """Changes a host's hardware address, and makes the router forget the one before."""
        host.ip("link", "set", INTERFACE, "address", mac)
        for device in ("eth0", "eth2"):
            self.router.ip("neigh", "flush", "dev", device)

    def reached(self) -> dict[str, bool]:
        """Whether the laptop can open what the house may."""
        return {f"{to} {port}": bool(probes.tcp(self.laptop, to, port)) for to, port in TARGETS}

    def dropped(self, program: str = "iptables") -> int:
        return self.tables.packets("filter", "misplaced", "DROP", program)

    def assert_drops(self, host: Namespace, to: str, port: int) -> None:
        """It cannot open `port`, and that is since its packet was dropped: on a busy machine the first packet can
        take longer than a short wait, neighbour discovery goes before it, so it tries until one was."""
        program = "ip6tables" if ":" in to else "iptables"
        before = self.dropped(program)

        def tried() -> bool:
            self.assertFalse(probes.tcp(host, to, port, 0.4), to)
            return self.dropped(program) > before

        self.assertTrue(wait_until(tried), f"nothing that was sent to {to} was dropped")

    def test_on_the_houses_wire_it_opens_nothing(self) -> None:
        self.boot(POLICY)
        self.be(self.laptop, HOUSE_MAC, TAKEN, TAKEN6)
        house = self.reached()
        self.assertTrue(house[f"{INTERNET} 80"] and house[f"{INTERNET6} 80"], f"control: {house}")
        self.assertTrue(house[f"{HOUSE} 22"] and house[f"{HOUSE6} 22"], f"control: {house}")
        self.assertEqual([self.dropped(), self.dropped("ip6tables")], [0, 0])
        self.be(self.laptop, MAC, TAKEN, TAKEN6)
        for to, port in TARGETS:
            self.assert_drops(self.laptop, to, port)
        self.be(self.laptop, HOUSE_MAC, TAKEN, TAKEN6)
        self.assertEqual(self.reached(), house, "the house goes on")

    def test_so_does_each_of_many(self) -> None:
        """Whose hardware addresses are a tree of chains, by their last bits; and each neighbour of one in all bits but
        one is the house's."""
        macs = [f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}" for number in range(0, 40 * 37, 37)]
        cameras = "".join(camera(f"c{place}", f"192.168.8.{100 + place}", mac) for place, mac in enumerate(macs))
        self.boot(zones() + PASSES + cameras)
        self.assertIn("-m bpf --bytecode", self.tables.snapshot())
        for place in (0, 1, 17, 39):
            self.be(self.laptop, macs[place], TAKEN, TAKEN6)
            for to in (INTERNET, INTERNET6):
                self.assert_drops(self.laptop, to, 80)
            number = int(macs[place].replace(":", ""), 16)
            others = (f"{number ^ 1 << bit:012x}" for bit in (0, 3, 6, 9, 20))
            for other in (":".join(it[at:at + 2] for at in range(0, 12, 2)) for it in others):
                self.assertNotIn(other, macs)
                self.be(self.laptop, other, TAKEN, via=(HOUSE,))
                self.assertTrue(probes.tcp(self.laptop, INTERNET, 80), other)
        # On their own wire none has an address that is not its own, and whoever is not listed has any.
        spoofed = self.tables.packets("raw", "spoofed-camera", "DROP")
        self.be(self.camera, macs[39], "192.168.8.77", via=(example.CAMERA.router,))
        self.assertFalse(probes.ping(self.camera, example.CAMERA.router, 0.4))
        self.assertGreater(self.tables.packets("raw", "spoofed-camera", "DROP"), spoofed)
        self.be(self.camera, OTHER_MAC, "192.168.8.77", via=(example.CAMERA.router,))
        spoofed = self.tables.packets("raw", "spoofed-camera", "DROP")
        self.assertTrue(probes.ping(self.camera, example.CAMERA.router))
        self.assertEqual(self.tables.packets("raw", "spoofed-camera", "DROP"), spoofed)

    def test_what_is_open_goes_on(self) -> None:
        self.boot(POLICY)
        self.be(self.laptop, HOUSE_MAC, TAKEN, via=(HOUSE,))
        with self.laptop.socket() as flow:
            flow.settimeout(probes.PATIENCE)
            flow.connect((INTERNET, 80))
            self.wear(self.laptop, MAC)
            self.assert_drops(self.laptop, INTERNET, 80)
            dropped = self.dropped()
            self.assertTrue(probes.echoes(flow), "the one that is open")
            self.assertEqual(self.dropped(), dropped, "it is not even asked")

    def test_on_the_way_out_it_reaches_no_service_of_the_router(self) -> None:
        own = (INTERNET, INTERNET6)
        self.boot(POLICY)
        self.be(self.internet, OTHER_MAC, *own, via=())
        self.assertTrue(probes.tcp(self.internet, example.INTERNET.router, 8443), "control")
        self.be(self.internet, MAC, *own, via=())
        for to in (example.INTERNET.router, example.INTERNET.router6):
            self.assert_drops(self.internet, to, 8443)

    def test_it_gets_no_lease_of_the_house(self) -> None:
        process = self.router.start([
            str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), "--keep-in-foreground", "--port=0",
            "--conf-file=/dev/null", "--interface=eth2", "--no-ping", "--dhcp-range=192.168.5.100,192.168.5.120,255.255.255.0,2m",
            "--dhcp-leasefile=/dev/null", "--leasefile-ro", "--pid-file=", "--user=root",
        ])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.boot(POLICY)
        self.assertTrue(self.has_lease(HOUSE_MAC, 5), "control")
        self.assertEqual(self.dropped(), 0)
        self.assertFalse(self.has_lease(MAC, 3))
        self.assertGreater(self.dropped(), 0)
        self.assertTrue(self.has_lease(HOUSE_MAC, 5), "the house still gets one")

    def has_lease(self, mac: str, tries: int) -> bool:
        self.be(self.laptop, mac, via=())
        client = [str(shutil.which("busybox")), "udhcpc", "-f", "-q", "-n", "-i", INTERFACE, "-s", "/bin/true"]
        return self.laptop.run([*client, "-t", str(tries), "-T", "1", "-A", "1"], check=False).returncode == 0

    def test_it_is_told(self) -> None:
        self.boot(POLICY + '[watch]\ninterval = 3600\n')
        with self.program.watching():
            self.assertTrue(wait_until(lambda: self.blocked()["recording"]), "it records")
            self.be(self.laptop, MAC, TAKEN, via=(HOUSE,))
            self.assert_drops(self.laptop, INTERNET, 80)

            def told() -> set[tuple[str, str, str]]:
                hosts = self.blocked()["hosts"]
                return {(host["zone"], host["hardware"], tried["reason"]) for host in hosts for tried in host["tried"]}

            wanted = ("private", MAC, "other zone's camera")
            self.assertTrue(wait_until(lambda: wanted in told()), told())
            self.assertIn("a listed camera of another zone on this wire", self.program.run("blocked").stdout)
            problems = json.loads(self.program.run("hosts", "--json").stdout)["problems"]
            self.assertIn(("porch", "other-zone", "private"), [(it["camera"], it["kind"], it["zone"]) for it in problems])

    def blocked(self) -> dict[str, Any]:
        return dict(json.loads(self.program.run("blocked", "--json").stdout))
