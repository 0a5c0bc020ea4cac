"""Addresses and names by DHCP: what the router gives to hosts of the house, by the real dnsmasq with
what `camfw show dnsmasq` prints, and what it takes from the server of its provider."""

from __future__ import annotations

import ipaddress
import shutil
from pathlib import Path

from lab import example, probes
from netns.case import RouterTest, both_backends
from netns.dhcp import DhcpTest
from netns.policies import EXTERNAL, PRIVATE, allow, camera
from netns.test_cameras import KNOWN_ONLY
from netns.test_redirects import ADDRESS, NAME, asked

DNSMASQ = str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin"))
PORCH = camera("porch", example.CAMERA.address, example.CAMERA.mac)
RECORDER = "192.168.5.150"


@both_backends
class Leases(RouterTest):
    """dnsmasq on the router, as camfw configures it, and udhcpc on a host."""

    def serve(self) -> None:
        config = self.scratch / "dnsmasq.conf"
        config.write_text(self.camfw("show", "dnsmasq").stdout)
        tried = self.router.run([DNSMASQ, "--test", f"--conf-file={config}"])
        self.assertEqual(tried.returncode, 0, tried.stdout + tried.stderr)
        command = [
            DNSMASQ, "--keep-in-foreground", f"--conf-file={config}", "--no-ping", "--no-resolv", "--no-hosts",
            f"--address=/{NAME}/{ADDRESS}", "--dhcp-leasefile=/dev/null", "--leasefile-ro", "--pid-file=", "--user=root",
        ]
        # It serves the zones' addresses and not loopback. A lease, which is asked for several times,
        # shows that it is ready, for names too.
        process = self.router.start(command)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def leased(self, tries: int = 8) -> list[str]:
        """The laptop's address, name server and router by DHCP; nothing without a lease."""
        said = self.scratch / "lease"
        said.unlink(missing_ok=True)
        script = self.scratch / "script"
        script.write_text("#!/bin/sh\n[ \"$1\" = bound ] || exit 0\n"
                          "ip address add \"$ip/$mask\" dev \"$interface\"\n"
                          f"echo \"$ip ${{dns:-none}} $router\" >{said}\n")
        script.chmod(0o755)
        self.laptop.ip("address", "flush", "dev", "eth0", "scope", "global")
        self.laptop.run([str(shutil.which("busybox")), "udhcpc", "-f", "-q", "-n", "-i", "eth0", "-s", str(script),
                         "-t", str(tries), "-T", "1"], check=False)
        return said.read_text().split() if said.exists() else []

    def test_who_may_ask_gets_an_address_and_names(self) -> None:
        own = example.LAPTOP.router
        recorder = allow("private", "camera", "rtsp", f'source = "{RECORDER}"')
        zones = (EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, recorder, allow("camera", "router", "dhcp"))
        self.boot(*zones, allow("private", "router", '["dhcp", "dns"]'))
        self.serve()
        address, server, router = self.leased()
        first, last = map(ipaddress.ip_address, ("192.168.5.100", "192.168.5.199"))
        self.assertTrue(first <= ipaddress.ip_address(address) <= last, address)
        self.assertNotEqual(address, RECORDER)
        self.assertEqual((server, router), (own, own))
        self.assertEqual(asked(self.laptop, own), ADDRESS)
        # Cameras may not ask for names, and are told of nobody who would answer.
        self.assertEqual(asked(self.camera, example.CAMERA.router, wait=1), "")
        lines = self.camfw("show", "dnsmasq").stdout.splitlines()
        self.assertIn("dhcp-option=tag:camera,option:dns-server", lines)

    def test_who_may_not_ask_for_names_is_told_of_no_server(self) -> None:
        self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, allow("private", "router", "dhcp"))
        self.serve()
        _, server, router = self.leased()
        self.assertEqual((server, router), ("none", example.LAPTOP.router))
        # Nor does anybody get an address whom no line lets ask.
        self.boot(EXTERNAL, KNOWN_ONLY, PRIVATE, PORCH, allow("private", "router", "dns"))
        self.assertEqual(self.leased(tries=3), [])


@both_backends
class NameServers(DhcpTest):
    """The provider's name servers, in a file of camfw's own."""

    def file(self) -> Path:
        return self.program.run_folder / "camfw-dns/resolv.conf"

    def servers(self) -> list[str]:
        lines = self.file().read_text().splitlines() if self.file().exists() else []
        return [line for line in lines if not line.startswith("#")]

    def take(self, client: str) -> None:
        # One of them would be a camera.
        given = f"--dhcp-option=6,{example.INTERNET.address},{example.CAMERA.address},9.9.9.9"
        with self.dhcp_server(example.INTERNET.address, "192.168.0.50", "192.168.0.60", given):
            self.boot_with_dhcp(client=client)
            expected = [f"nameserver {example.INTERNET.address}", "nameserver 9.9.9.9"]
            self.assertTrue(probes.wait_until(lambda: self.servers() == expected), self.servers())
            self.assertRegex(self.camfw("status").stdout, r"(?m)^external .* link.*, 192\.168\.0\.(5\d|60)/24")
        self.assertEqual(self.file().stat().st_mode & 0o777, 0o644)
        self.assertEqual(self.file().parent.stat().st_mode & 0o777, 0o755)

    def test_they_are_kept_for_whoever_asks(self) -> None:
        self.take("udhcpc")

    def test_dhcpcd_asks_for_them_too(self) -> None:
        self.take("dhcpcd")
