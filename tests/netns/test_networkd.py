"""The internet's address comes by systemd-networkd: the recipe is carried out with the real one.

It runs in the router's namespaces, without a bus and without udev, as in a container: /sys is read-only,
so that it waits for nobody's word about an interface (udev_available in src/shared/udev-util.c).
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator

from lab import probes
from lab.probes import wait_until
from lab.services import Listener
from netns.case import both_backends
from netns.dhcp import DhcpTest
from netns.recipes import HOUSE, INTERNET, PORCH, PORCH_MAC, SERVER, base, recipe

NETWORKD = "/lib/systemd/systemd-networkd"
SECTION = recipe("The internet's address comes by systemd-networkd").section


def block(kind: str, path: str = "") -> str:
    """The block of the recipe; the one that follows the file's name."""
    found = re.search(rf"{re.escape(path)}.*?```{kind}\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None, (kind, path)
    return found[1]


@both_backends
class Networkd(DhcpTest):
    """The pages' file with the recipe's drop-in, and its files for systemd-networkd."""

    wirings = (INTERNET, PORCH, HOUSE)

    def setUp(self) -> None:
        super().setUp()
        self.camera.ip("link", "set", "eth0", "address", PORCH_MAC)
        self.internet.ip("address", "add", f"{SERVER}/32", "dev", "lo")
        self.program.configure(base(block("toml")))
        folder = self.program.config.with_suffix(".d")
        folder.mkdir()
        (folder / "networkd.toml").write_text(block("toml"))
        self.etc = self.scratch / "etc"
        for name, text in (
            ("network/10-internet.network", block("ini", "/etc/systemd/network/")),
            ("networkd.conf.d/camfw.conf", block("ini", "/etc/systemd/networkd.conf.d/")),
        ):
            (self.etc / name).parent.mkdir(parents=True, exist_ok=True)
            (self.etc / name).write_text(text)

    @contextlib.contextmanager
    def networkd(self) -> Iterator[None]:
        """Runs it with the recipe's files alone."""
        script = f"""
            set -e
            mount -t sysfs -o ro sysfs /sys
            mount -t tmpfs tmpfs /run
            mkdir -p /run/systemd/netif
            chown systemd-network: /run/systemd/netif
            mount --bind {self.etc} /etc/systemd
            exec {NETWORKD}
        """
        log = self.scratch / "networkd.log"
        with log.open("wb") as output:
            process = self.router.start(
                ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script],
                env={"SYSTEMD_LOG_TARGET": "console", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                stdout=output.fileno(), stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            self.said = log.read_text()

    def is_configured(self) -> bool:
        routes = self.router.run(["ip", "-4", "route"], check=True).stdout
        return self.leased() != "" and f"default via {INTERNET.address} dev eth0" in routes

    def unreachable(self) -> list[str]:
        """camfw's own routes, of which it knows nothing."""
        shown = self.router.run(["ip", "-4", "route", "show", "type", "unreachable"], check=True).stdout
        return sorted(line.strip() for line in shown.splitlines())

    def test_it_gives_the_address_and_leaves_all_else(self) -> None:
        self.camfw("boot")
        before = self.unreachable()
        self.assertEqual(len(before), 2)
        server = self.dhcp_server(INTERNET.address, "192.168.0.50", "192.168.0.60")
        with server, Listener(self.internet, [443]) as outside, Listener(self.laptop, [443]), Listener(self.router, [22]):
            # Twice, as after an update of it.
            for start in ("first", "second"):
                with self.subTest(start), self.networkd():
                    self.assertTrue(wait_until(self.is_configured), "an address and a default route")
                    self.internet.ip("route", "replace", "default", "via", self.leased())
                    self.camfw("apply")
                    self.assertRegex(self.camfw("status").said, "^APPLIED for ")
                    self.assertEqual(self.unreachable(), before)
                    self.assertTrue(probes.tcp(self.laptop, SERVER, 443))
                    self.assertFalse(probes.tcp(self.camera, SERVER, 443, wait=0.5))
                    self.assertFalse(probes.tcp(self.internet, HOUSE.address, 443, wait=0.5))
                    self.assertFalse(probes.tcp(self.internet, self.leased(), 22, wait=0.5))
            self.assertGreaterEqual(outside.accepted[443], 2)

    def test_an_interface_that_it_configures_later_takes_nothing_away(self) -> None:
        # Its own business; when it comes, it removes what it takes for left over.
        (self.etc / "network/20-late.network").write_text("[Match]\nName=late0\n[Network]\nAddress=10.99.0.1/24\n")
        self.camfw("boot")
        before = self.unreachable()
        second = self.etc / "networkd.conf.d/camfw.conf"
        with self.dhcp_server(INTERNET.address, "192.168.0.50", "192.168.0.60"):
            for recipe in ("whole", "without its second file"):
                with self.subTest(recipe), self.networkd():
                    self.assertTrue(wait_until(self.is_configured))
                    self.router.ip("link", "add", "late0", "type", "veth", "peer", "name", "late1")
                    self.router.ip("link", "set", "late1", "up")
                    self.assertTrue(wait_until(lambda: "10.99.0.1" in self.router.run(["ip", "address"]).stdout))
                    if second.exists():
                        self.assertEqual(self.unreachable(), before)
                        self.camfw("status")
                    else:  # The control.
                        self.assertEqual(self.unreachable(), [])
                        self.assertIn("route 192.168.8.0/24 unreachable", self.camfw("status", expect=1).said)
                        self.camfw("apply")
                        self.assertEqual(self.unreachable(), before)
                self.router.ip("link", "delete", "late0")
                second.unlink(missing_ok=True)
