"""A zone on a VLAN, and cameras on a bridge, under a kernel that has both.

The machine that runs the tests need not know VLANs: the frames are made here,
tag and all.
"""

from __future__ import annotations

import re
import socket
import struct
import time
import unittest

from qemu import test_boot as boot

from appliance import image
from appliance.machine import Machine, mac
from lab.frames import echo_request, frame
from lab.hosts import INTERFACE
from lab.probes import PATIENCE, WAIT_SECONDS

setUpModule = boot.setUpModule
tearDownModule = boot.tearDownModule

VLAN = 20
ROUTER = "192.168.8.1"
CAMERA = "192.168.8.110"

CONFIGURATION = re.sub(
    r'interface = "eth1"', f'interface = {{ vlan = {VLAN}, on = "eth1" }}', boot.CONFIGURATION
)

# linux/if_packet.h
SOL_PACKET = 263
PACKET_AUXDATA = 8
ETH_P_ALL = 3


class Vlan(unittest.TestCase):
    machine: Machine

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = boot.scene.hosts["camera"]
        camera = f'\n[[cameras]]\nname = "porch"\naddress = "{CAMERA}"\nmac = "{cls.host.wiring.mac}"\n'
        cls.machine = boot.scene.boot(image.own(), boot.files(CONFIGURATION + camera))
        cls.addClassCleanup(cls.machine.kill)
        boot.wait_for_exit(cls.machine, 0)

    def answered(self, vlan: int | None, wait: float = WAIT_SECONDS) -> int | None:
        """Send an echo request with this tag; the tag of the answer, if one comes."""
        with self.host.namespace.entered():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        with wire:
            wire.bind((INTERFACE, 0))
            wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            wire.settimeout(0.2)
            wire.send(frame(mac(1), self.host.wiring.mac, vlan, echo_request(CAMERA, ROUTER)))
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline:
                try:
                    data, ancillary, *_ = wire.recvmsg(2048, 256)
                except TimeoutError:
                    continue
                # The kernel takes the tag out of the frame and tells it beside.
                tag = 0
                for level, kind, value in ancillary:
                    if level == SOL_PACKET and kind == PACKET_AUXDATA:
                        (tag,) = struct.unpack_from("H", value, 16)
                if data[12:14] == b"\x08\x00" and data[14 + 9] == 1 and data[14 + 20] == 0:
                    return tag & 0xFFF
        return None

    def test_the_zone_is_on_its_vlan(self) -> None:
        self.assertEqual(self.answered(VLAN, PATIENCE), VLAN)

    def test_and_nowhere_else(self) -> None:
        self.assertIsNone(self.answered(None), "without a tag")
        self.assertIsNone(self.answered(VLAN + 1), "on another VLAN")

    def test_its_settings_are_those_of_a_zone(self) -> None:
        code, said = self.machine.command(f"cat /proc/sys/net/ipv4/conf/eth1.{VLAN}/rp_filter")
        self.assertEqual((code, said.strip()), (0, "1"))
        code, said = self.machine.command("camfw status")
        self.assertEqual(code, 0, said)
