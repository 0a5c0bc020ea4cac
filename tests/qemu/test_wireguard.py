"""The recipe by which the phone comes home over WireGuard, carried out as it stands: wg-quick makes
wg0 in the appliance, and wireguard-go is the phone's end, beyond the internet."""

from __future__ import annotations

import json
import re
import subprocess
import unittest
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from qemu import ROOT
from qemu import recipe_scene
from qemu import test_boot as boot

from appliance import cpio, image
from appliance.machine import Machine
from lab import probes, wireguard
from lab.facts import Wiring
from lab.hosts import INTERFACE, Host
from lab.namespace import Namespace
from lab.probes import PATIENCE, Reach, wait_until
from lab.services import Listener
from netns.recipes import FILE, HOUSE, INTERNET, PORCH, PORCH_MAC, RECORDER, SERVER, Row, recipe
from netns.test_docs import PHONE

TITLE = "The phone comes home by a VPN"
# The phone's own network, as a provider's.
AWAY = Wiring("phone", "eth1", "100.64.7.2", 24, router="100.64.7.1", address6="fd00:7::2", router6="fd00:7::1")
# What the page says, and a server on the internet.
BEHIND = ("10.8.0.0/24", "192.168.5.0/24", "192.168.8.0/24", f"{SERVER}/32")
# What it may.
OPEN = (Row("phone", "recorder", "tcp", 443, True), Row("phone", "router", "tcp", 22, True),
        Row("phone", "porch", "tcp", 554, True))


def setUpModule() -> None:
    subprocess.run([ROOT / "qemu/image/tunnels"], check=True)
    boot.set_up((INTERNET, PORCH, HOUSE))


tearDownModule = boot.tearDownModule


