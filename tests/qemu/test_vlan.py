"""The recipe of cameras on a VLAN, carried out as it stands under a kernel that knows VLANs.

The machine that runs the tests need not know them: a switch made of frames tags the camera's port (lab.vlan).
"""

from __future__ import annotations

import time
import unittest
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from qemu import recipe_scene
from qemu import test_boot as boot

from appliance import cpio, image
from appliance.machine import Machine, mac
from lab import frames, probes
from lab.hosts import INTERFACE
from lab.namespace import Namespace
from lab.probes import PATIENCE, WAIT_SECONDS, Reach, wait_until
from lab.services import Listener
from lab.vlan import Switch, Trunk
from netns.recipes import HOUSE, INTERNET, PORCH, PORCH_MAC, RECORDER, SERVER, Row, base, recipe

RECIPE = recipe("Cameras on a VLAN")
VLAN = 20
NTP = 123


def setUpModule() -> None:
    boot.set_up((INTERNET, PORCH, HOUSE))


tearDownModule = boot.tearDownModule


class Vlan(unittest.TestCase):
    machine: Machine

    @classmethod
    def setUpClass(cls) -> None:
        internet, wire, laptop = (boot.scene.hosts[name].namespace for name in ("internet", "camera", "laptop"))
        recipe_scene.prepare(cls, internet, laptop)
        # The camera is behind the switch, and its wire is the trunk.
        wire.ip("address", "flush", "dev", INTERFACE)
        cls.wire = wire
        porch = cls.enterClassContext(Namespace("porch"))
        cls.enterClassContext(Switch(cls.enterClassContext(Trunk(wire, INTERFACE)), VLAN, porch, INTERFACE, PORCH_MAC))
        porch.ip(batch=f"""
            address add {PORCH.address}/{PORCH.prefix} dev {INTERFACE}
            link set {INTERFACE} up
            route add default via {PORCH.router}
        """)
        cls.enterClassContext(Listener(porch, [554]))
        cls.hosts = {"internet": internet, "porch": porch, "house": laptop, "recorder": laptop}
        dropin = RECIPE.block()
        files = boot.files(base(dropin)) | {
            # camfw starts it for the address outside; busybox has it.
            "usr/sbin/udhcpc": cpio.link("/usr/bin/busybox"),
            "etc/camfw/camfw.d": cpio.folder(), "etc/camfw/camfw.d/vlan.toml": cpio.file(dropin)}
        cls.machine = boot.scene.boot(image.own(), files)
        cls.addClassCleanup(cls.machine.kill)
        boot.wait_for_exit(cls.machine, 0)
        cls.machine.wait_for_kernel(boot.SERVICES, boot.BOOT_SECONDS)
        # In the place of a time server it sends back what it is sent.
        cls.machine.command(f"(socat UDP4-RECVFROM:{NTP},fork EXEC:/bin/cat >/dev/null 2>&1 &)")

    def said(self, command: str) -> str:
        code, said = self.machine.command(command)
        self.assertEqual(code, 0, said)
        return said

    def attempt(self, row: Row) -> Reach:
        targets = {"recorder": RECORDER, "house": HOUSE.address, "porch": PORCH.address, "internet": SERVER,
                   "router": PORCH.router}
        reach = probes.tcp if row.protocol == "tcp" else probes.udp
        return reach(self.hosts[row.source], targets[row.target], row.port,
                     wait=PATIENCE if row.passes else WAIT_SECONDS)

    def assert_rows(self, rows: Iterable[Row]) -> None:
        wanted = list(rows)
        with ThreadPoolExecutor(len(wanted)) as pool:
            for row, reach in zip(wanted, pool.map(self.attempt, wanted), strict=True):
                with self.subTest(row=row):
                    self.assertEqual(bool(reach), row.passes, reach.detail)

    def answered(self, vlan: int | None, wait: float = WAIT_SECONDS) -> int | None:
        """Asks for the time with this tag; the tag of the answer, if one comes."""
        own_port = 40000 + (vlan or 0)
        asked = frames.frame(mac(1), PORCH_MAC, None, frames.udp(PORCH.address, PORCH.router, own_port, NTP))
        with Trunk(self.wire, INTERFACE) as trunk:
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline:
                trunk.send(asked, vlan)
                again = time.monotonic() + 1
                while time.monotonic() < again:
                    came = trunk.receive()
                    packet = frames.read(came[0]) if came else None
                    if came and packet and (packet.source, packet.ports) == (PORCH.router, (NTP, own_port)):
                        return came[1]
        return None

    def test_the_recipe_is_carried_out(self) -> None:
        self.assertTrue(wait_until(lambda: INTERNET.router in self.said("ip -4 address show dev eth0"), PATIENCE * 3))
        ready = wait_until(lambda: bool(probes.udp(self.hosts["porch"], PORCH.router, NTP, wait=1)))
        self.assertTrue(ready, "what stands for a time server is there")
        self.assert_rows(RECIPE.rows)
        self.assertEqual(self.answered(VLAN, PATIENCE), VLAN)
        self.assertIsNone(self.answered(None), "without a tag")
        self.assertIsNone(self.answered(VLAN + 1), "on another VLAN")
        self.assertEqual(self.said(f"cat /proc/sys/net/ipv4/conf/eth1.{VLAN}/rp_filter").strip(), "1")
        self.said("camfw status")
        # The control: without a firewall each of what did not pass does.
        self.said("camfw open")
        self.assert_rows(replace(row, passes=True) for row in RECIPE.rows if not row.passes)
