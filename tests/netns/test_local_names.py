"""Names that the router's dnsmasq tells by what `camfw show dnsmasq` prints: the cameras' to all who
may ask, and what it asks others for to nobody who may not ask outside himself."""

from __future__ import annotations

import shutil

from lab import example, probes
from lab.dns import AAAA, NO_ERROR, NO_SUCH_NAME, REFUSED, Answer, NameServer, ask
from netns.case import both_backends
from netns.dns import DnsmasqTest
from netns.policies import ZONES, allow, camera
from netns.test_ipv6_same import ROUTER, zones

FOREIGN = "8.8.8.8"
ADDRESS = "192.0.2.7"
GATE = "192.168.8.111"
# One without mac, so without a lease.
CAMERAS = camera("porch", example.CAMERA.address, example.CAMERA.mac) + camera("gate", GATE)
HOUSE = allow("private", "router", '["dhcp", "dns"]')
ASK = allow("camera", "router", '["dhcp", "dns"]')
REDIRECT = '[[redirects]]\nfrom = "camera"\nto = "router"\nservice = "dns"\n'
OUTSIDE = allow("camera", "external", "dns") + '[[exceptions]]\nfrom = "camera"\nto = "external"\nservice = "dns"\n'


@both_backends
class LocalNames(DnsmasqTest):
    """dnsmasq on the router, which asks the name server on the internet host."""

    def setUp(self) -> None:
        super().setUp()
        self.upstream = NameServer(self.internet, example.INTERNET.address, ADDRESS, self.scratch / "upstream.log")
        self.addCleanup(self.upstream.stop)

    def serve(self) -> None:
        self.start_dnsmasq("--no-resolv", f"--server={example.INTERNET.address}")

    def assert_asked_outside(self, part: str, asked: bool) -> None:
        names = [name for name in self.upstream.asked() if part in name]
        self.assertEqual(bool(names), asked, names)

    def assert_forwarded(self, name: str) -> None:
        """The house's question is: the control."""
        self.assertEqual(ask(self.laptop, example.LAPTOP.router, name), Answer(NO_ERROR, ADDRESS))
        self.assert_asked_outside(name, True)

    def leased(self, *more: str) -> str:
        """The camera's address by DHCP."""
        said = self.scratch / "lease"
        script = self.scratch / "script"
        script.write_text(f"#!/bin/sh\n[ \"$1\" = bound ] && echo \"$ip $dns\" >{said}\nexit 0\n")
        script.chmod(0o755)
        self.camera.run([str(shutil.which("busybox")), "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", str(script),
                         "-t", "8", "-T", "1", *more])
        return said.read_text().strip() if said.exists() else ""

    def test_a_name_is_no_way_out_of_a_camera(self) -> None:
        own = example.CAMERA.router
        self.boot(ZONES, CAMERAS, HOUSE, ASK, REDIRECT)
        self.serve()
        self.assert_forwarded("control.example")
        for number, (target, tcp) in enumerate((target, tcp) for target in (own, FOREIGN) for tcp in (False, True)):
            with self.subTest(target=target, tcp=tcp):
                name = f"secret{number}.evil.example"
                self.assertEqual(ask(self.camera, target, name, tcp=tcp), Answer(REFUSED))
                # Not below a local name either.
                answer = ask(self.camera, target, f"secret{number}.porch", tcp=tcp)
                self.assertEqual(answer, Answer(NO_SUCH_NAME))
                for local, address in (("porch", example.CAMERA.address), ("gate", GATE)):
                    self.assertEqual(ask(self.camera, target, local, tcp=tcp), Answer(NO_ERROR, address))
        self.assert_asked_outside("secret", False)
        # Whoever is forwarded is told the cameras' names all the same, and nobody outside hears them.
        self.assertEqual(ask(self.laptop, example.LAPTOP.router, "gate"), Answer(NO_ERROR, GATE))
        self.assertEqual(ask(self.laptop, example.LAPTOP.router, "gate", kind=AAAA), Answer(NO_ERROR))
        self.assert_forwarded("control2.example")
        for local in ("porch", "gate"):
            self.assert_asked_outside(local, False)
        # Where nothing is forwarded leases are given as elsewhere.
        self.assertEqual(self.leased(), f"{example.CAMERA.address} {own}")

    def test_a_host_takes_no_name_that_programs_trust(self) -> None:
        self.boot(ZONES, camera("gate", GATE), HOUSE, ASK)
        self.serve()
        for name, is_told in (("nas", True), ("wpad", False), ("isatap", False), ("localhost", False), ("gate", False)):
            with self.subTest(name):
                address = self.leased("-x", f"hostname:{name}").split()[0]
                answer = ask(self.laptop, example.LAPTOP.router, name)
                self.assertEqual(answer.address == address, is_told, answer)

    def test_a_line_outside_has_them_forwarded(self) -> None:
        self.boot(ZONES, CAMERAS, HOUSE, ASK, REDIRECT, OUTSIDE)
        self.serve()
        for target in (example.CAMERA.router, FOREIGN):
            self.assertEqual(ask(self.camera, target, "maker.example"), Answer(NO_ERROR, ADDRESS))
            self.assertEqual(ask(self.camera, target, "gate"), Answer(NO_ERROR, GATE))
        self.assert_asked_outside("maker.example", True)

    def test_no_way_out_by_ipv6(self) -> None:
        self.boot(zones(), CAMERAS, HOUSE, ASK)
        self.serve()
        self.assert_forwarded("control.example")
        shown = self.router.run(["ip", "-6", "-br", "address", "show", "dev", "eth1", "scope", "link"], check=True).stdout
        link_local = shown.split()[2].split("/")[0] + "%eth0"
        for number, (target, tcp) in enumerate(
                (target, tcp) for target in (ROUTER["camera"], link_local) for tcp in (False, True)):
            with self.subTest(target=target, tcp=tcp):
                self.assertEqual(ask(self.camera, target, f"secret{number}.evil.example", tcp=tcp), Answer(REFUSED))
                self.assertEqual(ask(self.camera, target, "gate", tcp=tcp), Answer(NO_ERROR, GATE))
        self.assert_forwarded("control2.example")
        self.assert_asked_outside("secret", False)