class Wireguard(unittest.TestCase):
    machine: Machine
    phone: wireguard.Device

    @classmethod
    def setUpClass(cls) -> None:
        internet, camera, laptop = (boot.scene.hosts[name].namespace for name in ("internet", "camera", "laptop"))
        camera.ip("link", "set", INTERFACE, "address", PORCH_MAC)
        recipe_scene.prepare(cls, internet, laptop)
        away = Host(AWAY)
        cls.addClassCleanup(away.namespace.delete)
        away.plug(internet)
        internet.ip(batch=f"address add {AWAY.router}/24 dev {AWAY.interface}\nlink set {AWAY.interface} up\n")
        internet.write_sysctl("net.ipv4.ip_forward", "1")
        listener = Listener(away.namespace, [443])
        cls.addClassCleanup(listener.stop)
        cls.hosts: dict[str, Namespace] = {
            "internet": internet, "porch": camera, "house": laptop, "recorder": laptop, "phone": away.namespace}
        cls.router_key, cls.phone_key = wireguard.Key(), wireguard.Key()
        cls.recipe = recipe(TITLE)
        settings = cls.recipe.block("ini")
        for name, key in (("PrivateKey", cls.router_key.private), ("PublicKey", cls.phone_key.public)):
            settings, count = re.subn(rf"(?m)^({name} *= ).*$", rf"\g<1>{key}", settings)
            assert count == 1, settings
        files = boot.files(FILE.read_text()) | {
            "etc/camfw/camfw.d": cpio.folder(), "etc/camfw/camfw.d/vpn.toml": cpio.file(cls.recipe.block()),
            "etc/wireguard": cpio.folder(0o700), "etc/wireguard/wg0.conf": cpio.file(settings, 0o600)}
        cls.machine = boot.scene.boot(image.tunnels(), files)
        cls.addClassCleanup(cls.machine.kill)
        boot.wait_for_exit(cls.machine, 0)
        cls.machine.wait_for_kernel(boot.SERVICES, boot.BOOT_SECONDS)
        # For bash's process substitution, as udev makes it.
        cls.machine.command("ln -s /proc/self/fd /dev/fd")

    def said(self, command: str) -> str:
        code, said = self.machine.command(command)
        self.assertEqual(code, 0, said)
        return said

    def holds(self) -> bool:
        """Whether the policy is applied, with nothing missing and nothing that differs."""
        report = json.loads(self.machine.command("camfw status --json 2>/dev/null")[1])
        return (report["state"], report["holds"], report["drift"], report["missing"]) == ("applied", True, [], [])

    def assert_holds(self) -> None:
        if not wait_until(self.holds, PATIENCE * 3):
            self.fail(self.machine.command("camfw status")[1])

    def dial(self) -> None:
        """The phone turns its VPN on."""
        self.phone = wireguard.Device(
            self.hosts["phone"], f"{PHONE.address}/32", self.phone_key, self.router_key.public,
            f"{INTERNET.router}:51820", BEHIND)
        self.addCleanup(self.phone.stop)

    def attempt(self, row: Row) -> Reach:
        source = self.hosts[row.source]
        targets = {"recorder": RECORDER, "porch": PORCH.address, "internet": SERVER, "phone": PHONE.address,
                   "router": PHONE.router if row.source == "phone" else INTERNET.router}
        if row.protocol == "udp":
            # WireGuard answers those alone whose key it has.
            self.assertEqual((row.target, row.port), ("router", 51820))
            return Reach(wait_until(lambda: self.phone.shaken() > 0), "the handshake")
        return probes.tcp(source, targets[row.target], row.port, PATIENCE if row.passes else probes.WAIT_SECONDS)

    def assert_rows(self, rows: Iterable[Row]) -> None:
        wanted = list(rows)
        with ThreadPoolExecutor(len(wanted)) as pool:
            for row, reach in zip(wanted, pool.map(self.attempt, wanted), strict=True):
                with self.subTest(row=row):
                    self.assertEqual(bool(reach), row.passes, reach.detail)

    def assert_nothing_from_the_phone(self) -> None:
        self.assert_rows(Row(it.source, it.target, it.protocol, it.port, False) for it in OPEN)

    def test_the_phone_comes_home(self) -> None:
        rows = self.recipe.rows
        self.assertLessEqual(set(OPEN), set(rows))
        # Before there is wg0: booted and whole, and the phone gets nowhere, by a tunnel or without.
        self.assertTrue(wait_until(lambda: f"{INTERNET.router}/24" in self.said("ip -4 address show dev eth0"), PATIENCE * 3))
        self.assert_holds()
        self.assertEqual(self.machine.command("test -e /sys/class/net/wg0")[0], 1)
        self.assert_nothing_from_the_phone()
        self.dial()
        self.assert_nothing_from_the_phone()
        self.assertEqual(self.phone.shaken(), 0)
        # It comes, and nobody but `watch`, which runs there, does anything about it.
        self.said("wg-quick up wg0")
        self.assertTrue(wait_until(lambda: self.said("cat /proc/sys/net/ipv4/conf/wg0/rp_filter").strip() == "1", PATIENCE * 3))
        self.assert_holds()
        self.assert_rows(rows)
        # It goes, with the rest as it was.
        self.said("wg-quick down wg0")
        self.assert_holds()
        self.assert_nothing_from_the_phone()
        self.assertNotIn("dev eth0", self.machine.command(f"ip route get {PHONE.address}")[1])
        self.assert_rows([Row("house", "internet", "tcp", 443, True), Row("recorder", "porch", "tcp", 554, True)])
        # And comes again, with a phone that dials anew.
        self.phone.stop()
        self.said("wg-quick up wg0")
        self.dial()
        self.assert_rows(rows)
        self.assert_holds()
        # The control: without a firewall each of what did not pass does, by the tunnel and, of the phone's, without.
        self.said("camfw open")
        self.assert_rows(Row(it.source, it.target, it.protocol, it.port, True) for it in rows if not it.passes)
        self.phone.stop()
        self.assert_rows([Row("phone", "recorder", "tcp", 443, True), Row("phone", "porch", "tcp", 554, True)])
